import { type AgentsDifference, agentsDifference } from "../../src/catalog/agentchange.ts";
import { showBase } from "../../src/catalog/base.ts";
import { differingFields } from "../../src/catalog/difference.ts";
import type { Generation } from "../../src/catalog/generation-types.ts";
import { type OverrideMove, overrideMoves } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import { differenceOf, type RepositoryDifference } from "../../src/catalog/repositorychange.ts";
import type { Snap, StoredAssertion } from "../../src/catalog/snap.ts";
import { type Digest, shortDigest } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import { ownValue } from "../../src/schema.ts";
import { EMPTY_INDEX } from "../../store/nextindex.ts";
import { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { type CommonOptions, type Io, note, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { renderAgentsChange } from "./changing.ts";
import { argument, defineCommand, EXITS, type Register } from "./command.ts";
import { wholeNumber } from "./values.ts";

export const diffCommand: Register = (program, io) => {
  const number = argument("a generation", wholeNumber(0));
  defineCommand(program, "diff", "Show the differences between two generations", EXITS)
    .argument("<from>", "number of a generation, as in chp log; 0 is the empty store", number)
    .argument("[to]", "number of another (default: the newest)", number)
    .addHelpText("after", "\nExamples:\n  chp diff 41\n  chp diff --json 41 42")
    .action((from: number, to: number | undefined, options: CommonOptions) => runDiff(from, to, options, io));
};

interface PackageDiff {
  readonly name: string;
  readonly type: "charm" | "bundle" | "snap";
  readonly state: "added" | "removed" | "changed";
  readonly revisions: ListDiff<number>;
  /** resources and components: `NAME_REVISION` */
  readonly parts: ListDiff<string>;
  /** `from` null: opened; `to` null: closed */
  readonly channels: readonly { readonly channel: string; readonly from: number | null; readonly to: number | null }[];
  readonly overrides: readonly OverrideMove[];
  /** of a changed package: further fields that differ, like `details.summary` */
  readonly metadata: readonly string[];
}

interface ListDiff<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
}

export async function runDiff(from: number, to: number | undefined, options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const [before, after] = [await snapshotOf(store, from), await snapshotOf(store, to ?? (await store.snapshot()).number)];
  const packages: PackageDiff[] = [];
  for (const section of ["packages", "snaps"] as const) {
    const [old, now] = [before.index[section], after.index[section]];
    for (const name of [...new Set([...Object.keys(old), ...Object.keys(now)])].toSorted()) {
      const rowOf = (rows: typeof old) => (Object.hasOwn(rows, name) ? rows[name]?.[0] : undefined);
      if (rowOf(old) === rowOf(now)) continue; // unchanged packages are not read
      const read = (snapshot: Snapshot) => (section === "snaps" ? snapshot.snap(name) : snapshot.package(name));
      packages.push(...diffPackage(await read(before), await read(after)));
    }
  }
  const images: RepositoryDifference[] = [];
  for (const name of [...new Set([...before.repositoryNames, ...after.repositoryNames])].toSorted())
    if (ownValue(before.index.images, name)?.[0] !== ownValue(after.index.images, name)?.[0])
      images.push(differenceOf({ before: await before.repository(name), after: await after.repository(name) }));
  const agents: AgentsDifference[] = [];
  for (const name of [...new Set([...before.namesIn("agents"), ...after.namesIn("agents")])].toSorted())
    if (ownValue(before.index.agents, name)?.[0] !== ownValue(after.index.agents, name)?.[0])
      agents.push(agentsDifference({ before: await before.stored("agents", name), after: await after.stored("agents", name) }));
  const assertions = diffLists(await assertionsOf(before), await assertionsOf(after));
  if (options.json) return printJson({ from: before.number, to: after.number, packages, images, agents, assertions }, io);
  const lines = [
    ...packages.flatMap(renderDiff),
    ...images.flatMap(renderImageDiff),
    ...agents.flatMap(renderAgentsChange),
    ...assertions.added.map((assertion) => `assertion added: ${assertion}`),
    ...assertions.removed.map((assertion) => `assertion removed: ${assertion}`),
  ];
  if (lines.length === 0) return note(`generations ${before.number} and ${after.number} are the same`, options, io);
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

async function snapshotOf(store: Store, number: number): Promise<Snapshot> {
  if (number === 0) return new Snapshot(store, undefined, EMPTY_INDEX);
  const generation: Generation | undefined = await store.generation(number);
  if (!generation) throw new Failure("not-found", `generation ${number} is not stored`, { next: "chp log lists them" });
  return new Snapshot(store, generation, await store.index(generation));
}

async function assertionsOf(snapshot: Snapshot): Promise<string[]> {
  const others: readonly StoredAssertion[] = (await snapshot.assertions()).others;
  const all = [...others, ...(await snapshot.snaps()).flatMap((snap) => snap.assertions)];
  return all.map(
    ({ type, key, revision, format }) => `${type} ${key.join("/")} revision ${revision}${format > 0 ? ` format ${format}` : ""}`,
  );
}

function diffPackage(before: Package | Snap | undefined, after: Package | Snap | undefined): PackageDiff[] {
  const pkg = after ?? before;
  if (!pkg) return [];
  const [was, is] = [revisionsByChannel(before), revisionsByChannel(after)];
  const channels = [...new Set([...is.keys(), ...was.keys()])].flatMap((channel) => {
    const [from, to] = [was.get(channel) ?? null, is.get(channel) ?? null];
    return from === to ? [] : [{ channel, from, to }];
  });
  const numbers = (side: Package | Snap | undefined) => side?.revisions.map((r) => r.revision) ?? [];
  return [
    {
      name: pkg.name,
      type: pkg.type,
      state: before && after ? "changed" : after ? "added" : "removed",
      revisions: diffLists(numbers(before), numbers(after)),
      parts: diffLists(partsOf(before), partsOf(after)),
      channels,
      overrides: overrideMoves(before, after),
      metadata: before && after ? differingFields(before, after) : [],
    },
  ];
}

/** `14/stable ubuntu@22.04 amd64` → revision */
function revisionsByChannel(pkg: Package | Snap | undefined): Map<string, number> {
  const rows =
    pkg?.type === "snap"
      ? pkg.releases.map((r) => [`${r.channel} ${r.architecture}`, r.revision] as const)
      : (pkg?.releases ?? []).map((r) => [r.base ? `${r.channel} ${showBase(r.base)}` : r.channel, r.revision] as const);
  return new Map(rows);
}

function partsOf(pkg: Package | Snap | undefined): string[] {
  const parts = pkg?.type === "snap" ? pkg.components : (pkg?.resources ?? []);
  return parts.flatMap(({ name, revisions }) => revisions.map(({ revision }) => `${name}_${revision}`));
}

function diffLists<T>(before: readonly T[], after: readonly T[]): ListDiff<T> {
  const [was, is] = [new Set(before), new Set(after)];
  return { added: after.filter((item) => !was.has(item)), removed: before.filter((item) => !is.has(item)) };
}

function renderDiff({ name, type, state, revisions, parts, channels, overrides, metadata }: PackageDiff): string[] {
  const list = ({ added, removed }: ListDiff<string | number>) =>
    [...added.map((item) => `+${item}`), ...removed.map((item) => `-${item}`)].join(" ");
  const what = type === "snap" ? "components" : "resources";
  return [
    `${name}: ${type}, ${state}`,
    ...(list(revisions) === "" ? [] : [`  revisions  ${list(revisions)}`]),
    ...(list(parts) === "" ? [] : [`  ${what}  ${list(parts)}`]),
    ...channels.map(({ channel, from, to }) => `  ${channel}: ${from ?? "closed"} → ${to ?? "closed"}`),
    ...overrides.map(({ channel, on, from, to }) => `  override ${channel} ${on}: ${renderOverrideSide(from)} → ${renderOverrideSide(to)}`),
    ...(metadata.length === 0 ? [] : [`  metadata  ${metadata.join(", ")}`]),
  ];
}

function renderImageDiff({ name, state, tags, manifests: { added, removed } }: RepositoryDifference): string[] {
  const counts = [...(added.length > 0 ? [`+${added.length}`] : []), ...(removed.length > 0 ? [`-${removed.length}`] : [])];
  const side = (digest: Digest | null) => (digest === null ? "none" : shortDigest(digest));
  return [
    `${name}: images, ${state}`,
    ...tags.map(({ tag, from, to }) => `  ${tag}: ${side(from)} → ${side(to)}`),
    ...(counts.length > 0 ? [`  manifests  ${counts.join(" ")}`] : []),
  ];
}

function renderOverrideSide(side: OverrideMove["from"]): string {
  return side === null ? "none" : `${side.revision}${side.until === null ? "" : ` until ${side.until}`} (${side.reason})`;
}
