/** Where clients pull the images of charms from: chp, the configured registry, or upstream. */

import type { Digest } from "../digest.ts";
import { type CharmWithImages, isOfResource, neededImages } from "./images.ts";
import { localReference, type OwnRegistryMode, pathOfReference, type Registry, splitPath, whyNotOwn } from "./registry.ts";
import { architecturesOf, pullableFor, type Repository, storedImage } from "./repository.ts";

/** An image that is stored, for one architecture at least. */
export interface StoredImage {
  readonly digest: Digest;
  /** for which it can be pulled, sorted; empty where it says none */
  readonly architectures: readonly string[];
  /** whether these are all that it has */
  readonly complete: boolean;
}

/** Undefined: it can be pulled for no architecture. */
export function storedImageOf(repository: Repository, digest: Digest): StoredImage | undefined {
  const architectures = pullableFor(repository, digest);
  if (architectures?.length === 0) return undefined;
  return { digest, architectures: architectures ?? architecturesOf(repository, digest), complete: architectures === null };
}

/** Finds stored images by upstream's reference. */
export class StoredImages {
  readonly #repositories: ReadonlyMap<string, Repository>;

  constructor(repositories: readonly Repository[]) {
    this.#repositories = new Map(repositories.map((repository) => [repository.name, repository]));
  }

  /** Undefined: the image is not stored. */
  find(reference: string): StoredImage | undefined {
    const repository = this.#repositories.get(splitPath(pathOfReference(reference)).name);
    const digest = repository && storedImage(repository, reference);
    return repository && digest && storedImageOf(repository, digest);
  }
}

/** An image of a charm that clients pull from chp. */
export interface PulledFromHere {
  readonly charm: string;
  readonly resource: string;
  /** of the resource */
  readonly revision: number;
  readonly upstream: string;
  /** the reference in chp's own registry */
  readonly here: string;
  /** null: of all architectures; otherwise clients of others are sent upstream */
  readonly architectures: readonly string[] | null;
}

/** The images of charms that clients are sent to chp for, where chp is the registry; of another registry none. */
export function pulledFromHere(
  packages: readonly CharmWithImages[],
  repositories: readonly Repository[],
  registry: Registry | undefined,
): PulledFromHere[] {
  if (!registry?.own) return [];
  const stored = new StoredImages(repositories);
  return neededImages(packages, undefined).flatMap(({ upstream, path, neededBy }) => {
    const image = stored.find(upstream);
    if (!image) return [];
    const architectures = image.complete ? null : image.architectures;
    const here = localReference({ reference: upstream, path }, registry);
    return neededBy.filter(isOfResource).map((user) => ({ ...user, upstream, here, architectures }));
  });
}

/** Those of `after` that `before` does not have. */
export function newlyPulled(before: readonly PulledFromHere[], after: readonly PulledFromHere[]): PulledFromHere[] {
  const known = new Set(before.map((pulled) => JSON.stringify(pulled)));
  return after.filter((pulled) => !known.has(JSON.stringify(pulled)));
}

/** The command that sends clients upstream again. */
export const UNDO_PULLS = "chp config registry=off";

/** `kafka-k8s, resource kafka-image 12: registry.jujucharms.com/… is now pulled from hub.lan:8443` */
export function showPulled({ charm, resource, revision, upstream, here, architectures }: PulledFromHere): string {
  const [domain = ""] = here.split("/");
  const of = architectures === null ? "" : ` (for ${architectures.join(", ")})`;
  return `${charm}, resource ${resource} ${revision}: ${upstream} is now pulled from ${domain}${of}`;
}

export interface ImageSetup {
  readonly publicUrl: string | undefined;
  /** the configured registry besides chp; undefined: none is set */
  readonly registry: string | undefined;
  readonly mode: OwnRegistryMode;
}

/** Notes for an operator about images that charms do not get from where they could, with the next steps. */
export function imageNotes(
  { publicUrl, registry, mode }: ImageSetup,
  packages: readonly CharmWithImages[],
  repositories: readonly Repository[],
): string[] {
  if (registry !== undefined) return [];
  const all = new StoredImages(repositories);
  const needed = neededImages(packages, undefined).filter(({ neededBy }) => neededBy.some(isOfResource));
  const stored = needed.filter(({ upstream }) => all.find(upstream)).length;
  const cause = whyNotOwn(publicUrl, mode);
  const obstacle = stored === 0 || cause === undefined || cause === "off" ? undefined : OBSTACLES[cause];
  return [
    ...(needed.length > stored ? [NO_REGISTRY_NOTE] : []),
    ...(obstacle ? [`images of charms are stored, but Juju does not pull them from chp: ${obstacle.why}; next: ${obstacle.next}`] : []),
  ];
}

/** Wherever images are needed that are not stored, and no registry is set. */
const NO_REGISTRY_NOTE =
  "no local registry is set: Juju is sent to the upstream registry for images that are not stored, without credentials; import them, or set one with chp config proxy.oci-registry.domain=HOST:PORT";

const HTTPS = "chp config public-url=https://HOST:PORT";

/** Why stored images are not pulled from chp, in words, and what changes it. */
export const OBSTACLES: Readonly<Record<NonNullable<ReturnType<typeof whyNotOwn>>, { readonly why: string; readonly next: string }>> = {
  off: { why: "the setting registry is off", next: "chp config registry=auto" },
  "no-url": { why: "no public URL says where it is", next: HTTPS },
  path: { why: "its public URL has a path, which references of images have no place for", next: HTTPS },
  http: {
    why: "its public URL is not https",
    next: `${HTTPS}, or chp config registry=on where nodes trust it without TLS (chp trust --containerd)`,
  },
};
