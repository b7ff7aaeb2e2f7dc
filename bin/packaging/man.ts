/** Manual pages: of each command what its --help prints, of each topic what `chp help TOPIC` has. */

import { type Command, CommanderError } from "commander";
import { lexer, type Token, type Tokens } from "marked";
import { VERSION } from "../../src/version.ts";
import { TOPICS, type Topic } from "../commands/manual.ts";
import { createProgram } from "../commands/program.ts";
import type { Io } from "../machine/io.ts";

/** Columns that no line of help needs: man wraps for the terminal. */
const UNWRAPPED = 100_000;

/** Pages by file name, `chp-import.1`. `time`: seconds since 1970. */
export function manPages(time: number): Map<string, string> {
  const date = new Date(time * 1000).toISOString().slice(0, 10);
  const program = createProgram(printingTo(() => {}));
  const commands = program.createHelp().visibleCommands(program);
  const topics = TOPICS.map(({ name }) => `chp-${name}`);
  const pages = new Map([
    [
      "chp.1",
      commandPage(
        "chp",
        "an offline Charmhub and Snap Store",
        helpOf(),
        date,
        topics.map((name) => [name, 7]),
      ),
    ],
  ]);
  for (const command of commands) {
    const name = `chp-${command.name()}`;
    const related: Related = [["chp", 1], ...(topics.includes(name) ? ([[name, 7]] as const) : [])];
    pages.set(`${name}.1`, commandPage(name, command.summary(), helpOf(command.name()), date, related));
  }
  for (const topic of TOPICS) pages.set(`chp-${topic.name}.7`, topicPage(topic, date));
  return pages;
}

type Related = readonly (readonly [name: string, section: number])[];

/** A program that prints to `out` alone. */
function printingTo(out: (text: string) => void): Io {
  return {
    out,
    err: () => {},
    log: () => {},
    now: () => 0,
    terminal: { out: false, err: false, columns: UNWRAPPED },
    environment: {},
    input: async function* () {},
    signal: new AbortController().signal,
  };
}

function helpOf(...command: string[]): string {
  let text = "";
  const program = createProgram(printingTo((more) => void (text += more)));
  for (const each of withChildren(program)) each.configureOutput({ getOutHelpWidth: () => UNWRAPPED });
  try {
    program.parse([...command, "--help"], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  }
  return text;
}

function withChildren(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withChildren)];
}

/* ---- roff ---- */

function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
}

const quoted = (text: string) => `"${escaped(text).replaceAll('"', "\\(dq")}"`;
const example = (lines: readonly string[]) => `.PP\n.nf\n.RS 4\n${lines.map(escaped).join("\n")}\n.RE\n.fi`;

function head(name: string, section: number, summary: string, date: string): string {
  return `.TH ${quoted(name.toUpperCase())} ${section} ${quoted(date)} ${quoted(`chp ${VERSION}`)} "chp"\n.SH NAME\n${escaped(name)} \\- ${escaped(summary)}`;
}

function seeAlso(related: Related): string {
  return `.SH "SEE ALSO"\n${related.map(([name, section]) => `.BR ${escaped(name)} (${section})`).join(",\n")}`;
}

/* ---- of commands ---- */

function commandPage(name: string, summary: string, help: string, date: string, related: Related): string {
  const lead = summary.charAt(0).toLowerCase() + summary.slice(1);
  const [usage = "", ...blocks] = help.trimEnd().split(/\n\n+/);
  const parts = [`.SH SYNOPSIS\n${escaped(usage.replace(/^Usage: /, ""))}`, ".SH DESCRIPTION", ...blocks.map(blockOf)];
  return `${[head(name, 1, lead, date), ...parts, seeAlso(related)].join("\n")}\n`;
}

/** A paragraph, exit codes, or a heading with what is indented below it. */
function blockOf(block: string): string {
  const [first = "", ...rest] = block.split("\n");
  if (first.startsWith("Exit codes: ")) {
    const codes = first.slice("Exit codes: ".length).split(/, (?=\d)/);
    return [".SH EXIT STATUS", ...codes.map((code) => tagged(/^(\d+) (.*)$/.exec(code)?.slice(1) ?? ["", code]))].join("\n");
  }
  if (rest.length > 0 && first.endsWith(":") && rest.every((line) => line.startsWith("  "))) {
    const title = `.SH ${quoted(first.slice(0, -1).toUpperCase())}`;
    const lines = rest.map((line) => line.slice(2));
    return /^Examples?:$/.test(first)
      ? `${title}\n${example(lines)}`
      : [title, ...lines.map((line) => tagged(line.split(/ {2,}(.*)/)))].join("\n");
  }
  return [first, ...rest].every((line) => line.startsWith("  "))
    ? example([first, ...rest].map((line) => line.slice(2)))
    : `.PP\n${escaped(block)}`;
}

function tagged([term = "", help = ""]: readonly string[]): string {
  return `.TP\n.B ${escaped(term)}\n${escaped(help)}`;
}

/* ---- of topics ---- */

function topicPage({ name, title, text }: Topic, date: string): string {
  return `${[head(`chp-${name}`, 7, title, date), ".SH DESCRIPTION", ...lexer(text).flatMap(tokenOf), seeAlso([["chp", 1]])].join("\n")}\n`;
}

function tokenOf(token: Token): string[] {
  switch (token.type) {
    case "space":
      return [];
    case "heading":
      return [`.SH ${quoted(plain(token.tokens).toUpperCase())}`];
    case "code":
      return [example(token.text.split("\n"))];
    case "list":
      return (token as Tokens.List).items.map((item, i) => {
        const [first = "", ...more] = item.tokens.flatMap(tokenOf);
        const mark = token.ordered ? `${i + 1}.` : "\\(bu";
        return [`.IP ${mark} 4`, first.replace(/^\.PP\n/, ""), ...more].join("\n");
      });
    case "table": {
      const { header, rows } = token as Tokens.Table;
      const names = header.map((cell) => plain(cell.tokens));
      return rows.map((row) => {
        const [first = "", ...others] = row.map((cell) => plain(cell.tokens));
        const said = others.flatMap((cell, i) => (cell === "" ? [] : [others.length === 1 ? cell : `${names[i + 1]}: ${cell}`]));
        return tagged([first, said.join("; ")]);
      });
    }
    default:
      return [`.PP\n${escaped(plain("tokens" in token ? token.tokens : undefined) || token.raw.trim())}`];
  }
}

/** The text of inline tokens; of a link only its text. */
function plain(tokens: readonly Token[] | undefined): string {
  return (tokens ?? [])
    .map((token) => ("tokens" in token && token.tokens ? plain(token.tokens) : "text" in token ? String(token.text) : token.raw))
    .join("")
    .replace(/\s*\n\s*/g, " ");
}
