/**
 * Lists of checksums and their signatures: SHA256SUMS in the format of coreutils, signed in the format of minisign.
 *
 * Keys and signatures are minisign's own (Ed25519 over BLAKE2b-512, the global signature over the trusted comment), so
 * `minisign -V` checks what chp signed, and chp what `minisign -S` did. A secret key has no password: its file is 0600.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import type { Signer } from "../catalog/generation-types.ts";
import { type Digest, isDigest } from "../digest.ts";
import { type Failure, printable, refused } from "../errors.ts";

/** Name of the list, at the top of what it lists, and of its signature beside it. */
export const SUMS_FILE = "SHA256SUMS";
export const SIGNATURE_FILE = "SHA256SUMS.minisig";

/* ---- the list ---- */

/** `<64 hex>  <path>\n` of every file, sorted by the bytes of its path: what `sha256sum --check` reads. */
export function formatSums(files: Iterable<{ readonly path: string; readonly sha256: string }>): string {
  const sorted = [...files].toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return sorted
    .map(({ path, sha256 }, i) => {
      if (path === sorted[i - 1]?.path) throw new Error(`internal error: ${path} is listed twice`);
      if (/[\n\r\\]/.test(path)) throw new Error(`internal error: ${path} can't be listed`);
      return `${sha256}  ${path}\n`;
    })
    .join("");
}

/** Path → sha256. Throws a `refused` failure that begins with `what`. */
export function readSums(text: string, what: string): Map<string, Digest> {
  const found = new Map<string, Digest>();
  const lines = text.split("\n");
  if (lines.pop() !== "") throw refused(`${what} is cut short: its last line has no end`);
  for (const [i, line] of lines.entries()) {
    const [, sha256 = "", path = ""] = /^([0-9a-fA-F]{64}) [ *](.+)$/.exec(line) ?? [];
    const digest = sha256.toLowerCase();
    if (!isDigest(digest) || printable(path) !== path)
      throw refused(`${what} has a line ${i + 1} that is not a sha256, two spaces and a path, as sha256sum writes them`);
    const normal = path.replace(/^(\.\/)+/, "");
    if (found.has(normal)) throw refused(`${what} lists ${normal} twice`);
    found.set(normal, digest);
  }
  return found;
}

/* ---- keys ---- */

/** Whose signatures are accepted. */
export interface PublicKey {
  /** 16 upper-case hex digits, as minisign prints it */
  readonly id: string;
  /** the second line of its file: 56 characters of base64 */
  readonly text: string;
  /** the comment of its file, which may be empty; for people only, it proves nothing */
  readonly comment: string;
  /** RFC 3339: from when on it is not accepted any more, nor what it signed from then on; absent: never */
  readonly until?: string;
}

export interface SecretKey {
  /** of its public key */
  readonly id: string;
  readonly key: KeyObject;
}

const COMMENT = "untrusted comment: ";
const TRUSTED_COMMENT = "trusted comment: ";
const ALGORITHM = Buffer.from("Ed");
const PREHASHED = Buffer.from("ED");
const NO_PASSWORD = Buffer.from([0, 0]);
const CHECKSUM = Buffer.from("B2");
const SIZES = { public: 42, secret: 158, signature: 74, global: 64 } as const;
/** Where the parts of a secret key are. */
const SECRET = { password: 2, checksum: 4, id: 54, seed: 62, public: 94, end: 126 } as const;
// What comes before the bytes of an Ed25519 key in DER.
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");
const MAX_COMMENT = 100;

/** A new pair as the texts of its two files. `comment`: what the public key is called. */
export function createKey(comment: string): { readonly secret: string; readonly public: string; readonly id: string } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const number = randomBytes(8);
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(PKCS8.byteLength);
  const bytes = publicBytes(privateKey);
  const settings = Buffer.concat([ALGORITHM, NO_PASSWORD, CHECKSUM, Buffer.alloc(SECRET.id - 6)]);
  const secret = Buffer.concat([settings, number, seed, bytes, Buffer.alloc(SIZES.secret - SECRET.end)]);
  const id = idOf(number);
  return {
    secret: `${COMMENT}secret key of chp, whose public key is ${id}: keep it to yourself\n${secret.toString("base64")}\n`,
    public: publicKeyText({ text: Buffer.concat([ALGORITHM, number, bytes]).toString("base64"), comment }),
    id,
  };
}

/** The file of a public key, which `minisign -V -p` takes. */
export function publicKeyText({ text, comment }: Pick<PublicKey, "text" | "comment">): string {
  return `${COMMENT}${comment}\n${text}\n`;
}

/** Reads minisign's `.pub`, or the line of it that is the key. Throws a `refused` failure that begins with `what`. */
export function readPublicKey(text: string, what: string): PublicKey {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const [first = ""] = lines;
  const comment = first.startsWith(COMMENT) ? first.slice(COMMENT.length).trim() : "";
  const key = (comment === "" && !first.startsWith(COMMENT) ? first : (lines[1] ?? "")).trim();
  if (bytesOf(key, SIZES.secret))
    throw refused(`${what} is a secret key, which must never leave its machine`, { next: "give its .pub file" });
  const bytes = bytesOf(key, SIZES.public);
  if (!bytes || !hasPrefix(bytes, ALGORITHM)) throw refused(`${what} is not a public key as chp keygen or minisign writes it`);
  // minisign's default comment repeats the id.
  const named = /^minisign public key [0-9A-F]+$/.test(comment) ? "" : printable(comment, MAX_COMMENT);
  return { id: idOf(bytes.subarray(2, 10)), text: key, comment: named };
}

/** Reads a secret key without a password. Throws a `refused` failure that begins with `what` and shows nothing of the key. */
export function readSecretKey(text: string, what: string): SecretKey {
  const bytes = bytesOf(text.split(/\r?\n/)[1]?.trim() ?? "", SIZES.secret);
  if (!bytes || !hasPrefix(bytes, ALGORITHM) || !hasPrefix(bytes.subarray(SECRET.checksum), CHECKSUM))
    throw refused(`${what} is not a secret key as chp keygen or minisign -G -W writes it`, { next: "chp keygen FILE makes one" });
  if (!hasPrefix(bytes.subarray(SECRET.password), NO_PASSWORD))
    throw refused(`${what} is protected by a password, which chp does not support`, {
      next: `minisign -C -W -s ${printable(what, 200)} takes the password away; or chp keygen FILE makes another key`,
    });
  const seed = bytes.subarray(SECRET.seed, SECRET.public);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  if (!publicBytes(key).equals(bytes.subarray(SECRET.public, SECRET.end))) throw refused(`${what} is damaged: its two halves don't fit`);
  return { id: idOf(bytes.subarray(SECRET.id, SECRET.seed)), key };
}

/** A public key in one line, as a setting: its text and what it is called, without commas, which separate several keys. */
export function keyLine({ text, comment, until }: PublicKey): string {
  const end = until === undefined ? "" : ` until=${until}`;
  return `${text}${end} ${comment.replaceAll(",", " ").replace(/^until=/, "until ")}`.trimEnd();
}

/** Throws a `refused` failure that begins with `what`. */
export function readKeyLine(line: string, what: string): PublicKey {
  const [, text = "", until, comment = ""] = /^(\S+)(?: +until=(\S*))?(?: +(.*))?$/.exec(line) ?? [];
  if (until !== undefined && !(Date.parse(until) > 0)) throw refused(`${what} has a key that ends at no time: ${printable(until, 50)}`);
  return { ...readPublicKey(publicKeyText({ text, comment }), what), ...(until !== undefined && { until }) };
}

/** Whether a key has ended by then; an end that cannot be read has. `time`: RFC 3339. */
export function hasEnded({ until }: Pick<PublicKey, "until">, time: string): boolean {
  return until !== undefined && !(Date.parse(time) < Date.parse(until));
}

const END_WARNING = 30 * 86_400_000;

/** Why an accepted key is of no use any more, or soon; undefined: it is. `now`: milliseconds. */
export function keyWarning(key: PublicKey, now: number): string | undefined {
  if (key.until === undefined) return undefined;
  if (hasEnded(key, new Date(now).toISOString())) return `the key ${showKey(key)} ended at ${key.until}: imports by it are refused`;
  return hasEnded(key, new Date(now + END_WARNING).toISOString()) ? `the key ${showKey(key)} ends at ${key.until}` : undefined;
}

/** `62196CEF1DA5E212 (site)` */
export function showKey({ id, comment }: Pick<PublicKey, "id" | "comment">): string {
  return comment === "" ? id : `${id} (${comment})`;
}

/** minisign's: the number that the eight bytes are, the lowest first. */
function idOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.toReversed()).toString("hex").toUpperCase();
}

function publicBytes(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI.byteLength);
}

/* ---- signatures ---- */

/** The claims of a signature; they are verified only in the result of `verify`. */
export interface Signature {
  /** id of the key that it says it is by */
  readonly keyId: string;
  /** its trusted comment, which the signature covers */
  readonly comment: string;
}

interface ReadSignature extends Signature {
  readonly prehashed: boolean;
  readonly bytes: Uint8Array;
  readonly global: Uint8Array;
}

interface SignOptions {
  /** milliseconds since 1970 */
  readonly now: number;
  /** what is signed, for people */
  readonly what?: string;
}

/** The text of SHA256SUMS.minisig; the same bytes for the same list, key and options. */
export function sign(sumsText: string, { id, key }: SecretKey, { now, what = "chp export" }: SignOptions): string {
  const bytes = signBytes(null, hashed(Buffer.from(sumsText)), key);
  const comment = `${what} of ${new Date(now).toISOString().slice(0, 19)}Z`;
  const global = signBytes(null, Buffer.concat([bytes, Buffer.from(comment)]), key);
  return signatureText(id, Buffer.concat([PREHASHED, Buffer.from(id, "hex").toReversed(), bytes]), comment, global);
}

function signatureText(id: string, signature: Buffer, comment: string, global: Buffer): string {
  const lines = [`${COMMENT}signature of chp by ${id}`, signature.toString("base64"), `${TRUSTED_COMMENT}${comment}`];
  return `${[...lines, global.toString("base64")].join("\n")}\n`;
}

/** The claims of a signature, unverified. Throws a `refused` failure that begins with `what`. */
export function readSignature(text: string, what: string): Signature {
  const { keyId, comment } = parse(text, what);
  return { keyId, comment };
}

/**
 * The key that signed the list, with the comment that the signature covers. Throws a `refused` failure that begins with `what`
 * if none of these keys signed it, or the signature is invalid.
 */
export function verify(
  sums: string | Uint8Array,
  signed: string,
  accepted: readonly PublicKey[],
  what: string = SIGNATURE_FILE,
): { readonly key: PublicKey; readonly comment: string } {
  const signature = parse(signed, what);
  const named = accepted.filter(({ id }) => id === signature.keyId);
  if (named.length === 0) throw notAccepted(signature.keyId, accepted, what);
  const message = Buffer.from(sums);
  const content = signature.prehashed ? hashed(message) : message;
  const globally = Buffer.concat([signature.bytes, Buffer.from(signature.comment)]);
  const key = named.find(({ text }) => {
    const der = Buffer.concat([SPKI, Buffer.from(text, "base64").subarray(10)]);
    const by = createPublicKey({ key: der, format: "der", type: "spki" });
    return verifyBytes(null, content, by, signature.bytes) && verifyBytes(null, globally, by, signature.global);
  });
  if (!key)
    throw refused(`${what} is wrong: key ${signature.keyId} did not sign this ${SUMS_FILE}`, {
      next: "it was changed or damaged on its way: get it again from where it was made",
    });
  return { key, comment: signature.comment };
}

/** The failure for a key that is not accepted. */
export function notAccepted(keyId: string, accepted: readonly PublicKey[], what: string): Failure {
  return refused(`${what} is by key ${keyId}, and trusted are ${accepted.map(showKey).join(", ") || "none"}`, {
    next: "chp accept-key FILE.pub trusts its key, if you do",
  });
}

function parse(text: string, what: string): ReadSignature {
  const [first = "", second = "", third = "", fourth = "", ...rest] = text.replace(/\n$/, "").split("\n");
  const signature = bytesOf(second, SIZES.signature);
  const global = bytesOf(fourth, SIZES.global);
  const prehashed = signature !== undefined && hasPrefix(signature, PREHASHED);
  const isWhole = first.startsWith(COMMENT) && third.startsWith(TRUSTED_COMMENT) && rest.length === 0;
  if (!signature || !global || !isWhole || !(prehashed || hasPrefix(signature, ALGORITHM)))
    throw refused(`${what} is not a signature as chp or minisign writes it`);
  const comment = third.slice(TRUSTED_COMMENT.length);
  return { keyId: idOf(signature.subarray(2, 10)), comment, prehashed, bytes: signature.subarray(10), global };
}

function hashed(message: Uint8Array): Buffer {
  return createHash("blake2b512").update(message).digest();
}

/** Undefined where the text is not base64 of so many bytes. */
function bytesOf(text: string, size: number): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.byteLength === size && bytes.toString("base64") === text ? bytes : undefined;
}

function hasPrefix(bytes: Uint8Array, head: Uint8Array): boolean {
  return head.every((byte, i) => bytes[i] === byte);
}

/** `62196CEF1DA5E212 (site)` */
export function showSigner({ key, name }: Signer): string {
  return showKey({ id: key, comment: name });
}
