/** The parsers of texts that strangers wrote, by name: pure, bounded by themselves, and of plain values, so that a worker can run them. */

import { ByteCache } from "../cache.ts";
import { isObject } from "../schema.ts";
import { readYamls } from "../yaml.ts";
import { readBundle, readManifest, readMetadata } from "./charm.ts";
import { needsOf } from "./needs/needs.ts";
import { readComponentYaml, readSnapYaml } from "./snapyaml.ts";

interface Readers {
  readonly metadata: typeof readMetadata;
  readonly manifest: typeof readManifest;
  readonly bundle: typeof readBundle;
  readonly snap: typeof readSnapYaml;
  readonly component: typeof readComponentYaml;
  readonly needs: typeof needsOf;
  /** all documents */
  readonly yaml: (text: string, what: string) => unknown[];
}

export const READERS: Readers = {
  metadata: readMetadata,
  manifest: readManifest,
  bundle: readBundle,
  snap: readSnapYaml,
  component: readComponentYaml,
  needs: needsOf,
  yaml: (text: string, what: string) => readYamls(text, what),
};

export type ReaderName = keyof Readers;

/** Runs a parser, wherever: rejects with what the parser throws, or with a `refused` failure where it was ended. */
export type ReadText = <K extends ReaderName>(reader: K, ...input: Parameters<Readers[K]>) => Promise<ReturnType<Readers[K]>>;

/** Runs it in this thread. */
export const readHere: ReadText = async (reader, ...input) => (READERS[reader] as unknown as Reader<typeof reader>)(...input);

/** Characters of an input whose result is remembered. */
const MAX_REMEMBERED = 2 ** 18;

/** Bytes that a result takes for each character of its input, about. */
const RESULT_SIZE = 4;

/**
 * Reads the same input once: the revisions of a charm have mostly the same texts. Nobody changes a result, which shares no memory with its input.
 * `size`: bytes in memory.
 */
export function remembering(read: ReadText, size: number): ReadText {
  const known = new ByteCache<unknown>(size);
  /** the last of each reader: to compare with it takes less than to make a key */
  const last = new Map<ReaderName, { readonly texts: readonly string[]; readonly result: unknown }>();
  const detached = detaching();
  return async (reader, ...input) => {
    const texts = input.flatMap((part) => (typeof part === "string" ? part : [...part].flat()));
    const before = last.get(reader);
    if (before && before.texts.length === texts.length && before.texts.every((text, i) => text === texts[i]))
      return before.result as Awaited<ReturnType<typeof read<typeof reader>>>;
    if (texts.reduce((sum, text) => sum + text.length, 0) > MAX_REMEMBERED) return detached(reader, await read(reader, ...input));
    const key = [reader, ...texts].map((text) => `${text.length} ${text}`).join("");
    const found = known.get(key) as Awaited<ReturnType<typeof read<typeof reader>>> | undefined;
    const result = found ?? detached(reader, await read(reader, ...input));
    if (found === undefined) known.set(key, result, RESULT_SIZE * key.length);
    last.set(reader, { texts, result });
    return result;
  };
}

/**
 * Copies results: a piece of a text keeps all of the text in memory, and a revision keeps some of each. A field that is as it was in the last
 * result that had it is that one's: the revisions of a charm differ in few.
 */
function detaching(): <T>(reader: ReaderName, value: T) => T {
  const last = new Map<string, { readonly json: string; readonly copy: unknown }>();
  const copied = (field: string, value: unknown) => {
    if (!isPlain(value)) return structuredClone(value);
    const json = JSON.stringify(value);
    const before = last.get(field);
    if (before?.json === json) return before.copy;
    const copy: unknown = JSON.parse(json);
    if (json.length <= MAX_REMEMBERED) last.set(field, { json, copy });
    return copy;
  };
  return (reader, value) => {
    if (!isObject(value)) return copied(reader, value) as typeof value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copied(name, field)])) as typeof value;
  };
}

/** Whether JSON can say it, as far as readers return it. */
function isPlain(value: unknown): boolean {
  return value !== undefined && !(value instanceof Map);
}

type Reader<K extends ReaderName> = (...input: Parameters<Readers[K]>) => ReturnType<Readers[K]>;
