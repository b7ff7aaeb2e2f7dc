/** Format 2 of the store: a history in which no bit changes unseen, stores of format 1, and those of formats to come. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { x as extract } from "tar";
import { createKey, readSecretKey } from "../../src/archives/signature.ts";
import { signDigest } from "../../src/archives/storekey.ts";
import type { ChangeDraft, Generation, Index } from "../../src/catalog/generation-types.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { Failure } from "../../src/errors.ts";
import { chainOf } from "../../store/chain.ts";
import { check } from "../../store/check.ts";
import { Disk } from "../../store/fs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { digestsOfSection, indexText, parseGeneration } from "../../store/generation.ts";
import { jsonBytes } from "../../store/json.ts";
import { blobKey, FORMAT_KEY, generationKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import { DOCUMENTS } from "../../store/settings.ts";
import { Store } from "../../store/store.ts";
import { allWorlds } from "../agentworld.ts";
import { emptyCharm } from "../build.ts";
import { generationFile } from "../generations.ts";
import { runProgram } from "../program.ts";
import { tempFolder } from "../temp.ts";
import { stride } from "../thorough.ts";

const FORMAT_1 = join(import.meta.dir, "../fixtures/stores/format1.tar.gz");
const NOW = "2026-05-01T00:00:00.000Z";

async function publish(store: Store, ...names: string[]): Promise<Generation> {
  const draft: ChangeDraft = {
    command: "test",
    sources: [],
    sections: { packages: { changed: names.map((name) => emptyCharm(name)), tally: {} } },
    blobs: [],
  };
  const { generation } = await store.publish(NOW, async () => ({ draft, result: undefined }));
  if (!generation) throw new Error("nothing was published");
  return generation;
}

/** A store with generations 1 to `count`. */
async function history(count: number, key?: Store["key"]): Promise<{ storage: Memory; store: Store; made: Generation[] }> {
  const storage = new Memory();
  const store = await Store.openOrCreate(storage);
  if (key) store.key = key;
  const made: Generation[] = [];
  for (let i = 1; i <= count; i += 1) made.push(await publish(store, `p${i}`));
  return { storage, store, made };
}

const bytesAt = async (storage: Memory, key: string): Promise<Uint8Array> => (await (await storage.open(key))?.bytes()) as Uint8Array;

async function overwrite(storage: Memory, key: string, bytes: Uint8Array | string): Promise<void> {
  await storage.remove(key);
  await storage.create(key, Buffer.from(bytes));
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

/** What verify says of a store, without what only older generations lack. */
async function problemsOf(storage: Memory): Promise<string[]> {
  const { findings } = await check(await Store.open(storage), { dryRun: true });
  return findings.map(({ severity, what, problem }) => `${severity} ${what.join()} ${problem}`);
}

async function kindOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: unknown) => (error instanceof Failure ? error.kind : String(error)),
  );
}

const KEY = createKey("store");
const signer = async () => ({ sign: (digest: Digest) => signDigest(digest, readSecretKey(KEY.secret, "it")) });

describe("what a bit can change unseen", () => {
  test.each([
    ["unsigned", undefined],
    ["signed", signer],
  ] as const)("in the file of a generation, %s: nothing", async (_, key) => {
    const { storage, made } = await history(2, key);
    for (const { number } of made) {
      const bytes = await bytesAt(storage, generationKey(number));
      expect(parseGeneration(number, bytes, storage)).toMatchObject({ number });
      for (let bit = 0; bit < bytes.byteLength * 8; bit += stride(11))
        expect(() => parseGeneration(number, flipped(bytes, bit), storage)).toThrow(Failure);
    }
  });

  test("verify tells of each, in the newest and in those before it", async () => {
    const { storage } = await history(3);
    for (const number of [1, 2, 3]) {
      const bytes = await bytesAt(storage, generationKey(number));
      for (let bit = 0; bit < bytes.byteLength * 8; bit += stride(161)) {
        const copy = storage.copy();
        await overwrite(copy, generationKey(number), flipped(bytes, bit));
        const problems = await problemsOf(copy);
        expect(problems).toContainEqual(expect.stringContaining(`generation ${number} `));
        // also of one before it, by the digest in the next, whatever it says of itself
        if (number < 3) expect(problems).toContainEqual(expect.stringContaining(`damage generation ${number + 1} was made after another`));
      }
    }
  });

  test("in an index: nothing", async () => {
    const { storage, made } = await history(2);
    const key = blobKey(made[1]?.index as Digest);
    const bytes = await bytesAt(storage, key);
    for (let bit = 0; bit < bytes.byteLength * 8; bit += stride(91)) {
      const copy = storage.copy();
      await overwrite(copy, key, flipped(bytes, bit));
      expect(await problemsOf(copy)).toContainEqual(expect.stringContaining("damage index"));
    }
  });

  test("bytes around it are seen as well", async () => {
    const { storage } = await history(1);
    const bytes = Buffer.from(await bytesAt(storage, generationKey(1)));
    for (const other of [Buffer.alloc(0), bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.from("\n")])])
      expect(() => parseGeneration(1, other, storage)).toThrow("is not readable");
  });
});

describe("the history is a chain", () => {
  test("each has the digest of its parent's file, and all of it holds", async () => {
    const { storage, store, made } = await history(4);
    for (const [i, generation] of made.entries()) {
      expect(generation.sha256).toBe(sumsOf(await bytesAt(storage, generationKey(i + 1)))["sha-256"]);
      expect(generation.parentDigest).toBe(made[i - 1]?.sha256 as Digest);
    }
    expect((await chainOf(store)).map(({ number, problems }) => [number, problems])).toEqual([1, 2, 3, 4].map((n) => [n, []]));
    expect(await problemsOf(storage)).toEqual([]);
    for (const pruned of [1, 2]) await storage.remove(generationKey(pruned));
    expect(await problemsOf(storage)).toEqual([]);
  });

  test("what gc prunes while it is read is not missed", async () => {
    const { storage, store } = await history(4);
    const open = storage.open.bind(storage);
    storage.open = async (key) => {
      if (key === generationKey(3)) for (const pruned of [1, 2, 3]) await storage.remove(generationKey(pruned));
      return open(key);
    };
    expect((await chainOf(store)).map(({ number, problems }) => [number, problems])).toEqual([[4, []]]);
  });

  const ALTERED: readonly [string, (storage: Memory, made: readonly Generation[]) => Promise<void>, string][] = [
    [
      "one is altered and sealed anew",
      async (storage, made) => overwrite(storage, generationKey(2), generationFile({ ...(made[1] as Generation), command: "other" })),
      "damage generation 3 was made after another generation 2 than is stored",
    ],
    [
      "one is taken out",
      async (storage) => void (await storage.remove(generationKey(2))),
      "damage generation 3 was made after generation 2, which is missing",
    ],
    [
      "one is put in the place of another",
      async (storage) => overwrite(storage, generationKey(3), await bytesAt(storage, generationKey(2))),
      "damage generation 3 cannot be read",
    ],
    [
      "the newest is one that follows from an older",
      async (storage, made) =>
        overwrite(
          storage,
          generationKey(4),
          generationFile({ ...(made[3] as Generation), parent: 2, parentDigest: made[1]?.sha256 as Digest }),
        ),
      "warning generation 4 does not follow from 3, which could not be read then",
    ],
    [
      "the newest begins anew",
      async (storage, made) => {
        const { parentDigest: _, ...rest } = made[3] as Generation;
        await overwrite(storage, generationKey(4), generationFile({ ...rest, parent: 0 }));
      },
      "damage generation 4 begins a history of its own after generation 3",
    ],
    [
      "the newest is written as by an older chp, without digests",
      async (storage, made) => {
        const { parentDigest: _parent, sha256: _own, ...rest } = made[3] as Generation;
        await overwrite(storage, generationKey(4), jsonBytes({ ...rest, format: 1 }));
      },
      "damage generation 4 has format 1 after generation 3 of format 2: no digest proves it",
    ],
  ];

  test.each(ALTERED)("verify says where: %s", async (_, alter, problem) => {
    const { storage, made } = await history(4);
    await alter(storage, made);
    expect(await problemsOf(storage)).toContain(problem);
  });

  test("an unreadable newest is not what the next follows from, and is no gap", async () => {
    const { storage } = await history(3);
    await overwrite(storage, generationKey(3), "x");
    const store = await Store.open(storage);
    expect(await publish(store, "again")).toMatchObject({ number: 4, parent: 2 });
    expect(await problemsOf(storage)).toEqual([
      "damage generation 3 cannot be read",
      "warning generation 4 does not follow from 3, which could not be read then",
    ]);
  });
});

describe("chp log --verify", () => {
  const log = async (store: string, ...more: string[]) => runProgram(["log", "--verify", ...more, "--store", store]);

  async function onDisk(folder: string, key?: Store["key"]): Promise<{ path: string; store: Store }> {
    const path = join(folder, "store");
    const store = await Store.openOrCreate(new Disk(path, { sync: false }));
    if (key) store.key = key;
    for (const name of ["a", "b", "c"]) await publish(store, name);
    return { path, store };
  }

  test("says of each that it holds, and shows where it was altered", async () => {
    using folder = tempFolder();
    const { path, store } = await onDisk(folder.path);
    const whole = await log(path);
    expect([whole.code, whole.out.match(/^ {2}proven$/gm)?.length]).toEqual([0, 3]);
    await store.storage.remove(generationKey(2));
    const gap = await log(path);
    expect([gap.code, gap.out]).toEqual([13, expect.stringContaining("ALTERED: was made after generation 2, which is missing")]);
    expect(gap.err).toContain("the history was altered or damaged at generation 3");
    expect(JSON.parse((await log(path, "--json")).out)).toMatchObject([
      { number: 3, proven: false, problems: [expect.stringContaining("generation 2")] },
      { number: 1, proven: true, problems: [], signedBy: null },
    ]);
  });

  test("one that cannot be read hides no other", async () => {
    using folder = tempFolder();
    const { path, store } = await onDisk(folder.path);
    await store.storage.remove(generationKey(2));
    await store.storage.create(generationKey(2), Buffer.from("x"));
    const shown = await runProgram(["log", "--store", path]);
    expect([shown.code, shown.out.match(/^generation/gm)?.length, shown.out]).toEqual([13, 3, expect.stringContaining("CANNOT BE READ")]);
  });

  test("with a key: who may write into the store may not alter its history", async () => {
    using folder = tempFolder();
    const { path, store } = await onDisk(folder.path, signer);
    const [secret, key, other] = ["secret", "key.pub", "other.pub"].map((name) => join(folder.path, name)) as [string, string, string];
    writeFileSync(secret, KEY.secret);
    writeFileSync(key, KEY.public);
    writeFileSync(other, createKey("other").public);
    for (const file of [secret, key]) {
      const whole = await log(path, "--key", file);
      expect([whole.code, whole.out.match(new RegExp(`^  proven, signed by ${KEY.id}$`, "gm"))?.length]).toEqual([0, 3]);
    }
    expect((await log(path, "--key", other)).code).toBe(13);
    // all that follow are made anew, and every digest is right
    let parent = (await store.generation(1)) as Generation;
    for (const number of [2, 3]) {
      const next = { ...((await store.generation(number)) as Generation), parentDigest: parent.sha256, command: "other" };
      const bytes = generationFile(next);
      await store.storage.remove(generationKey(number));
      await store.storage.create(generationKey(number), bytes);
      parent = parseGeneration(number, bytes, store.storage);
    }
    expect((await log(path)).code).toBe(0);
    const altered = await log(path, "--key", key);
    expect([altered.code, altered.out.match(/ALTERED: is not signed by/g)?.length]).toEqual([13, 2]);
    expect((await runProgram(["log", "--key", key, "--store", path])).code).toBe(2);
  });

  test("the key that is set signs what is published, and nothing is published without it", async () => {
    using folder = tempFolder();
    const { path } = await onDisk(folder.path);
    const key = join(folder.path, "store.key");
    writeFileSync(key, KEY.secret, { mode: 0o600 });
    const run = (...args: string[]) => runProgram([...args, "--store", path], { CHP_STORE_KEY: key });
    expect((await run("remove", "a", "--plan", join(folder.path, "plan"), "--force", "--yes")).code).toBe(0);
    writeFileSync(key, "x");
    expect(await run("remove", "--apply", join(folder.path, "plan"), "--force", "--yes")).toMatchObject({ code: 3 });
    writeFileSync(key, KEY.secret);
    expect((await run("remove", "--apply", join(folder.path, "plan"), "--force", "--yes")).code).toBe(0);
    const shown = await run("log", "--verify");
    expect([shown.code, shown.out.match(/^ {2}proven.*$/gm)]).toEqual([
      0,
      [`  proven, signed by ${KEY.id}`, "  proven", "  proven", "  proven"],
    ]);
    expect((await run("verify")).code).toBe(0);
  });
});

describe("a store of format 1", () => {
  function unpacked(folder: string): string {
    extract({ cwd: folder, file: FORMAT_1, sync: true });
    return join(folder, "store");
  }

  test("is read and verified, and stays as it is", async () => {
    using folder = tempFolder();
    const path = unpacked(folder.path);
    const store = await Store.open(new Disk(path));
    const snapshot = await store.snapshot();
    expect([snapshot.number, snapshot.names, snapshot.generation?.format]).toEqual([3, ["other", "tiny"], 1]);
    expect((await runProgram(["verify", "--read-data", "--store", path])).code).toBe(0);
    const log = await runProgram(["log", "--verify", "--store", path]);
    expect([log.code, log.out.match(/not proven: an older chp wrote it/g)?.length]).toEqual([0, 3]);
    expect(readFileSync(join(path, FORMAT_KEY), "utf8")).toBe('{"format":1}\n');
  });

  test("becomes one of format 2 with the first generation, which an older chp refuses; its last file begins the chain", async () => {
    using folder = tempFolder();
    const path = unpacked(folder.path);
    const last = sumsOf(readFileSync(join(path, generationKey(3))))["sha-256"];
    const store = await Store.open(new Disk(path, { sync: false }));
    expect(await publish(store, "new")).toMatchObject({ format: 2, number: 4, parent: 3, parentDigest: last });
    // what an older chp looks at, and all that it looks at: a number at `format` that is above its own
    expect(JSON.parse(readFileSync(join(path, FORMAT_KEY), "utf8"))).toEqual({ format: 2 });
    expect((await store.snapshot()).names).toEqual(["new", "other", "tiny"]);
    expect((await runProgram(["verify", "--read-data", "--store", path])).code).toBe(0);
    const log = await runProgram(["log", "--verify", "--store", path]);
    expect(log.out.match(/^ {2}(not )?proven/gm)).toEqual(["  proven", "  proven", "  not proven", "  not proven"]);
    expect((await runProgram(["rollback", "2", "--yes", "--store", path])).code).toBe(0);
  });

  test("keeps its settings, tokens and certificate, and has them as numbered settings after the first change of one", async () => {
    using folder = tempFolder();
    const path = unpacked(folder.path);
    const { settings } = await Store.open(new Disk(path, { sync: false }));
    const names = Object.keys(DOCUMENTS) as (keyof typeof DOCUMENTS)[];
    const before = await settings.readTogether(names);
    expect(before).toMatchObject({
      config: { "public-url": "https://hub.lan", "accepted-keys": [expect.stringContaining("site.key")] },
      ociSecret: { "proxy.oci-registry.password": "hush" },
      tokens: { tokens: [{ name: "build-host" }] },
    });
    expect([before.tls === undefined, before.tlsSecret.keys.length]).toEqual([false, 1]);
    await settings.change(["config"], ({ config }) => ({ config: { ...config, listen: ["127.0.0.1:1"] } }));
    expect(await settings.readTogether(names)).toEqual({ ...before, config: { ...before.config, listen: ["127.0.0.1:1"] } });
    expect(readdirSync(path).toSorted()).toEqual(["blobs", "catalog", "format.json", "secrets", "settings", "tmp", "trash"]);
    expect(readdirSync(join(path, "secrets")).every((name) => /^(ociSecret|tlsSecret|tokens)\.1\./.test(name))).toBe(true);
    expect((await runProgram(["verify", "--store", path])).code).toBe(0);
  });

  test("is raised before the new generation is there", async () => {
    const storage = new (class extends Memory {
      readonly order: string[] = [];
      override async create(key: string, bytes: Uint8Array) {
        this.order.push(
          `create ${key} in ${Buffer.from((await (await this.open(FORMAT_KEY))?.bytes()) ?? [])
            .toString()
            .trim()}`,
        );
        return super.create(key, bytes);
      }
    })();
    await storage.create(FORMAT_KEY, Buffer.from('{"format":1}\n'));
    await publish(await Store.open(storage), "a");
    expect(storage.order.at(-1)).toBe('create catalog/0000000001.json in {"format":2}');
  });
});

describe("a newer format", () => {
  test("of a store that is served: what is there is served on, and nothing is published", async () => {
    const { storage, store } = await history(2);
    await overwrite(storage, FORMAT_KEY, '{"format": 3}');
    expect((await store.snapshot()).number).toBe(2);
    expect(await kindOf(publish(store, "x"))).toBe("store-too-new");
    expect(await store.generationNumbers()).toEqual([1, 2]);
    expect(await kindOf(Store.open(storage))).toBe("store-too-new");
  });

  test("of one generation is no damage, gc moves nothing, and nothing is numbered past it", async () => {
    const { storage, store } = await history(2);
    await storage.create(generationKey(3), Buffer.from('{"format": 3, "of": "times to come"}'));
    expect([(await (await Store.open(storage)).snapshot()).number, await kindOf(publish(store, "x"))]).toEqual([2, "store-too-new"]);
    const { findings } = await check(await Store.open(storage), { dryRun: false });
    expect(findings.map(({ severity, problem }) => [severity, problem])).toEqual([["warning", "has a newer format than this chp reads"]]);
    expect(await kindOf(collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false }))).toBe("store-too-new");
    expect(await store.generationNumbers()).toEqual([1, 2, 3]);
  });
});

describe("sections of an index that this chp does not know", () => {
  /** Generation 2 has a section with an image, whose manifest names a layer. */
  async function withWidgets() {
    const { storage, store, made } = await history(1);
    const put = async (bytes: Uint8Array) => {
      const blob = await store.ingestBytes(bytes);
      await blob.commit();
      return blob.sums;
    };
    const layer = await put(Buffer.from("layer"));
    const manifest = await put(jsonBytes({ name: "ubuntu", blobs: [{ digest: layer["sha-256"], size: layer.size }] }));
    const others = { widgets: { ubuntu: [manifest["sha-256"], "ID"] }, "widgets-about": { any: ["thing"] } };
    const index: Index = { ...(await store.index(made[0] as Generation)), others };
    const { "sha-256": digest } = await put(jsonBytes(indexText(index)));
    await storage.create(
      generationKey(2),
      generationFile({ ...(made[0] as Generation), number: 2, parent: 1, parentDigest: made[0]?.sha256 as Digest, index: digest }),
    );
    return { storage, others, layer: layer["sha-256"], manifest: manifest["sha-256"], store: await Store.open(storage) };
  }

  test("pass through what is published, as they are", async () => {
    const { store, others } = await withWidgets();
    const next = await publish(store, "b");
    expect(JSON.parse(await store.text(next.index))).toMatchObject(others);
    expect((await store.snapshot()).index.others).toEqual(others);
    expect((await store.snapshot()).names).toEqual(["b", "p1"]);
  });

  test("keep all that they name from gc, and verify finds what is missing", async () => {
    const { storage, store, layer, manifest } = await withWidgets();
    await publish(store, "b");
    for (const _ of [1, 2]) await collectGarbage(store, { generations: 1, days: 0, hours: -1, dryRun: false });
    expect([store.has(layer), store.has(manifest)]).toEqual([true, true]);
    expect(await problemsOf(storage)).toEqual([]);
    await storage.remove(blobKey(layer));
    expect(await problemsOf(storage)).toEqual(["damage blob of section widgets is missing"]);
    await overwrite(storage, blobKey(manifest), "{}");
    expect(await problemsOf(storage)).toContain("damage manifest of section widgets content does not match its checksum");
  });
});

test("a chp that does not know agents keeps all that they name", async () => {
  const store = await Store.open(await allWorlds());
  const { generation, index } = await store.snapshot();
  if (!generation) throw new Error("nothing was published");
  const named = new Set<string>();
  for await (const { digest, what } of blobsOf(store, generation)) if (what.package?.section === "agents") named.add(digest);
  expect(named.size).toBeGreaterThan(8);
  // What such a chp does with a section of another name.
  const found = new Set<string>();
  for (const digest of digestsOfSection(index.agents)) {
    found.add(digest);
    for (const blob of await store.listed(digest)) found.add(blob.digest);
  }
  expect([...found].toSorted()).toEqual([...named].toSorted());
});

test("a store without agents has no section of them, and is the same bytes as before", async () => {
  const { store, made } = await history(1);
  expect(Object.keys(JSON.parse(await store.text((made[0] as Generation).index)))).toEqual(["packages", "snaps"]);
  expect(JSON.parse(Buffer.from((await (await store.storage.open(generationKey(1)))?.bytes()) ?? []).toString())).not.toHaveProperty(
    "agents",
  );
});

describe("after a generation is there", () => {
  test("a failure says so, and exits 14", async () => {
    const storage = new (class extends Memory {
      failing = false;
      override async create(key: string, bytes: Uint8Array) {
        await super.create(key, bytes);
        if (this.failing) throw new Failure("published", `a power cut may take ${key} back: EIO`);
        return true;
      }
    })();
    const store = await Store.openOrCreate(storage);
    storage.failing = true;
    const failure = await publish(store, "a").then(
      () => undefined,
      (error: unknown) => error as Failure,
    );
    expect([failure?.exit, failure?.message]).toEqual([14, expect.stringContaining("generation 1 is published, but a later step failed")]);
    expect((await store.snapshot()).names).toEqual(["a"]);
  });
});
