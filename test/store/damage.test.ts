/** A damaged blob of a bucket, which an import may send again at any moment of a verification: what was sent is never lost. */

import { afterAll, expect, test } from "bun:test";
import type { Digest } from "../../src/digest.ts";
import { copyStore } from "../../store/backup.ts";
import { check, lostBlobs } from "../../store/check.ts";
import { Disk } from "../../store/fs.ts";
import { blobKey, QUARANTINE } from "../../store/keys.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { S3Engine } from "../s3engine.ts";
import { tempFolder } from "../temp.ts";
import { stride, thorough } from "../thorough.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());

const SMALL = Buffer.from("a charm of few bytes");
/** above what is asked for before it is sent */
const LARGE = Buffer.alloc(2 ** 20 + 1, "a charm of many bytes");

const bucketOn = (engine: S3Engine) =>
  new Bucket({
    client: engine.client({ sleep: async () => {}, patience: 0 }),
    spool: new Spool(folder.path),
    sealer: () => Promise.reject(new Error("no secret")),
  });
const openOn = (engine: S3Engine) => Store.open(bucketOn(engine));

async function send(store: Store, content: Uint8Array): Promise<Digest> {
  const blob = await store.ingestBytes(content);
  await blob.commit();
  await blob.discard();
  return blob.sums["sha-256"];
}

async function publish(store: Store, content: Uint8Array): Promise<Digest> {
  const blob = await store.ingestBytes(content);
  const digest = blob.sums["sha-256"];
  const pkg = emptyCharm("kafka", { id: "kafka", revisions: [charmRevision(1, digest, content.byteLength)] });
  await store.publish("2026-05-01T00:00:00.000Z", async () => ({
    draft: { command: "import", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [blob] },
    result: undefined,
  }));
  await blob.discard();
  return digest;
}

/** A store whose only payload has another byte. */
async function damaged(content: Uint8Array): Promise<{ readonly engine: S3Engine; readonly digest: Digest; readonly harm: () => void }> {
  const engine = new S3Engine();
  const store = await Store.openOrCreate(Object.assign(bucketOn(engine), { prepare: async () => {} }));
  const digest = await publish(store, content);
  const key = `site/${blobKey(digest)}`;
  const harm = () => {
    const stored = engine.objects.get(key);
    if (stored) engine.objects.set(key, { ...stored, bytes: new Uint8Array(stored.bytes).fill(0, 3, 4) });
  };
  harm();
  return { engine, digest, harm };
}

const ALL = { part: 1, of: 1 } as const;
const verified = async (engine: S3Engine, dryRun = false) =>
  (await check(await openOn(engine), { dryRun, readData: ALL })).findings.filter(({ severity }) => severity === "damage").length;
const notes = (engine: S3Engine) => [...engine.objects.keys()].filter((key) => key.startsWith(`site/${QUARANTINE}`)).length;

test.each([
  ["small", SMALL],
  ...(thorough ? [["large", LARGE] as const] : []), // its parts are requests too, at each of which it is tried
] as const)("a %s one that an import sends at any request of a verification is there afterwards", async (_what, content) => {
  for (let at = 0; ; at += stride(3)) {
    const { engine, digest } = await damaged(content);
    let requests = 0;
    let isSent = false;
    engine.weather = {
      before: async () => {
        requests += 1;
        if (requests !== at + 1) return undefined;
        engine.weather = {};
        isSent = true;
        // As it is where the verification comes first: noted. A large one of the same size that is not noted yet is not sent at all.
        await send(await openOn(engine), content);
        return undefined;
      },
    };
    await verified(engine);
    engine.weather = {};
    expect(engine.objects.has(`site/${blobKey(digest)}`)).toBe(true);
    if (isSent && content === SMALL) expect(await verified(engine)).toBe(0);
    await send(await openOn(engine), content);
    expect([await verified(engine), notes(engine)]).toEqual([0, 0]);
    if (!isSent) break;
    expect(at).toBeLessThan(200);
  }
});

test("a dry run notes nothing; what is noted is sent by the next import, and only by that", async () => {
  const { engine } = await damaged(LARGE);
  expect([await verified(engine, true), notes(engine)]).toEqual([1, 0]);
  expect([await verified(engine), notes(engine)]).toEqual([1, 1]);
  const store = await openOn(engine);
  const puts = () => engine.log.filter((line) => line.startsWith("PUT site/blobs/")).length;
  const before = puts();
  await send(store, LARGE);
  expect(puts()).toBe(before + 1);
  await send(store, LARGE);
  expect(puts()).toBe(before + 1);
  expect([await verified(engine), notes(engine)]).toEqual([0, 0]);
});

test("a repair replaces it though no verification noted it, and a copy brings what is noted", async () => {
  const { engine, digest, harm } = await damaged(LARGE);
  const store = await openOn(engine);
  expect([(await lostBlobs(store, new Set([digest]), { dryRun: true })).size, notes(engine)]).toEqual([1, 0]);
  expect((await lostBlobs(store, new Set([digest]), { dryRun: false })).size).toBe(1);
  await send(store, LARGE);
  expect(await verified(engine)).toBe(0);

  const copy = new Disk(`${folder.path}/copy`, { sync: false });
  await copyStore(bucketOn(engine), copy);
  harm();
  await verified(engine);
  await copyStore(copy, bucketOn(engine));
  expect(await verified(engine)).toBe(0);
});
