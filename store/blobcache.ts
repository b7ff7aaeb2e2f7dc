/**
 * Payloads of a bucket on the disk of a server, by their digest: whole before they are sent, as files, since Bun sends only what is a file or in memory
 * with its length, which clients rely on. One fill for all that want one, hashed on its way. What was not used for longest goes first.
 */

import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest, Summer } from "../src/digest.ts";
import { Failure, printable, reason } from "../src/errors.ts";
import { Room } from "../src/parallel.ts";
import { errorCode, undefinedIfMissing } from "./diskerrors.ts";
import { DiskObject } from "./diskobject.ts";
import { closeFile, createFile, writeAt } from "./rawfile.ts";
import type { StoredObject } from "./storage.ts";

/** fills at once; others wait for one of them to end */
const MAX_FILLS = 8;
/** bytes of a range that is read by itself where the payload is not here yet */
const SMALL = 256 * 1024;
/** milliseconds between two notes of the use of a file, and within which it is not evicted: a reply may be about to open it */
const USED = 60_000;
const PART = ".part";
const DAY = 86_400_000;
/** name of a folder for one process, and its id */
const TEMPORARY = /^chp-payloads-(\d+)-\w+$/;

interface Kept {
  readonly size: number;
  /** milliseconds since 1970 */
  used: number;
}

export interface CacheOptions {
  /** bytes of all files; what was used within a minute may exceed them */
  readonly limit: number;
  /** gets why a payload could not be kept, and so not be sent */
  readonly failed: (why: string) => void;
  /** milliseconds since 1970 */
  readonly now?: () => number;
  /** milliseconds for which what was used stays, in place of the minute */
  readonly used?: number;
}

export class BlobCache {
  readonly folder: string;
  readonly #isTemporary: boolean;
  readonly #limit: number;
  readonly #failed: CacheOptions["failed"];
  readonly #now: () => number;
  readonly #used: number;
  readonly #kept = new Map<Digest, Kept>();
  readonly #fills = new Map<Digest, { readonly size: number; readonly ended: Promise<StoredObject> }>();
  readonly #room = new Room(MAX_FILLS);
  #later: ReturnType<typeof setTimeout> | undefined;

  private constructor(folder: string, { limit, failed, now = Date.now, used = USED }: CacheOptions, isTemporary = false) {
    this.folder = folder;
    this.#isTemporary = isTemporary;
    this.#limit = limit;
    this.#failed = failed;
    this.#now = now;
    this.#used = used;
  }

  /** A folder that survives restarts. */
  static async open(folder: string, options: CacheOptions): Promise<BlobCache> {
    const cache = new BlobCache(folder, options);
    try {
      await cache.#make();
      for (const name of await fs.readdir(folder)) await cache.#find(name);
    } catch (error) {
      throw new Failure("failed", `cannot use ${printable(folder)} as a cache: ${printable(reason(error).split(",")[0] ?? "", 200)}`, {
        next: "name a folder that this user may write into with --cache DIR",
        cause: error,
      });
    }
    await cache.#evict({ all: true });
    return cache;
  }

  /** A new folder in `parent` for this process, which `close` deletes. Deletes those of processes that have ended. */
  static async temporary(parent: string, options: CacheOptions): Promise<BlobCache> {
    for (const name of await fs.readdir(parent).catch(() => [])) {
      const pid = Number(TEMPORARY.exec(name)?.[1] ?? 0);
      if (pid > 0 && !isOther(pid) && (await isOwn(join(parent, name))))
        await fs.rm(join(parent, name), { recursive: true, force: true }).catch(() => {});
    }
    try {
      return new BlobCache(await fs.mkdtemp(join(parent, `chp-payloads-${process.pid}-`)), options, true);
    } catch (error) {
      throw new Failure("failed", `cannot write into ${printable(parent)}: ${printable(reason(error).split(",")[0] ?? "", 200)}`, {
        next: "payloads of a bucket are there while they are sent: name another folder by TMPDIR, or with --cache DIR",
        cause: error,
      });
    }
  }

  /** Deletes a temporary one. */
  async close(): Promise<void> {
    clearTimeout(this.#later);
    if (this.#isTemporary) await fs.rm(this.folder, { recursive: true, force: true });
  }

  async #make(): Promise<void> {
    await fs.mkdir(this.folder, { recursive: true, mode: 0o700 });
  }

  async #find(name: string): Promise<void> {
    const stat = await undefinedIfMissing(fs.stat(join(this.folder, name)));
    if (!stat?.isFile()) return;
    if (isDigest(name)) this.#kept.set(name, { size: stat.size, used: stat.mtimeMs });
    else if (name.endsWith(PART) && this.#now() - stat.mtimeMs > DAY) await undefinedIfMissing(fs.unlink(join(this.folder, name)));
  }

  /** Undefined: it is not kept. */
  async find(digest: Digest): Promise<StoredObject | undefined> {
    const kept = this.#kept.get(digest);
    if (!kept) return undefined;
    const path = join(this.folder, digest);
    const stat = await undefinedIfMissing(fs.stat(path));
    if (stat?.size !== kept.size) {
      this.#kept.delete(digest);
      return undefined;
    }
    const now = this.#now();
    if (now - kept.used > this.#used) await fs.utimes(path, new Date(now), new Date(now)).catch(() => {});
    kept.used = now;
    return new DiskObject(path, stat);
  }

  /**
   * An object whose body is that of its file here, which is filled when it is asked for first. `pieces`: all of its bytes, in their order.
   * Fails with `busy` where there is no space for it.
   */
  through(digest: Digest, object: StoredObject, pieces: () => AsyncIterable<Uint8Array>): StoredObject {
    const { size, modified } = object;
    return {
      size,
      modified,
      bytes: (start, end) => object.bytes(start, end),
      body: async (start = 0, end = size) => {
        const kept = await this.find(digest);
        if (!kept && end - start <= SMALL) return object.body(start, end);
        return (kept ?? (await this.#filled(digest, size, pieces))).body(start, end);
      },
    };
  }

  #filled(digest: Digest, size: number, pieces: () => AsyncIterable<Uint8Array>): Promise<StoredObject> {
    const running = this.#fills.get(digest);
    if (running) return running.ended;
    const ended = Promise.resolve() // it counts as running first
      .then(() =>
        this.#room.during(1, async () => {
          await this.#evict();
          await this.#fill(digest, pieces());
          this.#kept.set(digest, { size, used: this.#now() });
        }),
      )
      .catch((error: unknown) => this.#explained(digest, error))
      .finally(() => this.#fills.delete(digest))
      .then(async () => {
        const kept = await this.find(digest);
        void this.#evict();
        if (!kept) throw new Error(`${digest} is gone from ${this.folder}`);
        return kept;
      });
    this.#fills.set(digest, { size, ended });
    return ended;
  }

  async #fill(digest: Digest, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#make(); // what cleans folders of temporary files may have taken it
    const path = join(this.folder, `${randomUUID()}${PART}`);
    const file = await createFile(path);
    try {
      const summer = new Summer();
      let at = 0;
      for await (const piece of pieces) {
        const written = writeAt(file, piece, at);
        summer.update(piece);
        await written;
        at += piece.byteLength;
      }
      if (summer.sums()["sha-256"] !== digest)
        throw new Failure("corrupt", `blob ${digest} content does not match its checksum: it is not sent`);
      await fs.rename(path, join(this.folder, digest));
    } catch (error) {
      await undefinedIfMissing(fs.unlink(path)).catch(() => {});
      throw error;
    } finally {
      await closeFile(file);
    }
  }

  /** Always fails. A full disk gets as much space as can be, so that it succeeds when a client asks again. */
  async #explained(digest: Digest, error: unknown): Promise<never> {
    this.#failed(reason(error));
    if (!["ENOSPC", "EDQUOT"].includes(errorCode(error))) throw error;
    await this.#evict({ limit: 0 });
    throw new Failure("busy", `no space is left in ${this.folder} for blob ${digest}`, { cause: error });
  }

  /** Makes room for what is being filled. `all`: also of what was used just now. */
  async #evict({ limit = this.#limit, all = false } = {}): Promise<void> {
    const sum = (sizes: Iterable<{ readonly size: number }>) => [...sizes].reduce((total, { size }) => total + size, 0);
    let total = sum(this.#kept.values()) + sum(this.#fills.values());
    const oldest = [...this.#kept].toSorted(([, a], [, b]) => a.used - b.used);
    for (const [digest, kept] of oldest) {
      if (total <= limit) return;
      if (!all && this.#now() - kept.used < this.#used) break;
      this.#kept.delete(digest);
      await undefinedIfMissing(fs.unlink(join(this.folder, digest))).catch((error: unknown) => this.#failed(reason(error)));
      total -= kept.size;
    }
    if (total <= this.#limit || this.#later) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      void this.#evict();
    }, this.#used);
    this.#later.unref();
  }
}

/** Whether it is a folder of this user: in a shared one, another could have anything deleted by what he puts in its place. */
async function isOwn(path: string): Promise<boolean> {
  const stat = await undefinedIfMissing(fs.lstat(path));
  return stat?.isDirectory() === true && stat.uid === process.geteuid?.();
}

/** Whether a process of that id runs that is not this one. */
function isOther(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}
