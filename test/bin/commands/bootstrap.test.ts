/** What doctor --juju and juju-config say of a store, by the server that serves it and without. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrapFiles, bootstrapThings } from "../../bootstrapworld.ts";
import { serveStore } from "../../manualworld.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const VERSION = "3.6.11";
const THINGS = bootstrapThings([VERSION]);

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const ending = new AbortController();
afterAll(() => {
  ending.abort();
  folder[Symbol.dispose]();
});

/** A store with these things, and its server. */
async function storeOf(name: string, things: readonly string[]): Promise<string> {
  mkdirSync(at(name, "media"), { recursive: true });
  for (const [file, bytes] of Object.entries(bootstrapFiles(things))) writeFileSync(at(name, "media", file), bytes);
  const keys = ["--trust", at(name, "media", "root.assert"), "--streams-key", at(name, "media", "streams.asc")];
  const done = await runProgram(["import", "--store", at(name, "store"), ...keys, at(name, "media")]);
  expect([done.code, done.code === 0 ? "" : done.err]).toEqual([0, ""]);
  const url = await serveStore(at(name, "store"), ending.signal);
  expect((await runProgram(["config", `public-url=${url}`, "--store", at(name, "store")])).code).toBe(0);
  return url;
}

interface Finding {
  readonly check: string;
  readonly what: string;
  readonly next: string;
}

async function doctor(name: string, ...args: string[]) {
  const { out } = await runProgram(["doctor", "--json", "--store", at(name, "store"), ...args]);
  const { findings, passed } = JSON.parse(out) as { findings: Finding[]; passed: { check: string; what: string }[] };
  return {
    findings: findings.flatMap(({ check, what }) => (check === "juju" ? [what] : [])),
    passed: passed.flatMap(({ check, what }) => (check === "juju" ? [what] : [])),
  };
}

describe("a store with everything", () => {
  let url = "";
  beforeAll(async () => {
    url = await storeOf("all", THINGS);
  });

  test.each([["3.6"], [VERSION], [`${VERSION}-ubuntu-amd64`]])(
    "lacks nothing for Juju %s, as its server answers and as the store is",
    async (juju) => {
      for (const more of [[], ["--offline"]]) {
        const { findings, passed } = await doctor("all", "--juju", juju, ...more);
        expect(findings).toEqual([]);
        expect(passed).toContain("Juju 3.6.11 can bootstrap, on amd64, arm64");
        expect(passed.some((what) => what.includes("no server"))).toBe(more.length > 0);
      }
    },
  );

  test("is what juju-config points at, on each kind of cloud", async () => {
    const config = async (...args: string[]) => {
      const done = await runProgram(["juju-config", "--store", at("all", "store"), ...args]);
      expect(done.code).toBe(0);
      return { settings: Bun.YAML.parse(done.out) as Record<string, string>, err: done.err };
    };
    const lxd = await config("--juju", "3.6", "--cloud", "lxd");
    expect(Object.keys(lxd.settings)).toEqual(["cloudinit-userdata", "charmhub-url", "agent-metadata-url"]);
    expect(lxd.settings["agent-metadata-url"]).toBe(`${url}/juju/tools`);
    const k8s = await config("--juju", "3.6", "--cloud", "k8s");
    expect(Object.keys(k8s.settings)).toEqual(["charmhub-url", "caas-image-repo"]);
    expect(JSON.parse(k8s.settings["caas-image-repo"] ?? "")).toEqual({ serveraddress: url, repository: `${new URL(url).host}/juju` });
    const openstack = await config("--juju", "3.6", "--cloud", "openstack");
    expect(Object.keys(openstack.settings)).toEqual([
      "cloudinit-userdata",
      "charmhub-url",
      "agent-metadata-url",
      "image-metadata-defaults-disabled",
    ]);
    expect(openstack.err).toContain("image-metadata-url is omitted: no system image is named; chp config image-metadata=@images.yaml");
    expect((await doctor("all", "--juju", "3.6", "--cloud", "openstack")).findings).toEqual([expect.stringContaining("no system image")]);
    const yaml = at("images.yaml");
    writeFileSync(yaml, "region: R\nendpoint: https://k.lan/v3\narch: amd64\nimages: [{id: a1, base: noble}]\n");
    expect((await runProgram(["config", `image-metadata=@${yaml}`, "--store", at("all", "store")])).code).toBe(0);
    expect((await config("--juju", "3.6", "--cloud", "openstack")).settings["image-metadata-url"]).toBe(`${url}/juju/images`);
    expect((await runProgram(["juju-config", "--juju", "4.0", "--cloud", "lxd", "--store", at("all", "store")])).code).toBe(1);
    expect((await runProgram(["juju-config", "--juju", "3.6", "--store", at("all", "store")])).code).toBe(2);
  });
});

test("what an export with essentials took is all that a bootstrap asks for, from one chp to the next", async () => {
  // Of the newest 3.6 another database is taken as well, in case that upstream has it.
  const upstream = await storeOf("outside", [...THINGS, "snap juju-db 4.4.30/stable"]);
  writeFileSync(at("site.yaml"), 'essentials: {juju: "3.6"}\narchitectures: [amd64, arm64]\n');
  const keys = ["--streams-key", at("outside", "media", "streams.asc")];
  const from = ["--charmhub-url", upstream, "--snapstore-url", upstream];
  const done = await runProgram(["export", "-f", at("site.yaml"), "--export-dir", at("out"), "--json", ...from, ...keys]);
  expect([done.code, done.code === 0 ? "" : done.err]).toEqual([0, ""]);
  const [archive] = (JSON.parse(done.out) as { archives: { paths: string[] }[] }).archives;
  const store = at("inside", "store");
  const trusted = ["--trust", at("outside", "media", "root.assert"), ...keys];
  const imported = await runProgram(["import", archive?.paths[0] ?? "", "--store", store, ...trusted]);
  expect([imported.code, imported.code === 0 ? "" : imported.err]).toEqual([0, ""]);
  const url = await serveStore(store, ending.signal);
  expect((await runProgram(["config", `public-url=${url}`, "--store", store])).code).toBe(0);
  for (const more of [[], ["--offline"], ["--cloud", "lxd"], ["--cloud", "k8s"]]) {
    const { findings, passed } = await doctor("inside", "--juju", "3.6", ...more);
    expect([findings, passed.some((what) => what.startsWith("Juju 3.6.11 can bootstrap"))]).toEqual([[], true]);
  }
  const agents = await runProgram(["remove", "juju-3.6.11-linux-arm64.tgz", "--plan", at("plan.json"), "--store", store]);
  expect(agents.code).toBe(0);
  expect((await runProgram(["remove", "--apply", at("plan.json"), "--store", store])).code).toBe(0);
  const { findings } = await doctor("inside", "--juju", "3.6");
  expect(findings).toEqual(["the agent of Juju 3.6.11 for arm64 is not stored"]);
});

test.each(THINGS.filter((thing) => !thing.startsWith("agent") && !thing.startsWith("charm ")))(
  "without %s exactly that is named, whoever is asked",
  async (thing) => {
    const name = thing.replace(/\W+/g, "-");
    await storeOf(
      name,
      THINGS.filter((other) => other !== thing),
    );
    const answers = await Promise.all([[], ["--offline"]].map((more) => doctor(name, "--juju", VERSION, ...more)));
    const [asked, looked] = answers.map(({ findings }) => findings);
    expect(asked).toEqual(looked as string[]);
    // Of each architecture there is one.
    expect(asked).toHaveLength(2);
    const words = thing
      .split(" ")
      .slice(1)
      .map((word) => word.replace("ghcr.io/", ""));
    for (const what of asked ?? []) for (const word of words) expect(what).toContain(word);
  },
);

test("with the controller's charm alone all else is named, and nothing of it printed as if it worked", async () => {
  await storeOf("bare", ["charm 3.6/stable"]);
  const { findings } = await doctor("bare", "--juju", "3.6");
  expect(findings.map((what) => / (agent|juju-db|core|snapd|image) /.exec(what)?.[1])).toEqual([
    "agent",
    "juju-db",
    "core",
    "snapd",
    "juju-db",
    "core",
    "snapd",
    "image",
  ]);
  const done = await runProgram(["juju-config", "--bootstrap", "--store", at("bare", "store")]);
  expect(done.code).toBe(0);
  expect(Object.keys(Bun.YAML.parse(done.out) as object)).toEqual(["cloudinit-userdata", "charmhub-url"]);
  for (const key of ["agent-metadata-url", "caas-image-repo"]) {
    expect(done.out).toContain(`# ${key} is omitted: no `);
    expect(done.err).toContain(`${key} is omitted: no `);
  }
});
