/** `chp import --repair` puts back indexes, manifests and lists of assertions byte for byte, where the archives prove them. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../../src/digest.ts";
import { Disk } from "../../../store/fs.ts";
import { blobKey } from "../../../store/keys.ts";
import { blobsOf } from "../../../store/reach.ts";
import { Store } from "../../../store/store.ts";
import { base, charmZip, exportOf, type PackageSpec, tgzOf } from "../../build.ts";
import { runProgram } from "../../program.ts";
import { IMAGES, ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { tempFolder } from "../../temp.ts";
import { exhaustive } from "../../thorough.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const NOBLE = base("amd64", "24.04");

function demo(revision: number, channel: string): PackageSpec {
  const zip = charmZip({ name: "demo", revision, bases: [NOBLE] });
  const shared = { name: "demo", id: "demo".repeat(8), type: "charm" } as const;
  return { ...shared, revisions: { [revision]: zip }, bases: { [revision]: [NOBLE] }, releases: [{ channel, base: NOBLE, revision }] };
}

const run = (store: string, ...args: string[]) => runProgram([...args, "--store", at(store)]);
const importing = (store: string, name: string, ...args: string[]) => run(store, "import", "--trust", at("root.assert"), ...args, at(name));

/** The sources of each import, by the generation that it made. */
const SOURCES = ["", "first.tar.gz", "snaps.tar.gz", "second.tar.gz", "both.tar.gz"];
/** every list, with the generation that first named it */
let lists: readonly { readonly name: string; readonly digest: Digest; readonly from: number }[];

beforeAll(async () => {
  writeFileSync(at("root.assert"), ROOT);
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("first.tar.gz"), exportOf([demo(1, "latest/stable")]));
  writeFileSync(at("second.tar.gz"), exportOf([demo(2, "latest/edge")]));
  const pushed = {
    "hello_5.snap": IMAGES["hello_5.snap"] ?? "",
    "a.yaml": "packages: [{name: hello, revision: 5, push_channel: chp_14/edge}]",
  };
  writeFileSync(at("both.tar.gz"), tgzOf({ ...pushed, "charms.tar.gz": exportOf([demo(3, "latest/stable")]) }));
  for (const name of SOURCES.slice(1, -1)) expect(await importing("clean", name)).toMatchObject({ code: 0 });
  // The channel map of the charm is kept, that of the snap is not.
  expect(await run("clean", "push-snap", at("both.tar.gz"))).toMatchObject({ code: 0 });
  lists = await listsOf("clean");
});

afterAll(() => folder[Symbol.dispose]());

async function listsOf(name: string) {
  const store = await Store.open(new Disk(at(name)));
  const seen = new Set<Digest>();
  const found = [];
  for (const generation of await store.history())
    for await (const { digest, what } of blobsOf(store, generation, { seen }))
      if (what.kind === "index" || what.kind === "manifest" || (what.kind === "assertions" && !what.package))
        found.push({ name: what.kind + (what.package ? ` of ${what.package.name}` : ""), digest, from: generation.number });
  return found;
}

function copy(): string {
  rmSync(at("copy"), { recursive: true, force: true });
  cpSync(at("clean"), at("copy"), { recursive: true });
  return "copy";
}

/** Every file of a store but what is staged, with its content. */
function content(name: string): Record<string, string> {
  const files = readdirSync(at(name), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => [
      join(entry.parentPath, entry.name).slice(at(name).length),
      readFileSync(join(entry.parentPath, entry.name), "hex"),
    ]),
  );
}

const pathOf = (store: string, digest: Digest) => join(at(store), blobKey(digest));

test("each list of a history of imports comes back as it was, and nothing else changes", async () => {
  const clean = content("clean");
  expect(lists.map(({ name, from }) => `${name} ${from}`)).toEqual(
    expect.arrayContaining([
      "index 1",
      "manifest of demo 1",
      "index 2",
      "assertions 2",
      "manifest of snapd 2",
      "index 3",
      "manifest of demo 3",
      "manifest of demo 4",
      "manifest of hello 4",
    ]),
  );
  const harms = ["deleted", "damaged"];
  for (const [i, { name, digest, from }] of lists.entries())
    for (const harm of exhaustive ? harms : harms.slice(i % 2).slice(0, 1)) {
      const store = copy();
      const path = pathOf(store, digest);
      if (harm === "deleted") rmSync(path);
      else {
        chmodSync(path, 0o644);
        writeFileSync(path, "damaged");
      }
      const verified = await run(store, "verify", "--dry-run", "--json");
      expect([name, harm, JSON.parse(verified.out).findings]).toEqual([
        name,
        harm,
        expect.arrayContaining([
          expect.objectContaining({ digest, repair: expect.stringContaining(`chp import --repair '${at(SOURCES[from] ?? "")}'`) }),
        ]),
      ]);
      const dry = await importing(store, SOURCES[from] ?? "", "--repair", "--dry-run");
      expect([name, harm, dry.out]).toEqual([name, harm, expect.stringContaining("1 file, ")]);
      const done = await importing(store, SOURCES[from] ?? "", "--repair");
      expect([name, harm, done.code, done.out]).toEqual([name, harm, 0, expect.stringContaining(`since generation ${from}`)]);
      expect(content(store)).toEqual(clean);
    }
});

describe("several that are lost", () => {
  test("the index and the manifest of an import", async () => {
    const store = copy();
    for (const { digest, from } of lists) if (from === 3) rmSync(pathOf(store, digest));
    const done = await importing(store, "second.tar.gz", "--repair");
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("2 files, ")]);
    expect(content(store)).toEqual(content("clean"));
  });

  test("all of all imports, one archive after the other, with their payloads", async () => {
    const store = copy();
    const kept = await Store.open(new Disk(at("clean")));
    const demos = (await (await kept.snapshot()).package("demo"))?.revisions.map(({ blob }) => blob) ?? [];
    for (const digest of [...lists.map((list) => list.digest), ...demos]) rmSync(pathOf(store, digest));
    for (const name of SOURCES.slice(1)) expect(await importing(store, name, "--repair")).toMatchObject({ code: 0 });
    expect(content(store)).toEqual(content("clean"));
  });
});

test("what the archives do not prove is named, and nothing changes", async () => {
  const store = copy();
  const { digest } = lists.find(({ name, from }) => name === "manifest of demo" && from === 3) ?? { digest: "" as Digest };
  rmSync(pathOf(store, digest));
  const damaged = content(store);
  for (const name of ["first.tar.gz", "snaps.tar.gz"]) {
    const done = await importing(store, name, "--repair");
    expect([done.code, done.out]).toEqual([0, "still lost: manifest of demo, since generation 3\nnothing was restored\n"]);
  }
  expect(content(store)).toEqual(damaged);
  expect(existsSync(pathOf(store, digest))).toBe(false);
});

test("what no import made is named", async () => {
  const store = copy();
  expect(await run(store, "release", "demo", "2", "latest/candidate")).toMatchObject({ code: 0 });
  const fresh = (await listsOf(store)).find(({ name, from }) => name === "manifest of demo" && from === 4);
  if (!fresh) throw new Error("nothing was released");
  rmSync(pathOf(store, fresh.digest));
  const done = await importing(store, "second.tar.gz", "--repair", "--json");
  expect(JSON.parse(done.out)).toEqual({ restored: [], stillLost: ["manifest of demo, since generation 4"], dryRun: false });
});
