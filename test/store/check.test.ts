/** What verify moves, what it leaves and what it moves back, and how grave it says that something is. */

import { describe, expect, test } from "bun:test";
import { type BeginSums, Summer, sumsOf } from "../../src/digest.ts";
import { type CheckOptions, check, type Finding, showRole } from "../../store/check.ts";
import { blobKey, generationKey, QUARANTINE } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { BlobRole } from "../../store/named.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";

const digestOf = (text: string) => sumsOf(Buffer.from(text))["sha-256"];

/** A generation whose package has this payload alone. */
async function publish(store: Store, payload: string): Promise<void> {
  const blob = await store.ingestBytes(Buffer.from(payload));
  const pkg = emptyCharm("demo", { revisions: [charmRevision(1, blob.sums["sha-256"], blob.sums.size)] });
  await store.publish("2026-05-01T00:00:00Z", async () => ({
    draft: { command: "test", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [blob] },
    result: undefined,
  }));
}

/** Calls `before` when an object is moved to the quarantine. */
class Hooked extends Memory {
  before: (key: string) => Promise<unknown> = async () => {};

  override async move(from: string, to: string): Promise<boolean> {
    if (to.startsWith(QUARANTINE)) await this.before(from);
    return super.move(from, to);
  }
}

async function storeOf(...payloads: readonly string[]): Promise<{ store: Store; storage: Hooked }> {
  const storage = new Hooked();
  const store = await Store.openOrCreate(storage);
  for (const payload of payloads) await publish(store, payload);
  return { store, storage };
}

async function replace(storage: Memory, key: string, bytes: string): Promise<void> {
  await storage.remove(key);
  await storage.create(key, Buffer.from(bytes));
}

const verify = async (storage: Memory, dryRun = false) =>
  (await check(await Store.open(storage), { dryRun, readData: { percent: 100 } })).findings;
const graves = (findings: readonly Finding[]) => findings.map(({ severity, problem, movedTo }) => [severity, problem, movedTo]);

describe("a damaged blob", () => {
  const key = blobKey(digestOf("payload"));
  const moved = `${QUARANTINE}${digestOf("payload")}`;

  test("is moved to the quarantine", async () => {
    const { storage } = await storeOf("payload");
    await replace(storage, key, "damaged");
    expect(graves(await verify(storage))).toEqual([["damage", "content does not match its checksum", moved]]);
    expect([storage.has(key), storage.has(moved)]).toEqual([false, true]);
  });

  test("stays where it is with --dry-run", async () => {
    const { storage } = await storeOf("payload");
    await replace(storage, key, "damaged");
    expect(graves(await verify(storage, true))).toEqual([["damage", "content does not match its checksum", undefined]]);
    expect([storage.has(key), storage.has(moved)]).toEqual([true, false]);
  });

  test("that an import put back meanwhile is moved back, and is no finding", async () => {
    const { storage } = await storeOf("payload");
    await replace(storage, key, "damaged");
    storage.before = () => replace(storage, key, "payload");
    expect(await verify(storage)).toEqual([]);
    expect([storage.has(key), storage.has(moved)]).toEqual([true, false]);
    expect(await verify(storage)).toEqual([]);
  });
});

test("a damaged blob that nothing names is moved too, and nothing needs it", async () => {
  const { store, storage } = await storeOf("payload");
  const blob = await store.ingestBytes(Buffer.from("of nothing"));
  await blob.commit();
  await replace(storage, blobKey(digestOf("of nothing")), "damaged");
  expect(await verify(storage)).toEqual([
    {
      severity: "damage",
      what: ["a blob that nothing names"],
      problem: "content does not match its checksum",
      digest: digestOf("of nothing"),
      current: false,
      movedTo: `${QUARANTINE}${digestOf("of nothing")}`,
      repair: "nothing needs it",
    },
  ]);
});

test("an interruption ends it in the middle of a payload", async () => {
  const { storage } = await storeOf("x".repeat(9 * 2 ** 20));
  const ending = new AbortController();
  const told: number[] = [];
  const onProgress = (bytes: number) => {
    told.push(bytes);
    if (bytes > 2 ** 20) ending.abort("interrupted");
  };
  const options = { dryRun: false, readData: { percent: 100 }, signal: ending.signal, onProgress } as const;
  const ended = await check(await Store.open(storage), options).catch((error: unknown) => error);
  expect([ended, told.filter((bytes) => bytes > 2 ** 20).length]).toEqual(["interrupted", 1]);
});

describe("a payload of several parts", () => {
  const PART = 4 * 2 ** 20;
  const payload = "y".repeat(3 * PART - 1);
  const key = blobKey(digestOf(payload));

  /** What is read of the payload and hashed, in the order in which each begins. `broken`: the part whose reading fails. */
  async function order(broken?: number): Promise<{ steps: string[]; findings: readonly Finding[] }> {
    const { storage } = await storeOf(payload);
    const steps: string[] = [];
    const opened = storage.open.bind(storage);
    storage.open = async (asked) => {
      const object = await opened(asked);
      if (!object || asked !== key) return object;
      const bytes = (start = 0, end = object.size): Promise<Uint8Array> => {
        steps.push(`read ${start / PART}`);
        if (start / PART === broken) return Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
        return object.bytes(start, end);
      };
      return { size: object.size, modified: object.modified, body: object.body.bind(object), bytes };
    };
    const sums: BeginSums = (also) => {
      const summer = new Summer(also);
      const update = (chunk: Uint8Array) => {
        if (chunk.byteLength > PART / 2) steps.push("hash");
        return summer.update(chunk);
      };
      return { size: 0, update, sums: () => summer.sums(), discard: () => summer.discard() };
    };
    const { findings } = await check(await Store.open(storage), { dryRun: true, readData: { percent: 100 }, sums });
    return { steps, findings };
  }

  test("is read ahead by one part while the one before is hashed", async () => {
    expect(await order()).toEqual({ steps: ["read 0", "read 1", "hash", "read 2", "hash", "hash"], findings: [] });
  });

  test.each([0, 1, 2])("whose part %d cannot be read is told", async (broken) => {
    const { findings } = await order(broken);
    expect(findings.map(({ severity }) => severity)).toEqual(["damage"]);
  });
});

test("where hashing fails while the next part can't be read either, that is one finding, and what hashed it is let go", async () => {
  const { storage } = await storeOf("y".repeat(5 * 2 ** 20), "two");
  const opened = storage.open.bind(storage);
  storage.open = async (asked) => {
    const object = await opened(asked);
    if (!object || object.size < 2 ** 20) return object;
    const bytes = (start = 0, end = object.size) => (start > 0 ? Promise.reject(new Error("EIO")) : object.bytes(start, end));
    return { size: object.size, modified: object.modified, body: object.body.bind(object), bytes };
  };
  const [begun, discarded] = [new Set<object>(), new Set<object>()];
  const sums: BeginSums = (also) => {
    const summer = new Summer(also);
    const turn = () => new Promise<void>((_, failed) => void setTimeout(failed, 1, new Error("no worker")));
    const update = (chunk: Uint8Array) => (chunk.byteLength > 2 ** 20 ? turn() : summer.update(chunk));
    const made = { size: 0, update, sums: () => summer.sums(), discard: () => void discarded.add(made) };
    begun.add(made);
    return made;
  };
  const { findings } = await check(await Store.open(storage), { dryRun: true, readData: { percent: 100 }, sums });
  expect(findings.map(({ problem }) => problem)).toEqual(["cannot be read: no worker"]);
  expect(begun.size).toBeGreaterThan(2);
  expect(discarded).toEqual(begun);
});

const KAFKA = { section: "packages", name: "kafka" } as const;
const HELLO = { section: "snaps", name: "hello" } as const;

test.each<[string, BlobRole]>([
  ["charm kafka revision 3", { kind: "charm", package: KAFKA, revision: 3 }],
  ["bundle kafka", { kind: "bundle", package: KAFKA }],
  ["snap hello revision 3", { kind: "snap", package: HELLO, revision: 3 }],
  ["resource data revision 3 of kafka", { kind: "resource", package: KAFKA, revision: 3, part: "data" }],
  ["component docs revision 3 of snap hello", { kind: "component", package: HELLO, revision: 3, part: "docs" }],
  ["icon of kafka", { kind: "icon", package: KAFKA }],
  ["config.yaml of kafka revision 3", { kind: "text", package: KAFKA, revision: 3, part: "config.yaml" }],
  ["agent 3.6.1 for amd64", { kind: "agent", package: { section: "agents", name: "3.6.1" }, part: "amd64" }],
  ["signed text of the agents 3.6.1", { kind: "streams", package: { section: "agents", name: "3.6.1" } }],
  ["blob of the images team/app", { kind: "image", package: { section: "images", name: "team/app" } }],
  ["manifest of the images team/app", { kind: "manifest", package: { section: "images", name: "team/app" } }],
  ["manifest of section later", { kind: "manifest", part: "later" }],
  ["blob of section later", { kind: "blob", part: "later" }],
  ["index", { kind: "index" }],
])("a blob is called %s", (called, role) => {
  expect(showRole(role)).toBe(called);
});

describe("payloads", () => {
  /** A store with so many payloads, and how many of them are read at a time. */
  async function reads(count: number, options: Partial<CheckOptions> = {}, onRead: (storage: Memory) => void = () => {}) {
    const { storage } = await storeOf(...Array.from({ length: count }, (_, i) => `payload ${i}`));
    const payloads = new Set(Array.from({ length: count }, (_, i) => blobKey(digestOf(`payload ${i}`))));
    const opened = storage.open.bind(storage);
    const seen = { now: 0, most: 0, all: 0 };
    storage.open = async (asked) => {
      const object = await opened(asked);
      if (!object || !payloads.has(asked)) return object;
      const bytes = async (start = 0, end = object.size) => {
        onRead(storage);
        seen.all += 1;
        seen.now += 1;
        seen.most = Math.max(seen.most, seen.now);
        await new Promise((resume) => void setTimeout(resume, 1));
        seen.now -= 1;
        return object.bytes(start, end);
      };
      return { size: object.size, modified: object.modified, body: object.body.bind(object), bytes };
    };
    const work = check(await Store.open(storage), { dryRun: true, readData: { percent: 100 }, ...options });
    return { seen, work, storage };
  }

  test("are read two at a time, and all of them before it ends", async () => {
    const { seen, work } = await reads(7);
    const { read } = await work;
    expect(seen).toEqual({ now: 0, most: 2, all: 7 });
    expect(read.blobs).toBeGreaterThanOrEqual(7);
  });

  test("that are being read when it is interrupted fail it once", async () => {
    const ending = new AbortController();
    let hashed = 0;
    const onProgress = (_: number, what: string) => {
      if (what === blobKey(digestOf("payload 0")) || what === blobKey(digestOf("payload 1"))) hashed += 1;
      if (hashed > 0) ending.abort("interrupted");
    };
    const { work } = await reads(2, { signal: ending.signal, onProgress });
    expect(await work.catch((error: unknown) => error)).toBe("interrupted");
    for (let i = 0; i < 5; i += 1) await new Promise((resume) => void setTimeout(resume, 1)); // the other one has failed too
    expect(hashed).toBe(1);
  });

  test("that were interrupted while the next is looked for fail it, and nobody else", async () => {
    const ending = new AbortController();
    let waits = 0;
    const { work } = await reads(1, { signal: ending.signal }, (storage) => {
      ending.abort("interrupted");
      const listed = storage.list.bind(storage);
      storage.list = async (prefix) => {
        // An error that nobody has taken by then would fail this test.
        for (; waits < 5; waits += 1) await new Promise((resume) => void setTimeout(resume, 1));
        return listed(prefix);
      };
    });
    expect(await work.catch((error: unknown) => error)).toBe("interrupted");
    expect(waits).toBe(5);
  });

  test("of another size are not read, and what is said of them stays", async () => {
    const { storage } = await storeOf("the payload");
    await replace(storage, blobKey(digestOf("the payload")), "cut");
    const { findings } = await check(await Store.open(storage), { dryRun: true, readData: { percent: 100 } });
    expect(findings.map(({ problem }) => problem)).toEqual(["has 3 bytes instead of 11"]);
  });
});

describe("a generation that cannot be read", () => {
  test.each([1, 2])("of number %d of 3 is moved aside", async (number) => {
    const { storage } = await storeOf("one", "two", "three");
    await replace(storage, generationKey(number), "{");
    const found = await verify(storage);
    expect(found).toContainEqual(
      expect.objectContaining({ severity: "damage", problem: "cannot be read", movedTo: `${QUARANTINE}${number}.json` }),
    );
    expect([storage.has(generationKey(number)), storage.has(`${QUARANTINE}${number}.json`)]).toEqual([false, true]);
  });

  test("stays if it is the newest, since a server may have seen its number", async () => {
    const { storage } = await storeOf("one", "two");
    await replace(storage, generationKey(2), "{");
    const [finding] = await verify(storage);
    expect(finding).toMatchObject({ severity: "damage", problem: "cannot be read", current: true });
    expect(finding).not.toHaveProperty("movedTo");
    expect(storage.has(generationKey(2))).toBe(true);
  });
});

describe("what is missing", () => {
  test.each([
    ["and only history names", "one", false],
    ["and the newest generation names", "two", true],
  ])("a payload %s is damage: it was stored, and is lost", async (_, payload, current) => {
    const { storage } = await storeOf("one", "two");
    await storage.remove(blobKey(digestOf(payload)));
    const [finding, ...others] = await verify(storage);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ severity: "damage", problem: "is missing", current });
  });

  test("a manifest that only history names is a warning: a step of it is lost, and nothing else", async () => {
    const { store, storage } = await storeOf("one");
    const first = (await store.snapshot()).index.packages["demo"]?.[0];
    await publish(store, "two");
    await storage.remove(blobKey(first ?? digestOf("none")));
    const [finding, ...others] = await verify(storage);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ severity: "warning", problem: "is missing", current: false });
  });

  test("a manifest that goes while it is looked at, whenever that is", async () => {
    /** Looks at a store whose first manifest goes after so many looks; how many there were. */
    const looked = async (most: number) => {
      const { store, storage } = await storeOf("one");
      const key = blobKey((await store.snapshot()).index.packages["demo"]?.[0] ?? digestOf("none"));
      await publish(store, "two");
      const opened = storage.open.bind(storage);
      let looks = 0;
      storage.open = async (asked) => {
        const object = await opened(asked);
        if (asked === key && (looks += 1) === most) await storage.remove(key);
        return object;
      };
      const { findings } = await check(await Store.open(storage), { dryRun: true });
      return { looks, problems: findings.map(({ problem }) => problem) };
    };
    const { looks } = await looked(0);
    expect(looks).toBeGreaterThan(2);
    for (let most = 1; most < looks; most += 1) {
      const { problems } = await looked(most);
      expect([most, ...problems]).toEqual([most, expect.stringMatching(/is missing$/)]);
    }
  });

  test("a text that goes between the look at it and its reading", async () => {
    const { store, storage } = await storeOf("one");
    const [charm, text] = [await store.ingestBytes(Buffer.from("charm")), await store.ingestBytes(Buffer.from("name: demo"))];
    const { size, "sha-256": digest } = charm.sums;
    const revision = { ...charmRevision(1, digest, size), texts: { "metadata-yaml": text.sums["sha-256"] } };
    const pkg = emptyCharm("other", { revisions: [revision] });
    await store.publish("2026-05-01T00:00:00Z", async () => ({
      draft: { command: "test", sources: [], sections: { packages: { changed: [pkg], tally: {} } }, blobs: [charm, text] },
      result: undefined,
    }));
    const key = blobKey(text.sums["sha-256"]);
    const opened = storage.open.bind(storage);
    storage.open = async (asked) => {
      const object = await opened(asked);
      if (asked === key) await storage.remove(key);
      return object;
    };
    expect(graves(await verify(storage))).toEqual([["damage", "is missing", undefined]]);
  });

  test("a manifest that the newest generation names is damage", async () => {
    const { store, storage } = await storeOf("one");
    const first = (await store.snapshot()).index.packages["demo"]?.[0];
    await storage.remove(blobKey(first ?? digestOf("none")));
    expect(graves(await verify(storage))).toEqual([["damage", "is missing", undefined]]);
  });
});

describe("the history", () => {
  test("whose generation in the middle is gone, says which one is missing", async () => {
    const { storage } = await storeOf("one", "two", "three");
    await storage.remove(generationKey(2));
    expect(await verify(storage)).toContainEqual(
      expect.objectContaining({ severity: "damage", problem: "was made after generation 2, which is missing" }),
    );
  });

  test("whose oldest are pruned is whole", async () => {
    const { storage } = await storeOf("one", "two", "three");
    for (const number of [1, 2]) await storage.remove(generationKey(number));
    expect(await verify(storage)).toEqual([]);
  });

  test("with a generation of another history in its place, says so", async () => {
    const { storage } = await storeOf("one", "two");
    const { storage: other } = await storeOf("other");
    await storage.remove(generationKey(1));
    await storage.create(generationKey(1), (await (await other.open(generationKey(1)))?.bytes()) ?? new Uint8Array());
    expect(await verify(storage)).toContainEqual(
      expect.objectContaining({ severity: "damage", problem: "was made after another generation 1 than is stored" }),
    );
  });

  test("that begins anew after a generation, says so", async () => {
    const { storage } = await storeOf("one", "two");
    const { storage: other } = await storeOf("other");
    const bytes = (await (await other.open(generationKey(1)))?.bytes()) ?? new Uint8Array();
    await replace(storage, generationKey(2), Buffer.from(bytes).toString());
    expect((await verify(storage)).map(({ problem }) => problem)).toContainEqual(
      expect.stringMatching(/cannot be read|begins a history of its own/),
    );
  });
});
