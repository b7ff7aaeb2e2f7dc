/**
 * The garbage collector. It prunes old generations, moves blobs that no retained generation names to the trash, and deletes
 * what an earlier gc moved there. Servers and imports may run at the same time.
 */

import type { Digest } from "../src/digest.ts";
import { mapBounded } from "../src/parallel.ts";
import { collectBucket } from "./bucketgc.ts";
import { BLOB_FOLDERS, blobDigest, blobKey, generationKey, parseTrashKey, TRASH, trashKey } from "./keys.ts";
import { endLeases } from "./lease.ts";
import { addTo, type GcOptions, type GcReport, HOUR, markReachable, markSince, selectGenerations } from "./retained.ts";
import type { Store } from "./store.ts";
import { restoreTrashed } from "./trash.ts";

/** concurrent file operations; each mostly waits for the disk */
const PARALLEL = 64;

/** Runs one collection. Fails with `corrupt`, and moves nothing, if a retained generation cannot be read: what it names is unknown then. */
export async function collectGarbage(store: Store, options: GcOptions): Promise<GcReport> {
  const { storage } = store;
  if (storage.prepareRemoval) return collectBucket(store, options);
  const now = await storage.clock();
  const selected = await selectGenerations(store, options, now);
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
