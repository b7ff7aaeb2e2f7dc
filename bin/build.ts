/**
 * Builds the executables: `bun bin/build.ts [TARGET…]`; without a target, dist/chp for this machine and dist/chp.mjs for
 * plain Node. The same sources give the same bytes.
 */

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { $ } from "bun";
import manifest from "../package.json" with { type: "json" };

/** Our name → the name of Bun. x64 is the baseline build, which runs on processors without AVX2. */
const TARGETS = {
  "linux-x64": "bun-linux-x64-baseline",
  "linux-arm64": "bun-linux-arm64",
  "darwin-arm64": "bun-darwin-arm64",
} as const;

/** The executable must not read `.env` or `bunfig.toml` of the folder it is started in. */
const ISOLATED = [
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

/** The commit of the sources, for `chp version`: of CHP_COMMIT, or what git says here. */
const COMMIT = process.env["CHP_COMMIT"] ?? (await $`git rev-parse --short=12 HEAD`.quiet().nothrow().text()).trim();
const DEFINED = [`--define=process.env.CHP_COMMIT=${JSON.stringify(COMMIT)}`];

// Else JSX may become what is meant for development, whose modules are not the same in every folder.
$.env({ ...process.env, NODE_ENV: "production" });

/** Bytecode saves the parsing at each start. It depends on the version of Bun, not on the target. */
const PRECOMPILED = ["--bytecode", "--format=esm"];

/** The first thing that chp.mjs does, in words that any Node reads: it ends where Node is older than package.json asks for. */
function tooOld(): string {
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(manifest.engines.node) ?? [];
  if (major === undefined || minor === undefined)
    throw new Error(`package.json: engines.node: ${manifest.engines.node} is not >=MAJOR.MINOR`);
  const message = `"chp: Node.js ${major}.${minor} or later is needed, this is " + process.versions.node + "; the executable chp needs no Node.js"`;
  return `{ const [major, minor] = process.versions.node.split("."); if (major < ${major} || (major == ${major} && minor < ${minor})) { console.error(${message}); process.exit(1); } }`;
}

/** What plain Node alone needs: the modules of Node that a package asks for are loaded at start, even if the package is not. */
const NODE_ONLY = ["@hono/node-server", "undici"].map((name) => `--external=${name}`);

// Bun embeds the output name in the executable, so each target is built as `chp` and renamed.
async function executable(target: string | undefined, out: string): Promise<void> {
  const folder = `dist/.${crypto.randomUUID()}`;
  mkdirSync(folder, { recursive: true });
  try {
    await $`${process.execPath} build --compile ${PRECOMPILED} ${NODE_ONLY} ${DEFINED} --minify-syntax --minify-whitespace ${target ? [`--target=${target}`] : []} ${ISOLATED} bin/chp.ts --outfile ${folder}/chp`.quiet();
    renameSync(`${folder}/chp`, out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const targets = process.argv.slice(2);
for (const name of targets) {
  const target = TARGETS[name as keyof typeof TARGETS];
  if (!target) throw new Error(`there is no target ${name}: ${Object.keys(TARGETS).join(", ")}`);
  await executable(target, `dist/chp-${name}`);
}
if (targets.length === 0) {
  await executable(undefined, "dist/chp");
  await $`${process.execPath} build --target=node --format=esm --minify-syntax ${DEFINED} bin/chp.ts --outfile dist/chp.mjs`.quiet();
  // A package that asks for its own file name gets the one of this machine: the bundle must not depend on where it was made.
  const bundle = await Bun.file("dist/chp.mjs").text();
  const [line = "", ...rest] = bundle.split("\n");
  if (!line.startsWith("#!")) throw new Error("chp.mjs does not begin with what runs it");
  await Bun.write("dist/chp.mjs", [line, tooOld(), ...rest].join("\n").replaceAll(`"${process.cwd()}/`, '"/'));
}
