import { stringify as toYaml } from "yaml";
import { type NeededSnap, neededSnaps, showNeed } from "../../src/catalog/snapneeds.ts";
import { printable } from "../../src/errors.ts";
import { count, type Io, note, printJson, printTable } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, failIfListed, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["snapsYaml", "heldToo", "exitCode"] as const;
type MissingFlags = FlagValues<typeof TAKES>;

export const missingCommand: Register = (program, io) => {
  defineCommand(program, "missing", "List the snaps that stored charms and snaps need and that are missing", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: MissingFlags) => runMissing(options, io));
};

const EXAMPLES = `
What a charm's refresh_versions.toml names is certain; what its code, scripts and data seem to name is likely.

Examples:
  chp missing
  chp missing --yaml > snaps.yaml     then, outside: chp export snaps --from-yaml snaps.yaml`;

export async function runMissing(options: MissingFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  await failOnDamage(store); // damaged packages may need more snaps
  const needed = neededSnaps(await snapshot.packages(), await snapshot.snaps());
  const wanted = needed.filter((snap) => options.all || !snap.stored);
  printMissing(wanted, needed.length, options, io);
  failIfListed(wanted.length, "snap", options);
}

/** `needed`: how many are needed, stored or not. */
function printMissing(wanted: readonly NeededSnap[], needed: number, options: MissingFlags, io: Io): void {
  if (options.yaml) return io.out(snapsYaml(wanted));
  if (options.json) return printJson(wanted, io);
  if (wanted.length === 0)
    return note(`nothing is missing: all ${count(needed, "snap")} that are known to be needed are stored`, options, io);
  const headings = ["SNAP", "REVISION", "CHANNEL", "ARCHITECTURE", "SURE", "STORED", "NEEDED BY"];
  const rows = wanted.map((snap) => [
    snap.name,
    String(snap.revision ?? "any"),
    snap.channel ?? "",
    snap.architecture ?? "any",
    snap.sure,
    snap.stored ? "yes" : "no",
    snap.by.join(", "),
  ]);
  printTable(headings, rows, io);
  if (!options.all) note("next: chp missing --yaml > snaps.yaml, and export these on the connected side", options, io);
}

/** The documented snaps.yaml. Each revision gets a channel: it can be exported by number only if it was released to one. */
function snapsYaml(wanted: readonly NeededSnap[]): string {
  const packages = wanted.map(({ name, revision, channel }) => ({
    name,
    ...(revision !== undefined && { revision }),
    push_channel: channel ?? (revision === undefined ? "latest/stable" : `chp_${revision}/stable`),
  }));
  const unique = new Map(packages.map((entry) => [JSON.stringify(entry), entry]));
  const why = wanted.map((snap) => `# ${snap.sure}: ${showNeed(snap)}: ${snap.by.join(", ")}\n`);
  return `${why.map((line) => `${printable(line.trimEnd())}\n`).join("")}${toYaml({ packages: [...unique.values()] })}`;
}
