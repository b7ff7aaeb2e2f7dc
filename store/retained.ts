/** What gc retains, on a disk as in a bucket: which generations, and all that they name. */

import type { Generation } from "../src/catalog/generation-types.ts";
import { clockProblem } from "../src/clock.ts";
import type { Digest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { blobsOf } from "./reach.ts";
import type { Store } from "./store.ts";

export const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

export interface GcOptions {
  /** how many generations are retained whatever their age; at least 1 */
  readonly generations: number;
  /** generations up to this age in days are retained */
  readonly days: number;
  /** blobs younger than this, in hours, are left alone: an import may be about to name them */
  readonly hours: number;
  readonly dryRun: boolean;
  readonly signal?: AbortSignal;
  /** `done` of `steps`: generations that are read, and folders of blobs */
  onProgress?(done: number, steps: number, what: string): void;
}

export const GC_DEFAULTS = { generations: 10, days: 30, hours: 24 } as const;

export interface GcReport {
  readonly dryRun: boolean;
  /** numbers of the generations that were deleted: a rollback to them is impossible */
  readonly pruned: readonly number[];
  readonly kept: readonly number[];
  /** unreferenced blobs that were moved to the trash; a later gc deletes them */
  readonly aside: { readonly blobs: number; readonly bytes: number };
  /** blobs from the trash that were deleted */
  readonly deleted: { readonly blobs: number; readonly bytes: number };
  /** blobs that were moved back from the trash, since a generation names them */
  readonly restored: number;
  /** unreferenced blobs that were left alone because of their age */
  readonly young: { readonly blobs: number; readonly bytes: number };
  /** live leases of imports and other changes: while there are any, nothing is pruned or deleted from the trash */
  readonly leases: number;
}

/** Fails by a clock that cannot be right. */
export async function selectGenerations(
  store: Store,
  { generations, days }: GcOptions,
  now: number,
): Promise<{ pruned: Generation[]; kept: Generation[] }> {
  const numbers = await store.generationNumbers();
  const pruned: Generation[] = [];
  const retained: Generation[] = [];
  for (const [i, number] of numbers.entries()) {
    const generation = await store.generation(number);
    if (!generation) continue; // another gc pruned it
    const last = i >= numbers.length - Math.max(1, generations);
    // Never out of the middle: a clock that was set back makes a later generation look older than those before it.
    if (retained.length > 0 || last || now - Date.parse(generation.time) <= days * DAY) retained.push(generation);
    else pruned.push(generation);
  }
  const newest = retained.at(-1) ?? pruned.at(-1);
  const odd = clockProblem(now, newest && Date.parse(newest.time));
  if (odd !== undefined)
    throw new Failure("failed", `${odd}: by that clock nothing is too old, so nothing was collected`, {
      next: "set the clock; where it is right, publish something first (chp import), and run chp gc again",
    });
  return { pruned, kept: retained };
}

export async function markReachable(store: Store, generation: Generation, seen: Set<Digest>): Promise<void> {
  for await (const _ of blobsOf(store, generation, { seen })) continue;
}

/** Generations that were published meanwhile, from `since` on. */
export async function markSince(store: Store, since: number, seen: Set<Digest>): Promise<void> {
  for (const number of await store.generationNumbers()) {
    const generation = number >= since ? await store.generation(number) : undefined;
    if (generation) await markReachable(store, generation, seen);
  }
}

export function addTo(sum: { blobs: number; bytes: number }, size: number): void {
  sum.blobs += 1;
  sum.bytes += size;
}
