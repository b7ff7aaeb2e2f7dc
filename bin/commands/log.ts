import { showSigner } from "../../src/archives/signature.ts";
import type { Generation, SourceRecord } from "../../src/catalog/generation-types.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { chainOf, type Link } from "../../store/chain.ts";
import { count, type Io, note, printJson, showSize } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { type SignatureState, signaturesOf } from "../machine/storekey.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { showChanged } from "./importreport.ts";

const TAKES = ["verifyHistory", "historyKey"] as const;
type LogFlags = FlagValues<typeof TAKES>;

export const logCommand: Register = (program, io) => {
  defineCommand(program, "log", "Show imports and changes, newest first", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: LogFlags) => runLog(options, io));
};

const EXAMPLES = `
Each generation has the sha256 of the file of the one before it, and its own. With --verify it is said of each whether that
holds, and by which key it is signed, where chp config store-key=FILE is set or --key FILE is given. Exit 13: it does not hold.

Examples:
  chp log --verify
  chp log --verify --key store.key.pub     with a key that was kept elsewhere, against one who may write into the store`;

export async function runLog(options: LogFlags, io: Io): Promise<void> {
  if (options.key !== undefined && !options.verify) throw new Failure("usage", "--key is for --verify");
  const store = await openStore(options, io);
  const links = await chainOf(store);
  const signatures = options.verify ? await signaturesOf(links, store, io, options.key) : undefined;
  const entries = links.map((link, i) => entryOf(link, links[i + 1], signatures?.[i])).toReversed();
  if (options.json)
    printJson(
      options.verify
        ? entries.map(({ number, generation, proven, problems, signedBy }) => ({ number, proven, problems, signedBy, generation }))
        : entries.flatMap(({ generation }) => generation ?? []),
      io,
    );
  else if (entries.length === 0) return note("nothing was ever imported; next: chp import FILE", options, io);
  else
    io.out(
      entries
        .flatMap((entry) => [...renderEntry(entry), ...(options.verify ? renderProof(entry) : [])])
        .map((line) => `${printable(line)}\n`)
        .join(""),
    );
  failOnAltered(entries, options);
}

interface Entry {
  readonly number: number;
  readonly generation: Generation | null;
  readonly failure: Failure | undefined;
  /** whether a digest says that it is whole: its own, or that in the next one */
  readonly proven: boolean;
  readonly problems: readonly string[];
  readonly signedBy: string | null;
  readonly skipped: readonly number[];
}

function entryOf(link: Link, next: Link | undefined, { by, problem }: SignatureState = {}): Entry {
  const { number, generation, failure } = link;
  const problems = [...link.problems, ...(problem === undefined ? [] : [problem])];
  const named = next?.generation?.parent === number ? next.generation.parentDigest : undefined;
  const hasDigest = generation !== undefined && (generation.format > 1 || named !== undefined);
  return {
    number,
    generation: generation ?? null,
    failure,
    proven: hasDigest && problems.length === 0,
    problems,
    signedBy: by ?? null,
    skipped: link.skipped,
  };
}

function failOnAltered(entries: readonly Entry[], { verify }: LogFlags): void {
  const newer = entries.find(({ failure }) => failure?.kind === "store-too-new")?.failure;
  const next = "a copy of the store has them; chp verify shows what else is damaged";
  const altered = entries.filter(({ problems, failure }) => (verify ? problems.length > 0 : failure) && failure?.kind !== "store-too-new");
  if (altered.length > 0) {
    const which = `generation${altered.length === 1 ? "" : "s"} ${altered.map(({ number }) => number).join(", ")}`;
    throw new Failure("corrupt", verify ? `the history was altered or damaged at ${which}` : `${which} cannot be read`, { next });
  }
  if (newer) throw newer;
}

function renderEntry({ number, generation, failure }: Entry): string[] {
  return generation ? renderGeneration(generation) : [`generation ${number}  CANNOT BE READ: ${failure ? reason(failure) : ""}`];
}

function renderProof({ generation, proven, problems, signedBy, skipped }: Entry): string[] {
  if (problems.length > 0) return generation ? problems.map((problem) => `  ALTERED: ${problem}`) : [];
  const by = signedBy === null ? "" : `, signed by ${signedBy}`;
  const without = skipped.length === 0 ? "" : `, without ${skipped.join(" and ")}, which could not be read then`;
  return [proven ? `  proven${by}${without}` : "  not proven: an older chp wrote it, and nothing proves that it is unaltered"];
}

function renderGeneration(generation: Generation): string[] {
  const tallies = [...Object.values(generation.changed), ...Object.values(generation.snaps)];
  const names = [...Object.keys(generation.changed), ...Object.keys(generation.snaps)];
  const revisions = tallies.reduce((sum, { revisions: all }) => sum + all.length, 0);
  const repositories = Object.keys(generation.images ?? {});
  const agents = Object.keys(generation.agents ?? {});
  const channels = tallies.reduce((sum, { channels: all }) => sum + all, 0);
  const assertions = generation.assertions > 0 ? `, ${count(generation.assertions, "new assertion")}` : "";
  return [
    `generation ${generation.number}  ${generation.time.slice(0, 19)}Z  ${generation.command}  ${showChanged(names.length, repositories.length, agents.length)}, ${count(revisions, "new revision")}, ${count(channels, "channel change")}${assertions}`,
    ...generation.sources.map((source) => `  ${source.name}  ${showSize(source.size)}  sha256 ${source.sha256}${originOf(source)}`),
    ...(names.length + repositories.length + agents.length > 0 ? [`  ${[...names, ...repositories, ...agents].join(", ")}`] : []),
  ];
}

function originOf({ signers = [], unsigned }: SourceRecord): string {
  if (unsigned) return "  UNSIGNED";
  return signers.length === 0 ? "" : `  signed by ${signers.map(showSigner).join(" and ")}`;
}
