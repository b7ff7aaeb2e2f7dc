import { showSigner } from "../../src/archives/signature.ts";
import type { Generation, SourceRecord } from "../../src/catalog/generation-types.ts";
import { printable } from "../../src/errors.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { define, EXITS, type Register } from "./command.ts";

export const logCommand: Register = (program, io) => {
  define(program, "log", "show what came in, newest first", EXITS).action((options: CommonOptions) => runLog(options, io));
};

export async function runLog(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const numbers = (await store.generationNumbers()).toReversed();
  const generations = (await Promise.all(numbers.map((number) => store.generation(number)))).filter((one) => one !== undefined);
  if (options.json) return printJson(generations, io);
  if (generations.length === 0) return note("nothing was ever imported; next: chp import FILE", options, io);
  io.out(
    generations
      .map(
        (one) =>
          `${renderGeneration(one)
            .map((line) => printable(line))
            .join("\n")}\n`,
      )
      .join(""),
  );
}

function renderGeneration(one: Generation): string[] {
  const tallies = [...Object.values(one.changed), ...Object.values(one.snaps)];
  const names = [...Object.keys(one.changed), ...Object.keys(one.snaps)];
  const revisions = tallies.reduce((sum, { revisions: all }) => sum + all.length, 0);
  const channels = tallies.reduce((sum, { channels: all }) => sum + all, 0);
  const assertions = one.assertions > 0 ? `, ${count(one.assertions, "new assertion")}` : "";
  return [
    `generation ${one.number}  ${one.time.slice(0, 19)}Z  ${one.command}  ${count(names.length, "package")}, ${count(revisions, "new revision")}, ${count(channels, "channel change")}${assertions}`,
    ...one.sources.map((source) => `  ${source.name}  ${showSize(source.size)}  sha256 ${source.sha256}${originOf(source)}`),
    ...(names.length > 0 ? [`  ${names.join(", ")}`] : []),
  ];
}

function originOf({ signers = [], unsigned }: SourceRecord): string {
  if (unsigned) return "  UNSIGNED";
  return signers.length === 0 ? "" : `  signed by ${signers.map(showSigner).join(" and ")}`;
}
