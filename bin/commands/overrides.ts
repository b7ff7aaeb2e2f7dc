import { overridesOf, overrideWarnings, showWithout } from "../../src/catalog/override.ts";
import { plausibleTime } from "../../src/clock.ts";
import { Failure, printable } from "../../src/errors.ts";
import { type CommonOptions, type Io, note, printJson, printTable } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";

export const overridesCommand: Register = (program, io) => {
  defineCommand(program, "overrides", "List overrides: why, until when, and what is released there", EXITS)
    .argument("[name]", "only of this charm, bundle or snap")
    .action((name: string | undefined, options: CommonOptions) => runOverrides(name, options, io));
};

export async function runOverrides(name: string | undefined, options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const now = plausibleTime(Date.now(), snapshot.time);
  const packages =
    name === undefined
      ? [...(await snapshot.packages()), ...(await snapshot.snaps())]
      : [await snapshot.package(name), await snapshot.snap(name)].filter((pkg) => pkg !== undefined);
  if (name !== undefined && packages.length === 0)
    throw new Failure("not-found", `no package named ${printable(name, 100)} is stored`, { next: "chp list shows what is" });
  const overrides = packages.flatMap((pkg) => overridesOf(pkg, now));
  if (options.json) printJson(overrides, io);
  else if (overrides.length === 0) note("there is no override; next: chp override NAME REVISION CHANNEL --reason TEXT", options, io);
  else {
    const rows = overrides.map((override) => [
      override.name,
      override.type,
      override.channel,
      override.on,
      String(override.revision),
      showWithout(override),
      override.state === "ended" ? `ended ${override.until}` : (override.until ?? "no end"),
      override.reason,
    ]);
    printTable(["NAME", "TYPE", "CHANNEL", "ON", "PINNED TO", "WITHOUT IT", "UNTIL", "REASON"], rows, io);
    for (const text of packages.flatMap((pkg) => overrideWarnings(pkg, now))) note(printable(text), options, io);
  }
  await failOnDamage(store);
}
