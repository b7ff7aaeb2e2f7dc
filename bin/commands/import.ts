import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { LIMITS, type Limits } from "../../src/archives/archive.ts";
import type { Assertion } from "../../src/assertions/assertion.ts";
import { parseAssertions } from "../../src/assertions/text.ts";
import { parseChannel } from "../../src/catalog/channel.ts";
import type { ChannelPolicy } from "../../src/catalog/package.ts";
import { Failure, printable } from "../../src/errors.ts";
import { type ImportReport, type ImportSource, importSources, type Told } from "../../src/import/import.ts";
import { sourcesOf } from "../../src/import/remoteprotocol.ts";
import { checkRoots } from "../../src/settings/config.ts";
import type { Store } from "../../store/store.ts";
import { importSourcesOf, statOf } from "../machine/importsources.ts";
import { type CommonOptions, type Io, note, printJson, undoOf } from "../machine/io.ts";
import { checkSpace, openOrCreateStore, storeFolder, withStoreUnchanged } from "../machine/openstore.ts";
import { progressOn } from "../machine/progress.ts";
import { importTo, type RemoteFlags } from "../machine/remoteimport.ts";
import { acceptedKeys, keepRoots, loadSettings, registryOf, trustedRoots } from "../machine/settings.ts";
import { unsquash } from "../machine/unsquash.ts";
import { define, type Register, wholeNumber } from "./command.ts";
import { renderImport } from "./importreport.ts";
import { hasImage, NO_REGISTRY_NOTE } from "./status.ts";

export interface ImportOptions extends CommonOptions, RemoteFlags {
  readonly channel?: string;
  readonly revision?: number;
  readonly keepChannels?: boolean;
  readonly pushChannelMap?: boolean;
  readonly trust?: string[];
  readonly allowUnverified?: boolean;
  readonly allowUnsigned?: boolean;
  readonly dryRun?: boolean;
  readonly maxEntries?: number;
  readonly maxDepth?: number;
  readonly maxSize?: number;
  readonly maxRatio?: number;
  readonly maxJson?: number;
  readonly name?: string;
  readonly tarOfFiles?: boolean;
  readonly folder?: string;
  readonly bodyMark?: string;
  readonly bodySize?: number;
}

export const IMPORT_EXITS =
  "0 done, 1 failed, 2 usage, 3 the content was refused and nothing published, 11 store format too new, 130 interrupted";

export const importCommand: Register = (program, io) => {
  withTrust(withLimits(define(program, "import", "take in what was exported on a connected machine", IMPORT_EXITS)))
    .argument(
      "<file...>",
      "exports of charms, bundles or snaps, lone .charm, .snap and .assert files, folders of these, or - for standard input",
    )
    .option("--channel <CHANNEL>", "where packages are released that come without a channel map (default: latest/stable)")
    .option("--revision <N>", "revision of a lone charm whose file name has none", wholeNumber("--revision", 0))
    .option("--keep-channels", "leave the channels of packages already held as they are")
    .option("--dry-run", "say what would change, and change nothing")
    .option("--name <FILE>", "what standard input is called, in the log and where a file's name matters")
    .option("--to <URL>", "import into the chp serve that answers there, over TLS")
    .option("--token-file <FILE>", "with --to: the file that holds the token (CHP_TOKEN_FILE; or the token itself in CHP_TOKEN)")
    .option("--ca <FILE>", "with --to: certificates, PEM, that are trusted besides those of this machine (CHP_CA)")
    // How chp serve hands on the body of a request.
    .addOption(new Option("--tar-of-files", "standard input is a tar, each entry of which is a file to import").hideHelp())
    .addOption(new Option("--folder <DIR>", "the folder, there, that the names in it are told from").hideHelp())
    .addOption(new Option("--body-mark <TEXT>", "standard input ends with it, or was cut off").hideHelp())
    .addOption(new Option("--body-size <N>", "bytes of standard input").argParser(wholeNumber("--body-size", 0)).hideHelp())
    .addHelpText("after", EXAMPLES)
    .action((files: string[], options: ImportOptions) => runImport("import", files, options, options.keepChannels ? "keep" : "apply", io));
};

/** What concerns signatures: of snaps, and of what was exported. */
export function withTrust(command: Command): Command {
  return command
    .option(
      "--trust <FILE>",
      "assertions of a root besides Canonical's that snaps may be signed below, repeatable; kept in the config",
      (file: string, before: string[] | undefined) => [...(before ?? []), file],
    )
    .option("--allow-unverified", "take in snaps and assertions that do not verify, and mark them")
    .option("--allow-unsigned", "take in what none of the accepted keys signed (chp accept-key), and mark it in the log");
}

const EXAMPLES = `
Examples:
  chp import charms-export-20260426T163115.tar.gz cos-lite-20260426T143758.tar.gz
  chp import --dry-run /media/usb
  chp import site-20260426T163115.tar.1of3     the other parts are found beside it
  chp import --channel 14/edge ./postgresql-k8s_r960.charm
  chp import jq-20260426T143758.tar.gz core22_1612.snap
  ssh outside cat export.tar.gz | chp import --name export.tar.gz -
  chp import --to https://hub.lan:8443 --token-file hub.token --ca hub-ca.crt charms-export-20260426T163115.tar.gz`;

/** How much an archive may unpack to. */
export function withLimits(command: Command): Command {
  const limit = (name: string, about: string, value: number) =>
    command.option(`--max-${name} <N>`, `${about} (default: ${value})`, wholeNumber(`--max-${name}`, 1));
  limit("entries", "entries of an archive", LIMITS.entries);
  limit("depth", "archives inside archives", LIMITS.depth);
  limit("size", "bytes that an archive may unpack to", LIMITS.size);
  limit("ratio", "times its size that an archive may unpack to", LIMITS.ratio);
  return limit("json", "bytes of a metadata.json", LIMITS.json);
}

export async function runImport(
  command: string,
  files: readonly string[],
  options: ImportOptions,
  channels: ChannelPolicy,
  io: Io,
): Promise<void> {
  if (options.channel !== undefined && !parseChannel(options.channel))
    throw new Failure("usage", `--channel: ${printable(options.channel, 100)} is not a channel`);
  if (options.name !== undefined && !files.includes("-"))
    throw new Failure("usage", "--name is for standard input, which is given as -; files have their names");
  const sources = await importSourcesOf(files, options, io);
  const { undo, ...report } =
    options.to === undefined ? await importHere(command, sources, options, channels, io) : await importTo(options.to, sources, options, io);
  const where = options.to === undefined ? "" : " (there)";
  if (options.json) printJson({ ...report, undo }, io);
  else io.out(`${renderImport(report, channels, options)}${undo === null ? "" : `undo${where}: ${printable(undo)}\n`}`);
  if (!options.dryRun && options.to === undefined)
    note(report.generation === null ? "next: chp list" : "next: chp serve, or chp list to see what is held", options, io);
}

async function importHere(
  command: string,
  sources: readonly ImportSource[],
  options: ImportOptions,
  channels: ChannelPolicy,
  io: Io,
): Promise<Told> {
  const given = await readRoots(options.trust ?? []);
  const limits = limitsOf(options);
  const files = options.tarOfFiles && sources[0] ? sourcesOf(sources[0], options.folder, limits) : sources;
  // All of it is written before anything is published.
  const needed = sources.reduce((sum, source) => sum + (source.size ?? 0), 0);
  await checkSpace("import into", storeFolder({ ...options, quiet: true }, io), needed, {
    next: "free some space there (chp gc tells what can be had) and run the same command again; nothing was published",
  });
  const run = (store: Store) => importInto(store, command, files, { options, channels, given, limits }, io);
  const report = options.dryRun ? await withStoreUnchanged(options, io, run) : await run(await openOrCreateStore(options, io));
  return { ...report, undo: report.generation === null ? null : undoOf({ number: report.generation }, options) };
}

interface ImportSettings {
  readonly options: ImportOptions;
  readonly channels: ChannelPolicy;
  /** roots that the command line names */
  readonly given: readonly Assertion[];
  readonly limits: Limits;
}

async function importInto(
  store: Store,
  command: string,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  { options, channels, given, limits }: ImportSettings,
  io: Io,
): Promise<ImportReport> {
  const trust = await trustedRoots(store, given, io);
  const progress = progressOn(options, io);
  try {
    const report = await importSources(store, sources, {
      command,
      ...(options.channel !== undefined && { channel: fullName(options.channel) }),
      ...(options.revision !== undefined && { revision: options.revision }),
      channels,
      trust,
      allowUnverified: options.allowUnverified ?? false,
      accepted: await acceptedKeys(store, io),
      allowUnsigned: options.allowUnsigned ?? false,
      unsquash,
      dryRun: options.dryRun ?? false,
      now: new Date().toISOString(),
      limits,
      signal: io.signal,
      onProgress: (source, bytes) => progress.update(source.name, bytes, source.size),
    });
    if (given.length > 0 && !options.dryRun) await keepRoots(store, trust);
    // serve writes nothing, so what it signs the sessions of devices with is made here.
    if (report.generation !== null && report.snaps.length > 0 && !(await store.sessionKey())) await store.writeSessionKey(randomBytes(32));
    return (await lacksRegistry(store, report, io)) ? { ...report, notes: [...report.notes, NO_REGISTRY_NOTE] } : report;
  } finally {
    progress.end();
  }
}

/** Whether images came in and no registry is set that Juju could be sent to. */
async function lacksRegistry(store: Store, report: ImportReport, io: Io): Promise<boolean> {
  if (registryOf(await loadSettings(store, { environment: io.environment }))) return false;
  const snapshot = await store.snapshot();
  const packages = await Promise.all(report.packages.map((pkg) => snapshot.package(pkg.name)));
  return packages.some((pkg) => pkg && hasImage(pkg));
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

function limitsOf(options: ImportOptions): Limits {
  const { maxEntries: entries, maxDepth: depth, maxSize: size, maxRatio: ratio, maxJson: json } = options;
  const given = Object.entries({ entries, depth, size, ratio, json }).filter(([, value]) => value !== undefined);
  return { ...LIMITS, ...Object.fromEntries(given) };
}

function fullName(channel: string): string {
  const { track = "latest", risk, branch } = parseChannel(channel) ?? { risk: "stable" as const };
  return [track, risk, ...(branch === undefined ? [] : [branch])].join("/");
}
