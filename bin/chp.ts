#!/usr/bin/env node
/** This process → a command line and its Io; its exit code. Nothing else ends the process. */

import { addAbortSignal } from "node:stream";
import { programName } from "../src/settings/documented.ts";
import { runCommandLine } from "./commands/commandline.ts";
import type { Io } from "./machine/io.ts";
import { STDERR, STDOUT, writeText } from "./machine/output.ts";
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

process.stderr.on("error", () => {}); // nor does a closed pipe of the log end the process

const io: Io = {
  out: (text) => writeText(STDOUT, text),
  err: (text) => writeText(STDERR, text),
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

// A worker thread loads the same file: bin/machine/worker.ts acts there. An executable finds its name in argv0, a script that Node
// runs in argv[1].
if (!isWorker) process.exit(await runCommandLine(process.argv.slice(2), io, programName([process.argv0, process.argv[1]])));
