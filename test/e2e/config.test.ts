/** Settings through the executable: as YAML, and by their documented names. */

import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../snapworld.ts";
import { storedSettings } from "../storedsettings.ts";
import { chp, here, tempFolder } from "./chp.ts";

const SECRET = "pull-only-password";

function world() {
  const folder = tempFolder();
  const config = (...args: string[]) => here(["config", "--store", join(folder.path, "store"), ...args], { cwd: folder.path });
  const importing = (yaml: string, ...args: string[]) =>
    here(["config", "--store", join(folder.path, "store"), "--import-yaml", ...args], { cwd: folder.path, input: Buffer.from(yaml) });
  return { ...folder, path: folder.path, config, importing, [Symbol.dispose]: folder[Symbol.dispose] };
}

test("what is set goes out as YAML and comes in elsewhere, without secrets", async () => {
  using from = world();
  using to = world();
  const set = await from.config(
    "listen=127.0.0.1:8080,[::1]:8080",
    "public-url=https://hub.lan/charms",
    "proxy.oci-registry.domain=0123.lan:5000",
    "proxy.oci-registry.username=0123",
    `proxy.oci-registry.password=${SECRET}`,
    `trusted-roots=${ROOT}`,
  );
  expect(set.code).toBe(0);
  const yaml = await from.config("--export-yaml");
  expect([yaml.code, yaml.err]).toEqual([0, ""]);
  expect(yaml.out).not.toContain(SECRET);
  expect(yaml.out).toContain("# proxy.oci-registry.password is set, and a secret: it is not in this file\n");
  writeFileSync(join(to.path, "chp.yaml"), yaml.out);
  const done = await to.config("--import-yaml", "chp.yaml", "--json");
  expect(JSON.parse(done.out)).toEqual({
    settings: ["listen", "public-url", "proxy.oci-registry.domain", "proxy.oci-registry.username", "trusted-roots"].map((key) => ({
      key,
      state: "set",
    })),
    leftOut: [],
  });
  const kept = (folder: string) => storedSettings(join(folder, "store")).documents["config"];
  expect(kept(to.path)).toEqual(kept(from.path));
  expect(kept(to.path)["proxy.oci-registry.username"]).toBe("0123");
});

test("the export says what is of the environment, and leaves defaults out", async () => {
  using one = world();
  await one.config("proxy.oci-registry.domain=hub:5000");
  const { out } = await here(["config", "--store", join(one.path, "store"), "--export-yaml"], { env: { CHP_PUBLIC_URL: "http://e.lan" } });
  expect(out).toContain("# from CHP_PUBLIC_URL of the environment\npublic-url: http://e.lan\n");
  expect(out).not.toContain("listen");
  const listing = await here(["config", "--store", join(one.path, "store")], { env: { CHP_PUBLIC_URL: "http://e.lan" } });
  expect(listing.out).toMatch(
    /^listen\t0\.0\.0\.0:8080\tdefault\n(.*\n)*public-url\thttp:\/\/e\.lan\tenvironment\n(.*\n)*proxy\.oci-registry\.domain\thub:5000\tfile\n/m,
  );
});

test("an import may be nested, unsets what is empty, keeps secrets as such, and says what has no meaning here", async () => {
  using one = world();
  await one.config("public-url=http://old.lan:8080/hub", "tls-cert=x");
  const yaml = `
proxy:
  domain: new.lan
  db.connection: postgresql://user:hidden@db
  oci-registry: {domain: hub:5000, username: pull, password: ${SECRET}}
internal: {store: {id: abc}}
tls-cert:
listen: [127.0.0.1:1, "0.0.0.0:8081"]
`;
  const done = await one.importing(yaml, "-");
  expect([done.code, done.err]).toEqual([0, expect.stringContaining("left out proxy.db.connection: chp has no database")]);
  expect(done.out).toContain("set proxy.domain\nset proxy.oci-registry.domain\n");
  expect(done.out).toContain("unset tls-cert\n");
  expect(done.out + done.err).not.toMatch(/hidden|pull-only/);
  expect(storedSettings(join(one.path, "store")).documents["config"]).toEqual({
    "public-url": "http://new.lan:8080/hub",
    "proxy.oci-registry.domain": "hub:5000",
    "proxy.oci-registry.username": "pull",
    listen: ["127.0.0.1:1", "0.0.0.0:8081"],
  });
  expect(JSON.stringify(storedSettings(join(one.path, "store")).secrets["ociSecret"]?.value)).toContain(SECRET);
});

test("a certificate is neither exported nor imported: another command takes it in with its key", async () => {
  using one = world();
  const made = await here(["import-certificate", "--selfsigned", "--name", "hub.lan", "--store", join(one.path, "store")]);
  expect([made.code, made.err]).toEqual([0, expect.any(String)]);
  const yaml = (await one.config("--export-yaml")).out;
  expect(yaml).toContain("# proxy.tls.cert is set by chp import-certificate: it is not in this file\n");
  expect(yaml).not.toContain("BEGIN");
  const before = (await one.config("proxy.tls.cert")).out;
  const done = await one.importing("proxy.tls.cert: x\nproxy.tls.key: y\nlisten: 127.0.0.1:1\n", "--json");
  expect(JSON.parse(done.out)).toEqual({
    settings: [{ key: "listen", state: "set" }],
    leftOut: [
      { key: "proxy.tls.cert", why: "chp import-certificate sets it" },
      { key: "proxy.tls.key", why: "chp import-certificate takes a certificate in with its key" },
    ],
  });
  expect((await one.config("proxy.tls.cert")).out).toBe(before);
});

const BAD: readonly (readonly [yaml: string, says: string])[] = [
  [
    "public-url: http://new.lan\npublic-urls: http://x",
    "there is no setting public-urls (did you mean public-url? chp config lists all settings)",
  ],
  [
    "public-url: ftp://x\nlisten: nowhere",
    "public-url: ftp://x is not a URL that begins with http:// or https://; listen: nowhere is not HOST",
  ],
  ["public-url: {a: b}", "there is no setting public-url.a"],
  ["public-url: [http://a, http://b]", "public-url takes one value"],
  ["listen: [[a]]", "listen is neither text nor a list of texts"],
  ["public-url: http://a\npublic-url: http://b", "Map keys must be unique"],
  ["proxy.domain: a.lan\nproxy: {domain: b.lan}", "proxy.domain is there twice"],
  ["proxy.domain: a.lan\npublic-url: http://a", "proxy.domain is the host of public-url: give one of them"],
  ["proxy.domain: http://a.lan", "http://a.lan is not a host name or an address alone"],
  ["- public-url", "is not a mapping of settings"],
  ["", "is not a mapping of settings"],
  ["public-url: 'x", "Missing closing"],
  ["__proto__: x", "there is no setting __proto__"],
  ["constructor: {prototype: x}", "there is no setting constructor.prototype"],
  ["listen: &a [*a]", "listen is neither text nor a list of texts"],
];

test.each(BAD)("an import of %j is refused whole", async (yaml, says) => {
  using one = world();
  const done = await one.importing(yaml);
  expect([done.code, done.err]).toEqual([3, expect.stringContaining(says)]);
  expect(done.err).toContain("standard input: ");
  expect(existsSync(join(one.path, "store"))).toBe(false);
});

test("a wrong value beside right ones changes nothing", async () => {
  using one = world();
  await one.config("public-url=http://old.lan");
  expect((await one.importing("proxy.oci-registry.domain: hub:5000\npublic-url: http://new.lan\nlisten: x:y\n")).code).toBe(3);
  expect(storedSettings(join(one.path, "store")).documents["config"]).toEqual({ "public-url": "http://old.lan" });
});

const DOMAINS: readonly (readonly [before: readonly string[], domain: string, url: string])[] = [
  [[], "hub.lan", "http://hub.lan:8080"],
  [["listen=0.0.0.0:80"], "hub.lan", "http://hub.lan"],
  [["tls-listen=0.0.0.0:443"], "hub.lan", "https://hub.lan"],
  [["tls-listen=[::]:8443"], "[2001:db8::1]", "https://[2001:db8::1]:8443"],
  [["public-url=https://old.lan:8443/hub"], "10.0.0.1", "https://10.0.0.1:8443/hub"],
];

test.each(DOMAINS)("after %j proxy.domain=%s makes the public URL %s", async (before, domain, url) => {
  using one = world();
  await one.config("proxy.oci-registry.domain=hub:1", ...before);
  expect((await one.config(`proxy.domain=${domain}`)).code).toBe(0);
  expect((await one.config("public-url")).out).toBe(`${url}\n`);
  expect((await one.config("proxy.domain")).out).toBe(`${domain}\n`);
  expect(JSON.parse((await one.config("proxy.domain", "--json")).out)).toEqual([{ key: "proxy.domain", value: domain, source: "file" }]);
  await one.config("proxy.domain=");
  expect((await one.config("public-url")).out).toBe("\n");
});

const REFUSED: readonly (readonly [args: readonly string[], says: string])[] = [
  [["proxy.domain=hub.lan:8080"], "is not a host name or an address alone\n  protocol and port are said by public-url=URL"],
  [["proxy.domian=x"], "did you mean proxy.domain?"],
  [["proxy.domain=a", "public-url=http://b"], "give one of them"],
  [["proxy.port.https=443"], "proxy.port.https has no meaning here: tls-listen=HOST:PORT says it here"],
  [["proxy.key.private"], "chp is not registered"],
  [["--export-yaml", "public-url"], "exclude each other"],
  [["--import-yaml", "missing.yaml"], "cannot read missing.yaml: ENOENT"],
];

test.each(REFUSED)("config %j is a usage error", async (args, says) => {
  using one = world();
  const done = await one.config(...args);
  expect([done.code, done.err]).toEqual([2, expect.stringContaining(says)]);
  expect(existsSync(join(one.path, "store"))).toBe(false);
});

test("a change prints the command that undoes it, without secrets", async () => {
  using hub = world();
  await hub.config("public-url=http://its.lan", "listen=127.0.0.1:1,127.0.0.1:2");
  const before = (await hub.config("--json")).out;
  const changed = await hub.config("public-url=http://other.lan", "listen=127.0.0.1:3", `proxy.oci-registry.password=${SECRET}`);
  const undo = /^undo: chp (config .*)$/m.exec(changed.err)?.[1] ?? "";
  expect(changed.err).not.toContain(SECRET);
  const words = undo.split(" ").map((word) => word.replaceAll("'", ""));
  expect((await chp(words, { cwd: hub.path })).code).toBe(0);
  await hub.config("proxy.oci-registry.password=");
  expect((await hub.config("--json")).out).toBe(before);
});
