/** Keys and signatures as OpenPGP packets: those of assertions, in base64, and the parts that clearsigned.ts reads of them. */

import { constants, createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type Failure, refused } from "../errors.ts";
import { type Assertion, BLANK_LINE } from "./assertion.ts";

/** First byte of every encoded key and signature. */
const ENCODING = 1;
export const SIGNATURE_PACKET = 2;
export const KEY_PACKET = 6;
export const PACKET_VERSION = 4;
const RSA = 1;
const BINARY_DOCUMENT = 0;
const CREATION_TIME = 2;
const ISSUER_BYTES = 10;
const HASHES: ReadonlyMap<number, string> = new Map([
  [8, "sha256"],
  [10, "sha512"],
]);
const MIN_KEY_BITS = 2048;
const MAX_KEY_BITS = 8192;
/** 2016-01-01, which every key is given before its id is made */
const KEY_TIME = Buffer.from("5685c180", "hex");

interface RsaKey {
  readonly id: string;
  readonly key: KeyObject;
  /** length of its modulus, and of its signatures */
  readonly length: number;
}

/** The bytes of a packet, taken one field after the other. */
export class PacketFields {
  readonly #bytes: Buffer;
  readonly #what: string;
  at = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** A `refused` failure about it. */
  wrong(why: string): Failure {
    return refused(`${this.#what} ${why}`);
  }

  get ended(): boolean {
    return this.at === this.#bytes.byteLength;
  }

  take(count: number): Buffer {
    if (this.#bytes.byteLength - this.at < count) throw this.wrong("ends too early");
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }

  /** An unsigned integer of `count` bytes, the highest first. */
  number(count: number): number {
    return this.take(count).readUIntBE(0, count);
  }

  /** A long integer without leading zeros. Its length may be given in bits exactly, or in whole bytes as snapd itself does. */
  integer(): Buffer {
    const bits = this.number(2);
    const bytes = this.take(Math.ceil(bits / 8));
    const first = bytes.findIndex((byte) => byte !== 0);
    const value = first < 0 ? bytes.subarray(0, 0) : bytes.subarray(first);
    if (bits !== bitLength(value) && bits !== bytes.byteLength * 8) throw this.wrong("has a number of another length than it says");
    return value;
  }

  end(): void {
    if (!this.ended) throw this.wrong("has bytes after its end");
  }
}

function bitLength(integer: Buffer): number {
  return integer.byteLength === 0 ? 0 : integer.byteLength * 8 - Math.clz32(integer[0] ?? 0) + 24;
}

/** The single OpenPGP packet in base64 text, after the byte of the encoding. */
function readPacket(encoded: string, tag: number, what: string): { fields: PacketFields; body: Buffer } {
  const base64 = encoded.replaceAll("\n", "");
  const bytes = Buffer.from(base64, "base64");
  const fields = new PacketFields(bytes, what);
  if (bytes.toString("base64") !== base64) throw fields.wrong("is not base64");
  if (fields.number(1) !== ENCODING) throw fields.wrong("is in an unknown encoding");
  const packet = nextPacket(fields);
  if (packet.tag !== tag) throw fields.wrong("is another kind of packet");
  fields.end();
  return { fields: new PacketFields(packet.body, what), body: packet.body };
}

/** The next packet of several: its kind, and what is in it. */
export function nextPacket(fields: PacketFields): { tag: number; body: Buffer } {
  const head = fields.number(1);
  const isNew = (head & 0xc0) === 0xc0;
  if (!(head & 0x80)) throw fields.wrong("is another kind of packet");
  const tag = isNew ? head & 0x3f : (head >> 2) & 0x0f;
  return { tag, body: fields.take(isNew ? newLength(fields) : oldLength(fields, head & 0x03)) };
}

function newLength(fields: PacketFields): number {
  const first = fields.number(1);
  if (first < 192) return first;
  if (first < 224) return ((first - 192) << 8) + fields.number(1) + 192;
  if (first < 255) throw fields.wrong("comes in parts");
  return fields.number(4);
}

function oldLength(fields: PacketFields, kind: number): number {
  if (kind === 3) throw fields.wrong("is of no certain length");
  return fields.number(2 ** kind);
}

/** A public key as assertions encode it. Throws a `refused` failure where it is none, or of a kind that is not accepted. */
export function readRsaKey(encoded: string): RsaKey {
  const { fields } = readPacket(encoded, KEY_PACKET, "the public key");
  const { n, e, key } = readKeyPacket(fields); // when it was made does not matter
  const body = Buffer.concat([Buffer.from([PACKET_VERSION]), KEY_TIME, Buffer.from([RSA]), encodeInteger(n), encodeInteger(e)]);
  const long = body.byteLength - 192;
  const packet = Buffer.concat([Buffer.from([ENCODING, 0xc0 | KEY_PACKET, (long >> 8) + 192, long & 0xff]), body]);
  return { id: createHash("sha3-384").update(packet).digest("base64url"), key, length: n.byteLength };
}

/** What is in the packet of a public key. `made`: seconds since 1970. Throws a `refused` failure for a kind that is not accepted. */
export function readKeyPacket(fields: PacketFields) {
  const version = fields.number(1);
  const made = fields.number(KEY_TIME.byteLength);
  if (version !== PACKET_VERSION || fields.number(1) !== RSA) throw fields.wrong("is no RSA key of version 4");
  const [n, e] = [fields.integer(), fields.integer()];
  fields.end();
  const bits = bitLength(n);
  if (bits < MIN_KEY_BITS || bits > MAX_KEY_BITS) throw fields.wrong(`has ${bits} bits; ${MIN_KEY_BITS} to ${MAX_KEY_BITS} are taken`);
  const isOdd = (integer: Buffer) => ((integer.at(-1) ?? 0) & 1) === 1;
  if (!isOdd(n) || !isOdd(e) || e.byteLength > 4 || (e.byteLength === 1 && e[0] === 1)) throw fields.wrong("has no usable numbers");
  return { made, n, e, key: rsaKey(n, e) };
}

function encodeInteger(value: Buffer): Buffer {
  const bits = bitLength(value);
  return Buffer.concat([Buffer.from([bits >> 8, bits & 0xff]), value]);
}

function rsaKey(n: Buffer, e: Buffer): KeyObject {
  try {
    return createPublicKey({ key: { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") }, format: "jwk" });
  } catch (cause) {
    throw refused("the public key has no usable numbers", { cause });
  }
}

/** Id of an encoded public key, base64url. Throws a `refused` failure where it is none. */
export function keyIdOf(encoded: string): string {
  return readRsaKey(encoded).id;
}

const keys = new WeakMap<Assertion, RsaKey>();

/** The key of an account-key, decoded once. */
export function publicKeyOf(accountKey: Assertion): RsaKey {
  const key = keys.get(accountKey) ?? readRsaKey(accountKey.body);
  keys.set(accountKey, key);
  return key;
}

/** What a signature says of itself, of any algorithm. */
export interface SignatureHead {
  /** what is signed: 0 bytes, 1 text, from 16 on keys */
  readonly kind: number;
  readonly algorithm: number;
  readonly hashId: number;
  /** the subpackets that are signed, and those that are not */
  readonly subpackets: Buffer;
  readonly unsigned: Buffer;
  readonly fields: PacketFields;
}

/** A signature as its packet has it, unchecked. */
export interface PacketSignature extends SignatureHead {
  readonly hash: string;
  /** what is hashed after that which is signed */
  readonly trailer: Buffer;
  readonly sumStart: Buffer;
  readonly number: Buffer;
}

/** The beginning of the body of a signature packet. Throws a `refused` failure where it is malformed, or not of version 4. */
export function readSignatureHead(body: Buffer, what: string): SignatureHead {
  const fields = new PacketFields(body, what);
  const [version, kind = 0, algorithm = 0, hashId = 0] = fields.take(4);
  if (version !== PACKET_VERSION) throw fields.wrong("is of a kind that is not taken: it is not of version 4");
  const subpackets = fields.take(fields.number(2));
  return { kind, algorithm, hashId, subpackets, unsigned: fields.take(fields.number(2)), fields };
}

/** The body of a signature packet. Throws a `refused` failure where it is malformed, or of a kind that is not taken. */
export function readSignaturePacket(body: Buffer, what: string): PacketSignature {
  const head = readSignatureHead(body, what);
  const { algorithm, hashId, subpackets, unsigned, fields } = head;
  const hash = HASHES.get(hashId);
  if (algorithm !== RSA || hash === undefined) throw fields.wrong("is of a kind that is not taken: only RSA with SHA-512 or SHA-256 is");
  const hashed = body.subarray(0, fields.at - unsigned.byteLength - 2);
  const sumStart = fields.take(2);
  const number = fields.integer();
  fields.end();
  const end = Buffer.from([PACKET_VERSION, 0xff, 0, 0, 0, 0]);
  end.writeUInt32BE(hashed.byteLength, 2);
  return { ...head, hash, trailer: Buffer.concat([hashed, end]), subpackets, unsigned, sumStart, number };
}

/** Throws a `refused` failure if the signature is not by that key over these bytes. */
export function verifySignature(signature: PacketSignature, signed: Uint8Array, { key, length }: Pick<RsaKey, "key" | "length">): void {
  const { hash, trailer, sumStart, number, fields } = signature;
  const bytes = Buffer.concat([signed, trailer]);
  const sum = createHash(hash).update(bytes).digest();
  if (!sum.subarray(0, 2).equals(sumStart)) throw fields.wrong("is of another text");
  if (number.byteLength > length) throw fields.wrong("is longer than the key");
  const padded = Buffer.concat([Buffer.alloc(length - number.byteLength), number]);
  if (!verify(hash, bytes, { key, padding: constants.RSA_PKCS1_PADDING }, padded)) throw fields.wrong("does not verify");
}

interface RsaSignature extends PacketSignature {
  /** the text of the assertion that it is of */
  readonly text: Buffer;
  /** the OpenPGP id of the key; empty if it is not named */
  readonly issuer: Buffer;
}

/** The signature at the end of an assertion, unchecked. Throws a `refused` failure where it is malformed. */
export function readAssertionSignature({ text }: Assertion): RsaSignature {
  const split = text.lastIndexOf(BLANK_LINE);
  const { body } = readPacket(text.slice(split + BLANK_LINE.length), SIGNATURE_PACKET, "the signature");
  const signature = readSignaturePacket(body, "the signature");
  const { kind, subpackets, unsigned: issuer, fields } = signature;
  if (kind !== BINARY_DOCUMENT) throw fields.wrong("is of a kind that is not taken: only RSA with SHA-512 or SHA-256 is");
  if (!readSubpackets(subpackets, "the signature").some(isCreationTime)) throw fields.wrong("does not say when it was made");
  if (issuer.byteLength > 0 && !(issuer.byteLength === ISSUER_BYTES && issuer[0] === 9 && issuer[1] === 16))
    throw fields.wrong("has unsigned parts");
  return { ...signature, text: Buffer.from(text.slice(0, split)), issuer };
}

/** Throws if the signature is not by that key over exactly this text. */
export function checkSignature(assertion: Assertion, key: RsaKey): RsaSignature {
  const signature = readAssertionSignature(assertion);
  verifySignature(signature, signature.text, key);
  return signature;
}

/** A statement within a signature. */
export interface Subpacket {
  readonly kind: number;
  /** who does not know it must not take the signature */
  readonly critical: boolean;
  readonly data: Buffer;
}

/** The subpackets of a signature. Throws a `refused` failure where they are not well-formed. */
export function readSubpackets(bytes: Buffer, what: string): Subpacket[] {
  const fields = new PacketFields(bytes, what);
  const found: Subpacket[] = [];
  while (!fields.ended) {
    const [kind, ...data] = fields.take(subpacketLength(fields));
    if (kind === undefined) throw fields.wrong("has an empty part");
    found.push({ kind: kind & 0x7f, critical: (kind & 0x80) !== 0, data: Buffer.from(data) });
  }
  return found;
}

function subpacketLength(fields: PacketFields): number {
  const first = fields.number(1);
  if (first < 192) return first;
  return first < 255 ? ((first - 192) << 8) + fields.number(1) + 192 : fields.number(4);
}

export function isCreationTime({ kind, data }: Subpacket): boolean {
  return kind === CREATION_TIME && data.byteLength === 4;
}
