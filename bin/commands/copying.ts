/** Shared by backup and restore: copies a store from one folder into another. */

import { printable } from "../../src/errors.ts";
import { type CopyReport, copyStore } from "../../store/backup.ts";
import { Disk } from "../../store/fs.ts";
import { withDigests } from "../machine/digests.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize, storeFlag } from "../machine/io.ts";
import { progressOn } from "../machine/progress.ts";

/** `to`: a folder. */
export async function runCopy(from: Disk, folder: string, what: "backup" | "restore", options: CommonOptions, io: Io): Promise<void> {
  const progress = progressOn(what, options, io);
  const { place } = new Disk(folder);
  const report = await withDigests((sums) =>
    copyStore(from, new Disk(folder, { sums }), {
      signal: io.signal,
      onProgress: (done, size, key) => progress.update(key, done, size),
    }),
  ).finally(() => progress.end());
  if (options.json) return printJson({ from: from.place, to: place, ...report }, io);
  io.out(
    renderCopy(report)
      .map((line) => `${printable(line)}\n`)
      .join(""),
  );
  if (what === "backup" && report.linked > 0)
    note("hard links are the same files on the same disk: they do not protect against damage to it", options, io);
  note(
    what === "backup" ? `next: chp restore ${printable(place)} --store DIR restores it` : `next: chp serve${storeFlag(options)}`,
    options,
    io,
  );
}

function renderCopy({ generations, linked, copied, bytes, secrets }: CopyReport): string[] {
  return [
    `generations: ${generations.length === 0 ? "none" : `${generations[0]} to ${generations.at(-1)}`}`,
    `files: ${count(linked, "hard link")}, ${count(copied, "copy").replace("copys", "copies")} (${showSize(bytes)})`,
    ...(secrets.length > 0 ? [`secrets went with it, readable by their owner alone: ${secrets.join(", ")}`] : []),
  ];
}
