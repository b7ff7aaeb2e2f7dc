/**
 * JSON that carries the sha256 of its own bytes in its last line, so that no bit of it changes unseen. A signature is the line before:
 *
 *     { …, "signature": "KEY HEX", "digest": "HEX" }
 *
 * The digest covers every byte before its line, and the signature every byte before its own.
 */

import { type Digest, sumsOf } from "../src/digest.ts";
import { tryJson } from "../src/text.ts";

const END = '"\n}\n';
const lineOf = (field: string, text: string) => `,\n "${field}": "${text}`;
const DIGEST_SIZE = lineOf("digest", "").length + 64 + END.length;

/** Signs the digest of bytes: the signature is one line of printable ASCII without quotes. */
export interface StoreKey {
  sign(digest: Digest): string;
}

export interface Sealed {
  readonly value: unknown;
  /** what a signature covers: the digest of the bytes before it */
  readonly content: Digest;
  readonly signature?: string;
}

/** The bytes of an object without the fields `signature` and `digest`. */
export function seal(value: object, key?: StoreKey): Uint8Array {
  const content = JSON.stringify(value, null, 1).slice(0, -"\n}".length);
  const signed = key ? `${content}${lineOf("signature", key.sign(digestOf(content)))}"` : content;
  return Buffer.from(`${signed}${lineOf("digest", digestOf(signed))}${END}`);
}

/** Undefined: these are not bytes that `seal` gave. */
export function unseal(bytes: Uint8Array): Sealed | undefined {
  const body = bytes.subarray(0, Math.max(0, bytes.byteLength - DIGEST_SIZE));
  const expected = `${lineOf("digest", digestOf(body))}${END}`;
  if (!Buffer.from(expected).equals(bytes.subarray(body.byteLength))) return undefined;
  const value = tryJson(new TextDecoder().decode(bytes));
  if (value === undefined) return undefined;
  const text = Buffer.from(body).toString("latin1");
  const at = text.lastIndexOf(lineOf("signature", ""));
  const signature = /^,\n "signature": "([^"\n]*)"$/.exec(at === -1 ? "" : text.slice(at))?.[1];
  return {
    value,
    content: digestOf(body.subarray(0, signature === undefined ? undefined : at)),
    ...(signature !== undefined && { signature }),
  };
}

function digestOf(bytes: Uint8Array | string): Digest {
  return sumsOf(typeof bytes === "string" ? Buffer.from(bytes) : bytes)["sha-256"];
}
