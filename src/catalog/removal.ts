/** Removal of packages and revisions: what uses them, what machines may still need, and what is left. All of it is pure. */

import { Failure } from "../errors.ts";
import { type AnyRow, type StoredPackage, showRow } from "./change.ts";
import { settled } from "./channelmap.ts";
import { overridesOf, overridesThat } from "./override.ts";
import { findResource, PACKAGE_RULES, type Package } from "./package.ts";
import { componentsOf, SNAP_RULES, type Snap } from "./snap.ts";

export interface Removal {
  /** reasons against the removal: channels, overrides and bundles that use it */
  readonly uses: readonly string[];
  /** what machines that have it installed request again, and fail without */
  readonly needed: readonly string[];
  /** undefined: nothing is left of the package */
  readonly after: StoredPackage | undefined;
}

/** Removes a revision, or without a number the whole package. Throws a `not-found` failure. `now`: milliseconds. */
export function removal(pkg: StoredPackage, revision: number | undefined, bundles: readonly Package[], now: number): Removal {
  const gone = pkg.revisions.filter((r) => revision === undefined || r.revision === revision).map((r) => r.revision);
  if (gone.length === 0 && revision !== undefined)
    throw new Failure("not-found", `revision ${revision} of ${pkg.name} is not stored`, { next: `chp show ${pkg.name} lists what is` });
  const all = gone.length === pkg.revisions.length;
  return {
    uses: [
      ...rowsUsing(pkg, gone),
      ...overridesUsing(pkg, gone, now),
      ...(all && pkg.type === "charm" ? bundlesOf(pkg.name, bundles) : []),
    ],
    needed: pkg.type === "snap" ? neededOf(pkg, gone) : [],
    after: all ? undefined : pkg.type === "snap" ? snapWithout(pkg, gone) : packageWithout(pkg, gone),
  };
}

function rowsUsing(pkg: StoredPackage, gone: readonly number[]): string[] {
  const rows: readonly AnyRow[] = pkg.releases;
  return rows.flatMap((row) => (gone.includes(row.revision) ? [`${showRow(row)} releases revision ${row.revision}`] : []));
}

function overridesUsing(pkg: StoredPackage, gone: readonly number[], now: number): string[] {
  return overridesOf(pkg, now)
    .filter((facts) => facts.state === "in force" && gone.includes(facts.revision))
    .map((facts) => `an override pins ${facts.channel} ${facts.on} to revision ${facts.revision}: ${facts.reason}`);
}

function bundlesOf(name: string, bundles: readonly Package[]): string[] {
  return bundles.flatMap((bundle) =>
    bundle.revisions.flatMap((r) => (r.charms.includes(name) ? [`bundle ${bundle.name} revision ${r.revision} names it`] : [])),
  );
}

function neededOf(snap: Snap, gone: readonly number[]): string[] {
  return gone.flatMap((revision) => [
    `snap ${snap.name} revision ${revision}`,
    ...componentsOf(snap, revision).map(
      ([name, component]) => `component ${name} revision ${component.revision} of ${snap.name} revision ${revision}`,
    ),
  ]);
}

function packageWithout(pkg: Package, gone: readonly number[]): Package {
  const stays = (r: { readonly revision: number }) => !gone.includes(r.revision);
  const pins = (rows: Package["history"]) =>
    new Set(rows.flatMap((r) => Object.entries(r.resources).map(([name, pin]) => `${name}_${pin}`)));
  const rows = [...pkg.releases, ...(pkg.overrides ?? []), ...pkg.history];
  const [were, are] = [pins(rows), pins(rows.filter(stays))];
  return settled(PACKAGE_RULES, {
    ...overridesThat(pkg, stays),
    revisions: pkg.revisions.filter(stays),
    // A resource is removed if only removed revisions were released with it.
    resources: pkg.resources.map(({ name, revisions }) => ({
      name,
      revisions: revisions.filter((r) => {
        const pin = `${name}_${r.revision}`;
        return !were.has(pin) || are.has(pin) || r === findResource(pkg, name);
      }),
    })),
    releases: pkg.releases.filter(stays),
    history: pkg.history.filter(stays),
  });
}

function snapWithout(snap: Snap, gone: readonly number[]): Snap {
  const stays = (r: { readonly revision: number }) => !gone.includes(r.revision);
  const pairs = snap.pairs.filter(stays);
  const isIn = (all: Snap["pairs"], name: string, revision: number) =>
    all.some((pair) => pair.component === name && pair.componentRevision === revision);
  return settled(SNAP_RULES, {
    ...overridesThat(snap, stays),
    revisions: snap.revisions.filter(stays),
    components: snap.components.flatMap(({ name, revisions }) => {
      const left = revisions.filter((r) => isIn(pairs, name, r.revision) || !isIn(snap.pairs, name, r.revision));
      return left.length > 0 ? [{ name, revisions: left }] : [];
    }),
    pairs,
    releases: snap.releases.filter(stays),
    history: snap.history.filter(stays),
  });
}
