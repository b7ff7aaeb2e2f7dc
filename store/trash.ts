/** Blobs that gc moved to the trash can be restored until a later gc deletes them. */

import type { Digest } from "../src/digest.ts";
import { blobKey, parseTrashKey, TRASH } from "./keys.ts";
import type { Storage, StoredObject } from "./storage.ts";

/** Opens a blob in the trash, where gc may have moved it a moment ago, or in its place if it was restored since. Undefined: it is missing. */
export async function openTrashed(storage: Storage, digest: Digest): Promise<StoredObject | undefined> {
  const key = (await storage.list(TRASH)).find((name) => parseTrashKey(name)?.digest === digest);
  return (key === undefined ? undefined : await storage.open(key)) ?? storage.open(blobKey(digest));
}

/** Moves the blobs back that are only in the trash; returns how many. */
export async function restoreTrashed(storage: Storage, digests: readonly Digest[]): Promise<number> {
  const missing = new Set(digests.filter((digest) => !storage.has(blobKey(digest))));
  if (missing.size === 0) return 0;
  let count = 0;
  for (const key of await storage.list(TRASH)) {
    const digest = parseTrashKey(key)?.digest;
    if (digest && missing.has(digest) && (await storage.move(key, blobKey(digest)))) count += 1;
  }
  if (count > 0) await storage.flush();
  return count;
}
