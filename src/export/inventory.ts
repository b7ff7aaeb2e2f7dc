/**
 * The files of an air-gapped store by digest, so that an export packs only those that are missing there: `chp inventory`.
 *
 * An inventory lists digests with their revisions, so that people can read it. It has no channels, settings, times or secrets.
 */

import * as v from "valibot";
import type { AgentRelease } from "../catalog/agents.ts";
import type { Package } from "../catalog/package.ts";
import type { Repository } from "../catalog/repository.ts";
import type { Snap } from "../catalog/snap.ts";
import type { Algorithm, Digest } from "../digest.ts";
import { type FailureOptions, refused } from "../errors.ts";
import { checkShape, mapByName } from "../schema.ts";
import { compareText } from "../text.ts";

const FORMAT = 1;
const HOW_TO_MAKE: FailureOptions = { next: "chp inventory > FILE makes one on the other side" };

/** The digest that upstream gives for files of packages. */
export type InventoryAlgorithm = Extract<Algorithm, "sha-256" | "sha3-384">;

/** The files that an exporter may leave out. */
export interface Inventory {
  /** Whether the other store has bytes of that digest, in lower-case hex. */
  has(algorithm: InventoryAlgorithm, hex: string): boolean;
}

/** `sha-256:…`, of snaps and components `sha-256:… sha3-384:…` */
const Digests = v.pipe(
  v.string("is not text"),
  v.regex(/^sha-256:[0-9a-f]{64}( sha3-384:[0-9a-f]{96})?$/, "is not sha-256:HEX or sha-256:HEX sha3-384:HEX"),
);
/** Revision → digests; negative revisions were built by the operators there. */
const Revisions = mapByName(Digests);
const RevisionsByName = mapByName(Revisions);
const InventorySchema = v.object({
  format: v.literal(FORMAT, `is not ${FORMAT}, which this chp reads`),
  charms: mapByName(v.object({ revisions: Revisions, resources: v.optional(RevisionsByName, {}) })),
  bundles: mapByName(v.object({ revisions: Revisions })),
  snaps: mapByName(v.object({ revisions: Revisions, components: v.optional(RevisionsByName, {}) })),
  /** repository → the manifests, configs and layers of its images */
  images: v.optional(mapByName(v.array(Digests)), {}),
  /** version of Juju → its agents, and the signed texts that name them */
  agents: v.optional(mapByName(v.array(Digests)), {}),
});

type StoredFile = { readonly revision: number; readonly blob: Digest; readonly size: number; readonly "sha3-384"?: string };

/**
 * The text of an inventory: the same bytes for the same content. It lists every revision that a client can get, by channel or
 * by revision number only, what images are made of, and agents. `isStored`: whether the store has that blob, at that size in bytes.
 */
export async function formatInventory(
  packages: readonly Package[],
  snaps: readonly Snap[],
  isStored: (blob: Digest, size: number) => Promise<boolean>,
  { repositories = [], agents = [] }: { readonly repositories?: readonly Repository[]; readonly agents?: readonly AgentRelease[] } = {},
): Promise<string> {
  const revisionsOf = async (entries: readonly StoredFile[]) => {
    const found = await Promise.all(entries.map(async (entry) => ((await isStored(entry.blob, entry.size)) ? [entry] : [])));
    const stored = found.flat().toSorted((a, b) => a.revision - b.revision);
    return Object.fromEntries(stored.map((entry) => [String(entry.revision), formatDigests(entry)]));
  };
  const partsOf = async (parts: readonly { readonly name: string; readonly revisions: readonly StoredFile[] }[]) => {
    const all = await Promise.all(parts.toSorted(byName).map(async ({ name, revisions }) => [name, await revisionsOf(revisions)] as const));
    return Object.fromEntries(all.filter(([, revisions]) => Object.keys(revisions).length > 0));
  };
  const charms: [string, unknown][] = [];
  const bundles: [string, unknown][] = [];
  for (const { type, name, revisions, resources } of packages.toSorted(byName)) {
    const stored = await revisionsOf(revisions);
    if (type === "bundle") bundles.push([name, { revisions: stored }]);
    else charms.push([name, { revisions: stored, resources: await partsOf(resources) }]);
  }
  const snapEntries: [string, unknown][] = [];
  for (const { name, revisions, components } of snaps.toSorted(byName))
    snapEntries.push([name, { revisions: await revisionsOf(revisions), components: await partsOf(components) }]);
  const blobsOf = async (all: readonly (Repository | AgentRelease)[]) => {
    const entries: [string, string[]][] = [];
    for (const { name, blobs } of all.toSorted(byName)) {
      const found = await Promise.all(blobs.map(async ({ digest, size }) => ((await isStored(digest, size)) ? [`sha-256:${digest}`] : [])));
      entries.push([name, found.flat()]);
    }
    return Object.fromEntries(entries);
  };
  const inventory = {
    format: FORMAT,
    charms: Object.fromEntries(charms),
    bundles: Object.fromEntries(bundles),
    snaps: Object.fromEntries(snapEntries),
    ...(repositories.length > 0 && { images: await blobsOf(repositories) }),
    ...(agents.length > 0 && { agents: await blobsOf(agents) }),
  };
  return `${JSON.stringify(inventory, null, 1)}\n`;
}

function formatDigests(entry: StoredFile): string {
  const sha3 = entry["sha3-384"];
  return `sha-256:${entry.blob}${sha3 === undefined ? "" : ` sha3-384:${sha3}`}`;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compareText(a.name, b.name);
}

/** Reads what `chp inventory` printed. Throws a `refused` failure that begins with `what` and names the field. */
export function readInventory(text: string, what: string): Inventory {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refused(`${what} is not JSON`, { ...HOW_TO_MAKE, cause: error });
  }
  const { charms, bundles, snaps, images, agents } = checkShape(InventorySchema, value, what, HOW_TO_MAKE);
  const parts = [
    ...Object.values(charms).flatMap(({ revisions, resources }) => [revisions, ...Object.values(resources)]),
    ...Object.values(bundles).map(({ revisions }) => revisions),
    ...Object.values(snaps).flatMap(({ revisions, components }) => [revisions, ...Object.values(components)]),
  ];
  const entries = [
    ...parts.flatMap((revisions) => Object.values(revisions)),
    ...Object.values(images).flat(),
    ...Object.values(agents).flat(),
  ];
  const digests = new Set(entries.flatMap((entry) => entry.split(" ")));
  return { has: (algorithm, hex) => digests.has(`${algorithm}:${hex}`) };
}
