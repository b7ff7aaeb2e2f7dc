/** References of images, as clients read them: by Docker's rules. */

import { type Digest, parseDigestText } from "../digest.ts";
import { checkRegistryDomain, pathOfReference, registryOfReference, splitPath } from "./registry.ts";
import { isRepositoryName, isTag } from "./repository.ts";

/** An image reference in parts, as its registry is asked for it. */
export interface ImageReference {
  /** in full: with its registry, and a tag where it has no digest */
  readonly text: string;
  /** HOST[:PORT] of the API */
  readonly host: string;
  readonly repository: string;
  /** tag or `sha256:…` */
  readonly wanted: string;
  readonly digest?: Digest;
}

/** The registry of references without one, and where it answers. */
const DOCKER_HUB = { domain: "docker.io", host: "registry-1.docker.io" };
const DOCKER_DOMAINS: readonly (string | undefined)[] = [undefined, DOCKER_HUB.domain, "index.docker.io", DOCKER_HUB.host];

/** HOST[:PORT] at which the API of a registry answers. `domain`: as references begin; undefined: they name none. */
export function apiHost(domain: string | undefined): string {
  return domain === undefined || DOCKER_DOMAINS.includes(domain) ? DOCKER_HUB.host : domain;
}

/** Reads a reference by Docker's rules. Undefined: it is none, or its digest is no sha256. */
export function parseImageReference(text: string): ImageReference | undefined {
  const domain = registryOfReference(text);
  const isDockerHub = DOCKER_DOMAINS.includes(domain);
  const { name, tag, digest: said } = splitPath(pathOfReference(text));
  const digest = said === undefined ? undefined : parseDigestText(said);
  const repository = isDockerHub && !name.includes("/") ? `library/${name}` : name;
  if (!isRepositoryName(repository) || (tag !== undefined && !isTag(tag)) || (said !== undefined && digest === undefined)) return undefined;
  try {
    if (domain !== undefined) checkRegistryDomain(domain);
  } catch {
    return undefined;
  }
  const wanted = said ?? tag ?? "latest";
  const end = `${tag !== undefined || said === undefined ? `:${tag ?? "latest"}` : ""}${said === undefined ? "" : `@${said}`}`;
  return {
    text: `${isDockerHub ? DOCKER_HUB.domain : domain}/${repository}${end}`,
    host: apiHost(domain),
    repository,
    wanted,
    ...(digest !== undefined && { digest }),
  };
}
