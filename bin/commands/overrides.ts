import { overridesOf, overrideWarnings, showWithout } from "../../src/catalog/override.ts";
import { Failure, printable } from "../../src/errors.ts";
import { type CommonOptions, type Io, note, printJson, printTable } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { define, EXITS, type Register } from "./command.ts";

export const overridesCommand: Register = (program, io) => {
  define(program, "overrides", "list what overrides hold: why, until when, and what is released there", EXITS)
    .argument("[name]", "only of this charm, bundle or snap")
    .action((name: string | undefined, options: CommonOptions) => runOverrides(name, options, io));
};

export async function runOverrides(name: string | undefined, options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const now = Date.now();
  const held =
    name === undefined
      ? [...(await snapshot.packages()), ...(await snapshot.snaps())]
      : [await snapshot.package(name), await snapshot.snap(name)].filter((one) => one !== undefined);
  if (name !== undefined && held.length === 0)
    throw new Failure("not-found", `nothing named ${printable(name, 100)} is held`, { next: "chp list shows what is" });
  const found = held.flatMap((one) => overridesOf(one, now));
  if (options.json) printJson(found, io);
  else if (found.length === 0) note("no override holds a channel; next: chp override NAME REVISION CHANNEL --reason TEXT", options, io);
  else {
    const rows = found.map((one) => [
      one.name,
      one.type,
      one.channel,
      one.on,
      String(one.revision),
      showWithout(one),
      one.state === "ended" ? `ended ${one.until}` : (one.until ?? "no end"),
      one.reason,
    ]);
    printTable(["NAME", "TYPE", "CHANNEL", "ON", "HELD AT", "WITHOUT IT", "UNTIL", "REASON"], rows, io);
    for (const text of held.flatMap((one) => overrideWarnings(one, now))) note(printable(text), options, io);
  }
  await failOnDamage(store);
}
