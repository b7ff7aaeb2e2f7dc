/** Runs a command line in this process: what it prints, and the exit code that it would have. */

import { CommanderError } from "commander";
import { createProgram } from "../bin/commands/program.ts";
import type { Io } from "../bin/machine/io.ts";
import { Failure } from "../src/errors.ts";
import type { ProgramName } from "../src/settings/documented.ts";

/** An Io that prints nowhere: for what is only looked at. */
export const SILENT_IO: Io = {
  out: () => {},
  err: () => {},
  log: () => {},
  now: () => 0,
  terminal: { out: false, err: false },
  environment: {},
  input: async function* () {},
  signal: new AbortController().signal,
};

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** the log of a server */
  readonly log?: string;
  /** what the failure says to type */
  readonly next?: string;
}

/** `name`: that the program is started by; `signal`: what ends it, at once where it is aborted already; `replaced`: of its Io. */
export async function runProgram(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  name: ProgramName = "chp",
  signal: AbortSignal = new AbortController().signal,
  replaced: Partial<Io> = {},
): Promise<Run> {
  let [out, err, log] = ["", "", ""];
  const program = createProgram(
    {
      out: (text) => void (out += text),
      err: (text) => void (err += text),
      log: (text) => void (log += text),
      now: () => 0,
      terminal: { out: false, err: false },
      environment,
      input: async function* () {},
      signal,
      ...replaced,
    },
    name,
  );
  try {
    await program.parseAsync([...args], { from: "user" });
    return { code: 0, out, err, ...(log !== "" && { log }) };
  } catch (error) {
    if (error instanceof Failure) {
      const { exit, message, next } = error;
      return { code: exit, out, err: `${err}chp: ${message}\n`, ...(log !== "" && { log }), ...(next !== undefined && { next }) };
    }
    if (error instanceof CommanderError && error.exitCode === 0) return { code: 0, out, err, ...(log !== "" && { log }) };
    throw error;
  }
}
