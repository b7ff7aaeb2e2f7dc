/** Payloads that a server keeps: one fill for all that want one, never wrong bytes, never more than it may. */

import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as fc from "fast-check";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { Failure, reason } from "../../src/errors.ts";
import { BlobCache, type CacheOptions } from "../../store/blobcache.ts";
import { blobKey } from "../../store/keys.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { noise } from "../build.ts";
import { S3Engine } from "../s3engine.ts";
import { NO_PROCESS } from "../temp.ts";
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
  /** milliseconds since 1970 */
  now = Date.now();
  /** milliseconds that its client of the bucket has waited */
  waited = 0;
  bucket!: Bucket;

  constructor(limit: number) {
    this.limit = limit;
  }

  get options(): CacheOptions {
    return { limit: this.limit, failed: (why) => this.failures.push(why), now: () => this.now };
  }

  /** A server that has just been started. */
  async start(): Promise<Bucket> {
    return this.startWith(await BlobCache.open(this.folder, this.options));
  }

  startWith(cache: BlobCache): Bucket {
    const client = this.engine.client({ sleep: async (time) => void (this.waited += time), elapsed: () => this.waited, patience: 0 });
    this.bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")), cache });
    return this.bucket;
  }

  put(size: number, seed: number): Digest {
    const bytes = noise(size, seed);
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
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(bytes.byteLength), fc.nat(bytes.byteLength)), { maxLength: 7 }), async (some) => {
      const ranges = [...some, [0, bytes.byteLength] as const]; // small ones alone need no fill
      const read = await Promise.all(ranges.map(([a, b]) => world.read(digest, Math.min(a, b), Math.max(a, b))));
      for (const [i, [a, b]] of ranges.entries())
        expect(Buffer.compare(read[i] ?? new Uint8Array(), bytes.subarray(Math.min(a, b), Math.max(a, b)))).toBe(0);
    }),
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

test("what comes with other bytes than its digest is neither sent nor kept", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const digest = world.put(MIB, 7);
  const stored = world.engine.objects.get(`site/${blobKey(digest)}`);
  if (stored)
    world.engine.objects.set(`site/${blobKey(digest)}`, { ...stored, bytes: new Uint8Array(stored.bytes).fill(1, 500_000, 500_001) });
  expect(await world.read(digest).catch(reason)).toContain("does not match its checksum");
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

test("a hundred that want twenty payloads at once: few fills at a time, each once, and a failed one is for all that wait for it", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const digests = Array.from({ length: 20 }, (_, i) => world.put(MIB, i + 2));
  const broken = digests[7] ?? "";
  let most = 0;
  let isBroken = true;
  const pieces = () => world.engine.log.filter((line) => line.includes("blobs"));
  world.engine.weather = {
    before: ({ key, method }) => {
      most = Math.max(most, readdirSync(world.folder).filter((name) => name.endsWith(".part")).length);
      // What opens it is answered, what fills it is not.
      return isBroken && method === "GET" && key.endsWith(broken) && pieces().filter((line) => line.endsWith(broken)).length > 5
        ? Promise.reject(new Error("reset"))
        : undefined;
    },
  };
  const wanted = Array.from({ length: 100 }, (_, i) => digests[i % 20] as Digest);
  const read = await Promise.allSettled(wanted.map((digest) => world.read(digest)));
  for (const [i, { status }] of read.entries()) expect(status).toBe(wanted[i] === broken ? "rejected" : "fulfilled");
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(8);
  expect(pieces().filter((line) => !line.endsWith(broken))).toHaveLength(19 * (5 + 1));
  isBroken = false;
  expect(Buffer.compare(await world.read(broken as Digest), world.bytesOf(broken as Digest))).toBe(0);
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

  test("is exceeded by what was used within a minute, larger ones than all of it too; then that goes", async () => {
    const world = new World(MIB);
    await world.start();
    const [a, b, c] = [world.put(2 * MIB, 3), world.put(2 * MIB, 5), world.put(MIB / 2, 7)];
    for (const digest of [a, b]) expect(Buffer.compare(await world.read(digest), world.bytesOf(digest))).toBe(0);
    world.engine.log.length = 0;
    await world.read(a);
    expect([new Set(await world.settled(2)), world.engine.log]).toEqual([new Set([a, b]), []]);
    world.now += 61_000;
    await world.read(c);
    expect(await world.settled(1)).toEqual([c]);
  });

  test("is made good by itself when nothing else is requested", async () => {
    const world = new World(MIB);
    world.startWith(await BlobCache.open(world.folder, { ...world.options, now: Date.now, used: 1 }));
    await world.read(world.put(2 * MIB, 3)).catch((error: unknown) => {
      if (!/ENOENT|is gone from/.test(reason(error))) throw error; // a busy machine frees it before it is read
    });
    while (readdirSync(world.folder).length > 0) await Bun.sleep(1);
  });

  test("is not looked after while all of it fits, and by one timer while it does not", async () => {
    const world = new World(5 * MIB);
    await world.start();
    const timers = spyOn(globalThis, "setTimeout");
    const own = () => timers.mock.calls.filter(([, time]) => time === 60_000).length;
    try {
      for (const seed of [3, 5]) await world.read(world.put(2 * MIB, seed));
      await world.settled(2);
      expect(own()).toBe(0);
      for (const seed of [7, 11]) await world.read(world.put(2 * MIB, seed));
      await world.settled(4);
      expect(own()).toBe(1);
    } finally {
      timers.mockRestore();
    }
  });

  test("in a folder that cannot be one says what to do", async () => {
    const failure = await BlobCache.open("/proc/cache", new World(MIB).options).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      message: expect.stringContaining("cannot use /proc/cache as a cache: "),
      next: "name a folder that this user may write into with --cache DIR",
    });
  });

  test("a smaller bound holds from the start", async () => {
    const world = new World(10 * MIB);
    await world.start();
    for (const seed of [3, 5, 7]) await world.read(world.put(2 * MIB, seed));
    await world.settled(3);
    await BlobCache.open(world.folder, { ...world.options, limit: 4 * MIB });
    expect(readdirSync(world.folder)).toHaveLength(2);
  });
});

test("a full disk is said, frees all that is not in use, and takes the payload when it is asked for again", async () => {
  const world = new World(100 * MIB);
  await world.start();
  const [a, b] = [world.put(MIB, 3), world.put(MIB, 5)];
  await world.read(a);
  world.now += 3_600_000; // also after the time of the file, which is this machine's
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  const cache = await BlobCache.open(world.folder, world.options);
  const body = (pieces: () => AsyncIterable<Uint8Array>) =>
    cache.through(b, { size: MIB, modified: 0, body: () => "", bytes: async () => new Uint8Array() }, pieces).body();
  const failing = async function* () {
    yield new Uint8Array(10);
    throw full;
  };
  const failure = await Promise.resolve(body(failing)).catch((error: unknown) => error);
  expect([failure instanceof Failure && failure.kind, readdirSync(world.folder), world.failures]).toEqual(["busy", [], [full.message]]);
  const whole = async function* () {
    yield world.bytesOf(b);
  };
  expect(Buffer.compare(new Uint8Array(await new Response(await body(whole)).arrayBuffer()), world.bytesOf(b))).toBe(0);
});

describe("a temporary one", () => {
  test("goes with its process, and with the next start where that was killed", async () => {
    const [world, parent] = [new World(10 * MIB), tempFolder()];
    const left = ["chp-payloads-1-other", `chp-payloads-${NO_PROCESS}-left`, `chp-payloads-${process.pid}-before`, "of-somebody"];
    for (const name of left) mkdirSync(join(parent, name));
    writeFileSync(join(parent, `chp-payloads-${NO_PROCESS}-left`, "payload"), "bytes");
    const cache = await BlobCache.temporary(parent, world.options);
    world.startWith(cache);
    await world.read(world.put(2 * MIB, 3));
    const own = basename(cache.folder);
    expect(statSync(cache.folder).mode & 0o777).toBe(0o700);
    expect([readdirSync(cache.folder).length, readdirSync(parent).toSorted()]).toEqual([
      1,
      ["chp-payloads-1-other", own, "of-somebody"].toSorted(),
    ]);
    await cache.close();
    expect(readdirSync(parent).toSorted()).toEqual(["chp-payloads-1-other", "of-somebody"]);
  });

  test("leaves what is of another user, and links, as they are", async () => {
    const [world, parent, target] = [new World(MIB), tempFolder(), tempFolder()];
    symlinkSync(target, join(parent, `chp-payloads-${NO_PROCESS}-link`));
    mkdirSync(join(parent, `chp-payloads-${NO_PROCESS}-left`));
    const user = spyOn(process, "geteuid").mockReturnValue((process.geteuid?.() ?? 0) + 1);
    world.startWith(await BlobCache.temporary(parent, world.options));
    expect(readdirSync(parent)).toHaveLength(3);
    user.mockRestore();
    await (await BlobCache.temporary(parent, world.options)).close();
    expect(readdirSync(parent).filter((name) => name.includes(`-${NO_PROCESS}-`))).toEqual([`chp-payloads-${NO_PROCESS}-link`]);
  });

  test("is made again where something took it away", async () => {
    const [world, parent] = [new World(10 * MIB), tempFolder()];
    const cache = await BlobCache.temporary(parent, world.options);
    world.startWith(cache);
    const digest = world.put(2 * MIB, 3);
    for (let i = 0; i < 2; i += 1) {
      rmSync(cache.folder, { recursive: true });
      expect(Buffer.compare(await world.read(digest), world.bytesOf(digest))).toBe(0);
    }
  });

  test("in a folder that nobody may write into says what to do", async () => {
    const failure = await BlobCache.temporary("/proc", new World(MIB).options).catch((error: unknown) => error);
    expect(failure instanceof Failure && [failure.message.slice(0, 23), failure.next?.includes("TMPDIR")]).toEqual([
      "cannot write into /proc",
      true,
    ]);
  });
});
