/** Which snaps the held charms and snaps need, and which of them the store lacks. */

import type { Need } from "./need.ts";
import type { Package } from "./package.ts";
import { ANY_ARCHITECTURE, runsOn, type Snap } from "./snap.ts";

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
export type NeedingCharm = Pick<Package, "name"> & {
  readonly revisions: readonly Pick<Package["revisions"][number], "revision" | "snaps" | "bases">[];
  readonly releases: readonly Pick<Package["releases"][number], "revision" | "base">[];
};
export type InstallableSnap = Pick<Snap, "name"> & {
  /** newest first */
  readonly revisions: readonly Pick<Snap["revisions"][number], "revision" | "base" | "type" | "providers" | "architectures">[];
  readonly releases: readonly Pick<Snap["releases"][number], "revision" | "architecture">[];
};
type InstallableRevision = InstallableSnap["revisions"][number];

/** Sorted by name; what is certain before what is likely. `asks`: whose needs count; all by default. */
export function neededSnaps<S extends InstallableSnap>(
  packages: readonly NeedingCharm[],
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
      held: isSatisfied(one, held.get(one.name)),
    });
  };
  for (const pkg of packages)
    for (const revision of pkg.revisions) {
      const machines = charmArchitectures(pkg, revision);
      for (const { where, ...one } of revision.snaps ?? [])
        if (machines.length === 0 || one.architecture === undefined || machines.includes(one.architecture))
          need(one, "charm-snaps", `charm ${pkg.name} ${revision.revision} (${where})`);
    }
  for (const [{ name: snap }, revision, architecture] of snaps.filter(asks).flatMap(installedRevisions)) {
    const certain = (name: string) => ({ name, ...(architecture !== ANY_ARCHITECTURE && { architecture }), sure: "certain" as const });
    const base = revision.base ?? (revision.type === "app" ? OLD_BASE : "");
    if (!NO_BASES.has(base)) need(certain(base), "bases", `base of ${snap}`);
    for (const provider of revision.providers) need(certain(provider), "providers", `default provider of ${snap}`);
    if (revision.type === "app") need(certain(SNAPD), "snapd", "every machine that installs a snap");
  }
  // What serves one architecture serves those who do not mind which.
  const everywhere = (one: NeededSnap) => [one.revision, one.channel, one.architecture].every((part) => part === undefined);
  const isSaid = (one: NeededSnap) =>
    [...found.values()].some((other) => other.name === one.name && other.revision === undefined && other.architecture !== undefined);
  const rank = (one: NeededSnap) => (one.sure === "certain" ? 0 : 1);
  const needed = [...found.values()].filter((one) => one.sure === "likely" || !everywhere(one) || !isSaid(one));
  return needed.toSorted(
    (a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.revision ?? 0) - (b.revision ?? 0)),
  );
}

/** On what architectures a charm's revision is to be had: by its releases, else by its bases; none: on any. */
function charmArchitectures({ releases }: NeedingCharm, { revision, bases }: NeedingCharm["revisions"][number]): string[] {
  const released = releases.flatMap((one) => (one.revision === revision && one.base ? [one.base.architecture] : []));
  const machines = released.length > 0 ? released : bases.map((one) => one.architecture);
  return machines.includes(ANY_ARCHITECTURE) ? [] : machines;
}

/** What machines install of a snap, and on which architecture: what is released, else the newest. */
function installedRevisions<S extends InstallableSnap>(snap: S): (readonly [S, InstallableRevision, string])[] {
  const released = snap.releases.flatMap(({ revision: number, architecture }) => {
    const revision = snap.revisions.find((one) => one.revision === number);
    return revision ? [[snap, revision, architecture] as const] : [];
  });
  const [newest] = snap.revisions;
  if (released.length > 0 || !newest) return released;
  return newest.architectures.map((architecture) => [snap, newest, architecture] as const);
}

function isSatisfied({ revision, architecture }: Omit<Need, "where">, snap: InstallableSnap | undefined): boolean {
  if (!snap) return false;
  if (revision !== undefined) return snap.revisions.some((r) => r.revision === revision);
  return snap.revisions.some((r) => architecture === undefined || runsOn(r, architecture));
}

/** `charmed-kafka 34 amd64` */
export function showNeed({ name, revision, architecture, channel }: Omit<Need, "where" | "sure">): string {
  const which = revision === undefined ? channel : `revision ${revision}`;
  return [name, which, architecture].filter((part) => part !== undefined).join(" ");
}
