/** Which snaps the stored charms and snaps need, and which of these the store does not have. */

import type { Need } from "./need.ts";
import type { Package } from "./package.ts";
import { ANY_ARCHITECTURE, runsOn, type Snap } from "./snap.ts";

/** Why a snap is needed. */
export type NeedKind = "charm-snaps" | "bases" | "providers" | "snapd";

/** A snap that something stored needs; also the JSON of `chp missing`. */
export interface NeededSnap extends Omit<Need, "where"> {
  readonly kinds: readonly NeedKind[];
  /** `charm kafka 195 (refresh_versions.toml)`, `base of hello` */
  readonly by: readonly string[];
  /** whether the store has it */
  readonly stored: boolean;
}

/** The snap that every machine with any snap needs. */
const SNAPD = "snapd";
/** bases that are no snaps, or a part of snapd */
const NO_SNAP_BASES = new Set(["none", "bare", ""]);
/** the base of a snap that names none */
const OLD_BASE = "core";

/** The base that a snap runs on; undefined: none, or it is one itself. */
export function snapBase({
  type,
  base = type === "app" ? OLD_BASE : "",
}: {
  readonly type: string;
  readonly base?: string | undefined;
}): string | undefined {
  return NO_SNAP_BASES.has(base) ? undefined : base;
}

/** The fields of a charm that say what it needs. */
export type NeedingCharm = Pick<Package, "name"> & {
  readonly revisions: readonly Pick<Package["revisions"][number], "revision" | "snaps" | "bases">[];
  readonly releases: readonly Pick<Package["releases"][number], "revision" | "base">[];
};
/** The fields of a snap that say what it needs, and which revisions machines install. */
export type InstallableSnap = Pick<Snap, "name"> & {
  /** newest first */
  readonly revisions: readonly Pick<Snap["revisions"][number], "revision" | "base" | "type" | "providers" | "architectures">[];
  readonly releases: readonly Pick<Snap["releases"][number], "revision" | "architecture">[];
};
type InstallableRevision = InstallableSnap["revisions"][number];

/** Certain needs before likely ones, each sorted by name. `counts`: whether the needs of a snap count; by default those of all. */
export function neededSnaps<S extends InstallableSnap>(
  packages: readonly NeedingCharm[],
  snaps: readonly S[],
  counts: (snap: S) => boolean = () => true,
): NeededSnap[] {
  const byName = new Map(snaps.map((snap) => [snap.name, snap]));
  const found = new Map<string, NeededSnap>();
  const addNeed = (need: Omit<Need, "where">, kind: NeedKind, by: string) => {
    const key = JSON.stringify([need.name, need.revision, need.architecture, need.revision === undefined ? need.channel : null]);
    const before = found.get(key);
    found.set(key, {
      ...(before ?? need),
      kinds: [...new Set([...(before?.kinds ?? []), kind])],
      sure: before?.sure === "certain" ? "certain" : need.sure,
      by: [...new Set([...(before?.by ?? []), by])],
      stored: isSatisfied(need, byName.get(need.name)),
    });
  };
  for (const pkg of packages)
    for (const revision of pkg.revisions) {
      const architectures = charmArchitectures(pkg, revision);
      for (const { where, ...need } of revision.snaps ?? [])
        if (architectures.length === 0 || need.architecture === undefined || architectures.includes(need.architecture))
          addNeed(need, "charm-snaps", `charm ${pkg.name} ${revision.revision} (${where})`);
    }
  for (const [{ name: snap }, revision, architecture] of snaps.filter(counts).flatMap(installedRevisions)) {
    const certain = (name: string) => ({ name, ...(architecture !== ANY_ARCHITECTURE && { architecture }), sure: "certain" as const });
    const base = snapBase(revision);
    if (base !== undefined) addNeed(certain(base), "bases", `base of ${snap}`);
    for (const provider of revision.providers) addNeed(certain(provider), "providers", `default provider of ${snap}`);
    if (revision.type === "app") addNeed(certain(SNAPD), "snapd", "every machine that installs a snap");
  }
  const all = [...found.values()];
  const isCovered = (need: NeededSnap) => need.sure === "certain" && isUnspecific(need) && all.some((other) => impliesNeed(other, need));
  const rank = (need: NeededSnap) => (need.sure === "certain" ? 0 : 1);
  return all
    .filter((need) => !isCovered(need))
    .toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.revision ?? 0) - (b.revision ?? 0)));
}

/** Whether any revision from any channel for any architecture will do. */
function isUnspecific({ revision, channel, architecture }: NeededSnap): boolean {
  return [revision, channel, architecture].every((part) => part === undefined);
}

/** Whether every snap that satisfies `other`, which is for one architecture, satisfies the unspecific `need` too. */
function impliesNeed(other: NeededSnap, need: NeededSnap): boolean {
  return other.name === need.name && other.revision === undefined && other.architecture !== undefined;
}

/** The architectures that a charm's revision can be deployed on: by its releases, else by its bases; empty: any. */
function charmArchitectures({ releases }: NeedingCharm, { revision, bases }: NeedingCharm["revisions"][number]): string[] {
  const released = releases.flatMap((release) => (release.revision === revision && release.base ? [release.base.architecture] : []));
  const architectures = released.length > 0 ? released : bases.map((base) => base.architecture);
  return architectures.includes(ANY_ARCHITECTURE) ? [] : architectures;
}

/** What machines install of a snap, and on which architecture: what is released, else the newest revision. */
function installedRevisions<S extends InstallableSnap>(snap: S): (readonly [S, InstallableRevision, string])[] {
  const released = snap.releases.flatMap(({ revision: number, architecture }) => {
    const revision = snap.revisions.find((candidate) => candidate.revision === number);
    return revision ? [[snap, revision, architecture] as const] : [];
  });
  const [newest] = snap.revisions;
  if (released.length > 0 || !newest) return released;
  return newest.architectures.map((architecture) => [snap, newest, architecture] as const);
}

function isSatisfied({ revision, architecture }: Omit<Need, "where">, snap: InstallableSnap | undefined): boolean {
  if (!snap) return false;
  if (revision !== undefined) return snap.revisions.some((candidate) => candidate.revision === revision);
  return snap.revisions.some((candidate) => architecture === undefined || runsOn(candidate, architecture));
}

/** `charmed-kafka 34 amd64` */
export function showNeed({ name, revision, architecture, channel }: Omit<Need, "where" | "sure">): string {
  const which = revision === undefined ? channel : `revision ${revision}`;
  return [name, which, architecture].filter((part) => part !== undefined).join(" ");
}
