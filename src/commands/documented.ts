/** What only the documented names of chp have (a link `snap-store-proxy` to it): their own status, and what chp has no use for. */

import { header } from "../assertion.ts";
import type { ProgramName } from "../documented.ts";
import { Failure, printable } from "../errors.ts";
import { type CommonOptions, define, EXITS, type Io, openStore, printJson, type Register } from "./command.ts";
import { loadSettings } from "./settings.ts";
import { statusCommand } from "./status.ts";

/** The status that the readers of a program's documents expect. */
export function statusCommandOf(name: ProgramName): Register {
  return name === "chp" ? statusCommand : documentedStatusCommand;
}

const documentedStatusCommand: Register = (program, io) => {
  define(program, "status", "show which store this is (chp status tells more)", EXITS).action((options: CommonOptions) =>
    runDocumentedStatus(options, io),
  );
};

export async function runDocumentedStatus(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { environment: io.environment });
  const held = await (await store.snapshot()).assertions();
  const [registered] = held.ofType("store").flatMap(({ type, key }) => held.verified(type, key).slice(0, 1));
  const facts = {
    storeUrl: settings.get("public-url")?.values[0] ?? null,
    airgap: true,
    storeId: registered ? header(registered, "store") : null,
    signedBy: registered?.authority ?? null,
  };
  if (options.json) return printJson(facts, io);
  const lines = [
    `Store URL: ${facts.storeUrl ?? "not set (chp config public-url=URL sets it)"}`,
    "Store is in air-gapped mode",
    `Store ID: ${facts.storeId ?? "none"}`,
    facts.signedBy === null
      ? "Status: not registered, which charms do not need (chp snapd-config tells what snaps need)"
      : `Status: registered, by a store assertion that ${facts.signedBy} signed`,
    "Connected Devices: not counted",
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

export const airgapCommands: Register = (program, io) => {
  define(program, "enable-airgap-mode", "do nothing: chp is always offline", "0 done, 2 usage")
    .option("--password <TEXT>", "taken and not used")
    .action((options: CommonOptions) => {
      if (options.json) printJson({ airgap: true }, io);
      else io.out("chp is always offline: there is nothing to enable\n");
    });
  define(program, "disable-airgap-mode", "refused: chp is always offline", "2 usage").action(() => {
    throw new Failure("usage", "chp is always offline: it has no mode in which it asks a service outside");
  });
};
