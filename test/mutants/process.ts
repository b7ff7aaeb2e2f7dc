/** Test runs of a source that has a fault: it may hang, eat memory, and start what does not end. */

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./syntax.ts";

export const BUN = join(ROOT, "node_modules/bun/bin/bun.exe");

const MAX_MEMORY = 3 * 2 ** 30;

const MAX_OUTPUT = 2 ** 22;

export interface Run {
  /** undefined: it was ended, for its time or its memory */
  readonly code: number | undefined;
  readonly output: string;
}

interface Bounds {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly seconds: number;
  /** resident bytes of all its processes */
  readonly memory?: number;
}

/** Runs a command in a process group of its own, of which nothing is left when it has ended. */
export async function run(
  [command = "", ...args]: readonly string[],
  { cwd, env = {}, seconds, memory = MAX_MEMORY }: Bounds,
): Promise<Run> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const group = child.pid ?? 0;
  if (group === 0) throw new Error(`${command} does not start`);
  const end = (): void => {
    try {
      process.kill(-group, "SIGKILL");
    } catch {
      // it has ended
    }
  };
  process.on("exit", end);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-MAX_OUTPUT)));
  let ended = false;
  const limit = setTimeout(() => {
    ended = true;
    end();
  }, seconds * 1000);
  const watch = setInterval(() => {
    if (memoryOf(group) <= memory) return;
    ended = true;
    end();
  }, 200);
  try {
    const code = await new Promise<number | null>((done, failed) => {
      child.on("error", failed);
      child.on("exit", end); // what it started holds its output open
      child.on("close", done);
    });
    return { code: ended || code === null ? undefined : code, output };
  } finally {
    clearTimeout(limit);
    clearInterval(watch);
    end();
    process.off("exit", end);
  }
}

/** Resident bytes of a process group. */
function memoryOf(group: number): number {
  let pages = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = textOf(`/proc/${pid}/stat`);
    // After the name in brackets: state, parent, group, …; resident pages are the 24th field of all.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[2]) === group) pages += Number(fields[21]);
  }
  return pages * 4096;
}

/** Empty where the process has ended. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
