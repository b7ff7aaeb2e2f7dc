/**
 * Builds the executables: `bun bin/build.ts [TARGET…]`; without a target, dist/chp for this machine and dist/chp.mjs for
 * plain Node. The same sources give the same bytes.
 */

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { $ } from "bun";
import manifest from "../package.json" with { type: "json" };
import { commitOf, scriptOf, type Target, targetsOf } from "./packaging/bundle.ts";

/** The executable must not read `.env` or `bunfig.toml` of the folder it is started in. */
const ISOLATED = [
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];

const COMMIT = await commitOf(process.env, () => $`git rev-parse --short=12 HEAD`.quiet().nothrow().text());
const DEFINED = [`--define=process.env.CHP_COMMIT=${JSON.stringify(COMMIT)}`];

// Else JSX may become what is meant for development, whose modules are not the same in every folder.
$.env({ ...process.env, NODE_ENV: "production" });

/** Bytecode saves the parsing at each start. It depends on the version of Bun, not on the target. */
const PRECOMPILED = ["--bytecode", "--format=esm"];

/** What plain Node alone needs: the modules of Node that a package asks for are loaded at start, even if the package is not. */
const NODE_ONLY = ["@hono/node-server", "undici"].map((name) => `--external=${name}`);

// Bun embeds the output name in the executable, so each target is built as `chp` and renamed.
async function executable({ target, out }: Target): Promise<void> {
  const folder = `dist/.${crypto.randomUUID()}`;
  mkdirSync(folder, { recursive: true });
  try {
    await $`${process.execPath} build --compile ${PRECOMPILED} ${NODE_ONLY} ${DEFINED} --minify-syntax --minify-whitespace ${target ? [`--target=${target}`] : []} ${ISOLATED} bin/chp.ts --outfile ${folder}/chp`.quiet();
    renameSync(`${folder}/chp`, out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const names = process.argv.slice(2);
for (const target of targetsOf(names)) await executable(target);
if (names.length === 0) {
  await $`${process.execPath} build --target=node --format=esm --minify-syntax ${DEFINED} bin/chp.ts --outfile dist/chp.mjs`.quiet();
  await Bun.write("dist/chp.mjs", scriptOf(await Bun.file("dist/chp.mjs").text(), process.cwd(), manifest.engines.node));
}
