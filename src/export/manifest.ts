/**
 * A site file of what a store holds, whose export takes the same again: each release by its revision, on its bases and architectures, with
 * its resources, whatever the channels have by then. It has no settings, times or secrets.
 */

import { stringify as toYaml } from "yaml";
import type { AgentRelease } from "../catalog/agents.ts";
import type { Base } from "../catalog/base.ts";
import { rowFor } from "../catalog/channelmap.ts";
import { neededImages } from "../catalog/images.ts";
import { StoredImages } from "../catalog/imagesources.ts";
import { findResource, findRevision, type Package, type Release } from "../catalog/package.ts";
import { pathOfReference, splitPath } from "../catalog/registry.ts";
import { type Repository, storedImage } from "../catalog/repository.ts";
import { ANY_ARCHITECTURE, ARCHITECTURES, findSnapRevision, runsOn, SNAP_RULES, type Snap } from "../catalog/snap.ts";
import { digestText } from "../digest.ts";
import { compareText } from "../text.ts";
import type { Addition, AgentVersion } from "./sitefile.ts";

/** What is there is listed, so that nothing is added. */
const LISTED: readonly Addition[] = ["bundle-charms", "charm-snaps", "bases", "providers", "snapd"];

const NONE = "none";

export interface Manifest {
  readonly text: string;
  /** what is held and cannot be exported again, or not by this file */
  readonly notes: readonly string[];
}

interface Holdings {
  readonly packages: readonly Package[];
  readonly snaps: readonly Snap[];
  readonly repositories: readonly Repository[];
  readonly agents: readonly AgentRelease[];
}

/** The text is the same for the same holdings. */
export function formatManifest({ packages, snaps, repositories, agents }: Holdings): Manifest {
  const notes: string[] = [];
  const sorted = packages.toSorted(byName);
  const entriesOf = (type: Package["type"]) => sorted.filter((pkg) => pkg.type === type).flatMap((pkg) => packageEntries(pkg, notes));
  const images = imagesOf(sorted, repositories, notes);
  const sections = {
    charms: entriesOf("charm"),
    bundles: entriesOf("bundle"),
    snaps: snaps.toSorted(byName).flatMap((snap) => snapEntries(snap, notes)),
    images: images.references,
    agents: agents.flatMap((release) => agentEntries(release, notes)),
  };
  const listed = Object.fromEntries(Object.entries(sections).filter(([, entries]) => entries.length > 0));
  const site = { without: [...LISTED, ...images.without], ...listed };
  return { text: `${HEAD}${toYaml(site, { lineWidth: 0, flowCollectionPadding: false })}`, notes };
}

/** Those that nothing signed names are left out: no upstream hands them on. */
function agentEntries({ version, agents }: AgentRelease, notes: string[]): AgentVersion[] {
  const signed = agents.filter((agent) => agent.signed !== undefined).map(({ architecture }) => architecture);
  if (signed.length < agents.length) notes.push(`agents of Juju ${version} that upstream's streams do not name are left out`);
  return signed.length === 0 ? [] : [{ version, architectures: signed }];
}

const HEAD = `# What a store holds, by revision: chp export -f THIS takes the same again, whatever the channels have by then.
`;

/* ---- charms and bundles ---- */

type Pins = Readonly<Record<string, number>>;

type ResourceEntry = number | { readonly revision: number | typeof NONE; readonly path?: string };

interface PackageEntry {
  readonly name: string;
  readonly revision: number;
  readonly channels: readonly string[] | typeof NONE;
  readonly bases?: readonly string[];
  readonly architectures?: readonly string[];
  readonly resources?: Readonly<Record<string, ResourceEntry>>;
}

function packageEntries(pkg: Package, notes: string[]): PackageEntry[] {
  const { name, type, releases, history, revisions } = pkg;
  if (!pkg.declared) notes.push(`${name} came without the metadata of a store: where it was built here, no store has it`);
  const entries = groupedRows(pkg).map(
    ({ revision, pins, channels, places }): PackageEntry => ({
      name,
      revision,
      channels,
      ...(places && { bases: places.systems, architectures: places.architectures }),
      ...resourcesOf(pkg, revision, pins),
    }),
  );
  const taken = new Set(entries.flatMap(({ revision }) => revision));
  const held = revisions.filter((one) => !one.aside);
  for (const { revision } of held.filter((one) => !taken.has(one.revision)).toSorted((a, b) => a.revision - b.revision)) {
    const pins = history.find((row) => row.revision === revision)?.resources ?? {};
    entries.push({ name, revision, channels: NONE, ...resourcesOf(pkg, revision, pins) });
  }
  if (type === "charm") entries.push(...otherResources(pkg, entries, [...releases, ...history], notes));
  if (held.length < revisions.length) notes.push(`${name}: revisions that a rollback moved to the trash are left out`);
  return entries;
}

interface RowGroup {
  readonly revision: number;
  readonly pins: Pins;
  readonly channels: readonly string[];
  /** undefined: of a bundle */
  readonly places: Places | undefined;
}

/** Every one of the systems on every one of the architectures. */
interface Places {
  readonly systems: readonly string[];
  readonly architectures: readonly string[];
}

/** The channel map in entries: channels that have the same on the same bases are one. */
function groupedRows({ releases }: Package): RowGroup[] {
  const groups = new Map<string, { revision: number; pins: Pins; places: Places | undefined; channels: string[] }>();
  for (const [channel, rows] of groupBy(releases, (row) => row.channel))
    for (const [, alike] of groupBy(rows, ({ revision, resources }) => keyOf([revision, sortedPins(resources)]))) {
      const [first] = alike;
      if (!first) continue;
      const { revision, resources: pins } = first;
      for (const places of placesOf(alike)) {
        const key = keyOf([revision, sortedPins(pins), places ?? null]);
        const group = groups.get(key) ?? { revision, pins, places, channels: [] };
        group.channels.push(channel);
        groups.set(key, group);
      }
    }
  return [...groups.values()];
}

function placesOf(rows: readonly Release[]): (Places | undefined)[] {
  const bases = rows.flatMap(({ base }) => base ?? []);
  if (bases.length === 0) return [undefined];
  const bySystem = groupBy(bases, ({ name, channel }: Base) => `${name}@${channel}`);
  const alike = groupBy([...bySystem], ([, own]) => keyOf(own.map(({ architecture }) => architecture).toSorted()));
  return [...alike].map(([, systems]) => ({
    systems: systems.map(([system]) => system),
    architectures: (systems[0]?.[1] ?? []).map(({ architecture }) => architecture).toSorted(),
  }));
}

/** What a revision goes with: each resource that it declares or is released with, and paths that a bundle.yaml chose. */
function resourcesOf(pkg: Package, revision: number, pins: Pins): Pick<PackageEntry, "resources"> {
  const names = [...new Set([...(findRevision(pkg, revision)?.resources ?? []), ...Object.keys(pins)])].toSorted(compareText);
  const entries = names.map((name): [string, ResourceEntry] => {
    const pin = Object.hasOwn(pins, name) ? pins[name] : undefined;
    if (pin === undefined) return [name, { revision: NONE }];
    const image = findResource(pkg, name, pin)?.image;
    const path = image && image.path !== pathOfReference(image.reference) ? image.path : undefined;
    return [name, path === undefined ? pin : { revision: pin, path }];
  });
  return entries.length === 0 ? {} : { resources: Object.fromEntries(entries) };
}

/** Entries for the revisions of resources that no other entry names. */
function otherResources(pkg: Package, entries: readonly PackageEntry[], rows: readonly Release[], notes: string[]): PackageEntry[] {
  const { name, resources, revisions } = pkg;
  const taken = new Set(
    entries.flatMap((entry) =>
      Object.entries(entry.resources ?? {}).map(([resource, said]) => {
        const pin = typeof said === "number" ? said : said.revision;
        return `${resource}_${pin}`;
      }),
    ),
  );
  return resources.flatMap((resource) =>
    resource.revisions.flatMap((one) => {
      if (one.aside || taken.has(`${resource.name}_${one.revision}`)) return [];
      const beside =
        rows.find((row) => row.resources[resource.name] === one.revision)?.revision ??
        revisions.find((charm) => !charm.aside && charm.resources.includes(resource.name))?.revision;
      if (beside === undefined || !findRevision(pkg, beside)) {
        notes.push(`${name}: no revision declares the resource ${resource.name}, so its revision ${one.revision} is left out`);
        return [];
      }
      return [{ name, revision: beside, channels: NONE, ...resourcesOf(pkg, beside, { [resource.name]: one.revision }) } as const];
    }),
  );
}

/* ---- snaps ---- */

interface SnapEntry {
  readonly name: string;
  readonly revision: number;
  readonly channels: readonly string[] | typeof NONE;
  readonly architectures: readonly string[];
}

function snapEntries(snap: Snap, notes: string[]): SnapEntry[] {
  const { name, releases, revisions } = snap;
  const groups = new Map<string, { revision: number; channels: string[]; architectures: readonly string[] }>();
  for (const [channel] of groupBy(releases, (row) => row.channel)) {
    const heads = [...ARCHITECTURES].flatMap((architecture) => {
      const row = rowFor(SNAP_RULES, releases, { channel, architecture });
      const revision = row && findSnapRevision(snap, row.revision);
      return revision && !revision.aside && revision.unverified === undefined && runsOn(revision, architecture)
        ? [{ architecture, revision: revision.revision }]
        : [];
    });
    for (const [, alike] of groupBy(heads, ({ revision }) => String(revision))) {
      const [first] = alike;
      if (!first) continue;
      const architectures = alike.map(({ architecture }) => architecture);
      const key = keyOf([first.revision, architectures]);
      const group = groups.get(key) ?? { revision: first.revision, architectures, channels: [] };
      group.channels.push(channel);
      groups.set(key, group);
    }
  }
  const entries: SnapEntry[] = [...groups.values()].map((group) => ({ name, ...group }));
  const taken = new Set(entries.map(({ revision }) => revision));
  for (const one of revisions.toSorted((a, b) => a.revision - b.revision)) {
    if (one.unverified !== undefined) notes.push(`snap ${name} revision ${one.revision} does not verify, so it is left out`);
    else if (!one.aside && !taken.has(one.revision)) {
      const [architecture = ANY_ARCHITECTURE] = one.architectures;
      const on = architecture === ANY_ARCHITECTURE ? ARCHITECTURES[0] : architecture;
      entries.push({ name, revision: one.revision, channels: NONE, architectures: [on] });
    }
  }
  if (revisions.some((one) => one.aside)) notes.push(`snap ${name}: revisions that a rollback moved to the trash are left out`);
  return entries;
}

/* ---- images ---- */

interface ListedImages {
  readonly references: readonly string[];
  readonly without: readonly Addition[];
}

/** Where all images of charms are stored they come with their charms; others, and the stored ones of some, are named. */
function imagesOf(packages: readonly Package[], repositories: readonly Repository[], notes: string[]): ListedImages {
  if (repositories.length === 0) return { references: [], without: ["images"] };
  const stored = new StoredImages(repositories);
  const ofCharms = neededImages(packages, undefined).map(({ upstream }) => upstream);
  const here = ofCharms.filter((reference) => stored.find(reference));
  const others = repositories.toSorted(byName).flatMap((repository) => otherImages(repository, ofCharms, notes));
  if (here.length === ofCharms.length) return { references: others, without: [] };
  if (here.length + others.length === 0) return { references: [], without: ["images"] };
  return { references: [...new Set(here), ...others], without: ["charm-images"] };
}

/** The images of a repository that no charm names. */
function otherImages(repository: Repository, ofCharms: readonly string[], notes: string[]): string[] {
  const { name, tags, manifests, registry } = repository;
  const named = ofCharms.filter((reference) => splitPath(pathOfReference(reference)).name === name);
  const taken = new Set(named.flatMap((reference) => storedImage(repository, reference) ?? []));
  const inner = new Set([...manifests.flatMap((index) => (index.manifests ?? []).map((listed) => listed.digest)), ...Object.values(tags)]);
  const paths = [
    ...Object.entries(tags).flatMap(([tag, digest]) => (taken.has(digest) ? [] : [`${name}:${tag}@${digestText(digest)}`])),
    ...manifests.flatMap(({ digest, subject }) =>
      subject !== undefined || inner.has(digest) || taken.has(digest) ? [] : [`${name}@${digestText(digest)}`],
    ),
  ];
  if (registry !== undefined) return paths.map((path) => `${registry}/${path}`);
  notes.push(...paths.map((path) => `image ${path} is left out, since it is not known which registry it came from`));
  return [];
}

/* ---- parts ---- */

function groupBy<T>(all: readonly T[], key: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const name = key(one);
    const group = groups.get(name);
    if (group) group.push(one);
    else groups.set(name, [one]);
  }
  return groups;
}

function sortedPins(pins: Pins): [string, number][] {
  return Object.entries(pins).toSorted(([a], [b]) => compareText(a, b));
}

function keyOf(value: unknown): string {
  return JSON.stringify(value);
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compareText(a.name, b.name);
}
