/** A backup beside others that change the store: whatever happens meanwhile, it is whole. */

import { expect, test } from "bun:test";
import { copyStore } from "../../store/backup.ts";
import { generationKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { StoredObject } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { emptyCharm } from "../build.ts";

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
