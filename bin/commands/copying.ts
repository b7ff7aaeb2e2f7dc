/** Shared by backup and restore: copies a store from one folder into another. */

import type { BeginSums } from "../../src/digest.ts";
import { printable } from "../../src/errors.ts";
import { type CopyReport, type CopyTarget, copyStore } from "../../store/backup.ts";
import type { Storage } from "../../store/storage.ts";
import { withDigests } from "../machine/digests.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize, storeFlag } from "../machine/io.ts";
import type { Hashing } from "../machine/openstore.ts";
import { progressOn } from "../machine/progress.ts";

export async function runCopy(
  from: Storage,
  open: (how: Hashing) => CopyTarget,
  what: "backup" | "restore" | "copy",
  options: CommonOptions & { readonly next?: string },
  io: Io,
): Promise<void> {
  const progress = progressOn(what, options, io);
  const copied = async (sums: BeginSums) => {
    const to = open({ sums });
    const onProgress = (done: number, size: number, key: string) => progress.update(key, done, size);
    return { place: to.place, report: await copyStore(from, to, { signal: io.signal, onProgress }) };
  };
  const { place, report } = await withDigests(copied, { isIdle: true }).finally(() => progress.end());
  if (options.json) return printJson({ from: from.place, to: place, ...report }, io);
  io.out(
    renderCopy(report)
      .map((line) => `${printable(line)}\n`)
      .join(""),
  );
  if (what === "backup" && report.linked > 0)
    note("hard links are the same files on the same disk: they do not protect against damage to it", options, io);
  const next =
    options.next ?? (what === "backup" ? `chp restore ${printable(place)} --store DIR restores it` : `chp serve${storeFlag(options)}`);
  note(`next: ${next}`, options, io);
}

function renderCopy({ generations, linked, copied, bytes, secrets }: CopyReport): string[] {
  return [
    `generations: ${generations.length === 0 ? "none" : `${generations[0]} to ${generations.at(-1)}`}`,
    `files: ${count(linked, "hard link")}, ${count(copied, "copy").replace("copys", "copies")} (${showSize(bytes)})`,
    ...(secrets.length > 0 ? [`secrets went with it, readable by their owner alone: ${secrets.join(", ")}`] : []),
  ];
}
