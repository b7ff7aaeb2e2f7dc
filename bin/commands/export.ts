/** `chp export`: writes an archive for an air-gapped store, on the connected side. */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { readLock } from "../../src/archives/lock.ts";
import { Failure, printable } from "../../src/errors.ts";
import { requestEverything } from "../../src/export/everything.ts";
import { resolveBundleYaml } from "../../src/export/export.ts";
import { ADDITIONS, type Addition, isAddition, readSelection, readSiteFile, type Selection } from "../../src/export/sitefile.ts";
import type { ProgramName } from "../../src/settings/documented.ts";
import type { Io } from "../machine/io.ts";
import { defineCommand, type Register } from "./command.ts";
import { AGENT_FLAGS, EXPORT_FLAGS, type ExportFlags, inputName, REGISTRY_FLAGS, readInput, runSession } from "./exportsession.ts";
import { FLAGS, type FlagId, type FlagValues } from "./flags.ts";
import { flagValue } from "./options.ts";

const EXITS = "0 done, 1 failed, 2 usage, 3 a file given was refused, 4 partly done: the archive contains the rest, 130 interrupted";
/** --store here has no environment variable: CHP_STORE names the store of imports. */
const COMMON = ["exportedStore", "json", "quiet"] as const;

const SITE_FLAGS = [...EXPORT_FLAGS, ...REGISTRY_FLAGS, ...AGENT_FLAGS, "file", "everything", "channels", "locked", "without"] as const;
type SiteFlags = FlagValues<typeof SITE_FLAGS>;
const BUNDLE_FLAGS = [...EXPORT_FLAGS, "channelsOfBundle", "onlyPrintYaml"] as const;
type BundleFlags = FlagValues<typeof BUNDLE_FLAGS>;
const SNAP_FLAGS = [...EXPORT_FLAGS, "fromYaml", "channelsOfSnaps"] as const;
type SnapFlags = FlagValues<typeof SNAP_FLAGS>;

/** `name`: that the program was started by; the documented program has a folder of its own for archives. */
export function exportCommandOf(name: ProgramName): Register {
  const flags = (ids: readonly FlagId[]) =>
    name === "store-admin" ? ids.map((id) => (id === "exportDir" ? "documentedExportDir" : id)) : ids;
  return (program, io) => registerExport(program, io, flags);
}

function registerExport(program: Command, io: Io, flags: (ids: readonly FlagId[]) => readonly FlagId[]): void {
  const site = defineCommand(program, "export", "Write an archive for an air-gapped store", EXITS, flags(SITE_FLAGS), COMMON)
    .addHelpText("after", SITE_HELP)
    .action((options: SiteFlags) => runExport(options, io));
  defineCommand(site, "bundle", "Export a bundle and its charms", EXITS, flags(BUNDLE_FLAGS), COMMON)
    .argument("<name>", "of the bundle")
    .action((name: string, options: BundleFlags) => runExportBundle(name, options, io));
  defineCommand(site, "charms", "Export charms, by name or as a file names them", EXITS, flags(EXPORT_FLAGS), COMMON)
    .argument("<name-or-file...>", "names of charms; or a bundle.yaml, or a file of that form; - for standard input")
    .action((given: string[], options: ExportFlags) => runExportCharms(given, options, io));
  defineCommand(site, "snaps", "Export snaps, one archive each", EXITS, flags(SNAP_FLAGS), COMMON)
    .argument("[names...]", "of snaps")
    .action((names: string[], options: SnapFlags) => runExportSnaps(names, options, io));
}

const SITE_HELP = `
A site file, of which every part may be missing (chp help site-file); any bundle.yaml is one too:

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
  images: [ghcr.io/juju/juju-db:4.4.30]  # the charms' own are taken anyway
  essentials: {juju: "3.6"}              # what Juju needs to bootstrap: its agents, images, charm and snaps

Charms of bundles, snaps that charms install, bases, snapd, default providers and the container images that charms need are
added, each with its reason. What was
taken is listed in FILE.lock beside the site file. An interrupted export resumes when it is run again.
With --store DIR it exports from that store, for the next enclave.

Examples:
  chp export -f site.yaml
  chp export -f site.yaml --since have.json --sign site.key --chunk 4G
  chp export -f site.yaml --locked
  chp export --all --charmhub-url http://hub.lan:8080`;

export async function runExport(options: SiteFlags, io: Io): Promise<void> {
  const { file, all } = options;
  if ((file === undefined) === (all !== true))
    throw new Failure("usage", "say what is wanted: -f FILE, or --all", { next: "chp help export shows what a file may say" });
  const without = readWithout(options.without ?? []);
  if (file === undefined)
    return runSession(options, io, async (session) => {
      const request = await requestEverything(session.upstream, defaultsOf(options));
      await session.archive({
        name: "chp-export",
        content: request,
        form: "site",
        closure: true,
        without: new Set([...without, "bundle-charms"]),
        label: TO,
      });
    });
  const manifest = await readInput(file, io);
  const request = readSiteFile(manifest, inputName(file), defaultsOf(options));
  const stem = file === "-" ? undefined : file.replace(/\.ya?ml$/, "");
  const lockPath = typeof options.locked === "string" ? options.locked : stem && `${stem}.lock`;
  if (options.locked && lockPath === undefined)
    throw new Failure("usage", "the manifest comes from standard input: name its lock with --locked FILE");
  const lock =
    options.locked && lockPath !== undefined
      ? readLock(await readInput(lockPath, io, "an export of it without --locked writes its lock"), lockPath)
      : undefined;
  const agentsSince = lock?.agents?.updated ?? (await agentsOf(lockPath));
  await runSession(options, io, (session) =>
    session.archive({
      name: stem === undefined ? "chp-export" : basename(stem),
      content: request,
      form: "site",
      closure: true,
      without: new Set([...without, ...request.without]),
      manifest,
      ...(lock && { lock }),
      ...(agentsSince !== undefined && { agentsSince }),
      ...(lockPath !== undefined && !lock && { lockPath }),
      label: TO,
    }),
  );
}

/** When the index of agents was updated that the export before took; undefined: there was none, or its lock can't be read any more. */
async function agentsOf(lockPath: string | undefined): Promise<string | undefined> {
  if (lockPath === undefined || !existsSync(lockPath)) return undefined;
  try {
    return readLock(await readFile(lockPath, "utf8"), lockPath).agents?.updated;
  } catch {
    return undefined;
  }
}

export async function runExportBundle(name: string, options: BundleFlags, io: Io): Promise<void> {
  const bundle = { channels: [], systems: [JAMMY], architectures: ["amd64"], ...defaultsOf(options), name, resources: {}, paths: {} };
  const request = { charms: [], bundles: [bundle], snaps: [], without: [], notes: [] };
  const prints = options.onlyPrintYaml !== undefined && !/^(false|no|0)$/i.test(String(options.onlyPrintYaml));
  await runSession(options, io, async (session) => {
    if (prints) io.out(await resolveBundleYaml(session.upstream, session.remote, bundle));
    else
      await session.archive({ ...PLAIN, name, content: request, form: "documented", label: `Successfully exported charm bundle ${name}` });
  });
}

/** A charm's name: no file of a manifest has one without a dot or a slash. */
const CHARM_NAME = /^[a-z][a-z0-9-]*$/;

export async function runExportCharms(given: readonly string[], options: ExportFlags, io: Io): Promise<void> {
  const [file = "", ...others] = given;
  const areNames = given.every((word) => CHARM_NAME.test(word)) && (others.length > 0 || !existsSync(file));
  if (!areNames && others.length > 0)
    throw new Failure("usage", "name charms, or one file of them", { next: `chp export charms ${printable(file, 100)}` });
  // The file determines the channels, so this form has no --channel; CHP_CHANNEL applies to all forms.
  const channel = flagValue(FLAGS.channels, undefined, io.environment) as SiteFlags["channel"];
  const manifest = areNames ? JSON.stringify({ charms: given }) : await readInput(file, io);
  const { charms, notes } = readSiteFile(manifest, areNames ? COMMAND_LINE : inputName(file), defaultsOf({ ...options, channel }));
  const request = { charms, bundles: [], snaps: [], without: [], notes };
  await runSession(options, io, (session) =>
    session.archive({
      ...PLAIN,
      name: "charms-export",
      content: request,
      form: "documented",
      manifest,
      label: "Successfully exported charms to",
    }),
  );
}

export async function runExportSnaps(names: readonly string[], options: SnapFlags, io: Io): Promise<void> {
  const { fromYaml } = options;
  if (names.length > 0 === (fromYaml !== undefined)) throw new Failure("usage", "name snaps, or a file of them with --from-yaml FILE");
  const text = fromYaml === undefined ? JSON.stringify({ snaps: names }) : await readInput(fromYaml, io);
  const { snaps } = readSiteFile(text, fromYaml === undefined ? COMMAND_LINE : inputName(fromYaml), defaultsOf(options));
  await runSession(
    options,
    io,
    async (session) => {
      for (const name of new Set(snaps.map((snap) => snap.name))) {
        const request = { charms: [], bundles: [], snaps: snaps.filter((snap) => snap.name === name), without: [], notes: [] };
        await session.archive({ ...PLAIN, name, content: request, form: "snap", label: name });
      }
    },
    "Successfully exported snaps:",
  );
}

const TO = "Successfully exported to";
const COMMAND_LINE = "the command line";
const JAMMY = { name: "ubuntu", channel: "22.04" };
const PLAIN = { closure: false, without: new Set<Addition>() } as const;

type PlaceWords = Readonly<Partial<Record<"channel" | "arch" | "base" | "series", readonly string[] | undefined>>>;

/** Channels and systems of the command line: the defaults for entries of a file. */
function defaultsOf({ channel, arch, base, series }: PlaceWords): Selection {
  const given = Object.entries({ channel, arch, series, base }).filter(([, words]) => words !== undefined); // a base wins over a series
  return Object.assign({}, ...given.map(([flag, words]) => readSelection({ [flag]: words }, `--${flag}`)));
}

function readWithout(words: readonly string[]): Set<Addition> {
  const wrong = words.find((word) => word !== "" && !isAddition(word));
  if (wrong !== undefined)
    throw new Failure("usage", `--without does not know ${printable(wrong, 50)}`, {
      next: `it takes ${Object.keys(ADDITIONS).join(", ")}`,
    });
  return new Set(words.filter(isAddition));
}
