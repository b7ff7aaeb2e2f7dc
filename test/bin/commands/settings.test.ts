/** Commands that change settings at once, and settings that can't be read. */

import { expect, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "../../../src/archives/signature.ts";
import { exportOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { storedSettings } from "../../storedsettings.ts";
import { tempFolder } from "../../temp.ts";

test("config, accept-key, token and import-certificate at once: each takes effect", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const run = (...args: string[]) => runProgram([...args, "--store", store, "--quiet"]);
  const keys = [1, 2, 3].map((i) => {
    const { id, public: text } = createKey(`key ${i}`);
    const file = join(folder.path, `${i}.pub`);
    writeFileSync(file, text);
    return { id, file };
  });
  const done = await Promise.all([
    run("config", "public-url=https://hub.lan"),
    run("config", "proxy.oci-registry.domain=registry.lan:5000", "proxy.oci-registry.password=hush"),
    ...keys.map(({ file }) => run("accept-key", file)),
    ...[1, 2, 3].map((i) => run("token", `host${i}`)),
    run("import-certificate", "--selfsigned"),
    run("config", "tls-listen=127.0.0.1:8443"),
  ]);
  expect(done.map(({ code }) => code)).toEqual(done.map(() => 0));
  const { documents, secrets } = storedSettings(store);
  expect(documents["config"]).toMatchObject({
    "public-url": "https://hub.lan",
    "proxy.oci-registry.domain": "registry.lan:5000",
    "tls-listen": ["127.0.0.1:8443"],
  });
  expect(documents["config"]["accepted-keys"]).toHaveLength(3);
  expect(secrets["ociSecret"]?.value).toMatchObject({ "proxy.oci-registry.password": "hush" });
  expect(secrets["tokens"]?.value.tokens.map(({ name }: { name: string }) => name).toSorted()).toEqual(["host1", "host2", "host3"]);
  expect(readdirSync(join(store, "secrets")).length).toBeLessThanOrEqual(7);
  expect((await run("verify")).code).toBe(0);
  expect((await run("accept-key", "--remove", keys[0]?.id ?? "")).code).toBe(0);
  expect(JSON.parse((await run("accept-key", "--json")).out)).toHaveLength(2);
});

test("an import is refused while the accepted keys can't be read: that never means that there are none", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const file = join(folder.path, "e.tar.gz");
  writeFileSync(file, exportOf([SPEC]));
  writeFileSync(join(folder.path, "key.pub"), createKey("site").public);
  const run = (...args: string[]) => runProgram([...args, "--store", store, "--quiet"]);
  expect((await run("accept-key", join(folder.path, "key.pub"))).code).toBe(0);
  expect((await run("import", file)).code).toBe(3);
  const { file: settings } = storedSettings(store);
  for (const text of ["", "{}", "null", '{"format":2,"number":1,"documents":{},"secrets":{}}']) {
    rmSync(settings);
    writeFileSync(settings, text);
    const done = await run("import", file);
    expect([done.code, done.err, done.next]).toEqual([
      13,
      expect.stringContaining(settings),
      expect.stringContaining("put that file back"),
    ]);
    expect((await run("config", "public-url=https://hub.lan")).code).toBe(13);
    expect((await run("verify")).out).toContain("DAMAGED  settings: the settings in");
  }
  expect(readdirSync(store)).not.toContain("catalog");
});

test("image-metadata is read from a file, or standard input, checked, shown in a line, and undone", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const file = join(folder.path, "images.yaml");
  const run = (...args: string[]) => runProgram([...args, "--store", store]);
  const text = (id: string) => `region: R\nendpoint: https://k.lan/v3\narch: amd64\nimages:\n  - {id: ${id}, base: noble}\n`;
  writeFileSync(file, text("a1"));
  const set = await run("config", `image-metadata=@${file}`);
  expect([set.code, set.err]).toEqual([
    0,
    expect.stringContaining("image-metadata = 1 image in R (a running chp serve applies it within a second)"),
  ]);
  expect((await run("config", "--json")).out).toContain('"1 image in R"');
  expect((await run("config", "image-metadata")).out).toBe(text("a1"));
  writeFileSync(file, text("b2"));
  const again = await run("config", `image-metadata=@${file}`, "--json");
  const { undo } = JSON.parse(again.out) as { undo: string };
  expect(undo).toContain("id: a1");
  writeFileSync(file, text("b2").replace("noble", "nobel"));
  const wrong = await run("config", `image-metadata=@${file}`);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("images.0.base: nobel is neither a base")]);
  expect((await run("config", "image-metadata=@missing.yaml")).err).toContain("cannot read missing.yaml");
  expect(storedSettings(store).documents["config"]["image-metadata"]).toContain("id: b2");
  expect((await run("config", "image-metadata=")).code).toBe(0);
  expect(storedSettings(store).documents["config"]).not.toHaveProperty("image-metadata");
  // Of any other setting the sign is a part of its value.
  expect((await run("config", "proxy.oci-registry.username=@me")).code).toBe(0);
  expect(storedSettings(store).documents["config"]["proxy.oci-registry.username"]).toBe("@me");
});
