/** The lock of an export: every revision and digest that it took, so that a later export takes the same or fails. */

import * as v from "valibot";
import { sumsOf } from "../digest.ts";
import { refused } from "../errors.ts";
import { checkShape, mapByName } from "../schema.ts";
import { compareText } from "../text.ts";
import { type Attributes, type PlannedPackage, type PlannedRelease, type PlannedSnap, type PlannedSnapRelease } from "./plan.ts";
import { componentDigests } from "./upstream.ts";

/** A charm or bundle as an earlier export took it. */
export interface LockedPackage {
  readonly name: string;
  readonly id: string;
  readonly defaultTrack: string;
  readonly releases: readonly PlannedRelease[];
  /** revision to its sha256 */
  readonly revisions: Readonly<Record<string, string>>;
  /** revision to its attributes, where it has any */
  readonly attributes: Readonly<Record<string, Attributes>>;
  /** `NAME_REVISION` to the sha256 of what is packed */
  readonly resources: Readonly<Record<string, string>>;
  /** resource name to the path of its image that the operator chose */
  readonly paths: Readonly<Record<string, string>>;
}

/** A snap as an earlier export took it. */
export interface LockedSnap {
  readonly name: string;
  readonly id: string;
  readonly defaultTrack: string | null;
  readonly releases: readonly PlannedSnapRelease[];
  /** revision to its sha3-384, an architecture that it is offered for, and its components, `NAME_REVISION` to their sha3-384 */
  readonly revisions: Readonly<
    Record<string, { readonly digest: string; readonly architecture: string; readonly components: Readonly<Record<string, string>> }>
  >;
}

export interface ExportLock {
  readonly packages: readonly LockedPackage[];
  readonly snaps: readonly LockedSnap[];
}

const Count = v.pipe(v.number("is not a number"), v.safeInteger("is not a whole number"), v.minValue(0, "is negative"));
const Time = v.optional(v.string());
const Hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${digits}}$`), "is no digest"));
const LockText = v.object({
  format: v.literal(1, "is not a format that is known: the lock was made by a later chp"),
  packages: v.array(
    v.object({
      name: v.string(),
      id: v.string(),
      defaultTrack: v.string(),
      releases: v.array(
        v.object({
          channel: v.string(),
          base: v.nullable(v.object({ name: v.string(), channel: v.string(), architecture: v.string() })),
          revision: Count,
          releasedAt: Time,
          resources: mapByName(Count),
        }),
      ),
      revisions: mapByName(Hex(64)),
      attributes: mapByName(mapByName(v.unknown())),
      resources: mapByName(Hex(64)),
      paths: mapByName(v.string()),
    }),
  ),
  snaps: v.array(
    v.object({
      name: v.string(),
      id: v.string(),
      defaultTrack: v.nullable(v.string()),
      releases: v.array(v.object({ channel: v.string(), architecture: v.string(), revision: Count, releasedAt: Time })),
      revisions: mapByName(v.object({ digest: Hex(96), architecture: v.string(), components: mapByName(Hex(96)) })),
    }),
  ),
});

/** `images`: by package, `NAME_REVISION` of an oci-image to its blob as it is packed. The same bytes for the same plans. */
export function formatLock(
  packages: readonly PlannedPackage[],
  snaps: readonly PlannedSnap[],
  images: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>,
): string {
  const sorted = <T extends { readonly name: string }>(all: readonly T[]) => all.toSorted((a, b) => compareText(a.name, b.name));
  const lock = {
    format: 1,
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
          const image = images.get(name)?.get(key);
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
  };
  return `${JSON.stringify(lock, null, 1)}\n`;
}

/** Throws a `refused` failure that names the file and the field. */
export function readLock(text: string, what: string): ExportLock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refused(`${what} is not JSON, so it is no lock of an export`);
  }
  return checkShape(LockText, value, what);
}
