#!/usr/bin/env node
/** argv → command; error → message and exit code. The only process.exit. */

import { addAbortSignal } from "node:stream";
import { CommanderError } from "commander";
import type { Io } from "../src/commands/command.ts";
import { createProgram } from "../src/commands/program.ts";
import { Failure, printable, reason } from "../src/errors.ts";

const ending = new AbortController();
let ended: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (ended) process.exit(130);
    ended = signal;
    ending.abort();
  });
}

// A reader that has seen enough (`chp list | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const io: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  terminal: { out: process.stdout.isTTY, err: process.stderr.isTTY },
  environment: process.env,
  input: () => addAbortSignal(ending.signal, process.stdin),
  signal: ending.signal,
};

const code = await main();
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => void stream.write("", () => done()))));
process.exit(code);

async function main(): Promise<number> {
  try {
    await createProgram(io).parseAsync(process.argv);
    return 0;
  } catch (error) {
    return tell(error);
  }
}

function tell(error: unknown): number {
  // What commander has to say it has printed already: help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const failure = error instanceof Failure ? error : undefined;
  const message = printable(failure ? failure.message : `internal error: ${reason(error)}`);
  const next = failure?.next === undefined ? undefined : printable(failure.next);
  const exit = failure?.exit ?? 1;
  if (process.argv.includes("--json"))
    io.err(`${JSON.stringify({ error: message, kind: failure?.kind ?? "internal", exit, ...(next && { next }) })}\n`);
  else io.err(`chp: ${message}\n${next === undefined ? "" : `  ${next}\n`}`);
  return exit;
}
