/** The lock of an export: every revision and digest that it took, so that a later one takes the same or fails. */

import * as v from "valibot";
import { sumsOf } from "../digest.ts";
import { refused } from "../errors.ts";
import { checkShape, mapOf } from "../schema.ts";
import type { LockedPackage, PlannedPackage } from "./charmplan.ts";
import { componentDigests, type LockedSnap, type PlannedSnap } from "./snapplan.ts";

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
          resources: mapOf(Count),
        }),
      ),
      revisions: mapOf(Hex(64)),
      attributes: mapOf(mapOf(v.unknown())),
      resources: mapOf(Hex(64)),
      paths: mapOf(v.string()),
    }),
  ),
  snaps: v.array(
    v.object({
      name: v.string(),
      id: v.string(),
      defaultTrack: v.nullable(v.string()),
      releases: v.array(v.object({ channel: v.string(), architecture: v.string(), revision: Count, releasedAt: Time })),
      revisions: mapOf(v.object({ digest: Hex(96), architecture: v.string(), components: mapOf(Hex(96)) })),
    }),
  ),
});

/** `images`: by package, `NAME_REVISION` of an oci-image to its blob as it is packed. The same bytes for the same plans. */
export function formatLock(
  packages: readonly PlannedPackage[],
  snaps: readonly PlannedSnap[],
  images: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>,
): string {
  const order = <T extends { readonly name: string }>(all: readonly T[]) => all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const lock = {
    format: 1,
    packages: order(packages).map(({ name, id, defaultTrack, releases, revisions, resources, paths }) => ({
      name,
      id,
      defaultTrack,
      releases,
      revisions: Object.fromEntries(revisions.map((one) => [one.revision, one.download["hash-sha-256"]])),
      attributes: Object.fromEntries(revisions.flatMap(({ revision, attributes }) => (attributes ? [[revision, attributes]] : []))),
      resources: Object.fromEntries(
        resources.map((one) => {
          const image = images.get(name)?.get(`${one.name}_${one.revision}`);
          return [`${one.name}_${one.revision}`, image ? sumsOf(image)["sha-256"] : one.download["hash-sha-256"]];
        }),
      ),
      paths,
    })),
    snaps: order(snaps).map(({ name, id, defaultTrack, releases, revisions }) => ({
      name,
      id,
      defaultTrack,
      releases,
      revisions: Object.fromEntries(
        revisions.map(({ revision, architectures, download, resources }) => [
          revision,
          {
            digest: download["sha3-384"],
            architecture: releases.find((one) => one.revision === revision)?.architecture ?? architectures?.[0] ?? "all",
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
