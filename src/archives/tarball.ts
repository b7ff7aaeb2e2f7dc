/**
 * An archive that is laid out before it is written. The offset and length of every file follow from the sizes alone, so files are
 * written in any order, at the same time, and straight to their final offset.
 *
 * Charms and snaps are compressed already, so gzip only stores; and since gzip members may follow each other (RFC 1952),
 * each file is a member of its own. A file of a nested NAME.tar.gz is framed twice.
 */

import { crc32 } from "node:zlib";
import { Header } from "tar/header";
import { Pax } from "tar/pax";
import { printable, refused } from "../errors.ts";
import type { ReadAt } from "./archive.ts";
import { isLitter, safePath } from "./names.ts";

const MIB = 2 ** 20;

/** A run of bytes of an archive: one payload and what frames it. */
export interface Piece {
  /** names of the archives on the way and the path in the innermost, joined by "/" */
  readonly path: string;
  /** where it begins in the archive */
  readonly offset: number;
  /** bytes in the archive */
  readonly length: number;
  /** bytes of its payload */
  readonly size: number;
  /** innermost first */
  readonly frames: readonly Frame[];
}

/** What is put around a payload, or around what the frame within it gives. */
export interface Frame {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** whether all of it becomes a gzip member */
  readonly gzip: boolean;
}

/** Where an archive lies while it is written. Bytes that were never written read as anything. */
export interface RandomAccessOutput {
  /** `bytes` are not used after the promise resolved */
  write(at: number, bytes: Uint8Array): Promise<void>;
  /** bytes from `start` up to, not including, `end` */
  bytes(start: number, end: number): Promise<Uint8Array>;
}

/* ---- tar ---- */

const BLOCK = 512;
const NOTHING = new Uint8Array();
const END_OF_TAR = new Uint8Array(2 * BLOCK);
/** Of all files, so that the same input gives the same bytes; GNU tar warns of 1970. */
const MODIFIED = new Date(Date.UTC(2000, 0, 1));

function tarHeader(path: string, size: number): Uint8Array {
  const { block, needsPax } = headerBlock("File", path, size);
  if (!needsPax) return block;
  const text = Buffer.from(new Pax({ path, size }).encodeBody());
  const extended = headerBlock("ExtendedHeader", "PaxHeader", text.byteLength);
  return Buffer.concat([extended.block, text, padding(text.byteLength), block]);
}

/** `needsPax`: the path is too long, no ASCII, or the size more than 8 GiB. */
function headerBlock(type: "File" | "ExtendedHeader", path: string, size: number): { block: Uint8Array; needsPax: boolean } {
  const block = Buffer.alloc(BLOCK);
  const fields = { path, mode: 0o644, uid: 0, gid: 0, size, mtime: MODIFIED, type, uname: "", gname: "", devmaj: 0, devmin: 0 };
  return { block, needsPax: new Header(fields).encode(block) };
}

function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

/* ---- gzip, stored ---- */

/** The most that a stored block holds (RFC 1951, section 3.2.4). */
const STORED = 65535;
const BLOCK_HEADER = 5;
const MEMBER_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
const MEMBER_TRAILER = 8;

function memberLength(size: number): number {
  return positionInMember(size - 1) + 1 + MEMBER_TRAILER;
}

/** Where in a member byte `at` of its content is. */
function positionInMember(at: number): number {
  return MEMBER_HEADER.byteLength + BLOCK_HEADER * (Math.floor(at / STORED) + 1) + at;
}

function blockHeader(size: number, isLast: boolean): Uint8Array {
  const bytes = Buffer.alloc(BLOCK_HEADER);
  bytes.writeUInt8(isLast ? 1 : 0);
  bytes.writeUInt16LE(size, 1);
  bytes.writeUInt16LE(size ^ 0xffff, 3);
  return bytes;
}

/* ---- layout ---- */

/** Bytes of a payload of `size` with these frames around it. */
function lengthOf(size: number, frames: readonly Frame[]): number {
  return frames.reduce((length, frame) => lengthIn(frame, contentSize(frame, length)), size);
}

function contentSize({ before, after }: Frame, size: number): number {
  return before.byteLength + size + after.byteLength;
}

function lengthIn({ gzip }: Frame, content: number): number {
  return gzip ? memberLength(content) : content;
}

function entryFrame(path: string, size: number, gzip: boolean): Frame {
  return { before: tarHeader(path, size), after: padding(size), gzip };
}

/**
 * Where everything in an archive is. It grows at its end, so what is laid out may be written and read before it is whole.
 * Throws a `refused` failure for a path that no importer would take, and for one that is there already.
 */
export class Layout {
  readonly #gzip: boolean;
  readonly #paths = new Set<string>();
  readonly #fixed: Piece[] = [];
  #length = 0;

  /** `compress`: a .tar.gz, else a .tar. */
  constructor({ compress }: { readonly compress: boolean }) {
    this.#gzip = compress;
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** A file at the top level, after all that is there. */
  file(path: string, size: number): Piece {
    claim(this.#paths, path, path, size);
    return this.#append(path, size, [entryFrame(path, size, this.#gzip)]);
  }

  /** A nested NAME.tar.gz with all of its files, after all that is there; their pieces in their order. */
  container(path: string, files: readonly { readonly path: string; readonly size: number }[]): Piece[] {
    const within = new Set<string>();
    for (const file of files) claim(within, file.path, `${path}/${file.path}`, file.size);
    const frames = files.map((file) => entryFrame(file.path, file.size, true));
    const end: Frame = { before: END_OF_TAR, after: NOTHING, gzip: true };
    const size = frames.reduce((sum, frame, i) => sum + lengthOf(files[i]?.size ?? 0, [frame]), lengthOf(0, [end]));
    claim(this.#paths, path, path, size);
    const around = { before: NOTHING, after: NOTHING, gzip: this.#gzip };
    this.#fixed.push(this.#append(path, 0, [{ ...around, before: tarHeader(path, size) }]));
    const pieces = files.map((file, i) => this.#append(`${path}/${file.path}`, file.size, [frames[i] ?? end, around]));
    this.#fixed.push(this.#append(path, 0, [end, { ...around, after: padding(size) }]));
    return pieces;
  }

  /** The end of the archive, and all else in it that has no payload, to be written like the rest; nothing is appended after. */
  end(): readonly Piece[] {
    this.#fixed.push(this.#append("", 0, [{ before: END_OF_TAR, after: NOTHING, gzip: this.#gzip }]));
    return this.#fixed;
  }

  #append(path: string, size: number, frames: readonly Frame[]): Piece {
    const piece = { path, offset: this.#length, length: lengthOf(size, frames), size, frames };
    this.#length += piece.length;
    return piece;
  }
}

/** Refuses what a reader would refuse, skip, or find under another name. */
function claim(paths: Set<string>, path: string, shown: string, size: number): void {
  const refuse = (why: string) => refused(`cannot put ${printable(shown, 200)} into an archive: ${why}`);
  if (path === "" || safePath(path) !== path || isLitter(path)) throw refuse("importers would not find it by that path");
  if (paths.has(path)) throw refuse("it is in it already");
  if (!Number.isSafeInteger(size) || size < 0) throw refuse(`its size is ${size}`);
  paths.add(path);
}

/* ---- writing ---- */

/**
 * Writes the payload of one piece, in order, with its frames. Writes a MiB at a time, one while the next fills:
 * the memory of a writer is 2 MiB, however large the piece.
 */
export class PieceWriter {
  readonly #piece: Piece;
  readonly #output: RandomAccessOutput;
  readonly #framers: readonly Framer[];
  readonly #runs: Runs;
  #taken = 0;
  #started = false;

  constructor(piece: Piece, output: RandomAccessOutput) {
    this.#piece = piece;
    this.#output = output;
    let size = piece.size;
    this.#framers = piece.frames.map((frame) => {
      const framer = new Framer(frame, contentSize(frame, size));
      size = lengthIn(frame, contentSize(frame, size));
      return framer;
    });
    this.#runs = new Runs(output, piece);
  }

  /** Bytes of the payload so far. */
  get at(): number {
    return this.#taken;
  }

  /** Bytes of the payload that are written to the output: a later writer can `replay` so many. */
  get landed(): number {
    return this.#runs.landed;
  }

  /** Appends to the payload; the chunk may be re-used after the promise resolved. Refuses what is more than the piece's size. */
  async write(chunk: Uint8Array): Promise<void> {
    if (chunk.byteLength > this.#piece.size - this.#taken) throw this.#refuse(`it has more than ${this.#piece.size} bytes`);
    await this.#start();
    await this.#put([chunk]);
    this.#taken += chunk.byteLength;
    this.#runs.mark = this.#taken;
  }

  /**
   * Accepts the first `count` bytes of the payload as written by an earlier writer: they are not written again, but
   * go through `onChunk`, which is awaited. Before the first write only.
   */
  async replay(count: number, onChunk: (chunk: Uint8Array) => unknown): Promise<void> {
    if (this.#started) throw new Error("internal error: a piece is replayed after a write");
    const payload = payloadOf(this.#piece, this.#output);
    this.#runs.alreadyWritten = true;
    for (let at = 0; at < count; at += MIB) {
      const chunk = await payload.bytes(at, Math.min(count, at + MIB));
      await onChunk(chunk);
      await this.write(chunk);
    }
    this.#runs.alreadyWritten = false;
    this.#runs.landed = this.#taken;
  }

  /** Writes everything that is buffered to the output. Await it before another writer of the same piece starts, as after a failure. */
  async flush(): Promise<void> {
    await this.#runs.flush();
    await this.#runs.settle();
  }

  /** Ends the piece; refuses one that has fewer bytes than its size. */
  async end(): Promise<void> {
    if (this.#taken < this.#piece.size) throw this.#refuse(`it ends after ${this.#taken} of ${this.#piece.size} bytes`);
    await this.#start();
    for (const [i, framer] of this.#framers.entries()) {
      await this.#put([framer.frame.after], i);
      await this.#put(framer.trailer(), i + 1);
    }
    await this.flush();
  }

  async #start(): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    for (const [i, framer] of [...this.#framers.entries()].toReversed()) await this.#put([framer.frame.before], i);
  }

  /** Content of the frame `from`, through that frame and those around it. */
  async #put(content: Iterable<Uint8Array>, from = 0): Promise<void> {
    for (const bytes of this.#framers.slice(from).reduce((chunks, framer) => framer.framed(chunks), content))
      for (let at = 0; at < bytes.byteLength; ) {
        at += this.#runs.take(bytes.subarray(at));
        if (this.#runs.isFull) await this.#runs.flush();
      }
  }

  #refuse(why: string): Error {
    return refused(`${printable(this.#piece.path)}: ${why}`);
  }
}

/** What one frame makes of its content as it comes. */
class Framer {
  readonly frame: Frame;
  readonly #size: number;
  #at = 0;
  #crc = 0;

  constructor(frame: Frame, size: number) {
    [this.frame, this.#size] = [frame, size];
  }

  *framed(content: Iterable<Uint8Array>): Generator<Uint8Array> {
    if (!this.frame.gzip) {
      yield* content;
      return;
    }
    for (const chunk of content)
      for (let rest = chunk; rest.byteLength > 0; ) {
        if (this.#at === 0) yield MEMBER_HEADER;
        const left = this.#size - this.#at;
        if (this.#at % STORED === 0) yield blockHeader(Math.min(left, STORED), left <= STORED);
        const part = rest.subarray(0, STORED - (this.#at % STORED));
        this.#crc = crc32(part, this.#crc);
        this.#at += part.byteLength;
        yield part;
        rest = rest.subarray(part.byteLength);
      }
  }

  /** After all of the content. */
  trailer(): Uint8Array[] {
    if (!this.frame.gzip) return [];
    const bytes = Buffer.alloc(MEMBER_TRAILER);
    bytes.writeUInt32LE(this.#crc);
    bytes.writeUInt32LE(this.#size % 2 ** 32, 4);
    return [bytes];
  }
}

/** Gathers bytes and writes them by the MiB. */
class Runs {
  /** bytes of payload before those that come: `landed` once they are written */
  mark = 0;
  /** whether the next bytes are in the output already */
  alreadyWritten = false;
  landed = 0;
  readonly #output: RandomAccessOutput;
  #at: number;
  #buffer: Uint8Array;
  #spare: Uint8Array | undefined;
  #filled = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(output: RandomAccessOutput, { offset, length }: Piece) {
    [this.#output, this.#at] = [output, offset];
    this.#buffer = Buffer.allocUnsafe(Math.min(length, MIB));
  }

  get isFull(): boolean {
    return this.#filled === this.#buffer.byteLength;
  }

  /** How many of the bytes there was space for. */
  take(bytes: Uint8Array): number {
    if (this.alreadyWritten) {
      this.#at += bytes.byteLength;
      return bytes.byteLength;
    }
    const taken = bytes.subarray(0, this.#buffer.byteLength - this.#filled);
    this.#buffer.set(taken, this.#filled);
    this.#filled += taken.byteLength;
    return taken.byteLength;
  }

  /** Starts writing what was gathered, when what came before is written. */
  async flush(): Promise<void> {
    await this.#writing;
    const [full, at, mark] = [this.#buffer.subarray(0, this.#filled), this.#at, this.mark];
    this.#at += this.#filled;
    this.#filled = 0;
    [this.#buffer, this.#spare] = [this.#spare ?? Buffer.allocUnsafe(this.#buffer.byteLength), this.#buffer];
    this.#writing = this.#output.write(at, full).then(() => void (this.landed = mark));
    this.#writing.catch(() => {}); // the next flush throws it
  }

  async settle(): Promise<void> {
    await this.#writing;
  }
}

/* ---- reading back ---- */

/** The payload of a piece, out of its frames; what was not written yet reads as anything. */
export function payloadOf(piece: Piece, output: RandomAccessOutput): ReadAt {
  return { size: piece.size, bytes: (start, end) => unframed(piece, output, 0, start, end) };
}

/** Bytes of what the frame `level` is around. */
async function unframed(piece: Piece, output: RandomAccessOutput, level: number, start: number, end: number): Promise<Uint8Array> {
  const frame = piece.frames[level];
  if (!frame || start >= end) return output.bytes(piece.offset + start, piece.offset + end);
  const [from, to] = [start + frame.before.byteLength, end + frame.before.byteLength];
  if (!frame.gzip) return unframed(piece, output, level + 1, from, to);
  const framed = await unframed(piece, output, level + 1, positionInMember(from), positionInMember(to - 1) + 1);
  const content = new Uint8Array(to - from);
  for (let [at, read] = [from, 0]; at < to; ) {
    const part = framed.subarray(read, read + Math.min(STORED - (at % STORED), to - at));
    content.set(part, at - from);
    at += part.byteLength;
    read += part.byteLength + BLOCK_HEADER;
  }
  return content;
}
