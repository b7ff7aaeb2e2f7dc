/** Requests meant to harm: a clear 4xx as JSON, never a 5xx, a hang, a stack trace, or a server that is worse off. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { bytesBy, exportOf } from "../../build.ts";
import { jammy, SPEC } from "../../hostile/demo.ts";
import { chp, type Served, serve, tempFolder } from "../chp.ts";

const folder = tempFolder();
let served: Served;

beforeAll(async () => {
  const [file, store] = [join(folder.path, "e.tar.gz"), join(folder.path, "store")];
  writeFileSync(file, exportOf([SPEC]));
  expect(await chp(["import", "--store", store, file])).toMatchObject({ code: 0 });
  served = await serve(store);
});

afterAll(async () => {
  expect(await served.stop()).toBe(0);
  folder[Symbol.dispose]();
});

/** Bytes to the server as they are; what it answers until it closes or, where it was not asked to, has nothing to say for a while. */
function raw(
  bytes: string | Uint8Array,
  { quiet = Buffer.from(bytes).includes("Connection: close") ? 60_000 : 400 } = {},
): Promise<string> {
  return new Promise((resolve) => {
    let [text, timer] = ["", setTimeout(() => {}, 0)];
    const socket = connect(Number(new URL(served.url).port), "127.0.0.1", () => socket.write(bytes));
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(end, quiet);
    };
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      wait();
    });
    socket.on("close", end);
    socket.on("error", end);
    wait();
  });
}

const statusOf = (reply: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(reply)?.[1] ?? 0);
const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: hub.test\r\n${headers}Connection: close\r\n\r\n`;
const post = (body: string, headers = "") =>
  `POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}Connection: close\r\n\r\n${body}`;

async function alive(): Promise<void> {
  expect((await fetch(`${served.url}/v2/charms/info/demo`)).status).toBe(200);
}

const DOWNLOAD = `/api/v1/charms/download/${SPEC.id}_7.charm`;

/** path → status; every reply that is no success is JSON with an error-list. */
const PATHS: readonly (readonly [string, number])[] = [
  ["/", 200],
  ["/v2/charms", 404],
  ["/v2/charms/info/", 404],
  ["/v2/charms/info/demo/", 404],
  ["/v2/charms/info/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404],
  ["/v2/charms/info/..%2f..%2fetc%2fpasswd", 404],
  ["/v2/charms/info/../../../../etc/passwd", 404],
  ["/v2/charms/info/%00", 404],
  ["/v2/charms/info/%zz", 404],
  ["/v2/charms/info/__proto__", 404],
  ["/v2/charms/info/constructor", 404],
  ["/v2/charms/info/toString?fields=channel-map", 404],
  [`/v2/charms/info/${"a".repeat(8000)}`, 404],
  ["/v2/charms/info/demo?fields=__proto__,constructor.prototype,toString", 200],
  [`/v2/charms/info/demo?fields=${"channel-map.".repeat(500)}x`, 200],
  [`/v2/charms/info/demo?fields=${",".repeat(5000)}`, 200],
  ["/v2/charms/info/demo?channel=a/b/c/d", 400],
  ["/v2/charms/info/demo?channel=%00", 400],
  ["/v2/charms/find?q=%00%ff%zz", 200],
  [`/v2/charms/find?q=${"(a+)+".repeat(1000)}`, 200],
  ["/v2/charms/find?channel=////&type=__proto__&publisher=constructor&category=toString", 200],
  ["/v2/charms/resources/demo/__proto__/revisions", 404],
  ["/v2/charms/resources/constructor/data/revisions", 404],
  ["/v2/charms/resources/demo/..%2fdata/revisions", 404],
  ["/api/v1/charms/download/..%2f..%2fformat.json", 404],
  ["/api/v1/charms/download/_7.charm", 404],
  [`/api/v1/charms/download/${SPEC.id}_07777777777777777777777777.charm`, 404],
  [`/api/v1/charms/download/${SPEC.id}_-1.charm`, 404],
  ["/api/v1/charms/download/__proto___7.charm", 404],
  [`/api/v1/resources/download/charm_${SPEC.id}.__proto___1`, 404],
  [`/api/v1/resources/download/charm_${SPEC.id}.data_99`, 404],
  [`/api/v1/resources/download/charm_${SPEC.id}.data_1?sha256=../../x`, 200],
  ["/v1/charm/libraries/bulk", 404],
  ["//v2//charms//info//demo", 404],
];

test.each(PATHS)("GET %s → %d", async (path, status) => {
  const reply = await raw(get(path));
  expect(statusOf(reply)).toBe(status);
  if (status >= 400) {
    expect(reply).toMatch(/\r\ncontent-type: application\/json\r\n/i);
    expect(JSON.parse(reply.slice(reply.indexOf("\r\n\r\n") + 4))).toMatchObject({
      "error-list": [{ code: expect.any(String), message: expect.any(String) }],
    });
  }
  expect(reply).not.toMatch(/root:|\bat .*\.ts:\d+|bunfs/);
});

const METHODS = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"];

test.each(METHODS)("%s is refused as JSON", async (method) => {
  const reply = await raw(`${method} /v2/charms/info/demo HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  expect(statusOf(reply)).toBeGreaterThanOrEqual(400);
  expect(statusOf(reply)).toBeLessThan(500);
  await alive();
});

/** Range → status and what of the body's `size` bytes comes. */
const RANGES: readonly (readonly [string, number])[] = [
  ["bytes=0-0", 206],
  ["bytes=0-99999999999999999999", 206],
  ["bytes=-1", 206],
  ["bytes=-99999999", 206],
  ["bytes=0-0,2-3", 200],
  ["bytes=5-2", 200],
  ["bytes=a-b", 200],
  ["bytes=", 200],
  ["bytes=-", 200],
  ["lines=1-2", 200],
  ["bytes=-0", 416],
  ["bytes=99999999-", 416],
  ["bytes=99999999999999999999999-", 416],
];

test.each(RANGES)("Range: %s → %d", async (range, status) => {
  const response = await fetch(`${served.url}${DOWNLOAD}`, { headers: { Range: range } });
  const bytes = await response.arrayBuffer();
  expect(response.status).toBe(status);
  expect(Number(response.headers.get("content-length"))).toBe(bytes.byteLength);
  const whole = SPEC.revisions[7]?.byteLength ?? 0;
  if (status === 200) expect(bytes.byteLength).toBe(whole);
  if (status === 206) expect(response.headers.get("content-range")).toMatch(new RegExp(`^bytes \\d+-\\d+/${whole}$`));
  if (status === 416) expect(response.headers.get("content-range")).toBe(`bytes */${whole}`);
});

const HOSTS: readonly (readonly [string, number])[] = [
  ["hub.test:8080", 200],
  ["[::1]:8080", 200],
  ["hub.test/evil", 400],
  ["hub.test\\evil", 400],
  ['hub"test', 400],
  ["user@hub.test", 400],
  ["hub.test:port", 400],
  ["<script>", 400],
  ["", 400],
];

test.each(HOSTS)("Host: %s → %d", async (host, status) => {
  const reply = await raw(`GET /v2/charms/info/demo?fields=channel-map HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  expect(statusOf(reply)).toBe(status);
  if (status === 200) expect(reply).toContain(`"url":"http://${host}/api/`);
});

const BODIES: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["no JSON", "{"],
  ["two values", "{}{}"],
  ["null", "null"],
  ["a number", "1"],
  ["text", '"x"'],
  ["a list", "[]"],
  ["NaN", '{"context":[],"actions":NaN}'],
  ["actions that are an object", '{"context":[],"actions":{}}'],
  ["an action that is null", '{"context":[],"actions":[null]}'],
  ["an unknown verb", '{"context":[],"actions":[{"action":"destroy","instance-key":"k"}]}'],
  ["no instance key", '{"context":[],"actions":[{"action":"install","name":"demo"}]}'],
  ["a deep list", `${"[".repeat(200_000)}${"]".repeat(200_000)}`],
  ["a deep object", `{"actions":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`],
  ["bytes that are no text", Buffer.from([0xff, 0xfe, 0x00]).toString("latin1")],
];

test.each(BODIES)("a body of %s is a 400 as JSON", async (_, body) => {
  const response = await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body });
  expect([response.status, response.headers.get("content-type")]).toEqual([400, "application/json"]);
  expect(await response.json()).toMatchObject({ "error-list": [{ code: "bad-argument" }] });
});

test("a body over the limit is a 413, told or not", async () => {
  const large = "x".repeat(17 * 2 ** 20);
  const told = await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body: large });
  expect([told.status, told.headers.get("content-type")]).toEqual([413, "application/json"]);
  const chunked = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 17; i += 1) controller.enqueue(new Uint8Array(2 ** 20));
      controller.close();
    },
  });
  expect((await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body: chunked })).status).toBe(413);
  await alive();
});

/** Sends a body without an end until the connection is closed; whether it was, and the status of the reply. */
function flood(head: string): Promise<{ closed: boolean; status: number }> {
  const piece = Buffer.from(`ffff7\r\n${"x".repeat(0xffff7)}\r\n`); // a chunk, where there are chunks
  return new Promise((resolve) => {
    let [reply, sent] = ["", 0];
    const socket = connect(Number(new URL(served.url).port), "127.0.0.1", () => socket.write(head, send));
    const end = (closed: boolean) => {
      socket.destroy();
      resolve({ closed, status: statusOf(reply) });
    };
    const send = (failed?: Error | null) => {
      if (failed) return; // and closed, which is told
      sent += piece.byteLength;
      if (sent > 2 ** 30) end(false);
      else socket.write(piece, send);
    };
    socket.on("data", (chunk: Buffer) => (reply += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => end(true));
  });
}

const UNREAD: readonly (readonly [string, number])[] = [
  ["PUT /v2/charms/info/demo", 404],
  ["PUT /_import", 404],
  ["GET /v2/charms/info/demo", 200],
  ["DELETE /", 404],
  ["POST /v2/charms/refresh", 413],
];

test.each(UNREAD)("%s with a body without an end is answered with %d and closed", async (request, status) => {
  for (const how of ["Content-Length: 9000000000000", "Transfer-Encoding: chunked"]) {
    const end = await flood(`${request} HTTP/1.1\r\nHost: hub.test\r\n${how}\r\n\r\n`);
    // The reply may be lost with the connection, which is closed under who sends.
    expect([how, end.closed, [status, 0].includes(end.status)]).toEqual([how, true, true]);
  }
  await alive();
});

describe("requests that are no HTTP, or not finished", () => {
  const CASES: readonly (readonly [string, string | Uint8Array])[] = [
    ["noise", bytesBy(4096, (i) => (i * 7919) & 255)],
    ["TLS", Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])],
    ["half a line", "GET /v2/cha"],
    ["half the headers", "GET / HTTP/1.1\r\nHost: hub.test\r\nX-A: "],
    ["a body that does not come", "POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1000\r\n\r\n{"],
    ["a header of 100 KiB", get("/", `X-Long: ${"a".repeat(100_000)}\r\n`)],
    ["2,000 headers", get("/", Array.from({ length: 2000 }, (_, i) => `X-${i}: 1\r\n`).join(""))],
    ["a path of 100 KiB", get(`/${"a".repeat(100_000)}`)],
    ["two lengths", "POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"],
    ["a negative length", "POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: -1\r\n\r\n{}"],
    [
      "a length and chunks",
      "POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["a bad chunk", "POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"],
    ["a header in a header", get("/v2/charms/info/demo", "X-Request-Id: a\rb\r\n")],
  ];

  test.each(CASES)("%s", async (_, bytes) => {
    const reply = await raw(bytes);
    for (const status of reply.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) expect(Number(status[1])).toBeLessThan(500);
    expect(reply).not.toMatch(/\bat .*\.ts:\d+|bunfs/);
    await alive();
  });

  test("200 connections that say half a request and go", async () => {
    await Promise.all(Array.from({ length: 200 }, () => raw(post('{"context":[]').slice(0, -5), { quiet: 20 })));
    await alive();
  });

  test("200 downloads that are dropped after the first bytes", async () => {
    await Promise.all(Array.from({ length: 200 }, () => raw(get(DOWNLOAD), { quiet: 1 })));
    await alive();
  });
});

const VALID = {
  context: [{ "instance-key": "k", id: SPEC.id, revision: 6, base: jammy, "tracking-channel": "14/stable", metrics: { units: "1" } }],
  actions: [
    { action: "refresh", "instance-key": "k", id: SPEC.id },
    { action: "install", "instance-key": "i", name: "demo", channel: "stable", base: jammy },
    {
      action: "download",
      "instance-key": "d",
      id: SPEC.id,
      revision: 7,
      base: null,
      "resource-revisions": [{ name: "data", revision: 0 }],
    },
  ],
  fields: ["revision", "resources"],
  metrics: { model: { uuid: "x" } },
};

const WRONG: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e300,
  "",
  "x",
  "\u0000",
  "__proto__",
  "a/b/c/d",
  [],
  [[]],
  {},
  { __proto__: null, constructor: 1 },
];

/** Every value of a request replaced by every wrong one. */
function* mutations(value: unknown, wrap: (inner: unknown) => unknown = (inner) => inner): Generator {
  for (const wrong of WRONG) yield wrap(wrong);
  if (Array.isArray(value)) for (const [i, one] of value.entries()) yield* mutations(one, (inner) => wrap(value.with(i, inner)));
  else if (typeof value === "object" && value !== null)
    for (const [key, one] of Object.entries(value)) yield* mutations(one, (inner) => wrap({ ...value, [key]: inner }));
}

test("every field of a refresh with every wrong value is answered with 200 or 400, as JSON, one result an action", async () => {
  let asked = 0;
  for (const body of mutations(VALID)) {
    const response = await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body: JSON.stringify(body) });
    expect([JSON.stringify(body), [200, 400].includes(response.status), response.headers.get("content-type")]).toEqual([
      JSON.stringify(body),
      true,
      "application/json",
    ]);
    const reply = await response.json();
    const actions = (body as { actions?: unknown[] } | null)?.actions;
    if (response.status === 200 && Array.isArray(actions)) expect(reply.results).toHaveLength(actions.length);
    asked += 1;
  }
  expect(asked).toBeGreaterThan(500);
  await alive();
});

test("20,000 requests for what is not there do not make the server grow", async () => {
  const rss = async () => Number(/process_resident_memory_bytes (\d+)/.exec(await (await fetch(`${served.url}/metrics`)).text())?.[1]);
  const ask = async (from: number) => {
    for (let i = from; i < from + 10_000; i += 50)
      await Promise.all(
        Array.from({ length: 50 }, async (_, k) => (await fetch(`${served.url}/v2/charms/info/no-${i + k}?fields=f${i + k}`)).text()),
      );
  };
  await ask(0);
  const before = await rss();
  await ask(10_000);
  expect((await rss()) - before).toBeLessThan(64 * 2 ** 20);
});
