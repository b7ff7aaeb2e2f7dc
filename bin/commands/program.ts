/** All commands of chp as a commander program. */

import { Command, CommanderError, Help } from "commander";
import { Failure, printable } from "../../src/errors.ts";
import type { ProgramName } from "../../src/settings/documented.ts";
import type { Io } from "../machine/io.ts";
import { acceptKeyCommand } from "./accept-key.ts";
import { backupCommand } from "./backup.ts";
import { closeCommand } from "./close.ts";
import type { Register } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { configCommand } from "./config.ts";
import { copyCommand } from "./copy.ts";
import { defaultTrackCommand } from "./default-track.ts";
import { diffCommand } from "./diff.ts";
import { doctorCommand } from "./doctor.ts";
import { airgapCommands, overrideCommandsOf, statusCommandOf } from "./documented.ts";
import { duCommand } from "./du.ts";
import { endOverrideCommand } from "./end-override.ts";
import { exportCommandOf } from "./export.ts";
import { gcCommand } from "./gc.ts";
import { helpCommand } from "./help.ts";
import { imagesCommand } from "./images.ts";
import { importCommand } from "./import.ts";
import { importCertificateCommand } from "./import-certificate.ts";
import { inventoryCommand } from "./inventory.ts";
import { jujuConfigCommand } from "./juju-config.ts";
import { keygenCommand } from "./keygen.ts";
import { listCommand } from "./list.ts";
import { listPushedSnapsCommand } from "./list-pushed-snaps.ts";
import { logCommand } from "./log.ts";
import { missingCommand } from "./missing.ts";
import { readFlags } from "./options.ts";
import { overridesCommand } from "./overrides.ts";
import { pushCommands } from "./push.ts";
import { releaseCommand } from "./release.ts";
import { removeCommand } from "./remove.ts";
import { restoreCommand } from "./restore.ts";
import { rollbackCommand } from "./rollback.ts";
import { searchCommand } from "./search.ts";
import { serveCommand } from "./serve.ts";
import { showCommand } from "./show.ts";
import { snapdConfigCommand } from "./snapd-config.ts";
import { tokenCommand } from "./token.ts";
import { trustCommand } from "./trust.ts";
import { unitCommand } from "./unit.ts";
import { verifyCommand } from "./verify.ts";
import { versionCommand, versionText } from "./version.ts";
import { wrongWords } from "./wrongwords.ts";

interface Group {
  /** its heading in help */
  readonly heading: string;
  /** in the order of help; `name`: the name under which the program was started */
  readonly commands: (name: ProgramName) => readonly Register[];
}

/** All commands by group. command.ts explains how to add one. */
const GROUPS: readonly Group[] = [
  {
    heading: "Export and import",
    commands: (name) => [exportCommandOf(name), importCommand, inventoryCommand, keygenCommand, acceptKeyCommand, tokenCommand],
  },
  {
    heading: "Serve and set up",
    commands: () => [
      serveCommand,
      configCommand,
      unitCommand,
      importCertificateCommand,
      trustCommand,
      jujuConfigCommand,
      snapdConfigCommand,
      completionCommand,
    ],
  },
  {
    heading: "Inspect",
    commands: (name) => [
      statusCommandOf(name),
      doctorCommand,
      listCommand,
      showCommand,
      searchCommand,
      missingCommand,
      imagesCommand,
      logCommand,
      diffCommand,
      overridesCommand,
    ],
  },
  {
    heading: "Change",
    commands: (name) => [
      releaseCommand,
      closeCommand,
      defaultTrackCommand,
      overrideCommandsOf(name),
      endOverrideCommand,
      removeCommand,
      rollbackCommand,
    ],
  },
  { heading: "Maintain", commands: () => [verifyCommand, gcCommand, duCommand, backupCommand, restoreCommand, copyCommand] },
  { heading: "Compatibility", commands: () => [pushCommands, listPushedSnapsCommand, airgapCommands] },
  { heading: "Help", commands: () => [helpCommand, versionCommand, wrongWords] },
];

const ABOUT = [
  "An offline Charmhub and Snap Store in one executable: archives exported on a connected machine are imported into a folder and served to Juju and snapd.",
  "",
  "  NAME import site-….tar",
  "  NAME serve --public-url http://hub.lan:8080",
  "  juju add-model m --config charmhub-url=http://hub.lan:8080",
];

/** `name`: under which the program was started. Wrong usage is a `usage` failure; help is thrown as CommanderError with exit code 0. */
export function createProgram(io: Io, name: ProgramName = "chp"): Command {
  const program = new Command(name)
    .description(ABOUT.map((line) => line.replace("NAME", name)).join("\n"))
    .option("-V, --version", "print version, commit, store format and runtime")
    .on("option:version", () => {
      io.out(versionText());
      throw new CommanderError(0, "commander.version", "");
    })
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => io.out(finishHelp(text, name, io.terminal.columns ?? 80)),
      writeErr: (text) => io.err(text),
      outputError: () => {},
    })
    .configureHelp({ subcommandTerm: (command) => [command.name(), ...command.aliases()].join(", ") })
    .enablePositionalOptions() // options after the name of a command belong to that command
    .hook("preAction", (_program, command) => readFlags(command, io.environment));
  for (const { heading, commands } of GROUPS) {
    program.commandsGroup(`${heading}:`);
    for (const register of commands(name)) register(program, io);
  }
  inherit(program);
  failAsUsage(program, name);
  return program;
}

/** The lines of a text that begins in that column, and goes on below it. */
function wrap(text: string, columns: number, column: number): string {
  return Object.assign(new Help(), { minWidthToWrap: 20 })
    .boxWrap(text, columns - column)
    .replaceAll("\n", `\n${" ".repeat(column)}`);
}

/** Help as it is shown: prose is wrapped, and command lines are in the name that the program was started by. */
function finishHelp(text: string, name: ProgramName, columns: number): string {
  const wrapped = text
    .replace(/^\S.*(?:\n\S.*)*/gm, (paragraph) => wrap(paragraph.replaceAll("\n", " "), columns, 0))
    .replace(/^( {2,}\S.*? {2,})(\S.*)$/gm, (_, left: string, right: string) => left + wrap(right, columns, left.length));
  return name === "chp" ? wrapped : wrapped.replace(/^( {2,})chp (?=\S)/gm, `$1${name} `);
}

/** Wrong usage of a command fails with the help of that command as the next step. */
function failAsUsage(command: Command, path: string): void {
  command.exitOverride((error) => {
    if (error.exitCode === 0) throw error;
    const [said = "", ...suggestions] = error.message.replace(/^error: /, "").split("\n");
    const kinds = command.commands.map((child) => child.name());
    const isKind = error.code === "commander.excessArguments" && kinds.length > 0;
    const message = isKind
      ? `${command.name()} takes ${kinds.join(", ")}, or no name at all, not ${printable(command.args[0] ?? "", 50)}`
      : said;
    throw new Failure("usage", message, {
      next: [...suggestions.map((line) => line.replace(/^\((.*)\)$/, "$1")), `${path} --help`].join(" "),
    });
  });
  for (const child of command.commands) failAsUsage(child, `${path} ${child.name()}`);
}

function inherit(from: Command): void {
  for (const command of from.commands) {
    command.copyInheritedSettings(from);
    inherit(command);
  }
}
