/** The budget of an import: what it counts, over all sources and archives inside archives, and what its refusals say. */

import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { LIMITS, type Limits, MIB } from "../../../src/archives/archive.ts";
import { Budget, type Counted } from "../../../src/archives/budget.ts";
import { Failure } from "../../../src/errors.ts";
import { type ImportSource, importSources } from "../../../src/import/import.ts";
import { Memory } from "../../../store/memory.ts";
import { Store } from "../../../store/store.ts";
import { charmZip, tarEntry, tarOf, tgzOf, zipOf } from "../../build.ts";
import { longTest, runs } from "../../thorough.ts";

function sourceOf(name: string, bytes: Uint8Array): ImportSource {
  return {
    name,
    size: bytes.byteLength,
    open: async function* () {
      for (let at = 0; at < bytes.byteLength; at += 65536) yield bytes.subarray(at, at + 65536);
    },
  };
}

/** Zeros for ever; `read` says how many were taken. */
function endless(head: Uint8Array = new Uint8Array()): { readonly source: ImportSource; readonly read: () => number } {
  let read = 0;
  const chunk = new Uint8Array(MIB);
  const open = async function* () {
    yield head;
    for (;;) {
      read += chunk.byteLength;
      yield chunk;
    }
  };
  return { source: { name: "-", open }, read: () => read };
}

async function refusal(sources: readonly ImportSource[], limits: Partial<Limits> = {}): Promise<Failure> {
  const store = await Store.openOrCreate(new Memory());
  const options = {
    command: "t",
    channels: "apply",
    dryRun: false,
    now: "2026-05-01T00:00:00Z",
    limits: { ...LIMITS, ...limits },
  } as const;
  const error = await importSources(store, sources, options).then(
    (report) => new Error(`it was taken: ${JSON.stringify(report).slice(0, 200)}`),
    (thrown: unknown) => thrown,
  );
  expect(await store.generationNumbers()).toEqual([]);
  if (error instanceof Failure && error.kind === "refused") return error;
  throw error;
}

const ZEROS = new Uint8Array(MIB);
/** a twentieth of what is allowed by default */
const LITTLE: Partial<Limits> = { ratio: 10 };

describe("one budget for all archives inside archives, and all sources", () => {
  test("what unpacks a little in each of many archives", async () => {
    const inner = gzipSync(ZEROS);
    const bomb = tgzOf(Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`a${i}.gz`, inner])));
    const { message, next } = await refusal([sourceOf("bomb.tgz", bomb)], LITTLE);
    expect(message).toMatch(
      /^bomb\.tgz: a\d+\.gz: it unpacks to more than 13421772 bytes, which is too much for the \d+ bytes that were read so far$/,
    );
    expect(next).toBe("if that is right, give a --max-ratio of more than 10");
  });

  test("what is put on the disk, in many sources", async () => {
    const resource = gzipSync(tarOf({ "resources/demo.data_1": ZEROS }));
    const sources = Array.from({ length: 3 }, (_, i) => sourceOf(`s${i}.tgz`, resource));
    expect((await refusal(sources, { ratio: 2 })).message).toMatch(
      /^s1\.tgz: resources\/demo\.data_1: it needs more than 1677721 bytes of the disk, /,
    );
  });

  test("many small files count by what a disk gives them", async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`resources/demo.d_${i}`, "x"]));
    const budget = new Budget();
    for (const _ of Object.keys(many)) budget.stage(1);
    expect(budget.used("staged")).toBe(5000 * 4096);
  });

  test("what stays in memory until the end, over three sources", async () => {
    const text = gzipSync(Buffer.alloc(350_000, "type: x\n"));
    const sources = ["a", "b", "c"].map((name) => sourceOf(`${name}.assert`, text));
    const { message } = await refusal(sources, LITTLE);
    expect(message).toMatch(/^c\.assert: it has more than 838860 bytes of metadata, assertions and lists, /);
  });

  test("entries", async () => {
    const many = zstdCompressSync(tarOf(Object.fromEntries(Array.from({ length: 251 }, (_, i) => [`a${i}`, ""]))));
    expect((await refusal([sourceOf("many.tar.zst", many)], LITTLE)).message).toMatch(
      /^many\.tar\.zst: it holds more than 250 entries, which/,
    );
  });

  // As many charms as it takes to spend all steps of a budget.
  longTest("what takes parsers long, a little in each of many charms", async () => {
    const charm = (i: number) => zipOf({ "metadata.yaml": `name: a${i}\nx:\n${"- a\n".repeat(1000)}` });
    const charms = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`a${i}_1.charm`, charm(i)]));
    const { message } = await refusal([sourceOf("slow.tar", gzipSync(tarOf(charms)))], LITTLE);
    expect(message).toMatch(/^slow\.tar: a\d+_1\.charm: it takes more than 15000 steps to parse, which/);
  });

  test("a lock that names what is beside it, each many times", async () => {
    const rows = Array.from({ length: 2000 }, (_, i) => ({ channel: `t${i}/stable`, architecture: "amd64", revision: 1 }));
    const snap = { name: "s", id: "i", defaultTrack: null, releases: rows, revisions: {} };
    const map = { name: "s", "snap-id": "i", channels: Object.fromEntries(rows.map(({ channel }) => [channel, 1])) };
    const files = { "export.lock.json": { format: 1, packages: [], snaps: [snap] }, "s/channel-map.json": map };
    const archive = tgzOf(Object.fromEntries(Object.entries(files).map(([name, value]) => [name, JSON.stringify(value)])));
    const { message } = await refusal([sourceOf("a.tgz", archive)], { ratio: 20 });
    expect(message).toMatch(/^a\.tgz: s\/channel-map\.json: it takes more than 30000 steps to parse, which/);
  });

  test("headers of a tar", () => {
    const budget = new Budget();
    budget.parse("header", "11 path=x\n".repeat(16));
    expect(budget.used("steps")).toBe(1 + 2);
  });
});

describe("what never ends", () => {
  test.each([
    ["zeros", new Uint8Array(), "it has more than 268435456 bytes, and is neither an archive nor anything else that is imported"],
    ["zeros after the end of a tar", tarOf({ "a.txt": "" }), "it has more than 16777216 bytes after its end"],
    ["zeros after a gzip", gzipSync(tarOf({ "a.txt": "" })), "it is cut short or corrupt"],
    ["an entry of a tar", tarEntry("resources/a.b_1", "", { size: 2 ** 50 }), "an entry of it is said to have 1125899906842624 bytes"],
    ["a json", Buffer.from("{"), "it is larger than 33554432 bytes"],
    ["assertions", Buffer.from("type: "), "it is larger than 33554432 bytes"],
  ])("%s", async (_, head, why) => {
    const { source, read } = endless(head);
    expect((await refusal([source])).message).toContain(why);
    expect(read()).toBeLessThan(300 * MIB);
  });
});

test("a larger source may take more, and a higher --max-ratio gives all sources more", () => {
  const counted = fc.constantFrom<Counted[]>("unpacked", "staged", "kept", "entries", "steps");
  const allowed = (what: Counted, read: number, ratio: number) => {
    const budget = new Budget({ ...LIMITS, ratio, entries: 1e9, json: 1e12, size: 1e15 });
    budget.read(read);
    let [low, high] = [0, 1e14];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const probe = new Budget(budget.limits);
      probe.read(read);
      try {
        probe.spend(what, middle);
        low = middle;
      } catch {
        high = middle;
      }
    }
    return low;
  };
  fc.assert(
    fc.property(counted, fc.nat(1e9), fc.integer({ min: 1, max: 1000 }), (what, read, ratio) => {
      const here = allowed(what, read, ratio);
      expect(allowed(what, read + 2e6, ratio)).toBeGreaterThan(here);
      expect(allowed(what, read, ratio * 2)).toBeGreaterThanOrEqual(2 * here);
    }),
    { numRuns: runs(200) },
  );
});

describe("what is large and right is taken", () => {
  test("a charm with a resource that compresses a hundredfold", async () => {
    const archive = gzipSync(tarOf({ "demo_1.charm": charmZip({ name: "demo", revision: 1, bases: [] }), "resources/demo.data_1": ZEROS }));
    expect(archive.byteLength * 100).toBeLessThan(ZEROS.byteLength);
    const store = await Store.openOrCreate(new Memory());
    const options = { command: "t", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00Z", limits: LIMITS } as const;
    expect((await importSources(store, [sourceOf("a.tgz", archive)], options)).bytes.new).toBeGreaterThan(ZEROS.byteLength);
  });

  test("one limit of an operator's is named by its flag", async () => {
    const budget = new Budget({ ...LIMITS, entries: 2, size: 10, json: 1 });
    const next = (what: Counted, count: number) => {
      try {
        budget.spend(what, count);
        return undefined;
      } catch (error) {
        return error instanceof Failure ? error.next : error;
      }
    };
    expect([next("entries", 3), next("unpacked", 11), next("kept", 5), next("staged", 1)]).toEqual([
      "if that is right, give --max-entries",
      "if that is right, give --max-size",
      "if that is right, give --max-json",
      undefined,
    ]);
  });
});
