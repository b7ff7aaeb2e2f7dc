/** What is staged has a descriptor while it is written and until it is synced: it is closed once, and there are never many. */

import { describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { readFileSync, statSync } from "node:fs";
import * as fsLater from "node:fs/promises";
import { join } from "node:path";
import { type BeginSums, sumsHere } from "../../src/digest.ts";
import { reason } from "../../src/errors.ts";
import { Disk } from "../../store/fs.ts";
import { closeFile, createFile, readAt, writeAt } from "../../store/rawfile.ts";
import type { Stage } from "../../store/storage.ts";
import { bytesBy } from "../build.ts";
import { tempFolder } from "../temp.ts";

const LARGE = 2 ** 17;

/** Notes what is done to descriptors. */
function watched() {
  const { openSync, closeSync, fsync } = fs;
  const seen = { opened: 0, closed: 0, most: 0, synced: 0, wrong: [] as string[], fail: "", held: undefined as (() => void)[] | undefined };
  const open = new Set<number>();
  const spies = [
    spyOn(fs, "openSync").mockImplementation((...args) => {
      const file = openSync(...args);
      open.add(file);
      seen.opened += 1;
      seen.most = Math.max(seen.most, open.size);
      return file;
    }),
    spyOn(fs, "closeSync").mockImplementation((file) => {
      if (!open.delete(file)) seen.wrong.push("closed twice");
      seen.closed += 1;
      closeSync(file);
    }),
    spyOn(fs, "fsync").mockImplementation(((file: number, done: fs.NoParamCallback) => {
      if (!open.has(file)) seen.wrong.push("synced after it was closed");
      seen.synced += 1;
      if (seen.held) seen.held.push(() => fsync(file, done));
      else if (seen.fail === "") fsync(file, done);
      else setImmediate(done, Object.assign(new Error(seen.fail), { code: seen.fail }));
    }) as typeof fs.fsync),
  ];
  return Object.assign(seen, {
    [Symbol.dispose]: () => {
      for (const spy of spies) spy.mockRestore();
    },
  });
}

async function staged(disk: Disk, size: number): Promise<Stage> {
  const stage = await disk.stage();
  await stage.write(new Uint8Array(size));
  return stage;
}

async function ended(disk: Disk, size: number): Promise<Stage> {
  const stage = await staged(disk, size);
  await stage.end();
  return stage;
}

const turns = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise((resume) => void setImmediate(resume));
};

test.each([8, LARGE])("it is closed once, whatever becomes of the stage: %d bytes", async (size) => {
  using folder = tempFolder();
  const disk = new Disk(join(folder.path, "store"));
  await disk.prepare();
  using seen = watched();
  const removed = spyOn(fsLater, "unlink");
  try {
    const stages = [await staged(disk, size), await ended(disk, size), await ended(disk, size)];
    await stages[2]?.commit("k");
    expect(removed).toHaveBeenCalledTimes(0);
    for (const stage of stages) await stage.discard();
    expect(removed).toHaveBeenCalledTimes(2);
  } finally {
    removed.mockRestore();
  }
  expect(seen).toMatchObject({ opened: 3, closed: 3, wrong: [] });
});

test("that a file can't be removed is said of one that there is, and not of one that was never made", async () => {
  using folder = tempFolder();
  const disk = new Disk(folder.path, { sync: false });
  const stages = [await disk.stage(), await staged(disk, 8)] as const;
  const removing = spyOn(fsLater, "unlink").mockImplementation(async () => {
    throw Object.assign(new Error("EIO: input/output error, unlink"), { code: "EIO" });
  });
  try {
    await stages[0].discard();
    expect(await stages[1].discard().catch(reason)).toContain("EIO");
  } finally {
    removing.mockRestore();
  }
});

test("what hashes a stage is let go where it ends early, and once", async () => {
  using folder = tempFolder();
  let discarded = 0;
  const sums: BeginSums = (also) => {
    const here = sumsHere(also);
    return { size: 0, update: (chunk) => here.update(chunk), sums: () => here.sums(), discard: () => void (discarded += 1) };
  };
  const disk = new Disk(join(folder.path, "store"), { sync: false, sums });
  await (await ended(disk, 8)).discard();
  expect(discarded).toBe(0);
  const stage = await staged(disk, 8);
  for (let i = 0; i < 2; i += 1) await stage.discard();
  expect(discarded).toBe(1);
});

describe("syncs", () => {
  test("of small files begin 64 together, those of a large one at once, and each file has one", async () => {
    using folder = tempFolder();
    const disk = new Disk(join(folder.path, "store"));
    await disk.prepare();
    using seen = watched();
    const stages: Stage[] = [];
    const counts: number[] = [];
    for (const size of [...Array.from({ length: 64 }, () => 8), 8, 2 ** 16, LARGE, 8]) {
      stages.push(await ended(disk, size));
      counts.push(seen.synced);
    }
    expect(counts).toEqual([...Array.from({ length: 63 }, () => 0), 64, 64, 64, 67, 67]);
    for (const [i, stage] of stages.entries()) await stage.commit(`k${i}`);
    expect(seen).toMatchObject({ opened: 68, closed: 68, synced: 68, wrong: [] });
  });

  test("that are not waited for hold up the next stage rather than many descriptors", async () => {
    using folder = tempFolder();
    const disk = new Disk(join(folder.path, "store"));
    await disk.prepare();
    using seen = watched();
    const held: (() => void)[] = [];
    seen.held = held;
    const stages: Stage[] = [];
    const all = (async () => {
      for (let i = 0; i < 300; i += 1) stages.push(await ended(disk, 8));
    })();
    while (seen.opened < 129 || held.length < 128) await turns();
    await turns();
    expect(stages).toHaveLength(128);
    seen.held = undefined;
    for (const sync of held) sync();
    await all;
    for (const [i, stage] of stages.entries()) await stage.commit(`k${i}`);
    expect(seen).toMatchObject({ opened: 300, closed: 300, most: 129, synced: 300, wrong: [] });
  });

  test("that fail are told to who commits, and to nobody where it is discarded", async () => {
    using folder = tempFolder();
    const disk = new Disk(join(folder.path, "store"));
    await disk.prepare();
    using seen = watched();
    seen.fail = "EIO";
    const stages = [await ended(disk, LARGE), await ended(disk, LARGE)] as const;
    await turns(); // an error that nobody has taken by then would fail this test
    expect(await stages[0].commit("k").catch(reason)).toContain("EIO");
    for (const stage of stages) await stage.discard();
    expect(disk.has("k")).toBe(false);
    expect(await disk.staged()).toEqual([]);
    expect(seen).toMatchObject({ opened: 2, closed: 2, wrong: [] });
  });
});

test("until its end it is its owner's alone, whatever the umask, and may be written", async () => {
  using folder = tempFolder();
  const before = process.umask(0o077);
  try {
    const disk = new Disk(join(folder.path, "store"), { sync: false });
    const stage = await staged(disk, 8);
    const [name = ""] = fs.readdirSync(join(disk.place, "tmp"));
    expect(statSync(join(disk.place, "tmp", name)).mode & 0o777).toBe(0o600);
    await stage.discard();
  } finally {
    process.umask(before);
  }
});

test.each([
  ["to the owner of its folder", { user: 0, owner: 65_534 }, 65_534],
  ["to root, where the folder is root's", { user: 0, owner: 0 }, undefined],
  ["to who runs it, where that is not root", { user: 1000, owner: 65_534 }, undefined],
])("what is new in a store belongs %s", async (_, { user, owner }, expected) => {
  using folder = tempFolder();
  const { stat } = fsLater;
  const [files, folders] = [spyOn(fs, "fchownSync"), spyOn(fsLater, "chown")];
  files.mockImplementation(() => {});
  folders.mockImplementation(async () => {});
  const others = [
    spyOn(process as { getuid(): number }, "getuid").mockImplementation(() => user),
    spyOn(fsLater, "stat").mockImplementation((async (path: string) =>
      Object.assign(await stat(path), { uid: owner, gid: owner - 1 })) as unknown as typeof stat),
  ];
  try {
    const disk = new Disk(folder.path, { sync: false });
    await (await ended(disk, 8)).commit("blobs/k");
    await disk.create("catalog/1", new Uint8Array(8));
    const owners = [...files.mock.calls, ...folders.mock.calls].map(([, uid, gid]) => [uid, gid]);
    const made = ["tmp", "trash", "blobs", "blobs/k", "catalog", "catalog/1"];
    expect(owners).toEqual(expected === undefined ? [] : made.map(() => [expected, expected - 1]));
    expect(folders.mock.calls.map(([path]) => path)).toEqual(
      expected === undefined ? [] : ["tmp", "trash", "blobs", "catalog"].map((name) => join(disk.place, name)),
    );
  } finally {
    for (const spy of [files, folders, ...others]) spy.mockRestore();
  }
});

test("a link that was made, and whose reply was lost, is won; one that another made is not", async () => {
  using folder = tempFolder();
  const disk = new Disk(folder.path, { sync: false });
  const { link } = fsLater;
  const lost = spyOn(fsLater, "link").mockImplementation(async (from, to) => {
    await link(from, to);
    throw Object.assign(new Error("EEXIST: file exists, link"), { code: "EEXIST" });
  });
  try {
    expect(await disk.create("catalog/1", Buffer.from("mine"))).toBe(true);
  } finally {
    lost.mockRestore();
  }
  expect(await disk.create("catalog/1", Buffer.from("another"))).toBe(false);
  expect(readFileSync(join(disk.place, "catalog/1"), "utf8")).toBe("mine");
});

/** As a disk does that is nearly full: takes and gives less than it is asked for. */
function shortTransfers(most: number) {
  const { writeSync, write, read } = fs;
  const cut = (transfer: (...args: never[]) => unknown) =>
    ((file: number, bytes: Uint8Array, from: number, size: number, ...rest: unknown[]) =>
      (transfer as (...args: unknown[]) => unknown)(file, bytes, from, Math.min(size, most), ...rest)) as never;
  const spies = [
    spyOn(fs, "writeSync").mockImplementation(((file: number, bytes: Uint8Array, from?: number) =>
      writeSync(file, bytes, from ?? 0, Math.min(bytes.byteLength - (from ?? 0), most))) as typeof fs.writeSync),
    spyOn(fs, "write").mockImplementation(cut(write)),
    spyOn(fs, "read").mockImplementation(cut(read)),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

test.each([
  [2 ** 16, 1, 0],
  [2 ** 16 + 1, 0, 1],
])("what is short is written by this thread, what is longer by another: %d bytes", async (size, here, there) => {
  using folder = tempFolder();
  const disk = new Disk(folder.path, { sync: false });
  const [now, later] = [spyOn(fs, "writeSync"), spyOn(fs, "write")];
  try {
    await (await staged(disk, size)).discard();
    expect([now.mock.calls.length, later.mock.calls.length]).toEqual([here, there]);
  } finally {
    for (const spy of [now, later]) spy.mockRestore();
  }
});

describe("where a disk takes less than it is given", () => {
  test.each([1000, LARGE])("a stage of %d bytes is whole", async (size) => {
    using folder = tempFolder();
    const whole = Buffer.from(bytesBy(size, (i) => i % 251));
    const disk = new Disk(join(folder.path, "store"), { sync: false });
    const stage = await disk.stage();
    {
      using _ = shortTransfers(300);
      await stage.write(whole.subarray(0, size - 500));
      await stage.write(whole.subarray(size - 500));
    }
    await stage.end();
    await stage.commit("k");
    expect(readFileSync(join(disk.place, "k")).equals(whole)).toBe(true);
  });

  test("a file of this process is written and read whole, and one that ends early fails", async () => {
    using folder = tempFolder();
    const path = join(folder.path, "f");
    const file = await createFile(path);
    try {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const whole = Buffer.from(bytesBy(1000, (i) => i % 251));
      using _ = shortTransfers(7);
      await writeAt(file, whole, 3);
      expect(readFileSync(path).equals(Buffer.concat([Buffer.alloc(3), whole]))).toBe(true);
      const into = new Uint8Array(1000);
      await readAt(file, into, 3);
      expect(Buffer.compare(into, whole)).toBe(0);
      expect(await readAt(file, into, 4).catch(reason)).toBe("a file of this process ends early");
      expect(await createFile(path).catch(reason)).toContain("EEXIST");
    } finally {
      await closeFile(file);
    }
    expect(await writeAt(file, new Uint8Array(1), 0).catch(reason)).toContain("EBADF");
  });
});
