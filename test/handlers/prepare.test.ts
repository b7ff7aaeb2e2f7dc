/** What is made ahead of the first search of a generation. */

import { expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import { JUJU_FIND_FIELDS } from "../../src/wire/charmhub.ts";
import type { Storage } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { charmWorld } from "../world.ts";

/** A storage that counts its reads of blobs. */
function counting(storage: Storage): { readonly storage: Storage; readonly reads: () => number } {
  let reads = 0;
  const counted = new Proxy(storage, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...given: unknown[]) => {
        if (typeof given[0] === "string" && given[0].startsWith("blobs/")) reads += 1;
        return Reflect.apply(value, target, given) as unknown;
      };
    },
  });
  return { storage: counted, reads: () => reads };
}

async function served() {
  const { storage, reads } = counting(await charmWorld());
  const store = await Store.open(storage);
  const app = createApp({ store, config: {}, log: () => {} });
  const ask = async (path: string) => (await app.fetch(new Request(`http://hub.test${path}`))).text();
  /** Replies about charms that were made rather than kept. */
  const made = async () =>
    Number(/chp_cache_requests_total\{cache="charm revisions",result="miss"\} (\d+)/.exec(await ask("/metrics"))?.[1]);
  /** Blobs that are read for an answer, and replies about charms that are made for it. */
  const cost = async (path: string) => {
    const before = { reads: reads(), made: await made() };
    await ask(path);
    return { reads: reads() - before.reads, made: (await made()) - before.made };
  };
  return { store, app, ask, cost };
}

const FIND = `/v2/charms/find?fields=${JUJU_FIND_FIELDS.toReversed().join()}`;

test("the first search reads nothing of the store, and says the same as one that was not prepared", async () => {
  const [cold, warm] = [await served(), await served()];
  const { reads, made } = await cold.cost(FIND);
  expect(Math.min(reads, made)).toBeGreaterThan(0);
  await warm.app.prepare();
  expect(await warm.cost(FIND)).toEqual({ reads: 0, made: 0 });
  expect(await warm.ask(FIND)).toBe(await cold.ask(FIND));
});

test("nor does the first one after a change, whatever was asked for before it", async () => {
  const { store, app, ask, cost } = await served();
  const path = "/v2/charms/find?fields=result.title";
  await ask(path);
  const change = (title: string) =>
    store.publish("2026-05-01T00:00:00Z", async (base) => {
      const pkg = await base.package("tiny");
      if (!pkg) throw new Error("no tiny");
      const packages = [{ ...pkg, details: { ...pkg.details, title } }];
      return {
        draft: { command: "test", sources: [], sections: { packages: { changed: packages, tally: {} } }, blobs: [] },
        result: undefined,
      };
    });
  await change("One");
  await app.prepare();
  expect(await cost(path)).toEqual({ reads: 0, made: 0 });
  expect(await ask(path)).toContain('"One"');
});

test("it takes turns, in which requests are answered, and is done once a generation", async () => {
  const { store, app, ask } = await served();
  const packages = (await store.snapshot()).names.length;
  /** How many turns the event loop had meanwhile. */
  const turnsOf = async (work: () => Promise<void>): Promise<number> => {
    const state = { turns: 0, done: false };
    const count = () => {
      state.turns += 1;
      if (!state.done) setImmediate(count);
    };
    setImmediate(count);
    await work();
    state.done = true;
    return state.turns;
  };
  let isPrepared = false;
  const turns = turnsOf(async () => {
    await app.prepare();
    isPrepared = true;
  });
  await ask("/v2/charms/info/tiny");
  expect(isPrepared).toBe(false);
  expect(await turns).toBeGreaterThanOrEqual(packages);
  expect(await turnsOf(() => app.prepare())).toBeLessThan(packages);
});
