/** What the name of a file in an export tells. */

import { printable, refused } from "../errors.ts";

const MAX_PATH = 4096;

/** `./a/b` → `a/b`; refuses what could point outside. */
export function safePath(path: string): string {
  if (path.length > MAX_PATH) throw refused(`a path in it is longer than ${MAX_PATH} characters`);
  if (printable(path, MAX_PATH + 1) !== path) throw refused(`the path ${printable(path, 200)} has characters that are not for printing`);
  if (path.startsWith("/")) throw refused(`the path ${printable(path, 200)} is absolute`);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw refused(`the path ${printable(path, 200)} leads outside`);
  return parts.join("/");
}

/** What macOS leaves in archives and folders. */
export function isLitter(path: string): boolean {
  const parts = path.split("/");
  const name = parts.at(-1) ?? "";
  return name.startsWith("._") || name === ".DS_Store" || parts.includes("__MACOSX");
}

export function isZip(head: Uint8Array): boolean {
  return head[0] === 0x50 && head[1] === 0x4b && ((head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6));
}

/** Its name in an archive. */
export const LOCK_FILE = "export.lock.json";

export function isSquashfs(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 4)).toString("latin1") === "hsqs";
}

/** Whether a file goes into the store as it is; `head`: its first bytes. */
export function isPayload(path: string, head: Uint8Array): boolean {
  return !isLitter(path) && (isResourcePath(path) || isSquashfs(head) || isZip(head));
}

/** Files whose content is payload whatever it looks like: a resource may itself be an archive. */
export function isResourcePath(path: string): boolean {
  const [name = "", folder] = path.split("/").toReversed();
  return folder === "resources" || /^[^.]+\..+_\d+$/.test(name) || /^resource_.+_r\d+(_.*)?$/.test(name);
}
