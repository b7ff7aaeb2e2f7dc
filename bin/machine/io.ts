/** The process around a command: where it writes to, and how it shows rows, sizes and JSON. */

import type { Generation } from "../../src/catalog/generation-types.ts";
import { printable } from "../../src/errors.ts";

/** The command that undoes a generation. */
export function undoOf({ number }: Pick<Generation, "number">, options: CommonOptions): string {
  return `chp rollback ${number - 1}${storeFlag(options)}`;
}

/** What names the same store on another command line; nothing where the environment or the default names it there too. */
export function storeFlag({ given }: CommonOptions): string {
  const store = given?.["store"];
  return typeof store === "string" ? ` --store ${store}` : "";
}

/** The process around a command; tests give their own. */
export interface Io {
  /** data, to stdout */
  out(text: string): void;
  /** progress and messages, to stderr */
  err(text: string): void;
  /** a server's log, to stderr; never waits for its reader */
  log(text: string): void;
  /** whether a person reads stdout, and stderr */
  readonly terminal: { readonly out: boolean; readonly err: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** standard input */
  readonly input: () => AsyncIterable<Uint8Array>;
  /** aborted by SIGINT or SIGTERM */
  readonly signal: AbortSignal;
}

/** The values of flags, from the command line or the environment. */
export interface CommonOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** only what was typed on this command line */
  readonly given?: Readonly<Record<string, unknown>>;
}

/** A hint or note, unless silence was asked for. */
export function note(text: string, options: CommonOptions, io: Io): void {
  if (!options.quiet) io.err(`${text}\n`);
}

/** JSON for machines. */
export function printJson(value: unknown, io: Io): void {
  io.out(`${JSON.stringify(value, null, 2)}\n`);
}

/** Rows under headings: aligned for a person, one tab between columns for everything else. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[], io: Io): void {
  const shown = rows.map((row) => row.map((cell) => printable(cell)));
  const all = io.terminal.out ? [headings, ...shown] : shown;
  const widths = headings.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    io.terminal.out ? row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ") : row.join("\t");
  io.out(all.map((row) => `${line(row).trimEnd()}\n`).join(""));
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 MiB` */
export function showSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** `1 package`, `3 packages` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
