import { expect, test } from "bun:test";
import { mapBounded } from "../../src/parallel.ts";

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
