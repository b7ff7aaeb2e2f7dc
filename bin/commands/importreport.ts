/** The report that `chp import` prints. */

import { classify } from "../../src/archives/names.ts";
import { showSigner } from "../../src/archives/signature.ts";
import { showBase } from "../../src/catalog/base.ts";
import { showRow } from "../../src/catalog/change.ts";
import type { ChannelPolicy } from "../../src/catalog/channelmap.ts";
import { showNeededBy } from "../../src/catalog/images.ts";
import { showPulled, UNDO_PULLS } from "../../src/catalog/imagesources.ts";
import { endCommand, overrideOn, showPinned } from "../../src/catalog/override.ts";
import { showNeed } from "../../src/catalog/snapneeds.ts";
import { shortDigest } from "../../src/digest.ts";
import { printable } from "../../src/errors.ts";
import type { AgentReport } from "../../src/import/agentimport.ts";
import type { PackageReport } from "../../src/import/charmimport.ts";
import type { ImageReport } from "../../src/import/imageimport.ts";
import type { ImportReport, PrintedReport } from "../../src/import/import.ts";
import type { SnapReport } from "../../src/import/snapimport.ts";
import { type CommonOptions, count, showSize, storeFlag } from "../machine/io.ts";

export function renderImport(report: Omit<PrintedReport, "undo">, policy: ChannelPolicy, options: CommonOptions): string {
  const lines = [
    ...report.packages.flatMap((pkg) => renderPackageReport(pkg, options)),
    ...report.snaps.flatMap((snap) => renderSnapReport(snap, options)),
    ...report.images.flatMap(renderImageReport),
    ...report.agents.flatMap(renderAgentReport),
  ];
  const { charms, resources, revisions, snapRevisions, snaps, images } = report.missing;
  lines.push(...renderSigners(report.sources));
  if (report.assertions.new > 0) lines.push(`assertions: ${report.assertions.new} new, ${report.assertions.known} already present`);
  if (charms.length + resources.length + revisions.length + snapRevisions.length + snaps.length + images.length > 0)
    lines.push("", "missing");
  for (const { bundle, charm } of charms) lines.push(`  charm ${charm}, which the bundle ${bundle} names`);
  for (const { charm, resource, revision } of resources)
    lines.push(`  resource ${resource}${revision === null ? "" : ` revision ${revision}`} of ${charm}`);
  for (const { name, revision, ...row } of revisions) lines.push(`  ${name} revision ${revision}, so ${showRow(row)} was not released`);
  for (const { name, channel, architecture, revision } of snapRevisions)
    lines.push(`  snap ${name} revision ${revision}, so ${channel} ${architecture} was not released`);
  for (const snap of snaps)
    lines.push(`  snap ${showNeed(snap)}${snap.sure === "certain" ? "" : ` (${snap.sure})`}, needed by ${snap.by.join(", ")}`);
  for (const { upstream, neededBy } of images) lines.push(`  image ${upstream}, needed by ${neededBy.map(showNeededBy).join("; ")}`);
  if (report.pulledFromHere.length > 0)
    lines.push(
      "",
      "images",
      ...report.pulledFromHere.map((pulled) => `  ${showPulled(pulled)}`),
      `  undo: ${UNDO_PULLS}${storeFlag(options)}`,
    );
  if (report.notes.length + report.ignored.length > 0) lines.push("", "notes");
  for (const text of report.notes) lines.push(`  ${text}`);
  for (const file of report.ignored) lines.push(`  ${file} was ignored`);
  lines.push("", renderSummary(report, policy));
  return `${lines.map((line) => printable(line)).join("\n")}\n`;
}

/** `site.tar: signed by 62196CEF1DA5E212 (site), chp export of 2026-04-26T16:31:15Z`: one line per signature, with the files that it covers. */
function renderSigners(sources: ImportReport["sources"]): string[] {
  const covered = new Map<string, string[]>();
  for (const { name, signers = [] } of sources)
    for (const signer of signers) {
      const by = `signed by ${showSigner(signer)}, ${signer.comment}`;
      covered.set(by, [...(covered.get(by) ?? []), ...(classify(name) === "checksums" ? [] : [name])]);
    }
  return [...covered].map(([by, names]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}: ${by}`);
}

function renderPackageReport(pkg: PackageReport, options: CommonOptions): string[] {
  return [
    `${pkg.name}: ${pkg.type}, ${showState(pkg)}`,
    ...renderNumbers("revisions", pkg.revisions),
    ...renderNumbers("resources", pkg.resources),
    ...pkg.channels.map(
      (change) => `  ${showRow(change)}: ${renderChannelMove(change)}${renderOverride(pkg, { ...change, on: showBase(change.base) })}`,
    ),
    ...renderEndCommands(pkg, options),
    ...pkg.notes.map((text) => `  note: ${text}`),
  ];
}

function showState({ state }: Pick<PackageReport, "state">): string {
  return state === "known" ? "already present" : state;
}

/** `  revisions  965 new, 960 already present`; no line where there is none. */
function renderNumbers(what: string, { new: added, known }: Record<"new" | "known", readonly (number | string)[]>): string[] {
  const shown = [...added.map((each) => `${each} new`), ...known.map((each) => `${each} already present`)];
  return shown.length > 0 ? [`  ${what}  ${shown.join(", ")}`] : [];
}

function renderSnapReport(snap: SnapReport, options: CommonOptions): string[] {
  return [
    `${snap.name}: snap, ${showState(snap)}`,
    ...renderNumbers("revisions", snap.revisions),
    ...renderNumbers("components", snap.components),
    ...snap.channels.map(
      (change) =>
        `  ${change.channel} ${change.architecture}: ${renderChannelMove(change)}${renderOverride(snap, { ...change, on: change.architecture })}`,
    ),
    ...renderEndCommands(snap, options),
    ...snap.unverified.map(({ revision, reason: why }) => `  UNVERIFIED revision ${revision}: ${why}`),
    ...snap.notes.map((text) => `  note: ${text}`),
  ];
}

function renderImageReport({ name, state, manifests, tags, architectures }: ImageReport): string[] {
  const known = manifests.known.length === 0 ? [] : [`${manifests.known.length} already present`];
  return [
    `${name}: images, ${state === "known" ? "already present" : state}`,
    ...tags.map(({ tag, from, to }) => `  ${tag}: ${from === null ? "new" : `${shortDigest(from)} → ${shortDigest(to)}`}`),
    `  manifests  ${[...(manifests.new.length === 0 ? [] : [`${manifests.new.length} new`]), ...known].join(", ")}`,
    ...(architectures.length > 0 ? [`  architectures  ${architectures.join(", ")}`] : []),
  ];
}

function renderAgentReport({ name, state, architectures, unverified }: AgentReport): string[] {
  const known = architectures.known.length === 0 ? [] : [`${architectures.known.join(", ")} already present`];
  return [
    `${name}: agents, ${state === "known" ? "already present" : state}`,
    `  architectures  ${[...(architectures.new.length === 0 ? [] : [`${architectures.new.join(", ")} new`]), ...known].join("; ")}`,
    ...unverified.map(({ architecture, reason: why }) => `  UNVERIFIED ${architecture}: ${why}`),
  ];
}

function renderChannelMove({ from, to }: { from: number | null; to: number | null }): string {
  if (from === null) return `opened at ${to}`;
  if (to === null) return `replaced by all, was ${from}`;
  return from === to ? `${to}, with other resources` : `${from} → ${to}`;
}

/** The override that hides the row, if any. */
function renderOverride({ overrides }: Pick<PackageReport, "overrides">, row: Parameters<typeof overrideOn>[1]): string {
  const override = overrideOn(overrides, row);
  return override ? `; ${showPinned(override)}` : "";
}

function renderEndCommands({ name, overrides }: Pick<PackageReport, "name" | "overrides">, options: CommonOptions): string[] {
  return [...new Set(overrides.map((override) => override.channel))].map(
    (channel) => `  end it: ${endCommand(name, channel)}${storeFlag(options)}`,
  );
}

/** Whether all of it was stored before: then a generation at most remembers that it is the newest by its key. */
export function isUnchanged({ generation, packages, snaps, images, agents, assertions, dryRun }: ImportReport): boolean {
  const isKnown = [...packages, ...snaps, ...images, ...agents].every(({ state }) => state === "known") && assertions.new === 0;
  return !dryRun && (generation === null || isKnown);
}

function renderSummary(report: ImportReport, policy: ChannelPolicy): string {
  const all = [...report.packages, ...report.snaps];
  const changed = showChanged(
    all.filter(({ state }) => state !== "known").length,
    report.images.filter(({ state }) => state !== "known").length,
    report.agents.filter(({ state }) => state !== "known").length,
  );
  const amount = `${showSize(report.bytes.new)} new, ${showSize(report.bytes.known)} already present`;
  const keeping = { apply: [], "keep-charms": report.packages, keep: all }[policy];
  const kept = keeping.some((pkg) => pkg.state !== "new")
    ? "; channels of stored packages were kept (--push-channel-map or chp import releases them)"
    : "";
  if (report.dryRun) return `dry run: ${changed} would change, ${amount}; nothing was changed`;
  if (isUnchanged(report)) {
    const newest = report.generation === null ? "" : `; generation ${report.generation} remembers when it was signed`;
    return `nothing changed: everything was already present (${amount})${newest}${kept}`;
  }
  return `generation ${report.generation}: ${changed} changed, ${amount}${kept}`;
}

/** `2 packages`, `2 packages and 1 repository of images`, `agents of 1 version`; where nothing changed, `0 packages`. */
export function showChanged(packages: number, repositories: number, versions: number): string {
  const parts = [
    ...(packages > 0 || repositories + versions === 0 ? [count(packages, "package")] : []),
    ...(repositories > 0 ? [count(repositories, "repository of images", "repositories of images")] : []),
    ...(versions > 0 ? [`agents of ${count(versions, "version")}`] : []),
  ];
  return parts.length < 3 ? parts.join(" and ") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}
