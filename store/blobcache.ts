/**
 * Payloads of a bucket on the disk of a server, by their digest: one fill each, whose growing file all that want it read, hashed on its way. Survives
 * restarts; what was not used for longest goes first.
 */

import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest, Summer } from "../src/digest.ts";
import { Failure, printable, reason } from "../src/errors.ts";
import { undefinedIfMissing } from "./diskerrors.ts";
import { DiskObject } from "./diskobject.ts";
import { closeFile, createFile, readAt, writeAt } from "./rawfile.ts";
import type { StoredObject } from "./storage.ts";

/** fills at once; beyond them payloads are passed on without being kept */
const MAX_FILLS = 8;
/** bytes by which a range may be ahead of the fill and wait for it */
const AHEAD = 64 * 2 ** 20;
const READ = 2 ** 20;
/** milliseconds between two notes of the use of a file, and within which it is not evicted: a reply may be about to open it */
const USED = 60_000;
const PART = ".part";
const DAY = 86_400_000;

interface Kept {
  readonly size: number;
  /** milliseconds since 1970 */
  used: number;
}

export class BlobCache {
  readonly #folder: string;
  readonly #limit: number;
  readonly #kept = new Map<Digest, Kept>();
  readonly #fills = new Map<Digest, Fill>();
  readonly #failed: (why: string) => void;

  private constructor(folder: string, limit: number, failed: (why: string) => void) {
    this.#folder = folder;
    this.#limit = limit;
    this.#failed = failed;
  }

  /** `limit`: bytes of all files. `failed`: gets why a payload was not kept. */
  static async open(folder: string, limit: number, failed: (why: string) => void): Promise<BlobCache> {
    const cache = new BlobCache(folder, limit, failed);
    try {
      await fs.mkdir(folder, { recursive: true, mode: 0o700 });
      for (const name of await fs.readdir(folder)) await cache.#find(name);
    } catch (error) {
      throw new Failure("failed", `cannot use ${printable(folder)} as a cache: ${printable(reason(error).split(",")[0] ?? "", 200)}`, {
        next: "name a folder that this user may write into with --cache DIR",
        cause: error,
      });
    }
    await cache.#evict(0);
    return cache;
  }

  async #find(name: string): Promise<void> {
    const stat = await undefinedIfMissing(fs.stat(join(this.#folder, name)));
    if (!stat?.isFile()) return;
    if (isDigest(name)) this.#kept.set(name, { size: stat.size, used: stat.mtimeMs });
    else if (name.endsWith(PART) && Date.now() - stat.mtimeMs > DAY) await undefinedIfMissing(fs.unlink(join(this.#folder, name)));
  }

  /** Undefined: it is not kept. */
  async find(digest: Digest): Promise<StoredObject | undefined> {
    const kept = this.#kept.get(digest);
    if (!kept) return undefined;
    const path = join(this.#folder, digest);
    const stat = await undefinedIfMissing(fs.stat(path));
    if (stat?.size !== kept.size) {
      this.#kept.delete(digest);
      return undefined;
    }
    const now = Date.now();
    if (now - kept.used > USED) await fs.utimes(path, new Date(now), new Date(now)).catch(() => {});
    kept.used = now;
    return new DiskObject(path, stat);
  }

  /** An object that is kept once its body is asked for. `pieces`: its bytes from `start` to `end`. */
  through(
    digest: Digest,
    object: StoredObject,
    pieces: (start: number, end: number) => AsyncGenerator<Uint8Array<ArrayBuffer>>,
  ): StoredObject {
    const { size, modified } = object;
    return {
      size,
      modified,
      bytes: (start, end) => object.bytes(start, end),
      body: (start = 0, end = size) => {
        const fill = this.#fills.get(digest) ?? this.#begin(digest, size, pieces);
        return fill && start <= fill.filled + AHEAD ? fill.body(start, end) : object.body(start, end);
      },
    };
  }

  #begin(digest: Digest, size: number, pieces: (start: number, end: number) => AsyncGenerator<Uint8Array>): Fill | undefined {
    if (size > this.#limit || this.#fills.size >= MAX_FILLS) return undefined;
    const fill = new Fill(join(this.#folder, `${randomUUID()}${PART}`));
    this.#fills.set(digest, fill);
    const keep = async () => {
      try {
        await this.#evict(size);
        await fill.run(digest, pieces(0, size));
        await fs.rename(fill.path, join(this.#folder, digest));
        this.#kept.set(digest, { size, used: Date.now() });
      } catch (error) {
        this.#failed(reason(error));
        fill.fail(error);
        await undefinedIfMissing(fs.unlink(fill.path)).catch(() => {});
      } finally {
        this.#fills.delete(digest);
      }
    };
    void keep();
    return fill;
  }

  /** Makes room for so many bytes. */
  async #evict(size: number): Promise<void> {
    const filling = [...this.#fills.values()].reduce((sum, { filled }) => sum + filled, 0);
    let total = [...this.#kept.values()].reduce((sum, kept) => sum + kept.size, size + filling);
    const oldest = [...this.#kept].toSorted(([, a], [, b]) => a.used - b.used);
    for (const [digest, kept] of oldest) {
      if (total <= this.#limit) return;
      if (size > 0 && Date.now() - kept.used < USED) continue;
      this.#kept.delete(digest);
      await undefinedIfMissing(fs.unlink(join(this.#folder, digest)));
      total -= kept.size;
    }
  }
}

/** A file that grows, and those who read it meanwhile. */
class Fill {
  readonly path: string;
  filled = 0;
  #end: { readonly error?: unknown } | undefined;
  #waiting: (() => void)[] = [];
  #file: Promise<number> | undefined;
  #readers = 0;

  constructor(path: string) {
    this.path = path;
  }

  async run(digest: Digest, pieces: AsyncGenerator<Uint8Array>): Promise<void> {
    const summer = new Summer();
    this.#readers += 1;
    this.#file = createFile(this.path);
    try {
      const file = await this.#file;
      for await (const piece of pieces) {
        await writeAt(file, piece, this.filled);
        summer.update(piece);
        this.filled += piece.byteLength;
        this.#wake();
      }
      if (summer.sums()["sha-256"] !== digest)
        throw new Failure("corrupt", `blob ${digest} content does not match its checksum: it is not kept`);
      this.#end = {};
    } catch (error) {
      this.#end = { error };
      throw error;
    } finally {
      this.#wake();
      await this.#leave();
    }
  }

  /** It ends, whether it had begun or not. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  body(start: number, end: number): BodyInit {
    const parts = this.#parts(start, end);
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          const { done, value } = await parts.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: async () => void (await parts.return(undefined)),
      },
      { highWaterMark: 0 },
    );
  }

  async *#parts(start: number, end: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    this.#readers += 1;
    try {
      while (!this.#file && !this.#end) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const file = await this.#file;
      if (file === undefined) throw this.#end?.error ?? new Error(`${this.path} was not begun`);
      for (let at = start; at < end; ) {
        const to = Math.min(end, at + READ);
        while (this.filled < to && !this.#end) await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (this.filled < to) throw this.#end?.error ?? new Error(`${this.path} ends early`);
        const part = new Uint8Array(to - at);
        await readAt(file, part, at);
        yield part;
        at = to;
      }
    } finally {
      await this.#leave();
    }
  }

  async #leave(): Promise<void> {
    this.#readers -= 1;
    if (this.#readers === 0 && this.#file) await closeFile(await this.#file);
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
