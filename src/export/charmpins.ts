/** What a request pins of a charm: its own revision, and the revisions of its resources. */

import { readMetadata } from "../archives/charm.ts";
import { type Base, sameBase, suitsArchitecture, suitsSystem } from "../catalog/base.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { Failure } from "../errors.ts";
import { ownValue } from "../schema.ts";
import type { CharmPlanBuilder } from "./charmplanbuilder.ts";
import { concreteBase, defaultTrack, selectReleases, suitsRequest, upstreamReleases } from "./charmreleases.ts";
import { resolvedOrThrow } from "./plan.ts";
import type { PackageRequest } from "./sitefile.ts";
import type { CharmInfo, CharmLookup, RefreshedCharm, Upstream, UpstreamCharm } from "./upstream.ts";

/** Resource name to revision. */
type ResourceRevisions = Readonly<Record<string, number>>;

export function resourcePins({ resources }: Pick<UpstreamCharm, "resources">): Record<string, number> {
  return Object.fromEntries((resources ?? []).map(({ name, revision }) => [name, revision]));
}

/** The same charm with the resource revisions that the request pins. */
export async function withPinnedResources(
  upstream: Upstream,
  resolved: RefreshedCharm,
  { resources }: PackageRequest,
): Promise<RefreshedCharm> {
  if (!missingPin(resolved.charm, resources)) return resolved;
  const { name, revision } = resolved.charm;
  const pins = { ...resourcePins(resolved.charm), ...resources };
  const { charm } = await resolveCharm(upstream, { name, revision, base: null, resources: pins });
  checkPins(charm, resources);
  return { ...resolved, charm };
}

function checkPins(charm: UpstreamCharm, pins: ResourceRevisions): void {
  const missing = missingPin(charm, pins);
  if (missing)
    throw new Failure(
      "not-found",
      `cannot export ${charm.name} with ${missing.join(" ")}: the store has no such revision of that resource`,
    );
}

/** A store may leave out a resource revision that it does not have. */
export function missingPin(charm: UpstreamCharm, pins: ResourceRevisions): [name: string, revision: number] | undefined {
  const offered = resourcePins(charm);
  return Object.entries(pins).find(([name, pin]) => offered[name] !== pin);
}

/** Takes one revision by its number and puts it into the requested channels, regardless of what is released there upstream. */
export async function takePinnedRevision(
  upstream: Upstream,
  info: CharmInfo,
  request: PackageRequest,
  revision: number,
  builder: CharmPlanBuilder,
): Promise<Failure[]> {
  const { name } = info;
  const { charm } = await resolveCharm(upstream, { name, revision, base: null });
  const known = { ...(await releasedResources(upstream, info, request)), ...resourcePins(charm) };
  const metadata = charm["metadata-yaml"] ? readMetadata(charm["metadata-yaml"], `metadata.yaml of ${name} ${revision}`) : undefined;
  const resources: Record<string, number> = { ...resourcePins(charm), ...request.resources };
  for (const { name: resource } of metadata?.resources ?? []) {
    const newest =
      ownValue(resources, resource) ?? ownValue(known, resource) ?? (await upstream.resourceRevisions(name, resource))[0]?.revision;
    if (newest !== undefined) resources[resource] = newest;
  }
  const { charm: resolved } = await resolveCharm(upstream, { name, revision, base: null, resources });
  checkPins(resolved, request.resources);
  const absent = request.absentResources ?? [];
  const complete = { ...resolved, resources: (resolved.resources ?? []).filter((resource) => !absent.includes(resource.name)) };
  if (request.isUnreleased) {
    builder.take(complete);
    return [];
  }
  const bases = basesToRelease(charm, request);
  if (info.type === "charm" && bases.length === 0)
    return [new Failure("failed", `cannot export ${name} revision ${revision}: it does not run on ${wantedBases(request)}`)];
  const channels = request.channels === "all" || request.channels.length === 0 ? ["stable"] : request.channels;
  const released = upstreamReleases(info);
  for (const text of channels) {
    const full = fullChannel(text, defaultTrack(info));
    if (!full) continue;
    const channel = formatChannel(full);
    for (const base of info.type === "bundle" ? [null] : bases) {
      // Where upstream still has it there, that is when it was released.
      const there = released.find((row) => row.channel === channel && row.revision === revision && sameBase(row.base, base));
      builder.add({ channel, base, revision, releasedAt: there?.releasedAt, resources: resourcePins(complete) }, complete);
    }
  }
  return [];
}

/** The bases on which a pinned revision is released: those that the entry names, else all that it runs on. */
function basesToRelease({ bases }: UpstreamCharm, request: PackageRequest): Base[] {
  const { systems, architectures } = request;
  const own = bases.flatMap((base) => (base && suitsRequest(base, request) ? [base] : []));
  if (!request.needsSystems || systems === "all") return own;
  const named = systems.flatMap((system) => architectures.map((architecture) => ({ ...system, architecture })));
  return named.filter((base) => own.some((runs) => suitsSystem(runs, base) && suitsArchitecture(runs, base.architecture)));
}

function wantedBases({ needsSystems, systems, architectures }: PackageRequest): string {
  const names = !needsSystems || systems === "all" ? [] : systems.map(({ name, channel }) => `${name}@${channel}`);
  return [...(names.length > 0 ? [names.join(", ")] : []), architectures.join(", ")].join(" ");
}

/** The resources that are released in the requested channel now: those of a pinned revision if no others are known. */
async function releasedResources(upstream: Upstream, info: CharmInfo, request: PackageRequest): Promise<Record<string, number>> {
  const [release] = selectReleases(info, request, []).releases;
  if (!release) return {};
  const { channel, base } = release;
  const [result] = await upstream.charms([{ name: info.name, channel, base: base && concreteBase(base, request) }]);
  return result && "ok" in result ? resourcePins(result.ok.charm) : {};
}

async function resolveCharm(upstream: Upstream, lookup: CharmLookup): Promise<RefreshedCharm> {
  const [result] = await upstream.charms([lookup]);
  const which = lookup.revision === undefined ? "" : ` revision ${lookup.revision}`;
  const resources = Object.entries(lookup.resources ?? {}).map(([name, pin]) => `${name} ${pin}`);
  const having = resources.length > 0 ? ` with ${resources.join(", ")}` : "";
  return resolvedOrThrow(result, `${lookup.name}${which}${having}`);
}
