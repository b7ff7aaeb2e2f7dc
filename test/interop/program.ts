/** Builds real clients from their Go modules. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

/** Where programs that were built are kept. */
export const BUILT = resolve(process.env["CHP_CLIENTS"] ?? ".run/interop");

export interface Build {
  /** the folder of the Go module, where it is not named like the program */
  readonly module?: string;
  readonly package?: string;
  readonly tags?: string;
}

export function goIsInstalled(): boolean {
  return Bun.which("go") !== null && Bun.spawnSync(["go", "version"]).exitCode === 0;
}

/** The program of one of the Go modules here, built where its sources, go.mod and go.sum among them, or Go differ from those that it was last built from. */
export async function program(name: string, { module = name, package: built = ".", tags = "" }: Build = {}): Promise<string> {
  const source = join(import.meta.dir, module);
  const version = Bun.spawnSync(["go", "version"], { cwd: source }).stdout.toString();
  const hash = new Bun.CryptoHasher("sha256").update([version, built, tags].join("\n"));
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(source, file)).isFile());
  for (const file of files.toSorted()) hash.update(`${file}\n`).update(readFileSync(join(source, file)));
  const current = `${name}-${hash.digest("hex").slice(0, 16)}`;
  const path = join(BUILT, current);
  if (existsSync(path)) return path;
  mkdirSync(BUILT, { recursive: true });
  console.log(`building ${name}, which takes minutes the first time`);
  const go = Bun.spawn(["go", "build", "-tags", tags, "-o", `${path}.new`, built], {
    cwd: source,
    env: { ...process.env, GOWORK: "off" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [err, code] = await Promise.all([new Response(go.stderr).text(), go.exited]);
  if (code !== 0) throw new Error(`go build: ${err}`);
  renameSync(`${path}.new`, path);
  for (const old of readdirSync(BUILT)) if (old.startsWith(`${name}-`) && old !== current) rmSync(join(BUILT, old));
  return path;
}
