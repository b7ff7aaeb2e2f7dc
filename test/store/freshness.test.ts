/** A server beside a process that publishes: what was acknowledged is served from then on. */

import { expect, test } from "bun:test";
import type { ChangeDraft } from "../../src/catalog/generation-types.ts";
import { generationKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { StoredObject } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { emptyCharm } from "../build.ts";
import { thorough } from "../thorough.ts";

const NOW = "2026-05-01T00:00:00+00:00";
const INTERLEAVINGS = thorough ? 10_000 : 100;
/** publishes on one storage: more would only make its listings long */
const ROUNDS = 25;

/** A turn of the event loop: a request of a client that waits for another process arrives in a later one. */
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await turn();
}

/** Numbers from 0 up to, not including, `limit`; the same for the same seed. */
function randomOf(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0; // mulberry32
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** The objects of another storage, as a process on a slow disk reads them. */
class Delayed extends Memory {
  readonly #of: Memory;
  readonly #delay: () => Promise<void>;

  constructor(of: Memory, delay: () => Promise<void>) {
    super();
    this.#of = of;
    this.#delay = delay;
  }

  override has(key: string): boolean | Promise<boolean> {
    return this.#of.has(key);
  }

  override async open(key: string): Promise<StoredObject | undefined> {
    await this.#delay();
    const object = await this.#of.open(key);
    await this.#delay();
    return object;
  }

  override async list(prefix: string): Promise<string[]> {
    await this.#delay();
    const keys = await this.#of.list(prefix);
    await this.#delay();
    return keys;
  }
}

function draftOf(generation: number): ChangeDraft {
  return {
    command: "test",
    sources: [],
    sections: { packages: { changed: [emptyCharm("a", { id: `ID${generation}` })], tally: {} } },
    blobs: [],
  };
}

const publish = async (store: Store, id: number) =>
  (await store.publish(NOW, async () => ({ draft: draftOf(id), result: undefined }))).generation?.number ?? 0;

test("no reader that starts after a publish was acknowledged sees an older generation, and none goes backwards", async () => {
  for (let seed = 1; seed <= INTERLEAVINGS / ROUNDS; seed += 1) {
    const random = randomOf(seed);
    const storage = new Memory();
    const publisher = await Store.openOrCreate(storage);
    const server = await Store.open(new Delayed(storage, () => turns(random(3))));
    // An empty store looks for generation 1 alone: that gc prunes it within a second of the first import is not tried.
    let acknowledged = await publish(publisher, 0);
    let seen = 0;
    const read = async (): Promise<void> => {
      await turns(random(6));
      const least = Math.max(acknowledged, seen);
      const { number } = await server.snapshot();
      if (number < least) throw new Error(`seed ${seed}: generation ${number} is served after ${least}`);
      seen = Math.max(seen, number);
    };
    for (let round = 1; round <= ROUNDS; round += 1) {
      const readers = Array.from({ length: 6 }, read);
      await turns(random(4));
      // Sometimes several before the readers look, of which gc leaves the last.
      let newest = acknowledged;
      for (let more = random(3); more >= 0; more -= 1) newest = await publish(publisher, round * 10 + more);
      await turn(); // the acknowledgement comes from another process: in a later turn
      acknowledged = newest;
      if (random(3) === 0) for (let number = 1; number < acknowledged; number += 1) await storage.remove(generationKey(number));
      await Promise.all([...readers, read(), read()]);
    }
    expect(seen).toBe(acknowledged);
  }
});

test("a read that fails does not hide the generation that could not be read", async () => {
  const storage = new Memory();
  const server = await Store.openOrCreate(storage);
  const other = await Store.open(storage);
  await publish(server, 1);
  await server.snapshot();
  await publish(other, 2);
  await turn();
  const open = storage.open.bind(storage);
  storage.open = () => Promise.reject(new Error("too many open files"));
  expect(await Promise.resolve(server.snapshot()).catch(String)).toBe("Error: too many open files");
  storage.open = open;
  await turn();
  expect((await server.snapshot()).number).toBe(2);
});

test("a reader beside a draft does not make its generation skip one that was published meanwhile", async () => {
  const storage = new Memory();
  const other = await Store.openOrCreate(storage);
  const server = await Store.open(storage);
  const bases: number[] = [];
  const { generation } = await server.publish(NOW, async (base: Snapshot) => {
    bases.push(base.number);
    if (bases.length === 1) {
      await publish(other, 1);
      await turn();
      expect((await server.snapshot()).number).toBe(1);
    }
    return { draft: draftOf(2), result: undefined };
  });
  expect(bases).toEqual([0, 1]);
  expect([generation?.number, generation?.parent]).toEqual([2, 1]);
});

test("nothing is waited for while nothing is published", async () => {
  const storage = new Memory();
  await publish(await Store.openOrCreate(storage), 1);
  const server = await Store.open(storage);
  const first = await server.snapshot();
  await turn();
  expect(server.snapshot()).toBe(first);
});
