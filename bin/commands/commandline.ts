/** A command line → what is printed, and the exit code. */

import { CommanderError } from "commander";
import { Failure, printable, reason } from "../../src/errors.ts";
import type { ProgramName } from "../../src/settings/documented.ts";
import { explainSystemError } from "../../store/diskerrors.ts";
import type { Io } from "../machine/io.ts";
import { createProgram } from "./program.ts";

/** Runs the words that follow the program's name. What fails is said on standard error: as JSON where the words ask for that. */
export async function runCommandLine(words: readonly string[], io: Io, name: ProgramName): Promise<number> {
  try {
    await createProgram(io, name).parseAsync(words, { from: "user" });
    return 0;
  } catch (error) {
    // Help and version are thrown, too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const { text, exit } = reported(error, wantsJson(words));
    io.err(text);
    return exit;
  }
}

/** Read by hand: the command line may be what is wrong. */
function wantsJson(words: readonly string[]): boolean {
  return words.some((word, i) => /^(--json|-ojson|--output=json)$/.test(word) || (/^(-o|--output)$/.test(word) && words[i + 1] === "json"));
}

function reported(error: unknown, asJson: boolean): { readonly text: string; readonly exit: number } {
  const failure = error instanceof Failure ? error : explainSystemError(error);
  const message = printable(failure ? failure.message : `internal error: ${reason(error)}`);
  const next = failure?.next === undefined ? undefined : printable(failure.next);
  const exit = failure?.exit ?? 1;
  if (!asJson) return { text: `chp: ${message}\n${next === undefined ? "" : `  ${next}\n`}`, exit };
  return { text: `${JSON.stringify({ error: message, kind: failure?.kind ?? "internal", exit, ...(next && { next }) })}\n`, exit };
}
