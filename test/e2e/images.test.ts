/** Images in an export, by the executable: from a Charmhub and its registry on ports of this machine. */

import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sumsOf } from "../../src/digest.ts";
import { charmhubOf, imageOf, indexOf, TestRegistry } from "../registry.ts";
import { noise } from "../world.ts";
import { chp, here, spawn, tempFolder } from "./chp.ts";

const LOGIN = { username: "docker-registry", password: "the-password-of-charmhub" };
const MIB = 2 ** 20;
const LAYERS = Array.from({ length: 4 }, (_, i) => Uint8Array.from(noise(3 * MIB + i), (byte) => byte ^ i));
const AMD64 = imageOf({ layers: LAYERS });
const ARTIFACT = imageOf({ artifactType: "application/vnd.acme.sbom", layers: ["what it is made of"], subject: AMD64 });
const IMAGE = indexOf([AMD64, imageOf({ architecture: "arm64", layers: ["not asked for"] }), ARTIFACT]);
const TAKEN = [IMAGE.digest, AMD64.digest, ARTIFACT.digest, ...AMD64.blobs.keys(), ...ARTIFACT.blobs.keys()].map(String).toSorted();
const SIZE = [...AMD64.blobs.values(), ...ARTIFACT.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);

const ending: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ending) await end();
});

async function scene() {
  let requests = 0;
  // Each request is 150 ms after the one before, by the registry's clock.
  const registry = TestRegistry.start({ login: LOGIN, tokenLife: 400, now: () => (requests += 150) });
  const app = await charmhubOf({ kafka: { image: registry.push("charm/kafka/image", IMAGE) } }, () => registry.login);
  const charmhub = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => app.fetch(request) });
  const folder = tempFolder();
  ending.push(
    () => registry[Symbol.asyncDispose](),
    () => charmhub.stop(true),
    () => folder[Symbol.dispose](),
  );
  writeFileSync(join(folder.path, "site.yaml"), "bases: noble\ncharms: [kafka]\nwithout: [snapd]\n");
  const args = [
    "export",
    "-f",
    "site.yaml",
    "--charmhub-url",
    `http://127.0.0.1:${charmhub.port}`,
    "--export-dir",
    "out",
    "--parallel",
    "1",
  ];
  /** digests of the blobs in the archive */
  const blobs = async () => {
    const [name = ""] = readdirSync(join(folder.path, "out")).filter((one) => one.endsWith(".tar"));
    const sums = await new Bun.Archive(readFileSync(join(folder.path, "out", name))).files("images/blobs/sha256/*");
    const found: string[] = [];
    for (const [path, file] of sums) {
      expect(path).toEndWith(sumsOf(await file.bytes())["sha-256"]);
      found.push(path.slice(path.lastIndexOf("/") + 1));
    }
    return found.toSorted();
  };
  return { registry, args: [...args, "--insecure-registry", registry.host], cwd: folder.path, blobs };
}

test("tokens that end in between, redirects, an artifact: the same digests", async () => {
  const { registry, args, cwd, blobs } = await scene();
  const done = await here(args, { cwd });
  expect([done.code, done.err]).toEqual([0, expect.stringContaining("1 container image is in the archive\n")]);
  expect([await blobs(), registry.sentBytes]).toEqual([TAKEN, SIZE]);
  expect(registry.asked.filter(({ path }) => path === "/token").length).toBeGreaterThan(2);
  expect(registry.asked.filter(({ host, authorization }) => host === registry.blobHost && authorization !== "")).toEqual([]);
});

test("killed in the middle and run again: what was whole is not fetched again", async () => {
  const { registry, args, cwd, blobs } = await scene();
  const third = `/storage/charm/kafka/image/sha256:${sumsOf(LAYERS[2] ?? new Uint8Array())["sha-256"]}`;
  registry.faults = [{ path: third, stall: MIB, times: 1 }];
  const first = spawn(args, { cwd });
  while (!registry.asked.some(({ path }) => path === third)) await Bun.sleep(20);
  first.kill("SIGKILL");
  await first.exited;
  expect((await chp(args, { cwd })).code).toBe(0);
  expect(await blobs()).toEqual(TAKEN);
  const storage = registry.asked.filter(({ path }) => path.startsWith("/storage/")).map(({ path }) => path);
  expect(storage.filter((path, i) => storage.indexOf(path) !== i)).toEqual([third]);
});
