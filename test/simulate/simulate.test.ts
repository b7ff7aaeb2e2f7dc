/** Histories of a store, each from one seed: `make simulate SEEDS=1-100000` tries more, `SEEDS=7` shows one. */

import { describe, expect, test } from "bun:test";
import { longTest, proofTest, runs, sample, thorough } from "../thorough.ts";
import { patched } from "./modules.ts";
import { INVARIANTS } from "./oracle.ts";
import { PUT_BACK } from "./putback.ts";
import { KEPT } from "./seeds.ts";
import { type Setting, simulate } from "./simulate.ts";

const SEEDS = thorough ? runs(1000) : 4;
/** Seeds of one test: each ends in time on a busy machine too. */
const PART = 100;

async function violationsOf(seeds: Iterable<number>, setting: Setting = {}): Promise<string[]> {
  const found: string[] = [];
  for (const seed of seeds) {
    const { violation } = await simulate(seed, setting);
    if (violation) found.push(`seed ${seed}: ${violation.message}`);
  }
  return found;
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

test.each(upTo(Math.ceil(SEEDS / PART)))("no history breaks an invariant, part %d", async (part) => {
  expect(await violationsOf(upTo(SEEDS).slice((part - 1) * PART, part * PART))).toEqual([]);
});

test("nor does any that once did", async () => {
  expect(await violationsOf(sample(KEPT).flatMap(({ seeds }) => seeds))).toEqual([]);
});

// Ten histories, of which fewer would not be sure to do all.
longTest("a seed decides all of it, and seeds do what they are for", async () => {
  const twice = [await simulate(3), await simulate(3)];
  expect(twice[0]).toEqual(twice[1] as (typeof twice)[1]);
  const sums = { steps: 0, published: 0, cuts: 0, failed: 0 };
  for (const seed of upTo(8)) {
    const outcome = await simulate(seed);
    for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += outcome[key];
  }
  expect(sums.steps).toBeGreaterThan(1200);
  for (const key of ["published", "cuts", "failed"] as const) expect([key, sums[key] > 1]).toEqual([key, true]);
});

test("the invariants are those of store/README.md", async () => {
  const text = await Bun.file(`${import.meta.dir}/../../store/README.md`).text();
  expect([...text.matchAll(/^\d+\. \*\*(.+?)\*\*/gm)].map(([, name]) => name)).toEqual([...INVARIANTS]);
});

describe("a fault that is put back is found:", () => {
  // Each is looked for in up to a thousand histories.
  for (const { fault, patches, breaks, seed: known, ...setting } of PUT_BACK)
    proofTest(fault, async () => {
      const modules = patches ? { modules: await patched(patches) } : {};
      for (const seed of [known, ...upTo(1000)]) {
        const { violation } = await simulate(seed, { ...setting, ...modules });
        if (!violation) continue;
        expect(breaks).toContain(violation.invariant);
        return;
      }
      throw new Error("no seed finds it");
    });
});
