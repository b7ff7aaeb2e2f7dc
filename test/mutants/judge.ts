/** Puts one fault at a time into a copy of the repository, and asks the tests. */

import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "./digest.ts";
import { BUN, type Run, run } from "./process.ts";
import { type Mutant, ROOT } from "./syntax.ts";
import { inOrder, type StartingTest, startingFor, type TestFile, testFile } from "./tests.ts";

/** Which test file noticed a fault, or how far the tests went that did not. */
export type Verdict = { readonly killed: string; readonly how: "failed" | "ended" } | { readonly lived: Depth };

/** How many tests are asked: those nearest to the source, all that start no process, all. */
export const DEPTHS = ["near", "in process", "all"] as const;
export type Depth = (typeof DEPTHS)[number];

/** Seconds of the tests that are nearest. */
const NEAR = 15;

/** Milliseconds for one test: those that start processes wait for half a minute, without any fault. */
const [SHORT, LONG] = [30_000, 120_000];

const COPIED = ["src", "handlers", "store", "bin", "test", "package.json", "package-lock.json", "tsconfig.json", "bunfig.toml", "Makefile"];
/** Documents that tests read. */
const READ = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".ci", ".gitattributes", ".gitignore"];

/** Tests whose results depend on CHP_THOROUGH: what they leave out at first. */
const THOROUGH = /thorough\.ts"|fast-check/;

/** A test that took 2 s may take a minute on a busy machine. */
const allowed = (tests: readonly TestFile[]): number => 60 + 6 * tests.reduce((sum, { seconds }) => sum + seconds, 0);

export class Copy implements AsyncDisposable {
  readonly #folder: string;
  /** of the tests, which leave much there when they are ended */
  readonly #tmp: string;
  readonly #noise = new Set<string>();

  private constructor(folder: string, tmp: string) {
    this.#folder = folder;
    this.#tmp = tmp;
  }

  static async make(name: string): Promise<Copy> {
    const folder = join(ROOT, ".run/mutants", name);
    await emptied(folder);
    for (const path of [...COPIED, ...READ])
      if (existsSync(join(ROOT, path))) await cp(join(ROOT, path), join(folder, path), { recursive: true });
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const memory = "/dev/shm";
    return new Copy(folder, await emptied(join(existsSync(memory) ? memory : tmpdir(), `chp-mutants-${digestOf(folder).slice(0, 12)}`)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of [this.#folder, this.#tmp]) await rm(folder, { recursive: true, force: true });
  }

  /** Asks one test file about a mutant, the one that is known to notice it. Undefined: it does not. */
  asked(mutant: Mutant, to: string, first: string): Promise<Verdict | undefined> {
    return this.#with(mutant, to, async () => {
      if (!existsSync(join(ROOT, first))) return undefined;
      const starting = (await startingFor(mutant.file)).filter(({ path }) => path === first);
      return starting.length > 0 ? this.#start(starting) : this.#stage([testFile(first, 30)], "0");
    });
  }

  /**
   * Asks the tests about a mutant: those that reach its lines, its room's, and, where `depth` says so, all others: the same again
   * thoroughly, and those that start processes, one after the other.
   */
  judge(mutant: Mutant, to: string, tests: readonly TestFile[], depth: Depth): Promise<Verdict> {
    return this.#with(mutant, to, async () => (await this.#ask(mutant, tests, depth)) ?? { lived: depth });
  }

  async #with<T>(mutant: Mutant, to: string, ask: () => Promise<T>): Promise<T> {
    const original = await readFile(join(ROOT, mutant.file), "utf8");
    const path = join(this.#folder, mutant.file);
    await unlink(path);
    await writeFile(path, original.slice(0, mutant.start) + to + original.slice(mutant.end));
    try {
      return await ask();
    } finally {
      await writeFile(path, original);
      await emptied(this.#tmp);
    }
  }

  async #ask(mutant: Mutant, tests: readonly TestFile[], depth: Depth): Promise<Verdict | undefined> {
    const last = mutant.line + mutant.from.split("\n").length - 1;
    const { reaching, room } = inOrder(tests, mutant.file, mutant.line, last);
    let left = NEAR;
    const near = reaching.filter(({ seconds }) => (left -= seconds) + seconds > 0);
    const nearest = await this.#stage(near, "0");
    if (nearest || depth === "near") return nearest;
    const own = [...reaching, ...room];
    const inProcess = await this.#stage(
      own.filter((one) => !near.includes(one)),
      "0",
    );
    if (inProcess || depth === "in process") return inProcess;
    const thorough: TestFile[] = [];
    for (const one of own) if (THOROUGH.test(await readFile(join(ROOT, one.path), "utf8"))) thorough.push(one);
    const others = tests.filter((one) => !own.includes(one));
    return (await this.#stage(thorough, "1")) ?? (await this.#stage(others, "0")) ?? (await this.#start(await startingFor(mutant.file)));
  }

  /** Each in a process of its own, so that one that hangs is ended soon; the executable is built for the first that runs it. */
  async #start(tests: readonly StartingTest[]): Promise<Verdict | undefined> {
    let isBuilt = false;
    for (const one of tests) {
      const unbuilt = one.needsBuild && !isBuilt ? await this.#build() : undefined;
      isBuilt ||= one.needsBuild;
      const verdict = unbuilt ?? (await this.#stage([one], "0", LONG));
      if (verdict) return verdict;
    }
    return undefined;
  }

  /** Builds the executable, which the tests that start processes run: never that of the fault before. */
  async #build(): Promise<Verdict | undefined> {
    await rm(join(this.#folder, "dist"), { recursive: true, force: true });
    const { code } = await run([BUN, "bin/build.ts"], { cwd: this.#folder, env: {}, seconds: 300 });
    return code === 0 ? undefined : { killed: "bin/build.ts", how: "failed" };
  }

  /** Runs test files in their order, in one process, up to the first that fails; each that fails is asked again alone. */
  async #stage(tests: readonly TestFile[], thorough: string, timeout = thorough === "0" ? SHORT : LONG): Promise<Verdict | undefined> {
    for (let left = tests; left.length > 0; ) {
      const all = await this.#run(left, thorough, timeout);
      if (all.code === 0) return undefined;
      const at = left.findIndex(({ path }) => path === failing(all.output));
      const culprit = left[at];
      const how = all.code === undefined ? "ended" : "failed";
      if (!culprit) return { killed: left[0]?.path ?? "", how };
      // Where files share a process, one may fail for what another left.
      if (at === 0 || (await this.#run([culprit], thorough, timeout)).code !== 0) return { killed: culprit.path, how };
      this.#noise.add(culprit.path);
      left = left.slice(at + 1);
    }
    return undefined;
  }

  #run(tests: readonly TestFile[], thorough: string, timeout: number): Promise<Run> {
    // test/preload.ts sets that of the first file alone
    const args = [BUN, "test", "--no-orphans", "--bail", `--timeout=${timeout}`, ...tests.map(({ path }) => `./${path}`)];
    const env = { CHP_THOROUGH: thorough, TMPDIR: this.#tmp, CHP_TEST_TIMEOUT: String(timeout) };
    return run(args, { cwd: this.#folder, env, seconds: allowed(tests) });
  }

  /** Test files that failed among others, and not alone: none should. */
  get noise(): readonly string[] {
    return [...this.#noise];
  }
}

/** A run that was ended may have left it full. */
async function emptied(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return folder;
}

/** The file whose test failed first, or which was running at the end. */
export function failing(output: string): string | undefined {
  let file: string | undefined;
  for (const line of output.split("\n")) {
    const header = /^(test\/\S+\.test\.ts):$/.exec(line);
    if (header) file = header[1];
    if (/^\(fail\)|^# Unhandled error/.test(line)) break;
  }
  return file;
}
