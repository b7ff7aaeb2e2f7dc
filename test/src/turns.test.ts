/** Long work in slices: how often the event loop gets a turn, and in which order those that wait do. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { mapInSlices, nextTurn, SLICE, Slices } from "../../src/turns.ts";
import { turnsDuring } from "../turns.ts";

test("one step of so many waits for a turn", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5 * SLICE }),
      fc.option(fc.integer({ min: 1, max: SLICE }), { nil: undefined }),
      (steps, slice) => {
        const slices = new Slices(slice);
        const waits = Array.from({ length: steps }, () => slices.step()).filter((wait) => wait !== undefined);
        expect(waits).toHaveLength(Math.floor(steps / (slice ?? SLICE)));
      },
    ),
    { numRuns: 20 },
  );
});

test("those that wait go on in their order, one a turn", async () => {
  const [gone, turns]: [number[], number[]] = [[], []];
  const waiting = Array.from({ length: 5 }, (_, i) => nextTurn().then(() => gone.push(i)));
  while (gone.length < waiting.length) {
    await new Promise((resolve) => setImmediate(resolve));
    turns.push(gone.length);
  }
  await Promise.all(waiting);
  expect(gone).toEqual([0, 1, 2, 3, 4]);
  for (const [i, count] of turns.entries()) expect(count - (turns[i - 1] ?? 0)).toBeLessThanOrEqual(1);
});

test("long work on many items lets the event loop have a turn after each slice, and gives what it made in their order", async () => {
  let results: readonly number[] = [];
  const of = (items: number) => async () => {
    results = await mapInSlices(Array(items).keys(), 20, (item) => item * item);
  };
  for (const items of [19, 20, 99, 100]) {
    const turns = await turnsDuring(of(items));
    expect(turns).toBeWithin(Math.floor(items / 20), Math.floor(items / 20) + 3);
    expect(results).toEqual(Array.from({ length: items }, (_, item) => item * item));
  }
});
