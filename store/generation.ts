/** Generations and indexes as they are read: schemas, and what is told of damage. */

import * as v from "valibot";
import type { Generation, Index, Mended } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Snap } from "../src/catalog/snap.ts";
import { type Digest, isDigest } from "../src/digest.ts";
import { Failure, isCorrupt, reason } from "../src/errors.ts";
import { mapOf } from "../src/schema.ts";
import { FORMAT, FORMAT_KEY } from "./keys.ts";
import { blobsOfPackage, blobsOfSnap } from "./named.ts";
import type { Storage, StoredObject } from "./storage.ts";

const DigestText = v.pipe(
  v.string(),
  v.check(isDigest),
  v.transform((text) => text as Digest),
);
const Tallies = mapOf(v.object({ revisions: v.array(v.number()), channels: v.number() }));
const SourceText = v.object({
  name: v.string(),
  size: v.number(),
  sha256: DigestText,
  signers: v.exactOptional(v.array(v.object({ key: v.string(), name: v.string(), comment: v.string() }))),
  unsigned: v.exactOptional(v.literal(true)),
});
export const GenerationText = v.looseObject({
  format: v.number(),
  number: v.number(),
  parent: v.number(),
  time: v.string(),
  tool: v.string(),
  command: v.string(),
  sources: v.array(SourceText),
  changed: Tallies,
  snaps: v.optional(Tallies, {}),
  assertions: v.optional(v.number(), 0),
  index: DigestText,
});

const Rows = mapOf(v.tupleWithRest([DigestText, v.string()], v.string()));
export const IndexText = v.object({ packages: Rows, snaps: v.optional(Rows, {}), assertions: v.optional(DigestText) });

/** Undefined for what is damaged. */
export async function readable<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isCorrupt(error)) return undefined;
    throw error;
  }
}

export function brought(generation: Generation, section: Mended["section"], name: string): boolean {
  if (section === "assertions") return generation.assertions > 0;
  return Object.hasOwn(section === "packages" ? generation.changed : generation.snaps, name);
}

/** A disk that does not give what it holds is damage too. */
export async function readBytes(object: StoredObject, what: string): Promise<Uint8Array> {
  try {
    return await object.bytes();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EIO")) throw error;
    throw new Failure("corrupt", `${what} cannot be read: ${reason(error).split(",")[0]}`, { next: "chp verify tells more", cause: error });
  }
}

/** Whether there is a store. Fails with `store-too-new` where this chp cannot read it. */
export async function readsFormat(storage: Storage): Promise<boolean> {
  const format = await storage.open(FORMAT_KEY);
  if (!format) return false;
  if (!checkFormat(tryJson(new TextDecoder().decode(await format.bytes())), storage))
    throw new Failure("corrupt", `${storage.place}/${FORMAT_KEY} is not readable`);
  return true;
}

/** Whether it tells its format. Fails with `store-too-new` where this chp cannot read that. */
export function checkFormat(value: unknown, { place }: Storage): boolean {
  const parsed = v.safeParse(v.looseObject({ format: v.number() }), value);
  if (parsed.success && parsed.output.format > FORMAT)
    throw new Failure("store-too-new", `the store in ${place} has format ${parsed.output.format}; this chp reads up to ${FORMAT}`, {
      next: "use a newer chp",
    });
  return parsed.success;
}

/** What a collector might have put aside while this generation was made: its index, every manifest, and what changed ones name. */
export function namedBy(digest: Digest, index: Index, packages: readonly Package[], snaps: readonly Snap[]): Digest[] {
  const manifests = [...Object.values(index.packages), ...Object.values(index.snaps)].map(([manifest]) => manifest);
  const blobs = [...packages.map(blobsOfPackage), ...snaps.map(blobsOfSnap)].flatMap((all) => [...all].map((named) => named.digest));
  return [...new Set([digest, ...(index.assertions ? [index.assertions] : []), ...manifests, ...blobs])];
}

export function sorted<T>(map: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function withValue<K, V>(key: K, value: V | undefined): [K, V][] {
  return value === undefined ? [] : [[key, value]];
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
}

/** Undefined where it is no JSON. */
export function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
