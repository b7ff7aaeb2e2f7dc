import { showSigner } from "../../src/archives/signature.ts";
import type { Generation, SourceRecord } from "../../src/catalog/generation-types.ts";
import { printable } from "../../src/errors.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";

export const logCommand: Register = (program, io) => {
  defineCommand(program, "log", "Show imports and changes, newest first", EXITS).action((options: CommonOptions) => runLog(options, io));
};

export async function runLog(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const numbers = (await store.generationNumbers()).toReversed();
  const generations = (await Promise.all(numbers.map((number) => store.generation(number)))).filter(
    (generation) => generation !== undefined,
  );
  if (options.json) return printJson(generations, io);
  if (generations.length === 0) return note("nothing was ever imported; next: chp import FILE", options, io);
  io.out(
    generations
      .map(
        (generation) =>
          `${renderGeneration(generation)
            .map((line) => printable(line))
            .join("\n")}\n`,
      )
      .join(""),
  );
}

function renderGeneration(generation: Generation): string[] {
  const tallies = [...Object.values(generation.changed), ...Object.values(generation.snaps)];
  const names = [...Object.keys(generation.changed), ...Object.keys(generation.snaps)];
  const revisions = tallies.reduce((sum, { revisions: all }) => sum + all.length, 0);
  const channels = tallies.reduce((sum, { channels: all }) => sum + all, 0);
  const assertions = generation.assertions > 0 ? `, ${count(generation.assertions, "new assertion")}` : "";
  return [
    `generation ${generation.number}  ${generation.time.slice(0, 19)}Z  ${generation.command}  ${count(names.length, "package")}, ${count(revisions, "new revision")}, ${count(channels, "channel change")}${assertions}`,
    ...generation.sources.map((source) => `  ${source.name}  ${showSize(source.size)}  sha256 ${source.sha256}${originOf(source)}`),
    ...(names.length > 0 ? [`  ${names.join(", ")}`] : []),
  ];
}

function originOf({ signers = [], unsigned }: SourceRecord): string {
  if (unsigned) return "  UNSIGNED";
  return signers.length === 0 ? "" : `  signed by ${signers.map(showSigner).join(" and ")}`;
}
