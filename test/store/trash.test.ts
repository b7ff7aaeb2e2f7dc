/** What is moved back from the trash, of a few blobs, which are looked for one by one, and of many, whose folders are listed. */

import { expect, test } from "bun:test";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { BLOB_FOLDERS, blobKey, trashKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { restoreTrashed } from "../../store/trash.ts";

test.each([1, 5 * BLOB_FOLDERS.length])("of what is there, what is in the trash and what is nowhere, beside %d others", async (others) => {
  const storage = new Memory();
  const contents = ["trashed", "nowhere", ...Array.from({ length: others }, (_, i) => `${i}`)].map((text) => Buffer.from(text));
  const digests: Digest[] = contents.map((bytes) => sumsOf(bytes)["sha-256"]);
  const [trashed, nowhere] = digests as [Digest, Digest];
  for (const [i, digest] of digests.entries()) await storage.create(blobKey(digest), contents[i] ?? Buffer.alloc(0));
  await storage.move(blobKey(trashed), trashKey(trashed, 1_000));
  await storage.remove(blobKey(nowhere));
  let looks = 0;
  const has = storage.has.bind(storage);
  storage.has = (key) => {
    looks += 1;
    return has(key);
  };
  expect(await restoreTrashed(storage, digests)).toEqual({ restored: 1, missing: new Set([nowhere]) });
  expect(await storage.list("trash/")).toEqual([]);
  expect(has(blobKey(trashed))).toBe(true);
  expect(looks).toBeLessThan(20); // many are not looked for one by one
});
