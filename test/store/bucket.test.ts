/** A bucket as what lies between may make it: answers that are lost or late, engines that are busy, lie, or ignore conditions. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Failure } from "../../src/errors.ts";
import { Bucket } from "../../store/s3.ts";
import type { S3Options } from "../../store/s3client.ts";
import { bucketProof, proveBucket } from "../../store/s3proof.ts";
import { sealerOf } from "../../store/sealing.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { noise } from "../build.ts";
import { realBucket } from "../realbucket.ts";
import { type EngineFaults, error, S3Engine, type Weather } from "../s3engine.ts";
import { longTest, runs } from "../thorough.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const textOf = (read: { readonly bytes: Uint8Array } | undefined) => read && Buffer.from(read.bytes).toString();
const reset = (code = "ECONNRESET") => Object.assign(new Error(`read ${code}`), { code });
/** So that no test waits. */
const quick = { sleep: async () => {} };
const KEY = new Uint8Array(32).fill(7);

function bucketOn(engine: S3Engine, options: Partial<S3Options> = {}): Bucket {
  const client = engine.client({ ...quick, ...options });
  return new Bucket({ client, spool: new Spool(), sealer: async () => sealerOf(KEY, client.place) });
}

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const failure = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (failure instanceof Failure) return failure;
  throw new Error(`it did not fail in words: ${String(failure)}`);
}

/** Each request of one kind meets it once. */
function once(method: string, weather: Weather): Weather {
  let met = false;
  const meets = (is: { readonly method: string }) => !met && is.method === method && (met = true);
  return {
    before: (request) => (weather.before && meets(request) ? weather.before(request) : undefined),
    after: (request, reply) => (weather.after && meets(request) ? weather.after(request, reply) : reply),
  };
}

describe("a create", () => {
  test("whose answer is lost, and that is sent again, is known to have been carried out", async () => {
    const engine = new S3Engine();
    engine.weather = once("PUT", { after: () => Promise.reject(reset()) });
    const client = engine.client(quick);
    expect(await client.create("catalog/1", bytes("mine"))).toBe(true);
    expect(engine.log.filter((line) => line.startsWith("PUT"))).toHaveLength(2);
    expect(await client.create("catalog/1", bytes("another"))).toBe(false);
  });

  test("that another was faster with is not taken for one's own", async () => {
    const engine = new S3Engine();
    const client = engine.client(quick);
    engine.weather = once("PUT", {
      before: async () => {
        engine.weather = {};
        await engine.client(quick).create("catalog/1", bytes("theirs"));
        throw reset();
      },
    });
    expect(await client.create("catalog/1", bytes("mine"))).toBe(false);
    expect(textOf(await client.read("catalog/1", 0, 100))).toBe("theirs");
  });

  test.each([409, 500, 502, 503, 504, 429])("that meets status %d is sent again", async (status) => {
    const engine = new S3Engine();
    engine.weather = once("PUT", { before: () => error(status, status === 409 ? "ConditionalRequestConflict" : "SlowDown") });
    expect(await engine.client(quick).create("k", bytes("x"))).toBe(true);
  });

  test("that is sent again keeps the time that it was signed at", async () => {
    const engine = new S3Engine();
    let now = Date.parse("2026-05-01T00:00:00Z");
    engine.now = () => now;
    const client = engine.client({ ...quick, elapsed: () => now });
    await client.head("k");
    engine.weather = once("PUT", {
      before: () => {
        now += 16 * 60_000; // it lay somewhere for a while
        return Promise.reject(reset());
      },
    });
    const failure = await failureOf(
      engine.client({ ...quick, elapsed: () => now, patience: 3_600_000 }).create("k", bytes("x"), client.now()),
    );
    expect([failure.message, engine.objects.size]).toEqual([expect.stringContaining("RequestTimeTooSkewed"), 0]);
  });

  test("many clients over a network that loses answers: one wins each name, and each knows who", async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.integer({ min: 0, max: 99 })), fc.integer({ min: 2, max: 8 }), async (dice, writers) => {
        const engine = new S3Engine();
        const throwDie = () => dice.next().value as number;
        engine.weather = {
          before: () => (throwDie() < 10 ? Promise.reject(reset()) : throwDie() < 5 ? error(503, "SlowDown") : undefined),
          after: (_request, reply) => (throwDie() < 15 ? Promise.reject(reset()) : reply),
        };
        const won = await Promise.all(
          Array.from({ length: writers }, (_, i) => engine.client({ ...quick, patience: 1e9 }).create("catalog/1", bytes(`${i}`))),
        );
        expect(won.filter(Boolean)).toHaveLength(1);
        expect(Buffer.from(engine.objects.get("site/catalog/1")?.bytes ?? []).toString()).toBe(String(won.indexOf(true)));
      }),
      { numRuns: runs(100) },
    );
  });
});

describe("what breaks on its way is asked for again", () => {
  test.each<[string, Weather]>([
    ["no answer", { after: () => Promise.reject(reset()) }],
    [
      "half an answer",
      {
        after: (_, reply) => new Response("hal", { status: 206, headers: { ...Object.fromEntries(reply.headers), "content-length": "8" } }),
      },
    ],
    ["an error of the engine", { before: () => error(500, "InternalError") }],
    ["an error of what is before it", { before: () => new Response("<html>", { status: 502 }) }],
  ])("%s", async (_what, weather) => {
    const engine = new S3Engine();
    const client = engine.client(quick);
    await client.put("k", bytes("complete"));
    engine.weather = once("GET", weather);
    expect(textOf(await client.read("k", 0, 100))).toBe("complete");
  });

  test("bytes that changed on their way are refused by the engine, and sent again", async () => {
    const engine = new S3Engine();
    let isFirst = true;
    const client = engine.client({
      ...quick,
      transport: (url, request) => {
        const body = isFirst && request.body ? bytes("chan ged") : request.body;
        if (request.body) isFirst = false;
        return engine.transport(url, { ...request, ...(body && { body }) });
      },
    });
    await client.put("k", bytes("as it is"));
    expect(textOf(await client.read("k", 0, 100))).toBe("as it is");
  });

  test("a large object in pieces, of which each may break, is the same to the byte", async () => {
    const engine = new S3Engine();
    const bucket = bucketOn(engine);
    const large = noise(11 * 2 ** 20 + 17, 1);
    const stage = await bucket.stage();
    await stage.write(large);
    const { "sha-256": digest } = await stage.end();
    await stage.commit("blobs/large");
    await stage.discard();
    let calls = 0;
    engine.weather = { after: (request, reply) => ((calls += 1) % 2 === 0 && request.method === "GET" ? Promise.reject(reset()) : reply) };
    const object = await bucket.open("blobs/large");
    const read = new Uint8Array(await new Response((await object?.body()) ?? "").arrayBuffer());
    expect(new Bun.CryptoHasher("sha256").update(read).digest("hex")).toBe(digest);
    const part = new Uint8Array(await new Response((await object?.body(5_000_000, 10_000_000)) ?? "").arrayBuffer());
    expect(Buffer.compare(part, large.subarray(5_000_000, 10_000_000))).toBe(0);
  });

  // Seventy parts of a mebibyte, signed and hashed.
  longTest("more than a part is sent in parts; one that fails leaves nothing", async () => {
    const engine = new S3Engine();
    const bucket = bucketOn(engine, { patience: 0 });
    const stage = await bucket.stage();
    const chunk = noise(2 ** 20, 1);
    for (let i = 0; i < 70; i += 1) await stage.write(chunk);
    await stage.end();
    engine.weather = { before: ({ url }) => (url.searchParams.get("partNumber") === "3" ? error(507, "QuotaExceeded") : undefined) };
    const failure = await failureOf(stage.commit("blobs/parts"));
    expect([failure.message, failure.next, engine.uploads.size, engine.objects.size]).toEqual([
      expect.stringContaining("there is no space left"),
      expect.stringContaining("nothing was published"),
      0,
      0,
    ]);
    engine.weather = {};
    await stage.commit("blobs/parts");
    expect(engine.objects.get("site/blobs/parts")?.bytes.byteLength).toBe(70 * 2 ** 20);
    await stage.discard();
  });
});

test("a listing of many pages is complete", async () => {
  const engine = new S3Engine();
  engine.faults = { page: 3 };
  const bucket = bucketOn(engine);
  const keys = Array.from({ length: 20 }, (_, i) => `c/${String(i).padStart(2, "0")}`);
  for (const key of [...keys, "c/sub/deep", "other"]) await bucket.create(key, bytes(key));
  expect(await bucket.list("c/")).toEqual(keys);
  const walked: string[] = [];
  for await (const { key, size } of bucket.walk("c/")) walked.push(`${key} ${size}`);
  expect(walked).toEqual([...keys, "c/sub/deep"].map((key) => `${key} ${key.length}`));
});

describe("the engine's clock", () => {
  test("counts, whatever that of the machine says", async () => {
    const engine = new S3Engine();
    engine.now = () => Date.parse("2031-01-01T00:00:10.900Z");
    const bucket = bucketOn(engine);
    await bucket.create("k", bytes("x"));
    expect((await bucket.open("k"))?.modified).toBe(Date.parse("2031-01-01T00:00:10Z"));
    expect(Math.abs((await bucket.clock()) - engine.now())).toBeLessThan(5000);
  });

  test("a prepared removal takes effect within its minute, and not after it", async () => {
    const engine = new S3Engine();
    let now = Date.parse("2026-05-01T00:00:00Z");
    engine.now = () => now;
    const bucket = bucketOn(engine, { elapsed: () => now });
    for (const [seconds, isThere] of [
      [59, false],
      [62, true],
    ] as const) {
      await bucket.create("k", bytes("x"));
      const removal = bucket.prepareRemoval("k");
      now += seconds * 1000;
      await removal.carryOut().catch(() => {});
      expect([seconds, await bucket.has("k")]).toEqual([seconds, isThere]);
    }
  });
});

describe("a bucket is proven", () => {
  test("one that keeps everything", async () => {
    const engine = new S3Engine();
    const steps = await bucketProof(engine.client());
    expect([steps.filter(({ broken }) => broken !== undefined), steps.length]).toEqual([[], 8]);
    expect(engine.objects.size).toBe(0);
  });

  test.each<[EngineFaults, string]>([
    [{ ignoresConditions: true }, "it ignores If-None-Match"],
    [{ ignoresSums: true }, "it takes bytes of another sha256"],
    [{ ignoresTimes: true }, "it takes a request that was signed 20 minutes ago"],
  ])("one that does not: %j", async (faults, why) => {
    const engine = new S3Engine();
    engine.faults = faults;
    const failure = await failureOf(proveBucket(engine.client()));
    expect(failure.message).toStartWith("s3://bucket/site cannot keep a store: ");
    expect([failure.message, failure.next]).toEqual([expect.stringContaining(why), expect.stringContaining("use a newer release")]);
    await failureOf(Store.openOrCreate(bucketOn(engine)));
    expect(engine.objects.size).toBe(0);
  });
});

test.each([
  [403, "AccessDenied", "--policy"],
  [403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"],
  [403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"],
  [403, "RequestTimeTooSkewed", "clock"],
  [400, "ExpiredToken", "AWS_SESSION_TOKEN"],
  [404, "NoSuchBucket", "s3 mb s3://bucket"],
  [301, "PermanentRedirect", "AWS_REGION"],
  [507, "QuotaExceeded", "chp gc"],
  [501, "NotImplemented", "chp doctor"],
  [418, "Teapot", "chp doctor --store s3://bucket/site"],
])("status %d %s is said in words, with the next step", async (status, code, next) => {
  const engine = new S3Engine();
  engine.weather = { before: () => error(status, code) };
  const failure = await failureOf(engine.client({ ...quick, patience: 0 }).read("k", 0, 1));
  expect([failure.message, failure.next]).toEqual([
    expect.stringContaining(`cannot read k in s3://bucket/site`),
    expect.stringContaining(next),
  ]);
  expect(failure.message).toContain(code);
});

test("an engine that does not answer is busy, and says where it was looked for; nobody's secret is in it", async () => {
  const client = new S3Engine().client({ ...quick, patience: 0, transport: () => Promise.reject(reset("ECONNREFUSED")) });
  const failure = await failureOf(client.head("k"));
  expect([failure.kind, failure.message, failure.next]).toEqual([
    "busy",
    "cannot read k in s3://bucket/site: http://engine.test does not answer: read ECONNREFUSED",
    "check AWS_ENDPOINT_URL, and that the storage is up: curl -sS http://engine.test",
  ]);
  const untrusted = new S3Engine().client({ ...quick, transport: () => Promise.reject(reset("UNABLE_TO_VERIFY_LEAF_SIGNATURE_FAILURE")) });
  expect((await failureOf(untrusted.head("k"))).next).toBe("name the certificate of its authority: AWS_CA_BUNDLE=FILE");
});

describe("secrets", () => {
  test("are sealed in the bucket, and only under their own names", async () => {
    const engine = new S3Engine();
    const bucket = bucketOn(engine);
    const put = async (key: string, text: string) => {
      const stage = await bucket.stage("secret");
      await stage.write(bytes(text));
      await stage.end();
      await stage.commit(key);
      await stage.discard();
    };
    await put("secrets/a", "the password");
    await put("secrets/b", "another");
    const stored = engine.objects.get("site/secrets/a");
    expect(Buffer.from(stored?.bytes ?? []).includes("password")).toBe(false);
    expect(Buffer.from((await (await bucket.open("secrets/a"))?.bytes()) ?? []).toString()).toBe("the password");
    if (stored) engine.objects.set("site/secrets/b", stored);
    expect(await failureOf(bucket.open("secrets/b"))).toMatchObject({ kind: "corrupt" });
  });

  test("any byte of a sealed secret that is changed, or cut off, is noticed", () => {
    const sealer = sealerOf(KEY, "s3://bucket");
    const sealed = sealer.seal("secrets/a", bytes("a password"));
    expect(Buffer.from(sealer.unseal("secrets/a", sealed)).toString()).toBe("a password");
    for (let i = 0; i < sealed.byteLength; i += 1) {
      const changed = new Uint8Array(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => sealer.unseal("secrets/a", changed)).toThrow("sealed with another key, or altered");
      expect(() => sealer.unseal("secrets/a", sealed.subarray(0, i))).toThrow("sealed with another key, or altered");
    }
    expect(() => sealerOf(new Uint8Array(32), "p").unseal("secrets/a", sealed)).toThrow("sealed with another key");
  });

  test("no key: nothing secret is written, and what is public can be read", async () => {
    const engine = new S3Engine();
    const client = engine.client(quick);
    const bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Failure("failed", "no key is set")) });
    const store = await Store.openOrCreate(bucket);
    const change = store.settings.change([], () => ({ session: { key: "abc" } }));
    expect((await failureOf(change)).message).toBe("no key is set");
    await store.settings.change([], () => ({ config: { "public-url": "http://hub" } }));
    expect(await store.settings.read("config")).toEqual({ "public-url": "http://hub" });
    expect([...engine.objects.keys()].some((key) => key.includes("secrets"))).toBe(false);
  });
});

test("of changes of settings by many machines at once none is lost", async () => {
  const engine = new S3Engine();
  await Store.openOrCreate(bucketOn(engine));
  const all = Array.from({ length: 12 }, (_, i) => `key${i}`);
  await Promise.all(
    all.map(async (key) => {
      const { settings } = await Store.open(bucketOn(engine));
      await settings.change(["config"], ({ config }) => ({ config: { ...config, [key]: key } }));
    }),
  );
  const { settings } = await Store.open(bucketOn(engine));
  expect(Object.keys(await settings.read("config")).toSorted()).toEqual(all.toSorted());
});

const real = realBucket();
if (real)
  test("a real bucket keeps what a store needs", async () => {
    expect((await bucketProof(real())).filter(({ broken }) => broken !== undefined)).toEqual([]);
  });
