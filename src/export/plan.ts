/** What an export takes of charms, bundles and snaps: the shapes of plans, and what both kinds of plan share. */

import type { LockedRelease, LockedSnapRelease } from "../archives/lock.ts";
import type { PackageType } from "../catalog/package.ts";
import { Failure, printable } from "../errors.ts";
import type { CharmInfo, RefreshResult, SnapInfo, StoreError, UpstreamCharm, UpstreamResource, UpstreamSnap } from "./upstream.ts";

/** What is planned of a release is what a lock says of it. */
export type PlannedRelease = LockedRelease;

/** A charm or bundle. */
export interface PlannedPackage {
  readonly type: PackageType;
  readonly name: string;
  readonly id: string;
  readonly info: CharmInfo;
  readonly defaultTrack: string;
  /** in upstream's order, which is that of its tracks */
  readonly releases: readonly PlannedRelease[];
  /** oldest first, with the attributes that upstream gives in its channel map only */
  readonly revisions: readonly UpstreamCharm[];
  /** by name, oldest first */
  readonly resources: readonly UpstreamResource[];
  /** resource name to the path of its image that the operator chose */
  readonly paths: Readonly<Record<string, string>>;
  /** why it is taken although it was not requested; empty: it was requested */
  readonly reasons: readonly string[];
}

/** Attributes of a revision, as upstream gives them. */
export type Attributes = Readonly<Record<string, unknown>>;

export type PlannedSnapRelease = LockedSnapRelease;

export interface PlannedSnap {
  readonly name: string;
  readonly id: string;
  /** of the best architecture that was asked for; undefined: the store knows single revisions of it only */
  readonly info: SnapInfo | undefined;
  /** null: the publisher set none */
  readonly defaultTrack: string | null;
  readonly releases: readonly PlannedSnapRelease[];
  /** oldest first */
  readonly revisions: readonly UpstreamSnap[];
  /** revision to its stream of assertions, dependencies first */
  readonly assertions: ReadonlyMap<number, string>;
  /** why it is taken although it was not requested; empty: it was requested */
  readonly reasons: readonly string[];
}

/** What of an archive is listed by itself. */
export interface PlannedContent {
  readonly type: "charm" | "bundle" | "snap" | "image" | "agent";
  readonly name: string;
  /** of an image or an agent none */
  readonly revisions: readonly number[];
  /** bytes that would be downloaded for it */
  readonly size: number;
  /** why it is taken although it was not requested; empty: it was requested */
  readonly reasons: readonly string[];
}

/** A package, or a part of one, that was requested and is not in the archive. */
export interface FailedPackage {
  /** of the package */
  readonly name: string;
  readonly failure: Failure;
}

export interface Plan<T> {
  /** undefined: nothing of it is available */
  readonly planned?: T;
  readonly failed: readonly FailedPackage[];
  /** notes for the operator */
  readonly notes: readonly string[];
}

/** Why something is taken that was not requested; empty if it was. */
export function reasonsOf(requests: readonly { readonly reason?: string }[]): string[] {
  const reasons = requests.map((request) => request.reason);
  return reasons.includes(undefined) ? [] : [...new Set(reasons.flatMap((reason) => reason ?? []))];
}

/** The error of `work` as a failure of that package, so that the other packages continue. An interruption is thrown. */
export async function failuresOf(name: string, work: () => Promise<void>): Promise<FailedPackage[]> {
  try {
    await work();
    return [];
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
    return [{ name, failure: error }];
  }
}

/** What the store resolved. Throws a `not-found` failure with the store's reason; `what`: the package, and which of it. */
export function resolvedOrThrow<T>(result: RefreshResult<T> | undefined, what: string): T {
  if (result && "ok" in result) return result.ok;
  throw new Failure("not-found", `cannot export ${what}: ${result ? errorText(result.error) : "no answer came"}`);
}

export function errorText({ code, message }: StoreError): string {
  return printable(message || code || "no reason was given", 300);
}

/** `why`: where upstream differs from the lock */
export function lockMismatch(name: string, why: string): Failure {
  return new Failure("failed", `cannot export ${name} as locked: ${why}`, {
    next: "export without --locked to take what upstream has now",
  });
}

/** Adds an entry unless there is one of that key. */
export function addFirst<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (!map.has(key)) map.set(key, value);
}
