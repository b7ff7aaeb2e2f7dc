/** Image layouts as files of an archive. */

import { LAYOUT_FILE, LAYOUT_TEXT, layoutBlobPath, REF_NAME } from "../src/archives/imagemanifest.ts";
import type { Digest } from "../src/digest.ts";
import type { Files } from "./build.ts";
import type { TestImage } from "./registry.ts";

export interface ListedImage {
  readonly image: TestImage;
  /** undefined: it has no name */
  readonly name?: string;
  /** the annotation that has it; by default that of OCI */
  readonly key?: string;
}

/** The files of an OCI image layout. `without`: digests that are left out. */
export function layoutOf(images: readonly ListedImage[], without: readonly Digest[] = []): Files {
  const files: Record<string, string | Uint8Array> = {};
  for (const { image } of images) {
    for (const { digest, bytes } of image.manifests.values()) files[layoutBlobPath(digest)] = bytes;
    for (const [digest, bytes] of image.blobs) files[layoutBlobPath(digest)] = bytes;
  }
  for (const digest of without) delete files[layoutBlobPath(digest)];
  const manifests = images.map(({ image: { digest, mediaType, bytes }, name, key = REF_NAME }) => ({
    mediaType,
    digest: `sha256:${digest}`,
    size: bytes.byteLength,
    ...(name !== undefined && { annotations: { [key]: name } }),
  }));
  return { ...files, [LAYOUT_FILE]: LAYOUT_TEXT, "index.json": JSON.stringify({ schemaVersion: 2, manifests }) };
}

/** The same files below a folder. */
export function below(folder: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${folder}/${path}`, content]));
}

/** The folder that `skopeo copy … dir:` writes. */
export function skopeoFolderOf(image: TestImage): Files {
  const files: Record<string, string | Uint8Array> = { version: "Directory Transport Version: 1.1\n", "manifest.json": image.bytes };
  for (const { digest, bytes } of image.manifests.values()) if (digest !== image.digest) files[`${digest}.manifest.json`] = bytes;
  for (const [digest, bytes] of image.blobs) files[digest] = bytes;
  return files;
}
