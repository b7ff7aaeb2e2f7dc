/** Which snaps the held charms and snaps need, and which of them the store lacks. */

import type { Need } from "./needs.ts";
import type { Package } from "./package.ts";
import { findSnapRevision, type Snap } from "./snap.ts";
import { runsOn } from "./snapresolve.ts";

/** A snap that something held needs. */
export interface NeededSnap extends Omit<Need, "where"> {
  /** `charm kafka 195 (refresh_versions.toml)`, `base of hello` */
  readonly by: readonly string[];
  readonly held: boolean;
}

/** What every machine with a snap needs besides. */
const SNAPD = "snapd";
/** bases that are no snaps, or a part of snapd */
const NO_BASES = new Set(["none", "bare", ""]);
/** what a snap without a base runs on */
const OLD_BASE = "core";

/** Sorted by name; what is certain before what is likely. `asks`: whose needs count; all by default. */
export function neededSnaps(
  packages: readonly Package[],
  snaps: readonly Snap[],
  asks: (snap: Snap) => boolean = () => true,
): NeededSnap[] {
  const held = new Map(snaps.map((snap) => [snap.name, snap]));
  const found = new Map<string, NeededSnap>();
  const need = (one: Omit<Need, "where">, by: string) => {
    const key = JSON.stringify([one.name, one.revision, one.architecture, one.revision === undefined ? one.channel : null]);
    const before = found.get(key);
    found.set(key, {
      ...(before ?? one),
      sure: before?.sure === "certain" ? "certain" : one.sure,
      by: [...new Set([...(before?.by ?? []), by])],
      held: isHeld(one, held.get(one.name)),
    });
  };
  for (const pkg of packages)
    for (const revision of pkg.revisions)
      for (const { where, ...one } of revision.snaps ?? []) need(one, `charm ${pkg.name} ${revision.revision} (${where})`);
  for (const snap of snaps) {
    const [newest] = snap.revisions;
    if (!newest || !asks(snap)) continue;
    const base = newest.base ?? (newest.type === "app" ? OLD_BASE : "");
    if (!NO_BASES.has(base)) need({ name: base, sure: "certain" }, `base of ${snap.name}`);
    for (const provider of newest.providers) need({ name: provider, sure: "certain" }, `default provider of ${snap.name}`);
    if (newest.type === "app") need({ name: SNAPD, sure: "certain" }, "every machine that installs a snap");
  }
  const rank = (one: NeededSnap) => (one.sure === "certain" ? 0 : 1);
  return [...found.values()].toSorted(
    (a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.revision ?? 0) - (b.revision ?? 0)),
  );
}

function isHeld({ revision, architecture }: Omit<Need, "where">, snap: Snap | undefined): boolean {
  if (!snap) return false;
  if (revision !== undefined) return findSnapRevision(snap, revision) !== undefined;
  return snap.revisions.some((r) => architecture === undefined || runsOn(r, architecture));
}

/** `charmed-kafka 34 amd64` */
export function showNeed({ name, revision, architecture, channel }: Omit<Need, "where" | "sure">): string {
  const which = revision === undefined ? channel : `revision ${revision}`;
  return [name, which, architecture].filter((part) => part !== undefined).join(" ");
}
