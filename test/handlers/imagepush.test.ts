/** Images that clients push: uploads, manifests, who may, and what an attacker with a token tries. */

import { describe, expect, test } from "bun:test";
import { StorePush } from "../../bin/machine/imagepush.ts";
import { createApp } from "../../handlers/app.ts";
import type { Peer } from "../../handlers/listen.ts";
import type { LogLine } from "../../handlers/log.ts";
import type { Login } from "../../src/catalog/registry.ts";
import { sumsOf } from "../../src/digest.ts";
import { makeToken, type Token } from "../../src/settings/token.ts";
import { collectGarbage } from "../../store/gc.ts";
import { blobKey, LEASES } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { GC_DEFAULTS } from "../../store/retained.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import type { Storage } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { tarOf } from "../build.ts";
import { importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf, indexOf, type TestImage, type TestManifest } from "../registry.ts";
import { S3Engine } from "../s3engine.ts";
import { longTest } from "../thorough.ts";

const TLS: Peer = { tls: true, address: () => "192.0.2.7" };
const PLAIN: Peer = { ...TLS, tls: false };
const CREATED = "2026-05-01T12:00:00.000Z";
const LOGIN: Login = { username: "puller", password: "s3cret" };
const HOUR = 60 * 60 * 1000;

const ci = makeToken("ci", { created: CREATED, may: ["push"] });
const other = makeToken("other", { created: CREATED, may: ["import", "push"] });
const importer = makeToken("importer", { created: CREATED });
const old = makeToken("old", { created: CREATED, until: "2026-05-02T00:00:00.000Z", may: ["push"] });

const AMD = imageOf({ layers: ["base", "amd"] });
const ARM = imageOf({ architecture: "arm64", layers: ["base", "arm"] });
const BOTH = indexOf([AMD, ARM]);

const basic = (password: string, user = "any") => ({ Authorization: `Basic ${btoa(`${user}:${password}`)}` });
const digestOf = (bytes: string | Uint8Array) => `sha256:${sumsOf(Buffer.from(bytes))["sha-256"]}`;

interface Given {
  readonly login?: Login;
  readonly push?: boolean;
  readonly maxSize?: number;
  readonly quota?: number;
  readonly storage?: Memory | Bucket;
}

interface Ask {
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  readonly headers?: Record<string, string>;
  readonly password?: string | null;
  readonly peer?: Peer;
}

async function hub({ login, push = true, maxSize = 2 ** 30, quota, storage = new Memory() }: Given = {}) {
  const store = await Store.openOrCreate(storage);
  const lines: LogLine[] = [];
  const clock = { now: Date.parse("2026-06-01T00:00:00Z") };
  const tokens: Token[] = [ci.token, other.token, importer.token, old.token];
  const pushes = new StorePush(store, { tokens: async () => tokens, limits: async () => ({ maxSize, quota }), now: () => clock.now });
  const app = createApp({
    store,
    config: {},
    log: (line) => void lines.push(line),
    registries: () => ({ current: undefined, former: [], push, ...(login && { login }) }),
    imagePush: pushes,
  });
  const ask = async (method: string, path: string, { body, headers = {}, password = ci.text, peer = TLS }: Ask = {}) => {
    const init = {
      method,
      headers: { ...(password !== null && basic(password)), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : body instanceof Uint8Array ? new Uint8Array(body) : body }),
    };
    const reply = await app.fetch(new Request(`https://hub.test${path}`, init), peer);
    const text = await reply.text();
    const isError = reply.status >= 400 && text !== "";
    const [error] = (isError && (JSON.parse(text) as { errors?: { code: string; message: string }[] }).errors) || [];
    return { status: reply.status, headers: reply.headers, text, code: error?.code, message: error?.message };
  };
  const begin = async (name = "team/app", how: Ask = {}) => {
    const reply = await ask("POST", `/v2/${name}/blobs/uploads/`, how);
    expect(reply.status).toBe(202);
    return reply.headers.get("Location") ?? "";
  };
  const blob = async (bytes: string | Uint8Array, name = "team/app") =>
    (await ask("PUT", `${await begin(name)}?digest=${digestOf(bytes)}`, { body: bytes })).status;
  const manifest = (name: string, reference: string, { bytes, mediaType }: Omit<TestManifest, "digest">, how: Ask = {}) =>
    ask("PUT", `/v2/${name}/manifests/${reference}`, { body: bytes, headers: { "Content-Type": mediaType }, ...how });
  const image = async (name: string, tag: string, pushed: TestImage) => {
    for (const bytes of pushed.blobs.values()) expect(await blob(bytes, name)).toBe(201);
    for (const one of [...pushed.manifests.values()].filter(({ digest }) => digest !== pushed.digest))
      expect((await manifest(name, `sha256:${one.digest}`, one)).status).toBe(201);
    return manifest(name, tag, pushed);
  };
  return { store, storage, ask, begin, blob, manifest, image, lines, clock, pushes };
}

const leases = (storage: Storage) => storage.list(LEASES);

describe("a client that may push", () => {
  test("pushes an image of several architectures, which is pulled as it was, in one generation a manifest", async () => {
    const { ask, image, store, lines } = await hub();
    const reply = await image("team/app", "1", BOTH);
    expect([reply.status, reply.headers.get("Docker-Content-Digest")]).toEqual([201, `sha256:${BOTH.digest}`]);
    expect(reply.headers.get("Location")).toBe(`/v2/team/app/manifests/sha256:${BOTH.digest}`);
    const pulled = await ask("GET", "/v2/team/app/manifests/1", { password: null });
    expect([pulled.text, pulled.headers.get("Content-Type")]).toEqual([new TextDecoder().decode(BOTH.bytes), BOTH.mediaType]);
    for (const [digest, bytes] of BOTH.blobs)
      expect((await ask("GET", `/v2/team/app/blobs/sha256:${digest}`, { password: null })).text).toBe(new TextDecoder().decode(bytes));
    const commands = (await store.history()).map(({ command, images }) => [command, images?.["team/app"]?.manifests]);
    expect(commands).toEqual([
      [`push team/app@sha256:${AMD.digest} by token ci`, 1],
      [`push team/app@sha256:${ARM.digest} by token ci`, 1],
      ["push team/app:1 by token ci", 1],
    ]);
    const done = lines.filter(({ message }) => message === "an image was pushed");
    expect(done.at(-1)).toMatchObject({ token: "ci", name: "team/app:1", generation: 3, address: "192.0.2.7" });
    const repository = await (await store.snapshot()).repository("team/app");
    expect(repository?.manifests.flatMap(({ platform }) => platform?.architecture ?? []).toSorted()).toEqual(["amd64", "arm64"]);
  });

  test("pushes the same again, which changes nothing", async () => {
    const { image, store, manifest } = await hub();
    await image("team/app", "1", BOTH);
    for (const one of BOTH.manifests.values()) expect((await manifest("team/app", `sha256:${one.digest}`, one)).status).toBe(201);
    expect((await image("team/app", "1", BOTH)).status).toBe(201);
    expect((await store.history()).length).toBe(3);
  });

  test("pushes what was imported, which changes nothing", async () => {
    const { image, store } = await hub();
    await importInto(store, { "app.tar": tarOf(layoutOf([{ image: BOTH, name: "r.test/team/app:1" }])) });
    expect((await image("team/app", "1", BOTH)).status).toBe(201);
    expect((await store.history()).map(({ command }) => command)).toEqual(["import"]);
  });

  test("is told to bring a blob again whose bytes the store has lost", async () => {
    const { blob, manifest, storage, image } = await hub();
    for (const bytes of AMD.blobs.values()) await blob(bytes);
    const [lost] = AMD.blobs.keys();
    if (lost) await storage.remove(blobKey(lost));
    expect((await manifest("team/app", "1", AMD)).code).toBe("MANIFEST_BLOB_UNKNOWN");
    expect((await image("team/app", "1", AMD)).status).toBe(201);
  });

  test("goes on with an upload at the replica that has it: another says that it is not there, and serves what was pushed", async () => {
    const engine = new S3Engine();
    const replica = () => {
      const client = engine.client({ sleep: async () => {}, patience: 0 });
      const bucket = new Bucket({ client, spool: new Spool(), sealer: () => Promise.reject(new Error("no secret")), lag: 0 });
      return hub({ storage: Object.assign(bucket, { prepare: async () => {} }) });
    };
    const [a, b] = [await replica(), await replica()];
    const at = await a.begin();
    expect((await a.ask("PATCH", at, { body: "abc" })).status).toBe(202);
    const elsewhere = [
      await b.ask("GET", at),
      await b.ask("PATCH", at, { body: "def" }),
      await b.ask("PUT", `${at}?digest=${digestOf("abcdef")}`, { body: "def" }),
      await b.ask("DELETE", at),
    ];
    for (const { status, code, message } of elsewhere)
      expect([status, code, message]).toEqual([404, "BLOB_UPLOAD_UNKNOWN", expect.stringContaining("another replica has it")]);
    expect((await a.ask("PUT", `${at}?digest=${digestOf("abcdef")}`, { body: "def" })).status).toBe(201);
    expect((await b.manifest("team/app", "1", AMD)).code).toBe("MANIFEST_BLOB_UNKNOWN"); // what waits for its manifest waits at one
    expect((await a.image("team/app", "1", AMD)).status).toBe(201);
    expect((await b.ask("GET", "/v2/team/app/manifests/1")).status).toBe(200);
    for (const [digest, bytes] of AMD.blobs)
      expect((await b.ask("GET", `/v2/team/app/blobs/sha256:${digest}`)).text).toBe(new TextDecoder().decode(bytes));
  });

  test("uploads in chunks, and asks what is there", async () => {
    const { ask, begin } = await hub();
    const at = await begin();
    const range = async () => (await ask("GET", at)).headers.get("Range");
    const chunk = (body: string, headers: Record<string, string>) => ask("PATCH", at, { body, headers });
    expect(await range()).toBe("0-0");
    const first = await chunk("abc", { "Content-Range": "0-2", "Content-Length": "3" });
    expect([first.status, first.headers.get("Range"), first.headers.get("Location")]).toEqual([202, "0-2", at]);
    for (const wrong of ["0-2", "4-6", "3-9", "5-3", "x", "3-", "-3", "9007199254740993-9007199254740995"]) {
      const refused = await chunk("def", { "Content-Range": wrong, "Content-Length": "3" });
      expect([wrong, refused.status, refused.headers.get("Range")]).toEqual([wrong, 416, "0-2"]);
    }
    expect((await chunk("def", { "Content-Range": "3-5" })).status).toBe(202);
    expect((await ask("GET", at)).status).toBe(204);
    const end = await ask("PUT", `${at}?digest=${digestOf("abcdefghi")}`, { body: "ghi", headers: { "Content-Range": "6-8" } });
    expect([end.status, end.headers.get("Location")]).toEqual([201, `/v2/team/app/blobs/${digestOf("abcdefghi")}`]);
    expect((await ask("GET", `/v2/team/app/blobs/${digestOf("abcdefghi")}`)).text).toBe("abcdefghi");
    expect((await ask("GET", at)).code).toBe("BLOB_UPLOAD_UNKNOWN");
  });

  test("goes on where a connection broke", async () => {
    const { ask, begin } = await hub();
    const at = await begin();
    let isSent = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (isSent) controller.error(new Error("the connection broke"));
        else controller.enqueue(Buffer.from("abc"));
        isSent = true;
      },
    });
    expect((await ask("PATCH", at, { body })).status).toBe(499);
    expect((await ask("GET", at)).headers.get("Range")).toBe("0-2");
    expect((await ask("PUT", `${at}?digest=${digestOf("abcd")}`, { body: "d" })).status).toBe(201);
  });

  test("uploads in one request, and takes blobs of other repositories over", async () => {
    const { ask, image, store } = await hub();
    expect((await ask("POST", `/v2/a/blobs/uploads/?digest=${digestOf("x")}`, { body: "x" })).status).toBe(201);
    const wrong = await ask("POST", `/v2/a/blobs/uploads/?digest=${digestOf("x")}`, { body: "y" });
    expect([wrong.status, wrong.code]).toEqual([400, "DIGEST_INVALID"]);
    await image("team/app", "1", AMD);
    const [layer = ""] = AMD.blobs.keys();
    const mount = (digest: string, from: string) => ask("POST", `/v2/b/blobs/uploads/?mount=sha256:${digest}&from=${from}`);
    expect((await ask("HEAD", `/v2/b/blobs/sha256:${layer}`)).status).toBe(404);
    expect((await mount(layer, "team/app")).headers.get("Location")).toBe(`/v2/b/blobs/sha256:${layer}`);
    expect((await ask("HEAD", `/v2/b/blobs/sha256:${layer}`)).status).toBe(200);
    for (const [digest, from] of [
      [layer, "no/such"],
      ["0".repeat(64), "team/app"],
      [layer, "../x"],
    ] as const)
      expect((await mount(digest, from)).status).toBe(202);
    expect((await store.history()).length).toBe(1);
  });

  test("is told the subject of what refers to an image", async () => {
    const { image, ask } = await hub();
    const signature = imageOf({ artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", layers: ["signed"], subject: AMD });
    const reply = await image("team/app", "sig", signature);
    expect([reply.status, reply.headers.get("OCI-Subject")]).toEqual([201, `sha256:${AMD.digest}`]);
    expect((await ask("GET", `/v2/team/app/referrers/sha256:${AMD.digest}`)).text).toContain(signature.digest);
  });

  test("ends an upload, and deletes nothing else", async () => {
    const { ask, begin, image } = await hub();
    const at = await begin();
    expect((await ask("DELETE", at)).status).toBe(204);
    expect((await ask("PATCH", at, { body: "x" })).status).toBe(404);
    await image("team/app", "1", AMD);
    const [layer = ""] = AMD.blobs.keys();
    for (const path of ["manifests/1", `manifests/sha256:${AMD.digest}`, `blobs/sha256:${layer}`]) {
      const reply = await ask("DELETE", `/v2/team/app/${path}`);
      expect([reply.status, reply.code, reply.message]).toEqual([405, "UNSUPPORTED", expect.stringContaining("chp remove")]);
    }
    expect((await ask("GET", "/v2/team/app/manifests/1")).status).toBe(200);
  });
});

test("an upload whose stage cannot be deleted is over all the same: its lease ends, and another may begin", async () => {
  class Broken extends Memory {
    override async stage(...given: Parameters<Memory["stage"]>) {
      const stage = await super.stage(...given);
      if (given[0] !== "immutable") return stage; // the lease
      return { ...stage, discard: () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) };
    }
  }
  const { ask, begin, storage } = await hub({ storage: new Broken() });
  for (let i = 0; i < 33; i += 1) {
    const at = await begin(); // 32 are allowed at once
    expect((await ask("DELETE", at)).status).toBe(500);
    expect((await ask("GET", at)).status).toBe(404);
  }
  await Bun.sleep(1);
  expect(await leases(storage)).toEqual([]);
});

test("what a client asks for before it pushes is not missing; nothing refers to what is not there", async () => {
  const { ask, image } = await hub();
  const before = async () => [
    (await ask("HEAD", "/v2/team/app/manifests/1")).status,
    (await ask("HEAD", `/v2/team/app/blobs/sha256:${AMD.digest}`)).status,
    (await ask("GET", `/v2/team/app/referrers/sha256:${AMD.digest}`)).status,
  ];
  expect(await before()).toEqual([404, 404, 200]);
  await image("team/app", "2", AMD);
  await before();
  expect(JSON.parse((await ask("GET", "/_status/missing")).text)).toMatchObject({ missing: [] });
  await ask("GET", "/v2/team/app/manifests/1", { password: null });
  expect((await ask("GET", "/_status/missing")).text).toContain("team/app:1");
});

describe("who may push", () => {
  const WRITES = [
    ["POST", "/v2/team/app/blobs/uploads/"],
    ["PATCH", "/v2/team/app/blobs/uploads/x"],
    ["PUT", "/v2/team/app/blobs/uploads/x"],
    ["GET", "/v2/team/app/blobs/uploads/x"],
    ["DELETE", "/v2/team/app/blobs/uploads/x"],
    ["PUT", "/v2/team/app/manifests/1"],
    ["DELETE", "/v2/team/app/manifests/1"],
  ] as const;

  test.each<[string, Ask, number, string, string]>([
    ["nobody without a token", { password: null }, 401, "UNAUTHORIZED", "there is no token"],
    ["no unknown token", { password: `${ci.text}x` }, 401, "UNAUTHORIZED", "there is no such token"],
    ["not its hash", { password: ci.token.sha256 }, 401, "UNAUTHORIZED", "there is no such token"],
    ["no token that has ended", { password: old.text }, 401, "UNAUTHORIZED", "the token old has expired"],
    ["no token for imports", { password: importer.text }, 403, "DENIED", "the token importer may not push"],
    ["no bearer", { password: null, headers: { Authorization: `Bearer ${ci.text}` } }, 401, "UNAUTHORIZED", "there is no token"],
    [
      "not the login for pulls",
      { password: null, headers: basic(LOGIN.password, LOGIN.username) },
      403,
      "DENIED",
      "the login for pulls may not push",
    ],
    ["nobody over plain http", { peer: PLAIN }, 403, "DENIED", "over TLS alone"],
    ["not even without a token", { peer: PLAIN, password: null }, 403, "DENIED", "over TLS alone"],
  ])("%s", async (_, how, status, code, says) => {
    const { ask, store } = await hub({ login: LOGIN });
    for (const [method, path] of WRITES) {
      const reply = await ask(method, path, how);
      expect([method, path, reply.status, reply.code]).toEqual([method, path, status, code]);
      expect(reply.message).toContain(says);
      expect(reply.headers.get("WWW-Authenticate")).toBe(status === 401 ? 'Basic realm="chp"' : null);
    }
    expect((await store.history()).length).toBe(0);
  });

  test("a refused push is in the log, with the name of the token and never its text", async () => {
    const { ask, lines } = await hub();
    await ask("POST", "/v2/team/app/blobs/uploads/", { password: importer.text });
    expect(lines).toContainEqual(
      expect.objectContaining({ message: "a push was not admitted", why: "the token importer may not push", address: "192.0.2.7" }),
    );
    expect(JSON.stringify(lines)).not.toContain(importer.text);
  });

  test("as long as the setting is off, nobody", async () => {
    const { ask } = await hub({ push: false });
    for (const [method, path] of WRITES) expect((await ask(method, path)).code).toBe("UNSUPPORTED");
  });

  test("who may push may pull; over plain http the token is refused there too", async () => {
    const { ask, image } = await hub({ login: LOGIN });
    await image("team/app", "1", AMD);
    for (const path of ["/v2/", "/v2/team/app/manifests/1"]) {
      expect((await ask("GET", path)).status).toBe(200);
      expect((await ask("GET", path, { password: importer.text })).status).toBe(401);
      expect((await ask("GET", path, { peer: PLAIN })).code).toBe("DENIED");
      expect((await ask("GET", path, { peer: PLAIN, password: null, headers: basic(LOGIN.password, LOGIN.username) })).status).toBe(200);
    }
  });

  test("clients are asked for a login before they push, over TLS alone", async () => {
    const asked = async (given: Given, peer: Peer) =>
      (await (await hub(given)).ask("GET", "/v2/", { password: null, peer })).headers.get("WWW-Authenticate");
    expect(await asked({}, TLS)).toBe('Basic realm="chp"');
    expect(await asked({}, PLAIN)).toBeNull();
    expect(await asked({ push: false }, TLS)).toBeNull();
  });
});

describe("an attacker with a token", () => {
  test.each(["..%2F..%2Fetc", "%2e%2e", "x", "00000000-0000-0000-0000-000000000000", "__proto__", "a%00b"])(
    "finds no upload %s",
    async (id) => {
      const { ask } = await hub();
      for (const method of ["GET", "PATCH", "DELETE"])
        expect((await ask(method, `/v2/team/app/blobs/uploads/${id}`, method === "PATCH" ? { body: "x" } : {})).status).toBeOneOf([
          404, 405,
        ]);
      expect((await ask("PUT", `/v2/team/app/blobs/uploads/${id}?digest=${digestOf("x")}`, { body: "x" })).status).toBeOneOf([404, 405]);
    },
  );

  test("has no upload of another token, nor of another repository", async () => {
    const { ask, begin } = await hub();
    const at = await begin();
    for (const method of ["GET", "PATCH", "DELETE"])
      expect((await ask(method, at, { password: other.text, ...(method === "PATCH" && { body: "x" }) })).code).toBe("BLOB_UPLOAD_UNKNOWN");
    expect((await ask("PATCH", at.replace("team/app", "team/else"), { body: "x" })).code).toBe("BLOB_UPLOAD_UNKNOWN");
    expect((await ask("GET", at)).headers.get("Range")).toBe("0-0");
  });

  test.each([
    ["longer", "abcdef", "0-2"],
    ["shorter", "a", "0-2"],
  ])("sends a chunk that is %s than it says: the upload is over", async (_, body, range) => {
    const { ask, begin, storage } = await hub();
    const at = await begin();
    const reply = await ask("PATCH", at, { body, headers: { "Content-Range": range } });
    expect([reply.status, reply.code]).toEqual([400, "SIZE_INVALID"]);
    expect((await ask("GET", at)).status).toBe(404);
    expect([await storage.staged(), await leases(storage)]).toEqual([[], []]);
  });

  test("ends one upload twice: once it counts", async () => {
    const { ask, begin } = await hub();
    const at = await begin();
    let go = () => {};
    const first = ask("PUT", `${at}?digest=${digestOf("x")}`, {
      body: new ReadableStream<Uint8Array>({
        start: (controller) => {
          go = () => {
            controller.enqueue(Buffer.from("x"));
            controller.close();
          };
        },
      }),
    });
    await Promise.resolve();
    const second = await ask("PUT", `${at}?digest=${digestOf("y")}`, { body: "y" });
    expect([second.status, second.code]).toEqual([429, "TOOMANYREQUESTS"]);
    go();
    expect((await first).status).toBe(201);
    expect((await ask("PUT", `${at}?digest=${digestOf("x")}`)).code).toBe("BLOB_UPLOAD_UNKNOWN");
  });

  test.each([`sha512:${"0".repeat(128)}`, `sha256:${"0".repeat(64)}`, `sha256:${"A".repeat(64)}`, "", "../x"])(
    "ends an upload with the digest %j",
    async (digest) => {
      const { ask, begin, storage } = await hub();
      const before = await storage.list("blobs/");
      const reply = await ask("PUT", `${await begin()}?digest=${digest}`, { body: "x" });
      expect([reply.status, reply.code]).toEqual([400, "DIGEST_INVALID"]);
      expect(await storage.list("blobs/")).toEqual(before);
    },
  );

  test("pushes a manifest of what is missing: nothing is published, and with it, it is", async () => {
    const { store, manifest, image, blob, ask } = await hub();
    const missing = async (pushed: TestImage) => {
      const reply = await manifest("team/app", "1", pushed);
      expect([reply.status, reply.code]).toEqual([404, "MANIFEST_BLOB_UNKNOWN"]);
    };
    await missing(AMD);
    await missing(BOTH);
    for (const bytes of AMD.blobs.values()) await blob(bytes, "another/repository");
    await missing(AMD); // of another repository
    expect((await store.history()).length).toBe(0);
    expect((await ask("GET", "/v2/team/app/tags/list")).code).toBe("NAME_UNKNOWN");
    expect((await image("team/app", "1", AMD)).status).toBe(201);
  });

  test.each<[string, (image: TestImage) => unknown, string]>([
    ["is no JSON", () => "{", "is not JSON"],
    ["is nested deep", () => "[".repeat(1000), "nested more than"],
    ["is of another type", () => ({ schemaVersion: 2, mediaType: "text/plain" }), "media type"],
    [
      "says another size",
      ({ bytes }) => new TextDecoder().decode(bytes).replace(/"size": (\d+)/, (_, size: string) => `"size": ${Number(size) + 1}`),
      "bytes, and it has",
    ],
    [
      "has a digest of another algorithm",
      ({ bytes }) => new TextDecoder().decode(bytes).replaceAll("sha256:", "sha512:"),
      "is not sha256:",
    ],
  ])("pushes a manifest that %s", async (_, text, says) => {
    const { manifest, blob, store } = await hub();
    for (const bytes of AMD.blobs.values()) await blob(bytes);
    const value = text(AMD);
    const bytes = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
    const reply = await manifest("team/app", "1", { bytes, mediaType: AMD.mediaType });
    expect([reply.status, reply.code, reply.message]).toEqual([400, "MANIFEST_INVALID", expect.stringContaining(says)]);
    expect((await store.history()).length).toBe(0);
  });

  // Manifests of 4 MiB.
  longTest("pushes a manifest of 4 MiB and a byte, with its length and without", async () => {
    const { manifest } = await hub();
    const bytes = Buffer.alloc(4 * 2 ** 20 + 1, " ");
    for (const headers of [{ "Content-Length": String(bytes.byteLength) }, {}])
      expect((await manifest("team/app", "1", { bytes, mediaType: AMD.mediaType }, { headers })).status).toBe(413);
  });

  test("pushes a manifest under another digest, or a tag that is none", async () => {
    const { manifest, blob } = await hub();
    for (const bytes of AMD.blobs.values()) await blob(bytes);
    for (const reference of [`sha256:${ARM.digest}`, `sha512:${"0".repeat(128)}`, "-x", "a b", "x".repeat(129)])
      expect((await manifest("team/app", encodeURIComponent(reference), AMD)).code).toBe("DIGEST_INVALID");
  });

  test.each(["Team/app", "team//app", "-x", "docker.io/library/x", "localhost/x", `${"a/".repeat(150)}a`])(
    "pushes into %s",
    async (name) => {
      const { ask } = await hub();
      expect((await ask("POST", `/v2/${name}/blobs/uploads/`)).code).toBe("NAME_INVALID");
      expect((await ask("PUT", `/v2/${name}/manifests/1`, { body: "{}" })).code).toBe("NAME_INVALID");
    },
  );

  test.each(["charms", "snaps"])("does not reach the API of %s", async (taken) => {
    const { ask, storage } = await hub();
    expect((await ask("POST", `/v2/${taken}/blobs/uploads/`)).status).toBe(404);
    expect(await leases(storage)).toEqual([]);
  });

  test("sends more than a blob may have: the upload is over", async () => {
    const { ask, begin, storage } = await hub({ maxSize: 10 });
    const at = await begin();
    expect((await ask("PATCH", at, { body: "0123456789" })).status).toBe(202);
    const reply = await ask("PATCH", at, { body: "x" });
    expect([reply.status, reply.message]).toEqual([413, expect.stringContaining("registry.push.max-size")]);
    expect([(await ask("GET", at)).status, await storage.staged()]).toEqual([404, []]);
  });

  // Uploads of megabytes.
  longTest("sends more than the store may have, in one upload or in several at once", async () => {
    const { ask, begin, blob, storage, manifest } = await hub({ quota: 3 * 2 ** 20 });
    const mega = (letter: string) => Buffer.alloc(2 ** 20, letter);
    const ats = [await begin(), await begin(), await begin(), await begin(), await begin()];
    const statuses = [];
    for (const [i, at] of ats.entries()) statuses.push((await ask("PATCH", at, { body: mega(String(i)) })).status);
    expect(statuses).toEqual([202, 202, 202, 202, 413]); // one MiB of slack
    for (const at of ats) await ask("DELETE", at);
    expect([await blob(mega("a")), await blob(mega("b")), await blob(mega("c")), await blob(mega("d"))]).toEqual([201, 201, 201, 413]);
    expect((await manifest("team/app", "1", indexOf([]))).status).toBe(413);
    expect([await storage.staged(), await leases(storage)]).toEqual([[], []]);
  });

  test("opens more uploads than a token may have; another token still can", async () => {
    const { ask, begin } = await hub();
    const ats: string[] = [];
    for (let i = 0; i < 32; i += 1) ats.push(await begin());
    expect((await ask("POST", "/v2/team/app/blobs/uploads/")).code).toBe("TOOMANYREQUESTS");
    await begin("team/app", { password: other.text });
    await ask("DELETE", ats[0] ?? "");
    await begin();
  });
});

describe("what is left", () => {
  test("an upload without a byte for an hour ends, and with the last one the lease", async () => {
    const { ask, begin, storage, clock, pushes } = await hub();
    const [idle, used] = [await begin(), await begin()];
    clock.now += HOUR - 1;
    await ask("PATCH", used, { body: "x" });
    clock.now += 1;
    await pushes.sweep();
    expect([(await ask("GET", idle)).status, (await ask("GET", used)).status]).toEqual([404, 204]);
    expect([(await storage.staged()).length, (await leases(storage)).length]).toEqual([1, 1]);
    await pushes.close();
    expect([await storage.staged(), await leases(storage)]).toEqual([[], []]);
  });

  test("blobs that no manifest names yet stay while an upload lives, however eager gc is", async () => {
    const time = { now: Date.parse("2026-06-01T00:00:00Z") };
    const { ask, blob, begin, manifest, store } = await hub({ storage: new Memory(() => time.now) });
    for (const bytes of AMD.blobs.values()) await blob(bytes);
    const at = await begin();
    const gc = () => collectGarbage(store, { ...GC_DEFAULTS, hours: 0, dryRun: false });
    expect((await gc()).aside.blobs).toBe(AMD.blobs.size);
    for (let minutes = 0; minutes < 120; minutes += 8) {
      time.now += 8 * 60 * 1000;
      await store.renewLease();
    }
    expect([(await gc()).deleted.blobs, (await gc()).leases]).toEqual([0, 1]);
    for (const digest of AMD.blobs.keys()) expect((await ask("HEAD", `/v2/team/app/blobs/sha256:${digest}`)).status).toBe(200);
    expect((await manifest("team/app", "1", AMD)).status).toBe(201);
    for (const digest of AMD.blobs.keys()) expect(store.has(digest)).toBe(true);
    expect((await ask("PUT", `${at}?digest=${digestOf("x")}`, { body: "x" })).status).toBe(201);
  });

  test("a blob whose manifest does not come is forgotten after half a day, and then has to be uploaded again", async () => {
    const { ask, blob, image, clock, pushes } = await hub();
    for (const bytes of AMD.blobs.values()) await blob(bytes);
    const [layer = ""] = AMD.blobs.keys();
    const status = async () => (await ask("HEAD", `/v2/team/app/blobs/sha256:${layer}`)).status;
    clock.now += 12 * HOUR - 1;
    await pushes.sweep();
    expect(await status()).toBe(200);
    clock.now += 1;
    await pushes.sweep();
    expect(await status()).toBe(404);
    expect((await image("team/app", "1", AMD)).status).toBe(201);
    clock.now += 12 * HOUR;
    await pushes.sweep();
    expect(await status()).toBe(200);
  });

  test("what a killed server staged is gone with the next upload, once its lease is over", async () => {
    const clock = { now: Date.parse("2026-06-01T00:00:00Z") };
    const storage = new Memory(() => clock.now);
    const killed = await hub({ storage });
    await killed.ask("PATCH", await killed.begin(), { body: "left" });
    clock.now += HOUR;
    const next = await hub({ storage });
    await next.begin();
    expect([(await storage.staged()).length, (await leases(storage)).length]).toEqual([1, 1]);
    await killed.pushes.close();
  });

  test.each(["EACCES", "EROFS"])("a server that may not write into its store says so: %s", async (code) => {
    class ReadOnly extends Memory {
      override stage(): never {
        throw Object.assign(new Error("no"), { code });
      }
    }
    const storage = new Memory();
    await Store.openOrCreate(storage);
    const readOnly = Object.setPrototypeOf(storage, ReadOnly.prototype) as Memory;
    const { ask, manifest } = await hub({ storage: readOnly });
    for (const reply of [await ask("POST", "/v2/team/app/blobs/uploads/"), await manifest("team/app", "1", indexOf([]))])
      expect([reply.status, reply.code, reply.message]).toEqual([403, "DENIED", expect.stringContaining("may not write into its store")]);
  });
});
