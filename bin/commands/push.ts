/** Commands of the documented system that chp replaces: stored charms and bundles keep their channel map without --push-channel-map. */

import { Failure } from "../../src/errors.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { CONTENT_FLAGS, IMPORT_EXITS, runImport } from "./import.ts";

const TAKES = [...CONTENT_FLAGS, "pushChannelMap", "keepChannels", "importDryRun"] as const;
type PushFlags = FlagValues<typeof TAKES>;

const PUSHES = [
  { name: "push-charms", what: "charm export" },
  { name: "push-charm-bundle", what: "charm bundle export" },
  { name: "push-snap", what: "snap export" },
  { name: "push-store", what: "store export", more: ["authorityKeyId", "authorityKey"] },
  { name: "push-account-keys", what: "file of account-keys" },
] as const;

export const pushCommands: Register = (program, io) => {
  for (const { name, what, ...rest } of PUSHES)
    defineCommand(program, name, `Import a ${what} (chp import does the same and more)`, IMPORT_EXITS, [
      ...TAKES,
      ...("more" in rest ? rest.more : []),
    ])
      .argument("<file>", `the ${what}`)
      .action((file: string, options: PushFlags) => runImport(name, [file], options, policyOf(options), io));
};

/** The documents name --push-channel-map for charms and bundles alone: a pushed snap goes to its push_channel. */
function policyOf({ pushChannelMap, keepChannels }: PushFlags) {
  if (pushChannelMap && keepChannels) throw new Failure("usage", "--push-channel-map and --keep-channels contradict each other");
  if (keepChannels) return "keep";
  return pushChannelMap ? "apply" : "keep-charms";
}
