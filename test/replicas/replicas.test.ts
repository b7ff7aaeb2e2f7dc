/** The fast parts of `make replicas`: histories of garbage in a bucket, and that faults which are put in are found. */

import { describe, expect, test } from "bun:test";
import type { S3Client } from "../../store/s3client.ts";
import { S3Engine } from "../s3engine.ts";
import { patched } from "../simulate/modules.ts";
import { longTest, proofTest, runs } from "../thorough.ts";
import { bucketModules, playGarbage } from "./garbage.ts";
import { GARBAGE_FAULTS, NO_WRITER } from "./putback.ts";
import { randomOf } from "./time.ts";

// A history takes more than a second.
longTest("no history of publishers and garbage collectors loses a blob that a generation names", async () => {
  const modules = await bucketModules([]);
  const sum = { published: 0, deleted: 0 };
  for (let seed = 1; seed <= runs(12); seed += 1) {
    const { violations, story, published, deleted } = await playGarbage(modules, seed);
    if (violations.length > 0) throw new Error(`seed ${seed}: ${violations[0]}\n${story.join("\n")}`);
    sum.published += published;
    sum.deleted += deleted;
  }
  expect(Math.min(sum.published, sum.deleted)).toBeGreaterThan(0);
});

const MOST_SEEDS = 200;

describe("a fault that is put in is found:", () => {
  // Each is a history of its own modules, which takes a second or two. A history is not all of its seed, so a fault that one run of
  // it misses is found by a later one: the seed is tried every other time, among others.
  for (const { fault, patches, seed } of GARBAGE_FAULTS)
    proofTest(fault, async () => {
      const modules = await bucketModules(patches);
      for (let tried = 0; tried < MOST_SEEDS; tried += 1)
        if ((await playGarbage(modules, tried % 2 === 0 ? seed : tried)).violations.length > 0) return;
      throw new Error(`none of ${MOST_SEEDS} histories found it`);
    });

  test.each([
    ["as it is", [], 0],
    ["a create that finds its name taken does not ask who took it", [NO_WRITER], 1],
  ])("%s", async (_what, patches, least) => {
    const { S3Client: Client } = await patched<{ S3Client: typeof S3Client }>(patches, ["s3client"]);
    const random = randomOf(1);
    let misjudged = 0;
    for (let race = 0; race < 60; race += 1) {
      const engine = new S3Engine();
      engine.weather = { after: (_request, reply) => (random() < 0.15 ? Promise.reject(new Error("lost")) : reply) };
      const clients = Array.from({ length: 4 }, () => new Client({ ...engine.options, sleep: async () => {}, patience: 1e9 }));
      const won = await Promise.all(clients.map((client, i) => client.create("catalog/1", Buffer.from(`${i}`))));
      if (won.filter(Boolean).length !== 1) misjudged += 1;
    }
    expect(misjudged).toBeGreaterThanOrEqual(least);
    if (least === 0) expect(misjudged).toBe(0);
  });
});
