import type { CommonOptions } from "../machine/io.ts";
import { storageAt, storageOf } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { runCopy } from "./copying.ts";

export const backupCommand: Register = (program, io) => {
  defineCommand(program, "backup", "Copy the store into an empty folder, also while it is in use", `${EXITS}, 130 interrupted`)
    .argument("<dir>", "a folder that is empty or not there yet, or has an earlier backup, which gets what is missing")
    .addHelpText(
      "after",
      `
On the same file system files are hard links, which cost no space and are damaged together; elsewhere they are copied and
checked on the way. Every kept generation and the settings go with it, secrets included.

Examples:
  chp backup /mnt/backup/chp-20260426`,
    )
    .action((dir: string, options: CommonOptions) =>
      runCopy(storageOf(options, io), (how) => storageAt(dir, io, how), "backup", options, io),
    );
};
