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
  const fetched = imagesByFolder(images);
  const numbers = new Map(fetched.map(([folder], i) => [folder, i + 1]));
  const fetchLines = fetched.flatMap(([folder, image], i) => [
    ...image.neededBy.map((user) => `    # image ${i + 1}: ${printable(showNeededBy(user))}`),
    `    fetch ${i + 1} ${shellQuote(printable(image.upstream))} ${shellQuote(loginRepository(image.upstream))} ${shellQuote(`docker://${skopeoReference(image.upstream)}`)} ${folder}`,
  ]);
  // A variable that the shell expands has quotes of its own.
  const target = (path: string) =>
    registry ? shellQuote(`docker://${registry.domain}/${path}`) : `docker://"$REGISTRY"${shellQuote(`/${path}`)}`;
  const byTarget = new Map<string, Map<string, NeededImage>>();
  for (const image of images) {
    const path = skopeoReference(image.path);
    byTarget.set(path, (byTarget.get(path) ?? new Map<string, NeededImage>()).set(imageFolder(image), image));
  }
  const pushLines = [...byTarget].flatMap(([path, folders]) =>
    [...folders].map(([folder, image]) => {
      const others = [...folders.keys()].filter((other) => other !== folder).map((other) => numbers.get(other));
      const kind = splitPath(path).digest === undefined ? "tag" : "digest";
      return `    push ${numbers.get(folder)} ${shellQuote(printable(image.path))} ${folder} ${target(path)} ${kind} ${shellQuote(others.join(" "))}`;
    }),
  );
  return `${[
    ...SCRIPT_HEAD,
    `all=${fetched.length}`,
    ...SCRIPT_START,
    "case $side in",
    "  fetch)",
    "    mkdir -p images || exit 1",
    ...fetchLines,
    "    ;;",
    "  push)",
    ...(registry ? [] : [`    [ -n "\${REGISTRY:-}" ] || usage "set REGISTRY to HOST:PORT of the local registry"`]),
    `    login REGISTRY "" ${registry ? shellQuote(registry.domain) : '"$REGISTRY"'}`,
    ...pushLines,
    "    ;;",
    "esac",
    ...SCRIPT_END,
  ].join("\n")}\n`;
}

const SCRIPT_HEAD = `#!/bin/sh
# Copies the images that charms need. Written by chp export, and by chp images --script skopeo.
#
#   sh images.sh fetch    on the connected side: from upstream into images/, here
#   sh images.sh push     where images/ was carried to: from there into the local registry, or into REGISTRY
#   sh images.sh push 2 5 images 2 and 5 alone
#
# An image that cannot be copied is tried RETRIES times more (2), first after PAUSE seconds (5), then after twice as many; the others follow.
# A tag that the registry has for another image stays as it is: OVERWRITE=true replaces it.
#
# Credentials come from the environment alone. Those that are not set are skopeo's own (skopeo login).
#   UPSTREAM_USERNAME, UPSTREAM_PASSWORD       for fetch, of every image
#   UPSTREAM_USERNAME_1, UPSTREAM_PASSWORD_1   of image 1 alone, and so on: Charmhub gives each image its own;
#                                              chp export writes them into a file beside this one, to be sourced
#   REGISTRY_USERNAME, REGISTRY_PASSWORD       for push; an account that may write
# UPSTREAM_TLS_VERIFY=false and REGISTRY_TLS_VERIFY=false are for registries without TLS, or without a known certificate.
# Exit codes: 0 done, 1 failed, 2 usage, 4 some images were not copied: run it again.
set -u`.split("\n");

const SCRIPT_START = `
usage() {
  [ $# -eq 0 ] || echo "$0: $1" >&2
  echo "usage: sh $0 fetch|push [NUMBER...]" >&2
  exit 2
}

side=\${1-}
case $side in fetch | push) shift ;; *) usage ;; esac
for number in "$@"; do
  case $number in "" | *[!0-9]* | ??????*) usage "$number is not the number of an image" ;; esac
  [ "$number" -ge 1 ] && [ "$number" -le "$all" ] || usage "there is no image $number: there are $all"
done
only=$*
case \${RETRIES:-2}\${PAUSE:-5} in *[!0-9]*) usage "RETRIES and PAUSE take a number" ;; esac
command -v skopeo >/dev/null || { echo "$0: skopeo is not installed" >&2 && exit 1; }

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
copied=0 present=0 left=0
: >"$work/left" || exit 1

# wanted NUMBER: whether that image is to be copied
wanted() {
  [ -n "$only" ] || return 0
  case " $only " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# leave NUMBER IMAGE WHY: the others follow
leave() {
  echo "image $1 failed: $2: $3" >&2
  printf '  image %s: %s: %s\\n' "$1" "$2" "$3" >>"$work/left"
  left=$((left + 1))
}

# tried WORDS...: runs them until they succeed, or were tried often enough
tried() {
  pause=\${PAUSE:-5} more=\${RETRIES:-2}
  until "$@"; do
    [ "$more" -gt 0 ] || return 1
    echo "trying it again in $pause seconds" >&2
    sleep "$pause"
    more=$((more - 1)) pause=$((pause * 2))
  done
}

# login SIDE NUMBER REPOSITORY: keeps the credentials of that repository in a file that skopeo reads
login() {
  eval "user=\\\${$1_USERNAME$2:-\\\${$1_USERNAME:-}} password=\\\${$1_PASSWORD$2:-\\\${$1_PASSWORD:-}}"
  login=
  [ -n "$user" ] && [ -n "$password" ] || return 0
  login=$work/auth.json
  printf '{"auths":{"%s":{"auth":"%s"}}}' "$3" "$(printf %s "$user:$password" | base64 | tr -d '\\n')" >"$login"
}

# complete FOLDER: whether it was fetched to its end; skopeo writes its manifest last
complete() {
  [ -s "$1/manifest.json" ]
}

# fetch NUMBER IMAGE REPOSITORY SOURCE FOLDER
fetch() {
  wanted "$1" || return 0
  if complete "$5"; then
    present=$((present + 1))
    return 0
  fi
  login UPSTREAM "_$1" "$3"
  if tried skopeo copy --all --preserve-digests --src-tls-verify="\${UPSTREAM_TLS_VERIFY:-true}" \${login:+--src-authfile "$login"} "$4" "dir:$5"; then
    copied=$((copied + 1))
  else
    leave "$1" "$2" "it could not be fetched"
  fi
}

# look TARGET: whether the registry could be asked for it; its manifest, or nothing, is then in the file there
look() {
  skopeo inspect --raw --tls-verify="\${REGISTRY_TLS_VERIFY:-true}" \${login:+--authfile "$login"} "$1" >"$work/there" 2>"$work/why" && return 0
  : >"$work/there"
  grep -qiE 'manifest unknown|name unknown|not known to (the )?registry|(artifact|repository|manifest|image|tag).* not found' "$work/why" && return 0
  cat "$work/why" >&2
  return 1
}

# push NUMBER IMAGE FOLDER TARGET tag|digest OTHERS: the numbers of other images with the same target
push() {
  wanted "$1" || return 0
  for other in $6; do
    wanted "$other" || continue
    leave "$1" "$2" "image $other has the same name: give each its own in the file of the export, or push one of them: sh $0 push $1"
    return 0
  done
  if ! complete "$3"; then
    leave "$1" "$2" "$3 is not here: sh $0 fetch brings it"
    return 0
  fi
  ours=$(skopeo manifest-digest "$3/manifest.json") || ours=
  if [ -z "$ours" ]; then
    leave "$1" "$2" "$3 is damaged: remove it and fetch it again"
    return 0
  fi
  : >"$work/there"
  if [ "$5" = digest ]; then
    look "$4" || :
  elif [ "\${OVERWRITE:-false}" != true ] && ! tried look "$4"; then
    leave "$1" "$2" "the registry does not say what it has under that name"
    return 0
  fi
  if [ -s "$work/there" ]; then
    theirs=$(skopeo manifest-digest "$work/there") || theirs=
    if [ "$theirs" = "$ours" ]; then
      present=$((present + 1))
    else
      leave "$1" "$2" "the registry has another image under that name, $theirs: OVERWRITE=true sh $0 push $1 replaces it"
    fi
    return 0
  fi
  if tried skopeo copy --all --preserve-digests --dest-tls-verify="\${REGISTRY_TLS_VERIFY:-true}" \${login:+--dest-authfile "$login"} "dir:$3" "$4"; then
    copied=$((copied + 1))
  else
    leave "$1" "$2" "it could not be pushed"
  fi
}
`.split("\n");

const SCRIPT_END = `
echo "$side: $copied copied, $present present before, $left left"
[ "$left" -eq 0 ] && exit 0
cat "$work/left" >&2
echo "run it again: sh $0 $side" >&2
exit 4`.split("\n");
