import { printable } from "../../src/errors.ts";
import { type CopyReport, copyStore } from "../../store/backup.ts";
import { Disk } from "../../store/fs.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize } from "../machine/io.ts";
import { storeFolder } from "../machine/openstore.ts";
import { define, EXITS, type Register } from "./command.ts";

export const backupCommand: Register = (program, io) => {
  define(program, "backup", "copy the store into an empty folder, while it serves and imports", `${EXITS}, 130 interrupted`)
    .argument("<dir>", "a folder that is empty or not there yet")
    .addHelpText(
      "after",
      `
On the same file system files are hard links, which cost no space and are damaged together; elsewhere they are copied and
checked on the way. Every kept generation and the settings go with it, secrets included.

Examples:
  chp backup /mnt/backup/chp-20260426`,
    )
    .action((dir: string, options: CommonOptions) => runCopy(new Disk(storeFolder(options, io)), new Disk(dir), "backup", options, io));
};

export const restoreCommand: Register = (program, io) => {
  define(program, "restore", "make the store from a backup; the store's folder must be empty", `${EXITS}, 130 interrupted`)
    .argument("<dir>", "what chp backup made")
    .addHelpText("after", "\nExamples:\n  chp restore /mnt/backup/chp-20260426 --store /var/lib/chp")
    .action((dir: string, options: CommonOptions) => runCopy(new Disk(dir), new Disk(storeFolder(options, io)), "restore", options, io));
};

async function runCopy(from: Disk, to: Disk, what: "backup" | "restore", options: CommonOptions, io: Io): Promise<void> {
  const report = await copyStore(from, to, io.signal);
  if (options.json) return printJson({ from: from.place, to: to.place, ...report }, io);
  io.out(
    render(report)
      .map((line) => `${printable(line)}\n`)
      .join(""),
  );
  note(what === "backup" ? `next: chp restore ${printable(to.place)} --store DIR brings it back` : "next: chp serve", options, io);
}

function render({ generations, linked, copied, bytes, secrets }: CopyReport): string[] {
  return [
    `generations: ${generations.length === 0 ? "none" : `${generations[0]} to ${generations.at(-1)}`}`,
    `files: ${count(linked, "hard link")}, ${count(copied, "copy").replace("copys", "copies")} (${showSize(bytes)})`,
    ...(secrets.length > 0 ? [`secrets went with it, readable by their owner alone: ${secrets.join(", ")}`] : []),
  ];
}
