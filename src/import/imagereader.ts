/**
 * Images of one import: OCI image layouts, and the folders that `skopeo copy … dir:` writes. Their blobs are staged and never opened;
 * manifests are read to find what an image consists of.
 */

import { type FileLocation, located, locationParts } from "../archives/archive.ts";
import type { Budget } from "../archives/budget.ts";
import {
  type Descriptor,
  IMAGE_NAME,
  type ImageManifest,
  LAYOUT_FILE,
  MAX_IMAGE_MANIFEST,
  MAX_INDEX_DEPTH,
  type Platform,
  REF_NAME,
  readImageManifest,
} from "../archives/imagemanifest.ts";
import { type Digest, digestText } from "../digest.ts";
import { refused } from "../errors.ts";
import { compareText } from "../text.ts";
import { jsonText } from "./jsontext.ts";
import type { Staged, Staging } from "./staging.ts";

/** An image that a layout or folder lists. */
export interface FoundImage {
  /** the file that lists it */
  readonly at: readonly string[];
  /** the folder of that file, the archives on the way included */
  readonly group: string;
  /** of its manifest or index */
  readonly digest: Digest;
  /** what it is called there: a whole reference, or a tag alone; undefined: it has no name */
  readonly name?: string;
}

/** A manifest that was read, with what lists say of it. */
export interface ReadManifest extends ImageManifest {
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
  readonly platform?: Platform;
}

export interface ImageReading {
  readonly images: readonly FoundImage[];
  /** of all images, those of indexes included */
  readonly manifests: ReadonlyMap<Digest, ReadManifest>;
  /** what is staged, manifests included, with its size in bytes */
  readonly blobs: ReadonlyMap<Digest, number>;
}

export const NO_IMAGES: ImageReading = { images: [], manifests: new Map(), blobs: new Map() };

interface OpenFolder {
  readonly at: readonly string[];
  /** `oci-layout` was there, or skopeo's `version` */
  isMarked: boolean;
  /** its index.json or manifest.json */
  list?: { readonly at: readonly string[]; readonly bytes: Uint8Array };
}

export class ImageReader<S extends Staged> {
  readonly #staging: Staging<S>;
  readonly #budget: Budget;
  readonly #blobs = new Map<Digest, S>();
  /** files whose content has another digest than their name: name to file */
  readonly #damaged = new Map<string, FileLocation>();
  readonly #layouts = new Map<string, OpenFolder>();
  readonly #folders = new Map<string, OpenFolder>();
  readonly #manifests = new Map<Digest, ReadManifest>();
  readonly #used = new Set<Digest>();
  /** manifests of folders, which are staged when their folder is read: digest to bytes */
  readonly #listed = new Map<Digest, number>();

  constructor(staging: Staging<S>, budget: Budget) {
    this.#staging = staging;
    this.#budget = budget;
  }

  /** A file that is named by its digest. */
  async blob(file: FileLocation, staged: S): Promise<void> {
    const name = (file.path.split("/").at(-1) ?? "").replace(".manifest.json", "");
    const { "sha-256": digest } = staged.sums;
    const isKnown = this.#blobs.has(digest);
    if (digest !== name) this.#damaged.set(name, file);
    if (digest !== name || isKnown) await this.#staging.release(staged);
    else this.#blobs.set(digest, staged);
  }

  /** An `oci-layout`. Throws a `refused` failure for a layout of a later version. */
  layout(group: string, at: readonly string[], bytes: Uint8Array): void {
    const version = /"imageLayoutVersion"\s*:\s*"1\.[^"]*"/.test(jsonText(bytes, this.#budget));
    if (!version) throw refused("it is not of an image layout of version 1", { at });
    openFolder(this.#layouts, group, at).isMarked = true;
  }

  /** The `version` of a folder of skopeo. */
  folder(group: string, at: readonly string[]): void {
    openFolder(this.#folders, group, at).isMarked = true;
  }

  /** Whether a JSON file may list the images of a layout or a folder, by its name and value. */
  lists(value: unknown, file: FileLocation, group: string, bytes: Uint8Array): boolean {
    const name = file.path.split("/").at(-1);
    const at = locationParts(file);
    const isManifest = typeof value === "object" && value !== null && "schemaVersion" in value && value.schemaVersion === 2;
    if (!isManifest || (name !== "index.json" && name !== "manifest.json")) return false;
    openFolder(name === "index.json" ? this.#layouts : this.#folders, group, at).list = { at, bytes };
    return true;
  }

  /** What the layouts and folders hold; blobs that belong to no image are discarded. Throws a `refused` failure that names the file. */
  async finish(): Promise<ImageReading> {
    const images = [...(await this.#ofLayouts()), ...(await this.#ofFolders())];
    const blobs = new Map(this.#listed);
    for (const [digest, staged] of this.#blobs) {
      if (this.#used.has(digest)) blobs.set(digest, staged.sums.size);
      else await this.#staging.release(staged);
    }
    return { images, manifests: this.#manifests, blobs };
  }

  async #ofLayouts(): Promise<FoundImage[]> {
    const found: FoundImage[] = [];
    for (const [group, { at, isMarked, list }] of sorted(this.#layouts)) {
      if (!list) throw refused("there is no index.json beside it, so it lists no image", { at });
      if (!isMarked) throw refused(`there is no ${LAYOUT_FILE} beside it, so it is not of an image layout`, { at });
      const index = readImageManifest(list.bytes, "application/vnd.oci.image.index.v1+json", list.at);
      for (const descriptor of index.manifests) {
        const { annotations = {} } = descriptor;
        const isRead = await this.#read(descriptor, list.at, 0);
        if (!isRead) throw refused(`it lists ${digestText(descriptor.digest)}, which is missing`, { at: list.at });
        const name = annotations[IMAGE_NAME] ?? annotations[REF_NAME];
        found.push({ at: list.at, group, digest: descriptor.digest, ...(name !== undefined && { name }) });
      }
    }
    return found;
  }

  async #ofFolders(): Promise<FoundImage[]> {
    const found: FoundImage[] = [];
    for (const [group, { at, isMarked, list }] of sorted(this.#folders)) {
      if (!isMarked) continue; // a manifest.json that is not of an image
      if (!list) throw refused("there is no manifest.json beside it, so there is no image", { at });
      const digest = await this.#staging.stageSmall(list.bytes);
      this.#listed.set(digest, list.bytes.byteLength);
      this.#accept(digest, list.bytes, readImageManifest(list.bytes, undefined, list.at), undefined);
      await this.#below(digest, list.at, 0);
      found.push({ at: list.at, group, digest });
    }
    return found;
  }

  /** Reads a manifest and what it lists. False: it is not there. */
  async #read({ digest, size, mediaType, platform }: Descriptor, at: readonly string[], depth: number): Promise<boolean> {
    const staged = this.#staged(digest);
    if (!staged) return false;
    this.#checkSize(digest, size, staged, at);
    const before = this.#manifests.get(digest);
    if (before && (before.platform || !platform)) return true;
    if (staged.sums.size > MAX_IMAGE_MANIFEST) throw refused(`${digestText(digest)} is larger than ${MAX_IMAGE_MANIFEST} bytes`, { at });
    const where = [...at, digestText(digest)];
    this.#budget.spend("kept", staged.sums.size, at);
    const bytes = await staged.bytes(0, staged.sums.size);
    jsonText(bytes, this.#budget);
    this.#accept(digest, bytes, readImageManifest(bytes, mediaType, where), platform);
    await this.#below(digest, where, depth);
    return true;
  }

  #accept(digest: Digest, bytes: Uint8Array, manifest: ImageManifest, platform: Platform | undefined): void {
    this.#used.add(digest);
    this.#manifests.set(digest, { ...manifest, digest, size: bytes.byteLength, ...(platform && { platform }) });
  }

  /** The manifests of an index, and the config and layers of an image. What is not there may be stored already. */
  async #below(digest: Digest, at: readonly string[], depth: number): Promise<void> {
    const { manifests = [], blobs = [] } = this.#manifests.get(digest) ?? {};
    if (manifests.length > 0 && depth >= MAX_INDEX_DEPTH) throw refused(`indexes are nested more than ${MAX_INDEX_DEPTH} deep`, { at });
    for (const listed of manifests) await this.#read(listed, at, depth + 1);
    for (const blob of blobs) {
      const staged = this.#staged(blob.digest);
      if (staged) this.#checkSize(blob.digest, blob.size, staged, at);
      this.#used.add(blob.digest);
    }
  }

  #staged(digest: Digest): S | undefined {
    const staged = this.#blobs.get(digest);
    const damaged = this.#damaged.get(digest);
    if (!staged && damaged) throw located(refused("its content does not match its name, which is its sha256"), damaged);
    return staged;
  }

  #checkSize(digest: Digest, size: number, { sums }: S, at: readonly string[]): void {
    if (sums.size !== size) throw refused(`it says that ${digestText(digest)} has ${size} bytes, and it has ${sums.size}`, { at });
  }
}

function openFolder(all: Map<string, OpenFolder>, group: string, at: readonly string[]): OpenFolder {
  const folder = all.get(group) ?? { at, isMarked: false };
  all.set(group, folder);
  return folder;
}

function sorted<T>(all: ReadonlyMap<string, T>): [string, T][] {
  return [...all].toSorted(([a], [b]) => compareText(a, b));
}
