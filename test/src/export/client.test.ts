import { describe, expect, test } from "bun:test";
import { sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { type DownloadTarget, HttpClient, type HttpRequest, Unavailable, type UpstreamFile } from "../../../src/export/client.ts";

const ADDRESS = "https://me:secret@store.test/file?signature=secret#x";
const SHOWN = "https://store.test/file";

/** What the server does with one request: a reply, or why none comes. */
type Step = Response | Error | ((request: HttpRequest & { url: string; signal: AbortSignal }) => Response | Promise<Response>);

/** A server that answers by a script; its last step is for all further requests. */
function scripted(steps: readonly Step[], options: { readonly signal?: AbortSignal } = {}) {
  const asked: { readonly url: string; readonly range: string | undefined }[] = [];
  const waits: number[] = [];
  const notes: string[] = [];
  const remote = new HttpClient({
    transport: async (url, request) => {
      asked.push({ url, range: request.headers?.["Range"] });
      const step = steps[Math.min(asked.length, steps.length) - 1] ?? new Error("no step");
      if (step instanceof Error) throw step;
      return typeof step === "function" ? step({ ...request, url }) : step.clone();
    },
    sleep: async (time) => void waits.push(time),
    onRetry: (why) => void notes.push(why),
    ...options,
  });
  return { remote, asked, waits, notes, ranges: () => asked.map(({ range }) => range) };
}

function coded(code: string, message = "as the runtime says"): Error {
  return Object.assign(new TypeError(message), { code });
}

const CONTENT = Buffer.from("0123456789abcdef");
const FILE: UpstreamFile = { url: ADDRESS, size: 16, algorithm: "sha-256", digest: sumsOf(CONTENT)["sha-256"] };

/** Bytes of the file; a break comes after them, where one is told. */
function bytes(start: number, end: number, { status = 200, headers = {}, error }: ReplyOptions = {}): () => Response {
  const body = () =>
    new ReadableStream({
      start(controller) {
        for (let at = start; at < end; at += 3) controller.enqueue(new Uint8Array(CONTENT.subarray(at, Math.min(end, at + 3))));
      },
      // Only once all before it was read.
      pull(controller) {
        if (error) controller.error(error);
        else controller.close();
      },
    });
  return () => new Response(body(), { status, headers });
}

interface ReplyOptions {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly error?: Error;
}

function part(start: number, end: number, options: Omit<ReplyOptions, "status"> = {}): () => Response {
  return bytes(start, end, { status: 206, ...options, headers: { "Content-Range": `bytes ${start}-15/16`, ...options.headers } });
}

class Received implements DownloadTarget {
  at: number;
  restarts = 0;
  readonly bytes: Buffer;

  constructor(already: string | Uint8Array = "") {
    this.bytes = Buffer.alloc(1000);
    this.at = Buffer.from(already).copy(this.bytes);
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.bytes.set(chunk, this.at);
    this.at += chunk.byteLength;
  }

  sums() {
    return sumsOf(this.bytes.subarray(0, this.at), ["sha3-384"]);
  }

  async restart(): Promise<void> {
    this.restarts += 1;
    this.at = 0;
  }
}

const BREAK = coded("ECONNRESET");
const whole = bytes(0, 16);

describe("a download arrives right", () => {
  /** what is there already, what the server does, and which ranges it is asked for */
  const CASES: readonly (readonly [string, string, () => readonly Step[], readonly (string | undefined)[]])[] = [
    ["at once", "", () => [whole], [undefined]],
    ["with its length told", "", () => [bytes(0, 16, { headers: { "Content-Length": "16" } })], [undefined]],
    ["after a break, from there", "", () => [bytes(0, 7, { error: BREAK }), part(7, 16)], [undefined, "bytes=7-"]],
    [
      "after many breaks",
      "",
      () => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => part(n, n < 9 ? n + 1 : 16, { error: BREAK })),
      [undefined, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `bytes=${n}-`)],
    ],
    ["after an end without an error", "", () => [bytes(0, 5), part(5, 16)], [undefined, "bytes=5-"]],
    ["from what an earlier run left", "0123", () => [part(4, 16)], ["bytes=4-"]],
    ["without a request, if it is all there", "0123456789abcdef", () => [], []],
    ["where ranges are ignored", "0123", () => [whole], ["bytes=4-"]],
    [
      "where ranges are ignored and the connection breaks",
      "01234567",
      () => [bytes(0, 5, { error: BREAK }), bytes(0, 12, { error: BREAK }), whole],
      ["bytes=8-", "bytes=8-", "bytes=12-"],
    ],
    ["where an earlier range comes", "01234567", () => [part(5, 16)], ["bytes=8-"]],
    ["where a later range comes", "01234567", () => [part(9, 16), whole], ["bytes=8-", undefined]],
    ["where a range comes that is not told", "01234567", () => [bytes(9, 16, { status: 206 }), whole], ["bytes=8-", undefined]],
    [
      "where a shorter range comes",
      "0123",
      () => [part(4, 9, { headers: { "Content-Length": "5" } }), part(9, 16)],
      ["bytes=4-", "bytes=9-"],
    ],
    ["where there is no such range", "0123", () => [new Response("", { status: 416 }), whole], ["bytes=4-", undefined]],
    ["where what an earlier run left is wrong", "XX23", () => [part(4, 16), whole], ["bytes=4-", undefined]],
    [
      "where a whole of another length comes first",
      "0123",
      () => [new Response("login!", { headers: { "Content-Length": "6" } }), part(4, 16)],
      ["bytes=4-", "bytes=4-"],
    ],
    ["where the server is busy", "0123", () => [new Response("", { status: 503 }), part(4, 16)], ["bytes=4-", "bytes=4-"]],
    ["where there is more behind it", "", () => [new Response("0123456789abcdef and more")], [undefined]],
    [
      "where no connection is to be had at first",
      "",
      () => [coded("ECONNREFUSED"), coded("ENOTFOUND"), whole],
      [undefined, undefined, undefined],
    ],
    ["where wrong bytes come once", "", () => [new Response("0123456789abcdeX"), whole], [undefined, undefined]],
  ];
  test.each(CASES)("%s", async (_, already, steps, ranges) => {
    const server = scripted(steps());
    const received = new Received(already);
    await server.remote.download("cannot fetch it", FILE, received);
    expect(received.bytes.subarray(0, received.at).toString()).toBe(CONTENT.toString());
    expect(server.ranges()).toEqual([...ranges]);
  });

  test("from where a redirect leads, with the range", async () => {
    const lead = (to: string, status = 302) => new Response("", { status, headers: { Location: to } });
    const server = scripted([lead("/elsewhere"), lead("http://cdn.test:81/x?signature=s", 307), lead("x", 308), part(4, 16)]);
    await server.remote.download("cannot fetch it", FILE, new Received("0123"));
    expect(server.asked.map(({ url }) => url.replace(/\/\/.*@/, "//"))).toEqual([
      "https://store.test/file?signature=secret#x",
      "https://store.test/elsewhere",
      "http://cdn.test:81/x?signature=s",
      "http://cdn.test:81/x",
    ]);
    expect(server.ranges()).toEqual(Array(4).fill("bytes=4-"));
  });

  test("if it is empty", async () => {
    const received = new Received();
    await scripted([new Response("")]).remote.download(
      "cannot fetch it",
      { ...FILE, size: 0, digest: sumsOf(Buffer.alloc(0))["sha-256"] },
      received,
    );
    expect(received.at).toBe(0);
  });
});

/** Runs it to its failure. */
async function failing(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => new Error("it worked"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw error;
  return error;
}

const reply = (status: number, body = "", headers: Readonly<Record<string, string>> = {}) => new Response(body, { status, headers });
const storeError = (message: string) => JSON.stringify({ "error-list": [{ code: "x", message }] });

describe("a download fails, and says why", () => {
  /** what the server does, what is said, how often it was asked */
  const CASES: readonly (readonly [string, () => readonly Step[], string, number])[] = [
    ["not there", () => [reply(404)], "status 404", 1],
    ["forbidden, with the store's words", () => [reply(403, storeError("go\u001b[31m away"))], "status 403 (go\\u{1b}[31m away)", 1],
    ["an error page", () => [reply(400, "<html>no</html>")], "status 400", 1],
    ["an error page without an end", () => [new Response(endless(), { status: 400 })], "status 400", 1],
    ["a status of no use", () => [reply(304)], "status 304", 1],
    ["busy for good", () => [reply(503, "<html>busy</html>")], "status 503, in 6 tries", 6],
    [
      "wrong bytes twice",
      () => [new Response("0123456789abcdeX")],
      `its sha-256 is ${sumsOf(Buffer.from("0123456789abcdeX"))["sha-256"]}, but the store said ${FILE.digest}, in 2 tries`,
      2,
    ],
    ["too short for good", () => [bytes(0, 5), part(5, 5)], "it ended after 5 of 16 bytes, in 6 tries", 6],
    [
      "too long",
      () => [new Response("x", { headers: { "Content-Length": "17" } })],
      "it has 17 bytes, but the store said 16, in 6 tries",
      6,
    ],
    [
      "a part that is too long",
      () => [bytes(0, 5), part(5, 16, { headers: { "Content-Length": "12" } })],
      "it has 17 bytes, but the store said 16, in 6 tries",
      6,
    ],
    ["breaks for good", () => [bytes(0, 5, { error: BREAK }), part(5, 5, { error: BREAK })], "the connection broke, in 6 tries", 6],
    [
      "a break in the middle for good, without ranges",
      () => [bytes(0, 5, { error: BREAK })],
      "the connection broke after 5 bytes, in 6 tries",
      6,
    ],
    ["nobody there", () => [coded("ECONNREFUSED")], "nothing answers at that address, in 6 tries", 6],
    ["unknown host", () => [coded("ENOTFOUND")], "host name not found, in 6 tries", 6],
    [
      "what undici says",
      () => [Object.assign(new TypeError("fetch failed"), { cause: coded("UND_ERR_SOCKET", "other side closed") })],
      "the connection broke, in 6 tries",
      6,
    ],
    [
      "what Bun advises",
      () => [coded("Odd", "Odd thing. For more information, pass `verbose: true` in the second argument to fetch()")],
      "Odd thing, in 6 tries",
      6,
    ],
    ["no reason", () => [new Error("")], "no reply, in 6 tries", 6],
    [
      "untrusted",
      () => [coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate")],
      "unable to verify the first certificate",
      1,
    ],
    ["no TLS there", () => [coded("EPROTO")], "it does not speak TLS: its URL should begin with http://, or its port is another one", 1],
    ["another host's certificate", () => [coded("ERR_TLS_CERT_ALTNAME_INVALID", "not its name")], "not its name", 1],
  ];
  test.each(CASES)("%s", async (_, steps, why, asked) => {
    const server = scripted(steps());
    const failure = await failing(server.remote.download("cannot fetch it", FILE, new Received()));
    expect([failure.message, server.asked.length]).toEqual([`cannot fetch it: ${SHOWN}: ${why}`, asked]);
    expect(failure).toBeInstanceOf(Unavailable);
    expect(JSON.stringify([failure.message, failure.next, (failure as Unavailable).url, server.notes])).not.toContain("secret");
  });

  const REDIRECTS: readonly (readonly [string, string, string, string])[] = [
    ["to a file of this machine", "file:///etc/passwd", "file:///etc/passwd", "not a URL that begins with http:// or https://"],
    ["to nonsense", "http://[", "http://[", "not a URL that begins with http:// or https://"],
    ["in a circle", "/file?signature=secret", SHOWN, "after 10 redirects there is another"],
  ];
  test.each(REDIRECTS)("a redirect %s", async (_, to, shown, why) => {
    const server = scripted([reply(302, "", { Location: to })]);
    expect((await failing(server.remote.download("cannot fetch it", FILE, new Received()))).message).toBe(
      `cannot fetch it: ${shown}: ${why}`,
    );
  });

  test("what is told is where a redirect led", async () => {
    const server = scripted([reply(302, "", { Location: "https://cdn.test/y?signature=secret" }), reply(403)]);
    const failure = (await failing(server.remote.download("cannot fetch it", FILE, new Received()))) as Unavailable;
    expect([failure.message, failure.url, failure.details.status]).toEqual([
      "cannot fetch it: https://cdn.test/y: status 403",
      "https://cdn.test/y",
      403,
    ]);
  });

  test("kinds, statuses and what to do next", async () => {
    const of = async (step: Step) => {
      const failure = (await failing(scripted([step]).remote.download("cannot fetch it", FILE, new Received()))) as Unavailable;
      return [failure.kind, failure.details.status, failure.next];
    };
    expect(await of(reply(404))).toEqual(["not-found", 404, undefined]);
    expect(await of(reply(403))).toEqual(["failed", 403, undefined]);
    expect(await of(reply(407))).toEqual(["failed", 407, expect.stringContaining("HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")]);
    expect(await of(BREAK)).toEqual(["failed", undefined, undefined]);
    expect(await of(coded("SELF_SIGNED_CERT_IN_CHAIN"))).toEqual(["failed", undefined, expect.stringContaining("--ca FILE")]);
    for (const words of ["Proxy refused to open a tunnel: 407 Nope", "Proxy response (407) !== 200 when HTTP Tunneling"])
      expect(await of(coded("X", words))).toEqual(["failed", undefined, expect.stringContaining("the proxy wants a login")]);
    expect(await of(coded("CERT_HAS_EXPIRED"))).toEqual(["failed", undefined, undefined]);
    expect(await of(new Failure("failed", "x", { next: "is the proxy right?", cause: BREAK }))).toEqual([
      "failed",
      undefined,
      "is the proxy right?",
    ]);
  });

  test("a receiver that fails is not asked again", async () => {
    const server = scripted([whole]);
    const received = new Received();
    received.write = () => Promise.reject(new Failure("failed", "the disk is full"));
    expect((await failing(server.remote.download("cannot fetch it", FILE, received))).message).toBe("the disk is full");
    expect(server.asked).toHaveLength(1);
  });
});

/** It stops at what is taken of it. */
function endless(): ReadableStream {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(2 ** 16).fill(32)) });
}

describe("pauses", () => {
  const pausesOf = async (step: Step) => {
    const server = scripted([step]);
    await failing(server.remote.text("cannot get it", ADDRESS, {}, String));
    return server.waits;
  };
  const DATES = { Date: "Wed, 25 Nov 2026 10:00:00 GMT", "Retry-After": "Wed, 25 Nov 2026 10:00:07 GMT" };
  const CASES: readonly (readonly [string, Step, readonly number[]])[] = [
    ["grow", BREAK, [500, 1000, 2000, 4000, 8000]],
    ["are what Retry-After says", reply(429, "", { "Retry-After": "7" }), [7000, 7000, 7000, 7000, 7000]],
    ["may be none", reply(503, "", { "Retry-After": "0" }), [0, 0, 0, 0, 0]],
    ["have an end", reply(503, "", { "Retry-After": "86400" }), [60_000, 60_000, 60_000, 60_000, 60_000]],
    ["are until a date, by the server's clock", reply(503, "", DATES), [7000, 7000, 7000, 7000, 7000]],
    ["are not of the past", reply(503, "", { ...DATES, "Retry-After": "Wed, 25 Nov 2020 10:00:00 GMT" }), [0, 0, 0, 0, 0]],
    ["are not what can't be read", reply(503, "", { "Retry-After": "soon" }), [500, 1000, 2000, 4000, 8000]],
  ];
  test.each(CASES)("%s", async (_, step, waits) => expect(await pausesOf(step)).toEqual([...waits]));

  test("begin anew where something came", async () => {
    const server = scripted([BREAK, BREAK, bytes(0, 3, { error: BREAK }), BREAK, part(3, 6, { error: BREAK }), part(6, 16)]);
    await server.remote.download("cannot fetch it", FILE, new Received());
    expect(server.waits).toEqual([500, 1000, 500, 1000, 500]);
  });

  test("are told with their reason", async () => {
    const server = scripted([reply(502), bytes(0, 7, { error: BREAK }), part(7, 16)]);
    await server.remote.download("cannot fetch it", FILE, new Received());
    expect(server.notes).toEqual([
      `cannot fetch it: ${SHOWN}: status 502`,
      `cannot fetch it: ${SHOWN}: the connection broke after 7 bytes`,
    ]);
  });
});

describe("a text", () => {
  const read = (server: ReturnType<typeof scripted>) =>
    server.remote.text("cannot get it", ADDRESS, { method: "POST", body: "{}" }, (text) => text);

  test("is what came, after as many tries as it takes", async () => {
    expect(await read(scripted([BREAK, reply(502, "<html>"), bytes(0, 7, { error: BREAK }), new Response("à la carte")]))).toBe(
      "à la carte",
    );
  });

  test("is asked for again where its reader says that another may fare better", async () => {
    const server = scripted([new Response("{"), new Response("{}")]);
    const parsed = await server.remote.text("cannot get it", ADDRESS, {}, (text) => {
      if (text === "{") throw new Unavailable("cannot get it", ADDRESS, "broken", { retryable: true });
      return text;
    });
    expect([parsed, server.asked.length]).toEqual(["{}", 2]);
  });

  test("is bounded", async () => {
    const server = scripted([new Response(endless())]);
    expect((await failing(read(server))).message).toBe(`cannot get it: ${SHOWN}: the reply is larger than ${64 * 2 ** 20} bytes`);
    expect(server.asked).toHaveLength(1);
  });

  test("keeps method, body and headers over a redirect", async () => {
    const seen: unknown[] = [];
    const server = scripted([
      reply(301, "", { Location: "https://other.test/" }),
      ({ method, body, headers }) => {
        seen.push([method, body, headers]);
        return new Response("ok");
      },
    ]);
    await read(server);
    expect(seen).toEqual([["POST", "{}", { "User-Agent": "chp" }]]);
  });
});

describe("an interruption", () => {
  const hanging: Step = ({ signal }) =>
    new Promise((_, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });

  test.each([
    ["before", (ending: AbortController) => (ending.abort(), hanging)],
    [
      "while no reply comes",
      (ending: AbortController): Step =>
        (request) => (queueMicrotask(() => ending.abort()), (hanging as (r: typeof request) => Promise<Response>)(request)),
    ],
    [
      "while it is read",
      (ending: AbortController): Step =>
        () => (ending.abort(), bytes(0, 5, { error: new Error("aborted") })()),
    ],
  ])("%s a reply ends it without another try", async (_, step) => {
    const ending = new AbortController();
    const server = scripted([step(ending)], { signal: ending.signal });
    const failure = await failing(server.remote.download("cannot fetch it", FILE, new Received()));
    expect([failure.kind, failure.exit, server.asked.length, server.waits]).toEqual(["interrupted", 130, 1, []]);
    expect(() => server.remote.throwIfInterrupted()).toThrow("interrupted");
  });

  test("by the receiver ends that download alone", async () => {
    const ending = new AbortController();
    const server = scripted([() => (ending.abort(), bytes(0, 5, { error: new Error("aborted") })())]);
    const received = Object.assign(new Received(), { signal: ending.signal });
    expect((await failing(server.remote.download("cannot fetch it", FILE, received))).kind).toBe("interrupted");
    server.remote.throwIfInterrupted();
  });

  test("ends a pause", async () => {
    const ending = new AbortController();
    const remote = new HttpClient({
      transport: () => Promise.reject(BREAK),
      signal: ending.signal,
      onRetry: () => queueMicrotask(() => ending.abort()),
    });
    expect((await failing(remote.text("cannot get it", ADDRESS, {}, String))).kind).toBe("interrupted");
  });
});

test("a reply that is not read to its end gives its connection back, one that is does not lose it", async () => {
  const signals: AbortSignal[] = [];
  const step =
    (make: () => Response): Step =>
    ({ signal }) => (signals.push(signal), make());
  const server = scripted([step(() => reply(503)), step(bytes(0, 5)), step(() => new Response("", { status: 416 })), step(whole)]);
  await server.remote.download("cannot fetch it", FILE, new Received());
  expect(signals.map((signal) => signal.aborted)).toEqual([true, true, true, false]);
});
