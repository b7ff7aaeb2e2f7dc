import { offered } from "../../src/catalog/override.ts";
import { SearchIndex } from "../../src/catalog/search.ts";
import { ARCHITECTURES } from "../../src/catalog/snap.ts";
import { SnapIndex } from "../../src/catalog/snapsearch.ts";
import { plausibleTime } from "../../src/clock.ts";
import type { CommonOptions, Io } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { printSummaries, summaryOfPackage, summaryOfSnap } from "./list.ts";

export const searchCommand: Register = (program, io) => {
  defineCommand(program, "search", "Search the stored charms, bundles and snaps", EXITS)
    .argument("<word...>", "every word must be found in name, title, summary, description, publisher or the like")
    .addHelpText(
      "after",
      "\nThe best match comes first, as juju find and snap find show it.\n\nExamples:\n  chp search postgresql\n  chp search --json database operator",
    )
    .action((words: string[], options: CommonOptions) => runSearch(words, options, io));
};

export async function runSearch(words: readonly string[], options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const now = plausibleTime(Date.now(), snapshot.time);
  const text = words.join(" ");
  const packages = new SearchIndex((await snapshot.packages()).map((pkg) => offered(pkg, now))).find({ text });
  const index = new SnapIndex((await snapshot.snaps()).map((snap) => offered(snap, now)));
  // A device finds only what runs on it; an operator finds everything, snaps of brand stores included.
  const stores = [undefined, ...new Set(index.snaps().flatMap(({ store: brand }) => brand ?? []))];
  const snaps = new Set(
    ARCHITECTURES.flatMap((architecture) =>
      stores.flatMap((brand) =>
        index.find({ text, architecture, confinements: [], ...(brand !== undefined && { store: brand }) }).map(({ snap }) => snap),
      ),
    ),
  );
  printSummaries(
    [...packages.map((pkg) => summaryOfPackage(pkg, now)), ...[...snaps].map((snap) => summaryOfSnap(snap, now))],
    `no stored package matches ${text}`,
    options,
    io,
  );
  await failOnDamage(store);
}
