/**
 * Bytes that are staged on this machine before they are sent elsewhere: in memory while they are few, then in one file of the process that
 * has no name, so nothing is left of it whatever ends the process.
 */

import { randomUUID } from "node:crypto";
import { unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explainDiskError } from "./diskerrors.ts";
import { closeFile, createFile, readAt, writeAt } from "./rawfile.ts";

/** bytes of a stage that stay in memory */
const IN_MEMORY = 64 * 1024;

export class Spool {
  readonly folder: string;
  #file: Promise<number> | undefined;
  /** bytes of the file that are given away */
  #end = 0;
  /** stages with bytes in it */
  #live = 0;

  constructor(folder: string = tmpdir()) {
    this.folder = folder;
  }

  stage(): Spooled {
    return new Spooled(this);
  }

  /** Internal to this file, like `give`, `take` and `free`. */
  enter(): void {
    this.#live += 1;
  }

  /** Writes bytes; where they are. */
  async give(bytes: Uint8Array): Promise<number> {
    const at = this.#end;
    this.#end += bytes.byteLength;
    await this.#guard(async () => writeAt(await this.#open(), bytes, at));
    return at;
  }

  take(into: Uint8Array, at: number): Promise<void> {
    return this.#guard(async () => readAt(await this.#open(), into, at));
  }

  /** Frees the space once no stage needs any of it. */
  async free(): Promise<void> {
    this.#live -= 1;
    if (this.#live > 0) return;
    const file = this.#file;
    this.#file = undefined;
    this.#end = 0;
    if (file) await closeFile(await file);
  }

  #open(): Promise<number> {
    this.#file ??= nameless(this.folder);
    return this.#file;
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explainDiskError(error, this.folder, {
        unharmed: "nothing was published",
        elsewhere: "name a folder with more space by TMPDIR",
      });
    }
  }
}

async function nameless(folder: string): Promise<number> {
  const path = join(folder, `chp-${randomUUID()}`);
  const file = await createFile(path);
  await unlink(path);
  return file;
}

/** The bytes of one stage. */
export class Spooled {
  size = 0;
  readonly #spool: Spool;
  #memory: Uint8Array[] = [];
  /** where they are in the file, in their order */
  readonly #pieces: { readonly start: number; readonly at: number; size: number }[] = [];
  #isInFile = false;
  #isFreed = false;

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (!this.#isInFile && this.size + chunk.byteLength <= IN_MEMORY) {
      this.#memory.push(new Uint8Array(chunk));
      this.size += chunk.byteLength;
      return;
    }
    if (!this.#isInFile) {
      this.#isInFile = true;
      this.#spool.enter();
      const before = Buffer.concat(this.#memory.splice(0));
      this.size = 0;
      await this.#append(before);
    }
    await this.#append(chunk);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    const at = await this.#spool.give(bytes);
    const last = this.#pieces.at(-1);
    if (last && last.at + last.size === at) last.size += bytes.byteLength;
    else this.#pieces.push({ start: this.size, at, size: bytes.byteLength });
    this.size += bytes.byteLength;
  }

  /** From `start` to `end`, exclusive. */
  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (!this.#isInFile) return new Uint8Array(Buffer.concat(this.#memory).subarray(start, end));
    const into = new Uint8Array(Math.max(0, Math.min(end, this.size) - start));
    for (const piece of this.#pieces) {
      const [from, to] = [Math.max(start, piece.start), Math.min(start + into.byteLength, piece.start + piece.size)];
      if (from < to) await this.#spool.take(into.subarray(from - start, to - start), piece.at + from - piece.start);
    }
    return into;
  }

  async free(): Promise<void> {
    if (this.#isFreed) return;
    this.#isFreed = true;
    this.#memory = [];
    if (this.#isInFile) await this.#spool.free();
  }
}
