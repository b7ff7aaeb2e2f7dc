/** Text and JSON of untrusted files. */

import { refused } from "./errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Compares by UTF-16 code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The value of a JSON text; undefined where it is not JSON. */
export function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Text of a file that must be UTF-8. */
export function utf8(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refused(`${what} is not UTF-8 text`);
  }
}
