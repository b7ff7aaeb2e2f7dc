/** The test files: which of them reach a line, and in which order they are asked about it. */

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path/posix";
import { digestOf } from "./digest.ts";
import { BUN, run } from "./process.ts";
import { ROOT } from "./syntax.ts";

/** Folders of tests that start processes: what they reach is not seen, so that they come last. */
const STARTING = /^test\/(e2e|tools|powercut)\//;

/** Sources whose tests that start processes are called otherwise. */
const CONCERNED: readonly (readonly [source: RegExp, tests: RegExp])[] = [
  [/^bin\/build\.ts$/, /\/(node|documented)\.test/],
  [/^bin\/packaging\//, /\/release\.test/],
  [/^bin\/chp\.ts$|^bin\/machine\/(io|progress|output)\.ts$/, /\/(import|seeing|serve|documented)\.test/],
  [/^bin\/machine\/(sockets|liveness|systemd)\.ts$|^handlers\/listen\.ts$/, /\/(nodelistener|connections|systemd|serve)\.test/],
  [/^bin\/machine\/(child|remoteimport)\.ts$|^handlers\/(remoteimport|bearer)\.ts$/, /\/remote\.test/],
  [/^bin\/machine\/(tls|storekey)\.ts$|^bin\/commands\/import-certificate\.ts$/, /\/tls\.test/],
  [/^bin\/machine\/settings/, /\/(config|documented)\.test/],
  [/^bin\/machine\/workers?\.ts$/, /tools\/hostile\.test/],
  [/^bin\/machine\/imagepush\.ts$|^handlers\/image/, /\/(registry|images)\.test/],
  [/^handlers\/overrides\.ts$|^bin\/machine\/overridewrites\.ts$/, /\/overrides\.test/],
  [/^handlers\/(web\/|charmhub|snapstore|assertions|agents)/, /\/(conformance|juju|snaps)\.test/],
  [/^handlers\/(body|call|app)/, /\/hostile\/http\.test/],
  [/^store\/(fs|store|settings|gc|lease|keeper|marks)/, /\/(crash|powercut)\.test/],
  [/^store\/(check|backup|chain)/, /\/verify\.test/],
  [/^src\/export\//, /\/hostile\/upstream\.test|\/roundtrip\.test/],
  [/^src\/import\//, /\/(import|carry|roundtrip)\.test/],
];

export interface TestFile {
  readonly path: string;
  readonly seconds: number;
  /** whether it runs one of these lines of a source */
  reaches(file: string, from: number, to: number): boolean;
}

/** What a test file was seen to run. */
interface Reached {
  readonly seconds: number;
  /** lines of each source */
  readonly lines: Readonly<Record<string, readonly number[]>>;
}

/** A test file of which nothing is known but how long it may take. */
export function testFile(path: string, seconds: number): TestFile {
  return { path, seconds, reaches: () => false };
}

/** All test files, those of this folder aside. */
export function testFiles(): { inProcess: string[]; starting: string[] } {
  const all = [...new Bun.Glob("test/**/*.test.ts").scanSync(ROOT)].toSorted();
  return { inProcess: all.filter((path) => !STARTING.test(path)), starting: all.filter((path) => STARTING.test(path)) };
}

const transpilers = { ts: new Bun.Transpiler({ loader: "ts" }), tsx: new Bun.Transpiler({ loader: "tsx" }) };

/** What files import, with what those import. */
export class Imports {
  readonly #imported = new Map<string, string[]>();
  readonly #texts = new Map<string, string>();

  /** The text of a file that was looked at. */
  text(path: string): string {
    return this.#texts.get(path) ?? "";
  }

  async digest(path: string): Promise<string> {
    const files = await this.of(path);
    return digestOf(...files.toSorted().flatMap((file) => [file, this.#texts.get(file) ?? ""]));
  }

  /** The files that one imports, itself and what those import. */
  async of(path: string): Promise<string[]> {
    const seen = new Set<string>();
    const queue = [path];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(...(await this.by(next)));
    }
    return [...seen];
  }

  /** Those that one file imports itself. */
  async by(path: string): Promise<string[]> {
    const known = this.#imported.get(path);
    if (known) return known;
    const text = await readFile(join(ROOT, path), "utf8").catch(() => "");
    this.#texts.set(path, text);
    const loader = path.endsWith(".tsx") ? "tsx" : "ts";
    const found = /\.tsx?$/.test(path) ? transpilers[loader].scanImports(text.replace(/^#!.*/, "")) : [];
    const imports = found.filter((one) => one.path.startsWith(".")).map((one) => join(dirname(path), one.path));
    this.#imported.set(path, imports);
    return imports;
  }
}

/** What each in-process test file reaches, from a cache where neither it nor what it imports has changed. Throws where one fails. */
export async function reach(note: (line: string) => void): Promise<TestFile[]> {
  const folder = join(ROOT, ".run/mutants/reached");
  await mkdir(folder, { recursive: true });
  const imports = new Imports();
  const found: TestFile[] = [];
  for (const path of testFiles().inProcess) {
    const kept = join(folder, `${await imports.digest(path)}.json`);
    const known = await readFile(kept, "utf8").catch(() => undefined);
    if (known !== undefined) {
      found.push(reachedBy(path, JSON.parse(known) as Reached));
      continue;
    }
    const begun = performance.now();
    const out = join(folder, "lcov");
    await rm(out, { recursive: true, force: true });
    const args = ["test", "--coverage", "--coverage-reporter=lcov", `--coverage-dir=${out}`, `./${path}`];
    const { code, output } = await run([BUN, ...args], { cwd: ROOT, env: { CHP_THOROUGH: "0" }, seconds: 600 });
    if (code !== 0) throw new Error(`${path} fails without any fault:\n${output.slice(-4000)}`);
    const one: Reached = { seconds: (performance.now() - begun) / 1000, lines: linesOf(await readFile(join(out, "lcov.info"), "utf8")) };
    await writeFile(kept, JSON.stringify(one));
    note(`${path}: ${one.seconds.toFixed(1)} s`);
    found.push(reachedBy(path, one));
  }
  await rm(join(folder, "lcov"), { recursive: true, force: true });
  return found;
}

function reachedBy(path: string, { seconds, lines }: Reached): TestFile {
  return { path, seconds, reaches: (file, from, to) => lines[file]?.some((line) => line >= from && line <= to) ?? false };
}

/** The in-process test files by what they import, which is known at once, and more than they run. */
export async function importing(): Promise<TestFile[]> {
  const imports = new Imports();
  return Promise.all(
    testFiles().inProcess.map(async (path) => {
      const files = new Set(await imports.of(path));
      return { path, seconds: 20, reaches: (file) => files.has(file) };
    }),
  );
}

/** A report of lcov → the lines of each source that were run. */
export function linesOf(report: string): Record<string, number[]> {
  const lines: Record<string, number[]> = {};
  for (const record of report.split("end_of_record")) {
    const file = /^SF:(.+)$/m.exec(record)?.[1];
    if (file === undefined || file.startsWith("test/")) continue;
    lines[file] = [...record.matchAll(/^DA:(\d+),(\d+)/gm)].flatMap(([, line, hits]) => (Number(hits) > 0 ? [Number(line)] : []));
  }
  return lines;
}

/** A test file that starts processes, and whether they are those of the executable. */
export interface StartingTest extends TestFile {
  readonly needsBuild: boolean;
}

/** Seconds in which a test file that starts processes should be done. */
const STARTED = 60;
/** What runs the executable for them. */
const RUNS_EXECUTABLE = "test/e2e/chp.ts";

/**
 * The test files that start processes, in the order in which a fault meets them: those that are known to concern the source, or are called
 * after it; that import it themselves; that name it; all others that run the executable. The others can't notice it.
 */
export async function startingFor(source: string): Promise<StartingTest[]> {
  const imports = new Imports();
  const name = basename(source).replace(/\.tsx?$/, "");
  const isNamed = new RegExp(`\\b${name.replaceAll("-", "\\W?")}\\b`);
  const ranked: { test: StartingTest; rank: number }[] = [];
  for (const path of testFiles().starting) {
    const files = await imports.of(path);
    const needsBuild = files.includes(RUNS_EXECUTABLE);
    if (!needsBuild && !files.includes(source)) continue;
    const isKnown = CONCERNED.some(([from, tests]) => from.test(source) && tests.test(path)) || basename(path) === `${name}.test.ts`;
    const rank = isKnown ? 0 : (await imports.by(path)).includes(source) ? 1 : isNamed.test(imports.text(path)) ? 2 : 3;
    ranked.push({ test: { ...testFile(path, STARTED), needsBuild }, rank });
  }
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ test }) => test);
}

/** How far a test file is from a source: its own test, one of its room, one of its layer, any. */
function distance(test: string, source: string): number {
  const mirrored = join("test", source).replace(/\.tsx?$/, "");
  const own = test.replace(/\.test\.ts$/, "");
  if ([mirrored, dirname(mirrored)].includes(own)) return 0;
  if (dirname(test) === dirname(mirrored)) return basename(test).startsWith(basename(mirrored)) ? 0 : 1;
  return test.startsWith(`test/${source.split("/")[0]}/`) ? 2 : 3;
}

/** In-process test files in the order in which a fault meets them: those that reach one of its lines, the nearest and fastest first; then its room's. */
export function inOrder(tests: readonly TestFile[], file: string, from: number, to: number): { reaching: TestFile[]; room: TestFile[] } {
  const near = tests.toSorted((a, b) => distance(a.path, file) - distance(b.path, file) || a.seconds - b.seconds);
  const reaching = near.filter((test) => test.reaches(file, from, to));
  return { reaching, room: near.filter((test) => !reaching.includes(test) && distance(test.path, file) <= 1) };
}
