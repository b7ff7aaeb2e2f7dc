import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { MIB } from "../../../src/archives/budget.ts";
import { type ReadText, readHere, remembering } from "../../../src/archives/readers.ts";
import { longTest, runs } from "../../thorough.ts";

const metadata = (name: string, comment = "") =>
  `name: ${name}\nsummary: says what it is\nrequires:\n  db: {interface: ${name}-db}\n${comment}`;

test("the same text is parsed once, the last one and those before it, and another one of the same length is not the same", async () => {
  const parsed: unknown[] = [];
  const counting: ReadText = (reader, ...input) => {
    parsed.push(input[0]);
    return readHere(reader, ...input);
  };
  const read = remembering(counting, MIB);
  const [a, b] = [metadata("a"), metadata("b")];
  for (const text of [a, a, b, a, b, b]) expect((await read("metadata", text, "it")).name).toBe(text === a ? "a" : "b");
  await read("manifest", "bases: []", "it");
  await read("needs", new Map([["metadata.yaml", a]]));
  await read("needs", new Map([["charmcraft.yaml", a]]));
  expect(parsed).toHaveLength(5);
});

// Parses three hundred texts.
longTest("what was read of a text does not keep the text in memory, neither of one that is remembered nor of a longer one", async () => {
  const extra = () => {
    Bun.gc(true);
    return heapStats().extraMemorySize;
  };
  for (const size of [60_000, 300_000]) {
    const read = remembering(readHere, 0);
    const results: unknown[] = [];
    const [warm, all] = [50, 150];
    let before = 0;
    for (let i = 0; i < all; i += 1) {
      if (i === warm) before = extra();
      results.push(await read("metadata", metadata(`charm-${i}`, `# ${i} ${"x".repeat(size)}\n`), "it"));
    }
    expect(extra() - before).toBeLessThan(((all - warm) * size) / 4);
    expect(results.at(-1)).toMatchObject({ name: "charm-149", relations: { requires: { db: { interface: "charm-149-db" } } } });
  }
});

test("what two texts of a reader say alike is in memory once, and what they say otherwise is not mixed up", async () => {
  const read = remembering(readHere, MIB);
  const one = await read("metadata", metadata("a", "provides: {web: {interface: http}}\n"), "it");
  const other = await read("metadata", metadata("a", "provides: {web: {interface: https}}\n"), "it");
  const third = await read("metadata", metadata("a", "# as before\nprovides: {web: {interface: https}}\n"), "it");
  expect([one, other, third].map(({ relations }) => relations.provides)).toEqual(
    ["http", "https", "https"].map((name) => ({ web: { interface: name } })),
  );
  expect(third.relations).toBe(other.relations);
  expect(other.resources).toBe(one.resources);
  const bundle = await read("bundle", "applications: {db: {charm: ch:pg, channel: 14/stable, resources: {image: a/b}}}", "it");
  expect(bundle.channels).toEqual(new Map([["pg", new Set(["14/stable"])]]));
});

test("a long field of the last text is not kept", async () => {
  const read = remembering(readHere, MIB);
  const reading = async (size: number) => {
    await read("metadata", metadata("a", `description: ${"x".repeat(size)}\n`), "it");
    await Bun.sleep(1);
    Bun.gc(true);
    return heapStats().extraMemorySize;
  };
  const before = await reading(10);
  const grown: number[] = [];
  // The collector takes some bits on the stack for a reference, but not those of each try.
  while (grown.length < 50 && !((grown.at(-1) ?? MIB) < MIB)) grown.push((await reading(2 * MIB + grown.length)) - before);
  expect(grown.at(-1)).toBeLessThan(MIB);
});

test("any texts are read as without a memory of those before", async () => {
  const names = fc.constantFrom("a", "b", "constructor");
  const facts = fc.record(
    { summary: names, provides: fc.dictionary(names, fc.record({ interface: names })), series: fc.array(names, { maxLength: 2 }) },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(facts, { maxLength: 8 }), async (all) => {
      const read = remembering(readHere, MIB);
      for (const each of all) {
        const text = JSON.stringify({ name: "demo", ...each });
        expect(await read("metadata", text, "it")).toEqual(await readHere("metadata", text, "it"));
      }
    }),
    { numRuns: runs(100) },
  );
});
