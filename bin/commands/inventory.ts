import { Failure } from "../../src/errors.ts";
import { formatInventory } from "../../src/export/inventory.ts";
import { formatManifest } from "../../src/export/manifest.ts";
import { type Io, note } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { showChanged } from "./importreport.ts";

const TAKES = ["manifest"] as const;
type InventoryFlags = FlagValues<typeof TAKES>;

export const inventoryCommand: Register = (program, io) => {
  defineCommand(program, "inventory", "Print what is stored: for incremental exports, or as a site file", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: InventoryFlags) => runInventory(options, io));
};

const EXAMPLES = `
It is JSON, or the YAML of a site file with --manifest, and the same for the same holdings. No setting or secret is in it. The site file
names everything by its revision, with channels, bases, architectures and resources: its export takes the same again from a store that has
it, whatever the channels have by then.

Examples:
  chp inventory > have.json             then, on the connected side: chp export … --since have.json
  chp inventory --manifest > site.yaml  then: chp export -f site.yaml`;

export async function runInventory(options: InventoryFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const [packages, snaps] = [await snapshot.packages(), await snapshot.snaps()];
  const [repositories, agents] = [await snapshot.repositories(), await snapshot.agents()];
  if (options.manifest) {
    if (options.json) throw new Failure("usage", "--manifest prints YAML, and no JSON");
    const { text, notes } = formatManifest({ packages, snaps, repositories, agents });
    io.out(text);
    for (const one of notes) note(one, options, io);
    const isEmpty = packages.length + snaps.length + repositories.length + agents.length === 0;
    note(isEmpty ? "nothing is stored, so it names nothing" : "next, on the connected side: chp export -f FILE", options, io);
    return failOnDamage(store);
  }
  io.out(await formatInventory(packages, snaps, async (blob, size) => (await store.blob(blob))?.size === size, { repositories, agents }));
  note(
    `${showChanged(packages.length + snaps.length, repositories.length, agents.length)}; on the connected side: chp export … --since FILE packs what is not in it`,
    options,
    io,
  );
  await failOnDamage(store);
}
