/**
 * A zip, read by the list of files at its end (APPNOTE.TXT of PKWARE, 4.3). Most zips of an import are small and in memory: from these it reads
 * without a promise, so what may have to wait is a value or a promise of it.
 */

import { promisify } from "node:util";
import zlib from "node:zlib";
import { refused } from "../errors.ts";
import { type Ready, whenReady } from "../ready.ts";
import { MIB } from "./budget.ts";

/** Random access to bytes at rest. */
export interface ReadAt {
  readonly size: number;
  /** all of them, where they are in memory */
  readonly whole?: Uint8Array;
  /** bytes from `start` up to, not including, `end` */
  bytes(start: number, end: number): Promise<Uint8Array>;
}

export function inMemory(bytes: Uint8Array): ReadAt {
  return { size: bytes.byteLength, whole: bytes, bytes: async (start, end) => bytes.subarray(start, end) };
}

/** As the list says it, which nobody has compared with anything. */
export interface ZipEntry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  /** bytes in the zip */
  readonly packedSize: number;
  /** bytes */
  readonly size: number;
  /** of a file system of Unix: its type and permissions */
  readonly mode: number;
  /** where the header before its bytes begins */
  readonly start: number;
}

/** What begins each part of a zip, and how many bytes of it are always there. */
const [END, END64_AT, END64, LISTED, LOCAL] = [
  { mark: 0x06054b50, size: 22 },
  { mark: 0x07064b50, size: 20 },
  { mark: 0x06064b50, size: 56 },
  { mark: 0x02014b50, size: 46 },
  { mark: 0x04034b50, size: 30 },
] as const;
const MAX_COMMENT = 0xffff;
/** Instead of a size or a place that is in an extra field. */
const ELSEWHERE = 0xffffffff;
const EXTRA = { zip64: 0x0001, unicodeName: 0x7075 } as const;
const [ENCRYPTED, STRONGLY_ENCRYPTED, UTF8_NAME] = [0x1, 0x40, 0x800] as const;
export const [STORED, DEFLATED] = [0, 8] as const;

/** Bytes that are read at once, for the many small reads of a list of files. */
const WINDOW = MIB / 16;
/** Bytes of an entry that are decompressed in this thread: a task for another takes a hundred times as long as most of these. */
const AT_ONCE = MIB / 16;

const inflateRaw = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflateRaw);

interface Window {
  readonly start: number;
  readonly bytes: Buffer;
}

export class ZipReader {
  /** entries that it says that it has */
  readonly count: number;
  readonly #zip: ReadAt;
  #window: Window;
  /** where the next entry is listed */
  #at: number;

  private constructor(zip: ReadAt, window: Window, { count, at }: { readonly count: number; readonly at: number }) {
    [this.#zip, this.#window, this.count, this.#at] = [zip, window, count, at];
  }

  /** Throws an `Error` where it has no list of files at its end. */
  static async open(zip: ReadAt): Promise<ZipReader> {
    const start = Math.max(0, zip.size - END64_AT.size - END.size - MAX_COMMENT);
    const window = zip.whole ? { start: 0, bytes: bufferOf(zip.whole) } : { start, bytes: bufferOf(await zip.bytes(start, zip.size)) };
    const { bytes } = window;
    let end = bytes.byteLength - END.size;
    while (end >= start - window.start && bytes.readUInt32LE(end) !== END.mark) end -= 1;
    if (end < start - window.start) throw new Error("it has no list of files at its end: it is cut short, or no zip");
    if (bytes.readUInt16LE(end + 20) !== bytes.byteLength - end - END.size) throw new Error("something follows its end");
    const locator = end - END64_AT.size;
    if (locator < 0 || bytes.readUInt32LE(locator) !== END64_AT.mark)
      return new ZipReader(zip, window, listAt(bytes.readUInt16LE(end + 4), bytes.readUInt16LE(end + 10), bytes.readUInt32LE(end + 16)));
    const reader = new ZipReader(zip, window, { count: 0, at: 0 });
    const at = await reader.#reach(uint64(bytes, locator + 8), END64.size);
    const { bytes: end64 } = reader.#window;
    if (end64.readUInt32LE(at) !== END64.mark) throw new Error("its end says where its zip64 end is, and it is not there");
    return new ZipReader(zip, window, listAt(end64.readUInt32LE(at + 16), uint64(end64, at + 32), uint64(end64, at + 48)));
  }

  /** The next entry of the list, at most `count` times. Throws an `Error`. */
  next(): Ready<ZipEntry> {
    return whenReady(this.#reach(this.#at, LISTED.size), (head) => {
      const { bytes } = this.#window;
      if (bytes.readUInt32LE(head) !== LISTED.mark) throw new Error("its list of files has an entry that is none");
      const size = LISTED.size + bytes.readUInt16LE(head + 28) + bytes.readUInt16LE(head + 30) + bytes.readUInt16LE(head + 32);
      return whenReady(this.#reach(this.#at, size), (at) => {
        this.#at += size;
        return entryOf(this.#window.bytes, at);
      });
    });
  }

  /** The bytes of an entry, as they are in the zip. Throws an `Error`. */
  packed({ start, packedSize }: ZipEntry): Ready<Buffer> {
    return whenReady(this.#reach(start, LOCAL.size), (head) => {
      const { bytes } = this.#window;
      if (bytes.readUInt32LE(head) !== LOCAL.mark) throw new Error("no header is before the bytes of a file");
      const begin = start + LOCAL.size + bytes.readUInt16LE(head + 26) + bytes.readUInt16LE(head + 28);
      return whenReady(this.#reach(begin, packedSize), (at) => this.#window.bytes.subarray(at, at + packedSize));
    });
  }

  /** Where bytes of the zip are in the window, into which they are read where they are not there. */
  #reach(start: number, size: number): Ready<number> {
    const inside = start - this.#window.start;
    return inside >= 0 && inside + size <= this.#window.bytes.byteLength ? inside : this.#moveTo(start, size);
  }

  async #moveTo(start: number, size: number): Promise<number> {
    const end = Math.min(this.#zip.size, Math.max(start + size, start + WINDOW));
    if (start + size > end) throw new Error("it ends too early");
    const bytes = bufferOf(await this.#zip.bytes(start, end));
    if (bytes.byteLength < size) throw new Error("it ends too early");
    this.#window = { start, bytes };
    return 0;
  }
}

/** The content of an entry from its bytes in the zip. Throws an `Error`; a `refused` failure where its checksum is another. */
export function unpack(entry: ZipEntry, packed: Uint8Array): Ready<Uint8Array> {
  const { name, method, flags, size } = entry;
  if ((flags & ENCRYPTED) !== 0) throw new Error(`${name} is encrypted`);
  if (method === STORED) return checked(entry, packed);
  if (method !== DEFLATED) throw new Error(`${name} is compressed by method ${method}, which is not known`);
  const bounds = { maxOutputLength: Math.max(1, size) };
  if (Math.max(packed.byteLength, size) <= AT_ONCE) return checked(entry, zlib.inflateRawSync(packed, bounds));
  return inflateRaw(packed, bounds).then((bytes) => checked(entry, bytes));
}

function checked({ name, size, crc32 }: ZipEntry, bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength !== size) throw new Error(`${name} has ${bytes.byteLength} bytes instead of ${size}`);
  if (zlib.crc32(bytes) !== crc32) throw refused(`${name} in its zip: content does not match its checksum`);
  return bytes;
}

function listAt(disk: number, count: number, at: number): { readonly count: number; readonly at: number } {
  if (disk !== 0) throw new Error("it is a part of a zip of several");
  return { count, at };
}

/** The entry that is listed at `head`. */
function entryOf(bytes: Buffer, head: number): ZipEntry {
  const flags = bytes.readUInt16LE(head + 8);
  if ((flags & STRONGLY_ENCRYPTED) !== 0) throw new Error("it is encrypted");
  const method = bytes.readUInt16LE(head + 10);
  let [packedSize, size, start] = [bytes.readUInt32LE(head + 20), bytes.readUInt32LE(head + 24), bytes.readUInt32LE(head + 42)];
  const [begin, nameEnd] = [head + LISTED.size, head + LISTED.size + bytes.readUInt16LE(head + 28)];
  const extraEnd = nameEnd + bytes.readUInt16LE(head + 30);
  let name: string | undefined;
  if (extraEnd > nameEnd)
    for (const { id, data } of extraFields(bytes.subarray(nameEnd, extraEnd))) {
      if (id === EXTRA.unicodeName) name ??= unicodeName(bytes.subarray(begin, nameEnd), data);
      if (id !== EXTRA.zip64) continue;
      let at = 0;
      const next = (value: number) => {
        if (value !== ELSEWHERE) return value;
        if (at + 8 > data.byteLength) throw new Error("a size or a place in its list of files is missing");
        at += 8;
        return uint64(data, at - 8);
      };
      [size, packedSize, start] = [next(size), next(packedSize), next(start)];
    }
  if (method === STORED && packedSize !== size + ((flags & ENCRYPTED) === 0 ? 0 : 12))
    throw new Error("a file of it that is not compressed has two sizes");
  return {
    name: checkedName((name ?? decodeName(bytes, begin, nameEnd, (flags & UTF8_NAME) !== 0)).replaceAll("\\", "/")),
    flags,
    method,
    crc32: bytes.readUInt32LE(head + 16),
    packedSize,
    size,
    mode: bytes.readUInt32LE(head + 38) >>> 16,
    start,
  };
}

function* extraFields(bytes: Buffer): Generator<{ readonly id: number; readonly data: Buffer }> {
  for (let at = 0; at + 4 <= bytes.byteLength; ) {
    const end = at + 4 + bytes.readUInt16LE(at + 2);
    if (end > bytes.byteLength) throw new Error("an extra field of its list of files is longer than its place");
    yield { id: bytes.readUInt16LE(at), data: bytes.subarray(at + 4, end) };
    at = end;
  }
}

/** The name that Info-ZIP writes beside one that is not UTF-8; undefined where it is of another name. */
function unicodeName(raw: Buffer, data: Buffer): string | undefined {
  if (data.byteLength < 6 || data[0] !== 1 || data.readUInt32LE(1) !== zlib.crc32(raw)) return undefined;
  return data.toString("utf8", 5);
}

/** Code page 437, in which names are that do not say that they are UTF-8, from byte 128 on. */
const CP437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

function decodeName(bytes: Buffer, start: number, end: number, isUtf8: boolean): string {
  if (isUtf8) return bytes.toString("utf8", start, end);
  return bytes.toString("latin1", start, end).replace(/[\u0080-\u00ff]/g, (char) => CP437[char.charCodeAt(0) - 128] ?? char);
}

function checkedName(name: string): string {
  if (/^(?:[a-zA-Z]:|\/)/.test(name)) throw new Error(`the path ${name} is absolute`);
  if (/(?:^|\/)\.\.(?:\/|$)/.test(name)) throw new Error(`the path ${name} points outside of it`);
  return name;
}

/** More than 2^53 is not exact, and more than any file has. */
function uint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
