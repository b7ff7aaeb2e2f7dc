/** Copies a whole store while it serves and imports, by hard links where both folders share a file system. */

import type { Digest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import type { Disk } from "./fs.ts";
import { blobKey, FORMAT_KEY, generationKey } from "./keys.ts";
import { blobsOf } from "./reach.ts";
import { DOCUMENTS } from "./settings.ts";
import { Store } from "./store.ts";

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

/** Copies all generations and the settings into an empty folder. format.json comes last: until then the folder is no store. */
export async function copyStore(from: Disk, to: Disk, signal?: AbortSignal): Promise<CopyReport> {
  const store = await Store.open(from);
  if (!(await to.isEmpty()))
    throw new Failure("usage", `${to.place} is not empty`, { next: "name a folder that is empty or not there yet" });
  await to.prepare();
  const target = await Store.openOrAwait(to);
  const seen = new Set<Digest>();
  const generations: number[] = [];
  const sum = { linked: 0, copied: 0, bytes: 0 };
  // Newest first: a gc that runs meanwhile prunes the oldest.
  for (const number of (await store.generationNumbers()).toReversed()) {
    const generation = await store.generation(number);
    if (!generation) continue;
    for await (const { digest } of blobsOf(store, generation, { seen })) {
      if (signal?.aborted) throw new Failure("interrupted", `interrupted: remove ${to.place}, which is not whole`);
      if (await to.link(from, blobKey(digest))) sum.linked += 1;
      else {
        sum.bytes += await copyBlob(from, target, digest);
        sum.copied += 1;
      }
    }
    generations.unshift(number);
  }
  for (const number of generations)
    if (!(await to.link(from, generationKey(number)))) await copyObject(from, to, generationKey(number), "immutable");
  const secrets: string[] = [];
  for (const { key, kind } of Object.values(DOCUMENTS)) if ((await copyObject(from, to, key, kind)) && kind === "secret") secrets.push(key);
  await to.flush();
  await to.create(FORMAT_KEY, (await (await from.open(FORMAT_KEY))?.bytes()) ?? new Uint8Array());
  return { generations, ...sum, secrets };
}

/** Returns its size in bytes. */
async function copyBlob(from: Disk, target: Store, digest: Digest): Promise<number> {
  const object = await from.open(blobKey(digest));
  if (!object) throw new Failure("corrupt", `blob ${digest} in ${from.place} is missing`, { next: "chp verify shows what is damaged" });
  const read = async function* () {
    for (let at = 0; at < object.size; at += 2 ** 20) yield await object.bytes(at, Math.min(object.size, at + 2 ** 20));
  };
  const blob = await target.ingest(read());
  try {
    await blob.commit({ digest, what: `blob ${digest} in ${from.place}`, next: "chp verify shows what is damaged" });
  } finally {
    await blob.discard();
  }
  return object.size;
}

async function copyObject(from: Disk, to: Disk, key: string, kind: "immutable" | "mutable" | "secret"): Promise<boolean> {
  const bytes = await (await from.open(key))?.bytes();
  if (!bytes) return false;
  const stage = await to.stage(kind);
  await stage.write(bytes);
  await stage.end();
  await stage.commit(key);
  return true;
}
