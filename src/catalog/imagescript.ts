/** The script that copies images with skopeo, on both sides. */

import { printable } from "../errors.ts";
import { type NeededImage, shellQuote, showNeededBy } from "./images.ts";
import { pathOfReference, type Registry, registryOfReference, splitPath } from "./registry.ts";

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
