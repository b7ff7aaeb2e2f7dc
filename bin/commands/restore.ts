import { Disk } from "../../store/fs.ts";
import type { CommonOptions } from "../machine/io.ts";
import { storeFolder } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { runCopy } from "./copying.ts";

export const restoreCommand: Register = (program, io) => {
  defineCommand(program, "restore", "Restore a store from a backup, into an empty folder", `${EXITS}, 130 interrupted`)
    .argument("<dir>", "what chp backup made")
    .addHelpText("after", "\nExamples:\n  chp restore /mnt/backup/chp-20260426 --store /var/lib/chp")
    .action((dir: string, options: CommonOptions) => runCopy(new Disk(dir), new Disk(storeFolder(options, io)), "restore", options, io));
};
