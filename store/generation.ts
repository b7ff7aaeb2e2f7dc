/** Parses generations, indexes and the format of the store. */

import * as v from "valibot";
import type { Generation, Index } from "../src/catalog/generation-types.ts";
import { type Digest, isDigest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { mapByName } from "../src/schema.ts";
import { tryJson } from "../src/text.ts";
import { FORMAT, FORMAT_KEY } from "./keys.ts";
import type { Storage } from "./storage.ts";

const DigestText = v.pipe(
  v.string(),
  v.check(isDigest),
  v.transform((text) => text as Digest),
);
const Tallies = mapByName(v.object({ revisions: v.array(v.number()), channels: v.number() }));
const SourceText = v.object({
  name: v.string(),
  size: v.number(),
  sha256: DigestText,
  signers: v.exactOptional(v.array(v.object({ key: v.string(), name: v.string(), comment: v.string() }))),
  unsigned: v.exactOptional(v.literal(true)),
});
const GenerationText = v.looseObject({
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
  signed: v.exactOptional(mapByName(v.string())),
  index: DigestText,
});

const Rows = mapByName(v.tupleWithRest([DigestText, v.string()], v.string()));
const IndexText = v.object({ packages: Rows, snaps: v.optional(Rows, {}), assertions: v.optional(DigestText) });

/** Fails with `corrupt`, or with `store-too-new` if the generation has a newer format. */
export function parseGeneration(number: number, bytes: Uint8Array, storage: Storage): Generation {
  const value = tryJson(new TextDecoder().decode(bytes));
  checkFormat(value, storage);
  const parsed = v.safeParse(GenerationText, value);
  if (!parsed.success) throw new Failure("corrupt", `generation ${number} in ${storage.place} is not readable`);
  return parsed.output;
}

/** Fails with `corrupt`. */
export function parseIndex({ number }: Generation, value: unknown, { place }: Storage): Index {
  const parsed = v.safeParse(IndexText, value);
  if (parsed.success) return parsed.output;
  throw new Failure("corrupt", `the index of generation ${number} in ${place} is not readable`, { cause: new Error("is not an index") });
}

/** Whether there is a store. Fails with `store-too-new` if this chp cannot read its format, `corrupt` if the format file is unreadable. */
export async function readsFormat(storage: Storage): Promise<boolean> {
  const format = await storage.open(FORMAT_KEY);
  if (!format) return false;
  if (!checkFormat(tryJson(new TextDecoder().decode(await format.bytes())), storage))
    throw new Failure("corrupt", `${storage.place}/${FORMAT_KEY} is not readable`);
  return true;
}

/** Whether a value has a format. Fails with `store-too-new` if it is newer than this chp reads. */
function checkFormat(value: unknown, { place }: Storage): boolean {
  const parsed = v.safeParse(v.looseObject({ format: v.number() }), value);
  if (parsed.success && parsed.output.format > FORMAT)
    throw new Failure("store-too-new", `the store in ${place} has format ${parsed.output.format}; this chp reads up to ${FORMAT}`, {
      next: "use a newer chp",
    });
  return parsed.success;
}
