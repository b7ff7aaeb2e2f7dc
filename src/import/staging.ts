/** The blobs of one import on their way into the store. */

import type { Budget, ReadAt } from "../archives/archive.ts";
import { inMemory } from "../archives/zipreader.ts";
import { type Algorithm, type Digest, type Sums, sumsOf } from "../digest.ts";
import { GrowingBytes } from "../growingbytes.ts";

/** A blob that was read, with its bytes still at hand. */
export interface Staged {
  readonly sums: Sums;
  /** bytes from `start` up to, not including, `end` */
  bytes(start: number, end: number): Promise<Uint8Array>;
  discard(): Promise<void>;
}

/** The store's staging area. */
export interface Ingest<S extends Staged> {
  /** `also`: checksums besides the sha256; `size`: bytes, as far as known */
  ingest(chunks: AsyncIterable<Uint8Array>, also?: readonly Algorithm[], size?: number): Promise<S>;
  ingestBytes(bytes: Uint8Array, also?: readonly Algorithm[]): Promise<S>;
}

interface Content {
  readonly bytes: { chunks(): AsyncIterable<Uint8Array>; readonly rest?: Uint8Array | undefined };
  /** bytes, as far as known */
  readonly size?: number | undefined;
}

/** Everything that one import stages; its creator commits or discards it. */
export class Staging<S extends Staged> {
  readonly #store: Ingest<S>;
  readonly #budget: Budget;
  readonly #staged: S[] = [];
  /** of these, what is not needed any more */
  readonly #released = new Set<S>();
  readonly #small = new Set<Digest>();

  constructor(store: Ingest<S>, budget: Budget) {
    this.#store = store;
    this.#budget = budget;
  }

  get blobs(): readonly S[] {
    return this.#released.size === 0 ? this.#staged : this.#staged.filter((staged) => !this.#released.has(staged));
  }

  /** Stages a file, and gives access to it: from memory, as long as that is used, where it has no more than `most` bytes. */
  async stageToRead({ bytes, size }: Content, most: number): Promise<{ staged: S; access: ReadAt }> {
    const { rest } = bytes;
    if (rest && rest.byteLength <= most) return { staged: await this.stage({ bytes, size }), access: inMemory(rest) };
    let kept: GrowingBytes | undefined = new GrowingBytes();
    let left = most;
    const chunks = async function* () {
      for await (const chunk of bytes.chunks()) {
        if ((left -= chunk.byteLength) < 0) kept = undefined;
        kept?.add(chunk);
        yield chunk;
      }
    };
    const staged = await this.stage({ bytes: { chunks }, size });
    if (!kept) return { staged, access: readAt(staged) };
    return { staged, access: inMemory(kept.bytes) };
  }

  /** Stages a file. `also`: checksums besides the sha256. */
  async stage({ bytes, size }: Content, also: readonly Algorithm[] = []): Promise<S> {
    const { rest } = bytes;
    if (rest) this.#budget.stage(rest.byteLength);
    const staged = await (rest ? this.#store.ingestBytes(rest, also) : this.#store.ingest(this.#counted(bytes.chunks()), also, size));
    this.#staged.push(staged);
    return staged;
  }

  /** Chunks, each of which is counted before it is written. */
  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let size = 0;
    this.#budget.stage(0);
    for await (const chunk of chunks) {
      this.#budget.stage(size + chunk.byteLength, size || 1);
      size += chunk.byteLength;
      yield chunk;
    }
  }

  /** Stages a short text or icon; the same bytes are staged once. */
  async stageSmall(content: Uint8Array | string): Promise<Digest> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const digest = sumsOf(bytes)["sha-256"];
    if (this.#small.has(digest)) return digest;
    this.#small.add(digest);
    this.#budget.stage(bytes.byteLength);
    this.#staged.push(await this.#store.ingestBytes(bytes));
    return digest;
  }

  /** Stages other bytes in place of a staged blob, which is discarded. `also`: checksums besides the sha256. */
  async replace(staged: S, bytes: Uint8Array, also: readonly Algorithm[]): Promise<S> {
    this.#budget.stage(bytes.byteLength);
    const other = await this.#store.ingestBytes(bytes, also);
    this.#staged.push(other);
    await this.release(staged);
    return other;
  }

  /** Discards one blob that is not needed. */
  async release(staged: S): Promise<void> {
    this.#released.add(staged);
    await staged.discard();
  }

  /** Discards everything that was staged and is not committed. */
  async discard(): Promise<void> {
    await Promise.all(this.blobs.map((staged) => staged.discard()));
  }
}

/** Random access to what was staged. */
export function readAt(staged: Staged): ReadAt {
  return { size: staged.sums.size, bytes: (start, end) => staged.bytes(start, end) };
}
