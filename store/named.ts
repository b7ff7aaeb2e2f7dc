/** The payloads and texts that manifests name by digest. */

import type { AgentRelease } from "../src/catalog/agents.ts";
import type { ChangeDraft, Index } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Repository } from "../src/catalog/repository.ts";
import { SECTION_NAMES, type SectionName, type Sections } from "../src/catalog/sections.ts";
import type { Snap } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { digestsOfSection } from "./generation.ts";

/** A digest that a generation names, with what the blob is for. */
export interface BlobReference {
  readonly digest: Digest;
  /** bytes; undefined where it is not recorded: index, manifest, text, assertions */
  readonly size?: number;
  readonly what: BlobRole;
}

export interface BlobRole {
  readonly kind:
    | "index"
    | "manifest"
    | "assertions"
    | "blob"
    | "charm"
    | "bundle"
    | "snap"
    | "image"
    | "agent"
    | "streams"
    | "resource"
    | "component"
    | "icon"
    | "text";
  /** the package that it belongs to; undefined: it belongs to the whole store */
  readonly package?: PackageName;
  /** of the package, the resource or the component */
  readonly revision?: number;
  /** name of the resource, component or text; of an agent its architecture; of what a section that this chp does not know names, the section */
  readonly part?: string;
}

/** Each section has its own names. */
export interface PackageName {
  readonly section: SectionName;
  readonly name: string;
}

/** The blobs that the manifest of a charm or bundle names. */
function* blobsOfPackage(manifest: Package): Generator<BlobReference> {
  const pkg: PackageName = { section: "packages", name: manifest.name };
  for (const { revision, blob, size, texts } of manifest.revisions) {
    yield { digest: blob, size, what: { kind: manifest.type, package: pkg, revision } };
    for (const [part, digest] of Object.entries(texts)) yield { digest, what: { kind: "text", package: pkg, revision, part } };
  }
  for (const { name: part, revisions } of manifest.resources)
    for (const { revision, blob, size } of revisions)
      yield { digest: blob, size, what: { kind: "resource", package: pkg, revision, part } };
  if (manifest.publisherAssertion !== undefined) yield { digest: manifest.publisherAssertion, what: { kind: "assertions", package: pkg } };
}

/** The blobs that the manifest of a snap names. */
function* blobsOfSnap(manifest: Snap): Generator<BlobReference> {
  const pkg: PackageName = { section: "snaps", name: manifest.name };
  for (const { revision, blob, size, yaml, icon } of manifest.revisions) {
    yield { digest: blob, size, what: { kind: "snap", package: pkg, revision } };
    yield { digest: yaml, what: { kind: "text", package: pkg, revision, part: "snap.yaml" } };
    if (icon) yield { digest: icon.blob, size: icon.size, what: { kind: "icon", package: pkg, revision } };
  }
  for (const { name: part, revisions } of manifest.components)
    for (const { revision, blob, size } of revisions)
      yield { digest: blob, size, what: { kind: "component", package: pkg, revision, part } };
}

/** The blobs that a repository of images names: manifests, configs and layers. */
function* blobsOfRepository({ name, blobs }: Repository): Generator<BlobReference> {
  for (const { digest, size } of blobs) yield { digest, size, what: { kind: "image", package: { section: "images", name } } };
}

/** The blobs that the agents of a version name: their files, and the signed texts of upstream. */
function* blobsOfAgents({ name, agents, blobs }: AgentRelease): Generator<BlobReference> {
  const pkg: PackageName = { section: "agents", name };
  const parts = new Map(agents.map(({ blob, architecture }) => [blob, architecture]));
  for (const { digest, size } of blobs) {
    const part = parts.get(digest);
    yield { digest, size, what: part === undefined ? { kind: "streams", package: pkg } : { kind: "agent", package: pkg, part } };
  }
}

const BLOBS: { readonly [S in SectionName]: (manifest: Sections[S]) => Iterable<BlobReference> } = {
  packages: blobsOfPackage,
  snaps: blobsOfSnap,
  images: blobsOfRepository,
  agents: blobsOfAgents,
};

/** The blobs that a manifest of a section names. */
export function blobsOfManifest<S extends SectionName>(section: S, manifest: Sections[S]): Iterable<BlobReference> {
  return BLOBS[section](manifest);
}

/** The blobs that the changed manifests of a draft name. */
export function* blobsOfDraft({ sections }: Pick<ChangeDraft, "sections">): Generator<BlobReference> {
  for (const section of SECTION_NAMES) for (const one of sections[section]?.changed ?? []) yield* blobsOfManifest(section, one);
}

/** Blobs of a new generation that gc may have moved to the trash meanwhile: index `digest`, all manifests, and what the changed ones name. */
export function dependencies(digest: Digest, index: Index, draft: ChangeDraft): Digest[] {
  const manifests = SECTION_NAMES.flatMap((section) => Object.values(index[section]).map(([manifest]) => manifest));
  const others = Object.values(index.others ?? {}).flatMap(digestsOfSection);
  const all = new Set([digest, ...(index.assertions ? [index.assertions] : []), ...manifests, ...others]);
  for (const named of blobsOfDraft(draft)) all.add(named.digest);
  return [...all];
}
