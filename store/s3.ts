/**
 * Storage in a bucket of an S3-compatible engine, which several processes of several machines use at once. Nothing of it relies on rename,
 * touch or conditions other than "this name must not exist".
 */

import type { Expected } from "../src/catalog/generation-types.ts";
import { type BeginSums, type Digest, type StreamSums, type Sums, sumsHere } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { mapBounded, Room } from "../src/parallel.ts";
import type { BlobCache } from "./blobcache.ts";
import { blobDigest, FORMAT_KEY, quarantineKey, SECRETS } from "./keys.ts";
import type { S3Client, S3Part } from "./s3client.ts";
import { SIGNATURE_LIFE } from "./s3client.ts";
import { proveBucket } from "./s3proof.ts";
import type { Spool, Spooled } from "./spool.ts";
import {
  type CreateOptions,
  checkExpected,
  type Entry,
  type LeftStage,
  type ObjectKind,
  type Removal,
  readPieces,
  type Stage,
  type StageOptions,
  type Storage,
  type StoredObject,
} from "./storage.ts";

/** bytes that are read to open an object: all of most of them */
const FIRST = 256 * 1024;
/** bytes that are read at once of the rest, and how many such pieces side by side */
const [PIECE, AHEAD] = [4 * 2 ** 20, 4];
/** bytes above which an object is sent in parts, and those of a part, of which an upload has at most ten thousand */
const [IN_PARTS, PART, MOST_PARTS] = [64 * 2 ** 20, 16 * 2 ** 20, 9000];
const PARALLEL_PARTS = 4;
/** milliseconds for which a piece of an object is asked for again: what came before it would be read in vain */
const PIECE_PATIENCE = 60_000;
/** bytes that are in memory to be sent */
const SENDING = 128 * 2 ** 20;
/** bytes from which on it is asked first whether a blob is there */
const WORTH_ASKING = 2 ** 20;
/** seconds within which a client that is sent to the bucket must begin */
const REDIRECT_SECONDS = 900;
/** seconds that a prepared removal holds */
const REMOVAL_SECONDS = 60;

/** Keeps what is secret readable only to those who have the key. `key`: of the object, so that none passes for another. */
export interface Sealer {
  seal(key: string, bytes: Uint8Array): Uint8Array;
  /** Fails with `corrupt`. */
  unseal(key: string, bytes: Uint8Array): Uint8Array;
}

export interface BucketOptions {
  readonly client: S3Client;
  readonly spool: Spool;
  /** Fails where no key is set: nothing secret is written or read then. */
  readonly sealer: () => Promise<Sealer>;
  /** milliseconds; what another process published is seen after them at the latest */
  readonly lag?: number;
  /** where payloads are before they are sent; undefined: in memory, since none is served */
  readonly cache?: BlobCache | undefined;
  /** whether clients are sent to the bucket for payloads */
  readonly redirects?: boolean;
  /** where what is written is hashed; in this thread by default */
  readonly sums?: BeginSums;
}

export class Bucket implements Storage {
  readonly place: string;
  readonly lag: number;
  readonly createLife = SIGNATURE_LIFE;
  readonly client: S3Client;
  readonly sleep: (milliseconds: number) => Promise<unknown>;
  readonly #spool: Spool;
  readonly #sealer: BucketOptions["sealer"];
  readonly #cache: BlobCache | undefined;
  readonly #redirects: boolean;
  readonly #sums: BeginSums;
  readonly #sending = new Room(SENDING);

  constructor({ client, spool, sealer, lag = 1000, cache, redirects = false, sums = sumsHere }: BucketOptions) {
    this.client = client;
    this.#cache = cache;
    this.#redirects = redirects;
    this.#sums = sums;
    this.sleep = client.sleep;
    this.place = client.place;
    this.#spool = spool;
    this.#sealer = sealer;
    this.lag = lag;
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const digest = this.#cache || this.#redirects ? blobDigest(key) : undefined;
    const kept = digest && (await this.#cache?.find(digest));
    if (kept) return kept;
    const first = await this.client.read(key, 0, FIRST);
    if (!first) return undefined;
    if (!key.startsWith(SECRETS)) return this.#served(new BucketObject(this.client, key, first), digest);
    const bytes = (await this.#sealer()).unseal(key, first.bytes);
    return new BucketObject(this.client, key, { object: { ...first.object, size: bytes.byteLength }, bytes });
  }

  /** A payload: through the cache, or with the URL that clients are sent to. What is small is served from memory. */
  #served(object: BucketObject, digest: Digest | undefined): StoredObject {
    if (digest === undefined || object.size <= FIRST) return object;
    const payload = this.#cache?.through(digest, object, () => object.pieces()) ?? object;
    if (!this.#redirects) return payload;
    return Object.assign(payload, {
      location: ({ type, disposition }: Parameters<NonNullable<StoredObject["location"]>>[0]) =>
        this.client.presigned("GET", object.key, REDIRECT_SECONDS, {
          "response-content-type": type,
          ...(disposition !== undefined && { "response-content-disposition": disposition }),
        }).href,
    });
  }

  async has(key: string): Promise<boolean> {
    return (await this.client.head(key)) !== undefined;
  }

  async list(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.client.list(prefix, { folders: true })) if (key !== prefix) keys.push(key);
    return keys.toSorted();
  }

  walk(prefix: string): AsyncIterable<Entry> {
    return this.client.list(prefix);
  }

  async stage(_kind?: ObjectKind, { also, size }: StageOptions = {}): Promise<Stage> {
    return new BucketStage(this, this.#spool.stage(), this.#sums(also, size));
  }

  /** Parts of uploads that were not ended. */
  async staged(): Promise<LeftStage[]> {
    return (await this.client.uploads()).map(({ key, id, begun }) => ({
      lease: undefined,
      modified: begun,
      discard: () => this.client.abortUpload(key, id),
    }));
  }

  async create(key: string, bytes: Uint8Array, { lastLook }: CreateOptions = {}): Promise<boolean> {
    await this.clock(); // measured, if it never was
    const time = this.client.now();
    await lastLook?.();
    return this.client.create(key, bytes, time);
  }

  /** Not atomic: for a while the object has both names. */
  async move(from: string, to: string): Promise<boolean> {
    const object = await this.open(from);
    if (!object) return false;
    const stage = await this.stage();
    try {
      for await (const piece of readPieces(object)) await stage.write(piece);
      await stage.end();
      await stage.commit(to);
    } finally {
      await stage.discard();
    }
    await this.client.remove(from);
    return true;
  }

  async remove(key: string): Promise<boolean> {
    if (!(await this.has(key))) return false;
    await this.client.remove(key);
    return true;
  }

  prepareRemoval(key: string): Removal {
    const signed = this.client.presigned("DELETE", key, REMOVAL_SECONDS);
    return { key, carryOut: () => this.client.remove(key, signed) };
  }

  async flush(): Promise<void> {}

  async clock(): Promise<number> {
    await this.client.measure(FORMAT_KEY);
    return this.client.now();
  }

  /** Proves that the bucket keeps what a store needs. */
  prepare(): Promise<void> {
    return proveBucket(this.client);
  }

  /** Internal to this file. */
  async send(key: string, spooled: Spooled): Promise<void> {
    const { size } = spooled;
    if (key.startsWith(SECRETS)) return this.client.put(key, (await this.#sealer()).seal(key, await spooled.bytes(0, size)));
    if (size <= WORTH_ASKING || (await this.client.head(key))?.size !== size) return this.#sendAnew(key, spooled);
    const digest = blobDigest(key);
    const note = digest && quarantineKey(digest);
    if (note === undefined || !(await this.client.head(note))) return;
    await this.#sendAnew(key, spooled);
    await this.client.remove(note);
  }

  async #sendAnew(key: string, spooled: Spooled): Promise<void> {
    const { size } = spooled;
    if (size <= IN_PARTS) return this.#sending.during(size, async () => this.client.put(key, await spooled.bytes(0, size)));
    const part = Math.max(PART, Math.ceil(size / MOST_PARTS));
    const upload = await this.client.beginUpload(key);
    try {
      const starts = Array.from({ length: Math.ceil(size / part) }, (_, i) => i * part);
      const tags = await mapBounded(starts, PARALLEL_PARTS, (start) =>
        this.#sending.during(part, async () => {
          const bytes = await spooled.bytes(start, Math.min(size, start + part));
          return this.client.uploadPart(key, upload, start / part + 1, bytes);
        }),
      );
      await this.client.endUpload(key, upload, tags);
    } catch (error) {
      await this.client.abortUpload(key, upload).catch(() => {});
      throw error;
    }
  }
}

class BucketObject implements StoredObject {
  readonly size: number;
  readonly modified: number;
  readonly #client: S3Client;
  readonly key: string;
  readonly #first: Uint8Array;

  constructor(client: S3Client, key: string, { object, bytes }: S3Part) {
    this.#client = client;
    this.key = key;
    this.#first = bytes;
    this.size = object.size;
    this.modified = object.modified;
  }

  /** In memory: large ones come through a cache. */
  async body(start?: number, end?: number): Promise<BodyInit> {
    return new Uint8Array(await this.bytes(start, end));
  }

  async bytes(start = 0, end = this.size): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const piece of this.pieces(start, Math.min(end, this.size))) parts.push(piece);
    return parts.length === 1 && parts[0] ? new Uint8Array(parts[0]) : Buffer.concat(parts);
  }

  /** In pieces that are read each by itself, so what breaks is read again from there; some of the next ones while one is taken. */
  async *pieces(start = 0, end = this.size): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const at = Math.min(end, Math.max(start, this.#first.byteLength));
    if (at > start) yield this.#first.slice(start, at);
    const read: Promise<Uint8Array<ArrayBuffer>>[] = [];
    for (let from = at, ahead = at; from < end; from += PIECE) {
      for (; ahead < Math.min(end, from + AHEAD * PIECE); ahead += PIECE) {
        const piece = this.#piece(ahead, end);
        piece.catch(() => {}); // awaited in its turn
        read.push(piece);
      }
      const piece = await read.shift();
      if (piece) yield piece;
    }
  }

  async #piece(at: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const to = Math.min(end, at + PIECE);
    const part = await this.#client.read(this.key, at, to, { patience: PIECE_PATIENCE });
    if (part?.bytes.byteLength === to - at) return part.bytes as Uint8Array<ArrayBuffer>;
    const what = part ? `has ${part.object.size} bytes instead of ${this.size}` : "is gone";
    throw new Failure("corrupt", `${this.key} in ${this.#client.place} ${what}`, { next: "chp verify shows more" });
  }
}

class BucketStage implements Stage {
  readonly #bucket: Bucket;
  readonly #spooled: Spooled;
  readonly #summer: StreamSums;
  #sums: Sums | undefined;

  constructor(bucket: Bucket, spooled: Spooled, summer: StreamSums) {
    this.#bucket = bucket;
    this.#spooled = spooled;
    this.#summer = summer;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#sums) throw new Error("internal error: a stage is used after its end");
    const hashed = this.#summer.update(chunk);
    await Promise.all([hashed, this.#spooled.write(chunk)]);
  }

  async end(): Promise<Sums> {
    this.#sums ??= await this.#summer.sums();
    return this.#sums;
  }

  bytes(start: number, end: number): Promise<Uint8Array> {
    return this.#spooled.bytes(start, end);
  }

  async commit(key: string, expected: Expected = {}): Promise<void> {
    if (!this.#sums) throw new Error("internal error: a stage is used before its end");
    checkExpected(this.#sums, expected);
    await this.#bucket.send(key, this.#spooled);
  }

  discard(): Promise<void> {
    if (!this.#sums) this.#summer.discard();
    return this.#spooled.free();
  }
}
