/** Two servers over one bucket: what each knows, when, and what it asks the bucket for. */

import { afterAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { createApp } from "../../handlers/app.ts";
import { listen } from "../../handlers/listen.ts";
import type { LogLine } from "../../handlers/log.ts";
import { sumsOf } from "../../src/digest.ts";
import { BlobCache } from "../../store/blobcache.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { error, S3Engine } from "../s3engine.ts";
import { tempFolder } from "../temp.ts";
import { sized } from "../thorough.ts";

const LAG = 3_600_000; // nothing here waits for it
/** a revision whose file is no small one */
const LARGE = 9;

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());

async function serverOn(engine: S3Engine, lag = LAG, redirects = false) {
  let waited = 0;
  const client = engine.client({ sleep: async (time) => void (waited += time), elapsed: () => waited, patience: 0 });
  const cache = await BlobCache.temporary(folder.path, { limit: 2 ** 30, failed: () => {} });
  const bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")), lag, redirects, cache });
  const store = await Store.openOrCreate(Object.assign(bucket, { prepare: async () => {} }));
  const logged: LogLine[] = [];
  const app = createApp({ store, config: { publicUrl: "http://hub" }, log: (entry) => void logged.push(entry) });
  const get = (path: string, method = "GET") => app.fetch(new Request(`http://hub${path}`, { method }));
  return { store, app, get, logged, check: async () => (await get("/_status/check")).json() as Promise<Record<string, unknown>> };
}

const contentOf = (revision: number) => Buffer.from(`the charm ${revision} `.repeat(revision === LARGE ? 100_000 : revision));
const ID = "a".repeat(32);
const fileOf = (revision: number) => `/api/v1/charms/download/${ID}_${revision}.charm`;

async function publish(store: Store, revision: number): Promise<void> {
  const content = contentOf(revision);
  const blob = await store.ingestBytes(content);
  const pkg = emptyCharm("kafka", { id: ID, revisions: [charmRevision(revision, sumsOf(content)["sha-256"], content.byteLength)] });
  await store.publish("2026-05-01T00:00:00.000Z", async () => ({
    draft: {
      command: "import",
      sources: [],
      sections: { packages: { changed: [pkg], tally: { kafka: { revisions: [revision], channels: 0 } } } },
      blobs: [blob],
    },
    result: undefined,
  }));
  await blob.discard();
}

test("a file that another replica announced is there, whatever this one knew", async () => {
  const engine = new S3Engine();
  const [a, b] = [await serverOn(engine), await serverOn(engine)];
  await publish(a.store, 1);
  expect((await b.get(fileOf(1))).status).toBe(200);
  await publish(a.store, 2);
  expect((await b.check())["generation"]).toBe(1); // within the lag
  expect((await b.get(fileOf(2), "HEAD")).status).toBe(200);
  expect(await (await b.get(fileOf(2))).text()).toBe(contentOf(2).toString());
  expect((await b.check())["generation"]).toBe(2);
});

test("what is not stored is a 404, noted once, and what the second look finds is not noted", async () => {
  const engine = new S3Engine();
  const [a, b] = [await serverOn(engine), await serverOn(engine)];
  expect((await b.get("/v2/charms/info/zookeeper")).status).toBe(404);
  const missing = async () => ((await (await b.get("/_status/missing")).json()) as { missing: { what: string; times: number }[] }).missing;
  const before = await missing();
  expect(before.map(({ times }) => times)).toEqual([1]);
  await publish(a.store, 1);
  expect((await b.get("/v2/charms/info/kafka")).status).toBe(200);
  expect(await missing()).toEqual(before);
});

describe("requests of the bucket", () => {
  test("none for what is known, and one a lag that looks for the next generation", async () => {
    const engine = new S3Engine();
    const a = await serverOn(engine);
    await publish(a.store, 1);
    const info = () => a.get("/v2/charms/info/kafka");
    expect((await info()).status).toBe(200);
    engine.log.length = 0;
    for (let i = 0; i < 50; i += 1) await info();
    expect(engine.log).toEqual([]);
    const b = await serverOn(engine, 0);
    await b.get("/v2/charms/info/kafka");
    engine.log.length = 0;
    await b.get("/v2/charms/info/kafka");
    expect(new Set(engine.log)).toEqual(new Set(["HEAD site/catalog/0000000002.json"]));
  });

  test("at most ten from the start to the first answer, of many packages", async () => {
    const engine = new S3Engine();
    const a = await serverOn(engine);
    const packages = Array.from({ length: sized(1000) }, (_, i) =>
      emptyCharm(`charm-${i}`, { id: sumsOf(Buffer.from(`${i}`))["sha-256"].slice(0, 32) }),
    );
    const content = contentOf(1);
    const blob = await a.store.ingestBytes(content);
    const kafka = emptyCharm("kafka", { id: ID, revisions: [charmRevision(1, sumsOf(content)["sha-256"], content.byteLength)] });
    await a.store.publish("2026-05-01T00:00:00.000Z", async () => ({
      draft: { command: "import", sources: [], sections: { packages: { changed: [...packages, kafka], tally: {} } }, blobs: [blob] },
      result: undefined,
    }));
    engine.log.length = 0;
    const b = await serverOn(engine);
    expect((await b.get("/v2/charms/info/kafka")).status).toBe(200);
    expect(engine.log.length).toBeLessThanOrEqual(10);
  });
});

test("clients are sent to the bucket for what is large, where that is asked for; a HEAD is answered here", async () => {
  const engine = new S3Engine();
  const a = await serverOn(engine, 0, true);
  await publish(a.store, LARGE);
  const sent = await a.get(fileOf(LARGE));
  expect([sent.status, sent.headers.get("Cache-Control")]).toEqual([302, "no-store"]);
  const reply = await engine.fetch(new Request(sent.headers.get("Location") ?? ""));
  expect(Buffer.compare(Buffer.from(await reply.arrayBuffer()), contentOf(LARGE))).toBe(0);
  expect(new URL(sent.headers.get("Location") ?? "").searchParams.get("response-content-disposition")).toBe(
    `attachment; filename="${ID}_${LARGE}.charm"`,
  );
  const head = await a.get(fileOf(LARGE), "HEAD");
  expect([head.status, head.headers.get("Content-Length")]).toEqual([200, String(contentOf(LARGE).byteLength)]);
  await publish(a.store, 1);
  expect((await a.get(fileOf(1))).status).toBe(200);
});

describe("a payload has its length, which clients rely on, by a real listener", () => {
  const content = contentOf(LARGE);
  const size = content.byteLength;
  const digest = sumsOf(content)["sha-256"];
  const few = 1000;
  const most = size - few;
  /** header of the request → status and bytes of the reply */
  const cases: readonly (readonly [Readonly<Record<string, string>>, number, Uint8Array])[] = [
    [{}, 200, content],
    [{ Range: `bytes=0-${few - 1}` }, 206, content.subarray(0, few)],
    [{ Range: `bytes=${most}-` }, 206, content.subarray(most)],
    [{ Range: `bytes=-${few}` }, 206, content.subarray(most)],
    [{ Range: `bytes=0-${most - 1}` }, 206, content.subarray(0, most)],
    [{ Range: `bytes=${few}-` }, 206, content.subarray(few)],
    [{ Range: `bytes=${few}-`, "If-Range": `"${digest}"` }, 206, content.subarray(few)],
    [{ Range: `bytes=${few}-`, "If-Range": '"another"' }, 200, content],
    [{ Range: `bytes=${size}-` }, 416, new Uint8Array()],
    [{ "If-None-Match": `"${digest}"` }, 304, new Uint8Array()],
  ];

  test.each(cases)("%j: %d", async (headers, status, expected) => {
    const engine = new S3Engine();
    const a = await serverOn(engine, 0);
    await publish(a.store, LARGE);
    await using listener = await listening(a.app.fetch);
    const reads = () => engine.log.filter((line) => line.startsWith("GET site/blobs/")).length;
    const check = async () => {
      const reply = await rawly(listener.url, "GET", fileOf(LARGE), headers);
      expect(reply.head.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
      expect(reply.chunked).toBe(false);
      if (status !== 304) expect(reply.lengths).toEqual([expected.byteLength]);
      expect(Buffer.compare(reply.body, expected)).toBe(0);
    };
    await check();
    const head = await rawly(listener.url, "HEAD", fileOf(LARGE), {});
    expect([head.lengths, head.chunked, head.body.byteLength]).toEqual([[size], false, 0]);
    await check();
    await rawly(listener.url, "GET", fileOf(LARGE), {}); // now it is cached
    const before = reads();
    await check();
    expect(reads()).toBe(before);
  });

  test("small ones from memory", async () => {
    const a = await serverOn(new S3Engine(), 0);
    await publish(a.store, 1);
    await using listener = await listening(a.app.fetch);
    const reply = await rawly(listener.url, "GET", fileOf(1), {});
    expect([reply.lengths, reply.chunked, reply.body.toString()]).toEqual([[contentOf(1).byteLength], false, contentOf(1).toString()]);
  });

  test("what the bucket breaks off before its end is a whole error, not half a payload", async () => {
    const engine = new S3Engine();
    const a = await serverOn(engine, 0);
    await publish(a.store, LARGE);
    await using listener = await listening(a.app.fetch);
    let gets = 0;
    engine.weather = { before: ({ key }) => (key.includes("/blobs/") && (gets += 1) > 1 ? error(503, "SlowDown") : undefined) };
    const broken = await rawly(listener.url, "GET", fileOf(LARGE), {});
    expect([broken.head.slice(0, 12), broken.head.includes("Retry-After: 10"), gets > 1]).toEqual(["HTTP/1.1 503", true, true]);
    engine.weather = {};
    expect((await rawly(listener.url, "GET", fileOf(LARGE), {})).lengths).toEqual([size]);
  });
});

async function listening(fetch: Parameters<typeof listen>[0]) {
  const listener = await listen(fetch, { host: "127.0.0.1", port: 0 });
  return { url: new URL(listener.url), [Symbol.asyncDispose]: () => listener.drain() };
}

/** A reply as it comes over the wire. */
async function rawly(url: URL, method: string, path: string, headers: Readonly<Record<string, string>>) {
  const parts: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname);
    socket.on("data", (part) => void parts.push(Buffer.from(part)));
    socket.on("error", reject);
    socket.on("close", () => resolve());
    const lines = Object.entries({ Host: url.host, Connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}`);
    socket.write([`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
  });
  const all = Buffer.concat(parts);
  const end = all.indexOf("\r\n\r\n");
  const head = all.subarray(0, end).toString("latin1");
  const lengths = [...head.matchAll(/^content-length: (\d+)\r?$/gim)].map(([, length]) => Number(length));
  return { head, lengths, chunked: /^transfer-encoding/im.test(head), body: all.subarray(end + 4) };
}

describe("a bucket that does not answer", () => {
  test("what is known is served, what is not is 503 and to be asked for again, and it is said", async () => {
    const engine = new S3Engine();
    const a = await serverOn(engine, 0);
    await publish(a.store, 1);
    await a.get("/v2/charms/info/kafka");
    expect(await a.check()).toMatchObject({ status: "ok", generation: 1, storage: { state: "ok" } });
    engine.weather = { before: () => error(503, "SlowDown") };
    expect((await a.get("/v2/charms/info/kafka")).status).toBe(200);
    const file = await a.get(fileOf(1));
    expect([file.status, file.headers.get("Retry-After")]).toEqual([503, "10"]);
    expect((await a.get(fileOf(9))).status).toBe(404);
    expect(await a.check()).toMatchObject({ status: "ok", generation: 1, storage: { state: "away", since: expect.any(String) } });
    expect(await (await a.get("/metrics")).text()).toContain("chp_storage_away 1");
    expect(a.logged.filter(({ level, message }) => level === "error" && message.includes("what is known is served"))).toHaveLength(1);
    engine.weather = {};
    await a.get("/v2/charms/info/kafka"); // looks, and does not wait for it
    while (a.store.away) await new Promise((resolve) => setImmediate(resolve));
    expect((await a.get(fileOf(1))).status).toBe(200);
    expect(await (await a.get("/metrics")).text()).toContain("chp_storage_away 0");
    for (const _ of [1, 2]) await a.get("/v2/charms/info/kafka");
    expect(a.logged.filter(({ level, message }) => level === "info" && message === "the store answers again")).toHaveLength(1);
  });

  test("nobody waits for it twice", async () => {
    const engine = new S3Engine();
    const a = await serverOn(engine, 0);
    await publish(a.store, 1);
    await a.get("/v2/charms/info/kafka");
    engine.weather = { before: () => error(503, "SlowDown") };
    await a.get("/v2/charms/info/kafka");
    engine.weather = { before: () => new Promise(() => {}) }; // it takes requests, and answers none
    expect((await a.get("/v2/charms/info/kafka")).status).toBe(200);
  });
});
