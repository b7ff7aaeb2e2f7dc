/** The parsers of texts that strangers wrote, by name: pure, bounded by themselves, and of plain values, so that a worker can run them. */

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

type Reader<K extends ReaderName> = (...input: Parameters<Readers[K]>) => ReturnType<Readers[K]>;
