/**
 * Builds the executables: `bun bin/build.ts [TARGET…]`; without a target, dist/chp for this machine and dist/chp.mjs for
 * plain Node. The same sources give the same bytes.
 */

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { $ } from "bun";

/** Name → what Bun calls it. x64 is the baseline: it runs on processors without AVX2. */
const TARGETS = {
  "linux-x64": "bun-linux-x64-baseline",
  "linux-arm64": "bun-linux-arm64",
  "darwin-arm64": "bun-darwin-arm64",
} as const;

/** A folder's `.env` and `bunfig.toml` are not chp's. */
const ISOLATED = [
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

/** Parsed once, here: what starts needs no parser for most of itself. Bytecode is of Bun's version, the same for every target. */
const PRECOMPILED = ["--bytecode", "--format=esm"];

// The name that is built is embedded in the executable, so every one is built as `chp` and renamed.
async function executable(target: string | undefined, out: string): Promise<void> {
  const folder = `dist/.${crypto.randomUUID()}`;
  mkdirSync(folder, { recursive: true });
  try {
    await $`${process.execPath} build --compile ${PRECOMPILED} --minify-syntax --minify-whitespace ${target ? [`--target=${target}`] : []} ${ISOLATED} bin/chp.ts --outfile ${folder}/chp`.quiet();
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
  await $`${process.execPath} build --target=node --format=esm bin/chp.ts --outfile dist/chp.mjs`.quiet();
}
