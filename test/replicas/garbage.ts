/**
 * Histories of one bucket: publishers that bring blobs and name old ones, and garbage collectors, each of which may sleep up to six hours
 * between any two steps, lose answers, or be killed. After each step of the engine all that a listed generation names must be stored.
 */

import type { Package } from "../../src/catalog/package.ts";
import type { Digest } from "../../src/digest.ts";
import { reason } from "../../src/errors.ts";
import type { Bucket } from "../../store/s3.ts";
import type { S3Client } from "../../store/s3client.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { S3Engine } from "../s3engine.ts";
import { type Modules, type Patch, patched } from "../simulate/modules.ts";
import { randomOf, VirtualTime } from "./time.ts";

const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000];
const START = Date.parse("2026-03-01T00:00:00Z");
const BLOBS = 5;

export type BucketModules = Modules & {
  readonly Bucket: typeof Bucket;
  readonly S3Client: typeof S3Client;
  readonly Spool: typeof import("../../store/spool.ts").Spool;
};

const BUCKET_MODULES = ["s3", "s3client", "spool"];

/** The modules with a fault. A blob that is there is never sent again, as large ones are not: it stays as old as it is. */
export function bucketModules(patches: readonly Patch[]): Promise<BucketModules> {
  return patched<BucketModules>(
    [{ file: "s3.ts", find: /const WORTH_ASKING = .*;/, put: "const WORTH_ASKING = -1;" }, ...patches],
    BUCKET_MODULES,
  );
}

export interface History {
  readonly seed: number;
  /** what must not be, and when */
  readonly violations: readonly string[];
  readonly published: number;
  readonly deleted: number;
  readonly requests: number;
  /** what was done, line by line */
  readonly story: readonly string[];
}

export async function playGarbage(modules: BucketModules, seed: number): Promise<History> {
  const random = randomOf(seed);
  const time = new VirtualTime(START);
  const engine = new S3Engine();
  engine.now = () => time.now;
  const violations: string[] = [];
  const story: string[] = [];
  const sum = { published: 0, deleted: 0 };
  const say = (line: string) => story.push(`${((time.now - START) / HOUR).toFixed(3)} h ${line}`);
  /** Mostly none; before what cannot be taken back it is often as long as it may be without being refused, or longer. */
  const nap = async (before = "") => {
    const kind = random();
    if (before.startsWith("PUT site/catalog/") && kind < 0.5) return time.sleep(random() * 20 * MINUTE);
    if (before.startsWith("DELETE site/blobs/") && kind < 0.5) return time.sleep(random() * 70 * SECOND);
    if (kind < 0.9) return;
    return time.sleep(random() * (kind < 0.96 ? 20 * SECOND : kind < 0.985 ? 3 * MINUTE : kind < 0.998 ? HOUR : 6 * HOUR));
  };
  /** Between two steps of a process. */
  const pause = () => time.sleep(random() * (random() < 0.5 ? MINUTE : 2 * HOUR));
  const check = (step: string) => {
    for (const digest of missingBlobs(engine)) violations.push(`${step}: a generation names ${digest.slice(0, 8)}, which is gone`);
  };
  engine.weather = {
    after: (request, reply) => {
      const key = request.key.slice("site/".length);
      if (request.method === "DELETE" && key.startsWith("blobs/") && reply.ok) sum.deleted += 1;
      if (reply.ok && (request.method === "DELETE" || (request.method === "PUT" && key.startsWith("catalog/")))) {
        say(`${request.method} ${key.slice(0, 30)}`);
        check(`${request.method} ${key}`);
      }
      return reply;
    },
  };

  /** A process of its own machine; `killed`: it does nothing any more. */
  const process = () => {
    const state = { killed: false };
    const boot = time.now - random() * HOUR;
    const client = new modules.S3Client({
      ...engine.options,
      elapsed: () => time.now - boot,
      sleep: (milliseconds) => time.sleep(milliseconds),
      transport: async (url, request) => {
        await nap(`${request.method} ${new URL(url).pathname.slice("/bucket/".length)}`);
        if (state.killed) throw Object.assign(new Error("killed"), { code: "KILLED" });
        if (random() < 0.005) throw Object.assign(new Error("reset before"), { code: "ECONNRESET" });
        const reply = await engine.transport(url, request);
        await nap();
        if (random() < 0.005) throw Object.assign(new Error("reset after"), { code: "ECONNRESET" });
        return reply;
      },
    });
    const storage = new modules.Bucket({
      client,
      spool: new modules.Spool(),
      sealer: () => Promise.reject(new Error("nothing is secret here")),
    });
    return { storage, state };
  };

  const bytesOf = (i: number) => Buffer.from(`charm ${i}`);
  const names = ["alpha", "beta"];

  const publishOnce = async (by: string) => {
    const { storage, state } = process();
    const name = names[Math.floor(random() * names.length)] ?? "alpha";
    const brings = Math.floor(random() * BLOBS);
    const killAt = random() < 0.1 ? random() * 20 * MINUTE : undefined;
    if (killAt !== undefined) void time.sleep(killAt).then(() => (state.killed = true));
    try {
      const store = await modules.Store.openOrCreate(noProof(storage));
      const rollsBack = random() < 0.5;
      const { generation } = await store.leased(async () => {
        const numbers = await store.generationNumbers();
        const earlier = rollsBack ? await store.snapshotAt(numbers[0] ?? 0).catch(() => undefined) : undefined;
        const before = await earlier?.package(name).catch(() => undefined);
        const staged = rollsBack ? undefined : await store.ingestBytes(bytesOf(brings));
        await pause();
        let drafts = 0;
        return store.publish(new Date(time.now).toISOString(), async () => {
          if ((drafts += 1) === 1) await pause();
          const digest = staged?.sums["sha-256"];
          const fresh: Package | undefined =
            digest &&
            emptyCharm(name, { id: name, details: { title: by }, revisions: [charmRevision(brings, digest, bytesOf(brings).byteLength)] });
          const pkg = fresh ?? (before && { ...before, details: { title: by } });
          return {
            draft: {
              command: `${rollsBack ? "rollback" : "import"} ${name}`,
              sources: [],
              sections: pkg ? { packages: { changed: [pkg], tally: { [name]: { revisions: [], channels: 0 } } } } : {},
              blobs: staged ? [staged] : [],
            },
            result: undefined,
          };
        });
      });
      if (generation) {
        sum.published += 1;
        say(`${by} published ${generation.number}: ${name} with ${rollsBack ? "an old revision" : brings}`);
      }
    } catch (error) {
      say(`${by} gave up: ${reason(error).slice(0, 80)}`);
    }
  };

  const collectOnce = async (by: string) => {
    const { storage, state } = process();
    if (random() < 0.15) void time.sleep(random() * 10 * MINUTE).then(() => (state.killed = true));
    try {
      const store = await modules.Store.open(storage);
      const report = await modules.collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false });
      say(`${by}: pruned ${report.pruned.join(" ")}, marked ${report.aside.blobs}, deleted ${report.deleted.blobs}`);
    } catch (error) {
      say(`${by} gave up: ${reason(error).slice(0, 80)}`);
    }
  };

  const actor = async (by: string, work: (name: string) => Promise<void>, times: number, most: number) => {
    for (let i = 0; i < times; i += 1) {
      await time.sleep(random() * most);
      await work(`${by}.${i}`);
    }
  };
  await time.run([
    actor("publisher 1", publishOnce, 6, HOUR),
    actor("publisher 2", publishOnce, 6, HOUR),
    actor("publisher 3", publishOnce, 6, HOUR),
    actor("gc 1", collectOnce, 20, HOUR / 2),
    actor("gc 2", collectOnce, 20, HOUR / 2),
  ]);
  return { seed, violations, ...sum, requests: engine.log.length, story };
}

/** The bucket as it is: that an engine in this process keeps its promises needs no proof each time. */
function noProof(storage: Bucket): Omit<Bucket, "prepare"> & { prepare(): Promise<void> } {
  return Object.assign(storage, { prepare: async () => {} });
}

/** What the listed generations name and the engine does not have. */
function missingBlobs(engine: S3Engine): Digest[] {
  const read = (key: string) => engine.objects.get(`site/${key}`)?.bytes;
  const json = (bytes: Uint8Array | undefined) => (bytes ? JSON.parse(Buffer.from(bytes).toString()) : undefined);
  const blob = (digest: string) => read(`blobs/sha256/${digest.slice(0, 2)}/${digest}`);
  const missing: Digest[] = [];
  for (const key of engine.objects.keys()) {
    if (!key.startsWith("site/catalog/")) continue;
    const { index } = json(engine.objects.get(key)?.bytes);
    const packages: Record<string, [Digest]> = json(blob(index))?.packages ?? {};
    if (!blob(index)) missing.push(index);
    for (const [manifest] of Object.values(packages)) {
      const pkg: Package | undefined = json(blob(manifest));
      if (!pkg) missing.push(manifest);
      for (const revision of pkg?.revisions ?? []) if (!blob(revision.blob)) missing.push(revision.blob);
    }
  }
  return missing;
}
