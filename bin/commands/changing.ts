/** Shared by the commands that change packages: each change is one generation, reported with the command that undoes it. */

import type { Command } from "commander";
import { type AgentsChange, type AgentsDifference, agentsDifference } from "../../src/catalog/agentchange.ts";
import { type Move, movesOf, type StoredPackage, sameManifest } from "../../src/catalog/change.ts";
import { parseChannel } from "../../src/catalog/channel.ts";
import type { Where } from "../../src/catalog/channelmap.ts";
import { changeDraft, type PackageChange, type PackageUpdate } from "../../src/catalog/drafts.ts";
import type { Drafted, Generation, Published } from "../../src/catalog/generation-types.ts";
import {
  endCommand,
  type OverrideMove,
  overrideMoves,
  overrideOn,
  overridesOf,
  showOverride,
  showPinned,
} from "../../src/catalog/override.ts";
import { differenceOf, type RepositoryChange, type RepositoryDifference } from "../../src/catalog/repositorychange.ts";
import { type Digest, shortDigest } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import { nearestWord } from "../../src/text.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { type CommonOptions, count, type Io, printJson, storeFlag, undoOf } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { defineCommand } from "./command.ts";
import type { FlagId, FlagValues } from "./flags.ts";
import { showChanged } from "./importreport.ts";

export const CHANGE_EXITS =
  "0 done, 1 failed, 2 usage, 3 refused, 10 no store, 11 store format too new, 12 another change came in between, 14 published, but a later step failed";

/** The flags that narrow a change of a channel. */
export const PLACE_FLAGS = ["base", "arch", "snap"] as const;
export type PlaceFlags = FlagValues<typeof PLACE_FLAGS>;

/** Defines a command. `examples`: without the leading `chp`. */
export function defineChange(
  program: Command,
  name: string,
  summary: string,
  { flags, examples }: { readonly flags: readonly FlagId[]; readonly examples: readonly string[] },
): Command {
  return defineCommand(program, name, summary, CHANGE_EXITS, flags).addHelpText(
    "after",
    `\nExamples:\n${examples.map((example) => `  chp ${example}`).join("\n")}`,
  );
}

export function placeFromFlags({ base, arch }: PlaceFlags): Where {
  return { ...(base !== undefined && { base }), ...(arch !== undefined && { architecture: arch }) };
}

/** Changes one package with `work`, publishes and reports it. `command`: for `chp log`, without base and architecture. */
export async function runChange(
  name: string,
  command: string,
  options: PlaceFlags,
  io: Io,
  work: (stored: StoredPackage, now: string) => StoredPackage,
): Promise<void> {
  const store = await openStore(options, io);
  const place = [options.base && ` --base ${options.base}`, options.arch && ` --arch ${options.arch}`].filter(Boolean).join("");
  const choose = (base: Snapshot) => findPackage(base, name, options.snap ?? false);
  const { generation, update } = await publishUpdate(store, `${command}${place}`, choose, work);
  reportChanges(generation, { packages: [update] }, options, io);
}

/** Changes the package that `choose` finds with `work`, and publishes it. `generation` undefined: nothing changed. */
export async function publishUpdate(
  store: Store,
  command: string,
  choose: (base: Snapshot) => Promise<StoredPackage>,
  work: (stored: StoredPackage, now: string) => StoredPackage,
): Promise<{ generation: Generation | undefined; update: PackageUpdate & { readonly before: StoredPackage } }> {
  const now = new Date().toISOString();
  const { generation, result: update } = await publishChange(store, now, async (base) => {
    const before = await choose(base);
    const result = { before, after: work(before, now) };
    return { draft: changeDraft(command, sameManifest(before, result.after) ? [] : [result]), result };
  });
  return { generation, update };
}

/** The stored package of that name. Fails with `not-found`, or with `usage` if both a charm and a snap have it. */
export async function findPackage(base: Snapshot, name: string, isSnap: boolean): Promise<StoredPackage> {
  const [pkg, snap] = [isSnap ? undefined : await base.package(name), await base.snap(name)];
  if (pkg && snap) throw new Failure("usage", `${name} is a ${pkg.type} and a snap`, { next: "say --snap where the snap is meant" });
  const found = pkg ?? snap;
  if (!found) throw unknownPackage(base, name);
  return found;
}

/** The failure for a package that is not stored, with the name that was probably meant. */
export function unknownPackage(base: Snapshot, name: string): Failure {
  const meant = nearestWord(name, [...base.names, ...base.snapNames, ...base.namesIn("agents")]);
  const next = meant === undefined ? "chp list shows what is stored" : `did you mean ${printable(meant)}? chp list shows what is stored`;
  return new Failure("not-found", `no package named ${printable(name, 100)} is stored`, { next });
}

/** The failure for images that are not stored, with the name that was probably meant. */
export function unknownImages(base: Snapshot, name: string): Failure {
  const meant = nearestWord(name, base.repositoryNames);
  const next =
    meant === undefined ? "chp images lists what is stored" : `did you mean ${printable(meant)}? chp images lists what is stored`;
  return new Failure("not-found", `no images named ${printable(name, 200)} are stored`, { next });
}

/** Publishes a draft that, unlike an import, fails with `conflict` if another generation is published in between. */
export function publishChange<T>(store: Store, now: string, draft: (base: Snapshot) => Promise<Drafted<T>>): Promise<Published<T>> {
  return store.publish(now, async (base) => {
    const { draft: change, result } = await draft(base);
    return { draft: { ...change, exclusive: true }, result };
  });
}

/** Prints the changes, and the command that undoes them. */
export function reportChanges(
  generation: Generation | undefined,
  changes: {
    readonly packages?: readonly PackageChange[];
    readonly images?: readonly RepositoryChange[];
    readonly agents?: readonly AgentsChange[];
  },
  options: CommonOptions,
  io: Io,
): void {
  const undo = generation ? undoOf(generation, options) : null;
  const packages = (changes.packages ?? []).map(({ before, after }) => {
    const overrides = after ? overridesOf(after, Date.now()) : [];
    return {
      name: (after ?? before)?.name ?? "",
      type: (after ?? before)?.type ?? "charm",
      // the override that hides the move
      moves: movesOf(before, after).map((move) => ({ ...move, override: overrideOn(overrides, move) ?? null })),
      newTracks: before && after ? [...tracksOf(after)].filter((track) => !tracksOf(before).has(track)) : [],
      overrides: overrideMoves(before, after),
      defaultTrack: { from: before?.defaultTrack ?? null, to: after?.defaultTrack ?? null },
    };
  });
  const images = (changes.images ?? []).map(differenceOf);
  const agents = (changes.agents ?? []).map(agentsDifference);
  if (options.json) return printJson({ generation: generation?.number ?? null, packages, images, agents, undo }, io);
  const lines = packages.flatMap(({ name, moves, newTracks, overrides, defaultTrack: { from, to } }) => [
    ...moves.map(
      (move) => `${name} ${move.channel} ${move.on}: ${renderMove(move)}${move.override ? `; ${showPinned(move.override)}` : ""}`,
    ),
    ...overrides.map((move) => `${name} ${move.channel} ${move.on}: ${renderOverrideMove(move)}`),
    ...newTracks.map((track) => `${name}: ${track} is a new track`),
    ...(from !== to && from !== null && to !== null ? [`${name}: default track ${from} → ${to}`] : []),
    ...[...new Set(moves.flatMap((move) => (move.override ? [move.override.channel] : [])))].map(
      (channel) => `end it: ${endCommand(name, channel)}${storeFlag(options)}`,
    ),
  ]);
  const all = [...lines, ...images.flatMap(renderImageChange), ...agents.flatMap(renderAgentsChange)];
  printChange(all, generation, showChanged(packages.length, images.length, agents.length), options, io);
}

function tracksOf(pkg: StoredPackage): Set<string> {
  return new Set(pkg.releases.map(({ channel }) => parseChannel(channel)?.track ?? "latest"));
}

/** `team/app:1.2: sha256:… → sha256:…`, a line a tag, and what manifests came and went. */
export function renderImageChange({ name, state, tags, manifests: { added, removed } }: RepositoryDifference): string[] {
  const counts = [
    ...(added.length > 0 ? [`${count(added.length, "manifest")} added`] : []),
    ...(removed.length > 0 ? [`${count(removed.length, "manifest")} removed`] : []),
  ];
  return [
    ...tags.map(({ tag, from, to }) => `${name}:${tag}: ${renderTagMove(from, to)}`),
    ...(counts.length > 0 ? [`${name}: images, ${state}: ${counts.join(", ")}`] : []),
  ];
}

/** `juju-3.6.11: agents, changed`, and what architectures came and went. */
export function renderAgentsChange({ name, state, architectures: { added, removed }, proven }: AgentsDifference): string[] {
  const moves = [
    ...added.map((one) => `+${one}`),
    ...removed.map((one) => `-${one}`),
    ...proven.map((one) => `${one} is vouched for otherwise`),
  ];
  return [`${name}: agents, ${state}${moves.length === 0 ? "" : `: ${moves.join(" ")}`}`];
}

function renderTagMove(from: Digest | null, to: Digest | null): string {
  if (to === null) return `removed, was ${shortDigest(from as Digest)}`;
  return from === null ? `new, ${shortDigest(to)}` : `${shortDigest(from)} → ${shortDigest(to)}`;
}

/** Prints the lines of a change, and the command that undoes it. `changed`: of what, as `3 packages`. */
export function printChange(
  lines: readonly string[],
  generation: Generation | undefined,
  changed: string,
  options: CommonOptions,
  io: Io,
): void {
  const last = generation
    ? [`generation ${generation.number}: ${changed} changed`, `undo: ${undoOf(generation, options)}`]
    : ["nothing changed"];
  io.out([...lines, ...last].map((line) => `${printable(line)}\n`).join(""));
}

function renderOverrideMove({ from, to, without }: OverrideMove): string {
  if (to === null) return `${without === null ? "closed" : `offers ${without}`}, was pinned to ${from?.revision}`;
  return `${showOverride({ ...to, without })}${from && from.revision !== to.revision ? ` (was pinned to ${from.revision})` : ""}`;
}

function renderMove({ from, to }: Move): string {
  if (from === null) return `opened at ${to}`;
  if (to === null) return `closed, was ${from}`;
  return from === to ? `${to}, with other resources` : `${from} → ${to}`;
}
