import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { Budget, ByteReader } from "../../../src/archives/archive.ts";
import { type Sums, sumsOf } from "../../../src/digest.ts";
import { ExportReader, type FileOutcome } from "../../../src/import/reader.ts";
import { type Staged, Staging } from "../../../src/import/staging.ts";
import { charmZip } from "../../build.ts";
import { longTest } from "../../thorough.ts";
import { turnsDuring } from "../../turns.ts";

const NOW = "2026-04-26T16:31:15Z";

function stagedOf(bytes: Uint8Array, discarded: Sums[]): Staged {
  const sums = sumsOf(bytes);
  return { sums, bytes: async (start, end) => bytes.subarray(start, end), discard: async () => void discarded.push(sums) };
}

function stagingInMemory(discarded: Sums[] = []): Staging<Staged> {
  const ingest = async (chunks: AsyncIterable<Uint8Array>) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return stagedOf(Buffer.concat(parts), discarded);
  };
  return new Staging({ ingest, ingestBytes: async (bytes) => stagedOf(bytes, discarded) }, new Budget());
}

function readerInMemory(staging = stagingInMemory()): ExportReader<Staged> {
  return new ExportReader(staging, { now: NOW, budget: new Budget() });
}

function add(reader: ExportReader<Staged>, path: string, content: string | Uint8Array): Promise<FileOutcome> {
  const bytes = Buffer.from(content);
  const chunks = async function* () {
    for (let at = 0; at < bytes.byteLength; at += 100) yield bytes.subarray(at, at + 100);
  };
  return reader.add({ containers: ["export.tar"], path, bytes: new ByteReader(chunks()) });
}

describe("what becomes of a file", () => {
  test.each<[path: string, content: string | Uint8Array, kind: FileOutcome["kind"]]>([
    ["hello_1.charm", charmZip({ name: "hello", revision: 1, bases: [] }), "staged"],
    ["resources/hello.file_1", "x".repeat(1000), "staged"],
    ["metadata.json", JSON.stringify({ name: "hello", revision: 1, channel: "stable" }), "read"],
    ["bundle.yaml", "applications: {}", "read"],
    ["export.lock.json", '{"format":1,"packages":[],"snaps":[]}', "read"],
    ["._hello_1.charm", "litter", "read"],
    ["other.json", "{}", "ignored"],
    ["README", "{", "ignored"],
    ["metadata.json", "not JSON", "read"],
    ["other.json", "{", "read"],
    ["other.yaml", "a: b", "ignored"],
    ["README.md", "y".repeat(100_000), "ignored"],
    ["SHA256SUMS", "z".repeat(1000), "checksums"],
  ])("%p", async (path, content, kind) => {
    const outcome = await add(readerInMemory(), path, content);
    expect(outcome.kind).toBe(kind);
    expect(outcome.sums["sha-256"]).toBe(sumsOf(Buffer.from(content))["sha-256"]);
    if (outcome.kind === "checksums") expect(Buffer.from(outcome.bytes).toString()).toBe(content as string);
  });

  test("a file that is none of what its name says is refused, and the failure names it", async () => {
    for (const [path, message] of [
      ["a_1.charm", "it is not a zip, so it is neither a charm nor a bundle"],
      ["a_1.snap", "it is not a squashfs, so it is neither a snap nor a component"],
    ] as const)
      expect(await add(readerInMemory(), path, "x").catch((error) => [error.at, error.reason])).toEqual([["export.tar", path], message]);
  });

  test("what was staged is forgotten with the reader", async () => {
    const discarded: Sums[] = [];
    const staging = stagingInMemory(discarded);
    const reader = readerInMemory(staging);
    const outcome = await add(reader, "resources/hello.file_1", "x");
    await staging.discard();
    expect(discarded).toEqual([outcome.sums]);
  });
});

// Packs and reads sixty charms of 256 KiB.
longTest("neither a charm nor its texts are in memory once they are staged", async () => {
  const size = 2 ** 17;
  const staged = (bytes: Uint8Array): Staged => {
    const sums = sumsOf(bytes);
    return { sums, bytes: async () => new Uint8Array(), discard: async () => {} };
  };
  const ingest = async (chunks: AsyncIterable<Uint8Array>) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return staged(Buffer.concat(parts));
  };
  const reader = readerInMemory(new Staging({ ingest, ingestBytes: async (bytes) => staged(bytes) }, new Budget()));
  const extra = () => {
    Bun.gc(true);
    return heapStats().extraMemorySize;
  };
  const [first, last] = [20, 60]; // the first few are in caches
  let before = 0;
  for (let i = 1; i <= last; i += 1) {
    const files = { "config.yaml": `options: {}\n# ${i} ${"x".repeat(size)}\n`, "actions.yaml": `# ${i} ${"y".repeat(size)}\n` };
    await add(reader, `demo_${i}.charm`, charmZip({ name: "demo", revision: i, bases: [], files }));
    if (i === first) before = extra();
  }
  expect(extra() - before).toBeLessThan(((last - first) * 2 * size) / 4);
  expect((await reader.finish()).packages[0]?.revisions).toHaveLength(last);
});

test("while many groups are read, the event loop has turns", async () => {
  const reader = readerInMemory();
  for (let i = 0; i < 200; i += 1)
    await add(reader, `charm-${i}/charm-${i}_1.charm`, charmZip({ name: `charm-${i}`, revision: 1, bases: [] }));
  let packages = 0;
  expect(await turnsDuring(async () => void (packages = (await reader.finish()).packages.length))).toBeGreaterThanOrEqual(12);
  expect(packages).toBe(200);
});
