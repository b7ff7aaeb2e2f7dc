/** Merges the images of an import into the stored repositories. */

import { MAX_INDEX_DEPTH } from "../archives/imagemanifest.ts";
import type { CatalogView, SectionDraft } from "../catalog/generation-types.ts";
import { neededImages } from "../catalog/images.ts";
import type { Package } from "../catalog/package.ts";
import { pathOfReference, registryOfReference, splitPath } from "../catalog/registry.ts";
import {
  architecturesOf,
  byDigest,
  checkDepth,
  checkRepositoryName,
  findManifest,
  imagesOf,
  isTag,
  mergeRepository,
  type Repository,
  type RepositoryBlob,
  type StoredManifest,
  sortedTags,
} from "../catalog/repository.ts";
import type { ImageTally } from "../catalog/sections.ts";
import { type Digest, digestText } from "../digest.ts";
import { printable, refused } from "../errors.ts";
import type { FoundImage, ImageReading, ReadManifest } from "./imagereader.ts";

export interface ImageReport {
  /** of the repository */
  readonly name: string;
  readonly state: "new" | "changed" | "known";
  /** digests of manifests and indexes */
  readonly manifests: { readonly new: readonly Digest[]; readonly known: readonly Digest[] };
  /** tags of the import that are new or moved; `from` null: new */
  readonly tags: readonly { readonly tag: string; readonly from: Digest | null; readonly to: Digest }[];
  /** architectures of its images that are stored after the import */
  readonly architectures: readonly string[];
}

export interface ImportedImages {
  readonly draft: SectionDraft<"images">;
  /** blobs that were found in the store and are not brought */
  readonly required: readonly Digest[];
  readonly reports: readonly ImageReport[];
  /** every repository that the import has a part of, as it is after the import */
  readonly after: readonly Repository[];
}

interface ImageImportOptions {
  /** charms as they are after the import, whose resources name images that have no name of their own */
  readonly charms: () => Promise<readonly Package[]>;
  readonly has: (digest: Digest) => boolean | Promise<boolean>;
  /** the name of an image that has none, with or without a tag */
  readonly imageName?: string;
}

/** What comes into one repository. */
export interface NamedImages {
  readonly roots: ReadonlySet<Digest>;
  readonly tags: ReadonlyMap<string, Digest>;
  /** that they are named with */
  readonly registry?: string | undefined;
}

/** Throws a `refused` failure for an image without a name, and for one of which a part is neither in the import nor stored. */
export async function importImages(
  reading: ImageReading,
  base: Pick<CatalogView, "repository">,
  options: ImageImportOptions,
): Promise<ImportedImages> {
  const named = new Map<
    string,
    { readonly roots: Set<Digest>; readonly tags: Map<string, Digest>; readonly registry: string | undefined }
  >();
  for (const image of reading.images)
    for (const { name, tag, registry } of await namesOf(image, options)) {
      const { roots, tags, registry: before } = named.get(name) ?? { roots: new Set<Digest>(), tags: new Map<string, Digest>() };
      // Of several the first in their order, so that the order of files decides nothing.
      const first = [before, registry].filter((one) => one !== undefined).toSorted()[0];
      named.set(name, { roots: roots.add(image.digest), tags, registry: first });
      if (tag === undefined) continue;
      const other = tags.get(tag);
      if (other !== undefined && other !== image.digest)
        throw refused(`it calls ${digestText(other)} and ${digestText(image.digest)} both ${name}:${tag}`, { at: image.at });
      tags.set(tag, image.digest);
    }
  return await mergeImages(named, reading, base, options.has);
}

/** `named`: by the names of repositories. `has`: whether a blob is stored that is not brought. Throws a `refused` failure where a part is missing. */
export async function mergeImages(
  named: ReadonlyMap<string, NamedImages>,
  { manifests, blobs }: Pick<ImageReading, "manifests" | "blobs">,
  base: Pick<CatalogView, "repository">,
  has: ImageImportOptions["has"],
): Promise<ImportedImages> {
  const changed: Repository[] = [];
  const after: Repository[] = [];
  const reports: ImageReport[] = [];
  const required = new Set<Digest>();
  for (const [name, images] of [...named].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const stored = await base.repository(name);
    const incoming = repositoryOf(name, reachable(images.roots, manifests), images);
    const merged = mergeRepository(stored, incoming);
    checkDepth(merged, MAX_INDEX_DEPTH);
    checkIndexes(merged, incoming);
    for (const blob of incoming.blobs) {
      if (blobs.has(blob.digest)) continue;
      if (!(await has(blob.digest))) throw missingBlob(name, blob, incoming);
      required.add(blob.digest);
    }
    const report = reportOf(merged, incoming, stored);
    after.push(merged);
    reports.push(report);
    if (report.state !== "known") changed.push(merged);
  }
  return { draft: { changed, tally: imageTallies(reports) }, required: [...required], reports, after };
}

/** By repository, what an import adds to it. */
export function imageTallies(reports: readonly ImageReport[]): Record<string, ImageTally> {
  const changed = reports.filter(({ state }) => state !== "known");
  return Object.fromEntries(
    changed.map(({ name, manifests, tags }) => [name, { manifests: manifests.new.length, tags: tags.map(({ tag }) => tag) }]),
  );
}

/** The repositories that an image belongs to, with its tag in each. Its own name first; without one the charms' resources say it. */
async function namesOf({ name, digest, at }: FoundImage, { charms, imageName }: ImageImportOptions) {
  const isTagAlone = name !== undefined && isTag(name) && !name.includes("/");
  const given = name !== undefined && !isTagAlone ? name : imageName;
  if (given !== undefined) return [readName(given, digest, at, isTagAlone && name !== undefined ? name : undefined)];
  const paths = neededImages(await charms(), undefined)
    .filter((image) => image.digest === digestText(digest))
    .map(({ upstream }) => ({ ...splitPath(pathOfReference(upstream)), registry: registryOfReference(upstream) }));
  const [first] = paths;
  if (!first)
    throw refused(`the image ${digestText(digest)} has no name there, and no stored charm names it`, {
      at,
      next: "say what it is with --image-name NAME:TAG",
    });
  for (const path of paths) checkRepositoryName(path.name);
  return paths.map((path) => ({ name: path.name, tag: path.tag ?? (isTagAlone ? name : undefined), registry: path.registry }));
}

function readName(reference: string, digest: Digest, at: readonly string[], otherTag: string | undefined) {
  const { name, tag = otherTag, digest: said } = splitPath(pathOfReference(reference));
  if (said !== undefined && said !== digestText(digest))
    throw refused(`it calls ${digestText(digest)} ${printable(reference, 300)}`, { at });
  try {
    checkRepositoryName(name);
  } catch (error) {
    throw refused(error instanceof Error ? error.message : String(error), { at });
  }
  return { name, tag, registry: registryOfReference(reference) };
}

/** The manifests below some digests, as far as the import has them. */
function reachable(roots: ReadonlySet<Digest>, manifests: ReadonlyMap<Digest, ReadManifest>): ReadManifest[] {
  const found = new Set<ReadManifest>();
  const left = [...roots];
  for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
    const manifest = manifests.get(digest);
    if (!manifest || found.has(manifest)) continue;
    found.add(manifest);
    left.push(...manifest.manifests.map((listed) => listed.digest));
  }
  return [...found];
}

function repositoryOf(name: string, manifests: readonly ReadManifest[], { tags, registry }: NamedImages): Repository {
  const named: RepositoryBlob[] = manifests.flatMap(({ digest, size, blobs }) => [{ digest, size }, ...blobs.map(sizeOf)]);
  return {
    name,
    ...(registry !== undefined && { registry }),
    tags: sortedTags(Object.fromEntries(tags)),
    manifests: byDigest(manifests.map(storedManifest)),
    blobs: byDigest(named),
  };
}

function sizeOf({ digest, size }: RepositoryBlob): RepositoryBlob {
  return { digest, size };
}

function storedManifest({ kind, digest, mediaType, size, platform, artifactType, subject, annotations, manifests, blobs }: ReadManifest) {
  const stored: StoredManifest = {
    digest,
    mediaType,
    size,
    ...(platform && { platform }),
    ...(subject && { subject, ...(artifactType !== undefined && { artifactType }), ...(annotations && { annotations }) }),
    ...(kind === "index"
      ? { manifests: manifests.map((listed) => ({ digest: listed.digest, ...(listed.platform && { platform: listed.platform }) })) }
      : { blobs: [...new Set(blobs.map((blob) => blob.digest))] }),
  };
  return stored;
}

/** Of an index at least one manifest must be there: the others may be of architectures that were left out. */
function checkIndexes(merged: Repository, incoming: Repository): void {
  for (const manifest of incoming.manifests) {
    const images = imagesOf(manifest);
    if (images.length > 0 && !images.some((listed) => findManifest(merged, listed.digest)))
      throw refused(
        `images ${merged.name}: of the index ${digestText(manifest.digest)} no image is there, neither in the import nor in the store`,
      );
  }
}

function missingBlob(name: string, { digest }: RepositoryBlob, { manifests }: Repository) {
  const owner = manifests.find((manifest) => manifest.blobs?.includes(digest));
  const of = owner ? ` of its manifest ${digestText(owner.digest)}` : "";
  return refused(`images ${name}: ${digestText(digest)}${of} is missing: it is neither in the import nor in the store`, {
    next: "make the export again, or import first what it was made after (--since)",
  });
}

function reportOf(merged: Repository, incoming: Repository, stored: Repository | undefined): ImageReport {
  const isStored = (digest: Digest) => stored !== undefined && findManifest(stored, digest) !== undefined;
  const digests = incoming.manifests.map(({ digest }) => digest);
  const tags = Object.entries(incoming.tags).flatMap(([tag, to]) => {
    const from = stored && Object.hasOwn(stored.tags, tag) ? (stored.tags[tag] ?? null) : null;
    return from === to ? [] : [{ tag, from, to }];
  });
  return {
    name: merged.name,
    state: stored === undefined ? "new" : JSON.stringify(stored) === JSON.stringify(merged) ? "known" : "changed",
    manifests: { new: digests.filter((digest) => !isStored(digest)), known: digests.filter(isStored) },
    tags,
    architectures: [...new Set(digests.flatMap((digest) => architecturesOf(merged, digest)))].toSorted(),
  };
}
