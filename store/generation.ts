/** Parses generations, indexes and the format of the store. */

import * as v from "valibot";
import type { Generation, Index } from "../src/catalog/generation-types.ts";
import { type OfEach, ofEach, SECTION_NAMES, SECTIONS, type SectionName } from "../src/catalog/sections.ts";
import { type Digest, isDigest, sumsOf } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { mapByName } from "../src/schema.ts";
import { tryJson } from "../src/text.ts";
import { FORMAT, FORMAT_KEY } from "./keys.ts";
import { unseal } from "./sealed.ts";
import { readObject, type Storage } from "./storage.ts";

export const DigestText = v.pipe(
  v.string(),
  v.check(isDigest),
  v.transform((text) => text as Digest),
);
const Tallies = mapByName(v.object({ revisions: v.array(v.number()), channels: v.number() }));
const ImageTallies = mapByName(v.object({ manifests: v.number(), tags: v.array(v.string()) }));
const AgentTallies = mapByName(v.object({ added: v.array(v.string()), removed: v.array(v.string()) }));
const SourceText = v.object({
  name: v.string(),
  size: v.number(),
  sha256: DigestText,
  signers: v.exactOptional(v.array(v.object({ key: v.string(), name: v.string(), comment: v.string() }))),
  unsigned: v.exactOptional(v.literal(true)),
});
const GenerationText = v.looseObject({
  format: v.picklist([1, FORMAT]),
  number: v.number(),
  parent: v.number(),
  parentDigest: v.exactOptional(DigestText),
  time: v.string(),
  tool: v.string(),
  command: v.string(),
  sources: v.array(SourceText),
  changed: Tallies,
  snaps: v.optional(Tallies, {}),
  images: v.exactOptional(ImageTallies),
  agents: v.exactOptional(AgentTallies),
  assertions: v.optional(v.number(), 0),
  signed: v.exactOptional(mapByName(v.string())),
  index: DigestText,
  signature: v.exactOptional(v.string()),
});

const Rows = mapByName(v.tupleWithRest([DigestText, v.string()], v.string()));
const IndexText = v.looseObject({
  ...ofEach<OfEach<v.OptionalSchema<typeof Rows, Record<string, never>>>>(() => v.optional(Rows, {})),
  packages: Rows,
  assertions: v.optional(DigestText),
});

/**
 * Fails with `corrupt`, or with `store-too-new` if the generation has a newer format. Of format 1 no digest says that it is whole:
 * that of the next generation does.
 */
export function parseGeneration(number: number, bytes: Uint8Array, storage: Storage): Generation {
  const value = tryJson(new TextDecoder().decode(bytes));
  checkFormat(value, `generation ${number} in ${storage.place}`);
  const parsed = v.safeParse(GenerationText, value);
  const { digest: _own, ...generation } = parsed.success ? parsed.output : { digest: undefined };
  const isWhole = "format" in generation && (generation.format === 1 || (unseal(bytes) !== undefined && isLinked(generation)));
  if (!isWhole) throw new Failure("corrupt", `generation ${number} in ${storage.place} is not readable`);
  if (generation.number !== number)
    throw new Failure("corrupt", `generation ${number} in ${storage.place} says that it is number ${generation.number}`);
  return { ...generation, sha256: sumsOf(bytes)["sha-256"] };
}

function isLinked({ parent, parentDigest }: Pick<Generation, "parent" | "parentDigest">): boolean {
  return (parent === 0) === (parentDigest === undefined);
}

/** Fails with `corrupt`. */
export function parseIndex({ number }: Generation, value: unknown, { place }: Storage): Index {
  const parsed = v.safeParse(IndexText, value);
  if (!parsed.success)
    throw new Failure("corrupt", `the index of generation ${number} in ${place} is not readable`, { cause: new Error("is not an index") });
  const { assertions, ...sections } = parsed.output;
  const others = Object.fromEntries(Object.entries(sections).filter(([name]) => !Object.hasOwn(SECTIONS, name)));
  return {
    ...ofEach<OfEach<Index[SectionName]>>((section) => sections[section]),
    ...(assertions !== undefined && { assertions }),
    ...(Object.keys(others).length > 0 && { others }),
  };
}

/** The index as it is stored. */
export function indexText({ assertions, others, ...sections }: Index): object {
  const stored = SECTION_NAMES.filter((section) => SECTIONS[section].always || Object.keys(sections[section]).length > 0);
  return {
    ...Object.fromEntries(stored.map((section) => [section, sections[section]])),
    ...(assertions !== undefined && { assertions }),
    ...others,
  };
}

/** The digests at the top of a section that this chp does not know: rows and digests as in the sections that it knows. */
export function digestsOfSection(section: unknown): Digest[] {
  if (v.is(DigestText, section)) return [section as Digest];
  const rows = v.safeParse(Rows, section);
  return rows.success ? Object.values(rows.output).map(([digest]) => digest) : [];
}

/** The format of the store; undefined: there is no store. Fails with `corrupt` if the file is unreadable, `store-too-new` if this chp can't read it. */
export async function readFormat(storage: Storage): Promise<number | undefined> {
  const file = await storage.open(FORMAT_KEY);
  if (!file) return undefined;
  const format = checkFormat(
    tryJson(new TextDecoder().decode(await readObject(file, `${storage.place}/${FORMAT_KEY}`))),
    `the store in ${storage.place}`,
  );
  if (format === undefined) throw new Failure("corrupt", `${storage.place}/${FORMAT_KEY} is not readable`);
  return format;
}

/** Raises a store of an older format to this one, which an older chp refuses then. What is there stays as it is. */
export async function raiseFormat(storage: Storage): Promise<void> {
  const format = await readFormat(storage);
  if (format === undefined || format === FORMAT) return;
  const stage = await storage.stage("immutable");
  try {
    await stage.write(formatBytes());
    await stage.end();
    await stage.commit(FORMAT_KEY);
  } finally {
    await stage.discard();
  }
}

export function formatBytes(): Uint8Array {
  return Buffer.from(`${JSON.stringify({ format: FORMAT })}\n`);
}

/** Undefined: the value has no format. Fails with `store-too-new` if it is newer than this chp reads. */
export function checkFormat(value: unknown, what: string): number | undefined {
  const parsed = v.safeParse(v.looseObject({ format: v.number() }), value);
  if (parsed.success && parsed.output.format > FORMAT)
    throw new Failure("store-too-new", `${what} has format ${parsed.output.format}; this chp reads up to ${FORMAT}`, {
      next: "use a newer chp",
    });
  return parsed.success ? parsed.output.format : undefined;
}
