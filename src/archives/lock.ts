/** The lock of an export: every revision and digest that it took. An import is compared with the lock in its archive. */

import * as v from "valibot";
import type { Base } from "../catalog/base.ts";
import { refused } from "../errors.ts";
import { checkShape, mapByName } from "../schema.ts";

export interface LockedRelease {
  /** in full */
  readonly channel: string;
  /** null: a bundle */
  readonly base: Base | null;
  readonly revision: number;
  readonly releasedAt?: string | undefined;
  /** resource name to the revision that goes with it */
  readonly resources: Readonly<Record<string, number>>;
}

export interface LockedSnapRelease {
  /** in full */
  readonly channel: string;
  /** dpkg name, or `all` */
  readonly architecture: string;
  readonly revision: number;
  readonly releasedAt?: string | undefined;
}

/** A charm or bundle as an earlier export took it. */
export interface LockedPackage {
  readonly name: string;
  readonly id: string;
  readonly defaultTrack: string;
  readonly releases: readonly LockedRelease[];
  /** revision to its sha256 */
  readonly revisions: Readonly<Record<string, string>>;
  /** revision to its attributes, where it has any */
  readonly attributes: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
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
  readonly releases: readonly LockedSnapRelease[];
  /** revision to its sha3-384, an architecture that it is offered for, and its components, `NAME_REVISION` to their sha3-384 */
  readonly revisions: Readonly<
    Record<string, { readonly digest: string; readonly architecture: string; readonly components: Readonly<Record<string, string>> }>
  >;
}

/** An image as an earlier export took it. */
export interface LockedImage {
  /** upstream's, with its registry: `ghcr.io/juju/jujud-operator:3.6.11`, `registry.jujucharms.com/charm/…/kafka-image@sha256:…` */
  readonly reference: string;
  /** of its manifest or index */
  readonly digest: string;
}

/** Juju's agents as an earlier export took them. */
export interface LockedAgents {
  /** RFC 3339: when upstream last changed the index that named them */
  readonly updated: string;
  /** each with its files: architecture to sha256 */
  readonly versions: readonly { readonly version: string; readonly files: Readonly<Record<string, string>> }[];
}

export interface ExportLock {
  readonly packages: readonly LockedPackage[];
  readonly snaps: readonly LockedSnap[];
  /** of format 2; empty in format 1 */
  readonly images: readonly LockedImage[];
  /** of format 3; absent without agents */
  readonly agents?: LockedAgents | undefined;
}

const Count = v.pipe(v.number("is not a number"), v.safeInteger("is not a whole number"), v.minValue(0, "is negative"));
const Time = v.optional(v.string());
const Hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${digits}}$`), "is no digest"));
const LockText = v.object({
  format: v.picklist([1, 2, 3], "is not a format that is known: the lock was made by a later chp"),
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
  images: v.optional(v.array(v.object({ reference: v.string(), digest: Hex(64) })), []),
  agents: v.optional(v.object({ updated: v.string(), versions: v.array(v.object({ version: v.string(), files: mapByName(Hex(64)) })) })),
});

/** Throws a `refused` failure at `at` that names the field. */
export function readLock(text: string, at: string | readonly string[]): ExportLock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refused("it is not JSON, so it is no lock of an export", { at: [at].flat() });
  }
  return checkShape(LockText, value, at);
}
