import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { MIB } from "../../../src/archives/budget.ts";
import { type ReadText, readHere, remembering } from "../../../src/archives/readers.ts";
import { longTest } from "../../thorough.ts";

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
