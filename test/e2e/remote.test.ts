/** Imports from another machine: the executable sends, the executable serves, over TLS. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { storedSettings } from "../storedsettings.ts";
import { exhaustive } from "../thorough.ts";
import { atChange, chp, type Done, here, type RunOptions, type Served, serve, spawn, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");

/** Bytes that no compression makes smaller. */
function noise(size: number, seed: number): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(size));
}

function spec(name: string, revision: number, size = 1000): PackageSpec {
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [jammy], files: { noise: noise(size, revision) } }) },
    bases: { [revision]: [jammy] },
    releases: [{ channel: "latest/stable", base: jammy, revision }],
  };
}

const sha256 = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

/** A store with a certificate and a token, served; and what a client needs to send to it. */
class Hub {
  readonly folder = tempFolder();
  readonly store = join(this.folder.path, "store");
  readonly ca = join(this.folder.path, "ca.crt");
  token = "";
  served: Served | undefined;

  async start(): Promise<this> {
    expect(await here(["import-certificate", "--selfsigned", "--store", this.store])).toMatchObject({ code: 0 });
    writeFileSync(this.ca, (await here(["config", "--store", this.store, "proxy.tls.cert"])).out);
    this.token = (await here(["token", "ci", "--store", this.store])).out.trim();
    await this.serve();
    return this;
  }

  async serve(): Promise<Served> {
    this.served = await serve(this.store, ["--tls-listen", "127.0.0.1:0"]);
    return this.served;
  }

  get url(): string {
    return this.served?.urls[1] ?? "";
  }

  log(): string {
    return this.served?.log() ?? "";
  }

  /** `chp import --to` this hub. */
  send(args: readonly string[], options: RunOptions = {}): Promise<Done> {
    return chp(this.sending(args), { ...options, env: { CHP_TOKEN: this.token, ...options.env } });
  }

  sending(args: readonly string[]): string[] {
    return ["import", "--to", this.url, "--ca", this.ca, ...args];
  }

  file(name: string, content: Uint8Array): string {
    const path = join(this.folder.path, name);
    writeFileSync(path, content);
    return path;
  }

  async generations(): Promise<{ number: number; sources: { name: string; sha256: string }[] }[]> {
    return JSON.parse((await here(["log", "--store", this.store, "--json"])).out);
  }

  /** What it shows, for a server of a test that its clients trust too. */
  pair(): { cert: string; key: string } {
    const { documents, secrets } = storedSettings(this.store);
    return { cert: documents["tls"].certificate, key: secrets["tlsSecret"]?.value.keys[0] };
  }

  /** What a request over TLS says, as raw bytes; `body` is written piece by piece. */
  async raw(head: string): Promise<TLSSocket> {
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const one = connect({ host: "127.0.0.1", port: Number(new URL(this.url).port), rejectUnauthorized: false }, () => resolve(one));
      one.once("error", reject);
    });
    socket.on("error", () => {});
    socket.write(`${head}\r\nHost: hub.test\r\nAuthorization: Bearer ${this.token}\r\n`);
    return socket;
  }

  async logged(text: string, times = 1): Promise<void> {
    while (this.log().split(text).length <= times) await Bun.sleep(10);
  }

  async verified(): Promise<void> {
    expect(await here(["verify", "--read-data", "--store", this.store])).toMatchObject({ code: 0 });
  }

  async stop(): Promise<void> {
    expect(await this.served?.stop()).toBe(0);
    this.folder[Symbol.dispose]();
  }
}

/** All that a connection says, until it ends or `until` holds of it. */
function said(socket: TLSSocket, until: (text: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (until(text)) resolve(text);
    });
    socket.on("close", () => resolve(text));
  });
}

/** Imports that run for a server. */
function children(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

const hub = new Hub();

beforeAll(async () => {
  await hub.start();
});

afterAll(() => hub.stop());

describe("chp import --to", () => {
  test("says and does what chp import does with the same files, as one generation that names them", async () => {
    const files = {
      "a.tar.gz": exportOf([spec("alpha", 1)]),
      "b.tar.gz": exportOf([spec("beta", 2)]),
      "demo_r7.charm": charmZip({ name: "demo", revision: 7, bases: [jammy] }),
    };
    for (const [name, content] of Object.entries(files)) hub.file(name, content);
    mkdirSync(join(hub.folder.path, "usb"));
    hub.file("usb/a.tar.gz", files["a.tar.gz"]);
    const args = ["a.tar.gz", "./b.tar.gz", join(hub.folder.path, "demo_r7.charm"), "usb"];
    const local = join(hub.folder.path, "local");
    for (const how of [["--dry-run", "--json"], ["--json"], []]) {
      const mine = await chp(["import", "--store", local, ...how, ...args], { cwd: hub.folder.path });
      const there = await hub.send([...how, ...args], { cwd: hub.folder.path });
      const plain = (text: string) => text.replaceAll(local, "STORE").replaceAll(hub.store, "STORE").replace("undo (there): ", "undo: ");
      expect([there.code, plain(there.out)]).toEqual([mine.code, plain(mine.out)]);
      expect(there.err).toBe("");
    }
    const generations = await hub.generations();
    expect(generations).toHaveLength(1);
    expect(generations[0]?.sources.map(({ name, sha256: sum }) => [name, sum])).toEqual([
      ["a.tar.gz", sha256(files["a.tar.gz"])],
      ["./b.tar.gz", sha256(files["b.tar.gz"])],
      [join(hub.folder.path, "demo_r7.charm"), sha256(files["demo_r7.charm"])],
      ["usb/a.tar.gz", sha256(files["a.tar.gz"])],
    ]);
    expect(await (await fetch(`${hub.served?.url}/v2/charms/info/beta`)).json()).toMatchObject({ name: "beta" });
    await hub.logged("an import was done");
    expect(hub.log()).toMatch(/"an import was done".*"token":"ci","address":"127.0.0.1","generation":1/);
  });

  test("holds files against the SHA256SUMS beside them, and joins parts", async () => {
    const media = join(hub.folder.path, "media");
    mkdirSync(media);
    const content = exportOf([spec("listed", 1)]);
    hub.file("media/listed.tar.gz", content);
    hub.file("media/SHA256SUMS", Buffer.from(`${sha256(Buffer.from("other"))}  listed.tar.gz\n`));
    for (const args of [["SHA256SUMS", "listed.tar.gz"], ["../media"]])
      expect([args, await hub.send(args, { cwd: media })]).toMatchObject([
        args,
        { code: 3, err: expect.stringContaining("SHA256SUMS says ") },
      ]);
    hub.file("media/SHA256SUMS", Buffer.from(`${sha256(content)}  listed.tar.gz\n`));
    expect(await hub.send(["SHA256SUMS", "listed.tar.gz"], { cwd: media })).toMatchObject({ code: 0 });
    const whole = exportOf([spec("split", 1)]);
    hub.file("split.tar.gz.1of2", whole.subarray(0, 1000));
    hub.file("split.tar.gz.2of2", whole.subarray(1000));
    expect(await hub.send(["split.tar.gz.1of2"], { cwd: hub.folder.path })).toMatchObject({ code: 0 });
    expect((await hub.generations())[0]?.sources).toMatchObject([{ name: "split.tar.gz", sha256: sha256(whole) }]);
    hub.file("split.tar.gz.sha256", Buffer.from([1, 2].map((i) => `${sha256(whole)}  split.tar.gz.${i}of2\n`).join("")));
    expect(await hub.send(["split.tar.gz.1of2"], { cwd: hub.folder.path })).toMatchObject({
      code: 3,
      err: expect.stringContaining("split.tar.gz.1of2: its sha256 is"),
    });
  });

  test("takes standard input, under a name", async () => {
    const charm = charmZip({ name: "piped", revision: 9, bases: [jammy] });
    const done = await hub.send(["--name", "piped_r9.charm", "--channel", "9/edge", "-"], { input: charm });
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("9/edge ubuntu@22.04 amd64: opened at 9")]);
    expect((await hub.generations())[0]?.sources).toMatchObject([{ name: "piped_r9.charm", sha256: sha256(charm) }]);
    expect(await hub.send(["-", hub.ca], { input: charm })).toMatchObject({
      code: 2,
      err: expect.stringContaining("can only be sent alone"),
    });
  });

  test("takes the token from a file", async () => {
    const file = hub.file("token", Buffer.from(`${hub.token}\n`));
    const sent = hub.file("t.tar.gz", exportOf([spec("tokened", 1)]));
    expect(await hub.send(["--token-file", file, sent], { env: { CHP_TOKEN: "wrong" } })).toMatchObject({ code: 0 });
    expect(await hub.send([sent], { env: { CHP_TOKEN: "", CHP_TOKEN_FILE: file, CHP_CA: hub.ca } })).toMatchObject({ code: 0 });
  });

  test("gives the exit code and message of the import there, and nothing is published", async () => {
    const before = await hub.generations();
    const whole = exportOf([spec("cut", 1)]);
    const cases: readonly (readonly [args: readonly string[], code: number, says: string])[] = [
      [[hub.file("cut.tar.gz", whole.subarray(0, whole.byteLength - 200))], 3, "cut.tar.gz: "],
      [[hub.file("other.tar.gz", exportOf([spec("alpha", 1, 999)]))], 3, "alpha"],
      [[hub.file("empty.tar.gz", new Uint8Array())], 3, "it is no tar, although it says so"],
      // Refused by its first bytes, while the rest is still being sent.
      [[hub.file("large.snap", noise(64 * 2 ** 20, 1))], 3, "large.snap: it is not a squashfs"],
      [["--max-size", "10", hub.file("a2.tar.gz", exportOf([spec("alpha", 2)]))], 3, "it unpacks to more than 10 bytes"],
    ];
    for (const [args, code, says] of cases) {
      const done = await hub.send(args);
      expect([says, done.code, done.out, done.err]).toEqual([says, code, "", expect.stringContaining(says)]);
      expect(done.err).toStartWith(`chp: ${new URL(hub.url).host}: `);
    }
    const json = await hub.send(["--json", join(hub.folder.path, "cut.tar.gz")]);
    expect([json.code, JSON.parse(json.err)]).toMatchObject([3, { kind: "refused", exit: 3 }]);
    expect(await hub.generations()).toEqual(before);
    await hub.verified();
  });

  test("says what is wrong on the way, and what to do", async () => {
    const file = hub.file("w.tar.gz", exportOf([spec("wrong", 1)]));
    const plain = hub.served?.url ?? "";
    const cases: readonly (readonly [
      args: readonly string[],
      env: Readonly<Record<string, string>>,
      code: number,
      says: string,
      next: string,
    ])[] = [
      [[file], { CHP_TOKEN: "" }, 2, "--to needs a token", "chp token NAME"],
      [[file], { CHP_TOKEN: "a b" }, 2, "CHP_TOKEN does not hold a token", "chp token NAME"],
      [[file], { CHP_TOKEN: `${hub.token}x` }, 1, "the token is not known", "chp token NAME"],
      [["--store", "x", file], {}, 2, "--to and --store", ""],
      [["--trust", hub.ca, file], {}, 2, "--trust cannot be used with --to", "there: chp import --trust"],
      [["--allow-unsigned", file], {}, 2, "--allow-unsigned cannot be used with --to", "there: chp import --allow-unsigned"],
      [["--allow-older", file], {}, 2, "--allow-older cannot be used with --to", "there: chp import --allow-older"],
      [["--renamed", "a=b", file], {}, 2, "--renamed cannot be used with --to", "there: chp import --renamed"],
      [["--to", plain, file], {}, 2, "--to takes a URL like https://", "chp serve --tls-listen"],
      [["--to", plain.replace("http:", "https:"), file], {}, 1, "does not speak TLS", "chp serve --tls-listen"],
      [["--to", "https://127.0.0.1:1", file], {}, 1, "nothing listens at 127.0.0.1:1", "chp serve --tls-listen"],
      [["--to", "hub.lan", file], {}, 2, "--to takes a URL like https://", ""],
      [["--ca", join(hub.folder.path, "none"), file], {}, 2, "cannot read", ""],
      [["--ca", file, file], {}, 2, "holds no certificate", ""],
      [["--name", "x", file], {}, 2, "--name is for standard input", ""],
    ];
    for (const [args, env, code, says, next] of cases) {
      const done = await hub.send(args, { env });
      expect([args, done.code, done.err]).toEqual([args, code, expect.stringContaining(says)]);
      expect(done.err).toContain(next);
      expect(done.out + done.err).not.toContain(hub.token);
    }
    const untrusted = await chp(["import", "--to", hub.url, file], { env: { CHP_TOKEN: hub.token } });
    expect([untrusted.code, untrusted.err]).toEqual([1, expect.stringMatching(/is not trusted here.*\n.*chp config proxy.tls.cert/)]);
    expect(await chp(["import", "--to", hub.url, file], { env: { CHP_TOKEN: hub.token, NODE_EXTRA_CA_CERTS: hub.ca } })).toMatchObject({
      code: 0,
    });
  });

  test("brings its token to no other place, and takes no reply that is none for a report", async () => {
    const file = hub.file("r.tar.gz", exportOf([spec("redirected", 1)]));
    const seen: string[] = [];
    const answers: Record<string, Response> = {};
    const start = (name: string) =>
      Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        tls: hub.pair(),
        fetch: (request) => {
          seen.push(`${name} ${request.headers.get("Authorization")}`);
          return answers[name]?.clone() ?? new Response("", { status: 500 });
        },
      });
    const [front, other] = [start("front"), start("other")];
    try {
      const to = (name: string) => hub.send(["--to", `https://127.0.0.1:${front.port}`, "--ca", hub.ca, name]);
      answers["front"] = Response.redirect(`https://127.0.0.1:${other.port}/_import`, 307);
      expect(await to(file)).toMatchObject({ code: 1, err: expect.stringContaining("redirects to https://127.0.0.1") });
      answers["front"] = new Response("<h1>Bad gateway</h1>", { status: 502 });
      expect(await to(file)).toMatchObject({ code: 1, err: expect.stringContaining("answered with status 502") });
      answers["front"] = new Response("hello");
      expect(await to(file)).toMatchObject({ code: 1, err: expect.stringContaining("its report can't be read") });
      expect(seen.every((one) => one === `front Bearer ${hub.token}`)).toBe(true);
    } finally {
      await Promise.all([front.stop(true), other.stop(true)]);
    }
  });

  test("waits where there are enough imports, before it sends anything", async () => {
    const file = hub.file("b.tar.gz", exportOf([spec("busy", 1)]));
    const error = (code: string, status: number) =>
      Response.json({ "error-list": [{ code, message: `it is ${code}` }] }, { status, headers: { "Retry-After": "1" } });
    const replies = [error("busy", 503), error("busy", 503), Response.json({}), error("refused", 422)];
    const seen: string[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: hub.pair(),
      fetch: async (request) => {
        seen.push(`${request.method} ${(await request.arrayBuffer()).byteLength}`);
        return replies.shift() ?? error("failed", 500);
      },
    });
    try {
      const done = await hub.send(["--to", `https://127.0.0.1:${server.port}`, file]);
      expect([done.code, seen]).toEqual([3, ["GET 0", "GET 0", "GET 0", `PUT ${statSync(file).size}`]]);
      expect(done.err).toMatch(/^127.0.0.1:\d+ has enough imports to do: asking again every 1 s\nchp: 127.0.0.1:\d+: it is refused\n$/);
    } finally {
      await server.stop(true);
    }
  });

  test("two at once both land, one generation each", async () => {
    const before = (await hub.generations()).length;
    const files = [1, 2].map((i) => hub.file(`twin-${i}.tar.gz`, exportOf([spec("twin", i), spec(`twin-${i}`, i)])));
    expect(await Promise.all(files.map((file) => hub.send([file])))).toMatchObject([{ code: 0 }, { code: 0 }]);
    expect(await hub.generations()).toHaveLength(before + 2);
    expect((await (await fetch(`${hub.served?.url}/v2/charms/info/twin?fields=channel-map`)).json())["channel-map"]).toHaveLength(1);
    expect(JSON.parse((await chp(["show", "twin", "--store", hub.store, "--json"])).out).revisions).toHaveLength(2);
  });
});

describe("tokens", () => {
  test("switch remote import on and off while it serves; only hashes are kept, and nothing tells their secrets", async () => {
    const own = new Hub();
    const file = own.file("a.tar.gz", exportOf([spec("alpha", 1)]));
    expect(await here(["import-certificate", "--selfsigned", "--store", own.store])).toMatchObject({ code: 0 });
    writeFileSync(own.ca, (await here(["config", "--store", own.store, "proxy.tls.cert"])).out);
    await own.serve();
    const token = (...args: string[]) => here(["token", "--store", own.store, ...args]);
    const status = async () => (await here(["status", "--store", own.store])).out;
    own.token = "chp_none";
    expect(await own.send([file])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/takes no imports from other machines\n {2}there: chp token NAME/),
    });
    expect(await status()).toContain("remote import: off");
    const made = await token("one");
    expect([made.code, made.out, made.err]).toEqual([
      0,
      expect.stringMatching(/^chp_\S{43}\n$/),
      expect.stringContaining(`undo: chp token --revoke one --store ${own.store}`),
    ]);
    own.token = made.out.trim();
    expect(await own.send([file])).toMatchObject({ code: 0 });
    expect(await token("one")).toMatchObject({ code: 2, err: expect.stringContaining("there is a token named one already") });
    const two = JSON.parse((await token("two", "--until", "2999-12-31", "--json")).out);
    expect([two.name, two.until, two.token.startsWith("chp_")]).toEqual(["two", "3000-01-01T00:00:00.000Z", true]);
    expect((await token("--list")).out).toMatch(/^one\timport\t\S+\t-\ntwo\timport\t\S+\t3000-01-01T00:00:00Z\n$/);
    expect(JSON.parse((await token("--json")).out)).toMatchObject([{ name: "one", until: null, expired: false }, { name: "two" }]);
    expect(await status()).toContain("remote import: by one, two");
    expect((await here(["__complete", "--", "token", "--store", own.store, "--revoke", ""])).out).toBe("one\ntwo\n");
    expect(await token("--revoke", "one")).toMatchObject({ code: 0, out: "one is revoked\n" });
    expect(await own.send([file])).toMatchObject({ code: 1, err: expect.stringContaining("the token is not known") });
    own.token = two.token;
    expect(await own.send([file])).toMatchObject({ code: 0, out: expect.stringContaining("nothing changed") });
    expect(await token("two", "--revoke")).toMatchObject({ code: 0, out: expect.stringContaining("remote import is off") });
    expect(await own.send([file])).toMatchObject({ code: 1, err: expect.stringContaining("takes no imports") });
    for (const args of [["--revoke"], ["--until", "2999-12-31"], ["--list", "x"], ["x y"], ["x", "--until", "2000-01-01"]])
      expect([args, (await token(...args)).code]).toEqual([args, 2]);
    expect(await token("--revoke", "one")).toMatchObject({ code: 1, err: expect.stringContaining("there is no token named one") });
    const secrets = [made.out.trim(), two.token];
    const kept = storedSettings(own.store).secrets["tokens"]?.file ?? "";
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    const all = readdirSync(own.store, { recursive: true, encoding: "utf8" }).map((name) => join(own.store, name));
    for (const text of [own.log(), ...all.filter((name) => statSync(name).isFile()).map((name) => readFileSync(name, "latin1"))])
      for (const secret of secrets) expect(text).not.toContain(secret);
    await own.stop();
  });

  test("are of no use without TLS, which serve says", async () => {
    const plain = await serve(hub.store);
    expect(await plain.stop()).toBe(0);
    expect(plain.log()).toContain("there are tokens, but they are taken over TLS alone: --tls-listen HOST:PORT");
  });

  test("go with a backup", async () => {
    const copy = join(hub.folder.path, "copy");
    expect(await here(["backup", copy, "--store", hub.store])).toMatchObject({ code: 0 });
    expect((await here(["token", "--store", copy])).out).toStartWith("ci\t");
  });
});

const CHARM = charmZip({ name: "sent", revision: 3, bases: [jammy], files: { noise: noise(2000, 4) } });
const PUT = "PUT /_import?name=sent_r3.charm HTTP/1.1";

describe("a body", () => {
  const isReply = (text: string) => /\r\n\r\n\{[^]*\}\n?$/.test(text) || text.endsWith("0\r\n\r\n");

  test("in chunks, a byte at a time, with pauses, or asking first, lands", async () => {
    for (const how of ["chunks", "slow", "expect"]) {
      const socket = await hub.raw(PUT);
      const reply = said(socket, (text) => isReply(text.replace("HTTP/1.1 100 Continue\r\n\r\n", "")));
      if (how === "chunks") {
        socket.write("Transfer-Encoding: chunked\r\n\r\n");
        for (const byte of CHARM) socket.write(Buffer.from([0x31, 13, 10, byte, 13, 10]));
        socket.write("0\r\n\r\n");
      } else if (how === "slow") {
        socket.write(`Content-Length: ${CHARM.byteLength}\r\n\r\n`);
        for (let at = 0; at < CHARM.byteLength; at += 50) {
          socket.write(CHARM.subarray(at, at + 50));
          await Bun.sleep(50);
        }
      } else {
        socket.write(`Content-Length: ${CHARM.byteLength}\r\nExpect: 100-continue\r\n\r\n`);
        await new Promise<void>((resolve) => socket.once("data", () => resolve()));
        socket.write(CHARM);
      }
      expect([how, await reply]).toEqual([how, expect.stringMatching(how === "chunks" ? /HTTP\/1.1 201/ : /HTTP\/1.1 200/)]);
      socket.destroy();
    }
    expect((await hub.generations())[0]?.sources).toMatchObject([{ name: "sent_r3.charm", sha256: sha256(CHARM) }]);
  });

  test("that is longer than it says is a request and something else, and shorter is nothing", async () => {
    const before = await hub.generations();
    const long = await hub.raw(PUT);
    const reply = said(long);
    long.write(
      `Content-Length: 10\r\nConnection: keep-alive\r\n\r\n${"x".repeat(10)}PUT /_import HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1\r\n\r\nx`,
    );
    // Who gets no reply to the first was cut off before the second: either way the second brought no token.
    expect((await reply).match(/HTTP\/1.1 \d+/g) ?? []).toEqual(expect.not.arrayContaining(["HTTP/1.1 200", "HTTP/1.1 201"]));
    while (children(hub.served?.pid ?? 0).length > 0) await Bun.sleep(5);
    const interrupted = hub.log().split('"kind":"client-gone"').length;
    const short = await hub.raw(PUT);
    short.write(`Content-Length: ${CHARM.byteLength + 1}\r\n\r\n`);
    short.write(CHARM);
    while (children(hub.served?.pid ?? 0).length === 0) await Bun.sleep(5);
    short.end();
    await hub.logged('"kind":"client-gone"', interrupted);
    expect(await hub.generations()).toEqual(before);
  });

  test("with two lengths, or a length and chunks, or chunks that are none, imports nothing", async () => {
    const before = await hub.generations();
    for (const headers of [
      "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
      `Content-Length: ${CHARM.byteLength}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      "Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n0\r\n\r\n",
      "Content-Length: -1\r\n\r\nx",
      "Content-Length: 0x10\r\n\r\nx",
    ]) {
      const socket = await hub.raw(PUT);
      const reply = said(socket);
      socket.end(headers);
      expect([headers, (await reply).match(/HTTP\/1.1 2\d\d/)]).toEqual([headers, null]);
    }
    expect(await hub.generations()).toEqual(before);
  });

  test("that is cut off, in chunks or with a length, ends the import and publishes nothing", async () => {
    const before = await hub.generations();
    // The charm is whole: who reads it without knowing its end would take it.
    const failed = hub.log().split('"an import failed"').length - 1;
    let cut = 0;
    for (const headers of [
      `Content-Length: ${CHARM.byteLength + 1}\r\n\r\n`,
      `Transfer-Encoding: chunked\r\n\r\n${CHARM.byteLength.toString(16)}\r\n`,
    ])
      for (const how of ["destroy", "end"] as const) {
        const socket = await hub.raw("PUT /_import?name=sent_r4.charm HTTP/1.1");
        socket.write(headers);
        socket.write(CHARM);
        while (children(hub.served?.pid ?? 0).length === 0) await Bun.sleep(5);
        socket[how]();
        cut += 1;
        await hub.logged('"an import failed"', failed + cut);
      }
    while (children(hub.served?.pid ?? 0).length > 0) await Bun.sleep(5);
    expect(await hub.generations()).toEqual(before);
    await hub.verified();
  });
});

test("while an import runs, every other request is answered", async () => {
  const charm = charmZip({ name: "long", revision: 1, bases: [jammy], files: { noise: noise(8 * 2 ** 20, 3) } });
  const socket = await hub.raw("PUT /_import?name=long_r1.charm HTTP/1.1");
  const reply = said(socket, (text) => text.includes('"undo"'));
  socket.write(`Content-Length: ${charm.byteLength}\r\n\r\n`);
  const done = new AbortController();
  let asked = 0;
  const asking = (async () => {
    while (!done.signal.aborted) {
      expect((await fetch(`${hub.served?.url}/v2/charms/info/alpha`)).status).toBe(200);
      asked += 1;
    }
  })();
  const half = charm.byteLength / 2;
  await new Promise<void>((resolve) => socket.write(charm.subarray(0, half), () => resolve()));
  // The import has half of it and waits: these are answered in the middle of it.
  for (let i = 0; i < 50; i += 1) expect((await fetch(`${hub.served?.url}/v2/charms/info/alpha`)).status).toBe(200);
  expect(children(hub.served?.pid ?? 0)).toHaveLength(1);
  socket.write(charm.subarray(half));
  expect(await reply).toContain("HTTP/1.1 201");
  done.abort();
  await asking;
  expect(asked).toBeGreaterThan(0);
  socket.destroy();
});

/** Files large enough to have many moments, each of its own revision. */
function moment(own: Hub, revision: number): string {
  return own.file(`${revision}.tar.gz`, exportOf([spec("one", revision, 400_000), spec("two", revision, 400_000)]));
}

test("kill -9 of client, import or server at any moment: the store is valid, and shows all of an import or nothing", async () => {
  const own = await new Hub().start();
  expect(await own.send([moment(own, 1)])).toMatchObject({ code: 0 });
  const ended = { client: 0, import: 0, server: 0 };
  const rounds = exhaustive ? 12 : 6;
  for (let i = 0; i < rounds; i += 1) {
    const revision = i + 2;
    const victim = (["client", "import", "server"] as const)[i % 3] ?? "client";
    const before = (await own.generations()).length;
    const client = spawn(own.sending([moment(own, revision)]), { env: { CHP_TOKEN: own.token } });
    const server = own.served?.pid ?? 0;
    let running: number[] = [];
    let isStruck = false;
    await atChange(1 + i * 3, own.store, client.exited, () => {
      isStruck = true;
      running = children(server);
      if (victim === "client") client.kill("SIGKILL");
      else if (victim === "server") process.kill(server, "SIGKILL");
      else for (const pid of running) process.kill(pid, "SIGKILL");
    });
    const code = await client.exited;
    // An import whose server is gone ends by itself.
    for (const pid of running) while (existsSync(`/proc/${pid}`)) await Bun.sleep(5);
    if (victim === "server" && isStruck) await own.serve();
    else while (children(server).length > 0) await Bun.sleep(5);
    const after = (await own.generations()).length;
    const shown = JSON.parse((await here(["list", "--store", own.store, "--json"])).out) as { revisions: number[] }[];
    expect(new Set(shown.map(({ revisions }) => revisions.includes(revision)))).toEqual(new Set([after > before]));
    if (code !== 0) ended[victim] += 1;
    else expect(after).toBe(before + 1);
    await own.verified();
  }
  expect(Math.min(ended.client, ended.import, ended.server)).toBeGreaterThan(0);
  // What the killed left is gone after the next import, once it is old.
  for (const left of ["leases", "tmp"])
    for (const name of readdirSync(join(own.store, left))) utimesSync(join(own.store, left, name), 0, 0);
  expect(await own.send([moment(own, 99)])).toMatchObject({ code: 0 });
  expect(readdirSync(join(own.store, "tmp"))).toEqual([]);
  await own.stop();
});

test("what was handed on when the server is killed is not taken for all of it", async () => {
  const own = await new Hub().start();
  // Too large to wait in memory, so that what came is in a file.
  const charm = charmZip({ name: "sent", revision: 3, bases: [jammy], files: { noise: noise(200_000, 4) } });
  const socket = await own.raw(PUT);
  socket.write(`Content-Length: ${charm.byteLength + 1}\r\n\r\n`);
  socket.write(charm);
  const server = own.served?.pid ?? 0;
  while (children(server).length === 0) await Bun.sleep(5);
  const [running = 0] = children(server);
  while (readdirSync(join(own.store, "tmp")).length === 0) await Bun.sleep(5); // it has begun to read
  process.kill(server, "SIGKILL");
  while (existsSync(`/proc/${running}`)) await Bun.sleep(5);
  expect(await own.generations()).toEqual([]);
  socket.destroy();
  own.folder[Symbol.dispose]();
});

test("an interrupted client says that nothing was published, and nothing was", async () => {
  const before = await hub.generations();
  const client = spawn(hub.sending(["--name", "half_r1.charm", "-"]), { env: { CHP_TOKEN: hub.token }, input: "pipe" });
  const { stdin } = client;
  if (typeof stdin !== "object") throw new Error("there is no pipe");
  await stdin.write(CHARM);
  await stdin.flush();
  while (children(hub.served?.pid ?? 0).length === 0) await Bun.sleep(5);
  client.kill("SIGINT");
  expect([await client.exited, await new Response(client.stderr).text()]).toEqual([
    130,
    expect.stringContaining("interrupted: nothing was published"),
  ]);
  while (children(hub.served?.pid ?? 0).length > 0) await Bun.sleep(5);
  expect(await hub.generations()).toEqual(before);
});

test("SIGTERM lets an import end that runs", async () => {
  const own = await new Hub().start();
  const socket = await own.raw(PUT);
  const reply = said(socket);
  socket.write(`Content-Length: ${CHARM.byteLength}\r\nConnection: close\r\n\r\n`);
  socket.write(CHARM.subarray(0, 100));
  while (children(own.served?.pid ?? 0).length === 0) await Bun.sleep(5);
  const stopping = own.served?.stop();
  socket.write(CHARM.subarray(100));
  expect(await reply).toContain("HTTP/1.1 201");
  expect(await stopping).toBe(0);
  expect(await own.generations()).toHaveLength(1);
  own.folder[Symbol.dispose]();
});

/** A command of the machine, for a test that needs what only root may do. */
const system = (...command: string[]) => Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;

const mounts = (() => {
  using folder = tempFolder();
  return system("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path) && system("umount", folder.path);
})();

test.skipIf(!mounts)("a store that is read-only, or has no room, is told as such, and served (needs mount)", async () => {
  const own = new Hub();
  mkdirSync(own.store);
  expect(system("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", own.store)).toBe(true);
  try {
    await own.start();
    const large = own.file(
      "large.charm",
      charmZip({ name: "large", revision: 1, bases: [jammy], files: { noise: noise(8 * 2 ** 20, 5) } }),
    );
    const full = await own.send([large]);
    expect([full.code, full.err]).toEqual([1, expect.stringMatching(/are needed and .* are free\n {2}there: free some space/)]);
    const small = own.file("a.tar.gz", exportOf([spec("alpha", 1)]));
    expect(await own.send([small])).toMatchObject({ code: 0 });
    expect(system("mount", "-o", "remount,ro", own.store)).toBe(true);
    const done = await own.send([own.file("b.tar.gz", exportOf([spec("beta", 1)]))]);
    expect([done.code, done.err]).toEqual([1, expect.stringMatching(/cannot write to .*: its file system is read-only/)]);
    expect((await fetch(`${own.served?.url}/v2/charms/info/alpha`)).status).toBe(200);
    expect(await own.served?.stop()).toBe(0);
  } finally {
    system("umount", own.store);
    own.folder[Symbol.dispose]();
  }
});

test("the server's limits of archives and the quota of its store hold for whoever has a token", async () => {
  const own = await new Hub().start();
  const file = own.file("limits.tar.gz", exportOf([spec("limited", 1, 5000)]));
  const config = (...args: string[]) => chp(["config", "--store", own.store, ...args]);
  expect(await own.served?.stop()).toBe(0);
  expect(await config("remote-import.archive.max-entries=2", "store-quota=1000")).toMatchObject({ code: 0 });
  await own.serve();
  expect(await own.send([file])).toMatchObject({ code: 3, err: expect.stringContaining("2 entries") });
  expect(await own.send(["--max-entries", "3", file])).toMatchObject({
    code: 2,
    err: expect.stringContaining("chp config remote-import.archive.max-entries=3"),
  });
  expect(await own.served?.stop()).toBe(0);
  expect(await config("remote-import.archive.max-entries=")).toMatchObject({ code: 0 });
  await own.serve();
  expect(await own.send([file])).toMatchObject({ code: 3, err: expect.stringContaining("may have 1000 bytes") });
  expect(await own.generations()).toEqual([]);
  // The quota is read by each import.
  expect(await config("store-quota=1M")).toMatchObject({ code: 0 });
  expect(await own.send([file])).toMatchObject({ code: 0 });
  await own.stop();
});
