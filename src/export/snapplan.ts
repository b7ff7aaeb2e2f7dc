/** What an export takes of a snap: its releases, the revisions and components that belong to them, and their assertions. */

import type { LockedSnap } from "../archives/lock.ts";
import { formatChannel, fullChannel, isRisk, parseChannel } from "../catalog/channel.ts";
import { ANY_ARCHITECTURE, ARCHITECTURES } from "../catalog/snap.ts";
import { Failure, printable } from "../errors.ts";
import { compareText } from "../text.ts";
import type { AssertionFetcher } from "./assertionfetcher.ts";
import {
  addFirst,
  type FailedPackage,
  failuresOf,
  lockMismatch,
  type Plan,
  type PlannedSnap,
  type PlannedSnapRelease,
  reasonsOf,
  resolvedOrThrow,
} from "./plan.ts";
import type { SnapRequest } from "./sitefile.ts";
import { componentDigests, type RefreshedSnap, type SnapInfo, type SnapLookup, type Upstream, type UpstreamSnap } from "./upstream.ts";

/** The plan of a snap for all of its requests. Throws only if it was interrupted. */
export async function planSnap(
  upstream: Upstream,
  name: string,
  requests: readonly SnapRequest[],
  assertions: AssertionFetcher,
): Promise<Plan<PlannedSnap>> {
  const builder = new SnapPlanBuilder(name);
  const failed: FailedPackage[] = [];
  for (const request of requests) {
    const results = await Promise.all(
      request.architectures.map((architecture) => failuresOf(name, () => takeRequest(upstream, request, architecture, builder))),
    );
    const missing = results.flat();
    // A mirror takes what there is, and a revision is of the architectures that it was built for.
    const mayMissSome = request.channels === "all" || request.revision !== undefined;
    const isNowhere = missing.length >= request.architectures.length;
    failed.push(...missing.filter(({ failure }) => !mayMissSome || isNowhere || failure.kind !== "not-found"));
  }
  return planWithAssertions(builder, failed, reasonsOf(requests), assertions);
}

/** The same snap again: every revision and digest of `locked`, or nothing. */
export async function planLockedSnap(upstream: Upstream, locked: LockedSnap, assertions: AssertionFetcher): Promise<Plan<PlannedSnap>> {
  const { name } = locked;
  const builder = new SnapPlanBuilder(name);
  const takeLocked = async (revision: number, lockedArchitecture: string) => {
    const architecture = lockedArchitecture === ANY_ARCHITECTURE ? ARCHITECTURES[0] : lockedArchitecture;
    const { snap } = await resolveUpstreamSnap(upstream, { name, revision }, architecture);
    const difference = snapLockDifference(locked, snap);
    if (difference !== undefined) throw lockMismatch(name, difference);
    builder.add(snap);
    await builder.info(upstream, architecture);
  };
  const failed = await Promise.all(
    Object.entries(locked.revisions).map(([revision, { architecture }]) =>
      failuresOf(name, () => takeLocked(Number(revision), architecture)),
    ),
  );
  for (const release of locked.releases) builder.release(release);
  if (failed.flat().length > 0) return { failed: failed.flat(), notes: [] };
  return planWithAssertions(builder, [], [], assertions, locked.defaultTrack);
}

/** How upstream differs from the lock; undefined: it does not. */
function snapLockDifference(locked: LockedSnap, snap: UpstreamSnap): string | undefined {
  const { revision, download } = snap;
  const before = locked.revisions[revision];
  if (snap["snap-id"] !== locked.id) return `its snap id is ${snap["snap-id"]} upstream, and ${locked.id} in the lock`;
  if (download["sha3-384"] !== before?.digest)
    return `revision ${revision} has the sha3-384 ${download["sha3-384"]} upstream, and ${before?.digest} in the lock`;
  const components = componentDigests(snap.resources);
  const keys = new Set([...Object.keys(components), ...Object.keys(before.components)]);
  const different = [...keys].find((key) => components[key] !== before.components[key]);
  if (different === undefined) return undefined;
  const state = (digest: string | undefined) => (digest === undefined ? "is not there" : `has the sha3-384 ${digest}`);
  return `component ${different.replace("_", " ")} of revision ${revision} ${state(components[different])} upstream, and ${state(before.components[different])} in the lock`;
}

/** The plan with the assertions of every revision, without which no machine takes them. `defaultTrack` undefined: the store's. */
async function planWithAssertions(
  builder: SnapPlanBuilder,
  failed: readonly FailedPackage[],
  reasons: readonly string[],
  assertions: AssertionFetcher,
  defaultTrack?: string | null,
): Promise<Plan<PlannedSnap>> {
  const unasserted: FailedPackage[] = [];
  const streams = new Map<number, string>();
  for (const snap of builder.revisions.values()) {
    const fetchStream = async () => void streams.set(snap.revision, await assertions.streamOf(snap));
    unasserted.push(...(await failuresOf(builder.name, fetchStream)));
  }
  const all = [...failed, ...unasserted];
  if (unasserted.length > 0 || builder.revisions.size === 0) return { failed: all, notes: [] };
  return { planned: await builder.finish(streams, reasons, defaultTrack), failed: all, notes: [] };
}

/** Takes the revisions of one request on one architecture. */
async function takeRequest(upstream: Upstream, request: SnapRequest, architecture: string, builder: SnapPlanBuilder): Promise<void> {
  const { name, revision, channels } = request;
  if (channels === "all") return takeAllReleases(upstream, name, architecture, builder);
  if (revision !== undefined) {
    const { snap } = await resolveUpstreamSnap(upstream, { name, revision }, architecture);
    builder.add(snap);
    const info = await builder.info(upstream, architecture);
    for (const channel of channels.map(inFull)) {
      // Where the store still has it there, that is when it was released.
      const there = info?.["channel-map"]?.find((row) => row.revision === revision && channelOfRow(row) === channel);
      builder.release({ channel, architecture, revision, releasedAt: there?.channel["released-at"] ?? undefined });
    }
    return;
  }
  for (const channel of channels.length > 0 ? channels : ["stable"]) {
    const resolved = await resolveUpstreamSnap(upstream, { name, channel }, architecture);
    const { snap, "released-at": releasedAt } = resolved;
    builder.add(snap);
    await builder.info(upstream, architecture);
    builder.release({
      channel: channelFound(resolved, channel),
      architecture,
      revision: snap.revision,
      releasedAt: releasedAt ?? undefined,
    });
  }
}

async function takeAllReleases(upstream: Upstream, name: string, architecture: string, builder: SnapPlanBuilder): Promise<void> {
  const info = await builder.info(upstream, architecture);
  const releases = info?.["channel-map"] ?? [];
  if (releases.length === 0) throw new Failure("not-found", `cannot export ${name}: it has no release for ${architecture}`);
  for (const revision of new Set(releases.map((release) => release.revision)))
    builder.add((await resolveUpstreamSnap(upstream, { name, revision }, architecture)).snap);
  for (const row of releases) {
    const channel = channelOfRow(row);
    const {
      revision,
      channel: { "released-at": releasedAt },
    } = row;
    if (channel !== undefined) builder.release({ channel, architecture, revision, releasedAt: releasedAt ?? undefined });
  }
}

/** In full; undefined: its risk is none that is known. */
function channelOfRow({ channel: { track, risk } }: SnapInfo["channel-map"][number]): string | undefined {
  return isRisk(risk) ? formatChannel({ track: track || "latest", risk }) : undefined;
}

/** The channel where the store found it: in the default track if it redirected to that, and at the risk that was open there. */
function channelFound({ "effective-channel": effective, "redirect-channel": redirect }: RefreshedSnap, requested: string): string {
  const redirected = redirect ? parseChannel(redirect) : undefined;
  const found = parseChannel(effective || redirect || requested);
  return found ? formatChannel({ ...found, track: redirected?.track ?? found.track ?? "latest" }) : requested;
}

function inFull(text: string): string {
  const channel = fullChannel(text, "latest");
  return channel ? formatChannel(channel) : text;
}

async function resolveUpstreamSnap(upstream: Upstream, lookup: SnapLookup, architecture: string): Promise<RefreshedSnap> {
  const [result] = await upstream.snaps([lookup], architecture);
  const { name, channel, revision } = lookup;
  const which = revision === undefined ? ` from ${channel}` : ` revision ${revision}`;
  return resolvedOrThrow(result, `the snap ${name}${which} for ${architecture}`);
}

/** Collects the releases and revisions of a snap, each once, and sorts them. */
class SnapPlanBuilder {
  readonly name: string;
  readonly revisions = new Map<number, UpstreamSnap>();
  readonly #releases = new Map<string, PlannedSnapRelease>();
  readonly #infos = new Map<string, Promise<SnapInfo | undefined>>();

  constructor(name: string) {
    this.name = name;
  }

  /** The store's info of the snap on that architecture, requested once; undefined if it is in no channel there. */
  info(upstream: Upstream, architecture: string): Promise<SnapInfo | undefined> {
    const asked = this.#infos.get(architecture);
    if (asked) return asked;
    const info = upstream.snapInfo(this.name, architecture).catch((error: unknown) => {
      if (error instanceof Failure && error.kind === "not-found") return undefined;
      throw error;
    });
    this.#infos.set(architecture, info);
    return info;
  }

  /** Throws where a store contradicts itself. */
  add(snap: UpstreamSnap): void {
    const [other] = this.revisions.values();
    if (snap.name !== this.name || (other && other["snap-id"] !== snap["snap-id"]))
      throw new Failure("failed", `cannot export the snap ${this.name}: the store says ${printable(snap.name, 100)} in its place`);
    addFirst(this.revisions, snap.revision, snap);
  }

  /** Of several releases in a channel for an architecture the first stays. */
  release(release: PlannedSnapRelease): void {
    addFirst(this.#releases, snapReleaseKey(release), release);
  }

  /** `defaultTrack` undefined: the store's */
  async finish(
    assertions: ReadonlyMap<number, string>,
    reasons: readonly string[],
    defaultTrack: string | null | undefined,
  ): Promise<PlannedSnap> {
    const revisions = [...this.revisions.values()].toSorted((a, b) => a.revision - b.revision);
    const infos = await Promise.all(ARCHITECTURES.map(async (architecture) => this.#infos.get(architecture)));
    const info = infos.find((found) => found !== undefined);
    return {
      name: this.name,
      id: revisions[0]?.["snap-id"] ?? "",
      info,
      defaultTrack: defaultTrack === undefined ? (info?.["default-track"] ?? null) : defaultTrack,
      releases: joinArchitectures([...this.#releases.values()], revisions),
      revisions,
      assertions,
      reasons,
    };
  }
}

function snapReleaseKey({ channel, architecture }: PlannedSnapRelease): string {
  return `${channel} ${architecture}`;
}

/** Sorted by channel; a revision that every architecture has in a channel becomes one release for `all`. */
function joinArchitectures(releases: readonly PlannedSnapRelease[], revisions: readonly UpstreamSnap[]): PlannedSnapRelease[] {
  return [...new Set(releases.map(({ channel }) => channel))].toSorted(compareText).flatMap((channel) => {
    const inChannel = releases.filter((release) => release.channel === channel);
    const [first] = inChannel;
    const snap = revisions.find(({ revision }) => revision === first?.revision);
    const runsAnywhere = (snap?.architectures ?? []).includes(ANY_ARCHITECTURE);
    const isEverywhere =
      runsAnywhere &&
      inChannel.length === ARCHITECTURES.length &&
      inChannel.every((release) => release.revision === first?.revision && release.releasedAt === first?.releasedAt);
    if (first && isEverywhere) return [{ ...first, architecture: ANY_ARCHITECTURE }];
    return inChannel.toSorted((a, b) => compareText(a.architecture, b.architecture));
  });
}

/** One plan per name, sorted by it: what is requested in several ways is packed once. */
export function mergeSnapPlans(snaps: readonly PlannedSnap[]): PlannedSnap[] {
  const byName = new Map<string, PlannedSnap>();
  for (const snap of snaps) {
    const before = byName.get(snap.name);
    byName.set(snap.name, before ? joinSnapPlans(before, snap) : snap);
  }
  return [...byName.values()].toSorted((a, b) => compareText(a.name, b.name));
}

/** Entries that both have are taken from `a`. */
function joinSnapPlans(a: PlannedSnap, b: PlannedSnap): PlannedSnap {
  const releases = new Map([...b.releases, ...a.releases].map((release) => [snapReleaseKey(release), release]));
  const revisions = new Map([...b.revisions, ...a.revisions].map((snap) => [snap.revision, snap]));
  return {
    ...a,
    info: a.info ?? b.info,
    defaultTrack: a.defaultTrack ?? b.defaultTrack,
    releases: [...releases].toSorted(([x], [y]) => compareText(x, y)).map(([, release]) => release),
    revisions: [...revisions.values()].toSorted((x, y) => x.revision - y.revision),
    assertions: new Map([...b.assertions, ...a.assertions]),
    reasons: [...new Set([...a.reasons, ...b.reasons])],
  };
}
