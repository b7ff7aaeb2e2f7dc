/** What a collection put aside: it can be taken back until a later one deletes it. */

import type { Digest } from "../src/digest.ts";
import { blobKey, TRASH, trashed } from "./keys.ts";
import type { Storage } from "./storage.ts";

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
