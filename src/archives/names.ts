/** What a file is, by its name and its first bytes; and which paths are safe. */

import { readAgentFile } from "../catalog/agents.ts";
import { printable, refused } from "../errors.ts";
import { LAYOUT_FILE } from "./imagemanifest.ts";
import { SIGNATURE_FILE, SUMS_FILE } from "./signature.ts";
import { claimsTar, isTarHeader, TAR_BLOCK } from "./tarheader.ts";

const MAX_PATH = 4096;
/** folders of a path: lists of checksums are looked for in each */
const MAX_FOLDERS = 100;

/** `./a/b` → `a/b`. Throws a `refused` failure for a path that leaves its folder, and for unprintable characters. */
export function safePath(path: string): string {
  if (path.length > MAX_PATH) throw refused(`a path in it is longer than ${MAX_PATH} characters`);
  if (printable(path, MAX_PATH + 1) !== path) throw refused(`the path ${printable(path, 200)} has characters that are not for printing`);
  if (path.startsWith("/")) throw refused(`the path ${printable(path, 200)} is absolute`);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw refused(`the path ${printable(path, 200)} points outside the archive`);
  if (parts.length > MAX_FOLDERS) throw refused(`the path ${printable(path, 200)} has more than ${MAX_FOLDERS} folders`);
  return parts.join("/");
}

/** Name of the lock in an archive. */
export const LOCK_FILE = "export.lock.json";

/** Bytes of the beginning of a file that `classify` looks at; fewer are given of a smaller file. */
export const HEAD_SIZE = TAR_BLOCK;

export type FileKind = (typeof KINDS)[number]["kind"] | "unknown";

/** How files of a kind are recognised: by path, by the first bytes, or by either. */
interface FileRule<K extends string> {
  readonly kind: K;
  readonly path?: (path: string, name: string) => boolean;
  readonly head?: (head: Uint8Array) => boolean;
}

function rule<const K extends string>(kind: K, parts: Omit<FileRule<K>, "kind">): FileRule<K> {
  return { kind, ...parts };
}

const LITTER: ReadonlySet<string> = new Set([".DS_Store", "__MACOSX"]);

/** Every kind of file that an import knows. The first rule that matches decides, so their order matters. */
const KINDS = [
  // What macOS leaves in archives and folders.
  rule("litter", { path: isLitter }),
  // Stored as it is whatever it looks like: a resource may itself be an archive.
  rule("resource", {
    path: (path, name) => path.split("/").at(-2) === "resources" || /^[^.]+\..+_\d+$/.test(name) || /^resource_.+_r\d+(_.*)?$/.test(name),
  }),
  // Parts of images, which image layouts and skopeo's folders name by their digest; never opened either.
  rule("image-blob", { path: (path, name) => path !== name && /^[0-9a-f]{64}(\.manifest\.json)?$/.test(name) }),
  // Juju's agents, which are archives and never opened; whether it is compressed is asked of its first bytes.
  rule("agent", { path: (_, name) => readAgentFile(name) !== undefined }),
  // Archives, which are read file by file.
  rule("gzip", { head: isGzip }),
  rule("zstd", { head: magicIs(0x28, 0xb5, 0x2f, 0xfd) }),
  // What pzstd and seekable files begin with: a frame without content.
  rule("zstd", { head: (head) => (head[0] ?? 0) >>> 4 === 5 && magicIs(0x2a, 0x4d, 0x18)(head.subarray(1)) }),
  rule("tar", { head: isTarHeader }),
  // Stored as they are: snaps and components, charms and bundles.
  rule("squashfs", { head: magicIs(...Buffer.from("hsqs")) }),
  rule("zip", { head: magicIs(0x50, 0x4b, 3, 4) }),
  rule("zip", { head: magicIs(0x50, 0x4b, 5, 6) }),
  // By its name an archive, a charm or a snap, and none by its content: empty, cut or damaged, which must not be left out unseen.
  rule("archive", { path: (_, name) => /\.(tar|tgz|tzst|txz|tbz2?)$|\.tar\.[a-z0-9]+$/i.test(name), head: claimsTar }),
  rule("snap", { path: (_, name) => /\.(snap|comp)$/.test(name) }),
  rule("charm", { path: (_, name) => /\.(charm|bundle|zip)$/.test(name) }),
  // Read, and not stored.
  rule("checksums", { path: (_, name) => name === SUMS_FILE || name === SIGNATURE_FILE }),
  rule("lock", { path: (_, name) => name === LOCK_FILE }),
  rule("image-layout", { path: (_, name) => name === LAYOUT_FILE }),
  rule("image-folder", { head: magicIs(...Buffer.from("Directory Transport Version: 1.")) }),
  rule("assertions", { head: magicIs(...Buffer.from("type: ")) }),
  rule("assertions", { path: (_, name) => name.endsWith(".assert") }),
  rule("signed-text", { path: (_, name) => name.endsWith(".sjson") }),
  rule("registration", { path: (_, name) => /^registration_bundle[^/]*\.b64$/.test(name) }),
  rule("json", { path: (_, name) => name.endsWith(".json") }),
  rule("json", { head: (head) => /^\s*[{[]/.test(Buffer.from(head.subarray(0, 64)).toString("latin1")) }),
  rule("yaml", { path: (_, name) => /\.ya?ml$/.test(name) }),
  // A compressed file that is no archive has the same name inside, and is of no use.
  rule("compressed", { path: (_, name) => /\.(gz|zst)$/i.test(name) }),
] as const;

function magicIs(...magic: readonly number[]): (head: Uint8Array) => boolean {
  return (head) => magic.every((byte, i) => head[i] === byte);
}

/** Whether bytes begin as what gzip compressed. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

const OPAQUE: ReadonlySet<FileKind> = new Set(["resource", "image-blob", "agent"]);

const NOTHING = new Uint8Array();

/** The kind of a file. `path`: in its source; `head`: its first `HEAD_SIZE` bytes; without them the name alone decides. */
export function classify(path: string, head: Uint8Array = NOTHING): FileKind {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const found = KINDS.find((candidate: FileRule<string>) => (candidate.path?.(path, name) ?? false) || (candidate.head?.(head) ?? false));
  return found?.kind ?? "unknown";
}

/** Whether a file is a resource by its name. */
export function isResource(path: string): boolean {
  return classify(path) === "resource";
}

/** Whether a file is stored as it is by its name, so that its content is never opened: a resource, a part of an image, or an agent. */
export function isOpaque(path: string): boolean {
  return OPAQUE.has(classify(path));
}

/** Whether macOS left the file behind; such files are never read. */
export function isLitter(path: string): boolean {
  return path.split("/").some((part) => part.startsWith("._") || LITTER.has(part));
}
