/** The files of a zip: charms and bundles. */

import { Failure, printable, reason, refused } from "../errors.ts";
import { type Ready, whenReady } from "../ready.ts";
import { tryUtf8 } from "../text.ts";
import { Budget, type Limits, MIB } from "./budget.ts";
import { isLibraryWheel, mayNameNeeds } from "./needs/sourcefiles.ts";
import { inMemory, type ReadAt, unpack, type ZipEntry, ZipReader } from "./zipreader.ts";

const LINK = 0o120000;

/** Of a file of a zip. */
export class ZipContent {
  readonly bytes: Uint8Array;
  #text: string | undefined;
  #isDecoded = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Undefined: it is not UTF-8. */
  get text(): string | undefined {
    if (!this.#isDecoded) this.#text = tryUtf8(this.bytes);
    this.#isDecoded = true;
    return this.#text;
  }
}

/** Gives the content of an entry; read once, however often it is asked. */
type ReadEntry = () => Ready<ZipContent>;

/** Looks at one entry of a zip after the other. */
type Visit = (entry: ZipEntry, read: ReadEntry) => Ready<void>;

/**
 * What was read of the last zip that was in memory: the revisions of a charm have mostly the same files, which are then neither unpacked nor
 * decoded again. It keeps that zip alone.
 */
export class LastZip {
  #before = new Map<string, LastFile>();
  #now = new Map<string, LastFile>();

  /** To be called before the next zip. */
  begin(): void {
    [this.#before, this.#now] = [this.#now, new Map()];
  }

  /** The content of an entry that has these bytes. */
  read(entry: ZipEntry, packed: Uint8Array): Ready<ZipContent> {
    const before = this.#before.get(entry.name);
    if (before && isSame(before.entry, entry) && Buffer.compare(before.packed, packed) === 0) {
      this.#now.set(entry.name, before);
      return before.content;
    }
    return whenReady(unpack(entry, packed), (bytes) => {
      const content = new ZipContent(bytes);
      this.#now.set(entry.name, { entry, packed, content });
      return content;
    });
  }

  /** Whether all that was read of this zip is what was read of the one before. */
  get isSame(): boolean {
    return (
      this.#now.size > 0 && this.#now.size === this.#before.size && [...this.#now].every(([name, file]) => this.#before.get(name) === file)
    );
  }
}

interface LastFile {
  readonly entry: ZipEntry;
  readonly packed: Uint8Array;
  readonly content: ZipContent;
}

function isSame(a: ZipEntry, b: ZipEntry): boolean {
  return a.crc32 === b.crc32 && a.size === b.size && a.method === b.method && a.flags === b.flags;
}

/** Whether a wanted file of a zip that is a link or too large is refused, or left out. */
export type Wanted = ReadonlyMap<string, "needed" | "optional">;

/** Those files of a zip's top level that `wanted` names, as bytes. Links in a zip are ordinary and never followed. */
export async function zipFiles(zip: ReadAt, wanted: Wanted, budget: Budget = new Budget()): Promise<Map<string, Uint8Array>> {
  const { found, visit } = filesIn(wanted, budget);
  await eachEntry(zip, budget, visit);
  return new Map([...found].map(([name, { bytes }]) => [name, bytes]));
}

function filesIn(wanted: Wanted, { limits }: Budget): { readonly found: Map<string, ZipContent>; readonly visit: Visit } {
  const found = new Map<string, ZipContent>();
  const visit: Visit = (entry, read) => {
    const { name } = entry;
    const need = wanted.get(name);
    if (need === undefined) return undefined;
    const wrong = unfit(entry, limits);
    if (wrong && need === "optional") return undefined;
    if (wrong) throw refused(`${name} in its zip ${wrong}`);
    if (found.has(name)) throw refused(`${name} is in its zip twice`);
    return whenReady(read(), (content) => void found.set(name, content));
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
  const { limits } = budget;
  let left = texts.size;
  const failed = (error: unknown, isZip: boolean): void => {
    if (error instanceof Error && "syscall" in error) throw error;
    // What a budget refuses is not to be read on.
    if (error instanceof Failure && isZip && error.next !== undefined) throw error;
  };
  const visitIn =
    (folder: string): Visit =>
    (entry, read) => {
      const { size } = entry;
      const path = folder + entry.name;
      if (path.endsWith("/") || found.has(path) || unfit(entry, limits)) return;
      const isZip = folder === "" && texts.isZip?.(path) === true;
      if ((!isZip && !wanted(path, size)) || found.size >= texts.files || size > left) return;
      left -= size;
      const take = ({ bytes, text }: ZipContent): Ready<void> => {
        if (isZip) return eachEntry(inMemory(bytes), budget, visitIn(`${path}/`));
        if (text !== undefined) found.set(path, text);
      };
      try {
        return whenReady(read(), take)?.catch((error: unknown) => failed(error, isZip));
      } catch (error) {
        return failed(error, isZip);
      }
    };
  return { found, visit: visitIn("") };
}

/** The texts of a charm's zip that may name snaps or images, those in wheels of charms' shared code among them. */
const CHARM_TEXTS: TextBounds = { ...TEXTS, isZip: isLibraryWheel };

export function charmTexts(zip: ReadAt, budget?: Budget): Promise<Map<string, string>> {
  return zipTexts(zip, mayNameNeeds, budget, CHARM_TEXTS);
}

/** `zipFiles` and `charmTexts` of one zip, in one pass. `last`: what was read of the zip before. */
export async function charmFiles(
  zip: ReadAt,
  wanted: Wanted,
  budget: Budget,
  last = new LastZip(),
): Promise<{ readonly files: ReadonlyMap<string, ZipContent>; readonly texts: ReadonlyMap<string, string> }> {
  const [files, texts] = [filesIn(wanted, budget), textsIn(mayNameNeeds, budget, CHARM_TEXTS)];
  last.begin();
  const visit: Visit = (entry, read) => whenReady(files.visit(entry, read), () => texts.visit(entry, read));
  await eachEntry(zip, budget, visit, zip.whole && last);
  return { files: files.found, texts: texts.found };
}

/** Entries of a zip that are listed in the time of a step. */
const ENTRIES_PER_STEP = 2;

async function eachEntry(zip: ReadAt, budget: Budget, visit: Visit, last?: LastZip): Promise<void> {
  const { limits } = budget;
  try {
    const reader = await ZipReader.open(zip);
    budget.spend("steps", Math.ceil(reader.count / ENTRIES_PER_STEP));
    if (reader.count > limits.entries)
      throw refused(`its zip holds more than ${limits.entries} entries`, { next: "if that is right, give --max-entries" });
    for (let i = 0; i < reader.count; i += 1) {
      const next = reader.next();
      const entry = next instanceof Promise ? await next : next;
      const visited = visit(entry, readOf(reader, entry, last));
      if (visited) await visited;
    }
  } catch (error) {
    if (error instanceof Failure || (error instanceof Error && "syscall" in error)) throw error;
    throw refused(`its zip is corrupt (${printable(reason(error), 200)})`, { cause: error });
  }
}

function readOf(reader: ZipReader, entry: ZipEntry, last: LastZip | undefined): ReadEntry {
  let content: Ready<ZipContent> | undefined;
  const read = (packed: Uint8Array): Ready<ZipContent> => {
    if (last) return last.read(entry, packed);
    return whenReady(unpack(entry, packed), (bytes) => new ZipContent(bytes));
  };
  return () => (content ??= whenReady(reader.packed(entry), read));
}

/** Bytes that a file may have in the zip, for each that its text may have: what does not compress gets hardly longer. */
const PACKED = 2;

function unfit({ mode, size, packedSize }: ZipEntry, limits: Limits): string | undefined {
  if ((mode & 0o170000) === LINK) return "is a link";
  if (packedSize > PACKED * limits.text) return `is larger than ${PACKED * limits.text} bytes where it is compressed`;
  return size > limits.text ? `is larger than ${limits.text} bytes` : undefined;
}
