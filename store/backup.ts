/** Copies a whole store while it serves and imports, by hard links where both folders share a file system. */

import { type Digest, isDigest } from "../src/digest.ts";
import { Failure, isCorrupt } from "../src/errors.ts";
import { jsonBytes } from "./json.ts";
import { blobKey, CATALOG, FORMAT_KEY, generationKey, generationNumber, QUARANTINE, UNFINISHED_COPY_KEY } from "./keys.ts";
import { blobSizes } from "./quota.ts";
import { blobsOf } from "./reach.ts";
import { copyObject } from "./settings.ts";
import { readObject, readPieces, type Storage, unreadable } from "./storage.ts";
import { Store } from "./store.ts";

/** What a copy makes before its mark, so what is left of one that failed there. */
const PREPARED: readonly string[] = ["tmp", "trash"];

export interface CopyReport {
  /** numbers of the generations that were copied */
  readonly generations: readonly number[];
  /** blobs that are hard links to the source */
  readonly linked: number;
  /** blobs that were read, hashed and written */
  readonly copied: number;
  /** bytes of the copied blobs */
  readonly bytes: number;
  /** keys of the copied secrets */
  readonly secrets: readonly string[];
}

export interface CopyOptions {
  readonly signal?: AbortSignal;
  /** `done`: copied bytes; `size`: of all blobs that the store has; `what`: the key that is being copied */
  readonly onProgress?: (done: number, size: number, what: string) => void;
}

/** Where a copy can be written to; `link` where a blob may be a second name of the source's. */
export interface CopyTarget extends Storage {
  prepare(): Promise<void>;
  /** False: the object can't be linked. */
  link?(from: Storage, key: string): Promise<boolean>;
}

/**
 * Copies all generations and the settings where there is nothing yet, or goes on with a copy that was interrupted: format.json comes last, and
 * until then it is no store, and has a mark that says what it is. A copy that was made before gets what is missing.
 */
export async function copyStore(from: Storage, to: CopyTarget, { signal, onProgress }: CopyOptions = {}): Promise<CopyReport> {
  const store = await Store.open(from);
  const sizes = onProgress ? await blobSizes(from) : new Map<Digest, number>();
  const size = [...sizes.values()].reduce((all, each) => all + each, 0);
  let done = 0;
  const names = await to.list("");
  if (names.includes(FORMAT_KEY))
    return updateCopy(store, await Store.open(to), { ...(signal && { signal }), ...(onProgress && { onProgress }) });
  const resumed = await begin(to, names);
  const target = await Store.openOrAwait(to);
  const link = async (key: string) => (await to.link?.(from, key)) ?? false;
  const sum = { linked: 0, copied: 0, bytes: 0 };
  const copy = async (digest: Digest): Promise<void> => {
    if (signal?.aborted) throw new Failure("interrupted", "interrupted", { next: "run the same command again: it resumes" });
    const advance = (bytes = 0) => {
      done += bytes;
      onProgress?.(done, size, blobKey(digest));
    };
    if (resumed && (await isCopied(store, to, digest))) return advance(sizes.get(digest));
    if (await link(blobKey(digest))) {
      sum.linked += 1;
      return advance(sizes.get(digest));
    }
    sum.bytes += await copyBlob(store, target, digest, advance);
    sum.copied += 1;
  };
  let generations: readonly number[] = [];
  // Again where gc pruned all that there was at first: by then there is a newer one.
  for (let numbers = await store.generationNumbers(); numbers.length > 0; numbers = await store.generationNumbers()) {
    const walked = await copyBlobs(store, numbers, copy);
    generations = await copyGenerations(from, to, walked);
    if (generations.length > 0) break;
  }
  for (const key of await to.list(CATALOG)) if (!generations.includes(generationNumber(key) ?? 0)) await to.remove(key); // of the interrupted copy
  const secrets = await store.settings.copyTo(to);
  await to.flush();
  const format = await from.open(FORMAT_KEY);
  await to.create(FORMAT_KEY, format ? await readObject(format, `${from.place}/${FORMAT_KEY}`) : new Uint8Array());
  await to.remove(UNFINISHED_COPY_KEY).catch(() => false); // the copy is whole, whether this is there or not
  return { generations, ...sum, secrets };
}

/** Brings a copy up to date while it is served: what its newest generation has is there before that. */
async function updateCopy(store: Store, target: Store, { signal, onProgress }: CopyOptions): Promise<CopyReport> {
  const [from, to] = [store.storage, target.storage];
  const numbers = await store.generationNumbers();
  const before = await target.generationNumbers();
  let newest = before.at(-1) ?? 0;
  await checkHistory(store, target, { numbers, before });
  const there = await blobSizes(to);
  if (to.prepareRemoval)
    for (const key of await to.list(QUARANTINE)) {
      const digest = key.slice(QUARANTINE.length);
      if (isDigest(digest)) there.delete(digest); // noted as damaged
    }
  const sum = { linked: 0, copied: 0, bytes: 0 };
  const generations: number[] = [];
  const bring = async (digest: Digest) => {
    if (signal?.aborted) throw new Failure("interrupted", "interrupted", { next: "run the same command again: it resumes" });
    onProgress?.(sum.bytes, sum.bytes, blobKey(digest));
    const size = await copyBlob(store, target, digest, () => {});
    there.set(digest, size);
    sum.copied += 1;
    sum.bytes += size;
  };
  await target.leased(async () => {
    for (const number of numbers) {
      const generation = await store.generation(number);
      if (!generation) continue; // gc pruned it meanwhile
      const named = new Set<Digest>();
      for await (const { digest } of blobsOf(store, generation, { seen: named })) if (!there.has(digest)) await bring(digest);
      if (number <= newest) continue;
      const bytes = await readWhole(from, generationKey(number));
      if (!bytes) continue;
      while ((await target.adopt(number, bytes, [...named], newest)) === "again")
        for (const digest of named) if (!(await target.has(digest))) await bring(digest);
      newest = number;
      generations.push(number);
    }
  });
  const secrets = await store.settings.updateTo(to);
  await to.flush();
  return { generations, ...sum, secrets };
}

/** Fails where the target is no earlier state of the store. */
async function checkHistory(
  { storage: from }: Store,
  { storage: to }: Store,
  { numbers, before }: { readonly numbers: readonly number[]; readonly before: readonly number[] },
): Promise<void> {
  const other = (why: string) =>
    new Failure("usage", `${to.place} is not empty: ${why}`, {
      next: "name what is empty or not there yet, or an earlier copy of this store",
    });
  const common = before.filter((number) => numbers.includes(number));
  if (before.length > 0 && common.length === 0) throw other("it has another store, without a generation in common");
  if ((before.at(-1) ?? 0) > (numbers.at(-1) ?? 0)) throw other(`its generation ${before.at(-1)} is newer than all of ${from.place}`);
  for (const number of common) {
    const [here, there] = [await readWhole(from, generationKey(number)), await readWhole(to, generationKey(number))];
    if (here && there && Buffer.compare(here, there) !== 0) throw other(`it has another generation ${number}`);
  }
}

async function readWhole(storage: Storage, key: string): Promise<Uint8Array | undefined> {
  const object = await storage.open(key);
  return object && readObject(object, `${storage.place}/${key}`);
}

/** Copies what the generations name, the newest first, since a gc that runs meanwhile prunes the oldest. Returns those that were still there. */
async function copyBlobs(store: Store, numbers: readonly number[], copy: (digest: Digest) => Promise<void>): Promise<number[]> {
  const seen = new Set<Digest>();
  const walked: number[] = [];
  for (const number of numbers.toReversed()) {
    const generation = await store.generation(number);
    if (!generation) break;
    try {
      for await (const { digest } of blobsOf(store, generation, { seen })) await copy(digest);
    } catch (error) {
      if (isCorrupt(error) && !(await store.storage.has(generationKey(number)))) break; // gc pruned it meanwhile
      throw error;
    }
    walked.push(number);
  }
  return walked;
}

/** `numbers`: the newest first. Returns those that were still there, the oldest first. */
async function copyGenerations(from: Storage, to: Storage, numbers: readonly number[]): Promise<number[]> {
  const copied: number[] = [];
  for (const number of numbers) {
    if (!(await copyObject(from, to, generationKey(number), "immutable"))) break;
    copied.unshift(number);
  }
  return copied;
}

/** Marks the folder as an unfinished copy. True: it was one. Fails with `usage` if anything else is in it. */
async function begin(to: CopyTarget, names: readonly string[]): Promise<boolean> {
  const resumed = names.includes(UNFINISHED_COPY_KEY);
  if (!resumed && names.some((name) => !PREPARED.includes(name)))
    throw new Failure("usage", `${to.place} is not empty`, { next: "name a folder that is empty or not there yet" });
  await to.prepare();
  if (!resumed) await to.create(UNFINISHED_COPY_KEY, jsonBytes({}));
  return resumed;
}

async function isCopied(store: Store, to: Storage, digest: Digest): Promise<boolean> {
  const there = await to.open(blobKey(digest)); // whole: it got its name when it had been written, hashed and synced
  return there !== undefined && there.size === (await store.blob(digest))?.size;
}

/** Returns its size in bytes. `onRead`: gets those of each piece. */
async function copyBlob(store: Store, target: Store, digest: Digest, onRead: (bytes: number) => void): Promise<number> {
  const { place } = store.storage;
  const object = await store.blob(digest);
  if (!object) throw new Failure("corrupt", `blob ${digest} in ${place} is missing`, { next: "chp verify shows what is damaged" });
  const read = async function* () {
    try {
      for await (const bytes of readPieces(object)) {
        yield bytes;
        onRead(bytes.byteLength);
      }
    } catch (error) {
      throw unreadable(error, `blob ${digest} in ${place}`);
    }
  };
  const blob = await target.ingest(read(), [], object.size);
  try {
    await blob.commit({ digest, what: `blob ${digest} in ${place}`, next: "chp verify shows what is damaged" });
  } finally {
    await blob.discard();
  }
  return object.size;
}
