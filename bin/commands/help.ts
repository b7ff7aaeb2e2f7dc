/** `chp help`: commands, and the operator's pages, which are the sections of README.md. */

import type { Command } from "commander";
import readme from "../../README.md" with { type: "text" };
import { Failure, printable } from "../../src/errors.ts";
import { type CommonOptions, type Io, printJson } from "../machine/io.ts";
import type { Register } from "./command.ts";
import { addFlags } from "./flags.ts";

export interface Topic {
  /** the word after `chp help` */
  readonly name: string;
  readonly title: string;
  readonly text: string;
}

/** Sections for developers of chp. */
const LEFT_OUT = ["try", "developers"];
const FILLERS = ["a", "be", "can", "for", "is", "it", "of", "the", "what"];

/** The sections of a Markdown text, named after their headings: "What can be imported" is `imported`. */
export function topicsOf(markdown: string): Topic[] {
  const sections = markdown.split(/^(?=#{2,3} )/m).slice(1);
  return sections.flatMap((section) => {
    const [heading = "", ...rest] = section.split("\n");
    const title = heading.replace(/^#+ /, "").trim();
    const words = title.toLowerCase().match(/[a-z0-9]+/g) ?? [];
    const name = words.filter((word) => !FILLERS.includes(word)).join("-");
    const text = rest.join("\n").replace(/\[([^\]]+)\]\([^)]*\)/g, "$1");
    return LEFT_OUT.includes(name) || text.trim() === "" ? [] : [{ name, title, text: text.trim() }];
  });
}

export const TOPICS: readonly Topic[] = topicsOf(readme);

export const helpCommand: Register = (program, io) => {
  const command = program
    .helpCommand(false)
    .addHelpText("after", `\nTopics (chp help TOPIC):\n${TOPICS.map(({ name, title }) => `  ${name.padEnd(18)}  ${title}`).join("\n")}`)
    .command("help")
    .summary("explain a command or a topic")
    .description("explain a command or a topic.")
    .argument("[name]", "a command or a topic; nothing to list both");
  addFlags(command, ["jsonTopic"]).action((name: string | undefined, options: CommonOptions) => runHelp(program, name, options, io));
};

/** A prefix of a topic is enough. A command of the same name is printed first. */
export function runHelp(program: Command, name: string | undefined, options: CommonOptions, io: Io): void {
  if (name === undefined) return program.outputHelp();
  const command = program.commands.find((candidate) => candidate.name() === name);
  const exact = TOPICS.filter((candidate) => candidate.name === name);
  const found = exact.length > 0 ? exact : TOPICS.filter((candidate) => candidate.name.startsWith(name));
  const [topic] = found;
  if (!command && found.length !== 1)
    throw new Failure("usage", `there is ${found.length === 0 ? "no" : "more than one"} command or topic ${printable(name, 100)}`, {
      next: `topics are ${(found.length > 0 ? found : TOPICS).map((candidate) => candidate.name).join(", ")}; chp help lists commands`,
    });
  if (options.json && topic) return printJson(topic, io);
  command?.outputHelp();
  if (topic && found.length === 1) io.out(`${command ? "\n" : ""}${topic.title}\n${"-".repeat(topic.title.length)}\n\n${topic.text}\n`);
}
