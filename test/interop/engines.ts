/** Real S3-compatible engines on this machine: versitygw, built from its Go module, and a Ceph object gateway of the distribution's packages. */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EMPTY_PAYLOAD, signHeaders } from "../../store/sigv4.ts";
import { goIsInstalled, program } from "./program.ts";

const KEYS = { id: "CHPTESTKEY", secret: "chp+test/secret" };
const REGION = "us-east-1";

export interface Engine {
  readonly name: string;
  readonly endpoint: string;
  /** for chp and its tests */
  readonly environment: Readonly<Record<string, string>>;
  /** process ids, that of what answers first */
  readonly pids: readonly number[];
  makeBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

export const ENGINES: Readonly<
  Record<string, { readonly why: () => string | undefined; readonly start: (folder: string) => Promise<Engine> }>
> = {
  versitygw: { why: () => (goIsInstalled() ? undefined : "Go is not installed"), start: startVersitygw },
  ceph: {
    why: () => {
      const missing = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"].find((name) => Bun.which(name) === null);
      if (missing !== undefined) return `${missing} is not installed: apt-get install ceph-mon ceph-osd radosgw ceph-common`;
      return process.getuid?.() === 0 ? undefined : "Ceph's daemons need root";
    },
    start: startCeph,
  },
};

async function startVersitygw(folder: string): Promise<Engine> {
  const built = await program("versitygw", { package: "github.com/versity/versitygw/cmd/versitygw" });
  const port = await freePort();
  mkdirSync(join(folder, "data"), { recursive: true });
  const log = join(folder, "log");
  const running = Bun.spawn(
    [built, "--port", `127.0.0.1:${port}`, "--region", REGION, "--quiet", "--keep-alive", "posix", join(folder, "data")],
    {
      env: { ...process.env, ROOT_ACCESS_KEY: KEYS.id, ROOT_SECRET_KEY: KEYS.secret },
      stdout: Bun.file(log),
      stderr: Bun.file(`${log}.err`),
    },
  );
  return engine("versitygw", port, [running.pid], `${log}.err`);
}

async function startCeph(folder: string): Promise<Engine> {
  const [monitor, gateway] = [await freePort(), await freePort()];
  const script = Bun.spawn([join(import.meta.dir, "ceph.sh"), folder, String(monitor), String(gateway), KEYS.id, KEYS.secret], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const [out, code] = await Promise.all([new Response(script.stdout).text(), script.exited]);
  const log = join(folder, "log", "start");
  if (code !== 0) throw new Error(`Ceph does not start: ${readFileSync(log, "utf8").trim().split("\n").slice(-5).join(" / ")}`);
  return engine("ceph", gateway, out.trim().split("\n").map(Number), log);
}

async function engine(name: string, port: number, pids: readonly number[], log: string): Promise<Engine> {
  const endpoint = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await fetch(endpoint).catch(() => undefined)); tries += 1) {
    if (tries > 200) throw new Error(`${name} does not start: ${readFileSync(log, "utf8")}`);
    await Bun.sleep(50);
  }
  return {
    name,
    endpoint,
    environment: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: KEYS.id,
      AWS_SECRET_ACCESS_KEY: KEYS.secret,
    },
    pids,
    makeBucket: async (bucket) => {
      const url = new URL(`${endpoint}/${bucket}`);
      const headers = signHeaders({ method: "PUT", url, payload: EMPTY_PAYLOAD }, { credentials: KEYS, region: REGION }, Date.now());
      const reply = await fetch(url, { method: "PUT", headers });
      if (!reply.ok) throw new Error(`${name} makes no bucket: ${await reply.text()}`);
    },
    stop: async () => {
      for (const pid of pids) kill(pid, "SIGKILL");
      for (const pid of pids) while (kill(pid, 0)) await Bun.sleep(20);
    },
  };
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

export async function freePort(): Promise<number> {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port = 0 } = probe;
  await probe.stop(true);
  return port;
}
