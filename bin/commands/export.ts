/** `chp export`: on the connected side, an archive of what an air-gapped store is to hold. */

import { basename } from "node:path";
import type { Command } from "commander";
import { Failure, printable } from "../../src/errors.ts";
import { everything, planBundle } from "../../src/export/export.ts";
import { readLock } from "../../src/export/lock.ts";
import { ADDITIONS, type Addition, type Defaults, isAddition, placeOf, readManifest } from "../../src/export/sitefile.ts";
import type { CommonOptions, Io } from "../machine/io.ts";
import { define, type Register, wholeNumber } from "./command.ts";
import { type ExportOptions, inputName, PUBLIC, readInput, readSize, runSession } from "./exportsession.ts";

interface SiteOptions extends ExportOptions {
  readonly file?: string;
  readonly all?: boolean;
  readonly locked?: boolean | string;
  readonly without?: string[];
}

interface BundleOptions extends ExportOptions {
  readonly onlyPrintYaml?: boolean | string;
}

interface SnapOptions extends ExportOptions {
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
    .option("--chunk <SIZE>", "cut the archive into parts of at most that size, like 4G (CHP_CHUNK)", readSize)
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
    .action((options: SiteOptions) => runExport(options, io));
  common(define(site, "bundle", "export a bundle and its charms", EXITS, FROM_STORE))
    .argument("<name>", "of the bundle")
    .option("--channel <CHANNEL>", "of the bundle (default: stable of its default track)", list)
    .option("--only-print-yaml [BOOL]", "print its bundle.yaml and export nothing")
    .action((name: string, options: BundleOptions) => runExportBundle(name, options, io));
  common(define(site, "charms", "export the charms that a file names", EXITS, FROM_STORE))
    .argument("<file>", "a bundle.yaml, or a file of that form; - for standard input")
    .action((file: string, options: ExportOptions) => runExportCharms(file, options, io));
  common(define(site, "snaps", "export snaps, one archive each", EXITS, FROM_STORE))
    .argument("[names...]", "of snaps")
    .option("--from-yaml <FILE>", "a file that names them: packages, each with name, revision and push_channel")
    .option("--channel <CHANNEL>", "of all of them (default: stable); repeatable, or all", list)
    .action((names: string[], options: SnapOptions) => runExportSnaps(names, options, io));
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

export async function runExport(options: SiteOptions, io: Io): Promise<void> {
  const { file, all } = options;
  if ((file === undefined) === (all !== true))
    throw new Failure("usage", "say what is wanted: -f FILE, or --all", { next: "chp help export shows what a file may say" });
  const without = readWithout(options.without ?? io.environment["CHP_WITHOUT"]?.split(",") ?? []);
  if (file === undefined)
    return runSession(options, io, async (session) => {
      const wish = await everything(session.upstream, given(options, io));
      await session.archive({
        name: "chp-export",
        wish,
        form: "site",
        closure: true,
        without: new Set([...without, "bundle-charms"]),
        said: TO,
      });
    });
  const manifest = await readInput(file, io);
  const wish = readManifest(manifest, inputName(file), given(options, io));
  const stem = file === "-" ? undefined : file.replace(/\.ya?ml$/, "");
  const lockPath = typeof options.locked === "string" ? options.locked : stem && `${stem}.lock`;
  if (options.locked && lockPath === undefined)
    throw new Failure("usage", "the manifest comes from standard input: name its lock with --locked FILE");
  const lock =
    options.locked && lockPath !== undefined
      ? readLock(await readInput(lockPath, io, "an export of it without --locked writes its lock"), lockPath)
      : undefined;
  await runSession(options, io, (session) =>
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

export async function runExportBundle(name: string, options: BundleOptions, io: Io): Promise<void> {
  const bundle = { channels: [], systems: [JAMMY], architectures: ["amd64"], ...given(options, io), name, resources: {}, paths: {} };
  const wish = { charms: [], bundles: [bundle], snaps: [], without: [], notes: [] };
  const prints = options.onlyPrintYaml !== undefined && !/^(false|no|0)$/i.test(String(options.onlyPrintYaml));
  await runSession(options, io, async (session) => {
    if (prints) io.out(await planBundle(session.upstream, session.remote, bundle));
    else await session.archive({ ...PLAIN, name, wish, form: "documented", said: `Successfully exported charm bundle ${name}` });
  });
}

export async function runExportCharms(file: string, options: ExportOptions, io: Io): Promise<void> {
  const manifest = await readInput(file, io);
  const { charms, notes } = readManifest(manifest, inputName(file), given(options, io));
  const wish = { charms, bundles: [], snaps: [], without: [], notes };
  await runSession(options, io, (session) =>
    session.archive({ ...PLAIN, name: "charms-export", wish, form: "documented", manifest, said: "Successfully exported charms to" }),
  );
}

export async function runExportSnaps(names: readonly string[], options: SnapOptions, io: Io): Promise<void> {
  const { fromYaml } = options;
  if (names.length > 0 === (fromYaml !== undefined)) throw new Failure("usage", "name snaps, or a file of them with --from-yaml FILE");
  const text = fromYaml === undefined ? JSON.stringify({ snaps: names }) : await readInput(fromYaml, io);
  const { snaps } = readManifest(text, fromYaml === undefined ? COMMAND_LINE : inputName(fromYaml), given(options, io));
  await runSession(
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

/** What the flags say, or their twins. */
function given(options: Omit<ExportOptions, keyof CommonOptions>, io: Io): Defaults {
  const words = ["channel", "arch", "base", "series"].map((name) => {
    const twin = io.environment[`CHP_${name.toUpperCase()}`] || undefined;
    return [name, options[name as "channel" | "arch" | "base" | "series"] ?? twin?.split(",")];
  });
  return placeOf(Object.fromEntries(words) as Parameters<typeof placeOf>[0], COMMAND_LINE);
}

function readWithout(words: readonly string[]): Set<Addition> {
  const wrong = words.find((one) => one !== "" && !isAddition(one));
  if (wrong !== undefined)
    throw new Failure("usage", `--without does not know ${printable(wrong, 50)}`, {
      next: `it takes ${Object.keys(ADDITIONS).join(", ")}`,
    });
  return new Set(words.filter(isAddition));
}
