import type { Package } from "../package.ts";
import { type CommonOptions, define, EXITS, type Io, note, openStore, printJson, printTable, type Register, showSize } from "./command.ts";

export const listCommand: Register = (program, io) => {
  define(program, "list", "list the packages that are held", EXITS).action((options: CommonOptions) => runList(options, io));
};

export async function runList(options: CommonOptions, io: Io): Promise<void> {
  const snapshot = await (await openStore(options, io)).snapshot();
  const packages = await snapshot.packages();
  if (options.json) return printJson(packages.map(summaryOf), io);
  if (packages.length === 0) return note("nothing is held; next: chp import FILE", options, io);
  const rows = packages
    .map(summaryOf)
    .map((one) => [one.name, one.type, one.defaultTrack, one.channels.join(" "), one.revisions.join(" "), showSize(one.size)]);
  printTable(["NAME", "TYPE", "DEFAULT TRACK", "CHANNELS", "REVISIONS", "SIZE"], rows, io);
}

function summaryOf(pkg: Package) {
  return {
    name: pkg.name,
    type: pkg.type,
    id: pkg.id,
    defaultTrack: pkg.defaultTrack,
    channels: [...new Set(pkg.releases.map((r) => r.channel))],
    revisions: pkg.revisions.map((r) => r.revision),
    size: sizeOf(pkg),
  };
}

/** Bytes of its revisions and resources, each blob once. */
export function sizeOf(pkg: Package): number {
  const blobs = new Map([...pkg.revisions, ...pkg.resources.flatMap((r) => r.revisions)].map((one) => [one.blob, one.size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
