/**
 * Single files out of a squashfs 4.0 image, such as a snap, by random access and without trust in it.
 *
 * Only the blocks on the way to a file are read. Layout: "Squashfs Binary Format" of the squashfs-tools-ng project, and the
 * kernel's Documentation/filesystems/squashfs.rst; all numbers are little-endian.
 */

import { Failure, printable, reason, refused } from "../errors.ts";
import type { ReadAt } from "./archive.ts";
import { type Decompress, inflate, Unsupported, unlz4, unlzo, unxz, unzstd } from "./decompress.ts";
import { classify } from "./names.ts";

const MIB = 2 ** 20;

export interface SquashfsLimits {
  /** bytes that one file may have */
  readonly file: number;
  /** bytes of inodes, folders and tables that are read in all, in blocks of 8 KiB */
  readonly metadata: number;
  /** called before a block is read and decompressed; what it throws ends the reading */
  readonly onBlock?: () => void;
}

export const SQUASHFS_LIMITS: SquashfsLimits = { file: 2 * MIB, metadata: 4 * MIB };

/** The image may be valid, but a block on the way to a file uses a compression that is not supported. */
export class UnreadableSquashfs extends Failure {
  /** as people name it, `lzma` or `xz with filter 7` */
  readonly compression: string;

  constructor(compression: string) {
    super("refused", `its squashfs is compressed with ${compression}, which can't be read here`);
    this.compression = compression;
  }
}

/**
 * Those of `paths` that the image holds as regular files; links are not followed, and what is of another kind or missing
 * is left out. Throws a `refused` failure where the image is corrupt or a file too large, `UnreadableSquashfs` where a
 * compression is not read here.
 */
export async function squashfsFiles(
  snap: ReadAt,
  paths: readonly string[],
  limits: Partial<SquashfsLimits> = {},
): Promise<Map<string, Uint8Array>> {
  const image = await SquashfsImage.open(snap, { ...SQUASHFS_LIMITS, ...limits });
  const found = new Map<string, Uint8Array>();
  for (const path of paths) {
    const bytes = await image.file(path);
    if (bytes) found.set(path, bytes);
  }
  return found;
}

const SUPERBLOCK = 96;
const METADATA = 8192;
const STORED_METADATA = 0x8000;
const STORED_DATA = 2 ** 24;
const NO_FRAGMENT = 0xffffffff;
const FRAGMENT_ENTRY = 16;
const MAX_RUN = 256;

/** By their number in the superblock. */
const COMPRESSIONS: readonly { readonly name: string; readonly run?: Decompress | undefined }[] = [
  { name: "an unknown method" },
  { name: "gzip", run: inflate },
  { name: "lzma" },
  { name: "lzo", run: unlzo },
  { name: "xz", run: unxz },
  { name: "lz4", run: unlz4 },
  { name: "zstd", run: unzstd },
];

interface Superblock {
  readonly compression: (typeof COMPRESSIONS)[number];
  readonly blockSize: number;
  readonly fragments: number;
  /** bytes of the image without its padding */
  readonly size: number;
  readonly root: Reference;
  readonly inodeTable: number;
  readonly folderTable: number;
  readonly fragmentTable: number;
}

/** A place in a table. */
interface Reference {
  /** where its metadata block starts, from the table's start */
  readonly block: number;
  /** in the decompressed block */
  readonly offset: number;
}

/** A block in the image. */
interface BlockReference {
  readonly start: number;
  readonly size: number;
  readonly compressed: boolean;
}

interface FolderInode {
  readonly kind: "folder";
  readonly listing: Reference;
  readonly size: number;
}

interface FileInode {
  readonly kind: "file";
  readonly start: number;
  readonly size: number;
  readonly fragment: number;
  /** of its end in the fragment */
  readonly offset: number;
  /** right after the inode, where the sizes of its blocks are */
  readonly rest: Cursor;
}

interface OtherInode {
  readonly kind: "other";
}

const COMMON = 16;

/** How inodes are read, by type: the number of bytes after the common header, and how they are decoded. */
const INODES: ReadonlyMap<number, { readonly bytes: number; readonly read: (view: DataView, rest: Cursor) => FolderInode | FileInode }> =
  new Map([
    [1, { bytes: 16, read: (view) => folder(u32(view, 0), u16(view, 10), u16(view, 8)) }],
    [2, { bytes: 16, read: (view, rest) => file(u32(view, 0), u32(view, 12), u32(view, 4), u32(view, 8), rest) }],
    [8, { bytes: 24, read: (view) => folder(u32(view, 8), u16(view, 18), u32(view, 4)) }],
    [9, { bytes: 40, read: (view, rest) => file(u64(view, 0), u64(view, 8), u32(view, 28), u32(view, 32), rest) }],
  ]);
const LAST_TYPE = 14;

function folder(block: number, offset: number, size: number): FolderInode {
  // The size counts three bytes for "." and "..", which are not there.
  return { kind: "folder", listing: { block, offset }, size: Math.max(size - 3, 0) };
}

function file(start: number, size: number, fragment: number, offset: number, rest: Cursor): FileInode {
  return { kind: "file", start, size, fragment, offset, rest };
}

class SquashfsImage {
  readonly #snap: ReadAt;
  readonly #limits: SquashfsLimits;
  readonly #superblock: Superblock;
  readonly #metadata = new Map<number, MetadataBlock>();
  #fragment: { readonly index: number; readonly bytes: Uint8Array } | undefined;

  private constructor(snap: ReadAt, limits: SquashfsLimits, superblock: Superblock) {
    this.#snap = snap;
    this.#limits = limits;
    this.#superblock = superblock;
  }

  static async open(snap: ReadAt, limits: SquashfsLimits): Promise<SquashfsImage> {
    const head = await readExactly(snap, 0, Math.min(snap.size, SUPERBLOCK));
    return new SquashfsImage(snap, limits, superblockOf(head, snap.size));
  }

  async file(path: string): Promise<Uint8Array | undefined> {
    let inode = await this.#inode(this.#superblock.root);
    if (inode.kind !== "folder") throw corrupt("its top is no folder");
    for (const name of path.split("/")) {
      const reference = inode.kind === "folder" ? await this.#child(inode, name) : undefined;
      if (!reference) return undefined;
      inode = await this.#inode(reference);
    }
    return inode.kind === "file" ? this.#content(inode, path) : undefined;
  }

  async #inode({ block, offset }: Reference): Promise<FolderInode | FileInode | OtherInode> {
    const { inodeTable, folderTable } = this.#superblock;
    const cursor = new Cursor((at) => this.#block(at, folderTable), inodeTable + block, offset);
    const type = u16(viewOf(await cursor.take(COMMON)), 0);
    const layout = INODES.get(type);
    if (layout) return layout.read(viewOf(await cursor.take(layout.bytes)), cursor);
    if (type < 1 || type > LAST_TYPE) throw corrupt("it holds something of no known kind");
    return { kind: "other" };
  }

  /** Where the inode of a folder's entry is. */
  async #child({ listing, size }: FolderInode, name: string): Promise<Reference | undefined> {
    if (size > this.#limits.metadata) throw refused(`its squashfs has a folder whose list is larger than ${this.#limits.metadata} bytes`);
    const { folderTable, size: end } = this.#superblock;
    const cursor = new Cursor((at) => this.#block(at, end), folderTable + listing.block, listing.offset);
    const list = await cursor.take(size);
    const wanted = Buffer.from(name);
    let found: Reference | undefined;
    for (const entry of entriesOf(list)) {
      if (!wanted.equals(entry.name)) continue;
      if (found) throw corrupt(`${printable(name)} is twice in one folder`);
      found = entry;
    }
    return found;
  }

  async #content({ start, size, fragment, offset, rest }: FileInode, path: string): Promise<Uint8Array> {
    if (size > this.#limits.file) throw refused(`${printable(path)} in its squashfs is larger than ${this.#limits.file} bytes`);
    const { blockSize } = this.#superblock;
    const tail = fragment === NO_FRAGMENT ? 0 : size % blockSize;
    const count = Math.ceil((size - tail) / blockSize);
    const sizes = viewOf(await rest.take(count * 4));
    // Zeros to begin with: a block without a size is a hole.
    const bytes = new Uint8Array(size);
    for (let [i, at] = [0, start]; i < count; i += 1) {
      const stored = blockReferenceOf(at, u32(sizes, i * 4));
      const end = Math.min((i + 1) * blockSize, size - tail);
      if (stored.size > 0) bytes.set(await this.#data(stored, end - i * blockSize, "exactly"), i * blockSize);
      at += stored.size;
    }
    if (tail > 0) {
      const block = await this.#fragmentBlock(fragment);
      if (offset + tail > block.byteLength) throw corrupt(`the end of ${printable(path)} is missing`);
      bytes.set(block.subarray(offset, offset + tail), size - tail);
    }
    return bytes;
  }

  async #fragmentBlock(index: number): Promise<Uint8Array> {
    if (this.#fragment?.index === index) return this.#fragment.bytes;
    const { fragments, fragmentTable, size, blockSize } = this.#superblock;
    if (index >= fragments) throw corrupt("a file of it ends in a fragment that is not there");
    const perBlock = METADATA / FRAGMENT_ENTRY;
    const pointer = viewOf(await this.#read(fragmentTable + Math.floor(index / perBlock) * 8, 8));
    const cursor = new Cursor((at) => this.#block(at, size), u64(pointer, 0), (index % perBlock) * FRAGMENT_ENTRY);
    const entry = viewOf(await cursor.take(FRAGMENT_ENTRY));
    const stored = blockReferenceOf(u64(entry, 0), u32(entry, 8));
    if (stored.size === 0) throw corrupt("a fragment of it is empty");
    this.#fragment = { index, bytes: await this.#data(stored, blockSize, "at most") };
    return this.#fragment.bytes;
  }

  /** A data block, of so many bytes once decompressed. */
  async #data({ start, size, compressed }: BlockReference, length: number, exact: "exactly" | "at most"): Promise<Uint8Array> {
    if (size > this.#superblock.blockSize) throw corrupt("a block of it is larger than its blocks may be");
    const block = await this.#read(start, size);
    const bytes = compressed ? await this.#decompressed(block, length) : block;
    if (bytes.byteLength > length || (exact === "exactly" && bytes.byteLength < length))
      throw corrupt("a block of it has another length than its file says");
    return bytes;
  }

  /** The metadata block at `at`, which must end where its table does or before. */
  async #block(at: number, end: number): Promise<MetadataBlock> {
    const known = this.#metadata.get(at);
    if (known) return known;
    if ((this.#metadata.size + 1) * METADATA > this.#limits.metadata)
      throw refused(`its squashfs needs more than ${this.#limits.metadata} bytes of metadata read`);
    if (!(at + 2 <= end)) throw corrupt("it points beyond the end of a table");
    const raw = await this.#read(at, Math.min(end - at, 2 + METADATA));
    const header = u16(viewOf(raw), 0);
    const size = header % STORED_METADATA;
    if (size === 0 || size > METADATA || at + 2 + size > end) throw corrupt("a block of its metadata has a wrong size");
    const block = raw.subarray(2, 2 + size);
    const bytes = header >= STORED_METADATA ? block : await this.#decompressed(block, METADATA);
    const made: MetadataBlock = { bytes, next: at + 2 + size };
    this.#metadata.set(at, made);
    return made;
  }

  async #decompressed(block: Uint8Array, limit: number): Promise<Uint8Array> {
    const { name, run } = this.#superblock.compression;
    if (!run) throw new UnreadableSquashfs(name);
    try {
      return await run(block, limit);
    } catch (error) {
      if (error instanceof Unsupported) throw new UnreadableSquashfs(`${name} with ${error.message}`);
      throw corrupt(`a block of it can't be decompressed (${printable(reason(error), 200)})`, error);
    }
  }

  #read(start: number, count: number): Promise<Uint8Array> {
    this.#limits.onBlock?.();
    if (!(start >= SUPERBLOCK && start + count <= this.#superblock.size)) throw corrupt("it points beyond its end");
    return readExactly(this.#snap, start, start + count);
  }
}

interface MetadataBlock {
  readonly bytes: Uint8Array;
  /** where the next one starts */
  readonly next: number;
}

/** Reads on through metadata blocks, which are one stream. */
class Cursor {
  readonly #block: (at: number) => Promise<MetadataBlock>;
  #at: number;
  #offset: number;

  constructor(block: (at: number) => Promise<MetadataBlock>, at: number, offset: number) {
    [this.#block, this.#at, this.#offset] = [block, at, offset];
  }

  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let left = count; left > 0; ) {
      const { bytes, next } = await this.#block(this.#at);
      const part = bytes.subarray(this.#offset, this.#offset + left);
      parts.push(part);
      left -= part.byteLength;
      this.#offset += part.byteLength;
      if (left === 0) break;
      // Only the last block of a table may be shorter.
      if (bytes.byteLength < METADATA || this.#offset > METADATA) throw corrupt("its metadata ends early");
      [this.#at, this.#offset] = [next, 0];
    }
    return Buffer.concat(parts);
  }
}

function superblockOf(head: Uint8Array, available: number): Superblock {
  if (classify("", head) !== "squashfs") throw refused("it is no squashfs");
  if (head.byteLength < SUPERBLOCK) throw corrupt("it is cut short");
  const view = viewOf(head);
  const version = `${u16(view, 28)}.${u16(view, 30)}`;
  if (version !== "4.0") throw refused(`its squashfs is of version ${version}: only 4.0 is read`);
  const blockSize = u32(view, 12);
  const log = u16(view, 22);
  if (log < 12 || log > 20 || blockSize !== 2 ** log) throw corrupt("its block size is invalid");
  const number = u16(view, 20);
  const root = u64(view, 32);
  const superblock: Superblock = {
    compression: COMPRESSIONS[number] ?? { name: `method ${number}` },
    blockSize,
    fragments: u32(view, 16),
    size: u64(view, 40),
    root: { block: Math.floor(root / 65536), offset: root % 65536 },
    inodeTable: u64(view, 64),
    folderTable: u64(view, 72),
    fragmentTable: u64(view, 80),
  };
  const { size, inodeTable, folderTable } = superblock;
  if (size > available) throw corrupt(`it is cut short: ${available} of ${size} bytes are there`);
  if (!(SUPERBLOCK <= inodeTable && inodeTable < folderTable && folderTable <= size)) throw corrupt("its tables are not where they may be");
  return superblock;
}

function blockReferenceOf(start: number, field: number): BlockReference {
  if (field >= 2 * STORED_DATA) throw corrupt("a block of it has an invalid size");
  return { start, size: field % STORED_DATA, compressed: field < STORED_DATA };
}

/** The entries of a folder: runs of up to 256 whose inodes are in one metadata block. */
function* entriesOf(list: Uint8Array): Generator<Reference & { readonly name: Uint8Array }> {
  const view = viewOf(list);
  const fits = (at: number, count: number) => {
    if (at + count > list.byteLength) throw corrupt("the list of a folder is cut short");
  };
  for (let at = 0; at < list.byteLength; ) {
    fits(at, 12);
    const count = u32(view, at) + 1;
    const block = u32(view, at + 4);
    if (count > MAX_RUN) throw corrupt("the list of a folder has a run that is too long");
    at += 12;
    for (let i = 0; i < count; i += 1) {
      fits(at, 8);
      const length = u16(view, at + 6) + 1;
      fits(at + 8, length);
      yield { block, offset: u16(view, at), name: list.subarray(at + 8, at + 8 + length) };
      at += 8 + length;
    }
  }
}

async function readExactly(snap: ReadAt, start: number, end: number): Promise<Uint8Array> {
  const bytes = await snap.bytes(start, end);
  if (bytes.byteLength !== end - start) throw corrupt("it is cut short");
  return bytes;
}

function corrupt(what: string, cause?: unknown): Failure {
  return refused(`it is corrupt: ${what}`, { cause });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function u16(view: DataView, at: number): number {
  return view.getUint16(at, true);
}

function u32(view: DataView, at: number): number {
  return view.getUint32(at, true);
}

/** Not exact from 2^53 on, which is beyond the end of anything. */
function u64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
