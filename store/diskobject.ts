/** Objects on a local disk, and what to do where one can't be read. */

import { readFileSync, type Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { type Advice, errorCode, explainReadError } from "./diskerrors.ts";
import { withSpare } from "./spare.ts";
import { PIECE, piecesOf, type StoredObject } from "./storage.ts";

/** For errors of a store. */
export const ADVICE: Advice = {
  unharmed: "nothing was published",
  elsewhere: "name another store with --store",
  obstacle: "move that file away: chp put none there; then chp verify",
};

export class DiskObject implements StoredObject {
  readonly size: number;
  readonly mode: number;
  readonly modified: number;
  readonly #path: string;

  constructor(path: string, { size, mode, mtimeMs }: Pick<Stats, "size" | "mode" | "mtimeMs">) {
    this.#path = path;
    this.size = size;
    this.mode = mode & 0o777;
    this.modified = mtimeMs;
  }

  body(start = 0, end = this.size): BodyInit {
    // Bun sends a file with sendfile(2) and its Content-Length; Node needs a stream.
    if (typeof Bun !== "undefined") return start === 0 && end === this.size ? Bun.file(this.#path) : Bun.file(this.#path).slice(start, end);
    return Readable.toWeb(Readable.from(ranges(this.#path, start, end), { objectMode: false })) as unknown as ReadableStream;
  }

  bytes(start?: number, end?: number): Promise<Uint8Array> {
    // Without a range, one open file is read to its end: settings may be replaced meanwhile.
    const path = this.#path;
    const read = () =>
      withSpare<Uint8Array>(
        () => fs.readFile(path),
        () => readFileSync(path),
      );
    return reading(path, start === undefined && end === undefined ? read() : readRange(path, start ?? 0, end ?? this.size));
  }

  /** By one descriptor, since to open the file for each piece would wait for whoever uses the one before; in two buffers in turns. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const path = this.#path;
    const file = await reading(path, fs.open(path, "r"));
    const [one, other] = [1, 2].map((nth) => Buffer.allocUnsafe(Math.max(0, Math.min(PIECE, this.size - (nth - 1) * PIECE)))) as [
      Buffer,
      Buffer,
    ];
    const read = (start: number, end: number) =>
      reading(path, readInto(((start / PIECE) % 2 === 0 ? one : other).subarray(0, end - start), file, path, start));
    try {
      yield* piecesOf(this.size, read);
    } finally {
      await file.close();
    }
  }
}

/** `folder`: one of the store, whose owner may read `path`. */
export async function readFailure(error: unknown, folder: string, path: string): Promise<unknown> {
  return explainReadError(error, path, { ...ADVICE, owner: await ownerOf(folder) });
}

export function pathOf(error: unknown): string | undefined {
  return error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
}

/** The name of the owner, or `#UID` as sudo takes it. */
async function ownerOf(folder: string): Promise<string> {
  const uid = await fs.stat(folder).then(
    (stat) => stat.uid,
    () => 0,
  );
  const users = await fs.readFile("/etc/passwd", "utf8").catch(() => "");
  return users.split("\n").flatMap((line) => (line.split(":")[2] === String(uid) ? [line.split(":")[0] ?? ""] : []))[0] || `#${uid}`;
}

/** EIO stays as it is: it is damage of this file. */
async function reading<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw errorCode(error) === "EIO" ? error : await readFailure(error, dirname(path), path);
  }
}

/** Bytes that a stream reads at once. */
const STREAMED = 2 ** 18;

async function* ranges(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
  const file = await fs.open(path, "r");
  try {
    for (let at = start; at < end; at += STREAMED) yield await readInto(Buffer.allocUnsafe(Math.min(end - at, STREAMED)), file, path, at);
  } finally {
    await file.close();
  }
}

export async function readRange(path: string, start: number, end: number): Promise<Uint8Array> {
  const file = await fs.open(path, "r");
  try {
    return await readInto(Buffer.allocUnsafe(Math.max(0, end - start)), file, path, start);
  } finally {
    await file.close();
  }
}

/** Fills the buffer with what begins at `start`. Fails where there is less. */
async function readInto(buffer: Buffer, file: fs.FileHandle, path: string, start: number): Promise<Buffer> {
  for (let filled = 0; filled < buffer.byteLength; ) {
    const { bytesRead } = await file.read(buffer, filled, null, start + filled);
    if (bytesRead === 0) throw new Error(`${path} ends after ${start + filled} of ${start + buffer.byteLength} bytes`);
    filled += bytesRead;
  }
  return buffer;
}
