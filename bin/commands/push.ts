/** The documented commands of the system that chp stands in for: a package already held keeps its channel map unless told otherwise. */

import { define, type Register } from "./command.ts";
import { IMPORT_EXITS, type ImportOptions, runImport, withLimits, withTrust } from "./import.ts";

export const pushCommands: Register = (program, io) => {
  for (const [name, what] of [
    ["push-charms", "charm export"],
    ["push-charm-bundle", "charm bundle export"],
    ["push-snap", "snap export"],
    ["push-store", "store export"],
    ["push-account-keys", "file of account-keys"],
  ] as const) {
    const command = withTrust(withLimits(define(program, name, `take in a ${what} (chp import does the same and more)`, IMPORT_EXITS)))
      .argument("<file>", `the ${what}`)
      .option("--push-channel-map", "release what the file releases, also of packages already held");
    if (name === "push-store")
      command
        .option("--revision-authority-key-id <ID>", "taken and not used: chp signs no revisions")
        .option("--revision-authority-key <FILE>", "taken and not used: chp signs no revisions");
    command.action((file: string, options: ImportOptions) =>
      runImport(name, [file], options, options.pushChannelMap ? "apply" : "keep", io),
    );
  }
};
