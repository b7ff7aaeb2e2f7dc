/** Files by their descriptors: a FileHandle that nobody closes ends the process when it is collected, and readers may just go away. */

import * as fs from "node:fs";
import { promisify } from "node:util";

const [closing, opening] = [promisify(fs.close), promisify(fs.open)];

/** A new file for reading and writing, of its owner alone. */
export function createFile(path: string): Promise<number> {
  return opening(path, "wx+", 0o600);
}

export async function writeAt(file: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength; ) written += await some(fs.write, file, bytes.subarray(written), at + written);
}

/** Fills `into`. Fails where the file ends before. */
export async function readAt(file: number, into: Uint8Array, at: number): Promise<void> {
  for (let filled = 0; filled < into.byteLength; ) {
    const count = await some(fs.read, file, into.subarray(filled), at + filled);
    if (count === 0) throw new Error("a file of this process ends early");
    filled += count;
  }
}

type Transfer = (
  file: number,
  bytes: Uint8Array,
  from: number,
  size: number,
  at: number,
  done: (error: Error | null, count: number) => void,
) => void;

/** Bytes that were read or written, which may be fewer than asked for. */
function some(transfer: Transfer, file: number, bytes: Uint8Array, at: number): Promise<number> {
  return new Promise((done, failed) =>
    transfer(file, bytes, 0, bytes.byteLength, at, (error, count) => (error ? failed(error) : done(count))),
  );
}

export function closeFile(file: number): Promise<void> {
  return closing(file);
}
