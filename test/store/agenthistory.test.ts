/** Random histories of agents: what is listed is stored and whole, a rollback gives the agents of its generation and no others, and gc keeps what is named. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { publishChange } from "../../bin/commands/changing.ts";
import { readSigningKey } from "../../src/assertions/clearsigned.ts";
import { agentsDraft, withoutAgent } from "../../src/catalog/agentchange.ts";
import { type AgentRelease, agentsName, findAgent } from "../../src/catalog/agents.ts";
import { changeDraft, rollbackDraft, rollbackTo, withSection } from "../../src/catalog/drafts.ts";
import { Failure } from "../../src/errors.ts";
import { check } from "../../store/check.ts";
import { collectGarbage } from "../../store/gc.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { Store } from "../../store/store.ts";
import { tarOf } from "../build.ts";
import { importInto } from "../importing.ts";
import { agentBytes, agentFileName, streamsFiles, streamsSigner, testAgents } from "../streams.ts";
import { runs } from "../thorough.ts";

const SIGNER = streamsSigner("a");
const KEYS = [readSigningKey(SIGNER.file, "the key")];
const VERSIONS = ["3.6.10", "3.6.11"] as const;
const ARCHITECTURES = ["amd64", "arm64"] as const;
const DATES = ["Tue, 01 Sep 2026 08:00:00 +0000", "Tue, 22 Sep 2026 08:00:00 +0000"] as const;

/** Made once: a signature takes milliseconds. */
const ARCHIVES = new Map(
  VERSIONS.flatMap((one) =>
    DATES.map((updated) => [`${one} ${updated}`, tarOf(Object.fromEntries(streamsFiles(testAgents([one]), SIGNER, { updated })))] as const),
  ),
);

const version = fc.constantFrom(...VERSIONS);
const architecture = fc.constantFrom(...ARCHITECTURES);
const Step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("import signed" as const), version, updated: fc.constantFrom(...DATES) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("import alone" as const), version, architecture }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("remove" as const), version, architecture: fc.option(architecture, { nil: undefined }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("gc" as const), keep: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("rollback" as const), to: fc.nat(9) }) },
);

const listed = (releases: readonly AgentRelease[]) =>
  releases.flatMap(({ name, agents }) => agents.map((agent) => `${name} ${agent.architecture} ${agent.signed?.updated ?? "unverified"}`));

async function soundness(store: Store, snapshot: Snapshot): Promise<void> {
  const named = new Set<string>();
  if (snapshot.generation) for await (const { digest } of blobsOf(store, snapshot.generation)) named.add(digest);
  for (const { agents, blobs } of await snapshot.agents()) {
    const needed = agents.flatMap(({ blob, signed }) => [blob, ...(signed ? [signed.index.digest, signed.products.digest] : [])]);
    expect(blobs.map(({ digest }) => digest)).toEqual([...new Set(needed)].toSorted());
    for (const { digest } of blobs) expect([digest, named.has(digest), await store.has(digest)]).toEqual([digest, true, true]);
  }
}

test("agents of every history are whole, and gc keeps exactly what is named", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { minLength: 1, maxLength: 9 }), async (steps) => {
      let clock = Date.parse("2026-10-01T00:00:00Z");
      const store = await Store.openOrCreate(new Memory(() => clock));
      const states = new Map<number, string[]>();
      for (const step of steps) {
        clock += 60_000;
        const now = new Date(clock).toISOString();
        const before = listed(await (await store.snapshot()).agents());
        if (step.do === "import signed") {
          const archive = ARCHIVES.get(`${step.version} ${step.updated}`) ?? "";
          await importInto(store, { "agents.tar": archive }, { streamsKeys: KEYS, now });
          const { length } = listed(await (await store.snapshot()).agents()).filter(
            (one) => one.startsWith(`${agentsName(step.version)} `) && !one.endsWith("unverified"),
          );
          expect(length).toBe(2);
        } else if (step.do === "import alone") {
          const bytes = agentBytes(step.version, step.architecture);
          await importInto(store, { [agentFileName(step)]: bytes }, { allowUnverified: true, now });
          const release = await (await store.snapshot()).stored("agents", agentsName(step.version));
          expect(findAgent(release, step.architecture)?.size).toBe(bytes.byteLength);
          // A worse proof takes the place of none.
          for (const one of before.filter((text) => !text.endsWith("unverified")))
            expect(listed(await (await store.snapshot()).agents())).toContain(one);
        } else if (step.do === "remove") {
          const stored = await (await store.snapshot()).stored("agents", agentsName(step.version));
          if (!stored || (step.architecture !== undefined && !findAgent(stored, step.architecture))) continue;
          await publishChange(store, now, async () => {
            const changes = [{ before: stored, after: withoutAgent(stored, step.architecture) }];
            return { draft: withSection(changeDraft("remove", []), "agents", agentsDraft(changes)), result: undefined };
          });
        } else if (step.do === "gc") {
          clock += 48 * 3_600_000;
          for (const _ of [1, 2]) {
            await collectGarbage(store, { generations: step.keep, days: 0, hours: 24, dryRun: false });
            clock += 2 * 3_600_000;
          }
          for (const number of states.keys()) if (!(await store.generationNumbers()).includes(number)) states.delete(number);
        } else {
          const [to] = [...states.keys()].slice(step.to % Math.max(1, states.size));
          const then = to === undefined ? undefined : await store.snapshotAt(to);
          if (!then) continue;
          await publishChange(store, now, async (base) => ({
            draft: rollbackDraft("rollback", await rollbackTo(then, base)),
            result: undefined,
          }));
          expect(listed(await (await store.snapshot()).agents())).toEqual(states.get(to ?? 0) ?? []);
        }
        const snapshot = await store.snapshot();
        states.set(snapshot.number, listed(await snapshot.agents()));
        await soundness(store, snapshot);
      }
      expect((await check(store, { dryRun: true, readData: { part: 1, of: 1 } })).findings).toEqual([]);
    }),
    { numRuns: runs(120) },
  );
});

test("what no generation names any more is freed", async () => {
  let clock = Date.parse("2026-10-01T00:00:00Z");
  const store = await Store.openOrCreate(new Memory(() => clock));
  const files = streamsFiles(testAgents(["3.6.11"]), SIGNER);
  await importInto(store, { "agents.tar": tarOf(Object.fromEntries(files)) }, { streamsKeys: KEYS, now: new Date(clock).toISOString() });
  const stored = (await (await store.snapshot()).stored("agents", "juju-3.6.11")) as AgentRelease;
  const changes = [{ before: stored, after: undefined }];
  await publishChange(store, new Date(clock).toISOString(), async () => ({
    draft: withSection(changeDraft("remove", []), "agents", agentsDraft(changes)),
    result: undefined,
  }));
  for (const _ of [1, 2]) {
    clock += 48 * 3_600_000;
    await collectGarbage(store, { generations: 1, days: 0, hours: 24, dryRun: false });
  }
  expect(await Promise.all(stored.blobs.map(async ({ digest }) => store.has(digest)))).toEqual(stored.blobs.map(() => false));
});

test("an import that fails leaves nothing, whichever of its files is refused", async () => {
  const files = streamsFiles(testAgents(["3.6.11"]), SIGNER);
  for (const [path, bytes] of files) {
    const store = await Store.openOrCreate(new Memory());
    const spoiled = Buffer.from(bytes);
    spoiled[bytes.byteLength >> 1] = (spoiled[bytes.byteLength >> 1] ?? 0) ^ 1;
    const all = Object.fromEntries([...files].map(([one, content]) => [one, one === path ? spoiled : content]));
    const failure = await importInto(store, { "agents.tar": tarOf(all) }, { streamsKeys: KEYS }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Failure);
    expect([String(failure), await store.generationNumbers()]).toEqual([expect.stringContaining(path), []]);
    expect(await store.storage.list("tmp/")).toEqual([]);
  }
});
