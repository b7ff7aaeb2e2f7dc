/** Image metadata as Juju reads it (simplestreams): an index, and for each cloud a file of its images. */

import type { CloudImage, CloudRegion } from "../catalog/cloudimage.ts";

/** Juju asks for the first, and for the second where it is missing; only unsigned files are there (handlers/juju.md, Bootstrap). */
const INDEXES = new Set(["index2.json", "index.json"]);
/** Of an image Juju takes the newest version; here only one is named. */
const ONLY_VERSION = "1";

/**
 * The text of a file below `streams/v1`; undefined: there is none of that name. Each cloud has a file of its own, since within one Juju tells images apart
 * by the name of their region alone.
 */
export function cloudImagesFile(images: readonly CloudImage[], file: string): string | undefined {
  const clouds = groupsOf(images, ({ region, endpoint }) => JSON.stringify([region, endpoint]));
  if (clouds.length === 0) return undefined;
  if (INDEXES.has(file)) return JSON.stringify({ format: "index:1.0", index: Object.fromEntries(clouds.map(indexEntry)) });
  const number = clouds.findIndex((_, i) => productsFile(i) === file);
  const cloud = clouds[number];
  return (
    cloud && JSON.stringify({ format: "products:1.0", content_id: contentId(number), products: Object.fromEntries(productsOf(cloud)) })
  );
}

function indexEntry(images: readonly CloudImage[], number: number): [string, object] {
  return [
    contentId(number),
    {
      datatype: "image-ids",
      format: "products:1.0",
      cloudname: "custom",
      clouds: images.slice(0, 1).map(({ region, endpoint }): CloudRegion => ({ region, endpoint })),
      path: `streams/v1/${productsFile(number)}`,
      products: [...new Set(images.map(productId))].toSorted(),
    },
  ];
}

function productsOf(images: readonly CloudImage[]): [string, object][] {
  return groupsOf(images, productId).flatMap((ofProduct) =>
    ofProduct.slice(0, 1).map((image): [string, object] => [
      productId(image),
      {
        arch: image.architecture,
        os: image.system.name,
        version: image.system.channel,
        versions: { [ONLY_VERSION]: { items: Object.fromEntries(ofProduct.map((item, i) => [`${i}`, itemOf(item)])) } },
      },
    ]),
  );
}

function itemOf({ id, region, endpoint, virt, storage }: CloudImage): object {
  return { id, region, endpoint, ...(virt !== undefined && { virt }), ...(storage !== undefined && { root_store: storage }) };
}

/** `com.ubuntu.cloud:server:24.04:amd64`; the version of another system begins with its name. */
function productId({ stream, system: { name, channel }, architecture }: CloudImage): string {
  const version = name === "ubuntu" ? channel : `${name}${channel}`;
  return `com.ubuntu.cloud${stream === "released" ? "" : `.${stream}`}:server:${version}:${architecture}`;
}

function productsFile(number: number): string {
  return `cloud-${number}.json`;
}

function contentId(number: number): string {
  return `com.ubuntu.cloud:custom:${number}`;
}

function groupsOf<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item)) ?? [];
    group.push(item);
    groups.set(keyOf(item), group);
  }
  return [...groups.values()];
}
