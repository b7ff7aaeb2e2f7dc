/** Each command that writes into a bucket, ended after so many of its requests: before the next is carried out, and before its answer comes. */

import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey, readSecretKey } from "../../src/archives/signature.ts";
import { sealingKey } from "../../src/archives/storekey.ts";
import { check } from "../../store/check.ts";
import { Bucket } from "../../store/s3.ts";
import { sealerOf } from "../../store/sealing.ts";
import { Spool } from "../../store/spool.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip } from "../build.ts";
import { runProgram } from "../program.ts";
import { error, S3Engine } from "../s3engine.ts";
import { tempFolder } from "../temp.ts";
import { exhaustive, thorough } from "../thorough.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const engine = new S3Engine();
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: engine.fetch });
afterAll(() => server.stop(true));
const key = join(folder.path, "store.key");
const { secret } = createKey("test");
writeFileSync(key, secret, { mode: 0o600 });
const sealer = sealerOf(sealingKey(readSecretKey(secret, "it")), "s3://bucket/site");
const environment = { ...S3Engine.environment(`http://127.0.0.1:${server.port}`), CHP_STORE: "s3://bucket/site", CHP_STORE_KEY: key };
const run = (...args: readonly string[]) => runProgram(args, environment);

const charm = (revision: number) => {
  const file = join(folder.path, `kafka_r${revision}.charm`);
  writeFileSync(
    file,
    charmZip({ name: "kafka", revision, bases: [base("amd64", "22.04")], files: { "src/a.py": `# ${revision}\n`.repeat(9) } }),
  );
  return file;
};
const importOf = (revision: number) => ["import", "--quiet", "--channel", "latest/edge", "--revision", String(revision), charm(revision)];

/** Every object of the bucket is intact, and the history has no gap. */
async function isIntact(): Promise<void> {
  const client = engine.client({ patience: 0 });
  const bucket = new Bucket({ client, spool: new Spool(), sealer: async () => sealer });
  const store = await Store.openOrAwait(bucket);
  if (!store.exists) return;
  const { findings } = await check(store, { dryRun: true, readData: { part: 1, of: 1 } });
  expect(findings.filter(({ severity, problem }) => severity === "damage" && !problem.includes("secret"))).toEqual([]);
  const numbers = await store.generationNumbers();
  expect(numbers).toEqual(numbers.map((_, i) => (numbers[0] ?? 0) + i));
}

interface Killed {
  readonly name: string;
  /** before it; what is there stays for each try */
  readonly before: () => Promise<unknown>;
  readonly command: () => readonly string[];
  readonly after: () => Promise<void>;
}

const listed = async () => (await run("show", "kafka", "--json")).out;
const DAY = 86_400_000;
let late = 0;
engine.now = () => Date.now() + late;

const KILLED: readonly Killed[] = [
  {
    name: "the first import",
    before: async () => {},
    command: () => importOf(1),
    after: async () => expect(await listed()).toContain('"revision": 1'),
  },
  {
    name: "a later import",
    before: () => run(...importOf(1)),
    command: () => importOf(2),
    after: async () => expect(await listed()).toContain('"revision": 2'),
  },
  {
    name: "config of a secret",
    before: () => run(...importOf(1)),
    command: () => [
      "config",
      "--quiet",
      "proxy.oci-registry.domain=r.lan",
      "proxy.oci-registry.username=u",
      "proxy.oci-registry.password=pw",
    ],
    after: async () => expect((await run("config", "--json")).out).toContain("r.lan"),
  },
  {
    name: "gc that marks and prunes",
    before: async () => {
      for (const revision of [1, 2, 3]) await run(...importOf(revision));
      await run("remove", "kafka", "1", "--yes", "--quiet");
      late += 3 * DAY;
    },
    command: () => ["gc", "--quiet", "--keep-generations", "1", "--keep-days", "0"],
    after: async () => expect([...engine.objects.keys()].filter((name) => name.includes("/catalog/"))).toHaveLength(1),
  },
  {
    name: "gc that deletes",
    before: async () => {
      for (const revision of [1, 2, 3]) await run(...importOf(revision));
      late += 3 * DAY;
      await run("gc", "--quiet", "--keep-generations", "1", "--keep-days", "0");
      late += DAY / 4;
    },
    command: () => ["gc", "--quiet", "--keep-generations", "1", "--keep-days", "0"],
    after: async () => expect(await listed()).toContain('"revision": 3'),
  },
];

/** How many requests lie between two tries: a command in this process takes a while. CHP_STRIDE=1 tries each. */
const stride = Number(process.env["CHP_STRIDE"] ?? (exhaustive ? 8 : thorough ? 16 : 40));

for (const { name, before, command, after } of KILLED)
  describe(name, () => {
    test.each([["before a request is carried out"], ["before its answer comes"]] as const)("%s", async (when) => {
      engine.objects.clear();
      engine.weather = {};
      await before();
      const state = new Map(engine.objects);
      for (let n = when === "before its answer comes" ? 3 : 1; ; n += stride) {
        engine.objects.clear();
        for (const [stored, object] of state) engine.objects.set(stored, object);
        let requests = 0;
        const dead = () => ((requests += 1) > n ? error(403, "AccessDenied") : undefined);
        engine.weather =
          when === "before a request is carried out"
            ? { before: dead }
            : { before: () => (requests > n ? error(403, "AccessDenied") : undefined), after: (_request, reply) => dead() ?? reply };
        const { code } = await run(...command());
        engine.weather = {};
        await isIntact();
        if (code === 0 && requests <= n) break;
        const again = await run(...command());
        if (again.code !== 0) throw new Error(`after ${n} requests: ${again.err}`);
        await isIntact();
        await after();
      }
      await after();
    });
  });
