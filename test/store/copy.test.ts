/** Copies between folders and buckets: the same to the byte, only what is missing, and never over another history. */

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyStore } from "../../store/backup.ts";
import { check } from "../../store/check.ts";
import { Disk } from "../../store/fs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { Bucket } from "../../store/s3.ts";
import { sealerOf } from "../../store/sealing.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { error, S3Engine } from "../s3engine.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
function disk(): Disk {
  const folder = mkdtempSync(join(tmpdir(), "chp-copy-"));
  folders.push(folder);
  return new Disk(join(folder, "store"), { sync: false });
}

function bucketOn(engine: S3Engine, key = 7): Bucket {
  const client = engine.client({ sleep: async () => {}, patience: 0 });
  return new Bucket({ client, spool: new Spool(), sealer: async () => sealerOf(new Uint8Array(32).fill(key), client.place) });
}

async function publish(store: Store, name: string, content: string): Promise<void> {
  const blob = await store.ingestBytes(Buffer.from(content));
  const pkg = emptyCharm(name, { id: name, revisions: [charmRevision(1, blob.sums["sha-256"], content.length)] });
  await store.publish("2026-05-01T00:00:00.000Z", async () => ({
    draft: { command: "import", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [blob] },
    result: undefined,
  }));
  await blob.discard();
}

/** Every file of a store with its bytes; what a storage manages itself is left out. */
function contentOf({ place }: Disk): Record<string, string> {
  const files = readdirSync(place, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(place, name)).isFile());
  return Object.fromEntries(files.toSorted().map((name) => [name, readFileSync(join(place, name), "base64")]));
}

const isIntact = async (storage: Disk | Bucket) =>
  (await check(await Store.open(storage), { dryRun: true, readData: { part: 1, of: 1 } })).findings.filter(
    ({ severity }) => severity === "damage",
  );

test("folder → bucket → folder is the same to the byte, secrets too, which are sealed in between", async () => {
  const [from, back] = [disk(), disk()];
  const engine = new S3Engine();
  const store = await Store.openOrCreate(from);
  await publish(store, "kafka", "the charm kafka");
  await publish(store, "zookeeper", "z".repeat(300_000));
  await store.settings.change([], () => ({ config: { "public-url": "http://hub" }, session: { key: "a secret key" } }));
  const { secrets } = await copyStore(from, bucketOn(engine));
  expect(secrets).toHaveLength(1);
  const stored = [...engine.objects].filter(([key]) => key.includes("/secrets/"));
  expect(stored.map(([, { bytes }]) => Buffer.from(bytes).includes("a secret key"))).toEqual([false]);
  await copyStore(bucketOn(engine), back);
  expect(contentOf(back)).toEqual(contentOf(from));
});

test("a second run copies what is missing alone", async () => {
  const from = disk();
  const engine = new S3Engine();
  const store = await Store.openOrCreate(from);
  await publish(store, "kafka", "the charm kafka");
  await copyStore(from, bucketOn(engine));
  const again = await copyStore(from, bucketOn(engine));
  expect([again.generations, again.copied, again.secrets]).toEqual([[], 0, []]);
  await publish(store, "zookeeper", "the charm zookeeper");
  await store.settings.change([], () => ({ session: { key: "new" } }));
  const reader = await Store.open(bucketOn(engine));
  const later = await copyStore(from, bucketOn(engine));
  expect([later.generations, later.copied, later.secrets.length]).toEqual([[2], 3, 1]); // payload, manifest, index
  expect((await (await Store.open(bucketOn(engine))).snapshot()).names).toEqual(["kafka", "zookeeper"]);
  expect(await reader.settings.read("session")).toEqual({ key: "new" });
  expect(await isIntact(bucketOn(engine))).toEqual([]);
});

test("what stands in an earlier copy and is lost is copied again", async () => {
  const from = disk();
  const engine = new S3Engine();
  await publish(await Store.openOrCreate(from), "kafka", "the charm kafka");
  await copyStore(from, bucketOn(engine));
  for (const key of engine.objects.keys()) if (key.includes("/blobs/")) engine.objects.delete(key);
  expect((await copyStore(from, bucketOn(engine))).copied).toBe(3);
  expect(await isIntact(bucketOn(engine))).toEqual([]);
});

test.each([
  ["another store", async (store: Store) => publish(store, "other", "another charm"), "it has another generation 1"],
  [
    "a newer store",
    async (store: Store) => {
      await publish(store, "kafka", "the charm kafka");
      await publish(store, "other", "another charm");
    },
    "its generation 2 is newer than all of",
  ],
])("%s is not copied over", async (_what, make, why) => {
  const [from, to] = [disk(), disk()];
  await publish(await Store.openOrCreate(from), "kafka", "the charm kafka");
  await make(await Store.openOrCreate(to));
  const before = contentOf(to);
  const failure = await copyStore(from, to).catch((thrown: unknown) => thrown);
  expect(failure).toMatchObject({ kind: "usage", message: expect.stringContaining(`${to.place} is not empty: ${why}`) });
  expect(contentOf(to)).toEqual(before);
});

test("a copy that breaks off is no store, and resumes", async () => {
  const from = disk();
  const engine = new S3Engine();
  const store = await Store.openOrCreate(from);
  for (const name of ["a", "b", "c"]) await publish(store, name, `the charm ${name}`);
  for (let most = 70; ; most += 7) {
    let requests = 0;
    engine.weather = { before: () => ((requests += 1) > most ? error(403, "AccessDenied") : undefined) };
    const failure = await copyStore(from, bucketOn(engine)).catch((thrown: unknown) => thrown);
    engine.weather = {};
    if (!(failure instanceof Error)) break;
    expect(engine.objects.has("site/format.json")).toBe(false);
  }
  expect(await isIntact(bucketOn(engine))).toEqual([]);
  expect((await (await Store.open(bucketOn(engine))).snapshot()).names).toEqual(["a", "b", "c"]);
});

test("what gc of the target was about to delete is there when a generation of the copy names it", async () => {
  const from = disk();
  const engine = new S3Engine();
  let now = Date.parse("2026-05-01T00:00:00Z");
  engine.now = () => now;
  const bucket = () => {
    const client = engine.client({ elapsed: () => now, sleep: async (time) => void (now += time) });
    return new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")) });
  };
  const store = await Store.openOrCreate(from);
  await publish(store, "kafka", "wanted again");
  await publish(store, "kafka", "something else");
  await copyStore(from, bucket());
  const target = await Store.open(bucket());
  now += 3_600_000;
  const keep = { generations: 1, days: 0, hours: 0, dryRun: false };
  expect((await collectGarbage(target, keep)).pruned).toEqual([1]);
  await publish(store, "kafka", "wanted again");
  const waited = now;
  await copyStore(from, bucket());
  expect(now - waited).toBe(65_000);
  now += 3_600_000;
  await collectGarbage(target, keep);
  expect(await isIntact(bucket())).toEqual([]);
});
