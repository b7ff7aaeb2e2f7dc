import { override, readReason, readUntil } from "../../src/catalog/override.ts";
import { type ChangeOptions, defineChange, placeOf, runChange, withPlace } from "./changing.ts";
import { type Register, wholeNumber } from "./command.ts";

interface OverrideOptions extends ChangeOptions {
  readonly reason: string;
  readonly until?: string;
}

export const overrideCommand: Register = (program, io) => {
  withPlace(
    defineChange(program, "override", "hold a channel at a revision, whatever is released there, for a reason and a time", [
      'override postgresql-k8s 381 14/stable --reason "987 breaks backups" --until 2026-08-31',
      'override jq 6 stable --arch arm64 --reason "not tested on arm64 yet"',
      "overrides",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<revision>", "a revision that is held", wholeNumber("the revision", 0))
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .requiredOption("--reason <TEXT>", "why, for those who come after you")
    .option(
      "--until <DATE>",
      "when it ends by itself: a day, to its end in UTC, or a time like 2026-08-31T18:00Z (default: when you end it)",
    )
    .action((name: string, revision: number, channel: string, options: OverrideOptions) => {
      const reason = readReason(options.reason);
      const until = options.until === undefined ? undefined : readUntil(options.until, Date.now());
      const command = `override ${name} ${revision} ${channel}${until === undefined ? "" : ` --until ${until}`} --reason ${JSON.stringify(reason)}`;
      return runChange(name, command, options, io, (stored, now) =>
        override(stored, revision, channel, placeOf(options), { reason, ...(until !== undefined && { until }) }, now),
      );
    });
};
