/** `chp inventory --manifest`: a site file of what a store holds, by which another store gets the same. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, bundleZip, charmZip, exportOf, imageBlob, type PackageSpec } from "../../build.ts";
import { serveStore } from "../../manualworld.ts";
import { runProgram } from "../../program.ts";
import { imageOf, indexOf, TestRegistry } from "../../registry.ts";
import { exportOfSnaps, PUBLISHER, SIGNED_ROOT, type SnapSpec, signed } from "../../signedsnaps.ts";
import { tempFolder } from "../../temp.ts";

const [JAMMY, NOBLE, NOBLE_ARM] = [base("amd64", "22.04"), base("amd64", "24.04"), base("arm64", "24.04")];
const KAFKA = indexOf([imageOf({ layers: ["a layer"] }), imageOf({ architecture: "arm64", layers: ["on arm"] })]);
const TOOL = imageOf({ layers: ["a tool"] });

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const registry = TestRegistry.start();
afterAll(async () => {
  ending.abort();
  await registry[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const REFERENCE = registry.push("charm/app/img", KAFKA);
const OTHER = registry.push("charm/app/img", TOOL);
const TEAM = registry.push("team/tool", TOOL, "1.2").replace(/@.*/, ":1.2");

/** `more`: what came since. */
function app(more: boolean): PackageSpec {
  const declared = { data: { type: "file" as const, filename: "data" }, img: { type: "oci-image" as const } };
  const zip = (revision: number, bases = [JAMMY, NOBLE, NOBLE_ARM]) => charmZip({ name: "app", revision, bases, resources: declared });
  return {
    name: "app",
    id: "IDapp",
    type: "charm",
    publisher: PUBLISHER,
    defaultTrack: "14",
    revisions: { 1: zip(1), 2: zip(2), 3: zip(3), ...(more && { 9: zip(9) }) },
    bases: Object.fromEntries([1, 2, 3, 9].map((revision) => [revision, [JAMMY, NOBLE, NOBLE_ARM]])),
    resources: {
      data: { type: "file", filename: "data", revisions: { 1: "one", 2: "two", 3: "three", ...(more && { 4: "four" }) } },
      img: { type: "oci-image", revisions: { 1: imageBlob(REFERENCE), ...(more && { 2: imageBlob(OTHER) }) } },
    },
    releases: [
      { channel: "14/stable", base: JAMMY, revision: 1, resources: { data: 1, img: 1 } },
      { channel: "14/stable", base: NOBLE, revision: 2, resources: { data: 2, img: 1 } },
      { channel: "14/stable", base: NOBLE_ARM, revision: 2, resources: { data: 2, img: 1 } },
      { channel: "14/edge", base: NOBLE, revision: 2, resources: { data: 3, img: 1 } },
      // Without the image that it declares.
      { channel: "latest/beta", base: NOBLE, revision: 3, resources: { data: 3 } },
      ...(more
        ? [JAMMY, NOBLE, NOBLE_ARM].flatMap((on) =>
            ["14/stable", "14/edge", "latest/beta"].map((channel) => ({ channel, base: on, revision: 9, resources: { data: 4, img: 2 } })),
          )
        : []),
    ],
  };
}

const STACK: PackageSpec = {
  name: "stack",
  id: "IDstack",
  type: "bundle",
  publisher: PUBLISHER,
  revisions: { 3: bundleZip("applications:\n  a: {charm: app}\n  p: {charm: never-taken}\n") },
  releases: [
    { channel: "latest/stable", base: null, revision: 3 },
    { channel: "latest/edge", base: null, revision: 3 },
  ],
};

const snaps = (more: boolean): SnapSpec[] => [
  {
    name: "jq",
    yaml: { base: "core22" },
    revisions: { 6: ["amd64"], 7: ["amd64"], 8: ["arm64"], ...(more && { 20: ["amd64", "arm64"] }) },
    channels: { "latest/stable": more ? { amd64: 20, arm64: 20 } : { amd64: 6, arm64: 8 }, "latest/edge": { amd64: more ? 20 : 7 } },
  },
  { name: "all1", yaml: { type: "base" }, revisions: { 1: ["all"] }, channels: { "latest/stable": { all: 1 } } },
];

const MOVED = "applications:\n  app:\n    charm: app\n    resources:\n      img: kafka:local\n";

const run = async (...args: string[]) => {
  const done = await runProgram(args);
  expect([args.slice(0, 2), done.code, done.code === 0 ? "" : done.err]).toEqual([args.slice(0, 2), 0, ""]);
  return done;
};

async function bring(store: string, more: boolean, yaml?: string): Promise<void> {
  const given = at(`${store}-${more}`);
  mkdirSync(given);
  writeFileSync(join(given, "charms.tar.gz"), exportOf([app(more), STACK], yaml));
  writeFileSync(join(given, "snaps.tar.gz"), exportOfSnaps(snaps(more).map(signed)));
  await run("import", "--store", at(store), "--trust", at("root.assert"), given);
}

let exports = 0;
let upstream = "";
const ending = new AbortController();

/** Exports the site from the store outside, and imports it into that store. */
async function carry(site: string, store: string, ...flags: string[]): Promise<void> {
  const where = at(`out${(exports += 1)}`);
  mkdirSync(where);
  writeFileSync(join(where, "site.yaml"), site);
  const source = ["--charmhub-url", upstream, "--insecure-registry", registry.host, "--export-dir", where];
  const done = await run("export", "-f", join(where, "site.yaml"), ...source, ...flags);
  expect(done.err).not.toMatch(/^adding (?!image)/m);
  const [archive = ""] = readdirSync(where).filter((name) => name.endsWith(".tar"));
  await run("import", "--store", at(store), "--trust", at("root.assert"), join(where, archive));
}

/** What is stored by digest, and all channel maps. */
async function contentOf(store: string) {
  const releases = async (name: string) => {
    const shown = JSON.parse((await run("show", name, "--store", at(store), "--json")).out);
    const rows = shown.releases as object[];
    return rows.map((row) => JSON.stringify({ ...row, releasedAt: "" })).toSorted();
  };
  return {
    inventory: JSON.parse((await run("inventory", "--store", at(store))).out),
    releases: await Promise.all(["app", "stack", "jq"].map(releases)),
    images: JSON.parse((await run("images", "--store", at(store), "--json", "--offline")).out),
  };
}

const manifestOf = (store: string) => run("inventory", "--manifest", "--store", at(store));

beforeAll(async () => {
  writeFileSync(at("root.assert"), SIGNED_ROOT);
  await bring("outside", false);
  await bring("outside", true);
  upstream = await serveStore(at("outside"), ending.signal);
  await bring("inside", false, MOVED);
  // A revision that is in no channel any more, and a channel that an operator set.
  await run("close", "app", "14/edge", "--store", at("inside"));
  await run("release", "jq", "6", "chp_1/edge", "--store", at("inside"));
  await run("close", "jq", "latest/edge", "--store", at("inside"));
});

test("another store gets the same by it, while upstream has moved on", async () => {
  const { out, err } = await manifestOf("inside");
  expect(Bun.YAML.parse(out)).toEqual({
    without: ["bundle-charms", "charm-snaps", "bases", "providers", "snapd", "images"],
    charms: [
      {
        name: "app",
        revision: 2,
        channels: ["14/stable"],
        bases: ["ubuntu@24.04"],
        architectures: ["amd64", "arm64"],
        resources: { data: 2, img: { revision: 1, path: "kafka:local" } },
      },
      {
        name: "app",
        revision: 1,
        channels: ["14/stable"],
        bases: ["ubuntu@22.04"],
        architectures: ["amd64"],
        resources: { data: 1, img: { revision: 1, path: "kafka:local" } },
      },
      {
        name: "app",
        revision: 3,
        channels: ["latest/beta"],
        bases: ["ubuntu@24.04"],
        architectures: ["amd64"],
        resources: { data: 3, img: { revision: "none" } },
      },
    ],
    bundles: [{ name: "stack", revision: 3, channels: ["latest/stable", "latest/edge"] }],
    snaps: [
      { name: "all1", revision: 1, channels: ["latest/stable"], architectures: expect.arrayContaining(["amd64", "riscv64"]) },
      { name: "jq", revision: 6, channels: ["latest/stable", "chp_1/edge"], architectures: ["amd64"] },
      { name: "jq", revision: 8, channels: ["latest/stable"], architectures: ["arm64"] },
      { name: "jq", revision: 7, channels: "none", architectures: ["amd64"] },
    ],
  });
  expect(err).toBe("next, on the connected side: chp export -f FILE\n");
  await carry(out, "next");
  expect(await contentOf("next")).toEqual(await contentOf("inside"));
  expect((await manifestOf("next")).out).toBe(out);
});

test("a revision of a charm that is in no channel, and a resource that goes with none, come along", async () => {
  await bring("closed", false);
  await run("close", "app", "latest/beta", "--store", at("closed"));
  await run("close", "app", "14/edge", "--store", at("closed"));
  await run("close", "app", "14/stable", "--base", "22.04", "--store", at("closed"));
  const { out } = await manifestOf("closed");
  expect((Bun.YAML.parse(out) as { charms: { revision: number; channels: unknown }[] }).charms).toMatchObject([
    { revision: 2, channels: ["14/stable"] },
    { revision: 1, channels: "none", resources: { data: 1, img: 1 } },
    { revision: 3, channels: "none", resources: { data: 3, img: { revision: "none" } } },
  ]);
  await carry(out, "closed-next");
  const [a, b] = [await contentOf("closed"), await contentOf("closed-next")];
  expect(b.inventory).toEqual(a.inventory);
  expect(b.releases).toEqual(a.releases);
});

test("images come by their charms where all of them are stored, and else by name", async () => {
  const site = `bases: [noble]\ncharms: [{name: app, revision: 2, channels: [14/stable], bases: [noble], resources: {data: 2, img: 1}}]\nimages: [${TEAM}]\nwithout: [snapd]\n`;
  await carry(site, "pictured");
  const all = await manifestOf("pictured");
  expect(Bun.YAML.parse(all.out)).toMatchObject({
    without: ["bundle-charms", "charm-snaps", "bases", "providers", "snapd"],
    images: [`${TEAM}@sha256:${TOOL.digest}`],
  });
  await carry(all.out, "pictured-next");
  const read = async (store: string) => (await run("inventory", "--store", at(store))).out;
  expect(await read("pictured-next")).toBe(await read("pictured"));
  expect((await manifestOf("pictured-next")).out).toBe(all.out);

  // Another revision of the charm comes without its image.
  const more = site
    .replace("revision: 2", "revision: 9")
    .replace("{data: 2, img: 1}", "{data: 4, img: 2}")
    .replace(`images: [${TEAM}]\n`, "");
  await carry(more.replace("[snapd]", "[snapd, images]"), "pictured");
  const some = await manifestOf("pictured");
  expect(Bun.YAML.parse(some.out)).toMatchObject({
    without: expect.arrayContaining(["charm-images"]),
    images: [REFERENCE, `${TEAM}@sha256:${TOOL.digest}`],
  });
  await carry(some.out, "pictured-last");
  expect(await read("pictured-last")).toBe(await read("pictured"));
});

test("it is YAML alone, and says where there is nothing, or what cannot be had again", async () => {
  expect(await runProgram(["inventory", "--manifest", "--json", "--store", at("inside")])).toMatchObject({ code: 2 });
  await run("rollback", "1", "--store", at("next"));
  writeFileSync(at("lone_r5.charm"), charmZip({ name: "lone", revision: 5, bases: [NOBLE] }));
  await run("import", "--store", at("next"), at("lone_r5.charm"));
  const { err } = await manifestOf("next");
  expect(err).toContain("lone came without the metadata of a store: where it was built here, no store has it\n");
});
