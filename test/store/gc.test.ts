import { describe, expect, test } from "bun:test";
import { publishChange } from "../../bin/commands/changing.ts";
import { release } from "../../src/catalog/change.ts";
import { changeDraft } from "../../src/catalog/drafts.ts";
import type { Package, Revision } from "../../src/catalog/package.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { collectGarbage } from "../../store/gc.ts";
import { blobKey, TRASH } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import type { Stage } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { thorough } from "../thorough.ts";

const HOUR = 3_600_000;
const START = Date.parse("2026-01-01T00:00:00Z");
const ALL = { generations: 1, days: 0, hours: 24, dryRun: false };

function pkg(name: string, revisions: readonly Revision[], title = ""): Package {
  return {
    type: "charm",
    name,
    id: sumsOf(Buffer.from(name))["sha-256"].slice(0, 32),
    formerIds: [],
    declared: true,
    details: { title },
    defaultTrack: "latest",
    revisions,
    resources: [],
    releases: revisions.slice(0, 1).map((r) => ({
      channel: "latest/stable",
      base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
      revision: r.revision,
      releasedAt: "2026-01-01T00:00:00.000Z",
      resources: {},
    })),
    history: [],
  };
}

function revisionOf(revision: number, blob: Digest, size: number): Revision {
  return {
    revision,
    version: String(revision),
    createdAt: "2026-01-01T00:00:00.000Z",
    bases: [{ name: "ubuntu", channel: "22.04", architecture: "amd64" }],
    blob,
    size,
    texts: {},
    resources: [],
    charms: [],
    relations: {},
    subordinate: false,
  };
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

  override async create(key: string, bytes: Uint8Array): Promise<boolean> {
    await this.onStep(`create ${key.split("/")[0]}`);
    this.written += bytes.byteLength;
    const made = await super.create(key, bytes);
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
        ...changeDraft("import", [{ before: undefined, after: pkg(name, [revisionOf(1, digest, size)], text) }]),
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
    for (let at = 0; at < steps; at += 1) {
      const { store, storage, add, tick, time } = await world();
      await add("a", "one");
      const stray = await store.ingestBytes(Buffer.from("came before"));
      await stray.commit();
      tick(48);
      const other = await Store.open(storage);
      // Names the stray blob without bringing it, as a rollback does.
      const publish = async (by: Store) => {
        const { "sha-256": digest, size } = stray.sums;
        const draft = changeDraft("test", [{ before: undefined, after: pkg("b", [revisionOf(1, digest, size)]) }]);
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
            draft: changeDraft("test", [{ before: undefined, after: pkg("b", [revisionOf(1, same.sums["sha-256"], same.sums.size)]) }]),
            result: undefined,
          }));
        steps = all;
      }
      expect([at, await whole(await Store.open(storage))]).toEqual([at, true]);
    }
    expect(steps).toBeGreaterThan(4);
  });
});

test.skipIf(!thorough)("a release in a store of 1,000 packages × 20 revisions writes less than 200 KiB", async () => {
  const { store, storage, time } = await world();
  const packages = Array.from({ length: 1000 }, (_, i) =>
    pkg(
      `some-charm-of-a-usual-name-${i}`,
      Array.from({ length: 20 }, (__, n) => {
        const digest = sumsOf(Buffer.from(`${i} ${n}`))["sha-256"];
        const texts = { "metadata-yaml": digest, "config-yaml": digest, "actions-yaml": digest };
        return { ...revisionOf(20 - n, digest, 1), texts };
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
