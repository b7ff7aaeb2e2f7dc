/** What a generation names is durable before the generation is, also what another process stored; what a command did is so when it ends. */

import { describe, expect, spyOn, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../../src/digest.ts";
import { publishedButFailed, reason } from "../../src/errors.ts";
import { copyStore } from "../../store/backup.ts";
import { check } from "../../store/check.ts";
import { Disk } from "../../store/fs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { blobKey, CATALOG, generationKey, TRASH } from "../../store/keys.ts";
import { Store } from "../../store/store.ts";
import { emptyCharm, tarOf } from "../build.ts";
import { type Event, traced, unsynced } from "../disktrace.ts";
import { failureOf, importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf } from "../registry.ts";
import { tempFolder } from "../temp.ts";

const IMAGE = imageOf({ layers: ["base", "top"] });

test("the folders of blobs that a killed import left are synced before an import that finds them is published", async () => {
  using folder = tempFolder();
  const first = await Store.openOrCreate(new Disk(folder.path));
  const left = [...IMAGE.blobs].map(([digest, bytes]) => ({ digest, bytes }));
  for (const { bytes } of left) await (await first.ingestBytes(bytes)).commit(); // and there it ends

  const opened = spyOn(fs, "open");
  const linked = spyOn(fs, "link");
  try {
    const files = layoutOf(
      [{ image: IMAGE, name: "team/app:1" }],
      left.map(({ digest }) => digest),
    );
    await importInto(await Store.open(new Disk(folder.path)), { "image.tar": tarOf(files) });
    const published = linked.mock.calls.findIndex(([, to]) => String(to).startsWith(join(folder.path, CATALOG)));
    const before = linked.mock.invocationCallOrder[published] ?? 0;
    const synced = opened.mock.calls.flatMap(([path], i) => ((opened.mock.invocationCallOrder[i] ?? 0) < before ? [String(path)] : []));
    expect(synced).toEqual(expect.arrayContaining(left.map(({ digest }) => join(folder.path, blobKey(digest), ".."))));
  } finally {
    opened.mockRestore();
    linked.mockRestore();
  }
});

test("a gc syncs what an earlier one pruned, and may not have synced, before it moves a blob", async () => {
  using folder = tempFolder();
  const store = await Store.openOrCreate(new Disk(folder.path));
  await importInto(store, { "image.tar": tarOf(layoutOf([{ image: IMAGE, name: "team/app:1" }])) });
  await (await store.ingestBytes(Buffer.from("of a generation that is pruned"))).commit();
  const opened = spyOn(fs, "open");
  const renamed = spyOn(fs, "rename");
  try {
    const { aside } = await collectGarbage(await Store.open(new Disk(folder.path)), { generations: 1, days: 0, hours: 0, dryRun: false });
    expect(aside.blobs).toBe(1);
    const moved = renamed.mock.calls.findIndex(([, to]) => String(to).startsWith(join(folder.path, TRASH)));
    const before = renamed.mock.invocationCallOrder[moved] ?? 0;
    const synced = opened.mock.calls.flatMap(([path], i) => ((opened.mock.invocationCallOrder[i] ?? 0) < before ? [String(path)] : []));
    expect(synced).toContain(join(folder.path, CATALOG, "."));
  } finally {
    opened.mockRestore();
    renamed.mockRestore();
  }
});

/** What is on its way, who is alive, and the mark of a copy, which says nothing once the copy is a store. */
const PASSING = /\/(tmp|leases)(\/|$)|\/unfinished-copy\.json$/;
const counts = (path: string) => !PASSING.test(path);

const packageDraft =
  (name: string, required: readonly Digest[] = []) =>
  async () => ({
    draft: { command: "test", sources: [], sections: { packages: { changed: [emptyCharm(name)], tally: {} } }, blobs: [], required },
    result: undefined,
  });
const publish = (store: Store, name: string, required: readonly Digest[] = []) =>
  store.publish("2026-05-01T00:00:00Z", packageDraft(name, required));

/** At each link of a file below `folder`: what a power cut could take away of all that was done before. */
function unsyncedAtLinks(events: readonly Event[], folder: string): string[] {
  return events.flatMap((event, i) =>
    event.call === "link" && event.to.startsWith(folder)
      ? [...unsynced(events.slice(0, i), counts)].map((lost) => `${event.to} before ${lost}`)
      : [],
  );
}

/** A store on a disk with some generations, and the trace of what is done to it then. */
async function onDisk<T>(work: (store: Store, folder: string) => Promise<T>, prepare?: (store: Store) => Promise<unknown>) {
  const folder = tempFolder();
  if (prepare) await prepare(await Store.openOrCreate(new Disk(folder.path)));
  const { trace, result } = await traced(async () => work(await Store.openOrCreate(new Disk(folder.path)), folder.path));
  return { path: folder.path, result, events: trace.events, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

describe("when it ends, a power cut takes nothing back", () => {
  const image = () => tarOf(layoutOf([{ image: IMAGE, name: "team/app:1" }]));
  const none = async () => {};
  const some = async (store: Store) => {
    await importInto(store, { "image.tar": image() });
    for (const name of ["a", "b"]) await publish(store, name);
  };

  test.each<[string, (store: Store, folder: string) => Promise<unknown>, (store: Store) => Promise<unknown>]>([
    ["an import", (store) => importInto(store, { "image.tar": image() }), none],
    ["a change", (store) => publish(store, "c"), some],
    [
      "settings with a secret, which take the place of others",
      async (store) => {
        for (const key of ["one", "two", "three", "four", "five"])
          await store.settings.change([], () => ({ session: { key: btoa(key) }, config: { "public-url": `http://${key}` } }));
      },
      none,
    ],
    [
      "gc",
      (store) => collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false }),
      async (store) => {
        await some(store);
        await (await store.ingestBytes(Buffer.from("of no generation"))).commit();
      },
    ],
    ["a backup by hard links", async (store, folder) => copyStore(store.storage, new Disk(join(folder, "backup"))), some],
    [
      "verify, which moves a generation",
      async (store, folder) => {
        writeFileSync(join(folder, "1.new"), "{");
        await fs.rename(join(folder, "1.new"), join(folder, generationKey(1)));
        const { findings } = await check(store, { dryRun: false });
        expect(findings.some(({ movedTo }) => movedTo?.startsWith("quarantine/"))).toBe(true);
      },
      some,
    ],
    [
      "verify, which moves what is damaged",
      async (store, folder) => {
        const [blob = IMAGE.digest] = IMAGE.blobs.keys();
        await fs.chmod(join(folder, blobKey(blob)), 0o644);
        writeFileSync(join(folder, blobKey(blob)), "other bytes");
        writeFileSync(join(folder, generationKey(2)).replace(/2\.json$/, "2.json.new"), "{");
        await fs.rename(join(folder, generationKey(2)).replace(/2\.json$/, "2.json.new"), join(folder, generationKey(2)));
        return check(store, { dryRun: false, readData: { percent: 100 } });
      },
      some,
    ],
  ])("%s", async (_, work, prepare) => {
    using done = await onDisk(work, prepare);
    const { path, events } = done;
    expect(events.length).toBeGreaterThan(0);
    // What the test itself damages is not chp's to keep.
    const own = events.filter((event) => !event.path.endsWith(".new"));
    expect([...unsynced(own, counts)]).toEqual([]);
    for (const kept of ["catalog", "settings", "format.json", "backup/format.json"])
      expect(unsyncedAtLinks(own, join(path, kept))).toEqual([]);
  });

  test("a new store", async () => {
    using done = await onDisk((store) => importInto(store, { "image.tar": image() }));
    const { path, events } = done;
    expect(events).toContainEqual(expect.objectContaining({ call: "link", to: join(path, "format.json") }));
    expect([...unsynced(events, counts)]).toEqual([]);
  });
});

test("gc prunes one generation durably before the next", async () => {
  using done = await onDisk(
    (store) => collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false }),
    async (store) => {
      for (const name of ["a", "b", "c"]) await publish(store, name);
    },
  );
  const { events } = done;
  const pruned = events.flatMap((event, i) => (event.call === "unlink" && event.path.includes("/catalog/") ? [i] : []));
  expect(pruned).toHaveLength(2);
  for (const i of pruned) expect([...unsynced(events.slice(0, i), (path) => path.includes("/catalog/"))]).toEqual([]);
});

test("what a change needs of another process is synced before its generation", async () => {
  using folder = tempFolder();
  const store = await Store.openOrCreate(new Disk(folder.path));
  await publish(store, "a");
  const blob = await store.ingestBytes(Buffer.from("of another process"));
  await blob.commit();
  const other = await Store.open(new Disk(folder.path));
  const { trace } = await traced(() => publish(other, "b", [blob.sums["sha-256"]]));
  const linked = trace.events.findIndex((event) => event.call === "link" && event.to.includes("/catalog/"));
  const needed = join(folder.path, blobKey(blob.sums["sha-256"]), "..");
  expect(trace.events.slice(0, linked)).toContainEqual({ call: "sync", path: needed });
});

test("folders that another process made, and may not have synced, are synced before what is put into them is named", async () => {
  using folder = tempFolder();
  await publish(await Store.openOrCreate(new Disk(folder.path)), "a");
  const { trace } = await traced(async () => publish(await Store.open(new Disk(folder.path)), "b"));
  const linked = trace.events.findIndex((event) => event.call === "link" && event.to.includes("/catalog/"));
  const synced = trace.events.slice(0, linked).flatMap((event) => (event.call === "sync" ? [event.path] : []));
  expect(synced).toEqual(expect.arrayContaining(["blobs/sha256", "blobs", ""].map((name) => join(folder.path, name).replace(/\/$/, ""))));
});

test("a folder that can't be made says why, and not what is missing then", async () => {
  using folder = tempFolder();
  const store = await Store.openOrCreate(new Disk(folder.path));
  await traced(async (trace) => {
    trace.fail = ({ call, path }) => (call === "mkdir" && path.includes("/blobs/") ? "EDQUOT" : undefined);
    expect(await whyNot(store.ingestBytes(Buffer.from("x")).then((blob) => blob.commit()))).toMatch(/quota/);
  });
});

test("a folder whose file system has no hard links keeps no store, and says which do", async () => {
  using folder = tempFolder();
  await traced(async (trace) => {
    trace.fail = ({ call }) => (call === "link" ? "EPERM" : undefined);
    const failure = await failureOf(Store.openOrCreate(new Disk(folder.path)), "failed");
    expect(failure.message).toBe(`cannot keep a store in ${folder.path}: its file system has no hard links (EPERM)`);
    expect(failure.next).toBe("choose a folder on ext4, xfs, btrfs, zfs or apfs");
    expect(failure.cause).toMatchObject({ code: "EPERM" });
  });
  expect(existsSync(join(folder.path, "format.json"))).toBe(false);
});

/** Why something failed. */
const whyNot = (work: Promise<unknown>) =>
  work.then(
    () => "it did not fail",
    (error: unknown) => reason(error),
  );

describe("where a sync fails", () => {
  const fresh = async () => {
    const folder = tempFolder();
    const disk = new Disk(folder.path);
    await Store.openOrCreate(disk);
    const staged = async (text: string) => {
      const stage = await disk.stage();
      await stage.write(Buffer.from(text));
      const { "sha-256": digest } = await stage.end();
      return { stage, key: blobKey(digest) };
    };
    return { path: folder.path, disk, staged, [Symbol.dispose]: () => folder[Symbol.dispose]() };
  };
  const ofFiles = (event: Event) => (event.call === "sync" && event.path.includes("/tmp/") ? "EIO" : undefined);

  test.each([
    ["small", "lost"],
    ["large", "lost".repeat(2 ** 16)],
  ])("of a %s blob, it gets no name", async (_, text) => {
    using made = await fresh();
    const { disk, staged } = made;
    await traced(async (trace) => {
      trace.fail = ofFiles;
      const { stage, key } = await staged(text);
      expect(await whyNot(stage.commit(key))).toContain("EIO");
      expect(disk.has(key)).toBe(false);
      await stage.discard();
    });
  });

  test("of what is created, there is nothing", async () => {
    using made = await fresh();
    const { disk } = made;
    await traced(async (trace) => {
      trace.fail = ofFiles;
      expect(await whyNot(disk.create(generationKey(1), Buffer.from("{}")))).toContain("EIO");
      expect(disk.has(generationKey(1))).toBe(false);
    });
  });

  test("what is created is on the disk before the last look, after which it is only linked", async () => {
    using made = await fresh();
    const { disk } = made;
    await traced(async (trace) => {
      const staged = () => trace.events.filter(({ path }) => path.includes("/tmp/")).map(({ call }) => call);
      let seen: string[] = [];
      const lastLook = async () => void (seen = staged());
      expect(await disk.create(generationKey(1), Buffer.from("{}"), { lastLook })).toBe(true);
      expect(seen).toEqual(["write", "sync"]);
      expect(staged()).toEqual(["write", "sync", "link", "unlink"]);
    });
  });

  test("of a folder, the next flush tries it again, and is not held up by the one that failed", async () => {
    using made = await fresh();
    const { disk, staged } = made;
    await traced(async (trace) => {
      const { stage, key } = await staged("kept");
      await stage.commit(key);
      trace.fail = ({ call }) => (call === "sync" ? "EIO" : undefined);
      expect(await whyNot(disk.flush())).toContain("EIO");
      trace.fail = () => undefined;
      await disk.flush();
      expect([...unsynced(trace.events, counts)]).toEqual([]);
    });
  });

  test.each([
    ["above the store, which may be another's, nothing fails", "..", "EACCES", "it did not fail"],
    ["above the store by the disk, a flush fails", "..", "EIO", "EIO"],
    ["in the store, a flush fails, whatever the reason", "blobs", "EACCES", "EACCES"],
  ])("of a folder %s", async (_, name, code, why) => {
    using made = await fresh();
    const disk = new Disk(made.path);
    await traced(async (trace) => {
      trace.fail = ({ call, path }) => (call === "sync" && path === join(made.path, name) ? code : undefined);
      const stage = await disk.stage();
      await stage.end();
      await stage.commit(blobKey(IMAGE.digest));
      expect(await whyNot(disk.flush())).toContain(why);
    });
  });

  test("of the folders of what it names, no generation is made", async () => {
    using made = await fresh();
    const { disk } = made;
    const store = await Store.open(disk);
    await traced(async (trace) => {
      trace.fail = ({ call, path }) => (call === "sync" && path.includes("/blobs/") && !path.includes("/tmp/") ? "EIO" : undefined);
      expect(await whyNot(publish(store, "a"))).toContain("EIO");
    });
    expect(existsSync(join(made.path, generationKey(1)))).toBe(false);
  });

  test("of the folder of a generation after its link, it is said to be published", async () => {
    using made = await fresh();
    const { disk } = made;
    const store = await Store.open(disk);
    await traced(async (trace) => {
      let linked = false;
      trace.fail = (event) => {
        linked ||= event.call === "link" && event.to.includes("/catalog/");
        return linked && event.call === "sync" ? "EIO" : undefined;
      };
      const failure = await failureOf(publish(store, "a"), "published");
      expect(failure.message).toBe(publishedButFailed(1, failure.cause).message);
      expect(failure.message).toContain(`a power cut may take ${generationKey(1)} back`);
    });
    expect(existsSync(join(made.path, generationKey(1)))).toBe(true);
  });

  test("of the folder of a name after its link, why is kept with what is said", async () => {
    using made = await fresh();
    const { disk } = made;
    await traced(async (trace) => {
      trace.fail = ({ call, path }) => (call === "sync" && path.endsWith("/catalog") ? "EIO" : undefined);
      const failure = await failureOf(disk.create(generationKey(1), Buffer.from("{}")), "published");
      expect(reason(failure.cause)).toContain("EIO");
    });
  });
});

test.each(["EPERM", "EXDEV", "EEXIST", "ENOENT"])("what can't be linked by %s is left to be copied", async (code) => {
  using folder = tempFolder();
  const [from, to] = ["from", "to"].map((name) => new Disk(join(folder.path, name))) as [Disk, Disk];
  await from.create("catalog/1", Buffer.from("{}"));
  await to.prepare();
  await traced(async (trace) => {
    trace.fail = ({ call }) => (call === "link" ? code : undefined);
    expect(await to.link(from, "catalog/1")).toBe(false);
    trace.fail = ({ call }) => (call === "link" ? "EIO" : undefined);
    expect(await whyNot(to.link(from, "catalog/1"))).toContain("EIO");
  });
  expect(await to.link(from, "catalog/1")).toBe(true);
});

test("a stage that can't be renamed says why, and is only gone where it is", async () => {
  using folder = tempFolder();
  const disk = new Disk(folder.path);
  const stage = await disk.stage();
  await stage.end();
  await traced(async (trace) => {
    trace.fail = ({ call }) => (call === "rename" ? "EIO" : undefined);
    expect(await whyNot(stage.commit("k"))).toContain("EIO");
    trace.fail = ({ call }) => (call === "rename" ? "ENOENT" : undefined);
    expect(await whyNot(stage.commit("k"))).toContain("ENOENT");
  });
  await stage.commit("k");
  expect(existsSync(join(folder.path, "k"))).toBe(true);
});
