/** Runs the executable as its user would: a process, a folder, an address. */

import { existsSync, readdirSync, realpathSync, statSync, watch } from "node:fs";
import { join, resolve } from "node:path";
import { runProgram } from "../program.ts";

export { tempFolder } from "../temp.ts";

/** The Node that package.json pins to run dist/chp.mjs: the one that builds may be older. */
export const NODE: string = resolve(`node_modules/node-${process.platform}-${process.arch}/bin/node`);

/** What is run: dist/chp, or what CHP_EXECUTABLE names: `.ci/run` runs these tests with NODE and dist/chp.mjs as well. */
export const COMMAND: readonly string[] = (process.env["CHP_EXECUTABLE"] ?? "dist/chp")
  .split(" ")
  .map((word, i, all) => (i === all.length - 1 ? resolve(word) : word));

const known = COMMAND.at(-1) ?? "";
if (!existsSync(known)) throw new Error(`${known} is not built: run make build`);

export interface Done {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly input?: Uint8Array | "ignore" | "pipe";
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** what is run in place of COMMAND */
  readonly command?: readonly string[];
}

const OWN_SETTINGS = /^CHP_|_proxy$|^CHARMHUB_URL$|^SSL_CERT_FILE$/i;

/** Nothing of the machine's own settings reaches the command. */
function environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || OWN_SETTINGS.test(name) ? [] : [[name, value]],
  );
  return { ...Object.fromEntries(kept), ...extra };
}

const running = new Set<Bun.Subprocess>();

// What a test that failed has left running ends with the run.
process.on("exit", () => {
  for (const one of running) one.kill("SIGKILL");
});

export function spawn(args: readonly string[], { input = "ignore", env, cwd, command = COMMAND }: RunOptions = {}) {
  const process = Bun.spawn([...command, ...args], {
    env: environment(env),
    stdin: input,
    stdout: "pipe",
    stderr: "pipe",
    ...(cwd !== undefined && { cwd }),
    onExit: (ended) => void running.delete(ended),
  });
  running.add(process);
  return process;
}

/** Does something once files of a store have changed so often: in the middle of a change, however busy the machine is. Returns when that has ended. */
export async function atChange(change: number, store: string, ended: Promise<unknown>, act: () => void): Promise<void> {
  let left = change;
  const watchers = ["", ...readdirSync(store)].flatMap((name) => {
    if (!statSync(join(store, name)).isDirectory()) return [];
    return [watch(join(store, name), () => void ((left -= 1) === 0 && act()))];
  });
  await ended;
  for (const one of watchers) one.close();
}

/** SIGKILL in the middle of a change. Whether it came to that. */
export async function killedAt(change: number, store: string, child: Bun.Subprocess): Promise<boolean> {
  await atChange(change, store, child.exited, () => child.kill("SIGKILL"));
  return child.signalCode === "SIGKILL";
}

export async function chp(args: readonly string[], options: RunOptions = {}): Promise<Done> {
  const process = spawn(args, options);
  const [out, err, code] = await Promise.all([new Response(process.stdout).text(), new Response(process.stderr).text(), process.exited]);
  return { code, out, err };
}

const ROOT = process.cwd();
let inside = 0;

/**
 * What `chp` does, in this process and a tenth of its time: for what is there before a story begins, and for what many command lines
 * say, of which a story runs some by the executable. Those that run at a time have one working directory, as a process has. What the
 * runtime itself reads of the environment is not seen.
 */
export async function here(
  args: readonly string[],
  { input, env, cwd = ROOT }: Pick<RunOptions, "env" | "cwd"> & { readonly input?: Uint8Array } = {},
): Promise<Done> {
  if (inside > 0 && realpathSync(cwd) !== process.cwd()) throw new Error(`others run in ${process.cwd()}, not in ${cwd}`);
  inside += 1;
  process.chdir(cwd);
  try {
    const read = async function* () {
      if (input) yield input;
    };
    const { code, out, err, next } = await runProgram(args, environment(env), "chp", new AbortController().signal, { input: read });
    return { code, out, err: next === undefined ? err : `${err}  ${next}\n` };
  } finally {
    inside -= 1;
    if (inside === 0) process.chdir(ROOT);
  }
}

export interface Served {
  readonly url: string;
  /** all of its addresses, HTTP first */
  readonly urls: readonly string[];
  readonly pid: number;
  /** the log so far and to come */
  readonly log: () => string;
  /** SIGTERM; the exit code */
  stop(): Promise<number>;
}

/** `chp serve` on a free port of this machine, of a store that need not be there yet. */
export async function serve(
  store: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  command: readonly string[] = COMMAND,
): Promise<Served> {
  const process = spawn(["serve", "--store", store, "--wait-for-store", "--listen", "127.0.0.1:0", ...args], { env, command });
  let log = "";
  const written = (async () => {
    for await (const chunk of process.stderr) log += Buffer.from(chunk).toString();
  })();
  const reader = process.stdout.getReader();
  let out = "";
  while (!out.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`chp serve ended: ${log}`);
    out += Buffer.from(value).toString();
  }
  return {
    url: out.split("\n")[0] ?? "",
    urls: out.trimEnd().split("\n"),
    pid: process.pid,
    log: () => log,
    stop: async () => {
      process.kill("SIGTERM");
      const code = await process.exited;
      await written;
      return code;
    },
  };
}

/** Waits until the log of a server has a text: it comes on another pipe than the addresses. */
export async function logged(served: Pick<Served, "log">, text: string): Promise<void> {
  while (!served.log().includes(text)) await Bun.sleep(20);
}
