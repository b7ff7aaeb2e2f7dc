/** Which OCI images the stored charms need, and their references upstream and in the local registry. */

import type { ResourceRevision } from "./package.ts";
import { localReference, pathOfReference, type Registry, splitPath } from "./registry.ts";

/** An image, identified by its reference upstream and its path. */
export interface NeededImage {
  /** upstream's reference, as the charm's resource names it */
  readonly upstream: string;
  /** its path in the local registry */
  readonly path: string;
  /** the reference that Juju gets; null where no registry is set */
  readonly local: string | null;
  /** `sha256:…`; null where upstream's reference has no digest */
  readonly digest: string | null;
  readonly neededBy: readonly NeededBy[];
}

export interface NeededBy {
  readonly charm: string;
  readonly resource: string;
  /** of the resource */
  readonly revision: number;
}

/** The fields of a charm that name its images. */
export interface CharmWithImages {
  readonly name: string;
  readonly resources: readonly {
    readonly name: string;
    readonly revisions: readonly Pick<ResourceRevision, "revision" | "image">[];
  }[];
}

/** Sorted by upstream's reference. */
export function neededImages(packages: readonly CharmWithImages[], registry: Registry | undefined): NeededImage[] {
  const found = new Map<string, NeededImage & { neededBy: NeededBy[] }>();
  for (const pkg of packages)
    for (const { name, revisions } of pkg.resources)
      for (const { revision, image } of revisions) {
        if (!image) continue;
        const { reference: upstream, path } = image;
        const key = `${upstream}\n${path}`;
        const needed = found.get(key) ?? {
          upstream,
          path,
          local: registry ? localReference(image, registry) : null,
          digest: splitPath(pathOfReference(upstream)).digest ?? null,
          neededBy: [],
        };
        needed.neededBy.push({ charm: pkg.name, resource: name, revision });
        found.set(key, needed);
      }
  const order = ({ upstream, path }: NeededImage) => `${upstream}\n${path}`;
  return [...found.values()].toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** `charm kafka, resource kafka-image 19` */
export function showNeededBy({ charm, resource, revision }: NeededBy): string {
  return `charm ${charm}, resource ${resource} ${revision}`;
}

/** The text as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
