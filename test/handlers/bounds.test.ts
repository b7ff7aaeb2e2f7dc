/** What one client, or many at once, may ask of a server that writes: each bound says what it is. */

import { describe, expect, test } from "bun:test";
import { REMOTE_OPTIONS } from "../../bin/commands/flags.ts";
import { StorePush } from "../../bin/machine/imagepush.ts";
import { overrideWrites } from "../../bin/machine/overridewrites.ts";
import { createApp } from "../../handlers/app.ts";
import type { ImportEnd } from "../../handlers/call.ts";
import type { Peer } from "../../handlers/listen.ts";
import { Failure } from "../../src/errors.ts";
import { makeToken, type Right } from "../../src/settings/token.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { failureOf, newStore } from "../importing.ts";
import { bothWorlds } from "../snapworld.ts";

const TLS: Peer = { tls: true, address: () => "192.0.2.7" };
const token = (may: Right) => makeToken("ci", { created: "2026-05-01T12:00:00.000Z", may: [may] });

/** A body that says how long it is, and never ends. */
function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: () => new Promise(() => {}) }, { highWaterMark: 0 });
}

describe("imports of other machines", () => {
  const { text, token: known } = token("import");
  const headers = { Authorization: `Bearer ${text}` };

  async function served(caps: { readonly maxSize?: number; readonly maxParallel?: number }) {
    const runs: { resolve(end: ImportEnd): void }[] = [];
    const run = () => {
      const one = Promise.withResolvers<ImportEnd>();
      runs.push(one);
      return one.promise;
    };
    const app = createApp({
      store: await newStore(),
      config: {},
      log: () => {},
      remoteImport: { options: REMOTE_OPTIONS, tokens: async () => [known], run, ...caps },
    });
    const ask = async (method: string, more: { readonly body?: string; readonly headers?: Record<string, string> } = {}) => {
      const reply = await app.fetch(
        new Request("https://hub.test/_import", { method, ...more, headers: { ...headers, ...more.headers } }),
        TLS,
      );
      const said = (await reply.json()) as { "error-list"?: { message: string; next?: string }[] };
      return { status: reply.status, headers: reply.headers, ...said["error-list"]?.[0] };
    };
    return { ask, runs };
  }

  test("run so many at once; one more is told to come again, before it sends anything", async () => {
    const { ask, runs } = await served({ maxParallel: 2 });
    const sent = [ask("PUT", { body: "x" }), ask("PUT", { body: "x" })];
    while (runs.length < 2) await Bun.sleep(1);
    for (const method of ["GET", "PUT"]) {
      const refused = await ask(method);
      expect(refused).toMatchObject({ status: 503, message: "2 imports of other machines run already" });
      expect(refused.next).toBe(`try again in ${refused.headers.get("Retry-After")} s`);
    }
    for (const run of runs) run.resolve({ exit: 0, out: '{"generation": 1}', err: "" });
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([201, 201]);
    expect((await ask("GET")).status).toBe(200);
  });

  test("have so many bytes, by what they say", async () => {
    const { ask, runs } = await served({ maxSize: 4 });
    expect(await ask("PUT", { body: "12345", headers: { "Content-Length": "5" } })).toMatchObject({
      status: 413,
      message: "imports from other machines may send 4 bytes",
      next: "there: chp config remote-import.max-size=BYTES allows more",
    });
    expect(runs).toHaveLength(0);
  });
});

test("requests that set overrides wait for each other, so many at once", async () => {
  const { text, token: known } = token("overrides");
  const store = await Store.open(await bothWorlds());
  const gate = Promise.withResolvers<void>();
  const begun: true[] = [];
  const writes = overrideWrites(store, { tokens: async () => [known], undo: () => "" });
  const app = createApp({
    store,
    config: {},
    log: () => {},
    overrides: {
      ...writes,
      publish: async () => {
        begun.push(true);
        await gate.promise;
        throw new Failure("refused", "done");
      },
    },
  });
  const body = JSON.stringify([{ snap_name: "hello", revision: 5, channel: "stable", series: "16" }]);
  const ask = () => {
    const init = { method: "POST", body, headers: { Authorization: `Bearer ${text}`, "Content-Length": String(body.length) } };
    return app.fetch(new Request("https://hub.test/v2/metadata/overrides", init), TLS);
  };
  const waiting = Array.from({ length: 32 }, ask);
  while (begun.length < 32) await Bun.sleep(1);
  const refused = await ask();
  expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining("32 requests set overrides already")]);
  gate.resolve();
  for (const each of waiting) expect((await each).status).toBe(422);
  expect((await ask()).status).toBe(422); // it had its turn
  expect(begun).toHaveLength(33);
});

describe("pushes of images", () => {
  const { text, token: known } = token("push");
  const basic = { Authorization: `Basic ${btoa(`any:${text}`)}` };

  async function hub({ maxSize = 2 ** 30, push = true } = {}) {
    const store = await Store.openOrCreate(new Memory());
    const pushes = new StorePush(store, { tokens: async () => [known], limits: async () => ({ maxSize, quota: undefined }) });
    const registries = () => ({ current: undefined, former: [], push });
    const app = createApp({ store, config: {}, log: () => {}, registries, imagePush: pushes });
    const ask = async (method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}) => {
      const init = { method, headers: { ...basic, ...headers }, ...(body !== undefined && { body }) };
      const reply = await app.fetch(new Request(`https://hub.test/v2/team/app/${path}`, init), TLS);
      const said = await reply.text();
      const errors = reply.status >= 400 && said !== "" ? (JSON.parse(said) as { errors: { code: string; message: string }[] }).errors : [];
      return { status: reply.status, location: reply.headers.get("Location") ?? "", ...errors[0] };
    };
    return { pushes, ask };
  }

  test("are refused where the registry only reads", async () => {
    const { ask } = await hub({ push: false });
    for (const [method, path] of [
      ["POST", "blobs/uploads/"],
      ["PUT", "manifests/1.0"],
      ["DELETE", "manifests/1.0"],
    ] as const)
      expect(await ask(method, path)).toMatchObject({ status: 405, message: "this registry is read-only" });
  });

  test("of one token have so many uploads open", async () => {
    const { ask } = await hub();
    const open: string[] = [];
    for (let i = 0; i < 32; i += 1) open.push((await ask("POST", "blobs/uploads/")).location);
    expect(await ask("POST", "blobs/uploads/")).toMatchObject({ status: 429, message: "the token ci has 32 uploads open already" });
    expect((await ask("DELETE", open[0]?.split("/v2/team/app/")[1] ?? "")).status).toBe(204);
    expect((await ask("POST", "blobs/uploads/")).status).toBe(202);
  });

  test("have one request at a time in an upload, blobs of so many bytes, and bodies that are as long as they say", async () => {
    const { ask, pushes } = await hub({ maxSize: 10 });
    const path = (await ask("POST", "blobs/uploads/")).location.split("/v2/team/app/")[1] ?? "";
    const [id = ""] = path.split("/").slice(-1);
    const busy = pushes.use(id, "team/app", "ci", () => new Promise<void>(() => {}));
    expect(busy).toBeDefined();
    expect(await ask("PATCH", path, "x")).toMatchObject({ status: 429, message: "another request has this upload" });
    const second = (await ask("POST", "blobs/uploads/")).location.split("/v2/team/app/")[1] ?? "";
    expect(await ask("PATCH", second, "01234567890")).toMatchObject({
      status: 413,
      message: "a blob that is pushed may have 10 bytes: chp config registry.push.max-size=SIZE allows more",
    });
    const third = (await ask("POST", "blobs/uploads/")).location.split("/v2/team/app/")[1] ?? "";
    for (const body of ["123", "12345"]) {
      const upload = body === "123" ? third : ((await ask("POST", "blobs/uploads/")).location.split("/v2/team/app/")[1] ?? "");
      expect(await ask("PATCH", upload, body, { "Content-Range": "0-3" })).toMatchObject({
        status: 400,
        code: "SIZE_INVALID",
        message: "the body has not the 4 bytes that its headers say",
      });
    }
  });

  test("leave so many blobs without a manifest, and push so many manifests at once", async () => {
    const { ask, pushes } = await hub();
    const digest = (i: number) => String(i).padStart(64, "0") as never;
    for (let i = 0; i < 50_000; i += 1) pushes.mount("team/app", digest(i), 1);
    const failed = await failureOf((async () => pushes.mount("team/other", digest(50_000), 1))(), "too-many");
    expect(failed.message).toBe("50000 blobs wait for their manifests already");
    void Array.from({ length: 8 }, () => ask("PUT", "manifests/1.0", endless()));
    await Bun.sleep(0); // each is read by now
    expect(await ask("PUT", "manifests/1.0", "{}")).toMatchObject({ status: 429, message: "8 manifests are pushed at once already" });
  });
});
