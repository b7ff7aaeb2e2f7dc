import { describe, expect, test } from "bun:test";
import { publishChange } from "../../bin/commands/changing.ts";
import { release } from "../../src/catalog/change.ts";
import { changeDraft } from "../../src/catalog/drafts.ts";
import type { Package, Revision } from "../../src/catalog/package.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { Disk } from "../../store/fs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { BLOB_FOLDERS, blobKey, TRASH } from "../../store/keys.ts";
import { endLeases, Lease } from "../../store/lease.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import type { CreateOptions, Stage } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { tempFolder } from "../temp.ts";
import { longTest, stride } from "../thorough.ts";

const HOUR = 3_600_000;
const START = Date.parse("2026-01-01T00:00:00Z");
const ALL = { generations: 1, days: 0, hours: 24, dryRun: false };

function pkg(name: string, revisions: readonly Revision[], title = ""): Package {
  return emptyCharm(name, {
    id: sumsOf(Buffer.from(name))["sha-256"].slice(0, 32),
    details: { title },
    revisions,
    releases: revisions.slice(0, 1).map((r) => ({
      channel: "latest/stable",
      base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
      revision: r.revision,
      releasedAt: "2026-01-01T00:00:00.000Z",
      resources: {},
    })),
  });
}

/** A Memory that calls a hook before each step, and counts written objects. */
class Watched extends Memory {
  onStep: (step: string) => Promise<void> = async () => {};
  written = 0;

  override async move(from: string, to: string): Promise<boolean> {
    await this.onStep(`move ${from.split("/")[0]}`);
    return super.move(from, to);
  }

  override async remove(key: string): Promise<boolean> {
    await this.onStep(`remove ${key.split("/")[0]}`);
    return super.remove(key);
  }

  override async create(key: string, bytes: Uint8Array, how: CreateOptions = {}): Promise<boolean> {
    await this.onStep(`create ${key.split("/")[0]}`);
    this.written += bytes.byteLength;
    const lastLook = async () => {
      await how.lastLook?.();
      await this.onStep(`link ${key.split("/")[0]}`); // a slow disk
    };
    const made = await super.create(key, bytes, { ...how, lastLook });
    await this.onStep(`created ${key.split("/")[0]}`);
    return made;
  }

  override async list(prefix: string): Promise<string[]> {
    await this.onStep(`list ${prefix.split("/")[0]}`);
    return super.list(prefix);
  }

  override async stage(...how: Parameters<Memory["stage"]>): Promise<Stage> {
    const stage = await super.stage(...how);
    return {
      ...stage,
      write: async (chunk) => {
        this.written += chunk.byteLength;
        await stage.write(chunk);
      },
      commit: async (key, expected) => {
        await this.onStep("commit");
        await stage.commit(key, expected);
      },
    };
  }
}

async function world() {
  let now = START;
  const storage = new Watched(() => now);
  const store = await Store.openOrCreate(storage);
  const add = async (name: string, text: string) => {
    const blob = await store.ingestBytes(Buffer.from(text));
    const { "sha-256": digest, size } = blob.sums;
    await store.publish(new Date(now).toISOString(), async () => ({
      draft: {
        ...changeDraft("import", [{ before: undefined, after: pkg(name, [charmRevision(1, digest, size)], text) }]),
        blobs: [blob],
      },
      result: undefined,
    }));
    return digest;
  };
  return { store, storage, add, tick: (hours: number) => (now += hours * HOUR), time: () => new Date(now).toISOString() };
}

async function whole(store: Store): Promise<boolean> {
  for (const number of await store.generationNumbers()) {
    const generation = await store.generation(number);
    if (generation) for await (const { digest } of blobsOf(store, generation)) if (!store.has(digest)) return false;
  }
  return true;
}

describe("a collection", () => {
  test("of a store without a generation is none", async () => {
    using folder = tempFolder();
    const store = await Store.openOrCreate(new Disk(folder.path));
    expect(await collectGarbage(store, ALL)).toMatchObject({ kept: [], pruned: [], deleted: { blobs: 0 } });
  });

  test("keeps the last ten generations and those of thirty days", async () => {
    const { store, add, tick } = await world();
    for (let i = 0; i < 15; i += 1) {
      await add(`p${i}`, `text ${i}`);
      tick(24);
    }
    const gc = () => collectGarbage(store, { generations: 10, days: 30, hours: 24, dryRun: false });
    expect((await gc()).pruned).toEqual([]);
    tick(24 * 25);
    expect((await gc()).pruned).toEqual([1, 2, 3, 4, 5]);
    expect(await store.snapshotAt(5)).toBeUndefined();
    expect(await store.snapshotAt(0)).toBeUndefined();
    expect((await store.snapshotAt(6))?.names).toHaveLength(6);
  });

  test("does not count what was stored again while it was moved", async () => {
    let now = START;
    const storage = new Watched(() => now);
    const store = await Store.openOrCreate(storage);
    const bytes = Buffer.from("unnamed");
    const digest = sumsOf(bytes)["sha-256"];
    await (await store.ingestBytes(bytes)).commit();
    now += 48 * HOUR;
    let again = 0;
    storage.onStep = async (step) => {
      if (step !== "move blobs" || (again += 1) > 1) return;
      await (await store.ingestBytes(bytes)).commit();
    };
    expect(await collectGarbage(store, ALL)).toMatchObject({ aside: { blobs: 0, bytes: 0 } });
    expect([again, await store.storage.has(blobKey(digest)), await store.storage.list(TRASH)]).toEqual([1, true, []]);
  });

  test("leaves alone what is younger than a day, puts the rest aside, and deletes it an hour later", async () => {
    const { store, storage, add, tick } = await world();
    await add("a", "held");
    const stray = await store.ingestBytes(Buffer.from("stray"));
    await stray.commit();
    tick(23);
    expect(await collectGarbage(store, ALL)).toMatchObject({ aside: { blobs: 0 }, young: { blobs: 1, bytes: 5 } });
    tick(2);
    expect(await collectGarbage(store, { ...ALL, dryRun: true })).toMatchObject({ aside: { blobs: 1, bytes: 5 } });
    expect(store.has(stray.sums["sha-256"])).toBe(true);
    expect(await collectGarbage(store, ALL)).toMatchObject({ aside: { blobs: 1, bytes: 5 }, deleted: { blobs: 0 } });
    expect(await collectGarbage(store, ALL)).toMatchObject({ deleted: { blobs: 0 } });
    tick(1);
    expect(await collectGarbage(store, ALL)).toMatchObject({ deleted: { blobs: 1, bytes: 5 } });
    expect(await storage.list(TRASH)).toEqual([]);
    expect(await whole(store)).toBe(true);
  });

  test("takes back what a generation names", async () => {
    const { store, storage, add } = await world();
    const digest = await add("a", "held");
    await storage.move(blobKey(digest), `${TRASH}${START - 99 * HOUR}.${digest}`);
    expect(Buffer.from((await (await store.blob(digest))?.bytes()) ?? []).toString()).toBe("held");
    expect(await collectGarbage(store, ALL)).toMatchObject({ restored: 1, deleted: { blobs: 0 } });
    expect(await whole(store)).toBe(true);
  });

  // Both bring the blob that an old, unnamed one is the same as; either is run whole at each step of the other.
  test.each(["gc", "publish"] as const)("%s is stopped at each of its steps while the other runs", async (stopped) => {
    let steps = 1;
    for (let at = 0; at < steps; at += stride(5)) {
      const { store, storage, add, tick, time } = await world();
      await add("a", "one");
      const stray = await store.ingestBytes(Buffer.from("came before"));
      await stray.commit();
      tick(48);
      const other = await Store.open(storage);
      // Names the stray blob without bringing it, as a rollback does.
      const publish = async (by: Store) => {
        const { "sha-256": digest, size } = stray.sums;
        const draft = changeDraft("test", [{ before: undefined, after: pkg("b", [charmRevision(1, digest, size)]) }]);
        await publishChange(by, time(), async () => ({ draft, result: undefined }));
      };
      const gc = async (by: Store) => void (await collectGarbage(by, { ...ALL, generations: 2 }));
      const [first, second] = stopped === "gc" ? [gc, publish] : [publish, gc];
      let step = 0;
      storage.onStep = async () => {
        if (step++ === at) {
          storage.onStep = async () => {};
          await second(other);
        }
      };
      await first(store);
      if (at === 0) {
        // How many steps there are, is seen from a run of its own.
        const counted = await world();
        await counted.add("a", "one");
        const same = await counted.store.ingestBytes(Buffer.from("came before"));
        await same.commit();
        counted.tick(48);
        let all = 0;
        counted.storage.onStep = async () => void (all += 1);
        if (stopped === "gc") await gc(counted.store);
        else
          await publishChange(counted.store, counted.time(), async () => ({
            draft: changeDraft("test", [{ before: undefined, after: pkg("b", [charmRevision(1, same.sums["sha-256"], same.sums.size)]) }]),
            result: undefined,
          }));
        steps = all;
      }
      expect([at, await whole(await Store.open(storage))]).toEqual([at, true]);
    }
    expect(steps).toBeGreaterThan(4);
  });
});

const NOW = { generations: 1, days: 0, hours: 0, dryRun: false };

/** What is brought by no generation that is kept: an import, and what only a pruned generation names, as a rollback does. */
const PUBLISHERS = {
  import: async (store: Store, time: string, _digest: Digest) =>
    store.leased(async () => {
      const [blob, repair] = [await store.ingestBytes(Buffer.from("brought")), await store.ingestBytes(Buffer.from("not named"))];
      const { "sha-256": digest, size } = blob.sums;
      const draft = changeDraft("import", [{ before: undefined, after: pkg("b", [charmRevision(1, digest, size)]) }]);
      await store.publish(time, async () => ({ draft: { ...draft, blobs: [blob, repair] }, result: undefined }));
    }),
  rollback: async (store: Store, time: string, digest: Digest) =>
    publishChange(store, time, async () => {
      const earlier = await (await store.snapshotAt(1))?.package("a");
      if (!earlier) throw new Error("generation 1 was pruned");
      expect(earlier.revisions[0]?.blob).toBe(digest);
      return { draft: changeDraft("rollback", [{ before: undefined, after: earlier }]), result: undefined };
    }),
} as const;

describe("a gc of all that can be had runs several times, whole, at a step of", () => {
  test.each([
    ["import", "a moment", 0, 0],
    ["rollback", "a moment", 0, 0],
    ["import", "hours", 12, 0],
    ["rollback", "hours", 12, 0],
    ["rollback, which leaves alone what is new", "hours", 12, 40],
  ] as const)("an %s that then sleeps for %s", async (what, _sleep, hours, young) => {
    const publisher = what === "import" ? what : "rollback";
    const every = stride(3);
    let [landed, failed] = [0, 0];
    for (let at = 0, passed = true; passed; at += every) {
      const { store, storage, add, tick, time } = await world();
      const digest = await add("a", "one");
      await add("a", "two");
      tick(young);
      let step = 0;
      storage.onStep = async () => {
        if (step++ !== at) return;
        storage.onStep = async () => {};
        const other = await Store.open(storage);
        for (let i = 0; i < 3; i += 1) {
          await collectGarbage(other, { ...NOW, hours: young });
          tick(hours);
        }
      };
      const done = await PUBLISHERS[publisher](store, time(), digest).then(
        () => "published",
        (error: unknown) => error,
      );
      passed = step > at;
      const after = await Store.open(storage);
      expect([at, await whole(after)]).toEqual([at, true]);
      const names = (await after.snapshot()).names;
      const isThere = publisher === "import" ? names.includes("b") : (await after.generationNumbers()).at(-1) === 3;
      expect([at, done === "published", isThere]).toEqual([at, isThere, done === "published"]);
      if (done === "published") landed += 1;
      else failed += 1;
      // A publisher that gives signs of life is let finish.
      if (hours === 0) expect([at, done]).toEqual([at, "published"]);
      tick(1);
      await collectGarbage(after, NOW);
      await collectGarbage(after, NOW);
      expect([await whole(after), await storage.list("trash/"), await storage.list("leases/"), await storage.staged()]).toEqual([
        true,
        [],
        [],
        [],
      ]);
    }
    expect(landed * every).toBeGreaterThan(2);
    expect(failed > 0).toBe(hours > 0);
  });
});

test("an import whose blob another program took away in the meantime publishes nothing", async () => {
  for (const what of ["one", "index"]) {
    const { store, storage, add } = await world();
    storage.onStep = async (step) => {
      if (step !== "create catalog") return;
      for (const folder of BLOB_FOLDERS)
        for (const key of await storage.list(folder)) {
          const text = Buffer.from((await (await storage.open(key))?.bytes()) ?? []).toString();
          if (what === "one" ? text === what : /^\{\s*"packages"/.test(text)) await storage.remove(key);
        }
    };
    expect(await add("a", "one").catch((error: unknown) => error)).toMatchObject({ kind: "failed" });
    expect(await store.generationNumbers()).toEqual([]);
  }
});

test("a number that was published and pruned while a publisher slept is not given out again", async () => {
  const { storage, add, tick, time } = await world();
  await add("a", "one");
  let began = false;
  storage.onStep = async (step) => {
    if (step !== "create catalog" || began) return;
    began = true;
    const other = await Store.open(storage);
    for (const name of ["c", "d"]) {
      const draft = changeDraft("import", [{ before: undefined, after: pkg(name, []) }]);
      await other.publish(time(), async () => ({ draft, result: undefined }));
    }
    tick(0.1);
    await collectGarbage(other, NOW);
  };
  await add("b", "two");
  const after = await Store.open(storage);
  expect([(await after.generationNumbers()).at(-1), (await after.snapshot()).names]).toEqual([4, ["a", "b", "c", "d"]]);
});

test("while a lease is live nothing is deleted from the trash, and the report says so; it ends ten minutes after its last sign of life", async () => {
  let now = START;
  const storage = new Memory(() => now);
  const store = await Store.openOrCreate(storage);
  const stray = await store.ingestBytes(Buffer.from("stray"));
  await stray.commit();
  now += HOUR;
  let [end, killed] = [() => {}, () => {}];
  const running = store.leased(() => new Promise<void>((resolve) => (end = resolve)));
  void (await Store.open(storage)).leased(() => new Promise<void>((resolve) => (killed = resolve)));
  while ((await storage.list("leases/")).length < 2) await Promise.resolve();
  const gc = async () => collectGarbage(await Store.open(storage), NOW);
  expect(await gc()).toMatchObject({ aside: { blobs: 1 }, leases: 2 });
  expect(await gc()).toMatchObject({ deleted: { blobs: 0 }, leases: 2 });
  for (let minute = 0; minute < 9; minute += 1) {
    now += 60_000;
    await store.renewLease();
  }
  expect(await gc()).toMatchObject({ leases: 2 });
  now += 61_000;
  expect(await gc()).toMatchObject({ deleted: { blobs: 0 }, leases: 1 });
  // A clock that was set back, or was ahead when the lease was written, holds gc off for no longer.
  now -= 9 * 60_000;
  expect(await gc()).toMatchObject({ leases: 1 });
  end();
  await running;
  expect(await gc()).toMatchObject({ deleted: { blobs: 1 }, leases: 0 });
  expect(await storage.list("leases/")).toEqual([]);
  killed();
});

test("a lease that was taken for over does not come back with the next renewal, and a far one ends too", async () => {
  let now = START;
  const storage = new Memory(() => now);
  await Lease.take(storage);
  now -= 24 * HOUR;
  expect(await endLeases(storage, { dryRun: true })).toBe(0);
  const lease = await Lease.take(storage);
  expect(await endLeases(storage)).toBe(1);
  now += 24 * HOUR;
  expect(await endLeases(storage)).toBe(0);
  await lease.renew();
  expect(await storage.list("leases/")).toEqual([]);
  expect(await lease.check().catch((error: unknown) => error)).toMatchObject({ kind: "failed" });
});

// The store takes long to make.
longTest("a release in a store of 1,000 packages × 20 revisions writes less than 200 KiB", async () => {
  const { store, storage, time } = await world();
  const packages = Array.from({ length: 1000 }, (_, i) =>
    pkg(
      `some-charm-of-a-usual-name-${i}`,
      Array.from({ length: 20 }, (__, n) => {
        const digest = sumsOf(Buffer.from(`${i} ${n}`))["sha-256"];
        const texts = { "metadata-yaml": digest, "config-yaml": digest, "actions-yaml": digest };
        return { ...charmRevision(20 - n, digest, 1), texts };
      }),
    ),
  );
  await store.publish(time(), async () => ({
    draft: changeDraft(
      "import",
      packages.map((after) => ({ before: undefined, after })),
    ),
    result: undefined,
  }));
  storage.written = 0;
  await publishChange(store, time(), async (snapshot) => {
    const held = await snapshot.package("some-charm-of-a-usual-name-500");
    if (!held) throw new Error("it is not stored");
    return { draft: changeDraft("release", [{ before: held, after: release(held, 7, "latest/edge", {}, time()) }]), result: undefined };
  });
  expect(storage.written).toBeGreaterThan(1000);
  expect(storage.written).toBeLessThan(200 * 1024);
});

test("while a lease is live no generation is pruned, and what it names stays in its place", async () => {
  const storage = new Memory(() => Date.parse("2026-05-03T00:00:00Z"));
  const store = await Store.openOrCreate(storage);
  const digests: Digest[] = [];
  for (const text of ["old", "new"]) {
    const blob = await store.ingestBytes(Buffer.from(text));
    digests.push(blob.sums["sha-256"]);
    const draft = changeDraft("test", [{ before: undefined, after: pkg("a", [charmRevision(1, blob.sums["sha-256"], blob.sums.size)]) }]);
    await store.publish("2026-05-01T00:00:00Z", async () => ({ draft: { ...draft, blobs: [blob] }, result: undefined }));
  }
  const lease = await Lease.take(storage);
  expect(await collectGarbage(store, NOW)).toMatchObject({ leases: 1, pruned: [], kept: [1, 2], aside: { blobs: 0 } });
  for (const digest of digests) expect(storage.has(blobKey(digest))).toBe(true);
  await lease.release();
  expect(await collectGarbage(store, NOW)).toMatchObject({ leases: 0, pruned: [1], kept: [2] });
});
