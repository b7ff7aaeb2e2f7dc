import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { mapBounded, Room } from "../../src/parallel.ts";
import { runs } from "../thorough.ts";

test("work is done in order of its results, and never more at once than allowed", async () => {
  let [running, most] = [0, 0];
  const results = await mapBounded([5, 1, 4, 2, 3], 2, async (n) => {
    running += 1;
    most = Math.max(most, running);
    await Bun.sleep(n);
    running -= 1;
    return n * 2;
  });
  expect([results, most]).toEqual([[10, 2, 8, 4, 6], 2]);
  expect(await mapBounded([], 2, () => Promise.resolve(1))).toEqual([]);
  expect(mapBounded([1], 2, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
});

test("after an error nothing more begins, what runs is told, and the error is thrown once all of it has ended", async () => {
  const [begun, ended]: [number[], string[]] = [[], []];
  const failed = mapBounded([1, 2, 3, 4, 5], 3, async (n, signal) => {
    begun.push(n);
    if (n === 2) throw new Error("the first");
    while (!signal.aborted) await Bun.sleep(1);
    await Bun.sleep(1);
    ended.push(`${n}: ${(signal.reason as Error).message}`);
    throw new Error("another");
  });
  expect(failed).rejects.toThrow("the first");
  await failed.catch(() => {});
  expect([begun, ended]).toEqual([
    [1, 2, 3],
    ["1: the first", "3: the first"],
  ]);
});

test("a room holds what fits into it, what is larger than all of it alone, and everything once", async () => {
  const amounts = fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(amounts, fc.scheduler(), async (all, scheduler) => {
      const room = new Room(10);
      let taken = 0;
      const work = all.map((amount) =>
        room.during(amount, async () => {
          taken += Math.min(amount, 10);
          expect(taken).toBeLessThanOrEqual(10);
          await scheduler.schedule(Promise.resolve());
          taken -= Math.min(amount, 10);
          return amount;
        }),
      );
      await scheduler.waitFor(Promise.all(work));
      expect(await Promise.all(work)).toEqual(all);
      expect(taken).toBe(0);
    }),
    { numRuns: runs(5_000) }, // of few, none may have to wait
  );
});
