/** All commands of chp as a commander program. */

import { Command } from "commander";
import type { ProgramName } from "../../src/settings/documented.ts";
import { VERSION } from "../../src/version.ts";
import type { Io } from "../machine/io.ts";
import { acceptKeyCommand } from "./accept-key.ts";
import { backupCommand } from "./backup.ts";
import { closeCommand } from "./close.ts";
import type { Register } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { configCommand } from "./config.ts";
import { defaultTrackCommand } from "./default-track.ts";
import { diffCommand } from "./diff.ts";
import { doctorCommand } from "./doctor.ts";
import { airgapCommands, overrideCommandsOf, statusCommandOf } from "./documented.ts";
import { duCommand } from "./du.ts";
import { endOverrideCommand } from "./end-override.ts";
import { exportCommand } from "./export.ts";
import { readFlags } from "./flags.ts";
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

interface Group {
  readonly about: string;
  /** in the order of help; `name`: the name under which the program was started */
  readonly commands: (name: ProgramName) => readonly Register[];
}

/** All commands by group. command.ts explains how to add one. */
const GROUPS: readonly Group[] = [
  { about: "what comes in, and who answers", commands: () => [importCommand, serveCommand] },
  {
    about: "what tells of the store and changes nothing; images, doctor and status ask the network",
    commands: (name) => [
      listCommand,
      showCommand,
      statusCommandOf(name),
      missingCommand,
      imagesCommand,
      doctorCommand,
      logCommand,
      diffCommand,
      searchCommand,
      duCommand,
      verifyCommand,
    ],
  },
  {
    about: "what changes packages by hand",
    commands: (name) => [
      releaseCommand,
      closeCommand,
      defaultTrackCommand,
      overrideCommandsOf(name),
      endOverrideCommand,
      overridesCommand,
      rollbackCommand,
      removeCommand,
    ],
  },
  { about: "what keeps the store", commands: () => [gcCommand, backupCommand, restoreCommand] },
  {
    about: "the other side, and what goes between both; export asks an upstream",
    commands: () => [exportCommand, inventoryCommand, keygenCommand, acceptKeyCommand],
  },
  {
    about: "settings, and what this machine and clients need",
    commands: () => [
      configCommand,
      snapdConfigCommand,
      unitCommand,
      completionCommand,
      helpCommand,
      jujuConfigCommand,
      importCertificateCommand,
      trustCommand,
      tokenCommand,
    ],
  },
  { about: "the documented names of other programs", commands: () => [pushCommands, listPushedSnapsCommand, airgapCommands] },
];

const ABOUT = `An offline Charmhub and Snap Store in one executable: what was exported on a connected machine is imported
into a folder and served to Juju and snapd as if Canonical's services were in the room.

  chp import charms-export-….tar.gz
  chp serve --public-url http://hub.lan:8080
  juju add-model m --config charmhub-url=http://hub.lan:8080`;

/** `name`: under which the program was started. Usage errors are thrown as CommanderError; their text goes to `io`. */
export function createProgram(io: Io, name: ProgramName = "chp"): Command {
  const program = new Command(name)
    .description(ABOUT)
    .version(VERSION, "--version", "print the version")
    .showSuggestionAfterError()
    .showHelpAfterError("chp help COMMAND explains a command")
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, "chp: ")),
    })
    .enablePositionalOptions() // options after the name of a command belong to that command
    .exitOverride()
    .hook("preAction", (_program, command) => readFlags(command, io.environment));
  for (const register of GROUPS.flatMap((group) => group.commands(name))) register(program, io);
  inherit(program);
  return program;
}

function inherit(from: Command): void {
  for (const command of from.commands) {
    command.copyInheritedSettings(from);
    inherit(command);
  }
}
