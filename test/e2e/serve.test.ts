import { afterAll, expect, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { COMMAND, chp, here, logged, serve, spawn, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");

function spec(name: string, revision: number, size = 1000): PackageSpec {
  const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(size));
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [jammy], files: { noise } }) },
    bases: { [revision]: [jammy] },
    releases: [{ channel: "latest/stable", base: jammy, revision }],
  };
}

async function importSpec(folder: string, ...specs: PackageSpec[]): Promise<string> {
  writeFileSync(join(folder, "e.tar.gz"), exportOf(specs));
  const done = await here(["import", "--store", join(folder, "store"), join(folder, "e.tar.gz")]);
  expect(done).toMatchObject({ code: 0 });
  return join(folder, "store");
}

test("a store that is not there yet is served empty, written to by nobody, and full at the request after the import", async () => {
  using folder = tempFolder();
  const served = await serve(join(folder.path, "store"));
  expect(served.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  await logged(served, "is empty: run chp import FILE");
  expect(await (await fetch(`${served.url}/v2/charms/find`)).json()).toEqual({ results: [], "error-list": [] });
  expect(readdirSync(folder.path)).toEqual([]);
  for (const revision of [1, 2, 3]) {
    await importSpec(folder.path, spec("demo", revision));
    const info = await (await fetch(`${served.url}/v2/charms/info/demo?fields=channel-map`)).json();
    expect(info).toMatchObject({ "channel-map": [{ revision: { revision } }] });
  }
  expect(await served.stop()).toBe(0);
});

test("the log is JSON lines on stderr, with the request's id or one of its own", async () => {
  using folder = tempFolder();
  const served = await serve(await importSpec(folder.path, spec("demo", 1)), ["--quiet"]);
  const asked = async (id?: string) =>
    (await fetch(`${served.url}/v2/charms/info/demo?fields=x`, id === undefined ? {} : { headers: { "X-Request-Id": id } })).headers.get(
      "x-request-id",
    );
  const ids = [await asked("abc-1"), await asked("not ok"), await asked()];
  expect(ids[0]).toBe("abc-1");
  expect(ids[1]).toMatch(/^[0-9a-f-]{36}$/);
  await served.stop();
  const lines = served
    .log()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject(
    ids.map((id) => ({ level: "info", message: "request", id, method: "GET", path: "/v2/charms/info/demo", status: 200 })),
  );
});

test("flag, environment and file each set the public URL, in that order", async () => {
  using folder = tempFolder();
  const store = await importSpec(folder.path, spec("demo", 1));
  const urlOf = async (args: string[], env: Record<string, string>) => {
    const served = await serve(store, args, env);
    const info = await (await fetch(`${served.url}/v2/charms/info/demo?fields=channel-map.revision.download.url`)).json();
    await served.stop();
    return info["channel-map"][0].revision.download.url.replace(served.url, "SELF");
  };
  const path = "/api/v1/charms/download/demo0000000000000000000000000000_1.charm";
  expect(await urlOf([], {})).toBe(`SELF${path}`);
  expect((await here(["config", "--store", store, "public-url=http://file.lan/"])).code).toBe(0);
  expect(await urlOf([], {})).toBe(`http://file.lan${path}`);
  expect(await urlOf([], { CHP_PUBLIC_URL: "http://env.lan" })).toBe(`http://env.lan${path}`);
  expect(await urlOf(["--public-url", "http://flag.lan/a/"], { CHP_PUBLIC_URL: "http://env.lan" })).toBe(`http://flag.lan/a${path}`);
  expect((await here(["config", "--store", store, "public-url"])).out).toBe("http://file.lan\n");
});

/** Reads a download, pausing for `stall` milliseconds after the first bytes; resolves with the bytes after the headers. */
function download(url: string, path: string, stall: number, onStall: () => void = () => {}): Promise<{ head: string; size: number }> {
  const { port, host } = new URL(url);
  return new Promise((resolve, reject) => {
    let [text, size, expected] = ["", 0, Number.POSITIVE_INFINITY];
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
    socket.on("data", (chunk: Buffer) => {
      size += chunk.byteLength;
      if (expected === Number.POSITIVE_INFINITY) {
        text += chunk.toString("latin1");
        const end = text.indexOf("\r\n\r\n");
        const length = /^content-length: (\d+)/im.exec(text)?.[1];
        if (end < 0) return;
        expected = end + 4 + Number(length);
        socket.pause();
        onStall();
        setTimeout(() => socket.resume(), stall);
      }
      if (size < expected) return;
      socket.destroy();
      resolve({ head: text.slice(0, text.indexOf("\r\n\r\n")), size: size - text.indexOf("\r\n\r\n") - 4 });
    });
    socket.on("close", () => reject(new Error(`closed after ${size} bytes`)));
    socket.on("error", reject);
  });
}

const LARGE = 24 * 2 ** 20;
const PATH = "/api/v1/charms/download/large000000000000000000000000000_1.charm";

const shared = tempFolder();
afterAll(() => shared[Symbol.dispose]());
let made: Promise<string> | undefined;

/** A store that has it: what takes seconds to pack is packed once, for all who serve it. */
const large = () => (made ??= importSpec(shared.path, spec("large", 1, LARGE)));

// This waits for long: those down to the last run beside it.
test.concurrent("a download that stalls for 30 seconds arrives whole, as one body of known length", async () => {
  const served = await serve(await large());
  const { head, size } = await download(served.url, PATH, 30_000);
  expect(head).not.toMatch(/transfer-encoding|content-encoding/i);
  expect(size).toBeGreaterThan(LARGE / 2);
  await served.stop();
});

test.concurrent("SIGTERM lets a running download end and takes no new requests", async () => {
  const served = await serve(await large());
  let stopped: Promise<number> | undefined;
  const { size } = await download(served.url, PATH, 1500, () => void (stopped = served.stop()));
  expect(size).toBeGreaterThan(LARGE / 2);
  expect(await stopped).toBe(0);
  expect(fetch(served.url)).rejects.toThrow("Unable to connect");
});

test.concurrent("a second signal cuts off what the first would have let end: exit 130", async () => {
  const served = await serve(await large());
  const cut = download(served.url, PATH, 60_000, () => process.kill(served.pid, "SIGINT"));
  cut.catch(() => {});
  const request = () =>
    fetch(served.url, { headers: { Connection: "close" } }).then(
      () => true,
      () => false,
    );
  while (await request()) await Bun.sleep(20); // until the first has come
  expect(await served.stop()).toBe(130);
});

test.concurrent("HTTPS stands beside HTTP, with the certificate that is given, and names itself in URLs", async () => {
  using folder = tempFolder();
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(import.meta.dir, "../fixtures/tls", name));
  const store = await importSpec(folder.path, spec("demo", 1));
  const process = spawn([
    "serve",
    "--json",
    "--store",
    store,
    "--listen",
    "127.0.0.1:0",
    "--tls-listen",
    "127.0.0.1:0",
    "--tls-cert",
    cert ?? "",
    "--tls-key",
    key ?? "",
  ]);
  let out = "";
  for await (const chunk of process.stdout) {
    out += Buffer.from(chunk).toString();
    if (out.trimEnd().endsWith("}")) break;
  }
  const [plain, secure] = (JSON.parse(out) as { addresses: string[] }).addresses;
  const tls = { ca: readFileSync(cert ?? "", "utf8") };
  for (const url of [plain, secure]) {
    const info = await (await fetch(`${url}/v2/charms/info/demo?fields=channel-map.revision.download.url`, { tls })).json();
    expect(info["channel-map"][0].revision.download.url).toStartWith(`${url}/api/v1/charms/download/`);
  }
  process.kill("SIGTERM");
  expect(await process.exited).toBe(0);
});

test.concurrent("a thousand actions in one request are a thousand answers in their order", async () => {
  using folder = tempFolder();
  const served = await serve(await importSpec(folder.path, spec("demo", 1), spec("other", 2)));
  const keys = Array.from({ length: 1000 }, (_, i) => `key-${i}`);
  const context = keys.map((key, i) => ({
    "instance-key": key,
    id: (i % 2 ? "demo" : "other").padEnd(32, "0"),
    revision: -1,
    base: jammy,
    "tracking-channel": "latest/stable",
  }));
  const actions = context.map((one) => ({ action: "refresh", "instance-key": one["instance-key"], id: one.id }));
  const reply = await (
    await fetch(`${served.url}/v2/charms/refresh`, { method: "POST", body: JSON.stringify({ context, actions }) })
  ).json();
  expect(
    reply.results.map((one: { "instance-key": string; charm: { revision: number } }) => [one["instance-key"], one.charm.revision]),
  ).toEqual(keys.map((key, i) => [key, i % 2 ? 1 : 2]));
  await served.stop();
});

test.concurrent("a log that nobody reads any more does not end the server", async () => {
  using folder = tempFolder();
  const store = await importSpec(folder.path, spec("demo", 1));
  const script = 'exec 2> >(exit 0); sleep 0.2; exec "$@"';
  const command = ["bash", "-c", script, "-", ...COMMAND];
  const process = spawn(["serve", "--store", store, "--listen", "127.0.0.1:0"], { command });
  const { value } = await process.stdout.getReader().read();
  const url = Buffer.from(value ?? [])
    .toString()
    .trim();
  for (const _ of [1, 2, 3]) {
    expect((await fetch(`${url}/v2/charms/info/demo`)).status).toBe(200);
    await Bun.sleep(50);
  }
  process.kill("SIGTERM");
  expect(await process.exited).toBe(0);
});

test.concurrent("an address that is taken is a clear error", async () => {
  using folder = tempFolder();
  const store = await importSpec(folder.path, spec("demo", 1));
  const served = await serve(store);
  const done = await chp(["serve", "--store", store, "--listen", new URL(served.url).host]);
  expect([done.code, done.err]).toEqual([1, expect.stringContaining("something listens there already")]);
  await served.stop();
});

test("the current folder's .env and bunfig.toml are not read", async () => {
  using folder = tempFolder();
  writeFileSync(join(folder.path, ".env"), "CHP_STORE=from-dotenv\n");
  writeFileSync(join(folder.path, "bunfig.toml"), 'preload = ["./evil.js"]\n');
  writeFileSync(join(folder.path, "evil.js"), 'console.log("evil")');
  const done = await chp(["list"], { cwd: folder.path, env: { XDG_DATA_HOME: join(folder.path, "data"), HOME: folder.path } });
  expect(`${done.out}${done.err}`).not.toMatch(/evil|from-dotenv/);
});
