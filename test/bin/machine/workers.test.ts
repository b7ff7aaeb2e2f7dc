/** The pool of workers: what comes back of a task, how many run, and that one can be ended in the middle of a task. */

import { afterAll, afterEach, describe, expect, spyOn, test } from "bun:test";
import { Worker } from "node:worker_threads";
import { readIn, Workers } from "../../../bin/machine/workers.ts";
import { readHere } from "../../../src/archives/readers.ts";
import { Failure, reason } from "../../../src/errors.ts";

const pools: Workers[] = [];

function pool(most: number): Workers {
  const made = new Workers({ most });
  pools.push(made);
  return made;
}

/** One worker for the tests after which it is as before: each start takes a tenth of a second. */
const alone = new Workers({ most: 1 });
afterAll(() => alone.close());

afterEach(async () => {
  for (const one of pools.splice(0)) await one.close();
});

const LONG = `name: demo\ndescription: ${"x".repeat(200_000)}\n`;
const SLOW = `- a\n`.repeat(30_000);

test("a result and a failure come back as they are in this thread", async () => {
  const workers = alone;
  expect(await workers.run("metadata", [LONG, "it"])).toEqual(await readHere("metadata", LONG, "it"));
  const files = new Map([["src/charm.py", 'from charms.operator_libs_linux.v2 import snap\nsnap.add("kafka", revision=5)\n']]);
  expect(await workers.run("needs", [files])).toEqual(await readHere("needs", files));
  const failures = await Promise.all(
    [workers.run("snap", ["a: [", "it"]), readHere("snap", "a: [", "it")].map((work) => work.catch((error: unknown) => error)),
  );
  for (const failure of failures) expect(failure).toBeInstanceOf(Failure);
  const [there, here] = failures as Failure[];
  expect([there?.kind, there?.message, there?.next]).toEqual([here?.kind, here?.message, here?.next]);
  expect(workers.count).toBe(1);
});

test("no more workers run than may, and each task gets its own result", async () => {
  const workers = pool(2);
  const all = await Promise.all(Array.from({ length: 9 }, (_, i) => workers.run("yaml", [`a: ${i}`, "it"])));
  expect(all).toEqual(Array.from({ length: 9 }, (_, i) => [{ a: i }]));
  expect(workers.count).toBe(2);
});

describe("a task that takes too long is ended", () => {
  test("with its worker, and the next task gets another", async () => {
    const workers = alone;
    const next = workers.run("yaml", ["a: 1", "it"]);
    expect(await next).toEqual([{ a: 1 }]);
    expect(await workers.run("yaml", [SLOW, "it"], { seconds: 0 }).catch((error: unknown) => error)).toMatchObject({
      kind: "refused",
      message: "it takes more than 0 seconds to parse",
    });
    expect(await workers.run("yaml", ["a: 2", "it"])).toEqual([{ a: 2 }]);
    expect(workers.count).toBe(1);
  });

  test("those that wait for it get a worker", async () => {
    const workers = alone;
    const slow = workers.run("yaml", [SLOW, "it"], { seconds: 0 }).catch(() => "ended");
    expect(await Promise.all([slow, workers.run("yaml", ["a: 1", "it"])])).toEqual(["ended", [{ a: 1 }]]);
  });
});

test("a lease has a worker to itself", async () => {
  const workers = alone;
  const lease = await workers.lease();
  const order: string[] = [];
  const other = workers.run("yaml", ["b", "it"]).then(() => void order.push("other"));
  await lease.run("yaml", ["a", "it"]);
  order.push("first");
  await lease.run("yaml", ["a", "it"]);
  order.push("second");
  lease.release();
  await other;
  expect(order).toEqual(["first", "second", "other"]);
});

test("a task for a worker that ended while it had none fails, rather than waits for ever", async () => {
  const workers = pool(1);
  const lease = await workers.lease();
  await lease.run("yaml", ["a", "it"]);
  await workers.close();
  expect(await lease.run("yaml", ["a", "it"]).catch(reason)).toBe("internal error: a task comes after the workers have ended");
});

/** A lease of a pool that has a single thread, and that thread. */
async function leased(workers: Workers) {
  const taken = spyOn(Worker.prototype, "ref");
  try {
    return { lease: await workers.lease(), thread: taken.mock.contexts[0] as Worker };
  } finally {
    taken.mockRestore();
  }
}

test("a task leaves no listener and no timer at its worker, whether it fails or not", async () => {
  const { lease, thread } = await leased(alone);
  const listeners = () => ["message", "error", "exit"].map((event) => thread.listenerCount(event));
  const before = listeners();
  const [timed, cleared] = [spyOn(globalThis, "setTimeout"), spyOn(globalThis, "clearTimeout")];
  try {
    for (const text of ["a: 1", "a: ["]) {
      const work = lease.run("yaml", [text, "it"], { seconds: 1000 }).catch(() => {});
      expect(listeners()).toEqual(before.map((count) => count + 1));
      await work;
      expect(listeners()).toEqual(before);
    }
    const timers = timed.mock.results.filter((_, i) => timed.mock.calls[i]?.[1] === 1_000_000).map(({ value }) => value);
    expect(timers).toHaveLength(2);
    for (const timer of timers) expect(cleared.mock.calls.some(([one]) => one === timer)).toBe(true);
  } finally {
    for (const spy of [timed, cleared]) spy.mockRestore();
    lease.release();
  }
});

test.each([
  ["ERR_WORKER_OUT_OF_MEMORY", "refused", "it takes more than 256 MiB of memory to parse"],
  ["ERR_OTHER", "failed", "internal error in a worker: it broke"],
])("a worker that ends with %s: its task is %s, and the next gets another", async (code, kind, message) => {
  const workers = pool(1);
  const { lease, thread } = await leased(workers);
  const work = lease.run("yaml", ["a: 1", "it"]).catch((error: unknown) => error);
  // Node says so; Bun, which has no bound of the memory of a thread, never says the first.
  thread.emit("error", Object.assign(new Error("it broke"), { code }));
  expect(await work).toMatchObject({ kind, message });
  expect(workers.count).toBe(0);
  expect(await lease.run("yaml", ["a: 2", "it"])).toEqual([{ a: 2 }]);
  expect(workers.count).toBe(1);
  lease.release();
  await thread.terminate();
});

test("workers are closed when their threads have ended, not before", async () => {
  const workers = pool(1);
  const { thread } = await leased(workers);
  const held = Promise.withResolvers<void>();
  const terminate = thread.terminate.bind(thread);
  const ended = spyOn(thread, "terminate").mockImplementation(() => held.promise.then(terminate));
  let isClosed = false;
  const closing = workers.close().then(() => (isClosed = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect([ended.mock.calls.length, isClosed]).toEqual([1, false]);
  held.resolve();
  expect(await closing).toBe(true);
});

test("a thread that is given up ends, and one that is idle keeps no program running", async () => {
  const workers = pool(1);
  const [ended, idle, busy] = [spyOn(Worker.prototype, "terminate"), spyOn(Worker.prototype, "unref"), spyOn(Worker.prototype, "ref")];
  try {
    const lease = await workers.lease();
    await lease.run("yaml", ["a", "it"]);
    expect([busy.mock.calls.length, idle.mock.calls.length]).toEqual([1, 0]);
    lease.release();
    expect([busy.mock.calls.length, idle.mock.calls.length]).toEqual([1, 1]);
    expect(ended).toHaveBeenCalledTimes(0);
    await workers.run("yaml", ["a", "it"], { last: true });
    expect([busy.mock.calls.length, ended.mock.calls.length, workers.count]).toEqual([2, 1, 0]);
    await workers.run("yaml", [SLOW, "it"], { seconds: 0 }).catch(() => {});
    expect([ended.mock.calls.length, workers.count]).toEqual([2, 0]);
    await workers.run("yaml", ["a", "it"]);
    await workers.close();
    expect([ended.mock.calls.length, workers.count]).toEqual([3, 0]);
  } finally {
    for (const spy of [ended, idle, busy]) spy.mockRestore();
  }
});

const NONE = { snaps: [], images: [] };

test("short texts start no worker, long ones do", async () => {
  const workers = pool(1);
  const read = readIn(workers);
  expect(await read("metadata", "name: demo", "it")).toMatchObject({ name: "demo" });
  expect(await read("needs", new Map([["a.py", "x".repeat(500_000)]]))).toEqual(NONE);
  expect(workers.count).toBe(0);
  expect(await read("metadata", LONG, "it")).toMatchObject({ name: "demo" });
  expect(workers.count).toBe(1);
});

test("a worker ends after a large text, and stays after a smaller one", async () => {
  const workers = pool(1);
  const read = readIn(workers);
  const source = (size: number) => new Map([["src/a.py", `# snap\n${"x = 1\n".repeat(size / 6)}`]]);
  expect(await read("needs", source(2 ** 20 + 100))).toEqual(NONE);
  expect(workers.count).toBe(1);
  expect(await Promise.all([read("needs", source(2 ** 21 + 100)), read("needs", source(2 ** 20 + 100))])).toEqual([NONE, NONE]);
  expect(workers.count).toBe(1);
  expect(await read("needs", source(2 ** 21 + 100))).toEqual(NONE);
  expect(workers.count).toBe(0);
});
