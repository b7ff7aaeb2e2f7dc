/** An OCI image as an image layout in a tar: an index of one image an architecture. No daemon and no registry is needed. */

import { createHash } from "node:crypto";
import { type Entry, gzip, tarOf } from "./tar.ts";

const TYPES = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
} as const;

export interface ImageOptions {
  /** `chp:0.1.0`: what it is called where it is loaded */
  readonly name: string;
  /** of the configuration, besides root file system and platform: as Docker writes it */
  readonly config: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string>>;
  /** seconds since 1970 */
  readonly time: number;
  /** layers by architecture, the lowest first */
  readonly platforms: Readonly<Record<string, readonly (readonly Entry[])[]>>;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export function imageOf({ name, config, labels, time, platforms }: ImageOptions): Uint8Array {
  const blobs = new Map<string, Uint8Array>();
  const put = (mediaType: string, content: Uint8Array | object): Descriptor => {
    const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content));
    const hex = sha256(bytes);
    blobs.set(hex, bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength };
  };
  const created = new Date(time * 1000).toISOString();
  const manifests = Object.entries(platforms).map(([architecture, layers]) => {
    const tars = layers.map((entries) => tarOf(entries, { time }));
    const description = put(TYPES.config, {
      created,
      architecture,
      os: "linux",
      config: { ...config, Labels: labels },
      rootfs: { type: "layers", diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) },
      history: tars.map(() => ({ created, created_by: "make release" })),
    });
    const manifest = put(TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: description,
      layers: tars.map((tar) => put(TYPES.layer, gzip(tar))),
      annotations: labels,
    });
    return { ...manifest, platform: { architecture, os: "linux" } };
  });
  const index = put(TYPES.index, { schemaVersion: 2, mediaType: TYPES.index, manifests, annotations: labels });
  const [, tag = ""] = name.split(":");
  const top = {
    schemaVersion: 2,
    mediaType: TYPES.index,
    manifests: [{ ...index, annotations: { "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": `localhost/${name}` } }],
  };
  const files: Entry[] = [
    { path: "oci-layout", bytes: JSON.stringify({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", bytes: JSON.stringify(top) },
    ...[...blobs].map(([hex, bytes]) => ({ path: `blobs/sha256/${hex}`, bytes })),
  ];
  return tarOf(files, { time });
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
