/** How the values of flags and arguments are read. Each fails with `usage`; `what` is the name of the flag in messages. */

import { LEVELS, type Level } from "../../handlers/log.ts";
import { Failure, printable } from "../../src/errors.ts";
import { parseSize } from "../../src/text.ts";
import { showSize } from "../machine/io.ts";

/** A whole number of at least `least`. */
export function wholeNumber(least: number): (text: string, what: string) => number {
  return (text, what) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least)
      throw new Failure("usage", `${what} takes a whole number of at least ${least}, not ${printable(text, 50)}`);
    return number;
  };
}

/** Bytes as `parseSize` reads them, at least `least`. */
export function byteSize(least: number): (text: string, what: string) => number {
  return (text, what) => {
    const size = parseSize(text);
    if (size === undefined || size < least)
      throw new Failure("usage", `${what} takes a size of at least ${showSize(least)}, like 4G, not ${printable(text, 50)}`);
    return size;
  };
}

/** `-o json`, as other programs take it. */
export function outputFormat(text: string, what: string): string {
  if (text !== "json") throw new Failure("usage", `${what} takes json, not ${printable(text, 50)}`);
  return text;
}

/** One of these words. */
export function oneOf<const T extends string>(words: readonly T[]): (text: string, what: string) => T {
  return (text, what) => {
    const word = words.find((one) => one === text);
    if (word === undefined) throw new Failure("usage", `${what} takes ${words.join(", ")}, not ${printable(text, 50)}`);
    return word;
  };
}

export const logLevel: (text: string, what: string) => Level = oneOf(LEVELS);
