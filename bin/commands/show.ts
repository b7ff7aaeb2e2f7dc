import { type AgentRelease, agentFile, showProof, sizeOfAgents } from "../../src/catalog/agents.ts";
import { showBase } from "../../src/catalog/base.ts";
import type { StoredPackage } from "../../src/catalog/change.ts";
import { isCertain, type NeededBy, neededImages, showNeededBy } from "../../src/catalog/images.ts";
import { overridesOf, showOverride } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import { type Origin, originsOf } from "../../src/catalog/provenance.ts";
import { pathOfReference, splitPath } from "../../src/catalog/registry.ts";
import { type Repository, showManifestKind, sizeBelow, sizeOfBlobs } from "../../src/catalog/repository.ts";
import type { AgentTally, ImageTally } from "../../src/catalog/sections.ts";
import { componentsOf, type Snap } from "../../src/catalog/snap.ts";
import { neededSnaps, showNeed } from "../../src/catalog/snapneeds.ts";
import { plausibleTime } from "../../src/clock.ts";
import { digestText } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import type { Store } from "../../store/store.ts";
import { count, type Io, printJson, showSize } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { unknownImages, unknownPackage } from "./changing.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { type FlagValues, PACKAGE_TYPES } from "./flags.ts";

const TAKES = ["type"] as const;
type ShowFlags = FlagValues<typeof TAKES>;

export const showCommand: Register = (program, io) => {
  defineCommand(
    program,
    "show",
    "Show one package, repository of images or version of agents: what is in it, and where it came from",
    EXITS,
    TAKES,
  )
    .argument("<name>", "a charm, bundle or snap, the name of images, or agents like juju-3.6.11")
    .action((name: string, options: ShowFlags) => runShow(name, options, io));
};

export async function runShow(name: string, options: ShowFlags, io: Io): Promise<void> {
  const { type } = options;
  if (type !== undefined && !PACKAGE_TYPES.some((known) => known === type))
    throw new Failure("usage", `--type takes ${PACKAGE_TYPES.join(", ")}, not ${printable(type, 50)}`);
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const packages = [await snapshot.package(name), await snapshot.snap(name)].flatMap((pkg) =>
    pkg && (type === undefined || pkg.type === type) ? [pkg] : [],
  );
  const repository = type === undefined || type === "image" ? await snapshot.repository(splitPath(pathOfReference(name)).name) : undefined;
  const release = type === undefined || type === "agent" ? await snapshot.stored("agents", name) : undefined;
  if (packages.length === 0 && !repository && !release)
    throw /[:/]/.test(name) ? unknownImages(snapshot, name) : unknownPackage(snapshot, name);
  const found = await Promise.all(packages.map(async (pkg) => ({ pkg, origins: await packageOrigins(store, pkg) })));
  const image = repository && {
    repository,
    neededBy: neededImages(await snapshot.packages(), undefined)
      .filter(({ upstream }) => splitPath(pathOfReference(upstream)).name === repository.name)
      .map(({ upstream, neededBy }) => ({ reference: upstream, neededBy })),
    origins: await imageOrigins(store, repository.name),
  };
  const agents = release && { release, origins: await agentOriginsOf(store, release.name) };
  if (options.json) {
    const all = [
      ...found.map(({ pkg, origins }) => ({ ...pkg, origins })),
      ...(image ? [{ type: "image", ...image.repository, neededBy: image.neededBy, origins: image.origins }] : []),
      ...(agents ? [{ type: "agent", ...agents.release, origins: agents.origins }] : []),
    ];
    return printJson(all.length === 1 ? all[0] : all, io);
  }
  const snaps = await snapshot.snaps();
  const now = plausibleTime(Date.now(), snapshot.time);
  const blocks = [
    ...found.map(({ pkg, origins }) => [
      ...(pkg.type === "snap" ? renderSnap(pkg, now) : renderPackage(pkg, snaps, now)),
      "came from:",
      ...origins.map(renderOrigin),
    ]),
    ...(image ? [[...renderRepository(image.repository, image.neededBy), "came from:", ...image.origins.map(renderImageOrigin)]] : []),
    ...(agents ? [[...renderAgents(agents.release), "came from:", ...agents.origins.map(renderAgentOrigin)]] : []),
  ];
  const lines = blocks.flatMap((block, i) => [...(i > 0 ? [""] : []), ...block]);
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

interface PackageOrigin {
  readonly generation: number;
  readonly time: string;
  readonly files: readonly string[];
  readonly revisions: readonly number[];
}

/** The generations that changed the package, oldest first. */
async function packageOrigins(store: Store, { type, name }: Pick<Package | Snap, "type" | "name">): Promise<PackageOrigin[]> {
  const found = originsOf(await store.history(), ({ changed, snaps }) => (type === "snap" ? snaps : changed), name);
  return found.map(({ added, ...origin }) => ({ ...withFiles(origin), revisions: added.revisions }));
}

/** With the names of its sources alone. */
function withFiles({ sources, ...origin }: Omit<Origin<never>, "added">) {
  return { ...origin, files: sources.map((source) => source.name) };
}

function renderOrigin(origin: PackageOrigin): string {
  const brought = origin.revisions.length > 0 ? `: revision ${origin.revisions.join(", ")}` : "";
  return `  generation ${origin.generation}, ${origin.time.slice(0, 19)}Z, ${origin.files.join(", ")}${brought}`;
}

interface ImageOrigin extends Omit<PackageOrigin, "revisions">, ImageTally {}

/** The generations that changed a repository of images, oldest first. */
async function imageOrigins(store: Store, name: string): Promise<ImageOrigin[]> {
  const found = originsOf(await store.history(), ({ images }) => images, name);
  return found.map(({ added, ...origin }) => ({ ...withFiles(origin), ...added }));
}

function renderImageOrigin(origin: ImageOrigin): string {
  const tags = origin.tags.length > 0 ? `: ${origin.tags.join(", ")}` : "";
  return `  generation ${origin.generation}, ${origin.time.slice(0, 19)}Z, ${origin.files.join(", ")}${tags}`;
}

interface AgentOrigin extends Omit<PackageOrigin, "revisions">, AgentTally {}

/** The generations that changed the agents of a version, oldest first. */
async function agentOriginsOf(store: Store, name: string): Promise<AgentOrigin[]> {
  const found = originsOf(await store.history(), ({ agents }) => agents, name);
  return found.map(({ added: tally, ...origin }) => ({ ...withFiles(origin), ...tally }));
}

function renderAgentOrigin({ generation, time, files, added, removed }: AgentOrigin): string {
  const moves = [...added.map((one) => `+${one}`), ...removed.map((one) => `-${one}`)];
  return `  generation ${generation}, ${time.slice(0, 19)}Z, ${files.join(", ")}${moves.length === 0 ? "" : `: ${moves.join(" ")}`}`;
}

function renderAgents(release: AgentRelease): string[] {
  const { name, version, agents } = release;
  return [
    `${name}: agents of Juju ${version}`,
    `size: ${showSize(sizeOfAgents(release))}`,
    "files:",
    ...agents.map((agent) => `  ${agentFile({ version, ...agent })}  ${showSize(agent.size)}  sha256 ${agent.blob}  ${showProof(agent)}`),
  ];
}

interface RepositoryUse {
  /** upstream's */
  readonly reference: string;
  readonly neededBy: readonly NeededBy[];
}

function renderRepository(repository: Repository, needed: readonly RepositoryUse[]): string[] {
  const { name, tags, manifests, blobs } = repository;
  return [
    `${name}: images`,
    `size: ${showSize(sizeOfBlobs(blobs))} in ${count(blobs.length, "blob")}`,
    ...(Object.keys(tags).length > 0 ? ["tags:"] : []),
    ...Object.entries(tags).map(([tag, digest]) => `  ${tag}  ${digestText(digest)}`),
    "manifests:",
    ...manifests.map(
      ({ digest, ...manifest }) => `  ${showManifestKind(manifest)}  ${showSize(sizeBelow(repository, digest))}  ${digestText(digest)}`,
    ),
    ...(needed.length > 0 ? ["needed by:"] : []),
    ...needed.flatMap(({ reference, neededBy }) => neededBy.map((user) => `  ${showNeededBy(user)}: ${reference}`)),
  ];
}

function renderSnap(snap: Snap, now: number): string[] {
  const [newest] = snap.revisions;
  const summary = snap.details.summary ?? newest?.summary;
  const componentNames = (revision: number) => componentsOf(snap, revision).map(([name, component]) => `${name} ${component.revision}`);
  return [
    `${snap.name}: snap${newest && newest.type !== "app" ? ` (${newest.type})` : ""}`,
    ...(summary ? [`summary: ${summary.split("\n")[0]}`] : []),
    `publisher: ${snap.publisher["display-name"]} (${snap.publisher.username}, ${snap.publisher.validation})`,
    `id: ${snap.id}`,
    `default track: ${snap.defaultTrack}`,
    ...(snap.store === undefined ? [] : [`store: only for devices of ${snap.store}`]),
    "channels:",
    ...snap.releases.map((r) => `  ${r.channel}  ${r.architecture}  revision ${r.revision}  ${r.releasedAt.slice(0, 10)}`),
    ...renderOverrides(snap, now),
    "revisions:",
    ...snap.revisions.map((r) => {
      const parts = [r.version, showSize(r.size), r.architectures.join(", "), r.confinement, ...(r.base ? [`base ${r.base}`] : [])];
      const components = componentNames(r.revision);
      const mark = `${asideMark(r)}${r.unverified === undefined ? "" : `  UNVERIFIED: ${r.unverified}`}`;
      return `  ${r.revision}  ${parts.join("  ")}${components.length > 0 ? `  (${components.join(", ")})` : ""}  sha3-384 ${r["sha3-384"]}${mark}`;
    }),
    ...(snap.components.length > 0 ? ["components:"] : []),
    ...snap.components.flatMap(({ name, revisions }) =>
      revisions.map((r) => `  ${name}  revision ${r.revision}  ${r.type}  ${showSize(r.size)}  sha3-384 ${r["sha3-384"]}`),
    ),
    "assertions:",
    ...snap.assertions.map((assertion) => {
      const version = `revision ${assertion.revision}${assertion.format > 0 ? ` format ${assertion.format}` : ""}`;
      return `  ${assertion.type}  ${assertion.key.join("/")}  ${version}${assertion.unverified === undefined ? "" : `  UNVERIFIED: ${assertion.unverified}`}`;
    }),
  ];
}

function renderPackage(pkg: Package, snaps: readonly Snap[], now: number): string[] {
  const needs = neededSnaps([pkg], snaps, () => false);
  const named = neededImages([{ ...pkg, resources: [] }], undefined);
  const { details } = pkg;
  const publisher = details.publisher?.["display-name"];
  return [
    `${pkg.name}: ${pkg.type}`,
    ...(details.summary ? [`summary: ${details.summary.split("\n")[0]}`] : []),
    ...(publisher ? [`publisher: ${publisher}`] : []),
    `id: ${pkg.id}${pkg.formerIds.length > 0 ? ` (formerly ${pkg.formerIds.join(", ")})` : ""}`,
    `default track: ${pkg.defaultTrack}${pkg.declaredTrack && pkg.declaredTrack !== pkg.defaultTrack ? ` (upstream: ${pkg.declaredTrack})` : ""}`,
    "channels:",
    ...pkg.releases.map(
      (r) => `  ${r.channel}  ${showBase(r.base)}  revision ${r.revision}${renderPins(r.resources)}  ${r.releasedAt.slice(0, 10)}`,
    ),
    ...renderOverrides(pkg, now),
    "revisions:",
    ...pkg.revisions.map(
      (r) => `  ${r.revision}  ${showSize(r.size)}  ${r.bases.map(showBase).join(", ") || "any base"}  sha256 ${r.blob}${asideMark(r)}`,
    ),
    ...(needs.length > 0 ? ["installs snaps:"] : []),
    ...needs.map((need) => `  ${showNeed(need)}  ${need.sure}  ${need.stored ? "stored" : "MISSING"}  ${need.by.join(", ")}`),
    ...(named.length > 0 ? ["names images:"] : []),
    ...named.map(
      ({ upstream, neededBy }) =>
        `  ${upstream}  ${isCertain({ neededBy }) ? "certain" : "likely"}  ${neededBy.map(showNeededBy).join(", ")}`,
    ),
    ...(pkg.resources.length > 0 ? ["resources:"] : []),
    ...pkg.resources.flatMap(({ name, revisions }) =>
      revisions.map(
        (r) =>
          `  ${name}  revision ${r.revision}  ${r.type}  ${showSize(r.size)}${r.image ? `  ${r.image.reference}` : ""}  sha256 ${r.blob}${asideMark(r)}`,
      ),
    ),
  ];
}

/** The overrides of the package. */
function renderOverrides(pkg: StoredPackage, now: number): string[] {
  const all = overridesOf(pkg, now);
  return all.length === 0 ? [] : ["overrides:", ...all.map((facts) => `  ${facts.channel}  ${facts.on}  ${showOverride(facts)}`)];
}

/** A mark for revisions that are newer than the generation that was rolled back to. */
function asideMark({ aside }: { readonly aside?: true }): string {
  return aside ? "  (by its number alone, since a rollback)" : "";
}

function renderPins(pins: Readonly<Record<string, number>>): string {
  const all = Object.entries(pins).map(([name, revision]) => `${name} ${revision}`);
  return all.length > 0 ? `  (${all.join(", ")})` : "";
}
