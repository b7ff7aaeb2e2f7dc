/** search, du, diff and log. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sumsOf } from "../../src/digest.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { ROOT, SNAP_WORLD } from "../snapworld.ts";
import { WORLD } from "../world.ts";
import { chp, here, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const run = (command: string, ...args: string[]) => here([command, "--store", at("store"), "--quiet", ...args]);
const json = async (command: string, ...args: string[]) => {
  const done = await run(command, "--json", ...args);
  expect([command, done.code, done.err]).toEqual([command, 0, ""]);
  return JSON.parse(done.out);
};

const jammy = base("amd64", "22.04");
const SHARED = Buffer.alloc(50_000, "the same in both ");

/** A charm whose resource has the same bytes in each of its revisions, and in others' too. */
function spec(name: string, revision: number): PackageSpec {
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    result: { summary: `${name} summary` },
    revisions: { [revision]: charmZip({ name, revision, bases: [jammy], resources: { data: { type: "file", filename: "data" } } }) },
    bases: { [revision]: [jammy] },
    resources: { data: { type: "file", filename: "data", revisions: { [revision]: SHARED } } },
    releases: [{ channel: "latest/stable", base: jammy, revision, resources: { data: revision } }],
  };
}

const FILES: Readonly<Record<string, Uint8Array>> = {
  "1.tar.gz": exportOf([spec("one", 1)]),
  "2.tar.gz": exportOf([spec("one", 2), spec("two", 1)]),
  "world.tar.gz": WORLD,
  "snaps.tar.gz": SNAP_WORLD,
};

beforeAll(async () => {
  writeFileSync(at("root.assert"), ROOT);
  for (const [name, bytes] of Object.entries(FILES)) {
    writeFileSync(at(name), bytes);
    expect((await run("import", "--trust", at("root.assert"), at(name))).code).toBe(0);
  }
});

afterAll(() => folder[Symbol.dispose]());

test("log tells when, what came in, from which file with which digest", async () => {
  const log = await json("log");
  expect(log.map((one: { number: number }) => one.number)).toEqual([4, 3, 2, 1]);
  for (const [i, [name, bytes]] of Object.entries(FILES).toReversed().entries())
    expect(log[i]).toMatchObject({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      command: "import",
      sources: [{ name: at(name), size: bytes.byteLength, sha256: sumsOf(bytes)["sha-256"] }],
    });
  expect(log[2].changed).toEqual({ one: { revisions: [2], channels: 1 }, two: { revisions: [1], channels: 1 } });
  expect((await chp(["log", "--store", at("store")])).out).toContain(`sha256 ${sumsOf(WORLD)["sha-256"]}`);
});

test("search finds charms, bundles and snaps by their words", async () => {
  const names = async (...words: string[]) => (await json("search", ...words)).map((one: { name: string }) => one.name);
  expect(await names("acme-db")).toEqual(["acme-db"]);
  expect(await names("summary", "one")).toEqual(["one"]);
  expect(await names("hello")).toContain("hello");
  expect((await names("acme")).length).toBeGreaterThan(2);
  expect(await names("no-such-thing")).toEqual([]);
  expect((await run("search", "tiny")).out).toMatch(/^tiny\tcharm\tlatest\t/);
  expect((await run("search")).code).toBe(2);
});

test("diff tells packages, revisions, resources, channels and assertions", async () => {
  expect(await json("diff", "1", "2")).toEqual({
    from: 1,
    to: 2,
    packages: [
      {
        name: "one",
        type: "charm",
        state: "changed",
        revisions: { added: [2], removed: [] },
        parts: { added: ["data_2"], removed: [] },
        channels: [{ channel: "latest/stable ubuntu@22.04 amd64", from: 1, to: 2 }],
        overrides: [],
        metadata: ["releases.resources.data"],
      },
      expect.objectContaining({ name: "two", state: "added" }),
    ],
    images: [],
    agents: [],
    assertions: { added: [], removed: [] },
  });
  const back = await json("diff", "2", "1");
  expect(back.packages.map((one: { name: string; state: string }) => [one.name, one.state])).toEqual([
    ["one", "changed"],
    ["two", "removed"],
  ]);
  expect((await json("diff", "3")).assertions.added.length).toBeGreaterThan(5);
  expect((await json("diff", "0", "1")).packages.map((one: { state: string }) => one.state)).toEqual(["added"]);
  expect((await json("diff", "2", "2")).packages).toEqual([]);
  expect((await run("diff", "1", "2")).out).toContain("  latest/stable ubuntu@22.04 amd64: 1 → 2\n");
  expect(await run("diff", "9")).toMatchObject({ code: 1, err: expect.stringContaining("generation 9 is not stored") });
  expect((await run("diff", "x")).code).toBe(2);
});

test("du adds up, and tells what is shared and what only history names", async () => {
  const du = await json("du");
  const sum = (all: readonly { size: number }[]) => all.reduce((total, { size }) => total + size, 0);
  expect(sum(du.kinds) + du.history + du.unreferenced).toBe(du.total);
  expect(du.saved.betweenPackages).toBeGreaterThanOrEqual(SHARED.byteLength);
  expect(du.saved.betweenRevisions).toBeGreaterThanOrEqual(SHARED.byteLength);
  const two = du.packages.find((one: { name: string }) => one.name === "two");
  expect(two.size - two.own).toBeGreaterThanOrEqual(SHARED.byteLength);
  expect(du.history).toBeGreaterThan(0);
  expect(du.unreferenced).toBe(0);
  const stray = "left by an import that was ended";
  const digest = sumsOf(Buffer.from(stray))["sha-256"];
  const shard = at(`store/blobs/sha256/${digest.slice(0, 2)}`);
  mkdirSync(shard, { recursive: true });
  writeFileSync(join(shard, digest), stray);
  expect((await json("du")).unreferenced).toBe(stray.length);
  expect((await run("du")).out).toContain(`unreferenced: ${stray.length} B\n`);
});
