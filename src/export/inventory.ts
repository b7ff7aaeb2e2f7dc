/**
 * What an air-gapped store holds, by digest, for an exporter that packs only what is missing there: `chp inventory`.
 *
 * The file names bytes and the revisions that they are of, so that a person can read it; no channel, setting, time or secret.
 */

import * as v from "valibot";
import type { Package } from "../catalog/package.ts";
import type { Snap } from "../catalog/snap.ts";
import type { Algorithm, Digest } from "../digest.ts";
import { type FailureOptions, refused } from "../errors.ts";
import { checkShape, mapOf } from "../schema.ts";

const FORMAT = 1;
const AGAIN: FailureOptions = { next: "chp inventory > FILE makes one on the other side" };

/** What packages are told apart by: the digest that upstream names their bytes with. */
export type InventoryAlgorithm = Extract<Algorithm, "sha-256" | "sha3-384">;

/** What an exporter may leave out. */
export interface Inventory {
  /** Whether bytes of that digest, in lower-case hex, are held. */
  has(algorithm: InventoryAlgorithm, hex: string): boolean;
}

/** `sha-256:…`, of snaps and components `sha-256:… sha3-384:…` */
const Digests = v.pipe(
  v.string("is not text"),
  v.regex(/^sha-256:[0-9a-f]{64}( sha3-384:[0-9a-f]{96})?$/, "is not sha-256:HEX or sha-256:HEX sha3-384:HEX"),
);
/** Revision → digests; negative ones are of what was built there. */
const Revisions = mapOf(Digests);
const Part = mapOf(Revisions);
const InventoryText = v.object({
  format: v.literal(FORMAT, `is not ${FORMAT}, which this chp reads`),
  charms: mapOf(v.object({ revisions: Revisions, resources: v.optional(Part, {}) })),
  bundles: mapOf(v.object({ revisions: Revisions })),
  snaps: mapOf(v.object({ revisions: Revisions, components: v.optional(Part, {}) })),
});

type StoredFile = { readonly revision: number; readonly blob: Digest; readonly size: number; readonly "sha3-384"?: string };

/**
 * The text of an inventory: the same bytes for the same holdings. Whatever a client can get counts, by channel or by number
 * alone. `isHeld`: whether the store has so many bytes of that name.
 */
export async function formatInventory(
  packages: readonly Package[],
  snaps: readonly Snap[],
  isHeld: (blob: Digest, size: number) => Promise<boolean>,
): Promise<string> {
  const revisionsOf = async (entries: readonly StoredFile[]) => {
    const found = await Promise.all(entries.map(async (one) => ((await isHeld(one.blob, one.size)) ? [one] : [])));
    const rows = found.flat().toSorted((a, b) => a.revision - b.revision);
    return Object.fromEntries(rows.map((one) => [String(one.revision), digestsOf(one)]));
  };
  const partsOf = async (parts: readonly { readonly name: string; readonly revisions: readonly StoredFile[] }[]) => {
    const all = await Promise.all(parts.toSorted(byName).map(async ({ name, revisions }) => [name, await revisionsOf(revisions)] as const));
    return Object.fromEntries(all.filter(([, revisions]) => Object.keys(revisions).length > 0));
  };
  const charms: [string, unknown][] = [];
  const bundles: [string, unknown][] = [];
  for (const { type, name, revisions, resources } of packages.toSorted(byName)) {
    const held = await revisionsOf(revisions);
    if (type === "bundle") bundles.push([name, { revisions: held }]);
    else charms.push([name, { revisions: held, resources: await partsOf(resources) }]);
  }
  const held: [string, unknown][] = [];
  for (const { name, revisions, components } of snaps.toSorted(byName))
    held.push([name, { revisions: await revisionsOf(revisions), components: await partsOf(components) }]);
  const [ofCharms, ofBundles, ofSnaps] = [charms, bundles, held].map((all) => Object.fromEntries(all));
  return `${JSON.stringify({ format: FORMAT, charms: ofCharms, bundles: ofBundles, snaps: ofSnaps }, null, 1)}\n`;
}

function digestsOf(entry: StoredFile): string {
  const sha3 = entry["sha3-384"];
  return `sha-256:${entry.blob}${sha3 === undefined ? "" : ` sha3-384:${sha3}`}`;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Reads what `chp inventory` printed. Throws a `refused` failure that begins with `what` and names the field. */
export function readInventory(text: string, what: string): Inventory {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refused(`${what} is not JSON`, { ...AGAIN, cause: error });
  }
  const { charms, bundles, snaps } = checkShape(InventoryText, value, what, AGAIN);
  const parts = [
    ...Object.values(charms).flatMap(({ revisions, resources }) => [revisions, ...Object.values(resources)]),
    ...Object.values(bundles).map(({ revisions }) => revisions),
    ...Object.values(snaps).flatMap(({ revisions, components }) => [revisions, ...Object.values(components)]),
  ];
  const held = new Set(parts.flatMap((revisions) => Object.values(revisions).flatMap((digests) => digests.split(" "))));
  return { has: (algorithm, hex) => held.has(`${algorithm}:${hex}`) };
}
