/** The trash: what a collection moved there can be restored until a later collection deletes it. */

import type { Digest } from "../src/digest.ts";
import { blobKey, TRASH, trashed } from "./keys.ts";
import type { Storage, StoredObject } from "./storage.ts";

/** A blob in the trash, or restored since it was looked for: a generation that has just been linked may name it. */
export async function openTrashed(storage: Storage, digest: Digest): Promise<StoredObject | undefined> {
  const key = (await storage.list(TRASH)).find((name) => trashed(name)?.digest === digest);
  return (key === undefined ? undefined : await storage.open(key)) ?? storage.open(blobKey(digest));
}

/** Restores those of these blobs that are in the trash and nowhere else; returns how many. */
export async function restore(storage: Storage, digests: readonly Digest[]): Promise<number> {
  const missing = new Set(digests.filter((digest) => !storage.has(blobKey(digest))));
  if (missing.size === 0) return 0;
  let count = 0;
  for (const key of await storage.list(TRASH)) {
    const found = trashed(key);
    if (found && missing.has(found.digest) && (await storage.move(key, blobKey(found.digest)))) count += 1;
  }
  if (count > 0) await storage.flush();
  return count;
}
