/** Setting Juju up through the executable: its configuration, what is missing for a deployment, and the images. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { base, bundleZip, charmZip, exportOf, imageBlob } from "../build.ts";
import { fakeRegistry, LOGIN } from "../fakeregistry.ts";
import { ROOT, SNAP_WORLD } from "../snapworld.ts";
import { IMAGE_PATH, WORLD } from "../world.ts";
import { chp, here, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const TLS = resolve("test/fixtures/tls");
const PEM = readFileSync(join(TLS, "cert.pem"), "utf8").trim();
const D = (n: number) => `sha256:${String(n).repeat(64)}`;
const HELD = [3, 4, 5, 6, 7, 8, 9];
const ALL = Object.fromEntries(HELD.map((n) => [`${IMAGE_PATH}@${D(n)}`, D(n)]));

const run = (command: string, ...args: string[]) => here([command, "--store", "store", ...args], { cwd: folder.path });
const runWith = (env: Readonly<Record<string, string>>, command: string, ...args: string[]) =>
  here([command, "--store", "store", ...args], { cwd: folder.path, env });
/** By the executable: SSL_CERT_FILE is read by what it is built with. */
const runTrusting = (env: Readonly<Record<string, string>>, command: string) =>
  chp([command, "--store", "store"], { cwd: folder.path, env: { ...env, SSL_CERT_FILE: join(TLS, "cert.pem") } });

/** The settings of a registry, as the environment. */
function registry(domain: string, login = false): Record<string, string> {
  return {
    CHP_OCI_REGISTRY_DOMAIN: domain,
    ...(login && { CHP_OCI_REGISTRY_USERNAME: LOGIN.username, CHP_OCI_REGISTRY_PASSWORD: LOGIN.password }),
  };
}

beforeAll(async () => {
  writeFileSync(at("world.tar.gz"), WORLD);
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("root.assert"), ROOT);
  expect((await run("import", "world.tar.gz")).code).toBe(0);
});
afterAll(() => folder[Symbol.dispose]());

describe("juju-config", () => {
  interface Config {
    "charmhub-url": string;
    "snap-store-proxy-url"?: string;
    "cloudinit-userdata"?: string;
  }
  const read = (text: string) => Bun.YAML.parse(text) as Config;
  const userData = (config: Config) =>
    Bun.YAML.parse(config["cloudinit-userdata"] ?? "") as {
      "ca-certs"?: { trusted: string[] };
      write_files?: object[];
      preruncmd?: string[];
    };

  test("needs a public URL, and says how it is set", async () => {
    const done = await run("juju-config");
    expect([done.code, done.out]).toEqual([1, ""]);
    expect(done.err).toContain("chp config public-url=URL");
  });

  test("without a store assertion leaves snap-store-proxy-url out, says why, and leads snapd here by cloud-init", async () => {
    const done = await run("juju-config", "--public-url", "http://hub.lan:8080");
    expect(done.code).toBe(0);
    expect(done.out).toContain("# snap-store-proxy-url is omitted: no store assertion was imported");
    const config = read(done.out);
    expect(Object.keys(config)).toEqual(["cloudinit-userdata", "charmhub-url"]);
    expect(config["charmhub-url"]).toBe("http://hub.lan:8080");
    const devices = await run("snapd-config", "--juju", "--public-url", "http://hub.lan:8080");
    expect(config["cloudinit-userdata"]).toBe(read(devices.out)["cloudinit-userdata"] ?? "");
  });

  test("over TLS the certificate is in it, as the documents show it", async () => {
    const env = { CHP_TLS_CERT: join(TLS, "cert.pem") };
    const config = read((await runWith(env, "juju-config", "--public-url", "https://hub.lan")).out);
    expect(userData(config)["ca-certs"]).toEqual({ trusted: [`${PEM}\n`] });
    expect(userData(config).preruncmd).toBeArray();
    const plain = read((await runWith(env, "juju-config", "--public-url", "http://hub.lan")).out);
    expect(userData(plain)["ca-certs"]).toBeUndefined();
    const none = await run("juju-config", "--public-url", "https://hub.lan");
    expect(none.out).toContain("# ca-certs is omitted: chp has no certificate");
  });

  test.each([
    ["a file that is not there", "gone.pem", "gone.pem, the tls-cert"],
    ["a file that is no certificate", "root.assert", "there is no certificate in"],
  ])("refuses %s", async (_, file, message) => {
    const done = await runWith({ CHP_TLS_CERT: at(file) }, "juju-config", "--public-url", "https://hub.lan");
    expect([done.code, done.out]).toEqual([2, ""]);
    expect(done.err).toContain(message);
  });

  test("with a store assertion for the public URL snap-store-proxy-url is in it; for another one it is not", async () => {
    const config = (url: string) => chp(["juju-config", "--store", "proxied", "--public-url", url], { cwd: folder.path });
    expect((await chp(["import", "--store", "proxied", "--trust", "root.assert", "snaps.tar.gz"], { cwd: folder.path })).code).toBe(0);
    const fitting = await config("http://127.0.0.1:8080");
    expect(read(fitting.out)).toEqual({ "charmhub-url": "http://127.0.0.1:8080", "snap-store-proxy-url": "http://127.0.0.1:8080" });
    expect(fitting.out).toContain("a snapd that trusts Canonical alone does not take it");
    for (const url of ["http://127.0.0.1:8081", "http://hub.lan:8080"]) {
      const other = await config(url);
      expect(Object.keys(read(other.out))).toEqual(["cloudinit-userdata", "charmhub-url"]);
      expect(other.out).toContain(
        `omitted: the stored store assertion acmestore is for http://127.0.0.1:8080, not for the public URL ${url}`,
      );
    }
    const { "snap-store-proxy-url": told, why } = JSON.parse(
      (await chp(["juju-config", "--store", "proxied", "--json", "--public-url", "http://127.0.0.1:8080/prefix"], { cwd: folder.path }))
        .out,
    );
    expect([told, why]).toEqual(["http://127.0.0.1:8080", "the store assertion acmestore names the public URL"]);
  });

  test.each([
    [["--juju", "3.6.11"], 0, "juju-controller is stored in 3.6/stable"],
    [[], 0, "juju-controller is stored in 4.1/stable, 3.6/stable"],
    [["--juju", "2.9.52"], 0, "Juju 2.9.52 needs no juju-controller"],
    [["--juju", "4.2"], 1, "juju-controller (channel 4.2/stable) in charms.yaml: chp export charms"],
    [["--juju", "newest"], 2, "newest is not a version of Juju"],
  ])("--bootstrap %p", async (args, code, message) => {
    const done = await run("juju-config", "--public-url", "http://hub.lan", "--bootstrap", ...args);
    expect([done.code, done.out !== ""]).toEqual([code, code === 0]);
    expect(done.err).toContain(message);
  });

  test("--juju without --bootstrap is a usage error", async () => {
    expect((await run("juju-config", "--public-url", "http://hub.lan", "--juju", "3.6")).code).toBe(2);
  });
});

describe("images", () => {
  const LINE = (n: number, present: string) =>
    [
      `registry.jujucharms.com/${IMAGE_PATH}@${D(n)}`,
      "missing",
      present === "yes" ? "registry" : `registry: ${present}`,
      `charm acme-db, resource acme-image ${n}`,
    ].join("\t");

  test("asks the registry by digest, without a password where none is needed, and not for all at once", async () => {
    const manifests = Object.fromEntries(Object.entries(ALL).slice(1));
    await using fake = fakeRegistry({ manifests });
    const done = await runWith(registry(fake.domain, true), "images");
    expect(done.code).toBe(0);
    expect(done.out).toBe(HELD.map((n) => `${LINE(n, n === 3 ? "no" : "yes")}\n`).join(""));
    expect(done.err).toContain("next: chp images --missing --script skopeo");
    const heads = fake.asked.filter(({ path }) => path.includes("/manifests/"));
    expect(heads.map(({ method }) => method)).toEqual(HELD.map(() => "HEAD"));
    expect(heads[0]?.accept).toContain("application/vnd.oci.image.index.v1+json");
    expect(fake.asked.every(({ authorization }) => authorization === "")).toBe(true);
    expect(fake.most()).toBeLessThanOrEqual(8);
    const missing = JSON.parse((await runWith(registry(fake.domain), "images", "--missing", "--json")).out);
    expect(missing).toEqual([
      {
        upstream: `registry.jujucharms.com/${IMAGE_PATH}@${D(3)}`,
        local: `${fake.domain}/${IMAGE_PATH}@${D(3)}`,
        path: `${IMAGE_PATH}@${D(3)}`,
        digest: D(3),
        neededBy: [{ charm: "acme-db", resource: "acme-image", revision: 3 }],
        stored: null,
        pulledFrom: "registry",
        registry: "absent",
      },
    ]);
    const script = (await runWith(registry(fake.domain), "images", "--missing", "--script", "skopeo")).out;
    expect(script.match(/'docker:.*?'/g)).toEqual([
      `'docker://registry.jujucharms.com/${IMAGE_PATH}@${D(3)}'`,
      `'docker://${fake.domain}/${IMAGE_PATH}@${D(3)}'`,
    ]);
    expect(script).not.toContain(LOGIN.password);
  });

  test.each(["basic", "bearer"] as const)("logs in where the registry asks for it: %s", async (login) => {
    await using fake = fakeRegistry({ login, manifests: ALL });
    const done = await runWith(registry(fake.domain, true), "images");
    expect(done.out).toBe(HELD.map((n) => `${LINE(n, "yes")}\n`).join(""));
    const without = await runWith(registry(fake.domain), "images");
    expect(without.out.split("\n").filter((line) => line.includes("\tregistry: unknown: "))).toHaveLength(HELD.length);
    for (const { out, err } of [done, without]) expect(`${out}${err}`).not.toContain(LOGIN.password);
  });

  test("says what it cannot know: --offline, nobody there, a registry that fails", async () => {
    const column = (out: string) => [
      ...new Set(
        out
          .trim()
          .split("\n")
          .map((line) => line.split("\t")[2]?.split(": ")[1]),
      ),
    ];
    await using fake = fakeRegistry({ manifests: ALL, status: 503 });
    const offline = await runWith(registry(fake.domain), "images", "--offline");
    expect([column(offline.out), fake.asked.length]).toEqual([["not asked"], 0]);
    expect(column((await runWith(registry(fake.domain), "images")).out)).toEqual(["unknown"]);
    const nobody = await runWith(registry("127.0.0.1:1"), "images");
    expect([nobody.code, column(nobody.out)]).toEqual([0, ["unknown"]]);
    expect(nobody.err).toContain("the registry 127.0.0.1:1 cannot be asked");
    const unset = await run("images");
    expect(unset.err).toContain("no local registry is set");
    expect((await run("images", "--script", "docker")).code).toBe(2);
  });

  test("a registry whose certificate nobody trusts gets neither a question nor a login; a trusted one does", async () => {
    const tls = { cert: PEM, key: readFileSync(join(TLS, "key.pem"), "utf8") };
    await using fake = fakeRegistry({ tls, login: "basic", manifests: ALL });
    const done = await runWith(registry(fake.domain, true), "doctor", "--json");
    expect(JSON.parse(done.out).findings).toEqual([
      {
        check: "registry",
        what: expect.stringContaining("cannot be asked"),
        sure: "certain",
        next: expect.stringContaining("update-ca-certificates"),
      },
    ]);
    expect(fake.asked).toEqual([]);
    const trusting = await runTrusting(registry(fake.domain, true), "images");
    expect(trusting.out).toBe(HELD.map((n) => `${LINE(n, "yes")}\n`).join(""));
  });

  test("the login does not leave TLS because a registry says so", async () => {
    await using elsewhere = fakeRegistry({ login: "bearer", manifests: {} });
    const tls = { cert: PEM, key: readFileSync(join(TLS, "key.pem"), "utf8") };
    await using fake = fakeRegistry({ tls, login: "bearer", realm: `http://${elsewhere.domain}/token`, manifests: ALL });
    const done = await runTrusting(registry(fake.domain, true), "images");
    expect(done.out).toContain("without TLS");
    expect(elsewhere.asked).toEqual([]);
  });
});

describe("doctor", () => {
  test("exit 0 where nothing is missing, over TLS with chp's own certificate", async () => {
    await using fake = fakeRegistry({ manifests: ALL });
    const tls = { CHP_TLS_CERT: join(TLS, "cert.pem"), CHP_TLS_KEY: join(TLS, "key.pem") };
    const served = await serve(at("store"), ["--tls-listen", "127.0.0.1:0"], { ...tls, CHP_PUBLIC_URL: "" });
    try {
      for (const url of served.urls) {
        const done = await runWith({ ...tls, ...registry(fake.domain) }, "doctor", "--public-url", url);
        expect([done.code, done.err]).toEqual([0, ""]);
        expect(done.out.split("\n").map((line) => line.split(": ")[0]?.replace(/ +/, " "))).toEqual([
          "ok snaps",
          "ok charms",
          "ok resources",
          "ok images",
          "ok certificate",
          "ok public URL",
          "",
        ]);
      }
      const distrusted = await runWith(registry(fake.domain), "doctor", "--json", "--public-url", served.urls[1] ?? "");
      expect(JSON.parse(distrusted.out).findings).toEqual([
        expect.objectContaining({ check: "public URL", what: expect.stringContaining("is not trusted") }),
      ]);
    } finally {
      await served.stop();
    }
  });

  test("names each thing that is missing, with the next command, and exits 1", async () => {
    const jammy = base("amd64", "22.04");
    const spec = (name: string, id: string) => ({ name, id: id.repeat(32).slice(0, 32), type: "charm" as const, bases: { 1: [jammy] } });
    const image = imageBlob(`upstream.example/team/app@${D(1)}`);
    const resources = {
      app: { type: "oci-image" as const },
      blob: { type: "file" as const, filename: "b" },
      tagged: { type: "oci-image" as const },
    };
    const versions = `[snap]\nname = "charmed-thing"\n[snap.revisions]\nx86_64 = "96"\n`;
    writeFileSync(
      at("missing.tar.gz"),
      exportOf(
        [
          {
            ...spec("app", "a"),
            revisions: {
              1: charmZip({ name: "app", revision: 1, bases: [jammy], resources, files: { "refresh_versions.toml": versions } }),
            },
            resources: { app: { type: "oci-image", revisions: { 2: image } }, tagged: { type: "oci-image", revisions: { 5: image } } },
            releases: [{ channel: "latest/stable", base: jammy, revision: 1, resources: { app: 2, tagged: 5 } }],
          },
          {
            ...spec("stack", "b"),
            type: "bundle",
            revisions: { 1: bundleZip("applications:\n  a:\n    charm: app\n    channel: 9/stable\n  b:\n    charm: ch:absent\n") },
            bases: {},
            releases: [{ channel: "latest/stable", base: null, revision: 1 }],
          },
        ],
        "applications:\n  app:\n    charm: app\n    resources:\n      tagged: team/app:local\n",
      ),
    );
    expect((await chp(["import", "--store", "missing", "missing.tar.gz"], { cwd: folder.path })).code).toBe(0);
    await using fake = fakeRegistry({ manifests: { "team/app@local": D(2) } });
    const done = await chp(["doctor", "--store", "missing", "--json", "--juju", "3.6", "--public-url", "http://nobody.invalid"], {
      cwd: folder.path,
      env: registry(fake.domain),
    });
    expect(done.code).toBe(1);
    const { ready, findings } = JSON.parse(done.out) as { ready: boolean; findings: { check: string; what: string; next: string }[] };
    expect([ready, ...findings.map(({ check, what }) => `${check}: ${what}`)]).toEqual([
      false,
      expect.stringContaining(
        "snaps: the snap charmed-thing revision 96 amd64 is not stored; needed by charm app 1 (refresh_versions.toml)",
      ),
      "charms: the charm absent is not stored; named by bundle stack 1",
      "charms: the charm app is stored, but not in 9/stable; named by bundle stack 1",
      "resources: the resource blob is not stored; declared by charm app 1",
      "juju: no agent of Juju 3.6 is stored, without which no machine becomes a controller",
      "juju: the charm juju-controller is not stored in 3.6/stable, without which no controller starts",
      "juju: the snap juju-db is not stored in 4.4.30/stable for amd64",
      "juju: the snap core is not stored in latest/stable for amd64",
      "juju: the snap snapd is not stored in latest/stable for amd64",
      "juju: no image of a controller of Juju 3.6 is stored, without which none starts on Kubernetes",
      `images: ${fake.domain}/team/app:local is another image than upstream.example/team/app@${D(1)}; needed by charm app, resource tagged 5`,
      `images: missing in the registry: ${fake.domain}/team/app@${D(1)}; needed by charm app, resource app 2`,
      expect.stringContaining("public URL: the name nobody.invalid does not resolve here"),
    ]);
    for (const { next } of findings) expect(next).toMatch(/chp |getent /);
    expect(JSON.parse(done.err)).toMatchObject({ error: "13 problems found", exit: 1 });
  });

  test("--offline asks nothing of the network", async () => {
    await using fake = fakeRegistry({ manifests: ALL });
    const done = await runWith(registry(fake.domain), "doctor", "--offline", "--json", "--public-url", `http://${fake.domain}`);
    expect([done.code, fake.asked.length]).toEqual([0, 0]);
    expect(JSON.parse(done.out).passed).toContainEqual({
      check: "images",
      state: "skipped",
      what: `7 images not asked of ${fake.domain}, as --offline says`,
    });
  });

  test("a public URL where something else answers, where another store does, and where nobody does", async () => {
    await using fake = fakeRegistry({ manifests: ALL });
    const served = await serve(at("empty"));
    const what = async (url: string) =>
      (
        JSON.parse((await runWith(registry(fake.domain), "doctor", "--json", "--public-url", url)).out) as { findings: { what: string }[] }
      ).findings.map((one) => one.what);
    try {
      expect(await what(`http://${fake.domain}`)).toEqual([expect.stringContaining("with status 404, is not chp")]);
      expect(await what(served.url)).toEqual([expect.stringContaining("serves another store: its generation is 0, and 1 here")]);
      expect(await what("http://127.0.0.1:1")).toEqual([expect.stringContaining("nothing answers at http://127.0.0.1:1")]);
    } finally {
      await served.stop();
    }
  });

  test("no registry is set, and images are stored; on an empty store nothing is missing", async () => {
    const done = await run("doctor");
    expect([done.code, done.out]).toEqual([1, expect.stringContaining("missing  registry: no local registry is set")]);
    expect(done.err).toContain("chp config proxy.oci-registry.domain=HOST:PORT");
    const served = await serve(at("empty"));
    await served.stop();
    await chp(["config", "--store", "empty", "public-url=http://hub.lan"], { cwd: folder.path });
    expect((await chp(["doctor", "--store", "empty", "--offline"], { cwd: folder.path })).code).toBe(0);
    expect((await chp(["doctor", "--store", "nowhere"], { cwd: folder.path })).code).toBe(10);
    expect((await run("doctor", "--juju", "newest")).code).toBe(2);
    expect((await run("doctor", "--cloud", "lxd")).code).toBe(2);
    expect((await run("doctor", "--juju", "3.6", "--cloud", "maas")).err).toContain("--cloud takes lxd, openstack, k8s");
  });
});
