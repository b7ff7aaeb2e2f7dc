/** release, close, default-track, override and rollback: what an operator moves by hand, each one generation. */

import type { Command } from "commander";
import {
  chooseTrack,
  close,
  type Move,
  movesOf,
  release,
  rollBack,
  rollBackSnap,
  type StoredPackage,
  sameManifest,
} from "../../src/catalog/change.ts";
import type { Draft, Generation, Tally } from "../../src/catalog/generation-types.ts";
import {
  endCommand,
  endOverride,
  type OverrideMove,
  override,
  overrideMoves,
  overrideOn,
  overridesOf,
  readReason,
  readUntil,
  showOverride,
  showPinned,
} from "../../src/catalog/override.ts";
import { Failure, printable, refused } from "../../src/errors.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { type CommonOptions, count, type Io, printJson, storeFlag, undoOf } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { define, type Register, wholeNumber } from "./command.ts";

const CHANGE_EXITS = "0 done, 1 failed, 2 usage, 3 refused, 10 no store, 11 store format too new, 12 another change came in between";

interface ChangeFlags extends CommonOptions {
  readonly snap?: boolean;
  readonly base?: string;
  readonly arch?: string;
}

function change(program: Command, name: string, summary: string, examples: readonly string[]): Command {
  return define(program, name, summary, CHANGE_EXITS).addHelpText(
    "after",
    `\nExamples:\n${examples.map((one) => `  chp ${one}\n`).join("")}`,
  );
}

function withWhere(command: Command): Command {
  return command
    .option("--base <BASE>", "only on this base: 22.04 or ubuntu@22.04")
    .option("--arch <ARCH>", "only on this architecture")
    .option("--snap", "the snap, where a charm has the same name");
}

export const releaseCommand: Register = (program, io) => {
  withWhere(
    change(program, "release", "release a held revision in a channel", [
      "release postgresql-k8s 381 14/stable",
      "release jq 6 latest/candidate --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<revision>", "a revision that is held", wholeNumber("the revision", 0))
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, revision: number, channel: string, options: ChangeFlags) => {
      const where = whereOf(options);
      return runChange(name, `release ${name} ${revision} ${channel}`, options, io, (held, now) =>
        release(held, revision, channel, where, now),
      );
    });
};

export const closeCommand: Register = (program, io) => {
  withWhere(
    change(program, "close", "close a channel; its revisions stay installable by number", [
      "close postgresql-k8s 14/edge",
      "close postgresql-k8s 14/stable --base 20.04 --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: ChangeFlags) =>
      runChange(name, `close ${name} ${channel}`, options, io, (held) => close(held, channel, whereOf(options))),
    );
};

export const defaultTrackCommand: Register = (program, io) => {
  change(program, "default-track", "choose what a channel without a track means, whatever imports say", ["default-track postgresql-k8s 14"])
    .argument("<name>", "charm, bundle or snap")
    .argument("<track>", "a track that has a release")
    .option("--snap", "the snap, where a charm has the same name")
    .action((name: string, track: string, options: ChangeFlags) =>
      runChange(name, `default-track ${name} ${track}`, options, io, (held) => chooseTrack(held, track)),
    );
};

interface OverrideFlags extends ChangeFlags {
  readonly reason: string;
  readonly until?: string;
}

export const overrideCommand: Register = (program, io) => {
  withWhere(
    change(program, "override", "hold a channel at a revision, whatever is released there, for a reason and a time", [
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
    .action((name: string, revision: number, channel: string, options: OverrideFlags) => {
      const reason = readReason(options.reason);
      const until = options.until === undefined ? undefined : readUntil(options.until, Date.now());
      const hold = { reason, ...(until !== undefined && { until }) };
      const command = `override ${name} ${revision} ${channel}${until === undefined ? "" : ` --until ${until}`} --reason ${JSON.stringify(reason)}`;
      return runChange(name, command, options, io, (held, now) => override(held, revision, channel, whereOf(options), hold, now));
    });
};

export const endOverrideCommand: Register = (program, io) => {
  withWhere(
    change(program, "end-override", "offer again what is released in a channel that an override holds", [
      "end-override postgresql-k8s 14/stable",
      "end-override jq stable --arch arm64",
    ]),
  )
    .argument("<name>", "charm, bundle or snap")
    .argument("<channel>", "TRACK/RISK, TRACK/RISK/BRANCH or RISK")
    .action((name: string, channel: string, options: ChangeFlags) =>
      runChange(name, `end-override ${name} ${channel}`, options, io, (held) => endOverride(held, channel, whereOf(options))),
    );
};

interface RollbackFlags extends CommonOptions {
  readonly yes?: boolean;
}

export const rollbackCommand: Register = (program, io) => {
  change(program, "rollback", "answer again as in an earlier generation; what came later stays installable by number", [
    "log",
    "rollback 41",
  ])
    .argument("<generation>", "a number of chp log", wholeNumber("the generation", 0))
    .option("--yes", "also where components are taken from snap revisions that machines may have installed")
    .action((number: number, options: RollbackFlags) => runRollback(number, options, io));
};

function whereOf({ base, arch }: ChangeFlags) {
  return { ...(base !== undefined && { base }), ...(arch !== undefined && { architecture: arch }) };
}

async function runChange(
  name: string,
  command: string,
  options: ChangeFlags,
  io: Io,
  work: (held: StoredPackage, now: string) => StoredPackage,
): Promise<void> {
  const store = await openStore(options, io);
  const where = [options.base && ` --base ${options.base}`, options.arch && ` --arch ${options.arch}`].filter(Boolean).join("");
  const { generation, told } = await changeHeld(store, `${command}${where}`, (base) => find(base, name, options.snap ?? false), work);
  report(generation, [told], options, io);
}

/** Publishes what `work` makes of one package; undefined where that is the same. */
export async function changeHeld(
  store: Store,
  command: string,
  choose: (base: Snapshot) => Promise<StoredPackage>,
  work: (held: StoredPackage, now: string) => StoredPackage,
): Promise<{ generation: Generation | undefined; told: { before: StoredPackage; after: StoredPackage } }> {
  const now = new Date().toISOString();
  let told: { before: StoredPackage; after: StoredPackage } | undefined;
  const generation = await publishChange(store, now, async (base) => {
    const before = await choose(base);
    const after = work(before, now);
    told = { before, after };
    return draftOf(command, sameManifest(before, after) ? [] : [[before, after]]);
  });
  if (!told) throw new Error("internal error: nothing was drafted");
  return { generation, told };
}

/** What is held by that name. Fails with `not-found`. */
export async function find(base: Snapshot, name: string, isSnap: boolean): Promise<StoredPackage> {
  const [pkg, snap] = [isSnap ? undefined : await base.package(name), await base.snap(name)];
  if (pkg && snap) throw new Failure("usage", `${name} is a ${pkg.type} and a snap`, { next: "say --snap where the snap is meant" });
  const found = pkg ?? snap;
  if (!found) throw new Failure("not-found", `nothing named ${printable(name, 100)} is held`, { next: "chp list shows what is" });
  return found;
}

/** Unlike an import, it is not merged into what came in between. */
export function publishChange(store: Store, now: string, draft: (base: Snapshot) => Promise<Draft>): Promise<Generation | undefined> {
  return store.publish(now, async (base) => ({ ...(await draft(base)), exclusive: true }));
}

export function draftOf(
  command: string,
  pairs: readonly (readonly [before: StoredPackage | undefined, after: StoredPackage])[],
  dropped: readonly string[] = [],
): Draft {
  const after = pairs.map(([, one]) => one);
  const tally = (isSnap: boolean): Record<string, Tally> =>
    Object.fromEntries(
      pairs
        .filter(([, one]) => (one.type === "snap") === isSnap)
        .map(([was, is]) => [is.name, { revisions: [], channels: movesOf(was, is).length + overrideMoves(was, is).length }]),
    );
  return {
    command: printable(command, 300),
    sources: [],
    changed: tally(false),
    packages: after.filter((one) => one.type !== "snap"),
    blobs: [],
    snaps: { changed: after.filter((one) => one.type === "snap"), dropped, tally: tally(true), assertions: 0 },
  };
}

async function runRollback(number: number, options: RollbackFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const then = await store.snapshotAt(number);
  if (!then) throw await pruned(store, number);
  let pairs: (readonly [StoredPackage | undefined, StoredPackage])[] = [];
  const generation = await publishChange(store, new Date().toISOString(), async (base) => {
    const rolled = await rolledBack(then, base);
    if (rolled.taken.length > 0 && !options.yes)
      throw refused(`machines may have installed what generation ${number} does not have: ${rolled.taken.join("; ")}`, {
        next: "a machine without it can't refresh any snap; with --yes it is taken all the same",
      });
    ({ pairs } = rolled);
    return draftOf(`rollback ${number}`, pairs, rolled.dropped);
  });
  report(
    generation,
    pairs.map(([before, after]) => ({ before, after })),
    options,
    io,
  );
}

async function pruned(store: Store, number: number): Promise<Failure> {
  const numbers = await store.generationNumbers();
  const [first = 0] = numbers;
  const why = number > 0 && number > (numbers.at(-1) ?? 0) ? "was never made" : "was pruned: gc keeps the last ones";
  return refused(`generation ${number} ${why}`, { next: `generations ${first} to ${numbers.at(-1) ?? 0} are kept; chp log shows them` });
}

/** What changes when the store answers as it did `then`. */
export async function rolledBack(then: Snapshot, now: Snapshot) {
  const pairs: (readonly [StoredPackage | undefined, StoredPackage])[] = [];
  const taken: string[] = [];
  const add = (before: StoredPackage | undefined, after: StoredPackage | undefined) => {
    if (after && !sameManifest(before, after)) pairs.push([before, after]);
  };
  for (const name of new Set([...then.names, ...now.names])) {
    const [was, is] = [await then.package(name), await now.package(name)];
    add(is, is ? rollBack(was, is) : was);
  }
  const dropped: string[] = [];
  const done = new Set<string>();
  for (const is of await now.snaps()) {
    const was = await then.snapById(is.id); // by id: its name may have changed since
    const rolled = rollBackSnap(was, is);
    if (was && was.name !== is.name) dropped.push(is.name);
    taken.push(...rolled.taken);
    done.add(is.id);
    add(is, rolled.snap);
  }
  for (const was of await then.snaps()) if (!done.has(was.id)) add(undefined, was);
  return { pairs, taken, dropped };
}

interface Told {
  readonly before: StoredPackage | undefined;
  readonly after: StoredPackage | undefined;
}

/** What moved, and the command that undoes it. */
export function report(generation: Generation | undefined, told: readonly Told[], options: CommonOptions, io: Io): void {
  const undo = generation ? undoOf(generation, options) : null;
  const packages = told.map(({ before, after }) => {
    const overrides = after ? overridesOf(after, Date.now()) : [];
    return {
      name: (after ?? before)?.name ?? "",
      type: (after ?? before)?.type ?? "charm",
      // what is offered all the same
      moves: movesOf(before, after).map((move) => ({ ...move, override: overrideOn(overrides, move) ?? null })),
      overrides: overrideMoves(before, after),
      defaultTrack: { from: before?.defaultTrack ?? null, to: after?.defaultTrack ?? null },
    };
  });
  if (options.json) return printJson({ generation: generation?.number ?? null, packages, undo }, io);
  const lines = packages.flatMap(({ name, moves, overrides, defaultTrack: { from, to } }) => [
    ...moves.map((move) => `${name} ${move.channel} ${move.on}: ${showMove(move)}${move.override ? `; ${showPinned(move.override)}` : ""}`),
    ...overrides.map((move) => `${name} ${move.channel} ${move.on}: ${showOverrideMove(move)}`),
    ...(from !== to && from !== null && to !== null ? [`${name}: default track ${from} → ${to}`] : []),
    ...[...new Set(moves.flatMap((move) => (move.override ? [move.override.channel] : [])))].map(
      (channel) => `end it: ${endCommand(name, channel)}${storeFlag(options)}`,
    ),
  ]);
  tell(lines, generation, packages.length, options, io);
}

/** The lines of a change, and how it is undone. `changed`: packages. */
export function tell(lines: readonly string[], generation: Generation | undefined, changed: number, options: CommonOptions, io: Io): void {
  const last = generation
    ? [`generation ${generation.number}: ${count(changed, "package")} changed`, `undo: ${undoOf(generation, options)}`]
    : ["nothing changed"];
  io.out([...lines, ...last].map((line) => `${printable(line)}\n`).join(""));
}

function showOverrideMove({ from, to, without }: OverrideMove): string {
  if (to === null) return `${without === null ? "closed" : `offers ${without}`}, was held at ${from?.revision}`;
  return `${showOverride({ ...to, without })}${from && from.revision !== to.revision ? ` (was held at ${from.revision})` : ""}`;
}

function showMove({ from, to }: Move): string {
  if (from === null) return `opened at ${to}`;
  if (to === null) return `closed, was ${from}`;
  return from === to ? `${to}, with other resources` : `${from} → ${to}`;
}
