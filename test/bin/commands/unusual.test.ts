/** What commands say in stores that are unusual: a name twice, a store that another chp wrote into, a rollback that takes something away. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writingInto } from "../../../bin/machine/serverwrites.ts";
import { Failure } from "../../../src/errors.ts";
import { Disk } from "../../../store/fs.ts";
import { generationKey } from "../../../store/keys.ts";
import { Memory } from "../../../store/memory.ts";
import { Store } from "../../../store/store.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../../build.ts";
import { failureOf } from "../../importing.ts";
import { runProgram } from "../../program.ts";
import { ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
afterAll(() => folder[Symbol.dispose]());

const NOBLE = base("amd64", "24.04");
const HELLO_CHARM: PackageSpec = {
  name: "hello",
  id: "charm-hello".padEnd(32, "x"),
  type: "charm",
  revisions: { 1: charmZip({ name: "hello", revision: 1, bases: [NOBLE] }) },
  releases: [{ channel: "latest/stable", base: NOBLE, revision: 1 }],
};

beforeAll(() => {
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("root.assert"), ROOT);
  writeFileSync(at("charm.tar.gz"), exportOf([HELLO_CHARM]));
});

const run = (store: string, ...args: string[]) => runProgram([...args, "--store", at(store), "--quiet"]);
const importing = (store: string, ...files: string[]) => run(store, "import", "--trust", at("root.assert"), ...files.map(at));

test("where a charm and a snap have a name, a change asks which of them", async () => {
  expect(await importing("both", "snaps.tar.gz", "charm.tar.gz")).toMatchObject({ code: 0 });
  const words = ["override", "hello", "5", "latest/stable", "--reason", "it waits"];
  expect(await run("both", ...words)).toMatchObject({
    code: 2,
    err: "chp: hello is a charm and a snap\n",
    next: "say --snap where the snap is meant",
  });
  expect((await run("both", ...words, "--snap")).err).not.toContain("is a charm and a snap");
});

test("a rollback that would take components from machines is refused, and done with --yes", async () => {
  expect(await run("components", "import", "--trust", at("root.assert"), at("charm.tar.gz"))).toMatchObject({ code: 0 });
  expect(await importing("components", "snaps.tar.gz")).toMatchObject({ code: 0 });
  const store = await Store.open(new Disk(at("components")));
  const snapshot = await store.snapshot();
  const snap = await snapshot.snap("hello");
  if (!snap) throw new Error("hello is stored");
  // As an earlier chp could leave it: the components came later than the revisions.
  await store.publish("2026-06-01T00:00:00Z", async () => ({
    draft: {
      command: "test",
      sources: [],
      sections: { snaps: { changed: [{ ...snap, components: [], pairs: [] }], tally: { hello: { revisions: [], channels: 0 } } } },
      blobs: [],
    },
    result: undefined,
  }));
  const without = (await store.snapshot()).number;
  await store.publish("2026-06-02T00:00:00Z", async () => ({
    draft: {
      command: "test",
      sources: [],
      sections: { snaps: { changed: [snap], tally: { hello: { revisions: [], channels: 0 } } } },
      blobs: [],
    },
    result: undefined,
  }));
  const refused = await run("components", "rollback", String(without));
  expect([refused.code, refused.next]).toEqual([3, "a machine without it cannot refresh any snap; --yes removes it anyway"]);
  expect(refused.err).toMatch(new RegExp(`^chp: machines may have installed what generation ${without} does not have: .*extra`));
  expect((await run("components", "rollback", "--yes", String(without))).code).toBe(0);
});

test("verify says that it did not look at what a newer chp wrote", async () => {
  expect(await importing("newer", "charm.tar.gz")).toMatchObject({ code: 0 });
  expect(await importing("newer", "snaps.tar.gz")).toMatchObject({ code: 0 });
  const storage = new Disk(at("newer"));
  const newest = JSON.parse(Buffer.from((await (await storage.open(generationKey(2)))?.bytes()) ?? "").toString());
  rmSync(at(`newer/${generationKey(2)}`));
  writeFileSync(at(`newer/${generationKey(2)}`), JSON.stringify({ ...newest, format: 99 }));
  expect(await run("newer", "verify")).toMatchObject({
    code: 11,
    err: `chp: a newer chp wrote into ${at("newer")}: what it wrote was not looked at\n`,
    next: "run chp verify of the chp that wrote it",
  });
});

test("a server that may not write, or has no store yet, says so", async () => {
  const none = await failureOf(
    writingInto(await Store.openOrAwait(new Memory()), async () => 1),
    "forbidden",
  );
  expect(none.message).toBe("there is no store yet, where this server looks: chp import FILE makes it");
  const store = await Store.openOrCreate(new Memory());
  for (const code of ["EACCES", "EPERM", "EROFS"]) {
    const fails = async () => {
      throw new Failure("failed", "x", { cause: Object.assign(new Error("no"), { code }) });
    };
    expect((await failureOf(writingInto(store, fails), "forbidden")).message).toStartWith("this server may not write into its store");
  }
});
