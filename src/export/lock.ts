/** Writes the lock of an export, so that a later export takes the same or fails. */

import type { ExportLock, LockedImage } from "../archives/lock.ts";
import { sumsOf } from "../digest.ts";
import { compareText } from "../text.ts";
import type { PlannedPackage, PlannedSnap } from "./plan.ts";
import { componentDigests } from "./upstream.ts";

/**
 * `blobs`: by package, `NAME_REVISION` of an oci-image to its blob as it is packed; `images`: those in the archive. The same bytes for
 * the same plans, format 1 without images and agents, for every chp, and format 2 without agents.
 */
export function formatLock(
  packages: readonly PlannedPackage[],
  snaps: readonly PlannedSnap[],
  blobs: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>,
  images: readonly LockedImage[] = [],
  agents?: ExportLock["agents"],
): string {
  const sorted = <T extends { readonly name: string }>(all: readonly T[]) => all.toSorted((a, b) => compareText(a.name, b.name));
  const lock = {
    format: agents ? 3 : images.length > 0 ? 2 : 1,
    packages: sorted(packages).map(({ name, id, defaultTrack, releases, revisions, resources, paths }) => ({
      name,
      id,
      defaultTrack,
      releases,
      revisions: Object.fromEntries(revisions.map(({ revision, download }) => [revision, download["hash-sha-256"]])),
      attributes: Object.fromEntries(revisions.flatMap(({ revision, attributes }) => (attributes ? [[revision, attributes]] : []))),
      resources: Object.fromEntries(
        resources.map((resource) => {
          const key = `${resource.name}_${resource.revision}`;
          const image = blobs.get(name)?.get(key);
          return [key, image ? sumsOf(image)["sha-256"] : resource.download["hash-sha-256"]];
        }),
      ),
      paths,
    })),
    snaps: sorted(snaps).map(({ name, id, defaultTrack, releases, revisions }) => ({
      name,
      id,
      defaultTrack,
      releases,
      revisions: Object.fromEntries(
        revisions.map(({ revision, architectures, download, resources }) => [
          revision,
          {
            digest: download["sha3-384"],
            architecture: releases.find((release) => release.revision === revision)?.architecture ?? architectures?.[0] ?? "all",
            components: componentDigests(resources),
          },
        ]),
      ),
    })),
    ...(images.length > 0 && { images: images.map(({ reference, digest }) => ({ reference, digest })) }),
    ...(agents && { agents }),
  };
  return `${JSON.stringify(lock, null, 1)}\n`;
}
