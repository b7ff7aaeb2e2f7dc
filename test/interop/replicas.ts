/**
 * Real S3-compatible engines, and several servers over them: `make replicas`. Words select: names of engines, and of parts (contract, race,
 * checker, clients). SECONDS_OF_CHECK and SEED are those of the checker.
 */

import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createKey } from "../../src/archives/signature.ts";
import { COMMAND } from "../e2e/chp.ts";
import { NO_WRITER } from "../replicas/putback.ts";
import { type CheckerReport, runChecker } from "./checker.ts";
import { check, finish, skip } from "./checks.ts";
import { ENGINES, type Engine } from "./engines.ts";
import { startFaultProxy } from "./faultproxy.ts";

const WORK = resolve(".run/replicas");
const BUN = process.execPath;
const BUCKET = "chp";
const seconds = Number(process.env["SECONDS_OF_CHECK"] ?? 30);
const seed = Number(process.env["SEED"] ?? 1);
const CI = process.env["CI"] === "true";

async function output(command: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  const child = Bun.spawn([...command], { env: { ...process.env, ...environment }, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (code !== 0)
    throw new Error(`${command.slice(0, 3).join(" ")} ended with ${code}: ${(err + out).trim().split("\n").slice(-20).join(" / ")}`);
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

/** Real clients of Juju and snapd against two servers behind a round robin: test/interop/run.ts with its store in the bucket. */
async function clients(engine: Engine): Promise<void> {
  const credentials = join(WORK, "credentials");
  mkdirSync(credentials, { recursive: true });
  writeFileSync(join(credentials, "store-key"), createKey("replicas").secret, { mode: 0o600 });
  const environment = { ...engine.environment, CHP_TEST_BUCKET: BUCKET, CREDENTIALS_DIRECTORY: credentials };
  await check(`${engine.name}: real clients of Juju and snapd against two servers behind a round robin`, async () => {
    const out = await output([BUN, join(import.meta.dir, "run.ts")], environment);
    console.log(`     ${out.trim().split("\n").at(-1)}`);
  });
}

const PARTS = { contract, race, checker, clients };
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
      if (!isWanted(part, Object.keys(PARTS)) || (part === "clients" && name !== "versitygw")) continue;
      await run(engine);
    }
  } finally {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
finish();
