/** The garbage collector of a bucket, which several machines may run at once: marks.ts says why it deletes nothing that is needed. */

import type { Digest } from "../src/digest.ts";
import { mapBounded } from "../src/parallel.ts";
import { BLOBS, blobDigest, blobKey, CATALOG, generationKey, generationNumber } from "./keys.ts";
import { ACT_LIFE, type MarkRecord, Marks, SAVE_OVER, SETTLED, walk } from "./marks.ts";
import { addTo, type GcOptions, type GcReport, HOUR, markReachable, markSince, selectGenerations } from "./retained.ts";
import type { Entry } from "./storage.ts";
import type { Store } from "./store.ts";

const PARALLEL = 32;
/** removals that are prepared before a look at what is needed: all of them are sent well within their minute */
const BATCH = 500;
/** milliseconds after which acts and saves, which are over by then, are removed */
const OVER = SAVE_OVER + HOUR;
/** milliseconds after which an upload in parts is left over */
const UPLOAD_LIFE = 24 * HOUR;

export async function collectBucket(store: Store, options: GcOptions): Promise<GcReport> {
  const { storage } = store;
  const { dryRun, signal } = options;
  const now = await storage.clock();
  if (!dryRun) for (const stage of await storage.staged()) if (stage.modified < now - UPLOAD_LIFE) await stage.discard();
  const { pruned: old, kept } = await selectGenerations(store, options, now);
  const pruned = await settled(
    store,
    old.map(({ number }) => number),
    now,
  );
  const retained = [...old.filter(({ number }) => !pruned.includes(number)), ...kept];
  const seen = new Set<Digest>();
  for (const [i, generation] of retained.entries()) {
    options.onProgress?.(i, retained.length + 2, generationKey(generation.number));
    await markReachable(store, generation, seen);
  }
  if (!dryRun) for (const number of pruned) await storage.remove(generationKey(number)); // the oldest first: what a kill leaves has no gap
  const since = (retained.at(-1)?.number ?? 0) + 1;
  const collection = new Collection(store, { seen, since, options });
  options.onProgress?.(retained.length, retained.length + 2, "marks/");
  await collection.act();
  options.onProgress?.(retained.length + 1, retained.length + 2, BLOBS);
  if (!signal?.aborted) await collection.mark();
  return { dryRun, pruned, kept: retained.map(({ number }) => number), ...collection.sums, restored: 0, leases: 0 };
}

/**
 * Of the oldest generations those whose successor is settled: a publisher who looked before it was there, and found their number free, can
 * no longer take it.
 */
async function settled(store: Store, numbers: readonly number[], now: number): Promise<number[]> {
  const times = new Map<number, number>();
  for await (const { key, modified } of walk(store.storage, CATALOG)) times.set(generationNumber(key) ?? 0, modified);
  const first = numbers.findIndex((number) => now - (times.get(number + 1) ?? now) <= SETTLED);
  return numbers.slice(0, first === -1 ? undefined : first);
}

class Collection {
  readonly sums = { aside: { blobs: 0, bytes: 0 }, deleted: { blobs: 0, bytes: 0 }, young: { blobs: 0, bytes: 0 } };
  readonly #store: Store;
  readonly #marks: Marks;
  readonly #seen: Set<Digest>;
  readonly #since: number;
  readonly #options: GcOptions;
  /** under a mark that may not be acted on yet, or under the act of another gc */
  readonly #marked = new Set<Digest>();

  constructor(store: Store, { seen, since, options }: { readonly seen: Set<Digest>; readonly since: number; readonly options: GcOptions }) {
    this.#store = store;
    this.#marks = new Marks(store.storage);
    this.#seen = seen;
    this.#since = since;
    this.#options = options;
  }

  /** Deletes what earlier gcs marked. */
  async act(): Promise<void> {
    const { storage } = this.#store;
    const { dryRun, hours, signal } = this.#options;
    const age = Math.max(SETTLED, Math.min(1, hours) * HOUR);
    const now = await storage.clock();
    for (const mark of await this.#marks.all()) {
      if (signal?.aborted) return;
      if (mark.kind === "mark" && now - mark.modified > age) {
        await this.#actOn(mark);
        continue;
      }
      if (mark.kind === "mark") for (const digest of mark.blobs) this.#marked.add(digest);
      if (mark.kind !== "mark" && now - mark.modified > OVER && !dryRun) await storage.remove(mark.key);
    }
  }

  /** What was needed after all, or took too long, stays, and is marked again where it is still garbage. */
  async #actOn(mark: MarkRecord): Promise<void> {
    const { storage } = this.#store;
    const { dryRun } = this.#options;
    for (let at = 0; at < mark.blobs.length; at += BATCH) {
      const batch = mark.blobs.slice(at, at + BATCH).filter((digest) => !this.#seen.has(digest));
      if (batch.length === 0) continue;
      const begun = await storage.clock();
      // Before anything is prepared: who looks for marks from now on must find it. Who looked before found the mark, if it is still there.
      if (!dryRun) await this.#marks.write("act", batch);
      if (!(await storage.has(mark.key))) return;
      const removals = new Map(batch.map((digest) => [digest, storage.prepareRemoval?.(blobKey(digest))]));
      if ((await storage.clock()) - begun > ACT_LIFE) return; // it slept, and the act may be over before them
      // The look, after the removals were prepared.
      await markSince(this.#store, this.#since, this.#seen);
      const saved = await this.#saved();
      await mapBounded([...removals], PARALLEL, async ([digest, removal]) => {
        if (this.#seen.has(digest) || saved.has(digest) || !removal) return;
        const object = await this.#entry(digest);
        if (!object || object.modified >= mark.modified) return;
        if (!dryRun) {
          const isCarriedOut = await removal.carryOut().then(
            () => true,
            () => false, // too late, or nobody knows: the next gc looks again
          );
          if (!isCarriedOut) return;
        }
        addTo(this.sums.deleted, object.size);
      });
    }
    if (!dryRun) await storage.remove(mark.key);
  }

  /** Undefined: it is gone. */
  async #entry(digest: Digest): Promise<Entry | undefined> {
    for await (const entry of walk(this.#store.storage, blobKey(digest))) if (blobDigest(entry.key) === digest) return entry;
    return undefined;
  }

  /** What publishers are about to name. */
  async #saved(): Promise<Set<Digest>> {
    const records = await this.#marks.all();
    const now = await this.#store.storage.clock();
    return new Set(records.flatMap(({ kind, modified, blobs }) => (kind === "save" && now - modified <= SAVE_OVER ? blobs : [])));
  }

  /** Marks what no generation names and is old. */
  async mark(): Promise<void> {
    const { storage } = this.#store;
    const { dryRun, hours } = this.#options;
    const limit = (await storage.clock()) - hours * HOUR;
    const garbage: Digest[] = [];
    for await (const { key, size, modified } of walk(storage, BLOBS)) {
      const digest = blobDigest(key);
      if (digest === undefined || this.#seen.has(digest) || this.#marked.has(digest)) continue;
      if (modified > limit) addTo(this.sums.young, size);
      else {
        addTo(this.sums.aside, size);
        garbage.push(digest);
      }
    }
    await markSince(this.#store, this.#since, this.#seen);
    const marked = garbage.filter((digest) => !this.#seen.has(digest));
    if (!dryRun && marked.length > 0) await this.#marks.write("mark", marked);
  }
}
