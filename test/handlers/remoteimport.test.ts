import { describe, expect, jest, test } from "bun:test";
import { REMOTE_OPTIONS } from "../../bin/commands/flags.ts";
import { createApp } from "../../handlers/app.ts";
import type { ImportEnd, ImportJob, RemoteImport } from "../../handlers/call.ts";
import type { Peer } from "../../handlers/listen.ts";
import type { LogLine } from "../../handlers/log.ts";
import { makeToken, type Token } from "../../src/settings/token.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";

const TLS: Peer = { tls: true, address: () => "192.0.2.7" };
const PLAIN: Peer = { ...TLS, tls: false };
const CREATED = "2026-05-01T12:00:00.000Z";

const ci = makeToken("ci", { created: CREATED });
const old = makeToken("old", { created: CREATED, until: "2026-05-02T00:00:00.000Z" });
const pusher = makeToken("pusher", { created: CREATED, may: ["push"] });
const known = [ci.token, old.token, pusher.token];
const BEARER = { Authorization: `Bearer ${ci.text}` };

const DONE: ImportEnd = { exit: 0, out: `{"generation": 7}\n`, err: "" };

/** Reads all of its body, and ends as `end` says. */
const reading = (end: ImportEnd) => async (job: ImportJob) => {
  for await (const _ of job.body);
  return end;
};

interface Given {
  readonly tokens?: readonly Token[];
  readonly run?: (job: ImportJob) => Promise<ImportEnd>;
  readonly idle?: number;
  readonly caps?: Pick<RemoteImport, "caps" | "maxSize" | "maxSeconds" | "maxParallel">;
}

async function served({ tokens = known, run = reading(DONE), idle, caps }: Given = {}) {
  const lines: LogLine[] = [];
  const jobs: ImportJob[] = [];
  const app = createApp({
    store: await Store.openOrCreate(new Memory()),
    config: {},
    log: (line) => void lines.push(line),
    remoteImport: {
      options: REMOTE_OPTIONS,
      tokens: async () => tokens,
      run: (job) => {
        jobs.push(job);
        return run(job);
      },
      ...(idle !== undefined && { idle }),
      ...caps,
    },
  });
  const ask = async (init: RequestInit & { query?: string; peer?: Peer } = {}) => {
    const { query = "", peer = TLS, ...rest } = init;
    const reply = await app.fetch(new Request(`https://hub.test/_import${query}`, { method: "PUT", ...rest }), peer);
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, text, json: text === "" ? undefined : JSON.parse(text) };
  };
  return { ask, lines, jobs };
}

/** A body that records whether it was read. */
function watched(): { body: ReadableStream<Uint8Array>; pulled: () => number } {
  let pulled = 0;
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    pulled += 1;
    controller.enqueue(Buffer.from("x"));
  };
  return { body: new ReadableStream({ pull }, { highWaterMark: 0 }), pulled: () => pulled };
}

interface Wrong {
  readonly headers?: Record<string, string>;
  readonly query?: string;
  readonly peer?: Peer;
}

const REFUSED: readonly (readonly [what: string, Wrong, status: number, says: string])[] = [
  ["without a token", {}, 401, "there is no token"],
  ["with a wrong one", { headers: { Authorization: `Bearer ${ci.text}x` } }, 401, "the token is not known"],
  ["with its hash", { headers: { Authorization: `Bearer ${ci.token.sha256}` } }, 401, "the token is not known"],
  ["with one that has expired", { headers: { Authorization: `Bearer ${old.text}` } }, 401, "the token old has expired"],
  ["with one for pushes alone", { headers: { Authorization: `Bearer ${pusher.text}` } }, 403, "the token pusher may not import"],
  ["with a password", { headers: { Authorization: `Basic ${btoa(`ci:${ci.text}`)}` } }, 401, "there is no token"],
  ["with an endless one", { headers: { Authorization: `Bearer ${"x".repeat(5000)}` } }, 401, "there is no token"],
  ["without TLS", { headers: BEARER, peer: PLAIN }, 403, "over TLS alone"],
  ["with a parameter that names a file", { headers: BEARER, query: "?trust=/etc/passwd" }, 400, "trust is not a parameter"],
  ["with a store", { headers: BEARER, query: "?store=/tmp" }, 400, "store is not a parameter"],
];

test.each(REFUSED)("%s is refused as JSON, and nothing of the body is read", async (_, init, status, says) => {
  const { ask, lines, jobs } = await served();
  const { body, pulled } = watched();
  const reply = await ask({ ...init, body, headers: { ...init.headers, "Transfer-Encoding": "chunked" } });
  expect([reply.status, reply.headers.get("Content-Type"), reply.headers.get("Connection")]).toEqual([status, "application/json", "close"]);
  expect(reply.json).toEqual({
    "error-list": [{ code: expect.any(String), message: expect.stringContaining(says), next: expect.any(String) }],
  });
  expect(reply.headers.get("WWW-Authenticate")).toBe(status === 401 ? 'Bearer realm="chp"' : null);
  expect([pulled(), jobs]).toEqual([0, []]);
  expect(JSON.stringify(lines)).not.toContain(ci.text);
  if (status === 401)
    expect(lines).toContainEqual(expect.objectContaining({ level: "warn", address: "192.0.2.7", why: expect.stringContaining(says) }));
});

test.each([[[]], [[pusher.token]]])(
  "without any token for imports there is nothing, over TLS or not, as at any other path",
  async (tokens) => {
    const { ask } = await served({ tokens });
    for (const init of [{}, { headers: BEARER }, { peer: PLAIN }, { method: "GET" }]) {
      const reply = await ask(init);
      expect([reply.status, reply.json]).toEqual([
        404,
        { "error-list": [{ code: "not-found", message: "There is nothing at /_import." }] },
      ]);
    }
  },
);

test("GET tells whether a token is taken", async () => {
  const { ask } = await served();
  expect(await ask({ method: "GET", headers: BEARER })).toMatchObject({ status: 200, json: { token: "ci", version: expect.any(String) } });
  expect(await ask({ method: "GET", headers: { Authorization: `bEARER  ${ci.text} ` } })).toMatchObject({ status: 200 });
  expect(await ask({ method: "GET" })).toMatchObject({ status: 401 });
  expect(await ask({ method: "GET", headers: BEARER, peer: PLAIN })).toMatchObject({ status: 403 });
});

test("the body, its size and the parameters are what the import is given; its report is the reply", async () => {
  const got: string[] = [];
  const { ask, jobs, lines } = await served({
    run: async ({ body }) => {
      for await (const part of body) got.push(Buffer.from(part).toString());
      return DONE;
    },
  });
  const reply = await ask({
    headers: { ...BEARER, "Content-Length": "5" },
    body: "hello",
    query: "?channel=14%2Fedge&dry-run=true&name=e.tar.gz",
  });
  expect([reply.status, reply.text, got.join("")]).toEqual([201, DONE.out, "hello"]);
  expect(jobs[0]).toMatchObject({ words: ["--channel=14/edge", "--dry-run", "--name=e.tar.gz"], size: 5 });
  expect(lines).toContainEqual(
    expect.objectContaining({ level: "info", message: "an import was done", token: "ci", address: "192.0.2.7", generation: 7 }),
  );
  expect(JSON.stringify(lines)).not.toContain(ci.text);
});

/** How an import ends → what is replied. */
const ENDS: readonly (readonly [exit: number | string, told: object | string, status: number, error: object])[] = [
  [
    1,
    { error: "no space is left", kind: "failed", next: "free some" },
    500,
    { code: "failed", message: "no space is left", next: "free some" },
  ],
  [2, { error: "--channel: x", kind: "usage" }, 400, { code: "usage", message: "--channel: x" }],
  [3, { error: "e.tar.gz: it is cut short", kind: "refused" }, 422, { code: "refused", message: "e.tar.gz: it is cut short" }],
  [11, { error: "format 9", kind: "store-too-new" }, 500, { code: "store-too-new", message: "format 9" }],
  [12, { error: "another came", kind: "conflict" }, 409, { code: "conflict", message: "another came" }],
  [13, { error: "a blob", kind: "corrupt" }, 500, { code: "corrupt", message: "a blob" }],
  [130, { error: "interrupted: nothing was published", kind: "interrupted" }, 503, { code: "interrupted" }],
  [1, { error: "internal error: x", kind: "internal" }, 500, { code: "failed", message: "internal error: x" }],
  [1, "Segmentation fault", 500, { code: "failed", message: "the import ended with 1" }],
  ["SIGKILL", "", 500, { code: "failed", message: "the import ended with SIGKILL" }],
];

test.each(ENDS)("an import that ends with %p and says %j is a %d", async (exit, told, status, error) => {
  const err = typeof told === "string" ? told : `a line before\n${JSON.stringify(told)}\n`;
  const { ask, lines } = await served({ run: reading({ exit, out: "", err }) });
  const reply = await ask({ headers: BEARER, body: "x" });
  expect([reply.status, reply.json]).toMatchObject([status, { "error-list": [error] }]);
  expect(reply.headers.get("Retry-After")).toBe(status === 503 ? "10" : null);
  expect(lines).toContainEqual(expect.objectContaining({ level: "warn", message: "an import failed", token: "ci", address: "192.0.2.7" }));
});

test("nothing made is a 200", async () => {
  const { ask } = await served({ run: reading({ exit: 0, out: `{"generation": null}`, err: "" }) });
  expect(await ask({ headers: BEARER, body: "x" })).toMatchObject({ status: 200 });
});

test("an import that cannot be started is a 500 that says nothing of this machine, and makes room again", async () => {
  const { ask, lines } = await served({ run: () => Promise.reject(new Error("spawn /opt/chp ENOENT")) });
  for (let i = 0; i < 10; i += 1) {
    const reply = await ask({ headers: BEARER, body: "x" });
    expect([reply.status, reply.text]).toEqual([500, expect.not.stringContaining("ENOENT")]);
  }
  expect(lines).toContainEqual(expect.objectContaining({ level: "error", message: "spawn /opt/chp ENOENT" }));
});

describe("a body", () => {
  test("that does not come is a 408 after a while, and that reading it failed is told to the import", async () => {
    let told: unknown;
    const run = async ({ body }: ImportJob) => {
      try {
        for await (const _ of body);
      } catch (error) {
        told = error;
      }
      return { exit: 130, out: "", err: "" };
    };
    const { ask } = await served({ run, idle: 20 });
    const body = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("half")) });
    const reply = await ask({ headers: BEARER, body });
    expect([reply.status, reply.json]).toMatchObject([408, { "error-list": [{ code: "too-slow" }] }]);
    expect(told).toBeInstanceOf(Error);
  });

  test("may take longer than that in all, as long as something comes", async () => {
    const idle = 60_000;
    const { ask } = await served({ idle });
    const during = (wait: number) => {
      let left = 30;
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        await Promise.resolve(); // who reads is waiting now
        jest.advanceTimersByTime(wait);
        await Promise.resolve();
        controller.enqueue(Buffer.from("x"));
        if ((left -= 1) === 0) controller.close();
      };
      return ask({ headers: BEARER, body: new ReadableStream({ pull }, { highWaterMark: 0 }) });
    };
    jest.useFakeTimers();
    try {
      expect(await during(idle - 1)).toMatchObject({ status: 201 });
      expect(await during(idle)).toMatchObject({ status: 408 });
    } finally {
      jest.useRealTimers();
    }
  });

  test("waits for the import without a deadline", async () => {
    const run = async ({ body }: ImportJob) => {
      for await (const _ of body) await Bun.sleep(50);
      return DONE;
    };
    const { ask } = await served({ run, idle: 10 });
    expect(await ask({ headers: BEARER, body: "hello" })).toMatchObject({ status: 201 });
  });

  test("whose client goes away ends the import", async () => {
    const { ask, lines } = await served({
      run: async (job) => {
        await reading(DONE)(job).catch(() => {});
        return { exit: 130, out: "", err: "" };
      },
    });
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => controller.error(new Error("The connection was closed."));
    const reply = await ask({ headers: BEARER, body: new ReadableStream({ pull }, { highWaterMark: 0 }) });
    expect(reply.status).toBe(499);
    expect(lines).toContainEqual(expect.objectContaining({ level: "warn", message: "an import failed", kind: "client-gone" }));
    expect(lines).toContainEqual(expect.objectContaining({ level: "info", message: "request", status: 499 }));
  });

  test("of which the import wants no more is read to its end, after the reply", async () => {
    const ended = Promise.withResolvers<void>();
    let left = 100;
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      controller.enqueue(new Uint8Array(1000));
      if ((left -= 1) > 0) return;
      controller.close();
      ended.resolve();
    };
    const run = async ({ body }: ImportJob) => {
      for await (const _ of body) break;
      return { exit: 3, out: "", err: `{"error": "it is no tar", "kind": "refused"}` };
    };
    const { ask } = await served({ run });
    expect(await ask({ headers: BEARER, body: new ReadableStream({ pull }, { highWaterMark: 0 }) })).toMatchObject({ status: 422 });
    await ended.promise;
  });
});

test("four run at once, the fifth is told to come again, and there is room when one has ended", async () => {
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<ImportEnd>());
  let at = 0;
  const { ask, jobs } = await served({ run: () => gates[at++]?.promise ?? Promise.reject(new Error("too many")) });
  const put = () => ask({ headers: BEARER, body: "x" });
  const running = Array.from({ length: 4 }, put);
  while (jobs.length < 4) await Bun.sleep(1);
  for (const reply of [await put(), await ask({ method: "GET", headers: BEARER })]) {
    expect([reply.status, reply.headers.get("Retry-After")]).toEqual([503, "10"]);
    expect(reply.json).toMatchObject({ "error-list": [{ code: "busy" }] });
  }
  gates[0]?.resolve(DONE);
  expect(await running[0]).toMatchObject({ status: 201 });
  expect(await ask({ method: "GET", headers: BEARER })).toMatchObject({ status: 200 });
  for (const gate of gates) gate.resolve(DONE);
  expect(await put()).toMatchObject({ status: 201 });
  await Promise.all(running);
});

describe("what a token's holder may ask has caps of the server", () => {
  /** An import that ends where its body cannot be read, or it is aborted. */
  const obedient = async ({ body, signal }: ImportJob): Promise<ImportEnd> => {
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    const read = (async () => {
      for await (const _ of body);
    })();
    return Promise.race([read, aborted]).then(
      () => DONE,
      () => ({ exit: "SIGTERM", out: "", err: "" }),
    );
  };
  const endless = () => new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(1000)) });

  test("bytes, declared or not", async () => {
    const { ask, jobs } = await served({ run: obedient, caps: { maxSize: 10_000 } });
    const declared = await ask({ headers: { ...BEARER, "Content-Length": "10001" }, body: "x" });
    expect([declared.status, jobs.length]).toEqual([413, 0]);
    const reply = await ask({ headers: { ...BEARER, "Transfer-Encoding": "chunked" }, body: endless() });
    expect([reply.status, reply.headers.get("Connection")]).toEqual([413, "close"]);
    expect(reply.json).toMatchObject({
      "error-list": [
        { code: "too-large", message: expect.stringContaining("10000 bytes"), next: expect.stringContaining("remote-import.max-size") },
      ],
    });
    expect(await ask({ headers: BEARER, body: new Uint8Array(10_000) })).toMatchObject({ status: 201 });
  });

  test("seconds, of the body and of the import behind it", async () => {
    const hanging = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from("x")) });
    const busy = ({ signal }: ImportJob) =>
      new Promise<ImportEnd>((resolve) => signal.addEventListener("abort", () => resolve({ exit: "SIGTERM", out: "", err: "" })));
    for (const [run, body] of [
      [obedient, hanging],
      [busy, "x"],
    ] as const) {
      const { ask } = await served({ run, caps: { maxSeconds: 0.05 } });
      const reply = await ask({ headers: BEARER, body });
      expect([reply.status, reply.json]).toMatchObject([
        408,
        { "error-list": [{ code: "too-slow", message: expect.stringContaining("nothing was published") }] },
      ]);
    }
  });

  test("how many run at once", async () => {
    const gate = Promise.withResolvers<ImportEnd>();
    const { ask, jobs } = await served({ run: () => gate.promise, caps: { maxParallel: 1 } });
    const running = ask({ headers: BEARER, body: "x" });
    while (jobs.length < 1) await Bun.sleep(1);
    expect(await ask({ headers: BEARER, body: "x" })).toMatchObject({ status: 503 });
    gate.resolve(DONE);
    expect(await running).toMatchObject({ status: 201 });
  });

  test("limits of archives, which a request may lower and not raise", async () => {
    const archive = [
      { name: "max-entries", most: 1000, setting: "remote-import.archive.max-entries" },
      { name: "max-json", most: 2 ** 20, setting: "remote-import.archive.max-json" },
    ];
    const { ask, jobs } = await served({ caps: { caps: archive } });
    const words = async (query: string) => {
      const { status } = await ask({ headers: BEARER, body: "x", query });
      return [status, jobs.at(-1)?.words.toSorted()];
    };
    expect(await words("")).toEqual([201, ["--max-entries=1000", `--max-json=${2 ** 20}`]]);
    expect(await words("?max-entries=7&max-json=512K&max-depth=100")).toEqual([
      201,
      ["--max-depth=100", "--max-entries=7", "--max-json=512K"],
    ]);
    expect(await words("?max-entries=1000&max-json=1M")).toEqual([201, ["--max-entries=1000", "--max-json=1M"]]);
    const before = jobs.length;
    for (const [query, says] of [
      ["?max-entries=1001", "max-entries is at most 1000"],
      ["?max-entries=1&max-entries=1001", "max-entries is given more than once"],
      ["?max-json=2M", "max-json is at most 1048576"],
      ["?max-json=", "max-json takes a number"],
      ["?max-json=0", "max-json takes a number"],
      ["?max-entries=1e9", "max-entries takes a number"],
      ["?max-entries=9999999999999999999", "max-entries takes a number"],
    ] as const) {
      const { status, json } = await ask({ headers: BEARER, body: "x", query });
      expect([query, status, json["error-list"][0].message]).toEqual([query, 400, expect.stringContaining(says)]);
    }
    const raised = await ask({ headers: BEARER, body: "x", query: "?max-json=2M" });
    expect(raised.json["error-list"][0].next).toContain("chp config remote-import.archive.max-json=2M");
    expect(jobs.length).toBe(before);
  });
});
