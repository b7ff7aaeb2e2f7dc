/** What is known of each mutant, in a file that is kept: a run resumes where it was stopped, and begins with the test that noticed it last time. */

import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "./digest.ts";
import { DEPTHS, type Depth, type Verdict } from "./judge.ts";
import { type Mutant, ROOT } from "./syntax.ts";

const FILE = join(import.meta.dir, "results.json");

interface Result {
  /** of the source with its fault; of the test file that noticed it, or of all tests where none did */
  readonly source: string;
  readonly tests: string;
  readonly by?: string;
  readonly how?: "failed" | "ended";
  readonly lived?: Depth;
}

export class Results {
  readonly #results: Map<string, Result>;

  private constructor(results: Map<string, Result>) {
    this.#results = results;
  }

  static async read(): Promise<Results> {
    return new Results(new Map(Object.entries(JSON.parse(await readFile(FILE, "utf8").catch(() => "{}")) as Record<string, Result>)));
  }

  /** The test that noticed it last time, whatever has changed since. */
  hint(id: string): string | undefined {
    return this.#results.get(id)?.by;
  }

  /** Whether a test failed by it last time, rather than hung, which takes long to see. */
  failed(id: string): boolean {
    const { by, how = "failed" } = this.#results.get(id) ?? {};
    return by !== undefined && how === "failed";
  }

  /** The verdict, where neither the mutated source nor the tests that gave it have changed since. */
  async known(mutant: Mutant, to: string, depth: Depth): Promise<Verdict | undefined> {
    const result = this.#results.get(mutant.id);
    if (!result || result.source !== (await sourceDigest(mutant, to))) return undefined;
    if (result.by !== undefined)
      return result.tests === (await testDigest(result.by)) ? { killed: result.by, how: result.how ?? "failed" } : undefined;
    if (result.lived === undefined || DEPTHS.indexOf(result.lived) < DEPTHS.indexOf(depth)) return undefined;
    return result.tests === (await allTests()) ? { lived: result.lived } : undefined;
  }

  async keep(mutant: Mutant, to: string, verdict: Verdict): Promise<void> {
    const source = await sourceDigest(mutant, to);
    this.#results.set(
      mutant.id,
      "killed" in verdict
        ? { source, tests: await testDigest(verdict.killed), by: verdict.killed, ...(verdict.how === "ended" && { how: verdict.how }) }
        : { source, tests: await allTests(), lived: verdict.lived },
    );
    await this.#write();
  }

  /** Forgets what is no longer among the mutants. */
  async only(ids: ReadonlySet<string>): Promise<void> {
    for (const id of this.#results.keys()) if (!ids.has(id)) this.#results.delete(id);
    await this.#write();
  }

  async #write(): Promise<void> {
    const rows = [...this.#results]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, result]) => `  ${JSON.stringify(id)}: ${JSON.stringify(result)}`);
    await writeFile(`${FILE}.new`, `{\n${rows.join(",\n")}\n}\n`);
    await rename(`${FILE}.new`, FILE); // a run may be ended at any time
  }
}

async function sourceDigest(mutant: Mutant, to: string): Promise<string> {
  const text = await readFile(join(ROOT, mutant.file), "utf8");
  return digestOf(text.slice(0, mutant.start), to, text.slice(mutant.end)).slice(0, 12);
}

async function testDigest(path: string): Promise<string> {
  return digestOf(await readFile(join(ROOT, path))).slice(0, 12);
}

let tests: Promise<string> | undefined;

function allTests(): Promise<string> {
  tests ??= (async () => {
    const paths = [...new Bun.Glob("test/**/*.ts").scanSync(ROOT)].filter((path) => !path.startsWith("test/mutants/")).toSorted();
    const texts = await Promise.all(paths.map((path) => readFile(join(ROOT, path))));
    return digestOf(...texts).slice(0, 12);
  })();
  return tests;
}
