import { release } from "../../src/catalog/change.ts";
import { defineChange, PLACE_FLAGS, type PlaceFlags, placeFromFlags, runChange } from "./changing.ts";
import { argument, type Register } from "./command.ts";
import { wholeNumber } from "./values.ts";

export const releaseCommand: Register = (program, io) => {
  defineChange(program, "release", "Release a stored revision in a channel", {
    flags: PLACE_FLAGS,
    examples: ["release postgresql-k8s 381 14/stable", "release jq 6 latest/candidate --arch arm64"],
  })
    .argument("<name>", "charm, bundle or snap")
    .argument("<revision>", "a stored revision", argument("the revision", wholeNumber(0)))
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, revision: number, channel: string, options: PlaceFlags) =>
      runChange(name, `release ${name} ${revision} ${channel}`, options, io, (stored, now) =>
        release(stored, revision, channel, placeFromFlags(options), now),
      ),
    );
};
