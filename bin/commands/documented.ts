/** Commands of the documented programs, for a link like `snap-store-proxy` to chp: their own status and overrides, and commands without effect. */

import { header } from "../../src/assertions/assertion.ts";
import type { StoredPackage } from "../../src/catalog/change.ts";
import { channelOf } from "../../src/catalog/channelmap.ts";
import { endOverride, type OverrideFacts, overrideMoves, overridesOf, setOverride } from "../../src/catalog/override.ts";
import { shortChannel } from "../../src/catalog/snap.ts";
import { plausibleTime } from "../../src/clock.ts";
import { Failure, printable } from "../../src/errors.ts";
import type { ProgramName } from "../../src/settings/documented.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { type CommonOptions, type Io, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { loadSettings } from "../machine/settings.ts";
import { CHANGE_EXITS, findPackage, printChange, publishUpdate, reportChanges } from "./changing.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { overrideCommand } from "./override.ts";
import { statusCommand } from "./status.ts";

/** `status` as the documents of the program describe it. */
export function statusCommandOf(name: ProgramName): Register {
  return name === "chp" ? statusCommand : documentedStatusCommand;
}

const documentedStatusCommand: Register = (program, io) => {
  defineCommand(program, "status", "Show which store this is (chp status shows more)", EXITS).action((options: CommonOptions) =>
    runDocumentedStatus(options, io),
  );
};

export async function runDocumentedStatus(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { environment: io.environment });
  const assertions = await (await store.snapshot()).assertions();
  const [registered] = assertions.ofType("store").flatMap(({ type, key }) => assertions.verified(type, key).slice(0, 1));
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
      ? "Status: not registered, which charms do not need (chp snapd-config shows what snaps need)"
      : `Status: registered, by a store assertion that ${facts.signedBy} signed`,
    "Connected Devices: not counted",
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

export const airgapCommands: Register = (program, io) => {
  defineCommand(program, "enable-airgap-mode", "No-op for compatibility: chp is always offline", "0 done, 2 usage", ["password"]).action(
    (options: CommonOptions) => {
      if (options.json) printJson({ airgap: true }, io);
      else io.out("chp is always offline: there is nothing to enable\n");
    },
  );
  defineCommand(program, "disable-airgap-mode", "Refused: chp is always offline", "2 usage").action(() => {
    throw new Failure("usage", "chp is always offline: it has no mode in which it asks a service outside");
  });
};

/** The override commands as the documents of the program describe them. */
export function overrideCommandsOf(name: ProgramName): Register {
  if (name === "chp") return overrideCommand;
  return (program, io) => {
    documentedOverrideCommand(name)(program, io);
    documentedOverridesCommands(program, io);
  };
}

const documentedOverrideCommand =
  (program: ProgramName): Register =>
  (commands, io) => {
    defineCommand(commands, "override", "Pin channels to revisions (chp override also takes a reason and an end)", CHANGE_EXITS)
      .argument("<name>", "snap, charm or bundle")
      .argument("<channel=revision...>", "a channel and a stored revision")
      .action(async (name: string, texts: readonly string[], options: CommonOptions) => {
        const assignments = texts.map(readAssignment);
        const reason = `set by ${program} override`;
        const { generation, update } = await publishUpdate(
          await openStore(options, io),
          `override ${name} ${texts.join(" ")}`,
          (base) => findSnapFirst(base, name),
          (stored, now) =>
            assignments.reduce((pkg, { channel, revision }) => setOverride(pkg, revision, channel, {}, { reason }, now), stored),
        );
        if (options.json) return reportChanges(generation, { packages: [update] }, options, io);
        const lines = overrideMoves(update.before, update.after).flatMap((move) =>
          move.to ? [`${showOverriddenPlace(update.after, move)} ${move.to.revision}`] : [],
        );
        printChange(lines, generation, "1 package", options, io);
      });
  };

function readAssignment(text: string): { channel: string; revision: number } {
  const [, channel, revision] = /^([^=]+)=(\d{1,15})$/.exec(text) ?? [];
  if (channel === undefined) throw new Failure("usage", `${printable(text, 100)} is not CHANNEL=REVISION`);
  return { channel, revision: Number(revision) };
}

/** The snap of that name before a charm: the documented overrides are for snaps. */
async function findSnapFirst(base: Snapshot, name: string): Promise<StoredPackage> {
  return findPackage(base, name, (await base.snap(name)) !== undefined);
}

/** `core18 stable amd64` */
function showOverriddenPlace({ name, type }: StoredPackage, { channel, on }: Pick<OverrideFacts, "channel" | "on">): string {
  return `${name} ${type === "snap" ? shortChannel(channelOf({ channel })) : channel} ${on}`;
}

const documentedOverridesCommands: Register = (program, io) => {
  defineCommand(program, "list-overrides", "List the overrides of a snap or charm (chp overrides shows more)", EXITS)
    .argument("<name>", "snap, charm or bundle")
    .action(async (name: string, options: CommonOptions) => {
      const snapshot = await (await openStore(options, io)).snapshot();
      const pkg = await findSnapFirst(snapshot, name);
      const found = overridesOf(pkg, plausibleTime(Date.now(), snapshot.time)).filter((facts) => facts.state === "in force");
      if (options.json) return printJson(found, io);
      const lines = found.map(
        (facts) => `${showOverriddenPlace(pkg, facts)} ${facts.revision}${facts.without === null ? "" : ` (upstream ${facts.without})`}`,
      );
      io.out(lines.map((line) => `${printable(line)}\n`).join(""));
    });
  defineCommand(program, "delete-override", "End the overrides of a channel (chp end-override does the same and more)", CHANGE_EXITS, [
    "channelToo",
  ])
    .argument("<name>", "snap, charm or bundle")
    .argument("[channel]", "the channel")
    .action(async (name: string, given: string | undefined, options: FlagValues<readonly ["channelToo"]>) => {
      const channel = given ?? options.channel;
      if (channel === undefined) throw new Failure("usage", "name the channel: delete-override NAME CHANNEL");
      const { generation, update } = await publishUpdate(
        await openStore(options, io),
        `delete-override ${name} ${channel}`,
        (base) => findSnapFirst(base, name),
        (stored) => endOverride(stored, channel, {}),
      );
      if (options.json) return reportChanges(generation, { packages: [update] }, options, io);
      const lines = overrideMoves(update.before, update.after).map(
        (move) =>
          `${showOverriddenPlace(update.after, move)} is ${move.without === null ? "closed" : `tracking upstream (revision ${move.without})`}`,
      );
      printChange(lines, generation, "1 package", options, io);
    });
};
