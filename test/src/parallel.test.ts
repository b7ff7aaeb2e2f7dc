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
