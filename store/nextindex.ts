/** The index of the next generation, and the blobs that a draft brings for it. */

import type { ChangeDraft, ImageChangeDraft, Index, SnapChangeDraft } from "../src/catalog/generation-types.ts";
import { checkIds } from "../src/catalog/identity.ts";
import { type Digest, type Sums, sumsOf } from "../src/digest.ts";
import { jsonBytes } from "./json.ts";
import { blobsOfDraft } from "./named.ts";

export const NO_SNAPS: SnapChangeDraft = { changed: [], dropped: [], tally: {}, assertions: 0 };
export const NO_IMAGES: ImageChangeDraft = { changed: [], dropped: [], tally: {}, required: [] };

/** Whether a draft changes nothing that a generation has. */
export function isUnchanged({ packages, dropped = [], snaps = NO_SNAPS, images = NO_IMAGES }: ChangeDraft): boolean {
  const changes = [packages, dropped, snaps.changed, snaps.dropped, images.changed, images.dropped];
  return changes.every((changed) => changed.length === 0) && !snaps.others;
}

/** The index after a draft over the one before it; `put` stores a manifest. Fails with `conflict` where an id would have two names. */
export async function indexAfter(before: Index, draft: ChangeDraft, put: (manifest: unknown) => Promise<Digest>): Promise<Index> {
  const { packages, dropped = [], snaps = NO_SNAPS, images = NO_IMAGES } = draft;
  const rows = {
    packages: new Map(Object.entries(before.packages)),
    snaps: new Map(Object.entries(before.snaps)),
    images: new Map(Object.entries(before.images)),
  };
  for (const name of dropped) rows.packages.delete(name);
  for (const pkg of packages) rows.packages.set(pkg.name, [await put(pkg), pkg.id, ...pkg.formerIds]);
  for (const name of snaps.dropped) rows.snaps.delete(name);
  for (const snap of snaps.changed) rows.snaps.set(snap.name, [await put(snap), snap.id]);
  for (const name of images.dropped) rows.images.delete(name);
  for (const repository of images.changed) rows.images.set(repository.name, [await put(repository), repository.name]);
  checkIds(Object.fromEntries(rows.packages), new Set(packages.map(({ name }) => name)));
  checkIds(Object.fromEntries(rows.snaps), new Set(snaps.changed.map(({ name }) => name)));
  const assertions = snaps.others ? await put(snaps.others) : before.assertions;
  return {
    ...before,
    packages: sortedByName(rows.packages),
    snaps: sortedByName(rows.snaps),
    images: sortedByName(rows.images),
    ...(assertions && { assertions }),
  };
}

/** Digests of the manifests and the list of assertions that a draft has written. */
export function manifestsIn(index: Index, { packages, snaps = NO_SNAPS, images = NO_IMAGES }: ChangeDraft): Digest[] {
  const rows = [
    ...packages.map(({ name }) => index.packages[name]),
    ...snaps.changed.map(({ name }) => index.snaps[name]),
    ...images.changed.map(({ name }) => index.images[name]),
  ];
  return [...rows.flatMap((row) => row?.[0] ?? []), ...(snaps.others && index.assertions ? [index.assertions] : [])];
}

/** Of all that a draft brings, stored already or not, but for its index. */
export function sumsIn({ blobs, packages, snaps = NO_SNAPS, images = NO_IMAGES }: ChangeDraft): Sums[] {
  const manifests = [...packages, ...snaps.changed, ...images.changed, ...(snaps.others ? [snaps.others] : [])];
  return [...blobs.map((blob) => blob.sums), ...manifests.map((manifest) => sumsOf(jsonBytes(manifest)))];
}

/** Sizes in bytes of the blobs that the changed manifests name; texts have none. */
export function sizesIn(draft: ChangeDraft): Map<Digest, number> {
  return new Map(blobsOfDraft(draft).flatMap(({ digest, size }) => (size === undefined ? [] : [[digest, size]])));
}

function sortedByName<T>(map: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
