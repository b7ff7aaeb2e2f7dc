/** Which releases of a charm or bundle a request selects from the channel map upstream. */

import { type Base, nearestSystem, type System, sameBase, showBase, suitsArchitecture, suitsSystem } from "../catalog/base.ts";
import { formatChannel, fullChannel, isRisk, parseChannel, searchOrder } from "../catalog/channel.ts";
import { Failure } from "../errors.ts";
import { charmReleaseKey } from "./charmplanbuilder.ts";
import type { PlannedRelease } from "./plan.ts";
import type { PackageRequest } from "./sitefile.ts";
import type { CharmInfo } from "./upstream.ts";

/** A release as upstream's channel map shows it. */
export type UpstreamRelease = Omit<PlannedRelease, "resources">;

/** Of a branch, which no channel map shows. */
export const UNKNOWN_REVISION = -1;

/** The systems of a base that upstream leaves open, if the request names none. */
const DEFAULT_SYSTEMS: readonly System[] = [{ name: "ubuntu", channel: "22.04" }];

export interface SelectedRelease extends UpstreamRelease {
  /** the same channel and revision as another one, for a base that was not requested */
  readonly extra?: true;
}

/** The releases to take, and why others that were requested are missing. Adds `notes` for the operator. */
export function selectReleases(
  info: CharmInfo,
  request: PackageRequest,
  notes: string[],
): { readonly releases: SelectedRelease[]; readonly failures: Failure[] } {
  const all = upstreamReleases(info);
  const found = new Map<string, SelectedRelease>();
  const failures: Failure[] = [];
  const take = (release: SelectedRelease) => {
    const key = charmReleaseKey(release);
    const before = found.get(key);
    if (!before || (before.extra && !release.extra)) found.set(key, release);
  };
  if (request.channels === "all") {
    const { systems } = request;
    const suits = ({ base }: UpstreamRelease) =>
      !base || (suitsRequest(base, request) && (systems === "all" || systems.some((system) => suitsSystem(base, system))));
    const suitable = all.filter(suits);
    for (const release of suitable) take(release);
    if (suitable.length === 0) failures.push(notReleased(info, "any channel", request.architectures.join(", "), all));
    return { releases: [...found.values()], failures };
  }
  const architectures = architecturesOf(info, request, all, notes);
  for (const text of request.channels.length > 0 ? request.channels : ["stable"]) {
    const channel = fullChannel(text, defaultTrack(info));
    if (!channel) continue; // refused where it was read
    if (info.type === "bundle") {
      const release = searchOrder(channel).flatMap((name) => all.find((candidate) => candidate.channel === name) ?? [])[0];
      if (release) take(release);
      else failures.push(notReleased(info, formatChannel(channel), "", all));
      continue;
    }
    for (const architecture of architectures) {
      // Only the reply shows whether the branch exists.
      if (channel.branch !== undefined)
        for (const system of request.systems === "all" ? DEFAULT_SYSTEMS : request.systems)
          take({ channel: formatChannel(channel), base: { ...system, architecture }, revision: UNKNOWN_REVISION, releasedAt: undefined });
      else {
        const candidates = all.filter(({ base }) => base && suitsArchitecture(base, architecture));
        const open = openReleases(info.name, candidates, searchOrder(channel), request.systems, notes);
        if (open.length === 0) failures.push(notReleased(info, formatChannel(channel), architecture, all));
        for (const release of open) take(release);
      }
    }
  }
  const requested = [...found.values()];
  for (const release of all) {
    const isAlike = (other: SelectedRelease) => other.channel === release.channel && other.revision === release.revision;
    if (release.base && suitsRequest(release.base, request) && requested.some(isAlike)) take({ ...release, extra: true });
  }
  return { releases: [...found.values()], failures };
}

/** Those of the request. One that the charm never had is left out with a note, unless its own entry names it or nothing would be left. */
function architecturesOf(info: CharmInfo, request: PackageRequest, all: readonly UpstreamRelease[], notes: string[]): readonly string[] {
  const has = (architecture: string) => all.some(({ base }) => base && suitsArchitecture(base, architecture));
  const had = request.architectures.filter(has);
  if (info.type === "bundle" || request.needsArchitectures || had.length === 0) return request.architectures;
  for (const never of request.architectures.filter((architecture) => !has(architecture)))
    notes.push(`${info.name} has no release for ${never} in any channel: it is exported without`);
  return had;
}

/** Releases of the first channel in search order that serves the requested bases, else the nearest LTS. */
function openReleases(
  name: string,
  releases: readonly UpstreamRelease[],
  order: readonly string[],
  systems: PackageRequest["systems"],
  notes: string[],
): UpstreamRelease[] {
  const releasesIn = (channel: string) => releases.filter((release) => release.channel === channel);
  const open = order.find((channel) => releasesIn(channel).length > 0);
  if (open === undefined) return [];
  if (systems === "all") return releasesIn(open);
  return systems.flatMap((system) => {
    const exact = order.flatMap((channel) => releasesIn(channel).find(({ base }) => base && suitsSystem(base, system)) ?? [])[0];
    if (exact) return exact;
    const offered = releasesIn(open).flatMap(({ base }) => base ?? []);
    const nearest = nearestSystem(offered, system);
    const release = releasesIn(open).find(({ base }) => sameBase(base, nearest ?? null));
    if (release && nearest)
      notes.push(`${name} has no release for ${system.name}@${system.channel} in ${open}: the one for ${showBase(nearest)} was taken`);
    return release ?? [];
  });
}

/** The channel map of an info reply. */
export function upstreamReleases(info: CharmInfo): UpstreamRelease[] {
  return (info["channel-map"] ?? []).flatMap(({ channel, revision }) => {
    const { name, track, risk } = channel;
    const base = info.type === "bundle" ? null : channel.base; // a store may say `all` of a bundle
    if (!isRisk(risk)) return [];
    const branch = parseChannel(name)?.branch; // only the name has the branch
    const full = formatChannel({ track: track || "latest", risk, ...(branch !== undefined && { branch }) });
    return [{ channel: full, base: base ?? null, revision: revision.revision, releasedAt: channel["released-at"] ?? undefined }];
  });
}

export function defaultTrack(info: CharmInfo): string {
  return info["default-release"]?.channel.track || info["channel-map"]?.[0]?.channel.track || "latest";
}

/** Whether the base is of a requested architecture. */
export function suitsRequest(base: Base, { architectures }: Pick<PackageRequest, "architectures">): boolean {
  return architectures.some((architecture) => suitsArchitecture(base, architecture));
}

/** A base that the store can be asked for: the request says what the release leaves open. */
export function concreteBase(base: Base, { systems, architectures }: PackageRequest): Base {
  const [system = DEFAULT_SYSTEMS[0]] = systems === "all" ? DEFAULT_SYSTEMS : systems;
  return {
    ...(base.name === "all" || base.channel === "all" ? { name: system?.name ?? "ubuntu", channel: system?.channel ?? "22.04" } : base),
    architecture: base.architecture === "all" ? (architectures[0] ?? "amd64") : base.architecture,
  };
}

function notReleased({ name }: CharmInfo, channel: string, architecture: string, releases: readonly UpstreamRelease[]): Failure {
  const open = [...new Set(releases.map((release) => release.channel))];
  return new Failure("not-found", `cannot export ${name}: it has no release in ${channel}${architecture && ` for ${architecture}`}`, {
    next: open.length > 0 ? `its channels are ${open.join(", ")}` : "it is released in no channel",
  });
}
