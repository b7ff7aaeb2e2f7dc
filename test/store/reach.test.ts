import { describe, expect, test } from "bun:test";
import type { Generation } from "../../src/catalog/generation-types.ts";
import type { Digest } from "../../src/digest.ts";
import { blobKey } from "../../store/keys.ts";
import type { Memory } from "../../store/memory.ts";
import type { BlobReference } from "../../store/named.ts";
import { blobsOf, type Walk } from "../../store/reach.ts";
import { Store } from "../../store/store.ts";
import { bothWorlds } from "../snapworld.ts";

async function world(): Promise<{ storage: Memory; store: Store; newest: Generation }> {
  const storage = await bothWorlds();
  const store = await Store.open(storage);
  const newest = await store.generation((await store.generationNumbers()).at(-1) ?? 0);
  if (!newest) throw new Error("nothing was published");
  return { storage, store, newest };
}

async function walk(store: Store, generation: Generation, how?: Walk): Promise<BlobReference[]> {
  return Array.fromAsync(blobsOf(store, generation, how));
}

/** Other bytes under the name of a blob. */
async function damage(storage: Memory, digest: Digest): Promise<void> {
  const stage = await storage.stage();
  await stage.write(Buffer.from("damaged"));
  await stage.end();
  await stage.commit(blobKey(digest));
}

describe("what a generation names", () => {
  test("is everything that its import brought, each with its size where that is written down", async () => {
    const { store, newest } = await world();
    const named = await walk(store, newest);
    expect(new Set(named.map(({ what }) => what.kind))).toEqual(
      new Set(["index", "manifest", "assertions", "charm", "bundle", "snap", "resource", "component", "icon", "text"]),
    );
    for (const { digest, size, what } of named) {
      const blob = await store.blob(digest);
      expect({ what, size: blob?.size }).toEqual({ what, size: size ?? blob?.size ?? -1 });
    }
  });

  test("with the generations before it is all that the store holds", async () => {
    const { storage, store, newest } = await world();
    const seen = new Set<Digest>();
    for (const number of await store.generationNumbers()) {
      const generation = await store.generation(number);
      if (generation) await walk(store, generation, { seen });
    }
    const held: string[] = [];
    for (let i = 0; i < 256; i += 1) held.push(...(await storage.list(`blobs/sha256/${i.toString(16).padStart(2, "0")}/`)));
    expect(held.toSorted()).toEqual([...seen].map(blobKey).toSorted());
    expect(await walk(store, newest, { seen })).toEqual([]);
  });

  test("a manifest that cannot be read fails the walk, or is told of while the rest is named", async () => {
    const { storage, store, newest } = await world();
    const whole = await walk(store, newest);
    const tiny = whole.find(({ what }) => what.kind === "manifest" && what.package?.name === "tiny");
    if (!tiny) throw new Error("tiny is not stored");
    await damage(storage, tiny.digest);
    const failed: unknown = await walk(store, newest).catch((error: unknown) => error);
    expect(failed).toMatchObject({ kind: "corrupt" });
    const told: BlobReference[] = [];
    const rest = await walk(store, newest, { unreadable: (named) => void told.push(named) });
    expect(told).toEqual([tiny]);
    const ofTiny = ({ what }: BlobReference) => what.package?.name === "tiny" && what.kind !== "manifest";
    expect(rest).toEqual(whole.filter((one) => !ofTiny(one)));
    expect(whole.filter(ofTiny).length).toBeGreaterThan(0);
  });

  test("an index that cannot be read names nothing", async () => {
    const { storage, store, newest } = await world();
    await damage(storage, newest.index);
    const told: BlobReference[] = [];
    expect((await walk(store, newest, { unreadable: (named) => void told.push(named) })).map(({ what }) => what.kind)).toEqual(["index"]);
    expect(told.map(({ digest }) => digest)).toEqual([newest.index]);
  });
});
