/**
 * Entries of a tar, gz, zst or plain file, nested at any depth, in one pass and with flat memory.
 *
 * Nothing is unpacked: an entry's name is data to look up, its bytes are a stream. The next entry is read only after
 * its predecessor was drained: only one entry is open at a time, and a truncated archive always ends in an error.
 */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import type { Pax } from "tar";
import { Failure, joinLocation, printable, reason, refused } from "../errors.ts";
import { type Ready, whenReady } from "../ready.ts";
import { Budget, LIMITS, type Limits, MIB } from "./budget.ts";
import { classify, type FileKind, HEAD_SIZE, isLitter, safePath } from "./names.ts";
import { isZeroBlock, readPax, readTarHeader, TAR_BLOCK } from "./tarheader.ts";
import type { ReadAt } from "./zipreader.ts";

const RATIO_FROM = 32 * MIB;
/** Bytes of an entry that is read before it is handed on. */
const AT_ONCE = MIB / 16;
const MAX_HEADER = MIB;
const MAX_PADDING = 16 * MIB;
/** of a stream that is nothing that is imported, but may be listed in a SHA256SUMS */
const MAX_UNKNOWN = 256 * MIB;
const NOTHING = new Uint8Array();
const NOTHING_KNOWN = ", and is neither an archive nor anything else that is imported";

export { Budget, LIMITS, type Limits, MIB, type ReadAt };

export type Chunks = AsyncIterable<Uint8Array>;

/** A regular file found in an archive, or given as it is. */
export interface ArchiveFile {
  /** names of the archives on the way, outermost first */
  readonly containers: readonly string[];
  /** path in the innermost of them */
  readonly path: string;
  /** bytes, where its archive or its folder says so */
  readonly size?: number;
  /** its bytes were compressed, outside any tar: they are not those of the file that has this path */
  readonly compressed?: true;
  /** what it is */
  readonly kind?: FileKind;
  /** its bytes; the rest is skipped before the next file */
  readonly bytes: ByteReader;
}

/** Where a file was found. */
export type FileLocation = Pick<ArchiveFile, "containers" | "path">;

/** Where a file was found, as `Failure.at` has it: the archives on the way, outermost first, and its path. */
export function locationParts({ containers, path }: FileLocation): readonly string[] {
  return [...containers, path];
}

/**
 * Its path in its source, with the archives on the way as folders: `kafka.tar.gz/metadata.json`. A SHA256SUMS lists a file by that path,
 * so whatever depends on where a file lies goes by it, and not by what is packed and what is a folder. Of a source itself its name.
 */
export function pathInSource({ containers, path }: FileLocation): string {
  return [...containers.slice(1), path].join("/");
}

/** The same as text: `export.tar.gz: kafka.tar.gz: metadata.json`. */
export function showLocation(file: FileLocation): string {
  return joinLocation(locationParts(file));
}

/** Reads a stream of bytes on demand: peek, take a number of bytes, or take the rest. What is at hand is given without a promise. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array> | undefined;
  #buffered: Uint8Array;
  /** what follows `#buffered`, with no empty chunk in it; it is joined as far as it is asked for */
  readonly #more: Uint8Array[] = [];
  #ended: boolean;

  /** `source`: chunks, or all bytes that there are */
  constructor(source: Chunks | Uint8Array) {
    const isWhole = source instanceof Uint8Array;
    this.#source = isWhole ? undefined : source[Symbol.asyncIterator]();
    this.#buffered = isWhole ? source : NOTHING;
    this.#ended = isWhole;
  }

  /** All that is left, without taking it, where it is at hand. */
  get rest(): Uint8Array | undefined {
    return this.#ended && this.#more.length === 0 ? this.#buffered : undefined;
  }

  /** As `peek`; undefined where not so many bytes are at hand. */
  peekNow(count: number): Uint8Array | undefined {
    return this.#buffered.byteLength >= count ? this.#buffered.subarray(0, count) : this.rest;
  }

  /** As `take`; undefined where not so many bytes are at hand. */
  takeNow(count: number): Uint8Array | undefined {
    const bytes = this.peekNow(count);
    if (bytes) this.#buffered = this.#buffered.subarray(bytes.byteLength);
    return bytes;
  }

  /** The next `count` bytes, or fewer at the end, without taking them. */
  async peek(count: number): Promise<Uint8Array> {
    let size = this.#more.reduce((sum, { byteLength }) => sum + byteLength, this.#buffered.byteLength);
    while (size < count) {
      const chunk = await this.#pull();
      if (!chunk) break;
      size += chunk.byteLength;
      if (chunk.byteLength > 0) this.#more.push(chunk);
    }
    this.#join(count);
    return this.#buffered.subarray(0, count);
  }

  /** Copies no more than the bytes that are asked for: chunks are large, and headers small. */
  #join(count: number): void {
    const parts = [this.#buffered];
    let [size, joined] = [this.#buffered.byteLength, 0];
    for (const [i, next] of this.#more.entries()) {
      if (size >= count) break;
      const part = next.subarray(0, count - size);
      parts.push(part);
      size += part.byteLength;
      if (part.byteLength === next.byteLength) joined += 1;
      else this.#more[i] = next.subarray(part.byteLength);
    }
    this.#more.splice(0, joined);
    if (parts.length > 1) this.#buffered = parts.length === 2 && parts[0]?.byteLength === 0 ? (parts[1] ?? NOTHING) : Buffer.concat(parts);
  }

  /** The next `count` bytes, or fewer at the end. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.peek(count);
    this.#buffered = this.#buffered.subarray(bytes.byteLength);
    return bytes;
  }

  /** At most `count` bytes, in chunks as they come. */
  async *chunks(count = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0; ) {
      if (this.#buffered.byteLength === 0) {
        const next = this.#more.shift() ?? (await this.#pull());
        if (!next) return;
        this.#buffered = next;
        continue;
      }
      const chunk = this.#buffered.subarray(0, left);
      this.#buffered = this.#buffered.subarray(chunk.byteLength);
      left -= chunk.byteLength;
      yield chunk;
    }
  }

  /** The rest, which must not be more than `limit` bytes. */
  async whole(limit: number, what: string): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const chunk of this.chunks(limit + 1)) parts.push(chunk);
    const bytes = Buffer.concat(parts);
    if (bytes.byteLength > limit) throw refused(`${what} is larger than ${limit} bytes`);
    return bytes;
  }

  async drain(): Promise<void> {
    for await (const _ of this.chunks());
  }

  /** Releases the source; closes a stream that was not read to its end. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#source?.return?.();
  }

  async #pull(): Promise<Uint8Array | undefined> {
    if (this.#ended || !this.#source) return undefined;
    const next = await this.#source.next();
    if (!next.done) return next.value;
    this.#ended = true;
    return undefined;
  }
}

/** A file, or a stream whose end nobody knows. */
export interface Source {
  readonly name: string;
  readonly chunks: Chunks;
  /** bytes; undefined: not known before it is read */
  readonly size?: number | undefined;
}

/**
 * The regular files of a source, in order. A source that is no archive is one file. `opaque`: by its path in the source, whether a file is
 * stored as it is even if its content is an archive. A source of unknown size that may have no end is refused after some of it.
 */
export async function* files(
  { name, chunks, size }: Source,
  opaque: (path: string) => boolean,
  budget: Budget = new Budget(),
): AsyncGenerator<ArchiveFile> {
  let most = Number.POSITIVE_INFINITY;
  const counted = async function* () {
    let read = 0;
    for await (const chunk of chunks) {
      read += chunk.byteLength;
      budget.read(chunk.byteLength);
      if (read > most) throw refused(`it has more than ${most} bytes${most === MAX_UNKNOWN ? NOTHING_KNOWN : ""}`, { at: [name] });
      yield chunk;
    }
  };
  const bytes = new ByteReader(counted());
  try {
    const kind = classify(name, await bytes.peek(HEAD_SIZE));
    if (size === undefined) most = kind === "unknown" ? MAX_UNKNOWN : budget.limits.size;
    yield* walkArchive(await kindOf({ containers: [], path: name, ...(size !== undefined && { size }), bytes }), opaque, budget, 0);
    await bytes.drain();
  } finally {
    await bytes.close();
  }
}

/** A file with what it is by its path and its first bytes. */
function kindOf(file: ArchiveFile): Ready<ArchiveFile & Required<Pick<ArchiveFile, "kind">>> {
  const head = file.bytes.peekNow(HEAD_SIZE) ?? file.bytes.peek(HEAD_SIZE);
  return whenReady(head, (bytes) => ({ ...file, kind: classify(pathInSource(file), bytes) }));
}

function isArchive(file: ArchiveFile, opaque: (path: string) => boolean): boolean {
  return (file.kind === "gzip" || file.kind === "zstd" || file.kind === "tar") && !opaque(pathInSource(file));
}

async function* walkArchive(
  file: ArchiveFile,
  opaque: (path: string) => boolean,
  budget: Budget,
  depth: number,
): AsyncGenerator<ArchiveFile> {
  const { containers, path, bytes, kind } = file;
  if (!isArchive(file, opaque)) {
    yield file;
    return;
  }
  const decompress = kind === "gzip" || kind === "zstd" ? DECOMPRESSORS[kind] : undefined;
  if (depth >= budget.limits.depth) throw refused(`archives are nested more than ${budget.limits.depth} deep`, { at: locationParts(file) });
  try {
    if (decompress) {
      const inner = new ByteReader((kind === "gzip" && unzippedNow(bytes, budget)) || bounded(decompress, bytes.chunks(), budget));
      try {
        yield* walkArchive(await kindOf({ containers, path, bytes: inner, compressed: true }), opaque, budget, depth + 1);
        await inner.drain();
      } finally {
        await inner.close();
      }
      for await (const _ of notEndless(bytes));
      return;
    }
    const within = [...containers, path];
    for await (const entry of entries(bytes, budget)) {
      const found = kindOf({ containers: within, ...entry });
      const child = found instanceof Promise ? await found : found;
      // A generator of its own for each file would take longer than its header.
      if (isArchive(child, opaque)) yield* walkArchive(child, opaque, budget, depth + 1);
      else yield child;
    }
  } catch (error) {
    throw located(error, file);
  }
}

/** Adds the file to a `Failure` that does not name it yet; any other error is returned as it is. */
export function located(error: unknown, file: FileLocation): unknown {
  return error instanceof Failure ? error.within(...locationParts(file)) : error;
}

/* ---- compression ---- */

const DECOMPRESSORS = {
  gzip: (source: Chunks): Chunks => through(source, zlib.createGunzip({ chunkSize: MIB / 4 })),
  zstd: (source: Chunks, budget: Budget): Chunks => through(wholeFrames(source, budget), zlib.createZstdDecompress()),
} as const;

/** Bytes that a small archive may unpack to, to be unpacked at once. */
const UNZIPPED_AT_ONCE = MIB;

/** What gzip compressed, where it is at hand, and not large: a stream takes longer than most of these. What is odd goes through one, which says what is wrong. */
function unzippedNow(packed: ByteReader, budget: Budget): Uint8Array | undefined {
  const { rest } = packed;
  if (!rest || rest.byteLength > AT_ONCE) return undefined;
  try {
    const bytes = zlib.gunzipSync(rest, { maxOutputLength: UNZIPPED_AT_ONCE, chunkSize: MIB / 4 });
    packed.takeNow(rest.byteLength);
    budget.spend("unpacked", bytes.byteLength);
    return bytes;
  } catch (error) {
    if (error instanceof Failure) throw error;
    return undefined;
  }
}

async function* through(source: Chunks, transform: NodeJS.ReadWriteStream): Chunks & AsyncGenerator<Uint8Array> {
  const input = Readable.from(source, { objectMode: false });
  const pumped = pipeline(input, transform);
  pumped.catch(() => {}); // the loop below throws it
  try {
    for await (const chunk of transform) yield chunk as unknown as Uint8Array;
    await pumped;
  } finally {
    input.destroy();
  }
}

const GATHERED = MIB / 16;

/** The same bytes in larger chunks: each is a call of the decompressor. */
async function* gathered(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let [parts, size]: [Uint8Array[], number] = [[], 0];
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.byteLength;
    if (size < GATHERED) continue;
    yield Buffer.concat(parts);
    [parts, size] = [[], 0];
  }
  if (size > 0) yield Buffer.concat(parts);
}

/** Of the decompressor, for a frame however short. */
const STEPS_OF_FRAME = 40;

/**
 * Passes zstd frames through, each in chunks of its own, and refuses a truncated one: both decompressors take a truncated frame for the end, and
 * Node's does not read what follows a frame in the same chunk.
 */
async function* wholeFrames(source: Chunks, budget: Budget): AsyncGenerator<Uint8Array> {
  const bytes = new ByteReader(source);
  try {
    while ((await bytes.peek(1)).byteLength > 0) {
      budget.spend("steps", STEPS_OF_FRAME);
      yield* gathered(frame(bytes));
    }
  } finally {
    await bytes.close();
  }
}

/** What a decompressor may have to keep of a frame's content, in bytes: all that zstd itself takes unless it is told to take more. */
const MAX_WINDOW = 2 ** 27;

/** Of a frame whose header ends with `sizeWidth` bytes of its content's size and has no window of its own; 0: it begins with its window. */
function windowOf(header: Uint8Array, sizeWidth: number): number {
  if (sizeWidth > 0) return littleEndian(header.subarray(-sizeWidth)) + (sizeWidth === 2 ? 256 : 0);
  const [descriptor = 0] = header;
  return 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);
}

/** One frame, as many whole blocks at a time as lie in a window: there may be one for every three bytes. Layout: RFC 8878, section 3.1. */
async function* frame(bytes: ByteReader): AsyncGenerator<Uint8Array> {
  const next = async (count: number) => {
    const taken = await bytes.take(count);
    if (taken.byteLength < count) throw refused("it is cut short inside a zstd frame");
    return taken;
  };
  const magic = await next(4);
  if (littleEndian(magic) >>> 4 === 0x184d2a5) {
    // pzstd's sizes, or the table of a seekable file: no content.
    for (let left = littleEndian(await next(4)); left > 0; left -= Math.min(left, MIB)) await next(Math.min(left, MIB));
    return;
  }
  if (littleEndian(magic) !== 0xfd2fb528) throw refused("it is corrupt: something follows its last zstd frame");
  yield magic;
  const descriptor = await next(1);
  yield descriptor;
  const flags = littleEndian(descriptor);
  const single = (flags >> 5) & 1;
  const contentSize = [single, 2, 4, 8][flags >> 6] ?? 0;
  const dictionary = [0, 1, 2, 4][flags & 3] ?? 0;
  const header = await next(1 - single + dictionary + contentSize);
  const window = windowOf(header, single === 1 ? contentSize : 0);
  if (window > MAX_WINDOW)
    throw refused(`a zstd frame needs a window of ${window} bytes; the limit is ${MAX_WINDOW}`, {
      next: "compress it again, with zstd --long=27 or less",
    });
  yield header;
  for (let last = false; !last; ) {
    const ahead = await bytes.peek(GATHERED);
    let end = 0;
    while (!last && end + 3 <= ahead.byteLength) {
      const block = littleEndian(ahead.subarray(end, end + 3));
      const isRun = ((block >> 1) & 3) === 1;
      const size = 3 + (isRun ? 1 : block >> 3);
      if (end > 0 && end + size > ahead.byteLength) break;
      end += size;
      last = (block & 1) === 1;
    }
    yield await next(Math.max(3, end));
  }
  if (((flags >> 2) & 1) === 1) yield await next(4);
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((number, byte) => number * 256 + byte, 0);
}

/** Decompressed bytes; refuses those that exceed the limits or are corrupt. */
async function* bounded(run: (source: Chunks, budget: Budget) => Chunks, source: Chunks, budget: Budget): AsyncGenerator<Uint8Array> {
  let [taken, given] = [0, 0];
  const counted = async function* () {
    for await (const chunk of source) {
      taken += chunk.byteLength;
      yield chunk;
    }
  };
  try {
    for await (const chunk of run(counted(), budget)) {
      given += chunk.byteLength;
      budget.spend("unpacked", chunk.byteLength);
      if (given > RATIO_FROM && given > taken * budget.limits.ratio)
        throw refused(`it unpacks to more than ${budget.limits.ratio} times its size`, { next: "if that is right, give --max-ratio" });
      yield chunk;
    }
  } catch (error) {
    // Errors of the source below are Failures or carry a system call; what is left is the decompressor's.
    if (error instanceof Failure || (error instanceof Error && "syscall" in error)) throw error;
    throw refused(`it is cut short or corrupt (${reason(error)})`, { cause: error });
  }
}

/* ---- tar ---- */

type TarEntry = Pick<ArchiveFile, "path" | "size" | "bytes">;

async function* entries(bytes: ByteReader, budget: Budget): AsyncGenerator<TarEntry> {
  let pax: Pax | undefined;
  let global: Pax | undefined;
  let longPath: string | undefined;
  const seen = new Set<string>();
  for (;;) {
    const block = bytes.takeNow(TAR_BLOCK) ?? (await bytes.take(TAR_BLOCK));
    if (block.byteLength < TAR_BLOCK) throw refused("it is cut short: the end of the tar is missing");
    if (isZeroBlock(block)) {
      await endOfTar(bytes);
      return;
    }
    const header = readTarHeader(block, pax, global);
    if (!header) throw refused("it is corrupt: a tar header is wrong");
    const size = header.size ?? Number.NaN;
    if (!Number.isSafeInteger(size) || size < 0) throw refused("a tar header has an invalid size");
    if (size > budget.limits.size)
      throw refused(`an entry of it is said to have ${size} bytes`, { next: "if that is right, give --max-size" });
    budget.spend("entries", 1);

    if (header.type === "ExtendedHeader" || header.type === "GlobalExtendedHeader" || header.type === "OldExtendedHeader") {
      const records = await meta(bytes, size, budget);
      if (header.type === "GlobalExtendedHeader") global = readPax(records, global, true);
      else pax = readPax(records, pax, false);
    } else if (header.type === "NextFileHasLongPath" || header.type === "OldGnuLongPath") {
      longPath = (await meta(bytes, size, budget)).toString("utf8").replace(/\0.*$/s, "");
    } else if (header.type === "NextFileHasLongLinkpath") {
      await meta(bytes, size, budget);
    } else {
      const path = safePath(longPath ?? pax?.path ?? header.path ?? "");
      [pax, longPath] = [undefined, undefined];
      if (header.type === "Directory") continue;
      if (path === "") throw refused("a file in it has no name");
      if (header.type !== "File" && header.type !== "OldFile" && header.type !== "ContiguousFile")
        throw refused(`${printable(path)} is a ${WORDS[header.type] ?? "special file"}: only files and folders are read`);
      if (isLitter(path)) {
        await skip(bytes, size);
        continue;
      }
      if (seen.has(path)) throw refused(`${printable(path)} is in it twice`);
      seen.add(path);
      budget.spend("kept", path.length);
      yield* oneEntry(bytes, path, size);
    }
  }
}

const WORDS: Readonly<Record<string, string>> = {
  Link: "hard link",
  SymbolicLink: "symbolic link",
  CharacterDevice: "device",
  BlockDevice: "device",
  FIFO: "named pipe",
};

/** The second block of the end, and the padding of the last record. Refuses anything that follows: it would be ignored silently. */
async function endOfTar(bytes: ByteReader): Promise<void> {
  if ((await bytes.peek(TAR_BLOCK)).byteLength < TAR_BLOCK) throw refused("it is cut short: the end of the tar is missing");
  for await (const chunk of notEndless(bytes))
    if (chunk.some((byte) => byte !== 0)) throw refused("it is corrupt: something follows the end of the tar");
}

/** What follows the end of an archive. Records of tapes are shorter than `MAX_PADDING`. */
async function* notEndless(bytes: ByteReader): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const chunk of bytes.chunks()) {
    read += chunk.byteLength;
    if (read > MAX_PADDING) throw refused(`it has more than ${MAX_PADDING} bytes after its end`);
    yield chunk;
  }
}

async function* oneEntry(bytes: ByteReader, path: string, size: number): AsyncGenerator<TarEntry> {
  const now = size <= AT_ONCE ? (bytes.takeNow(size) ?? (await bytes.take(size))) : undefined;
  if (now?.byteLength === size) {
    yield { path, size, bytes: new ByteReader(now) };
  } else {
    const body = new ByteReader(exactChunks(now ? new ByteReader(now) : bytes, size, path));
    yield { path, size, bytes: body };
    await body.drain();
  }
  const padding = (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
  if (bytes.takeNow(padding)?.byteLength !== padding) await skip(bytes, padding, 0);
}

async function* exactChunks(bytes: ByteReader, size: number, path: string): AsyncGenerator<Uint8Array> {
  let got = 0;
  for await (const chunk of bytes.chunks(size)) {
    got += chunk.byteLength;
    yield chunk;
  }
  if (got < size) throw refused(`it is cut short: ${printable(path)} ends after ${got} of ${size} bytes`);
}

/** Text of a tar extension header. */
async function meta(bytes: ByteReader, size: number, budget: Budget): Promise<Buffer> {
  if (size > MAX_HEADER) throw refused(`an extended tar header is larger than ${MAX_HEADER} bytes`);
  const text = Buffer.from(await bytes.take(size));
  if (text.byteLength < size) throw refused("it is cut short inside a tar header");
  await skip(bytes, 0, size);
  budget.parse("header", text);
  return text;
}

/** Skips `count` bytes and the padding that follows `padded` (or `count`) bytes. */
async function skip(bytes: ByteReader, count: number, padded = count): Promise<void> {
  const all = count + ((TAR_BLOCK - (padded % TAR_BLOCK)) % TAR_BLOCK);
  let got = 0;
  for await (const chunk of bytes.chunks(all)) got += chunk.byteLength;
  if (got < all) throw refused("it is cut short inside an entry");
}
