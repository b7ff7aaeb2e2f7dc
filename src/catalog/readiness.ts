/** Findings about what a deployment needs and the store does not have, each with what to do next. Findings of the network are not made here. */

import { DEFAULT_ARCHITECTURE } from "./controller.ts";
import { EXPORT_SNAPS, exportCharms, type ReadinessFinding } from "./finding.ts";
import type { Package } from "./package.ts";
import { resolve } from "./resolve.ts";
import type { Snap } from "./snap.ts";
import { neededSnaps, showNeed } from "./snapneeds.ts";

/** Missing snaps: bases of the stored snaps, snapd, and what charms install. */
export function snapFindings(packages: readonly Package[], snaps: readonly Snap[]): ReadinessFinding[] {
  return neededSnaps(packages, snaps)
    .filter((need) => !need.held)
    .map((need) => ({
      check: "snaps",
      what: `the snap ${showNeed(need)} is not held; needed by ${need.by.join(", ")}`,
      sure: need.sure,
      next: EXPORT_SNAPS,
    }));
}

/** A charm that a bundle names. */
export interface BundledCharm {
  /** `bundle cos-lite 11` */
  readonly by: string;
  readonly charm: string;
  /** undefined: the charm's default */
  readonly channel?: string;
}

/** Charms of bundles that are not stored, or not released to the channel that the bundle names. */
export function bundleFindings(packages: readonly Package[], bundled: readonly BundledCharm[]): ReadinessFinding[] {
  const byName = new Map(packages.map((pkg) => [pkg.name, pkg]));
  const found = new Map<string, { readonly next: string; readonly by: Set<string> }>();
  for (const { by, charm, channel } of bundled) {
    const pkg = byName.get(charm);
    if (pkg && (channel === undefined || isReleased(pkg, channel))) continue;
    const what = pkg ? `the charm ${charm} is held, but not in ${channel}` : `the charm ${charm} is not held`;
    const next = exportCharms(channel === undefined ? charm : `${charm} (channel ${channel})`);
    const finding = found.get(what) ?? { next, by: new Set() };
    found.set(what, finding);
    finding.by.add(by);
  }
  return [...found].map(([what, { next, by }]) => ({
    check: "charms",
    what: `${what}; named by ${[...by].join(", ")}`,
    sure: "certain",
    next,
  }));
}

/** Whether the channel has a revision for a Juju that names no base, on any architecture. */
function isReleased(pkg: Package, channel: string): boolean {
  const architectures = new Set(pkg.releases.map((release) => release.base?.architecture ?? DEFAULT_ARCHITECTURE));
  return [...architectures].some((architecture) => {
    const base = { name: "NA", channel: "NA", architecture };
    const query = { action: "install", instanceKey: "", name: pkg.name, channel, base, resourceRevisions: [], preferred: "24.04" } as const;
    const outcome = resolve(pkg, query);
    return "ok" in outcome || outcome.refusal.code === "invalid-charm-base";
  });
}

/** Resources that charms declare and of which no revision is stored. */
export function resourceFindings(packages: readonly Package[]): ReadinessFinding[] {
  return packages.flatMap((pkg) => {
    const stored = new Set(pkg.resources.flatMap(({ name, revisions }) => (revisions.length > 0 ? [name] : [])));
    const declared = new Map<string, number[]>();
    for (const { revision, resources } of pkg.revisions)
      for (const name of resources) if (!stored.has(name)) declared.set(name, [...(declared.get(name) ?? []), revision]);
    return [...declared].map(([name, revisions]) => ({
      check: "resources" as const,
      what: `the resource ${name} is not held; declared by charm ${pkg.name} ${revisions.join(", ")}`,
      sure: "certain" as const,
      next: exportCharms(pkg.name),
    }));
  });
}
