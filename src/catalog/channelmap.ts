/**
 * The channel map: which revision is released in which channel, on which place. A place is a base of a charm, an architecture
 * of a snap, and nothing of a bundle; what differs between the three is in their `Rules`. All of it is pure.
 *
 * What is released last wins. A release on a place takes the rows of that channel on every place that it covers: that of a snap
 * on `all` covers every architecture, any other its own place alone. A row of one architecture beside one of `all` was
 * therefore released after it, and has precedence.
 */

import { compareText, showNumbers } from "../text.ts";
import { compareRisk, type FullChannel, parseChannel } from "./channel.ts";

export interface Row {
  /** in full: `14/stable`, `latest/edge/fix` */
  readonly channel: string;
  readonly revision: number;
  /** RFC 3339 with a zone */
  readonly releasedAt: string;
}

/** Whose stored channel maps an import leaves as they are: nobody's, those of charms and bundles, everybody's. */
export const CHANNEL_POLICIES = ["apply", "keep-charms", "keep"] as const;
export type ChannelPolicy = (typeof CHANNEL_POLICIES)[number];

/** Why a row is overridden, and until when. */
export interface OverrideTerms {
  readonly reason: string;
  /** RFC 3339 in UTC; absent: until it is ended by hand */
  readonly until?: string;
}

/** Which rows of a channel are meant; nothing given: all. */
export interface Where {
  /** `22.04` or `ubuntu@22.04`; charms only */
  readonly base?: string;
  readonly architecture?: string;
}

/** The tracks that a package may have as its default. */
export interface Tracks {
  /** the default track that the operator chose */
  readonly chosenTrack?: string | undefined;
  /** what upstream calls the default track */
  readonly declaredTrack?: string | undefined;
  /** the default track so far */
  readonly defaultTrack?: string | undefined;
}

/** The fields of a package that belong to its channel map. */
export interface Mapped<R extends Row> extends Tracks {
  readonly revisions: readonly { readonly revision: number; readonly aside?: true }[];
  /** the channel map: one row a channel and place, in the order of `sortedRows` */
  readonly releases: readonly R[];
  /** rows that were replaced, newest first */
  readonly history: readonly R[];
}

/** The rules of the channel maps of one kind of package. `P`: the fields of a row that are its place. */
export interface Rules<R extends Row & P, P extends object> {
  placeOf(row: P): P;
  /** one text for each place */
  placeKey(place: P): string;
  /** as operators read it: `ubuntu@22.04 amd64`, `any base`, `amd64` */
  showPlace(place: P): string;
  /** whether a release on `place` is for `other` too */
  covers(place: P, other: P): boolean;
  /** best first */
  comparePlaces(a: P, b: P): number;
  isMeant(place: P, where: Where): boolean;
  /** whether machines get the same by both rows, whose channel and place are the same */
  same(a: R, b: R): boolean;
  /** tracks of these rows, in the order in which replies list them */
  tracks(rows: readonly Pick<R, "channel">[], defaultTrack: string): string[];
  /** the tracks that may be the default one, best first */
  wantedTracks(tracks: Tracks): readonly (string | undefined)[];
}

type OnPlace<P> = Pick<Row, "channel"> & P;

/** The parts of a row's channel; it was parsed when it was imported. */
export function channelOf(row: Pick<Row, "channel">): FullChannel {
  const { track = "latest", ...rest } = parseChannel(row.channel) ?? { risk: "stable" as const };
  return { ...rest, track };
}

/** The key of a row; a channel map has at most one row of each. */
export function rowKey<R extends Row & P, P extends object>(rules: Rules<R, P>, row: OnPlace<P>): string {
  return `${row.channel} ${rules.placeKey(row)}`;
}

/** Whether a release takes the place of another row. */
export function replaces<R extends Row & P, P extends object>(rules: Rules<R, P>, release: OnPlace<P>, row: OnPlace<P>): boolean {
  return row.channel === release.channel && rules.covers(release, row);
}

/** Default track first; inside a track stable to edge, best place first. */
export function sortedRows<R extends Row & P, P extends object>(rules: Rules<R, P>, rows: readonly R[], defaultTrack: string): R[] {
  const tracks = rules.tracks(rows, defaultTrack);
  return rows.toSorted((a, b) => {
    const [x, y] = [channelOf(a), channelOf(b)];
    return tracks.indexOf(x.track) - tracks.indexOf(y.track) || compareRisk(x, y) || rules.comparePlaces(a, b) || b.revision - a.revision;
  });
}

/* ---- releasing ---- */

/** The result of releasing the rows of one archive together. */
export interface LastReleased<R> {
  /** one a channel and place, in the order in which these were first named */
  readonly rows: readonly R[];
  /** rows that others among them replace, newest first */
  readonly replaced: readonly R[];
}

/**
 * The rows of one archive that were released last, in whatever order they are given. At equal times a single place wins over
 * `all`, then the higher revision. A row of one architecture that repeats the revision of `all` is dropped as redundant.
 */
export function lastReleased<R extends Row & P, P extends object>(rules: Rules<R, P>, rows: readonly R[]): LastReleased<R> {
  const key = (row: R) => rowKey(rules, row);
  const channels = new Map<string, R[]>();
  for (const row of rows) channels.set(row.channel, [...(channels.get(row.channel) ?? []), row]);
  const last = new Map<string, R>();
  const replaced: R[] = [];
  for (const all of channels.values()) {
    const open = new Map<string, R>();
    for (const row of all.toSorted(byRelease(rules))) {
      const before = open.get(key(row)) ?? [...open.values()].find((other) => rules.covers(other, row));
      const covered = [...open.values()].filter((other) => rules.covers(row, other));
      if (before && rules.same(before, row) && covered.every((other) => other === before)) continue;
      for (const other of covered) open.delete(key(other));
      open.set(key(row), row);
      replaced.push(...covered);
    }
    for (const [name, row] of open) last.set(name, row);
  }
  const compare = byRelease(rules);
  return {
    rows: [...new Set(rows.map(key))].flatMap((name) => last.get(name) ?? []),
    replaced: replaced.toSorted((a, b) => compare(b, a)),
  };
}

function byRelease<R extends Row & P, P extends object>(rules: Rules<R, P>): (a: R, b: R) => number {
  return (a, b) =>
    instantOf(a.releasedAt) - instantOf(b.releasedAt) ||
    Number(rules.covers(b, a)) - Number(rules.covers(a, b)) ||
    a.revision - b.revision ||
    compareText(JSON.stringify(a), JSON.stringify(b));
}

/** Seconds since 1970, with their fraction, which `Date` cuts to thousandths; 0 for a time that cannot be read. */
function instantOf(time: string): number {
  const [, day = "", clock = "", fraction = "", zone = ""] = /^(\S{10})[Tt ](\d\d:\d\d:\d\d)(\.\d+)?(.*)$/.exec(time) ?? [];
  const whole = Date.parse(`${day}T${clock}${zone.toUpperCase() || "Z"}`);
  return Number.isNaN(whole) ? 0 : whole / 1000 + Number(`0${fraction}`);
}

/**
 * The package once these rows are released, all at once: at most one a channel and place, as of `lastReleased`. Rows that are
 * there already, and hide nothing else, stay as they are; those that are replaced go to the history.
 */
export function released<R extends Row & P, P extends object, M extends Mapped<R>>(
  rules: Rules<R, P>,
  pkg: M,
  { rows, replaced: earlier = [] }: { readonly rows: readonly R[]; readonly replaced?: readonly R[] },
): M {
  const key = (row: R) => rowKey(rules, row);
  const byKey = new Map(rows.map((row) => [key(row), row]));
  const covered = new Map<R, R[]>(rows.map((row) => [row, []]));
  const left: R[] = [];
  for (const row of pkg.releases) {
    if (byKey.has(key(row))) continue;
    // A place that has the revision already keeps its row, with the time of its release, as in a store with a row for each place.
    const release = rows.find((candidate) => replaces(rules, candidate, row) && !rules.same(candidate, row));
    (release ? covered.get(release) : left)?.push(row);
  }
  const open = new Map(pkg.releases.map((row) => [key(row), row]));
  const gone = new Set<R>();
  for (const [row, below] of covered) {
    const before = open.get(key(row));
    const isThere = before ? rules.same(before, row) : left.some((other) => replaces(rules, other, row) && rules.same(other, row));
    if (isThere && below.length === 0) continue;
    open.set(key(row), row); // keeps its position: charms list their tracks in the order of import
    for (const old of below) open.delete(key(old));
    for (const old of before ? [before, ...below] : below) gone.add(old);
  }
  const replaced = pkg.releases.filter((row) => gone.has(row));
  // Importing the same archive again adds nothing.
  const stored = [...open.values(), ...replaced, ...pkg.history];
  const fresh = earlier.filter((row) => !stored.some((other) => key(other) === key(row) && rules.same(other, row)));
  const revisions = new Set(rows.map((row) => row.revision));
  return {
    ...pkg,
    revisions: pkg.revisions.map((r) => (revisions.has(r.revision) ? notAside(r) : r)),
    releases: [...open.values()],
    history: [...fresh, ...replaced, ...pkg.history],
  };
}

/** The revision without its mark: a revision that is offered again is not aside. */
export function notAside<R extends { readonly aside?: true }>(revision: R): Omit<R, "aside"> {
  const { aside, ...rest } = revision;
  return aside ? rest : revision;
}

/** The package with some rows closed. */
export function closed<R extends Row, M extends Mapped<R>>(pkg: M, closes: (row: R) => boolean): M {
  return {
    ...pkg,
    releases: pkg.releases.filter((row) => !closes(row)),
    history: [...pkg.releases.filter(closes), ...pkg.history],
  };
}

/* ---- default track ---- */

/** The package with its default track chosen anew, and its rows in their order. */
export function settled<R extends Row & P, P extends object, M extends Mapped<R>>(rules: Rules<R, P>, pkg: M): M {
  const defaultTrack = settleTrack(rules, pkg, pkg.releases);
  return { ...pkg, defaultTrack, releases: sortedRows(rules, pkg.releases, defaultTrack) };
}

/** The default track: one that has a release, since an install without a channel would fail otherwise. */
export function settleTrack<R extends Row & P, P extends object>(rules: Rules<R, P>, tracks: Tracks, rows: readonly R[]): string {
  const open = new Set(rows.map((row) => channelOf(row).track));
  const wanted = rules.wantedTracks(tracks).flatMap((track) => track || []);
  const first = rows.find((row) => channelOf(row).risk === "stable") ?? rows[0];
  return wanted.find((track) => open.has(track)) ?? (first ? channelOf(first).track : (wanted[0] ?? "latest"));
}

/* ---- comparing ---- */

/** A row that moved. `from` null: it was opened; `to` null: it was closed, or replaced by one that covers it. */
export type RowChange<P> = P & {
  readonly channel: string;
  readonly from: number | null;
  /** the same as `from`: only the resources that go with it moved */
  readonly to: number | null;
};

/** The rows that differ between two states of a package, in the order of the later one; closed rows come last. */
export function changes<R extends Row & P, P extends object>(
  rules: Rules<R, P>,
  before: Pick<Mapped<R>, "releases"> | undefined,
  after: Pick<Mapped<R>, "releases"> | undefined,
): RowChange<P>[] {
  const key = (row: R) => rowKey(rules, row);
  const [was, is] = [before, after].map((state) => new Map(state?.releases.map((row) => [key(row), row])));
  const change = (row: R, from: number | null, to: number | null) => ({ channel: row.channel, ...rules.placeOf(row), from, to });
  const moved = (after?.releases ?? []).flatMap((row) => {
    const from = was?.get(key(row));
    return from && rules.same(from, row) ? [] : [change(row, from?.revision ?? null, row.revision)];
  });
  const gone = (before?.releases ?? []).flatMap((row) => (is?.has(key(row)) ? [] : [change(row, row.revision, null)]));
  return [...moved, ...gone];
}

/** What an import says of a channel map: that a stored one was kept, or which of its tracks had no release before. */
export function mapNotes(
  before: Pick<Mapped<Row>, "releases"> | undefined,
  after: Pick<Mapped<Row>, "releases">,
  isKept: boolean,
): string[] {
  if (isKept) return ["its channel map was kept as it is"];
  if (!before) return [];
  const [was, is] = [before, after].map(({ releases }) => new Set(releases.map((row) => channelOf(row).track)));
  return [...(is ?? [])].filter((track) => !was?.has(track)).map((track) => `its track ${track} is new`);
}

/** The row that a machine on that place gets: the row of that place, else a row that covers it. */
export function rowFor<R extends Row & P, P extends object>(rules: Rules<R, P>, rows: readonly R[], at: OnPlace<P>): R | undefined {
  return rows.find((row) => rowKey(rules, row) === rowKey(rules, at)) ?? rows.find((row) => replaces(rules, row, at));
}

/* ---- rolling back ---- */

/**
 * Revisions and history of a package that is rolled back: as they were, plus later revisions, which are moved to trash, and the rows
 * of those.
 */
export function rolledBack<R extends Row, V extends { readonly revision: number; readonly aside?: true }>(
  before: Mapped<R> & { readonly revisions: readonly V[] },
  now: Mapped<R> & { readonly revisions: readonly V[] },
): { readonly revisions: V[]; readonly history: R[] } {
  const known = new Set(before.revisions.map((r) => r.revision));
  // Rows of later revisions are kept since they say which resources go with them; rows of earlier revisions stay as they were.
  const name = (row: R) => JSON.stringify(row);
  const stored = new Set(before.history.map(name));
  const later = [...now.releases, ...now.history].filter((row) => !known.has(row.revision) && !stored.has(name(row)));
  return {
    revisions: withAside(before.revisions, now.revisions),
    history: [...before.history, ...new Map(later.map((row) => [name(row), row])).values()],
  };
}

/** Newest first; revisions that only `later` has are moved to trash. */
export function withAside<V extends { readonly revision: number; readonly aside?: true }>(before: readonly V[], later: readonly V[]): V[] {
  return withLater(
    before,
    later.map((r) => ({ ...r, aside: true })),
  );
}

/** Newest first; where both have a revision, that of `before`. */
export function withLater<V extends { readonly revision: number }>(before: readonly V[], later: readonly V[]): V[] {
  const known = new Set(before.map((r) => r.revision));
  return [...before, ...later.filter((r) => !known.has(r.revision))].toSorted((a, b) => b.revision - a.revision);
}

/** A note for the operator of revisions that were released nowhere; `of`: what they are of, with a space behind it. */
export function unreleasedNote(revisions: readonly number[], of = ""): string[] {
  if (revisions.length === 0) return [];
  return revisions.length === 1
    ? [`${of}revision ${revisions[0]} is in no channel; it can be installed by its number`]
    : [`${of}revisions ${showNumbers(revisions)} are in no channel; they can be installed by their numbers`];
}
