/** What an export takes of a charm or bundle: its releases, and the revisions and resources that belong to them. */

import type { LockedPackage } from "../archives/lock.ts";
import { showBase } from "../catalog/base.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { Failure } from "../errors.ts";
import { missingPin, resourcePins, takePinnedRevision, withPinnedResources } from "./charmpins.ts";
import { CharmPlanBuilder } from "./charmplanbuilder.ts";
import { concreteBase, defaultTrack, type SelectedRelease, selectReleases, UNKNOWN_REVISION, upstreamReleases } from "./charmreleases.ts";
import {
  type Attributes,
  errorText,
  type FailedPackage,
  failuresOf,
  lockMismatch,
  type Plan,
  type PlannedPackage,
  type PlannedRelease,
} from "./plan.ts";
import type { PackageRequest } from "./sitefile.ts";
import type { CharmInfo, CharmLookup, RefreshedCharm, Upstream, UpstreamCharm, UpstreamResource } from "./upstream.ts";

/** The plan of a package for all of its requests. Throws only if it was interrupted. */
export async function planPackage(upstream: Upstream, name: string, requests: readonly PackageRequest[]): Promise<Plan<PlannedPackage>> {
  const notes: string[] = [];
  return planned(name, notes, async (failed) => {
    const info = await upstream.info(name);
    const builder = new CharmPlanBuilder(info, requests, upstreamReleases(info), defaultTrack(info));
    for (const request of requests) {
      const { revision } = request;
      const take = async () => {
        const failures =
          revision === undefined
            ? await takeReleases(upstream, info, request, builder, notes)
            : await takePinnedRevision(upstream, info, request, revision, builder);
        failed.push(...failures.map((failure) => ({ name, failure })));
      };
      failed.push(...(await failuresOf(name, take)));
      if (request.allResources) await takeAllResources(upstream, builder);
    }
    return builder.finish(attributesOf(info));
  });
}

/** The same package again: every revision and digest of `locked`, or nothing. */
export async function planLockedPackage(upstream: Upstream, locked: LockedPackage): Promise<Plan<PlannedPackage>> {
  const { name } = locked;
  return planned(name, [], async (failed) => {
    const fail = (why: string) => failed.push({ name, failure: lockMismatch(name, why) });
    const info = await upstream.info(name);
    if (info.id !== locked.id) throw lockMismatch(name, `its id is ${info.id} upstream, and ${locked.id} in the lock`);
    const builder = new CharmPlanBuilder(info, [{ paths: locked.paths }], locked.releases, locked.defaultTrack);
    const results = await upstream.charms(locked.releases.map(({ revision, resources }) => ({ name, revision, base: null, resources })));
    for (const [i, result] of results.entries()) {
      const release = locked.releases[i];
      if (!release) continue;
      if ("error" in result) {
        fail(`revision ${release.revision} is not offered any more (${errorText(result.error)})`);
        continue;
      }
      const { charm } = result.ok;
      const difference = charmLockDifference(locked, release, charm);
      if (difference === undefined) builder.add(release, charm);
      else fail(difference);
    }
    for (const key of Object.keys(locked.resources)) {
      if (failed.length > 0) break;
      const difference = await takeLockedResource(upstream, locked, key, builder);
      if (difference !== undefined) fail(difference);
    }
    return failed.length === 0 ? builder.finish(new Map(Object.entries(locked.attributes))) : undefined;
  });
}

/** How upstream differs from the lock; undefined: it does not. */
function charmLockDifference(locked: LockedPackage, { resources }: PlannedRelease, charm: UpstreamCharm): string | undefined {
  const digest = locked.revisions[charm.revision];
  if (digest !== charm.download["hash-sha-256"])
    return `revision ${charm.revision} has the sha256 ${charm.download["hash-sha-256"]} upstream, and ${digest} in the lock`;
  const missing = missingPin(charm, resources);
  if (missing) return `resource ${missing.join(" ")} is not offered any more`;
  return (charm.resources ?? []).map((resource) => resourceDifference(locked, resource)).find((why) => why !== undefined);
}

function resourceDifference(locked: LockedPackage, { name, revision, type, download }: UpstreamResource): string | undefined {
  const digest = locked.resources[`${name}_${revision}`];
  // The blob of an image has credentials that change; the lock has the image that it names.
  if (type !== "file" || digest === undefined || digest === download["hash-sha-256"]) return undefined;
  return `resource ${name} ${revision} has the sha256 ${download["hash-sha-256"]} upstream, and ${digest} in the lock`;
}

/** Takes a resource that belongs to no release. Returns how upstream differs from the lock; undefined: it does not. */
async function takeLockedResource(
  upstream: Upstream,
  locked: LockedPackage,
  key: string,
  builder: CharmPlanBuilder,
): Promise<string | undefined> {
  if (builder.hasResource(key)) return undefined;
  const [, name = "", revision = ""] = /^(.+)_(\d+)$/.exec(key) ?? [];
  const found = (await revisionsOfResource(upstream, locked.name, name)).find((resource) => resource.revision === Number(revision));
  if (!found) return `resource ${name} ${revision} is not offered any more`;
  const difference = resourceDifference(locked, found);
  if (difference === undefined) builder.addResource(found);
  return difference;
}

/** The plan that `work` makes; its error becomes the last failure of the package. */
async function planned(
  name: string,
  notes: readonly string[],
  work: (failed: FailedPackage[]) => Promise<PlannedPackage | undefined>,
): Promise<Plan<PlannedPackage>> {
  const failed: FailedPackage[] = [];
  let found: PlannedPackage | undefined;
  const thrown = await failuresOf(name, async () => {
    found = await work(failed);
  });
  return { ...(found && { planned: found }), failed: [...failed, ...thrown], notes };
}

/** Takes the releases of the requested channels; returns why some are missing. */
async function takeReleases(
  upstream: Upstream,
  info: CharmInfo,
  request: PackageRequest,
  builder: CharmPlanBuilder,
  notes: string[],
): Promise<Failure[]> {
  const { name } = info;
  const { releases, failures } = selectReleases(info, request, notes);
  const lookups = releases.map(({ channel, base }): CharmLookup => ({ name, channel, base: base && concreteBase(base, request) }));
  const results = await upstream.charms(lookups);
  const extra: { readonly release: SelectedRelease; readonly resolved: RefreshedCharm }[] = [];
  for (const [i, result] of results.entries()) {
    const release = releases[i];
    if (!release) continue;
    if ("error" in result) {
      const { channel, base } = release;
      if (!release.extra)
        failures.push(new Failure("failed", `cannot export ${name} from ${channel} for ${showBase(base)}: ${errorText(result.error)}`));
    } else if (release.extra) extra.push({ release, resolved: result.ok });
    else {
      const resolved = await withPinnedResources(upstream, result.ok, request);
      builder.add(plannedRelease(release, resolved), resolved.charm);
    }
  }
  // A revision that is taken anyway is released to the other bases of its channel too: that adds no file.
  for (const { release, resolved } of extra) {
    const pinned = await withPinnedResources(upstream, resolved, request);
    if (builder.has(pinned.charm)) builder.add(plannedRelease(release, pinned), pinned.charm);
  }
  return failures;
}

/** Takes every revision of the resources that the taken revisions declare or go with, released or not. */
async function takeAllResources(upstream: Upstream, builder: CharmPlanBuilder): Promise<void> {
  for (const name of builder.resourceNames())
    for (const resource of await revisionsOfResource(upstream, builder.name, name)) builder.addResource(resource);
}

/** Revisions of a resource; none where the store has no such resource. */
async function revisionsOfResource(upstream: Upstream, charm: string, resource: string): Promise<readonly UpstreamResource[]> {
  try {
    return await upstream.resourceRevisions(charm, resource);
  } catch (error) {
    if (error instanceof Failure && error.kind === "not-found") return [];
    throw error;
  }
}

/** By revision; only upstream's channel map has them. */
function attributesOf(info: CharmInfo): Map<string, Attributes> {
  const found = (info["channel-map"] ?? []).flatMap(({ revision }): [string, Attributes][] => {
    const { attributes } = revision;
    const hasAny = typeof attributes === "object" && attributes !== null && Object.keys(attributes).length > 0;
    return hasAny ? [[String(revision.revision), attributes as Attributes]] : [];
  });
  return new Map(found);
}

function plannedRelease(
  release: SelectedRelease,
  { charm, "released-at": releasedAt, "effective-channel": effective }: RefreshedCharm,
): PlannedRelease {
  const branch = release.revision === UNKNOWN_REVISION && effective ? fullChannel(effective, "latest") : undefined;
  return {
    channel: branch ? formatChannel(branch) : release.channel,
    base: release.base,
    revision: charm.revision,
    releasedAt: releasedAt ?? release.releasedAt,
    resources: resourcePins(charm),
  };
}
