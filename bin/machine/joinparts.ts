/** Joins the parts of archives that were split for media: the parts of an archive become one source. */

import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Part, partName, partOf, partSumsName } from "../../src/archives/parts.ts";
import { readSums } from "../../src/archives/signature.ts";
import { type Digest, Summer } from "../../src/digest.ts";
import { Failure, printable, refused } from "../../src/errors.ts";
import type { ImportSource } from "../../src/import/import.ts";

type FromFile = (path: string) => Promise<ImportSource>;

/** A split file with the parts that were found. */
interface Split extends Pick<Part, "whole" | "count"> {
  readonly parts: Map<number, ImportSource>;
}

/** Digests of parts by their names, and the file that lists them. */
interface PartSums {
  readonly where: string;
  readonly digests: ReadonlyMap<string, Digest>;
}

/**
 * Replaces the parts of each split file by one source. Parts that were not given, and the list of digests, are found beside
 * the given ones. Fails with `refused` if a part is missing.
 */
export async function joinParts(sources: readonly ImportSource[], fromFile: FromFile): Promise<ImportSource[]> {
  const splits = new Map<string, Split>();
  const all = new Map<string, ImportSource>();
  for (const source of sources) {
    const part = source.path === undefined ? undefined : partOf(basename(source.path));
    if (!part) all.set(source.path ?? source.name, source);
    else {
      const key = partName(part.whole, part.count, part.count);
      const split = splits.get(key) ?? { ...part, parts: new Map() };
      splits.set(key, split);
      addPart(split, part.index, source);
    }
  }
  for (const split of splits.values()) {
    const folders = [...new Set([...split.parts.values()].map(({ name }) => dirname(name)))];
    await addPartsBeside(split, folders, fromFile);
    const sums = await readPartSums(split, folders);
    for (const folder of folders) all.delete(resolve(folder, partSumsName(split.whole)));
    const whole = joined(split, sums);
    if (all.has(whole.path))
      throw new Failure("usage", `${printable(whole.name)} is there whole and in parts`, { next: "name one of both" });
    all.set(whole.path, whole);
  }
  return [...all.values()];
}

function addPart({ parts }: Split, index: number, source: ImportSource): void {
  const other = parts.get(index);
  if (other)
    throw new Failure("usage", `${printable(other.name)} and ${printable(source.name)} are the same part`, { next: "name one of both" });
  parts.set(index, source);
}

async function addPartsBeside(split: Split, folders: readonly string[], fromFile: FromFile): Promise<void> {
  for (const folder of folders) {
    for (const name of (await readdir(folder)).toSorted()) {
      const part = partOf(name);
      if (part?.whole === split.whole && part.count === split.count && !split.parts.has(part.index))
        split.parts.set(part.index, await fromFile(join(folder, name)));
    }
  }
  const missing: string[] = [];
  for (let index = 1; index <= split.count; index += 1)
    if (!split.parts.has(index)) missing.push(partName(split.whole, index, split.count));
  const [first] = split.parts.values();
  if (missing.length === 0 || !first) return;
  const named = `${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ` and ${missing.length - 5} more` : ""}`;
  throw refused(`${printable(first.name)} is one of ${split.count} parts; missing: ${printable(named)}`, {
    next: "put all parts into one folder, or name each of them; nothing was read",
  });
}

/** Reads the list of digests beside the parts; undefined: there is none. */
async function readPartSums({ whole, count }: Split, folders: readonly string[]): Promise<PartSums | undefined> {
  for (const folder of folders) {
    const where = join(folder, partSumsName(whole));
    const text = await readFile(where, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const digests = readSums(text, printable(where));
    for (let index = 1; index <= count; index += 1) {
      const name = partName(whole, index, count);
      if (!digests.has(name)) throw refused(`${printable(where)} does not list ${printable(name)}`);
    }
    return { where, digests };
  }
  return undefined;
}

function joined({ whole, parts }: Split, sums: PartSums | undefined): ImportSource & { readonly path: string } {
  const inOrder = [...parts].toSorted(([a], [b]) => a - b).map(([, source]) => source);
  const [{ name, path = name } = { name: whole }] = inOrder;
  const sizes = inOrder.map((part) => part.size ?? Number.NaN);
  const size = sizes.reduce((sum, partSize) => sum + partSize, 0);
  return {
    name: join(dirname(name), whole),
    path: join(dirname(path), whole),
    ...(!Number.isNaN(size) && { size }),
    async *open() {
      for (const part of inOrder) yield* sums ? verifiedPart(part, sums) : part.open();
    },
    // An import may refuse the content before the digest of the damaged part is checked: this finds that part.
    async whyWrong() {
      if (!sums) return undefined;
      for (const part of inOrder) {
        try {
          for await (const _ of verifiedPart(part, sums));
        } catch (error) {
          if (error instanceof Failure) return error;
          throw error;
        }
      }
      return undefined;
    },
  };
}

/** The bytes of a part. Fails with `refused` at its end if they do not match the listed digest. */
async function* verifiedPart(part: ImportSource, { where, digests }: PartSums): AsyncGenerator<Uint8Array> {
  const summer = new Summer();
  for await (const chunk of part.open()) {
    summer.update(chunk);
    yield chunk;
  }
  const [is, should] = [summer.sums()["sha-256"], digests.get(basename(part.name))];
  if (is !== should)
    throw refused(`${printable(part.name)}: its sha256 is ${is}, but ${printable(where)} says ${should}`, {
      next: "copy that part again from where it was made; the others need not be",
    });
}
