/** What the operator of an export sees of images: flags, lines, JSON, the script, the lock. Over ports of this machine. */

import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serveStore } from "../../manualworld.ts";
import { runProgram } from "../../program.ts";
import { charmhubOf, imageOf, indexOf, type RegistryOptions, TestRegistry, tampered } from "../../registry.ts";
import { tempFolder } from "../../temp.ts";

const LOGIN = { username: "docker-registry", password: "the-password-of-charmhub" };
const SECRETS = /the-password-of|secret-token|ZG9ja2VyLXJlZ2lzdHJ5/;
const AMD64 = imageOf({ layers: ["a layer", "a tool"] });
const KAFKA = indexOf([AMD64, imageOf({ architecture: "arm64", layers: ["a layer", "a tool on arm"] })]);
const ZINC = imageOf({ layers: ["a layer", "another tool"] });
const SITE = "bases: noble\ncharms: [kafka, zinc]\nwithout: [snapd]\n";

const ending: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ending) await end();
});

/** A Charmhub with two charms that have an image each, and a folder with a manifest of both. */
async function scene(options: RegistryOptions = {}, manifest = SITE) {
  const registry = TestRegistry.start({ login: LOGIN, ...options });
  const kafka = registry.push("charm/kafka/kafka-image", KAFKA);
  const zinc = registry.push("charm/zinc/zinc-image", ZINC);
  const app = await charmhubOf({ kafka: { "kafka-image": kafka }, zinc: { "zinc-image": zinc } }, () => registry.login);
  const charmhub = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => app.fetch(request) });
  const folder = tempFolder();
  ending.push(
    () => registry[Symbol.asyncDispose](),
    () => charmhub.stop(true),
    () => folder[Symbol.dispose](),
  );
  const at = (...names: string[]) => join(folder.path, ...names);
  writeFileSync(at("site.yaml"), manifest);
  const url = `http://127.0.0.1:${charmhub.port}`;
  const run = async (...flags: string[]) => {
    const args = ["export", "-f", at("site.yaml"), "--charmhub-url", url, "--export-dir", at("out"), "--insecure-registry", registry.host];
    const done = await runProgram([...args, ...flags]);
    expect(`${done.out}${done.err}${done.next}`).not.toMatch(SECRETS);
    return done;
  };
  const written = () => readdirSync(at("out")).filter((name) => !name.startsWith("."));
  const read = (end: string) => readFileSync(at("out", written().find((name) => name.endsWith(end)) ?? end), "utf8");
  return { registry, kafka, zinc, at, run, written, read, url };
}

describe("chp export -f", () => {
  test("takes images, says which and why, and writes no script for them", async () => {
    const { run, written, read, kafka, at } = await scene();
    const done = await run();
    expect(done.code).toBe(0);
    expect(done.err).toContain(`adding image ${kafka} (1.5 KiB): kafka, resource kafka-image\n`);
    expect(done.err).toContain("2 container images are in the archive\n");
    expect(done.err).not.toContain("not in the archive");
    expect(written().map((name) => name.replace(/\d{8}T\d{6}/, "TIME"))).toEqual(["site-TIME.tar"]);
    expect(read(".tar")).not.toMatch(SECRETS);
    const lock = JSON.parse(readFileSync(at("site.lock"), "utf8"));
    expect([lock.format, lock.images.map(({ digest }: { digest: string }) => digest)]).toEqual([2, [KAFKA.digest, ZINC.digest]]);
    const again = await run("--locked", "--json", "--quiet");
    const [archive] = JSON.parse(again.out).archives;
    expect(archive.images).toEqual(
      [KAFKA, ZINC].map((image, i) => ({
        reference: [kafka, lock.images[1].reference][i],
        digest: `sha256:${image.digest}`,
        size: expect.any(Number),
        neededBy: [{ charm: ["kafka", "zinc"][i], resource: ["kafka-image", "zinc-image"][i], revision: 7 }],
      })),
    );
  });

  test("--without images writes the script, and the credentials beside it", async () => {
    const { run, written, read, registry } = await scene();
    const done = await run("--without", "images");
    expect([done.code, done.err]).toEqual([0, expect.stringContaining("2 container images are not in the archive; fetch with: . ")]);
    expect(written().map((name) => name.replace(/\d{8}T\d{6}/, "TIME"))).toEqual([
      "site-TIME.images.env",
      "site-TIME.images.sh",
      "site-TIME.tar",
    ]);
    expect(read(".images.sh")).not.toMatch(SECRETS);
    expect(read(".images.env")).toMatch(/the-password-of-charmhub/);
    expect(registry.asked).toEqual([]);
  });

  test("--dry-run lists them with what they would add, and fetches no payload", async () => {
    const { run, registry, kafka, zinc } = await scene();
    const done = await run("--dry-run", "--json");
    const images = JSON.parse(done.out).packages.filter(({ type }: { type: string }) => type === "image");
    const [config, ...layers] = [...AMD64.blobs.values()].map(({ byteLength }) => byteLength);
    expect(images).toEqual([
      {
        type: "image",
        name: kafka,
        revisions: [],
        size: (config ?? 0) + layers.reduce((a, b) => a + b),
        reasons: ["kafka, resource kafka-image"],
      },
      { type: "image", name: zinc, revisions: [], size: (config ?? 0) + "another tool".length, reasons: ["zinc, resource zinc-image"] },
    ]);
    expect(registry.blobRequests()).toEqual([]);
    expect((await run("--dry-run")).out).toContain(`image\t${kafka}\t\t`);
  });

  test("an image that can't be had is exit 4, its charm is there, and the script has what is left", async () => {
    const { run, registry, read, kafka, at } = await scene();
    registry.faults = [{ path: `/storage/charm/kafka/kafka-image/sha256:${[...AMD64.blobs.keys()][2]}`, change: tampered }];
    const done = await run("--json");
    const [archive] = JSON.parse(done.out).archives;
    expect([done.code, archive.lost, archive.packages.length, archive.images.length]).toEqual([
      4,
      [
        {
          name: kafka,
          error: expect.stringMatching(/^cannot fetch image .*: its sha-256 is [0-9a-f]{64}, but the store said [0-9a-f]{64}, in 2 tries$/),
          url: expect.stringContaining("/blobs/sha256:"),
          status: null,
        },
      ],
      2,
      1,
    ]);
    // What came is not fetched again by the same command.
    expect(archive.kept).toEqual([{ bytes: expect.any(Number), folder: expect.stringContaining(at("out", ".chp-export-")) }]);
    expect(archive.kept[0].bytes).toBeGreaterThan(1000);
    expect(done.err).toContain(`not exported completely: ${kafka}; the archive contains the rest`);
    expect(read(".images.sh")).toContain("image 1: charm kafka, resource kafka-image 7");
    expect(read(".images.sh")).not.toContain("zinc");
    expect(() => readFileSync(at("site.lock"))).toThrow("ENOENT");
  });

  test("takes images by name alone, with the login of a file", async () => {
    const { run, registry, at } = await scene({}, "");
    const reference = registry.push("juju/jujud-operator", ZINC, "3.6.11");
    writeFileSync(at("site.yaml"), `images: ["${reference}"]\n`);
    const auth = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString("base64");
    writeFileSync(at("config.json"), JSON.stringify({ auths: { [`https://${registry.host}/v2/`]: { auth }, other: {} }, credsStore: "x" }));
    const refused = await run();
    expect([refused.code, refused.next]).toEqual([1, expect.stringContaining(`is there one for ${registry.host}?`)]);
    expect((await run("--registry-auth", at("config.json"))).code).toBe(0);
    expect((await runProgram(["export", "-f", at("site.yaml"), "--registry-auth", at("site.yaml")])).err).toContain(
      "is not what docker login writes",
    );
  });

  test("asks a registry without TLS only where that is said", async () => {
    const { at, url, registry } = await scene();
    const done = await runProgram(["export", "-f", at("site.yaml"), "--charmhub-url", url, "--export-dir", at("out"), "--fail-fast"]);
    expect([done.code, done.err]).toEqual([1, expect.stringContaining(`https://${registry.host}/v2/charm/`)]);
    expect([done.next, registry.asked]).toEqual([`--insecure-registry ${registry.host} asks that registry without TLS`, []]);
    const wrong = await runProgram(["export", "-f", at("site.yaml"), "--insecure-registry", "http://x.test"]);
    expect([wrong.code, wrong.err]).toEqual([
      2,
      "chp: --insecure-registry: http://x.test begins with a protocol: give the domain alone, as host or host:port\n",
    ]);
  });
});

test("the documented archives have no images", async () => {
  const { at, url, written, registry } = await scene();
  const done = await runProgram(["export", "charms", "kafka", "zinc", "--base", "noble", "--charmhub-url", url, "--export-dir", at("out")]);
  expect([done.code, written().length, registry.asked]).toEqual([0, 3, []]);
});

describe("from one store to the next", () => {
  test("images are carried on from a folder and from a server, and only what is missing on the other side", async () => {
    const { run, at, written } = await scene();
    expect((await run()).code).toBe(0);
    const first = at("out", written()[0] ?? "");
    const store = at("store");
    expect((await runProgram(["import", first, "--store", store])).code).toBe(0);
    expect((await runProgram(["config", "registry=on", "--store", store])).code).toBe(0);
    const stop = new AbortController();
    const url = await serveStore(store, stop.signal);
    expect((await runProgram(["config", `public-url=${url}`, "--store", store])).code).toBe(0);
    writeFileSync(at("have.json"), (await runProgram(["inventory", "--store", store])).out);
    const onward = async (...flags: string[]) => {
      const done = await runProgram(["export", "-f", at("site.yaml"), "--export-dir", at("onward"), "--json", "--quiet", ...flags]);
      const [archive] = JSON.parse(done.out).archives;
      return [done.code, archive.lost, archive.images.map(({ digest }: { digest: string }) => digest), archive.fetched];
    };
    const digests = [KAFKA, ZINC].map(({ digest }) => `sha256:${digest}`);
    const whole = expect.any(Number);
    try {
      expect(await onward("--store", store)).toEqual([0, [], digests, whole]);
      expect(await onward("--charmhub-url", url)).toEqual([0, [], digests, whole]);
      expect(await onward("--charmhub-url", url, "--since", at("have.json"))).toEqual([0, [], digests, 0]);
    } finally {
      stop.abort();
    }
  });

  test("a store without the images leaves them to the script", async () => {
    const { run, at, written } = await scene();
    expect((await run("--without", "images")).code).toBe(0);
    const archive = written().find((name) => name.endsWith(".tar")) ?? "";
    expect((await runProgram(["import", at("out", archive), "--store", at("store")])).code).toBe(0);
    const done = await runProgram(["export", "-f", at("site.yaml"), "--store", at("store"), "--export-dir", at("onward")]);
    expect([done.code, done.err]).toEqual([0, expect.stringContaining("2 container images are not in the archive; fetch with: sh ")]);
  });
});
