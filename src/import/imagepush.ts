/** A manifest that a client pushes into a repository: read as that of an import, and merged in the same way. */

import { Budget } from "../archives/budget.ts";
import { readImageManifest } from "../archives/imagemanifest.ts";
import type { CatalogView } from "../catalog/generation-types.ts";
import { blobSize, findManifest } from "../catalog/repository.ts";
import { type Digest, digestText, sumsOf } from "../digest.ts";
import { refused } from "../errors.ts";
import { type ImportedImages, mergeImages } from "./imageimport.ts";
import type { ReadManifest } from "./imagereader.ts";
import { jsonText } from "./jsontext.ts";

/** Throws a `refused` failure. `mediaType`: as the client says; undefined: it does not. */
export function readPushed(bytes: Uint8Array, mediaType: string | undefined): ReadManifest {
  jsonText(bytes, new Budget());
  return { ...readImageManifest(bytes, mediaType), digest: sumsOf(bytes)["sha-256"], size: bytes.byteLength };
}

interface Target {
  /** of the repository */
  readonly name: string;
  readonly tag?: string | undefined;
}

interface Parts {
  /** bytes of a blob that was uploaded for that repository, and that no manifest names yet */
  readonly uploaded: (digest: Digest) => number | undefined;
  /** whether the store has its bytes */
  readonly has: (digest: Digest) => Promise<boolean>;
}

/**
 * The change that puts the manifest into its repository; `missing`: something that it names is neither there nor uploaded for it. Throws a
 * `refused` failure where it says a wrong size, or where indexes are nested too deep.
 */
export async function mergePushed(
  manifest: ReadManifest,
  { name, tag }: Target,
  base: Pick<CatalogView, "repository">,
  { uploaded, has }: Parts,
): Promise<Pick<ImportedImages, "draft" | "required"> | { readonly missing: Digest }> {
  const stored = await base.repository(name);
  const named = [
    ...manifest.manifests.map((listed) => ({ listed, size: stored && findManifest(stored, listed.digest)?.size })),
    ...manifest.blobs.map((listed) => ({ listed, size: (stored && blobSize(stored, listed.digest)) ?? uploaded(listed.digest) })),
  ];
  for (const { listed, size } of named) {
    if (size === undefined || !(await has(listed.digest))) return { missing: listed.digest };
    if (size !== listed.size) throw refused(`it says that ${digestText(listed.digest)} has ${listed.size} bytes, and it has ${size}`);
  }
  const { digest } = manifest;
  const images = new Map([[name, { roots: new Set([digest]), tags: new Map(tag === undefined ? [] : [[tag, digest]]) }]]);
  const reading = { manifests: new Map([[digest, manifest]]), blobs: new Map([[digest, manifest.size]]) };
  return await mergeImages(images, reading, base, has);
}
