/** The garbage collector: what no kept generation names is moved to the trash, and deleted by a later collection. It runs beside servers and imports. */

import type { Generation } from "../src/catalog/generation-types.ts";
import type { Digest } from "../src/digest.ts";
import { mapBounded } from "../src/parallel.ts";
import { BLOB_FOLDERS, blobDigest, blobKey, generationKey, TRASH, trashed, trashKey } from "./keys.ts";
import { blobsOf } from "./reach.ts";
import type { Store } from "./store.ts";
import { restore } from "./trash.ts";

/** small steps, of which each waits for the system */
const AT_ONCE = 64;
const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

export interface GcOptions {
  /** how many generations are kept whatever their age; at least 1 */
  readonly generations: number;
  /** generations of so many days are kept */
  readonly days: number;
  /** blobs younger than so many hours are left alone: an import may be about to name them */
  readonly hours: number;
  readonly dryRun: boolean;
  readonly signal?: AbortSignal;
}

export const GC_DEFAULTS = { generations: 10, days: 30, hours: 24 } as const;

export interface GcReport {
  readonly dryRun: boolean;
  /** numbers of generations that can't be rolled back to any more */
  readonly pruned: readonly number[];
  readonly kept: readonly number[];
  /** unnamed blobs that were moved to the trash: a later collection deletes them */
  readonly aside: { readonly blobs: number; readonly bytes: number };
  /** blobs that an earlier collection had moved to the trash: their space is free */
  readonly deleted: { readonly blobs: number; readonly bytes: number };
  /** blobs that were restored from the trash, since a generation names them */
  readonly restored: number;
  /** unnamed blobs that are too young */
  readonly young: { readonly blobs: number; readonly bytes: number };
}

/** Collects. Fails with `corrupt` where a kept generation can't be read: what it names is not known then, and nothing is moved. */
export async function collectGarbage(store: Store, options: GcOptions): Promise<GcReport> {
  const { storage } = store;
  const now = await storage.clock();
  const old = await storage.list(TRASH);
  const { pruned, kept } = await divide(store, options, now);
  const seen = new Set<Digest>();
  for (const generation of kept) await walk(store, generation, seen);
  // Pruned before anything is moved: a generation that is listed has all that it names.
  if (!options.dryRun) {
    for (const number of pruned) await storage.remove(generationKey(number));
    await storage.flush();
  }
  const aside = { blobs: 0, bytes: 0 };
  const young = { blobs: 0, bytes: 0 };
  const limit = now - options.hours * HOUR;
  for (const folder of BLOB_FOLDERS) {
    if (options.signal?.aborted) break;
    await mapBounded(await storage.list(folder), AT_ONCE, async (key) => {
      const digest = blobDigest(key);
      if (digest === undefined || seen.has(digest)) return;
      const object = await storage.open(key);
      if (!object) return;
      if (object.modified > limit) add(young, object.size);
      else if (options.dryRun || (await moveToTrash(store, digest, now, limit))) add(aside, object.size);
    });
  }
  if (!options.dryRun) await storage.flush();
  // What was published meanwhile is kept whole: its publisher restores what it names once more after it is linked.
  const since = (kept.at(-1)?.number ?? 0) + 1;
  for (const number of await store.generationNumbers()) {
    const generation = number >= since ? await store.generation(number) : undefined;
    if (generation) await walk(store, generation, seen);
  }
  const restored = options.dryRun ? 0 : await restore(storage, [...seen]);
  return {
    dryRun: options.dryRun,
    pruned,
    kept: kept.map(({ number }) => number),
    aside,
    deleted: await empty(store, old, { seen, now, ...options }),
    restored,
    young,
  };
}

async function divide(store: Store, { generations, days }: GcOptions, now: number): Promise<{ pruned: number[]; kept: Generation[] }> {
  const numbers = await store.generationNumbers();
  const pruned: number[] = [];
  const kept: Generation[] = [];
  for (const [i, number] of numbers.entries()) {
    const generation = await store.generation(number);
    if (!generation) continue; // another collection pruned it
    const last = i >= numbers.length - Math.max(1, generations);
    if (last || now - Date.parse(generation.time) <= days * DAY) kept.push(generation);
    else pruned.push(number);
  }
  return { pruned, kept };
}

async function walk(store: Store, generation: Generation, seen: Set<Digest>): Promise<void> {
  for await (const _ of blobsOf(store, generation, { seen })) continue;
}

/** False where an import brought the same bytes anew between the look at its age and this. */
async function moveToTrash(store: Store, digest: Digest, now: number, limit: number): Promise<boolean> {
  const { storage } = store;
  const trashName = trashKey(digest, now);
  if (!(await storage.move(blobKey(digest), trashName))) return false;
  const moved = await storage.open(trashName);
  if (!moved || moved.modified <= limit) return true;
  await storage.move(trashName, blobKey(digest));
  return false;
}

/** Deletes what an earlier collection moved to the trash, an hour after it: whoever was publishing then has looked for its blobs since. */
async function empty(
  store: Store,
  keys: readonly string[],
  { seen, now, hours, dryRun }: Pick<GcOptions, "hours" | "dryRun"> & { readonly seen: ReadonlySet<Digest>; readonly now: number },
): Promise<GcReport["deleted"]> {
  const { storage } = store;
  const deleted = { blobs: 0, bytes: 0 };
  const limit = now - Math.min(1, hours) * HOUR;
  await mapBounded(keys, AT_ONCE, async (key) => {
    const found = trashed(key);
    if (!found || found.time > limit || (seen.has(found.digest) && !storage.has(blobKey(found.digest)))) return;
    const object = await storage.open(key);
    if (object && (dryRun || (await storage.remove(key)))) add(deleted, object.size);
  });
  if (!dryRun) await storage.flush();
  return deleted;
}

function add(sum: { blobs: number; bytes: number }, size: number): void {
  sum.blobs += 1;
  sum.bytes += size;
}
