#!/usr/bin/env node
/** argv → command; error → message and exit code. Nothing else ends the process. */

import { writeSync } from "node:fs";
import { addAbortSignal } from "node:stream";
import { CommanderError } from "commander";
import { Failure, printable, reason } from "../src/errors.ts";
import { programName } from "../src/settings/documented.ts";
import { explainSystemError } from "../store/diskerrors.ts";
import { createProgram } from "./commands/program.ts";
import type { Io } from "./machine/io.ts";
import { isWorker } from "./machine/worker.ts";

const ending = new AbortController();
let ended: NodeJS.Signals | undefined;
for (const signal of isWorker ? [] : (["SIGINT", "SIGTERM"] as const)) {
  process.on(signal, () => {
    if (ended) process.exit(130);
    ended = signal;
    ending.abort();
  });
}

/** Writes synchronously: what an asynchronous write has queued is lost when the process exits. */
function write(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.byteLength; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return; // the reader has closed the pipe (`chp list | head`); the command goes on
      if (code !== "EAGAIN") {
        if (fd === 2) return; // there is nowhere left to say it
        const why = code === "ENOSPC" || code === "EDQUOT" ? "no space is left there" : reason(error);
        throw new Failure("failed", `cannot write to standard output: ${why}`, {
          next: "free some space, or name another place",
          cause: error,
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); // the pipe is full: wait for its reader
    }
  }
}

process.stderr.on("error", () => {}); // nor does a closed pipe of the log end the process

const io: Io = {
  out: (text) => write(1, text),
  err: (text) => write(2, text),
  log: (text) => void process.stderr.write(text),
  now: () => performance.now(),
  terminal: {
    out: process.stdout.isTTY,
    err: process.stderr.isTTY,
    get columns() {
      return process.stdout.columns ?? process.stderr.columns ?? 80;
    },
  },
  environment: process.env,
  input: () => addAbortSignal(ending.signal, process.stdin),
  signal: ending.signal,
};

// A worker thread loads the same file: bin/machine/worker.ts acts there.
if (!isWorker) process.exit(await main());

async function main(): Promise<number> {
  try {
    // An executable finds its name in argv0, a script that Node runs in argv[1].
    await createProgram(io, programName([process.argv0, process.argv[1]])).parseAsync(process.argv);
    return 0;
  } catch (error) {
    return reportError(error);
  }
}

/** Read by hand: the command line may be what is wrong. */
function wantsJson(words: readonly string[]): boolean {
  return words.some((word, i) => /^(--json|-ojson|--output=json)$/.test(word) || (/^(-o|--output)$/.test(word) && words[i + 1] === "json"));
}

function reportError(error: unknown): number {
  // Help and version are thrown, too.
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const failure = error instanceof Failure ? error : explainSystemError(error);
  const message = printable(failure ? failure.message : `internal error: ${reason(error)}`);
  const next = failure?.next === undefined ? undefined : printable(failure.next);
  const exit = failure?.exit ?? 1;
  if (wantsJson(process.argv))
    io.err(`${JSON.stringify({ error: message, kind: failure?.kind ?? "internal", exit, ...(next && { next }) })}\n`);
  else io.err(`chp: ${message}\n${next === undefined ? "" : `  ${next}\n`}`);
  return exit;
}
