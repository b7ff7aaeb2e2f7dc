/** Manifests of images, as strangers write them. */

import { expect, test } from "bun:test";
import { MAX_IMAGE_MANIFEST, readImageManifest } from "../../../src/archives/imagemanifest.ts";
import { Failure } from "../../../src/errors.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";
const DESCRIPTOR = { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${"0".repeat(64)}`, size: 2 };

/** A manifest of exactly so many bytes. */
function manifest(size: number): Buffer {
  const text = (note: string) =>
    JSON.stringify({ schemaVersion: 2, mediaType: TYPE, config: DESCRIPTOR, layers: [], annotations: { note } });
  return Buffer.from(text("x".repeat(size - text("").length)));
}

test("is read up to the bytes that it may have, and no further", () => {
  expect(readImageManifest(manifest(MAX_IMAGE_MANIFEST), TYPE).blobs).toHaveLength(1);
  expect(() => readImageManifest(manifest(MAX_IMAGE_MANIFEST + 1), TYPE, "app.tar")).toThrow(
    new Failure("refused", `app.tar: it is larger than ${MAX_IMAGE_MANIFEST} bytes`),
  );
});

test("names up to 1000 layers, or manifests, and no more", () => {
  const listing = (name: string, count: number) =>
    Buffer.from(JSON.stringify({ schemaVersion: 2, config: DESCRIPTOR, [name]: Array.from({ length: count }, () => DESCRIPTOR) }));
  expect(readImageManifest(listing("layers", 1000), undefined).blobs).toHaveLength(1001);
  expect(readImageManifest(listing("manifests", 1000), undefined).manifests).toHaveLength(1000);
  for (const name of ["layers", "manifests"])
    expect(() => readImageManifest(listing(name, 1001), undefined, "app.tar")).toThrow(`app.tar: ${name} is a list of more than 1000`);
});
