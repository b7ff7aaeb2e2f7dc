/**
 * Real S3-compatible engines, and several servers over them: `make replicas`. Words select: names of engines, and of parts (contract, race,
 * kills, checker, clients, balancer). SECONDS_OF_CHECK is that of the checker, KILLS of each command, SEED of both.
 */

import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createKey } from "../../src/archives/signature.ts";
import { base, charmZip, tarOf } from "../build.ts";
import { COMMAND, chp, NODE, type Served, serve } from "../e2e/chp.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf } from "../registry.ts";
import { NO_WRITER } from "../replicas/putback.ts";
import { randomOf } from "../replicas/time.ts";
import { type CheckerReport, runChecker } from "./checker.ts";
import { check, equal, finish, skip } from "./checks.ts";
import { ENGINES, type Engine } from "./engines.ts";
import { REGISTRY } from "./expect.ts";
import { startFaultProxy } from "./faultproxy.ts";
import { type Behind, haproxyIsInstalled, startHaproxy } from "./haproxy.ts";
import { behind } from "./hub.ts";
import { EXPORTS } from "./world.ts";

const WORK = resolve(".run/replicas");
const BUN = process.execPath;
const BUCKET = "chp";
const seconds = Number(process.env["SECONDS_OF_CHECK"] ?? 30);
const seed = Number(process.env["SEED"] ?? 1);
const NODE_SECONDS = 20;
/** of the requests of each command */
const killsOfEach = Number(process.env["KILLS"] ?? 3);
const CI = process.env["CI"] === "true";

async function output(command: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  const child = Bun.spawn([...command], { env: { ...process.env, ...environment }, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (code !== 0) {
    const lines = (err + out).trim().split("\n");
    const failed = lines.filter((line) => line.startsWith("FAIL"));
    throw new Error(`${command.slice(0, 3).join(" ")} ended with ${code}: ${(failed.length > 0 ? failed : lines.slice(-20)).join(" / ")}`);
  }
  return err + out;
}

/** The contract of a storage, and the proof of a bucket, as `make test` runs them over the engine of its process. */
async function contract(engine: Engine): Promise<void> {
  await check(`${engine.name}: the contract of a storage, and the proof of a bucket`, async () => {
    const environment = { ...engine.environment, CHP_TEST_BUCKET: BUCKET };
    const out = await output([BUN, "test", "test/store/storage.test.ts", "test/store/bucket.test.ts", "-t", "real bucket"], environment);
    const passed = Number(/^ *(\d+) pass$/m.exec(out)?.[1] ?? 0);
    if (passed < 30) throw new Error(`only ${passed} tests ran`);
  });
}

/** Four processes create the same names at the same moments, through a network that loses answers. */
async function race(engine: Engine): Promise<void> {
  const rounds = 60;
  for (const resetAfter of [0, 15])
    await check(
      `${engine.name}: of four processes one wins each of ${rounds} names, with ${resetAfter} % of the answers lost`,
      async () => {
        const proxy = await startFaultProxy(engine.endpoint);
        proxy.faults = { resetAfter };
        try {
          const start = String(Date.now() + 3000);
          const place = `s3://${BUCKET}/race-${resetAfter}`;
          const command = [BUN, join(import.meta.dir, "racer.ts"), place, String(rounds), start];
          const environment = { ...engine.environment, AWS_ENDPOINT_URL: proxy.url };
          const won = await Promise.all(Array.from({ length: 4 }, async () => JSON.parse(await output(command, environment)) as number[]));
          const all = won.flat().toSorted((a, b) => a - b);
          if (all.length !== rounds || new Set(all).size !== rounds) throw new Error(`${all.length} wins of ${new Set(all).size} names`);
          if (resetAfter > 0 && proxy.counts.resetAfter === 0) throw new Error("no answer was lost");
        } finally {
          proxy.stop();
        }
      },
    );
}

async function checked(engine: Engine, command: readonly string[], length: number, lost: number): Promise<CheckerReport> {
  const proxy = await startFaultProxy(engine.endpoint);
  proxy.faults = { resetBefore: 1, resetAfter: lost, slowDown: 1, half: 1, slow: 2, wrongByte: 1 };
  const folder = join(WORK, "checker");
  rmSync(folder, { recursive: true, force: true });
  try {
    const place = `s3://${BUCKET}/${crypto.randomUUID()}`;
    const environment = { ...engine.environment, AWS_ENDPOINT_URL: proxy.url };
    const report = await runChecker({ command, place, environment, folder, seconds: length, seed });
    const faults = Object.entries(proxy.counts).map(([kind, times]) => `${kind} ${times}`);
    const { reads, files, published, collected, changed, failed, killed, stopped, stalest, violations } = report;
    console.log(
      `     histories: ${reads} reads, ${files} files, ${published} imports, ${collected} gcs, ${changed} changes of settings, ${failed} refused`,
    );
    console.log(`     faults: ${killed} killed, ${stopped} stopped; of ${proxy.requests} requests ${faults.join(", ")}`);
    console.log(`     stalest read: ${Math.round(stalest)} ms of 1000; violations: ${violations.length}`);
    return report;
  } finally {
    proxy.stop();
  }
}

async function checker(engine: Engine): Promise<void> {
  await check(`${engine.name}: three servers for ${seconds} s, while processes are killed and answers are lost`, async () => {
    const { violations, reads, published } = await checked(engine, COMMAND, seconds, 3);
    if (violations.length > 0) throw new Error(violations.slice(0, 5).join(" / "));
    if (reads === 0 || published < 2) throw new Error(`${reads} reads of ${published} imports show nothing`);
  });
  if (engine.name !== "versitygw") return; // once is enough
  await check(`by plain Node: three servers for ${NODE_SECONDS} s, while processes are killed and answers are lost`, async () => {
    const { violations, reads, published } = await checked(engine, [NODE, resolve("dist/chp.mjs")], NODE_SECONDS, 3);
    if (violations.length > 0) throw new Error(violations.slice(0, 5).join(" / "));
    if (reads === 0 || published < 2) throw new Error(`${reads} reads of ${published} imports show nothing`);
  });
  await check("the checker finds that a create does not ask who took its name", async () => {
    const tree = join(WORK, "patched");
    rmSync(tree, { recursive: true, force: true });
    mkdirSync(tree, { recursive: true });
    for (const folder of ["bin", "src", "handlers", "store"]) cpSync(folder, join(tree, folder), { recursive: true });
    for (const file of ["package.json", "tsconfig.json"]) cpSync(file, join(tree, file));
    symlinkSync(resolve("node_modules"), join(tree, "node_modules"));
    const path = join(tree, "store", NO_WRITER.file);
    const text = readFileSync(path, "utf8");
    if (!NO_WRITER.find.test(text)) throw new Error("the fault that is put in must be written anew");
    writeFileSync(path, text.replace(NO_WRITER.find, NO_WRITER.put));
    for (let tries = 0; tries < 4; tries += 1) {
      const { violations } = await checked(engine, [BUN, join(tree, "bin", "chp.ts")], 20, 30);
      if (violations.length > 0) return console.log(`     found: ${violations[0]}`);
    }
    throw new Error("it was not found");
  });
}

/** Commands that write are killed when so many of their requests were sent: nothing is damaged, and the same command again succeeds. */
async function kills(engine: Engine): Promise<void> {
  const random = randomOf(seed);
  const folder = join(WORK, "kills");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const key = join(folder, "store.key");
  writeFileSync(key, createKey("kills").secret, { mode: 0o600 });
  const place = `s3://${BUCKET}/${crypto.randomUUID()}`;
  const proxy = await startFaultProxy(engine.endpoint);
  const env = { ...process.env, ...engine.environment, AWS_ENDPOINT_URL: proxy.url, CHP_STORE: place, CHP_STORE_KEY: key };
  /** `killed`: after so many requests. */
  const run = async (args: readonly string[], killed?: { readonly after: number; readonly isAnswered: boolean }) => {
    const child = Bun.spawn([...COMMAND, ...args], { env, stdout: "pipe", stderr: "pipe" });
    proxy.requests = 0;
    proxy.end = killed && { ...killed, happens: () => child.kill("SIGKILL") };
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    proxy.end = undefined;
    if (code !== 0 && !killed) throw new Error(`chp ${args[0]} ended with ${code}: ${err}`);
    return { out, code, isKilled: child.signalCode === "SIGKILL", requests: proxy.requests };
  };
  const importOf = (revision: number) => {
    const file = join(folder, `killed_r${revision}.charm`);
    writeFileSync(file, charmZip({ name: "killed", revision, bases: [base("amd64", "22.04")] }));
    return ["import", "--quiet", "--channel", "latest/edge", "--revision", String(revision), file];
  };
  const login = (turn: number) => ["domain=r.lan", "username=u", `password=${turn}`].map((text) => `proxy.oci-registry.${text}`);
  const commands: Readonly<Record<string, (turn: number) => readonly string[]>> = {
    import: (turn) => importOf(turn + 1),
    config: (turn) => ["config", "--quiet", ...login(turn)],
    gc: () => ["gc", "--quiet", "--keep-generations", "2", "--keep-days", "0"],
    copy: (turn) => ["copy", "--quiet", place, `${place}-${turn}`],
  };
  try {
    await run(importOf(1));
    for (const [name, command] of Object.entries(commands))
      await check(`${engine.name}: ${name}, killed at ${killsOfEach} of its requests`, async () => {
        const { requests } = await run(command(1));
        const at: string[] = [];
        for (let turn = 2; turn < killsOfEach + 2; turn += 1) {
          const killed = { after: 1 + Math.floor(random() * requests), isAnswered: random() < 0.5 };
          const { isKilled } = await run(command(turn), killed);
          if (isKilled) at.push(`${killed.after}${killed.isAnswered ? " answered" : ""}`);
          await run(["verify", "--quiet", "--read-data"]);
          await run(command(turn));
          if (name === "copy") await run(["verify", "--quiet", "--read-data", "--store", `${place}-${turn}`]);
          if (name === "import" && !(await run(["show", "killed", "--json"])).out.includes(`"revision": ${turn + 1}`))
            throw new Error(`revision ${turn + 1} is not there`);
        }
        console.log(`     of ${requests} requests: ${at.join(", ")}`);
        if (at.length === 0) throw new Error("none was killed");
      });
  } finally {
    proxy.stop();
  }
}

/** Real clients of Juju and snapd against two servers behind HAProxy: test/interop/run.ts with its store in the bucket. */
async function clients(engine: Engine): Promise<void> {
  const credentials = join(WORK, "credentials");
  mkdirSync(credentials, { recursive: true });
  writeFileSync(join(credentials, "store-key"), createKey("replicas").secret, { mode: 0o600 });
  const environment = { ...engine.environment, CHP_TEST_BUCKET: BUCKET, CREDENTIALS_DIRECTORY: credentials };
  await check(`${engine.name}: real clients of Juju and snapd against two servers behind HAProxy`, async () => {
    // A bootstrap asks a server of its own, over a folder.
    const out = await output([BUN, join(import.meta.dir, "run.ts"), "juju", "snapd"], environment);
    console.log(`     ${out.trim().split("\n").at(-1)}`);
  });
}

/** What an operator sets up by the manual: certificate, token, two replicas, HAProxy. Then one replica is killed while clients ask. */
async function balancer(engine: Engine): Promise<void> {
  const folder = join(WORK, "balancer");
  rmSync(folder, { recursive: true, force: true });
  const at = (name: string) => join(folder, name);
  mkdirSync(at("trusted"), { recursive: true });
  writeFileSync(at("store.key"), createKey("replicas").secret, { mode: 0o600 });
  const place = `s3://${BUCKET}/${crypto.randomUUID()}`;
  const env = { ...engine.environment, CHP_STORE: place, CHP_STORE_KEY: at("store.key") };
  const done = async (...args: readonly string[]) => {
    const { code, out, err } = await chp(args, { env });
    if (code !== 0) throw new Error(`chp ${args[0]} ended with ${code}: ${err}`);
    return out;
  };
  const exported = at(Object.keys(EXPORTS)[0] ?? "");
  writeFileSync(exported, Object.values(EXPORTS)[0] ?? "");
  await done("import-certificate", "--selfsigned");
  writeFileSync(at("trusted/ca.crt"), await done("config", "proxy.tls.cert"));
  await done("token", "build-host", "--may", "import,push", "--out", at("token"));
  await done("config", "registry.push=on", ...Object.entries(REGISTRY).map(([key, value]) => `proxy.oci-registry.${key}=${value}`));
  const start = (...[http = "127.0.0.1:0", tls = "127.0.0.1:0"]: readonly string[]) =>
    serve(place, ["--listen", http, "--tls-listen", tls].slice(http === "127.0.0.1:0" ? 2 : 0), env);
  const servers = [await start(), await start()] as const;
  const [first, second] = servers.map(behind) as [Behind, Behind];
  const proxy = await startHaproxy(folder, [first, second]);
  const running: Served[] = [...servers];
  try {
    await check("an import from another machine through HAProxy", async () => {
      await done("import", "--to", proxy.tlsUrl, "--token-file", at("token"), "--ca", at("trusted/ca.crt"), exported);
      const { clients: connections } = await proxy.served();
      if (connections.every((count) => count === 0)) throw new Error("HAProxy had no connection");
      await Bun.sleep(1000); // the lag
    });
    await check("Juju's clients go on while a replica is killed", async () => {
      const before = (await proxy.served()).reads;
      const asking = output([BUN, join(import.meta.dir, "run.ts"), "juju"], { CHP_URL: proxy.url, CHP_TEST_BUCKET: "" });
      const ended = asking.then(
        () => true,
        () => true,
      );
      const state = { isOver: false };
      void ended.then(() => (state.isOver = true));
      const reads: number[] = [];
      const read = async () => {
        while (!state.isOver) {
          const body = JSON.stringify({ context: [], actions: [], fields: [] });
          const headers = { "Content-Type": "application/json" };
          const reply = await fetch(`${proxy.url}/v2/charms/refresh`, { method: "POST", body, headers });
          await reply.bytes();
          reads.push(reply.status);
          await Bun.sleep(5);
        }
      };
      const reading = Promise.all([read(), read()]);
      while (!state.isOver && ((await proxy.served()).reads[0] ?? 0) < (before[0] ?? 0) + 50) await Bun.sleep(10);
      if (state.isOver) throw new Error("the clients ended before a replica was killed");
      process.kill(servers[0].pid, "SIGKILL");
      const out = await asking;
      await reading;
      const wrong = reads.filter((status) => status !== 200).length;
      const after = (await proxy.served()).reads;
      console.log(
        `     ${out.trim().split("\n").at(-1)}; ${reads.length} refreshes beside them, ${wrong} failed; ${after.join(" and ")} requests`,
      );
      if (wrong > 0) throw new Error(`${wrong} of ${reads.length} refreshes failed`);
      if ((after[1] ?? 0) - (before[1] ?? 0) < 100) throw new Error("the other replica was hardly asked");
    });
    await check("HAProxy asks a replica again that comes back", async () => {
      running[0] = await start(first.http, first.tls ?? "");
      await proxy.untilUp();
      const before = (await proxy.served()).reads[0] ?? 0;
      for (let i = 0; i < 4; i += 1) await (await fetch(`${proxy.url}/_status/check`)).bytes();
      if (((await proxy.served()).reads[0] ?? 0) - before < 2) throw new Error("it was not asked");
    });
    await check("skopeo pushes through HAProxy, and every replica serves the image", async () => {
      const image = imageOf({ files: { pushed: "through a balancer" } });
      writeFileSync(at("image.tar"), tarOf(layoutOf([{ image, name: "pushed:1" }])));
      const { host } = new URL(proxy.tlsUrl);
      const token = readFileSync(at("token"), "utf8").trim();
      const login = ["--dest-cert-dir", at("trusted"), "--dest-creds", `any:${token}`];
      await output(
        ["skopeo", "copy", "--insecure-policy", "-q", ...login, `oci-archive:${at("image.tar")}`, `docker://${host}/team/pushed:1`],
        {},
      );
      await Bun.sleep(1000); // the lag
      for (const { urls } of running) {
        const headers = { Authorization: `Basic ${btoa(`${REGISTRY.username}:${REGISTRY.password}`)}` };
        const reply = await fetch(`${urls[0]}/v2/team/pushed/manifests/1`, { headers });
        equal([reply.status, reply.headers.get("Docker-Content-Digest")], [200, `sha256:${image.digest}`]);
      }
    });
    await check("an import that is sent to each replica is served by the other", async () => {
      for (const [i, server] of running.entries()) {
        const name = `sent-to-${i}`;
        const file = at(`${name}_r1.charm`);
        writeFileSync(file, charmZip({ name, revision: 1, bases: [base("amd64", "22.04")] }));
        const tls = server.urls.find((url) => url.startsWith("https:")) ?? "";
        const remote = ["--to", tls, "--token-file", at("token"), "--ca", at("trusted/ca.crt")];
        await done("import", "--channel", "latest/stable", ...remote, file);
        await Bun.sleep(1000); // the lag
        const reply = await fetch(`${running[1 - i]?.urls[0]}/v2/charms/info/${name}?fields=channel-map`);
        equal([reply.status, ((await reply.json()) as { name?: string }).name], [200, name]);
      }
    });
  } finally {
    await proxy.stop();
    for (const server of running) await server.stop();
  }
}

const PARTS = { contract, race, kills, checker, clients, balancer };
/** Parts behind HAProxy: one engine is enough. */
const BALANCED = ["clients", "balancer"];
const wanted = process.argv.slice(2);
const isWanted = (name: string, all: readonly string[]) => wanted.includes(name) || !all.some((one) => wanted.includes(one));
for (const [name, { why, start }] of Object.entries(ENGINES)) {
  if (!isWanted(name, Object.keys(ENGINES))) continue;
  const missing = why();
  if (missing !== undefined && !CI) {
    skip(`${name}: ${missing}`);
    continue;
  }
  const folder = join(WORK, name);
  rmSync(folder, { recursive: true, force: true });
  let engine: Engine | undefined;
  await check(`${name} starts`, async () => {
    engine = await start(folder);
    await engine.makeBucket(BUCKET);
  });
  if (!engine) continue;
  try {
    for (const [part, run] of Object.entries(PARTS)) {
      if (!isWanted(part, Object.keys(PARTS)) || (BALANCED.includes(part) && name !== "versitygw")) continue;
      if (BALANCED.includes(part) && !haproxyIsInstalled() && !CI) {
        skip(`${name}, ${part}: haproxy is not installed: apt-get install haproxy`);
        continue;
      }
      await run(engine);
    }
  } finally {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
finish();
