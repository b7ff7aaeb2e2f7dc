/** A real HAProxy before replicas, with the very configuration of the manual's page: only its addresses are others. */

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { freePort } from "./engines.ts";

const PAGE = resolve(import.meta.dir, "../../bin/manual/replicas.md");

export function haproxyIsInstalled(): boolean {
  return executable() !== null;
}

const executable = () => Bun.which("haproxy", { PATH: `${process.env["PATH"]}:/usr/sbin` });

/** Addresses of a replica, as `HOST:PORT`. */
export interface Behind {
  readonly http: string;
  /** undefined: it has no certificate, and nobody asks for it over TLS */
  readonly tls?: string;
}

export interface Balancer {
  readonly url: string;
  readonly tlsUrl: string;
  /** How many requests, or connections over TLS, each replica has had. */
  served(): Promise<{ readonly reads: readonly number[]; readonly clients: readonly number[] }>;
  /** Waits until it asks every replica, as it does some seconds after each has begun to answer. */
  untilUp(): Promise<void>;
  stop(): Promise<void>;
}

/** The configuration for these addresses. Fails where the page has others than are replaced. */
function configuration(
  replicas: readonly [Behind, Behind],
  own: { readonly http: number; readonly tls: number; readonly stats: string },
): string {
  const [, text] = /^```haproxy\n([\s\S]*?)^```$/m.exec(readFileSync(PAGE, "utf8")) ?? [];
  if (text === undefined) throw new Error("the page has no configuration of HAProxy");
  const named: readonly (readonly [string, string])[] = [
    ["bind :8080", `bind 127.0.0.1:${own.http}`],
    ["bind :8443", `bind 127.0.0.1:${own.tls}`],
    ...replicas.flatMap(({ http, tls }, i) => [[`10.0.0.1${i + 1}:8080`, http] as const, [`10.0.0.1${i + 1}:8443`, tls ?? http] as const]),
  ];
  let changed = text;
  for (const [from, to] of named) {
    if (changed.split(from).length !== 2) throw new Error(`the page's configuration does not name ${from} once`);
    changed = changed.replace(from, to);
  }
  return changed.replace("global\n", `global\n    stats socket ${own.stats} mode 600\n`);
}

export async function startHaproxy(folder: string, replicas: readonly [Behind, Behind]): Promise<Balancer> {
  const own = { http: await freePort(), tls: await freePort(), stats: join(folder, "haproxy.sock") };
  const file = join(folder, "haproxy.cfg");
  writeFileSync(file, configuration(replicas, own));
  const command = [executable() ?? "haproxy", "-f", file];
  const checked = Bun.spawnSync([...command, "-c"]);
  const said = checked.stdout.toString() + checked.stderr.toString();
  if (checked.exitCode !== 0 || /WARNING|ALERT/.test(said)) throw new Error(`haproxy does not take the page's configuration: ${said}`);
  const running = Bun.spawn([...command, "-db"], { stdout: "ignore", stderr: "ignore" });
  const url = `http://127.0.0.1:${own.http}`;
  const stats = async () => {
    const rows = (await ask(own.stats, "show stat\n")).split("\n").map((row) => row.split(","));
    const of = (column: string) => rows[0]?.map((name) => name.replace("# ", "")).indexOf(column) ?? -1;
    const servers = rows.filter((row) => ["a", "b"].includes(row[of("svname")] ?? ""));
    return servers.map((row) => ({ proxy: row[of("pxname")], status: row[of("status")], total: Number(row[of("stot")]) }));
  };
  const untilUp = async () => {
    for (let tries = 0; ; tries += 1) {
      const all = await stats().catch(() => []);
      const asked = all.filter(({ proxy }) => proxy === "reads" || replicas[0].tls !== undefined);
      if (asked.length > 0 && asked.every(({ status }) => status === "UP")) return;
      if (tries > 200 || running.exitCode !== null) throw new Error(`haproxy does not find all replicas: ${JSON.stringify(all)}`);
      await Bun.sleep(50);
    }
  };
  try {
    await untilUp();
  } catch (error) {
    running.kill("SIGKILL");
    throw error;
  }
  return {
    url,
    tlsUrl: `https://127.0.0.1:${own.tls}`,
    untilUp,
    served: async () => {
      const all = await stats();
      const of = (name: string) => all.filter(({ proxy }) => proxy === name).map(({ total }) => total);
      return { reads: of("reads"), clients: of("clients") };
    },
    stop: async () => {
      running.kill("SIGKILL");
      await running.exited;
    },
  };
}

async function ask(socket: string, question: string): Promise<string> {
  const answered = Promise.withResolvers<string>();
  let text = "";
  const connection = await Bun.connect({
    unix: socket,
    socket: {
      data: (_, chunk) => void (text += chunk.toString()),
      close: () => answered.resolve(text),
      error: (_, error) => answered.reject(error),
    },
  });
  connection.write(question);
  return answered.promise;
}
