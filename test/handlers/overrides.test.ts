/** The Overrides API in this process: who may, what is logged, and what happens at once. The cases of its wire are test/conformance's. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { overrideWrites } from "../../bin/machine/overridewrites.ts";
import { createApp } from "../../handlers/app.ts";
import type { OverrideWrites } from "../../handlers/call.ts";
import type { Peer } from "../../handlers/listen.ts";
import type { LogLine } from "../../handlers/log.ts";
import { release } from "../../src/catalog/change.ts";
import { changeDraft } from "../../src/catalog/drafts.ts";
import { setOverride } from "../../src/catalog/override.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { makeToken, type Token } from "../../src/settings/token.ts";
import { Store } from "../../store/store.ts";
import { bothWorlds } from "../snapworld.ts";
import { anyText } from "../strangers.ts";
import { runs } from "../thorough.ts";
import { publish } from "../web.ts";

const TLS: Peer = { tls: true, address: () => "192.0.2.7" };
const CREATED = "2026-05-01T12:00:00.000Z";
const ops = makeToken("ops", { created: CREATED, may: ["overrides"] });
const other = makeToken("night-job", { created: CREATED, may: ["push", "overrides"] });
const old = makeToken("old", { created: CREATED, until: "2026-05-02T00:00:00.000Z", may: ["overrides"] });
const sender = makeToken("sender", { created: CREATED });
const TOKENS = [ops.token, other.token, old.token, sender.token];

const wish = (snap_name: string, channel: string, revision: number | null) => ({ snap_name, revision, channel, series: "16" });

interface Given {
  readonly tokens?: readonly Token[];
  /** milliseconds since 1970; this machine's by default */
  readonly clock?: () => number;
  /** what runs before a draft is made */
  readonly before?: (store: Store) => Promise<void>;
}

async function served({ tokens = TOKENS, before, clock }: Given = {}) {
  const storage = await bothWorlds();
  const store = await Store.open(storage);
  const lines: LogLine[] = [];
  const writes = overrideWrites(store, { tokens: async () => tokens, undo: ({ number }) => `chp rollback ${number - 1}` });
  const overrides: OverrideWrites = {
    ...writes,
    publish: (draft) =>
      writes.publish(async (base, now) => {
        const made = await draft(base, now);
        await before?.(await Store.open(storage));
        return made;
      }),
  };
  const app = createApp({ store, config: {}, log: (line) => void lines.push(line), overrides, ...(clock && { clock }) });
  const ask = async (path: string, { text = ops.text, peer = TLS, body }: { text?: string; peer?: Peer; body?: unknown } = {}) => {
    const init = { headers: { Authorization: `Bearer ${text}` } };
    const post = { ...init, method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) };
    const reply = await app.fetch(new Request(`https://hub.test/v2/metadata/overrides${path}`, body === undefined ? init : post), peer);
    return { status: reply.status, json: JSON.parse(await reply.text()) };
  };
  const post = (body: unknown, more: { text?: string; peer?: Peer } = {}) => ask("", { body, ...more });
  const rows = async (name: string) => {
    const { json } = await ask(`/${name}`);
    return (json.overrides as { channel: string; architecture: string; revision: number }[]).map(
      ({ channel, architecture, revision }) => `${channel} ${architecture} ${revision}`,
    );
  };
  const history = async () => (await Store.open(storage)).history();
  return { ask, post, rows, history, lines, storage };
}

describe("a token", () => {
  test("is taken over TLS alone, and while it has not ended", async () => {
    const { ask, post, rows } = await served();
    const plain = { peer: { ...TLS, tls: false } };
    for (const done of [await ask("/hello", plain), await post([wish("hello", "stable", 6)], plain)])
      expect([done.status, done.json["error-list"][0]]).toEqual([
        403,
        { code: "forbidden", message: "overrides are taken over TLS alone", next: expect.stringContaining("chp token --revoke") },
      ]);
    expect((await ask("/hello", { text: old.text })).json["error-list"][0].message).toBe("the token old has expired");
    expect((await ask("/hello", { text: sender.text })).json["error-list"][0]).toMatchObject({
      message: "the token sender may not set overrides",
      next: "chp token NAME --may overrides makes one that may",
    });
    expect(await rows("hello")).toEqual([]);
  });

  test("is named as the reason, in the history and in the log, with the undo; its text stands nowhere", async () => {
    const { post, history, lines, storage } = await served();
    const before = (await history()).length;
    expect((await post([wish("hello", "stable", 6), wish("all1", "edge", 1)], { text: other.text })).status).toBe(200);
    expect((await post([wish("hello", "stable", 6)], { text: `${ops.text}x` })).status).toBe(401);
    const snap = await (await (await Store.open(storage)).snapshot()).snap("hello");
    expect(snap?.overrides).toMatchObject([{ channel: "latest/stable", revision: 6, reason: "Overrides API, token night-job" }]);
    expect(snap?.overrides?.[0]?.until).toBeUndefined();
    const generations = await history();
    expect(generations).toHaveLength(before + 1);
    const [number, command] = [generations.at(-1)?.number ?? 0, "override by token night-job: hello stable=6, all1 edge=1"];
    expect(generations.at(-1)).toMatchObject({ command, snaps: { hello: { channels: 1 }, all1: { channels: 1 } } });
    expect(lines.find(({ message }) => message === "overrides were set")).toMatchObject({
      level: "info",
      token: "night-job",
      address: "192.0.2.7",
      overrides: "hello stable=6, all1 edge=1",
      generation: number,
      undo: `chp rollback ${number - 1}`,
    });
    expect(lines.find(({ message }) => message === "an override was not admitted")).toMatchObject({ why: "the token is not known" });
    for (const secret of [ops.text, other.text, ops.token.sha256, other.token.sha256])
      expect(JSON.stringify([lines, generations])).not.toContain(secret);
  });
});

test("what is so already makes no generation and no line in the log", async () => {
  const { post, history, lines } = await served();
  const all = [wish("hello", "stable", 6), wish("hello", "edge", null)];
  await post(all);
  const before = await history();
  expect((await post(all)).status).toBe(200);
  expect(await history()).toEqual(before);
  expect(lines.filter(({ message }) => message === "overrides were set")).toHaveLength(1);
});

test("requests at once, and changes of others in between: each is one generation, and none is lost", async () => {
  let left = 3;
  const { post, rows, history, storage } = await served({
    before: async (store) => {
      if ((left -= 1) < 0) return;
      // An operator's release comes in between: the draft is made anew over it.
      await store.publish(new Date().toISOString(), async (base) => {
        const before = await base.snap("all1");
        if (!before) throw new Error("all1 is not stored");
        const after = release(before, 1, `operator/edge/${left}`, {}, new Date().toISOString());
        return { draft: changeDraft("release", [{ before, after }]), result: undefined };
      });
    },
  });
  const before = (await history()).length;
  const channels = Array.from({ length: 20 }, (_, i) => `stable/b${i}`);
  const done = await Promise.all(channels.map((channel, i) => post([wish("hello", channel, 5 + (i % 3)), wish("all1", channel, 1)])));
  expect(done.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(await history()).toHaveLength(before + 20 + 3);
  expect((await rows("hello")).toSorted()).toEqual(channels.map((channel, i) => `${channel} amd64 ${5 + (i % 3)}`).toSorted());
  expect((await rows("all1")).toSorted()).toEqual(channels.map((channel) => `${channel} all 1`).toSorted());
  const all1 = await (await (await Store.open(storage)).snapshot()).snap("all1");
  expect(all1?.releases.filter(({ channel }) => channel.startsWith("operator/"))).toHaveLength(3);
});

test("of two of one channel at once the later one is in force, whole", async () => {
  const { post, rows } = await served();
  const both = [6, 7].map((revision) => post([wish("hello", "stable", revision), wish("hello", "edge", revision)]));
  expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200]);
  expect([
    ["edge amd64 6", "stable amd64 6"],
    ["edge amd64 7", "stable amd64 7"],
  ]).toContainEqual((await rows("hello")).toSorted());
});

test("more than can be waited for are told to come again", async () => {
  const { post } = await served();
  const done = await Promise.all(Array.from({ length: 40 }, (_, i) => post([wish("hello", `stable/b${i}`, 5)])));
  const counts = [200, 429].map((status) => done.filter((one) => one.status === status).length);
  expect(counts).toEqual([32, 8]);
});

test("a store that cannot be written to is said, and nothing is half done", async () => {
  const { post, rows, lines } = await served({
    before: async () => {
      throw Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" });
    },
  });
  const done = await post([wish("hello", "stable", 6)]);
  expect([done.status, done.json["error-list"][0].code]).toEqual([403, "forbidden"]);
  expect(done.json["error-list"][0].message).toContain("this server may not write into its store");
  expect(await rows("hello")).toEqual([]);
  expect(lines.some(({ message }) => message === "overrides were set")).toBe(false);
});

const CHANNELS = ["stable", "edge", "2.0/stable", "new/beta", "stable/fix"];
const wishes = fc.array(fc.record({ channel: fc.constantFrom(...CHANNELS), revision: fc.constantFrom(null, 5, 6, 7, 8) }), {
  minLength: 1,
  maxLength: 6,
});

test("whatever is asked for one after the other, in one request or several, is what is listed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wishes, { minLength: 1, maxLength: 4 }), async (requests) => {
      const { post, rows } = await served();
      const pinned = new Map<string, number>();
      for (const request of requests) {
        expect((await post(request.map(({ channel, revision }) => wish("hello", channel, revision)))).status).toBe(200);
        for (const { channel, revision } of request) {
          if (revision !== null) pinned.set(`${channel} ${revision === 8 ? "arm64" : "amd64"}`, revision);
          else for (const architecture of ["amd64", "arm64"]) pinned.delete(`${channel} ${architecture}`);
        }
      }
      expect((await rows("hello")).toSorted()).toEqual([...pinned].map(([place, revision]) => `${place} ${revision}`).toSorted());
    }),
    { numRuns: runs(60) },
  );
});

/** What is nearly right, and what is not at all. */
const hostile = fc.oneof(
  fc.json({ maxDepth: 6 }),
  anyText(),
  fc
    .array(
      fc.record(
        {
          snap_name: fc.oneof(fc.constantFrom("hello", "all1", "constructor", "../hello", ""), fc.string()),
          revision: fc.oneof(fc.constantFrom(null, 5, 6, 0, -1, 1e21), fc.integer(), fc.double(), fc.string()),
          channel: fc.oneof(fc.constantFrom("stable", "", "/", "a/b/c", "стабильный", "stable\u0000"), fc.string()),
          series: fc.constantFrom("16", "18", 16, null),
          more: fc.anything(),
        },
        { requiredKeys: [] },
      ),
      { maxLength: 4 },
    )
    .map((list) => JSON.stringify(list)),
);

test("no body brings anything but a refusal or what it says, all of it or nothing", async () => {
  const { post, history, rows } = await served();
  let generations = (await history()).length;
  await fc.assert(
    fc.asyncProperty(hostile, async (body) => {
      const before = await rows("hello");
      const { status, json } = await post(body);
      const now = (await history()).length;
      if (status === 200) expect(json.overrides).toBeArray();
      else {
        expect([status, [400, 404, 413].includes(status), now]).toEqual([status, true, generations]);
        expect([json["error-list"].length, await rows("hello")]).toEqual([1, before]);
      }
      expect(now - generations).toBeLessThanOrEqual(1);
      generations = now;
    }),
    { numRuns: runs(500) },
  );
});

test("an override that has ended by the server's clock is listed no more", async () => {
  let now = Date.parse("2029-01-01T00:00:00Z");
  const { rows, storage } = await served({ clock: () => now });
  const store = await Store.open(storage);
  const snap = (await (await store.snapshot()).snap("hello")) as Snap;
  await publish(store, [setOverride(snap, 6, "latest/stable", {}, { reason: "wait", until: "2030-01-01T00:00:00Z" }, CREATED)]);
  expect(await rows("hello")).not.toEqual([]);
  now = Date.parse("2030-02-01T00:00:00Z");
  expect(await rows("hello")).toEqual([]);
});
