/** Standard output and standard error of a command. */

import { writeSync } from "node:fs";
import { Failure, reason } from "../../src/errors.ts";

export const [STDOUT, STDERR] = [1, 2] as const;

/** Writes a part of bytes from `at` on, and returns how many it wrote, as `writeSync` of node:fs. */
export type Write = (fd: number, bytes: Uint8Array, at: number) => number;

/**
 * Writes synchronously: what an asynchronous write has queued is lost when the process exits. What a closed pipe would have taken is
 * dropped; fails where standard output can't be written.
 */
export function writeText(fd: number, text: string, write: Write = writeSync): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.byteLength; ) {
    try {
      at += write(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return; // the reader has closed the pipe (`chp list | head`); the command goes on
      if (code !== "EAGAIN") {
        if (fd === STDERR) return; // there is nowhere left to say it
        const why = code === "ENOSPC" || code === "EDQUOT" ? "no space is left there" : reason(error);
        throw new Failure("failed", `cannot write to standard output: ${why}`, {
          next: "free some space, or name another place",
          cause: error,
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); // the pipe is full: wait for its reader
    }
  }
}
