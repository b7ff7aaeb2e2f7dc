/** What a power cut, a full disk or a neighbour can do to an import. */

import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Package } from "../../src/catalog/package.ts";
import { sumsOf } from "../../src/digest.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { exhaustive } from "../thorough.ts";
import { chp, here, killedAt, spawn, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");

/** A charm of some size, so that an import has many moments to be killed in. */
function spec(name: string, revision: number, size = 200_000): PackageSpec {
  const noise = Buffer.alloc(size, `${name} ${revision} `);
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    revisions: {
      [revision]: charmZip({ name, revision, bases: [jammy], resources: { data: { type: "file", filename: "data" } }, files: { noise } }),
    },
    bases: { [revision]: [jammy] },
    resources: { data: { type: "file", filename: "data", revisions: { [revision]: noise } } },
    releases: [{ channel: "latest/stable", base: jammy, revision, resources: { data: revision } }],
  };
}

const names = Array.from({ length: 6 }, (_, i) => `charm-${i}`);
const exported = (revision: number) => exportOf(names.map((name) => spec(name, revision)));

/** Every package of the newest generation, with every blob that it names read and hashed. */
async function verified(folder: string): Promise<Package[]> {
  const store = await Store.open(new Disk(folder));
  const snapshot = await store.snapshot();
  for (const pkg of await snapshot.packages()) {
    const resources = pkg.resources.flatMap((r) => r.revisions);
    const texts = pkg.revisions.flatMap((r) => Object.values(r.texts));
    for (const digest of [
      ...pkg.revisions.map((r) => r.blob),
      ...resources.map((r) => r.blob),
      ...texts,
      ...(pkg.publisherAssertion ? [pkg.publisherAssertion] : []),
    ]) {
      const blob = await store.blob(digest);
      expect(blob).toBeDefined();
      if (blob) expect(sumsOf(await blob.bytes())["sha-256"]).toBe(digest);
    }
  }
  return snapshot.packages();
}

test("kill -9 at any moment: the store is valid, and shows all of an import or nothing of it", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const file = (revision: number) => {
    const path = join(folder.path, `${revision}.tar.gz`);
    writeFileSync(path, exported(revision));
    return path;
  };
  expect((await chp(["import", "--store", store, file(1)])).code).toBe(0);
  let [landed, killed] = [0, 0];
  const kills = exhaustive ? 30 : 10;
  for (let revision = 2; revision < 2 + kills; revision += 1) {
    const path = file(revision);
    const before = JSON.stringify(await verified(store));
    await killedAt((revision * 240) / kills, store, spawn(["import", "--store", store, path]));
    const after = await verified(store);
    const held = after.map((pkg) => pkg.revisions.some((r) => r.revision === revision));
    expect(new Set(held).size).toBe(1);
    if (held[0]) landed += 1;
    else {
      killed += 1;
      expect(JSON.stringify(after)).toBe(before);
    }
  }
  expect(killed).toBeGreaterThan(kills / 6);
  // What the killed imports left is gone after the next one, once their leases are over.
  for (const left of ["leases", "tmp"]) for (const name of readdirSync(join(store, left))) utimesSync(join(store, left, name), 0, 0);
  expect((await chp(["import", "--store", store, file(99)])).code).toBe(0);
  expect(readdirSync(join(store, "tmp"))).toEqual([]);
  expect(landed + killed).toBe(kills);
});

test("eight imports at the same time into a new store all land, one generation each", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const all = Array.from({ length: 8 }, (_, i) => i);
  for (const i of all) writeFileSync(join(folder.path, `${i}.tar.gz`), exportOf([spec("shared", i), spec(`own-${i}`, i)]));
  const done = await Promise.all(all.map((i) => chp(["import", "--store", store, join(folder.path, `${i}.tar.gz`)])));
  expect(done.map((one) => [one.code, one.err.includes("next:")])).toEqual(all.map(() => [0, true]));
  const packages = await verified(store);
  expect(packages.map((pkg) => pkg.name)).toEqual([...all.map((i) => `own-${i}`), "shared"]);
  expect(packages.at(-1)?.revisions.map((r) => r.revision)).toEqual(all.toReversed());
  expect(readdirSync(join(store, "catalog"))).toHaveLength(8);
});

/** A command of the machine, for tests that need what only root may do. */
const system = (...command: string[]) => Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;

const mounts = (() => {
  using folder = tempFolder();
  return system("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path) && system("umount", folder.path);
})();

test.skipIf(!mounts)("a full disk is exit 1, says what to free, and loses nothing (needs mount)", async () => {
  using folder = tempFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  writeFileSync(join(folder.path, "1.tar.gz"), exportOf([spec("small", 1, 1000)]));
  writeFileSync(join(folder.path, "2.tar.gz"), exportOf([spec("small", 2, 3_000_000)]));
  expect(system("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk)).toBe(true);
  try {
    const store = join(disk, "store");
    expect((await chp(["import", "--store", store, join(folder.path, "1.tar.gz")])).code).toBe(0);
    const done = await chp(["import", "--store", store, join(folder.path, "2.tar.gz")]);
    expect([done.code, done.err]).toEqual([1, expect.stringContaining(`cannot write to ${store}: no space is left on its disk`)]);
    expect(done.err).toContain("free some space there");
    expect((await verified(store)).map((pkg) => pkg.revisions.length)).toEqual([1]);
    expect(readdirSync(join(store, "tmp"))).toEqual([]);
  } finally {
    system("umount", disk);
  }
});

test.skipIf(!mounts)("gc frees what there is where no inode is free (needs mount)", async () => {
  using folder = tempFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  for (const revision of [1, 2]) writeFileSync(join(folder.path, `${revision}.tar.gz`), exportOf([spec("small", revision, 1000)]));
  expect(system("mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=200", "tmpfs", disk)).toBe(true);
  try {
    const store = join(disk, "store");
    for (const revision of [1, 2]) await here(["import", "--store", store, join(folder.path, `${revision}.tar.gz`)]);
    for (let i = 0; ; i += 1)
      try {
        writeFileSync(join(disk, `filler${i}`), "");
      } catch {
        break;
      }
    const gc = ["gc", "--store", store, "--keep-generations", "1", "--keep-days", "0", "--older-than", "0"];
    for (const _ of [1, 2]) expect(await here(gc)).toMatchObject({ code: 0 });
    expect(await verified(store)).toHaveLength(1);
    expect(readdirSync(join(store, "catalog"))).toHaveLength(1);
    expect(await here(["config", "--store", store, "public-url=http://hub.lan"])).toMatchObject({ code: 0 });
  } finally {
    system("umount", disk);
  }
});

test.skipIf(!mounts)("what is known not to fit is refused before anything is read (needs mount)", async () => {
  using folder = tempFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  const file = join(folder.path, "1.tar.gz");
  writeFileSync(file, new Uint8Array(3_000_000));
  expect(system("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk)).toBe(true);
  try {
    const done = await chp(["import", "--store", disk, file]);
    expect([done.code, done.err]).toEqual([
      1,
      expect.stringMatching(/cannot import into .*: 2\.9 MiB are needed and 2\.0 MiB are free\n {2}free some space/),
    ]);
    expect(readdirSync(disk)).toEqual([]);
  } finally {
    system("umount", disk);
  }
});

test.skipIf(!mounts)("a read-only store is served and not written to (needs mount)", async () => {
  using folder = tempFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  writeFileSync(join(folder.path, "1.tar.gz"), exportOf([spec("small", 1, 1000)]));
  expect(system("mount", "-t", "tmpfs", "tmpfs", disk)).toBe(true);
  try {
    const store = join(disk, "store");
    await chp(["import", "--store", store, join(folder.path, "1.tar.gz")]);
    expect(system("mount", "-o", "remount,ro", disk)).toBe(true);
    const { serve } = await import("./chp.ts");
    const served = await serve(store);
    expect(await (await fetch(`${served.url}/v2/charms/info/small`)).json()).toMatchObject({ name: "small" });
    expect(await served.stop()).toBe(0);
    expect(await chp(["import", "--store", store, join(folder.path, "1.tar.gz")])).toMatchObject({
      code: 1,
      err: expect.stringContaining("read-only"),
    });
  } finally {
    system("umount", disk);
  }
});

test("a file larger than the process may write is exit 1, not a crash", async () => {
  using folder = tempFolder();
  const path = join(folder.path, "1.tar.gz");
  writeFileSync(path, exportOf([spec("small", 1, 3_000_000)]));
  const { COMMAND } = await import("./chp.ts");
  const limited = Bun.spawn(
    ["bash", "-c", 'ulimit -f 1000; trap "" XFSZ; exec "$@"', "-", ...COMMAND, "import", "--store", join(folder.path, "store"), path],
    { stdout: "pipe", stderr: "pipe" },
  );
  const err = await new Response(limited.stderr).text();
  expect([await limited.exited, err]).toEqual([1, expect.stringContaining("ulimit -f")]);
});

test("a manifest or generation that is damaged is named, and the server still answers the rest", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  writeFileSync(join(folder.path, "1.tar.gz"), exportOf([spec("one", 1, 1000), spec("two", 1, 1000)]));
  await here(["import", "--store", store, join(folder.path, "1.tar.gz")]);
  const generation = JSON.parse(readFileSync(join(store, "catalog", "0000000001.json"), "utf8"));
  const blob = (digest: string) => join(store, "blobs", "sha256", digest.slice(0, 2), digest);
  const index = JSON.parse(readFileSync(blob(generation.index), "utf8"));
  const { chmodSync } = await import("node:fs");
  chmodSync(blob(index.packages.one[0]), 0o644);
  writeFileSync(blob(index.packages.one[0]), "{}");
  const { serve } = await import("./chp.ts");
  const served = await serve(store);
  expect((await fetch(`${served.url}/v2/charms/info/two`)).status).toBe(200);
  const broken = await fetch(`${served.url}/v2/charms/info/one`);
  expect([broken.status, broken.headers.get("content-type"), await broken.text()]).toEqual([
    500,
    "application/json",
    expect.not.stringContaining(store),
  ]);
  await served.stop();
  expect(served.log()).toContain("content does not match its checksum");
  const shown = await here(["show", "one", "--store", store]);
  expect([shown.code, shown.err]).toEqual([13, expect.stringContaining("put that file back from a copy of the store")]);
});
