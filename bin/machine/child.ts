/** Runs an import of a server in a child process, so that hashing never blocks replies and the server writes nothing. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { ImportEnd, ImportJob } from "../../handlers/call.ts";
import { Failure, reason } from "../../src/errors.ts";
import { withMark } from "../../src/import/remoteprotocol.ts";

/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 10_000;

/** Runs `chp import -` on the store in `folder` and pipes a body to it, with backpressure. */
export async function importInChild(folder: string, { words, body, size, signal }: ImportJob): Promise<ImportEnd> {
  // If this process is killed, the child's input ends without the mark, and the child publishes nothing.
  const mark = randomUUID();
  const [command = "", ...script] = ownExecutable();
  const own = [`--store=${folder}`, "--json", "--quiet", `--body-mark=${mark}`, ...(size === undefined ? [] : [`--body-size=${size}`])];
  const child = spawn(command, [...script, "import", ...own, ...words, "-"], { stdio: "pipe" });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on("error", (error) => reject(new Failure("failed", `cannot start an import: ${reason(error)}`, { cause: error })));
    child.on("close", (code, endedBy) => resolve(code ?? endedBy ?? "no exit code"));
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    child.kill("SIGTERM"); // harmless if it has ended by itself
    timer ??= setTimeout(() => child.kill("SIGKILL"), GRACE).unref();
  };
  signal.addEventListener("abort", end, { once: true });
  pipeline(withMark(body, mark), child.stdin).catch(end);
  try {
    const [exit, out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    return { exit, out, err };
  } finally {
    clearTimeout(timer);
  }
}

/** The command of this process: the executable, or Node with its script. */
export function ownExecutable(): string[] {
  const script = process.argv[1];
  return script === undefined || script.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, realpathSync(script)];
}
