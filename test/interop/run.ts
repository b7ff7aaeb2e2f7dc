/** Real clients of Juju and snapd against chp: `make interop`. */

import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { chp, tempFolder } from "../e2e/chp.ts";
import { addCounts, check, finish, skip } from "./checks.ts";
import { commands } from "./cli.ts";
import { EXPECT_FIRST, EXPECT_HELD, EXPECT_LATER, REGISTRY } from "./expect.ts";
import { serveHub, settled, storeIn } from "./hub.ts";
import { type Build, goIsInstalled, program } from "./program.ts";
import { SNAPS, SNAPS_LATER, snapCommands, writeSnaps } from "./snap.ts";
import { snapDaemon } from "./snapdaemon.ts";
import { fromNothing, overTls } from "./tls.ts";
import { EXPORTS } from "./world.ts";

const WORK = resolve(".run/interop");
const VERSIONS = { "2.9": "cli29", "3.6": "cli36", "4.1": "cli41" };

/** A program's own checks; every line of its is one. */
async function asks(path: string, ...args: readonly string[]): Promise<void> {
  const child = Bun.spawn([path, ...args], { stdout: "pipe", stderr: "inherit" });
  const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  const lines = out.trimEnd().split("\n");
  const summary = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? "");
  console.log(lines.slice(0, summary ? -1 : undefined).join("\n"));
  addCounts({ passed: Number(summary?.[1] ?? 0), failed: Number(summary?.[2] ?? 0) });
  if (!summary || (code !== 0 && summary[2] === "0"))
    await check(`${basename(path)} ended with ${code}`, () => Promise.reject(new Error("no result")));
}

async function controller(path: string, url: string, expect: object): Promise<void> {
  using folder = tempFolder();
  const file = join(folder.path, "expect.json");
  writeFileSync(file, JSON.stringify(expect));
  await asks(path, url, file);
}

async function done(args: readonly string[]): Promise<void> {
  const { code, err } = await chp(args);
  if (code !== 0) throw new Error(`exit ${code}: ${err}`);
  await settled();
}

async function first(url: string): Promise<void> {
  for (const [version, name] of Object.entries(VERSIONS)) await commands(version, await program(name), url, check);
  await controller(await program("controller36"), url, EXPECT_FIRST);
}

async function juju(): Promise<void> {
  const folder = join(WORK, "exports");
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(EXPORTS)) writeFileSync(join(folder, name), bytes);
  const [earlier = "", later = ""] = Object.keys(EXPORTS).map((name) => join(folder, name));
  const other = process.env["CHP_URL"];
  if (other) {
    await first(other);
    return skip("the upgrade: CHP_URL names a hub that runs already");
  }
  using temporary = tempFolder();
  const store = storeIn(temporary.path);
  await check("import an export", () => done(["import", "--store", store, earlier]));
  const registry = Object.entries(REGISTRY).map(([key, value]) => `proxy.oci-registry.${key}=${value}`);
  await check("name a local registry", () => done(["config", "--store", store, ...registry]));
  await fromNothing(await program(VERSIONS["3.6"]), earlier, check);
  for (const [version, name] of Object.entries(VERSIONS)) await overTls(version, await program(name), store, check);
  const served = await serveHub(store);
  try {
    await first(served.url);
    await check("import the next export while it serves", () => done(["import", "--store", store, later]));
    await controller(await program("controller36"), served.url, EXPECT_LATER);
    const hold = ["acme-web", "31", "2/stable", "--reason", "34 is not tested yet"];
    await check("hold a channel while it serves", () => done(["override", "--store", store, ...hold]));
    await controller(await program("controller36"), served.url, EXPECT_HELD);
    await check("roll back while it serves", () => done(["rollback", "--store", store, "1"]));
    await controller(await program("controller36"), served.url, EXPECT_FIRST);
  } finally {
    await served.stop();
  }
}

const TEST_KEYS: Build = { module: "snapd", tags: "nosecboot withtestkeys" };
const SNAPD = "github.com/snapcore/snapd/cmd";

async function snapd(): Promise<void> {
  if (process.env["CHP_URL"]) return skip("snapd: CHP_URL names a hub that runs already");
  const client = await program("snapd", TEST_KEYS);
  const snap = await program("snap", { ...TEST_KEYS, package: `${SNAPD}/snap` });
  const daemon = await program("daemon", { ...TEST_KEYS, package: `${SNAPD}/snapd` });
  using temporary = tempFolder();
  const at = (name: string) => join(temporary.path, name);
  const store = storeIn(temporary.path);
  const served = await serveHub(store);
  const take = async (folder: string, snaps: typeof SNAPS, ...options: readonly string[]) => {
    mkdirSync(folder);
    writeSnaps(folder, snaps);
    const { exitCode, stderr } = Bun.spawnSync([client, "sign", served.url, folder]);
    if (exitCode !== 0) throw new Error(stderr.toString());
    await done(["import", "--store", store, ...options, folder]);
  };
  try {
    const world = at("world");
    await check("import what snapd's own code signed", () => take(world, SNAPS, "--trust", at("root.assert")));
    await asks(client, "ask", served.url, world);
    await snapCommands({ name: "snap with test keys:", executable: snap, trusts: true }, served.url, world, check);
    const stock = Bun.which("snap");
    if (stock !== null || CI) await snapCommands({ name: "stock", executable: stock ?? "snap", trusts: false }, served.url, world, check);
    else skip("the distribution's snap command: it is not installed (apt-get install snapd)");
    const lacks =
      process.getuid?.() !== 0 ? "only root may run it" : Bun.which("unsquashfs") === null && "it needs unsquashfs (apt-get install snapd)";
    if (lacks && !CI) skip(`snapd itself: ${lacks}`);
    else await snapDaemon({ snap, snapd: daemon }, served.url, check, () => take(at("later"), SNAPS_LATER));
  } finally {
    await served.stop();
  }
}

const CI = process.env["CI"] === "true";
const installed = goIsInstalled();
const wanted = process.argv.slice(2);
for (const part of [juju, snapd]) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  if (installed || CI) await part().catch((error: unknown) => check(`run ${part.name} to the end`, () => Promise.reject(error)));
  else skip(`all of ${part.name}: Go is not installed, so no client can be built`);
}
finish();
