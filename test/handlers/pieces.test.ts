/** What many actions in one body may cost: the reply, what is made for it, and the turns of others. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import { MAX_REFRESH } from "../../handlers/body.ts";
import { type Element, MAX_REPLY, type PieceReply, replyInPieces } from "../../handlers/pieces.ts";
import { Failure } from "../../src/errors.ts";
import { SLICE } from "../../src/turns.ts";
import { pieceOf } from "../../src/wire/template.ts";
import type { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { HELLO, importSnapWorld } from "../snapworld.ts";
import { longTest, runs, thorough } from "../thorough.ts";
import { charmWorld, IDA, NOBLE, once } from "../world.ts";

const [CHARMS, SNAPS] = ["/v2/charms/refresh", "/v2/snaps/refresh"];
const snapWorld = once(importSnapWorld);
/** Bytes of a README, which is read from its blob once for each text that is made. */
const README = 100_000;
/** Actions whose replies have more than 64 MiB. */
const TOO_MANY = thorough ? 5000 : 1000;

async function served(storage: Memory) {
  const store = await Store.open(storage);
  let texts = 0;
  const app = createApp({
    store: {
      snapshot: () => store.snapshot(),
      blob: (digest) => store.blob(digest),
      text: async (digest) => {
        texts += 1;
        await store.text(digest);
        return "x".repeat(README);
      },
    },
    config: {},
    log: () => {},
  });
  const send = (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const length = String(Buffer.byteLength(text));
    return app.fetch(
      new Request(`http://hub.test${path}`, { method: "POST", body: text, headers: { "Content-Length": length, ...headers } }),
    );
  };
  return { send, get: (path: string) => app.fetch(new Request(`http://hub.test${path}`)), texts: () => texts };
}

const install = (key: string, more: object = {}) => ({
  action: "install",
  "instance-key": key,
  name: "acme-db",
  channel: "14/stable",
  base: NOBLE,
  ...more,
});
const many = (n: number, more: object = {}) => Array.from({ length: n }, (_, i) => install(`key-${i}`, more));

describe("a reply of many equal parts", () => {
  // Replies of 64 MiB.
  longTest("is made once, and the bytes are those of a reply to each", async () => {
    const { send, texts } = await served(await charmWorld());
    const text = await (await send(CHARMS, { actions: many(100) })).text();
    const made = texts();
    expect(made).toBeLessThan(10);
    const [start, end] = ['{"error-list":[],"results":[', "]}"];
    const parts: string[] = [];
    for (let i = 0; i < 100; i += 1) {
      const single = await (await send(CHARMS, { actions: [install(`key-${i}`)] })).text();
      parts.push(single.slice(start.length, -end.length));
    }
    expect(text === start + parts.join() + end).toBe(true);
    expect([text.length > 2 ** 20, texts()]).toEqual([true, made]);
  });

  // Measures replies of more than 64 MiB.
  longTest("is refused where it would be too large, by charms as by snaps", async () => {
    for (const [path, storage, actions] of [
      [CHARMS, await charmWorld(), many(TOO_MANY)],
      [SNAPS, await snapWorld(), many(TOO_MANY, { name: "hello", channel: "stable" })],
    ] as const) {
      const { send, texts } = await served(storage);
      const reply = await send(path, { actions });
      expect([path, reply.status, reply.headers.get("Content-Type")]).toEqual([path, 413, "application/json"]);
      expect(await reply.json()).toMatchObject({
        "error-list": [{ message: "the reply would be larger than 64 MiB: ask for less in one request" }],
      });
      expect(texts()).toBeLessThan(10);
    }
  });
});

/** Bodies meant to make much of little. */
const CHARM_BODY = fc.record({
  context: fc.array(fc.constant({ "instance-key": "k", id: IDA, revision: 1, base: NOBLE, "tracking-channel": "14/stable" }), {
    maxLength: 1,
  }),
  actions: fc
    .record({
      n: fc.constantFrom(...(thorough ? [1, 64, 700, 3000, 10_001] : [1, 64, 700])),
      more: fc.constantFrom<object>(
        {},
        { channel: "none/edge" },
        { base: { ...NOBLE, channel: "NA" } },
        { base: null },
        { action: "refresh" },
        { action: "refresh", "instance-key": "k" },
        { revision: 20 },
        { id: IDA, name: "n".repeat(3000) },
        { id: IDA, name: "n".repeat(50_000) },
        { name: undefined, id: "nobody" },
        { "resource-revisions": [{ name: "acme-file", revision: -1 }] },
      ),
    })
    .map(({ n, more }) => many(n, more)),
  fields: fc.constantFrom(
    undefined,
    ["revision"],
    ["f".repeat(4000)],
    Array.from({ length: 2000 }, (_, i) => `field-${i}`),
  ),
});
const FETCH = (n: number) => ({
  action: "fetch-assertions",
  key: "k",
  assertions: Array.from({ length: n }, (_, i) => ({ type: "snap-declaration", "primary-key": ["16", i % 2 ? HELLO : `no-${i}`] })),
});
const SNAP_BODY = fc.record({
  context: fc.constantFrom([], [{ "instance-key": "k", "snap-id": HELLO, revision: 1, "tracking-channel": "latest/stable" }]),
  actions: fc.constantFrom(
    many(700, { name: "hello", channel: "stable" }),
    many(10_000, { name: "nothing" }),
    many(3000, { name: "hello", channel: "none/edge" }),
    Array.from({ length: 5000 }, () => ({ action: "refresh", "instance-key": "k", "snap-id": HELLO })),
    many(2000, { name: "hello", "validation-sets": [["16", "x", "y"]] }),
    [FETCH(9000)],
    [FETCH(100), FETCH(9000), FETCH(10_001)],
  ),
  fields: fc.constantFrom(undefined, ["snap-yaml"], ["resources"]),
});

async function sizeOf(reply: Response): Promise<number> {
  let size = 0;
  for await (const part of reply.body ?? []) size += part.byteLength;
  return size;
}

test.each([
  [CHARMS, CHARM_BODY, charmWorld],
  [SNAPS, SNAP_BODY, snapWorld],
] as const)("POST %s: any body has a reply of at most 64 MiB or is refused, and each text is made once", async (path, body, world) => {
  const storage = await world();
  await fc.assert(
    fc.asyncProperty(body as fc.Arbitrary<object>, async (value) => {
      const { send, texts } = await served(storage);
      const text = JSON.stringify(value);
      const reply = await send(path, text);
      if (text.length > MAX_REFRESH) expect(reply.status).toBe(413);
      expect([200, 400, 413]).toContain(reply.status);
      expect(await sizeOf(reply)).toBeLessThanOrEqual(MAX_REPLY);
      expect(texts()).toBeLessThan(20);
    }),
    { numRuns: runs(60) },
  );
});

/** Actions of a large request. */
const MANY = thorough ? 9000 : 700;

test("others are answered while large requests are, after as few turns however many there are", async () => {
  const { send, get } = await served(await charmWorld());
  const large = { actions: many(MANY, { channel: "none/edge" }) };
  await (await get("/v2/charms/info/tiny")).text();
  for (const clients of [1, 8]) {
    const ended: string[] = [];
    let turns = 0;
    let counting = true;
    const count = () => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    const all = Array.from({ length: clients }, async () => {
      const reply = await send(CHARMS, large);
      await sizeOf(reply);
      ended.push("large");
    });
    count();
    for (let i = 0; i < 5; i += 1) {
      const before = turns;
      await (await get("/v2/charms/info/tiny")).text();
      expect(turns - before).toBeLessThan(5);
      ended.push("small");
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await Promise.all(all);
    counting = false;
    expect(ended.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => "small"));
    // Elements are checked and answered a slice a turn.
    expect(turns).toBeGreaterThan((clients * 2 * MANY) / SLICE - 10);
  }
});

const TOO_MUCH: readonly (readonly [what: string, text: string, status: number])[] = [
  ["values", `{"actions":[${"{},".repeat(400_000)}{}]}`, 413],
  ["depth", `{"x":${"[".repeat(70_000)}${"]".repeat(70_000)}}`, 400],
  ["keys", `{${Array.from({ length: 10_000 }, (_, i) => `"${i}":1`).join()}}`, 413],
  ["actions", JSON.stringify({ actions: many(10_001, { x: undefined }) }), 413],
  ["of a string", JSON.stringify({ actions: [install("k".repeat(70_000))] }), 413],
  ["bytes", `{"x":"${"x".repeat(MAX_REFRESH)}"}`, 413],
];

test.each(TOO_MUCH)("a body of too much (%s) is refused before it is parsed or checked", async (_, text, status) => {
  for (const [path, storage] of [
    [CHARMS, await charmWorld()],
    [SNAPS, await snapWorld()],
  ] as const)
    expect([path, (await (await served(storage)).send(path, text)).status]).toEqual([path, status]);
});

test("quotes, brackets and commas in strings count for nothing", async () => {
  const { send } = await served(await charmWorld());
  const keys = ['"', "\\", '\\"', "[{,:".repeat(500), "}]".repeat(500), '\\\\"[[['];
  const actions = Array.from({ length: 200 }, (_, i) => install(keys[i % keys.length] ?? ""));
  const { results } = (await (await send(CHARMS, { actions, fields: ["revision"] })).json()) as { results: Record<string, unknown>[] };
  expect(results.map((one) => one["instance-key"])).toEqual(actions.map((one) => one["instance-key"]));
});

const FETCHED = { action: "fetch-assertions", key: "k", assertions: [{ type: "snap-declaration", "primary-key": ["16", HELLO] }] };
const SNAP = { "instance-key": "k", "snap-id": HELLO };

test.each<[path: string, body: unknown]>([
  [CHARMS, { actions: many(3), fields: ["revision"] }],
  [CHARMS, { context: null, actions: [{ action: "refresh", "instance-key": "k" }] }],
  [CHARMS, { actions: [install("k", { base: 5 })] }],
  [CHARMS, { actions: 5 }],
  [CHARMS, { context: [{}], actions: many(1) }],
  [SNAPS, { context: [{ ...SNAP, revision: 1, epoch: { read: [0] } }], actions: [{ ...SNAP, action: "refresh" }, FETCHED] }],
  [SNAPS, { actions: [{ ...FETCHED, assertions: [{ type: 5 }] }] }],
  [SNAPS, { actions: [FETCHED, { ...FETCHED, assertions: null }, { action: "sing" }] }],
  [SNAPS, { actions: [], "assertion-max-formats": { x: "y" } }],
])("POST %s (%#) is answered as if it were long", async (path, body) => {
  const { send } = await served(await (path === CHARMS ? charmWorld : snapWorld)());
  const text = JSON.stringify(body);
  const [short, long] = [await send(path, text), await send(path, text + " ".repeat(70_000))];
  expect([long.status, await long.text()]).toEqual([short.status, await short.text()]);
});

test("an element that is wrong is named, in whichever batch it is", async () => {
  const { send } = await served(await charmWorld());
  for (const at of [0, 63, 64, 2999]) {
    const reply = await send(CHARMS, { actions: many(3000).with(at, install("k", { revision: "x" })) });
    expect(await reply.json()).toMatchObject({ "error-list": [{ message: expect.stringContaining(`actions.${at}.revision: `) }] });
  }
});

describe("a reply in pieces", () => {
  const PART = "y".repeat(50_000);
  const soon = (at: number) => (at % 2 ? pieceOf(PART) : Promise.resolve(pieceOf(PART)));
  const reply = (n: number, more: Partial<PieceReply> = {}, part: (at: number) => Element = soon) => {
    const [made, done] = [{ measured: 0, sent: 0 }, { times: 0 }];
    const options: PieceReply = {
      start: pieceOf("["),
      end: pieceOf("]"),
      count: n,
      element: (at, again) => {
        made[again ? "sent" : "measured"] += 1;
        return part(at);
      },
      log: () => {},
      id: "x",
      request: new Request("http://hub.test/"),
      done: () => void (done.times += 1),
      ...more,
    };
    return { response: (async () => replyInPieces(options))(), made, done };
  };

  test("of a small one is kept", async () => {
    const { response, made, done } = reply(3);
    expect(await (await response).text()).toBe(`[${PART.repeat(3)}]`);
    expect([made, done]).toEqual([{ measured: 3, sent: 0 }, { times: 1 }]);
  });

  test("of a large one is made anew while it is sent, and its elements are told so", async () => {
    const { response, made, done } = reply(100);
    const answered = await response;
    expect(done.times).toBe(0);
    expect((await answered.bytes()).byteLength).toBe(100 * PART.length + 2);
    expect([made, done]).toEqual([{ measured: 100, sent: 100 }, { times: 1 }]);
  });

  test("is made at once where its elements are there", () => {
    const { made } = reply(63, {}, () => pieceOf(PART));
    expect(made.measured).toBe(63);
  });

  test("has elements of several pieces, and of none", async () => {
    const { response } = reply(4, {}, (at) => (at % 2 ? [pieceOf("a"), pieceOf("b")] : []));
    expect(await (await response).text()).toBe("[abab]");
  });

  test("is what its parts are, one behind the other, whatever characters and however many bytes they have", async () => {
    // "binary" is the same, and goes through all characters once to find the way back.
    const character = fc.nat(0x10_ffff).map((code) => String.fromCodePoint(code));
    const text = fc.string({ unit: character, maxLength: 40 }).map((one) => ({ parts: [one], size: Buffer.byteLength(one) }));
    const odd = fc.constantFrom("\ud800", "é", "\u0000", "💥").map((one) => ({ parts: [one], size: Buffer.byteLength(one) }));
    const bytes = fc
      .oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(2 ** 14).map((size) => new Uint8Array(size).fill(7)),
      )
      .map((one) => ({ parts: [new Uint8Array(one)], size: one.byteLength }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(text, odd, bytes), { maxLength: 8 }), async (pieces) => {
        const { response } = reply(pieces.length, {}, (at) => pieces[at] ?? []);
        const whole = pieces.flatMap(({ parts }) => parts.map((part) => Buffer.from(part as string)));
        expect(Buffer.from(await (await response).arrayBuffer()).toString("latin1")).toBe(`[${Buffer.concat(whole).toString("latin1")}]`);
      }),
      { numRuns: runs(400) },
    );
  });

  test("keeps its bytes while others are made, small and large", async () => {
    const sizes = [0, 1, 40_000, 2 ** 18 - 3, 2 ** 18 - 2, 2 ** 18 - 1, 2 ** 18, 2 ** 20];
    const text = (i: number) => String(i % 10).repeat(sizes[i] ?? 0);
    const made = await Promise.all(sizes.map((_, i) => reply(1, {}, () => pieceOf(text(i))).response));
    const texts = await Promise.all(made.map((response) => response.text()));
    for (const [i, read] of texts.entries()) expect(read === `[${text(i)}]`).toBe(true);
  });

  test("of a large one is made as it is read, and no more of it", async () => {
    const { response, made, done } = reply(1000);
    const reader = (await response).body?.getReader();
    expect([made, done.times]).toEqual([{ measured: 1000, sent: 0 }, 0]);
    expect((await reader?.read())?.value?.byteLength).toBe(6 * PART.length + 1);
    expect(made.sent).toBeLessThan(20);
    await reader?.cancel();
    expect(done.times).toBe(1);
    const whole = reply(1000);
    expect(await sizeOf(await whole.response)).toBe(1000 * PART.length + 2);
    expect(whole.done.times).toBe(1);
  });

  test("is measured no longer than its client waits, or than it may be large", async () => {
    const aborted = new AbortController();
    aborted.abort();
    const gone = reply(1000, { request: new Request("http://hub.test/", { signal: aborted.signal }) });
    expect(await gone.response.catch((error: unknown) => error)).toMatchObject({ kind: "client-gone" });
    expect([gone.made.measured, gone.done.times]).toEqual([SLICE, 1]);
    const atOnce = reply(1000, { request: new Request("http://hub.test/", { signal: aborted.signal }) }, () => pieceOf(PART));
    expect(await atOnce.response.catch((error: unknown) => error)).toMatchObject({ kind: "client-gone" });
    expect([atOnce.made.measured, atOnce.done.times]).toEqual([SLICE, 1]);
    const large = reply(1_000_000);
    expect(await large.response.catch((error: unknown) => error)).toBeInstanceOf(Failure);
    expect([large.made.measured, large.done.times]).toEqual([Math.floor(MAX_REPLY / PART.length) + 1, 1]);
  });
});
