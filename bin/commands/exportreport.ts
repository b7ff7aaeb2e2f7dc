/** The final report of `chp export`: the archives, other files that were written, and what is missing. */

import { basename } from "node:path";
import { digestText } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import { Unavailable } from "../../src/export/client.ts";
import type { ExportPlan, ExportResult } from "../../src/export/export.ts";
import type { FailedPackage } from "../../src/export/plan.ts";
import { type CommonOptions, count, type Io, note, printJson, printTable, showSize } from "../machine/io.ts";

/** The result of one archive, complete or not. */
export interface ArchiveResult {
  readonly label: string;
  /** of the archive or its parts */
  readonly paths: readonly string[];
  /** paths of the files beside it: image script, credentials, lock */
  readonly beside: readonly string[];
  readonly exported: ExportResult;
  /** empty: the archive is complete */
  readonly kept: readonly KeptWork[];
}

/** Downloaded bytes that the same command will reuse. */
export interface KeptWork {
  readonly bytes: number;
  readonly folder: string;
}

/** Adds to a failure what the same command will reuse. */
export function withKeptWork(failure: Failure, kept: readonly KeptWork[]): Failure {
  if (kept.length === 0) return failure;
  const { kind, message, next = "run the same command again: it resumes from there" } = failure;
  const places = kept.map(({ bytes, folder }) => `${showSize(bytes)} are kept in ${folder}`);
  return new Failure(kind, `${message}; ${places.join(", ")}`, { next, cause: failure });
}

/** Prints the paths of the archives that were written. */
export function printPaths(done: readonly ArchiveResult[], heading: string | undefined, options: CommonOptions, io: Io): void {
  const written = done.filter(({ paths }) => paths.length > 0);
  if (written.length === 0 || options.json) return;
  if (heading !== undefined) io.out(`${heading}\n`);
  for (const { label: said, paths } of written) io.out(paths.map((path) => `${said}: ${path}\n`).join(""));
}

/** Prints what an export would take. Fails if something is missing. */
export function reportPlans(plans: readonly ExportPlan[], options: CommonOptions, io: Io): void {
  const all = plans.flatMap(({ packages }) => packages);
  const size = plans.reduce((sum, plan) => sum + plan.size, 0);
  if (options.json)
    printJson(
      { packages: all, size, notes: plans.flatMap(({ notes }) => notes), lost: plans.flatMap(({ failed }) => failed.map(lostJson)) },
      io,
    );
  else
    printTable(
      ["TYPE", "NAME", "REVISIONS", "SIZE", "WHY"],
      all.map((each) => [each.type, each.name, each.revisions.join(","), showSize(each.size), each.reasons.join("; ") || "requested"]),
      io,
    );
  note(`${showSize(size)} to download; nothing was downloaded`, options, io);
  if (all.some(({ type }) => type === "charm"))
    note("not listed: snaps that charms install, which are found when the charms are downloaded", options, io);
  failOnLost(
    plans.map(({ failed }) => ({ exported: { failed }, kept: [] })),
    all.length > 0,
    options,
    io,
  );
}

/** Prints the report. Fails if something is missing. */
export function reportArchives(done: readonly ArchiveResult[], heading: string | undefined, options: CommonOptions, io: Io): void {
  if (done.length === 0) return;
  if (options.json) printJson({ archives: done.map(archiveJson) }, io);
  printPaths(done, heading, options, io);
  for (const { beside, exported } of done) {
    const [script, credentials] = beside;
    const { images, imagesLeft } = exported;
    if (images.length > 0)
      note(`${count(images.length, "container image")} ${images.length === 1 ? "is" : "are"} in the archive`, options, io);
    for (const { version, agents } of exported.agents)
      note(`agents of Juju ${version} for ${agents.map(({ architecture }) => architecture).join(", ")} are in the archive`, options, io);
    if (imagesLeft.length === 0 || script === undefined) continue;
    const source = credentials?.endsWith(".env") ? `. ${credentials} && ` : "";
    note(
      `${count(imagesLeft.length, "container image")} ${imagesLeft.length === 1 ? "is" : "are"} not in the archive; fetch with: ${source}sh ${script} fetch`,
      options,
      io,
    );
    if (source !== "") note(`${credentials} holds the store's credentials: do not carry it over`, options, io);
  }
  const written = done.flatMap(({ paths }) => paths.map((path) => basename(path)));
  const size = done.reduce((sum, { exported }) => sum + exported.length, 0);
  if (written.length > 0) note(`${showSize(size)}; next, on the other side: chp import ${written.join(" ")}`, options, io);
  failOnLost(done, written.length > 0, options, io);
}

/** Fails if something was not exported, and lists it again: the first message may be hours old. */
/** The message without the name, which stands before it. */
function reasonOf(name: string, { message }: Failure): string {
  const [start] = [`cannot export ${name}: `, `cannot export the snap ${name} `].filter((each) => message.startsWith(each));
  return message.slice(start?.length ?? 0);
}

function failOnLost(
  done: readonly { readonly exported: Pick<ExportResult, "failed">; readonly kept: readonly KeptWork[] }[],
  isPart: boolean,
  options: CommonOptions,
  io: Io,
): void {
  const lost = done.flatMap(({ exported }) => exported.failed);
  const [first] = lost;
  if (!first) return;
  const kept = done.flatMap((archive) => archive.kept);
  if (lost.length === 1 && !isPart) throw withKeptWork(first.failure, kept);
  if (!options.json)
    for (const { name, failure } of lost)
      io.err(
        `${printable(`not exported: ${name}: ${reasonOf(name, failure)}`)}\n${failure.next === undefined ? "" : `  ${printable(failure.next)}\n`}`,
      );
  const names = [...new Set(lost.map((loss) => loss.name))].join(", ");
  const mayPass = lost.some(({ failure }) => failure instanceof Unavailable && failure.details.retryable);
  const next =
    kept.length > 0
      ? "run the same command again: it resumes, and fetches only the rest"
      : mayPass
        ? "run the same command again in a while"
        : "upstream does not offer these: correct the site file, or remove them from it";
  throw isPart
    ? withKeptWork(new Failure("partly", `not exported completely: ${names}; the archive contains the rest`, { next }), kept)
    : withKeptWork(new Failure("failed", `nothing could be exported of ${names}`, { next }), kept);
}

function archiveJson({ paths, beside, exported, kept }: ArchiveResult) {
  return {
    paths,
    beside,
    size: exported.length,
    fetched: exported.fetched,
    packages: exported.packages.map(({ name, type, id, releases, revisions, resources }) => ({
      name,
      type,
      id,
      revisions: revisions.map((revision) => revision.revision),
      resources: resources.map((resource) => `${resource.name}_${resource.revision}`),
      releases,
    })),
    snaps: exported.snaps.map(({ name, id, releases, revisions }) => ({
      name,
      id,
      revisions: revisions.map((revision) => revision.revision),
      releases,
    })),
    images: exported.images.map(({ reference, digest, size, neededBy }) => ({ reference, digest: digestText(digest), size, neededBy })),
    agents: exported.agents.map(({ version, agents, streams }) => ({
      version,
      updated: streams.updated,
      files: agents.map(({ architecture, size, sha256 }) => ({ architecture, size, sha256 })),
    })),
    notes: exported.notes,
    kept,
    lost: exported.failed.map(lostJson),
  };
}

function lostJson({ name, failure }: FailedPackage) {
  return {
    name,
    error: failure.message,
    ...(failure instanceof Unavailable && { url: failure.url, status: failure.details.status ?? null }),
  };
}
