/** Which registry the image references of a reply name: the configured one, or chp itself for the images that it has. */

import { NO_REGISTRY, pathOfReference, type Registries, type Registry, splitPath } from "../src/catalog/registry.ts";
import { isComplete, type Repository, storedImage } from "../src/catalog/repository.ts";
import { type Ready, whenReady } from "../src/ready.ts";
import type { Snapshot } from "../store/snapshot.ts";
import type { Offer } from "./offer.ts";

/** dpkg's name of an architecture to that of an image, where they differ */
const IMAGE_ARCHITECTURES: Readonly<Record<string, string>> = { ppc64el: "ppc64le", armhf: "arm", i386: "386" };

/** The registry as of one snapshot; the same object while neither changes, so that caches can go by it. */
export class OfferedRegistry {
  readonly #registry: Registry | undefined;
  readonly #repositories: ReadonlyMap<string, Repository>;
  readonly #architectures: ReadonlySet<string>;
  readonly #byArchitecture = new Map<string, Registry>();

  constructor(registry: Registry | undefined, repositories: readonly Repository[]) {
    this.#registry = registry;
    this.#repositories = new Map(repositories.map((repository) => [repository.name, repository]));
    this.#architectures = new Set(
      repositories.flatMap(({ manifests }) =>
        manifests.flatMap((manifest) => (manifest.manifests ?? []).flatMap(({ platform }) => platform?.architecture ?? [])),
      ),
    );
  }

  /** For clients of that architecture, by dpkg's name; undefined: for whom all must be stored that an index lists. */
  for(architecture?: string): Registry | undefined {
    const registry = this.#registry;
    if (!registry?.own) return registry;
    const asked = architecture === undefined ? "" : (IMAGE_ARCHITECTURES[architecture] ?? architecture);
    const known = this.#architectures.has(asked) ? asked : "";
    let found = this.#byArchitecture.get(known);
    if (!found) {
      found = { ...registry, has: (reference) => this.#has(reference, known === "" ? undefined : known) };
      this.#byArchitecture.set(known, found);
    }
    return found;
  }

  #has(reference: string, architecture: string | undefined): boolean {
    const repository = this.#repositories.get(splitPath(pathOfReference(reference)).name);
    const digest = repository && storedImage(repository, reference);
    return repository !== undefined && digest !== undefined && isComplete(repository, digest, architecture);
  }
}

export type OfferedRegistries = (offer: Offer) => Ready<OfferedRegistry>;

/** The registry of an offer, as `registries` says now. */
export function offeredRegistries(registries: () => Ready<Registries> = () => NO_REGISTRY): OfferedRegistries {
  let last: { readonly of: Snapshot; readonly current: Registry | undefined; readonly found: OfferedRegistry } | undefined;
  return ({ of }) =>
    whenReady(registries(), ({ current }) => {
      // Images matter to chp's own registry alone.
      if (last && last.current === current && (last.of === of || !current?.own)) return last.found;
      return whenReady(current?.own ? of.repositories() : [], (repositories) => {
        const found = new OfferedRegistry(current, repositories);
        last = { of, current, found };
        return found;
      });
    });
}
