import { type AgentRelease, sizeOfAgents } from "../../src/catalog/agents.ts";
import { offered, overridesOf } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import { architecturesOf, type Repository, sizeOfBlobs } from "../../src/catalog/repository.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { plausibleTime } from "../../src/clock.ts";
import { type CommonOptions, type Io, note, printJson, printTable, showSize } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { unknownPackage } from "./changing.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";

export const NOTHING_STORED = "the store is empty; next: chp import FILE";

export const listCommand: Register = (program, io) => {
  defineCommand(program, "list", "List the stored charms, bundles, snaps, images and agents", EXITS)
    .alias("ls")
    .argument("[name...]", "only these")
    .action((names: string[], options: CommonOptions) => runList(names, options, io));
};

export async function runList(names: readonly string[], options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const known = new Set([...snapshot.names, ...snapshot.snapNames, ...snapshot.repositoryNames, ...snapshot.namesIn("agents")]);
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw unknownPackage(snapshot, unknown);
  const isWanted = ({ name }: { readonly name: string }) => names.length === 0 || names.includes(name);
  const now = plausibleTime(Date.now(), snapshot.time);
  printSummaries(
    [
      ...(await snapshot.packages()).filter(isWanted).map((pkg) => summaryOfPackage(pkg, now)),
      ...(await snapshot.snaps()).filter(isWanted).map((snap) => summaryOfSnap(snap, now)),
      ...(await snapshot.repositories()).filter(isWanted).map(summaryOfRepository),
      ...(await snapshot.agents()).filter(isWanted).map(summaryOfAgents),
    ],
    NOTHING_STORED,
    options,
    io,
  );
  await failOnDamage(store);
}

/** Prints rows or JSON. `otherwise`: the note if there are none. */
export function printSummaries(
  summaries: readonly (PackageSummary | SnapSummary | RepositorySummary | AgentsSummary)[],
  otherwise: string,
  options: CommonOptions,
  io: Io,
): void {
  if (options.json) return printJson(summaries, io);
  if (summaries.length === 0) return note(otherwise, options, io);
  const images = summaries.filter((summary) => summary.type === "image");
  const agents = summaries.filter((summary) => summary.type === "agent");
  const packages = summaries.filter((summary) => summary.type !== "image" && summary.type !== "agent");
  const rows = packages.map((summary) => {
    const doubtful = "unverified" in summary ? summary.unverified : [];
    const revisions = summary.revisions.map((r) => (doubtful.includes(r) ? `${r}!` : String(r)));
    const channels = summary.channels.map((channel) => (summary.overridden.includes(channel) ? `${channel}*` : channel));
    return [summary.name, summary.type, summary.defaultTrack, channels.join(" "), revisions.join(" "), showSize(summary.size)];
  });
  const imageRows = images.map(({ name, type, tags, architectures, size }) => [
    name,
    type,
    "",
    Object.keys(tags).join(" "),
    architectures.join(" "),
    showSize(size),
  ]);
  const agentRows = agents.map(({ name, type, architectures, unverified, size }) => {
    const shown = architectures.map((architecture) => (unverified.includes(architecture) ? `${architecture}!` : architecture));
    return [name, type, "", "", shown.join(" "), showSize(size)];
  });
  const [channels, revisions] =
    images.length + agents.length > 0 ? ["CHANNELS OR TAGS", "REVISIONS OR ARCHITECTURES"] : ["CHANNELS", "REVISIONS"];
  printTable(["NAME", "TYPE", "DEFAULT TRACK", channels, revisions, "SIZE"], [...rows, ...imageRows, ...agentRows], io);
  if (packages.some((summary) => summary.overridden.length > 0))
    note("channels marked * are pinned by an override: chp overrides shows why", options, io);
  if (packages.some((summary) => "unverified" in summary && summary.unverified.length > 0))
    note("revisions marked ! are unverified: they were imported with --allow-unverified", options, io);
  if (agents.some(({ unverified }) => unverified.length > 0))
    note("architectures marked ! have agents that nobody vouches for: they were imported with --allow-unverified", options, io);
}

type PackageSummary = ReturnType<typeof summaryOfPackage>;
type SnapSummary = ReturnType<typeof summaryOfSnap>;
type AgentsSummary = ReturnType<typeof summaryOfAgents>;
type RepositorySummary = ReturnType<typeof summaryOfRepository>;

function summaryOfAgents(release: AgentRelease) {
  const { name, version, agents } = release;
  return {
    name,
    type: "agent" as const,
    version,
    architectures: agents.map(({ architecture }) => architecture),
    unverified: agents.filter((agent) => agent.unverified !== undefined).map(({ architecture }) => architecture),
    size: sizeOfAgents(release),
  };
}

function summaryOfRepository(repository: Repository) {
  const { name, tags, manifests, blobs } = repository;
  const architectures = new Set(manifests.flatMap(({ digest }) => architecturesOf(repository, digest)));
  return {
    name,
    type: "image" as const,
    tags,
    architectures: [...architectures].toSorted(),
    manifests: manifests.map(({ digest }) => digest),
    size: sizeOfBlobs(blobs),
  };
}

/** `now`: decides which overrides are in force. */
export function summaryOfPackage(stored: Package, now: number) {
  const pkg = offered(stored, now);
  return {
    name: pkg.name,
    type: pkg.type,
    id: pkg.id,
    defaultTrack: pkg.defaultTrack,
    channels: [...new Set(pkg.releases.map((r) => r.channel))],
    overridden: overriddenOf(pkg, now),
    revisions: pkg.revisions.map((r) => r.revision),
    size: sizeOfPackage(pkg),
  };
}

export function summaryOfSnap(stored: Snap, now: number) {
  const snap = offered(stored, now);
  return {
    name: snap.name,
    type: snap.type,
    id: snap.id,
    defaultTrack: snap.defaultTrack,
    channels: [...new Set(snap.releases.map((r) => r.channel))],
    overridden: overriddenOf(snap, now),
    revisions: snap.revisions.map((r) => r.revision),
    unverified: snap.revisions.filter((r) => r.unverified !== undefined).map((r) => r.revision),
    size: sizeOfSnap(snap),
  };
}

/** Channels with an override in force. */
function overriddenOf(pkg: Package | Snap, now: number): string[] {
  const inForce = overridesOf(pkg, now).filter((facts) => facts.state === "in force");
  return [...new Set(inForce.map((facts) => facts.channel))];
}

/** Bytes of its revisions and components; shared blobs count once. */
export function sizeOfSnap(snap: Snap): number {
  const blobs = new Map(
    [...snap.revisions, ...snap.components.flatMap((c) => c.revisions)].map((revision) => [revision.blob, revision.size]),
  );
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

/** Bytes of its revisions and resources; shared blobs count once. */
export function sizeOfPackage(pkg: Package): number {
  const blobs = new Map([...pkg.revisions, ...pkg.resources.flatMap((r) => r.revisions)].map((revision) => [revision.blob, revision.size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
