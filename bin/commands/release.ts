import { release } from "../../src/catalog/change.ts";
import { type ChangeOptions, defineChange, placeOf, runChange, withPlace } from "./changing.ts";
import { type Register, wholeNumber } from "./command.ts";

export const releaseCommand: Register = (program, io) => {
  withPlace(
    defineChange(program, "release", "release a held revision in a channel", [
      "release postgresql-k8s 381 14/stable",
      "release jq 6 latest/candidate --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<revision>", "a revision that is held", wholeNumber("the revision", 0))
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, revision: number, channel: string, options: ChangeOptions) =>
      runChange(name, `release ${name} ${revision} ${channel}`, options, io, (stored, now) =>
        release(stored, revision, channel, placeOf(options), now),
      ),
    );
};
