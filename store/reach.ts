/** The blobs reachable from a generation: index → manifests and assertions → payloads and texts. */

import type { Generation, Index } from "../src/catalog/generation-types.ts";
import { SECTION_NAMES } from "../src/catalog/sections.ts";
import type { Digest } from "../src/digest.ts";
import { type Failure, isCorrupt } from "../src/errors.ts";
import { digestsOfSection } from "./generation.ts";
import type { Listing } from "./manifest.ts";
import { type BlobReference, blobsOfManifest } from "./named.ts";
import type { ManifestReader } from "./snapshot.ts";

/** Where the lists of a generation are read: a store. */
export interface ListReader extends ManifestReader {
  index(generation: Generation): Promise<Index>;
  listed(digest: Digest): Promise<Listing["blobs"]>;
}

export interface Walk {
  /** Digests to skip, with what they name; every yielded digest is added. */
  readonly seen?: Set<Digest>;
  /** Called for a list that is `corrupt`, and the walk continues. Without it, the walk fails. */
  unreadable?(named: BlobReference, failure: Failure): void;
}

/**
 * Every blob that a generation names; a list comes before the blobs in it. Blobs that several packages name come several
 * times, unless `seen` is given. One manifest at a time is in memory.
 */
export async function* blobsOf(store: ListReader, generation: Generation, walk: Walk = {}): AsyncGenerator<BlobReference> {
  const { seen } = walk;
  const isNew = ({ digest }: BlobReference) => !seen || (!seen.has(digest) && seen.add(digest) !== undefined);
  const read = async <T>(named: BlobReference, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!walk.unreadable || !isCorrupt(error)) throw error;
      walk.unreadable(named, error);
      return undefined;
    }
  };

  const top: BlobReference = { digest: generation.index, what: { kind: "index" } };
  if (!isNew(top)) return;
  yield top;
  const index = await read(top, () => store.index(generation));
  if (!index) return;
  if (index.assertions !== undefined) {
    const others: BlobReference = { digest: index.assertions, what: { kind: "assertions" } };
    if (isNew(others)) yield others;
  }
  for (const [part, section] of Object.entries(index.others ?? {}))
    for (const digest of digestsOfSection(section)) {
      const named: BlobReference = { digest, what: { kind: "manifest", part } };
      if (!isNew(named)) continue;
      yield named;
      for (const blob of (await read(named, () => store.listed(digest))) ?? []) {
        const listed: BlobReference = { ...blob, what: { kind: "blob", part } };
        if (isNew(listed)) yield listed;
      }
    }
  for (const section of SECTION_NAMES)
    for (const [name, [digest]] of Object.entries(index[section])) {
      const named: BlobReference = { digest, what: { kind: "manifest", package: { section, name } } };
      if (!isNew(named)) continue;
      yield named;
      const manifest = await read(named, () => store.manifest(section, digest));
      for (const blob of manifest ? blobsOfManifest(section, manifest) : []) if (isNew(blob)) yield blob;
    }
}
