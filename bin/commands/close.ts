import { close } from "../../src/catalog/change.ts";
import { type ChangeOptions, defineChange, placeOf, runChange, withPlace } from "./changing.ts";
import type { Register } from "./command.ts";

export const closeCommand: Register = (program, io) => {
  withPlace(
    defineChange(program, "close", "close a channel; its revisions stay installable by number", [
      "close postgresql-k8s 14/edge",
      "close postgresql-k8s 14/stable --base 20.04 --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: ChangeOptions) =>
      runChange(name, `close ${name} ${channel}`, options, io, (stored) => close(stored, channel, placeOf(options))),
    );
};
