/**
 * Manifests of OCI and Docker images, and the index.json of an image layout. Source: the OCI image specification 1.1, and
 * Docker's image manifest V2, schema 2. Their bytes are stored and served as they are; here is read what they name.
 */

import * as v from "valibot";
import { type Digest, parseDigestText } from "../digest.ts";
import { refused } from "../errors.ts";
import { checkShape, mapByName } from "../schema.ts";
import { utf8 } from "../text.ts";

/** bytes of a manifest or an index */
export const MAX_IMAGE_MANIFEST = 4 * 2 ** 20;
/** indexes above an image */
export const MAX_INDEX_DEPTH = 3;
/** what one manifest or index names */
export const MAX_DESCRIPTORS = 1000;

/** What each media type is: a manifest of one image or artifact, or an index of manifests. */
const MANIFEST_TYPES: Readonly<Record<string, "image" | "index">> = {
  "application/vnd.oci.image.manifest.v1+json": "image",
  "application/vnd.oci.image.index.v1+json": "index",
  "application/vnd.docker.distribution.manifest.v2+json": "image",
  "application/vnd.docker.distribution.manifest.list.v2+json": "index",
};

/** For the Accept header of whoever asks a registry. */
export const IMAGE_MANIFEST_TYPES: readonly string[] = Object.keys(MANIFEST_TYPES);

/** Layers that registries do not distribute: who pulls gets them from elsewhere, so they may be missing. */
const FOREIGN_LAYER = /^application\/vnd\.(docker\.image\.rootfs\.foreign\.|oci\.image\.layer\.nondistributable\.)/;

const DescriptorText = v.object({
  mediaType: v.pipe(v.string(), v.maxLength(255, "is longer than 255 characters")),
  digest: v.pipe(
    v.string(),
    v.check((text) => parseDigestText(text) !== undefined, "is not sha256: and 64 hexadecimal digits"),
    v.transform((text) => parseDigestText(text) as Digest),
  ),
  size: v.pipe(v.number("is not a number"), v.safeInteger("is not a whole number"), v.minValue(0, "is negative")),
  annotations: v.exactOptional(mapByName(v.string())),
  artifactType: v.exactOptional(v.string()),
  platform: v.exactOptional(v.object({ os: v.string(), architecture: v.string(), variant: v.exactOptional(v.string()) })),
});

/** What a manifest names: another manifest, a config or a layer. */
export type Descriptor = v.InferOutput<typeof DescriptorText>;
export type Platform = NonNullable<Descriptor["platform"]>;

const Descriptors = v.pipe(v.array(DescriptorText), v.maxLength(MAX_DESCRIPTORS, `is a list of more than ${MAX_DESCRIPTORS}`));
const Common = {
  schemaVersion: v.literal(2, "is not 2"),
  mediaType: v.exactOptional(v.string()),
  artifactType: v.exactOptional(v.string()),
  subject: v.exactOptional(DescriptorText),
  annotations: v.exactOptional(mapByName(v.string())),
};
const ImageText = v.object({ ...Common, config: DescriptorText, layers: Descriptors });
const IndexText = v.object({ ...Common, manifests: Descriptors });
const AnyText = v.object({ mediaType: v.exactOptional(v.string()), manifests: v.exactOptional(v.unknown()) });

export interface ImageManifest {
  readonly kind: "image" | "index";
  readonly mediaType: string;
  /** of an index: the manifests that it lists; of an image: none */
  readonly manifests: readonly Descriptor[];
  /** of an image: config and layers, without those that registries do not distribute */
  readonly blobs: readonly Descriptor[];
  /** what an artifact refers to, as a signature to its image */
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Reads a manifest or index. `mediaType`: as its descriptor or a registry says; what it says itself must agree. Throws a `refused` failure
 * that names the wrong field. The text must have been checked for its depth, or come from a trusted side.
 */
export function readImageManifest(bytes: Uint8Array, mediaType: string | undefined, at: string | readonly string[] = []): ImageManifest {
  if (bytes.byteLength > MAX_IMAGE_MANIFEST) throw refused(`it is larger than ${MAX_IMAGE_MANIFEST} bytes`, { at: [at].flat() });
  let value: unknown;
  try {
    value = JSON.parse(utf8(bytes, "it"));
  } catch {
    throw refused("it is not JSON, so it is no manifest of an image", { at: [at].flat() });
  }
  const said = checkShape(AnyText, value, at);
  const type = said.mediaType ?? mediaType ?? `application/vnd.oci.image.${said.manifests === undefined ? "manifest" : "index"}.v1+json`;
  if (mediaType !== undefined && type !== mediaType)
    throw refused(`it says that its media type is ${type.slice(0, 200)}, and what names it says ${mediaType.slice(0, 200)}`, {
      at: [at].flat(),
    });
  const kind = Object.hasOwn(MANIFEST_TYPES, type) ? MANIFEST_TYPES[type] : undefined;
  if (kind === undefined) throw refused(`its media type ${type.slice(0, 200)} is not that of an image`, { at: [at].flat() });
  if (kind === "index") {
    const { manifests, ...index } = checkShape(IndexText, value, at);
    return { kind, mediaType: type, manifests, blobs: [], ...optionalFields(index) };
  }
  const { config, layers, ...image } = checkShape(ImageText, value, at);
  const artifactType = image.artifactType ?? config.mediaType;
  const blobs = [config, ...layers].filter((layer) => !FOREIGN_LAYER.test(layer.mediaType));
  return { kind, mediaType: type, manifests: [], blobs, ...optionalFields({ ...image, artifactType }) };
}

function optionalFields({
  subject,
  artifactType,
  annotations,
}: Pick<v.InferOutput<typeof IndexText>, "subject" | "artifactType" | "annotations">) {
  return {
    ...(subject && { subject: subject.digest }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}

/* ---- image layouts ---- */

/** The folder of the images in an archive of an export: an OCI image layout. */
export const IMAGES_FOLDER = "images";
/** The file that makes a folder an image layout, and its text. */
export const LAYOUT_FILE = "oci-layout";
export const LAYOUT_TEXT = '{"imageLayoutVersion":"1.0.0"}\n';
/** The annotation of a manifest in index.json that names it: in archives of exports upstream's whole reference. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** The same by containerd and docker, which put the tag alone into the other. */
export const IMAGE_NAME = "io.containerd.image.name";

/** The path of a blob in an image layout. */
export function layoutBlobPath(digest: Digest): string {
  return `blobs/sha256/${digest}`;
}
