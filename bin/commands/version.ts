/** `chp version`: what a bug report needs. */

import { BUILD, VERSION } from "../../src/version.ts";
import { FORMAT } from "../../store/keys.ts";
import { type CommonOptions, type Io, printJson } from "../machine/io.ts";
import type { Register } from "./command.ts";
import { addFlags } from "./options.ts";

interface VersionFacts {
  readonly version: string;
  /** of the sources that it was built from; null: unknown */
  readonly commit: string | null;
  /** the newest store format that it reads, and the one that it writes */
  readonly storeFormat: number;
  /** `Bun 1.4.5, linux x64` */
  readonly runtime: string;
}

function versionFacts(): VersionFacts {
  const { bun, node } = process.versions;
  const runtime = `${bun === undefined ? `Node.js ${node}` : `Bun ${bun}`}, ${process.platform} ${process.arch}`;
  return { version: VERSION, commit: BUILD === "" ? null : BUILD, storeFormat: FORMAT, runtime };
}

/** As `chp --version` prints it. */
export function versionText(): string {
  const { version, commit, storeFormat, runtime } = versionFacts();
  return `chp ${version}\ncommit: ${commit ?? "unknown"}\nstore format: ${storeFormat}\nruntime: ${runtime}\n`;
}

export const versionCommand: Register = (program, io: Io) => {
  const command = program
    .command("version")
    .summary("Print version, commit, store format and runtime")
    .description("Print version, commit, store format and runtime.");
  addFlags(command, ["jsonText"]).action((options: CommonOptions) => {
    if (options.json) printJson(versionFacts(), io);
    else io.out(versionText());
  });
};
