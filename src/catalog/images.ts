/** Which OCI images the held charms need, what they are called here and upstream, and how they are copied. */

import { printable } from "../errors.ts";
import type { ResourceRevision } from "./package.ts";
import { domainOf, localReference, pathOf, type Registry, splitPath } from "./registry.ts";

/** One image: the same reference upstream and the same path here. */
export interface NeededImage {
  /** upstream's reference, as the charm's resource names it */
  readonly upstream: string;
  /** its path in the local registry */
  readonly path: string;
  /** what Juju is told; null where no registry is set */
  readonly local: string | null;
  /** `sha256:…`; null where upstream's reference has a tag alone */
  readonly digest: string | null;
  readonly neededBy: readonly NeededBy[];
}

export interface NeededBy {
  readonly charm: string;
  readonly resource: string;
  /** of the resource */
  readonly revision: number;
}

/** What matters here of a charm. */
export interface ImageUser {
  readonly name: string;
  readonly resources: readonly {
    readonly name: string;
    readonly revisions: readonly Pick<ResourceRevision, "revision" | "image">[];
  }[];
}

/** Sorted by upstream's reference. */
export function neededImages(packages: readonly ImageUser[], registry: Registry | undefined): NeededImage[] {
  const found = new Map<string, NeededImage & { neededBy: NeededBy[] }>();
  for (const pkg of packages)
    for (const { name, revisions } of pkg.resources)
      for (const { revision, image } of revisions) {
        if (!image) continue;
        const { reference: upstream, path } = image;
        const key = `${upstream}\n${path}`;
        const one = found.get(key) ?? {
          upstream,
          path,
          local: registry ? localReference(path, registry) : null,
          digest: splitPath(pathOf(upstream)).digest ?? null,
          neededBy: [],
        };
        one.neededBy.push({ charm: pkg.name, resource: name, revision });
        found.set(key, one);
      }
  const order = (one: NeededImage) => `${one.upstream}\n${one.path}`;
  return [...found.values()].toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** `charm kafka, resource kafka-image 19` */
export function showNeededBy({ charm, resource, revision }: NeededBy): string {
  return `charm ${charm}, resource ${resource} ${revision}`;
}

/** A word of a POSIX shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** skopeo reads no reference that has both a tag and a digest. */
function skopeoReference(reference: string): string {
  const domain = domainOf(reference);
  const { name, tag, digest } = splitPath(pathOf(reference));
  const end = digest !== undefined ? `@${digest}` : tag !== undefined ? `:${tag}` : "";
  return `${domain === undefined ? "" : `${domain}/`}${name}${end}`;
}

/** The folder of an image under `images/`: by its digest, so that one image is fetched once. */
function folderOf({ upstream, digest }: NeededImage): string {
  return `images/${(digest ?? upstream).replace(/[^A-Za-z0-9.]+/g, "-").replace(/^\.+/, "")}`;
}

/** The registry and repository that a login is kept for. */
function repositoryOf(reference: string): string {
  const domain = domainOf(reference) ?? "docker.io";
  const { name } = splitPath(pathOf(reference));
  return `${domain}/${domain === "docker.io" && !name.includes("/") ? `library/${name}` : name}`;
}

/** Each image once, in the order in which the script numbers them. */
function fetchedOf(images: readonly NeededImage[]): [folder: string, image: NeededImage][] {
  const fetched = new Map<string, NeededImage>();
  for (const image of images) if (!fetched.has(folderOf(image))) fetched.set(folderOf(image), image);
  return [...fetched];
}

/** What the script's environment needs of credentials, to be sourced by a shell; empty where no image has any. */
export function skopeoCredentials(
  images: readonly NeededImage[],
  loginOf: (image: NeededImage) => { readonly username: string; readonly password: string } | undefined,
): string {
  return fetchedOf(images)
    .flatMap(([, image], i) => {
      const { username = "", password = "" } = loginOf(image) ?? {};
      if (username === "" || password === "") return [];
      return [`export UPSTREAM_USERNAME_${i + 1}=${quoted(username)} UPSTREAM_PASSWORD_${i + 1}=${quoted(password)}\n`];
    })
    .join("");
}

/**
 * A POSIX shell script for both sides: `fetch` copies from upstream into folders, `push` from these into the registry, which
 * REGISTRY names where none is set. Credentials come from the environment and go to skopeo in a file, never in its arguments.
 */
export function skopeoScript(images: readonly NeededImage[], registry: Registry | undefined): string {
  const pushed = new Map(images.map((image) => [`${folderOf(image)}\n${image.path}`, image]));
  const fetchLines = fetchedOf(images).flatMap(([folder, image], i) => [
    ...image.neededBy.map((one) => `    # image ${i + 1}: ${printable(showNeededBy(one))}`),
    `    login UPSTREAM _${i + 1} ${quoted(repositoryOf(image.upstream))}`,
    `    held ${folder} || skopeo copy --all --preserve-digests --src-tls-verify="\${UPSTREAM_TLS_VERIFY:-true}" \${login:+--src-authfile "$login"} ${quoted(`docker://${skopeoReference(image.upstream)}`)} dir:${folder}`,
  ]);
  // What the shell puts in from the environment stands between quotes of its own.
  const target = (path: string) => (registry ? quoted(`docker://${registry.domain}/${path}`) : `docker://"$REGISTRY"${quoted(`/${path}`)}`);
  const pushLines = [
    ...(registry ? [] : [`    : "\${REGISTRY:?set it to HOST:PORT of the local registry}"`]),
    `    login REGISTRY "" ${registry ? quoted(registry.domain) : '"$REGISTRY"'}`,
    ...[...pushed.values()].map(
      (image) =>
        `    skopeo copy --all --preserve-digests --dest-tls-verify="\${REGISTRY_TLS_VERIFY:-true}" \${login:+--dest-authfile "$login"} dir:${folderOf(image)} ${target(skopeoReference(image.path))}`,
    ),
  ];
  return `${[
    ...HEAD,
    "case ${1-} in",
    "  fetch)",
    ...(fetchLines.length > 0 ? fetchLines : ["    :"]),
    "    ;;",
    "  push)",
    ...pushLines,
    "    ;;",
    "  *)",
    `    echo "usage: sh $0 fetch|push" >&2`,
    "    exit 2",
    "    ;;",
    "esac",
  ].join("\n")}\n`;
}

const HEAD = `#!/bin/sh
# Copies the images that charms need. Written by chp export, and by chp images --script skopeo.
#
#   sh images.sh fetch    on the connected side: from upstream into images/, here
#   sh images.sh push     where images/ was carried to: from there into the local registry, or into REGISTRY
#
# Credentials come from the environment alone. Those that are not set are skopeo's own (skopeo login).
#   UPSTREAM_USERNAME, UPSTREAM_PASSWORD       for fetch, of every image
#   UPSTREAM_USERNAME_1, UPSTREAM_PASSWORD_1   of image 1 alone, and so on: Charmhub gives each image its own;
#                                              chp export writes them into a file beside this one, to be sourced
#   REGISTRY_USERNAME, REGISTRY_PASSWORD       for push; an account that may write
# UPSTREAM_TLS_VERIFY=false and REGISTRY_TLS_VERIFY=false are for registries without TLS, or without a known certificate.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# login SIDE NUMBER REPOSITORY: keeps the credentials of that repository in a file that skopeo reads
login() {
  eval "user=\\\${$1_USERNAME$2:-\\\${$1_USERNAME:-}} password=\\\${$1_PASSWORD$2:-\\\${$1_PASSWORD:-}}"
  login=
  [ -n "$user" ] && [ -n "$password" ] || return 0
  login=$work/auth.json
  printf '{"auths":{"%s":{"auth":"%s"}}}' "$3" "$(printf %s "$user:$password" | base64 | tr -d '\\n')" >"$login"
}

# held FOLDER: whether it was fetched to its end; skopeo writes its manifest last
held() {
  [ -s "$1/manifest.json" ]
}

mkdir -p images`.split("\n");
