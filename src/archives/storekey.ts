/** Signatures of a store's history and the sealing of its secrets, by a key in minisign's format whose file lies outside of the store. */

import { createPublicKey, hkdfSync, sign, verify } from "node:crypto";
import { type PublicKey, readPublicKey, readSecretKey, type SecretKey } from "./signature.ts";

/** So that a signature of a generation is never one of anything else. */
const CONTEXT = "chp generation ";
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

/** `KEYID HEX`, of the digest of what is signed. */
export function signDigest(digest: string, { id, key }: SecretKey): string {
  return `${id} ${sign(null, Buffer.from(CONTEXT + digest), key).toString("hex")}`;
}

/** 32 bytes that follow from the key, which secrets of a store are sealed with. */
export function sealingKey({ key }: SecretKey): Uint8Array {
  const seed = key.export({ format: "der", type: "pkcs8" }).subarray(-32);
  return new Uint8Array(hkdfSync("sha256", seed, "", "chp secrets of a store", 32));
}

/** Whether that key made the signature. */
export function isSignedBy(digest: string, signature: string, { id, text }: Pick<PublicKey, "id" | "text">): boolean {
  const [, by, hex = ""] = /^([0-9A-F]{16}) ([0-9a-f]{128})$/.exec(signature) ?? [];
  if (by !== id) return false;
  const key = createPublicKey({ key: Buffer.concat([SPKI, Buffer.from(text, "base64").subarray(10)]), format: "der", type: "spki" });
  return verify(null, Buffer.from(CONTEXT + digest), key, Buffer.from(hex, "hex"));
}

/** The public half of a key file, secret or public. Throws a `refused` failure that begins with `what`. */
export function publicHalf(text: string, what: string): Pick<PublicKey, "id" | "text"> {
  const isPublic = /^RW[A-Za-z0-9+/]{54}$/.test(text.split(/\r?\n/)[1]?.trim() ?? "");
  if (isPublic) return readPublicKey(text, what);
  const { id, key } = readSecretKey(text, what);
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI.byteLength);
  return { id, text: Buffer.concat([Buffer.from("Ed"), Buffer.from(id, "hex").toReversed(), raw]).toString("base64") };
}
