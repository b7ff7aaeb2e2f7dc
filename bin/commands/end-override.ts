import { endOverride } from "../../src/catalog/override.ts";
import { defineChange, PLACE_FLAGS, type PlaceFlags, placeFromFlags, runChange } from "./changing.ts";
import type { Register } from "./command.ts";

export const endOverrideCommand: Register = (program, io) => {
  defineChange(program, "end-override", "End an override: serve the released revision again", {
    flags: PLACE_FLAGS,
    examples: ["end-override postgresql-k8s 14/stable", "end-override jq stable --arch arm64"],
  })
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: PlaceFlags) =>
      runChange(name, `end-override ${name} ${channel}`, options, io, (stored) => endOverride(stored, channel, placeFromFlags(options))),
    );
};
