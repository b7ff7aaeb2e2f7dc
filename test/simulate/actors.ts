/** The processes of a machine: what each does, and what it holds against what others were told. */

import { changeDraft, withSection } from "../../src/catalog/drafts.ts";
import type { StagedBlob } from "../../src/catalog/generation-types.ts";
import type { Package, Revision } from "../../src/catalog/package.ts";
import { byDigest, mergeRepository, type Repository } from "../../src/catalog/repository.ts";
import { imageDraft, rollBackRepository } from "../../src/catalog/repositorychange.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { isCorrupt, reason } from "../../src/errors.ts";
import type { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { SimulatedDisk } from "./disk.ts";
import { isFailure, type Process } from "./machine.ts";
import { hold, type Oracle, Violation } from "./oracle.ts";

export interface World {
  readonly oracle: Oracle;
  readonly syncsNothing: boolean;
  /** revisions are given out once */
  revision: number;
  backups: number;
}

type Actor = (world: World, process: Process) => Promise<void>;

function diskOf({ oracle, syncsNothing }: World, process: Process, place = "store"): SimulatedDisk {
  const { machine } = oracle;
  const removing = (key: string) => {
    if (place === "store") oracle.removing(key);
  };
  return new SimulatedDisk(machine, process, place, { removing, isPrompt: machine.random() < 0.5, syncsNothing });
}

const time = ({ oracle: { machine } }: World) => new Date(machine.now()).toISOString();

const charmOf = (name: string, revisions: readonly Revision[]) =>
  emptyCharm(name, { id: sumsOf(Buffer.from(name))["sha-256"].slice(0, 32), revisions });

/** An image whose manifest and layer are the payloads of two revisions: what they hold does not matter to a store. */
function imageOf(manifest: Revision, layer: Revision): Repository {
  const sizes = [manifest, layer].map(({ blob, size }) => ({ digest: blob, size }));
  return {
    name: "team/app",
    tags: { latest: manifest.blob },
    manifests: [
      { digest: manifest.blob, mediaType: "application/vnd.oci.image.manifest.v1+json", size: manifest.size, blobs: [layer.blob] },
    ],
    blobs: byDigest(sizes),
  };
}

/** Renews the lease of a process, as its timer does, until `work` has ended. */
async function renewing<T>({ oracle: { machine } }: World, process: Process, store: Store, work: () => Promise<T>): Promise<T> {
  const state = { isDone: false };
  const renew = async (): Promise<void> => {
    while (!state.isDone) {
      await machine.step(process, [], 60_000);
      if (!state.isDone) await store.renewLease();
    }
  };
  void renew();
  try {
    return await work();
  } finally {
    state.isDone = true;
  }
}

/** One revision of two packages, added to what is there; a third package is replaced, so that only older generations name what it had. */
const importer: Actor = async (world, process) => {
  const { oracle } = world;
  world.revision += 1;
  const revision = world.revision;
  const disk = diskOf(world, process);
  const store = await oracle.modules.Store.openOrCreate(disk);
  await oracle.modules.endLeases(disk);
  const brought = new Set<Digest>();
  oracle.brought.set(process, { digests: brought, isLive: () => disk.hasLease });
  const { generation } = await renewing(world, process, store, () =>
    store.leased(async () => {
      const texts = [`left ${revision}`, `right ${revision}`, revision % 3 === 0 ? "the same again" : `replaced ${revision}`];
      const blobs: StagedBlob[] = [];
      for (const text of texts) {
        const blob = await store.ingestBytes(Buffer.from(text));
        const commit = blob.commit.bind(blob);
        const noted: StagedBlob["commit"] = async (expected) => {
          await commit(expected);
          brought.add(blob.sums["sha-256"]);
        };
        blobs.push(Object.assign(blob, { commit: noted }));
      }
      const [left, right, other] = blobs.map(({ sums }) => charmRevision(revision, sums["sha-256"], sums.size));
      if (!left || !right || !other) throw new Error("there are three");
      const added = async (base: { package(name: string): Promise<Package | undefined> }, name: string, one: Revision) => {
        const before = await base.package(name);
        return {
          before,
          after: charmOf(
            name,
            [one, ...(before?.revisions ?? [])].toSorted((a, b) => b.revision - a.revision),
          ),
        };
      };
      try {
        return await store.publish(time(world), async (base) => {
          const changes = [await added(base, "left", left), await added(base, "right", right)];
          changes.push({ before: await base.package("other"), after: charmOf("other", [other]) });
          const draft = { ...changeDraft(process.name, changes), blobs };
          // Every second brings an image, and every fourth replaces the one before, so that only older generations name it.
          if (revision % 2 === 1) return { draft, result: undefined };
          const before = await base.repository("team/app");
          const image = imageOf(left, right);
          const after = revision % 4 === 0 ? image : mergeRepository(before, image);
          const required = after.blobs.map(({ digest }) => digest).filter((digest) => digest !== left.blob && digest !== right.blob);
          return { draft: { ...withSection(draft, "images", imageDraft([{ before, after }])), required }, result: undefined };
        });
      } finally {
        for (const blob of blobs) await blob.discard().catch(() => {});
      }
    }),
  );
  const packages = ["left", "right"].map((name) => ({ name, revision }));
  if (generation) oracle.acknowledge(process.name, generation.number, packages);
};

/** Publishes what an earlier generation had, without bringing it. */
const rollback: Actor = async (world, process) => {
  const { oracle } = world;
  const store = await oracle.modules.Store.open(diskOf(world, process));
  const numbers = await store.generationNumbers();
  if (numbers.length < 2) return;
  const number = oracle.machine.pick(numbers.slice(0, -1));
  const { generation } = await store.publish(time(world), async (base) => {
    const after = await (await store.snapshotAt(number))?.package("other");
    const before = await base.package("other");
    const [was, is] = [await (await store.snapshotAt(number))?.repository("team/app"), await base.repository("team/app")];
    const rolled = rollBackRepository(was, is);
    const images = imageDraft(rolled ? [{ before: is, after: rolled }] : []);
    const draft = withSection(changeDraft(process.name, after ? [{ before, after }] : []), "images", images);
    return { draft: { ...draft, exclusive: true }, result: undefined };
  });
  if (generation) oracle.acknowledge(process.name, generation.number, []);
};

const server: Actor = async (world, process) => {
  const { oracle } = world;
  const { machine } = oracle;
  const store = await oracle.modules.Store.openOrAwait(diskOf(world, process));
  let seen = 0;
  const request = async (): Promise<void> => {
    const least = Math.max(oracle.least, seen);
    const snapshot = await store.snapshot();
    // What the disk can't read now counts as damaged: the generation before it is served, and the log says so.
    const isDamaged = process.failed > 0 && store.damage !== undefined;
    hold(
      "a reader never goes back",
      isDamaged || snapshot.number >= least,
      () => `${process.name} serves ${snapshot.number} after ${least}`,
    );
    seen = Math.max(seen, snapshot.number);
    for (const { number, packages } of oracle.acknowledged.slice(-2)) {
      if (number > snapshot.number) continue;
      for (const { name, revision } of packages) {
        const found = (await snapshot.package(name))?.revisions.find((one) => one.revision === revision);
        hold("what was acknowledged stays readable", found !== undefined, () => `${name} ${revision} is not served by ${snapshot.number}`);
        const bytes = found && (await (await store.blob(found.blob))?.bytes().catch(async () => (await store.blob(found.blob))?.bytes()));
        hold(
          "every named blob is stored",
          Buffer.from(bytes ?? []).toString() === `${name} ${revision}`,
          () => `${name} ${revision} is not served`,
        );
      }
    }
  };
  // One request begins while another waits for the disk.
  const client = async (): Promise<void> => {
    for (let i = 0; i < 5; i += 1) {
      await machine.step(process, [], machine.pick([0, 0, 0, 1, 5, 700]));
      await request();
    }
  };
  await Promise.all(Array.from({ length: 1 + machine.below(4) }, client));
};

const gc: Actor = async (world, process) => {
  const { oracle } = world;
  const { machine } = oracle;
  const store = await oracle.modules.Store.open(diskOf(world, process));
  for (let i = 0; i < 3; i += 1) {
    const options = { generations: machine.pick([1, 1, 2]), days: 0, hours: machine.pick([0, 0, 1]), dryRun: machine.random() < 0.1 };
    await oracle.modules.collectGarbage(store, options);
    await machine.step(process, [], machine.pick([0, 0, 7_200_000]));
  }
};

const config: Actor = async (world, process) => {
  const { oracle } = world;
  const store = await oracle.modules.Store.open(diskOf(world, process));
  const key = `key-${process.name}`;
  const value = String(oracle.machine.below(1000));
  const before = oracle.settings.get(key)?.value ?? "undefined";
  oracle.settings.set(key, { value: before, also: [value] });
  await store.settings.change(["config"], (stored) => ({ config: { ...stored.config, [key]: value } }));
  oracle.settings.set(key, { value, also: [] });
};

const verify: Actor = async (world, process) => {
  const { oracle } = world;
  const store = await oracle.modules.Store.open(diskOf(world, process));
  const { findings } = await oracle.modules.check(store, { readData: { part: 1, of: 1 }, dryRun: oracle.machine.random() < 0.5 });
  if (process.failed > 0) return;
  const damage = findings.filter((one) => one.severity === "damage");
  hold("verify finds no damage", damage.length === 0, () => damage.map((one) => `${one.what.join()} ${one.problem}`).join("; "));
};

const backup: Actor = async (world, process) => {
  const { oracle } = world;
  world.backups += 1;
  const place = `backup${world.backups}`;
  const least = oracle.least;
  const { generations } = await oracle.modules.copyStore(diskOf(world, process), diskOf(world, process, place));
  await oracle.quietly(async (store) => {
    const numbers = await store.generationNumbers();
    hold("a backup is a whole store", numbers.join() === generations.join(), () => `it has ${numbers.join()}, not ${generations.join()}`);
    hold(
      "a backup is a whole store",
      (numbers.at(-1) ?? 0) >= least,
      () => `it ends at ${numbers.at(-1)}, after ${least} was acknowledged`,
    );
    const { findings } = await oracle.modules.check(store, { readData: { part: 1, of: 1 }, dryRun: true });
    const damage = findings.filter((one) => one.severity === "damage");
    hold("a backup is a whole store", damage.length === 0, () => damage.map((one) => `${one.what.join()} ${one.problem}`).join("; "));
  }, place);
};

export const ACTORS = { importer, rollback, server, gc, config, verify, backup } as const;

/** A process ends as the program does: with what it was to do, or with a failure that it may have. */
export async function act(world: World, process: Process, actor: Actor): Promise<void> {
  try {
    await actor(world, process);
  } catch (error) {
    if (error instanceof Violation) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const isExpected =
      process.failed > 0 ||
      (isFailure(error) && (["no-store", "conflict", "failed", "published"] as string[]).includes(error.kind)) ||
      // what it read was pruned and deleted meanwhile
      code === "ENOENT" ||
      isCorrupt(error);
    if (!isExpected) throw new Violation("what was acknowledged stays readable", `${process.name} ends with ${reason(error)}`);
  } finally {
    world.oracle.brought.delete(process);
  }
}
