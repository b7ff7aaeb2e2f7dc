/** What a generation names: index → manifests and assertions → payloads and texts. What no kept generation names is garbage. */

import type { Digest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import type { Package } from "../src/package.ts";
import type { Snap } from "../src/snap.ts";
import type { Generation, Index, Store } from "./store.ts";

/** A blob that a generation names. */
export interface Named {
  readonly digest: Digest;
  /** bytes; undefined where it is written down nowhere: index, manifest, text, assertions */
  readonly size?: number;
  readonly what: What;
}

export interface What {
  readonly kind: "index" | "manifest" | "assertions" | "charm" | "bundle" | "snap" | "resource" | "component" | "icon" | "text";
  /** whose it is; absent: it is of the store as a whole */
  readonly package?: PackageName;
  /** of the package, the resource or the component */
  readonly revision?: number;
  /** name of the resource, component or text */
  readonly part?: string;
}

/** Charms and bundles share their names, snaps have their own. */
export interface PackageName {
  readonly section: "packages" | "snaps";
  readonly name: string;
}

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
      if (!walk.unreadable || !(error instanceof Failure) || error.kind !== "corrupt") throw error;
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

/** What a charm's or bundle's manifest names. */
export function* blobsOfPackage(held: Package): Generator<Named> {
  const pkg: PackageName = { section: "packages", name: held.name };
  for (const { revision, blob, size, texts } of held.revisions) {
    yield { digest: blob, size, what: { kind: held.type, package: pkg, revision } };
    for (const [part, digest] of Object.entries(texts)) yield { digest, what: { kind: "text", package: pkg, revision, part } };
  }
  for (const { name: part, revisions } of held.resources)
    for (const { revision, blob, size } of revisions)
      yield { digest: blob, size, what: { kind: "resource", package: pkg, revision, part } };
  if (held.publisherAssertion !== undefined) yield { digest: held.publisherAssertion, what: { kind: "assertions", package: pkg } };
}

/** What a snap's manifest names. */
export function* blobsOfSnap(held: Snap): Generator<Named> {
  const pkg: PackageName = { section: "snaps", name: held.name };
  for (const { revision, blob, size, yaml, icon } of held.revisions) {
    yield { digest: blob, size, what: { kind: "snap", package: pkg, revision } };
    yield { digest: yaml, what: { kind: "text", package: pkg, revision, part: "snap.yaml" } };
    if (icon) yield { digest: icon.blob, size: icon.size, what: { kind: "icon", package: pkg, revision } };
  }
  for (const { name: part, revisions } of held.components)
    for (const { revision, blob, size } of revisions)
      yield { digest: blob, size, what: { kind: "component", package: pkg, revision, part } };
}
