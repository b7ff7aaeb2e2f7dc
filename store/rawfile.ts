/** Files by their descriptors: a FileHandle that nobody closes ends the process when it is collected, and readers may just go away. */

import { close, open, read, write } from "node:fs";
import { promisify } from "node:util";

const [closing, opening, reading, writing] = [promisify(close), promisify(open), promisify(read), promisify(write)];

/** A new file for reading and writing, of its owner alone. */
export function createFile(path: string): Promise<number> {
  return opening(path, "wx+", 0o600);
}

export async function writeAt(file: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength; )
    written += (await writing(file, bytes, written, bytes.byteLength - written, at + written)).bytesWritten;
}

/** Fills `into`. Fails where the file ends before. */
export async function readAt(file: number, into: Uint8Array, at: number): Promise<void> {
  for (let filled = 0; filled < into.byteLength; ) {
    const { bytesRead } = await reading(file, into, filled, into.byteLength - filled, at + filled);
    if (bytesRead === 0) throw new Error("a file of this process ends early");
    filled += bytesRead;
  }
}

export function closeFile(file: number): Promise<void> {
  return closing(file);
}
