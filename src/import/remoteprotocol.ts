/** The stream from `chp import --to URL` to the server, and on to the import that it starts: files, and a mark of the end. */

import { resolve } from "node:path/posix";
import { Header } from "tar/header";
import { Pax } from "tar/pax";
import { Budget, type Chunks, files, LIMITS, type Limits } from "../archives/archive.ts";
import { Failure, printable, refused } from "../errors.ts";
import type { ImportSource } from "./import.ts";

/* ---- several files as one request body ---- */

export type SizedSource = ImportSource & { readonly size: number };

const BLOCK = 512;
const END = new Uint8Array(2 * BLOCK);

/** Bytes of `tarOfSources`. */
export function sizeOfTar(sources: readonly SizedSource[]): number {
  return sources.reduce((sum, source) => sum + headOf(source).byteLength + source.size + paddingOf(source), END.byteLength);
}

/** Files as one tar, under their own names. Throws a `failed` failure where a file has another size than it had. */
export async function* tarOfSources(sources: readonly SizedSource[]): AsyncGenerator<Uint8Array> {
  for (const source of sources) {
    yield headOf(source);
    yield* sized(source);
    yield new Uint8Array(paddingOf(source));
  }
  yield END;
}

/** The bytes of a file, which must have its declared size. */
export async function* sized(source: SizedSource): AsyncGenerator<Uint8Array> {
  const changed = () =>
    new Failure("failed", `${printable(source.name)} changed while it was read`, { next: "run the same command again" });
  let size = 0;
  for await (const chunk of source.open()) {
    size += chunk.byteLength;
    if (size > source.size) throw changed();
    yield chunk;
  }
  if (size < source.size) throw changed();
}

/** The files of such a tar, one after the other. `folder`: what their names are relative to; it is only compared, never opened. */
export async function* sourcesOf(body: ImportSource, folder = "/", limits: Limits = LIMITS): AsyncGenerator<ImportSource> {
  for await (const file of files(
    { name: body.name, chunks: body.open(), size: body.size },
    (path) => path !== body.name,
    new Budget(limits),
  )) {
    if (file.containers.length === 0) throw refused(`${printable(body.name)} is no tar, so it holds no files`);
    const name = nameIn(file.path);
    yield {
      name,
      path: resolve("/", folder, name),
      ...(file.size !== undefined && { size: file.size }),
      open: () => file.bytes.chunks(),
    };
  }
}

/** The header of a file. Its name is percent-encoded, so that any, absolute or with `..`, is one plain part of a path. */
function headOf({ name, size }: SizedSource): Uint8Array {
  const fields = { path: encodeURIComponent(name), size };
  const block = Buffer.alloc(BLOCK);
  const needsMore = new Header({ ...fields, type: "File", mode: 0o644 }).encode(block);
  return needsMore ? Buffer.concat([new Pax(fields).encode(), block]) : block;
}

function paddingOf({ size }: SizedSource): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function nameIn(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw refused(`the name ${printable(path, 200)} has a % that encodes nothing`);
  }
}

/* ---- the end ---- */

/** A body with a mark at its end, by which its reader knows that its writer was not cut off. */
export async function* withMark(body: Chunks, mark: string): AsyncGenerator<Uint8Array> {
  yield* body;
  yield Buffer.from(mark);
}

/** The bytes before the mark. Throws an `interrupted` failure where it is not at the end. */
export async function* untilMark(chunks: Chunks, mark: string): AsyncGenerator<Uint8Array> {
  const end = Buffer.from(mark);
  let buffered = Buffer.alloc(0);
  for await (const chunk of chunks) {
    buffered = Buffer.concat([buffered, chunk]);
    const ready = buffered.byteLength - end.byteLength;
    if (ready <= 0) continue;
    yield buffered.subarray(0, ready);
    buffered = buffered.subarray(ready);
  }
  if (!buffered.equals(end)) throw new Failure("interrupted", "interrupted: nothing was published");
}
