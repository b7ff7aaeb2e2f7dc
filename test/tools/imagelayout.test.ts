/** The images of an archive are an image layout: skopeo copies them out of it, with their digests. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sumsOf } from "../../src/digest.ts";
import { runProgram } from "../program.ts";
import { imageOf, indexOf, TestRegistry } from "../registry.ts";
import { tempFolder } from "../temp.ts";

const layer = (text: string) => Bun.gzipSync(Buffer.from(text.padEnd(1024, "\0")));

test.skipIf(!Bun.which("skopeo"))("skopeo copies an image of one architecture out of a sparse index", async () => {
  const image = imageOf({ layers: [layer("one"), layer("two")] });
  await using registry = TestRegistry.start();
  const reference = registry.push("acme/tool", indexOf([imageOf({ architecture: "arm64", layers: [layer("three")] }), image]), "1");
  using folder = tempFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  writeFileSync(at("site.yaml"), `images: ["${reference}"]\n`);
  const flags = ["--insecure-registry", registry.host, "--export-dir", at("out")];
  expect((await runProgram(["export", "-f", at("site.yaml"), ...flags])).code).toBe(0);
  const [name = ""] = readdirSync(at("out"));
  await new Bun.Archive(readFileSync(at("out", name))).extract(folder.path);
  const from = `oci:${at("images")}:${reference}`;
  const copied = Bun.spawnSync(["skopeo", "copy", "--override-arch", "amd64", "--preserve-digests", from, `dir:${at("copied")}`]);
  expect(copied.exitCode).toBe(0);
  expect(sumsOf(readFileSync(at("copied", "manifest.json")))["sha-256"]).toBe(image.digest);
});
