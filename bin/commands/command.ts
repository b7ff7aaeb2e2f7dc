/**
 * The common parts of commands. To add one: a file here that exports a `Register`, a line in program.ts, its flags in
 * flags.ts. Code for the disk and the network goes to bin/machine: requests to servers use `ask` (machine/http.ts), requests
 * to an upstream a transport (machine/transport.ts). The facts that a command prints are computed in src.
 */

import type { Command } from "commander";
import { Failure } from "../../src/errors.ts";
import { count, type Io } from "../machine/io.ts";
import type { FlagId } from "./flags.ts";
import { addFlags } from "./options.ts";

/** Adds a command to the program. Each command has its own file. */
export type Register = (program: Command, io: Io) => void;

/** The flags of nearly all commands. */
const COMMON: readonly FlagId[] = ["store", "json", "quiet"];

/** Defines a command with its flags and exit codes. `common`: replaces `COMMON`. */
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

/** Where a change of the settings may be stored although a later step failed. */
export const SETTINGS_EXITS = "11 store format too new, 13 corruption found, 14 saved, but a later step failed";

export const EXITS = "0 done, 1 failed, 2 usage, 10 no store, 11 store format too new, 13 corruption found";

/** Ends with 1 where `--exit-code` asks for it and there is anything. */
export function failIfListed(number: number, noun: string, options: { readonly exitCode?: boolean }): void {
  if (options.exitCode && number > 0) throw new Failure("failed", `${count(number, noun)} ${number === 1 ? "is" : "are"} listed`);
}

/** A parser for an argument of the command line; `what`: its name in messages. */
export function argument<T>(what: string, parse: (text: string, what: string) => T): (text: string) => T {
  return (text) => parse(text, what);
}
