/**
 * Flags as options of commander, and their values: the command line takes precedence over the environment, and the
 * environment over the default.
 */

import { type Command, Option } from "commander";
import { FLAGS, type Flag, type FlagId } from "./flags.ts";

/** Whether a variable of the environment switches something on. */
function isOn(text: string): boolean {
  return !["0", "false", "no"].includes(text.toLowerCase());
}

/** A flag as an option of commander. */
export class FlagOption extends Option {
  readonly flag: Flag;

  constructor(flag: Flag) {
    const { name, short, argument, parse, many } = flag;
    const value = argument === undefined ? "" : argument.startsWith("[") ? ` ${argument}` : ` <${argument}>`;
    super(`${short === undefined ? "" : `-${short}, `}--${name}${value}`, flag.help + (flag.isRequired ? " (required)" : ""));
    this.flag = flag;
    if (many)
      this.argParser((text: string, before: readonly string[] | undefined) => [
        ...(before ?? []),
        ...(many === "commas" ? text.split(",") : [text]),
      ]);
    else if (parse) this.argParser((text) => parse(text, `--${name}`));
    this.hideHelp(flag.isHidden ?? false);
    this.makeOptionMandatory(flag.isRequired ?? false);
  }
}

export function addFlags(command: Command, ids: readonly FlagId[]): Command {
  for (const flag of ids.map((id): Flag => FLAGS[id])) {
    command.addOption(new FlagOption(flag));
    if (flag.name === "json") command.addOption(new FlagOption(FLAGS.output));
  }
  return command;
}

/** The value of a flag: of the command line, else of the environment, else the default. Fails with `usage`. */
export function flagValue(flag: Flag, given: unknown, environment: Readonly<Record<string, string | undefined>>): unknown {
  const text = flag.twin === undefined || flag.isSetting ? "" : (environment[flag.twin] ?? "");
  if (given !== undefined) return given;
  if (text === "") return flag.default;
  if (flag.argument === undefined) return isOn(text);
  if (flag.many) return text.split(",");
  return flag.parse ? flag.parse(text, flag.twin ?? "") : text;
}

/** Sets the value of each flag of a command, just before it runs. `given` has the options of the command line alone. */
export function readFlags(command: Command, environment: Readonly<Record<string, string | undefined>>): void {
  const given = { ...command.opts() };
  for (const option of command.options) {
    if (!(option instanceof FlagOption)) continue;
    const key = option.attributeName();
    command.setOptionValue(key, flagValue(option.flag, given[key], environment));
  }
  if (given["output"] === "json") command.setOptionValue("json", true);
  command.setOptionValue("given", given);
}
