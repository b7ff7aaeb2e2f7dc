/** What a generation names: index → manifests and assertions → payloads and texts. What no kept generation names is garbage. */

import type { Generation, Index } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Snap } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { type Failure, isCorrupt } from "../src/errors.ts";
import { blobsOfPackage, blobsOfSnap, type Named } from "./named.ts";
import type { Store } from "./store.ts";

export interface Walk {
  /** Digests that are not named again, and whose manifests are not read again; what is named is added. */
  readonly seen?: Set<Digest>;
  /** Told of what names others and cannot be read, and the walk goes on. Absent: the walk fails. */
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
  for (const manifest of manifestsOf(index)) {
    if (!isNew(manifest)) continue;
    yield manifest;
    const held = await read(manifest, () => store.json<Package | Snap>(manifest.digest));
    if (held) for (const named of held.type === "snap" ? blobsOfSnap(held) : blobsOfPackage(held)) if (isNew(named)) yield named;
  }
}

function* manifestsOf({ packages, snaps }: Index): Generator<Named> {
  for (const [section, rows] of [["packages", packages] as const, ["snaps", snaps] as const])
    for (const [name, [digest]] of Object.entries(rows)) yield { digest, what: { kind: "manifest", package: { section, name } } };
}
