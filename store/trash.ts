/** What a collection put aside: it can be taken back until a later one deletes it. */

import type { Digest } from "../src/digest.ts";
import { blobKey, TRASH, trashed } from "./keys.ts";
import type { Storage, StoredObject } from "./storage.ts";

/** A blob that was put aside, or taken back since it was looked for: a generation that has just been linked may name it. */
export async function openTrashed(storage: Storage, digest: Digest): Promise<StoredObject | undefined> {
  const key = (await storage.list(TRASH)).find((one) => trashed(one)?.digest === digest);
  return (key === undefined ? undefined : await storage.open(key)) ?? storage.open(blobKey(digest));
}

/** Takes back every one of these blobs that is in the trash and nowhere else; how many there were. */
export async function takeBack(storage: Storage, digests: readonly Digest[]): Promise<number> {
  const lacking = new Set(digests.filter((digest) => !storage.has(blobKey(digest))));
  if (lacking.size === 0) return 0;
  let count = 0;
  for (const key of await storage.list(TRASH)) {
    const found = trashed(key);
    if (found && lacking.has(found.digest) && (await storage.move(key, blobKey(found.digest)))) count += 1;
  }
  if (count > 0) await storage.flush();
  return count;
}
