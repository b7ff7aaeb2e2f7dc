import { Failure, printable } from "../../src/errors.ts";
import { Store } from "../../store/store.ts";
import type { CommonOptions, Io } from "../machine/io.ts";
import { storageAt, storageOf } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { runCopy } from "./copying.ts";

export const restoreCommand: Register = (program, io) => {
  defineCommand(program, "restore", "Restore a store from a backup, into an empty folder", `${EXITS}, 130 interrupted`)
    .argument("<dir>", "what chp backup made")
    .addHelpText("after", "\nExamples:\n  chp restore /mnt/backup/chp-20260426 --store /var/lib/chp")
    .action((dir: string, options: CommonOptions) => runRestore(dir, options, io));
};

async function runRestore(dir: string, options: CommonOptions, io: Io): Promise<void> {
  const from = storageAt(dir, io);
  if (!(await Store.openOrAwait(from)).exists)
    throw new Failure("not-found", `there is no backup in ${printable(dir, 200)}`, { next: "name the folder that chp backup wrote" });
  return runCopy(from, (how) => storageOf(options, io, how), "restore", options, io);
}
