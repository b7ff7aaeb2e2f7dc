import { describe, expect, test } from "bun:test";
import type { ChangeDraft, Generation, StagedBlob } from "../../src/catalog/generation-types.ts";
import type { Package, Revision } from "../../src/catalog/package.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { Failure, type FailureKind } from "../../src/errors.ts";
import { blobKey, CATALOG, FORMAT_KEY, generationKey, leaseKey, SETTINGS } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { generationFile } from "../generations.ts";
import { turnsDuring } from "../turns.ts";

const NOW = "2026-05-01T00:00:00+00:00";

function draftOf(packages: readonly Package[], blobs: readonly StagedBlob[] = []): ChangeDraft {
  return { command: "test", sources: [], sections: { packages: { changed: packages, tally: {} } }, blobs };
}

/** What another process publishes, no request sees in the same turn of the event loop. */
const turn = () => new Promise((resolve) => void setImmediate(resolve));

const publish = async (store: Store, ...packages: Package[]) =>
  (await store.publish(NOW, async () => ({ draft: draftOf(packages), result: undefined }))).generation;

async function failureOf(work: Promise<unknown>, kind: FailureKind): Promise<Failure> {
  const error = await work.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure && error.kind === kind) return error;
  throw error;
}

/** Writes any bytes to a key, as damage or another version would. */
async function overwrite(storage: Memory, key: string, text: string): Promise<void> {
  const stage = await storage.stage();
  await stage.write(Buffer.from(text));
  await stage.end();
  await stage.commit(key);
}

async function stored(): Promise<{ storage: Memory; store: Store }> {
  const storage = new Memory();
  return { storage, store: await Store.openOrCreate(storage) };
}

describe("opening", () => {
  test("where nothing is there is no store, and nothing is made", async () => {
    const storage = new Memory();
    expect((await failureOf(Store.open(storage), "no-store")).exit).toBe(10);
    expect(await storage.list("")).toEqual([]);
  });

  test("a store that is awaited is empty until it is made", async () => {
    const storage = new Memory();
    const waiting = await Store.openOrAwait(storage);
    expect((await waiting.snapshot()).names).toEqual([]);
    expect(await storage.list("")).toEqual([]);
    await publish(await Store.openOrCreate(storage), emptyCharm("a"));
    await turn();
    expect((await waiting.snapshot()).names).toEqual(["a"]);
  });

  test("a store that is new is empty", async () => {
    const { storage, store } = await stored();
    const snapshot = await store.snapshot();
    expect([snapshot.number, snapshot.names, snapshot.generation]).toEqual([0, [], undefined]);
    const format = await storage.open(FORMAT_KEY);
    expect(JSON.parse(Buffer.from((await format?.bytes()) ?? []).toString())).toEqual({ format: 2 });
  });

  test("several that make it at once agree", async () => {
    const storage = new Memory();
    await Promise.all(Array.from({ length: 5 }, () => Store.openOrCreate(storage)));
    expect(await storage.list("")).toEqual([FORMAT_KEY]);
  });

  test.each<[string, string, FailureKind, number]>([
    ["a newer format", '{"format": 3}', "store-too-new", 11],
    ["a newer format with more in it", '{"format": 99, "x": {}}', "store-too-new", 11],
    ["a format that is no number", '{"format": "1"}', "corrupt", 13],
    ["no format", "{}", "corrupt", 13],
    ["no JSON", "", "corrupt", 13],
  ])("%s", async (_, text, kind, exit) => {
    const { storage } = await stored();
    await overwrite(storage, FORMAT_KEY, text);
    for (const open of [Store.open(storage), Store.openOrCreate(storage), Store.openOrAwait(storage)])
      expect((await failureOf(open, kind)).exit).toBe(exit);
  });

  test("a store of a newer format that appears while it is awaited is not read", async () => {
    const storage = new Memory();
    const waiting = await Store.openOrAwait(storage);
    await publish(await Store.openOrCreate(storage), emptyCharm("a"));
    await overwrite(storage, FORMAT_KEY, '{"format": 3}');
    await failureOf(
      Promise.resolve().then(() => waiting.snapshot()),
      "store-too-new",
    );
  });
});

describe("publishing", () => {
  test("makes generations that name their parent", async () => {
    const { store } = await stored();
    await publish(store, emptyCharm("a"));
    const draft: ChangeDraft = {
      ...draftOf([]),
      sections: { packages: { changed: [emptyCharm("b")], tally: { b: { revisions: [1], channels: 2 } } } },
      command: "chp import x",
      sources: [{ name: "x", size: 3, sha256: sumsOf(Buffer.from("abc"))["sha-256"] }],
    };
    const { generation: made } = await store.publish(NOW, async () => ({ draft, result: undefined }));
    expect(made).toMatchObject({ number: 2, parent: 1, time: NOW, command: "chp import x", format: 2 });
    expect(made?.tool).toMatch(/^chp \d/);
    expect(await (await Store.open(store.storage)).generation(2)).toEqual(made as Generation);
    expect((await store.snapshot()).names).toEqual(["a", "b"]);
    expect(await store.generationNumbers()).toEqual([1, 2]);
  });

  test("nothing makes no generation, but puts back the blobs that were lost", async () => {
    const { store } = await stored();
    const blob = await store.ingestBytes(Buffer.from("payload"));
    expect(store.has(blob.sums["sha-256"])).toBe(false);
    const done = await store.publish(NOW, async () => ({ draft: draftOf([], [blob]), result: "none" }));
    expect(done).toEqual({ generation: undefined, result: "none" });
    expect([store.has(blob.sums["sha-256"]), await store.generationNumbers()]).toEqual([true, []]);
  });

  test("a draft that fails publishes nothing", async () => {
    const { store } = await stored();
    const work = store.publish(NOW, () => Promise.reject(new Failure("refused", "no")));
    await failureOf(work, "refused");
    expect(await store.generationNumbers()).toEqual([]);
  });

  test("packages come in the order of their names, and are found by id", async () => {
    const { store } = await stored();
    await publish(store, emptyCharm("b"), emptyCharm("a", { formerIds: ["OLD"] }), emptyCharm("constructor"));
    const snapshot = await (await Store.open(store.storage)).snapshot();
    expect(snapshot.names).toEqual(["a", "b", "constructor"]);
    const found = await Promise.all(["OLD", "IDa", "IDb", "IDconstructor", "nope", "toString"].map((id) => snapshot.packageById(id)));
    expect(found.map((one) => one?.name)).toEqual(["a", "a", "b", "constructor", undefined, undefined]);
    expect(await snapshot.package("toString")).toBeUndefined();
  });

  test("two at once both land, each on what the other left", async () => {
    const storage = new Memory();
    const stores = await Promise.all(Array.from({ length: 6 }, () => Store.openOrCreate(storage)));
    const count = async (base: Snapshot) => {
      const before = (await base.package("shared"))?.formerIds ?? [];
      return emptyCharm("shared", { formerIds: [...before, `n${before.length}`] });
    };
    const made = await Promise.all(
      stores.map((store, i) =>
        store.publish(NOW, async (base) => {
          const shared = await count(base);
          return { draft: draftOf([emptyCharm(`own-${i}`), shared]), result: shared.formerIds.length };
        }),
      ),
    );
    expect(new Set(made.map(({ generation }) => generation?.number))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
    // Those that lost the race were drafted again, and the result is of the draft that was published.
    for (const { generation, result } of made) expect(result).toBe(generation?.number ?? 0);
    const last = await (await Store.open(storage)).snapshot();
    expect(last.names).toHaveLength(7);
    expect((await last.package("shared"))?.formerIds).toEqual(["n0", "n1", "n2", "n3", "n4", "n5"]);
  });
});

describe("snapshots", () => {
  test("of a generation that gc prunes while it is read there is none, and the others are shown", async () => {
    const { storage, store } = await stored();
    for (const name of ["a", "b"]) await publish(store, emptyCharm(name));
    const open = storage.open.bind(storage);
    storage.open = async (key) => {
      const object = await open(key);
      if (key !== generationKey(1) || !object) return object;
      return { ...object, bytes: () => Promise.reject(Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" })) };
    };
    expect(await store.generation(1)).toBeUndefined();
    expect((await store.history()).map(({ number }) => number)).toEqual([2]);
  });

  test("stay as they are while another process publishes, and the next has what is new", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a", { details: { title: "one" } }));
    const held = await store.snapshot();
    const other = await Store.open(storage);
    await publish(other, emptyCharm("a", { details: { title: "two" } }), emptyCharm("b"));
    expect([held.number, held.names, (await held.package("a"))?.details.title, await held.package("b")]).toEqual([
      1,
      ["a"],
      "one",
      undefined,
    ]);
    await turn();
    const next = await store.snapshot();
    expect([next.number, next.names, (await next.package("a"))?.details.title]).toEqual([2, ["a", "b"], "two"]);
  });

  test("a generation of another process is seen at once, one after the other", async () => {
    const { storage, store } = await stored();
    const other = await Store.open(storage);
    for (let i = 1; i <= 5; i += 1) {
      await publish(other, emptyCharm("a", { id: `ID${i}` }));
      await turn();
      expect((await store.snapshot()).number).toBe(i);
    }
  });

  test("a generation of this process is seen in the same turn", async () => {
    const { store } = await stored();
    for (let i = 1; i <= 5; i += 1) {
      await publish(store, emptyCharm("a", { id: `ID${i}` }));
      expect((await Promise.all([store.snapshot(), store.snapshot()])).map(({ number }) => number)).toEqual([i, i]);
    }
  });

  test("the folder is asked once a turn, and read once by all who ask at the same time", async () => {
    const storage = new Memory();
    const asked = { has: 0, list: 0 };
    const [has, list] = [storage.has.bind(storage), storage.list.bind(storage)];
    storage.has = (key) => ((asked.has += 1), has(key));
    storage.list = (prefix) => ((asked.list += 1), list(prefix));
    const store = await Store.openOrCreate(storage);
    const many = () => Promise.all(Array.from({ length: 50 }, async () => store.snapshot()));
    await many();
    expect(asked).toEqual({ has: 1, list: 1 });
    await turn();
    await many();
    expect(asked).toEqual({ has: 2, list: 1 });
    await publish(await Store.open(storage), emptyCharm("a"));
    const before = asked.list;
    await turn();
    expect(new Set((await many()).map(({ number }) => number))).toEqual(new Set([1]));
    expect(asked.list - before).toBe(1);
  });

  test("who asks while the folder is read sees what was published since", async () => {
    const { storage, store } = await stored();
    const other = await Store.open(storage);
    const list = storage.list.bind(storage);
    let asked: Promise<Snapshot> | undefined;
    storage.list = async (prefix) => {
      const names = await list(prefix);
      storage.list = list;
      await publish(other, emptyCharm("a"));
      asked = Promise.resolve(store.snapshot());
      return names;
    };
    expect((await store.snapshot()).number).toBe(0);
    expect((await asked)?.number).toBe(1);
  });

  test("what is no generation but has the next one's name ends no request", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"));
    const has = storage.has.bind(storage);
    storage.has = (key) => key === generationKey(2) || has(key);
    const found = await Promise.all(Array.from({ length: 5 }, async () => store.snapshot()));
    expect(found.map(({ number }) => number)).toEqual([1, 1, 1, 1, 1]);
  });

  test("are the same while nothing is published, and a manifest is read once", async () => {
    const { store } = await stored();
    await publish(store, emptyCharm("a"));
    const [one, two] = [await store.snapshot(), await store.snapshot()];
    expect(one).toBe(two);
    expect(await one.package("a")).toBe((await two.package("a")) as Package);
  });

  test("share the manifests that did not change", async () => {
    const { store } = await stored();
    await publish(store, emptyCharm("a"), emptyCharm("b"));
    const a = await (await store.snapshot()).package("a");
    await publish(store, emptyCharm("b", { id: "OTHER" }));
    expect(await (await store.snapshot()).package("a")).toBe(a as Package);
  });

  test("a missing generation in between is no trouble", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"));
    const generation = (await store.generation(1)) as Generation;
    await storage.create(generationKey(7), generationFile({ ...generation, number: 7, parent: 6, parentDigest: generation.sha256 }));
    expect((await (await Store.open(storage)).snapshot()).number).toBe(7);
    expect((await publish(await Store.open(storage), emptyCharm("b")))?.number).toBe(8);
  });

  test("other files in the catalog are no generations", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"));
    for (const name of ["0000000009.json.tmp", "9.json", ".nfs0001", "0000000009"])
      await storage.create(`catalog/${name}`, Buffer.from("x"));
    expect(await store.generationNumbers()).toEqual([1]);
  });
});

describe("damage is told as corruption, with what to do", () => {
  async function manifestOf(store: Store, name: string): Promise<Digest> {
    const row = (await store.snapshot()).index.packages[name];
    if (!row) throw new Error(`${name} is not stored`);
    return row[0];
  }

  test("a manifest with other bytes; the rest is still there", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"), emptyCharm("b"));
    const digest = await manifestOf(store, "a");
    await overwrite(storage, blobKey(digest), JSON.stringify(emptyCharm("a")));
    const snapshot = await (await Store.open(storage)).snapshot();
    const failure = await failureOf(snapshot.package("a"), "corrupt");
    expect([failure.exit, failure.message.includes(digest), failure.next]).toEqual([
      13,
      true,
      expect.stringContaining("a copy of the store"),
    ]);
    expect((await snapshot.package("b"))?.name).toBe("b");
  });

  test("a manifest that was mended is read at the next request", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"));
    const digest = await manifestOf(store, "a");
    const whole = Buffer.from((await (await store.blob(digest))?.bytes()) ?? []).toString();
    await overwrite(storage, blobKey(digest), "x");
    const snapshot = await (await Store.open(storage)).snapshot();
    await failureOf(snapshot.package("a"), "corrupt");
    await overwrite(storage, blobKey(digest), whole);
    expect((await snapshot.package("a"))?.name).toBe("a");
  });

  test("a blob that is missing", async () => {
    const { store } = await stored();
    await failureOf(store.text(sumsOf(Buffer.from("nowhere"))["sha-256"]), "corrupt");
  });

  test("an index with other bytes", async () => {
    const { storage, store } = await stored();
    const made = await publish(store, emptyCharm("a"));
    await overwrite(storage, blobKey(made?.index as Digest), "{}");
    const fresh = await Store.open(storage);
    await failureOf(
      Promise.resolve().then(() => fresh.snapshot()),
      "corrupt",
    );
  });

  test("a newest generation that cannot be read leaves the one before it in service, and the next is made after both", async () => {
    const { storage, store } = await stored();
    await publish(store, emptyCharm("a"));
    const made = (await publish(store, emptyCharm("b"))) as Generation;
    const whole = Buffer.from((await (await store.blob(made.index))?.bytes()) ?? []).toString();
    await overwrite(storage, blobKey(made.index), "{}");
    const fresh = await Store.open(storage);
    expect([(await fresh.snapshot()).names, fresh.damage?.kind]).toEqual([["a"], "corrupt"]);
    expect((await publish(fresh, emptyCharm("b")))?.number).toBe(3);
    expect([(await fresh.snapshot()).names, fresh.damage]).toEqual([["a", "b"], undefined]);
    expect(await store.text(made.index)).toBe(whole);
  });

  /** Publishes an index blob whose bytes are as its name says, but whose content is none. */
  async function withIndex(text: string): Promise<Store> {
    const { storage, store } = await stored();
    const made = (await publish(store, emptyCharm("a"))) as Generation;
    const blob = await store.ingestBytes(Buffer.from(text));
    await blob.commit();
    await storage.create(
      generationKey(2),
      generationFile({ ...made, number: 2, parent: 1, parentDigest: made.sha256, index: blob.sums["sha-256"] }),
    );
    return Store.open(storage);
  }

  test.each(["not JSON", "[]", "{}", '{"packages": {"a": ["../../etc/passwd", "ID"]}}', '{"packages": {"a": []}}'])(
    "an index that is %s",
    async (text) => {
      const store = await withIndex(text);
      expect([(await store.snapshot()).number, store.damage?.kind]).toEqual([1, "corrupt"]);
    },
  );

  test.each<[string, (generation: Generation) => unknown]>([
    ["that is empty", () => undefined],
    ["with an index that is no digest", (g) => ({ ...g, index: "../../etc/passwd" })],
    ["that lacks its time", ({ time: _time, ...g }) => g],
    ["that is a list", () => []],
  ])("a generation %s", async (_, edit) => {
    const { storage, store } = await stored();
    const made = (await publish(store, emptyCharm("a"))) as Generation;
    await overwrite(storage, generationKey(1), JSON.stringify(edit(made)) ?? "");
    const fresh = await Store.open(storage);
    const failure = await failureOf(
      Promise.resolve().then(() => fresh.snapshot()),
      "corrupt",
    );
    expect(failure.message).toContain("generation 1");
  });

  test("a generation of a newer format is not misread: the one before is served, and nothing is published", async () => {
    const { storage, store } = await stored();
    const made = (await publish(store, emptyCharm("a"))) as Generation;
    await storage.create(generationKey(2), Buffer.from(JSON.stringify({ ...made, format: 3, number: 2, parent: 1 })));
    for (const reader of [store, await Store.open(storage)]) {
      await turn();
      expect([(await reader.snapshot()).number, reader.damage?.kind]).toEqual([1, "store-too-new"]);
      expect((await failureOf(publish(reader, emptyCharm("b")), "store-too-new")).exit).toBe(11);
    }
    expect(await store.generationNumbers()).toEqual([1, 2]);
  });

  test("only generations of a newer format are none that can be read", async () => {
    const { storage } = await stored();
    await storage.create(generationKey(1), Buffer.from(JSON.stringify({ format: 3 })));
    const fresh = await Store.open(storage);
    await failureOf(
      Promise.resolve().then(() => fresh.snapshot()),
      "store-too-new",
    );
  });
});

describe("blobs", () => {
  test("are hashed while they come in, and visible when they are committed", async () => {
    const { store } = await stored();
    const chunks = async function* () {
      yield Buffer.from("ab");
      yield Buffer.from("c");
    };
    const blob = await store.ingest(chunks(), ["sha-384"]);
    expect(blob.sums).toEqual(sumsOf(Buffer.from("abc"), ["sha-384"]));
    expect(store.has(blob.sums["sha-256"])).toBe(false);
    await blob.commit();
    expect(await store.text(blob.sums["sha-256"])).toBe("abc");
  });

  test("are refused where they are not what was expected, and are not visible then", async () => {
    const { store } = await stored();
    const blob = await store.ingestBytes(Buffer.from("abc"));
    const { "sha-256": digest } = blob.sums;
    await failureOf(blob.commit({ size: 4 }), "corrupt");
    await failureOf(blob.commit({ digest: sumsOf(Buffer.from("x"))["sha-256"] }), "corrupt");
    expect([store.has(digest), await store.blob(digest)]).toEqual([false, undefined]);
    await blob.commit({ size: 3, digest });
    expect(await store.text(digest)).toBe("abc");
  });

  test("of another size than their manifest says are not published", async () => {
    const { store } = await stored();
    const blob = await store.ingestBytes(Buffer.from("abc"));
    const { "sha-256": digest } = blob.sums;
    const revision: Revision = {
      revision: 1,
      version: "1",
      createdAt: NOW,
      bases: [],
      blob: digest,
      size: 4,
      texts: {},
      resources: [],
      charms: [],
      relations: {},
      subordinate: false,
    };
    const draft = draftOf([emptyCharm("a", { revisions: [revision] })], [blob]);
    const failure = await failureOf(
      store.publish(NOW, async () => ({ draft, result: undefined })),
      "corrupt",
    );
    expect(failure.message).toBe(`blob ${digest} has 3 bytes instead of 4`);
    expect([store.has(digest), await store.generationNumbers()]).toEqual([false, []]);
  });

  test("of the same bytes are kept once", async () => {
    const { storage, store } = await stored();
    for (let i = 0; i < 3; i += 1) await (await store.ingestBytes(Buffer.from("same"))).commit();
    expect(await storage.list(`blobs/sha256/${sumsOf(Buffer.from("same"))["sha-256"].slice(0, 2)}/`)).toHaveLength(1);
  });

  test("that are cut short in the store are put back", async () => {
    const { storage, store } = await stored();
    const { "sha-256": digest } = sumsOf(Buffer.from("whole"));
    await overwrite(storage, blobKey(digest), "who");
    await (await store.ingestBytes(Buffer.from("whole"))).commit();
    expect(await store.text(digest)).toBe("whole");
  });

  test("whose source fails are not there", async () => {
    const { store } = await stored();
    const chunks = async function* () {
      yield Buffer.from("ab");
      throw new Failure("interrupted", "stop");
    };
    await failureOf(store.ingest(chunks()), "interrupted");
    expect(await store.storage.list("blobs/")).toEqual([]);
  });
});

describe("a publisher that others take for dead", () => {
  const late =
    (during: () => Promise<unknown>, blobs: readonly StagedBlob[] = [], over: Partial<ChangeDraft> = {}) =>
    async () => {
      await during();
      return { draft: { ...draftOf([emptyCharm("late")], blobs), ...over }, result: undefined };
    };
  const nothing = async () => {};

  test("publishes nothing when its lease was ended meanwhile", async () => {
    const storage = new Memory();
    const store = await Store.openOrCreate(storage);
    const ended = () => storage.remove(leaseKey(store.leaseId ?? ""));
    const failure = await failureOf(store.publish(NOW, late(ended)), "failed");
    expect(failure.message).toBe("cannot write to memory: another chp took this one for dead and removed what it had written");
    expect(await store.generationNumbers()).toEqual([]);
  });

  test("publishes nothing when a blob that it brought is gone", async () => {
    let lost = "";
    class Hooked extends Memory {
      override async create(...[key, bytes, how]: Parameters<Memory["create"]>): Promise<boolean> {
        if (key.startsWith(CATALOG)) await this.remove(lost);
        return super.create(key, bytes, how);
      }
    }
    const store = await Store.openOrCreate(new Hooked());
    await store.leased(async () => {
      const blob = await store.ingestBytes(Buffer.from("brought"));
      lost = blobKey(blob.sums["sha-256"]);
      const failure = await failureOf(store.publish(NOW, late(nothing, [blob])), "failed");
      expect(failure.message).toContain("another chp took this one for dead");
    });
    expect(await store.generationNumbers()).toEqual([]);
  });

  test("publishes nothing when what it needs was deleted by gc", async () => {
    const store = await Store.openOrCreate(new Memory());
    const gone = "0".repeat(64) as Digest;
    const failure = await failureOf(
      store.publish(
        NOW,
        late(nothing, [], { ...draftOf([emptyCharm("late", { revisions: [charmRevision(1, gone, 1)] })]), required: [gone] }),
      ),
      "failed",
    );
    expect([failure.message, failure.next]).toEqual([
      `blob ${gone} was deleted meanwhile by chp gc`,
      "run the same command again; nothing was published",
    ]);
    expect(await store.generationNumbers()).toEqual([]);
  });

  test("has a conflict where its change is exclusive and another came in between", async () => {
    const storage = new Memory();
    const [store, other] = [await Store.openOrCreate(storage), await Store.open(storage)];
    const between = () => other.publish(NOW, late(nothing));
    const failure = await failureOf(store.publish(NOW, late(between, [], { exclusive: true })), "conflict");
    expect(failure.message).toBe("generation 1 came in between, so nothing was changed");
    expect(await store.generationNumbers()).toEqual([1]);
  });

  test("ends where others are always faster", async () => {
    const storage = new Memory();
    const create = storage.create.bind(storage);
    storage.create = async (key, ...more) => (key.startsWith(CATALOG) ? false : create(key, ...more));
    const store = await Store.openOrCreate(storage);
    const failure = await failureOf(store.publish(NOW, late(nothing)), "conflict");
    expect(failure.message).toBe("cannot publish: 1000 other generations came in between");
    const saving = await Store.open(Object.assign(storage, { create: async () => false }));
    expect(
      (
        await failureOf(
          saving.settings.change([], () => ({ config: {} })),
          "conflict",
        )
      ).message,
    ).toBe("cannot save: 1000 other changes of the settings came in between");
  });
});

test("a store of an older format becomes one of this format before its next generation is there", async () => {
  const storage = new Memory();
  await storage.create(FORMAT_KEY, Buffer.from('{"format": 1}'));
  const order: string[] = [];
  const create = storage.create.bind(storage);
  storage.create = async (key, ...more) => {
    const format = Buffer.from((await (await storage.open(FORMAT_KEY))?.bytes()) ?? []).toString();
    if (key.startsWith(CATALOG) || key.startsWith(SETTINGS)) order.push(`${key.split("/")[0]} with ${format.trim()}`);
    return create(key, ...more);
  };
  const store = await Store.open(storage);
  await publish(store, emptyCharm("new"));
  await storage.remove(FORMAT_KEY);
  await create(FORMAT_KEY, Buffer.from('{"format": 1}'));
  await store.settings.change([], () => ({ config: { "public-url": "http://hub" } }));
  expect(order).toEqual(['catalog with {"format":2}', 'settings with {"format":2}']);
});

test("a generation in the place of another is not read", async () => {
  const { storage, store } = await stored();
  await publish(store, emptyCharm("a"));
  await publish(store, emptyCharm("b"));
  const first = Buffer.from((await (await storage.open(generationKey(1)))?.bytes()) ?? []).toString();
  await overwrite(storage, generationKey(2), first);
  expect((await failureOf(store.generation(2), "corrupt")).message).toBe("generation 2 in memory says that it is number 1");
});

test("a store of a newer format says which one it is, and what to do", async () => {
  const storage = new Memory();
  await storage.create(FORMAT_KEY, Buffer.from('{"format": 99}'));
  const failure = await failureOf(Store.open(storage), "store-too-new");
  expect([failure.message, failure.next]).toEqual([expect.stringMatching(/ has format 99; this chp reads up to \d+$/), "use a newer chp"]);
});

test("while many blobs are committed, the event loop has turns", async () => {
  const { store } = await stored();
  const blobs = await Promise.all(Array.from({ length: 1200 }, (_, i) => store.ingestBytes(Buffer.from(`${i}`))));
  const committed = () => store.publish(NOW, async () => ({ draft: draftOf([], blobs), result: undefined }));
  expect(await turnsDuring(committed)).toBeGreaterThanOrEqual(4);
  for (const { sums } of blobs) expect(await store.has(sums["sha-256"])).toBe(true);
});
