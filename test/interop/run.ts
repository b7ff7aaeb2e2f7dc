/** Real clients of Juju and snapd against chp: `make interop`. */

import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { chp, tempFolder } from "../e2e/chp.ts";
import { bootstrap } from "./bootstrap.ts";
import { addCounts, check, finish, skip } from "./checks.ts";
import { commands } from "./cli.ts";
import { EXPECT_FIRST, EXPECT_HELD, EXPECT_LATER, REGISTRY } from "./expect.ts";
import { serveHub, settled, storeIn } from "./hub.ts";
import { libjujuCommand, libjujuExpectation, libjujuOverTls, pythonIsInstalled } from "./libjuju.ts";
import { prepareImages } from "./prepareimage.ts";
import { type Build, goIsInstalled, program } from "./program.ts";
import { SNAPS, SNAPS_LATER, snapCommands, writeSnaps } from "./snap.ts";
import { snapDaemon } from "./snapdaemon.ts";
import { fromNothing, overTls } from "./tls.ts";
import { EXPORTS } from "./world.ts";

const WORK = resolve(".run/interop");
const VERSIONS = { "2.9": "cli29", "3.6": "cli36", "4.1": "cli41" };

/** A program's own checks; every line of its is one. */
async function asks(path: string, ...args: readonly string[]): Promise<void> {
  await asked(path, { args: [path, ...args] });
}

async function asked(
  path: string,
  { args, env }: { readonly args: readonly string[]; readonly env?: Record<string, string> },
): Promise<void> {
  const child = Bun.spawn([...args], { ...(env && { env }), stdout: "pipe", stderr: "inherit" });
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
  await python(url);
}

async function python(url: string): Promise<void> {
  if (!pythonIsInstalled() && !CI) return skip("python-libjuju: Python with pip is not installed (apt-get install python3-pip)");
  using folder = tempFolder();
  const file = join(folder.path, "expect.json");
  writeFileSync(file, JSON.stringify(libjujuExpectation()));
  await asked("python-libjuju", libjujuCommand(url, file));
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
  if (CI || pythonIsInstalled()) await libjujuOverTls(store, check);
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
/** The snapd of Debian 12, and the newest that is to be had as a Go module. */
const SNAPDS = { "2.57.5": { module: "snapd", end: "" }, "2.67.1": { module: "snapd267", end: "267" } };

async function snapd(): Promise<void> {
  if (process.env["CHP_URL"]) return skip("snapd: CHP_URL names a hub that runs already");
  const client = await program("snapd", TEST_KEYS);
  const built: (readonly [version: string, snap: string, snapd: string])[] = [];
  for (const [version, { module, end }] of Object.entries(SNAPDS)) {
    const build = (name: string) =>
      program(`${name === "snapd" ? "daemon" : name}${end}`, { ...TEST_KEYS, module, package: `${SNAPD}/${name}` });
    built.push([version, await build("snap"), await build("snapd")]);
  }
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
  const push = async (channel: string, says: string) => {
    const yaml = `packages:\n  - name: hello\n    revision: 5\n    push_channel: ${channel}\n`;
    const [folder, file] = [mkdtempSync(at("export-")), at("snaps.yaml")];
    writeFileSync(file, yaml);
    await done(["export", "snaps", "--from-yaml", file, "--snapstore-url", served.url, "--export-dir", folder]);
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".tar.gz"));
    const { code, out, err } = await chp(["push-snap", "--store", store, join(folder, archive)]);
    if (code !== 0 || !out.includes(says)) throw new Error(`exit ${code}: ${err}${out}`);
    await settled();
  };
  try {
    const world = at("world");
    await check("import what snapd's own code signed", () => take(world, SNAPS, "--trust", at("root.assert")));
    await asks(client, "ask", served.url, world);
    for (const [version, executable] of built) {
      const command = { name: `snap ${version} with test keys:`, executable, trusts: true };
      await snapCommands(command, served.url, world, check);
      await prepareImages(command, served.url, world, check);
    }
    const stock = Bun.which("snap");
    if (stock !== null || CI) await snapCommands({ name: "stock", executable: stock ?? "snap", trusts: false }, served.url, world, check);
    else skip("the distribution's snap command: it is not installed (apt-get install snapd)");
    const lacks =
      process.getuid?.() !== 0 ? "only root may run it" : Bun.which("unsquashfs") === null && "it needs unsquashfs (apt-get install snapd)";
    if (lacks && !CI) skip(`snapd itself: ${lacks}`);
    else
      for (const [i, [version, snap, daemon]] of built.entries()) {
        if (i > 0) await check("roll back to what the next snapd begins with", () => done(["rollback", "--store", store, "1"]));
        await snapDaemon({ version, snap, snapd: daemon }, served.url, check, {
          "import more": () => (i === 0 ? take(at("later"), SNAPS_LATER) : done(["import", "--store", store, at("later")])),
          "release hello 6 in latest/stable": () => done(["release", "--store", store, "hello", "6", "latest/stable"]),
          "push-snap hello 5 with push_channel latest/stable": () => push("latest/stable", "  latest/stable amd64: 6 → 5\n"),
          "push-snap hello 5 with push_channel chp_14/edge, a track that is new": () =>
            push("chp_14/edge", "  note: its track chp_14 is new\n"),
        });
      }
  } finally {
    await served.stop();
  }
}

const CI = process.env["CI"] === "true";
const installed = goIsInstalled();
const wanted = process.argv.slice(2);
for (const part of [juju, bootstrap, snapd]) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  if (installed || CI) await part().catch((error: unknown) => check(`run ${part.name} to the end`, () => Promise.reject(error)));
  else skip(`all of ${part.name}: Go is not installed, so no client can be built`);
}
finish();
