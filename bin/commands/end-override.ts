import { endOverride } from "../../src/catalog/override.ts";
import { type ChangeOptions, defineChange, placeOf, runChange, withPlace } from "./changing.ts";
import type { Register } from "./command.ts";

export const endOverrideCommand: Register = (program, io) => {
  withPlace(
    defineChange(program, "end-override", "offer again what is released in a channel that an override holds", [
      "end-override postgresql-k8s 14/stable",
      "end-override jq stable --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: ChangeOptions) =>
      runChange(name, `end-override ${name} ${channel}`, options, io, (stored) => endOverride(stored, channel, placeOf(options))),
    );
};
