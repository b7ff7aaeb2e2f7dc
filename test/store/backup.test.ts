/** A backup beside others that change the store: whatever happens meanwhile, it is whole. */

import { expect, test } from "bun:test";
import { copyStore } from "../../store/backup.ts";
import { blobKey, CATALOG, FORMAT_KEY, generationKey, UNFINISHED_COPY_KEY } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { StoredObject } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { failureOf } from "../importing.ts";

const NOW = "2026-05-01T00:00:00.000Z";

/** Does something before one object is opened for the first time. */
class Hooked extends Memory {
  key = "";
  before: () => Promise<unknown> = async () => {};

  override async open(key: string): Promise<StoredObject | undefined> {
    if (key === this.key) {
      this.key = "";
      await this.before();
    }
    return super.open(key);
  }
}

const publish = (store: Store, name: string) =>
  store.publish(NOW, async () => ({
    draft: { command: "test", sources: [], sections: { packages: { changed: [emptyCharm(name)], tally: {} } }, blobs: [] },
    result: undefined,
  }));

test("a backup has the generation that came while all that it had found were pruned", async () => {
  const storage = new Hooked();
  const store = await Store.openOrCreate(storage);
  await publish(store, "a");
  storage.before = async () => {
    await publish(store, "b");
    await storage.remove(generationKey(1));
  };
  storage.key = generationKey(1);
  const copy = Object.assign(new Memory(), { prepare: async () => {} });
  expect(await copyStore(storage, copy)).toMatchObject({ generations: [2] });
  const { index } = await (await Store.open(copy)).snapshot();
  expect(Object.keys(index.packages)).toEqual(["a", "b"]);
});

const target = () => Object.assign(new Memory(), { prepare: async () => {} });

/** A store with two generations, and a payload that both name. */
async function stored(): Promise<{ storage: Memory; payload: string }> {
  const storage = new Memory();
  const store = await Store.openOrCreate(storage);
  const blob = await store.ingestBytes(Buffer.from("payload"));
  const pkg = emptyCharm("a", { revisions: [charmRevision(1, blob.sums["sha-256"], blob.sums.size)] });
  await store.publish(NOW, async () => ({
    draft: { command: "test", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [blob] },
    result: undefined,
  }));
  await publish(store, "b");
  return { storage, payload: blobKey(blob.sums["sha-256"]) };
}

const textOf = async (storage: Memory, key: string) => Buffer.from((await (await storage.open(key))?.bytes()) ?? []).toString();

test("a backup of a damaged blob fails, and is no store", async () => {
  const { storage, payload } = await stored();
  await storage.remove(payload);
  await storage.create(payload, Buffer.from("damaged"));
  const copy = target();
  const failure = await failureOf(copyStore(storage, copy), "corrupt");
  expect([failure.message, failure.next]).toEqual([
    expect.stringContaining("content does not match its checksum"),
    "chp verify shows what is damaged",
  ]);
  expect([copy.has(payload), copy.has(FORMAT_KEY)]).toEqual([false, false]);
});

test("one that goes on takes what is cut short again, and leaves no generation that is gone", async () => {
  const { storage, payload } = await stored();
  const copy = target();
  await copyStore(storage, copy);
  // As it was when it was interrupted: it had a generation that gc has pruned since, and a blob that was not whole.
  await copy.remove(FORMAT_KEY);
  await copy.create(UNFINISHED_COPY_KEY, Buffer.from("{}"));
  await copy.remove(payload);
  await copy.create(payload, Buffer.from("pay"));
  await storage.remove(generationKey(1));
  expect(await copyStore(storage, copy)).toMatchObject({ generations: [2], copied: 1 });
  expect(await textOf(copy, payload)).toBe("payload");
  expect([await copy.list(CATALOG), copy.has(UNFINISHED_COPY_KEY)]).toEqual([[generationKey(2)], false]);
});
