/** All commands of chp, as a commander program. */

import { Command } from "commander";
import { VERSION } from "../version.ts";
import { backupCommand, restoreCommand } from "./backup.ts";
import { closeCommand, defaultTrackCommand, releaseCommand, rollbackCommand } from "./change.ts";
import type { Io, Register } from "./command.ts";
import { configCommand } from "./config.ts";
import { gcCommand } from "./gc.ts";
import { importCommand, pushCommands } from "./import.ts";
import { listCommand, listPushedSnapsCommand } from "./list.ts";
import { logCommand } from "./log.ts";
import { missingCommand } from "./missing.ts";
import { removeCommand } from "./remove.ts";
import { serveCommand } from "./serve.ts";
import { showCommand } from "./show.ts";
import { snapdConfigCommand } from "./snapd-config.ts";
import { statusCommand } from "./status.ts";

const COMMANDS: readonly Register[] = [
  importCommand,
  serveCommand,
  listCommand,
  showCommand,
  statusCommand,
  missingCommand,
  logCommand,
  releaseCommand,
  closeCommand,
  defaultTrackCommand,
  rollbackCommand,
  removeCommand,
  gcCommand,
  backupCommand,
  restoreCommand,
  configCommand,
  snapdConfigCommand,
  pushCommands,
  listPushedSnapsCommand,
];

const ABOUT = `An offline Charmhub and Snap Store in one executable: what was exported on a connected machine is imported
into a folder and served to Juju and snapd as if Canonical's services were in the room.

  chp import charms-export-….tar.gz
  chp serve --public-url http://hub.lan:8080
  juju add-model m --config charmhub-url=http://hub.lan:8080`;

/** Usage errors are thrown as commander's own error; what it prints goes to `io`. */
export function createProgram(io: Io): Command {
  const program = new Command("chp")
    .description(ABOUT)
    .version(VERSION, "--version", "print the version")
    .helpCommand("help [command]", "explain a command")
    .showSuggestionAfterError()
    .showHelpAfterError("chp help COMMAND explains a command")
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, "chp: ")),
    })
    .exitOverride();
  for (const register of COMMANDS) register(program, io);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}
