/** What every command has: its options, where it writes to, and the store it works on. */

import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { Failure, printable } from "../errors.ts";

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
  /** aborted when the process is told to end */
  readonly signal: AbortSignal;
}

export interface CommonOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Adds a command to the program; one file a command. */
export type Register = (program: Command, io: Io) => void;

/** A command with the options that all have. `store`: what the store is to it. */
export function define(program: Command, name: string, summary: string, exits: string, store = "the store (CHP_STORE)"): Command {
  return program
    .command(name)
    .summary(summary)
    .description(`${summary}.`)
    .option("--store <DIR>", store)
    .option("--json", "print the result as JSON")
    .option("--quiet", "print no progress and no hints (CHP_QUIET)")
    .addHelpText("after", `\nExit codes: ${exits}`);
}

export const EXITS = "0 done, 1 failed, 2 usage, 10 no store, 11 store format too new, 13 corruption found";

/** Whether flags or environment ask for silence. */
export function isQuiet(options: CommonOptions, io: Io): boolean {
  return options.quiet === true || isSet(io.environment["CHP_QUIET"]);
}

/** Whether a variable of the environment switches something on. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && !["", "0", "false", "no"].includes(value.toLowerCase());
}

/** A hint or note, unless silence was asked for. */
export function note(text: string, options: CommonOptions, io: Io): void {
  if (!isQuiet(options, io)) io.err(`${text}\n`);
}

const SYSTEM_STORE = "/var/lib/chp";

/** The folder of the store. Where it was not named, a line says which one it is. */
export function storeFolder(options: CommonOptions, io: Io): string {
  const named = options.store ?? (io.environment["CHP_STORE"] || undefined);
  if (named !== undefined) return named;
  const own = join(io.environment["XDG_DATA_HOME"] || join(io.environment["HOME"] || homedir(), ".local", "share"), "chp");
  if (existsSync(SYSTEM_STORE) && existsSync(own))
    throw new Failure("usage", `there are stores in ${SYSTEM_STORE} and in ${own}`, { next: "say which one is meant with --store DIR" });
  const folder = existsSync(SYSTEM_STORE) || (!existsSync(own) && mayWrite(dirname(SYSTEM_STORE))) ? SYSTEM_STORE : own;
  note(`using the store in ${folder} (name another with --store DIR)`, options, io);
  return folder;
}

function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export function openStore(options: CommonOptions, io: Io): Promise<Store> {
  return Store.open(new Disk(storeFolder(options, io)));
}

/** After all was told that can be read: fails where something had to be left out. */
export async function failOnDamage(store: Store): Promise<void> {
  const next = "chp verify tells what is damaged and what to import again";
  if (store.damage) throw new Failure("corrupt", `an older generation was read: ${store.damage.message}`, { next });
  const unreadable = await (await store.snapshot()).unreadable();
  if (unreadable.length > 0)
    throw new Failure("corrupt", `left out: ${unreadable.map(({ name }) => name).join(", ")}: not readable`, { next });
}

/** Opens the store and makes it first where there is none; leftovers of killed imports are removed. */
export async function openOrCreateStore(options: CommonOptions, io: Io): Promise<Store> {
  const disk = new Disk(storeFolder(options, io));
  const store = await Store.openOrCreate(disk);
  await disk.sweep();
  return store;
}

/** What `work` makes of the store; where there is none yet, of a scratch one that is gone afterwards. */
export async function withStoreUnchanged<T>(options: CommonOptions, io: Io, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await Store.openOrAwait(new Disk(storeFolder(options, io)));
  if (store.exists) return work(store);
  const folder = await mkdtemp(join(tmpdir(), "chp-dry-run-"));
  try {
    return await work(await Store.openOrCreate(new Disk(folder)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What was started: the executable, or Node with its script. */
export function ownExecutable(): string[] {
  const script = process.argv[1];
  return script === undefined || script.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, realpathSync(script)];
}

/** Fails where a folder's disk is known to have less than `needed` bytes free. `what`: `import into`, as the message goes on. */
export async function checkSpace(what: string, folder: string, needed: number, { next }: { readonly next: string }): Promise<void> {
  const free = await new Disk(folder).free().catch(() => undefined);
  if (free === undefined || needed <= free) return;
  throw new Failure("failed", `cannot ${what} ${printable(folder)}: ${showSize(needed)} are needed and ${showSize(free)} are free`, {
    next,
  });
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

/** A whole number of at least `least` from a flag. */
export function wholeNumber(what: string, least: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least)
      throw new Failure("usage", `${what} takes a whole number of at least ${least}, not ${printable(text, 50)}`);
    return number;
  };
}
