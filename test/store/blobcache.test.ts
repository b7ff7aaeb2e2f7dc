/** Payloads that a server keeps: one fill for all that want one, never wrong bytes, never more than it may. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { BlobCache } from "../../store/blobcache.ts";
import { blobKey } from "../../store/keys.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { S3Engine } from "../s3engine.ts";
import { runs } from "../thorough.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chp-cache-"));
  folders.push(folder);
  return folder;
}

const MIB = 2 ** 20;

class World {
  readonly engine = new S3Engine();
  readonly failures: string[] = [];
  readonly folder = tempFolder();
  readonly limit: number;
  bucket!: Bucket;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** A server that has just been started. */
  async start(): Promise<Bucket> {
    const cache = await BlobCache.open(this.folder, this.limit, (why) => this.failures.push(why));
    const client = this.engine.client({ sleep: async () => {}, patience: 0 });
    this.bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")), cache });
    return this.bucket;
  }

  put(size: number, seed: number): Digest {
    const bytes = new Uint8Array(size).map((_byte, i) => (i * seed + (i >> 9)) % 251);
    const { "sha-256": digest } = sumsOf(bytes);
    this.engine.objects.set(`site/${blobKey(digest)}`, { bytes, modified: 0, writer: undefined });
    return digest;
  }

  async read(digest: Digest, start?: number, end?: number): Promise<Uint8Array> {
    const object = await this.bucket.open(blobKey(digest));
    return new Uint8Array(await new Response((await object?.body(start, end)) ?? "").arrayBuffer());
  }

  bytesOf(digest: Digest): Uint8Array {
    return this.engine.objects.get(`site/${blobKey(digest)}`)?.bytes ?? new Uint8Array();
  }

  async settled(count: number): Promise<string[]> {
    const kept = () => readdirSync(this.folder).filter((name) => !name.endsWith(".part"));
    while (kept().length < count || readdirSync(this.folder).some((name) => name.endsWith(".part"))) await Bun.sleep(1);
    return kept();
  }
}

test("many that want a payload at once read one fill, whole or in part, and later ones ask the bucket for nothing", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const digest = world.put(9 * MIB + 5, 31);
  const bytes = world.bytesOf(digest);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.byteLength), fc.nat(bytes.byteLength)), { minLength: 1, maxLength: 8 }),
      async (ranges) => {
        const read = await Promise.all(ranges.map(([a, b]) => world.read(digest, Math.min(a, b), Math.max(a, b))));
        for (const [i, [a, b]] of ranges.entries())
          expect(Buffer.compare(read[i] ?? new Uint8Array(), bytes.subarray(Math.min(a, b), Math.max(a, b)))).toBe(0);
      },
    ),
    { numRuns: runs(20) },
  );
  await world.settled(1);
  // The first piece with which it is opened, by each; the rest of it once.
  const whole = world.engine.log.filter((line) => line.startsWith("GET"));
  world.engine.log.length = 0;
  await Promise.all(Array.from({ length: 10 }, () => world.read(digest)));
  expect(world.engine.log).toEqual([]);
  expect(whole.length).toBeLessThan(runs(20) * 8 + 4);
});

test("what comes with other bytes than its digest is not kept", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const digest = world.put(MIB, 7);
  const stored = world.engine.objects.get(`site/${blobKey(digest)}`);
  if (stored)
    world.engine.objects.set(`site/${blobKey(digest)}`, { ...stored, bytes: Uint8Array.from(stored.bytes).fill(1, 500_000, 500_001) });
  await world.read(digest).catch(() => {});
  while (world.failures.length === 0) await Bun.sleep(1);
  expect([world.failures[0], await world.settled(0)]).toEqual([expect.stringContaining("does not match its checksum"), []]);
});

test("a fill that the bucket breaks off goes on where it was", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const digest = world.put(9 * MIB, 13);
  let gets = 0;
  world.engine.weather = {
    before: ({ method }) => (method === "GET" && (gets += 1) % 2 === 0 ? Promise.reject(new Error("reset")) : undefined),
  };
  expect(Buffer.compare(await world.read(digest), world.bytesOf(digest))).toBe(0);
  expect(gets).toBeGreaterThan(4);
  expect(await world.settled(1)).toEqual([digest]);
});

describe("what it may have", () => {
  test("survives restarts, and the least recently used goes first", async () => {
    const world = new World(5 * MIB);
    await world.start();
    const [a, b] = [world.put(2 * MIB, 3), world.put(2 * MIB, 5)];
    for (const digest of [a, b]) await world.read(digest);
    await world.settled(2);
    utimesSync(join(world.folder, a), new Date(1000), new Date(1000));
    utimesSync(join(world.folder, b), new Date(2000), new Date(2000));
    await world.start();
    const c = world.put(2 * MIB, 7);
    await world.read(b);
    await world.read(c);
    expect(new Set(await world.settled(2))).toEqual(new Set([b, c]));
    expect(Buffer.compare(await world.read(a), world.bytesOf(a))).toBe(0);
  });

  test("what is larger than all of it passes through", async () => {
    const world = new World(MIB);
    await world.start();
    const digest = world.put(2 * MIB, 3);
    expect(Buffer.compare(await world.read(digest), world.bytesOf(digest))).toBe(0);
    expect(await world.settled(0)).toEqual([]);
  });

  test("a smaller bound holds from the start", async () => {
    const world = new World(10 * MIB);
    await world.start();
    for (const seed of [3, 5, 7]) await world.read(world.put(2 * MIB, seed));
    await world.settled(3);
    await BlobCache.open(world.folder, 4 * MIB, () => {});
    expect(readdirSync(world.folder)).toHaveLength(2);
  });
});
