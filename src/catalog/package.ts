/** What the store knows of one charm or bundle: its manifest, and how an import is merged into it. */

import { createHash } from "node:crypto";
import type { Algorithm, Digest } from "../digest.ts";
import { refused } from "../errors.ts";
import { type Base, baseKey, compareBases, showBase } from "./base.ts";
import { compareRisk, type FullChannel, parseChannel } from "./channel.ts";
import type { Hold } from "./channelmap.ts";
import type { Need } from "./need.ts";

export type PackageType = "charm" | "bundle";

/** Long texts of a revision, by the name that the API gives them; kept as blobs. */
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
  /** what the charm installs, as far as its files tell */
  readonly snaps?: readonly Need[];
  /** came after the generation that was rolled back to: had by its number alone */
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
  /** came after the generation that was rolled back to: had by its number alone */
  readonly aside?: true;
}

export interface Resource {
  readonly name: string;
  /** newest first */
  readonly revisions: readonly ResourceRevision[];
}

export interface Release {
  /** in full: `14/stable`, `latest/edge/fix` */
  readonly channel: string;
  /** null: a bundle */
  readonly base: Base | null;
  readonly revision: number;
  /** RFC 3339 with a zone */
  readonly releasedAt: string;
  /** resource name to the revision that was released together with the charm */
  readonly resources: Readonly<Record<string, number>>;
}

/** A row that stands over the channel map. */
export interface Override extends Release, Hold {}

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
  /** ids that were served before, which deployed applications still ask by */
  readonly formerIds: readonly string[];
  /** whether id and details come from a metadata.json; if not they were rebuilt from the charm itself */
  readonly declared: boolean;
  readonly details: Details;
  /** what upstream calls the default track, where that is known */
  readonly declaredTrack?: string;
  /** the default track that the operator chose, over what upstream calls so */
  readonly chosenTrack?: string;
  /** what a channel without a track means here; a release of it is held whenever any is */
  readonly defaultTrack: string;
  /** newest first */
  readonly revisions: readonly Revision[];
  readonly resources: readonly Resource[];
  /** the open channel map, one row a channel and base, in the order of `compareReleases` */
  readonly releases: readonly Release[];
  /** rows that were replaced, newest first */
  readonly history: readonly Release[];
  /** account assertion of the publisher, as imported */
  readonly publisherAssertion?: Digest;
  /** rows that are offered in place of those of the channel map until they end; absent: none */
  readonly overrides?: readonly Override[];
}

/** What an archive says of a package, before the store's own knowledge is added. */
export interface Incoming extends Omit<Package, "formerIds" | "defaultTrack" | "chosenTrack" | "releases" | "history" | "overrides"> {
  readonly releases: readonly IncomingRelease[];
}

export interface IncomingRelease extends Omit<Release, "resources"> {
  /** absent: the archive does not say */
  readonly resources?: Readonly<Record<string, number>>;
}

/** A channel that moved. `from` null: it was opened. Equal revisions: only its resources moved. */
export interface Change {
  readonly channel: string;
  readonly base: Base | null;
  readonly from: number | null;
  readonly to: number;
}

export interface Merged {
  readonly package: Package;
  /** rows not published: their revision is neither in the archive nor in the store */
  readonly dropped: readonly IncomingRelease[];
  /** pins not published, for the same reason */
  readonly missingResources: readonly { readonly name: string; readonly revision: number }[];
  readonly notes: readonly string[];
}

export type ChannelPolicy = "apply" | "keep";

export function findRevision(pkg: Pick<Package, "revisions">, revision: number): Revision | undefined {
  return pkg.revisions.find((r) => r.revision === revision);
}

/** Without a number the newest. */
export function findResource(pkg: Pick<Package, "resources">, name: string, revision?: number): ResourceRevision | undefined {
  const found = pkg.resources.find((r) => r.name === name)?.revisions;
  return found?.find((r) => (revision === undefined ? !r.aside : r.revision === revision));
}

/** The newest revision that is not aside; undefined: all that is held is had by number alone. */
export function newestRevision(pkg: Pick<Package, "revisions">): Revision | undefined {
  return pkg.revisions.find((r) => !r.aside);
}

/** The parts of a release's channel; it was parsed when it was imported. */
export function channelOf(release: Pick<Release, "channel">): FullChannel {
  const { track = "latest", ...rest } = parseChannel(release.channel) ?? { risk: "stable" as const };
  return { ...rest, track };
}

/** Default track first, then tracks in held order; inside a track stable to edge, best base first, newest revision first. */
export function compareReleases(tracks: readonly string[]): (a: Release, b: Release) => number {
  const bases = compareBases("24.04");
  return (a, b) => {
    const [x, y] = [channelOf(a), channelOf(b)];
    return (
      tracks.indexOf(x.track) - tracks.indexOf(y.track) ||
      compareRisk(x, y) ||
      (a.base && b.base ? bases(a.base, b.base) : 0) ||
      b.revision - a.revision
    );
  };
}

/** Tracks of these rows in first-seen order, the default track first. */
export function trackOrder(releases: readonly Pick<Release, "channel">[], defaultTrack: string): string[] {
  return [...new Set([defaultTrack, ...releases.map((r) => channelOf(r).track)])];
}

/**
 * Adds what an archive says to what is held. Throws a `refused` failure where the two contradict each other.
 * `keep`: a package already held keeps its channel map.
 */
export function merge(held: Package | undefined, incoming: Incoming, policy: ChannelPolicy = "apply"): Merged {
  if (held && held.type !== incoming.type)
    throw refused(`${incoming.name} is a ${held.type} in the store and a ${incoming.type} in the archive`);
  const notes: string[] = [];
  const revisions = mergeRevisions(held, incoming);
  const resources = mergeResources(held, incoming);
  const keep = held !== undefined && policy === "keep";
  const { releases, history, dropped, missingResources } = keep
    ? { releases: held.releases, history: held.history, dropped: [], missingResources: [] }
    : mergeReleases(held, incoming, { revisions, resources });
  if (keep) notes.push("its channel map was kept as it is");

  const declaredTrack = incoming.declaredTrack ?? held?.declaredTrack;
  const { track, note } = settleTrack({ declared: declaredTrack, chosen: held?.chosenTrack, current: held?.defaultTrack }, releases);
  if (note && track !== held?.defaultTrack) notes.push(note);
  const publisherAssertion = incoming.publisherAssertion ?? held?.publisherAssertion;
  return {
    package: {
      type: incoming.type,
      name: incoming.name,
      ...mergeIdentity(held, incoming),
      ...(declaredTrack !== undefined && { declaredTrack }),
      ...(held?.chosenTrack !== undefined && { chosenTrack: held.chosenTrack }),
      defaultTrack: track,
      revisions,
      resources,
      releases: releases.toSorted(compareReleases(trackOrder(releases, track))),
      history,
      ...(publisherAssertion && { publisherAssertion }),
      ...(held?.overrides && { overrides: held.overrides }),
    },
    dropped,
    missingResources,
    notes,
  };
}

function mergeIdentity(held: Package | undefined, incoming: Incoming): Pick<Package, "id" | "formerIds" | "declared" | "details"> {
  if (!held) return { id: incoming.id, formerIds: [], declared: incoming.declared, details: incoming.details };
  if (held.declared && incoming.declared && held.id !== incoming.id)
    throw refused(`${incoming.name} has the package id ${held.id} in the store and ${incoming.id} in the archive`);
  const winner = incoming.declared || !held.declared ? incoming : held;
  // A rebuilt id never replaces another: applications were deployed under the one that is held.
  const id = incoming.declared ? incoming.id : held.id;
  const formerIds = [...new Set([...held.formerIds, held.id])].filter((former) => former !== id);
  return { id, formerIds, declared: winner.declared, details: winner.details };
}

function mergeRevisions(held: Package | undefined, incoming: Incoming): Revision[] {
  const all = new Map(held?.revisions.map((r) => [r.revision, r]));
  for (const r of incoming.revisions) {
    const known = all.get(r.revision);
    if (known && known.blob !== r.blob)
      throw refused(
        `${incoming.name} revision ${r.revision} has other bytes than before: sha256 ${known.blob} is held, ${r.blob} was given`,
      );
    if (!known || known.aside || incoming.declared) all.set(r.revision, { ...r, createdAt: created(held, known, r) });
  }
  return [...all.values()].toSorted((a, b) => b.revision - a.revision);
}

function mergeResources(held: Package | undefined, incoming: Incoming): Resource[] {
  const all = new Map(held?.resources.map((r) => [r.name, new Map(r.revisions.map((one) => [one.revision, one]))]));
  for (const { name, revisions } of incoming.resources) {
    const known = all.get(name) ?? new Map<number, ResourceRevision>();
    all.set(name, known);
    for (const r of revisions) {
      const before = known.get(r.revision);
      if (before && before.blob !== r.blob)
        throw refused(
          `resource ${name} revision ${r.revision} of ${incoming.name} has other bytes than before: sha256 ${before.blob} is held, ${r.blob} was given`,
        );
      if (!before || before.aside || incoming.declared) known.set(r.revision, { ...r, createdAt: created(held, before, r) });
    }
  }
  return [...all]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => ({ name, revisions: [...one.values()].toSorted((a, b) => b.revision - a.revision) }));
}

/** An archive that tells no times is read with the time of the import, which must not make the same import a change. */
function created(held: Package | undefined, before: { createdAt: string } | undefined, now: { createdAt: string }): string {
  return held?.declared && before ? before.createdAt : now.createdAt;
}

function mergeReleases(
  held: Package | undefined,
  incoming: Incoming,
  all: Pick<Package, "revisions" | "resources">,
): Pick<Merged, "dropped" | "missingResources"> & Pick<Package, "releases" | "history"> {
  const open = new Map(held?.releases.map((r) => [rowKey(r), r]));
  const history = [...(held?.history ?? [])];
  const dropped: IncomingRelease[] = [];
  const missing = new Map<string, { name: string; revision: number }>();
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
    const before = open.get(rowKey(row));
    if (before?.revision === row.revision && samePins(before.resources, resources)) continue;
    if (before) history.unshift(before);
    open.set(rowKey(row), { channel: row.channel, base: row.base, revision: row.revision, releasedAt: row.releasedAt, resources });
  }
  return { releases: [...open.values()], history, dropped, missingResources: [...missing.values()] };
}

/** The channels that differ between two states of a package, in the order of the later one. */
export function changes(before: Package | undefined, after: Package): Change[] {
  const was = new Map(before?.releases.map((r) => [rowKey(r), r]));
  return after.releases.flatMap((r) => {
    const from = was.get(rowKey(r));
    if (from?.revision === r.revision && samePins(from.resources, r.resources)) return [];
    return [{ channel: r.channel, base: r.base, from: from?.revision ?? null, to: r.revision }];
  });
}

/** Revisions below 0 have no number yet: charms built here, -1 for the first of an archive, -2 for the second. */
export const UNNUMBERED = -1;

/** Gives unnumbered revisions their numbers: the one that the bytes have already, else the next. */
export function numbered(held: Package | undefined, incoming: Incoming): Incoming {
  const own = incoming.revisions.filter((r) => r.revision <= UNNUMBERED).toSorted((a, b) => b.revision - a.revision);
  let highest = Math.max(0, ...[...(held?.revisions ?? []), ...incoming.revisions].map((r) => r.revision));
  const numbers = new Map(own.map((r) => [r.revision, held?.revisions.find(({ blob }) => blob === r.blob)?.revision ?? (highest += 1)]));
  const renumber = <T extends { readonly revision: number }>(one: T): T => ({
    ...one,
    revision: numbers.get(one.revision) ?? one.revision,
  });
  return {
    ...incoming,
    revisions: incoming.revisions.map((r) => (numbers.has(r.revision) ? { ...renumber(r), version: String(numbers.get(r.revision)) } : r)),
    releases: incoming.releases.map(renumber),
  };
}

/** What the archive carries of the resources that a revision declares, newest first: it was exported with them. */
function newest(incoming: Incoming, revision: Revision): Record<string, number> {
  const carried = incoming.resources.filter((r) => revision.resources.includes(r.name));
  return Object.fromEntries(carried.flatMap(({ name, revisions: [first] }) => (first ? [[name, first.revision]] : [])));
}

export function rowKey(row: Pick<Release, "channel" | "base">): string {
  return `${row.channel} ${baseKey(row.base)}`;
}

function samePins(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const [x, y] = [Object.entries(a), Object.entries(b)];
  return x.length === y.length && x.every(([name, pin]) => Object.hasOwn(b, name) && b[name] === pin);
}

/** A default track without a release would make a plain `juju deploy` fail, so one that is held is chosen. */
export function settleTrack(
  {
    declared,
    chosen,
    current,
  }: { readonly declared?: string | undefined; readonly chosen?: string | undefined; readonly current?: string | undefined },
  releases: readonly Release[],
): { track: string; note?: string } {
  const held = new Set(releases.map((r) => channelOf(r).track));
  for (const track of [chosen, declared, current]) if (track !== undefined && held.has(track)) return { track };
  const stable = releases.find((r) => channelOf(r).risk === "stable") ?? releases[0];
  if (!stable) return { track: declared ?? current ?? "latest" };
  const { track } = channelOf(stable);
  if (declared === undefined) return held.size === 1 ? { track } : { track, note: `its default track is not known, so it is ${track}` };
  return { track, note: `no release of its default track ${declared} is held, so its default track is ${track}` };
}

/** `14/stable  ubuntu@22.04 amd64`, as operators read a row. */
export function showRow(row: Pick<Release, "channel" | "base">): string {
  return row.base ? `${row.channel} ${showBase(row.base)}` : row.channel;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** A stable id for a package whose own is not known: 32 letters and digits, the same for a name on every machine. */
export function mintId(name: string): string {
  let number = BigInt(`0x${createHash("sha256").update(`chp package ${name}`).digest("hex")}`);
  let id = "";
  for (; id.length < 32; number /= 62n) id += LETTERS[Number(number % 62n)];
  return id;
}
