/** What a deployment needs and the store lacks: findings, each with what to do next. Pure; what the network tells is added by its asker. */

import { USUAL_ARCHITECTURE } from "./controller.ts";
import { EXPORT_SNAPS, exportCharms, type Finding } from "./finding.ts";
import type { Package } from "./package.ts";
import { resolve } from "./resolve.ts";
import type { Snap } from "./snap.ts";
import { neededSnaps, showNeed } from "./snapneeds.ts";

/** Bases and snapd for the held snaps, and what charms install. */
export function snapFindings(packages: readonly Package[], snaps: readonly Snap[]): Finding[] {
  return neededSnaps(packages, snaps)
    .filter((one) => !one.held)
    .map((one) => ({
      check: "snaps",
      what: `the snap ${showNeed(one)} is not held; needed by ${one.by.join(", ")}`,
      sure: one.sure,
      next: EXPORT_SNAPS,
    }));
}

export interface NamedCharm {
  /** `bundle cos-lite 11` */
  readonly by: string;
  readonly charm: string;
  /** undefined: the charm's default */
  readonly channel?: string;
}

/** Charms that bundles name and that are not held, or not in the channel that is named. */
export function bundleFindings(packages: readonly Package[], named: readonly NamedCharm[]): Finding[] {
  const held = new Map(packages.map((pkg) => [pkg.name, pkg]));
  const found = new Map<string, { readonly next: string; readonly by: Set<string> }>();
  for (const { by, charm, channel } of named) {
    const pkg = held.get(charm);
    if (pkg && (channel === undefined || isReleased(pkg, channel))) continue;
    const what = pkg ? `the charm ${charm} is held, but not in ${channel}` : `the charm ${charm} is not held`;
    const next = exportCharms(channel === undefined ? charm : `${charm} (channel ${channel})`);
    const one = found.get(what) ?? { next, by: new Set() };
    found.set(what, one);
    one.by.add(by);
  }
  return [...found].map(([what, { next, by }]) => ({
    check: "charms",
    what: `${what}; named by ${[...by].join(", ")}`,
    sure: "certain",
    next,
  }));
}

/** Whether a Juju that names no base gets something from that channel, on whatever architecture. */
function isReleased(pkg: Package, channel: string): boolean {
  const architectures = new Set(pkg.releases.map((release) => release.base?.architecture ?? USUAL_ARCHITECTURE));
  return [...architectures].some((architecture) => {
    const base = { name: "NA", channel: "NA", architecture };
    const query = { action: "install", instanceKey: "", name: pkg.name, channel, base, resourceRevisions: [], preferred: "24.04" } as const;
    const outcome = resolve(pkg, query);
    return "ok" in outcome || outcome.refusal.code === "invalid-charm-base";
  });
}

/** Resources that charms declare, and of which no revision is held. */
export function resourceFindings(packages: readonly Package[]): Finding[] {
  return packages.flatMap((pkg) => {
    const held = new Set(pkg.resources.flatMap(({ name, revisions }) => (revisions.length > 0 ? [name] : [])));
    const declared = new Map<string, number[]>();
    for (const { revision, resources } of pkg.revisions)
      for (const name of resources) if (!held.has(name)) declared.set(name, [...(declared.get(name) ?? []), revision]);
    return [...declared].map(([name, revisions]) => ({
      check: "resources" as const,
      what: `the resource ${name} is not held; declared by charm ${pkg.name} ${revisions.join(", ")}`,
      sure: "certain" as const,
      next: exportCharms(pkg.name),
    }));
  });
}
