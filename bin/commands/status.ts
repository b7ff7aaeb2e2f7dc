import { keyWarning, type PublicKey, showKey } from "../../src/archives/signature.ts";
import { agentFile } from "../../src/catalog/agents.ts";
import { showAge } from "../../src/catalog/freshness.ts";
import { imageNotes } from "../../src/catalog/imagesources.ts";
import { overridesOf, overrideWarnings, showOverride } from "../../src/catalog/override.ts";
import { setupNotes } from "../../src/catalog/readiness.ts";
import { sizeOfBlobs } from "../../src/catalog/repository.ts";
import { neededSnaps, showNeed } from "../../src/catalog/snapneeds.ts";
import { clockProblem, plausibleTime } from "../../src/clock.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { certificateFacts, certificateWarnings } from "../../src/settings/certificate.ts";
import { hasRight, isExpired } from "../../src/settings/token.ts";
import { VERSION } from "../../src/version.ts";
import { FORMAT } from "../../store/keys.ts";
import type { LastRuns } from "../../store/runs.ts";
import { Store } from "../../store/store.ts";
import { count, type Io, printJson, showSize } from "../machine/io.ts";
import { failOnDamage, openStore, storageOf } from "../machine/openstore.ts";
import { askServer, serverAddresses } from "../machine/runningserver.ts";
import { acceptedKeys, imageSetup, loadSettings, registryOf } from "../machine/settings.ts";
import { servedCertificate, trustedCertificates } from "../machine/tls.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { sizeOfPackage, sizeOfSnap } from "./list.ts";

const TAKES = ["server", "probe"] as const;
type StatusFlags = FlagValues<typeof TAKES>;

export const statusCommand: Register = (program, io) => {
  defineCommand(program, "status", "Show store contents, settings and failed client requests", EXITS, TAKES).action(
    (options: StatusFlags) => runStatus(options, io),
  );
};

export async function runStatus(options: StatusFlags, io: Io): Promise<void> {
  if (options.probe) return probe(options, io);
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const [packages, snaps] = [await snapshot.packages(), await snapshot.snaps()];
  const [repositories, agents] = [await snapshot.repositories(), await snapshot.agents()];
  const settings = await loadSettings(store, { environment: io.environment });
  const publicUrl = settings.get("public-url")?.values[0] ?? null;
  const listen = settings.get("listen")?.values ?? [];
  const now = plausibleTime(Date.now(), snapshot.time);
  const storedPackages = [...packages, ...snaps];
  const missing = neededSnaps(packages, snaps).filter((snap) => !snap.stored);
  const certificate = (await servedCertificate(store, settings))?.certificate;
  const server = await askServer(
    options.server === undefined ? serverAddresses(settings) : [{ url: options.server }],
    await trustedCertificates(store, settings),
  );
  const runs = await store.runs.last().catch((): LastRuns => ({})); // nothing is decided by them
  const facts = {
    version: VERSION,
    store: store.storage.place,
    format: FORMAT,
    generation: snapshot.number,
    changed: snapshot.generation?.time ?? null,
    charms: packages.filter((pkg) => pkg.type === "charm").length,
    bundles: packages.filter((pkg) => pkg.type === "bundle").length,
    snaps: snaps.length,
    repositories: repositories.length,
    agents: agents.length,
    revisions: storedPackages.reduce((sum, pkg) => sum + pkg.revisions.length, 0),
    unverifiedAgents: agents.flatMap((release) =>
      release.agents.filter((agent) => agent.unverified !== undefined).map((agent) => agentFile({ ...release, ...agent })),
    ),
    unverified: snaps.flatMap(({ name, revisions }) =>
      revisions.filter((r) => r.unverified !== undefined).map(({ revision }) => ({ name, revision })),
    ),
    overrides: storedPackages.flatMap((pkg) => overridesOf(pkg, now)),
    size: [
      ...packages.map(sizeOfPackage),
      ...snaps.map(sizeOfSnap),
      sizeOfBlobs([...repositories, ...agents].flatMap(({ blobs }) => blobs)),
    ].reduce((sum, size) => sum + size, 0),
    publicUrl,
    listen,
    certificate: certificate === undefined ? null : certificateFacts(certificate),
    registry: registryOf(settings)?.domain ?? null,
    acceptedKeys: await acceptedKeys(store, io),
    /** key id → when its newest imported archive was signed */
    newestSigned: await store.signedTimes(snapshot),
    remoteImport: await remoteImportOf(store),
    missing,
    server: server.running
      ? { running: true, url: server.running.url, version: server.running.version, generation: server.running.generation }
      : { running: false, tried: server.silent },
    lastImport: runs.import ? { ended: runs.import.ended, failed: runs.import.failed ?? null } : null,
    lastVerify: runs.verify ?? null,
    failedRequests: server.running?.failedRequests ?? null,
  };
  const odd = clockProblem(Date.now(), snapshot.time);
  const notes = [
    ...(odd === undefined ? [] : [`${odd}: overrides are judged by the latter`]),
    ...setupNotes(facts, packages, imageNotes(imageSetup(settings), packages, repositories)),
    ...(certificate === undefined ? [] : certificateWarnings(certificate, publicUrl ?? undefined, now)),
    ...facts.acceptedKeys.flatMap((key) => keyWarning(key, now) ?? []),
    ...storedPackages.flatMap((pkg) => overrideWarnings(pkg, now)),
  ];
  if (options.json) {
    printJson({ ...facts, notes }, io);
    return end();
  }
  const lines = [
    `chp ${VERSION}`,
    `store: ${facts.store} (format ${FORMAT})`,
    `generation: ${facts.generation}${facts.changed ? `, ${facts.changed.slice(0, 19)}Z` : ""}`,
    `stored: ${[count(facts.charms, "charm"), count(facts.bundles, "bundle"), count(facts.snaps, "snap"), ...(facts.repositories > 0 ? [count(facts.repositories, "repository of images", "repositories of images")] : []), ...(facts.agents > 0 ? [`agents of ${count(facts.agents, "version")}`] : []), count(facts.revisions, "revision")].join(", ")}, ${showSize(facts.size)}`,
    ...facts.unverified.map(({ name, revision }) => `UNVERIFIED: snap ${name} revision ${revision}`),
    ...facts.unverifiedAgents.map((file) => `UNVERIFIED: ${file}`),
    ...facts.overrides.map((override) => `override: ${override.name} ${override.channel} ${override.on} ${showOverride(override)}`),
    ...(facts.lastImport ? [`last import: ${showTime(facts.lastImport.ended)}, ${showEnd(facts.lastImport.failed)}`] : []),
    ...(facts.lastVerify
      ? [
          `last verify: ${showTime(facts.lastVerify.ended)}, ${facts.lastVerify.damaged === 0 ? "no damage" : `${facts.lastVerify.damaged} damaged`}`,
        ]
      : []),
    `server: ${showServer(server, snapshot.number)}`,
    `listen: ${listen.join(", ")}`,
    `public URL: ${publicUrl ?? "not set"}`,
    `certificate: ${facts.certificate ? `${facts.certificate.subject}, until ${facts.certificate.notAfter.slice(0, 10)}` : "none"}`,
    `registry: ${facts.registry ?? "not set"}`,
    ...facts.acceptedKeys.map(
      (key) => `imports what is signed by: ${showKey(key)}${key.until === undefined ? "" : `, until ${key.until}`}`,
    ),
    ...Object.entries(facts.newestSigned).map(([id, time]) => `newest archive by ${nameOf(id, facts.acceptedKeys)}: ${showAge(time, now)}`),
    `remote import: ${facts.remoteImport}`,
    ...missing.map(
      (snap) => `missing: snap ${showNeed(snap)}${snap.sure === "certain" ? "" : ` (${snap.sure})`}, needed by ${snap.by.join(", ")}`,
    ),
    ...(facts.failedRequests ?? []).map(
      ({ what, times, last }) => `not found: ${what} (${count(times, "request")}, last ${last.slice(0, 19)}Z)`,
    ),
    ...notes.map((text) => `note: ${text}`),
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
  await end();

  async function end(): Promise<void> {
    await failOnDamage(store);
    if (options.server !== undefined && !server.running)
      throw new Failure(
        "failed",
        `the server ${printable(options.server)} does not answer: ${server.silent[0]?.why ?? "it was not asked"}`,
        {
          next: "start it with chp serve, or correct --server URL",
        },
      );
  }
}

/** Whether a server answers, and nothing else: it reads no package, so it can be asked each few seconds. The store may not be there yet. */
async function probe(options: StatusFlags, io: Io): Promise<void> {
  const store = await Store.openOrAwait(storageOf(options, io));
  const settings = await loadSettings(store, { environment: io.environment });
  const addresses = options.server === undefined ? serverAddresses(settings).filter(({ isLocal }) => isLocal) : [{ url: options.server }];
  const { running, silent } = await askServer(addresses, await trustedCertificates(store, settings));
  if (!running)
    throw new Failure(
      "failed",
      `no server answers: ${silent.map(({ url, why }) => `${printable(url)}: ${why}`).join("; ") || "none is set"}`,
      {
        next: "start it with chp serve, or name it with --server URL",
      },
    );
  const { url, version, generation } = running;
  if (options.json) printJson({ url, version, generation }, io);
  else io.out(`${url} answers: generation ${generation}, chp ${version}\n`);
}

function showTime(time: string): string {
  return `${time.slice(0, 19)}Z`;
}

/** `failed`: the kind of a failure, or `killed` */
function showEnd(failed: string | null): string {
  return failed === null ? "succeeded" : failed === "published" ? "published, but a later step failed" : `FAILED: ${failed}`;
}

function showServer({ running, silent }: Awaited<ReturnType<typeof askServer>>, stored: number): string {
  if (!running) return `not running${silent.length === 0 ? "" : ` (${silent.map(({ url, why }) => `${url}: ${why}`).join("; ")})`}`;
  const { url, version, generation } = running;
  const other = generation === stored ? "" : `, not ${stored}: it serves another store, or cannot read this one`;
  return `running, generation ${generation}${other} (chp ${version} at ${url})`;
}

function nameOf(id: string, keys: readonly PublicKey[]): string {
  return showKey(keys.find((key) => key.id === id) ?? { id, comment: "" });
}

/** Whose tokens are accepted, in words. */
async function remoteImportOf(store: Store): Promise<string> {
  try {
    const { tokens } = await store.settings.read("tokens");
    const now = Date.now();
    const names = tokens
      .filter((token) => hasRight(token, "import"))
      .map((token) => `${token.name}${isExpired(token, now) ? " (expired)" : ""}`);
    return names.length === 0 ? "off" : `by ${names.join(", ")}`;
  } catch (error) {
    return `not known: ${reason(error).split(",")[0]}`;
  }
}
