/** What manifests name: payloads and texts, by digest. */

import type { Package } from "../src/catalog/package.ts";
import type { Snap } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";

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
