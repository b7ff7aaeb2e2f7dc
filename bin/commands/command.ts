/** What every command has: its options and exit codes. */

import type { Command } from "commander";
import { Failure, printable } from "../../src/errors.ts";
import type { Io } from "../machine/io.ts";

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

/** A whole number of at least `least` from a flag. */
export function wholeNumber(what: string, least: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least)
      throw new Failure("usage", `${what} takes a whole number of at least ${least}, not ${printable(text, 50)}`);
    return number;
  };
}
