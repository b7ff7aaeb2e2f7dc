/** What a generation names: index → manifests and assertions → payloads and texts. What no kept generation names is garbage. */

import type { Generation } from "../src/catalog/generation-types.ts";
import type { Digest } from "../src/digest.ts";
import { type Failure, isCorrupt } from "../src/errors.ts";
import { blobsOfPackage, blobsOfSnap, type Named } from "./named.ts";
import type { Store } from "./store.ts";

export interface Walk {
  /** Digests that are not named again, and whose manifests are not read again; what is named is added. */
  readonly seen?: Set<Digest>;
  /** Called with what names others and cannot be read, and the walk goes on. Absent: the walk fails. */
  unreadable?(named: Named, failure: Failure): void;
}

/**
 * Every blob that a generation names, what names others before those. A manifest is named once a package; other blobs as
 * often as something names them, unless `seen` is given. One manifest at a time is in memory.
 */
export async function* blobsOf(store: Store, generation: Generation, walk: Walk = {}): AsyncGenerator<Named> {
  const { seen } = walk;
  const isNew = ({ digest }: Named) => !seen || (!seen.has(digest) && seen.add(digest) !== undefined);
  const read = async <T>(named: Named, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!walk.unreadable || !isCorrupt(error)) throw error;
      walk.unreadable(named, error);
      return undefined;
    }
  };

  const top: Named = { digest: generation.index, what: { kind: "index" } };
  if (!isNew(top)) return;
  yield top;
  const index = await read(top, () => store.index(generation));
  if (!index) return;
  if (index.assertions !== undefined) {
    const others: Named = { digest: index.assertions, what: { kind: "assertions" } };
    if (isNew(others)) yield others;
  }
  for (const section of ["packages", "snaps"] as const)
    for (const [name, [digest]] of Object.entries(index[section])) {
      const named: Named = { digest, what: { kind: "manifest", package: { section, name } } };
      if (!isNew(named)) continue;
      yield named;
      const manifest = await read(named, () => store.manifest(section, digest));
      if (!manifest) continue;
      for (const blob of manifest.type === "snap" ? blobsOfSnap(manifest) : blobsOfPackage(manifest)) if (isNew(blob)) yield blob;
    }
}
