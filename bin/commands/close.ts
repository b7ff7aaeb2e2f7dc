import { close } from "../../src/catalog/change.ts";
import { defineChange, PLACE_FLAGS, type PlaceFlags, placeFromFlags, runChange } from "./changing.ts";
import type { Register } from "./command.ts";

export const closeCommand: Register = (program, io) => {
  defineChange(program, "close", "Close a channel (its revisions stay installable by number)", {
    flags: PLACE_FLAGS,
    examples: ["close postgresql-k8s 14/edge", "close postgresql-k8s 14/stable --base 20.04 --arch arm64"],
  })
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: PlaceFlags) =>
      runChange(name, `close ${name} ${channel}`, options, io, (stored) => close(stored, channel, placeFromFlags(options))),
    );
};
