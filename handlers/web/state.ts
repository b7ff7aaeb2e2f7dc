/** What a generation decides of the page of the status. */

import { neededImages } from "../../src/catalog/images.ts";
import { StoredImages } from "../../src/catalog/imagesources.ts";
import { overridesOf } from "../../src/catalog/override.ts";
import { neededSnaps } from "../../src/catalog/snapneeds.ts";
import type { Offer } from "../offer.ts";
import type { StoreState } from "./status.tsx";

/** `now`: milliseconds. */
export async function stateOf(snapshot: Offer, now: number): Promise<StoreState> {
  const { of } = snapshot;
  const [packages, snaps, repositories] = [await of.packages(), await of.snaps(), await of.repositories()];
  const agents = await of.agents();
  const images = new StoredImages(repositories);
  const sizes = new Map(
    [...packages.flatMap((pkg) => [pkg, ...pkg.resources]), ...snaps.flatMap((snap) => [snap, ...snap.components])].flatMap(
      ({ revisions }) => revisions.map(({ blob, size }) => [blob, size] as const),
    ),
  );
  for (const { digest, size } of [...repositories, ...agents].flatMap(({ blobs }) => blobs)) sizes.set(digest, size);
  return {
    counts: {
      charm: packages.filter(({ type }) => type === "charm").length,
      bundle: packages.filter(({ type }) => type === "bundle").length,
      snap: snaps.length,
      image: repositories.length,
      agent: agents.length,
    },
    revisions: [...packages, ...snaps].reduce((sum, { revisions }) => sum + revisions.length, 0),
    size: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    missingSnaps: neededSnaps(packages, snaps).filter(({ stored }) => !stored),
    missingImages: neededImages(packages, undefined).filter(({ upstream }) => !images.find(upstream)),
    overrides: [...packages, ...snaps].flatMap((pkg) => overridesOf(pkg, now)),
    unverified: snaps.flatMap(({ name, revisions }) =>
      revisions.flatMap(({ revision, unverified }) => (unverified === undefined ? [] : [`${name} ${revision}`])),
    ),
    unreadable: await of.unreadable(),
  };
}
