import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, charmZip, exportOf, imageBlob, type PackageSpec } from "../build.ts";
import { storedSettings } from "../storedsettings.ts";
import { here, serve, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");
const DIGEST = "0".repeat(64);
const SECRET = "pull-only-password";

const SPEC: PackageSpec = {
  name: "demo",
  id: "DemoDemoDemoDemoDemoDemoDemoDemo",
  type: "charm",
  revisions: {
    7: charmZip({ name: "demo", revision: 7, bases: [jammy], resources: { plain: { type: "oci-image" }, moved: { type: "oci-image" } } }),
  },
  bases: { 7: [jammy] },
  resources: {
    plain: { type: "oci-image", revisions: { 3: imageBlob(`registry.example/charm/demo/plain@sha256:${DIGEST}`) } },
    moved: { type: "oci-image", revisions: { 4: imageBlob(`registry.example/charm/demo/moved@sha256:${DIGEST}`) } },
  },
  releases: [{ channel: "latest/stable", base: jammy, revision: 7, resources: { plain: 3, moved: 4 } }],
};

const BUNDLE = "applications:\n  demo:\n    charm: demo\n    resources:\n      moved: team/moved:local-image\n";

interface Download {
  url: string;
  size: number;
  [hash: string]: string | number;
}

async function revisionsOf(url: string, resource: string): Promise<{ name: string; download: Download }[]> {
  return (await (await fetch(`${url}/v2/charms/resources/demo/${resource}/revisions`)).json()).revisions;
}

/** Waits until the server has seen a change of settings: `old` is no longer what it says. */
async function movedFrom(url: string, old: Download): Promise<void> {
  while ((await revisionsOf(url, "plain"))[0]?.download.url === old.url) await Bun.sleep(50);
}

/** What every endpoint says of a resource, which must be the same everywhere. */
async function described(url: string, resource: string): Promise<Download> {
  const list = await revisionsOf(url, resource);
  const info = await (await fetch(`${url}/v2/charms/info/demo?fields=default-release.resources`)).json();
  const body = { context: [], actions: [{ action: "install", "instance-key": "k", name: "demo", channel: "stable", base: jammy }] };
  const refresh = await (await fetch(`${url}/v2/charms/refresh`, { method: "POST", body: JSON.stringify(body) })).json();
  const named = (all: { name: string; download: Download }[]) => all.find((one) => one.name === resource)?.download;
  const download = named(list);
  expect(named(info["default-release"].resources)).toEqual(download);
  expect(named(refresh.results[0].charm.resources)).toEqual(download);
  if (!download) throw new Error(`${resource} is not described`);
  return download;
}

/** Fetches what was described, and holds the bytes against the size and all four digests. */
async function fetched(download: Download): Promise<Record<string, string>> {
  const response = await fetch(download.url);
  expect(response.status).toBe(200);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(bytes.byteLength).toBe(download.size);
  for (const [name, algorithm] of Object.entries({ "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512", "sha3-384": "sha3-384" }))
    expect([name, createHash(algorithm).update(bytes).digest("hex")]).toEqual([name, String(download[`hash-${name}`])]);
  return JSON.parse(bytes.toString());
}

test("images name the local registry everywhere, their digests are those of the bytes, and old promises are kept", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  writeFileSync(join(folder.path, "e.tar.gz"), exportOf([SPEC], BUNDLE));
  const imported = await here(["import", "--store", store, join(folder.path, "e.tar.gz")]);
  expect(imported.out).toContain("no local registry is set");
  expect((await here(["status", "--store", store])).out).toContain("no local registry is set");

  const served = await serve(store);
  const upstream = await described(served.url, "plain");
  expect(await fetched(upstream)).toEqual({ ImageName: `registry.example/charm/demo/plain@sha256:${DIGEST}` });

  const config = (...settings: string[]) => here(["config", "--store", store, ...settings]);
  const set = await config(
    "proxy.oci-registry.domain=hub.lan:5000",
    "proxy.oci-registry.username=pull",
    `proxy.oci-registry.password=${SECRET}`,
  );
  expect([set.code, `${set.out}${set.err}`]).toEqual([0, expect.not.stringContaining(SECRET)]);
  await movedFrom(served.url, upstream);
  const local = await described(served.url, "plain");
  expect(await fetched(local)).toEqual({ ImageName: `hub.lan:5000/charm/demo/plain@sha256:${DIGEST}`, Username: "pull", Password: SECRET });
  expect(await fetched(await described(served.url, "moved"))).toEqual({
    ImageName: "hub.lan:5000/team/moved:local-image",
    Username: "pull",
    Password: SECRET,
  });

  await config("proxy.oci-registry.username=", "proxy.oci-registry.password=");
  await movedFrom(served.url, local);
  expect(await fetched(await described(served.url, "plain"))).toEqual({ ImageName: `hub.lan:5000/charm/demo/plain@sha256:${DIGEST}` });
  for (const promised of [upstream, local]) await fetched(promised);
  expect((await fetch(`${upstream.url}?sha256=${DIGEST}`)).status).toBe(404);
  await served.stop();
  expect(served.log()).not.toContain(SECRET);
});

test("no credential of upstream reaches the store, and no password a file that others can read", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  writeFileSync(join(folder.path, "e.tar.gz"), exportOf([SPEC]));
  await here(["import", "--store", store, join(folder.path, "e.tar.gz")]);
  await here(["config", "--store", store, "proxy.oci-registry.domain=hub.lan", `proxy.oci-registry.password=${SECRET}`]);
  const shown = await here(["config", "--store", store]);
  expect(shown.out).toContain("proxy.oci-registry.password\t(set, not shown)\tfile");
  expect((await here(["config", "--store", store, "--json", "proxy.oci-registry.password"])).out).not.toContain(SECRET);
  const files = readdirSync(store, { recursive: true, encoding: "utf8" }).map((name) => join(store, name));
  for (const file of files.filter((name) => statSync(name).isFile())) {
    const text = readFileSync(file, "latin1");
    expect([file, text.includes("upstream-secret-token")]).toEqual([file, false]);
    if (text.includes(SECRET))
      expect([file, statSync(file).mode & 0o077]).toEqual([storedSettings(store).secrets["ociSecret"]?.file ?? "", 0]);
  }
});

const DOMAINS: readonly (readonly [string, number, string])[] = [
  ["http://hub.lan", 2, "begins with a protocol"],
  ["hub.lan/path", 2, "has a path"],
  ["hub", 2, "neither a dot nor a port"],
  ["hub lan.x", 2, "is not host or host:port"],
  ["hub:5000", 0, ""],
  ["hub.lan", 0, ""],
  ["10.0.0.1:5000", 0, ""],
];

test.each(DOMAINS)("the registry's domain %s: exit %d", async (domain, code, says) => {
  using folder = tempFolder();
  const done = await here(["config", "--store", join(folder.path, "store"), `proxy.oci-registry.domain=${domain}`]);
  expect([done.code, done.err]).toEqual([code, expect.stringContaining(says)]);
});
