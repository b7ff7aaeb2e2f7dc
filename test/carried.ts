/** Archives as an exporter makes them: with a SHA256SUMS of all that is inside, signed or not. */

import { createKey, formatSums, type PublicKey, readPublicKey, readSecretKey, type SecretKey, sign } from "../src/archives/signature.ts";
import { sumsOf } from "../src/digest.ts";
import { bytesOf, type Files, tgzOf } from "./build.ts";

/** Files, and nested archives as the files in them. */
export interface Tree {
  readonly [path: string]: string | Uint8Array | Tree;
}

export interface TestKey {
  readonly secret: SecretKey;
  readonly accepted: PublicKey;
  /** texts of its files */
  readonly texts: { readonly secret: string; readonly public: string };
}

export const SIGNED_AT = Date.parse("2026-04-26T16:31:15Z");

export function testKey(name: string): TestKey {
  const texts = createKey(name);
  return { secret: readSecretKey(texts.secret, name), accepted: readPublicKey(texts.public, name), texts };
}

/** Path → bytes of every file, nested archives as folders. */
export function leavesOf(tree: Tree): Map<string, Uint8Array> {
  return new Map(
    Object.entries(tree).flatMap(([path, content]) =>
      isTree(content)
        ? [...leavesOf(content)].map(([inner, bytes]) => [`${path}/${inner}`, bytes] as const)
        : [[path, bytesOf(content)] as const],
    ),
  );
}

export function sumsText(tree: Tree): string {
  return formatSums([...leavesOf(tree)].map(([path, bytes]) => ({ path, sha256: sumsOf(bytes)["sha-256"] })));
}

/** The list and its signature. `now`: milliseconds. */
export function sealOf(tree: Tree, key?: TestKey, now = SIGNED_AT): Record<string, string> {
  const sums = sumsText(tree);
  return { SHA256SUMS: sums, ...(key && { "SHA256SUMS.minisig": sign(sums, key.secret, { now }) }) };
}

/** The files with every nested archive packed. */
export function packed(tree: Tree): Record<string, string | Uint8Array> {
  return Object.fromEntries(Object.entries(tree).map(([path, content]) => [path, isTree(content) ? tgzOf(packed(content)) : content]));
}

/** All of it, the list first. */
export function carried(tree: Tree, key?: TestKey, now?: number): Files {
  return { ...sealOf(tree, key, now), ...packed(tree) };
}

function isTree(content: string | Uint8Array | Tree): content is Tree {
  return typeof content !== "string" && !(content instanceof Uint8Array);
}
