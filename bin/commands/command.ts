/**
 * What every command has. To add one: a file here that exports a `Register`, a line for it in program.ts, its flags in
 * flags.ts, and what it does with the disk or the network in bin/machine: a request to a server goes out by `ask`
 * (machine/http.ts), to an upstream by a transport (machine/transport.ts). Facts that it tells are made in src.
 */

import type { Command } from "commander";
import type { Io } from "../machine/io.ts";
import { addFlags, type FlagId } from "./flags.ts";

/** Adds a command to the program; one file a command. */
export type Register = (program: Command, io: Io) => void;

/** The flags that nearly all commands have. */
const COMMON: readonly FlagId[] = ["store", "json", "quiet"];

/** A command with its flags and exit codes. `common`: in place of those that all have. */
export function defineCommand(
  program: Command,
  name: string,
  summary: string,
  exits: string,
  flags: readonly FlagId[] = [],
  common: readonly FlagId[] = COMMON,
): Command {
  const command = program.command(name).summary(summary).description(`${summary}.`);
  return addFlags(command, [...common, ...flags]).addHelpText("after", `\nExit codes: ${exits}`);
}

export const EXITS = "0 done, 1 failed, 2 usage, 10 no store, 11 store format too new, 13 corruption found";

/** How a word of the command line is read; `what`: how messages call it. */
export function argument<T>(what: string, parse: (text: string, what: string) => T): (text: string) => T {
  return (text) => parse(text, what);
}
