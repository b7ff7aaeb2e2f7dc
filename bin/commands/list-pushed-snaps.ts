import { plausibleTime } from "../../src/clock.ts";
import type { CommonOptions } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { printSummaries, summaryOfSnap } from "./list.ts";

/** A command of the documented system that chp replaces. */
export const listPushedSnapsCommand: Register = (program, io) => {
  defineCommand(program, "list-pushed-snaps", "List the stored snaps (chp list does the same and more)", EXITS).action(
    async (options: CommonOptions) => {
      const snapshot = await (await openStore(options, io)).snapshot();
      const now = plausibleTime(Date.now(), snapshot.time);
      printSummaries(
        (await snapshot.snaps()).map((snap) => summaryOfSnap(snap, now)),
        "no snap is stored; next: chp import FILE",
        options,
        io,
      );
    },
  );
};
