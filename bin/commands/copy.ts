import { printable } from "../../src/errors.ts";
import { isBucket } from "../machine/bucket.ts";
import type { CommonOptions, Io } from "../machine/io.ts";
import { storageAt } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { runCopy } from "./copying.ts";

export const copyCommand: Register = (program, io) => {
  defineCommand(program, "copy", "Copy a store from one place to another, also while both are in use", `${EXITS}, 130 interrupted`)
    .argument("<from>", "a folder, or s3://BUCKET/PREFIX")
    .argument("<to>", "a folder or a bucket: with nothing in it, or with an earlier copy, which gets what is missing")
    .addHelpText(
      "after",
      `
Every kept generation and the settings go with it. Secrets are unsealed and sealed again by the store key; in a folder they are
readable by their owner alone.

Examples:
  chp copy /var/lib/chp s3://charms/site
  chp copy s3://charms/site /mnt/backup/chp`,
    )
    .action((from: string, to: string, options: CommonOptions) => run(from, to, options, io));
};

function run(from: string, to: string, options: CommonOptions, io: Io): Promise<void> {
  const next = isBucket(to) ? `chp serve --store ${printable(to)}` : `chp list --store ${printable(to)}`;
  return runCopy(storageAt(from, io), (how) => storageAt(to, io, how), "copy", { ...options, next }, io);
}
