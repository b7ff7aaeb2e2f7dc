import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LIMITS, type Limits } from "../../src/archives/archive.ts";
import type { Assertion } from "../../src/assertions/assertion.ts";
import { parseAssertions } from "../../src/assertions/text.ts";
import { parseChannel } from "../../src/catalog/channel.ts";
import type { ChannelPolicy } from "../../src/catalog/channelmap.ts";
import { differingFields } from "../../src/catalog/difference.ts";
import { imageNotes, newlyPulled, pulledFromHere } from "../../src/catalog/imagesources.ts";
import type { BeginSums, Digest } from "../../src/digest.ts";
import { Failure, printable, publishedButFailed } from "../../src/errors.ts";
import { type Imported, type ImportReport, type ImportSource, importSources, type PrintedReport } from "../../src/import/import.ts";
import { sourcesOf } from "../../src/import/remoteprotocol.ts";
import { type RepairReport, repairFrom } from "../../src/import/repair.ts";
import { checkRoots, STORE_QUOTA } from "../../src/settings/config.ts";
import { lostBlobs } from "../../store/check.ts";
import { LostLists } from "../../store/lostlists.ts";
import { Quota } from "../../store/quota.ts";
import { isStageGone } from "../../store/storage.ts";
import type { Store } from "../../store/store.ts";
import { withDigests } from "../machine/digests.ts";
import { withSmallHeap } from "../machine/heap.ts";
import { ImportRecord } from "../machine/importrecord.ts";
import { importSourcesOf, statOf } from "../machine/importsources.ts";
import { count, type Io, note, printJson, showSize, storeFlag, undoOf } from "../machine/io.ts";
import { checkSpace, openOrCreateStore, openStore, storeFolder, withStoreUnchanged } from "../machine/openstore.ts";
import { progressOn, progressThrough, sizeOf } from "../machine/progress.ts";
import { importTo } from "../machine/remoteimport.ts";
import {
  acceptedKeys,
  imageSetup,
  loadSettings,
  readStreamsKeys,
  storeRoots,
  storeStreamsKeys,
  streamsKeys,
  trustedRoots,
  usedRegistry,
} from "../machine/settings.ts";
import { unsquash } from "../machine/unsquash.ts";
import { readIn, Workers } from "../machine/workers.ts";
import { defineCommand, type Register } from "./command.ts";
import { type FlagValues, REMOTE_OPTIONS } from "./flags.ts";
import { isUnchanged, renderImport } from "./importreport.ts";

/** Limits of archives, and which signatures are required of snaps and exports. */
export const CONTENT_FLAGS = [
  "maxEntries",
  "maxDepth",
  "maxSize",
  "maxRatio",
  "maxJson",
  "trust",
  "streamsKey",
  "allowUnverified",
  "allowUnsigned",
  "allowOlder",
] as const;

const TAKES = [
  ...CONTENT_FLAGS,
  "importChannel",
  "revision",
  "imageName",
  "keepChannels",
  "renamed",
  "repair",
  "importDryRun",
  "inputName",
  "to",
  "tokenFile",
  "importCa",
  "tarOfFiles",
  "folder",
  "bodyMark",
  "bodySize",
] as const;
export type ImportFlags = FlagValues<typeof TAKES>;

export const IMPORT_EXITS =
  "0 done, 1 failed, 2 usage, 3 the content was refused and nothing published, 11 store format too new, 14 published, but a later step failed, 130 interrupted";

export const importCommand: Register = (program, io) => {
  defineCommand(program, "import", "Import archives exported on a connected machine", IMPORT_EXITS, TAKES)
    .argument(
      "<file...>",
      "exports of charms, bundles or snaps, layouts of images, lone .charm, .snap, .assert and juju-VERSION-linux-ARCH.tgz files, folders of these, or - for standard input",
    )
    .addHelpText("after", EXAMPLES)
    .action((files: string[], options: ImportFlags) => runImport("import", files, options, options.keepChannels ? "keep" : "apply", io));
};

const EXAMPLES = `
Examples:
  chp import charms-export-20260426T163115.tar.gz
  chp import --dry-run /media/usb
  chp import site-20260426T163115.tar.1of3     the other parts are found beside it
  chp import --channel 14/edge ./postgresql-k8s_r960.charm
  chp import --image-name team/app:1.2 app.oci.tar
  chp import --allow-unverified juju-3.6.11-linux-amd64.tgz
  chp import jq-20260426T143758.tar.gz core22_1612.snap
  ssh outside cat export.tar.gz | chp import --name export.tar.gz -
  chp import --to https://hub.lan:8443 --token-file hub.token --ca hub-ca.crt \\
    site-20260426T163115.tar`;

export async function runImport(
  command: string,
  files: readonly string[],
  options: ImportFlags,
  channels: ChannelPolicy,
  io: Io,
): Promise<void> {
  if (options.channel !== undefined && !parseChannel(options.channel))
    throw new Failure("usage", `--channel: ${printable(options.channel, 100)} is not a channel`);
  if (options.name !== undefined && !files.includes("-"))
    throw new Failure("usage", "--name is for standard input, which is given as -; files have their names");
  if (options.repair) return runRepair(await importSourcesOf(files, options, io), options, io);
  const { undo, ...report } =
    options.to === undefined
      ? await importRecorded(command, files, options, channels, io)
      : await importTo(options.to, await importSourcesOf(files, options, io), { ...options, sends: REMOTE_OPTIONS }, io);
  const where = options.to === undefined ? "" : " (there)";
  if (options.json) printJson({ ...report, undo }, io);
  else io.out(`${renderImport(report, channels, options)}${undo === null ? "" : `undo${where}: ${printable(undo)}\n`}`);
  if (!options.dryRun && options.to === undefined)
    note(
      report.generation === null
        ? `next: chp list${storeFlag(options)}`
        : `next: chp serve${storeFlag(options)}, or chp list${storeFlag(options)} to see what is stored`,
      options,
      io,
    );
}

/** Puts back lost files of the store; what it restores has the digest that the store names, so no signature is asked for. */
async function runRepair(sources: readonly ImportSource[], options: ImportFlags, io: Io): Promise<void> {
  if (options.to !== undefined) throw new Failure("usage", "--repair is for the store here, so it takes no --to");
  const { restored, stillLost, dryRun } = await withDigests((sums) => repair(sources, options, sums, io));
  if (options.json) return printJson({ restored, stillLost, dryRun }, io);
  const size = showSize(restored.reduce((sum, blob) => sum + blob.size, 0));
  const summary =
    restored.length === 0
      ? stillLost.length === 0
        ? "nothing of it is lost here"
        : "nothing was restored"
      : `${count(restored.length, "file")}, ${size}, ${dryRun ? "would be " : ""}restored`;
  const lines = [...restored.map(({ what }) => `restored: ${what}`), ...stillLost.map((what) => `still lost: ${what}`), summary];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
  note("next: chp verify", options, io);
}

async function repair(sources: readonly ImportSource[], options: ImportFlags, sums: BeginSums, io: Io): Promise<RepairReport> {
  const store = await openStore(options, io, { sums });
  const progress = progressOn("import", options, io);
  const onProgress = progressThrough(progress, sizeOf(sources));
  const workers = new Workers();
  const lost = {
    blobs: (digests: ReadonlySet<Digest>) => lostBlobs(store, digests, { dryRun: options.dryRun ?? false }),
    lists: await LostLists.of(store),
  };
  const report = await repairFrom(store, sources, lost, {
    command: "import --repair",
    channels: "keep",
    trust: await trustedRoots(store, await readRoots(options.trust ?? []), io),
    streamsKeys: await streamsKeys(store, await readStreamsKeys(options.streamsKey ?? []), io),
    allowUnverified: options.allowUnverified ?? false,
    ...(options.channel !== undefined && { channel: fullName(options.channel) }),
    ...(options.revision !== undefined && { revision: options.revision }),
    ...(options.imageName !== undefined && { imageName: options.imageName }),
    renamed: readRenames(options.renamed ?? []),
    unsquash,
    read: readIn(workers),
    sums,
    dryRun: options.dryRun ?? false,
    now: new Date().toISOString(),
    limits: limitsOf(options),
    signal: io.signal,
    onProgress,
  }).finally(() => {
    progress.end();
    void workers.close();
  });
  if (!report.dryRun) await store.storage.flush();
  return report;
}

async function importRecorded(
  command: string,
  files: readonly string[],
  options: ImportFlags,
  channels: ChannelPolicy,
  io: Io,
): Promise<PrintedReport> {
  const record = new ImportRecord(options, io);
  try {
    return await importHere(command, await importSourcesOf(files, options, io), { options, channels, record }, io);
  } catch (error) {
    if (!options.dryRun) await record.failed(error);
    throw error;
  }
}

async function importHere(
  command: string,
  sources: readonly ImportSource[],
  { options, channels, record }: Pick<ImportSettings, "options" | "channels"> & { readonly record: ImportRecord },
  io: Io,
): Promise<PrintedReport> {
  const given = { roots: await readRoots(options.trust ?? []), keys: await readStreamsKeys(options.streamsKey ?? []) };
  const limits = limitsOf(options);
  const files = options.tarOfFiles && sources[0] ? sourcesOf(sources[0], options.folder, limits) : sources;
  // All files are stored before anything is published.
  const needed = sources.reduce((sum, source) => sum + (source.size ?? 0), 0);
  await checkSpace("import into", storeFolder({ ...options, quiet: true }, io), needed, {
    next: "free some space there (chp gc --dry-run shows how much) and run the same command again; nothing was published",
  });
  const run = (store: Store, sums: BeginSums) =>
    store.leased(async () => {
      const quota = (await loadSettings(store, { environment: io.environment })).get(STORE_QUOTA)?.values[0];
      if (quota !== undefined) store.quota = await Quota.of(store.storage, Number(quota));
      return importInto(store, command, files, { options, channels, given, limits, size: sizeOf(sources), sums }, io);
    });
  const recorded = (store: Store, sums: BeginSums) => store.leased(() => record.during(store, () => run(store, sums)));
  const attempt = () =>
    withSmallHeap(() =>
      withDigests(async (sums) =>
        options.dryRun
          ? withStoreUnchanged(options, io, (store) => run(store, sums), { sums })
          : recorded(await openOrCreateStore(options, io, { sums }), sums),
      ),
    );
  const report = await attempt().catch((error: unknown) => {
    // Standard input and pipes can't be read twice.
    const isRepeatable = !options.tarOfFiles && sources.every(({ path, size }) => path !== undefined && size !== undefined);
    if (!isStageGone(error) || !isRepeatable) throw error;
    note("what was stored so far was removed meanwhile, as by chp gc on another machine: the import begins again", options, io);
    return attempt();
  });
  return { ...report, undo: report.generation === null || isUnchanged(report) ? null : undoOf({ number: report.generation }, options) };
}

/** What is trusted from this import on. */
interface GivenTrust {
  /** of `--trust` */
  readonly roots: readonly Assertion[];
  /** of `--streams-key`, as lines of its setting */
  readonly keys: readonly string[];
}

interface ImportSettings {
  readonly options: ImportFlags;
  readonly channels: ChannelPolicy;
  readonly given: GivenTrust;
  readonly limits: Limits;
  /** bytes of the sources; undefined: unknown */
  readonly size: number | undefined;
  readonly sums: BeginSums;
}

async function importInto(
  store: Store,
  command: string,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  { options, channels, given, limits, size, sums }: ImportSettings,
  io: Io,
): Promise<Omit<PrintedReport, "undo">> {
  const trust = await trustedRoots(store, given.roots, io);
  const progress = progressOn("import", options, io);
  const workers = new Workers();
  try {
    const report = await importSources(store, sources, {
      command,
      ...(options.channel !== undefined && { channel: fullName(options.channel) }),
      ...(options.revision !== undefined && { revision: options.revision }),
      ...(options.imageName !== undefined && { imageName: options.imageName }),
      channels,
      trust,
      streamsKeys: await streamsKeys(store, given.keys, io),
      allowUnverified: options.allowUnverified ?? false,
      accepted: await acceptedKeys(store, io),
      allowUnsigned: options.allowUnsigned ?? false,
      allowOlder: options.allowOlder ?? false,
      unsquash,
      renamed: readRenames(options.renamed ?? []),
      read: readIn(workers),
      sums,
      dryRun: options.dryRun ?? false,
      now: new Date().toISOString(),
      limits,
      signal: io.signal,
      onProgress: progressThrough(progress, size),
    });
    if (options.dryRun) await store.quota?.fits(report.bytes.new);
    const explained = async () => afterImport(store, await withReasons(store, report), options.dryRun ? undefined : given, io);
    return await explained().catch((error: unknown) => {
      throw report.generation === null ? error : publishedButFailed(report.generation, error);
    });
  } finally {
    progress.end();
    await workers.close();
  }
}

/** A package that changed without anything to list says what of its metadata did. */
async function withReasons(store: Store, report: Imported): Promise<Imported> {
  const isSilent = (
    { state, revisions, channels }: ImportReport["packages"][number] | ImportReport["snaps"][number],
    parts: readonly string[],
  ) => state === "changed" && revisions.new.length + parts.length + channels.length === 0;
  const before = report.generation === null ? undefined : await store.snapshotAt(report.generation - 1).catch(() => undefined);
  const after = report.generation === null ? undefined : await store.snapshotAt(report.generation);
  const why = async (name: string, section: "package" | "snap") => {
    const [was, is] = [await before?.[section](name), await after?.[section](name)];
    const fields = was && is ? differingFields(was, is) : [];
    return fields.length === 0 ? "only metadata changed" : `only metadata changed: ${fields.join(", ")}`;
  };
  const packages = report.packages.map(async (pkg) =>
    isSilent(pkg, pkg.resources.new) ? { ...pkg, notes: [...pkg.notes, await why(pkg.name, "package")] } : pkg,
  );
  const snaps = report.snaps.map(async (snap) =>
    isSilent(snap, snap.components.new) ? { ...snap, notes: [...snap.notes, await why(snap.name, "snap")] } : snap,
  );
  return { ...report, packages: await Promise.all(packages), snaps: await Promise.all(snaps) };
}

/** What follows from an import, with its report. `given`: to be trusted from now on. */
async function afterImport(
  store: Store,
  { charmsWithImages, ...report }: Imported,
  given: GivenTrust | undefined,
  io: Io,
): Promise<Omit<PrintedReport, "undo">> {
  if (given && given.roots.length > 0) await storeRoots(store, given.roots);
  if (given && given.keys.length > 0) await storeStreamsKeys(store, given.keys);
  // `chp serve` writes nothing, so the key that signs device sessions is created here.
  if (report.generation !== null && report.snaps.length > 0)
    await store.settings.change(["session"], ({ session }) =>
      session ? undefined : { session: { key: randomBytes(32).toString("base64") } },
    );
  const settings = await loadSettings(store, { environment: io.environment });
  const after = await store.snapshot();
  const repositories = await after.repositories();
  const isAboutAll = repositories.length + report.images.length > 0;
  const packages = isAboutAll ? await after.packages() : []; // a large store takes long to read
  const notes = imageNotes(imageSetup(settings), report.images.length > 0 ? packages : charmsWithImages, repositories);
  const registry = usedRegistry(settings);
  const pulled = report.generation === null ? [] : pulledFromHere(packages, repositories, registry);
  const before = pulled.length === 0 ? undefined : await store.snapshotAt((report.generation ?? 1) - 1).catch(() => undefined);
  const pulledBefore = before ? pulledFromHere(await before.packages(), await before.repositories(), registry) : [];
  return { ...report, notes: [...report.notes, ...notes], pulledFromHere: newlyPulled(pulledBefore, pulled) };
}

/** The assertions of the files that `--trust` names. */
async function readRoots(files: readonly string[]): Promise<Assertion[]> {
  const roots: Assertion[] = [];
  for (const file of files) {
    await statOf(file);
    roots.push(...parseAssertions(await readFile(file), printable(file)));
  }
  return checkRoots(roots);
}

/** Reads `OLD=NEW` texts: new name to old one. */
function readRenames(texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const [, before, after] = /^([^=]+)=([^=]+)$/.exec(text) ?? [];
      if (before === undefined || after === undefined)
        throw new Failure("usage", `--renamed takes OLD=NEW, not ${printable(text, 100)}`, { next: "chp list shows what is stored" });
      return [after, before];
    }),
  );
}

function limitsOf({ maxEntries, maxDepth, maxSize, maxRatio, maxJson }: ImportFlags): Limits {
  return { ...LIMITS, entries: maxEntries, depth: maxDepth, size: maxSize, ratio: maxRatio, json: maxJson };
}

function fullName(channel: string): string {
  const { track = "latest", risk, branch } = parseChannel(channel) ?? { risk: "stable" as const };
  return [track, risk, ...(branch === undefined ? [] : [branch])].join("/");
}
