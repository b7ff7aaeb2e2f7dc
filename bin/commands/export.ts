/** `chp export`: on the connected side, an archive of what an air-gapped store is to hold. */

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import { readSecretKey, type SecretKey } from "../../src/archives/signature.ts";
import { type NeededImage, neededImages, skopeoCredentials, skopeoScript } from "../../src/catalog/images.ts";
import { pathOfReference } from "../../src/catalog/registry.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import type { ArchiveForm } from "../../src/export/archivewriter.ts";
import { HttpClient, Unavailable } from "../../src/export/client.ts";
import { type ExportResult, exportAll, requestEverything, resolveBundleYaml } from "../../src/export/export.ts";
import { type Inventory, readInventory } from "../../src/export/inventory.ts";
import { type ExportLock, readLock } from "../../src/export/lock.ts";
import {
  ADDITIONS,
  type Addition,
  type ExportRequest,
  isAddition,
  readSelection,
  readSiteFile,
  type Selection,
} from "../../src/export/sitefile.ts";
import { Upstream, type UpstreamAddresses } from "../../src/export/upstream.ts";
import { checkUrl } from "../../src/settings/config.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { type Downloads, downloadsOn } from "../machine/downloads.ts";
import { type CommonOptions, count, type Io, isSet, note, printJson, showSize } from "../machine/io.ts";
import { networkTransport, OWN_ADDRESS, storeTransport } from "../machine/transport.ts";
import { makeExportDir, WorkFolder } from "../machine/workfolder.ts";
import { define, type Register, wholeNumber } from "./command.ts";

interface ExportFlags extends CommonOptions {
  readonly channel?: string[];
  readonly arch?: string[];
  readonly base?: string[];
  readonly series?: string[];
  readonly charmhubUrl?: string;
  readonly snapstoreUrl?: string;
  readonly exportDir?: string;
  readonly ca?: string[];
  readonly since?: string;
  readonly sign?: string;
  readonly chunk?: number;
  readonly parallel?: number;
  readonly failFast?: boolean;
}

interface SiteFlags extends ExportFlags {
  readonly file?: string;
  readonly all?: boolean;
  readonly locked?: boolean | string;
  readonly without?: string[];
}

interface BundleFlags extends ExportFlags {
  readonly onlyPrintYaml?: boolean | string;
}

interface SnapFlags extends ExportFlags {
  readonly fromYaml?: string;
}

const FROM_STORE = "export from that store of this machine, for the next enclave, instead of over the network";
const EXITS = "0 done, 1 failed, 2 usage, 3 a file given was refused, 4 partly done: the archive holds what could be had, 130 interrupted";

const list = (value: string, before: string[] | undefined) => [...(before ?? []), ...value.split(",")];

/** What all forms of it have. */
function common(command: Command): Command {
  return command
    .option("--arch <ARCH>", "amd64, arm64, …; repeatable, or a list with commas (CHP_ARCH; default: amd64)", list)
    .option(
      "--base <BASE>",
      "ubuntu@24.04, or all; repeatable; without a release there, the nearest LTS (CHP_BASE; default: ubuntu@22.04)",
      list,
    )
    .option("--series <SERIES>", "the same as a series, like jammy (CHP_SERIES)", list)
    .option("--export-dir <DIR>", "where the archive goes (CHP_EXPORT_DIR; default: here)")
    .option("--charmhub-url <URL>", `the Charmhub, or a chp (CHARMHUB_URL; default: ${PUBLIC.charmhub})`)
    .option("--snapstore-url <URL>", `the Snap Store (CHP_SNAPSTORE_URL; default: ${PUBLIC.snapstore}, or where --charmhub-url leads)`)
    .option("--ca <FILE>", "an authority that is trusted besides those of this machine, PEM; repeatable (CHP_CA)", list)
    .option("--since <FILE>", "pack only what chp inventory > FILE on the other side does not list (CHP_SINCE)")
    .option("--sign <FILE>", "sign with the secret key that chp keygen made (CHP_SIGN)")
    .option("--chunk <SIZE>", "cut the archive into parts of at most that size, like 4G (CHP_CHUNK)", sizeOf)
    .option("--parallel <N>", "downloads at once (CHP_PARALLEL; default: 4)", wholeNumber("--parallel", 1))
    .option("--fail-fast", "end at the first thing that cannot be had (CHP_FAIL_FAST)");
}

export const exportCommand: Register = (program, io) => {
  const site = common(define(program, "export", "write an archive of what an air-gapped store is to hold", EXITS, FROM_STORE))
    .option("-f, --file <FILE>", "what is wanted: a manifest of the site, a bundle.yaml, a list of snaps; - for standard input")
    .option("--all", "everything that the upstream lists: for a chp, not for the public stores")
    .option("--channel <CHANNEL>", "what is taken where the file does not say it; repeatable, or all (CHP_CHANNEL)", list)
    .option("--locked [FILE]", "take what an earlier export took, by its lock (default: beside the manifest), or fail")
    .option("--without <WHAT>", `leave out what would be added: ${Object.keys(ADDITIONS).join(", ")}; repeatable (CHP_WITHOUT)`, list)
    .addHelpText("after", SITE_HELP)
    .action((options: SiteFlags) => runExport(options, io));
  common(define(site, "bundle", "export a bundle and its charms", EXITS, FROM_STORE))
    .argument("<name>", "of the bundle")
    .option("--channel <CHANNEL>", "of the bundle (default: stable of its default track)", list)
    .option("--only-print-yaml [BOOL]", "print its bundle.yaml and export nothing")
    .action((name: string, options: BundleFlags) => runExportBundle(name, options, io));
  common(define(site, "charms", "export the charms that a file names", EXITS, FROM_STORE))
    .argument("<file>", "a bundle.yaml, or a file of that form; - for standard input")
    .action((file: string, options: ExportFlags) => runExportCharms(file, options, io));
  common(define(site, "snaps", "export snaps, one archive each", EXITS, FROM_STORE))
    .argument("[names...]", "of snaps")
    .option("--from-yaml <FILE>", "a file that names them: packages, each with name, revision and push_channel")
    .option("--channel <CHANNEL>", "of all of them (default: stable); repeatable, or all", list)
    .action((names: string[], options: SnapFlags) => runExportSnaps(names, options, io));
};

const SITE_HELP = `
A manifest, of which every part may be missing; any bundle.yaml is one too:

  architectures: [amd64]
  bases: [ubuntu@24.04, ubuntu@22.04]    # or all
  charms:
    - postgresql-k8s                     # its default track's stable
    - name: kafka
      channels: [3/stable, 3/edge]       # or all
      revision: 195                      # whatever is in the channel
      resources: {kafka-image: 12}
  bundles: [cos-lite]
  snaps:
    - {name: charmed-kafka, revision: 34, channel: 3/stable}
  essentials: {juju: "3.6"}              # what Juju needs to bootstrap

Charms of bundles, snaps that charms install, bases, snapd and default providers are added, each with its reason. What was
taken stands in FILE.lock beside the manifest. An export that was broken off goes on where it was when it is run again.
With --store DIR it exports from that store, for the next enclave.

Examples:
  chp export -f site.yaml
  chp export -f site.yaml --since have.json --sign site.key --chunk 4G
  chp export -f site.yaml --locked
  chp export --all --charmhub-url http://hub.lan:8080`;

const PUBLIC: UpstreamAddresses = { charmhub: "https://api.charmhub.io", snapstore: "https://api.snapcraft.io" };

export async function runExport(options: SiteFlags, io: Io): Promise<void> {
  const { file, all } = options;
  if ((file === undefined) === (all !== true))
    throw new Failure("usage", "say what is wanted: -f FILE, or --all", { next: "chp help export shows what a file may say" });
  const without = readWithout(options.without ?? io.environment["CHP_WITHOUT"]?.split(",") ?? []);
  if (file === undefined)
    return inSession(options, io, async (session) => {
      const wish = await requestEverything(session.upstream, given(options, io));
      await session.archive({
        name: "chp-export",
        wish,
        form: "site",
        closure: true,
        without: new Set([...without, "bundle-charms"]),
        said: TO,
      });
    });
  const manifest = await read(file, io);
  const wish = readSiteFile(manifest, shown(file), given(options, io));
  const stem = file === "-" ? undefined : file.replace(/\.ya?ml$/, "");
  const lockPath = typeof options.locked === "string" ? options.locked : stem && `${stem}.lock`;
  if (options.locked && lockPath === undefined)
    throw new Failure("usage", "the manifest comes from standard input: name its lock with --locked FILE");
  const lock =
    options.locked && lockPath !== undefined
      ? readLock(await read(lockPath, io, "an export of it without --locked writes its lock"), lockPath)
      : undefined;
  await inSession(options, io, (session) =>
    session.archive({
      name: stem === undefined ? "chp-export" : basename(stem),
      wish,
      form: "site",
      closure: true,
      without: new Set([...without, ...wish.without]),
      manifest,
      ...(lock && { lock }),
      ...(lockPath !== undefined && !lock && { lockPath }),
      said: TO,
    }),
  );
}

export async function runExportBundle(name: string, options: BundleFlags, io: Io): Promise<void> {
  const bundle = { channels: [], systems: [JAMMY], architectures: ["amd64"], ...given(options, io), name, resources: {}, paths: {} };
  const wish = { charms: [], bundles: [bundle], snaps: [], without: [], notes: [] };
  const prints = options.onlyPrintYaml !== undefined && !/^(false|no|0)$/i.test(String(options.onlyPrintYaml));
  await inSession(options, io, async (session) => {
    if (prints) io.out(await resolveBundleYaml(session.upstream, session.remote, bundle));
    else await session.archive({ ...PLAIN, name, wish, form: "documented", said: `Successfully exported charm bundle ${name}` });
  });
}

export async function runExportCharms(file: string, options: ExportFlags, io: Io): Promise<void> {
  const manifest = await read(file, io);
  const { charms, notes } = readSiteFile(manifest, shown(file), given(options, io));
  const wish = { charms, bundles: [], snaps: [], without: [], notes };
  await inSession(options, io, (session) =>
    session.archive({ ...PLAIN, name: "charms-export", wish, form: "documented", manifest, said: "Successfully exported charms to" }),
  );
}

export async function runExportSnaps(names: readonly string[], options: SnapFlags, io: Io): Promise<void> {
  const { fromYaml } = options;
  if (names.length > 0 === (fromYaml !== undefined)) throw new Failure("usage", "name snaps, or a file of them with --from-yaml FILE");
  const text = fromYaml === undefined ? JSON.stringify({ snaps: names }) : await read(fromYaml, io);
  const { snaps } = readSiteFile(text, fromYaml === undefined ? COMMAND_LINE : shown(fromYaml), given(options, io));
  await inSession(
    options,
    io,
    async (session) => {
      for (const name of new Set(snaps.map((one) => one.name))) {
        const wish = { charms: [], bundles: [], snaps: snaps.filter((one) => one.name === name), without: [], notes: [] };
        await session.archive({ ...PLAIN, name, wish, form: "snap", said: name });
      }
    },
    "Successfully exported snaps:",
  );
}

const TO = "Successfully exported to";
const COMMAND_LINE = "the command line";
const JAMMY = { name: "ubuntu", channel: "22.04" };
const PLAIN = { closure: false, without: new Set<Addition>() } as const;

/* ---- what is given ---- */

/** What the flags say, or their twins. */
function given(options: Omit<ExportFlags, keyof CommonOptions>, io: Io): Selection {
  const words = ["channel", "arch", "base", "series"].map((name) => {
    const twin = io.environment[`CHP_${name.toUpperCase()}`] || undefined;
    return [name, options[name as "channel" | "arch" | "base" | "series"] ?? twin?.split(",")];
  });
  return readSelection(Object.fromEntries(words) as Parameters<typeof readSelection>[0], COMMAND_LINE);
}

function shown(file: string): string {
  return file === "-" ? "standard input" : file;
}

async function read(file: string, io: Io, next?: string): Promise<string> {
  try {
    if (file !== "-") return await readFile(file, "utf8");
    const parts: Uint8Array[] = [];
    for await (const part of io.input()) parts.push(part);
    return Buffer.concat(parts).toString("utf8");
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(shown(file))}: ${printable(reason(error).split(",")[0] ?? "", 100)}`, {
      cause: error,
      ...(next !== undefined && { next }),
    });
  }
}

function readWithout(words: readonly string[]): Set<Addition> {
  const wrong = words.find((one) => one !== "" && !isAddition(one));
  if (wrong !== undefined)
    throw new Failure("usage", `--without does not know ${printable(wrong, 50)}`, {
      next: `it takes ${Object.keys(ADDITIONS).join(", ")}`,
    });
  return new Set(words.filter(isAddition));
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `4G`, `650M`: bytes. */
function sizeOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const size = Number(number) * (UNITS[unit.toLowerCase()] ?? 1);
  if (number === "" || size < 2 ** 20)
    throw new Failure("usage", `--chunk takes a size of at least 1M, like 4G, not ${printable(text, 50)}`);
  return size;
}

/* ---- one run ---- */

interface Request {
  /** how the archive's name begins */
  readonly name: string;
  readonly wish: ExportRequest;
  readonly form: ArchiveForm;
  readonly closure: boolean;
  readonly without: ReadonlySet<Addition>;
  readonly manifest?: string;
  readonly lock?: ExportLock;
  /** where the new lock is written */
  readonly lockPath?: string;
  /** what is said of it when it is done */
  readonly said: string;
}

interface Done {
  readonly said: string;
  /** of the archive or its parts, and of what lies beside */
  readonly paths: readonly string[];
  readonly beside: readonly string[];
  readonly exported: ExportResult;
  /** nothing where all of it came */
  readonly kept: readonly Kept[];
}

/** What the same command goes on with. */
interface Kept {
  readonly bytes: number;
  readonly folder: string;
}

interface Session {
  readonly upstream: Upstream;
  readonly remote: HttpClient;
  /** Makes one archive; what came of all of them is told at the end. */
  archive(request: Request): Promise<void>;
}

/** Opens what an export needs, and tells what came of it. */
async function inSession(options: ExportFlags, io: Io, work: (session: Session) => Promise<void>, heading?: string): Promise<void> {
  const flag = (name: string) => io.environment[name] || undefined;
  const downloads = downloadsOn(options, io);
  const trusted = await Promise.all((options.ca ?? flag("CHP_CA")?.split(",") ?? []).map((file) => read(file, io)));
  const store = options.store === undefined ? undefined : await Store.open(new Disk(options.store));
  const remote = new HttpClient({
    transport: store ? storeTransport(store) : await networkTransport(trusted, io.environment),
    signal: io.signal,
    onRetry: (why, wait) => downloads.say(`${why}: trying again${wait > 0 ? ` in ${Math.ceil(wait / 1000)} s` : ""}`),
  });
  const upstream = new Upstream(addressesOf(options, flag, store !== undefined), remote);
  const since = options.since ?? flag("CHP_SINCE");
  const sinceText = since === undefined ? undefined : await read(since, io);
  const sign = options.sign ?? flag("CHP_SIGN");
  const chunk = options.chunk ?? (flag("CHP_CHUNK") === undefined ? undefined : sizeOf(flag("CHP_CHUNK") ?? ""));
  const parallel = options.parallel ?? wholeNumber("CHP_PARALLEL", 1)(flag("CHP_PARALLEL") ?? "4");
  const settings: Settings = {
    exportDir: resolve(options.exportDir ?? flag("CHP_EXPORT_DIR") ?? "."),
    failFast: options.failFast ?? isSet(flag("CHP_FAIL_FAST")),
    parallel,
    ...(chunk !== undefined && { chunk }),
    ...(sign !== undefined && { key: readSecretKey(await read(sign, io), sign) }),
    ...(since !== undefined && sinceText !== undefined && { inventory: readInventory(sinceText, since), sinceText }),
  };
  await makeExportDir(settings.exportDir);
  const done: Done[] = [];
  const archive = async (request: Request) =>
    void done.push(await exportArchive(request, { upstream, remote, settings, downloads, signal: io.signal }));
  try {
    await work({ upstream, remote, archive });
  } catch (error) {
    downloads.end();
    tellPaths(done, heading, options, io);
    throw error;
  }
  downloads.end();
  tell(done, heading, options, io);
}

interface Settings {
  readonly exportDir: string;
  readonly failFast: boolean;
  readonly parallel: number;
  readonly chunk?: number;
  readonly key?: SecretKey;
  readonly inventory?: Inventory;
  readonly sinceText?: string;
}

function addressesOf(options: ExportFlags, flag: (name: string) => string | undefined, isOwn: boolean): UpstreamAddresses {
  if (isOwn) return { charmhub: OWN_ADDRESS, snapstore: OWN_ADDRESS };
  const charmhub = options.charmhubUrl ?? flag("CHARMHUB_URL");
  const snapstore = options.snapstoreUrl ?? flag("CHP_SNAPSTORE_URL") ?? charmhub;
  const address = (text: string, what: string) => {
    try {
      return checkUrl(text);
    } catch (error) {
      throw new Failure("usage", `${what}: ${printable(reason(error), 300)}`);
    }
  };
  return {
    charmhub: address(charmhub ?? PUBLIC.charmhub, "--charmhub-url"),
    snapstore: address(snapstore ?? PUBLIC.snapstore, "--snapstore-url"),
  };
}

interface Tools {
  readonly upstream: Upstream;
  readonly remote: HttpClient;
  readonly settings: Settings;
  readonly downloads: Downloads;
  readonly signal: AbortSignal;
}

async function exportArchive(request: Request, { upstream, remote, settings, downloads, signal }: Tools): Promise<Done> {
  const { exportDir, chunk, key, inventory, failFast, parallel } = settings;
  const now = Date.now();
  const name = await freeName(exportDir, request.name, now);
  const identity = [request.wish, request.form, request.lock, [...request.without], upstream.addresses, settings.sinceText, chunk];
  const opened = new Map<ExportResult["which"], WorkFolder>();
  let came = 0;
  const kept = (): Kept[] => {
    const folder = opened.get("all")?.path;
    return folder === undefined || came === 0 ? [] : [{ bytes: came, folder }];
  };
  const open = async (which: "all" | "rest") => {
    const folder = await WorkFolder.open(exportDir, hashOf([which, ...identity]), chunk === undefined ? {} : { chunk });
    opened.set(which, folder);
    return folder;
  };
  try {
    const exported = await exportAll({
      upstream,
      client: remote,
      request: request.wish,
      ...(request.lock && { lock: request.lock }),
      ...(inventory && { inventory }),
      without: request.without,
      closure: request.closure,
      form: request.form,
      // What a lock says is had whole or not at all.
      failFast: failFast || request.lock !== undefined,
      parallel,
      ...(key && { key }),
      now,
      ...(request.manifest !== undefined && { siteFile: request.manifest }),
      openOutput: open,
      onNote: (text) => downloads.say(text),
      onFetch: (label, size) => {
        const told = downloads.begin(label, size);
        return {
          advance: (bytes) => {
            came += bytes;
            told.advance(bytes);
          },
          end: (isWhole) => told.end(isWhole),
        };
      },
    });
    const paths = await opened
      .get(exported.which)
      ?.finish(`${name}.tar${request.form === "site" ? "" : ".gz"}`, exported.length, { signal });
    opened.delete(exported.which);
    const beside = await writeBeside(join(exportDir, name), exported);
    // A lock of a part of what was wanted would make a later export leave out the rest without a word.
    if (request.lockPath !== undefined && exported.failed.length === 0) {
      await writeFile(request.lockPath, exported.lock);
      beside.push(request.lockPath);
    }
    return { said: request.said, paths: paths ?? [], beside, exported, kept: kept() };
  } catch (error) {
    throw error instanceof Failure ? goingOn(error, kept()) : error;
  } finally {
    // What an archive without something has was copied from the other, which is the one to go on with.
    await opened
      .get("rest")
      ?.discard()
      .catch(() => {});
    for (const folder of opened.values()) await folder.close();
  }
}

/** The failure, with what of the work is not lost. */
function goingOn(failure: Failure, kept: readonly Kept[]): Failure {
  if (kept.length === 0) return failure;
  const { kind, message, next = "run the same command again: it goes on from there" } = failure;
  const places = kept.map(({ bytes, folder }) => `${showSize(bytes)} are kept in ${folder}`);
  return new Failure(kind, `${message}; ${places.join(", ")}`, { next, cause: failure });
}

/** `NAME-20260426T163115`, in UTC; one of the same second before moves it on. */
async function freeName(folder: string, name: string, now: number): Promise<string> {
  const taken = await readdir(folder);
  for (let time = now; ; time += 1000) {
    const stamped = `${name}-${new Date(time).toISOString().replace(/[-:]|\..*/g, "")}`;
    if (!taken.some((one) => one.startsWith(`${stamped}.`))) return stamped;
  }
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** The images' script, and in a file of its own what may not be carried: the credentials of the store. */
async function writeBeside(stem: string, { images }: ExportResult): Promise<string[]> {
  if (images.length === 0) return [];
  const users = images.map(({ charm, resource, revision, reference, path }) => ({
    name: charm,
    resources: [{ name: resource, revisions: [{ revision, image: { reference, path: path || pathOfReference(reference) } }] }],
  }));
  const needed = neededImages(users, undefined);
  const credentials = skopeoCredentials(needed, ({ upstream }: NeededImage) =>
    images.find((one) => one.reference === upstream && one.password !== ""),
  );
  await writeFile(`${stem}.images.sh`, skopeoScript(needed, undefined), { mode: 0o755, flag: "wx" });
  if (credentials !== "") await writeFile(`${stem}.images.env`, credentials, { mode: 0o600, flag: "wx" });
  return [`${stem}.images.sh`, ...(credentials === "" ? [] : [`${stem}.images.env`])];
}

/* ---- what is said ---- */

/** Where the archives are that came about. */
function tellPaths(done: readonly Done[], heading: string | undefined, options: ExportFlags, io: Io): void {
  const written = done.filter(({ paths }) => paths.length > 0);
  if (written.length === 0 || options.json) return;
  if (heading !== undefined) io.out(`${heading}\n`);
  for (const { said, paths } of written) io.out(paths.map((path) => `${said}: ${path}\n`).join(""));
}

function tell(done: readonly Done[], heading: string | undefined, options: ExportFlags, io: Io): void {
  if (done.length === 0) return;
  if (options.json) printJson({ archives: done.map(asJson) }, io);
  tellPaths(done, heading, options, io);
  for (const { beside, exported } of done) {
    const [script, credentials] = beside;
    if (exported.images.length === 0 || script === undefined) continue;
    const source = credentials?.endsWith(".env") ? `. ${credentials} && ` : "";
    note(`${count(exported.images.length, "image")} for a registry of yours: ${source}sh ${script} fetch`, options, io);
    if (source !== "") note(`${credentials} holds the store's credentials: do not carry it over`, options, io);
  }
  const written = done.flatMap(({ paths }) => paths.map((path) => basename(path)));
  const size = done.reduce((sum, { exported }) => sum + exported.length, 0);
  if (written.length > 0) note(`${showSize(size)}; next, on the other side: chp import ${written.join(" ")}`, options, io);
  failOnLost(done, written.length > 0, options, io);
}

/** Fails where something was lost; says again what, since that may have been said hours ago. */
function failOnLost(done: readonly Done[], isPart: boolean, options: ExportFlags, io: Io): void {
  const lost = done.flatMap(({ exported }) => exported.failed);
  const [first] = lost;
  if (!first) return;
  const kept = done.flatMap((one) => one.kept);
  if (lost.length === 1 && !isPart) throw goingOn(first.failure, kept);
  if (!options.json)
    for (const { name, failure } of lost)
      io.err(
        `${printable(`not exported: ${name}: ${failure.message}`)}\n${failure.next === undefined ? "" : `  ${printable(failure.next)}\n`}`,
      );
  const names = [...new Set(lost.map((one) => one.name))].join(", ");
  const mayPass = lost.some(({ failure }) => failure instanceof Unavailable && failure.details.retryable);
  const next =
    kept.length > 0
      ? "run the same command again: it goes on with what came, and fetches only the rest"
      : mayPass
        ? "run the same command again in a while"
        : "what upstream does not have was left out; correct the manifest, or leave it out with --without";
  throw isPart
    ? goingOn(new Failure("partly", `not exported: ${names}; the archive holds the rest`, { next }), kept)
    : goingOn(new Failure("failed", `nothing could be exported of ${names}`, { next }), kept);
}

function asJson({ paths, beside, exported, kept }: Done) {
  return {
    paths,
    beside,
    size: exported.length,
    fetched: exported.fetched,
    packages: exported.packages.map(({ name, type, id, releases, revisions, resources }) => ({
      name,
      type,
      id,
      revisions: revisions.map((one) => one.revision),
      resources: resources.map((one) => `${one.name}_${one.revision}`),
      releases,
    })),
    snaps: exported.snaps.map(({ name, id, releases, revisions }) => ({
      name,
      id,
      revisions: revisions.map((one) => one.revision),
      releases,
    })),
    notes: exported.notes,
    kept,
    lost: exported.failed.map(({ name, failure }) => ({
      name,
      error: failure.message,
      ...(failure instanceof Unavailable && { url: failure.url, status: failure.details.status ?? null }),
    })),
  };
}
