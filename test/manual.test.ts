/** Every command line of chp in README.md and the manual runs as it is written, page by page, against a prepared world. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { createProgram } from "../bin/commands/program.ts";
import { type ProgramName, programName } from "../src/settings/documented.ts";
import { makeManualWorld, REGISTRY, serveStore } from "./manualworld.ts";
import { type Run, runProgram, SILENT_IO } from "./program.ts";
import { S3Engine } from "./s3engine.ts";
import { tempFolder } from "./temp.ts";

const ROOT = join(import.meta.dir, "..");
const PAGES = ["README.md", ...new Bun.Glob("bin/manual/*.md").scanSync(ROOT)].toSorted();
const textOf = (page: string) => Bun.file(join(ROOT, page)).text();

/** Lines that run elsewhere: their words are checked here, and no more. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "chp import --to": "it needs a server with TLS: test/e2e/remote.test.ts",
};

/** Exit codes other than 0. */
const CODES: Readonly<Record<string, number>> = {
  "chp doctor": 1, // the world has no registry
  "chp doctor --juju 3.6": 1,
  "chp doctor --juju 3.6 --cloud lxd": 1, // it has no agents
  "chp doctor --store s3://charms/site --offline": 1,
};

/** Words of the pages that mean something else here. Each is replaced wherever it stands in a word. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bhub\.lan\b/, "localhost"],
  [/\bregistry\.lan:5000\b/, "127.0.0.1:1"],
  [/^0\.0\.0\.0:8443$/, "127.0.0.1:0"],
  [/^41$/, "1"],
  [/^2026-08-31$/, "2099-08-31"],
  [/^WORD…$/, "postgresql"],
];

/** A word that names a file: the world has it, or the line makes it. */
const FILE = /^(\/|[\w.-]+\.(ya?ml|json|tar|tar\.gz|tgz|key|pub|token|crt|sh)$|site\.)/;

interface Line {
  readonly page: string;
  /** as it is written, without a comment behind it */
  readonly text: string;
  readonly program: ProgramName;
  readonly words: readonly string[];
  /** the file that its output goes to */
  readonly into?: string;
}

/** The words of a shell's line, as far as the pages need it: quotes, a file for the output, what comes before a pipe. */
function readLine(page: string, written: string): Line | undefined {
  const text = written.replace(/\s+# .*$/, "").trim();
  const [command = ""] = text.split(" | ");
  const [, before = command, into] = /^(.*?) > (\S+)$/.exec(command) ?? [];
  const words = [...before.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  const [first = "", ...others] = words[0] === "sudo" ? words.slice(1) : words;
  const program = programName([first]);
  if (first !== program) return undefined;
  return { page, text, program, words: others, ...(into !== undefined && { into }) };
}

/** The lines of the blocks of a page. */
function linesOf(page: string, markdown: string): Line[] {
  const blocks = [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, language, block = ""]) =>
    language === "" ? [block.replaceAll("\\\n", "")] : [],
  );
  return blocks.flatMap((block) => block.split("\n")).flatMap((line) => readLine(page, line) ?? []);
}

/** What its words name that chp does not have: commands and flags. */
function unknownWords({ program, words }: Pick<Line, "program" | "words">): string[] {
  let command: Command = createProgram(SILENT_IO, program);
  for (const word of words) {
    const child = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (child === undefined) break;
    command = child;
  }
  if (command.parent === null && words[0]?.startsWith("-") === false) return [words[0]];
  const flags = command.options.flatMap(({ long, short }) => [long, short]);
  return words.filter((word) => word.startsWith("-") && word !== "-" && word !== "--help" && !flags.includes(word.replace(/=.*$/, "")));
}

/** The bucket of the page on replicas. */
const engine = new S3Engine("charms");
const bucket = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: engine.fetch });

const folder = tempFolder();
const ending = new AbortController();
let upstream = "";

beforeAll(async () => {
  const [, siteFile = ""] = /^```yaml\n([\s\S]*?)^```$/m.exec(await textOf("README.md")) ?? [];
  await makeManualWorld(join(folder.path, "world"), siteFile);
  upstream = await serveStore(join(folder.path, "world", "outside"), ending.signal);
});
afterAll(async () => {
  ending.abort();
  await bucket.stop(true);
  folder[Symbol.dispose]();
});

/** A copy of the world, in which the lines of one page run. */
function worldOf(page: string): { readonly at: (word: string) => string; readonly run: (line: Line) => Promise<Run> } {
  const own = join(folder.path, basename(page));
  cpSync(join(folder.path, "world"), own, { recursive: true });
  for (const name of ["var/lib", "mnt/backup", "etc/systemd/system"]) mkdirSync(join(own, name), { recursive: true });
  const at = (word: string) => {
    const [, key = "", file = word] = /^([\w.-]+=@)(.+)$/.exec(word) ?? [];
    return FILE.test(file) ? `${key}${join(own, file)}` : word;
  };
  const environment = {
    HOME: own,
    CHP_STORE: at("/store"),
    CHP_EXPORT_DIR: own,
    CHP_LISTEN: "127.0.0.1:0",
    CHARMHUB_URL: upstream,
    ...S3Engine.environment(`http://127.0.0.1:${bucket.port}`),
    ...(page.endsWith("replicas.md") && { CHP_STORE: "s3://charms/site", CHP_STORE_KEY: at("store.key") }),
    CHP_SNAPSTORE_URL: upstream,
    CHP_INSECURE_REGISTRY: REGISTRY.host,
    CHP_STREAMS_KEY: join(folder.path, "world", "streams.asc"),
  };
  const run = async ({ program, words, into }: Line): Promise<Run> => {
    const meant = words.map((word) => {
      const isUpstream = words[words.indexOf(word) - 1] === "--charmhub-url";
      return isUpstream ? upstream : at(NAMES.reduce((text, [from, to]) => text.replace(from, to), word));
    });
    // What serves ends as soon as it listens.
    const done = await runProgram(meant, environment, program, meant[0] === "serve" ? AbortSignal.abort() : undefined);
    if (into !== undefined) writeFileSync(at(into), done.out);
    return done;
  };
  return { at, run };
}

const TEXTS = await Promise.all(PAGES.map(async (page) => ({ page, markdown: await textOf(page) })));
const WITH_LINES = TEXTS.map(({ page, markdown }) => [page, linesOf(page, markdown)] as const).filter(([, lines]) => lines.length > 0);

test.each(WITH_LINES)("the command lines of %s do what they say", async (page, lines) => {
  const world = worldOf(page);
  for (const line of lines) {
    if (Object.keys(ELSEWHERE).some((start) => line.text.startsWith(start))) continue;
    const [done, code] = [await world.run(line), CODES[line.text] ?? 0];
    expect([line.text, done.code, done.code === code ? "" : done.err]).toEqual([line.text, code, ""]);
    if (line.into !== undefined) expect([line.text, done.out === ""]).toEqual([line.text, false]);
  }
});

test.each(TEXTS)("$page names no command and no flag that chp does not have", ({ page, markdown }) => {
  const inline = [...markdown.matchAll(/`((?:chp|store-admin|snap-store-proxy) [^`]*)`/g)].flatMap(
    ([, text = ""]) => readLine(page, text) ?? [],
  );
  for (const line of [...linesOf(page, markdown), ...inline]) expect([line.text, unknownWords(line)]).toEqual([line.text, []]);
});

describe("the check itself", () => {
  test.each([
    ["chp list", []],
    ["chp list --frobnicate", ["--frobnicate"]],
    ["chp export charms x --archh amd64", ["--archh"]],
    ["chp export charms x --arch=amd64 -o json", []],
    ["chp frobnicate", ["frobnicate"]],
    ["sudo snap-store-proxy push-charms x --no", ["--no"]],
  ])("%s: %j", (text, unknown) => {
    expect(unknownWords(readLine("page", text) ?? { program: "chp", words: [] })).toEqual(unknown);
  });

  test("reads blocks, comments, quotes and what comes before a pipe", () => {
    const lines = linesOf("p", '```\nchp a "b c" > d   # e\nsudo chp f | tee g\nchp h \\\n  i\njuju k\n```\n');
    expect(lines.map(({ words, into }) => [words, into])).toEqual([
      [["a", "b c"], "d"],
      [["f"], undefined],
      [["h", "i"], undefined],
    ]);
  });

  test("every exception is of a line that there is", () => {
    const all = WITH_LINES.flatMap(([, lines]) => lines.map(({ text }) => text));
    for (const start of [...Object.keys(ELSEWHERE), ...Object.keys(CODES)])
      expect([start, all.some((text) => text.startsWith(start))]).toEqual([start, true]);
  });
});
