/** Images as they are stored: repositories with tags, manifests and blobs, as a registry serves them. */

import { type Digest, parseDigestText } from "../digest.ts";
import { printable, refused } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { pathOfReference, splitPath } from "./registry.ts";

/** A repository of images. Its manifest in the store; a section that lists its `blobs` is understood by every chp of format 2. */
export interface Repository {
  /** its path without a registry: `charm/3x8ek/kafka-image`, `juju/jujud-operator` */
  readonly name: string;
  /** the registry that its images were last named with, as `ghcr.io`; absent: none was, or an older chp imported them */
  readonly registry?: string;
  /** tag to the digest of a stored manifest */
  readonly tags: Readonly<Record<string, Digest>>;
  /** sorted by digest */
  readonly manifests: readonly StoredManifest[];
  /** every manifest, config and layer, once, sorted by digest */
  readonly blobs: readonly RepositoryBlob[];
}

/** A manifest or an index. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** bytes */
  readonly size: number;
  /** as the index that lists it says; undefined: no index does */
  readonly platform?: ImagePlatform;
  /** the manifest that this one refers to, as a signature to its image; with what a list of referrers says of this one */
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** of an index: what it lists; of an architecture that was left out the manifest is not stored */
  readonly manifests?: readonly ListedManifest[];
  /** of an image: config and layers */
  readonly blobs?: readonly Digest[];
}

export interface ListedManifest {
  readonly digest: Digest;
  readonly platform?: ImagePlatform;
}

export interface ImagePlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

export interface RepositoryBlob {
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
}

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const REPOSITORY_NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const MAX_NAME = 255;

/** First parts of repository names that are the stores' own below `/v2/`. */
const TAKEN = new Set(["charms", "snaps", "assertions", "auth", "cohorts", "messages", "repairs"]);

/** Throws a `refused` failure for a name that is no repository's, or whose URL another API has. */
export function checkRepositoryName(name: string): void {
  if (!isRepositoryName(name)) throw refused(`${printable(name, 200)} is not the name of a repository of images`);
  const [first = ""] = name.split("/");
  if (isTakenName(first)) throw refused(`the repository ${name} can't be served: /v2/${first}/ is another API's`);
}

/** Whether the first part of a name, or of a path below `/v2/`, is another API's. */
export function isTakenName(first: string): boolean {
  return TAKEN.has(first);
}

export function isRepositoryName(name: string): boolean {
  return name.length <= MAX_NAME && REPOSITORY_NAME.test(name);
}

export function isTag(tag: string): boolean {
  return TAG.test(tag);
}

const lookedUp = new WeakMap<
  Repository,
  { readonly manifests: ReadonlyMap<Digest, StoredManifest>; readonly blobs: ReadonlyMap<Digest, number> }
>();

function lookups(repository: Repository) {
  let maps = lookedUp.get(repository);
  if (!maps) {
    maps = {
      manifests: new Map(repository.manifests.map((manifest) => [manifest.digest, manifest])),
      blobs: new Map(repository.blobs.map(({ digest, size }) => [digest, size])),
    };
    lookedUp.set(repository, maps);
  }
  return maps;
}

/** The manifest with that digest. */
export function findManifest(repository: Repository, digest: Digest): StoredManifest | undefined {
  return lookups(repository).manifests.get(digest);
}

/** The manifest of that tag. */
export function taggedManifest(repository: Repository, tag: string): StoredManifest | undefined {
  const digest = ownValue(repository.tags, tag);
  return digest && findManifest(repository, digest);
}

/** Size in bytes of a blob of the repository, manifests included. */
export function blobSize(repository: Repository, digest: Digest): number | undefined {
  return lookups(repository).blobs.get(digest);
}

/** Bytes of blobs; each counts once. */
export function sizeOfBlobs(blobs: readonly RepositoryBlob[]): number {
  return byDigest(blobs).reduce((sum, { size }) => sum + size, 0);
}

/** Bytes of a stored manifest and all that it needs; each blob counts once. */
export function sizeBelow(repository: Repository, digest: Digest): number {
  const digests = new Set(manifestsBelow(repository, digest).flatMap((manifest) => [manifest.digest, ...(manifest.blobs ?? [])]));
  return [...digests].reduce((sum, blob) => sum + (blobSize(repository, blob) ?? 0), 0);
}

/** The manifests that refer to that digest. */
export function referrersOf(repository: Repository, digest: Digest): StoredManifest[] {
  return repository.manifests.filter(({ subject }) => subject === digest);
}

/**
 * Whether a client of that architecture can pull it: its manifest is stored, and of an index the one of the architecture. Undefined: of
 * every architecture that the index lists; what an index lists besides images, as attestations, does not count.
 */
export function isComplete(repository: Repository, digest: Digest, architecture?: string): boolean {
  const known = new Map<Digest, boolean>(); // an index may list one manifest a thousand times, at each of its depths
  const complete = (at: Digest): boolean => {
    const before = known.get(at);
    if (before !== undefined) return before;
    const manifest = findManifest(repository, at);
    const asked = manifest?.manifests && imagesOf(manifest).filter(({ platform }) => isFor(platform, architecture));
    const is = asked ? asked.length > 0 && asked.every((image) => complete(image.digest)) : manifest !== undefined;
    known.set(at, is);
    return is;
  };
  return complete(digest);
}

function isFor(platform: ImagePlatform | undefined, architecture: string | undefined): boolean {
  return architecture === undefined || platform === undefined || platform.architecture === architecture;
}

/** What an index lists, without what is said of images beside them, as how they were built: its platform is unknown. */
export function imagesOf({ manifests = [] }: StoredManifest): ListedManifest[] {
  return manifests.filter(({ platform }) => platform?.architecture !== "unknown");
}

/** `linux/arm64/v8`, `index`, or what an artifact is: a text of whoever made it, which may be empty. */
export function showManifestKind({ manifests, platform, artifactType }: Omit<StoredManifest, "digest">): string {
  if (manifests) return "index";
  if (platform?.architecture === "unknown") return "attestation";
  if (platform) return [platform.os, platform.architecture, ...(platform.variant === undefined ? [] : [platform.variant])].join("/");
  return artifactType || "image";
}

/** Architectures of the images behind a manifest that are stored, sorted; empty where no index says. */
export function architecturesOf(repository: Repository, digest: Digest): string[] {
  const found = manifestsBelow(repository, digest).flatMap(({ platform }) => platform?.architecture ?? []);
  return [...new Set(found)].filter((architecture) => architecture !== "unknown").toSorted();
}

/** A stored manifest and the stored ones below it, each once. */
function manifestsBelow(repository: Repository, digest: Digest): StoredManifest[] {
  const found = new Map<Digest, StoredManifest>();
  const left = [digest];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const manifest = found.has(at) ? undefined : findManifest(repository, at);
    if (!manifest) continue;
    found.set(at, manifest);
    left.push(...(manifest.manifests ?? []).map((listed) => listed.digest));
  }
  return [...found.values()];
}

/** The architectures that a client can pull it for, sorted; null: all that it has. */
export function pullableFor(repository: Repository, digest: Digest): readonly string[] | null {
  if (isComplete(repository, digest)) return null;
  return architecturesOf(repository, digest).filter((architecture) => isComplete(repository, digest, architecture));
}

/** The digest of the stored manifest that a reference names by its digest, or else by its tag (`latest` by default); undefined: it is not stored. */
export function storedImage(repository: Repository, reference: string): Digest | undefined {
  const { tag = "latest", digest } = splitPath(pathOfReference(reference));
  const manifest = digest === undefined ? taggedManifest(repository, tag) : findManifest(repository, parseDigestText(digest) ?? NO_DIGEST);
  return manifest?.digest;
}

const NO_DIGEST = "" as Digest;

/** Throws a `refused` failure where indexes list indexes more than `most` deep. */
export function checkDepth({ name, manifests }: Repository, most: number): void {
  const all = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const heights = new Map<Digest, number>();
  const height = (digest: Digest, left: number): number => {
    const known = heights.get(digest);
    if (left < 0 || (known ?? 0) > left) throw refused(`images ${name}: indexes are nested more than ${most} deep`);
    if (known !== undefined) return known;
    const below = (all.get(digest)?.manifests ?? []).map((listed) => 1 + height(listed.digest, left - 1));
    const own = below.reduce((highest, one) => Math.max(highest, one), 0);
    heights.set(digest, own);
    return own;
  };
  for (const { digest } of manifests) height(digest, most);
}

/** Both together: tags of `incoming` win. A manifest has the platform that an index of either says, whichever came first. */
export function mergeRepository(stored: Repository | undefined, incoming: Repository): Repository {
  if (!stored) return incoming;
  const all = [...stored.manifests, ...incoming.manifests];
  const said = new Map<Digest, ImagePlatform>();
  for (const { digest, platform, manifests = [] } of all)
    for (const one of [...manifests, { digest, platform }]) if (one.platform) said.set(one.digest, one.platform);
  const registry = incoming.registry ?? stored.registry;
  return {
    name: incoming.name,
    ...(registry !== undefined && { registry }),
    tags: sortedTags({ ...stored.tags, ...incoming.tags }),
    manifests: byDigest(all).map((manifest) => withPlatform(manifest, said.get(manifest.digest))),
    blobs: byDigest([...stored.blobs, ...incoming.blobs]),
  };
}

/** The same order of fields as of a manifest that had its platform from the start: equal repositories are equal texts. */
function withPlatform(manifest: StoredManifest, platform: ImagePlatform | undefined): StoredManifest {
  if (manifest.platform || !platform) return manifest;
  const { digest, mediaType, size, ...more } = manifest;
  return { digest, mediaType, size, platform, ...more };
}

export function sortedTags(tags: Readonly<Record<string, Digest>>): Record<string, Digest> {
  return Object.fromEntries(Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Each once, sorted; of two with the same digest the later. */
export function byDigest<T extends { readonly digest: Digest }>(all: readonly T[]): T[] {
  return [...new Map(all.map((one) => [one.digest, one])).values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
