/** Random histories of a store against what it answered: a rollback gives the same bytes, and loses no revision. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import { LIMITS } from "../../src/archive.ts";
import { chooseTrack, close, type Held, release } from "../../src/change.ts";
import { draftOf, publishChange, rolledBack } from "../../src/commands/change.ts";
import { removalDraft } from "../../src/commands/remove.ts";
import { Failure } from "../../src/errors.ts";
import { importSources } from "../../src/import.ts";
import { removal } from "../../src/removal.ts";
import { collectGarbage } from "../../store/gc.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import { type Snapshot, Store } from "../../store/store.ts";
import { base, charmZip, exportOf } from "../build.ts";
import { importSnapWorld } from "../snapworld.ts";

const BASES = [base("amd64", "22.04"), base("arm64", "24.04")];
const NAMES = ["ada", "bob"] as const;
const CHANNELS = ["latest/stable", "latest/edge", "2/stable"] as const;
const SNAPS = ["hello", "dtrack"] as const;
const HOUR = 3_600_000;

const name = fc.constantFrom(...NAMES);
const channel = fc.constantFrom(...CHANNELS);
const revision = fc.integer({ min: 1, max: 4 });
const Step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("import" as const), name, revision, channel, title: fc.constantFrom("A", "B") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), name, revision, channel }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("close" as const), name, channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("track" as const), name, track: fc.constantFrom("latest", "2") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("snaps" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close-snap" as const), name: fc.constantFrom(...SNAPS) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), name, revision: fc.option(revision, { nil: undefined }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("gc" as const), keep: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("rollback" as const), to: fc.nat(12) }) },
);

/** A resource comes with each revision, so that a later one could change what an earlier release answers. */
function exported({
  name: of,
  revision: number,
  channel: into,
  title,
}: {
  name: string;
  revision: number;
  channel: string;
  title: string;
}) {
  return exportOf([
    {
      name: of,
      id: of.padEnd(32, "0"),
      type: "charm",
      result: { title },
      revisions: {
        [number]: charmZip({ name: of, revision: number, bases: BASES, resources: { data: { type: "file", filename: "data" } } }),
      },
      bases: { [number]: BASES },
      resources: { data: { type: "file", filename: "data", revisions: { [number]: Buffer.from(`${of} ${number}`) } } },
      releases: BASES.map((on) => ({ channel: into, base: on, revision: number, resources: { data: number } })),
    },
  ]);
}

async function world() {
  let now = Date.parse("2026-01-01T00:00:00Z");
  const storage = new Memory(() => now);
  const store = await Store.openOrCreate(storage);
  const app = createApp({ store, config: {}, log: () => {}, registries: async () => ({ current: undefined, former: [] }) });
  const ask = async (path: string, body?: unknown, headers?: Record<string, string>) => {
    const init = body === undefined ? { headers } : { method: "POST", body: JSON.stringify(body), headers };
    const reply = await app.fetch(new Request(new URL(path, "http://hub.test"), init as RequestInit));
    return `${reply.status} ${await reply.text()}`;
  };
  const install = (of: string, extra: Record<string, unknown>, on: unknown) =>
    ask("/v2/charms/refresh", { context: [], actions: [{ action: "install", "instance-key": "k", name: of, base: on, ...extra }] });
  const installSnap = (of: string, into: string) =>
    ask(
      "/v2/snaps/refresh",
      {
        context: [],
        actions: [{ action: "install", "instance-key": "k", name: of, channel: into }],
        fields: ["resources", "version", "revision"],
      },
      { "Snap-Device-Architecture": "amd64", "Snap-Device-Series": "16" },
    );
  /** everything that does not name a revision, and those that were held by number */
  const replies = async () => {
    const found: Record<string, string> = {};
    for (const of of NAMES) {
      for (const into of [...CHANNELS, "stable"])
        for (const on of BASES) found[`${of} ${into} ${JSON.stringify(on)}`] = await install(of, { channel: into }, on);
      found[`info ${of}`] = await ask(`/v2/charms/info/${of}?fields=channel-map,default-release,result`);
      found[`resources ${of}`] = await ask(`/v2/charms/resources/${of}/data/revisions`);
      for (let number = 1; number <= 4; number += 1) {
        const reply = await install(of, { revision: number }, BASES[0]);
        if (reply.includes('"result":"install"')) found[`number ${of} ${number}`] = reply;
      }
    }
    found["find"] = await ask("/v2/charms/find");
    for (const of of SNAPS) {
      for (const into of ["stable", "edge", "latest/stable"]) found[`snap ${of} ${into}`] = await installSnap(of, into);
      found[`snap info ${of}`] = await ask(`/v2/snaps/info/${of}?architecture=amd64`, undefined, { "Snap-Device-Series": "16" });
    }
    found["snap find"] = await ask("/v2/snaps/find?q=hello", undefined, { "Snap-Device-Series": "16" });
    return found;
  };
  return { store, storage, replies, install, tick: (ms: number) => (now += ms), time: () => new Date(now).toISOString() };
}

async function heldRevisions(snapshot: Snapshot): Promise<string[]> {
  return (await snapshot.packages()).flatMap((pkg) => pkg.revisions.map((r) => `${pkg.name} ${r.revision}`)).toSorted();
}

const turn = () => new Promise((resolve) => void setImmediate(resolve));

/** True where the store says no to it, as it may. */
async function refuses(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof Failure && ["refused", "not-found"].includes(error.kind)) return true;
    throw error;
  }
}

test("after a rollback every reply is byte for byte what it was, and no revision is lost", async () => {
  let rollbacks = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { minLength: 4, maxLength: 14 }), async (steps) => {
      const { store, replies, install, tick, time } = await world();
      const model = new Map<number, Record<string, string>>([[0, await replies()]]);
      const change = (of: string, work: (held: Held) => Held, isSnap = false) =>
        refuses(() =>
          publishChange(store, time(), async (snapshot) => {
            const held = await (isSnap ? snapshot.snap(of) : snapshot.package(of));
            if (!held) throw new Failure("not-found", "nothing is held");
            const after = work(held);
            return draftOf("test", JSON.stringify(held) === JSON.stringify(after) ? [] : [[held, after]]);
          }),
        );
      for (const step of steps) {
        tick(HOUR * 48);
        const before = await store.snapshot();
        const revisions = await heldRevisions(before);
        if (step.do === "import") {
          const bytes = exported(step);
          const source = {
            name: "e.tar.gz",
            open: async function* () {
              yield bytes;
            },
          };
          await importSources(store, [source], { command: "import", channels: "apply", dryRun: false, now: time(), limits: LIMITS });
        } else if (step.do === "release") await change(step.name, (held) => release(held, step.revision, step.channel, {}, time()));
        else if (step.do === "close") await change(step.name, (held) => close(held, step.channel, {}));
        else if (step.do === "track") await change(step.name, (held) => chooseTrack(held, step.track));
        else if (step.do === "remove")
          await refuses(() =>
            publishChange(store, time(), async (snapshot) => {
              const held = await snapshot.package(step.name);
              if (!held) throw new Failure("not-found", "nothing is held");
              return removalDraft("remove", held, removal(held, step.revision, []).after);
            }),
          );
        else if (step.do === "snaps") await importSnapWorld(store);
        else if (step.do === "close-snap") await change(step.name, (held) => close(held, "stable", {}), true);
        else if (step.do === "gc") {
          const { kept } = await collectGarbage(store, { generations: step.keep, days: 0, hours: 24, dryRun: false });
          for (const number of model.keys()) if (number !== 0 && !kept.includes(number)) model.delete(number);
          if (!kept.includes(1) && kept.length > 0) model.delete(0);
        } else {
          const to = step.to % (before.number + 1);
          const then = await store.snapshotAt(to);
          expect(then !== undefined).toBe(model.has(to) && (to !== 0 || before.number > 0));
          if (then) {
            rollbacks += 1;
            await publishChange(store, time(), async (snapshot) => {
              const rolled = await rolledBack(then, snapshot);
              return draftOf(`rollback ${to}`, rolled.pairs, rolled.dropped);
            });
            await turn();
            expect(await replies()).toMatchObject(model.get(to) ?? {});
          }
        }
        await turn();
        const after = await store.snapshot();
        if (step.do !== "remove") expect(await heldRevisions(after)).toEqual(expect.arrayContaining(revisions));
        for (const pkg of await after.packages())
          for (const { revision: number } of pkg.revisions)
            expect(await install(pkg.name, { revision: number }, BASES[0])).toContain('"result":"install"');
        model.set(after.number, await replies());
        for (const number of await store.generationNumbers()) {
          const generation = await store.generation(number);
          if (generation) for await (const { digest } of blobsOf(store, generation)) expect(store.has(digest)).toBe(true);
        }
      }
    }),
    { numRuns: 40 },
  );
  expect(rollbacks).toBeGreaterThan(10);
}, 300_000);
