/** Connections that cost the server something: idle ones, stalled ones, too many, and clients that go away. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { base, charmZip, exportOf } from "../build.ts";
import { COMMAND, here, logged, type Served, serve, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");
const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(24 * 2 ** 20));
const ID = "large".padEnd(32, "0");
const DOWNLOAD = `/api/v1/charms/download/${ID}_1.charm`;
/** Seconds. */
const IDLE = 5;

const folder = tempFolder();
const store = join(folder.path, "store");

beforeAll(async () => {
  const file = join(folder.path, "e.tar.gz");
  const yaml = `options:\n${Array.from({ length: 1200 }, (_, i) => `  option-${i}:\n    type: string\n    description: what it does ${"x".repeat(40)}\n`).join("")}`;
  const releases = [{ channel: "latest/stable", base: jammy, revision: 1 }];
  const charm = (name: string, files: Record<string, string | Uint8Array>) => ({
    name,
    id: name.padEnd(32, "0"),
    type: "charm" as const,
    revisions: { 1: charmZip({ name, revision: 1, bases: [jammy], files }) },
    bases: { 1: [jammy] },
    releases,
  });
  writeFileSync(file, exportOf([charm("large", { noise }), charm("wordy", { "config.yaml": yaml })]));
  expect(await here(["import", "--store", store, file])).toMatchObject({ code: 0 });
});

afterAll(() => folder[Symbol.dispose]());

/** A connection that has sent `text`, with what came back. */
class Client {
  received = 0;
  text = "";
  readonly closed: Promise<void>;
  readonly socket: Socket;
  isClosed = false;

  constructor({ url }: Pick<Served, "url">, text = "") {
    this.socket = connect(Number(new URL(url).port), "127.0.0.1", () => text && this.socket.write(text));
    this.socket.on("data", (chunk: Buffer) => {
      this.received += chunk.byteLength;
      if (this.text.length < 2000) this.text += chunk.toString("latin1");
    });
    this.socket.on("error", () => {});
    this.closed = new Promise((done) =>
      this.socket.on("close", () => {
        this.isClosed = true;
        done();
      }),
    );
  }

  async status(): Promise<number> {
    while (!this.text.includes("\r\n") && !this.isClosed) await Bun.sleep(5);
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1] ?? 0);
  }

  /** Waits until the server has read what was sent: nothing is queued at its end of the connection. */
  async arrived(): Promise<void> {
    if (this.socket.connecting) await once(this.socket, "connect");
    const end = (port = 0) => `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    const [client, server] = [end(this.socket.localPort), end(this.socket.remotePort)];
    // Of both: established, nothing to be acknowledged, nothing to be read.
    const rows = [`${client} ${server}`, `${server} ${client}`].map((ends) => `${ends} 01 00000000:00000000 `);
    const isRead = () => rows.every((row) => readFileSync("/proc/net/tcp", "latin1").includes(row));
    while (this.socket.bytesWritten === 0 || !isRead()) await Bun.sleep(5);
  }

  /** Reads no more after the first bytes. */
  async stall(): Promise<this> {
    while (this.received === 0) await Bun.sleep(5);
    this.socket.pause();
    return this;
  }
}

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: hub.test\r\n${more}\r\n`;
const CHECK = get("/_status/check");

test("ends connections that wait for a request, and neither a download that stalls nor one after it", async () => {
  const served = await serve(store, [], { CHP_IDLE_TIMEOUT: String(IDLE) });
  const stalled = await new Client(served, get(DOWNLOAD)).stall();
  const asked = new Client(served, CHECK);
  const silent = new Client(served);
  await asked.closed;
  expect(await asked.status()).toBe(200);
  await Bun.sleep(3 * IDLE * 1000);
  expect(stalled.isClosed).toBe(false);
  stalled.socket.resume();
  while (stalled.received < noise.byteLength) await Bun.sleep(20);
  await stalled.closed; // it is idle by now
  if (!COMMAND.includes(resolve("dist/chp.mjs"))) await silent.closed; // under Node after its minute for headers
  expect(await served.stop()).toBe(0);
});

test("harms nobody by 1,000 idle clients at a limit of 1,024 descriptors", async () => {
  const limited = ["bash", "-c", 'ulimit -n 1024; exec "$@"', "-", ...COMMAND];
  const served = await serve(store, [], {}, limited);
  const stalled = await new Client(served, get(DOWNLOAD)).stall();
  const idle = Array.from({ length: 1500 }, (__, i) => new Client(served, i % 2 ? CHECK : ""));
  await logged(served, "were closed");
  // Where connections still come in faster than idle ones are closed, Bun may find no descriptor for the file: a 503 says to come again.
  for (let inARow = 0; inARow < 20; ) {
    const { status, headers } = await fetch(`${served.url}${DOWNLOAD}`, { headers: { Range: "bytes=0-9" } });
    if (status !== 206) expect([status, headers.get("Retry-After")]).toEqual([503, "10"]);
    inARow = status === 206 ? inARow + 1 : 0;
  }
  stalled.socket.resume();
  while (stalled.received < noise.byteLength && !stalled.isClosed) await Bun.sleep(20);
  expect(stalled.received).toBeGreaterThan(noise.byteLength);
  for (const { socket } of [stalled, ...idle]) socket.destroy();
  expect(served.log()).not.toMatch(/"status":5\d\d/);
  expect(await served.stop()).toBe(0);
});

test("reads what it is asked for while requests have every descriptor", async () => {
  const limit = 200;
  const served = await serve(store, [], {}, ["bash", "-c", `ulimit -n ${limit}; exec "$@"`, "-", ...COMMAND]);
  const body = JSON.stringify({
    context: [],
    actions: [{ action: "install", "instance-key": "k", name: "wordy", channel: "latest/stable", base: jammy }],
  });
  const head = `POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: ${body.length}\r\n\r\n{`;
  const asking = new Client(served, head);
  await asking.arrived();
  const others = Array.from({ length: 2 * limit }, () => new Client(served, head));
  while (readdirSync(`/proc/${served.pid}/fd`).length < limit) await Bun.sleep(5);
  asking.socket.write(body.slice(1));
  expect(await asking.status()).toBe(200);
  for (const { socket } of [asking, ...others]) socket.destroy();
  expect(await served.stop()).toBe(0);
});

test("gives one address as many connections as are set", async () => {
  const served = await serve(store, [], { CHP_MAX_CONNECTIONS_PER_ADDRESS: "10" });
  const first: Client[] = [];
  for (let i = 0; i < 10; i += 1) first.push(await new Client(served, get(DOWNLOAD)).stall());
  // Connections are counted once a second.
  const check = async () => {
    const client = new Client(served, CHECK);
    const status = await client.status();
    client.socket.destroy();
    return status;
  };
  while ((await check()) === 200) await Bun.sleep(20);
  const more = Array.from({ length: 5 }, () => new Client(served, CHECK));
  for (const one of more) {
    await one.closed;
    expect([0, 429]).toContain(await one.status());
  }
  expect(first.map((one) => one.isClosed)).toEqual(first.map(() => false));
  for (const { socket } of first) socket.destroy();
  while ((await check()) !== 200) await Bun.sleep(20);
  expect(await served.stop()).toBe(0);
});

test("writes 499 where a client goes away in its body, and no error", async () => {
  const served = await serve(store);
  for (const how of ["Content-Length: 1000", "Content-Length: 100000", "Transfer-Encoding: chunked"]) {
    const client = new Client(served, `POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\n${how}\r\n\r\n5\r\n{"act`);
    await client.arrived();
    client.socket.destroy();
  }
  while (served.log().split('"status":499').length < 4) await Bun.sleep(20);
  expect(await served.stop()).toBe(0);
  expect(served.log()).not.toContain('"level":"error"');
});

test("answers HTTP/1.0 without a Host, as health checks send it", async () => {
  const served = await serve(store);
  for (const [line, status] of [
    ["GET /_status/check HTTP/1.0", 200],
    ["OPTIONS / HTTP/1.0", 404],
    ["GET /v2/charms/info/wordy HTTP/1.0", 200],
    ["GET /_status/check HTTP/1.1", 400],
  ] as const) {
    const client = new Client(served, `${line}\r\n\r\n`);
    expect([line, await client.status()]).toEqual([line, status]);
    await client.closed;
  }
  expect(served.log()).not.toContain('"level":"error"');
  expect(await served.stop()).toBe(0);
});

test("takes bounded memory for what many ask of it, and for who does not read it", async () => {
  const served = await serve(store);
  const install = (i: number) => ({
    action: "install",
    "instance-key": `key-${i}`,
    name: "wordy",
    channel: "latest/stable",
    base: jammy,
  });
  const body = (n: number) => JSON.stringify({ context: [], actions: Array.from({ length: n }, (__, i) => install(i)) });
  const send = (text: string) => `POST /v2/charms/refresh HTTP/1.1\r\nHost: hub.test\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  const unread = await Promise.all(Array.from({ length: 20 }, () => new Client(served, send(body(500))).stall()));
  const statuses = await Promise.all(
    Array.from({ length: 10 }, async (__, i) => {
      const reply = await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body: body(i % 2 ? 400 : 5000) });
      await reply.arrayBuffer();
      return reply.status;
    }),
  );
  expect(statuses).toEqual([413, 200, 413, 200, 413, 200, 413, 200, 413, 200]);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${served.pid}/status`, "latin1"))?.[1]) / 1024;
  expect(peak).toBeLessThan(512);
  for (const { socket } of unread) socket.destroy();
  expect(await served.stop()).toBe(0);
});
