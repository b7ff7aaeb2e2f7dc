/** Settings as files: what is exported means the same where it is imported, and what can't be meant is refused as a whole. */

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { openStore } from "../../../bin/machine/openstore.ts";
import { watchCloudImages } from "../../../bin/machine/settings.ts";
import { readSettingsYaml } from "../../../bin/machine/settingsyaml.ts";
import { createAuthority, issueServer } from "../../../src/settings/authority.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { storedSettings } from "../../storedsettings.ts";
import { tempFolder } from "../../temp.ts";
import { runs } from "../../thorough.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());

let stores = 0;
const newStore = () => join(folder.path, `store${(stores += 1)}`);
const run = (store: string, args: readonly string[], input: readonly Uint8Array[] = []) =>
  runProgram([...args, "--store", store], {}, "chp", undefined, {
    input: async function* () {
      yield* input;
    },
  });

describe("config --import-yaml", () => {
  test("says of each setting whether it was set or unset: one without a value is unset", async () => {
    const store = newStore();
    const yaml = "public-url: https://hub.lan\nlisten: [127.0.0.1:1, 127.0.0.1:2]\nproxy:\n  oci-registry:\n    domain: registry.lan\n";
    expect((await run(store, ["config", "--import-yaml"], [Buffer.from(yaml)])).out).toBe(
      "set public-url\nset listen\nset proxy.oci-registry.domain\n",
    );
    expect(storedSettings(store).documents["config"]).toMatchObject({
      "public-url": "https://hub.lan",
      listen: ["127.0.0.1:1", "127.0.0.1:2"],
    });
    const file = join(folder.path, "less.yaml");
    writeFileSync(file, 'public-url:\nlisten: ""\nproxy:\n  oci-registry:\n    domain: null\n    username: puller\n');
    expect((await run(store, ["config", "--import-yaml", file])).out).toBe(
      "unset public-url\nunset listen\nunset proxy.oci-registry.domain\nset proxy.oci-registry.username\n",
    );
    const { config } = storedSettings(store).documents;
    for (const key of ["public-url", "listen", "proxy.oci-registry.domain"]) expect(config).not.toHaveProperty([key]);
    expect(JSON.parse((await run(store, ["config", "--import-yaml", file, "--json"])).out)).toMatchObject({
      settings: [
        { key: "public-url", state: "unset" },
        { key: "listen", state: "unset" },
        { key: "proxy.oci-registry.domain", state: "unset" },
        { key: "proxy.oci-registry.username", state: "set" },
      ],
    });
  });

  test("is refused from standard input above 1 MiB, before all of it was read", async () => {
    const store = newStore();
    let read = 0;
    const endless = async function* () {
      for (; read < 1000; read += 1) yield Buffer.alloc(2 ** 16, "#");
    };
    const { code, err } = await runProgram(["config", "--import-yaml", "-", "--store", store], {}, "chp", undefined, { input: endless });
    expect([code, err]).toEqual([3, "chp: standard input: it is too large for a file of settings\n"]);
    expect(read).toBeLessThan(20);
    expect((await run(store, ["config", "--import-yaml"], [Buffer.alloc(2 ** 20, "#")])).code).toBe(3); // it fits, and holds nothing
  });

  test("refuses what is no YAML, with the line that says why", () => {
    for (const text of ['public-url: "https://hub.lan\n', "public-url: [a\n", "a: b\n  c: d\n"])
      expect(() => readSettingsYaml(text, "site.yaml")).toThrow(/^site\.yaml: [^\n]+ at line \d+, column \d+:?$/);
  });

  test("reads texts as they are written, whatever YAML would make of them", () => {
    const plain = fc.stringMatching(/^[a-z0-9][a-z0-9.]{0,8}$/);
    fc.assert(
      fc.property(fc.array(plain, { minLength: 1, maxLength: 3 }), plain, (listen, password) => {
        const { texts } = readSettingsYaml(`listen: [${listen.join(", ")}]\nproxy.oci-registry.password: ${password}\n`, "it");
        const shown = (text: string) => (/^(null|~)$/.test(text) ? "" : text);
        if (listen.some((text) => shown(text) === "")) return;
        expect(texts).toEqual([`listen=${listen.join(",")}`, `proxy.oci-registry.password=${shown(password)}`]);
      }),
      { numRuns: runs(200) },
    );
  });
});

test("a registry that is replaced beside another setting is known for a while, so that its images are found", async () => {
  const store = newStore();
  const former = () => (storedSettings(store).secrets["ociSecret"]?.value.former ?? []).map(({ domain }: { domain: string }) => domain);
  const registry = "proxy.oci-registry.domain";
  expect(
    (await run(store, ["config", `${registry}=first.lan:5000`, "proxy.oci-registry.username=a", "proxy.oci-registry.password=b"])).code,
  ).toBe(0);
  expect((await run(store, ["config", "web=off"])).code).toBe(0); // nothing of a registry
  expect(former()).not.toContain("first.lan:5000");
  expect((await run(store, ["config", `${registry}=second.lan:5000`, "web=on"])).code).toBe(0);
  expect(former()).toContain("first.lan:5000");
  expect((await run(store, ["config", "web=off", `${registry}=third.lan:5000`])).code).toBe(0);
  expect(former()).toEqual(expect.arrayContaining(["first.lan:5000", "second.lan:5000"]));
});

test("the system images of clouds are those of the setting, as a running server asks for them", async () => {
  const path = newStore();
  const file = join(folder.path, "images.yaml");
  writeFileSync(
    file,
    "images:\n- {id: 11111111-2222-3333-4444-555555555555, base: ubuntu@24.04, arch: amd64, region: RegionOne, endpoint: 'https://keystone.lan:5000/v3'}\n",
  );
  const done = await run(path, ["config", `image-metadata=@${file}`]);
  expect([done.code, done.err.split("\n")[0]]).toEqual([0, expect.stringContaining("image-metadata")]);
  const images = watchCloudImages(await openStore({ store: path }, SILENT_IO), {});
  expect(await images()).toMatchObject([{ id: "11111111-2222-3333-4444-555555555555", region: "RegionOne" }]);
  expect((await run(path, ["config", "image-metadata="])).code).toBe(0);
  expect(await watchCloudImages(await openStore({ store: path }, SILENT_IO), {})()).toEqual([]);
});

test("a certificate and its key are read from the files that are named, or one that has both", async () => {
  const authority = await createAuthority("site CA", Date.now());
  const { certificate, key } = await issueServer(authority, ["hub.lan"], Date.now());
  const files = { cert: certificate, key, both: `${certificate}\n${key}` };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, `${name}.pem`), text);
  const at = (name: string) => join(folder.path, `${name}.pem`);
  for (const [cert, secret] of [
    ["cert", "key"],
    ["both", "both"],
  ] as const) {
    const done = await run(newStore(), ["import-certificate", "--cert", at(cert), "--key", at(secret)]);
    expect([done.code, done.err.includes("chp: ")]).toEqual([0, false]);
    expect(done.out).toContain("names: hub.lan");
  }
  const store = newStore();
  const missing = await run(store, ["import-certificate", "--cert", at("nope"), "--key", at("key")]);
  expect([missing.code, missing.err]).toEqual([1, `chp: cannot read ${at("nope")}: ENOENT: no such file or directory\n`]);
  expect(() => readFileSync(join(store, "format.json"))).toThrow(); // nothing was made for it
});
