/** Writes squashfs 4.0 images for tests, byte-stable, as `unsquashfs` and the kernel read them; files only, no owners. */

import { deflateSync, zstdCompressSync } from "node:zlib";
import { bytesOf, type Files } from "./build.ts";

export interface SquashfsOptions {
  /** "none" is gzip with every block stored as it is */
  compression?: "gzip" | "zstd" | "none";
  /** bytes of a data block: a power of two from 4096 to 1048576 */
  blockSize?: number;
  /** whether ends of files share blocks */
  fragments?: boolean;
  /** whether blocks of zeros take no room */
  sparse?: boolean;
  /** whether inodes are of the extended types */
  extended?: boolean;
  /** the whole is padded to a multiple of this, as snaps are to 4096 */
  padding?: number;
  /** path → target, of symbolic links */
  links?: Readonly<Record<string, string>>;
}

const COMPRESSORS = {
  gzip: { id: 1, compress: (bytes: Uint8Array) => deflateSync(bytes, { level: 9 }) },
  zstd: { id: 6, compress: (bytes: Uint8Array) => zstdCompressSync(bytes) },
  none: { id: 1, compress: (bytes: Uint8Array) => bytes },
} as const;

const SUPERBLOCK = 96;
const METADATA = 8192;
const NONE = 0xffffffff;
const NO_TABLE = 0xffffffffffffffffn;

interface Node {
  readonly kind: "directory" | "file" | "link";
  readonly number: number;
  readonly parent: number;
  /** of a file or a link */
  readonly content: Uint8Array;
  readonly children: Map<string, Node>;
}

interface Place {
  /** where its metadata block starts in the table */
  readonly block: number;
  readonly offset: number;
}

/** Little-endian numbers: `[bytes, value]`. */
function le(...fields: readonly (readonly [width: 1 | 2 | 4 | 8, value: number | bigint])[]): Uint8Array {
  const bytes = Buffer.alloc(fields.reduce((size, [width]) => size + width, 0));
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
    else bytes.writeUIntLE(Number(BigInt.asUintN(width * 8, BigInt(value))), at, width);
    at += width;
  }
  return bytes;
}

/** An image that holds the files, and the folders on the way to them. */
export function squashfs(files: Files, options: SquashfsOptions = {}): Uint8Array {
  const {
    compression = "gzip",
    blockSize = 131072,
    fragments = true,
    sparse = true,
    extended = false,
    padding = 4096,
    links = {},
  } = options;
  const { id, compress } = COMPRESSORS[compression];
  const parts: Uint8Array[] = [new Uint8Array(SUPERBLOCK)];
  let at = SUPERBLOCK;
  const put = (bytes: Uint8Array) => {
    parts.push(bytes);
    at += bytes.byteLength;
  };
  /** The smaller of the two, and whether it was stored as it is. */
  const packed = (bytes: Uint8Array): readonly [bytes: Uint8Array, stored: boolean] => {
    const small = compress(bytes);
    return small.byteLength < bytes.byteLength ? [small, false] : [bytes, true];
  };
  const dataBlock = (bytes: Uint8Array): number => {
    const [block, stored] = packed(bytes);
    put(block);
    return block.byteLength + (stored ? 2 ** 24 : 0);
  };

  /** Bytes in metadata blocks, as they grow. */
  class Metadata {
    readonly blocks: Uint8Array[] = [];
    readonly starts: number[] = [];
    #size = 0;
    #open: Uint8Array = new Uint8Array();

    place(): Place {
      return { block: this.#size, offset: this.#open.byteLength };
    }

    write(bytes: Uint8Array): void {
      this.#open = Buffer.concat([this.#open, bytes]);
      while (this.#open.byteLength >= METADATA) this.#flush();
    }

    /** Appends the table to the image and returns where each of its blocks starts there. */
    finish(): number[] {
      if (this.#open.byteLength > 0) this.#flush();
      const start = at;
      this.blocks.forEach(put);
      return this.starts.map((one) => start + one);
    }

    #flush(): void {
      const [block, stored] = packed(this.#open.subarray(0, METADATA));
      this.#open = this.#open.subarray(METADATA);
      this.starts.push(this.#size);
      this.blocks.push(Buffer.concat([le([2, block.byteLength + (stored ? 0x8000 : 0)]), block]));
      this.#size += 2 + block.byteLength;
    }
  }

  /* ---- the tree ---- */

  let count = 0;
  const node = (kind: Node["kind"], parent: number, content = new Uint8Array()): Node => {
    count += 1;
    return { kind, number: count, parent, content, children: new Map() };
  };
  const root = node("directory", 0);
  const add = (path: string, kind: Node["kind"], content: Uint8Array) => {
    const names = path.split("/");
    const last = names.pop() ?? "";
    let folder = root;
    for (const name of names) {
      const next = folder.children.get(name) ?? node("directory", folder.number);
      folder.children.set(name, next);
      folder = next;
    }
    folder.children.set(last, node(kind, folder.number, new Uint8Array(content)));
  };
  for (const [path, content] of Object.entries(files)) add(path, "file", bytesOf(content));
  for (const [path, target] of Object.entries(links)) add(path, "link", Buffer.from(target));

  /* ---- data ---- */

  const inodes = new Metadata();
  const listings = new Metadata();
  const fragmentEntries: Uint8Array[] = [];
  let fragment: Uint8Array = new Uint8Array();
  const endFragment = () => {
    if (fragment.byteLength === 0) return;
    const start = at;
    fragmentEntries.push(le([8, start], [4, dataBlock(fragment)], [4, 0]));
    fragment = new Uint8Array();
  };

  const common = (type: number, mode: number, number: number) => le([2, type], [2, mode], [2, 0], [2, 0], [4, 0], [4, number]);

  const fileInode = ({ content, number }: Node): Place => {
    const size = content.byteLength;
    const tail = fragments ? size % blockSize : 0;
    let [index, offset] = [NONE, 0];
    if (tail > 0) {
      if (fragment.byteLength + tail > blockSize) endFragment();
      [index, offset] = [fragmentEntries.length, fragment.byteLength];
      fragment = Buffer.concat([fragment, content.subarray(size - tail)]);
    }
    const start = at;
    let holes = 0;
    const sizes: number[] = [];
    for (let from = 0; from < size - tail; from += blockSize) {
      const block = content.subarray(from, Math.min(from + blockSize, size - tail));
      const hole = sparse && block.every((byte) => byte === 0);
      if (hole) holes += block.byteLength;
      sizes.push(hole ? 0 : dataBlock(block));
    }
    const place = inodes.place();
    inodes.write(
      extended
        ? Buffer.concat([common(9, 0o755, number), le([8, start], [8, size], [8, holes], [4, 1], [4, index], [4, offset], [4, NONE])])
        : Buffer.concat([common(2, 0o755, number), le([4, start], [4, index], [4, offset], [4, size])]),
    );
    inodes.write(le(...sizes.map((one) => [4, one] as const)));
    return place;
  };

  const linkInode = ({ content, number }: Node): Place => {
    const place = inodes.place();
    inodes.write(Buffer.concat([common(3, 0o777, number), le([4, 1], [4, content.byteLength]), content]));
    return place;
  };

  const TYPES = { directory: 1, file: 2, link: 3 } as const;

  const listing = (entries: readonly (readonly [name: string, node: Node, place: Place])[]): Uint8Array => {
    const out: Uint8Array[] = [];
    // A header holds for entries of one metadata block, 256 at most.
    for (let from = 0; from < entries.length; ) {
      const first = entries[from];
      if (!first) break;
      const [, { number: base }, { block }] = first;
      const run = entries.slice(from, from + 256);
      const end = run.findIndex(([, child, place]) => place.block !== block || Math.abs(child.number - base) > 32767);
      const group = end === -1 ? run : run.slice(0, end);
      out.push(le([4, group.length - 1], [4, block], [4, base]));
      for (const [name, child, { offset }] of group) {
        const bytes = Buffer.from(name);
        out.push(le([2, offset], [2, child.number - base], [2, TYPES[child.kind]], [2, bytes.byteLength - 1]), bytes);
      }
      from += group.length;
    }
    return Buffer.concat(out);
  };

  const folderInode = ({ children, number, parent }: Node): Place => {
    const sorted = [...children].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const entries = sorted.map(([name, child]) => [name, child, inodeOf(child)] as const);
    const bytes = listing(entries);
    const { block, offset } = listings.place();
    listings.write(bytes);
    // The three bytes more stand for "." and "..", which no listing holds.
    const size = bytes.byteLength + 3;
    const nlink = 2 + sorted.filter(([, child]) => child.kind === "directory").length;
    const up = parent === 0 ? count + 1 : parent;
    const place = inodes.place();
    inodes.write(
      extended || size > 0xffff
        ? Buffer.concat([common(8, 0o755, number), le([4, nlink], [4, size], [4, block], [4, up], [2, 0], [2, offset], [4, NONE])])
        : Buffer.concat([common(1, 0o755, number), le([4, block], [4, nlink], [2, size], [2, offset], [4, up])]),
    );
    return place;
  };

  const INODES = { directory: folderInode, file: fileInode, link: linkInode } as const;
  const inodeOf = (one: Node): Place => INODES[one.kind](one);

  const top = inodeOf(root);
  endFragment();

  /* ---- tables ---- */

  const inodeTable = at;
  inodes.finish();
  const listingTable = at;
  listings.finish();
  /** A table of entries in metadata blocks, and after it where these start. */
  const lookup = (entries: readonly Uint8Array[]): number => {
    const table = new Metadata();
    entries.forEach((entry) => table.write(entry));
    const starts = table.finish();
    const start = at;
    put(le(...starts.map((one) => [8, one] as const)));
    return start;
  };
  const fragmentTable = lookup(fragmentEntries);
  const idTable = lookup([le([4, 0])]);

  const image = Buffer.alloc(Math.ceil(at / padding) * padding);
  Buffer.concat(parts).copy(image);
  const NO_XATTRS = 0x200;
  const flags = NO_XATTRS | (fragments ? 0 : 0x10) | (compression === "none" ? 0x1 | 0x2 | 0x8 | 0x800 : 0);
  image.write("hsqs", 0, "latin1");
  image.set(
    le(
      [4, count],
      [4, 0],
      [4, blockSize],
      [4, fragmentEntries.length],
      [2, id],
      [2, Math.log2(blockSize)],
      [2, flags],
      [2, 1],
      [2, 4],
      [2, 0],
      [8, BigInt(top.block) * 65536n + BigInt(top.offset)],
      [8, at],
      [8, idTable],
      [8, NO_TABLE],
      [8, inodeTable],
      [8, listingTable],
      [8, fragmentTable],
      [8, NO_TABLE],
    ),
    4,
  );
  return image;
}
