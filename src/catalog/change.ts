/** Changes by operators: channels, default tracks, and rollback to an earlier generation. All of it is pure. */

import { Failure, printable, refused } from "../errors.ts";
import { showBase } from "./base.ts";
import { formatChannel, fullChannel } from "./channel.ts";
import {
  changes,
  channelOf,
  closed,
  type Rules,
  released,
  rolledBack,
  rowKey,
  settled,
  type Where,
  withAside,
  withLater,
} from "./channelmap.ts";
import { findResource, findRevision, offeredBy, PACKAGE_RULES, type Package, type Release, type Resource } from "./package.ts";
import { comparePairs, findSnapRevision, mergeAssertions, pairKey, runsOn, SNAP_RULES, type Snap, type SnapRelease } from "./snap.ts";

export type StoredPackage = Package | Snap;

/** Whether two manifests have the same content. The order of their keys may differ: keys that operators set are added last. */
export function sameManifest(a: StoredPackage | undefined, b: StoredPackage): boolean {
  const text = (pkg: StoredPackage) => JSON.stringify(Object.entries(pkg).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return a !== undefined && text(a) === text(b);
}

export type AnyRow = Release | SnapRelease;
export type AnyPlace = Pick<Release, "base"> | Pick<SnapRelease, "architecture">;

/** The rules of a package's channel map. All rows of a package are of its kind, so callers need not distinguish the kinds. */
export function rulesOf({ type }: Pick<StoredPackage, "type">): Rules<AnyRow, AnyPlace> {
  return type === "snap" ? SNAP_RULES : PACKAGE_RULES;
}

/** A row that moved. `from` null: it was opened; `to` null: it was closed. */
export interface Move {
  readonly channel: string;
  /** `ubuntu@22.04 amd64` of a charm, `amd64` of a snap, `any base` of a bundle */
  readonly on: string;
  readonly from: number | null;
  readonly to: number | null;
}

/** `14/stable ubuntu@22.04 amd64`, as operators read a row; of a bundle its channel alone. */
export function showRow(row: Pick<AnyRow, "channel"> & AnyPlace): string {
  if ("architecture" in row) return `${row.channel} ${row.architecture}`;
  return row.base ? `${row.channel} ${showBase(row.base)}` : row.channel;
}

/** The channel in full: the track that is not written is the package's default one. Throws a `usage` failure. */
export function readChannel(pkg: Pick<StoredPackage, "defaultTrack">, text: string): string {
  const channel = fullChannel(text, pkg.defaultTrack);
  if (!channel) throw new Failure("usage", `${printable(text, 100)} is not a channel: TRACK/RISK, TRACK/RISK/BRANCH, RISK or TRACK`);
  return formatChannel(channel);
}

/** Releases a revision on every base or architecture that it runs on and `where` means. `now`: RFC 3339. */
export function release<H extends StoredPackage>(pkg: H, revision: number, channel: string, where: Where, now: string): H {
  return opened(pkg, rowsToRelease(pkg, revision, channel, where, now));
}

/** The package with these rows open. Rows that they replace go to the history; revisions that they offer are not aside any more. */
export function opened<H extends StoredPackage>(pkg: H, rows: readonly AnyRow[]): H {
  const rules = rulesOf(pkg);
  const mapped = settled(rules, released(rules, pkg, { rows }));
  const pinned = rows.filter((row) => "resources" in row);
  return pinned.length > 0 && mapped.type !== "snap" ? { ...mapped, resources: offeredBy(pinned, mapped.resources) } : mapped;
}

/** The rows that a release of that revision has. Throws a failure if it is not stored, or does not run there. */
export function rowsToRelease(pkg: StoredPackage, number: number, text: string, where: Where, now: string): AnyRow[] {
  const channel = readChannel(pkg, text);
  const rules = rulesOf(pkg);
  const places = placesOf(pkg, number, where);
  const meant = places.filter((place) => rules.isMeant(place, where));
  if (meant.length === 0) {
    const runs = places.map((place) => rules.showPlace(place)).join(", ");
    throw refused(`revision ${number} of ${pkg.name} runs on ${runs} and not${showWhere(where)}`);
  }
  return meant.map((place) => {
    const row = { channel, ...place, revision: number, releasedAt: now };
    return "architecture" in row ? row : { ...row, resources: pinsOf(pkg as Package, row) };
  });
}

/** The places where a revision can be released. Throws a failure if it is not stored. */
function placesOf(pkg: StoredPackage, number: number, { base, architecture }: Where): AnyPlace[] {
  if (pkg.type === "snap") {
    if (base !== undefined)
      throw new Failure("usage", `${pkg.name} is a snap, and snaps have no base`, { next: "name an architecture with --arch" });
    const revision = findSnapRevision(pkg, number);
    if (!revision) throw notStored(pkg, number);
    const architectures = architecture !== undefined && runsOn(revision, architecture) ? [architecture] : revision.architectures;
    return architectures.map((name) => ({ architecture: name }));
  }
  const revision = findRevision(pkg, number);
  if (!revision) throw notStored(pkg, number);
  return (pkg.type === "bundle" ? [null] : revision.bases).map((system) => ({ base: system }));
}

/** The resources that the revision was released with there, else last released with anywhere, else the newest of those that it declares. */
function pinsOf(pkg: Package, { channel, base, revision }: Pick<Release, "channel" | "base" | "revision">): Record<string, number> {
  const there = pkg.releases.find((r) => r.revision === revision && rowKey(PACKAGE_RULES, r) === rowKey(PACKAGE_RULES, { channel, base }));
  if (there) return there.resources;
  const last = [...pkg.releases, ...pkg.history].find((r) => r.revision === revision)?.resources ?? {};
  const pinned = Object.entries(last).filter(([name, pin]) => findResource(pkg, name, pin));
  const others = (findRevision(pkg, revision)?.resources ?? []).flatMap((name): [string, number][] => {
    const found = Object.hasOwn(last, name)
      ? undefined
      : (findResource(pkg, name) ?? pkg.resources.find((r) => r.name === name)?.revisions[0]);
    return found ? [[name, found.revision]] : [];
  });
  return Object.fromEntries([...pinned, ...others]);
}

/** Closes the rows of a channel. Throws a `refused` failure where none is open. */
export function close<H extends StoredPackage>(pkg: H, text: string, where: Where): H {
  const channel = readChannel(pkg, text);
  const rules = rulesOf(pkg);
  const closes = (row: AnyRow) => row.channel === channel && rules.isMeant(row, where);
  if (!pkg.releases.some(closes)) throw notOpen(pkg, channel, where);
  return settled(rules, closed(pkg, closes));
}

/** Makes a track the default one; later imports do not change it. Throws a `not-found` failure where nothing is released in it. */
export function chooseTrack<H extends StoredPackage>(pkg: H, track: string): H {
  const tracks = new Set(pkg.releases.map((row) => channelOf(row).track));
  if (!tracks.has(track))
    throw new Failure("not-found", `${pkg.name} has no release in the track ${printable(track, 100)}, so a plain install would fail`, {
      next:
        tracks.size > 0 ? `it has ${[...tracks].join(", ")}` : `chp release ${pkg.name} REVISION ${printable(track, 100)}/stable opens it`,
    });
  return settled(rulesOf(pkg), { ...pkg, chosenTrack: track });
}

/** The rows that differ between two states, in the order of the later one; closed rows come last. */
export function movesOf(before: StoredPackage | undefined, after: StoredPackage | undefined): Move[] {
  const pkg = after ?? before;
  if (!pkg) return [];
  const rules = rulesOf(pkg);
  return changes(rules, before, after).map((move) => ({
    channel: move.channel,
    on: rules.showPlace(move),
    from: move.from,
    to: move.to,
  }));
}

/* ---- rollback ---- */

/**
 * The package as it was in an earlier generation, so that replies are the same byte for byte. Later revisions are moved to trash: they
 * can be installed only by revision number. `then` undefined: it was not stored.
 */
export function rollBack(then: Package | undefined, now: Package): Package {
  const { overrides: _, ...mapped } = now;
  const before = then ?? { ...mapped, revisions: [], resources: [], releases: [], history: [] };
  const names = [...new Set([...before.resources, ...now.resources].map((r) => r.name))].toSorted();
  const of = (resources: readonly Resource[], name: string) => resources.find((r) => r.name === name)?.revisions ?? [];
  return {
    ...before,
    // Applications were deployed under the ids that it had since.
    formerIds: [...new Set([...before.formerIds, ...now.formerIds, now.id])].filter((id) => id !== before.id),
    resources: names.map((name) => ({ name, revisions: withAside(of(before.resources, name), of(now.resources, name)) })),
    ...rolledBack(before, now),
  };
}

/** The same for a snap. `taken`: pairs that machines may still request, and that the earlier generation did not have. */
export function rollBackSnap(then: Snap | undefined, now: Snap): { readonly snap: Snap; readonly taken: readonly string[] } {
  const { overrides: _, ...mapped } = now;
  const before = then ?? { ...mapped, revisions: [], components: [], pairs: [], releases: [], history: [], assertions: [] };
  const known = new Set(before.revisions.map((r) => r.revision));
  const names = [...new Set([...before.components, ...now.components].map((c) => c.name))].toSorted();
  const of = ({ components }: Snap, name: string) => components.find((c) => c.name === name)?.revisions ?? [];
  const pairs = new Set(before.pairs.map(pairKey));
  const keys = new Set(before.assertions.map((assertion) => JSON.stringify([assertion.type, assertion.key])));
  const taken = now.pairs.filter((pair) => known.has(pair.revision) && !pairs.has(pairKey(pair)));
  const kept = now.pairs.filter((pair) => !known.has(pair.revision) && !pairs.has(pairKey(pair)));
  return {
    snap: {
      ...before,
      ...rolledBack(before, now),
      components: names.map((name) => ({ name, revisions: withLater(of(before, name), of(now, name)) })),
      pairs: [...before.pairs, ...kept].toSorted(comparePairs),
      assertions: mergeAssertions(
        before.assertions,
        now.assertions.filter((assertion) => !keys.has(JSON.stringify([assertion.type, assertion.key]))),
      ),
    },
    taken: taken.map((pair) => `component ${pair.component} revision ${pair.componentRevision} of ${now.name} revision ${pair.revision}`),
  };
}

/* ---- parts ---- */

/** ` on 22.04 amd64`, or nothing. */
export function showWhere({ base, architecture }: Where): string {
  const parts = [base, architecture].filter((part) => part !== undefined);
  return parts.length > 0 ? printable(` on ${parts.join(" ")}`, 100) : "";
}

function notStored({ name, revisions }: StoredPackage, revision: number): Failure {
  const stored = revisions.map((r) => r.revision);
  return new Failure("not-found", `revision ${revision} of ${name} is not stored`, {
    next: `stored are ${stored.slice(0, 10).join(", ")}${stored.length > 10 ? ", …" : ""}; chp show ${name} shows more`,
  });
}

function notOpen({ name, overrides }: StoredPackage, channel: string, where: Where): Failure {
  return new Failure("not-found", `${name} has no release in ${channel}${showWhere(where)}`, {
    next: overrides?.some((override) => override.channel === channel)
      ? `it has an override, which chp end-override ${name} ${channel} ends`
      : `chp show ${name} lists its channels`,
  });
}
