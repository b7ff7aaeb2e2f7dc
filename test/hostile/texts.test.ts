/** Texts and archives that are made to take long, here in short: done or refused, never an internal error. In full: test/tools/hostile.test.ts. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { outcomeOf, TARGETS, type TargetName } from "../fuzz/targets.ts";
import { thorough } from "../thorough.ts";
import { TEXTS } from "./texts.ts";

describe("whatever is repeated", () => {
  test.each(Object.keys(TEXTS))("%s", async (name) => {
    const { target, make } = TEXTS[name] ?? { target: "yaml", make: () => new Uint8Array() };
    for (const size of thorough ? [300, 20_000] : [700])
      expect(["done", "refused"]).toContain(await outcomeOf(TARGETS[target], make(size)));
  });

  test("there are generators for each parser", () => {
    expect(Object.keys(TEXTS).length).toBeGreaterThanOrEqual(40);
    const used = new Set(Object.values(TEXTS).map(({ target }) => target));
    expect(Object.keys(TARGETS).filter((name) => !used.has(name as keyof typeof TARGETS))).toEqual([]);
  });
});

const CORPUS = join(import.meta.dir, "../fuzz/corpus");

describe("whatever fuzzing begins with, or found", () => {
  test.each(readdirSync(CORPUS).toSorted())("%s", async (name) => {
    const [target] = name.split("-");
    expect(["done", "refused"]).toContain(await outcomeOf(TARGETS[target as TargetName], readFileSync(join(CORPUS, name))));
  });
});
