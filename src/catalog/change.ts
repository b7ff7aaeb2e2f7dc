/** What an operator changes of what is held: channels, default tracks, and the way back to an earlier generation. All of it is pure. */

import { Failure, printable, refused } from "../errors.ts";
import { baseKey, normalBase, showBase } from "./base.ts";
import { formatChannel, fullChannel } from "./channel.ts";
import {
  channelOf,
  compareReleases,
  findResource,
  findRevision,
  type Package,
  type Release,
  type Resource,
  rowKey,
  settleTrack,
  trackOrder,
} from "./package.ts";
import {
  comparePairs,
  compareSnapReleases,
  findSnapRevision,
  mergeAssertions,
  pairKey,
  replaces,
  runsOn,
  type Snap,
  type SnapRelease,
  settleSnapTrack,
  snapChannelOf,
  snapRowKey,
  snapTrackOrder,
} from "./snap.ts";

export type Held = Package | Snap;

/** Whether two manifests say the same. What operators chose stands in them in the order in which they chose it. */
export function sameManifest(a: Held | undefined, b: Held): boolean {
  const text = (one: Held) => JSON.stringify(Object.entries(one).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return a !== undefined && text(a) === text(b);
}

/** Which rows of a channel are meant; nothing given: all. */
export interface Where {
  /** `22.04` or `ubuntu@22.04`; charms only */
  readonly base?: string;
  readonly architecture?: string;
}

/** A row that moved. `from` null: it was opened; `to` null: it was closed. */
export interface Move {
  readonly channel: string;
  /** `ubuntu@22.04 amd64` of a charm, `amd64` of a snap, `any base` of a bundle */
  readonly on: string;
  readonly from: number | null;
  readonly to: number | null;
}

/** The channel in full: the track that is not written is the package's default one. Throws a `usage` failure. */
export function readChannel(held: Pick<Held, "defaultTrack">, text: string): string {
  const channel = fullChannel(text, held.defaultTrack);
  if (!channel) throw new Failure("usage", `${printable(text, 100)} is not a channel: TRACK/RISK, TRACK/RISK/BRANCH, RISK or TRACK`);
  return formatChannel(channel);
}

/** Releases a revision on every base or architecture that it runs on and `where` means. `now`: RFC 3339. */
export function release(held: Held, revision: number, channel: string, where: Where, now: string): Held {
  if (held.type === "snap") {
    const stands = (row: SnapRelease) => {
      const [only, ...others] = held.releases.filter((r) => replaces(row, r));
      return only?.architecture === row.architecture && only.revision === revision && others.length === 0;
    };
    return openedSnap(
      held,
      snapRows(held, revision, channel, where, now).filter((row) => !stands(row)),
    );
  }
  const open = new Map(held.releases.map((r) => [rowKey(r), r.revision]));
  return opened(
    held,
    packageRows(held, revision, channel, where, now).filter((row) => open.get(rowKey(row)) !== revision),
  );
}

/** The rows that a release of that revision has. Throws a failure where it is not held, or does not run there. */
export function packageRows(pkg: Package, number: number, text: string, where: Where, now: string): Release[] {
  const channel = readChannel(pkg, text);
  const revision = findRevision(pkg, number);
  if (!revision) throw notHeld(pkg, number);
  const bases = (pkg.type === "bundle" ? [null] : revision.bases).filter((base) => isMeant({ base }, where));
  if (bases.length === 0)
    throw refused(`revision ${number} of ${pkg.name} runs on ${revision.bases.map(showBase).join(", ")} and not${showWhere(where)}`);
  const resources = pinsOf(pkg, number, revision.resources);
  return bases.map((base) => ({ channel, base, revision: number, releasedAt: now, resources }));
}

/** The package with these rows open: what they replace goes to the history, and what they offer is not aside. */
export function opened(pkg: Package, rows: readonly Release[]): Package {
  const open = new Map(pkg.releases.map((r) => [rowKey(r), r]));
  const replaced: Release[] = [];
  for (const row of rows) {
    const before = open.get(rowKey(row));
    if (before) replaced.push(before);
    open.set(rowKey(row), row);
  }
  const offers = (name: string, revision: number) => rows.some((row) => row.resources[name] === revision);
  return settled({
    ...pkg,
    revisions: pkg.revisions.map((r) => (rows.some((row) => row.revision === r.revision) ? notAside(r) : r)),
    resources: pkg.resources.map((one) => ({
      ...one,
      revisions: one.revisions.map((r) => (offers(one.name, r.revision) ? notAside(r) : r)),
    })),
    releases: [...open.values()],
    history: [...replaced, ...pkg.history],
  });
}

/** What the revision was released with last, else the newest of what it declares. */
function pinsOf(pkg: Package, revision: number, declared: readonly string[]): Record<string, number> {
  const last = [...pkg.releases, ...pkg.history].find((r) => r.revision === revision)?.resources ?? {};
  const pinned = Object.entries(last).filter(([name, pin]) => findResource(pkg, name, pin));
  const others = declared.flatMap((name): [string, number][] => {
    const found = Object.hasOwn(last, name)
      ? undefined
      : (findResource(pkg, name) ?? pkg.resources.find((r) => r.name === name)?.revisions[0]);
    return found ? [[name, found.revision]] : [];
  });
  return Object.fromEntries([...pinned, ...others]);
}

/** The same of a snap. */
export function snapRows(snap: Snap, number: number, text: string, { base, architecture }: Where, now: string): SnapRelease[] {
  const channel = readChannel(snap, text);
  if (base !== undefined)
    throw new Failure("usage", `${snap.name} is a snap, and snaps have no base`, { next: "name an architecture with --arch" });
  const revision = findSnapRevision(snap, number);
  if (!revision) throw notHeld(snap, number);
  const rows = architecture === undefined ? revision.architectures : runsOn(revision, architecture) ? [architecture] : [];
  if (rows.length === 0)
    throw refused(
      `revision ${number} of ${snap.name} runs on ${revision.architectures.join(", ")} and not on ${printable(architecture ?? "", 50)}`,
    );
  return rows.map((on) => ({ channel, architecture: on, revision: number, releasedAt: now }));
}

/** The same of a snap. */
export function openedSnap(snap: Snap, rows: readonly SnapRelease[]): Snap {
  let open = snap.releases;
  const replaced: SnapRelease[] = [];
  for (const row of rows) {
    replaced.push(...open.filter((r) => replaces(row, r)));
    open = [...open.filter((r) => !replaces(row, r)), row];
  }
  return settledSnap({
    ...snap,
    revisions: snap.revisions.map((r) => (rows.some((row) => row.revision === r.revision) ? notAside(r) : r)),
    releases: open,
    history: [...replaced, ...snap.history],
  });
}

/** Closes the rows of a channel. Throws a `refused` failure where none is open. */
export function close(held: Held, text: string, where: Where): Held {
  const channel = readChannel(held, text);
  const closes = (row: Release | SnapRelease) => row.channel === channel && isMeant(row, where);
  if (!held.releases.some(closes)) throw notOpen(held, channel, where);
  const parts = <R extends Release | SnapRelease>({ releases, history }: { releases: readonly R[]; history: readonly R[] }) => ({
    releases: releases.filter((row) => !closes(row)),
    history: [...releases.filter(closes), ...history],
  });
  return held.type === "snap" ? settledSnap({ ...held, ...parts(held) }) : settled({ ...held, ...parts(held) });
}

/** Makes a track the default one, whatever imports say later. Throws a `refused` failure where nothing is released in it. */
export function chooseTrack(held: Held, track: string): Held {
  const tracks = new Set(
    held.type === "snap" ? held.releases.map((r) => snapChannelOf(r).track) : held.releases.map((r) => channelOf(r).track),
  );
  if (!tracks.has(track))
    throw refused(`${held.name} has no release in the track ${printable(track, 100)}, so a plain install would fail`, {
      next:
        tracks.size > 0 ? `it has ${[...tracks].join(", ")}` : `chp release ${held.name} REVISION ${printable(track, 100)}/stable opens it`,
    });
  return held.type === "snap" ? settledSnap({ ...held, chosenTrack: track }) : settled({ ...held, chosenTrack: track });
}

/** The rows that differ between two states, in the order of the later one; what was closed comes last. */
export function movesOf(before: Held | undefined, after: Held | undefined): Move[] {
  const [was, is] = [rowsOf(before), rowsOf(after)];
  const moved = [...is].flatMap(([key, row]): Move[] => {
    const from = was.get(key);
    return from && from.pins === row.pins && from.to === row.to
      ? []
      : [{ channel: row.channel, on: row.on, from: from?.to ?? null, to: row.to }];
  });
  const closed = [...was].flatMap(([key, row]): Move[] =>
    is.has(key) ? [] : [{ channel: row.channel, on: row.on, from: row.to, to: null }],
  );
  return [...moved, ...closed];
}

function rowsOf(held: Held | undefined): Map<string, { channel: string; on: string; to: number; pins: string }> {
  if (!held) return new Map();
  if (held.type === "snap")
    return new Map(held.releases.map((r) => [snapRowKey(r), { channel: r.channel, on: r.architecture, to: r.revision, pins: "" }]));
  return new Map(
    held.releases.map((r) => [
      rowKey(r),
      {
        channel: r.channel,
        on: showBase(r.base),
        to: r.revision,
        pins: JSON.stringify(Object.entries(r.resources).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      },
    ]),
  );
}

/* ---- rollback ---- */

/**
 * What a package was in an earlier generation, so that it answers byte for byte as it did then. Revisions that came later are
 * put aside: had by their number, and by nothing else. `then` undefined: it was not held.
 */
export function rollBack(then: Package | undefined, now: Package): Package {
  const { overrides: _, ...mapped } = now;
  const before = then ?? { ...mapped, revisions: [], resources: [], releases: [], history: [] };
  const known = new Set(before.revisions.map((r) => r.revision));
  const later = [...now.releases, ...now.history].filter((r) => !known.has(r.revision));
  const names = [...new Set([...before.resources, ...now.resources].map((r) => r.name))].toSorted();
  const of = (resources: readonly Resource[], name: string) => resources.find((r) => r.name === name)?.revisions ?? [];
  return {
    ...before,
    // Applications were deployed under the ids that it had since.
    formerIds: [...new Set([...before.formerIds, ...now.formerIds, now.id])].filter((id) => id !== before.id),
    revisions: withLater(before.revisions, now.revisions),
    resources: names.map((name) => ({ name, revisions: withLater(of(before.resources, name), of(now.resources, name)) })),
    history: withRows(before.history, later, (r) => JSON.stringify([rowKey(r), r.revision, r.resources, r.releasedAt])),
  };
}

/** The same of a snap. `taken`: pairs that machines may still ask for, which the earlier generation did not have. */
export function rollBackSnap(then: Snap | undefined, now: Snap): { readonly snap: Snap; readonly taken: readonly string[] } {
  const { overrides: _, ...mapped } = now;
  const before = then ?? { ...mapped, revisions: [], components: [], pairs: [], releases: [], history: [], assertions: [] };
  const known = new Set(before.revisions.map((r) => r.revision));
  const later = [...now.releases, ...now.history].filter((r) => !known.has(r.revision));
  const names = [...new Set([...before.components, ...now.components].map((c) => c.name))].toSorted();
  const of = ({ components }: Snap, name: string) => components.find((c) => c.name === name)?.revisions ?? [];
  const held = new Set(before.pairs.map(pairKey));
  const keys = new Set(before.assertions.map((one) => JSON.stringify([one.type, one.key])));
  const taken = now.pairs.filter((pair) => known.has(pair.revision) && !held.has(pairKey(pair)));
  const kept = now.pairs.filter((pair) => !known.has(pair.revision) && !held.has(pairKey(pair)));
  return {
    snap: {
      ...before,
      revisions: withLater(before.revisions, now.revisions),
      components: names.map((name) => ({ name, revisions: union(of(before, name), of(now, name)) })),
      pairs: [...before.pairs, ...kept].toSorted(comparePairs),
      history: withRows(before.history, later, (r) => JSON.stringify([snapRowKey(r), r.revision, r.releasedAt])),
      assertions: mergeAssertions(
        before.assertions,
        now.assertions.filter((one) => !keys.has(JSON.stringify([one.type, one.key]))),
      ),
    },
    taken: taken.map((pair) => `component ${pair.component} revision ${pair.componentRevision} of ${now.name} revision ${pair.revision}`),
  };
}

/** Newest first; what only `later` has is put aside. */
function withLater<R extends { readonly revision: number; readonly aside?: true }>(before: readonly R[], later: readonly R[]): R[] {
  return union(
    before,
    later.map((r) => ({ ...r, aside: true })),
  );
}

function union<R extends { readonly revision: number }>(before: readonly R[], later: readonly R[]): R[] {
  const known = new Set(before.map((r) => r.revision));
  return [...before, ...later.filter((r) => !known.has(r.revision))].toSorted((a, b) => b.revision - a.revision);
}

/** Rows of revisions that came later say what these go with; those of earlier ones stay as they were. */
function withRows<R>(history: readonly R[], later: readonly R[], key: (row: R) => string): R[] {
  const known = new Set(history.map(key));
  const rows = [...new Map(later.map((row) => [key(row), row])).values()];
  return [...history, ...rows.filter((row) => !known.has(key(row)))];
}

/* ---- parts ---- */

export function settled(pkg: Package): Package {
  const { track } = settleTrack({ declared: pkg.declaredTrack, chosen: pkg.chosenTrack, current: pkg.defaultTrack }, pkg.releases);
  return { ...pkg, defaultTrack: track, releases: pkg.releases.toSorted(compareReleases(trackOrder(pkg.releases, track))) };
}

export function settledSnap(snap: Snap): Snap {
  const { track } = settleSnapTrack(snap.chosenTrack ?? snap.defaultTrack, snap.releases);
  return { ...snap, defaultTrack: track, releases: snap.releases.toSorted(compareSnapReleases(snapTrackOrder(snap.releases, track))) };
}

function notAside<R extends { readonly aside?: true }>(revision: R): Omit<R, "aside"> {
  const { aside, ...rest } = revision;
  return aside ? rest : revision;
}

/** Whether a row is one of those that are meant. */
export function isMeant(row: Pick<Release, "base"> | Pick<SnapRelease, "architecture">, where: Where): boolean {
  if ("architecture" in row)
    return where.base === undefined && (where.architecture === undefined || where.architecture === row.architecture);
  const { base } = row;
  if (base === null) return where.base === undefined && where.architecture === undefined;
  const [channel = "", name = "ubuntu"] = (where.base ?? "").split("@").toReversed();
  const wanted = where.base === undefined ? base : normalBase({ name, channel, architecture: base.architecture });
  return baseKey(wanted) === baseKey(base) && (where.architecture === undefined || where.architecture === base.architecture);
}

/** ` on 22.04 amd64`, or nothing. */
export function showWhere({ base, architecture }: Where): string {
  const parts = [base, architecture].filter((one) => one !== undefined);
  return parts.length > 0 ? printable(` on ${parts.join(" ")}`, 100) : "";
}

function notHeld({ name, revisions }: Held, revision: number): Failure {
  const held = revisions.map((r) => r.revision);
  return new Failure("not-found", `revision ${revision} of ${name} is not held`, {
    next: `held are ${held.slice(0, 10).join(", ")}${held.length > 10 ? ", …" : ""}; chp show ${name} tells more`,
  });
}

function notOpen({ name, overrides }: Held, channel: string, where: Where): Failure {
  return refused(`${name} has no release in ${channel}${showWhere(where)}`, {
    next: overrides?.some((one) => one.channel === channel)
      ? `an override holds it, which chp end-override ${name} ${channel} ends`
      : `chp show ${name} tells its channels`,
  });
}
