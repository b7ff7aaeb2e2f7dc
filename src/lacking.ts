/** Which snaps the held charms and snaps need, and which of them the store lacks. */

import type { Need } from "./needs.ts";
import type { Package } from "./package.ts";
import type { Snap } from "./snap.ts";
import { runsOn } from "./snapresolve.ts";

/** What makes a snap needed. */
export type NeedKind = "charm-snaps" | "bases" | "providers" | "snapd";

/** A snap that something held needs. */
export interface NeededSnap extends Omit<Need, "where"> {
  readonly kinds: readonly NeedKind[];
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

/** What matters here of a charm, and of a snap. */
export type Needer = Pick<Package, "name"> & { readonly revisions: readonly Pick<Package["revisions"][number], "revision" | "snaps">[] };
export type HeldSnap = Pick<Snap, "name"> & {
  readonly revisions: readonly Pick<Snap["revisions"][number], "revision" | "base" | "type" | "providers" | "architectures">[];
};

/** Sorted by name; what is certain before what is likely. `asks`: whose needs count; all by default. */
export function neededSnaps<S extends HeldSnap>(
  packages: readonly Needer[],
  snaps: readonly S[],
  asks: (snap: S) => boolean = () => true,
): NeededSnap[] {
  const held = new Map(snaps.map((snap) => [snap.name, snap]));
  const found = new Map<string, NeededSnap>();
  const need = (one: Omit<Need, "where">, kind: NeedKind, by: string) => {
    const key = JSON.stringify([one.name, one.revision, one.architecture, one.revision === undefined ? one.channel : null]);
    const before = found.get(key);
    found.set(key, {
      ...(before ?? one),
      kinds: [...new Set([...(before?.kinds ?? []), kind])],
      sure: before?.sure === "certain" ? "certain" : one.sure,
      by: [...new Set([...(before?.by ?? []), by])],
      held: isHeld(one, held.get(one.name)),
    });
  };
  for (const pkg of packages)
    for (const revision of pkg.revisions)
      for (const { where, ...one } of revision.snaps ?? []) need(one, "charm-snaps", `charm ${pkg.name} ${revision.revision} (${where})`);
  for (const snap of snaps) {
    const [newest] = snap.revisions;
    if (!newest || !asks(snap)) continue;
    const base = newest.base ?? (newest.type === "app" ? OLD_BASE : "");
    if (!NO_BASES.has(base)) need({ name: base, sure: "certain" }, "bases", `base of ${snap.name}`);
    for (const provider of newest.providers) need({ name: provider, sure: "certain" }, "providers", `default provider of ${snap.name}`);
    if (newest.type === "app") need({ name: SNAPD, sure: "certain" }, "snapd", "every machine that installs a snap");
  }
  const rank = (one: NeededSnap) => (one.sure === "certain" ? 0 : 1);
  return [...found.values()].toSorted(
    (a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.revision ?? 0) - (b.revision ?? 0)),
  );
}

function isHeld({ revision, architecture }: Omit<Need, "where">, snap: HeldSnap | undefined): boolean {
  if (!snap) return false;
  if (revision !== undefined) return snap.revisions.some((r) => r.revision === revision);
  return snap.revisions.some((r) => architecture === undefined || runsOn(r, architecture));
}

/** `charmed-kafka 34 amd64` */
export function showNeed({ name, revision, architecture, channel }: Omit<Need, "where" | "sure">): string {
  const which = revision === undefined ? channel : `revision ${revision}`;
  return [name, which, architecture].filter((part) => part !== undefined).join(" ");
}
