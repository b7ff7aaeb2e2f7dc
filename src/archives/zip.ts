/** The files of a zip: charms and bundles. */

import type { Readable } from "node:stream";
import zlib from "node:zlib";
import type { Entry, ZipFile } from "yauzl";
import { Failure, printable, reason, refused } from "../errors.ts";
import { Budget, type Limits, MIB, type ReadAt } from "./archive.ts";
import { isLibraryWheel, mayNameNeeds } from "./needs/sourcefiles.ts";

const LINK_MODE = 0o120000;

/** Gives the bytes of an entry; read once, however often it is asked. */
type ReadEntry = () => Promise<Uint8Array>;

/** Looks at one entry of a zip after the other. */
type Visit = (entry: Entry, read: ReadEntry) => Promise<void>;

/** Whether a wanted file of a zip that is a link or too large is refused, or left out. */
export type Wanted = ReadonlyMap<string, "needed" | "optional">;

/** Those files of a zip's top level that `wanted` names, as bytes. Links in a zip are ordinary and never followed. */
export async function zipFiles(zip: ReadAt, wanted: Wanted, budget: Budget = new Budget()): Promise<Map<string, Uint8Array>> {
  const { found, visit } = filesIn(wanted, budget);
  await eachEntry(zip, budget, visit);
  return found;
}

function filesIn(wanted: Wanted, { limits }: Budget): { readonly found: Map<string, Uint8Array>; readonly visit: Visit } {
  const found = new Map<string, Uint8Array>();
  const visit: Visit = async (entry, read) => {
    const need = wanted.get(entry.fileName);
    if (need === undefined) return;
    const wrong = unfit(entry, limits);
    if (wrong && need === "optional") return;
    if (wrong) throw refused(`${entry.fileName} in its zip ${wrong}`);
    if (found.has(entry.fileName)) throw refused(`${entry.fileName} is in its zip twice`);
    found.set(entry.fileName, await read());
  };
  return { found, visit };
}

/** How much text `zipTexts` gives: files, and bytes of them all. */
export const TEXTS = { files: 2000, size: 32 * MIB } as const;

interface TextBounds {
  readonly files: number;
  readonly size: number;
  readonly isZip?: (path: string) => boolean;
}

/**
 * The UTF-8 texts of a zip, at any depth, that `wanted` accepts by path and size in bytes; those of a zip in it that `isZip` accepts, as
 * of a folder of its name. Left out are
 * links, files that are too large, corrupt or not text, duplicates of a name, and everything after `texts` is full.
 * Refuses only a zip that is corrupt as a whole.
 */
export async function zipTexts(
  zip: ReadAt,
  wanted: (path: string, size: number) => boolean,
  budget: Budget = new Budget(),
  texts: TextBounds = TEXTS,
): Promise<Map<string, string>> {
  const { found, visit } = textsIn(wanted, budget, texts);
  await eachEntry(zip, budget, visit);
  return found;
}

function textsIn(
  wanted: (path: string, size: number) => boolean,
  budget: Budget,
  texts: TextBounds,
): { readonly found: Map<string, string>; readonly visit: Visit } {
  const found = new Map<string, string>();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const { limits } = budget;
  let left = texts.size;
  const visitIn =
    (folder: string): Visit =>
    async (entry, read) => {
      const { uncompressedSize: size } = entry;
      const path = folder + entry.fileName;
      if (path.endsWith("/") || found.has(path) || unfit(entry, limits)) return;
      const isZip = folder === "" && texts.isZip?.(path) === true;
      if ((!isZip && !wanted(path, size)) || found.size >= texts.files || size > left) return;
      left -= size;
      try {
        const bytes = await read();
        if (isZip) await eachEntry(inMemory(bytes), budget, visitIn(`${path}/`));
        else found.set(path, decoder.decode(bytes));
      } catch (error) {
        if (error instanceof Error && "syscall" in error) throw error;
        // What a budget refuses is not to be read on.
        if (error instanceof Failure && isZip && error.next !== undefined) throw error;
      }
    };
  return { found, visit: visitIn("") };
}

function inMemory(bytes: Uint8Array): ReadAt {
  return { size: bytes.byteLength, bytes: async (start, end) => bytes.subarray(start, end) };
}

/** The texts of a charm's zip that may name snaps or images, those in wheels of charms' shared code among them. */
const CHARM_TEXTS: TextBounds = { ...TEXTS, isZip: isLibraryWheel };

export function charmTexts(zip: ReadAt, budget?: Budget): Promise<Map<string, string>> {
  return zipTexts(zip, mayNameNeeds, budget, CHARM_TEXTS);
}

/** `zipFiles` and `charmTexts` of one zip, in one pass. */
export async function charmFiles(
  zip: ReadAt,
  wanted: Wanted,
  budget: Budget,
): Promise<{ readonly files: ReadonlyMap<string, Uint8Array>; readonly texts: ReadonlyMap<string, string> }> {
  const [files, texts] = [filesIn(wanted, budget), textsIn(mayNameNeeds, budget, CHARM_TEXTS)];
  await eachEntry(zip, budget, async (entry, read) => {
    await files.visit(entry, read);
    await texts.visit(entry, read);
  });
  return { files: files.found, texts: texts.found };
}

/** Entries of a zip that are listed in the time of a step. */
const ENTRIES_PER_STEP = 2;

let library: Promise<typeof import("./zipaccess.ts")> | undefined;

async function eachEntry(zip: ReadAt, budget: Budget, visit: Visit): Promise<void> {
  const { limits } = budget;
  library ??= import("./zipaccess.ts"); // most commands do not need it
  const { openZip } = await library;
  const reader = await openZip(zip);
  try {
    budget.spend("steps", Math.ceil(reader.entryCount / ENTRIES_PER_STEP));
    if (reader.entryCount > limits.entries)
      throw refused(`its zip holds more than ${limits.entries} entries`, { next: "if that is right, give --max-entries" });
    for await (const entry of zipEntries(reader)) {
      let bytes: Promise<Uint8Array> | undefined;
      await visit(entry, () => (bytes ??= zipEntry(zip, reader, entry)));
    }
  } catch (error) {
    if (error instanceof Failure || (error instanceof Error && "syscall" in error)) throw error;
    throw refused(`its zip is corrupt (${printable(reason(error), 200)})`, { cause: error });
  } finally {
    reader.close();
  }
}

function unfit(entry: Entry, limits: Limits): string | undefined {
  if (((entry.externalFileAttributes >>> 16) & 0o170000) === LINK_MODE) return "is a link";
  return entry.uncompressedSize > limits.text ? `is larger than ${limits.text} bytes` : undefined;
}

async function* zipEntries(reader: ZipFile): AsyncGenerator<Entry> {
  for (let i = 0; i < reader.entryCount; i += 1) {
    yield await new Promise<Entry>((resolve, reject) => {
      const done = () => {
        reader.off("entry", onEntry);
        reader.off("error", onError);
      };
      const onEntry = (entry: Entry) => {
        done();
        resolve(entry);
      };
      const onError = (error: Error) => {
        done();
        reject(error);
      };
      reader.on("entry", onEntry);
      reader.on("error", onError);
      reader.readEntry();
    });
  }
}

/** Bytes of entries that are decompressed in this thread, at once. */
const AT_ONCE = 2 ** 16;

async function zipEntry(zip: ReadAt, reader: ZipFile, entry: Entry): Promise<Uint8Array> {
  // A stream takes a hundred times as long as most of these. What is odd goes through it, which says what is wrong.
  const bytes = (await smallEntry(zip, reader, entry)) ?? (await streamedEntry(reader, entry));
  if (zlib.crc32(bytes) !== entry.crc32) throw refused(`${entry.fileName} in its zip: content does not match its checksum`);
  return bytes;
}

/** The bytes of a small entry; undefined where it is none, or not as it should be. */
async function smallEntry(zip: ReadAt, reader: ZipFile, entry: Entry): Promise<Uint8Array | undefined> {
  const { compressedSize, uncompressedSize, compressionMethod } = entry;
  if (Math.max(compressedSize, uncompressedSize) > AT_ONCE || entry.isEncrypted()) return undefined;
  const start = await new Promise<number | undefined>((resolve) => {
    reader.readLocalFileHeader(entry, { minimal: true }, (error, header) => resolve(error ? undefined : header.fileDataStart));
  });
  if (start === undefined) return undefined;
  const packed = await zip.bytes(start, start + compressedSize);
  if (compressionMethod === 0) return compressedSize === uncompressedSize && packed.byteLength === compressedSize ? packed : undefined;
  if (compressionMethod !== 8) return undefined;
  try {
    const bytes = zlib.inflateRawSync(packed, { maxOutputLength: Math.max(1, uncompressedSize) });
    return bytes.byteLength === uncompressedSize ? bytes : undefined;
  } catch {
    return undefined;
  }
}

async function streamedEntry(reader: ZipFile, entry: Entry): Promise<Uint8Array> {
  const stream = await new Promise<Readable>((resolve, reject) => {
    reader.openReadStream(entry, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}
