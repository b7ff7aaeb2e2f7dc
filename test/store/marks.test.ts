/** Garbage of a bucket, step by step. Histories of it: test/replicas. */

import { expect, test } from "bun:test";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { collectGarbage } from "../../store/gc.ts";
import { blobKey } from "../../store/keys.ts";
import { BEGIN_ANEW, Marks, Saver } from "../../store/marks.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { S3Engine } from "../s3engine.ts";

const [MINUTE, HOUR] = [60_000, 3_600_000];
const GC = { generations: 1, days: 0, hours: 24, dryRun: false };

class World {
  readonly engine = new S3Engine();
  now = Date.parse("2026-05-01T00:00:00Z");
  readonly naps: number[] = [];
  onSleep: () => Promise<void> = async () => {};

  constructor() {
    this.engine.now = () => this.now;
  }

  async store(): Promise<Store> {
    const client = this.engine.client({
      elapsed: () => this.now,
      sleep: async (milliseconds) => {
        this.naps.push(milliseconds);
        await this.onSleep();
        this.now += milliseconds;
      },
    });
    const bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")) });
    return Store.openOrCreate(Object.assign(bucket, { prepare: async () => {} }));
  }

  async publish(store: Store, content: string): Promise<Digest> {
    const blob = await store.ingestBytes(Buffer.from(content));
    const digest = blob.sums["sha-256"];
    const pkg = emptyCharm("kafka", { revisions: [charmRevision(1, digest, content.length)] });
    await store.publish(new Date(this.now).toISOString(), async () => ({
      draft: { command: "import", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [blob] },
      result: undefined,
    }));
    await blob.discard();
    return digest;
  }

  has(digest: Digest): boolean {
    return this.engine.objects.has(`site/${blobKey(digest)}`);
  }

  keys(folder: string): string[] {
    return [...this.engine.objects.keys()].filter((key) => key.startsWith(`site/${folder}`));
  }
}

test("what no generation names is marked when it is old, and deleted by a gc half an hour later at the earliest", async () => {
  const world = new World();
  const store = await world.store();
  const [old, kept] = [await world.publish(store, "old"), await world.publish(store, "kept")];
  world.now += HOUR;
  expect((await collectGarbage(store, { ...GC, hours: 0 })).pruned).toEqual([1]);
  expect(world.has(old)).toBe(true);
  world.now += 29 * MINUTE;
  await collectGarbage(store, { ...GC, hours: 0 });
  expect(world.has(old)).toBe(true);
  world.now += 2 * MINUTE;
  const report = await collectGarbage(store, { ...GC, hours: 0 });
  expect([world.has(old), world.has(kept), report.deleted.blobs > 0]).toEqual([false, true, true]);
  world.now += 26 * HOUR;
  await collectGarbage(store, GC);
  expect(world.keys("marks/")).toEqual([]);
});

test("a dry run says what would be, and changes nothing", async () => {
  const world = new World();
  const store = await world.store();
  for (const content of ["old", "kept"]) await world.publish(store, content);
  world.now += 48 * HOUR;
  const before = [...world.engine.objects.keys()];
  const report = await collectGarbage(store, { ...GC, dryRun: true });
  expect([report.pruned, report.aside.blobs > 0, [...world.engine.objects.keys()]]).toEqual([[1], true, before]);
});

test("a publisher that needs what is marked saves it, waits until removals that were prepared are over, and sends it again where it is gone", async () => {
  const world = new World();
  const store = await world.store();
  const digest = sumsOf(Buffer.from("wanted again"))["sha-256"];
  await world.publish(store, "wanted again");
  await world.publish(store, "something else");
  world.now += HOUR;
  await collectGarbage(store, { ...GC, hours: 0 });
  expect((await new Marks(store.storage).all()).flatMap(({ blobs }) => blobs)).toContain(digest);
  const removal = store.storage.prepareRemoval?.(blobKey(digest));
  const other = await world.store();
  let isSent = false;
  world.onSleep = async () => {
    if (isSent) return;
    isSent = true;
    expect(world.keys("marks/save")).toHaveLength(1);
    await removal?.carryOut();
    expect(world.has(digest)).toBe(false);
  };
  await world.publish(other, "wanted again");
  expect([world.has(digest), world.naps, world.keys("marks/save")]).toEqual([true, [65_000], []]);
});

test("a removal that was prepared before a save is over when the generation is there", async () => {
  const world = new World();
  const store = await world.store();
  const digest = await world.publish(store, "wanted again");
  await world.publish(store, "something else");
  world.now += HOUR;
  await collectGarbage(store, { ...GC, hours: 0 });
  const removal = store.storage.prepareRemoval?.(blobKey(digest));
  await world.publish(await world.store(), "wanted again");
  await removal?.carryOut().catch(() => {});
  expect(world.has(digest)).toBe(true);
});

test("a gc that finds a save leaves what it names", async () => {
  const world = new World();
  const store = await world.store();
  const digest = await world.publish(store, "old");
  await world.publish(store, "kept");
  world.now += HOUR;
  await collectGarbage(store, { ...GC, hours: 0 });
  await new Marks(store.storage).write("save", [digest]);
  world.now += HOUR;
  await collectGarbage(store, { ...GC, hours: 0 });
  expect(world.has(digest)).toBe(true);
  world.now += 25 * HOUR; // its publisher is gone
  for (let i = 0; i < 2; i += 1) {
    await collectGarbage(store, { ...GC, hours: 0 });
    world.now += HOUR;
  }
  expect(world.has(digest)).toBe(false);
});

test("a generation is not pruned while a publisher may take its number", async () => {
  const world = new World();
  const store = await world.store();
  await world.publish(store, "one");
  world.now += HOUR;
  await world.publish(store, "two");
  world.now += 29 * MINUTE;
  expect((await collectGarbage(store, GC)).pruned).toEqual([]);
  world.now += 2 * MINUTE;
  expect((await collectGarbage(store, GC)).pruned).toEqual([1]);
});

test("parts of an upload that nobody ended go after a day", async () => {
  const world = new World();
  const store = await world.store();
  await world.publish(store, "one");
  const bucket = store.storage as Bucket;
  await bucket.client.beginUpload("blobs/x");
  world.now += 23 * HOUR;
  await collectGarbage(store, GC);
  expect(world.engine.uploads.size).toBe(1);
  world.now += 2 * HOUR;
  await collectGarbage(store, GC);
  expect(world.engine.uploads.size).toBe(0);
});

test("the last look begins anew for what was marked since, until it is saved", async () => {
  const world = new World();
  const store = await world.store();
  const digest = await world.publish(store, "wanted again");
  await world.publish(store, "something else");
  const saver = new Saver(store.storage, { sleep: async () => {} });
  const look = () => saver.lastLook([digest], 2).catch((error: unknown) => error);
  expect(await look()).toEqual(new Set());
  world.now += HOUR;
  await collectGarbage(store, { ...GC, hours: 0 });
  expect(await look()).toBe(BEGIN_ANEW);
  expect([await saver.save([digest]), await look()]).toEqual([true, new Set()]);
  await saver.end();
  expect(await look()).toBe(BEGIN_ANEW);
});
