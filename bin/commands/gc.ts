import { collectGarbage } from "../../store/gc.ts";
import type { GcReport } from "../../store/retained.ts";
import { count, type Io, printJson, showSize } from "../machine/io.ts";
import { openOrCreateStore, openStore } from "../machine/openstore.ts";
import { progressOn } from "../machine/progress.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["gcDryRun", "keepGenerations", "keepDays", "olderThan"] as const;
type GcFlags = FlagValues<typeof TAKES>;

export const gcCommand: Register = (program, io) => {
  defineCommand(program, "gc", "Delete data that no retained generation references", EXITS, TAKES)
    .addHelpText(
      "after",
      `
Unreferenced data is moved to the trash; a gc an hour later deletes it. Servers and imports may run meanwhile: while an import or another
change runs, and for ten minutes after one was killed, nothing is pruned or deleted, and gc says so.
A generation that is not kept can't be rolled back to.

Examples:
  chp gc --dry-run
  chp gc
  chp gc --keep-generations 1 --keep-days 0 --older-than 0`,
    )
    .action((options: GcFlags) => runGc(options, io));
};

export async function runGc(options: GcFlags, io: Io): Promise<void> {
  await openStore(options, io); // gc makes no store
  const store = await (options.dryRun ? openStore(options, io) : openOrCreateStore({ ...options, quiet: true }, io));
  const progress = progressOn("gc", options, io, "steps");
  const report = await collectGarbage(store, {
    generations: options.keepGenerations,
    days: options.keepDays,
    hours: options.olderThan,
    dryRun: options.dryRun ?? false,
    signal: io.signal,
    onProgress: (done, steps, what) => progress.update(what, done, steps),
  }).finally(() => progress.end());
  if (options.json) return printJson(report, io);
  io.out(renderGc(report));
}

function renderGc({ dryRun, pruned, kept, aside, deleted, restored, young, leases }: GcReport): string {
  const show = ({ blobs, bytes }: GcReport["aside"]) => `${count(blobs, "file")}, ${showSize(bytes)}`;
  const lines = [
    `generations: ${kept.length} kept (from ${kept[0] ?? 0} on), ${pruned.length} pruned${pruned.length > 0 ? ` (${pruned.join(", ")})` : ""}`,
    `freed: ${show(deleted)}`,
    `moved to trash: ${show(aside)}${aside.blobs > 0 ? "; a gc an hour later frees them" : ""}`,
    ...(young.blobs > 0 ? [`too young: ${show(young)}`] : []),
    ...(leases > 0
      ? ["nothing is pruned or freed while an import or another change runs, or if one was killed in the last 10 minutes: run gc again"]
      : []),
    ...(restored > 0 ? [`taken back from the trash: ${count(restored, "file")}`] : []),
    ...(dryRun ? ["dry run: nothing was changed"] : []),
  ];
  return `${lines.join("\n")}\n`;
}
