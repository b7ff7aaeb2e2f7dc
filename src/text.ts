/** Text and JSON of untrusted files. */

import { refused } from "./errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Compares by UTF-16 code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `1, 3 to 5, 9`; whole numbers in any order. */
export function showNumbers(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run && number === run[1] + 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}${last === first + 1 ? "," : " to"} ${last}`)).join(", ");
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `4G`, `650M`, `1048576`: bytes. Undefined: it is none. */
export function parseSize(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const size = Number(number) * (UNITS[unit.toLowerCase()] ?? 1);
  return number !== "" && Number.isSafeInteger(size) ? size : undefined;
}

const SHOWN_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 MiB` */
export function showSize(bytes: number): string {
  const power = Math.min(SHOWN_UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SHOWN_UNITS[power]}`;
}

/** The candidate that was probably meant by a mistyped word: a third of its letters may be wrong. */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  const [nearest] = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.slice(0, 100), candidate) }))
    .toSorted((a, b) => a.distance - b.distance);
  return nearest && nearest.distance <= Math.max(word.length, 3) / 3 ? nearest.candidate : undefined;
}

/** The Levenshtein distance of two words. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length] ?? 0;
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
  const text = tryUtf8(bytes);
  if (text === undefined) throw refused(`${what} is not UTF-8 text`);
  return text;
}

/** Undefined where it is not UTF-8. */
export function tryUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
