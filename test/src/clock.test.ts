import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { clockProblem, plausibleTime } from "../../src/clock.ts";
import { collectGarbage } from "../../store/gc.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { runs } from "../thorough.ts";

const DAY = 24 * 60 * 60 * 1000;
const MADE = Date.parse("2026-05-01T00:00:00Z");

test.each<[string, number, boolean]>([
  ["1970", 0, true],
  ["a day and a bit before what is there", MADE - DAY - 1, true],
  ["a summer time that was not set back", MADE - 2 * 60 * 60 * 1000, false],
  ["a store that nobody changed for four years", MADE + 4 * 365 * DAY, false],
  ["2038", Date.parse("2038-01-19T03:14:07Z"), true],
  ["2099", Date.parse("2099-12-31T00:00:00Z"), true],
])("a clock at %s", (_, now, odd) => {
  expect([clockProblem(now, MADE) !== undefined, plausibleTime(now, MADE)]).toEqual([odd, odd ? MADE : now]);
});

test("what is odd is said in days", () => {
  expect(clockProblem(0, MADE)).toBe("the clock says 1970-01-01, and the newest generation was made on 2026-05-01");
});

test("a time that is known counts by itself, that of 1970 too", () => {
  for (const known of [0, MADE]) expect(plausibleTime(known + 20 * 365 * DAY, known)).toBe(known);
});

test("nothing is odd without a time that is known", () => {
  for (const known of [undefined, Number.NaN]) expect([clockProblem(0, known), plausibleTime(0, known)]).toEqual([undefined, 0]);
});

const GENERATIONS = 14;

/** A store with generations of one a day, the last at MADE. */
async function stored(clock: () => number, ageOf = (i: number) => GENERATIONS - i): Promise<{ store: Store; storage: Memory }> {
  const storage = new Memory(clock);
  const store = await Store.openOrCreate(storage);
  for (let i = 1; i <= GENERATIONS; i += 1) {
    const time = new Date(MADE - ageOf(i) * DAY).toISOString();
    const blob = await store.ingestBytes(Buffer.from(`unnamed ${i}`));
    const others = [{ type: "account", key: [`${i}`], revision: 0, format: 0, text: `${i}` }] as never;
    const assertions = { others, added: 1 };
    const draft = { command: "test", sources: [], sections: {}, assertions, blobs: [blob] };
    await store.publish(time, async () => ({ draft, result: undefined }));
  }
  return { store, storage };
}

const everything = async (storage: Memory) =>
  (
    await Promise.all(
      ["catalog/", "trash/", ...Array.from({ length: 256 }, (_, i) => `blobs/sha256/${i.toString(16).padStart(2, "0")}/`)].map((folder) =>
        storage.list(folder),
      ),
    )
  ).flat();

test("gc collects nothing by a clock that is far off, and says what it says", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.integer({ min: 0, max: MADE - DAY - 1 }), fc.integer({ min: MADE + 5 * 365 * DAY + 1, max: MADE + 200 * 365 * DAY })),
      async (wrong) => {
        let now = MADE - 20 * DAY;
        const { store, storage } = await stored(() => now);
        const before = await everything(storage);
        now = wrong;
        const failure = await collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false }).catch((error: unknown) => error);
        expect(failure).toMatchObject({ kind: "failed", message: expect.stringContaining("the newest generation was made on 2026-05-01") });
        expect(await everything(storage)).toEqual(before);
        now = MADE + DAY;
        expect(await collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false })).toMatchObject({ kept: [GENERATIONS] });
      },
    ),
    { numRuns: runs(40) },
  );
});

test("gc leaves no gap in the history, whatever the times in it say", async () => {
  const { store } = await stored(
    () => MADE,
    (i) => (i === 3 ? 1 : 30 - i),
  );
  const { pruned, kept } = await collectGarbage(store, { generations: 1, days: 5, hours: 24, dryRun: false });
  expect(pruned).toEqual([1, 2]);
  expect([...pruned, ...kept]).toEqual(Array.from({ length: GENERATIONS }, (_, i) => i + 1));
  expect(await store.generationNumbers()).toEqual([...kept]);
});
