import { offered, overridesOf } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { type CommonOptions, type Io, note, printJson, printTable, showSize } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { define, EXITS, type Register } from "./command.ts";

export const NOTHING_STORED = "nothing is held; next: chp import FILE";

export const listCommand: Register = (program, io) => {
  define(program, "list", "list the charms, bundles and snaps that are held", EXITS).action((options: CommonOptions) =>
    runList(options, io),
  );
};

export async function runList(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  printSummaries(
    [...(await snapshot.packages()).map(summaryOfPackage), ...(await snapshot.snaps()).map(summaryOfSnap)],
    NOTHING_STORED,
    options,
    io,
  );
  await failOnDamage(store);
}

/** `otherwise`: said where there is nothing. */
export function printSummaries(found: readonly (PackageSummary | SnapSummary)[], otherwise: string, options: CommonOptions, io: Io): void {
  if (options.json) return printJson(found, io);
  if (found.length === 0) return note(otherwise, options, io);
  const rows = found.map((one) => {
    const doubtful = "unverified" in one ? one.unverified : [];
    const revisions = one.revisions.map((r) => (doubtful.includes(r) ? `${r}!` : String(r)));
    const channels = one.channels.map((channel) => (one.overridden.includes(channel) ? `${channel}*` : channel));
    return [one.name, one.type, one.defaultTrack, channels.join(" "), revisions.join(" "), showSize(one.size)];
  });
  printTable(["NAME", "TYPE", "DEFAULT TRACK", "CHANNELS", "REVISIONS", "SIZE"], rows, io);
  if (found.some((one) => one.overridden.length > 0))
    note("channels marked * are held by an override: chp overrides tells why", options, io);
  if (found.some((one) => "unverified" in one && one.unverified.length > 0))
    note("revisions marked ! do not verify: they were taken in with --allow-unverified", options, io);
}

type PackageSummary = ReturnType<typeof summaryOfPackage>;
type SnapSummary = ReturnType<typeof summaryOfSnap>;

export function summaryOfPackage(held: Package) {
  const pkg = offered(held, Date.now());
  return {
    name: pkg.name,
    type: pkg.type,
    id: pkg.id,
    defaultTrack: pkg.defaultTrack,
    channels: [...new Set(pkg.releases.map((r) => r.channel))],
    overridden: overriddenOf(pkg),
    revisions: pkg.revisions.map((r) => r.revision),
    size: sizeOf(pkg),
  };
}

export function summaryOfSnap(held: Snap) {
  const snap = offered(held, Date.now());
  return {
    name: snap.name,
    type: snap.type,
    id: snap.id,
    defaultTrack: snap.defaultTrack,
    channels: [...new Set(snap.releases.map((r) => r.channel))],
    overridden: overriddenOf(snap),
    revisions: snap.revisions.map((r) => r.revision),
    unverified: snap.revisions.filter((r) => r.unverified !== undefined).map((r) => r.revision),
    size: sizeOfSnap(snap),
  };
}

/** Channels that an override holds. */
function overriddenOf(held: Package | Snap): string[] {
  const inForce = overridesOf(held, Date.now()).filter((one) => one.state === "in force");
  return [...new Set(inForce.map((one) => one.channel))];
}

/** Bytes of its revisions and components, each blob once. */
export function sizeOfSnap(snap: Snap): number {
  const blobs = new Map([...snap.revisions, ...snap.components.flatMap((c) => c.revisions)].map((one) => [one.blob, one.size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

/** Bytes of its revisions and resources, each blob once. */
export function sizeOf(pkg: Package): number {
  const blobs = new Map([...pkg.revisions, ...pkg.resources.flatMap((r) => r.revisions)].map((one) => [one.blob, one.size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}
