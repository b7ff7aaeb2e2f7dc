import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { randomBytes } from "node:crypto";
import * as fsNow from "node:fs";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import type { Expected } from "../../src/catalog/generation-types.ts";
import { type BeginSums, Summer, sumsHere, sumsOf } from "../../src/digest.ts";
import { reason } from "../../src/errors.ts";
import { Disk } from "../../store/fs.ts";
import { ingest } from "../../store/ingest.ts";
import { endLeases } from "../../store/lease.ts";
import { Memory } from "../../store/memory.ts";
import { Bucket } from "../../store/s3.ts";
import { Spool } from "../../store/spool.ts";
import { type ObjectKind, PIECE, piecesOf, readPieces, type Stage, type Storage } from "../../store/storage.ts";
import { bytesBy, noise } from "../build.ts";
import { realBucket } from "../realbucket.ts";
import { S3Engine } from "../s3engine.ts";

const folders: string[] = [];

function tempFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "chp-storage-"));
  folders.push(path);
  return path;
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

async function stageOf(storage: Storage, text: string, kind?: ObjectKind): Promise<Stage> {
  const stage = await storage.stage(kind);
  await stage.write(bytes(text));
  await stage.end();
  return stage;
}

async function put(storage: Storage, key: string, text: string, kind?: ObjectKind): Promise<void> {
  const stage = await stageOf(storage, text, kind);
  await stage.commit(key);
}

async function get(storage: Storage, key: string): Promise<string | undefined> {
  const object = await storage.open(key);
  return object && Buffer.from(await object.bytes()).toString();
}

/** A bucket needs neither of the two: others see no stage of it, and nothing of it is renamed. */
const [DISKS, BUCKETS] = [{ hasStages: true }, { hasStages: false }];
const sealer = async () => ({ seal: (_key: string, plain: Uint8Array) => plain, unseal: (_key: string, sealed: Uint8Array) => sealed });
const real = realBucket();

const IMPLEMENTATIONS: readonly (readonly [string, () => Storage, typeof DISKS])[] = [
  ["memory", () => new Memory(), DISKS],
  ["disk", () => new Disk(join(tempFolder(), "store"), { sync: false }), DISKS],
  ["disk, synced", () => new Disk(join(tempFolder(), "store")), DISKS],
  ["bucket", () => new Bucket({ client: new S3Engine().client(), spool: new Spool(), sealer }), BUCKETS],
  ...(real ? [["real bucket", () => new Bucket({ client: real(), spool: new Spool(), sealer }), BUCKETS] as const] : []),
];

/** What every storage promises. */
describe.each(IMPLEMENTATIONS)("%s", (_, make, { hasStages }) => {
  const storages: Storage[] = [];
  const fresh = () => {
    const storage = make();
    storages.push(storage);
    return storage;
  };

  test("there is nothing at first", async () => {
    const storage = fresh();
    expect([await storage.open("a/b"), await storage.has("a/b"), await storage.list("a/")]).toEqual([undefined, false, []]);
  });

  test("staged bytes are invisible until they are committed, and then there whole", async () => {
    const storage = fresh();
    const stage = await storage.stage();
    for (const part of ["one ", "two ", "three"]) await stage.write(bytes(part));
    expect(await storage.has("a/b")).toBe(false);
    await stage.end();
    expect([await storage.has("a/b"), await storage.list("a/")]).toEqual([false, []]);
    await stage.commit("a/b");
    expect([await storage.has("a/b"), await storage.list("a/"), await get(storage, "a/b")]).toEqual([true, ["a/b"], "one two three"]);
  });

  test("a chunk may be used again once it was written", async () => {
    const storage = fresh();
    const stage = await storage.stage();
    const chunk = bytes("first");
    await stage.write(chunk);
    chunk.set(bytes("other"));
    await stage.write(chunk);
    await stage.end();
    await stage.commit("k");
    expect(await get(storage, "k")).toBe("firstother");
  });

  test("an object has its bytes in pieces too, of any size", async () => {
    const storage = fresh();
    for (const size of [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5]) {
      const stage = await storage.stage();
      const content = noise(size, 1);
      await stage.write(content);
      await stage.end();
      await stage.commit("k");
      const object = await storage.open("k");
      const [sums, sizes] = [new Summer(), [] as number[]];
      for await (const piece of object ? readPieces(object) : []) {
        sums.update(piece); // it is valid now alone
        sizes.push(piece.byteLength);
      }
      expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(PIECE);
      expect(sums.sums()).toEqual(sumsOf(content));
    }
  });

  test("an object may be empty", async () => {
    const storage = fresh();
    await put(storage, "empty", "");
    expect([(await storage.open("empty"))?.size, await get(storage, "empty")]).toEqual([0, ""]);
    expect(await storage.create("created", bytes(""))).toBe(true);
    expect((await storage.open("created"))?.size).toBe(0);
  });

  test("a commit replaces what has that name; what was opened before keeps its size", async () => {
    const storage = fresh();
    await put(storage, "k", "before");
    const opened = await storage.open("k");
    await put(storage, "k", "after it");
    expect([await get(storage, "k"), opened?.size]).toEqual(["after it", 6]);
  });

  test("staged bytes are hashed, and by what else was asked for", async () => {
    const stage = await fresh().stage("immutable", { also: ["sha-384"] });
    for (const part of ["one ", "two"]) await stage.write(bytes(part));
    expect(await stage.end()).toEqual(sumsOf(bytes("one two"), ["sha-384"]));
    await stage.discard();
  });

  test.each<[string, Expected, string]>([
    ["size", { size: 4 }, "what was staged has 3 bytes instead of 4"],
    ["digest", { digest: sumsOf(bytes("not"))["sha-256"] }, "what was staged content does not match its checksum"],
    [
      "digest, named",
      { size: 3, digest: sumsOf(bytes("not"))["sha-256"], what: "blob b", next: "n" },
      "blob b content does not match its checksum",
    ],
  ])("a commit of another %s than expected is refused, and leaves nothing visible", async (_what, expected, message) => {
    const storage = fresh();
    const stage = await stageOf(storage, "abc");
    const error = await stage.commit("a/b", expected).then(
      () => "it was committed",
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ kind: "corrupt", message, next: expected.next });
    expect([await storage.has("a/b"), await storage.list("a/"), await storage.open("a/b")]).toEqual([false, [], undefined]);
    await stage.discard();
    expect(await storage.list("tmp/")).toEqual([]);
  });

  test("a refused commit leaves what had that name", async () => {
    const storage = fresh();
    await put(storage, "k", "before");
    const stage = await stageOf(storage, "after");
    await stage.commit("k", { size: 6 }).catch(() => {});
    await stage.discard();
    expect(await get(storage, "k")).toBe("before");
  });

  test("a commit of what is expected is done", async () => {
    const storage = fresh();
    const stage = await stageOf(storage, "abc");
    await stage.commit("k", { size: 3, digest: sumsOf(bytes("abc"))["sha-256"] });
    expect(await get(storage, "k")).toBe("abc");
  });

  test("bytes that were staged can be read, whole and in part", async () => {
    const stage = await stageOf(fresh(), "0123456789");
    expect(Buffer.from(await stage.bytes(0, 10)).toString()).toBe("0123456789");
    expect(Buffer.from(await stage.bytes(3, 5)).toString()).toBe("34");
    await stage.discard();
  });

  test("what is discarded never was; after a commit it is nothing", async () => {
    const storage = fresh();
    await (await stageOf(storage, "x")).discard();
    const written = await storage.stage();
    await written.write(bytes("y"));
    await written.discard();
    const kept = await stageOf(storage, "z");
    await kept.commit("kept");
    await kept.discard();
    await kept.discard();
    expect([await storage.list(""), await get(storage, "kept")]).toEqual([expect.arrayContaining(["kept"]), "z"]);
  });

  test.each([
    [0, 10, "0123456789"],
    [0, 1, "0"],
    [9, 10, "9"],
    [2, 7, "23456"],
    [4, 4, ""],
  ])("a range of an object: %d to %d", async (start, end, expected) => {
    const storage = fresh();
    await put(storage, "k", "0123456789");
    const object = await storage.open("k");
    expect(Buffer.from((await object?.bytes(start, end)) ?? bytes("none")).toString()).toBe(expected);
    expect(await new Response((await object?.body(start, end)) ?? "none").text()).toBe(expected);
  });

  test("a body without a range is the whole object", async () => {
    const storage = fresh();
    await put(storage, "k", "0123456789");
    expect(await new Response(await (await storage.open("k"))?.body()).text()).toBe("0123456789");
  });

  test("a large object in many chunks", async () => {
    const storage = fresh();
    const stage = await storage.stage();
    const chunk = bytesBy(100_000, (i) => i % 251);
    for (let i = 0; i < 20; i += 1) await stage.write(chunk);
    await stage.end();
    await stage.commit("large");
    await stage.discard();
    const whole = await (await storage.open("large"))?.bytes();
    expect(whole?.byteLength).toBe(2_000_000);
    expect(
      Buffer.from(whole ?? [])
        .subarray(1_900_000)
        .equals(Buffer.from(chunk)),
    ).toBe(true);
  });

  test("a listing has the names of one folder, in order", async () => {
    const storage = fresh();
    for (const key of ["c/2", "c/10", "c/1", "c/sub/x", "d/1", "top"]) await put(storage, key, key);
    const names = await storage.list("c/");
    expect(names.filter((name) => name !== "c/sub")).toEqual(["c/1", "c/10", "c/2"]);
  });

  test("an object that is moved has its new name alone, and replaces what had it", async () => {
    const storage = fresh();
    await put(storage, "a/1", "moved");
    await put(storage, "q/1", "before");
    expect([await storage.move("a/1", "q/1"), await storage.has("a/1"), await get(storage, "q/1")]).toEqual([true, false, "moved"]);
    expect([await storage.move("a/1", "q/2"), await storage.list("q/")]).toEqual([false, ["q/1"]]);
  });

  test("an object is given another name, over what has it, and taken away", async () => {
    const storage = fresh();
    await put(storage, "a/one", "one");
    await put(storage, "b/two", "two");
    const { modified } = (await storage.open("a/one")) ?? { modified: 0 };
    expect(Math.abs((await storage.clock()) - modified)).toBeLessThan(60_000);
    expect([await storage.move("a/one", "b/two"), await get(storage, "a/one"), await get(storage, "b/two")]).toEqual([
      true,
      undefined,
      "one",
    ]);
    if (hasStages) expect((await storage.open("b/two"))?.modified).toBe(modified);
    expect([await storage.move("a/one", "c/new"), await storage.move("b/two", "c/new"), await storage.list("c/")]).toEqual([
      false,
      true,
      ["c/new"],
    ]);
    expect([await storage.remove("c/new"), await storage.remove("c/new"), await storage.has("c/new")]).toEqual([true, false, false]);
    await storage.flush();
  });

  if (hasStages) {
    test("what is staged is listed with its lease until it is committed or discarded", async () => {
      const storage = fresh();
      const lease = crypto.randomUUID();
      const stage = await storage.stage("immutable", { lease });
      await stage.write(bytes("x"));
      await stage.end();
      await stage.bytes(0, 1); // it is on the disk
      const other = await storage.stage();
      await other.write(new Uint8Array(2 ** 17)); // of less there may be nothing before its end
      expect((await storage.staged()).map((one) => one.lease)).toEqual(expect.arrayContaining([lease, undefined]));
      await stage.commit("k");
      await other.discard();
      expect(await storage.staged()).toEqual([]);
    });

    test("what another process discarded cannot be committed", async () => {
      const storage = fresh();
      const stage = await stageOf(storage, "x");
      await stage.bytes(0, 1); // it is on the disk
      for (const left of await storage.staged()) await left.discard();
      const failure = await stage.commit("k").catch((error: unknown) => error);
      expect(failure).toMatchObject({ kind: "failed", next: "run the same command again; nothing was published" });
      expect([await storage.has("k"), await storage.list("")]).toEqual([false, expect.not.arrayContaining(["k"])]);
      await stage.discard();
    });

    test("nor created; the last look is before the name and after the bytes, and what it throws ends it", async () => {
      const storage = fresh();
      const lease = crypto.randomUUID();
      const seen: unknown[] = [];
      const lastLook = async () => {
        const staged = await storage.staged();
        seen.push(
          staged.map((one) => one.lease),
          await storage.has("c/1"),
        );
        for (const left of staged) await left.discard();
      };
      const failure = await storage.create("c/1", bytes("x"), { lease, lastLook }).catch((error: unknown) => error);
      expect([failure, await storage.has("c/1"), seen]).toEqual([expect.objectContaining({ kind: "failed" }), false, [[lease], false]]);
      const stop = new Error("stop");
      expect(await storage.create("c/1", bytes("x"), { lastLook: () => Promise.reject(stop) }).catch((error: unknown) => error)).toBe(stop);
      expect([await storage.has("c/1"), await storage.staged()]).toEqual([false, []]);
      expect(await storage.create("c/1", bytes("x"), { lease, lastLook: async () => {} })).toBe(true);
    });
  }

  test("create makes a name once", async () => {
    const storage = fresh();
    expect(await storage.create("c/1", bytes("first"))).toBe(true);
    expect(await storage.create("c/1", bytes("second"))).toBe(false);
    expect([await get(storage, "c/1"), await storage.has("c/1"), await storage.list("c/")]).toEqual(["first", true, ["c/1"]]);
  });

  test("create does not replace what was committed", async () => {
    const storage = fresh();
    await put(storage, "c/1", "committed");
    expect([await storage.create("c/1", bytes("x")), await get(storage, "c/1")]).toEqual([false, "committed"]);
  });

  test("of many that create one name at the same time exactly one wins, and its bytes are there", async () => {
    const storage = fresh();
    for (let round = 0; round < 5; round += 1) {
      const key = `c/${round}`;
      const won = await Promise.all(Array.from({ length: 20 }, (_one, i) => storage.create(key, bytes(`${i}`))));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await get(storage, key)).toBe(`${won.indexOf(true)}`);
    }
  });

  test("many stages at once do not mix", async () => {
    const storage = fresh();
    const texts = Array.from({ length: 100 }, (_one, i) => `${i} `.repeat(50));
    await Promise.all(texts.map((text, i) => put(storage, `many/${i}`, text)));
    expect(await Promise.all(texts.map((_text, i) => get(storage, `many/${i}`)))).toEqual(texts);
  });

  test("a stage that was ended takes no more", async () => {
    const stage = await stageOf(fresh(), "x");
    expect(
      await Promise.resolve(stage.write(bytes("y"))).then(
        () => "taken",
        () => "refused",
      ),
    ).toBe("refused");
    await stage.discard();
  });

  test("nothing is left in tmp/", async () => {
    expect(storages).not.toBeEmpty();
    for (const storage of storages) expect(await storage.list("tmp/")).toEqual([]);
  });
});

describe("on the disk", () => {
  const modeOf = (path: string) => statSync(path).mode & 0o777;
  const modesIn = (folder: string) => readdirSync(folder).map((name) => modeOf(join(folder, name)));

  test.each<[ObjectKind | undefined, string, number, number]>([
    [undefined, "blobs/a", 0o444, 0o755],
    ["immutable", "blobs/b", 0o444, 0o755],
    ["mutable", "conf/config.json", 0o644, 0o755],
    ["secret", "secrets/s.json", 0o600, 0o700],
  ])("%s objects have their modes, whatever the umask", async (kind, key, file, folder) => {
    const before = process.umask(0o077);
    try {
      const disk = new Disk(join(tempFolder(), "store"), { sync: false });
      await put(disk, key, "x", kind);
      expect([modeOf(join(disk.place, key)), modeOf(join(disk.place, key, ".."))]).toEqual([file, folder]);
    } finally {
      process.umask(before);
    }
  });

  test("what was created is read-only too", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    await disk.create("catalog/1", bytes("x"));
    expect(modeOf(join(disk.place, "catalog/1"))).toBe(0o444);
    expect(statSync(join(disk.place, "catalog/1")).nlink).toBe(1);
  });

  test.each([8, 2 ** 16, 2 ** 17])("what is being written cannot be read by others: %d bytes", async (size) => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    const stage = await disk.stage("secret");
    await stage.write(new Uint8Array(size));
    expect(modesIn(join(disk.place, "tmp"))).toEqual([0o600]);
    await stage.end();
    await stage.bytes(0, 1);
    expect(modesIn(join(disk.place, "tmp"))).toEqual([0o600]);
    await stage.discard();
    expect(readdirSync(join(disk.place, "tmp"))).toEqual([]);
  });

  test.each([8, 2 ** 17])("where nothing can be written, that is what fails, and not that it can't be removed: %d bytes", async (size) => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    await disk.prepare();
    const readOnlyNow = () => {
      throw Object.assign(new Error("EROFS: read-only file system, open"), { code: "EROFS" });
    };
    const readOnly = async () => readOnlyNow();
    const spies = [
      spyOn(fsNow, "openSync").mockImplementation(readOnlyNow),
      spyOn(fs, "open").mockImplementation(readOnly),
      spyOn(fs, "unlink").mockImplementation(readOnly),
    ];
    try {
      const stored = async () => {
        const blob = await ingest(disk, [new Uint8Array(size)] as never, { also: [], lease: undefined, quota: undefined, size });
        try {
          await blob.commit();
        } finally {
          await blob.discard();
        }
      };
      const why = await stored().catch((error: unknown) => error);
      expect(why).toMatchObject({ kind: "failed", message: expect.stringMatching(/^cannot write to .*: its file system is read-only/) });
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test.each([
    ["hashing fails meanwhile", true],
    ["it is discarded meanwhile", false],
  ])("a descriptor is closed after its last write, also where %s", async (_, fails) => {
    const sums: BeginSums = (also) => ({
      ...sumsHere(also),
      update: () => (fails ? Promise.reject(new Error("no worker")) : undefined),
      discard: () => {},
    });
    const disk = new Disk(join(tempFolder(), "store"), { sync: false, sums });
    const size = 32 * 2 ** 20; // takes another thread a while
    const stage = await disk.stage();
    const { closeSync } = fsNow;
    const sizes: number[] = [];
    const closing = spyOn(fsNow, "closeSync").mockImplementation((file) => {
      sizes.push(fsNow.fstatSync(file).size);
      closeSync(file);
    });
    try {
      const written = stage.write(new Uint8Array(size));
      if (fails) expect(await written.catch(reason)).toBe("no worker");
      else await Promise.resolve();
      await stage.discard();
      await written.catch(() => {});
    } finally {
      closing.mockRestore();
    }
    expect(sizes).toEqual([size]);
    expect(await disk.staged()).toEqual([]);
  });

  test("what is staged is its bytes, however they came, and the caller may use its buffer again", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 6 }), fc.boolean(), async (sizes, known) => {
        const whole = randomBytes(sizes.reduce((sum, size) => sum + size, 0));
        const stage = await disk.stage("immutable", known ? { size: whole.byteLength } : {});
        const buffer = new Uint8Array(40_000);
        let at = 0;
        for (const size of sizes) {
          buffer.set(whole.subarray(at, (at += size)));
          await stage.write(buffer.subarray(0, size));
        }
        const sums = await stage.end();
        expect(sums).toEqual(sumsOf(whole));
        expect(Buffer.from(await stage.bytes(0, whole.byteLength)).equals(whole)).toBe(true);
        await stage.commit("k");
        expect(readFileSync(join(disk.place, "k")).equals(whole)).toBe(true);
      }),
    );
  });

  test("where there is nothing to move, no folder is made for it", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    await disk.prepare();
    expect(await disk.move("blobs/k", "quarantine/k")).toBe(false);
    expect(readdirSync(disk.place).toSorted()).toEqual(["tmp", "trash"]);
  });

  test("an object is a file, a folder is none", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    await put(disk, "folder/k", "0123456789");
    expect(readFileSync(join(disk.place, "folder/k"), "utf8")).toBe("0123456789");
    expect(await disk.open("folder")).toBeUndefined();
  });

  test("a place for a store is made and checked, and the check leaves nothing", async () => {
    const disk = new Disk(join(tempFolder(), "a", "b"), { sync: false });
    const { unlink } = fs;
    const slow = spyOn(fs, "unlink").mockImplementation(async (path) => {
      await new Promise((resume) => void setTimeout(resume, 1));
      await unlink(path);
    });
    try {
      await disk.prepare();
    } finally {
      slow.mockRestore();
    }
    expect(readdirSync(disk.place).toSorted()).toEqual(["tmp", "trash"]);
    expect(readdirSync(join(disk.place, "tmp"))).toEqual([]);
  });

  test("of what is left in tmp/, what has no lease goes after a day; what nobody knows is left alone until then", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    const tmp = join(disk.place, "tmp");
    mkdirSync(tmp, { recursive: true });
    const uuid = "00000000-0000-4000-8000-000000000000";
    const names = {
      recent: `none.${uuid}`,
      older: `a-host.123.${uuid}`,
      unknown: "notes.txt",
      old: `a-host.1.${uuid}`,
      gone: `${uuid}.${uuid}`,
    };
    for (const name of Object.values(names)) writeFileSync(join(tmp, name), "x");
    const past = Date.now() / 1000 - 25 * 60 * 60;
    utimesSync(join(tmp, names.old), past, past);
    await endLeases(disk);
    expect(readdirSync(tmp).toSorted()).toEqual([names.older, names.recent, names.unknown].toSorted());
  });

  test("what is staged has a name of its own, whoever stages it, and the name says its lease", async () => {
    const folder = join(tempFolder(), "store");
    const disks = Array.from({ length: 3 }, () => new Disk(folder, { sync: false }));
    const lease = crypto.randomUUID();
    const stages = await Promise.all(disks.flatMap((disk) => Array.from({ length: 20 }, () => disk.stage("immutable", { lease }))));
    for (const stage of stages) await stage.write(bytes("x"));
    for (const stage of stages) await stage.end();
    const left = await new Disk(folder, { sync: false }).staged();
    expect([left.length, new Set(left.map((one) => one.lease))]).toEqual([60, new Set([lease])]);
    for (const stage of stages) await stage.discard();
    expect(readdirSync(join(folder, "tmp"))).toEqual([]);
  });

  test("ending leases of a store that is not there makes none", async () => {
    const folder = tempFolder();
    await endLeases(new Disk(join(folder, "store"), { sync: false }), { dryRun: true });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("two disks over one folder: exactly one creates", async () => {
    const folder = join(tempFolder(), "store");
    const disks = Array.from({ length: 8 }, () => new Disk(folder, { sync: false }));
    const won = await Promise.all(disks.map((disk, i) => disk.create("catalog/1", bytes(`${i}`))));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(readdirSync(join(folder, "tmp"))).toEqual([]);
  });

  test.each([["a file where the folder should be", (folder: string) => join(folder, "file", "store")]])(
    "%s is an error, not a hang",
    async (_, place) => {
      const folder = tempFolder();
      writeFileSync(join(folder, "file"), "");
      expect(
        await put(new Disk(place(folder)), "k", "x").then(
          () => "kept",
          () => "failed",
        ),
      ).toBe("failed");
    },
  );
});

describe("what is read in pieces", () => {
  test("has the next one read while one is used, and no more", async () => {
    const seen: string[] = [];
    const read = async (start: number, end: number) => {
      seen.push(`read ${start / PIECE}`);
      return new Uint8Array(end - start);
    };
    for await (const piece of piecesOf(2 * PIECE + 7, read)) seen.push(`use ${piece.byteLength}`);
    expect(seen).toEqual(["read 0", "read 1", `use ${PIECE}`, "read 2", `use ${PIECE}`, "use 7"]);
  });

  test("fails with what reading fails with, and with nothing where nobody waits for it any more", async () => {
    const read = async (start: number) => {
      if (start > 0) throw new Error(`no ${start / PIECE}`);
      return new Uint8Array(1);
    };
    const all = async () => {
      for await (const _ of piecesOf(3 * PIECE, read));
    };
    expect(await all().catch(reason)).toBe("no 1");
    for await (const _ of piecesOf(3 * PIECE, read)) break;
  });

  test("of a disk is read by one descriptor, which is closed when the last read has ended", async () => {
    const disk = new Disk(join(tempFolder(), "store"), { sync: false });
    const stage = await disk.stage();
    await stage.write(new Uint8Array(3 * PIECE));
    await stage.end();
    await stage.commit("k");
    const object = await disk.open("k");
    if (!object) throw new Error("it is missing");
    for (const pieces of [1, 4]) {
      const seen = { opened: 0, closed: 0, reading: 0, closedWhileReading: 0 };
      const { open } = fs;
      const spy = spyOn(fs, "open").mockImplementation(async (...args: Parameters<typeof open>) => {
        const file = await open(...args);
        seen.opened += 1;
        const [read, close] = [file.read.bind(file) as (...what: unknown[]) => Promise<never>, file.close.bind(file)];
        file.read = (...what: unknown[]) => {
          seen.reading += 1;
          return read(...what).finally(() => (seen.reading -= 1));
        };
        file.close = () => {
          seen.closed += 1;
          seen.closedWhileReading += seen.reading;
          return close();
        };
        return file;
      });
      let used = 0;
      for await (const _ of readPieces(object)) if ((used += 1) === pieces) break;
      spy.mockRestore();
      expect(seen).toEqual({ opened: 1, closed: 1, reading: 0, closedWhileReading: 0 });
    }
  });
});
