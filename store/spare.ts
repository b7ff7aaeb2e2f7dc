/** A descriptor that is kept for reads, since connections may take all others. One for the process, as their limit is. */

import { closeSync, openSync } from "node:fs";
import { errorCode } from "./diskerrors.ts";

let spare: number | undefined;

/** Keeps it from now on, where one is left. For servers. */
export function keepSpare(): void {
  try {
    spare ??= openSync("/dev/null", "r");
  } catch (error) {
    if (errorCode(error) !== "EMFILE") throw error;
  }
}

/**
 * Reads by `read`, and where the process has too many files open by `readSync` in place of the spare one: nothing runs meanwhile that
 * could accept a connection with it.
 */
export async function withSpare<T>(read: () => Promise<T>, readSync: () => T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (errorCode(error) !== "EMFILE" || spare === undefined) throw error;
    closeSync(spare);
    spare = undefined;
    try {
      return readSync();
    } finally {
      keepSpare();
    }
  }
}
