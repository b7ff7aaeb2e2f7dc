import { readReason, readUntil, setOverride } from "../../src/catalog/override.ts";
import { defineChange, PLACE_FLAGS, placeFromFlags, runChange } from "./changing.ts";
import { argument, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { wholeNumber } from "./values.ts";

const TAKES = [...PLACE_FLAGS, "overrideReason", "overrideUntil"] as const;
type OverrideFlags = FlagValues<typeof TAKES>;

export const overrideCommand: Register = (program, io) => {
  defineChange(program, "override", "Pin a channel to a revision, with a reason and an end", {
    flags: TAKES,
    examples: [
      'override kafka 195 3/stable --reason "198 loses data" --until 2026-08-31',
      'override jq 6 stable --arch arm64 --reason "not tested on arm64 yet"',
      "overrides",
    ],
  })
    .argument("<name>", "charm, bundle or snap")
    .argument("<revision>", "a stored revision", argument("the revision", wholeNumber(0)))
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, revision: number, channel: string, options: OverrideFlags) => {
      const reason = readReason(options.reason);
      const until = options.until === undefined ? undefined : readUntil(options.until, Date.now());
      const command = `override ${name} ${revision} ${channel}${until === undefined ? "" : ` --until ${until}`} --reason ${JSON.stringify(reason)}`;
      return runChange(name, command, options, io, (stored, now) =>
        setOverride(stored, revision, channel, placeFromFlags(options), { reason, ...(until !== undefined && { until }) }, now),
      );
    });
};
