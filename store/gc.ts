/**
 * The garbage collector. It prunes old generations, moves blobs that no retained generation names to the trash, and deletes
 * what an earlier gc moved there. Servers and imports may run at the same time.
 */

import type { Generation } from "../src/catalog/generation-types.ts";
import { clockProblem } from "../src/clock.ts";
import type { Digest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { mapBounded } from "../src/parallel.ts";
import { BLOB_FOLDERS, blobDigest, blobKey, generationKey, parseTrashKey, TRASH, trashKey } from "./keys.ts";
import { endLeases } from "./lease.ts";
import { blobsOf } from "./reach.ts";
import type { Store } from "./store.ts";
import { restoreTrashed } from "./trash.ts";

/** concurrent file operations; each mostly waits for the disk */
const PARALLEL = 64;
const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

export interface GcOptions {
  /** how many generations are retained whatever their age; at least 1 */
  readonly generations: number;
  /** generations up to this age in days are retained */
  readonly days: number;
  /** blobs younger than this, in hours, are left alone: an import may be about to name them */
  readonly hours: number;
  readonly dryRun: boolean;
  readonly signal?: AbortSignal;
  /** `done` of `steps`: generations that are read, and folders of blobs */
  onProgress?(done: number, steps: number, what: string): void;
}

export const GC_DEFAULTS = { generations: 10, days: 30, hours: 24 } as const;

export interface GcReport {
  readonly dryRun: boolean;
  /** numbers of the generations that were deleted: a rollback to them is impossible */
  readonly pruned: readonly number[];
  readonly kept: readonly number[];
  /** unreferenced blobs that were moved to the trash; a later gc deletes them */
  readonly aside: { readonly blobs: number; readonly bytes: number };
  /** blobs from the trash that were deleted */
  readonly deleted: { readonly blobs: number; readonly bytes: number };
  /** blobs that were moved back from the trash, since a generation names them */
  readonly restored: number;
  /** unreferenced blobs that were left alone because of their age */
  readonly young: { readonly blobs: number; readonly bytes: number };
  /** live leases of imports and other changes: while there are any, nothing is pruned or deleted from the trash */
  readonly leases: number;
}

/** Runs one collection. Fails with `corrupt`, and moves nothing, if a retained generation cannot be read: what it names is unknown then. */
export async function collectGarbage(store: Store, options: GcOptions): Promise<GcReport> {
  const { storage } = store;
  const now = await storage.clock();
  const selected = await selectGenerations(store, options, now);
  const newest = selected.kept.at(-1) ?? selected.pruned.at(-1);
  const odd = clockProblem(now, newest && Date.parse(newest.time));
  if (odd !== undefined)
    throw new Failure("failed", `${odd}: by that clock nothing is too old, so nothing was collected`, {
      next: "set the clock; where it is right, publish something first (chp import), and run chp gc again",
    });
  // Leases after the listing: who publishes under one that is taken later sees at least these generations, so it takes no number
  // that is free again.
  const publishers = await endLeases(storage, options);
  const retained = publishers > 0 ? [...selected.pruned, ...selected.kept] : selected.kept;
  const pruned = publishers > 0 ? [] : selected.pruned.map(({ number }) => number);
  const seen = new Set<Digest>();
  const steps = retained.length + BLOB_FOLDERS.length;
  for (const [i, generation] of retained.entries()) {
    options.onProgress?.(i, steps, generationKey(generation.number));
    await markReachable(store, generation, seen);
  }
  // Generations are pruned before blobs are moved, so a listed generation is complete. Each is durably gone before the next, the
  // oldest first: what a crash leaves has no gap. What an earlier gc pruned may not be durable yet: it may have ended before.
  if (!options.dryRun) {
    if (retained.length > 0) await storage.flush([generationKey(1)]);
    for (const number of pruned) {
      await storage.remove(generationKey(number));
      await storage.flush();
    }
  }
  const since = (retained.at(-1)?.number ?? 0) + 1;
  const { leases, deleted, restored } = await emptyTrash(store, { seen, since, now, ...options });
  const aside = { blobs: 0, bytes: 0 };
  const young = { blobs: 0, bytes: 0 };
  const limit = now - options.hours * HOUR;
  for (const [i, folder] of BLOB_FOLDERS.entries()) {
    if (options.signal?.aborted) break;
    options.onProgress?.(retained.length + i, steps, folder);
    await mapBounded(await storage.list(folder), PARALLEL, async (key) => {
      const digest = blobDigest(key);
      if (digest === undefined || seen.has(digest)) return;
      const object = await storage.open(key);
      if (!object) return;
      if (object.modified > limit) addTo(young, object.size);
      else if (options.dryRun || (await moveToTrash(store, digest, now, limit))) addTo(aside, object.size);
    });
  }
  if (!options.dryRun) await storage.flush();
  // Generations published meanwhile: they may name blobs that were moved above. Their publishers check once more too.
  await markSince(store, since, seen);
  const again = options.dryRun ? 0 : (await restoreTrashed(storage, [...seen])).restored;
  return {
    dryRun: options.dryRun,
    pruned,
    kept: retained.map(({ number }) => number),
    aside,
    deleted,
    restored: restored + again,
    young,
    leases: Math.max(publishers, leases),
  };
}

async function selectGenerations(
  store: Store,
  { generations, days }: GcOptions,
  now: number,
): Promise<{ pruned: Generation[]; kept: Generation[] }> {
  const numbers = await store.generationNumbers();
  const pruned: Generation[] = [];
  const retained: Generation[] = [];
  for (const [i, number] of numbers.entries()) {
    const generation = await store.generation(number);
    if (!generation) continue; // another gc pruned it
    const last = i >= numbers.length - Math.max(1, generations);
    // Never out of the middle: a clock that was set back makes a later generation look older than those before it.
    if (retained.length > 0 || last || now - Date.parse(generation.time) <= days * DAY) retained.push(generation);
    else pruned.push(generation);
  }
  return { pruned, kept: retained };
}

async function markReachable(store: Store, generation: Generation, seen: Set<Digest>): Promise<void> {
  for await (const _ of blobsOf(store, generation, { seen })) continue;
}

/** Generations that were published meanwhile, from `since` on. */
async function markSince(store: Store, since: number, seen: Set<Digest>): Promise<void> {
  for (const number of await store.generationNumbers()) {
    const generation = number >= since ? await store.generation(number) : undefined;
    if (generation) await markReachable(store, generation, seen);
  }
}

/** False if an import has stored the blob again since its age was checked. */
async function moveToTrash(store: Store, digest: Digest, now: number, limit: number): Promise<boolean> {
  const { storage } = store;
  const trashName = trashKey(digest, now);
  if (!(await storage.move(blobKey(digest), trashName))) return false;
  const moved = await storage.open(trashName);
  if (!moved || moved.modified <= limit) return true;
  await storage.move(trashName, blobKey(digest));
  return false;
}

interface Emptying extends Pick<GcOptions, "hours" | "dryRun"> {
  readonly seen: Set<Digest>;
  readonly since: number;
  readonly now: number;
}

/**
 * Deletes what earlier gcs moved to the trash an hour ago, unless a lease is live. The order is what makes it safe: who needs a
 * blob of the trash without bringing it saw it in a generation before it was moved, so it has taken its lease before the trash is
 * listed. Its lease is live, or it published before the generations are listed, or it can't publish any more.
 */
async function emptyTrash(
  store: Store,
  { seen, since, now, hours, dryRun }: Emptying,
): Promise<Pick<GcReport, "leases" | "deleted" | "restored">> {
  const { storage } = store;
  const keys = await storage.list(TRASH);
  const leases = await endLeases(storage, { dryRun });
  await markSince(store, since, seen);
  const restored = dryRun ? 0 : (await restoreTrashed(storage, [...seen])).restored;
  const deleted = { blobs: 0, bytes: 0 };
  if (leases > 0) return { leases, deleted, restored };
  const limit = now - Math.min(1, hours) * HOUR;
  await mapBounded(keys, PARALLEL, async (key) => {
    const trashed = parseTrashKey(key);
    if (!trashed || trashed.time > limit || (seen.has(trashed.digest) && !(await storage.has(blobKey(trashed.digest))))) return;
    const object = await storage.open(key);
    if (object && (dryRun || (await storage.remove(key)))) addTo(deleted, object.size);
  });
  if (!dryRun) await storage.flush();
  return { leases, deleted, restored };
}

function addTo(sum: { blobs: number; bytes: number }, size: number): void {
  sum.blobs += 1;
  sum.bytes += size;
}
