import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure, isCorrupt } from "../../src/errors.ts";
import { copyStore } from "../../store/backup.ts";
import { check } from "../../store/check.ts";
import { explainDiskError, explainReadError, explainSystemError } from "../../store/diskerrors.ts";
import { Disk } from "../../store/fs.ts";
import { Memory } from "../../store/memory.ts";
import type { StoredObject } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { charmZip, emptyCharm } from "../build.ts";
import { importInto } from "../importing.ts";
import { tempFolder } from "../temp.ts";
import { thorough } from "../thorough.ts";
import { importWorld } from "../world.ts";

const ADVICE = { unharmed: "nothing was published", elsewhere: "name another store with --store" };
const errorOf = (code: string) => Object.assign(new Error(`${code}: said by the system, fsync`), { code });

test.each(["EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EINTR", "ESTALE", "EROFS", "EACCES", "EPERM", "EFBIG"])(
  "%s has words",
  (code) => {
    const failure = explainDiskError(errorOf(code), "/store", ADVICE);
    expect(failure).toMatchObject({ kind: "failed", next: expect.any(String) });
    expect(failure).toMatchObject({
      message: expect.stringMatching(new RegExp(`^cannot write to /store: [a-z ,/-]+ \\(${code}: said by the system\\)$`)),
    });
  },
);

test.each(["EIO", "EMFILE", "EINTR"])("%s has words where something is read, and what it is about stays readable", (code) => {
  expect(explainReadError(errorOf(code), "/store", ADVICE)).toMatchObject({ message: expect.stringContaining("cannot read /store: ") });
});

test("what is missing or not allowed stays as it is where something is read", () => {
  expect(explainReadError(errorOf("EACCES"), "/store/secrets/x", { ...ADVICE, owner: "chp" })).toMatchObject({
    message: expect.stringContaining("cannot read /store/secrets/x: permission is denied"),
    next: "run it as the owner of the store: sudo -u chp chp …",
  });
  for (const code of ["ENOENT", "EXDEV"]) expect(explainReadError(errorOf(code), "/store", ADVICE)).not.toBeInstanceOf(Failure);
});

/** Of its reads, that with this number fails. */
class Failing extends Memory {
  left = Number.POSITIVE_INFINITY;

  override async open(key: string): Promise<StoredObject | undefined> {
    const object = await super.open(key);
    const bytes: StoredObject["bytes"] = async (...range) => {
      if ((this.left -= 1) === 0) throw errorOf("EIO");
      return (await object?.bytes(...range)) ?? new Uint8Array();
    };
    return object && { ...object, bytes };
  }
}

/** A store of few blobs. */
const LITTLE = charmZip({ name: "little", revision: 1, bases: [] });

test("whatever cannot be read while a store is opened and copied counts as damaged, and names what it was", async () => {
  const storage = new Failing();
  const store = await Store.openOrCreate(storage);
  await (thorough ? importWorld(store) : importInto(store, { "little_1.charm": LITTLE }));
  await store.settings.change(["config"], () => ({ config: { "public-url": "https://hub.lan" } }));
  const copy = () => copyStore(storage, Object.assign(new Memory(), { prepare: async () => {} }));
  const said: string[] = [];
  for (let at = 1; ; at += 1) {
    storage.left = at;
    const failure = await copy().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (storage.left > 0) break;
    if (failure === undefined) continue; // it was read again
    if (!isCorrupt(failure)) throw failure;
    said.push(failure.message);
  }
  for (const what of ["format.json", "settings/0000000001.json", "blob ", "generation 1"]) expect(said.join("\n")).toContain(what);
});

test("whatever cannot be read while something is published, nothing is published over it", async () => {
  for (let at = 1; ; at += 1) {
    const storage = new Failing();
    const put = (store: Store, name: string) =>
      store.publish("2026-05-01T00:00:00.000Z", async () => ({
        draft: { command: "test", sources: [], sections: { packages: { changed: [emptyCharm(name)], tally: {} } }, blobs: [] },
        result: undefined,
      }));
    const first = await Store.openOrCreate(storage);
    await put(first, "a");
    await put(first, "b");
    const second = await Store.open(storage);
    storage.left = at;
    await put(second, "c").catch((error: unknown) => {
      if (!isCorrupt(error)) throw error;
    });
    const isOver = storage.left > 0;
    storage.left = Number.POSITIVE_INFINITY;
    const { index } = await (await Store.open(storage)).snapshot();
    expect([at, ...Object.keys(index.packages).slice(0, 2)]).toEqual([at, "a", "b"]);
    if (isOver) break;
    expect(at).toBeLessThan(100);
  }
});

test("verify moves no generation away that the disk could not read once", async () => {
  const storage = new Failing();
  const store = await Store.openOrCreate(storage);
  for (const name of ["a", "b", "c"])
    await store.publish("2026-05-01T00:00:00.000Z", async () => ({
      draft: { command: "test", sources: [], sections: { packages: { changed: [emptyCharm(name)], tally: {} } }, blobs: [] },
      result: undefined,
    }));
  for (let at = 1; at < 10; at += 1) {
    storage.left = at;
    await check(store, { dryRun: false }).catch((error: unknown) => {
      if (!isCorrupt(error)) throw error;
    });
    storage.left = Number.POSITIVE_INFINITY;
    expect([at, await store.generationNumbers()]).toEqual([at, [1, 2, 3]]);
  }
});

test("a copy that failed before its mark was there begins again in the same folder", async () => {
  using folder = tempFolder();
  const storage = new Memory();
  await importWorld(await Store.openOrCreate(storage));
  const disk = new Disk(folder.path, { sync: false });
  await disk.prepare();
  await (await disk.stage()).discard(); // makes the folders that each first change makes
  expect(await disk.list("")).toEqual(["tmp", "trash"]);
  expect(await copyStore(storage, disk)).toMatchObject({ generations: [1] });
});

test("where a file lies in the way of a store's folder, no other folder is advised: that would be an empty store", async () => {
  using folder = tempFolder();
  const disk = new Disk(join(folder.path, "store"), { sync: false });
  await disk.prepare();
  writeFileSync(join(disk.place, "catalog"), "");
  const failure = await disk.create("catalog/0000000001.json", Buffer.from("x")).catch((error: unknown) => error);
  expect(failure).toMatchObject({ kind: "failed", next: "move that file away: chp put none there; then chp verify" });
});

test.each(["EIO", "EMFILE", "ENFILE", "EINTR", "ENOSPC", "EACCES"])("%s has words, wherever it comes from", (code) => {
  const error = Object.assign(new Error(`${code}: something failed, open '/x/y'`), { code, path: "/x/y" });
  const { kind, message, next } = explainSystemError(error) ?? {};
  expect([kind, message?.startsWith("cannot use /x/y: "), message?.includes(code)]).toEqual(["failed", true, true]);
  expect(next).toMatch(/./);
});

test("another error has none", () => {
  expect(explainSystemError(new Error("x is not a function"))).toBeUndefined();
});
