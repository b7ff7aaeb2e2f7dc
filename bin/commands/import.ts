import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Command, Option } from "commander";
import { LIMITS, type Limits, type ReadAt } from "../../src/archives/archive.ts";
import { isLitter, isResourcePath } from "../../src/archives/names.ts";
import { showSigner } from "../../src/archives/signature.ts";
import type { Assertion } from "../../src/assertions/assertion.ts";
import { parseAssertions } from "../../src/assertions/text.ts";
import { showBase } from "../../src/catalog/base.ts";
import { showRow } from "../../src/catalog/change.ts";
import { parseChannel } from "../../src/catalog/channel.ts";
import { showNeed } from "../../src/catalog/lacking.ts";
import { endCommand, overrideOn, showPinned } from "../../src/catalog/override.ts";
import type { ChannelPolicy } from "../../src/catalog/package.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { type ImportReport, type ImportSource, importSources, type PackageReport, type Told } from "../../src/import/import.ts";
import { sourcesOf, untilMark } from "../../src/import/remoteprotocol.ts";
import type { SnapReport } from "../../src/import/snapimport.ts";
import { isContents } from "../../src/import/sums.ts";
import { checkRoots } from "../../src/settings/config.ts";
import type { Store } from "../../store/store.ts";
import { type CommonOptions, count, type Io, note, printJson, showSize, storeFlag, undoOf } from "../machine/io.ts";
import { joinParts } from "../machine/joinparts.ts";
import { checkSpace, openOrCreateStore, storeFolder, withStoreUnchanged } from "../machine/openstore.ts";
import { progressOn } from "../machine/progress.ts";
import { importTo, type RemoteFlags } from "../machine/remoteimport.ts";
import { acceptedKeys, keepRoots, loadSettings, registryOf, trustedRoots } from "../machine/settings.ts";
import { define, type Register, wholeNumber } from "./command.ts";
import { hasImage, NO_REGISTRY_NOTE } from "./status.ts";

interface ImportFlags extends CommonOptions, RemoteFlags {
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

const IMPORT_EXITS = "0 done, 1 failed, 2 usage, 3 the content was refused and nothing published, 11 store format too new, 130 interrupted";
const READ_SIZE = 2 ** 18;

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
    .action((files: string[], options: ImportFlags) => runImport("import", files, options, options.keepChannels ? "keep" : "apply", io));
};

/** What concerns signatures: of snaps, and of what was exported. */
function withTrust(command: Command): Command {
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

/** The documented commands of the system that chp stands in for: a package already held keeps its channel map unless told otherwise. */
export const pushCommands: Register = (program, io) => {
  for (const [name, what] of [
    ["push-charms", "charm export"],
    ["push-charm-bundle", "charm bundle export"],
    ["push-snap", "snap export"],
    ["push-store", "store export"],
    ["push-account-keys", "file of account-keys"],
  ] as const) {
    const command = withTrust(withLimits(define(program, name, `take in a ${what} (chp import does the same and more)`, IMPORT_EXITS)))
      .argument("<file>", `the ${what}`)
      .option("--push-channel-map", "release what the file releases, also of packages already held");
    if (name === "push-store")
      command
        .option("--revision-authority-key-id <ID>", "taken and not used: chp signs no revisions")
        .option("--revision-authority-key <FILE>", "taken and not used: chp signs no revisions");
    command.action((file: string, options: ImportFlags) => runImport(name, [file], options, options.pushChannelMap ? "apply" : "keep", io));
  }
};

function withLimits(command: Command): Command {
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
  options: ImportFlags,
  channels: ChannelPolicy,
  io: Io,
): Promise<void> {
  if (options.channel !== undefined && !parseChannel(options.channel))
    throw new Failure("usage", `--channel: ${printable(options.channel, 100)} is not a channel`);
  if (options.name !== undefined && !files.includes("-"))
    throw new Failure("usage", "--name is for standard input, which is given as -; files have their names");
  const sources = await findSources(files, options, io);
  const { undo, ...report } =
    options.to === undefined ? await importHere(command, sources, options, channels, io) : await importTo(options.to, sources, options, io);
  const where = options.to === undefined ? "" : " (there)";
  if (options.json) printJson({ ...report, undo }, io);
  else io.out(`${render(report, channels, options)}${undo === null ? "" : `undo${where}: ${printable(undo)}\n`}`);
  if (!options.dryRun && options.to === undefined)
    note(report.generation === null ? "next: chp list" : "next: chp serve, or chp list to see what is held", options, io);
}

async function importHere(
  command: string,
  sources: readonly ImportSource[],
  options: ImportFlags,
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

interface Wishes {
  readonly options: ImportFlags;
  readonly channels: ChannelPolicy;
  /** roots that the command line names */
  readonly given: readonly Assertion[];
  readonly limits: Limits;
}

async function importInto(
  store: Store,
  command: string,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  { options, channels, given, limits }: Wishes,
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
    await look(file);
    roots.push(...parseAssertions(await readFile(file), printable(file)));
  }
  return checkRoots(roots);
}

/** Reads a file of an image by the distribution's own tool, for compressions that chp can't read; undefined where it is not installed. */
async function unsquash(image: ReadAt, path: string): Promise<Uint8Array | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "chp-unsquashfs-"));
  try {
    const file = join(folder, "image");
    const bytes = async function* () {
      for (let at = 0; at < image.size; at += READ_SIZE) yield await image.bytes(at, Math.min(image.size, at + READ_SIZE));
    };
    await writeFile(file, bytes());
    const { stdout } = await promisify(execFile)("unsquashfs", ["-cat", file, path], { encoding: "buffer", maxBuffer: LIMITS.text });
    return stdout.byteLength > 0 ? stdout : undefined;
  } catch {
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function limitsOf(options: ImportFlags): Limits {
  const { maxEntries: entries, maxDepth: depth, maxSize: size, maxRatio: ratio, maxJson: json } = options;
  const given = Object.entries({ entries, depth, size, ratio, json }).filter(([, value]) => value !== undefined);
  return { ...LIMITS, ...Object.fromEntries(given) };
}

function fullName(channel: string): string {
  const { track = "latest", risk, branch } = parseChannel(channel) ?? { risk: "stable" as const };
  return [track, risk, ...(branch === undefined ? [] : [branch])].join("/");
}

/* ---- what is read ---- */

async function findSources(files: readonly string[], options: ImportFlags, io: Io): Promise<ImportSource[]> {
  const found = new Map<string, ImportSource>();
  for (const file of files) {
    if (file === "-") found.set("-", standardInput(options, io));
    else for (const source of await sourcesAt(file, io.signal)) found.set(source.path ?? source.name, source);
  }
  return joinParts([...found.values()], async (path) => fromFile(path, (await look(path)).size, io.signal));
}

function standardInput({ name = "-", bodyMark, bodySize }: ImportFlags, io: Io): ImportSource {
  const open = () => (bodyMark === undefined ? io.input() : untilMark(io.input(), bodyMark));
  return { name, ...(bodySize !== undefined && { size: bodySize }), open };
}

async function sourcesAt(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const at = await look(path);
  if (at.isDirectory()) return inFolder(path, signal);
  if (!at.isFile() && !at.isFIFO()) throw new Failure("usage", `${printable(path)} is neither a file nor a folder`);
  const beside = /\.(charm|bundle)$/.test(path) ? await resourcesBeside(path, signal) : await assertionsBeside(path, signal);
  return [fromFile(path, at.isFile() ? at.size : undefined, signal), ...beside];
}

async function look(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(path)}: ${printable(reason(error).split(",")[0] ?? "", 100)}`, { cause: error });
  }
}

/** Every file of a folder, at any depth. Links are not followed. */
async function inFolder(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const entries = (await readdir(path, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const found: ImportSource[] = [];
  if (["format.json", "blobs"].every((name) => entries.some((entry) => entry.name === name))) return []; // a store is no export
  for (const entry of entries) {
    const child = join(path, entry.name);
    if (isLitter(entry.name)) continue;
    if (entry.isDirectory()) found.push(...(await inFolder(child, signal)));
    else if (entry.isFile()) found.push(fromFile(child, (await stat(child)).size, signal));
  }
  return found;
}

/** A charm given by itself brings the resources that lie beside it. */
async function resourcesBeside(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const folder = dirname(path);
  const charm = basename(path).replace(/(_r?\d+)?\.[a-z]+$/, "");
  const listed = async (within: string) =>
    (await readdir(within, { withFileTypes: true }).catch(() => []))
      .filter((entry) => entry.isFile())
      .map((entry) => join(within, entry.name));
  const beside = [...(await listed(folder)), ...(await listed(join(folder, "resources")))];
  const own = beside.filter(
    (file) => isResourcePath(file) && (basename(file).startsWith(`${charm}.`) || basename(file).startsWith("resource_")),
  );
  return Promise.all(own.toSorted().map(async (file) => fromFile(file, (await stat(file)).size, signal)));
}

/** A snap given by itself brings its assertions, as `snap download` left them. */
async function assertionsBeside(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const file = path.replace(/\.snap$/, ".assert");
  const at = file === path ? undefined : await stat(file).catch(() => undefined);
  return at?.isFile() ? [fromFile(file, at.size, signal)] : [];
}

function fromFile(path: string, size: number | undefined, signal: AbortSignal): ImportSource {
  return {
    name: path,
    path: resolve(path),
    ...(size !== undefined && { size }),
    open: () => createReadStream(path, { highWaterMark: READ_SIZE, signal }),
  };
}

/* ---- what is said ---- */

function render(report: ImportReport, policy: ChannelPolicy, options: CommonOptions): string {
  const lines = [
    ...report.packages.flatMap((pkg) => renderPackage(pkg, options)),
    ...report.snaps.flatMap((snap) => renderSnap(snap, options)),
  ];
  const { charms, resources, revisions, snapRevisions, snaps } = report.missing;
  lines.push(...renderSigners(report.sources));
  if (report.assertions.new > 0) lines.push(`assertions: ${report.assertions.new} new, ${report.assertions.known} known`);
  if (charms.length + resources.length + revisions.length + snapRevisions.length + snaps.length > 0) lines.push("", "missing");
  for (const { bundle, charm } of charms) lines.push(`  charm ${charm}, which the bundle ${bundle} names`);
  for (const { charm, resource, revision } of resources)
    lines.push(`  resource ${resource}${revision === null ? "" : ` revision ${revision}`} of ${charm}`);
  for (const { name, revision, ...row } of revisions) lines.push(`  ${name} revision ${revision}, so ${showRow(row)} was not released`);
  for (const { name, channel, architecture, revision } of snapRevisions)
    lines.push(`  snap ${name} revision ${revision}, so ${channel} ${architecture} was not released`);
  for (const one of snaps) lines.push(`  snap ${showNeed(one)} (${one.sure}), needed by ${one.by.join(", ")}`);
  if (report.notes.length + report.ignored.length > 0) lines.push("", "notes");
  for (const text of report.notes) lines.push(`  ${text}`);
  for (const file of report.ignored) lines.push(`  ${file} was left out: chp has no use for it`);
  lines.push("", summary(report, policy));
  return `${lines.map((line) => printable(line)).join("\n")}\n`;
}

/** `site.tar: signed by 62196CEF1DA5E212 (site), chp export of 2026-04-26T16:31:15Z`: one line a signature, by what it covers. */
function renderSigners(sources: ImportReport["sources"]): string[] {
  const covered = new Map<string, string[]>();
  for (const { name, signers = [] } of sources)
    for (const signer of signers) {
      const by = `signed by ${showSigner(signer)}, ${signer.comment}`;
      covered.set(by, [...(covered.get(by) ?? []), ...(isContents(name) ? [] : [name])]);
    }
  return [...covered].map(([by, names]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}: ${by}`);
}

function renderPackage(pkg: PackageReport, options: CommonOptions): string[] {
  const revisions = [...pkg.revisions.new.map((r) => `${r} new`), ...pkg.revisions.known.map((r) => `${r} known`)];
  const resources = [...pkg.resources.new.map((r) => `${r} new`), ...pkg.resources.known.map((r) => `${r} known`)];
  return [
    `${pkg.name}: ${pkg.type}, ${pkg.state}`,
    ...(revisions.length > 0 ? [`  revisions  ${revisions.join(", ")}`] : []),
    ...(resources.length > 0 ? [`  resources  ${resources.join(", ")}`] : []),
    ...pkg.channels.map(
      (change) => `  ${showRow(change)}: ${renderMove(change)}${renderHold(pkg, { ...change, on: showBase(change.base) })}`,
    ),
    ...renderEnds(pkg, options),
    ...pkg.notes.map((text) => `  note: ${text}`),
  ];
}

function renderSnap(snap: SnapReport, options: CommonOptions): string[] {
  const revisions = [...snap.revisions.new.map((r) => `${r} new`), ...snap.revisions.known.map((r) => `${r} known`)];
  const components = [...snap.components.new.map((c) => `${c} new`), ...snap.components.known.map((c) => `${c} known`)];
  return [
    `${snap.name}: snap, ${snap.state}`,
    ...(revisions.length > 0 ? [`  revisions  ${revisions.join(", ")}`] : []),
    ...(components.length > 0 ? [`  components  ${components.join(", ")}`] : []),
    ...snap.channels.map(
      (change) => `  ${showRow(change)}: ${renderMove(change)}${renderHold(snap, { ...change, on: change.architecture })}`,
    ),
    ...renderEnds(snap, options),
    ...snap.unverified.map(({ revision, reason: why }) => `  UNVERIFIED revision ${revision}: ${why}`),
    ...snap.notes.map((text) => `  note: ${text}`),
  ];
}

function renderMove({ from, to }: { from: number | null; to: number | null }): string {
  if (from === null) return `opened at ${to}`;
  if (to === null) return `replaced by all, was ${from}`;
  return from === to ? `${to}, with other resources` : `${from} → ${to}`;
}

/** What is offered all the same. */
function renderHold({ overrides }: Pick<PackageReport, "overrides">, row: Parameters<typeof overrideOn>[1]): string {
  const hold = overrideOn(overrides, row);
  return hold ? `; ${showPinned(hold)}` : "";
}

function renderEnds({ name, overrides }: Pick<PackageReport, "name" | "overrides">, options: CommonOptions): string[] {
  return [...new Set(overrides.map((one) => one.channel))].map((channel) => `  end it: ${endCommand(name, channel)}${storeFlag(options)}`);
}

function summary(report: ImportReport, policy: ChannelPolicy): string {
  const all = [...report.packages, ...report.snaps];
  const changed = all.filter((one) => one.state !== "known");
  const amount = `${showSize(report.bytes.new)} new, ${showSize(report.bytes.known)} known`;
  const kept =
    policy === "keep" && all.some((one) => one.state !== "new")
      ? "; channels of packages already held were kept (--push-channel-map or chp import releases them)"
      : "";
  if (report.dryRun) return `dry run: ${count(changed.length, "package")} would change, ${amount}; nothing was changed`;
  if (report.generation === null) return `nothing changed: all of it was held already (${amount})${kept}`;
  return `generation ${report.generation}: ${count(changed.length, "package")} changed, ${amount}${kept}`;
}
