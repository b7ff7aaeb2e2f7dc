/** Which OCI images the stored charms need, their references upstream and in the local registry, and a script that copies them. */

import { printable } from "../errors.ts";
import type { ImageNeed } from "./need.ts";
import type { ResourceRevision, Revision } from "./package.ts";
import { localReference, pathOfReference, type Registry, registryOfReference, splitPath } from "./registry.ts";

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

/** The reference without its tag where it has a digest too: skopeo takes one of them only. */
function skopeoReference(reference: string): string {
  const domain = registryOfReference(reference);
  const { name, tag, digest } = splitPath(pathOfReference(reference));
  const end = digest !== undefined ? `@${digest}` : tag !== undefined ? `:${tag}` : "";
  return `${domain === undefined ? "" : `${domain}/`}${name}${end}`;
}

/** The folder of an image, named by its digest, so that an image with several references is fetched once. */
function imageFolder({ upstream, digest }: NeededImage): string {
  return `images/${(digest ?? upstream).replace(/[^A-Za-z0-9.]+/g, "-").replace(/^\.+/, "")}`;
}

/** The registry and repository that credentials are for, as `auth.json` names them. */
function loginRepository(reference: string): string {
  const domain = registryOfReference(reference) ?? "docker.io";
  const { name } = splitPath(pathOfReference(reference));
  return `${domain}/${domain === "docker.io" && !name.includes("/") ? `library/${name}` : name}`;
}

/** The images to fetch, one for each folder, in the order in which the script numbers them. */
function imagesByFolder(images: readonly NeededImage[]): [folder: string, image: NeededImage][] {
  const fetched = new Map<string, NeededImage>();
  for (const image of images) if (!fetched.has(imageFolder(image))) fetched.set(imageFolder(image), image);
  return [...fetched];
}

/** Shell assignments of the credentials that the script reads from its environment; empty where no image has any. */
export function skopeoCredentials(
  images: readonly NeededImage[],
  loginOf: (image: NeededImage) => { readonly username: string; readonly password: string } | undefined,
): string {
  return imagesByFolder(images)
    .flatMap(([, image], i) => {
      const { username = "", password = "" } = loginOf(image) ?? {};
      if (username === "" || password === "") return [];
      return [`export UPSTREAM_USERNAME_${i + 1}=${shellQuote(username)} UPSTREAM_PASSWORD_${i + 1}=${shellQuote(password)}\n`];
    })
    .join("");
}

/**
 * A POSIX shell script for both sides: `fetch` copies from upstream into folders, `push` from these into the registry, or into
 * $REGISTRY where none is set. Credentials come from the environment and go to skopeo in a file, never in its arguments.
 */
export function skopeoScript(images: readonly NeededImage[], registry: Registry | undefined): string {
  const pushed = new Map(images.map((image) => [`${imageFolder(image)}\n${image.path}`, image]));
  const fetchLines = imagesByFolder(images).flatMap(([folder, image], i) => [
    ...image.neededBy.map((user) => `    # image ${i + 1}: ${printable(showNeededBy(user))}`),
    `    login UPSTREAM _${i + 1} ${shellQuote(loginRepository(image.upstream))}`,
    `    held ${folder} || skopeo copy --all --preserve-digests --src-tls-verify="\${UPSTREAM_TLS_VERIFY:-true}" \${login:+--src-authfile "$login"} ${shellQuote(`docker://${skopeoReference(image.upstream)}`)} dir:${folder} || failed ${shellQuote(printable(image.upstream))}`,
  ]);
  // A variable that the shell expands has quotes of its own.
  const target = (path: string) =>
    registry ? shellQuote(`docker://${registry.domain}/${path}`) : `docker://"$REGISTRY"${shellQuote(`/${path}`)}`;
  const digests = new Map<string, Set<string>>();
  for (const image of pushed.values()) {
    const path = skopeoReference(image.path);
    digests.set(path, (digests.get(path) ?? new Set()).add(imageFolder(image)));
  }
  const shared = [...digests].filter(([, folders]) => folders.size > 1);
  const pushLines = [
    ...shared.map(
      ([path, folders]) =>
        `    echo ${shellQuote(`warning: ${printable(path)} is pushed ${folders.size} times, each a different image: the last one stays`)} >&2`,
    ),
    ...(registry ? [] : [`    : "\${REGISTRY:?set it to HOST:PORT of the local registry}"`]),
    `    login REGISTRY "" ${registry ? shellQuote(registry.domain) : '"$REGISTRY"'}`,
    ...[...pushed.values()].map(
      (image) =>
        `    skopeo copy --all --preserve-digests --dest-tls-verify="\${REGISTRY_TLS_VERIFY:-true}" \${login:+--dest-authfile "$login"} dir:${imageFolder(image)} ${target(skopeoReference(image.path))} || failed ${shellQuote(printable(image.path))}`,
    ),
  ];
  return `${[
    ...SCRIPT_HEAD,
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
    "exit $status",
  ].join("\n")}\n`;
}

const SCRIPT_HEAD = `#!/bin/sh
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
# Exit codes: 0 done, 2 usage, 4 some images were not copied: run it again.
set -eu
status=0
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

# failed IMAGE: the others follow
failed() {
  echo "failed: $1" >&2
  status=4
}

mkdir -p images`.split("\n");
