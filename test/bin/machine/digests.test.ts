/** Digests in workers: the same as here however the bytes come, in bounded buffers, and nothing left of a stream that ends early. */

import { afterAll, afterEach, describe, expect, spyOn, test } from "bun:test";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { Digests, withDigests } from "../../../bin/machine/digests.ts";
import { Workers } from "../../../bin/machine/workers.ts";
import { ALGORITHMS, type StreamSums, sumsOf } from "../../../src/digest.ts";
import { reason } from "../../../src/errors.ts";
import { Disk } from "../../../store/fs.ts";
import { blobKey } from "../../../store/keys.ts";
import { Store } from "../../../store/store.ts";
import { noise } from "../../build.ts";
import { failureOf } from "../../importing.ts";
import { tempFolder } from "../../temp.ts";
import { runs, sized } from "../../thorough.ts";

const MIB = 2 ** 20;
const AT_ONCE = { start: 0, copy: 0 };
/** Of a stream: more is never held. */
const BUFFERS = 4;

const made: Digests[] = [];

function digests(options: ConstructorParameters<typeof Digests>[0] = {}): Digests {
  const one = new Digests({ most: 2, worth: AT_ONCE, ...options });
  made.push(one);
  return one;
}

/** For the tests after which nothing is under way there: its two workers start once. */
const shared = new Digests({ most: 2, worth: AT_ONCE });
afterAll(() => shared.close());

afterEach(async () => {
  for (const one of made.splice(0)) await one.close();
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

/** Writes in chunks of such sizes, over and over, from one buffer that is reused as soon as it may be. */
async function write(sums: StreamSums, bytes: Uint8Array, sizes: readonly number[]): Promise<void> {
  const buffer = new Uint8Array(Math.max(...sizes));
  for (let [at, i] = [0, 0]; at < bytes.byteLength; i += 1) {
    const chunk = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
    buffer.set(chunk);
    await sums.update(buffer.subarray(0, chunk.byteLength));
    buffer.fill(0);
    at += chunk.byteLength;
  }
}

const Algorithms = fc.subarray([...ALGORITHMS]);
const Sizes = fc.array(fc.oneof(fc.integer({ min: 1000, max: 70_000 }), fc.integer({ min: 100_000, max: 2 * MIB })), {
  minLength: 1,
  maxLength: 5,
});
const Stream = fc.record({
  size: fc.oneof(fc.integer({ min: 0, max: 3 * MIB }), fc.constantFrom(MIB - 1, MIB, MIB + 1, 2 * MIB)),
  also: Algorithms,
  sizes: Sizes,
  seed: fc.nat(),
});

test("streams beside each other have the digests that they have in this thread", async () => {
  const there = shared;
  await fc.assert(
    fc.asyncProperty(fc.array(Stream, { minLength: 1, maxLength: 4 }), async (streams) => {
      const all = streams.map(async ({ size, also, sizes, seed }) => {
        const bytes = noise(size, seed);
        const sums = there.begin(also, size);
        await write(sums, bytes, sizes);
        const found = await sums.sums();
        sums.discard(); // does nothing after the end
        expect(found).toEqual(sumsOf(bytes, also));
        expect(sums.size).toBe(size);
      });
      await Promise.all(all);
      expect([there.buffers, there.jobs]).toEqual([0, 0]);
    }),
    // Whatever else is tried: several that are worth a worker each.
    { numRuns: runs(40), examples: [[Array.from({ length: 4 }, (_, seed) => ({ size: 3 * MIB, also: [], sizes: [MIB], seed }))]] },
  );
  expect(there.workers).toBe(2);
});

describe("small streams start no worker", () => {
  const bytes = noise(2 * MIB, 1);
  const right = sumsOf(bytes, ALGORITHMS);
  const sumOf = async (there: Digests, size: number | undefined) => {
    const sums = there.begin(ALGORITHMS, size);
    await sums.update(bytes);
    expect(await sums.sums()).toEqual(right);
  };

  test("until their sum is worth it", async () => {
    const there = digests({ worth: { start: 100_000, copy: 10_000 } });
    // Four digests of a MiB take about 10 ms.
    for (let i = 0; i < 4; i += 1) await sumOf(there, 2 * MIB);
    expect(there.workers).toBe(0);
    await sumOf(there, 2 * MIB);
    expect(there.workers).toBe(2);
  });

  test("nor one of unknown size, nor one that only says to be large", async () => {
    const there = digests({ worth: { start: 1, copy: 1 } });
    await sumOf(there, undefined);
    const sums = there.begin(ALGORITHMS, 2 ** 40);
    await sums.update(bytes.subarray(0, MIB - 1));
    expect(await sums.sums()).toEqual(sumsOf(bytes.subarray(0, MIB - 1), ALGORITHMS));
    expect([there.workers, there.buffers]).toEqual([0, 0]);
  });

  test("nor any on a machine with one processor", async () => {
    const there = digests({ most: 1 });
    await sumOf(there, 2 * MIB);
    expect(there.workers).toBe(0);
  });
});

test("as many workers start as are asked for, also where a machine has fewer processors", async () => {
  const most = Math.min(availableParallelism() + 1, 8);
  const there = digests({ most });
  const bytes = noise(MIB, 1);
  const streams = Array.from({ length: most + 1 }, () => there.begin([], MIB));
  for (const stream of streams) await stream.update(bytes);
  await new Promise((resolve) => setImmediate(resolve));
  expect(there.workers).toBe(most);
  for (const stream of streams) expect(await stream.sums()).toEqual(sumsOf(bytes));
});

describe("a thread that has little else to do", () => {
  test("hashes one of the streams of one digest itself, and the next when that has ended", async () => {
    const idle = digests({ isIdle: true });
    const content = noise(2 * MIB, 1);
    const [first, second] = [idle.begin([], content.byteLength), idle.begin([], content.byteLength)];
    for (const stream of [first, second]) await write(stream, content, [MIB]);
    expect(idle.workers).toBe(1);
    expect(await Promise.all([first.sums(), second.sums()])).toEqual([sumsOf(content), sumsOf(content)]);
    await until(() => idle.jobs === 0);
    for (const ends of ["sums", "discard"] as const) {
      const stream = idle.begin([], content.byteLength);
      expect(stream.update(content)).toBeUndefined();
      expect(idle.buffers).toBe(0);
      await stream[ends]();
    }
  });

  test("leaves streams of several digests to workers, and all where it has other work", async () => {
    const content = noise(2 * MIB, 1);
    for (const [how, also] of [
      [{ isIdle: true }, ["sha-384"]],
      [{}, []],
    ] as const) {
      const one = digests(how);
      const stream = one.begin(also, content.byteLength);
      await write(stream, content, [MIB]);
      expect(one.workers).toBeGreaterThan(0);
      expect(await stream.sums()).toEqual(sumsOf(content, also));
    }
  });
});

test("a stream holds a few buffers, however large it is and however fast it comes", async () => {
  const there = shared;
  const [count, chunk] = [sized(40), noise(300_000, 3)];
  const sums = [there.begin(ALGORITHMS, 2 ** 40), there.begin([], 2 ** 40)];
  for (let i = 0; i < count; i += 1) {
    const waits = sums.map((one) => one.update(chunk));
    expect(there.buffers).toBeLessThanOrEqual(BUFFERS * sums.length);
    expect(there.jobs).toBeLessThanOrEqual(BUFFERS * sums.length * 2);
    for (const wait of waits) await wait;
  }
  const whole = new Uint8Array(count * chunk.byteLength);
  for (let i = 0; i < count; i += 1) whole.set(chunk, i * chunk.byteLength);
  expect(await sums[0]?.sums()).toEqual(sumsOf(whole, ALGORITHMS));
  expect(await sums[1]?.sums()).toEqual(sumsOf(whole));
  expect([there.buffers, there.jobs]).toEqual([0, 0]);
});

test("of a stream that ends early nothing is left, in the middle of whatever it was", async () => {
  const there = shared;
  const bytes = noise(3 * MIB, 5);
  for (const after of [0, 1000, MIB - 1, MIB, 3 * MIB]) {
    const sums = there.begin(ALGORITHMS, 3 * MIB);
    const wait = sums.update(bytes.subarray(0, after)); // not awaited: its buffers are on their way
    sums.discard();
    sums.discard();
    await wait?.catch(() => {});
    await until(() => there.buffers === 0 && there.jobs === 0);
  }
  const other = there.begin(ALGORITHMS, 3 * MIB);
  await other.update(bytes);
  expect(await other.sums()).toEqual(sumsOf(bytes, ALGORITHMS));
});

test("a stream that ends early asks its workers for nothing more, and leaves them idle", async () => {
  const there = digests();
  const bytes = noise(3 * MIB, 5);
  const [asked, busy, idle] = [spyOn(Worker.prototype, "postMessage"), spyOn(Worker.prototype, "ref"), spyOn(Worker.prototype, "unref")];
  try {
    for (const after of [MIB, 3 * MIB]) {
      const sums = there.begin(ALGORITHMS, 3 * MIB);
      const wait = sums.update(bytes.subarray(0, after));
      sums.discard();
      await wait;
      await until(() => there.buffers === 0 && there.jobs === 0);
    }
    expect(asked.mock.calls.map(([message]) => (message as { task: string }).task)).toEqual(Array.from({ length: 4 }, () => "unhash"));
    await until(() => idle.mock.calls.length >= busy.mock.calls.length);
    expect([busy.mock.calls.length, idle.mock.calls.length]).toEqual([4, 4]);
  } finally {
    for (const spy of [asked, busy, idle]) spy.mockRestore();
  }
});

test("a worker has nothing left of a stream, and refuses to go on with one that it does not have", async () => {
  const workers = new Workers({ most: 1 });
  try {
    const lease = await workers.lease();
    const bytes = noise(1000, 7);
    await lease.run("hash", [1, ["sha-256", "sha3-384"], 0, bytes]);
    await lease.run("hash", [2, ["sha-512"], 0, bytes]);
    expect(await lease.run("hashing", [])).toBe(2);
    const { size, ...digestsHere } = sumsOf(bytes, ["sha3-384"]);
    expect(await lease.run("hashed", [1, size])).toEqual(digestsHere);
    const missing = { message: "bytes of a stream are missing" };
    expect(await lease.run("hash", [2, ["sha-512"], 999, bytes]).catch((error: unknown) => error)).toMatchObject(missing);
    expect(await lease.run("hashed", [2, 1001]).catch((error: unknown) => error)).toMatchObject(missing);
    expect(await lease.run("hash", [3, [], 5, bytes]).catch((error: unknown) => error)).toMatchObject(missing);
    await lease.run("unhash", [2]);
    await lease.run("unhash", [4]);
    expect(await lease.run("hashing", [])).toBe(0);
    lease.release();
  } finally {
    await workers.close();
  }
});

test("a worker that ends fails what it hashed, and nothing is stored of it", async () => {
  const there = digests();
  using temporary = tempFolder();
  const folder = temporary.path;
  const store = await Store.openOrCreate(new Disk(folder, { sync: false, sums: there.begin }));
  const bytes = noise(3 * MIB, 9);
  const comes = async function* () {
    yield bytes.subarray(0, 2 * MIB);
    await there.close();
    yield bytes;
  };
  const failure = await failureOf(store.ingest(comes(), ALGORITHMS, 2 ** 30), "failed");
  expect(failure.message).toStartWith("cannot compute digests: internal error: ");
  expect(failure.next).toBe("run the same command again");
  expect(await store.storage.staged()).toEqual([]);
  await until(() => there.jobs === 0);
  // Those that come later are not harmed.
  const again = await Store.open(new Disk(folder, { sync: false, sums: shared.begin }));
  const blob = await again.ingest(
    (async function* () {
      yield bytes;
    })(),
    ALGORITHMS,
    bytes.byteLength,
  );
  await blob.commit();
  expect(blob.sums).toEqual(sumsOf(bytes, ALGORITHMS));
  expect(await again.storage.has(blobKey(blob.sums["sha-256"]))).toBe(true);
});

test("workers end with the work that they are for, whether it fails or not", async () => {
  for (const fails of [false, true]) {
    const closed = spyOn(Digests.prototype, "close");
    try {
      const work = withDigests(async (begin) => {
        const sums = begin(ALGORITHMS, 3 * MIB);
        await sums.update(noise(3 * MIB, 9));
        if (fails) throw new Error("no more");
        return sums.sums();
      });
      if (fails) expect(await work.catch(reason)).toBe("no more");
      else expect(await work).toEqual(sumsOf(noise(3 * MIB, 9), ALGORITHMS));
      expect(closed).toHaveBeenCalledTimes(1);
    } finally {
      closed.mockRestore();
    }
  }
});
