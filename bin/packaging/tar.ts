/** A tar of a few files in memory. The same entries give the same bytes: owners, modes and times are those that are said, paths are sorted. */

import { Header } from "tar";
import { compareText } from "../../src/text.ts";

const BLOCK = 512;

export interface Entry {
  /** without a slash at its beginning or end */
  readonly path: string;
  /** of a file; undefined: a folder, or a link where `to` is set */
  readonly bytes?: Uint8Array | string;
  /** of a symbolic link */
  readonly to?: string;
  /** by default 0755 of a folder, 0644 of a file */
  readonly mode?: number;
  /** of user and group; 0 by default */
  readonly owner?: number;
}

/** `prefix`: of every path, like `./`; `time`: seconds since 1970. The folders of an entry need no entry of their own. */
export function tarOf(entries: readonly Entry[], { prefix = "", time }: { readonly prefix?: string; readonly time: number }): Uint8Array {
  const all = new Map<string, Entry>(entries.flatMap(({ path }) => parentsOf(path).map((folder) => [folder, { path: folder }])));
  for (const entry of entries) all.set(entry.path, entry);
  const sorted = [...all.values()].toSorted((a, b) => compareText(a.path, b.path));
  return Buffer.concat([
    ...(prefix === "" ? [] : [headOf({ path: "" }, prefix, time)]),
    ...sorted.flatMap((entry) => partsOf(entry, prefix, time)),
    Buffer.alloc(2 * BLOCK),
  ]);
}

function parentsOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join("/"));
}

function partsOf(entry: Entry, prefix: string, time: number): Uint8Array[] {
  const bytes = contentOf(entry);
  return [headOf(entry, prefix, time), bytes, Buffer.alloc((BLOCK - (bytes.byteLength % BLOCK)) % BLOCK)];
}

function contentOf({ bytes = "" }: Entry): Uint8Array {
  return typeof bytes === "string" ? Buffer.from(bytes) : bytes;
}

function headOf(entry: Entry, prefix: string, time: number): Uint8Array {
  const { path, to, owner = 0 } = entry;
  const isFile = entry.bytes !== undefined;
  const block = Buffer.alloc(BLOCK);
  const header = new Header({
    path: `${prefix}${path}${isFile || to !== undefined || path === "" ? "" : "/"}`,
    mode: entry.mode ?? (isFile ? 0o644 : to === undefined ? 0o755 : 0o777),
    uid: owner,
    gid: owner,
    size: contentOf(entry).byteLength,
    mtime: new Date(time * 1000),
    type: isFile ? "File" : to === undefined ? "Directory" : "SymbolicLink",
    ...(to !== undefined && { linkpath: to }),
    uname: "",
    gname: "",
    devmaj: 0,
    devmin: 0,
  });
  if (header.encode(block)) throw new Error(`${prefix}${path} does not fit into a header of tar`);
  return block;
}

/** By libdeflate, whose output does not depend on the processor. It says no name and no time. */
export function gzip(bytes: Uint8Array): Uint8Array {
  return Bun.gzipSync(Buffer.from(bytes), { library: "libdeflate", level: 6 });
}
