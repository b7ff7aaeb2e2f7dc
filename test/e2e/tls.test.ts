import { expect, test } from "bun:test";
import { createCipheriv, X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { parse } from "yaml";
import { createAuthority, issueServer } from "../../src/settings/authority.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { storedSettings } from "../storedsettings.ts";
import { chp, here, type Served, serve, tempFolder } from "./chp.ts";

const DAY = 24 * 60 * 60 * 1000;
const LARGE = 48 * 2 ** 20;
const PATH = "/api/v1/charms/download/large000000000000000000000000000_1.charm";

const authority = await createAuthority("a site's authority", Date.now());
const given = await issueServer(authority, ["hub.lan", "localhost", "127.0.0.1"], Date.now());
const later = await issueServer(authority, ["hub.lan", "localhost", "127.0.0.1"], Date.now());

/** `chp serve` with one HTTPS address beside the HTTP one. */
async function secured(store: string, ...args: string[]): Promise<Served & { readonly port: number }> {
  const served = await serve(store, ["--tls-listen", "127.0.0.1:0", ...args]);
  return { ...served, port: Number(new URL(served.urls[1] ?? "").port) };
}

function connected(port: number, ca?: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, ...(ca === undefined ? { rejectUnauthorized: false } : { ca }) };
    const socket = connect(options, () => resolve(socket));
    socket.on("error", reject);
  });
}

/** The serial number of what is shown; undefined while no connection is to be had. */
async function shown(port: number): Promise<string | undefined> {
  try {
    const socket = await connected(port);
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  } catch {
    return undefined;
  }
}

async function becomes(port: number, certificate: string): Promise<void> {
  while ((await shown(port)) !== new X509Certificate(certificate).serialNumber) await Bun.sleep(50);
}

async function config(store: string, key = "proxy.tls.cert"): Promise<string> {
  return (await here(["config", "--store", store, key])).out;
}

function run(...command: string[]): { code: number; out: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stdin: "ignore", env: { PATH: process.env["PATH"] ?? "" } });
  return { code: exitCode, out: `${stdout.toString()}${stderr.toString()}` };
}

function kept(store: string): string {
  return storedSettings(store).documents["tls"].certificate;
}

const missing = ["curl", "openssl"].filter((name) => Bun.which(name) === null);

test.skipIf(missing.length > 0)(
  `curl and OpenSSL take the certificate by name and by address, with only its authority trusted`,
  async () => {
    using folder = tempFolder();
    const store = join(folder.path, "store");
    const ca = join(folder.path, "tls-cert.crt");
    await chp(["config", "--store", store, "public-url=https://hub.lan:8443"]);
    const made = await chp(["import-certificate", "--selfsigned", "--store", store, "--name", "10.0.0.5", "--name", "*.apps.lan"]);
    expect([made.code, made.out]).toEqual([0, expect.stringContaining("names: hub.lan, 10.0.0.5, *.apps.lan, localhost, 127.0.0.1, ::1")]);
    writeFileSync(ca, await config(store));
    expect(readFileSync(ca, "utf8").match(/BEGIN/g)?.length).toBe(1);
    const served = await secured(store);
    const curl = (host: string, ...args: string[]) =>
      run("curl", "-sS", "--noproxy", "*", "--connect-to", `::127.0.0.1:${served.port}`, ...args, `https://${host}/_status/check`);
    for (const host of ["hub.lan", "10.0.0.5", "x.apps.lan", "localhost", "127.0.0.1", "[::1]"])
      expect([host, curl(host, "--cacert", ca)]).toEqual([host, { code: 0, out: expect.stringContaining('"status":"ok"') }]);
    expect(curl("other.lan", "--cacert", ca)).toMatchObject({ code: 60 });
    expect(curl("10.0.0.6", "--cacert", ca)).toMatchObject({ code: 60 });
    expect(curl("hub.lan")).toMatchObject({ code: 60 });
    const client = (...args: string[]) =>
      run(
        "openssl",
        "s_client",
        "-connect",
        `127.0.0.1:${served.port}`,
        "-no-CApath",
        "-no-CAfile",
        "-x509_strict",
        "-verify_return_error",
        ...args,
      );
    for (const name of [
      ["-verify_hostname", "hub.lan"],
      ["-verify_ip", "10.0.0.5"],
      ["-verify_ip", "::1"],
    ])
      expect(client("-CAfile", ca, ...name)).toMatchObject({ code: 0, out: expect.stringContaining("Verify return code: 0 (ok)") });
    expect(client("-CAfile", ca, "-verify_hostname", "other.lan")).toEqual({ code: 1, out: expect.stringContaining("hostname mismatch") });
    expect(client("-verify_hostname", "hub.lan")).toEqual({
      code: 1,
      out: expect.stringContaining("unable to get local issuer certificate"),
    });
    expect(await served.stop()).toBe(0);
  },
);

function large(): PackageSpec {
  const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(LARGE));
  const jammy = base("amd64", "22.04");
  return {
    name: "large",
    id: "large".padEnd(32, "0"),
    type: "charm",
    revisions: { 1: charmZip({ name: "large", revision: 1, bases: [jammy], files: { noise } }) },
    bases: { 1: [jammy] },
    releases: [{ channel: "latest/stable", base: jammy, revision: 1 }],
  };
}

/** A download that reads nothing between its head and `resume`; the bytes of its body, or an error. */
async function stalled(port: number, ca: string): Promise<{ resume(): Promise<number> }> {
  const socket = await connected(port, ca);
  let [head, size, expected] = ["", 0, Number.POSITIVE_INFINITY];
  const begun = Promise.withResolvers<void>();
  const done = Promise.withResolvers<number>();
  socket.on("data", (chunk: Buffer) => {
    size += chunk.byteLength;
    if (expected === Number.POSITIVE_INFINITY) {
      head += chunk.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      expected = end + 4 + Number(/^content-length: (\d+)/im.exec(head)?.[1]);
      socket.pause();
      begun.resolve();
    } else if (size === expected) done.resolve(size - head.indexOf("\r\n\r\n") - 4);
  });
  socket.on("close", () => done.reject(new Error(`closed after ${size} of ${expected} bytes`)));
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: hub.lan\r\n\r\n`);
  await begun.promise;
  return {
    resume: async () => {
      socket.resume();
      const bytes = await done.promise;
      socket.destroy();
      return bytes;
    },
  };
}

test("a renewed certificate is shown without a restart, below the same authority, and downloads that run end whole", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  writeFileSync(join(folder.path, "e.tar.gz"), exportOf([large()]));
  expect(await here(["import", "--store", store, join(folder.path, "e.tar.gz")])).toMatchObject({ code: 0 });
  const renew = () => here(["import-certificate", "--selfsigned", "--store", store, "--public-url", "https://hub.lan"]);
  expect(await renew()).toMatchObject({ code: 0 });
  const ca = await config(store);
  const served = await secured(store);
  const downloads = [await stalled(served.port, ca)];
  for (let i = 0; i < 2; i += 1) {
    expect(await renew()).toMatchObject({ code: 0 });
    await becomes(served.port, kept(store));
    downloads.push(await stalled(served.port, ca));
  }
  expect(await config(store)).toBe(ca);
  const sizes = await Promise.all(downloads.map((one) => one.resume()));
  expect(new Set(sizes).size).toBe(1);
  expect(sizes[0]).toBeGreaterThan(LARGE);
  const last = await stalled(served.port, ca);
  await renew();
  await becomes(served.port, kept(store));
  const stopping = served.stop();
  expect(await last.resume()).toBe(sizes[0] ?? 0);
  expect(await stopping).toBe(0);
  expect(served.log()).toContain("the certificate was changed");
});

test("files of --tls-cert and --tls-key are shown when they change; what does not fit leaves the old ones", async () => {
  using folder = tempFolder();
  const [cert, key] = [join(folder.path, "hub.crt"), join(folder.path, "hub.key")];
  const write = (one: typeof given) => {
    writeFileSync(cert, one.certificate);
    writeFileSync(key, one.key);
  };
  write(given);
  const served = await secured(join(folder.path, "store"), "--tls-cert", cert, "--tls-key", key);
  await becomes(served.port, given.certificate);
  writeFileSync(cert, later.certificate);
  while (!served.log().includes("the certificate cannot be changed")) await Bun.sleep(50);
  expect(await shown(served.port)).toBe(new X509Certificate(given.certificate).serialNumber);
  write(later);
  await becomes(served.port, later.certificate);
  expect(await served.stop()).toBe(0);
  expect(served.log()).not.toContain(later.key.split("\n")[1] ?? "");
});

test("a given pair is taken in from standard input and from files, and a changed one is shown", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const take = (text: string, ...args: string[]) => here(["import-certificate", "--store", store, ...args], { input: Buffer.from(text) });
  expect(await take(given.key + given.certificate + authority.certificate)).toMatchObject({
    code: 0,
    out: expect.stringContaining("CN=hub.lan"),
  });
  expect(await config(store)).toBe(given.certificate + authority.certificate);
  const served = await secured(store);
  await becomes(served.port, given.certificate);
  const [cert, key] = [join(folder.path, "hub.crt"), join(folder.path, "hub.key")];
  writeFileSync(cert, later.certificate);
  writeFileSync(key, later.key);
  expect(
    await here(["import-certificate", "--store", store, "--cert", cert, "--key", key, "--public-url", "https://other.lan"]),
  ).toMatchObject({
    code: 0,
    out: expect.stringContaining("is not for other.lan"),
  });
  await becomes(served.port, later.certificate);
  // What is refused leaves what is there.
  const old = await issueServer(authority, ["hub.lan"], Date.now() - 900 * DAY);
  for (const [text, says] of [
    ["", "standard input is empty"],
    [given.certificate, "there is no private key"],
    [given.certificate + later.key, "belongs to another certificate"],
    [old.certificate + old.key, "expired on"],
  ] as const) {
    const done = await take(text);
    expect([text === "" ? 2 : 3, done.err]).toEqual([done.code, expect.stringContaining(says)]);
  }
  expect(kept(store)).toBe(later.certificate);
  expect(await served.stop()).toBe(0);
});

test("what is refused makes no store, and usage that contradicts itself is told", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  expect(await chp(["import-certificate", "--store", store], { input: Buffer.from(given.certificate) })).toMatchObject({ code: 3 });
  for (const args of [
    ["--selfsigned", "--cert", "x"],
    ["--name", "x"],
    ["--cert", "x"],
    ["--selfsigned", "--name", "https://x"],
  ])
    expect(await chp(["import-certificate", "--store", store, ...args])).toMatchObject({ code: 2 });
  expect(readdirSync(folder.path)).toEqual([]);
  const done = await chp(["serve", "--store", store, "--wait-for-store", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]);
  expect([done.code, done.err]).toEqual([2, expect.stringContaining("chp import-certificate --selfsigned makes one")]);
});

test("what is damaged in the store is told by its name, and mended by a new certificate", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const make = () => chp(["import-certificate", "--selfsigned", "--store", store]);
  const serveIt = () => chp(["serve", "--store", store, "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]);
  await make();
  const secret = storedSettings(store).secrets["tlsSecret"]?.file ?? "";
  writeFileSync(secret, "{}");
  expect(await serveIt()).toMatchObject({ code: 13, err: expect.stringContaining(`${secret} is not readable`) });
  rmSync(secret);
  expect(await serveIt()).toMatchObject({ code: 1, err: expect.stringContaining("secrets has no private key") });
  expect(await make()).toMatchObject({ code: 0 });
  const { file } = storedSettings(store);
  rmSync(file);
  writeFileSync(file, "{}");
  for (const done of [await serveIt(), await chp(["status", "--store", store]), await make()])
    expect([done.code, done.err]).toEqual([13, expect.stringContaining(`${file} are not readable`)]);
  rmSync(file);
  expect(await make()).toMatchObject({ code: 0 });
  expect(await chp(["config", "--store", store, "proxy.tls.cert=x"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("chp import-certificate sets it"),
  });
});

test("no private key is printed, logged or readable by others", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const make = ["import-certificate", "--selfsigned", "--store", store, "--public-url", "https://hub.lan"];
  const said: string[] = [];
  for (const args of [make, [...make, "--json"]]) said.push(...Object.values(await here(args)).map(String));
  const served = await secured(store);
  await shown(served.port);
  for (const args of [["config"], ["config", "proxy.tls.cert"], ["config", "--json"], ["trust"], ["trust", "--json"], ["status", "--json"]])
    said.push(...Object.values(await here([...args, "--store", store])).map(String));
  await served.stop();
  said.push(served.log());
  const { secrets: stored } = storedSettings(store);
  const secrets = readdirSync(join(store, "secrets")).map((name) => join(store, "secrets", name));
  const all: string[] = [...(stored["tlsSecret"]?.value.keys ?? []), stored["authority"]?.value.key];
  expect(all).toHaveLength(2);
  for (const file of readdirSync(store, { recursive: true, encoding: "utf8" }).map((name) => join(store, name))) {
    if (secrets.includes(file)) expect([file, statSync(file).mode & 0o077]).toEqual([file, 0]);
    else if (statSync(file).isFile()) said.push(readFileSync(file, "latin1"));
  }
  for (const key of all) expect(said.filter((text) => text.includes(key.split("\n")[1] ?? "") || text.includes("PRIVATE KEY"))).toEqual([]);
  expect(statSync(join(store, "secrets")).mode & 0o077).toBe(0);
});

test("trust has the true values in every part", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  expect(await here(["trust", "--store", store])).toMatchObject({ code: 10 });
  await here(["config", "--store", store, "public-url=https://hub.lan:8443", "proxy.oci-registry.domain=registry.lan:5000"]);
  expect(await here(["trust", "--store", store])).toMatchObject({
    code: 1,
    err: expect.stringContaining("chp import-certificate --selfsigned"),
  });
  await here(["import-certificate", "--selfsigned", "--store", store]);
  const ca = await config(store);
  const trust = async (...args: string[]) => (await here(["trust", "--store", store, ...args])).out;
  const facts = JSON.parse(await trust("--json"));
  expect(facts).toMatchObject({ publicUrl: "https://hub.lan:8443", certificate: { pem: ca } });
  expect(facts.hosts).toContain("hub.lan");
  for (const part of ["os", "snapd", "juju", "containerd", "kubernetes"])
    expect([part, await trust(`--${part}`)]).toEqual([part, facts.parts[part]]);
  expect(await trust()).toBe(Object.values(facts.parts).join("\n"));
  const juju = parse(facts.parts.juju);
  expect(juju["charmhub-url"]).toBe("https://hub.lan:8443");
  expect(parse(juju["cloudinit-userdata"])).toEqual({ "ca-certs": { trusted: [ca] } });
  expect(parse(facts.parts.kubernetes)).toMatchObject({ kind: "ConfigMap", data: { "ca.crt": ca } });
  expect(facts.parts.containerd).toContain('[host."https://registry.lan:5000"]');
  // The commands are run by a shell whose sudo tells what it was given.
  const bin = join(folder.path, "bin");
  mkdirSync(bin);
  for (const name of ["sudo", "curl"])
    writeFileSync(join(bin, name), `#!/bin/sh\nprintf '<%s>' "$@"; [ "$1" = tee ] && cat\n:\n`, { mode: 0o755 });
  const shell = async (text: string) => {
    const child = Bun.spawn(["sh", "-eu"], { env: { PATH: `${bin}:${process.env["PATH"]}` }, stdin: Buffer.from(text), stdout: "pipe" });
    return new Response(child.stdout).text();
  };
  expect(await shell(facts.parts.snapd)).toBe(`<snap><set><system><store-certs.chp=${ca.trimEnd()}>`);
  expect(await shell(facts.parts.os)).toContain("<update-ca-certificates><https://hub.lan:8443/_status/check>");
});

test("status tells of a certificate that ends within 30 days, and of a chain without its root trust does", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const ending = await issueServer(authority, ["hub.lan"], Date.now() - 805 * DAY);
  await here(["config", "--store", store, "public-url=https://hub.lan"]);
  const done = await here(["import-certificate", "--store", store], { input: Buffer.from(ending.certificate + ending.key) });
  expect([done.code, done.out]).toEqual([0, expect.stringMatching(/expires on \d{4}-\d\d-\d\d, in (19|20) days/)]);
  expect((await here(["status", "--store", store])).out).toMatch(
    /certificate: CN=hub.lan, until .*note: the certificate expires on .*in (19|20) days/s,
  );
  expect(JSON.parse((await here(["status", "--store", store, "--json"])).out).certificate).toMatchObject({ names: ["hub.lan"] });
  expect(await here(["trust", "--store", store])).toMatchObject({ code: 1, err: expect.stringContaining("--ca FILE") });
  writeFileSync(join(folder.path, "ca.crt"), authority.certificate);
  expect((await here(["trust", "--store", store, "--snapd", "--ca", join(folder.path, "ca.crt")])).out).toContain(
    authority.certificate.trimEnd(),
  );
});
