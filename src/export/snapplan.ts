/** What an export takes of a snap: which of its releases, the components that belong to them, and all assertions up to a root. */

import { readSnapYaml } from "../archives/snapyaml.ts";
import { type Assertion, keyText } from "../assertions/assertion.ts";
import { encodeStream, parseAssertions } from "../assertions/text.ts";
import { ASSERTION_TYPES, type Ref } from "../assertions/types.ts";
import { CANONICAL_ROOTS, PREDEFINED } from "../assertions/verify.ts";
import { formatChannel, fullChannel, isRisk, parseChannel } from "../catalog/channel.ts";
import { ANY_ARCHITECTURE, ARCHITECTURES } from "../catalog/snap.ts";
import { Failure, printable } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { type FailedPackage, reasonsOf } from "./charmplan.ts";
import type { UpstreamFile } from "./client.ts";
import type { SnapRequest } from "./sitefile.ts";
import type { ResolvedSnap, SnapInfo, SnapLookup, Upstream, UpstreamComponent, UpstreamSnap } from "./upstream.ts";

export interface PlannedSnapRelease {
  /** in full */
  readonly channel: string;
  /** dpkg name, or `all` */
  readonly architecture: string;
  readonly revision: number;
  readonly releasedAt?: string | undefined;
}

export interface PlannedSnap {
  readonly name: string;
  readonly id: string;
  /** of the best architecture that was asked for; undefined: the store tells nothing of it but single revisions */
  readonly info: SnapInfo | undefined;
  /** null: the publisher set none */
  readonly defaultTrack: string | null;
  readonly releases: readonly PlannedSnapRelease[];
  /** oldest first */
  readonly revisions: readonly UpstreamSnap[];
  /** revision to its stream of assertions, dependencies first */
  readonly assertions: ReadonlyMap<number, string>;
  readonly reasons: readonly string[];
}

/** A snap as an earlier export took it. */
export interface LockedSnap {
  readonly name: string;
  readonly id: string;
  readonly defaultTrack: string | null;
  readonly releases: readonly PlannedSnapRelease[];
  /** revision to its sha3-384, an architecture that it is offered for, and its components, `NAME_REVISION` to their sha3-384 */
  readonly revisions: Readonly<
    Record<string, { readonly digest: string; readonly architecture: string; readonly components: Readonly<Record<string, string>> }>
  >;
}

/** `NAME_REVISION` to its sha3-384. */
export function componentDigests(components: readonly UpstreamComponent[] | null | undefined): Record<string, string> {
  return Object.fromEntries((components ?? []).map(({ name, revision, download }) => [`${name}_${revision}`, download["sha3-384"]]));
}

export interface SnapPlan {
  readonly planned?: PlannedSnap;
  readonly failed: readonly FailedPackage[];
}

export function snapFile({ download }: Pick<UpstreamSnap | UpstreamComponent, "download">): UpstreamFile {
  return { url: download.url, size: download.size, algorithm: "sha3-384", digest: download["sha3-384"] };
}

/** What is taken of one snap for all that wish for it. Never throws but where it was interrupted. */
export async function planSnap(
  upstream: Upstream,
  name: string,
  wishes: readonly SnapRequest[],
  assertions: AssertionFetcher,
): Promise<SnapPlan> {
  const draft = new SnapPlanBuilder(name);
  const lost: FailedPackage[] = [];
  for (const wish of wishes) {
    const found = await Promise.all(
      wish.architectures.map((architecture) => collected(name, () => wished(upstream, wish, architecture, draft))),
    );
    // A mirror takes what there is, and a revision is of the architectures that it was built for.
    const isOfSome = wish.channels === "all" || wish.revision !== undefined;
    const missing = found.flat();
    const isNowhere = missing.length >= wish.architectures.length;
    lost.push(...missing.filter(({ failure }) => !isOfSome || isNowhere || failure.kind !== "not-found"));
  }
  return finished(draft, lost, reasonsOf(wishes), assertions);
}

/** The same snap again: every revision and digest of `locked`, or nothing. */
export async function planLockedSnap(upstream: Upstream, locked: LockedSnap, assertions: AssertionFetcher): Promise<SnapPlan> {
  const { name } = locked;
  const draft = new SnapPlanBuilder(name);
  const lost = await Promise.all(
    Object.entries(locked.revisions).map(([revision, { architecture }]) =>
      collected(name, async () => {
        const machine = architecture === ANY_ARCHITECTURE ? ARCHITECTURES[0] : architecture;
        const { snap } = await single(upstream, { name, revision: Number(revision) }, machine);
        const why = differing(locked, snap);
        if (why !== undefined)
          throw new Failure("failed", `cannot export ${name} as locked: ${why}`, {
            next: "export without --locked to take what upstream has now",
          });
        draft.add(snap);
        await draft.tell(upstream, machine);
      }),
    ),
  );
  for (const release of locked.releases) draft.release(release);
  return lost.flat().length > 0 ? { failed: lost.flat() } : finished(draft, [], [], assertions, locked.defaultTrack);
}

function differing(locked: LockedSnap, snap: UpstreamSnap): string | undefined {
  const { revision, download } = snap;
  const was = locked.revisions[revision];
  if (snap["snap-id"] !== locked.id) return `its snap id is ${snap["snap-id"]} upstream, and ${locked.id} in the lock`;
  if (download["sha3-384"] !== was?.digest)
    return `revision ${revision} has the sha3-384 ${download["sha3-384"]} upstream, and ${was?.digest} in the lock`;
  const has = componentDigests(snap.resources);
  const other = [...new Set([...Object.keys(has), ...Object.keys(was.components)])].find((key) => has[key] !== was.components[key]);
  if (other === undefined) return undefined;
  const [now, before] = [has[other], was.components[other]].map((one) => (one === undefined ? "is not there" : `has the sha3-384 ${one}`));
  return `component ${other.replace("_", " ")} of revision ${revision} ${now} upstream, and ${before} in the lock`;
}

/** `track`: the default one; undefined: what the store says */
async function finished(
  draft: SnapPlanBuilder,
  lost: readonly FailedPackage[],
  reasons: readonly string[],
  assertions: AssertionFetcher,
  track?: string | null,
): Promise<SnapPlan> {
  const failed: FailedPackage[] = [];
  const streams = new Map<number, string>();
  for (const snap of draft.revisions.values())
    failed.push(
      ...(await collected(draft.name, async () => {
        streams.set(snap.revision, await assertions.streamOf(snap));
      })),
    );
  const all = [...lost, ...failed];
  if (failed.length > 0 || draft.revisions.size === 0) return { failed: all };
  return { planned: await draft.finish(streams, reasons, track), failed: all };
}

async function collected(name: string, work: () => Promise<void>): Promise<FailedPackage[]> {
  try {
    await work();
    return [];
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
    return [{ name, failure: error }];
  }
}

/** Takes what one wish asks for on one architecture. */
async function wished(upstream: Upstream, wish: SnapRequest, architecture: string, draft: SnapPlanBuilder): Promise<void> {
  const { name, revision, channels } = wish;
  if (channels === "all") return everything(upstream, name, architecture, draft);
  if (revision !== undefined) {
    const { snap } = await single(upstream, { name, revision }, architecture);
    draft.add(snap);
    await draft.tell(upstream, architecture);
    for (const channel of channels) draft.release({ channel: full(channel), architecture, revision, releasedAt: undefined });
    return;
  }
  for (const channel of channels.length > 0 ? channels : ["stable"]) {
    const answer = await single(upstream, { name, channel }, architecture);
    const { snap, "released-at": releasedAt } = answer;
    draft.add(snap);
    await draft.tell(upstream, architecture);
    draft.release({ channel: reachedOf(answer, channel), architecture, revision: snap.revision, releasedAt: releasedAt ?? undefined });
  }
}

async function everything(upstream: Upstream, name: string, architecture: string, draft: SnapPlanBuilder): Promise<void> {
  const info = await draft.tell(upstream, architecture);
  const rows = info?.["channel-map"] ?? [];
  if (rows.length === 0) throw new Failure("not-found", `cannot export ${name}: it has no release for ${architecture}`);
  for (const revision of new Set(rows.map((row) => row.revision)))
    draft.add((await single(upstream, { name, revision }, architecture)).snap);
  for (const { channel, revision } of rows) {
    const { track, risk, "released-at": releasedAt } = channel;
    if (isRisk(risk))
      draft.release({
        channel: formatChannel({ track: track || "latest", risk }),
        architecture,
        revision,
        releasedAt: releasedAt ?? undefined,
      });
  }
}

/** Where the store found it: the default track that it led to, and the risk that was open there. */
function reachedOf({ "effective-channel": effective, "redirect-channel": redirect }: ResolvedSnap, asked: string): string {
  const led = redirect ? parseChannel(redirect) : undefined;
  const found = parseChannel(effective || redirect || asked);
  return found ? formatChannel({ ...found, track: led?.track ?? found.track ?? "latest" }) : asked;
}

function full(text: string): string {
  const channel = fullChannel(text, "latest");
  return channel ? formatChannel(channel) : text;
}

async function single(upstream: Upstream, query: SnapLookup, architecture: string): Promise<ResolvedSnap> {
  const [answer] = await upstream.snaps([query], architecture);
  if (answer && "ok" in answer) return answer.ok;
  const { name, channel, revision } = query;
  const which = revision === undefined ? ` from ${channel}` : ` revision ${revision}`;
  const why = printable(answer?.error.message || answer?.error.code || "no answer came", 300);
  throw new Failure("not-found", `cannot export the snap ${name}${which} for ${architecture}: ${why}`);
}

class SnapPlanBuilder {
  readonly name: string;
  readonly revisions = new Map<number, UpstreamSnap>();
  readonly #releases = new Map<string, PlannedSnapRelease>();
  readonly #infos = new Map<string, Promise<SnapInfo | undefined>>();

  constructor(name: string) {
    this.name = name;
  }

  /** What the store tells of it on that architecture; undefined where it is in no channel there. */
  tell(upstream: Upstream, architecture: string): Promise<SnapInfo | undefined> {
    const known = this.#infos.get(architecture);
    if (known) return known;
    const telling = upstream.snapInfo(this.name, architecture).catch((error: unknown) => {
      if (error instanceof Failure && error.kind === "not-found") return undefined;
      throw error;
    });
    this.#infos.set(architecture, telling);
    return telling;
  }

  /** Throws where a store contradicts itself. */
  add(snap: UpstreamSnap): void {
    const [other] = this.revisions.values();
    if (snap.name !== this.name || (other && other["snap-id"] !== snap["snap-id"]))
      throw new Failure("failed", `cannot export the snap ${this.name}: the store tells of ${printable(snap.name, 100)} in its place`);
    if (!this.revisions.has(snap.revision)) this.revisions.set(snap.revision, snap);
  }

  /** The first to name a channel and architecture has it. */
  release(release: PlannedSnapRelease): void {
    const key = `${release.channel} ${release.architecture}`;
    if (!this.#releases.has(key)) this.#releases.set(key, release);
  }

  async finish(assertions: ReadonlyMap<number, string>, reasons: readonly string[], track?: string | null): Promise<PlannedSnap> {
    const revisions = [...this.revisions.values()].toSorted((a, b) => a.revision - b.revision);
    const infos = await Promise.all(ARCHITECTURES.map(async (architecture) => this.#infos.get(architecture)));
    const info = infos.find((one) => one !== undefined);
    return {
      name: this.name,
      id: revisions[0]?.["snap-id"] ?? "",
      info,
      defaultTrack: track === undefined ? (info?.["default-track"] ?? null) : track,
      releases: joined([...this.#releases.values()], revisions),
      revisions,
      assertions,
      reasons,
    };
  }
}

/** What every architecture has is told once, as `all`. */
function joined(releases: readonly PlannedSnapRelease[], revisions: readonly UpstreamSnap[]): PlannedSnapRelease[] {
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return [...new Set(releases.map((one) => one.channel))].toSorted(order).flatMap((channel) => {
    const rows = releases.filter((one) => one.channel === channel);
    const [first] = rows;
    const snap = revisions.find((one) => one.revision === first?.revision);
    const runsAnywhere = (snap?.architectures ?? []).includes(ANY_ARCHITECTURE);
    const isEverywhere =
      runsAnywhere &&
      rows.length === ARCHITECTURES.length &&
      rows.every((row) => row.revision === first?.revision && row.releasedAt === first?.releasedAt);
    if (first && isEverywhere) return [{ ...first, architecture: ANY_ARCHITECTURE }];
    return rows.toSorted((a, b) => order(a.architecture, b.architecture));
  });
}

/** One plan a name: what is asked for in several ways is packed once. */
export function mergedSnaps(snaps: readonly PlannedSnap[]): PlannedSnap[] {
  const byName = new Map<string, PlannedSnap>();
  for (const snap of snaps) {
    const before = byName.get(snap.name);
    byName.set(snap.name, before ? mergedSnap(before, snap) : snap);
  }
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function mergedSnap(a: PlannedSnap, b: PlannedSnap): PlannedSnap {
  const releases = new Map([...b.releases, ...a.releases].map((one) => [`${one.channel} ${one.architecture}`, one]));
  const revisions = new Map([...b.revisions, ...a.revisions].map((one) => [one.revision, one]));
  return {
    ...a,
    info: a.info ?? b.info,
    defaultTrack: a.defaultTrack ?? b.defaultTrack,
    releases: [...releases].toSorted(([x], [y]) => (x < y ? -1 : 1)).map(([, one]) => one),
    revisions: [...revisions.values()].toSorted((x, y) => x.revision - y.revision),
    assertions: new Map([...b.assertions, ...a.assertions]),
    reasons: [...new Set([...a.reasons, ...b.reasons])],
  };
}

/* ---- assertions ---- */

const PARALLEL = 8;
const BUILT_IN: ReadonlySet<string> = new Set([...CANONICAL_ROOTS, ...PREDEFINED].map(({ type, key }) => keyText(type, key)));

/** Fetches assertions with all that they need, each once. */
export class AssertionFetcher {
  readonly #upstream: Upstream;
  readonly #fetched = new Map<string, Promise<readonly Assertion[]>>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** An account's own assertion, and behind it the keys that signed it, as far as the store has them; undefined where it has none. */
  async account(id: string): Promise<string | undefined> {
    const found: Assertion[] = [];
    for (let ref: Ref = ["account", [id]]; !BUILT_IN.has(keyText(...ref)); ) {
      const [one] = await this.#get(ref);
      if (!one || one.signKey === one.key[0] || found.includes(one)) break;
      found.push(one);
      ref = ["account-key", [one.signKey]];
    }
    return found.length > 0 ? encodeStream(found.map((one) => one.text)) : undefined;
  }

  /** The assertions of a snap revision and its components, dependencies first. Throws where one is lacking. */
  async streamOf(snap: UpstreamSnap): Promise<string> {
    const id = snap["snap-id"];
    const provenance = provenanceOf(snap);
    const digest = (hex: string) => Buffer.from(hex, "hex").toString("base64url");
    const leaves: Ref[] = [["snap-revision", [digest(snap.download["sha3-384"]), ...provenance]]];
    for (const { name, revision, download } of snap.resources ?? []) {
      leaves.push(["snap-resource-revision", [id, name, digest(download["sha3-384"]), ...provenance]]);
      leaves.push(["snap-resource-pair", [id, name, String(revision), String(snap.revision), ...provenance]]);
    }
    await mapBounded(leaves, PARALLEL, (leaf) => this.#get(leaf)); // all at once; below, in order
    const found = new Map<string, Assertion>();
    const what = `cannot export the snap ${snap.name} revision ${snap.revision}`;
    for (const leaf of leaves) await this.#collect(leaf, found, new Set(), what);
    return encodeStream([...found.values()].map((one) => one.text));
  }

  async #collect(ref: Ref, found: Map<string, Assertion>, path: Set<string>, what: string): Promise<void> {
    const name = keyText(...ref);
    if (BUILT_IN.has(name) || path.has(name) || found.has(`${name} 0`)) return;
    path.add(name);
    const all = await this.#get(ref);
    const [newest] = all;
    if (!newest) throw new Failure("not-found", `${what}: the store has no assertion ${name}, without which no machine takes it`);
    const type = ASSERTION_TYPES.get(newest.type);
    for (const one of all) {
      for (const need of type?.needs(one) ?? []) await this.#collect(need, found, path, what);
      if (one.signKey !== newest.key[0]) await this.#collect(["account-key", [one.signKey]], found, path, what);
    }
    all.forEach((one, i) => found.set(`${name} ${i}`, one));
    path.delete(name);
  }

  /** The newest first, then what readers of older formats get in its place. */
  #get(ref: Ref): Promise<readonly Assertion[]> {
    const name = keyText(...ref);
    const known = this.#fetched.get(name) ?? this.#ask(ref);
    this.#fetched.set(name, known);
    return known;
  }

  async #ask([type, key]: Ref): Promise<readonly Assertion[]> {
    const all: Assertion[] = [];
    for (let format = ASSERTION_TYPES.get(type)?.maxFormat ?? 0; format >= 0; ) {
      const text = await this.#upstream.assertion(type, key, format);
      const [one] = text === undefined ? [] : parseAssertions(Buffer.from(text), keyText(type, key));
      if (!one) break;
      all.push(one);
      format = one.format - 1;
    }
    return all;
  }
}

function provenanceOf(snap: UpstreamSnap): string[] {
  const yaml = snap["snap-yaml"];
  const provenance = yaml ? readSnapYaml(yaml, `snap.yaml of ${snap.name} ${snap.revision}`).provenance : undefined;
  return provenance === undefined ? [] : [provenance];
}
