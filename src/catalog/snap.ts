/** The manifest of a snap, and how an import is merged into it. What clients rely on: handlers/snapd.md. */

import type { Digest } from "../digest.ts";
import { Failure, printable, refused } from "../errors.ts";
import { nearestWord } from "../text.ts";
import { type FullChannel, formatChannel } from "./channel.ts";
import {
  type ChannelPolicy,
  changes,
  channelOf,
  lastReleased,
  mapNotes,
  type OverrideTerms,
  type Row,
  type Rules,
  released,
  rowFor,
  settleTrack,
  sortedRows,
} from "./channelmap.ts";

/** The types of snaps that snapd knows. */
export const SNAP_TYPES = ["app", "base", "gadget", "kernel", "os", "snapd"] as const;
export type SnapType = (typeof SNAP_TYPES)[number];

/** The formats of its data that a revision reads and writes; strictly increasing, never empty. */
export interface Epoch {
  readonly read: readonly number[];
  readonly write: readonly number[];
}

/** Runs on every architecture. */
export const ANY_ARCHITECTURE = "all";

/** Architectures that snapd has, for clients that compare them literally. */
export const ARCHITECTURES = ["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"] as const;

/** Debian's name of an architecture by the names that machines and compilers have for it. */
const DEBIAN_NAMES: Readonly<Record<string, (typeof ARCHITECTURES)[number]>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  x64: "amd64",
  aarch64: "arm64",
  armv8: "arm64",
  armv7l: "armhf",
  arm: "armhf",
  x86: "i386",
  i686: "i386",
  ppc64le: "ppc64el",
};

/** Returns the word. Throws a `usage` failure with the name that was probably meant; `what`: begins its message. */
export function checkArchitecture(word: string, what: string): string {
  if ((ARCHITECTURES as readonly string[]).includes(word)) return word;
  const meant = DEBIAN_NAMES[word.toLowerCase()] ?? nearestWord(word.toLowerCase(), ARCHITECTURES);
  throw new Failure("usage", `${what}: ${printable(word, 50)} is not an architecture`, {
    next: `${meant === undefined ? "" : `did you mean ${meant}? `}architectures are ${ARCHITECTURES.join(", ")}`,
  });
}

/** A file that snapd verifies: by size and sha3-384, which its assertion names. */
export interface Asserted {
  /** sha256, the name of the blob */
  readonly blob: Digest;
  /** bytes */
  readonly size: number;
  /** 96 lower-case hex digits */
  readonly "sha3-384": string;
  /** why its assertions do not verify; only if the operator imported it nevertheless */
  readonly unverified?: string;
}

/** The facts of its meta/snap.yaml. */
export interface SnapFacts {
  readonly version: string;
  readonly type: SnapType;
  readonly base?: string;
  readonly confinement: "strict" | "classic" | "devmode";
  readonly architectures: readonly string[];
  readonly epoch: Epoch;
  readonly title?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly license?: string;
  readonly website?: string;
  readonly contact?: string;
  /** kind of link to addresses */
  readonly links: Readonly<Record<string, readonly string[]>>;
  readonly apps: readonly string[];
  readonly commonIds: readonly string[];
  /** names of the components that it declares */
  readonly components: readonly string[];
  /** snaps that its content plugs are given by default */
  readonly providers: readonly string[];
  readonly provenance?: string;
}

export interface SnapRevision extends SnapFacts, Asserted {
  readonly revision: number;
  /** RFC 3339 */
  readonly createdAt: string;
  /** meta/snap.yaml as it is */
  readonly yaml: Digest;
  readonly icon?: { readonly blob: Digest; readonly size: number; readonly extension: "png" | "svg" };
  /** newer than the generation that was rolled back to: installable only by revision number */
  readonly aside?: true;
}

export interface ComponentRevision extends Asserted {
  readonly revision: number;
  /** as in `component/standard`, without the first part */
  readonly type: string;
  readonly version: string;
  readonly description: string;
  /** RFC 3339 */
  readonly createdAt: string;
}

export interface Component {
  readonly name: string;
  /** newest first */
  readonly revisions: readonly ComponentRevision[];
}

/** A component revision that a snap revision was published with (snap-resource-pair). */
export interface Pair {
  readonly component: string;
  readonly componentRevision: number;
  readonly revision: number;
}

export interface SnapRelease extends Row {
  /** dpkg name, or `all` */
  readonly architecture: string;
}

/** A row that is served over the channel map. */
export interface SnapOverride extends SnapRelease, OverrideTerms {}

/** An assertion as it is served: byte for byte what was imported. */
export interface StoredAssertion {
  readonly type: string;
  /** the primary key, trailing optional values that equal their default left out */
  readonly key: readonly string[];
  readonly revision: number;
  readonly format: number;
  readonly text: string;
  /** why it does not verify; only if the operator imported it nevertheless */
  readonly unverified?: string;
}

export interface SnapPublisher {
  readonly id: string;
  readonly username: string;
  readonly "display-name": string;
  readonly validation: "unproven" | "starred" | "verified";
}

/** Details from the store's own replies; they have precedence over those of the revisions. */
export interface SnapDetails {
  readonly title?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly license?: string;
  readonly contact?: string;
  readonly website?: string;
  readonly "store-url"?: string;
  readonly links?: Readonly<Record<string, readonly string[]>>;
  readonly categories?: readonly { readonly name: string; readonly featured: boolean }[];
}

/** The stored manifest. Shape of the JSON blob; see store/README.md. */
export interface Snap {
  readonly type: "snap";
  readonly name: string;
  readonly id: string;
  readonly publisher: SnapPublisher;
  readonly details: SnapDetails;
  /** the track of a risk without a track, for a new install; `latest` if the publisher set none */
  readonly defaultTrack: string;
  /** no archive says the default track: it is that for want of `latest`, and gives way to it */
  readonly isFallbackTrack?: true;
  /** the default track that the operator chose; has precedence over the publisher's */
  readonly chosenTrack?: string;
  /** the brand store; only its devices may install the snap */
  readonly store?: string;
  /** newest first */
  readonly revisions: readonly SnapRevision[];
  readonly components: readonly Component[];
  readonly pairs: readonly Pair[];
  /** the open channel map, one row a channel and architecture, in the order of `sortedRows` */
  readonly releases: readonly SnapRelease[];
  /** rows that were replaced, newest first */
  readonly history: readonly SnapRelease[];
  /** its declaration, revisions, resource revisions and pairs, in every revision and format that was imported */
  readonly assertions: readonly StoredAssertion[];
  /** rows that are served over the channel map until they end; absent: none */
  readonly overrides?: readonly SnapOverride[];
}

/** A snap as an archive describes it, before it is merged into the stored one. */
export interface IncomingSnap
  extends Omit<Snap, "defaultTrack" | "isFallbackTrack" | "chosenTrack" | "history" | "overrides" | "store" | "type"> {
  /** undefined: the archive does not say */
  readonly defaultTrack?: string;
  /** null: every device may install it; undefined: the archive does not say */
  readonly store?: string | null;
}

export interface MergedSnap {
  readonly snap: Snap;
  /** rows not published: their revision is neither in the archive nor in the store */
  readonly dropped: readonly SnapRelease[];
  readonly notes: readonly string[];
}

export function findSnapRevision(snap: Pick<Snap, "revisions">, revision: number): SnapRevision | undefined {
  return snap.revisions.find((r) => r.revision === revision);
}

/** The newest revision that is not aside; undefined: all that is stored can be installed only by number. */
export function newestSnapRevision(snap: Pick<Snap, "revisions">): SnapRevision | undefined {
  return snap.revisions.find((r) => !r.aside);
}

export function findComponent(snap: Pick<Snap, "components">, name: string, revision: number): ComponentRevision | undefined {
  return snap.components.find((c) => c.name === name)?.revisions.find((r) => r.revision === revision);
}

/** The components that a revision was published with, the newest of each. */
export function componentsOf(snap: Pick<Snap, "components" | "pairs">, revision: number): [name: string, component: ComponentRevision][] {
  const newest = new Map<string, ComponentRevision>();
  for (const pair of snap.pairs) {
    if (pair.revision !== revision) continue;
    const found = findComponent(snap, pair.component, pair.componentRevision);
    if (found && found.revision >= (newest.get(pair.component)?.revision ?? 0)) newest.set(pair.component, found);
  }
  return [...newest].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

export function suits(row: Pick<SnapRelease, "architecture">, architecture: string): boolean {
  return row.architecture === architecture || row.architecture === ANY_ARCHITECTURE;
}

/** Channel maps of snaps. */
export const SNAP_RULES: Rules<SnapRelease, Pick<SnapRelease, "architecture">> = {
  placeOf: ({ architecture }) => ({ architecture }),
  placeKey: ({ architecture }) => architecture,
  showPlace: ({ architecture }) => architecture,
  covers: (place, other) => suits(place, other.architecture),
  comparePlaces: (a, b) => a.architecture.localeCompare(b.architecture, "en"),
  isMeant: (place, { base, architecture }) => base === undefined && (architecture === undefined || architecture === place.architecture),
  same: (a, b) => a.revision === b.revision,
  // No reply has all tracks of all architectures in one order, so the order is computed: two stores agree on it without upstream.
  tracks: (rows, defaultTrack) => {
    const others = rows.map((row) => channelOf(row).track).toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }));
    return [...new Set([defaultTrack, "latest", ...others])];
  },
  wantedTracks: ({ chosenTrack, declaredTrack, defaultTrack }) => [
    chosenTrack ?? declaredTrack ?? defaultTrack ?? "latest",
    "latest",
    defaultTrack,
  ],
};

/** As snapd shows a channel: without the track `latest`. */
export function shortChannel(channel: FullChannel): string {
  return formatChannel(channel).replace(/^latest\//, "");
}

/** Merges a snap of an archive into the stored one. Throws a `refused` failure if the two contradict each other. */
export function mergeSnap(stored: Snap | undefined, incoming: IncomingSnap, policy: ChannelPolicy = "apply"): MergedSnap {
  const merged = {
    revisions: mergeSnapRevisions(incoming.name, "revision", stored?.revisions, incoming.revisions),
    releases: stored?.releases ?? [],
    history: stored?.history ?? [],
  };
  const pairs = uniqueBy([...(stored?.pairs ?? []), ...incoming.pairs], pairKey).toSorted(comparePairs);
  const keep = stored !== undefined && policy === "keep";
  const given = keep ? [] : incoming.releases;
  const rows = given.filter((row) => findSnapRevision(merged, row.revision));
  const { revisions, releases, history } = released(SNAP_RULES, merged, lastReleased(SNAP_RULES, rows));
  const isDeclared = stored !== undefined && !stored.isFallbackTrack && stored.defaultTrack !== "latest";
  const declaredTrack = incoming.defaultTrack ?? (isDeclared ? stored.defaultTrack : undefined);
  const tracks = { chosenTrack: stored?.chosenTrack, declaredTrack: declaredTrack ?? "latest", defaultTrack: stored?.defaultTrack };
  // Sorted first: the files of an archive may come in any order.
  const defaultTrack = settleTrack(SNAP_RULES, tracks, sortedRows(SNAP_RULES, releases, "latest"));
  const store = incoming.store === undefined ? stored?.store : (incoming.store ?? undefined);
  const snap: Snap = {
    type: "snap",
    name: incoming.name,
    id: incoming.id,
    publisher: incoming.publisher,
    details: { ...stored?.details, ...incoming.details },
    defaultTrack,
    ...(declaredTrack === undefined && defaultTrack !== "latest" && { isFallbackTrack: true }),
    ...(stored?.chosenTrack !== undefined && { chosenTrack: stored.chosenTrack }),
    // A snap that every device could install stays so, even if a brand store's export has it too.
    ...(store !== undefined && (!stored || stored.store !== undefined) && { store }),
    revisions,
    components: mergeComponents(stored, incoming),
    pairs,
    releases: sortedRows(SNAP_RULES, releases, defaultTrack),
    history,
    assertions: mergeAssertions(stored?.assertions ?? [], incoming.assertions),
    ...(stored?.overrides && { overrides: stored.overrides }),
  };
  const [wanted = defaultTrack] = SNAP_RULES.wantedTracks(tracks);
  return {
    snap,
    dropped: given.filter((row) => !rows.includes(row)),
    notes: [
      ...mapNotes(stored, snap, keep),
      ...(releases.length > 0 ? snapTrackNote(wanted, defaultTrack) : []),
      ...lostComponents(stored, snap),
    ],
  };
}

/** Why its default track is not the wanted one. */
function snapTrackNote(wanted: string, track: string): string[] {
  if (track === wanted) return [];
  if (track === "latest") return [`no release of its default track ${wanted} is stored, so it is latest`];
  const why = wanted === "latest" ? "no release of the track latest is stored" : `no release of its default track ${wanted} is stored`;
  return [`${why}, so its default track is ${track}`];
}

/** The same assertion in the same revision and format is stored once; of two valid signatures the first stays. */
export function mergeAssertions(stored: readonly StoredAssertion[], incoming: readonly StoredAssertion[]): StoredAssertion[] {
  const all = new Map<string, StoredAssertion>();
  for (const assertion of [...stored, ...incoming]) {
    const name = JSON.stringify([assertion.type, ...assertion.key, assertion.revision, assertion.format]);
    const known = all.get(name);
    if (!known || (known.unverified !== undefined && assertion.unverified === undefined)) all.set(name, assertion);
  }
  return [...all].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, assertion]) => assertion);
}

function mergeSnapRevisions<R extends Asserted & { readonly revision: number; readonly aside?: true }>(
  name: string,
  what: string,
  stored: readonly R[] = [],
  incoming: readonly R[] = [],
): R[] {
  const all = new Map(stored.map((r) => [r.revision, r]));
  for (const r of incoming) {
    const known = all.get(r.revision);
    if (known && known["sha3-384"] !== r["sha3-384"])
      throw refused(
        `${name} ${what} ${r.revision} differs from the stored revision: sha3-384 ${known["sha3-384"]} is stored, ${r["sha3-384"]} was given`,
      );
    if (!known || known.aside || (known.unverified !== undefined && r.unverified === undefined)) all.set(r.revision, r);
  }
  return [...all.values()].toSorted((a, b) => b.revision - a.revision);
}

function mergeComponents(stored: Snap | undefined, incoming: IncomingSnap): Component[] {
  const names = [...new Set([...(stored?.components ?? []), ...incoming.components].map((c) => c.name))].toSorted();
  const of = (from: Pick<Snap, "components"> | undefined, name: string) => from?.components.find((c) => c.name === name)?.revisions;
  return names.map((name) => ({
    name,
    revisions: mergeSnapRevisions(incoming.name, `component ${name} revision`, of(stored, name), of(incoming, name)),
  }));
}

/** Notes about missing components: a machine with a component of the old head cannot refresh any snap if the new head does not have it. */
function lostComponents(stored: Snap | undefined, after: Snap): string[] {
  const missing = after.revisions
    .filter((r) => !findSnapRevision(stored ?? { revisions: [] }, r.revision))
    .flatMap((r) => {
      const had = new Set(componentsOf(after, r.revision).map(([name]) => name));
      return r.components
        .filter((name) => !had.has(name))
        .map((name) => `revision ${r.revision} declares the component ${name}, which was not in the archive`);
    });
  const moved = changes(SNAP_RULES, stored, after).flatMap(({ channel, architecture }) => {
    // Where a row of one architecture was added beside `all`, or merged into it, machines had or get the revision of `all`.
    const [from, to] = [stored, after].map((snap) => rowFor(SNAP_RULES, snap?.releases ?? [], { channel, architecture })?.revision);
    if (from === undefined || to === undefined) return [];
    const has = new Set(componentsOf(after, to).map(([name]) => name));
    return componentsOf(after, from).flatMap(([name]) =>
      has.has(name) ? [] : [`${channel} ${architecture}: revision ${to} comes without the component ${name}, which revision ${from} has`],
    );
  });
  return [...new Set([...missing, ...moved])];
}

export function pairKey(pair: Pair): string {
  return `${pair.component} ${pair.componentRevision} ${pair.revision}`;
}

export function comparePairs(a: Pair, b: Pair): number {
  return b.revision - a.revision || a.component.localeCompare(b.component, "en") || b.componentRevision - a.componentRevision;
}

function uniqueBy<T>(all: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(all.map((item) => [key(item), item])).values()];
}

export function runsOn(revision: Pick<SnapRevision, "architectures">, architecture: string): boolean {
  return revision.architectures.includes(architecture) || revision.architectures.includes(ANY_ARCHITECTURE);
}

export const SNAP_NAME = /^(?=.{2,40}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*$/;
