/** How imports and verifications ended, as readers of a store see it. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { leaseKey, RUNS, runsKey } from "../../store/keys.ts";
import { LEASE_LIFE } from "../../store/lease.ts";
import { Memory } from "../../store/memory.ts";
import { Runs } from "../../store/runs.ts";
import { Store } from "../../store/store.ts";
import { runs as times } from "../thorough.ts";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

async function world() {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const memory = new Memory(() => clock.now);
  return { clock, memory, store: await Store.openOrCreate(memory), reader: () => new Runs(memory, () => clock.now) };
}

test("the last import, the last that succeeded and the last verification are told apart", async () => {
  const { memory, reader } = await world();
  expect(await reader().last()).toEqual({});
  await reader().importEnded("", { ended: at(1), generation: 1 });
  await reader().verified({ ended: at(2), damaged: 3 });
  await reader().importEnded("", { ended: at(3), failed: "refused" });
  const last = { import: { ended: at(3), failed: "refused" }, imported: at(1), verify: { ended: at(2), damaged: 3 } };
  expect(await reader().last()).toMatchObject(last);
  for (let i = 4; i < 20; i += 1) await reader().importEnded("", { ended: at(i) });
  expect((await memory.list(RUNS)).length).toBe(3); // they do not pile up
  expect(await reader().last()).toMatchObject({ import: { ended: at(19) }, imported: at(19), verify: { damaged: 3 } });
});

test("an import whose lease is over was killed, also where the disk took no more of it", async () => {
  const { clock, memory, store, reader } = await world();
  await reader().importEnded("", { ended: at(1) });
  let lease = "";
  await store.leased(async () => {
    lease = store.leaseId ?? "";
    await store.runs.importBegan(lease, at(5));
    expect(await reader().last()).toMatchObject({ import: { ended: at(1) } }); // it runs
    clock.now += LEASE_LIFE + 1;
    expect(await reader().last()).toMatchObject({ import: { ended: at(5), failed: "killed" }, imported: at(1) });
    clock.now -= LEASE_LIFE + 1;
  });
  expect(await memory.has(leaseKey(lease))).toBe(false);
  expect(await reader().last()).toMatchObject({ import: { ended: at(5), failed: "killed" } });
  // What comes after it is what counts, and it does not come back.
  await reader().importEnded("other", { ended: at(9), generation: 2 });
  expect(await reader().last()).toMatchObject({ import: { ended: at(9) }, imported: at(9) });
  await reader().verified({ ended: at(10), damaged: 0 });
  expect((await reader().last()).import).toEqual({ ended: at(9), generation: 2 });
});

test("imports side by side end each for itself", async () => {
  const { store, memory, reader } = await world();
  const other = await Store.open(memory);
  await store.leased(() =>
    other.leased(async () => {
      const [a, b] = [store.leaseId ?? "", other.leaseId ?? ""];
      expect(a).not.toBe(b);
      await Promise.all([store.runs.importBegan(a, at(1)), other.runs.importBegan(b, at(2))]);
      await store.runs.importEnded(a, { ended: at(3), generation: 1 });
      expect((await reader().last()).import).toEqual({ ended: at(3), generation: 1 });
      await other.runs.importEnded(b, { ended: at(4), failed: "failed" });
    }),
  );
  expect(await reader().last()).toMatchObject({ import: { ended: at(4), failed: "failed" }, imported: at(3) });
});

test("an import that was killed is seen beside one that succeeded meanwhile", async () => {
  const { store, reader } = await world();
  await store.leased(async () => {
    await store.runs.importBegan(store.leaseId ?? "", at(1));
    await reader().importEnded("", { ended: at(3), generation: 1 });
    expect((await reader().last()).import).toEqual({ ended: at(3), generation: 1 });
  });
  expect(await reader().last()).toMatchObject({ import: { ended: at(1), failed: "killed" }, imported: at(3) });
  await reader().verified({ ended: at(4), damaged: 0 });
  expect((await reader().last()).import).toEqual({ ended: at(1), failed: "killed" });
  await reader().importEnded("", { ended: at(5) });
  expect((await reader().last()).import).toEqual({ ended: at(5) });
});

test("of any number of writers at once none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), async (fails) => {
      const { memory, reader } = await world();
      const write = (failed: boolean, i: number) => reader().importEnded("", { ended: at(i), ...(failed && { failed: "refused" }) });
      await Promise.all([...fails.map(write), reader().verified({ ended: at(50), damaged: 1 })]);
      const last = await reader().last();
      expect(last.verify).toEqual({ ended: at(50), damaged: 1 });
      expect(last.imported === undefined).toBe(fails.every(Boolean));
      expect(last.import).toBeDefined();
      expect((await memory.list(RUNS)).length).toBeLessThanOrEqual(3);
    }),
    { numRuns: times(50) },
  );
});

test("a record that is damaged is as if it were not there, and the next is numbered past it", async () => {
  const { memory, reader } = await world();
  await reader().importEnded("", { ended: at(1) });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const copy = memory.copy();
      await copy.create(runsKey(2), bytes);
      const runs = new Runs(copy);
      expect((await runs.last()).import).toEqual({ ended: at(1) });
      await runs.verified({ ended: at(2), damaged: 0 });
      expect(await new Runs(copy).last()).toMatchObject({ import: { ended: at(1) }, verify: { damaged: 0 } });
      expect(await copy.list(RUNS)).toContain(runsKey(3));
    }),
    { numRuns: times(50) },
  );
});

test("a reader writes nothing, and reads no file twice", async () => {
  const { memory, reader } = await world();
  await reader().importEnded("", { ended: at(1) });
  const opened: string[] = [];
  const watched = new Proxy(memory, {
    get(target, name: keyof Memory) {
      if (["create", "stage", "move", "remove", "clock"].includes(name)) throw new Error(`a reader calls ${name}`);
      const value: unknown = target[name];
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "open") opened.push(String(args[0]));
        return value.apply(target, args);
      };
    },
  });
  const runs = new Runs(watched);
  for (let i = 0; i < 3; i += 1) await runs.last();
  expect(opened).toEqual([runsKey(1)]);
});
