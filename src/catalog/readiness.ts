/** Findings about what a deployment needs and the store does not have, each with the next step. Nothing here uses the network. */

import { DEFAULT_ARCHITECTURE } from "./controller.ts";
import { type CheckResult, EXPORT_SNAPS, exportCharms, type ReadinessFinding, resultsOf } from "./finding.ts";
import { isCertain, type NeededImage, showNeededBy } from "./images.ts";
import type { StoredImages } from "./imagesources.ts";
import type { Package } from "./package.ts";
import { resolve } from "./resolve.ts";
import type { Snap } from "./snap.ts";
import { neededSnaps, showNeed } from "./snapneeds.ts";

/** Missing snaps: bases of the stored snaps, snapd, and what charms install. */
export function snapFindings(packages: readonly Package[], snaps: readonly Snap[]): ReadinessFinding[] {
  return neededSnaps(packages, snaps)
    .filter((need) => !need.stored)
    .map((need) => ({
      check: "snaps",
      what: `the snap ${showNeed(need)} is not stored; needed by ${need.by.join(", ")}`,
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
    const what = pkg ? `the charm ${charm} is stored, but not in ${channel}` : `the charm ${charm} is not stored`;
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
  const architectures = new Set(pkg.releases.map(({ base }) => (base ? base.architecture : DEFAULT_ARCHITECTURE)));
  return [...architectures].some((architecture) => {
    const base = { name: "NA", channel: "NA", architecture };
    const query = { action: "install", instanceKey: "", name: pkg.name, channel, base, resourceRevisions: [], preferred: "24.04" } as const;
    const outcome = resolve(pkg, query);
    return "ok" in outcome || outcome.refusal.code === "invalid-charm-base";
  });
}

/** Resources that charms declare and that have no stored revision. */
export function resourceFindings(packages: readonly Package[]): ReadinessFinding[] {
  return packages.flatMap((pkg) => {
    const stored = new Set(pkg.resources.flatMap(({ name, revisions }) => (revisions.length > 0 ? [name] : [])));
    const declared = new Map<string, number[]>();
    for (const { revision, resources } of pkg.revisions)
      for (const name of resources) if (!stored.has(name)) declared.set(name, [...(declared.get(name) ?? []), revision]);
    return [...declared].map(([name, revisions]) => ({
      check: "resources" as const,
      what: `the resource ${name} is not stored; declared by charm ${pkg.name} ${revisions.join(", ")}`,
      sure: "certain" as const,
      next: exportCharms(pkg.name),
    }));
  });
}

/** The checks of stored packages: snaps, charms of bundles, resources. `named`: the charms that bundles name. */
export function storedResults(packages: readonly Package[], snaps: readonly Snap[], named: readonly BundledCharm[]): CheckResult[] {
  return [
    ...resultsOf("snaps", snapFindings(packages, snaps), "all snaps that are known to be needed are stored"),
    ...resultsOf("charms", bundleFindings(packages, named), "all charms that bundles name are stored"),
    ...resultsOf("resources", resourceFindings(packages), "all resources that charms declare are stored"),
  ];
}

/** Whether a registry has an image. `different`: it has the tag for another image. */
export interface ImagePresence {
  readonly presence: "present" | "absent" | "different" | "unknown" | "not asked";
  /** of `unknown` */
  readonly why?: string;
}

/** The images that a registry does not have, or does not answer for. `answers`: one for each image, in order. */
export function imageFindings(images: readonly NeededImage[], answers: readonly ImagePresence[]): ReadinessFinding[] {
  return images.flatMap((image, i) => {
    const { presence, why } = answers[i] ?? { presence: "unknown" as const };
    if (presence === "present") return [];
    const by = image.neededBy.map(showNeededBy).join("; ");
    if (presence === "unknown") {
      const login = "chp config proxy.oci-registry.username=NAME proxy.oci-registry.password=PASSWORD, or look into the registry's log";
      return [
        imageFinding(image, `the registry does not say whether it has ${image.local}: ${why ?? "no answer"}; needed by ${by}`, login),
      ];
    }
    const what =
      presence === "different" ? `${image.local} is another image than ${image.upstream}` : `missing in the registry: ${image.local}`;
    return [imageFinding(image, `${what}; needed by ${by}`, "chp images --missing --script skopeo > images.sh, and run it on both sides")];
  });
}

function imageFinding(image: NeededImage, what: string, next: string): ReadinessFinding {
  return { check: "images", what, sure: isCertain(image) ? "certain" : "likely", next };
}

/** The needed images of which none is stored, for whoever pulls them from chp. */
export function storedImageFindings(images: readonly NeededImage[], stored: StoredImages): ReadinessFinding[] {
  return images
    .filter(({ upstream }) => !stored.find(upstream))
    .map((image) =>
      imageFinding(
        image,
        `the image ${image.upstream} is not stored; needed by ${image.neededBy.map(showNeededBy).join("; ")}`,
        "chp export -f site.yaml takes the images of its charms: import what it wrote",
      ),
    );
}

export interface StoreSetup {
  readonly publicUrl: string | null;
  /** how many snaps are stored */
  readonly snaps: number;
  /** snaps that are needed and not stored */
  readonly missing: readonly unknown[];
}

/** Notes for the operator about the setup of a store, with the next steps. `images`: those about images. */
export function setupNotes({ publicUrl, snaps, missing }: StoreSetup, packages: readonly Package[], images: readonly string[]): string[] {
  return [
    ...(packages.length + snaps === 0 ? ["the store is empty: run chp import FILE"] : []),
    ...(publicUrl === null
      ? ["download URLs are made from each request's Host: set public-url, since Juju 4 stores download URLs permanently"]
      : []),
    ...images,
    ...(missing.length > 0 ? ["chp missing --yaml prints what to export on the connected side"] : []),
  ];
}
