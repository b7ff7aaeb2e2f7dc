/** The manifest of a charm or bundle, and how an import is merged into it. */

import { createHash } from "node:crypto";
import type { Algorithm, Digest } from "../digest.ts";
import { refused } from "../errors.ts";
import { type Base, baseKey, compareBases, normalBase, sameBase, showBase } from "./base.ts";
import {
  type ChannelPolicy,
  channelOf,
  lastReleased,
  mapNotes,
  notAside,
  type OverrideTerms,
  type Row,
  type Rules,
  released,
  settleTrack,
  sortedRows,
} from "./channelmap.ts";
import type { ImageNeed, Need } from "./need.ts";

export type PackageType = "charm" | "bundle";

/** Long texts of a revision, by their names in the API; stored as blobs. */
export const TEXTS = ["metadata-yaml", "config-yaml", "actions-yaml", "bundle-yaml", "readme-md"] as const;
export type TextName = (typeof TEXTS)[number];

/** Endpoint name to interface, by role. */
export type Relations = Partial<Record<"provides" | "requires" | "peers", Record<string, { interface: string }>>>;

export interface Revision {
  readonly revision: number;
  readonly version: string;
  /** RFC 3339 */
  readonly createdAt: string;
  /** best first; empty for a bundle */
  readonly bases: readonly Base[];
  readonly blob: Digest;
  /** bytes */
  readonly size: number;
  readonly texts: Partial<Record<TextName, Digest>>;
  /** names of the resources that the charm declares */
  readonly resources: readonly string[];
  /** names of the charms that the bundle names */
  readonly charms: readonly string[];
  readonly relations: Relations;
  readonly subordinate: boolean;
  readonly attributes?: Readonly<Record<string, string>>;
  /** the snaps that the charm installs, as far as its files show */
  readonly snaps?: readonly Need[];
  /** the images that the charm's files name, besides those of its resources */
  readonly images?: readonly ImageNeed[];
  /** newer than the generation that was rolled back to: installable only by revision number */
  readonly aside?: true;
}

export interface ResourceRevision {
  readonly revision: number;
  readonly type: "file" | "oci-image";
  readonly filename: string;
  readonly description: string;
  readonly createdAt: string;
  readonly blob: Digest;
  readonly size: number;
  readonly digests: Readonly<Record<Exclude<Algorithm, "sha-256">, string>>;
  /** of an oci-image: upstream's reference, and its path in the local registry, where an export may name another */
  readonly image?: { readonly reference: string; readonly path: string };
  /** never stored: its bytes are made for the local registry, so there may be several of one revision */
  readonly retargeted?: true;
  /** newer than the generation that was rolled back to: installable only by revision number */
  readonly aside?: true;
}

export interface Resource {
  readonly name: string;
  /** newest first */
  readonly revisions: readonly ResourceRevision[];
}

export interface Release extends Row {
  /** null: a bundle */
  readonly base: Base | null;
  /** resource name to the revision that was released together with the charm */
  readonly resources: Readonly<Record<string, number>>;
}

/** A row that is served over the channel map. */
export interface Override extends Release, OverrideTerms {}

/** A map of strings, which is all that Juju can decode. */
export type Publisher = Readonly<Record<string, string>>;

/** The `result` of a Charmhub info reply, as imported; unknown keys are kept. */
export interface Details {
  readonly title?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly license?: string;
  readonly "store-url"?: string;
  readonly publisher?: Publisher;
  readonly categories?: readonly { readonly featured: boolean; readonly name: string }[];
  readonly [key: string]: unknown;
}

/** The stored manifest. Shape of the JSON blob; see store/README.md. */
export interface Package {
  readonly type: PackageType;
  readonly name: string;
  readonly id: string;
  /** former ids, which deployed applications still use */
  readonly formerIds: readonly string[];
  /** whether id and details come from a metadata.json; otherwise they were rebuilt from the charm itself */
  readonly declared: boolean;
  readonly details: Details;
  /** what upstream calls the default track, where that is known */
  readonly declaredTrack?: string;
  /** the default track that the operator chose; has precedence over `declaredTrack` */
  readonly chosenTrack?: string;
  /** the track of a channel without a track; it has a release whenever any track has a release */
  readonly defaultTrack: string;
  /** newest first */
  readonly revisions: readonly Revision[];
  readonly resources: readonly Resource[];
  /** the open channel map, one row a channel and base, in the order of `sortedRows` */
  readonly releases: readonly Release[];
  /** rows that were replaced, newest first */
  readonly history: readonly Release[];
  /** account assertion of the publisher, as imported */
  readonly publisherAssertion?: Digest;
  /** rows that are served over the channel map until they end; absent: none */
  readonly overrides?: readonly Override[];
}

/** A package as an archive describes it, before it is merged into the stored one. */
export interface Incoming extends Omit<Package, "formerIds" | "defaultTrack" | "chosenTrack" | "releases" | "history" | "overrides"> {
  readonly releases: readonly IncomingRelease[];
}

export interface IncomingRelease extends Omit<Release, "resources"> {
  /** absent: the archive does not say */
  readonly resources?: Readonly<Record<string, number>>;
}

export interface Merged {
  readonly package: Package;
  /** rows not published: their revision is neither in the archive nor in the store */
  readonly dropped: readonly IncomingRelease[];
  /** pins not published, for the same reason */
  readonly missingResources: readonly { readonly name: string; readonly revision: number }[];
  readonly notes: readonly string[];
}

const RESOURCE_NAME = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,126}$/;

export function isResourceName(name: string): boolean {
  return RESOURCE_NAME.test(name);
}

export function findRevision(pkg: Pick<Package, "revisions">, revision: number): Revision | undefined {
  return pkg.revisions.find((r) => r.revision === revision);
}

/** Without a number the newest. */
export function findResource(pkg: Pick<Package, "resources">, name: string, revision?: number): ResourceRevision | undefined {
  const found = pkg.resources.find((r) => r.name === name)?.revisions;
  return found?.find((r) => (revision === undefined ? !r.aside : r.revision === revision));
}

/** The newest revision that is not aside; undefined: all that is stored can be installed only by number. */
export function newestRevision(pkg: Pick<Package, "revisions">): Revision | undefined {
  return pkg.revisions.find((r) => !r.aside);
}

/** Channel maps of charms and bundles. */
export const PACKAGE_RULES: Rules<Release, Pick<Release, "base">> = {
  placeOf: ({ base }) => ({ base }),
  placeKey: ({ base }) => baseKey(base),
  showPlace: ({ base }) => showBase(base),
  // A base `all` covers nothing, since none gets here: an import expands it (`expandAny`) to the bases that Juju asks for.
  covers: (place, other) => sameBase(place.base, other.base),
  comparePlaces: (a, b) => (a.base && b.base ? byBase(a.base, b.base) : 0),
  isMeant: ({ base }, where) => {
    if (base === null) return where.base === undefined && where.architecture === undefined;
    const [channel = "", name = "ubuntu"] = (where.base ?? "").split("@").toReversed();
    const wanted = where.base === undefined ? base : normalBase({ name, channel, architecture: base.architecture });
    return sameBase(wanted, base) && (where.architecture === undefined || where.architecture === base.architecture);
  },
  same: (a, b) => a.revision === b.revision && samePins(a.resources, b.resources),
  tracks: (rows, defaultTrack) => [...new Set([defaultTrack, ...rows.map((row) => channelOf(row).track)])],
  wantedTracks: ({ chosenTrack, declaredTrack, defaultTrack }) => [chosenTrack, declaredTrack, defaultTrack],
};

const byBase = compareBases("24.04");

/**
 * Merges a package of the archives of one import into the stored one. Throws a `refused` failure if they contradict it or each
 * other. `policy`: whether a stored package keeps its channel map.
 */
export function mergePackage(stored: Package | undefined, given: Incoming | readonly Incoming[], policy: ChannelPolicy = "apply"): Merged {
  const archives = [given].flat();
  const merged = archives.reduce(mergeFacts, stored);
  if (!merged) throw new Error("internal error: nothing is merged");
  const keep = stored !== undefined && policy !== "apply";
  const { rows, dropped, missingResources } = keep ? { rows: [], dropped: [], missingResources: [] } : archivedReleases(merged, archives);
  const mapped = { ...released(PACKAGE_RULES, merged, lastReleased(PACKAGE_RULES, rows)), resources: offeredBy(rows, merged.resources) };
  const defaultTrack = settleTrack(PACKAGE_RULES, { ...merged, defaultTrack: stored?.defaultTrack }, mapped.releases);
  return {
    package: { ...mapped, defaultTrack, releases: sortedRows(PACKAGE_RULES, mapped.releases, defaultTrack) },
    dropped,
    missingResources,
    notes: [...mapNotes(stored, mapped, keep), ...packageTrackNote(stored, { ...mapped, defaultTrack })],
  };
}

/** Why its default track is neither chosen, nor declared, nor the stored one. */
function packageTrackNote(stored: Package | undefined, { releases, defaultTrack, chosenTrack, declaredTrack }: Package): string[] {
  if (releases.length === 0 || [chosenTrack, declaredTrack, stored?.defaultTrack].includes(defaultTrack)) return [];
  if (declaredTrack !== undefined)
    return [`no release of its default track ${declaredTrack} is stored, so its default track is ${defaultTrack}`];
  const isOnly = new Set(releases.map((row) => channelOf(row).track)).size === 1;
  return isOnly ? [] : [`its default track is not known, so it is ${defaultTrack}`];
}

/** Merges everything but the channel map, which stays as it is stored. */
function mergeFacts(stored: Package | undefined, incoming: Incoming): Package {
  if (stored && stored.type !== incoming.type)
    throw refused(`${incoming.name} is a ${stored.type} in the store and a ${incoming.type} in the archive`);
  const declaredTrack = incoming.declaredTrack ?? stored?.declaredTrack;
  const publisherAssertion = incoming.publisherAssertion ?? stored?.publisherAssertion;
  return {
    type: incoming.type,
    name: incoming.name,
    ...mergeIdentity(stored, incoming),
    ...(declaredTrack !== undefined && { declaredTrack }),
    ...(stored?.chosenTrack !== undefined && { chosenTrack: stored.chosenTrack }),
    defaultTrack: stored?.defaultTrack ?? "",
    revisions: mergePackageRevisions(stored, incoming),
    resources: mergeResources(stored, incoming),
    releases: stored?.releases ?? [],
    history: stored?.history ?? [],
    ...(publisherAssertion && { publisherAssertion }),
    ...(stored?.overrides && { overrides: stored.overrides }),
  };
}

function mergeIdentity(stored: Package | undefined, incoming: Incoming): Pick<Package, "id" | "formerIds" | "declared" | "details"> {
  if (!stored) return { id: incoming.id, formerIds: [], declared: incoming.declared, details: incoming.details };
  if (stored.declared && incoming.declared && stored.id !== incoming.id)
    throw refused(`${incoming.name} has the package id ${stored.id} in the store and ${incoming.id} in the archive`);
  const winner = incoming.declared || !stored.declared ? incoming : stored;
  // A rebuilt id never replaces another: applications were deployed under the stored one.
  const id = incoming.declared ? incoming.id : stored.id;
  const formerIds = [...new Set([...stored.formerIds, stored.id])].filter((former) => former !== id);
  return { id, formerIds, declared: winner.declared, details: winner.details };
}

function mergePackageRevisions(stored: Package | undefined, incoming: Incoming): Revision[] {
  const all = new Map(stored?.revisions.map((r) => [r.revision, r]));
  for (const r of incoming.revisions) {
    const known = all.get(r.revision);
    if (known && known.blob !== r.blob)
      throw refused(
        `${incoming.name} revision ${r.revision} differs from the stored revision: sha256 ${known.blob} is stored, ${r.blob} was given`,
      );
    const createdAt = created(stored, known, r);
    if (!known || known.aside || incoming.declared) all.set(r.revision, createdAt === r.createdAt ? r : { ...r, createdAt });
  }
  return [...all.values()].toSorted((a, b) => b.revision - a.revision);
}

function mergeResources(stored: Package | undefined, incoming: Incoming): Resource[] {
  const all = new Map(stored?.resources.map((r) => [r.name, new Map(r.revisions.map((resource) => [resource.revision, resource]))]));
  for (const { name, revisions } of incoming.resources) {
    const known = all.get(name) ?? new Map<number, ResourceRevision>();
    all.set(name, known);
    for (const r of revisions) {
      const before = known.get(r.revision);
      if (before && before.blob !== r.blob)
        throw refused(
          `resource ${name} revision ${r.revision} of ${incoming.name} differs from the stored revision: sha256 ${before.blob} is stored, ${r.blob} was given`,
        );
      if (!before || before.aside || incoming.declared) known.set(r.revision, { ...r, createdAt: created(stored, before, r) });
    }
  }
  return [...all]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, byRevision]) => ({ name, revisions: [...byRevision.values()].toSorted((a, b) => b.revision - a.revision) }));
}

/** An archive without times gets the time of the import; importing it again must not count as a change. */
function created(stored: Package | undefined, before: { createdAt: string } | undefined, now: { createdAt: string }): string {
  return stored?.declared && before ? before.createdAt : now.createdAt;
}

/** The rows of the archives, each with the resources that it was released with; and the rows and resources that are neither imported nor stored. */
function archivedReleases(
  all: Pick<Package, "revisions" | "resources">,
  archives: readonly Incoming[],
): Pick<Merged, "dropped" | "missingResources"> & { readonly rows: readonly Release[] } {
  const rows: Release[] = [];
  const dropped: IncomingRelease[] = [];
  const missing = new Map<string, { name: string; revision: number }>();
  for (const incoming of archives)
    for (const row of incoming.releases) {
      const revision = findRevision(all, row.revision);
      if (!revision) {
        dropped.push(row);
        continue;
      }
      const resources: Record<string, number> = {};
      for (const [name, pin] of Object.entries(row.resources ?? newest(incoming, revision))) {
        if (findResource(all, name, pin)) resources[name] = pin;
        else missing.set(`${name}_${pin}`, { name, revision: pin });
      }
      rows.push({ channel: row.channel, base: row.base, revision: row.revision, releasedAt: row.releasedAt, resources });
    }
  return { rows, dropped, missingResources: [...missing.values()] };
}

/** The resources of a package; revisions that these rows offer are not aside any more. */
export function offeredBy(rows: readonly Pick<Release, "resources">[], resources: readonly Resource[]): Resource[] {
  return resources.map(({ name, revisions }) => ({
    name,
    revisions: revisions.map((r) => (rows.some((row) => row.resources[name] === r.revision) ? notAside(r) : r)),
  }));
}

/** Revisions below 0 have no number yet: charms built here, -1 for the first of an archive, -2 for the second. */
export const UNNUMBERED = -1;

/** Numbers unnumbered revisions: stored bytes keep their number, others get the next. */
export function numbered(stored: Pick<Package, "revisions"> | undefined, incoming: Incoming): Incoming {
  const own = incoming.revisions.filter((r) => r.revision <= UNNUMBERED).toSorted((a, b) => b.revision - a.revision);
  let highest = Math.max(0, ...[...(stored?.revisions ?? []), ...incoming.revisions].map((r) => r.revision));
  const numbers = new Map(own.map((r) => [r.revision, stored?.revisions.find(({ blob }) => blob === r.blob)?.revision ?? (highest += 1)]));
  const renumber = <T extends { readonly revision: number }>(entry: T): T => ({
    ...entry,
    revision: numbers.get(entry.revision) ?? entry.revision,
  });
  return {
    ...incoming,
    revisions: incoming.revisions.map((r) => (numbers.has(r.revision) ? { ...renumber(r), version: String(numbers.get(r.revision)) } : r)),
    releases: incoming.releases.map(renumber),
  };
}

/** The newest revision in the archive of each resource that a revision declares: it was exported with them. */
function newest(incoming: Incoming, revision: Revision): Record<string, number> {
  const carried = incoming.resources.filter((r) => revision.resources.includes(r.name));
  return Object.fromEntries(carried.flatMap(({ name, revisions: [first] }) => (first ? [[name, first.revision]] : [])));
}

function samePins(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const [x, y] = [Object.entries(a), Object.entries(b)];
  return x.length === y.length && x.every(([name, pin]) => Object.hasOwn(b, name) && b[name] === pin);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** A stable id for a package without a known id: 32 letters and digits, the same for a name on every machine. */
export function mintId(name: string): string {
  let number = BigInt(`0x${createHash("sha256").update(`chp package ${name}`).digest("hex")}`);
  let id = "";
  for (; id.length < 32; number /= 62n) id += LETTERS[Number(number % 62n)];
  return id;
}
