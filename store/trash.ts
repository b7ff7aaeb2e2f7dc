/** Blobs that gc moved to the trash can be restored until a later gc deletes them. */

import type { Digest } from "../src/digest.ts";
import { BLOB_FOLDERS, blobDigest, blobKey, parseTrashKey, TRASH } from "./keys.ts";
import type { Storage, StoredObject } from "./storage.ts";

/** how often blobs are looked for that are neither in their place nor in the trash: gc may be moving them from one to the other */
const LOOKS = 4;

/** Opens a blob in the trash, where gc may have moved it a moment ago, or in its place if it was restored since. Undefined: it is missing. */
export async function openTrashed(storage: Storage, digest: Digest): Promise<StoredObject | undefined> {
  const key = (await storage.list(TRASH)).find((name) => parseTrashKey(name)?.digest === digest);
  return (key === undefined ? undefined : await storage.open(key)) ?? storage.open(blobKey(digest));
}

/** Moves the blobs back that are only in the trash; `restored`: how many, `missing`: those that are nowhere. */
export async function restoreTrashed(
  storage: Storage,
  digests: readonly Digest[],
): Promise<{ readonly restored: number; readonly missing: ReadonlySet<Digest> }> {
  let missing = await absent(storage, digests);
  let restored = 0;
  for (let look = 0; look < LOOKS && missing.size > 0; look += 1) {
    for (const key of await storage.list(TRASH)) {
      const digest = parseTrashKey(key)?.digest;
      if (digest && missing.has(digest) && (await storage.move(key, blobKey(digest)))) {
        missing.delete(digest);
        restored += 1;
      }
    }
    missing = await absent(storage, missing);
  }
  if (restored > 0) await storage.flush();
  return { restored, missing };
}

/** Blobs of which the list of their folders takes less than a look for each. */
const MANY = 4 * BLOB_FOLDERS.length;

async function absent(storage: Storage, digests: readonly Digest[] | ReadonlySet<Digest>): Promise<Set<Digest>> {
  if (("size" in digests ? digests.size : digests.length) >= MANY) {
    const unlisted = new Set(digests);
    for (const folder of BLOB_FOLDERS)
      for (const key of await storage.list(folder)) {
        const digest = blobDigest(key);
        if (digest) unlisted.delete(digest);
      }
    return unlisted;
  }
  const missing = new Set<Digest>();
  for (const digest of digests) if (!(await storage.has(blobKey(digest)))) missing.add(digest);
  return missing;
}
