/** The servers and tools that are measured: each a process of its own, pinned to one core, ended by its id. */

import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMAND } from "../e2e/chp.ts";
import { type Registry, startRegistry } from "../interop/dockerregistry.ts";
import { Skip } from "./figures.ts";

/** Nothing of the machine's own settings reaches what is measured. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CHP_")));

/** The cores of this process: one for what is measured, another for what asks it. */
const CORES = cores();
const SERVER = CORES[0] ?? 0;
const CLIENT = CORES[1] ?? SERVER;

function cores(): number[] {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

const pinned = (core: number, command: readonly string[]) => ["taskset", "-c", String(core), ...command];

let installed: Promise<boolean> | undefined;

/** The path of a tool; as root it is installed where it is missing. */
export async function tool(name: string, aptPackage = name): Promise<string> {
  const find = () => Bun.which(name, { PATH: `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin` });
  const found = find();
  if (found) return found;
  if (process.getuid?.() === 0 && Bun.which("apt-get")) {
    installed ??= run(["apt-get", "-qq", "update"]).then(() => true);
    await installed.catch(() => false);
    await run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", aptPackage]).catch(() => undefined);
  }
  const path = find();
  if (!path) throw new Skip(`no ${name}`);
  return path;
}

export interface Ran {
  readonly out: string;
  readonly seconds: number;
  /** bytes, at most */
  readonly memory: number;
  /** of a core, all threads together */
  readonly cpuSeconds: number;
}

interface RunOptions {
  /** whether its memory is measured */
  readonly watch?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command to its end; an exit code but 0 is an error. */
export async function run(command: readonly string[], { watch = false, env = {} }: RunOptions = {}): Promise<Ran> {
  const started = performance.now();
  const child = Bun.spawn([...command], { env: { ...ENVIRONMENT, ...env }, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  let memory = 0;
  const watched = watch && setInterval(() => (memory = Math.max(memory, peakMemory(child.pid))), 10);
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const code = await child.exited;
  const seconds = (performance.now() - started) / 1000;
  if (watched) clearInterval(watched);
  const [out, err] = await output;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${err.trim().split("\n").at(-1)}`);
  const used = child.resourceUsage()?.cpuTime.total ?? 0;
  return { out, seconds, memory, cpuSeconds: Number(used) / 1e6 };
}

export const runChp = (args: readonly string[], options?: RunOptions) => run([...COMMAND, ...args], options);
export const runClient = (command: readonly string[]) => run(pinned(CLIENT, command));

/** The most memory that a running process had, in bytes; 0 when it has ended. */
export function peakMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Microseconds of a core that a process has used so far, all its threads together. */
export function usedCpu(pid: number): number {
  const [, , , , , , , , , , , user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
    .map(Number);
  return (user + system) * 10_000; // ticks of 1/100 s
}

export interface Server {
  readonly url: string;
  readonly pid: number;
  [Symbol.asyncDispose](): Promise<void>;
}

interface ServeOptions {
  readonly pin?: boolean;
  readonly log?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** further options of `chp serve` */
  readonly more?: readonly string[];
  readonly tls?: TlsFiles;
}

/** Files of PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** `chp serve`; its log goes to a file, as a service manager would take it. */
export function serveChp(store: string, { pin = true, log = "/dev/null", env = {}, more = [], tls }: ServeOptions = {}): Promise<Server> {
  const listen = tls ? ["--tls-listen", "127.0.0.1:0", "--tls-cert", tls.cert, "--tls-key", tls.key] : [];
  const command = [...COMMAND, "serve", "--quiet", "--store", store, "--listen", "127.0.0.1:0", ...listen, ...more];
  return servedBy(pin ? pinned(SERVER, command) : command, log, env, tls ? 1 : 0);
}

/** A server that does a part of what chp does: step.ts. `reply`: a file. */
export function serveStep(step: string, store: string, reply: string, log: string): Promise<Server> {
  return servedBy(pinned(SERVER, [process.execPath, join(import.meta.dir, "step.ts"), step, store, reply]), log);
}

/** A server that prints its addresses first, of which the one after `skipped` others is taken. */
async function servedBy(command: readonly string[], log: string, env: Readonly<Record<string, string>> = {}, skipped = 0): Promise<Server> {
  const child = Bun.spawn([...command], { env: { ...ENVIRONMENT, ...env }, stdin: "ignore", stdout: "pipe", stderr: openSync(log, "w") });
  const reader = child.stdout.getReader();
  let out = "";
  while (out.split("\n").length < skipped + 2) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`${command.join(" ")} ended with ${await child.exited}`);
    out += Buffer.from(value).toString();
  }
  return server(out.split("\n")[skipped] ?? "", child);
}

/** nginx in one process, with its log in a file as chp has it, serving the files of `root`. */
export async function serveNginx(folder: string, root: string, tls?: TlsFiles): Promise<Server> {
  const nginx = await tool("nginx", "nginx-light");
  const port = freePort();
  mkdirSync(folder, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `  ${name}_temp_path ${folder}/${name};\n`);
  writeFileSync(
    join(folder, "nginx.conf"),
    `${process.getuid?.() === 0 ? "user root;\n" : ""}daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
${temporary.join("")}  access_log ${folder}/access.log;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/json;
  server { listen 127.0.0.1:${port}${tls ? ` ssl; ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key}` : ""}; root ${root}; }
}
`,
  );
  const child = Bun.spawn(pinned(SERVER, [nginx, "-c", join(folder, "nginx.conf")]), {
    env: ENVIRONMENT,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  const answers = () => fetch(url, { tls: { rejectUnauthorized: false } }).catch(() => undefined);
  for (let waited = 0; !(await answers()); waited += 1) {
    if (waited === 200 || child.exitCode !== null) throw new Error("nginx did not start");
    await Bun.sleep(20);
  }
  return server(url, child);
}

/** docker-registry on the core of servers. */
export async function serveDockerRegistry(folder: string): Promise<Registry> {
  return startRegistry(folder, { command: pinned(SERVER, [await tool("docker-registry")]) });
}

const running = new Set<Bun.Subprocess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGTERM");
});

function server(url: string, child: Bun.Subprocess): Server {
  running.add(child);
  return {
    url,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.exited;
      running.delete(child);
    },
  };
}

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
