/** What one package needs, and whether the store has it. */

import { StoredImages } from "./imagesources.ts";
import { newestRevision, type Package } from "./package.ts";
import type { Repository } from "./repository.ts";
import type { Snap } from "./snap.ts";
import { neededSnaps, showNeed } from "./snapneeds.ts";

/** Something besides its own files without which a package cannot be installed. */
export interface PackageNeed {
  readonly kind: "snap" | "charm";
  readonly name: string;
  /** the name, and which revision or channel of it: `charmed-kafka revision 34 amd64` */
  readonly what: string;
  /** `charm kafka 195 (refresh_versions.toml)`; empty where there is nothing to say */
  readonly by: string;
  readonly sure: "certain" | "likely";
  readonly stored: boolean;
}

/** A revision of a resource, and how its bytes are had. */
export interface NeededResource {
  readonly name: string;
  /** undefined: no revision is stored */
  readonly revision?: number;
  readonly type: "file" | "oci-image";
  /** bytes; of an image those of its reference */
  readonly size: number;
  /** upstream's reference of an image */
  readonly image?: string;
  readonly stored: boolean;
  /** whether a channel names it */
  readonly released: boolean;
  /** RFC 3339; empty where no revision is stored */
  readonly createdAt: string;
}

/** The snaps that a charm installs, and the charms that a bundle names. Missing ones first. */
export function needsOfPackage(pkg: Package, snaps: readonly Snap[], isCharm: (name: string) => boolean): PackageNeed[] {
  const snapNeeds = neededSnaps([pkg], snaps, () => false).map(
    (need): PackageNeed => ({
      kind: "snap",
      name: need.name,
      what: showNeed(need),
      by: need.by.join(", "),
      sure: need.sure,
      stored: need.stored,
    }),
  );
  const charms = pkg.type === "bundle" ? (newestRevision(pkg)?.charms ?? []) : [];
  const charmNeeds = charms.map(
    (name): PackageNeed => ({ kind: "charm", name, what: name, by: "", sure: "certain", stored: isCharm(name) }),
  );
  return missingFirst([...charmNeeds, ...snapNeeds]);
}

/** The snaps without which a snap does not run. Missing ones first. */
export function needsOfSnap(snap: Snap, snaps: readonly Snap[]): PackageNeed[] {
  const needs = neededSnaps([], snaps, ({ name }) => name === snap.name);
  return missingFirst(
    needs.map((need) => ({
      kind: "snap",
      name: need.name,
      what: showNeed(need),
      by: need.by.join(", "),
      sure: need.sure,
      stored: need.stored,
    })),
  );
}

/** Every resource that the newest of its revisions declares or that is stored, newest revisions first. `repositories`: the stored images. */
export function resourcesOf(pkg: Package, repositories: readonly Repository[]): NeededResource[] {
  const images = new StoredImages(repositories);
  const pinned = new Set(
    pkg.releases.flatMap(({ resources }) => Object.entries(resources).map(([name, revision]) => `${name} ${revision}`)),
  );
  const stored = pkg.resources.flatMap(({ name, revisions }) =>
    revisions.map(
      ({ revision, type, size, image, createdAt }): NeededResource => ({
        name,
        revision,
        type,
        size,
        ...(image && { image: image.reference }),
        stored: image === undefined || images.find(image.reference) !== undefined,
        released: pinned.has(`${name} ${revision}`),
        createdAt,
      }),
    ),
  );
  const known = new Set(stored.map(({ name }) => name));
  const absent = [...new Set(pkg.revisions.flatMap(({ resources }) => resources))].filter((name) => !known.has(name));
  return [
    ...stored,
    ...absent.map((name): NeededResource => ({ name, type: "file", size: 0, stored: false, released: true, createdAt: "" })),
  ];
}

function missingFirst(needs: readonly PackageNeed[]): PackageNeed[] {
  return needs.toSorted((a, b) => Number(a.stored) - Number(b.stored));
}
