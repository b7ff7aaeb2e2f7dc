/** Which OCI images the stored charms need, and their references upstream and in the local registry. */

import type { ImageNeed } from "./need.ts";
import type { ResourceRevision, Revision } from "./package.ts";
import { localReference, pathOfReference, type Registry, splitPath } from "./registry.ts";

/** An image, identified by its reference upstream and its path. */
export interface NeededImage {
  /** upstream's reference, as the charm's resource or file names it */
  readonly upstream: string;
  /** its path in the local registry */
  readonly path: string;
  /** the reference that Juju gets; null where no registry is set */
  readonly local: string | null;
  /** `sha256:…`; null where upstream's reference has no digest */
  readonly digest: string | null;
  readonly neededBy: readonly NeededBy[];
}

/** A resource of a charm that names an image. */
export interface NeededByResource {
  readonly charm: string;
  readonly resource: string;
  /** of the resource */
  readonly revision: number;
}

/** A file of a charm that names an image. */
export interface NeededByFile {
  readonly charm: string;
  readonly file: string;
  /** of the charm */
  readonly revision: number;
  readonly sure: ImageNeed["sure"];
}

export type NeededBy = NeededByResource | NeededByFile;

/** Whether a charm's resource names the image: Juju is sent to where the image is then, and a file has the reference as it is. */
export function isOfResource(user: NeededBy): user is NeededByResource {
  return "resource" in user;
}

/** Whether it is certain that the image is needed. */
export function isCertain({ neededBy }: Pick<NeededImage, "neededBy">): boolean {
  return neededBy.some((user) => isOfResource(user) || user.sure === "certain");
}

/** The fields of a charm that name its images. */
export interface CharmWithImages {
  readonly name: string;
  readonly revisions?: readonly Pick<Revision, "revision" | "images">[];
  readonly resources: readonly {
    readonly name: string;
    readonly revisions: readonly Pick<ResourceRevision, "revision" | "image">[];
  }[];
}

/** Whether a charm names any image. */
export function hasImages({ revisions = [], resources }: CharmWithImages): boolean {
  return revisions.some(({ images = [] }) => images.length > 0) || resources.some((one) => one.revisions.some(({ image }) => image));
}

/** Sorted by upstream's reference. */
export function neededImages(packages: readonly CharmWithImages[], registry: Registry | undefined): NeededImage[] {
  const found = new Map<string, NeededImage & { neededBy: NeededBy[] }>();
  const add = (image: NonNullable<ResourceRevision["image"]>, user: NeededBy) => {
    const { reference: upstream, path } = image;
    const key = `${upstream}\n${path}`;
    const needed = found.get(key) ?? {
      upstream,
      path,
      local: registry ? localReference(image, registry) : null,
      digest: splitPath(pathOfReference(upstream)).digest ?? null,
      neededBy: [],
    };
    needed.neededBy.push(user);
    found.set(key, needed);
  };
  for (const pkg of packages) {
    for (const { name, revisions } of pkg.resources)
      for (const { revision, image } of revisions) if (image) add(image, { charm: pkg.name, resource: name, revision });
    for (const { revision, images } of pkg.revisions ?? [])
      for (const { reference, where, sure } of images ?? [])
        add({ reference, path: pathOfReference(reference) }, { charm: pkg.name, file: where, revision, sure });
  }
  const order = ({ upstream, path }: NeededImage) => `${upstream}\n${path}`;
  return [...found.values()].toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** `charm kafka, resource kafka-image 19`, `charm katib-controller 810, src/images.json` */
export function showNeededBy(user: NeededBy): string {
  if (isOfResource(user)) return `charm ${user.charm}, resource ${user.resource} ${user.revision}`;
  return `charm ${user.charm} ${user.revision}, ${user.file}${user.sure === "likely" ? " (likely)" : ""}`;
}

/** The text as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
