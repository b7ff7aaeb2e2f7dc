/** Random histories of images: what a tag names can be pulled, a rollback gives the tags of its generation, and no newer manifest is lost by it. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { publishChange } from "../../bin/commands/changing.ts";
import { changeDraft, rollbackDraft, rollbackTo, withSection } from "../../src/catalog/drafts.ts";
import { blobSize, findManifest, pullableFor, type Repository } from "../../src/catalog/repository.ts";
import { imageDraft, imageRemoval } from "../../src/catalog/repositorychange.ts";
import { Failure } from "../../src/errors.ts";
import { collectGarbage } from "../../store/gc.ts";
import { Memory } from "../../store/memory.ts";
import { blobsOf } from "../../store/reach.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { Store } from "../../store/store.ts";
import { tarOf } from "../build.ts";
import { importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { attestationOf, imageOf, indexOf } from "../registry.ts";
import { runs, thorough } from "../thorough.ts";

const NAMES = ["team/app", "team/other"] as const;
const TAGS = ["1", "2", "latest"] as const;
const [AMD, ARM, NEXT] = [
  imageOf({ layers: ["base", "amd"] }),
  imageOf({ architecture: "arm64", layers: ["base", "arm"] }),
  imageOf({ layers: ["base", "next"] }),
];
const BOTH = indexOf([AMD, ARM, attestationOf(AMD)]);
const SIGNATURE = imageOf({ artifactType: "application/vnd.test.signature", layers: ["signed"], subject: BOTH });
const IMAGES = [AMD, ARM, NEXT, BOTH, indexOf([NEXT, ARM]), indexOf([BOTH, NEXT]), SIGNATURE];

const name = fc.constantFrom(...NAMES);
const tag = fc.constantFrom(...TAGS);
const image = fc.constantFrom(...IMAGES);
const Step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("import" as const), name, tag: fc.option(tag, { nil: undefined }), image }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove tag" as const), name, tag }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove manifest" as const), name, image }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove all" as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("gc" as const), keep: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("rollback" as const), to: fc.nat(12) }) },
);

type Held = Readonly<Record<string, Repository>>;

async function heldIn(snapshot: Snapshot): Promise<Held> {
  return Object.fromEntries((await snapshot.repositories()).map((repository) => [repository.name, repository]));
}

/** `team/app:1` → its digest. */
function tagsOf(held: Held): Record<string, string> {
  return Object.fromEntries(
    Object.values(held).flatMap((repository) =>
      Object.entries(repository.tags).map(([one, digest]) => [`${repository.name}:${one}`, digest]),
    ),
  );
}

/** Whether manifests and blobs of a repository are exactly those that belong together. */
function isSound({ tags, manifests, blobs }: Repository): boolean {
  const named = new Set(manifests.flatMap((manifest) => [manifest.digest, ...(manifest.blobs ?? [])]));
  const stored = new Set(manifests.map(({ digest }) => digest));
  return (
    manifests.length > 0 &&
    blobs.every(({ digest }) => named.has(digest)) &&
    named.size === blobs.length &&
    Object.values(tags).every((digest) => stored.has(digest))
  );
}

async function refuses(work: () => Promise<unknown>): Promise<void> {
  await work().catch((error: unknown) => {
    if (!(error instanceof Failure && error.kind === "not-found")) throw error;
  });
}

test("after any imports, removals and rollbacks", async () => {
  let [rollbacks, removals, kept] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { minLength: 4, maxLength: 14 }), async (steps) => {
      let now = Date.parse("2026-03-03T00:00:00Z");
      const store = await Store.openOrCreate(new Memory(() => now));
      const time = () => new Date(now).toISOString();
      const model = new Map<number, Record<string, string>>([[0, {}]]);
      const remove = (of: string, path: { tag?: string; digest?: string }) =>
        refuses(() =>
          publishChange(store, time(), async (snapshot) => {
            const before = await snapshot.repository(of);
            if (!before) throw new Failure("not-found", "nothing is stored");
            const { after } = imageRemoval(before, { name: of, ...path }, [], now);
            removals += 1;
            return { draft: withSection(changeDraft("remove", []), "images", imageDraft([{ before, after }])), result: undefined };
          }),
        );
      for (const step of steps) {
        now += 48 * 3_600_000;
        const snapshot = await store.snapshot();
        const before = await heldIn(snapshot);
        if (step.do === "import") {
          const layout = layoutOf([
            { image: step.image, name: `${step.name}${step.tag === undefined ? `@sha256:${step.image.digest}` : `:${step.tag}`}` },
          ]);
          await importInto(store, { "site.tar": tarOf(layout) }, { now: time() });
        } else if (step.do === "remove tag") await remove(step.name, { tag: step.tag });
        else if (step.do === "remove manifest") await remove(step.name, { digest: `sha256:${step.image.digest}` });
        else if (step.do === "remove all") await remove(step.name, {});
        else if (step.do === "gc") {
          const { kept: numbers } = await collectGarbage(store, { generations: step.keep, days: 0, hours: 24, dryRun: false });
          for (const number of model.keys()) if (number !== 0 && !numbers.includes(number)) model.delete(number);
          if (!numbers.includes(1) && numbers.length > 0) model.delete(0);
        } else {
          const to = step.to % (snapshot.number + 1);
          const then = await store.snapshotAt(to);
          if (then) {
            rollbacks += 1;
            await publishChange(store, time(), async (base) => ({
              draft: rollbackDraft(`rollback ${to}`, await rollbackTo(then, base)),
              result: undefined,
            }));
            expect(tagsOf(await heldIn(await store.snapshot()))).toEqual(model.get(to) ?? {});
          }
        }
        const after = await store.snapshot();
        const held = await heldIn(after);
        for (const repository of Object.values(held)) expect([repository.name, isSound(repository)]).toEqual([repository.name, true]);
        if (step.do !== "remove manifest" && step.do !== "remove all" && step.do !== "remove tag")
          for (const repository of Object.values(before))
            for (const { digest } of repository.manifests) {
              kept += 1;
              const there = held[repository.name];
              expect(there && findManifest(there, digest) && blobSize(there, digest)).toBeDefined();
            }
        if (step.do === "remove tag")
          for (const [of, digest] of Object.entries(tagsOf(held))) {
            const [was, is] = [before[of.split(":")[0] ?? ""], held[of.split(":")[0] ?? ""]];
            expect(is && pullableFor(is, digest as never)).toEqual(was && pullableFor(was, digest as never));
          }
        if (!model.has(after.number)) model.set(after.number, tagsOf(held));
        for (const number of await store.generationNumbers()) {
          const generation = await store.generation(number);
          if (generation) for await (const { digest } of blobsOf(store, generation)) expect(await store.has(digest)).toBe(true);
        }
      }
    }),
    { numRuns: runs(60) },
  );
  if (!thorough) return; // too few to be sure of any
  expect(Math.min(rollbacks, removals, kept)).toBeGreaterThan(10);
});
