/** The history as a chain: each generation has the sha256 of its parent's file, so whoever alters one has to alter all that follow. */

import type { Generation } from "../src/catalog/generation-types.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import { Failure, isCorrupt, reason } from "../src/errors.ts";
import { generationKey } from "./keys.ts";
import { unseal } from "./sealed.ts";
import type { Storage } from "./storage.ts";
import type { Store } from "./store.ts";

export interface Link {
  readonly number: number;
  /** undefined: it cannot be read, or has a newer format */
  readonly generation?: Generation;
  /** why it is `corrupt` or `store-too-new` */
  readonly failure?: Failure;
  /** of its file, whatever is in it */
  readonly sha256: Digest;
  /** what is wrong with its place in the history */
  readonly problems: readonly string[];
  /** older generations that it does not follow from: they, or what they name, could not be read when it was made */
  readonly skipped: readonly number[];
  /** what its signature covers, and the signature */
  readonly signed?: { readonly content: Digest; readonly signature: string };
}

/** Every stored generation, oldest first. What was pruned below the oldest cannot be proven and is not missed. */
export async function chainOf(store: Store): Promise<Link[]> {
  const links: Link[] = [];
  for (const number of await store.generationNumbers()) {
    const read = await readLink(store, number);
    if (!read)
      links.length = 0; // pruned meanwhile, and so are all before it
    else links.push({ ...read, problems: problemsOf(read, links), skipped: skippedBy(read, links) });
  }
  return links;
}

async function readLink(store: Store, number: number): Promise<Omit<Link, "problems" | "skipped"> | undefined> {
  const bytes = await bytesOf(store.storage, number);
  if (!bytes) return undefined;
  const sealed = unseal(bytes);
  const found = {
    number,
    sha256: sumsOf(bytes)["sha-256"],
    ...(sealed?.signature !== undefined && { signed: { content: sealed.content, signature: sealed.signature } }),
  };
  try {
    const generation = await store.generation(number);
    return generation && { ...found, generation };
  } catch (error) {
    if (!isCorrupt(error) && !(error instanceof Failure && error.kind === "store-too-new")) throw error;
    return { ...found, failure: error };
  }
}

async function bytesOf(storage: Storage, number: number): Promise<Uint8Array | undefined> {
  try {
    return await (await storage.open(generationKey(number)))?.bytes();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    if (error instanceof Error && "code" in error && error.code === "EIO") return new Uint8Array(); // Store.generation says why
    throw error;
  }
}

/** `before`: the older ones. */
function problemsOf({ generation, failure }: Pick<Link, "generation" | "failure">, before: readonly Link[]): string[] {
  if (!generation) return failure ? [reason(failure)] : [];
  const { format, number, parent, parentDigest } = generation;
  const newer = before.findLast((link) => link.generation !== undefined && link.generation.format > format);
  const problems = newer
    ? [`has format ${format} after generation ${newer.number} of format ${newer.generation?.format}: no digest proves it`]
    : [];
  const [oldest] = before;
  if (parent >= number) return [...problems, `says that it was made after generation ${parent}`];
  const named = before.find((link) => link.number === parent);
  if (!named) {
    const isPruned = !oldest || parent < oldest.number;
    if (isPruned && !(parent === 0 && oldest)) return problems;
    return [
      ...problems,
      parent === 0
        ? `begins a history of its own after generation ${before.at(-1)?.number}`
        : `was made after generation ${parent}, which is missing`,
    ];
  }
  if (parentDigest !== undefined && parentDigest !== named.sha256)
    problems.push(`was made after another generation ${parent} than is stored`);
  return problems;
}

function skippedBy({ generation }: Pick<Link, "generation">, before: readonly Link[]): number[] {
  return generation ? before.filter((link) => link.number > generation.parent).map((link) => link.number) : [];
}
