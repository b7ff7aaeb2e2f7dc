/** Which ends of imports and verifications are recorded: what status says of them, and that no import fails for it. */

import { expect, spyOn, test } from "bun:test";
import { readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../store/store.ts";
import { runProgram } from "../../program.ts";
import { ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { tempFolder } from "../../temp.ts";
import { WORLD } from "../../world.ts";

async function place() {
  const folder = tempFolder();
  const [store, good, bad] = ["store", "good.tar.gz", "bad.tar.gz"].map((name) => join(folder.path, name)) as [string, string, string];
  writeFileSync(good, WORLD);
  writeFileSync(bad, "no archive");
  const run = (...args: string[]) => runProgram([...args, "--store", store, "--quiet"], { HOME: "/nonexistent" });
  const last = async () => {
    const { out } = await run("status", "--json");
    const { lastImport, lastVerify } = JSON.parse(out) as { lastImport: { failed: string | null } | null; lastVerify: object | null };
    return { lastImport, lastVerify };
  };
  return { store, good, bad, run, last, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

test("an import that is published, one that changes nothing, and one that is refused", async () => {
  using at = await place();
  const { good, bad, run, last, store } = at;
  expect((await run("import", good)).code).toBe(0);
  expect((await last()).lastImport).toMatchObject({ failed: null });
  expect((await run("import", bad)).code).toBe(3);
  expect((await last()).lastImport).toMatchObject({ failed: "refused" });
  expect((await run("status")).out).toMatch(/^last import: .*Z, FAILED: refused$/m);
  expect(readdirSync(join(store, "catalog"))).toHaveLength(1);
  expect((await run("import", good)).code).toBe(0); // it is there already
  expect((await last()).lastImport).toMatchObject({ failed: null });
});

test("one whose report cannot be made says that it is published", async () => {
  using at = await place();
  const broken = spyOn(Store.prototype, "snapshotAt").mockRejectedValue(new Error("EIO: i/o error"));
  try {
    const { code, err } = await at.run("import", at.good);
    expect([code, err]).toEqual([14, expect.stringContaining("generation 1 is published, but a later step failed: EIO: i/o error")]);
  } finally {
    broken.mockRestore();
  }
  expect(JSON.parse((await at.run("list", "--json")).out).length).toBeGreaterThan(0);
});

test("one that never began counts too; wrong usage and dry runs do not", async () => {
  using at = await place();
  const { good, bad, run, last } = at;
  await run("import", good);
  for (const args of [
    ["--dry-run", bad],
    ["--channel", "1/2/3/4", bad],
    ["--dry-run", "gone.tar.gz"],
  ]) {
    expect((await run("import", ...args)).code).not.toBe(0);
    expect((await last()).lastImport).toMatchObject({ failed: null });
  }
  truncateSync(bad, 2 ** 45); // no disk has room for it
  expect((await run("import", bad)).err).toContain("are free");
  expect((await last()).lastImport).toMatchObject({ failed: "failed" });
});

test("a dry run trusts what is given for itself alone", async () => {
  using at = await place();
  const { run, store } = at;
  const [root, snaps] = [join(store, "..", "root"), join(store, "..", "snaps.tar.gz")];
  writeFileSync(root, ROOT);
  writeFileSync(snaps, SNAP_WORLD);
  expect(await run("import", at.good)).toMatchObject({ code: 0 });
  expect(await run("import", "--dry-run", "--trust", root, snaps)).toMatchObject({ code: 0 });
  expect(await run("import", snaps)).toMatchObject({ code: 3, err: expect.stringContaining("is not trusted") });
  expect(await run("import", "--trust", root, snaps)).toMatchObject({ code: 0 });
  expect(await run("import", snaps)).toMatchObject({ code: 0 });
});

test("an import that cannot make a store leaves none behind", async () => {
  using at = await place();
  const { store, run } = at;
  expect((await run("import", "gone.tar.gz")).code).toBe(2);
  expect(() => readdirSync(store)).toThrow("ENOENT");
});

test("where the record cannot be written, the import is published and says so", async () => {
  using at = await place();
  const { store, good, run, last } = at;
  await run("import", good);
  await run("remove", "tiny", "--apply");
  // The folder of the records is a file: whatever is written there fails.
  rmSync(join(store, "runs"), { recursive: true });
  writeFileSync(join(store, "runs"), "");
  const done = await runProgram(["import", good, "--store", store], { HOME: "/nonexistent" });
  expect(done.code).toBe(0);
  expect(done.err).toContain("do not show how this import ends");
  expect((await last()).lastImport).toBeNull();
});

test("a verification is recorded with what it found, a dry run is not", async () => {
  using at = await place();
  const { good, run, last } = at;
  await run("import", good);
  await run("verify", "--dry-run");
  expect((await last()).lastVerify).toBeNull();
  expect((await run("verify")).code).toBe(0);
  expect((await last()).lastVerify).toMatchObject({ damaged: 0 });
  expect((await run("status")).out).toMatch(/^last verify: .*Z, no damage$/m);
});
