/** Imports archives as one new generation: all of it, or nothing where one file is refused. */

import { Budget, type Chunks, files, type Limits, showLocation } from "../archives/archive.ts";
import { isOpaque } from "../archives/names.ts";
import type { ReadText } from "../archives/readers.ts";
import type { Assertion } from "../assertions/assertion.ts";
import type { SigningKey } from "../assertions/clearsigned.ts";
import { CANONICAL_ROOTS, Trust } from "../assertions/verify.ts";
import type { ChannelPolicy } from "../catalog/channelmap.ts";
import { signedTimes } from "../catalog/freshness.ts";
import type {
  CatalogView,
  ChangeDraft,
  ImportStore,
  RepairedEntry,
  SectionDraft,
  SourceRecord,
  StagedBlob,
} from "../catalog/generation-types.ts";
import { hasImages, type NeededImage, neededImages } from "../catalog/images.ts";
import type { PulledFromHere } from "../catalog/imagesources.ts";
import type { Package } from "../catalog/package.ts";
import { pathOfReference, splitPath } from "../catalog/registry.ts";
import { storedImage } from "../catalog/repository.ts";
import { type OfEach, ofEach, SECTIONS, type SectionName, type Sections, type Tally } from "../catalog/sections.ts";
import { type NeededSnap, neededSnaps } from "../catalog/snapneeds.ts";
import { type BeginSums, sumsHere } from "../digest.ts";
import { Failure, refused } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { Slices } from "../turns.ts";
import { type AgentReport, agentTallies, importAgents } from "./agentimport.ts";
import { type ImportedCharms, importCharms, type MissingOfCharms, type PackageReport } from "./charmimport.ts";
import { type ImageReport, type ImportedImages, imageTallies, importImages } from "./imageimport.ts";
import { checkAge, type OriginOptions, type SourceOrigins, sourceOrigins } from "./origin.ts";
import { ExportReader, type FileOutcome, type Reading } from "./reader.ts";
import { type ImportedSnaps, importSnaps, type SnapReport } from "./snapimport.ts";
import type { SnapReadOptions } from "./snapreader.ts";
import type { SnapBase } from "./snaptrust.ts";
import { Staging } from "./staging.ts";
import { ChecksumLists } from "./sums.ts";

export interface ImportSource {
  /** the name that the operator gave; `-` is standard input */
  readonly name: string;
  /** absolute path; a SHA256SUMS beside it is checked. Absent: the source is no file */
  readonly path?: string;
  /** bytes, if known before it is read */
  readonly size?: number;
  open(): Chunks;
  /** called after the content was refused: what is wrong with the source itself; undefined: nothing known */
  whyWrong?(): Promise<Failure | undefined>;
}

export interface ImportOptions extends OriginOptions {
  /** as the log shows it, without secrets */
  readonly command: string;
  readonly channel?: string;
  readonly revision?: number;
  readonly channels: ChannelPolicy;
  /** roots of snaps besides Canonical's: accounts and their self-signed account-keys */
  readonly trust?: readonly Assertion[];
  /** whether snaps and assertions that do not verify are imported all the same, and marked */
  readonly allowUnverified?: boolean;
  /** keys that sign agent streams besides Canonical's */
  readonly streamsKeys?: readonly SigningKey[];
  readonly unsquash?: SnapReadOptions["unsquash"];
  /** charms and bundles that upstream renamed: new name to the stored one */
  readonly renamed?: ReadonlyMap<string, string>;
  /** runs parsers of what the archives hold; in this thread by default */
  readonly read?: ReadText;
  /** where the sources are hashed; in this thread by default */
  readonly sums?: BeginSums;
  /** the name of images that have none, with or without a tag: `team/app:1.2` */
  readonly imageName?: string;
  readonly dryRun: boolean;
  readonly limits: Limits;
  readonly signal?: AbortSignal;
  /** called after every chunk; `bytes`: how many of the source were read so far */
  onProgress?(source: ImportSource, bytes: number): void;
}

export interface Missing extends MissingOfCharms {
  /** rows of snaps' channel maps whose revision is missing: not published */
  readonly snapRevisions: ImportedSnaps["dropped"];
  /** snaps that imported packages need and that are not in the store */
  readonly snaps: readonly NeededSnap[];
  /** images that imported charms need and that are not in the store; none where it has no image at all */
  readonly images: readonly Pick<NeededImage, "upstream" | "neededBy">[];
}

export interface ImportReport {
  /** the generation that was made; null: nothing changed, or a dry run */
  readonly generation: number | null;
  readonly dryRun: boolean;
  readonly sources: readonly SourceRecord[];
  readonly packages: readonly PackageReport[];
  readonly snaps: readonly SnapReport[];
  readonly images: readonly ImageReport[];
  readonly agents: readonly AgentReport[];
  readonly assertions: { readonly new: number; readonly known: number };
  readonly missing: Missing;
  readonly notes: readonly string[];
  readonly ignored: readonly string[];
  /** bytes of imported blobs: new to the store, and stored before */
  readonly bytes: { readonly new: number; readonly known: number };
}

/** What an import did, and what follows from it is asked of. */
export interface Imported extends ImportReport {
  /** the imported charms that name images, as they are after the import */
  readonly charmsWithImages: readonly Package[];
}

/** Files that are read between two turns of the event loop: of a source in memory all would be read in one. */
const FILES = 16;

/** Imports all sources as one generation. Throws a `Failure`; then nothing was published. */
export async function importSources(
  store: ImportStore,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  options: ImportOptions,
): Promise<Imported> {
  return readSources(store, sources, options, async ({ origins, ignored, reading }) => {
    const { records } = origins;

    const bytes = await weigh(store, reading.blobs); // before they are in the store
    const draft = async (newest: CatalogView) => {
      const aged = checkAge(origins, await store.signedTimes(newest), options);
      const { draft: change, base, packages, snaps, images, agents, notes } = await draftOver(store, newest, { reading, records }, options);
      const result = {
        packages,
        snaps,
        images: images.reports,
        agents: agents.reports,
        needed: await missingSnaps(base, packages, snaps),
        missingImages: await missingImages(base, packages, images),
        notes: [...aged, ...notes],
      };
      return { draft: change, result };
    };
    const { generation, result } = options.dryRun
      ? { generation: undefined, ...(await draft(await store.snapshot())) }
      : await store.publish(options.now, draft);
    const { packages, snaps, images, agents, needed, notes } = result;
    return {
      generation: generation?.number ?? null,
      dryRun: options.dryRun,
      sources: records,
      packages: packages.reports,
      snaps: snaps.reports,
      images,
      agents,
      assertions: snaps.assertions,
      missing: { ...packages.missing, snapRevisions: snaps.dropped, snaps: needed, images: result.missingImages },
      notes: [...origins.notes, ...reading.notes, ...snaps.notes, ...notes],
      ignored,
      bytes,
      charmsWithImages: packages.after.filter(hasImages),
    };
  });
}

/** What an import would publish over a generation, and what it found there. Throws a `refused` failure where they contradict each other. */
export async function draftOver(
  store: Pick<ImportStore, "withRepairs" | "has" | "digestOf" | "damage">,
  newest: CatalogView,
  { reading, records }: { readonly reading: Reading<StagedBlob>; readonly records: readonly SourceRecord[] },
  options: ImportOptions,
) {
  const repaired: RepairedEntry[] = [];
  const base = store.withRepairs(newest, (entry) => void repaired.push(entry));
  const merged = await importCharms(reading.packages, base, options);
  const imported = await importSnaps(reading.snaps, await snapBase(base), {
    trust: new Trust([...CANONICAL_ROOTS, ...(options.trust ?? [])]),
    roots: options.trust ?? [],
    allowUnverified: options.allowUnverified ?? false,
    ...(options.channel !== undefined && { channel: options.channel }),
    policy: options.channels,
    now: options.now,
  });
  const found = await importImages(reading.images, base, {
    charms: async () => [...merged.after, ...(await otherPackages(base, merged))],
    has: (digest) => store.has(digest),
    ...(options.imageName !== undefined && { imageName: options.imageName }),
  });
  const restoring = new Restoring(store, { newest, base, repaired });
  const packages = restoring.section("packages", {
    ...merged,
    draft: ({ changed, reports }) => ({ changed, dropped: merged.dropped, tally: tally(reports) }),
  });
  const snaps = restoring.section("snaps", {
    ...imported,
    draft: ({ changed, reports }) => ({ changed, dropped: imported.renamed, tally: tally(reports) }),
  });
  const images = restoring.section("images", {
    ...found,
    changed: found.draft.changed,
    draft: ({ changed, reports }) => ({ changed, tally: imageTallies(reports) }),
  });
  const brought = await importAgents(reading.agents, base, { records, allowUnverified: options.allowUnverified ?? false });
  const agents = restoring.section("agents", {
    ...brought,
    draft: ({ changed, reports }) => ({ changed, tally: agentTallies(reports) }),
  });
  const others = await restoring.assertions(imported);
  const draft: ChangeDraft = {
    command: options.command,
    sources: records,
    sections: { packages: packages.draft, snaps: snaps.draft, images: images.draft, agents: agents.draft },
    assertions: { added: imported.assertions.new, ...(others && { others }) },
    signed: signedTimes(records, Date.parse(options.now)),
    blobs: reading.blobs,
    required: found.required,
  };
  return { draft, base, packages, snaps, images, agents, notes: restoring.notes };
}

/** What an import makes of one section. */
interface ImportedSection<S extends SectionName, R> {
  readonly reports: readonly R[];
  /** all that the import has a part of, as it is after it */
  readonly after: readonly Sections[S][];
  /** of these what is new or different */
  readonly changed: readonly Sections[S][];
  /** the change of the section, with what was restored among `changed` and `reports` */
  readonly draft: (imported: Pick<ImportedSection<S, R>, "changed" | "reports">) => SectionDraft<S>;
}

/** Publishes again what an import brought of things that the store could not read. */
class Restoring {
  readonly #store: Pick<ImportStore, "digestOf">;
  readonly #newest: CatalogView;
  readonly #base: CatalogView;
  readonly #unreadable: OfEach<Map<string, RepairedEntry>>;
  readonly #lost: RepairedEntry | undefined;
  readonly #notes = new Set<string>();

  constructor(
    store: Pick<ImportStore, "digestOf" | "damage">,
    { newest, base, repaired }: { readonly newest: CatalogView; readonly base: CatalogView; readonly repaired: readonly RepairedEntry[] },
  ) {
    this.#store = store;
    this.#newest = newest;
    this.#base = base;
    this.#unreadable = ofEach<OfEach<Map<string, RepairedEntry>>>(
      (section) => new Map(repaired.filter((entry) => entry.section === section).map((entry) => [entry.name, entry])),
    );
    this.#lost = repaired.find((entry) => entry.section === "assertions");
    if (store.damage) this.#notes.add(`${store.damage.message}: the import was added to generation ${newest.number}`);
  }

  /** What was restored as it was, and what may be incomplete. */
  get notes(): readonly string[] {
    return [...this.#notes];
  }

  section<S extends SectionName, R extends { readonly name: string; readonly state: "new" | "changed" | "known" }, I>(
    section: S,
    imported: I & ImportedSection<S, R>,
  ) {
    const entries = this.#unreadable[section];
    const isChanged = new Set(imported.changed);
    const changed = imported.after.filter((one) => isChanged.has(one) || entries.has(one.name));
    for (const one of changed) {
      const entry = entries.get(one.name);
      const before = ownValue(this.#newest.index[section], one.name)?.[0];
      if (entry) this.#note(entry, SECTIONS[section].what(one), before === this.#store.digestOf(one));
    }
    const reports = imported.reports.map((report) =>
      report.state === "known" && entries.has(report.name) ? { ...report, state: "changed" as const } : report,
    );
    return { ...imported, changed, reports, draft: imported.draft({ changed, reports }) };
  }

  /** The assertions that belong to no stored snap; undefined: they stay as they are. */
  async assertions({ otherAssertions, assertions }: Pick<ImportedSnaps, "otherAssertions" | "assertions">) {
    const brings = assertions.new + assertions.known > 0;
    const others = otherAssertions ?? (this.#lost && brings ? (await this.#base.assertions()).others : undefined);
    if (this.#lost && others)
      this.#note(this.#lost, "the list of assertions", this.#newest.index.assertions === this.#store.digestOf(others));
    return others;
  }

  #note(entry: RepairedEntry, what: string, asItWas: boolean): void {
    const from = entry.generation === 0 ? "this import alone" : `generation ${entry.generation} and this import`;
    const since = entry.since.length > 0 ? `; import again what changed it since: ${entry.since.join(", ")}` : "";
    this.#notes.add(`${what} could not be read: ${asItWas ? "it was put back as it was" : `it was made again from ${from}${since}`}`);
  }
}

/** What all sources of an import hold. */
interface ReadSources {
  readonly origins: SourceOrigins;
  readonly ignored: readonly string[];
  readonly reading: Reading<StagedBlob>;
}

/**
 * Reads all sources to their end, within one budget, and hands to `use` what they hold; what `use` does not commit is discarded. Throws a
 * `refused` failure where one is not what it should be, takes too much, or there is nothing in them.
 */
export async function readSources<T>(
  store: Pick<ImportStore, "ingest" | "ingestBytes">,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  options: ImportOptions,
  use: (read: ReadSources) => Promise<T>,
): Promise<T> {
  const budget = new Budget(options.limits);
  const staging = new Staging<StagedBlob>(store, budget);
  try {
    return await use(await readAll(staging, sources, budget, options)); // a reader is not kept longer than it reads
  } finally {
    await staging.discard();
  }
}

async function readAll(
  staging: Staging<StagedBlob>,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  budget: Budget,
  options: ImportOptions,
): Promise<ReadSources> {
  const reader = new ExportReader(staging, { ...options, budget });
  const lists = new ChecksumLists(options.accepted ?? [], options.now);
  const ignored: string[] = [];
  const read = new Map<string, SourceRecord>();
  for await (const source of sources) read.set(pathOf(source), await readSource(reader, { lists, ignored, budget }, source, options));
  const origins = sourceOrigins(read, lists.finish(), options);
  const reading = await reader.finish();
  if (isEmpty(reading)) throw nothingFound(origins.records, ignored);
  return { origins, ignored, reading };
}

function pathOf({ path, name }: ImportSource): string {
  return path ?? name;
}

async function readSource(
  reader: ExportReader<StagedBlob>,
  { lists, ignored, budget }: { readonly lists: ChecksumLists; readonly ignored: string[]; readonly budget: Budget },
  source: ImportSource,
  options: ImportOptions,
): Promise<SourceRecord> {
  const hashed = (options.sums ?? sumsHere)([], source.size);
  let read = 0;
  const slices = new Slices(FILES);
  // A source that is no archive is one file with the same bytes; they are not hashed twice.
  let isOneFile = false;
  let outcome: FileOutcome | undefined;
  let isArchive = false;
  const chunks = async function* () {
    for await (const chunk of source.open()) {
      if (options.signal?.aborted) throw importInterrupted();
      read += chunk.byteLength;
      if (!isOneFile) await hashed.update(chunk);
      options.onProgress?.(source, read);
      yield chunk;
    }
  };
  const path = pathOf(source);
  try {
    for await (const file of files({ name: source.name, chunks: chunks(), size: source.size }, isOpaque, budget)) {
      const isPart = file.containers.length > 0;
      isArchive ||= isPart;
      const at = isPart ? [path, ...file.containers.slice(1), file.path].join("/") : path;
      isOneFile = !isPart && !file.compressed;
      outcome = await reader.add(file);
      await slices.step();
      if (outcome.kind === "checksums") lists.take(at, outcome.bytes, file);
      if (outcome.kind === "ignored") ignored.push(showLocation(file));
      const { containers, path: name } = file;
      const isIgnored = outcome.kind === "ignored";
      if (isPart) lists.add(at, { containers, path: name, sha256: outcome.sums["sha-256"], source: path, isIgnored });
    }
    const { size, "sha-256": sha256 } = isOneFile && outcome ? outcome.sums : await hashed.sums();
    lists.add(path, { containers: [], path: source.name, sha256, source: path, isArchive, isIgnored: outcome?.kind === "ignored" });
    return { name: source.name, size, sha256 };
  } catch (error) {
    if (options.signal?.aborted) throw importInterrupted();
    const isRefused = error instanceof Failure && error.kind === "refused";
    throw (isRefused && (await source.whyWrong?.())) || error;
  } finally {
    hashed.discard();
  }
}

/** The stored snaps and assertions, as `importSnaps` reads them. */
async function snapBase(base: CatalogView): Promise<SnapBase> {
  const assertions = await base.assertions();
  return {
    snapById: (id) => base.snapById(id),
    snap: (name) => base.snap(name),
    snaps: () => base.snaps(),
    assertions: (type, key) => assertions.verified(type, key),
    otherAssertions: assertions.others,
  };
}

/** The stored packages that an import leaves as they are. */
async function otherPackages(base: CatalogView, { after, dropped }: ImportedCharms): Promise<Package[]> {
  const names = new Set([...after.map(({ name }) => name), ...dropped]);
  const others = Object.keys(base.index.packages).filter((name) => !names.has(name));
  return (await Promise.all(others.map((name) => base.package(name)))).filter((pkg) => pkg !== undefined);
}

/** The images that the imported charms, and with images in the import all charms, need and that no repository has. */
async function missingImages(base: CatalogView, packages: ImportedCharms, { after }: ImportedImages): Promise<Missing["images"]> {
  if (after.length === 0 && Object.keys(base.index.images).length === 0) return [];
  const charms = after.length === 0 ? packages.after : [...packages.after, ...(await otherPackages(base, packages))];
  const repositories = new Map(after.map((repository) => [repository.name, repository]));
  const needed: Missing["images"][number][] = [];
  for (const image of neededImages(charms, undefined)) {
    const { name } = splitPath(pathOfReference(image.upstream));
    const repository = repositories.get(name) ?? (await base.repository(name));
    if (!repository || !storedImage(repository, image.upstream)) needed.push({ upstream: image.upstream, neededBy: image.neededBy });
  }
  return needed;
}

/** The snaps that the imported packages need and that are still missing after the import. */
async function missingSnaps(base: CatalogView, packages: ImportedCharms, { reports, after }: ImportedSnaps): Promise<NeededSnap[]> {
  const stored = new Map((await base.snaps()).map((snap) => [snap.id, snap]));
  for (const snap of after) stored.set(snap.id, snap);
  const names = new Set(reports.map((report) => report.name));
  const needed = neededSnaps(packages.after, [...stored.values()], (snap) => names.has(snap.name));
  return needed.filter((need) => !need.stored);
}

function isEmpty({ packages, snaps, images, agents }: Reading<StagedBlob>): boolean {
  return packages.length + snaps.images.length + snaps.assertions.length + images.images.length + agents.agents.length === 0;
}

function importInterrupted(): Failure {
  return new Failure("interrupted", "interrupted: nothing was published");
}

function nothingFound(records: readonly SourceRecord[], ignored: readonly string[]): Failure {
  const some = (names: readonly string[]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}`;
  const names = some(records.map(({ name }) => (name === "-" ? "standard input" : name)));
  if (records.every(({ size }) => size === 0)) return refused(`there is nothing to import: ${names || "all that was given"} is empty`);
  const inside = ignored.filter((name) => !records.some((record) => record.name === name));
  const found = inside.length > 0 ? `; found only ${some(inside)}` : "";
  return refused(`there is no charm, bundle, snap, image, agent or assertion in ${names}${found}`, {
    next: "chp help import shows what can be imported",
  });
}

/** Bytes of the blobs: new to the store, and stored already. */
async function weigh(store: ImportStore, blobs: readonly StagedBlob[]): Promise<ImportReport["bytes"]> {
  const bytes = { new: 0, known: 0 };
  for (const { sums } of new Map(blobs.map((blob) => [blob.sums["sha-256"], blob])).values())
    bytes[(await store.has(sums["sha-256"])) ? "known" : "new"] += sums.size;
  return bytes;
}

function tally(reports: readonly (PackageReport | SnapReport)[]): Record<string, Tally> {
  const changed = reports.filter((report) => report.state !== "known");
  return Object.fromEntries(changed.map((report) => [report.name, { revisions: report.revisions.new, channels: report.channels.length }]));
}

/** What an import prints as JSON. */
export type PrintedReport = ImportReport & {
  /** images of charms that clients are sent to chp for since this import */
  readonly pulledFromHere: readonly PulledFromHere[];
  /** the command that undoes it */
  readonly undo: string | null;
};
