/**
 * Several servers over one bucket, writers, garbage collectors and changes of settings beside them, while processes are killed and stopped and
 * answers are lost: what each reader saw is held against what was acknowledged when.
 */

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, charmZip } from "../build.ts";
import { randomOf } from "../replicas/time.ts";

export interface CheckerOptions {
  /** how chp is run */
  readonly command: readonly string[];
  /** `s3://BUCKET/PREFIX` */
  readonly place: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly seconds: number;
  readonly seed: number;
  readonly replicas?: number;
  readonly readers?: number;
}

export interface CheckerReport {
  readonly violations: readonly string[];
  readonly reads: number;
  readonly files: number;
  readonly published: number;
  readonly collected: number;
  readonly changed: number;
  readonly killed: number;
  readonly stopped: number;
  /** commands that failed for what was done to them */
  readonly failed: number;
  /** milliseconds; of the read that missed the oldest acknowledged generation */
  readonly stalest: number;
}

const LAG = 1000;
const JAMMY = base("amd64", "22.04");
const NAME = "checked";

/** A generation as it was acknowledged. */
interface Acknowledged {
  readonly number: number;
  readonly revision: number;
  readonly at: number;
}

interface Replica {
  process: Bun.Subprocess;
  url: string;
  /** of this process: the newest generation that a read that has ended saw */
  seen: number;
  isStopped: boolean;
}

export async function runChecker(options: CheckerOptions): Promise<CheckerReport> {
  const { command, place, folder, seconds, seed } = options;
  const random = randomOf(seed);
  const env = { ...process.env, ...options.environment, CHP_STORE: place };
  const violations: string[] = [];
  const acknowledged: Acknowledged[] = [];
  const sum = { reads: 0, files: 0, published: 0, collected: 0, changed: 0, killed: 0, stopped: 0, failed: 0, stalest: 0 };
  mkdirSync(folder, { recursive: true });
  let begun = performance.now();
  const isOver = () => performance.now() - begun > seconds * 1000;
  const wrong = (what: string) => {
    if (violations.length < 100) violations.push(`${((performance.now() - begun) / 1000).toFixed(3)} s: ${what}`);
  };
  const running = new Set<Bun.Subprocess>();

  const run = async (...args: readonly string[]) => {
    const child = Bun.spawn([...command, ...args], { env, stdout: "pipe", stderr: "pipe" });
    running.add(child);
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    running.delete(child);
    return { code, out, err, isKilled: child.signalCode !== null };
  };

  let revisions = 0;
  const importNext = async (by: string): Promise<void> => {
    const revision = (revisions += 1);
    const file = join(folder, `${NAME}_r${revision}.charm`);
    // More than a server sends from memory.
    const noise = randomBytes(300_000).toString("base64");
    writeFileSync(file, charmZip({ name: NAME, revision, bases: [JAMMY], files: { "src/charm.py": `# ${revision} ${noise}\n` } }));
    const { code, out, err, isKilled } = await run(
      "import",
      "--json",
      "--quiet",
      "--channel",
      "latest/edge",
      "--revision",
      String(revision),
      file,
    );
    const at = performance.now();
    if (isKilled) return;
    if (code !== 0) {
      sum.failed += 1;
      if (!/does not answer|too busy|signed|began|took this one|meanwhile/.test(err))
        wrong(`${by}: import of ${revision} failed: ${err.trim()}`);
      return;
    }
    const { generation } = JSON.parse(out) as { generation: number | null };
    if (generation === null) return wrong(`${by}: import of revision ${revision} says that nothing was new`);
    const other = acknowledged.find(({ number }) => number === generation);
    if (other) wrong(`${by}: generation ${generation} was acknowledged to two imports, of revisions ${other.revision} and ${revision}`);
    acknowledged.push({ number: generation, revision, at });
    sum.published += 1;
  };

  const start = async (): Promise<Replica> => {
    const child = Bun.spawn([...command, "serve", "--listen", "127.0.0.1:0", "--wait-for-store", "--quiet"], {
      env,
      stdout: "pipe",
      stderr: "ignore",
    });
    running.add(child);
    let text = "";
    for await (const chunk of child.stdout) {
      text += Buffer.from(chunk).toString();
      if (text.includes("\n")) break;
    }
    return { process: child, url: text.split("\n")[0] ?? "", seen: 0, isStopped: false };
  };

  // Answers are lost from the start, so an import may fail; readers begin when there is something.
  for (let tries = 0; tries < 5 && acknowledged.length === 0; tries += 1) await importNext("first");
  const replicas = await Promise.all(Array.from({ length: options.replicas ?? 3 }, start));
  begun = performance.now(); // however long these took
  const anyReplica = () => replicas[Math.floor(random() * replicas.length)] as Replica;

  const read = async (): Promise<void> => {
    const replica = anyReplica();
    const { process: incarnation, seen } = replica;
    const from = performance.now();
    try {
      const reply = await fetch(`${replica.url}/_status/check`, { signal: AbortSignal.timeout(20_000) });
      const { generation, storage } = (await reply.json()) as { generation: number; storage?: { state: string } };
      sum.reads += 1;
      if (generation < seen) wrong(`a replica went back from generation ${seen} to ${generation}`);
      if (replica.process === incarnation) replica.seen = Math.max(replica.seen, generation);
      const missed = acknowledged.filter(({ number }) => number > generation).toSorted((a, b) => a.at - b.at)[0];
      if (!missed || storage?.state === "away") return;
      const stale = from - missed.at;
      sum.stalest = Math.max(sum.stalest, stale);
      if (stale > LAG + 50) wrong(`a read saw generation ${generation} ${Math.round(stale)} ms after ${missed.number} was acknowledged`);
    } catch {
      // it was killed or is stopped
    }
  };

  /** What one replica announces, another serves. */
  const follow = async (): Promise<void> => {
    const [a, b] = [anyReplica(), anyReplica()];
    const [first, second] = [a.process, b.process];
    try {
      const info = await fetch(`${a.url}/v2/charms/info/${NAME}?fields=channel-map`, { signal: AbortSignal.timeout(20_000) });
      if (info.status !== 200) return info.status === 404 ? wrong(`info of ${NAME}: 404`) : undefined;
      const text = await info.text();
      const path = /\/api\/v1\/charms\/download\/[^"]+/.exec(text)?.[0];
      const sha256 = /"hash-sha-256":"([0-9a-f]{64})"/.exec(text)?.[1];
      if (path === undefined) return wrong("an info without a file");
      const file = await fetch(b.url + path, { signal: AbortSignal.timeout(20_000) });
      const bytes = await file.arrayBuffer();
      if (file.status === 404) return wrong(`${path}, which a replica announced, is a 404`);
      if (file.status !== 200) return undefined; // 503: the bucket did not answer
      sum.files += 1;
      const digest = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
      if (digest !== sha256) wrong(`${path} has sha256 ${digest}, not ${sha256}`);
    } catch (error) {
      // what was killed meanwhile, or a reply that broke off with its bucket
      if (a.process === first && b.process === second && !(error instanceof Error)) wrong(String(error));
    }
    return undefined;
  };

  const loop = async (work: () => Promise<void>, pause: number) => {
    while (!isOver()) {
      await work();
      await Bun.sleep(pause * random());
    }
  };

  const chaos = async () => {
    const at = Math.floor(random() * replicas.length);
    const replica = replicas[at] as Replica;
    const kind = random();
    if (kind < 0.25) {
      replica.process.kill("SIGKILL");
      running.delete(replica.process);
      sum.killed += 1;
      replicas[at] = await start();
    } else if (kind < 0.5) {
      replica.process.kill("SIGSTOP");
      sum.stopped += 1;
      await Bun.sleep(2500 * random());
      replica.process.kill("SIGCONT");
    } else {
      const writers = [...running].filter((child) => !replicas.some(({ process: server }) => server === child));
      const writer = writers[Math.floor(random() * writers.length)];
      if (!writer) return;
      if (kind < 0.7) {
        writer.kill("SIGKILL");
        sum.killed += 1;
      } else {
        writer.kill("SIGSTOP");
        sum.stopped += 1;
        await Bun.sleep(2500 * random());
        writer.kill("SIGCONT");
      }
    }
  };

  const collect = async () => {
    const { code, isKilled } = await run("gc", "--quiet", "--keep-generations", "3", "--keep-days", "0", "--older-than", "0");
    if (code === 0) sum.collected += 1;
    else if (!isKilled) sum.failed += 1;
  };
  let settings = 0;
  const acknowledgedSettings = { value: 0 };
  const configure = async () => {
    const value = 1_000_000 + (settings += 1);
    const { code, isKilled } = await run("config", "--quiet", `registry.push.max-size=${value}`);
    if (code === 0) {
      sum.changed += 1;
      acknowledgedSettings.value = value;
    } else if (!isKilled) sum.failed += 1;
  };

  await Promise.all([
    loop(() => importNext("writer 1"), 300),
    loop(() => importNext("writer 2"), 300),
    loop(collect, 1500),
    loop(configure, 1500),
    loop(chaos, 1500),
    ...Array.from({ length: options.readers ?? 9 }, (_, i) => loop(i % 3 === 0 ? follow : read, 40)),
  ]);
  for (const { process: server } of replicas) server.kill("SIGKILL");

  const log = await run("log", "--json");
  const numbers = log.code === 0 ? (JSON.parse(log.out) as { number: number }[]).map(({ number }) => number).toSorted((a, b) => a - b) : [];
  for (const [i, number] of numbers.entries())
    if (i > 0 && number !== (numbers[i - 1] ?? 0) + 1) wrong(`there is a gap before generation ${number}`);
  const last = Math.max(0, ...acknowledged.map(({ number }) => number));
  if ((numbers.at(-1) ?? 0) < last) wrong(`generation ${last} was acknowledged, and ${numbers.at(-1)} is the newest`);
  const verify = await run("verify", "--read-data");
  if (verify.code !== 0) wrong(`chp verify: ${verify.out.trim()} ${verify.err.trim()}`);
  const list = await run("show", NAME, "--json");
  for (const { revision } of acknowledged)
    if (!new RegExp(`"revision": ${revision}\\b`).test(list.out)) wrong(`revision ${revision} was acknowledged, and is gone`);
  const config = await run("config", "--json");
  const value = Number(/registry\.push\.max-size[\s\S]*?(\d{7,})/.exec(config.out)?.[1] ?? 0);
  if (value < acknowledgedSettings.value) wrong(`the setting ${acknowledgedSettings.value} was acknowledged, and ${value} holds`);
  return { violations, ...sum };
}
