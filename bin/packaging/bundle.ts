/** What bin/build.ts builds: for which machines, of which commit, and what plain Node runs. Pure. */

/** Our name → the name of Bun. x64 is the baseline build, which runs on processors without AVX2. */
const TARGETS = {
  "linux-x64": "bun-linux-x64-baseline",
  "linux-arm64": "bun-linux-arm64",
  "darwin-arm64": "bun-darwin-arm64",
} as const;

export interface Target {
  /** of Bun; undefined: this machine */
  readonly target: string | undefined;
  /** the path of the executable */
  readonly out: string;
}

/** The executables that these names mean; without any, that of this machine. Throws where one is not known. */
export function targetsOf(names: readonly string[]): Target[] {
  if (names.length === 0) return [{ target: undefined, out: "dist/chp" }];
  return names.map((name) => {
    const target = TARGETS[name as keyof typeof TARGETS];
    if (!target) throw new Error(`there is no target ${name}: ${Object.keys(TARGETS).join(", ")}`);
    return { target, out: `dist/chp-${name}` };
  });
}

/** The commit of the sources, for `chp version`: of CHP_COMMIT, or what git says; empty where neither does. */
export async function commitOf(environment: Readonly<Record<string, string | undefined>>, git: () => Promise<string>): Promise<string> {
  return environment["CHP_COMMIT"] ?? (await git()).trim();
}

/**
 * The script for plain Node of what was bundled in `folder`, for the Node that `asked` says (`>=22.19`). A package that asks for its own
 * file name gets the one of this machine: the script must not depend on where it was made.
 */
export function scriptOf(bundle: string, folder: string, asked: string): string {
  const [line = "", ...rest] = bundle.split("\n");
  if (!line.startsWith("#!")) throw new Error("chp.mjs does not begin with what runs it");
  return [line, tooOld(asked), ...rest].join("\n").replaceAll(`"${folder}/`, '"/');
}

/** The first thing that it does, in words that any Node reads: it ends where Node is older. */
function tooOld(asked: string): string {
  const [, major = "", minor = ""] = /^>=(\d+)\.(\d+)$/.exec(asked) ?? [];
  if (major === "") throw new Error(`package.json: engines.node: ${asked} is not >=MAJOR.MINOR`);
  const message = `"chp: Node.js ${major}.${minor} or later is needed, this is " + process.versions.node + "; the executable chp needs no Node.js"`;
  return `{ const [major, minor] = process.versions.node.split("."); if (major < ${major} || (major == ${major} && minor < ${minor})) { console.error(${message}); process.exit(1); } }`;
}
