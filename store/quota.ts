/** A bound on the bytes of all blobs, which imports keep: the setting `store-quota`. */

import { type Digest, isDigest, type Sums } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { BLOB_FOLDERS, BLOBS, blobDigest, blobKey } from "./keys.ts";
import type { Storage } from "./storage.ts";

/** What may be staged beyond the quota: an import looks at texts that it replaces by others before it publishes. */
const SLACK = 2 ** 20;

/** Every blob in its place with its bytes; what is in the trash is not among them. */
export async function blobSizes(storage: Storage): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  if (storage.walk) {
    for await (const { key, size } of storage.walk(BLOBS)) {
      const digest = blobDigest(key);
      if (digest !== undefined) sizes.set(digest, size);
    }
    return sizes;
  }
  for (const folder of BLOB_FOLDERS)
    for (const key of await storage.list(folder)) {
      const digest = key.slice(folder.length);
      const object = isDigest(digest) ? await storage.open(key) : undefined;
      if (isDigest(digest) && object) sizes.set(digest, object.size);
    }
  return sizes;
}

/** Bytes of every blob in its place. */
export async function blobBytes(storage: Storage): Promise<number> {
  return sum((await blobSizes(storage)).values());
}

/**
 * For one process that imports. Only its end says whether a blob is stored already and takes nothing, so the bound is loose while
 * stages are written, and exact when they are published. Every method fails with `too-large`.
 */
export class Quota {
  readonly #storage: Storage;
  readonly #bytes: number;
  /** bytes that may be staged, besides those of blobs that are stored */
  readonly #loose: number;
  /** new blobs that are staged */
  readonly #staged = new Map<Digest, { readonly size: number; times: number }>();
  /** bytes of these */
  #pending = 0;
  #brings = false;

  private constructor(storage: Storage, bytes: number, sizes: readonly number[]) {
    this.#storage = storage;
    this.#bytes = bytes;
    // What is stored already can't be larger than the largest that is.
    const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
    this.#loose = Math.max(0, bytes - sum(sizes)) + largest + SLACK;
  }

  /** `bytes`: of all blobs together, those that are stored now included. */
  static async of(storage: Storage, bytes: number): Promise<Quota> {
    return new Quota(storage, bytes, [...(await blobSizes(storage)).values()]);
  }

  /** To be called before a stage has `size` bytes. */
  writing(size: number): void {
    if (this.#pending + size > this.#loose) throw this.#refusal("brings more than the rest");
  }

  /** To be called when a stage has ended. */
  async ended({ size, "sha-256": digest }: Sums): Promise<void> {
    if (await this.#storage.has(blobKey(digest))) return;
    const before = this.#staged.get(digest);
    if (before) before.times += 1;
    else {
      this.#staged.set(digest, { size, times: 1 });
      this.#pending += size;
      this.writing(0);
    }
  }

  /** To be called when a stage that had ended is discarded. */
  discarded({ "sha-256": digest }: Sums): void {
    const staged = this.#staged.get(digest);
    if (!staged) return;
    staged.times -= 1;
    if (staged.times > 0) return;
    this.#staged.delete(digest);
    this.#pending -= staged.size;
  }

  /** To be called before and after `blobs` are committed. It measures again, since others import meanwhile. */
  async check(blobs: readonly Sums[]): Promise<void> {
    const sizes = await blobSizes(this.#storage);
    const used = sum(sizes.values());
    const more = new Map(blobs.flatMap(({ "sha-256": digest, size }) => (sizes.has(digest) ? [] : [[digest, size]])));
    if (more.size > 0) this.#brings = true;
    const total = used + sum(more.values());
    if (this.#brings && total > this.#bytes) throw this.#refusal(`would make it ${total} bytes`);
  }

  /** To be called by a dry run with the bytes that are new. */
  async fits(size: number): Promise<void> {
    const total = size + sum((await blobSizes(this.#storage)).values());
    if (size > 0 && total > this.#bytes) throw this.#refusal(`would make it ${total} bytes`);
  }

  #refusal(why: string): Failure {
    return new Failure("too-large", `the store in ${this.#storage.place} may have ${this.#bytes} bytes, and this import ${why}`, {
      next: "nothing was published; chp gc frees what no generation names, chp config store-quota=SIZE allows more",
    });
  }
}

function sum(sizes: Iterable<number>): number {
  let total = 0;
  for (const size of sizes) total += size;
  return total;
}
