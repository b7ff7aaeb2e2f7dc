/** What people read before anything works: help, the manual, and what is said to a mistyped command line. */

import { describe, expect, test } from "bun:test";
import type { Command } from "commander";
import { TOPICS } from "../../../bin/commands/manual.ts";
import { createProgram } from "../../../bin/commands/program.ts";
import { WRONG_WORDS } from "../../../bin/commands/wrongwords.ts";
import { runProgram, SILENT_IO } from "../../program.ts";

/** The words of each command's command line, of those that help lists: `["export", "snaps"]`. */
function commandLines(command: Command, path: readonly string[] = []): string[][] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.flatMap((child) => [[...path, child.name()], ...commandLines(child, [...path, child.name()])]);
}

const COMMANDS = commandLines(createProgram(SILENT_IO));
const longLines = (text: string) => text.split("\n").filter((line) => line.length > 80);

describe("help", () => {
  test("has commands by group, and then the topics", async () => {
    const { code, out } = await runProgram(["help"]);
    expect(code).toBe(0);
    const headings = out.split("\n").filter((line) => /^[A-Z].*:$/.test(line));
    expect(headings).toEqual([
      "Options:",
      "Export and import:",
      "Serve and set up:",
      "Inspect:",
      "Change:",
      "Maintain:",
      "Compatibility:",
      "Help:",
      "Topics (chp help TOPIC):",
    ]);
    expect(longLines(out)).toEqual([]);
  });

  test.each(COMMANDS.map((words) => [words.join(" "), words] as const))(
    "%s --help fits 80 columns and ends in one newline",
    async (_, words) => {
      const { code, out } = await runProgram([...words, "--help"]);
      expect([code, longLines(out)]).toEqual([0, []]);
      expect(out).toMatch(/[^\n]\n$/);
      expect(out).toMatch(/\n\n[A-Z]/);
    },
  );

  test("wraps a paragraph as a whole, wherever its source ends a line", async () => {
    const { out } = await runProgram(["gc", "--help"]);
    expect(out).toContain("and imports may run meanwhile: while an import or another change runs, and for");
  });

  test("has the common options first", async () => {
    const { out } = await runProgram(["import", "--help"]);
    const options = [...out.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name);
    expect(options.slice(0, 3)).toEqual(["store", "json", "quiet"]);
  });

  test("marks what is required", async () => {
    expect((await runProgram(["override", "--help"])).out).toMatch(/--reason <TEXT> .*\(required\)/);
  });

  test("speaks in the name that the program is started by", async () => {
    const { out } = await runProgram(["import", "--help"], {}, "snap-store-proxy");
    expect(out).toStartWith("Usage: snap-store-proxy import ");
    expect(out).toContain("\n  snap-store-proxy import --dry-run /media/usb\n");
    expect(out).not.toMatch(/^ +chp /m);
    const main = (await runProgram(["help"], {}, "snap-store-proxy")).out;
    expect(main).toContain("\n  snap-store-proxy serve ");
    expect(main).toContain("Topics (snap-store-proxy help TOPIC):");
  });
});

describe("the manual", () => {
  test.each(TOPICS.map(({ name }) => [name]))("%s is text for a terminal, not Markdown", async (name) => {
    const { code, out } = await runProgram(["help", name]);
    expect(code).toBe(0);
    const { title = "" } = TOPICS.find((topic) => topic.name === name) ?? {};
    const page = out.slice(out.indexOf(`${title}\n${"=".repeat(title.length)}\n\n`));
    expect(page).toStartWith(title);
    expect(page).not.toMatch(/\*\*|`|\]\(|^#+ |^\|/m);
    expect(longLines(page).filter((line) => !line.startsWith("    "))).toEqual([]);
    expect(longLines(page).filter((line) => line.includes(" # "))).toEqual([]);
  });

  test("is printed as JSON, with its Markdown", async () => {
    for (const topic of TOPICS) expect(JSON.parse((await runProgram(["help", topic.name, "--json"])).out)).toEqual(topic);
  });

  test("is found by the beginning of a name, and a command's page comes after its help", async () => {
    expect((await runProgram(["help", "exit"])).out).toStartWith("Exit codes\n==========\n\ncode  meaning\n0     done\n");
    expect((await runProgram(["help", "log"])).out).toBe((await runProgram(["log", "--help"])).out);
    const { out } = await runProgram(["help", "import"]);
    expect(out).toStartWith("Usage: chp import ");
    expect(out).toContain("\n\nImport on the air-gapped side\n=============================\n");
  });

  test("names the topics where there is none of that name, and the nearest", async () => {
    expect(await runProgram(["help", "nonsense"])).toMatchObject({ code: 2, next: expect.stringMatching(/^topics are install, /) });
    expect(await runProgram(["help", "imports"])).toMatchObject({ code: 2, next: expect.stringMatching(/^did you mean import\?/) });
    expect((await runProgram(["help", "s"])).err).toContain("there is more than one command or topic s");
  });

  test("names only commands that there are", async () => {
    const known = new Set(COMMANDS.map(([first]) => first));
    for (const { name, text } of TOPICS)
      for (const [block] of text.matchAll(/^```[\s\S]*?^```/gm))
        for (const [, word = ""] of block.matchAll(/^(?:sudo )?chp ([a-z][\w-]*)/gm))
          expect([name, word, known.has(word)]).toEqual([name, word, true]);
  });
});

describe("a command line", () => {
  test.each(Object.entries(WRONG_WORDS))("%s gets the reason and the next step", async (word, [reason, next]) => {
    const run = await runProgram([word, "--with", "anything"]);
    expect(run).toMatchObject({ code: 2, err: `chp: ${word} is no command of chp: ${reason}\n`, next });
    const [, ...words] = next.split(" ");
    expect(COMMANDS.map(([first]) => first)).toContain(words[0] ?? "");
  });

  test.each([
    [["impotr"], "unknown command 'impotr'", "Did you mean import? chp --help"],
    [["import", "--jsno", "x"], "unknown option '--jsno'", "Did you mean --json? chp import --help"],
    [["import"], "missing required argument 'file'", "chp import --help"],
    [["export", "snaps", "--no"], "unknown option '--no'", "chp export snaps --help"],
    [["log", "x"], "too many arguments for 'log'. Expected 0 arguments but got 1.", "chp log --help"],
    [["export", "charm", "x"], "export takes bundle, charms, snaps, or no name at all, not charm", "chp export --help"],
    [
      ["export", "charms", "x", "--arch", "x86_64"],
      "--arch: x86_64 is not an architecture",
      expect.stringMatching(/^did you mean amd64\? /),
    ],
    [
      ["release", "x", "1", "edge", "--arch", "aarch64"],
      "--arch: aarch64 is not an architecture",
      expect.stringMatching(/^did you mean arm64\? /),
    ],
    [
      ["import", "https://x.lan/e.tar"],
      "chp import reads files, and https://x.lan/e.tar is a URL",
      "curl -fL https://x.lan/e.tar | chp import --name e.tar -",
    ],
    [["config", "--export-yaml", "--json"], "--export-yaml prints YAML, so it takes no --json", "chp config --json"],
    [["list", "-o", "yaml"], "--output takes json, not yaml", undefined],
    [["import", "--max-size", "10X", "x"], "--max-size takes a size of at least 1 B, like 4G, not 10X", undefined],
  ])("%j is wrong usage, and names the command's own help", async (args, message, next) => {
    expect(await runProgram(args)).toEqual({ code: 2, out: "", err: `chp: ${message}\n`, ...(next !== undefined && { next }) });
  });

  test("version, --version and -V print what a bug report needs", async () => {
    const { out } = await runProgram(["version"]);
    expect(out).toMatch(/^chp \d+\.\d+\.\d+\ncommit: \S+\nstore format: \d+\nruntime: Bun \S+, \w+ \w+\n$/);
    for (const args of [["--version"], ["-V"]]) expect(await runProgram(args)).toEqual({ code: 0, out, err: "" });
    expect(Object.keys(JSON.parse((await runProgram(["version", "--json"])).out))).toEqual(["version", "commit", "storeFormat", "runtime"]);
  });
});
