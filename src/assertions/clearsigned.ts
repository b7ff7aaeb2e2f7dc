/**
 * Clear-signed texts, as simplestreams has them: a text between two lines of OpenPGP, and its signature in armor. Taken is what is
 * wholly signed: nothing before, after or beside the signed text, an RSA signature of version 4 with SHA-256 or SHA-512.
 */

import { createHash } from "node:crypto";
import { type Failure, printable, refused } from "../errors.ts";
import {
  isCreationTime,
  KEY_PACKET,
  nextPacket,
  PacketFields,
  readKeyPacket,
  readSignatureHead,
  readSignaturePacket,
  readSubpackets,
  SIGNATURE_PACKET,
  type SignatureHead,
  type Subpacket,
  verifySignature,
} from "./openpgp.ts";

/** A primary key that may sign texts. */
export interface SigningKey {
  /** 40 upper-case hex digits */
  readonly fingerprint: string;
  /** what its owner calls it; proven by nothing but that the owner signed it */
  readonly name: string;
  /** RFC 3339, from when on its signatures count no more; absent: never */
  readonly until?: string;
  readonly key: Pick<Parameters<typeof verifySignature>[2], "key" | "length">;
}

/** A text that a key signed. */
export interface SignedText {
  /** as it was signed: lines end with CRLF, and with no blanks before it */
  readonly text: string;
  readonly key: SigningKey;
  /** RFC 3339: when it was signed, as the signature says */
  readonly made: string;
}

const USER_ID = 13;
const SIGNED_TEXT = 1;
const SIGNED_BYTES = 0;
/** kinds of signatures of a key's owner over its name, and the one that takes a key back */
const CERTIFICATIONS = new Set([0x10, 0x11, 0x12, 0x13]);
const REVOCATION = 0x20;
const [EXPIRES_AFTER, KEY_EXPIRES_AFTER, ISSUER, KEY_FLAGS, ISSUER_FINGERPRINT] = [3, 9, 16, 27, 33];
/** Subpackets that say nothing against a signature; a critical one beside them must not be passed over. */
const HARMLESS = new Set([2, 11, 21, 22, 23, 25, 30, EXPIRES_AFTER, KEY_EXPIRES_AFTER, ISSUER, KEY_FLAGS, ISSUER_FINGERPRINT]);
const MAY_SIGN = 2;

/** bytes of a clear-signed text; upstream's largest has less than a tenth of it */
export const MAX_SIGNED_TEXT = 32 * 2 ** 20;
/** A line costs some fifty bytes besides its text: 32 MiB of empty ones would take more than a gigabyte. */
export const MAX_SIGNED_LINES = 1_000_000;
const MAX_SIGNATURES = 8;
const MAX_KEY_FILE = 2 ** 16;
const MAX_PACKETS = 100;

const [BEGIN, SIGNATURE, END] = ["-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----"];

/** The text, once one of the keys has signed it. Throws a `refused` failure that begins with `what`. */
export function readClearSigned(bytes: Uint8Array, keys: readonly SigningKey[], what: string): SignedText {
  if (bytes.byteLength > MAX_SIGNED_TEXT) throw refused(`${what} has more than ${MAX_SIGNED_TEXT} bytes`);
  if (hasMoreLines(bytes, MAX_SIGNED_LINES)) throw refused(`${what} has more than ${MAX_SIGNED_LINES} lines`);
  const { text, signatures } = partsOf(textOf(bytes, what), what);
  const named = new Set<string>();
  let failure: Failure | undefined;
  for (const packet of signatures) {
    const signature = readSignaturePacket(packet, `the signature of ${what}`);
    const facts = factsOf(signature, `the signature of ${what}`);
    if (signature.kind !== SIGNED_TEXT && signature.kind !== SIGNED_BYTES)
      throw signature.fields.wrong("is of another kind than of a text");
    const key = keys.find(({ fingerprint }) => facts.issuers.some((issuer) => fingerprint.endsWith(issuer)));
    if (!key) {
      for (const issuer of facts.issuers) named.add(issuer.slice(-16));
      continue;
    }
    verifySignature(signature, Buffer.from(text), key.key);
    failure = problemOf(facts, key, what);
    if (!failure) return { text, key, made: timeOf(facts.made) };
  }
  throw (
    failure ??
    refused(`${what} is not signed by a known key: it is by ${[...named].join(" and ") || "no key that it names"}`, {
      next: `known: ${keys.map(({ fingerprint }) => fingerprint.slice(-16)).join(", ") || "none"}; --streams-key FILE names one more`,
    })
  );
}

function hasMoreLines(bytes: Uint8Array, most: number): boolean {
  let lines = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) if ((lines += 1) > most) return true;
  return false;
}

/** Why a signature that verifies does not count. */
function problemOf({ made, until }: SignatureFacts, key: SigningKey, what: string): Failure | undefined {
  if (until !== undefined) return refused(`the signature of ${what} says that it counts until ${timeOf(until)} only`);
  if (key.until !== undefined && !(made < Date.parse(key.until) / 1000))
    return refused(`${what} was signed at ${timeOf(made)}, and the key ${showSigningKey(key)} ended at ${key.until}`);
  return undefined;
}

/** `378F62AF6A157DB3 (Juju Tools …)` */
export function showSigningKey({ fingerprint, name }: Pick<SigningKey, "fingerprint" | "name">): string {
  return `${fingerprint.slice(-16)}${name === "" ? "" : ` (${name})`}`;
}

/* ---- the armor around text and signature ---- */

function textOf(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refused(`${what} is not UTF-8`);
  }
}

/** The signed text, and the bodies of its signatures. Throws where anything is beside them. */
function partsOf(armored: string, what: string): { text: string; signatures: Buffer[] } {
  const lines = armored.split("\n").map((line) => line.replace(/[ \t\r]+$/, ""));
  if (lines[0] !== BEGIN) throw refused(`${what} is not signed: it does not begin with ${BEGIN}`);
  const blank = lines.indexOf("");
  if (blank < 0 || lines.slice(1, blank).some((line) => !/^Hash: [A-Z0-9-]+(, ?[A-Z0-9-]+)*$/.test(line)))
    throw refused(`${what} has other lines than Hash before its text`);
  const split = lines.indexOf(SIGNATURE, blank);
  const end = split < 0 ? -1 : lines.indexOf(END, split);
  if (end < 0) throw refused(`${what} is cut short: its signature is missing`);
  if (lines.slice(end + 1).some((line) => line !== "")) throw refused(`${what} has something after its signature`);
  const text = lines.slice(blank + 1, split).map((line) => {
    if (!line.startsWith("-")) return line;
    if (line.startsWith("- ")) return line.slice(2);
    throw refused(`${what} has a line of dashes in its text`);
  });
  const packets = packetsOf(dearmored(lines.slice(split + 1, end), what), `the signature of ${what}`);
  if (packets.length === 0 || packets.length > MAX_SIGNATURES || packets.some(({ tag }) => tag !== SIGNATURE_PACKET))
    throw refused(`the signature of ${what} is none, or not alone`);
  return { text: text.join("\r\n"), signatures: packets.map(({ body }) => body) };
}

/** The bytes in the lines between those that begin and end an armor: headers, a blank line, base64, and perhaps a checksum. */
function dearmored(lines: readonly string[], what: string): Buffer {
  const blank = lines.indexOf("");
  const base64 = lines
    .slice(blank + 1)
    .filter((line) => !/^=[A-Za-z0-9+/]{4}$/.test(line))
    .join("");
  const bytes = Buffer.from(base64, "base64");
  if (blank < 0 || bytes.toString("base64") !== base64) throw refused(`${what} has armor that is not base64`);
  return bytes;
}

interface Packet {
  readonly tag: number;
  readonly body: Buffer;
}

function packetsOf(bytes: Buffer, what: string): Packet[] {
  const fields = new PacketFields(bytes, what);
  const packets: Packet[] = [];
  while (!fields.ended) {
    if (packets.length === MAX_PACKETS) throw fields.wrong(`has more than ${MAX_PACKETS} packets`);
    packets.push(nextPacket(fields));
  }
  return packets;
}

/* ---- signatures ---- */

interface SignatureFacts {
  /** ids or fingerprints of the key, in upper-case hex */
  readonly issuers: readonly string[];
  /** seconds since 1970 */
  readonly made: number;
  /** when it counts no more; undefined: it always does */
  readonly until?: number;
  readonly signed: readonly Subpacket[];
}

/** What a signature says of itself. Throws where it says what chp does not know and must. */
function factsOf(signature: SignatureHead, what: string): SignatureFacts {
  const signed = readSubpackets(signature.subpackets, what);
  const all = [...signed, ...readSubpackets(signature.unsigned, what)];
  const odd = all.find(({ kind, critical }) => critical && !HARMLESS.has(kind));
  if (odd) throw signature.fields.wrong(`has a part ${odd.kind} that must not be passed over, and that chp does not know`);
  const made = secondsOf(signed.find(isCreationTime));
  if (made === undefined) throw signature.fields.wrong("does not say when it was made");
  const life = secondsOf(signed.find(({ kind }) => kind === EXPIRES_AFTER)) ?? 0;
  const issuers = all.flatMap(({ kind, data }) => {
    if (kind === ISSUER && data.byteLength === 8) return [hex(data)];
    return kind === ISSUER_FINGERPRINT && data.byteLength === 21 && data[0] === 4 ? [hex(data.subarray(1))] : [];
  });
  return { issuers, made, ...(life > 0 && { until: made + life }), signed };
}

function secondsOf(subpacket: Subpacket | undefined): number | undefined {
  return subpacket?.data.byteLength === 4 ? subpacket.data.readUInt32BE() : undefined;
}

function hex(bytes: Buffer): string {
  return bytes.toString("hex").toUpperCase();
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/* ---- keys ---- */

/**
 * The key of an exported public key: in armor, or as its bytes. What its owner says of it, as when it ends, is taken as it stands: whoever
 * could change that could give another key as well. Throws a `refused` failure that begins with `what`.
 */
export function readSigningKey(file: Uint8Array, what: string): SigningKey {
  const [first, ...others] = packetsOf(keyBytes(file, what), what);
  if (first?.tag !== KEY_PACKET) throw refused(`${what} is not a public key as gpg --export writes it`);
  if (others.some(({ tag }) => tag === KEY_PACKET)) throw refused(`${what} has several keys: give each in a file of its own`);
  const { made, n, key } = readKeyPacket(new PacketFields(first.body, what));
  const fingerprint = fingerprintOf(first.body);
  let name = "";
  let newest: { readonly made: number; readonly life: number; readonly maySign: boolean } | undefined;
  for (const { tag, body } of others) {
    if (tag === USER_ID && name === "") name = printable(body.toString("utf8"), 100);
    const own = tag === SIGNATURE_PACKET ? ownSignature(body, fingerprint, what) : undefined;
    if (!own) continue;
    const { kind, facts } = own;
    if (kind === REVOCATION) throw refused(`${what} was taken back by its owner at ${timeOf(facts.made)}`);
    if (!CERTIFICATIONS.has(kind) || (newest && newest.made > facts.made)) continue;
    const flags = facts.signed.find((one) => one.kind === KEY_FLAGS)?.data[0] ?? MAY_SIGN;
    const life = secondsOf(facts.signed.find((one) => one.kind === KEY_EXPIRES_AFTER)) ?? 0;
    newest = { made: facts.made, life, maySign: (flags & MAY_SIGN) !== 0 };
  }
  if (newest?.maySign === false) throw refused(`${what} may not sign, as its owner says; signatures of its subkeys are not taken`);
  const until = newest !== undefined && newest.life > 0 ? timeOf(made + newest.life) : undefined;
  return { fingerprint, name, ...(until !== undefined && { until }), key: { key, length: n.byteLength } };
}

/** A signature that the key made over itself, of any algorithm; undefined: another key's, or one that chp can't read, as those of others may be. */
function ownSignature(body: Buffer, fingerprint: string, what: string): { kind: number; facts: SignatureFacts } | undefined {
  try {
    const head = readSignatureHead(body, what);
    const facts = factsOf(head, what);
    return facts.issuers.some((issuer) => fingerprint.endsWith(issuer)) ? { kind: head.kind, facts } : undefined;
  } catch {
    return undefined;
  }
}

/** SHA-1 of the packet of a key of version 4, which is what makes its id. */
function fingerprintOf(body: Buffer): string {
  const head = Buffer.from([0x99, body.byteLength >> 8, body.byteLength & 0xff]);
  return hex(createHash("sha1").update(head).update(body).digest());
}

function keyBytes(file: Uint8Array, what: string): Buffer {
  if (file.byteLength > MAX_KEY_FILE) throw refused(`${what} has more than ${MAX_KEY_FILE} bytes, so it is not one key`);
  const lines = Buffer.from(file).toString("latin1").split(/\r?\n/);
  if (lines.some((line) => line.startsWith("-----BEGIN PGP PRIVATE KEY")))
    throw refused(`${what} is a secret key, which must never leave its machine`, { next: "give what gpg --export wrote" });
  const begin = lines.indexOf("-----BEGIN PGP PUBLIC KEY BLOCK-----");
  if (begin < 0) return Buffer.from(file);
  return dearmored(lines.slice(begin + 1, lines.indexOf("-----END PGP PUBLIC KEY BLOCK-----", begin)), what);
}

/** A key as one line of base64, without armor, as a setting has it. Throws a `refused` failure that begins with `what`. */
export function signingKeyLine(file: Uint8Array, what: string): string {
  readSigningKey(file, what);
  return keyBytes(file, what).toString("base64");
}

/** Reads such a line. Throws a `refused` failure that begins with `what`. */
export function readSigningKeyLine(line: string, what: string): SigningKey {
  return readSigningKey(Buffer.from(line, "base64"), what);
}
