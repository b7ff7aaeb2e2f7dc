/** `chp help`: commands, and the pages of the manual. */

import type { Command } from "commander";
import { Failure, printable } from "../../src/errors.ts";
import { nearestWord } from "../../src/text.ts";
import { type CommonOptions, type Io, printJson } from "../machine/io.ts";
import type { Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { renderTopic, TOPICS, type Topic } from "./manual.ts";
import { alertRules, dashboard } from "./monitoring.ts";
import { addFlags } from "./options.ts";

const TAKES = ["jsonTopic", "dashboard", "alerts"] as const;
type HelpFlags = CommonOptions & FlagValues<typeof TAKES>;

export const helpCommand: Register = (program, io) => {
  const command = program
    .helpCommand(false)
    .addHelpText(
      "after",
      `\nTopics (${program.name()} help TOPIC):\n${TOPICS.map(({ name, title }) => `  ${name.padEnd(16)}  ${title}`).join("\n")}`,
    )
    .command("help")
    .summary("Explain a command or a topic of the manual")
    .description("Explain a command or a topic of the manual.")
    .argument("[name]", "a command or a topic; without it, list both");
  addFlags(command, TAKES).action((name: string | undefined, options: HelpFlags) => runHelp(program, name, options, io));
};

/** A prefix of a topic is enough. A command of the same name is printed first. */
export async function runHelp(program: Command, name: string | undefined, options: HelpFlags, io: Io): Promise<void> {
  if (options.dashboard || options.alerts) return printMonitoring(name, options, io);
  if (name === undefined && options.json) return printJson(contentsOf(program), io);
  if (name === undefined) return program.outputHelp();
  const command = program.commands.find((candidate) => candidate.name() === name);
  const exact = TOPICS.filter((candidate) => candidate.name === name);
  const found = exact.length > 0 ? exact : TOPICS.filter((candidate) => candidate.name.startsWith(name));
  const [topic] = found;
  if (!command && found.length !== 1)
    throw new Failure("usage", `there is ${found.length === 0 ? "no" : "more than one"} command or topic ${printable(name, 100)}`, {
      next: nextTopic(name, program, found),
    });
  if (options.json && topic) return printJson(topic, io);
  command?.outputHelp();
  if (topic && found.length === 1) io.out((command ? "\n" : "") + (await renderTopic(topic, io.terminal.columns ?? 80)));
}

/** A file for Grafana or Prometheus, as it is. */
function printMonitoring(name: string | undefined, options: HelpFlags, io: Io): void {
  if (name !== "metrics" || (options.dashboard && options.alerts) || options.json)
    throw new Failure("usage", "--dashboard and --alerts each print a file of the topic metrics", {
      next: "chp help metrics --dashboard > chp-dashboard.json, chp help metrics --alerts > chp-alerts.yml",
    });
  io.out(options.dashboard ? dashboard() : alertRules());
}

/** The commands and topics that there are. */
function contentsOf(program: Command) {
  const commands = program.createHelp().visibleCommands(program);
  return {
    commands: commands.map((each) => ({ name: each.name(), aliases: each.aliases(), summary: each.summary() })),
    topics: TOPICS.map(({ name, title }) => ({ name, title })),
  };
}

function nextTopic(name: string, program: Command, found: readonly Topic[]): string {
  const names = (found.length > 0 ? found : TOPICS).map((topic) => topic.name);
  const meant =
    found.length > 0
      ? undefined
      : nearestWord(name, [
          ...program
            .createHelp()
            .visibleCommands(program)
            .map((each) => each.name()),
          ...names,
        ]);
  const topics = `topics are ${names.join(", ")}; ${program.name()} help lists commands`;
  return meant === undefined ? topics : `did you mean ${meant}? ${topics}`;
}
