/**
 * The folder in which an archive is written: `EXPORTDIR/.chp-export-KEY/` with its parts, a journal of their content and a
 * lock. An export with the same key resumes an interrupted one; a finished archive is moved to EXPORTDIR.
 */

import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, join } from "node:path";
import { partName, partSumsName } from "../../src/archives/parts.ts";
import type { Piece, RandomAccessOutput } from "../../src/archives/tarball.ts";
import { Summer } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import { type Advice, errorCode, explainDiskError, isLinkUnsupported, undefinedIfMissing } from "../../store/diskerrors.ts";
import { makeFolder, syncFolder } from "./durable.ts";
import { checkSpace } from "./openstore.ts";
import { LOCK_PREFIX, WorkLock } from "./worklock.ts";

const MIB = 2 ** 20;
/** version of the journal and of the tar headers of tarball.ts: a folder of another version starts over */
const FORMAT = 1;
/** bytes of a payload between two lines of the journal */
const STEP = 8 * MIB;
/** open part files, idle ones included */
const MAX_OPEN = 16;
/** largest file on FAT32, bytes */
const FAT_LIMIT = 2 ** 32 - 1;

const JOURNAL = "journal";
const SUMS = "sums";
const PART = "part.";

const KEPT = "what was fetched is kept";
const ADVICE: Advice = { unharmed: KEPT, elsewhere: "name another folder with --export-dir", smaller: "give --chunk 4G" };

/** Names of files in the work folder, and their final names in the export folder. */
type FinalNames = readonly (readonly [inside: string, outside: string])[];

/** A line of the journal; of several for a piece the last is valid. */
type JournalLine =
  | { readonly format: number; readonly chunk: number }
  | { readonly piece: PieceIdentity; readonly kept: number }
  | { readonly end: FinalNames };

/** Bytes are reused only for the same payload at the same offset with the same digest. */
type PieceIdentity = readonly [path: string, offset: number, length: number, size: number, digest: string];

function identity({ path, offset, length, size }: Piece, digest: string): PieceIdentity {
  return [path, offset, length, size, digest];
}

export class WorkFolder implements RandomAccessOutput {
  readonly #place: string;
  readonly #folder: string;
  readonly #lock: WorkLock;
  readonly #chunk: number;
  readonly #kept = new Map<string, number>();
  /** how many of these bytes the journal records, by the same keys */
  readonly #recorded = new Map<string, number>();
  /** bytes of each part when it was opened */
  readonly #sizes = new Map<number, number>();
  readonly #open = new Map<number, { readonly file: Promise<fs.FileHandle>; uses: number }>();
  readonly #running = new Set<Promise<unknown>>();
  #journal: fs.FileHandle | undefined;

  /**
   * Opens the work folder of `key`, a hash in hex of the whole request, and creates it if it does not exist. `chunk`: maximum
   * bytes of a part. Fails with `conflict` while another process uses it.
   */
  static async open(exportDir: string, key: string, { chunk }: { readonly chunk?: number } = {}): Promise<WorkFolder> {
    if (!/^[0-9a-f]{8,64}$/.test(key)) throw new Error(`internal error: ${key} is no key of a work folder`);
    return explainingDiskErrors(exportDir, async () => {
      const folder = join(exportDir, `.chp-export-${key}`);
      const lock = await WorkLock.take(folder);
      const opened = new WorkFolder(exportDir, folder, lock, chunk);
      try {
        await opened.#load();
      } catch (error) {
        await opened.close();
        throw error;
      }
      return opened;
    });
  }

  private constructor(place: string, folder: string, lock: WorkLock, chunk = Number.MAX_SAFE_INTEGER) {
    [this.#place, this.#folder, this.#lock] = [place, folder, lock];
    // A file on FAT32 can have one byte less than 4 GiB.
    this.#chunk = chunk === FAT_LIMIT + 1 ? FAT_LIMIT : chunk;
  }

  /** Path of the work folder. */
  get path(): string {
    return this.#folder;
  }

  /* ---- the archive's bytes ---- */

  write(at: number, bytes: Uint8Array): Promise<void> {
    return this.#run(async () => {
      for (const { part, start, from, to } of this.#partRanges(at, at + bytes.byteLength)) {
        const all = bytes.subarray(start - at, start - at + to - from);
        await this.#with(part, async (file) => {
          for (let done = 0; done < all.byteLength; )
            done += (await file.write(all, done, all.byteLength - done, from + done)).bytesWritten;
        });
      }
    });
  }

  bytes(start: number, end: number): Promise<Uint8Array> {
    return this.#run(async () => {
      const all = new Uint8Array(end - start);
      for (const span of this.#partRanges(start, end))
        await this.#with(span.part, async (file) => {
          for (let at = span.from; at < span.to; ) {
            const { bytesRead } = await file.read(all, span.start - start + at - span.from, span.to - at, at);
            if (bytesRead === 0) return;
            at += bytesRead;
          }
        });
      return all;
    });
  }

  /** Fails if the disk has no space for the rest of an archive of `length` bytes. */
  reserve(length: number): Promise<void> {
    return this.#run(async () => {
      const stats = await Promise.all((await this.#parts()).map((part) => fs.stat(this.#path(part))));
      const allocated = stats.reduce((sum, { blocks }) => sum + blocks * 512, 0);
      await checkSpace("export into", this.#place, length - allocated, {
        next: `free some space there or ${ADVICE.elsewhere}, and run the same command again; ${KEPT}`,
      });
    });
  }

  /* ---- the journal ---- */

  /**
   * How many bytes of a payload an earlier export has written. A power cut may have damaged them: the caller reads them all
   * and checks the digest.
   */
  resumableBytes(piece: Piece, digest: string): number {
    const bytes = this.#kept.get(JSON.stringify(identity(piece, digest))) ?? 0;
    return this.#has(piece.offset, piece.offset + bytes) ? bytes : 0;
  }

  /** Records that the first `bytes` of a payload are written. Cheap enough for every chunk: the journal gets a line per `STEP`. */
  async recordWritten(piece: Piece, digest: string, bytes: number): Promise<void> {
    const key = JSON.stringify(identity(piece, digest));
    const recorded = this.#recorded.get(key) ?? 0;
    this.#kept.set(key, bytes);
    if (bytes < recorded || bytes >= recorded + STEP || bytes === piece.size) await this.#run(() => this.#recordKept(key));
  }

  /* ---- the end ---- */

  /**
   * Syncs an archive of `length` bytes, moves it to the export folder and removes the work folder. An archive that is longer
   * than a chunk becomes several parts and a file of their sums. Returns the paths. Fails rather than overwrite a file.
   */
  finish(name: string, length: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<string[]> {
    return this.#run(async () => {
      const count = Math.max(1, Math.ceil(length / this.#chunk));
      const parts = Array.from({ length: count }, (_, part) => part);
      const ending: [string, string][] = parts.map((part) => [PART + part, count === 1 ? name : partName(name, part + 1, count)]);
      if (count > 1) ending.push([SUMS, partSumsName(name)]);
      for (const [, outside] of ending) if (await undefinedIfMissing(fs.lstat(join(this.#place, outside)))) throw this.#exists(outside);
      for (const part of await this.#parts()) if (part >= count) await this.#drop(part);
      for (const part of parts)
        await this.#with(part, async (file) => {
          const size = Math.min(this.#chunk, length - part * this.#chunk);
          if ((await file.stat()).size !== size) await file.truncate(size);
          await file.sync();
        });
      if (count > 1) await this.#writeSums(ending.slice(0, count), signal);
      await this.#record({ end: ending });
      await this.#journal?.sync();
      await this.#closeFiles();
      try {
        for (const [inside, outside] of ending) await this.#moveOut(inside, outside);
      } catch (error) {
        await this.#moveBack(ending);
        throw error;
      }
      await syncFolder(this.#place);
      await this.#remove();
      return ending.map(([, outside]) => join(this.#place, outside));
    });
  }

  /** Removes the work folder and its content. */
  async discard(): Promise<void> {
    await this.#waitForRunning();
    await this.#run(() => this.#remove());
  }

  /** Leaves the folder for the next export with the same key. Does nothing after `finish` and `discard`. */
  async close(): Promise<void> {
    // This fails if the folder was removed or another process took the lock: nothing has to be recorded then.
    for (const key of this.#kept.keys()) await this.#run(() => this.#recordKept(key)).catch(() => {});
    this.#lock.end();
    await this.#waitForRunning();
    await explainingDiskErrors(this.#place, () => this.#closeFiles());
    await this.#lock.release().catch(() => {}); // the next export sees that its owner has ended
  }

  /* ---- internals ---- */

  async #load(): Promise<void> {
    await this.#sweep();
    const lines = await readJournal(join(this.#folder, JOURNAL));
    const head = lines.find((line) => "format" in line);
    const ending = lines.findLast((line) => "end" in line)?.end ?? [];
    const resumes = head?.format === FORMAT && head.chunk === this.#chunk && !(await this.#wasMovedOut(ending));
    if (!resumes) await this.#empty();
    else {
      await this.#moveBack(ending);
      for (const line of lines)
        if ("piece" in line) for (const map of [this.#kept, this.#recorded]) map.set(JSON.stringify(line.piece), line.kept);
    }
    for (const part of await this.#parts()) this.#sizes.set(part, (await fs.stat(this.#path(part))).size);
    this.#journal = await fs.open(join(this.#folder, JOURNAL), "a");
    await this.#record(resumes ? { end: [] } : { format: FORMAT, chunk: this.#chunk });
  }

  /** The line feed comes first, so that a line cut by a crash does not run into the next one. */
  async #record(line: JournalLine): Promise<void> {
    await this.#journal?.appendFile(`\n${JSON.stringify(line)}`);
  }

  async #recordKept(key: string): Promise<void> {
    const kept = this.#kept.get(key) ?? 0;
    if (kept === (this.#recorded.get(key) ?? 0)) return;
    this.#recorded.set(key, kept);
    await this.#record({ piece: JSON.parse(key) as PieceIdentity, kept });
  }

  /** Whether a killed export had moved all files out, and only the removal of the work folder is left. */
  async #wasMovedOut(ending: FinalNames): Promise<boolean> {
    if (ending.length === 0) return false;
    for (const [inside, outside] of ending)
      if (
        (await undefinedIfMissing(fs.lstat(join(this.#folder, inside)))) ||
        !(await undefinedIfMissing(fs.lstat(join(this.#place, outside))))
      )
        return false;
    return true;
  }

  async #moveOut(inside: string, outside: string): Promise<void> {
    const [from, to] = [join(this.#folder, inside), join(this.#place, outside)];
    try {
      await fs.link(from, to);
    } catch (error) {
      if (errorCode(error) === "EEXIST") throw this.#exists(outside);
      if (!isLinkUnsupported(error)) throw error;
      if (await undefinedIfMissing(fs.lstat(to))) throw this.#exists(outside);
      await fs.rename(from, to);
      return;
    }
    await fs.unlink(from);
  }

  /** Moves back the files that `finish` has moved out so far; other files of the same names stay. */
  async #moveBack(ending: FinalNames): Promise<void> {
    for (const [inside, outside] of ending) {
      const [from, to] = [join(this.#place, outside), join(this.#folder, inside)];
      const [out, within] = await Promise.all([from, to].map((path) => undefinedIfMissing(fs.lstat(path))));
      if (out && !within) await fs.rename(from, to);
      else if (out && within && out.ino === within.ino && out.dev === within.dev) await fs.unlink(from);
    }
  }

  #exists(name: string): Failure {
    return new Failure("failed", `${printable(join(this.#place, name))} is there already`, {
      next: `move it away and run the same command again; ${KEPT}`,
    });
  }

  async #writeSums(parts: FinalNames, signal: AbortSignal | undefined): Promise<void> {
    const lines: string[] = [];
    for (const [part, [, name]] of parts.entries())
      await this.#with(part, async (file) => {
        const summer = new Summer();
        const { size } = await file.stat();
        const buffer = Buffer.allocUnsafe(Math.min(size, MIB));
        while (summer.size < size) {
          if (signal?.aborted) throw new Failure("interrupted", "interrupted", { next: `the same command resumes: ${KEPT}` });
          const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, summer.size);
          if (bytesRead === 0) throw new Error(`${this.#path(part)} ends after ${summer.size} of ${size} bytes`);
          summer.update(buffer.subarray(0, bytesRead));
        }
        lines.push(`${summer.sums()["sha-256"]}  ${name}\n`);
      });
    const file = await fs.open(join(this.#folder, SUMS), "w");
    try {
      await file.writeFile(lines.join(""));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Numbers of the parts on the disk. */
  async #parts(): Promise<number[]> {
    const names = await fs.readdir(this.#folder);
    return names.filter((name) => name.startsWith(PART)).map((name) => Number(name.slice(PART.length)));
  }

  #path(part: number): string {
    return join(this.#folder, PART + part);
  }

  /** Splits a range of the archive by parts: `from` and `to` are offsets in the part, `start` is the offset in the archive. */
  *#partRanges(start: number, end: number): Generator<{ part: number; start: number; from: number; to: number }> {
    for (let at = start; at < end; ) {
      const part = Math.floor(at / this.#chunk);
      const from = at - part * this.#chunk;
      const to = Math.min(this.#chunk, from + end - at);
      yield { part, start: at, from, to };
      at += to - from;
    }
  }

  #has(start: number, end: number): boolean {
    return [...this.#partRanges(start, end)].every(({ part, to }) => (this.#sizes.get(part) ?? 0) >= to);
  }

  /** Runs `work` on the open file of a part, and closes it afterwards if more than `MAX_OPEN` are open. */
  async #with<T>(part: number, work: (file: fs.FileHandle) => Promise<T>): Promise<T> {
    const { O_RDWR, O_CREAT } = fs.constants;
    const open = this.#open.get(part) ?? { file: fs.open(this.#path(part), O_RDWR | O_CREAT), uses: 0 };
    this.#open.set(part, open);
    open.uses += 1;
    try {
      return await work(await open.file);
    } finally {
      open.uses -= 1;
      if (open.uses === 0 && this.#open.size > MAX_OPEN) await this.#closePart(part);
    }
  }

  async #closePart(part: number): Promise<void> {
    const open = this.#open.get(part);
    this.#open.delete(part);
    await (await open?.file.catch(() => undefined))?.close();
  }

  async #drop(part: number): Promise<void> {
    await this.#closePart(part);
    await fs.unlink(this.#path(part));
  }

  async #closeFiles(): Promise<void> {
    for (const part of this.#open.keys()) await this.#closePart(part);
    await this.#journal?.close();
    this.#journal = undefined;
  }

  /** Removes everything but lock files. */
  async #empty(): Promise<void> {
    for (const name of await fs.readdir(this.#folder))
      if (!name.startsWith(LOCK_PREFIX)) await fs.rm(join(this.#folder, name), { recursive: true });
  }

  /** Renames the folder before it is removed, so that no other export finds it half removed. */
  async #remove(): Promise<void> {
    await this.#closeFiles();
    this.#lock.end();
    const gone = `${this.#folder}.gone-${randomUUID()}`;
    await fs.rename(this.#folder, gone);
    await fs.rm(gone, { recursive: true });
  }

  /** Removes folders of exports that were killed in `#remove`. */
  async #sweep(): Promise<void> {
    for (const name of await fs.readdir(this.#place))
      if (name.startsWith(`${basename(this.#folder)}.gone-`)) await fs.rm(join(this.#place, name), { recursive: true, force: true });
  }

  /** Waits until all running operations have settled. */
  async #waitForRunning(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    const done = explainingDiskErrors(this.#place, () => {
      this.#lock.check();
      return work();
    });
    const settled = done.catch(() => {}).then(() => void this.#running.delete(settled));
    this.#running.add(settled);
    return done;
  }
}

/** Creates the export folder if it does not exist. Fails with `failed`. */
export async function makeExportDir(folder: string): Promise<void> {
  await explainingDiskErrors(folder, () => makeFolder(folder));
}

async function explainingDiskErrors<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainDiskError(error, printable(place), ADVICE);
  }
}

async function readJournal(path: string): Promise<JournalLine[]> {
  const text = (await undefinedIfMissing(fs.readFile(path, "utf8"))) ?? "";
  return text.split("\n").flatMap((line) => {
    try {
      const parsed: unknown = JSON.parse(line);
      return typeof parsed === "object" && parsed !== null ? [parsed as JournalLine] : [];
    } catch {
      return []; // cut by a crash
    }
  });
}
