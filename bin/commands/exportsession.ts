/** One run of `chp export`: opens upstream and export folder, makes each archive, and reports the results. */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { ExportLock } from "../../src/archives/lock.ts";
import { readSecretKey, type SecretKey } from "../../src/archives/signature.ts";
import { readSigningKeyLine, type SigningKey } from "../../src/assertions/clearsigned.ts";
import { type CharmWithImages, isOfResource, type NeededImage, neededImages } from "../../src/catalog/images.ts";
import { skopeoCredentials, skopeoScript } from "../../src/catalog/imagescript.ts";
import { checkRegistryDomain, splitPath } from "../../src/catalog/registry.ts";
import type { BeginSums } from "../../src/digest.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import type { ArchiveForm } from "../../src/export/archivewriter.ts";
import { HttpClient } from "../../src/export/client.ts";
import { type ExportOptions, type ExportPlan, type ExportResult, exportAll, planExport } from "../../src/export/export.ts";
import type { RegistrySettings } from "../../src/export/exportimages.ts";
import { type Inventory, readInventory } from "../../src/export/inventory.ts";
import { readRegistryLogins } from "../../src/export/registrylogins.ts";
import type { Addition, ExportRequest } from "../../src/export/sitefile.ts";
import { Upstream, type UpstreamAddresses } from "../../src/export/upstream.ts";
import { checkUrl } from "../../src/settings/config.ts";
import { AGENT_STREAMS } from "../../src/wire/urls.ts";
import { Store } from "../../store/store.ts";
import { Digests } from "../machine/digests.ts";
import { type Downloads, downloadsOn } from "../machine/downloads.ts";
import { createFile, replaceFile } from "../machine/durable.ts";
import type { Io } from "../machine/io.ts";
import { storageAt } from "../machine/openstore.ts";
import { readStreamsKeys } from "../machine/settings.ts";
import { networkTransport, OWN_ADDRESS, storeTransport } from "../machine/transport.ts";
import { makeExportDir, WorkFolder } from "../machine/workfolder.ts";
import { type ArchiveResult, type KeptWork, printPaths, reportArchives, reportPlans, withKeptWork } from "./exportreport.ts";
import { type FlagValues, PUBLIC } from "./flags.ts";

/** The flags of all forms of `chp export`. */
export const EXPORT_FLAGS = [
  "archs",
  "bases",
  "series",
  "exportDir",
  "charmhubUrl",
  "snapstoreUrl",
  "exportCa",
  "since",
  "sign",
  "chunk",
  "parallel",
  "failFast",
  "exportDryRun",
] as const;
export type ExportFlags = FlagValues<typeof EXPORT_FLAGS>;
/** The flags of the forms that take container images. */
export const REGISTRY_FLAGS = ["insecureRegistry", "registryAuth"] as const;
/** The flags of the form that takes Juju's agents. */
export const AGENT_FLAGS = ["agentsUrl", "exportStreamsKey"] as const;
type FormFlags = Partial<FlagValues<readonly [...typeof REGISTRY_FLAGS, ...typeof AGENT_FLAGS]>>;

/** The name of an input file in messages. */
export function inputName(file: string): string {
  return file === "-" ? "standard input" : file;
}

/** The text of a file, or of standard input for `-`. Fails with `usage`, with `next` as the next step. */
export async function readInput(file: string, io: Io, next?: string): Promise<string> {
  try {
    if (file !== "-") return await readFile(file, "utf8");
    const parts: Uint8Array[] = [];
    for await (const part of io.input()) parts.push(part);
    return Buffer.concat(parts).toString("utf8");
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(inputName(file))}: ${printable(reason(error).split(",")[0] ?? "", 100)}`, {
      cause: error,
      ...(next !== undefined && { next }),
    });
  }
}

/** One archive to make. */
export interface ArchiveRequest {
  /** the beginning of the archive's name */
  readonly name: string;
  readonly content: ExportRequest;
  readonly form: ArchiveForm;
  readonly closure: boolean;
  readonly without: ReadonlySet<Addition>;
  readonly manifest?: string;
  readonly lock?: ExportLock;
  /** RFC 3339: when the index of agents was updated that an earlier export of the same file took */
  readonly agentsSince?: string;
  /** path of the new lock */
  readonly lockPath?: string;
  /** printed before its path when it is done */
  readonly label: string;
}

export interface ExportSession {
  readonly upstream: Upstream;
  readonly remote: HttpClient;
  /** Makes one archive; all results are reported at the end. */
  archive(request: ArchiveRequest): Promise<void>;
}

/** Runs `work` in a session, and reports its archives. */
export async function runSession(
  options: ExportFlags & FormFlags,
  io: Io,
  work: (session: ExportSession) => Promise<void>,
  heading?: string,
): Promise<void> {
  const downloads = downloadsOn(options, io);
  const trusted = await Promise.all((options.ca ?? []).map((file) => readInput(file, io)));
  const store = options.store === undefined ? undefined : await Store.open(storageAt(options.store, io));
  const remote = new HttpClient({
    transport: store ? storeTransport(store) : await networkTransport(trusted, io.environment),
    signal: io.signal,
    onRetry: (why, wait) => downloads.say(`${why}; retrying${wait > 0 ? ` in ${Math.ceil(wait / 1000)} s` : ""}`),
  });
  const upstream = new Upstream(addressesOf(options, store !== undefined), remote);
  const { since, sign, chunk, parallel } = options;
  const sinceText = since === undefined ? undefined : await readInput(since, io);
  const settings: ExportSettings = {
    exportDir: resolve(options.exportDir.replace(/^~(?=\/)/, io.environment["HOME"] || homedir())),
    failFast: options.failFast ?? false,
    parallel,
    registries: await registrySettings(options, io),
    streamsKeys: (await readStreamsKeys(options.streamsKey ?? [])).map((line) => readSigningKeyLine(line, "--streams-key")),
    ...(chunk !== undefined && { chunk }),
    ...(sign !== undefined && { key: readSecretKey(await readInput(sign, io), sign) }),
    ...(since !== undefined && sinceText !== undefined && { inventory: readInventory(sinceText, since), sinceText }),
  };
  const plans: ExportPlan[] = [];
  const done: ArchiveResult[] = [];
  const digests = new Digests();
  const around = { upstream, remote, settings, downloads, signal: io.signal, sums: digests.begin };
  const archive = async (request: ArchiveRequest) => {
    if (options.dryRun) plans.push(await planExport(exportOptions(request, around, noOutput)));
    else done.push(await exportArchive(request, around));
  };
  if (!options.dryRun) await makeExportDir(settings.exportDir);
  try {
    await work({ upstream, remote, archive });
  } catch (error) {
    downloads.end();
    printPaths(done, heading, options, io);
    throw error;
  } finally {
    await digests.close();
  }
  downloads.end();
  if (options.dryRun) reportPlans(plans, options, io);
  else reportArchives(done, heading, options, io);
}

/** A plan writes nothing. */
async function noOutput(): Promise<never> {
  throw new Error("internal error: a plan writes nothing");
}

interface ExportSettings {
  readonly exportDir: string;
  readonly failFast: boolean;
  readonly parallel: number;
  readonly registries: RegistrySettings;
  /** keys of agent streams besides Canonical's */
  readonly streamsKeys: readonly SigningKey[];
  readonly chunk?: number;
  readonly key?: SecretKey;
  readonly inventory?: Inventory;
  readonly sinceText?: string;
}

function addressesOf({ charmhubUrl, snapstoreUrl, agentsUrl }: ExportFlags & FormFlags, isOwn: boolean): UpstreamAddresses {
  if (isOwn) return { charmhub: OWN_ADDRESS, snapstore: OWN_ADDRESS, agents: `${OWN_ADDRESS}${AGENT_STREAMS}` };
  const address = (text: string, what: string) => {
    try {
      return checkUrl(text);
    } catch (error) {
      throw new Failure("usage", `${what}: ${printable(reason(error), 300)}`);
    }
  };
  return {
    charmhub: address(charmhubUrl ?? PUBLIC.charmhub, "--charmhub-url"),
    snapstore: address(snapstoreUrl ?? charmhubUrl ?? PUBLIC.snapstore, "--snapstore-url"),
    agents: address(
      agentsUrl ?? (charmhubUrl === undefined ? PUBLIC.agents : `${charmhubUrl.replace(/\/+$/, "")}${AGENT_STREAMS}`),
      "--agents-url",
    ),
  };
}

/** A registry is asked without TLS where a flag says it: as one of these, or as the Charmhub that is one too. */
async function registrySettings(options: ExportFlags & FormFlags, io: Io): Promise<RegistrySettings> {
  const { insecureRegistry = [], registryAuth, charmhubUrl = "", store } = options;
  for (const host of insecureRegistry)
    try {
      checkRegistryDomain(host);
    } catch (error) {
      throw new Failure("usage", `--insecure-registry: ${printable(reason(error), 300)}`);
    }
  const plainCharmhub = charmhubUrl.startsWith("http://") && URL.canParse(charmhubUrl) ? [new URL(charmhubUrl).host] : [];
  return {
    plainHosts: [...insecureRegistry, ...plainCharmhub],
    ...(registryAuth !== undefined && { loginOf: readRegistryLogins(await readInput(registryAuth, io), registryAuth) }),
    mayLack: store !== undefined,
  };
}

interface ExportTools {
  readonly upstream: Upstream;
  readonly remote: HttpClient;
  readonly settings: ExportSettings;
  readonly downloads: Downloads;
  readonly signal: AbortSignal;
  readonly sums: BeginSums;
}

function exportOptions(
  request: ArchiveRequest,
  { upstream, remote, settings, downloads, sums }: ExportTools,
  openOutput: ExportOptions["openOutput"],
): ExportOptions {
  const { key, inventory, failFast, parallel, registries, streamsKeys } = settings;
  return {
    upstream,
    client: remote,
    request: request.content,
    ...(request.lock && { lock: request.lock }),
    ...(inventory && { inventory }),
    without: request.without,
    closure: request.closure,
    form: request.form,
    registries,
    agents: {
      url: upstream.addresses.agents,
      keys: streamsKeys,
      ...(request.agentsSince !== undefined && { since: request.agentsSince }),
    },
    // An export by a lock is complete or fails.
    failFast: failFast || request.lock !== undefined,
    parallel,
    sums,
    ...(key && { key }),
    now: Date.now(),
    ...(request.manifest !== undefined && { siteFile: request.manifest }),
    openOutput,
    onNote: (text) => downloads.say(text),
  };
}

async function exportArchive(request: ArchiveRequest, tools: ExportTools): Promise<ArchiveResult> {
  const { upstream, settings, downloads, signal } = tools;
  const { exportDir, chunk } = settings;
  const name = await freeName(exportDir, request.name, Date.now());
  const identity = [request.content, request.form, request.lock, [...request.without], upstream.addresses, settings.sinceText, chunk];
  const opened = new Map<ExportResult["which"], WorkFolder>();
  let fetchedBytes = 0;
  const kept = (): KeptWork[] => {
    const folder = opened.get("all")?.path;
    return folder === undefined || fetchedBytes === 0 ? [] : [{ bytes: fetchedBytes, folder }];
  };
  const open = async (which: "all" | "rest") => {
    const folder = await WorkFolder.open(exportDir, hashOf([which, ...identity]), chunk === undefined ? {} : { chunk });
    opened.set(which, folder);
    return folder;
  };
  try {
    const exported = await exportAll({
      ...exportOptions(request, tools, open),
      onFetch: (label, size) => {
        const download = downloads.begin(label, size);
        return {
          advance: (bytes) => {
            fetchedBytes += bytes;
            download.advance(bytes);
          },
          end: (isWhole) => download.end(isWhole),
        };
      },
    });
    const paths = await opened
      .get(exported.which)
      ?.finish(`${name}.tar${request.form === "site" ? "" : ".gz"}`, exported.length, { signal });
    opened.delete(exported.which);
    const beside = await writeBeside(join(exportDir, name), exported);
    // A lock of an incomplete export would make a later export silently leave out the rest.
    if (request.lockPath !== undefined && exported.failed.length === 0) {
      await replaceFile(request.lockPath, exported.lock);
      beside.push(request.lockPath);
    } else if (request.lockPath !== undefined && paths !== undefined)
      downloads.say(`${request.lockPath} was not written: the export is incomplete`);
    return { label: request.label, paths: paths ?? [], beside, exported, kept: kept() };
  } catch (error) {
    throw error instanceof Failure ? withKeptWork(error, kept()) : error;
  } finally {
    // The folder of the incomplete archive (`rest`) was copied from `all`, which the next run resumes.
    await opened
      .get("rest")
      ?.discard()
      .catch(() => {});
    for (const folder of opened.values()) await folder.close();
  }
}

/** `NAME-20260426T163115`, in UTC; a later second if that name is taken. */
async function freeName(folder: string, name: string, now: number): Promise<string> {
  const taken = await readdir(folder);
  for (let time = now; ; time += 1000) {
    const stamped = `${name}-${new Date(time).toISOString().replace(/[-:]|\..*/g, "")}`;
    if (!taken.some((file) => file.startsWith(`${stamped}.`))) return stamped;
  }
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** Writes the script for the images that are not in the archive and, in a separate file that must stay here, the store's credentials. */
async function writeBeside(stem: string, { imagesLeft }: ExportResult): Promise<string[]> {
  if (imagesLeft.length === 0) return [];
  const users = imagesLeft.flatMap(({ reference, path, neededBy }): CharmWithImages[] => {
    if (!neededBy) return [];
    const { charm: name, revision } = neededBy;
    if (isOfResource(neededBy))
      return [{ name, resources: [{ name: neededBy.resource, revisions: [{ revision, image: { reference, path } }] }] }];
    const { file: where, sure } = neededBy;
    return [{ name, resources: [], revisions: [{ revision, images: [{ reference, where, sure }] }] }];
  });
  const ofCharms = neededImages(users, undefined);
  const requested = imagesLeft.filter(({ reference, neededBy }) => !neededBy && !ofCharms.some(({ upstream }) => upstream === reference));
  const needed = [
    ...ofCharms,
    ...requested.map(({ reference, path }): NeededImage => {
      return { upstream: reference, path, local: null, digest: splitPath(path).digest ?? null, neededBy: [] };
    }),
  ];
  const credentials = skopeoCredentials(needed, ({ upstream }: NeededImage) =>
    imagesLeft.find((image) => image.reference === upstream && image.password !== ""),
  );
  await createFile(`${stem}.images.sh`, skopeoScript(needed, undefined), 0o755);
  if (credentials !== "") await createFile(`${stem}.images.env`, credentials, 0o600);
  return [`${stem}.images.sh`, ...(credentials === "" ? [] : [`${stem}.images.env`])];
}
