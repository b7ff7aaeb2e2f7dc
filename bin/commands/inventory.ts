import { formatInventory } from "../../src/export/inventory.ts";
import { type CommonOptions, type Io, note } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { showChanged } from "./importreport.ts";

export const inventoryCommand: Register = (program, io) => {
  defineCommand(program, "inventory", "Print an inventory for incremental exports (chp export --since)", EXITS)
    .addHelpText("after", EXAMPLES)
    .action((options: CommonOptions) => runInventory(options, io));
};

const EXAMPLES = `
It is always JSON, and the same for the same holdings. No setting, channel or secret is in it.

Example:
  chp inventory > have.json        then, on the connected side: chp export … --since have.json`;

export async function runInventory(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const [packages, snaps] = [await snapshot.packages(), await snapshot.snaps()];
  const [repositories, agents] = [await snapshot.repositories(), await snapshot.agents()];
  io.out(await formatInventory(packages, snaps, async (blob, size) => (await store.blob(blob))?.size === size, { repositories, agents }));
  note(
    `${showChanged(packages.length + snaps.length, repositories.length, agents.length)}; on the connected side: chp export … --since FILE packs what is not in it`,
    options,
    io,
  );
  await failOnDamage(store);
}
