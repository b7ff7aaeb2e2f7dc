/** What operators are shown where chp is the registry: doctor, trust, juju-config, config. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { watchRegistries } from "../../../bin/machine/settings.ts";
import { createApp } from "../../../handlers/app.ts";
import { listen } from "../../../handlers/listen.ts";
import { Disk } from "../../../store/fs.ts";
import { Store } from "../../../store/store.ts";
import { charmZip, type Files, imageBlob, packageFiles, tarOf } from "../../build.ts";
import { below, layoutOf } from "../../layouts.ts";
import { runProgram } from "../../program.ts";
import { imageOf, indexOf } from "../../registry.ts";
import { storedSettings } from "../../storedsettings.ts";
import { tempFolder } from "../../temp.ts";
import { NOBLE } from "../../world.ts";

const IMAGE = indexOf([imageOf({ layers: ["amd"] }), imageOf({ architecture: "arm64", layers: ["arm"] })]);
const KAFKA = `registry.test/charm/abc/kafka-image@sha256:${IMAGE.digest}`;
const CHARM = below(
  "charms/kafka",
  packageFiles({
    type: "charm",
    name: "kafka",
    id: "IDKAFKA",
    revisions: { 1: charmZip({ name: "kafka", revision: 1, bases: [NOBLE], resources: { image: { type: "oci-image" } } }) },
    resources: { image: { type: "oci-image", revisions: { 1: imageBlob(KAFKA) } } },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 1, resources: { image: 1 } }],
  }),
);
const IMAGES = below("images", layoutOf([{ image: IMAGE, name: KAFKA }]));

/** A store with these files imported; `run` names it to each command. */
async function stored(files: Files) {
  const folder = tempFolder();
  const store = join(folder.path, "store");
  const run = (...args: string[]) => runProgram([...args, "--store", store, "--quiet"]);
  writeFileSync(join(folder.path, "site.tar"), tarOf(files));
  expect((await run("import", join(folder.path, "site.tar"))).code).toBe(0);
  const doctor = async (...args: string[]) => {
    const { findings, passed } = JSON.parse((await run("doctor", "--json", ...args)).out) as {
      findings: { check: string; what: string; next: string }[];
      passed: { check: string; state: string; what: string }[];
    };
    const about = (check: string) => check === "images" || check === "registry";
    return { findings: findings.filter(({ check }) => about(check)), passed: passed.filter(({ check }) => about(check)) };
  };
  return { run, doctor, store, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

describe("doctor says why stored images are not pulled from chp, and what changes it", () => {
  test.each<[string, string | undefined, string, string]>([
    ["no public URL", undefined, "no public URL says where it is", "chp config public-url=https://HOST:PORT"],
    [
      "http",
      "http://hub.test:8080",
      "its public URL is not https",
      "chp config registry=on where nodes trust it without TLS (chp trust --containerd)",
    ],
    ["a path", "https://hub.test/store", "its public URL has a path", "chp config public-url=https://HOST:PORT"],
  ])("%s", async (_, url, why, next) => {
    using world = await stored({ ...CHARM, ...IMAGES });
    if (url !== undefined) await world.run("config", `public-url=${url}`);
    const { findings } = await world.doctor("--offline");
    expect(findings.map(({ what }) => what)).toEqual([expect.stringContaining(`1 image stored here, but Juju is sent upstream: `)]);
    expect(findings[0]?.what).toContain(why);
    expect(findings[0]?.next).toContain(next);
  });

  test("the setting", async () => {
    using world = await stored({ ...CHARM, ...IMAGES });
    await world.run("config", "public-url=https://hub.test", "registry=off");
    expect((await world.doctor("--offline")).findings[0]).toMatchObject({
      what: expect.stringContaining("the setting registry is off"),
      next: "chp config registry=auto",
    });
  });
});

test("doctor names the images that are missing where charms pull from chp", async () => {
  using world = await stored({ ...CHARM, ...below("images", layoutOf([{ image: imageOf(), name: "team/app:1" }])) });
  await world.run("config", "public-url=https://hub.test");
  const { findings } = await world.doctor("--offline");
  expect(findings).toEqual([
    {
      check: "images",
      what: `the image ${KAFKA} is not stored; needed by charm kafka, resource image 1`,
      sure: "certain",
      next: "chp export -f site.yaml takes the images of its charms: import what it wrote",
    },
  ] as never);
});

test("doctor asks as a node would, with the login, and says when nodes can't reach the address", async () => {
  using world = await stored({ ...CHARM, ...IMAGES });
  const { fetch: answer } = createApp({
    store: await Store.open(new Disk(world.store)),
    config: {},
    log: () => {},
    registries: watchRegistries(await Store.open(new Disk(world.store)), {}, undefined),
  });
  await world.run("config", "registry=on", "proxy.oci-registry.username=puller", "proxy.oci-registry.password=s3cret");
  const listener = await listen(answer, { host: "127.0.0.1", port: 0 });
  try {
    const { port } = new URL(listener.url);
    const local = await world.doctor("--public-url", `http://127.0.0.1:${port}`);
    expect(local.findings.map(({ what }) => what)).toEqual([`nodes can't reach 127.0.0.1:${port}: it is this machine's own address`]);
    // The same server by a name that is no loopback address as it is written.
    const reached = await world.doctor("--public-url", `http://0.0.0.0:${port}`);
    expect(reached.findings).toEqual([]);
    expect(reached.passed.map(({ what }) => what)).toEqual(["all 1 image stored here", `chp answers as a registry at 0.0.0.0:${port}`]);
  } finally {
    await listener.drain();
  }
  const nobody = await world.doctor("--public-url", "http://0.0.0.0:1");
  expect(nobody.findings.map(({ what }) => what)).toEqual([expect.stringContaining("a node can't pull from 0.0.0.0:1: ")]);
});

describe("trust", () => {
  test("makes containerd pull from chp over TLS", async () => {
    using world = await stored({ ...CHARM, ...IMAGES });
    await world.run("config", "public-url=https://hub.test:8443");
    await world.run("import-certificate", "--selfsigned");
    const pem = (await world.run("config", "proxy.tls.cert")).out.trimEnd();
    const { out } = await world.run("trust", "--containerd");
    expect(out).toContain(`sudo tee /etc/containerd/certs.d/hub.test:8443/ca.crt >/dev/null <<'EOF'\n${pem}\nEOF\n`);
    const toml = /hosts\.toml >\/dev\/null <<'EOF'\n(.*)EOF\n/s.exec(out)?.[1] ?? "";
    const pulls = { capabilities: ["pull", "resolve"], ca: "/etc/containerd/certs.d/hub.test:8443/ca.crt" };
    expect(Bun.TOML.parse(toml)).toEqual({
      server: "https://hub.test:8443",
      ...pulls,
      host: { "https://hub.test:8443": pulls },
    });
    const map = Bun.YAML.parse((await world.run("trust", "--kubernetes")).out) as { data: Record<string, string> };
    expect(map.data["hosts.toml"]?.trim()).toBe(toml.trim());
    expect(map.data["ca.crt"]?.trim()).toBe(pem);
  });

  test("needs no certificate for nodes that pull over http", async () => {
    using world = await stored({ ...CHARM, ...IMAGES });
    await world.run("config", "public-url=http://hub.test:8080", "registry=on");
    const { code, out } = await world.run("trust", "--containerd");
    expect(code).toBe(0);
    expect(out).not.toContain("ca.crt");
    expect(Bun.TOML.parse(/<<'EOF'\n(.*)EOF\n/s.exec(out)?.[1] ?? "")).toEqual({
      server: "http://hub.test:8080",
      capabilities: ["pull", "resolve"],
      host: { "http://hub.test:8080": { capabilities: ["pull", "resolve"] } },
    });
    const map = Bun.YAML.parse((await world.run("trust", "--kubernetes")).out) as { data: Record<string, string> };
    expect(Object.keys(map.data)).toEqual(["hosts.toml"]);
    expect((await world.run("trust", "--os")).next).toBe("chp import-certificate --selfsigned makes one");
  });

  test("leaves chp out where another registry is set", async () => {
    using world = await stored(CHARM);
    await world.run("config", "public-url=https://hub.test", "proxy.oci-registry.domain=registry.lan:5000");
    await world.run("import-certificate", "--selfsigned");
    const { out } = await world.run("trust", "--containerd");
    expect(out).toContain("containerd does not pull from chp");
    expect(out).toContain('server = "https://registry.lan:5000"');
  });
});

describe("juju-config --bootstrap", () => {
  const operator = below("images", layoutOf([{ image: IMAGE, name: "ghcr.io/juju/jujud-operator:2.9.52" }]));
  const configOf = async (world: Awaited<ReturnType<typeof stored>>, ...args: string[]) =>
    Bun.YAML.parse((await world.run("juju-config", "--bootstrap", "--juju", "2.9", ...args)).out) as Record<string, string>;

  test("names chp for the images of the controller, in the form that takes a port, with the login", async () => {
    using world = await stored(operator);
    await world.run("config", "public-url=https://hub.test:8443");
    expect(JSON.parse((await configOf(world))["caas-image-repo"] ?? "")).toEqual({
      serveraddress: "https://hub.test:8443",
      repository: "hub.test:8443/juju",
    });
    await world.run("config", "proxy.oci-registry.username=puller", "proxy.oci-registry.password=it's");
    expect(JSON.parse((await configOf(world))["caas-image-repo"] ?? "")).toEqual({
      serveraddress: "https://hub.test:8443",
      repository: "hub.test:8443/juju",
      username: "puller",
      password: "it's",
    });
    expect(await configOf(world, "--public-url", "https://hub.test/store")).not.toHaveProperty("caas-image-repo");
    expect((await world.run("juju-config")).out).not.toContain("caas-image-repo");
  });

  test("leaves it out where the image is missing", async () => {
    using world = await stored(IMAGES);
    await world.run("config", "public-url=https://hub.test:8443");
    expect(await configOf(world)).not.toHaveProperty("caas-image-repo");
  });
});

test("a changed public URL is remembered for a day with the login that replies had", async () => {
  using world = await stored({ ...CHARM, ...IMAGES });
  await world.run("config", "public-url=https://hub.test:8443", "proxy.oci-registry.username=puller", "proxy.oci-registry.password=s3cret");
  await world.run("config", "public-url=https://new.test");
  const { value } = storedSettings(world.store).secrets["ociSecret"] ?? {};
  expect(value.former).toMatchObject([{ domain: "hub.test:8443", username: "puller", password: "s3cret", own: true }]);
  const registries = await watchRegistries(await Store.open(new Disk(world.store)), {}, "https://new.test")();
  expect(registries.former[0]).toEqual({ domain: "hub.test:8443", username: "puller", password: "s3cret", own: true });
  expect(registries.current).toMatchObject({ domain: "new.test", own: true });
});

test("registry takes three words", async () => {
  using world = await stored(IMAGES);
  expect((await world.run("config", "registry=maybe")).err).toContain("registry: maybe is not one of auto, on, off");
});
