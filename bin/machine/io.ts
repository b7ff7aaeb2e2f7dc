/** The input and output of a command, and how rows, sizes and JSON are printed. */

import type { Generation } from "../../src/catalog/generation-types.ts";
import { printable } from "../../src/errors.ts";

export { showSize } from "../../src/text.ts";

/** The command line that undoes a generation. */
export function undoOf({ number }: Pick<Generation, "number">, options: CommonOptions): string {
  return `chp rollback ${number - 1}${storeFlag(options)}`;
}

/** The --store flag for another command line; empty if environment or default determined the store. */
export function storeFlag({ given }: CommonOptions): string {
  const store = given?.["store"];
  return typeof store === "string" ? ` --store ${store}` : "";
}

/** The process around a command; tests replace it. */
export interface Io {
  /** data, to stdout */
  out(text: string): void;
  /** progress and messages, to stderr */
  err(text: string): void;
  /** the log of a server, to stderr; does not block */
  log(text: string): void;
  /** milliseconds of a clock that only goes on; for rates and intervals */
  now(): number;
  /** whether stdout and stderr are terminals; how many columns they have now */
  readonly terminal: { readonly out: boolean; readonly err: boolean; readonly columns?: number };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** standard input */
  readonly input: () => AsyncIterable<Uint8Array>;
  /** aborted by SIGINT or SIGTERM */
  readonly signal: AbortSignal;
}

/** The values of the common flags, from the command line or the environment. */
export interface CommonOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** the options of the command line alone */
  readonly given?: Readonly<Record<string, unknown>>;
}

/** Prints a hint or note, unless --quiet is set. */
export function note(text: string, options: CommonOptions, io: Io): void {
  if (!options.quiet) io.err(`${text}\n`);
}

/** Prints JSON to stdout. */
export function printJson(value: unknown, io: Io): void {
  io.out(`${JSON.stringify(value, null, 2)}\n`);
}

/** Characters to which cells are cut, each in its turn; then once more, where that is not enough. */
const LEAST_WIDTHS = [24, 12];

/**
 * Prints rows: on a terminal aligned under headings, otherwise with a tab between columns and without headings. `narrowed`: columns whose
 * cells are cut in their middle where the terminal has no room for them, the first of them first.
 */
export function printTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  io: Io,
  narrowed: readonly number[] = [],
): void {
  const shown = rows.map((row) => row.map((cell) => printable(cell)));
  const all = io.terminal.out ? [headings, ...shown] : shown;
  const widths = headings.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  for (const least of LEAST_WIDTHS)
    for (const i of narrowed) {
      const over = widths.reduce((sum, width) => sum + width + 2, -2) - (io.terminal.columns ?? Number.POSITIVE_INFINITY);
      const width = widths[i] ?? 0;
      if (over > 0) widths[i] = Math.min(width, Math.max(least, width - over));
    }
  const line = (row: readonly string[]) =>
    io.terminal.out ? row.map((cell, i) => cut(cell, widths[i] ?? 0).padEnd(widths[i] ?? 0)).join("  ") : row.join("\t");
  io.out(all.map((row) => `${line(row).trimEnd()}\n`).join(""));
}

/** At most `width` characters: the begin and the end of a text that has more. */
function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}

/** `1 package`, `3 packages`; `plural`: where it is more than an s */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}
