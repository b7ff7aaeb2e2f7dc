import { stringify as toYaml } from "yaml";
import { isCertain, showNeededBy } from "../../src/catalog/images.ts";
import { type NeededSnap, neededSnaps, showNeed } from "../../src/catalog/snapneeds.ts";
import { printable } from "../../src/errors.ts";
import { count, type Io, note, printJson, printTable } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, failIfListed, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { type FoundImages, isMissing, listImages } from "./images.ts";

const TAKES = ["snapsYaml", "heldToo", "offlineRegistry", "exitCode"] as const;
type MissingFlags = FlagValues<typeof TAKES>;

export const missingCommand: Register = (program, io) => {
  defineCommand(program, "missing", "List the snaps and images that stored charms and snaps need and that are missing", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: MissingFlags) => runMissing(options, io));
};

const EXAMPLES = `
An image is missing that is neither in chp nor in the registry of proxy.oci-registry.domain, which is asked.
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
  const found = await listImages(store, !options.offline && !options.yaml, io);
  const images = found.needed.filter((image) => options.all || isMissing(image));
  const all = [count(needed.length, "snap"), ...(found.needed.length > 0 ? [count(found.needed.length, "image")] : [])].join(" and ");
  printMissing({ snaps: wanted, images, all }, options, io);
  if (wanted.length > 0 || options.yaml) failIfListed(wanted.length, "snap", options);
  else failIfListed(images.length, "image", options);
}

interface MissingThings {
  readonly snaps: readonly NeededSnap[];
  readonly images: FoundImages["needed"];
  /** how many are needed, stored or not, in words */
  readonly all: string;
}

function printMissing({ snaps: wanted, images, all }: MissingThings, options: MissingFlags, io: Io): void {
  if (options.yaml) return io.out(snapsYaml(wanted));
  if (options.json) return printJson([...wanted, ...images.map(({ upstream, neededBy }) => ({ image: upstream, neededBy }))], io);
  if (wanted.length + images.length === 0) return note(`nothing is missing: all ${all} that are known to be needed are here`, options, io);
  const headings = ["SNAP OR IMAGE", "REVISION", "CHANNEL", "ARCHITECTURE", "SURE", "STORED", "NEEDED BY"];
  const rows = wanted.map((snap) => [
    snap.name,
    String(snap.revision ?? "any"),
    snap.channel ?? "",
    snap.architecture ?? "any",
    snap.sure,
    snap.stored ? "yes" : "no",
    snap.by.join(", "),
  ]);
  const imageRows = images.map((image) => [
    image.upstream ?? "",
    "",
    "",
    "",
    isCertain(image) ? "certain" : "likely",
    isMissing(image) ? "no" : "yes",
    image.neededBy.map(showNeededBy).join("; "),
  ]);
  printTable(headings, [...rows, ...imageRows], io, [0, 6]);
  if (!options.all && wanted.length > 0) note("next: chp missing --yaml > snaps.yaml, and export these on the connected side", options, io);
  if (!options.all && images.length > 0)
    note("next: export the charms of these images again with them; chp images --missing lists them", options, io);
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
