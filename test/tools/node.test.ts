/** Plain Node: which one runs dist/chp.mjs, and what an older one says. */

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { chp, NODE, serve, tempFolder } from "../e2e/chp.ts";

const SCRIPT = "dist/chp.mjs";
const refusal = (version: string) => `chp: Node.js 22.19 or later is needed, this is ${version}; the executable chp needs no Node.js\n`;

/** Node that takes itself for another version. */
const asVersion = (version: string) => [
  NODE,
  "--import",
  `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`,
  SCRIPT,
];

test.each(["18.0.0", "20.20.2", "21.99.0", "22.0.0", "22.9.0", "22.18.9"])(
  "Node %s is told in a line that it is too old",
  async (version) => {
    expect(await chp(["--version"], { command: asVersion(version) })).toEqual({ code: 1, out: "", err: refusal(version) });
  },
);

test.each(["22.19.0", "22.23.3", "23.0.0", "24.1.0", "100.0.0"])("Node %s runs it", async (version) => {
  const done = await chp(["--version"], { command: asVersion(version) });
  expect(done).toEqual({ code: 0, out: expect.stringContaining(`runtime: Node.js ${version}, `), err: "" });
});

test("so does the one that package.json pins, and the one that builds, or that one reads the line", async () => {
  expect(await chp(["--version"], { command: [NODE, SCRIPT] })).toMatchObject({ code: 0, err: "" });
  const builder = Bun.which("node") ?? "";
  const version = Bun.spawnSync([builder, "-p", "process.versions.node"]).stdout.toString().trim();
  const [code, err] = Bun.semver.satisfies(version, manifest.engines.node) ? [0, ""] : [1, refusal(version)];
  expect(await chp(["--version"], { command: [builder, SCRIPT] })).toMatchObject({ code, err });
});

test("what is installed for tests does not run what is built", () => {
  expect(existsSync("node_modules/.bin/biome")).toBe(true);
  expect(readdirSync("node_modules/.bin")).not.toContain("node");
});

test("a log that nobody reads any more does not end a server on Node", async () => {
  using folder = tempFolder();
  const command = ["bash", "-c", 'exec 2> >(exit 0); sleep 0.2; exec "$@"', "-", NODE, SCRIPT];
  const served = await serve(join(folder.path, "store"), [], {}, command);
  for (const _ of [1, 2, 3]) {
    expect((await fetch(`${served.url}/v2/charms/find`)).status).toBe(200);
    await Bun.sleep(20);
  }
  expect(await served.stop()).toBe(0);
});

test("it names the commit that the executable names", async () => {
  const facts = async (command: readonly string[]) =>
    JSON.parse((await chp(["version", "--json"], { command })).out) as { commit: string | null };
  expect((await facts([NODE, SCRIPT])).commit).toBe((await facts(["dist/chp"])).commit);
});

test("the executable does without what Node alone needs, which would load Node's http2 at each start", () => {
  const has = (file: string) => readFileSync(file).includes("x-hono-already-sent"); // of @hono/node-server
  expect([has(SCRIPT), has("dist/chp")]).toEqual([true, false]);
});
