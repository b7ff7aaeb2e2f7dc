/** Keys and signatures of assertions, which are OpenPGP packets in base64. */

import { constants, createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type Failure, refused } from "../errors.ts";
import { type Assertion, BLANK_LINE } from "./assertion.ts";

/** First byte of every encoded key and signature. */
const ENCODING = 1;
const SIGNATURE_PACKET = 2;
const KEY_PACKET = 6;
const PACKET_VERSION = 4;
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
class PacketFields {
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
  const head = fields.number(1);
  const isNew = (head & 0xc0) === 0xc0;
  if (!(head & 0x80) || (isNew ? head & 0x3f : (head >> 2) & 0x0f) !== tag) throw fields.wrong("is another kind of packet");
  const body = fields.take(isNew ? newLength(fields) : oldLength(fields, head & 0x03));
  fields.end();
  return { fields: new PacketFields(body, what), body };
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
  const version = fields.number(1);
  fields.take(KEY_TIME.byteLength); // when it was made does not matter
  if (version !== PACKET_VERSION || fields.number(1) !== RSA) throw fields.wrong("is no RSA key of version 4");
  const [n, e] = [fields.integer(), fields.integer()];
  fields.end();
  const bits = bitLength(n);
  if (bits < MIN_KEY_BITS || bits > MAX_KEY_BITS) throw fields.wrong(`has ${bits} bits; ${MIN_KEY_BITS} to ${MAX_KEY_BITS} are taken`);
  const isOdd = (integer: Buffer) => ((integer.at(-1) ?? 0) & 1) === 1;
  if (!isOdd(n) || !isOdd(e) || e.byteLength > 4 || (e.byteLength === 1 && e[0] === 1)) throw fields.wrong("has no usable numbers");
  const body = Buffer.concat([Buffer.from([PACKET_VERSION]), KEY_TIME, Buffer.from([RSA]), encodeInteger(n), encodeInteger(e)]);
  const long = body.byteLength - 192;
  const packet = Buffer.concat([Buffer.from([ENCODING, 0xc0 | KEY_PACKET, (long >> 8) + 192, long & 0xff]), body]);
  return { id: createHash("sha3-384").update(packet).digest("base64url"), key: rsaKey(n, e), length: n.byteLength };
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

interface RsaSignature {
  readonly hash: string;
  /** the input of the digest: the text, and the signed part of the packet */
  readonly signed: Buffer;
  /** the OpenPGP id of the key; empty if it is not named */
  readonly issuer: Buffer;
  readonly sumStart: Buffer;
  readonly number: Buffer;
  readonly fields: PacketFields;
}

/** The signature at the end of an assertion, unchecked. Throws a `refused` failure where it is malformed. */
export function readAssertionSignature({ text }: Assertion): RsaSignature {
  const split = text.lastIndexOf(BLANK_LINE);
  const { fields, body } = readPacket(text.slice(split + BLANK_LINE.length), SIGNATURE_PACKET, "the signature");
  const [version, kind, algorithm, hashId = 0] = fields.take(4);
  const hash = HASHES.get(hashId);
  if (version !== PACKET_VERSION || kind !== BINARY_DOCUMENT || algorithm !== RSA || hash === undefined)
    throw fields.wrong("is of a kind that is not taken: only RSA with SHA-512 or SHA-256 is");
  checkSubpackets(fields.take(fields.number(2)));
  const hashed = body.subarray(0, fields.at);
  const issuer = fields.take(fields.number(2));
  if (issuer.byteLength > 0 && !(issuer.byteLength === ISSUER_BYTES && issuer[0] === 9 && issuer[1] === 16))
    throw fields.wrong("has unsigned parts");
  const sumStart = fields.take(2);
  const number = fields.integer();
  fields.end();
  const trailer = Buffer.from([PACKET_VERSION, 0xff, 0, 0, 0, 0]);
  trailer.writeUInt32BE(hashed.byteLength, 2);
  return { hash, signed: Buffer.concat([Buffer.from(text.slice(0, split)), hashed, trailer]), issuer, sumStart, number, fields };
}

/** Throws if the signature is not by that key over exactly this text. */
export function checkSignature(assertion: Assertion, { key, length }: RsaKey): RsaSignature {
  const signature = readAssertionSignature(assertion);
  const { hash, signed, sumStart, number, fields } = signature;
  const sum = createHash(hash).update(signed).digest();
  if (!sum.subarray(0, 2).equals(sumStart)) throw fields.wrong("is of another text");
  if (number.byteLength > length) throw fields.wrong("is longer than the key");
  const padded = Buffer.concat([Buffer.alloc(length - number.byteLength), number]);
  if (!verify(hash, signed, { key, padding: constants.RSA_PKCS1_PADDING }, padded)) throw fields.wrong("does not verify");
  return signature;
}

/** Throws where the signed subpackets are not well-formed, or do not say when the signature was made. */
function checkSubpackets(bytes: Buffer): void {
  const fields = new PacketFields(bytes, "the signature");
  let dated = false;
  while (!fields.ended) {
    const [kind = 0, ...rest] = fields.take(fields.number(1));
    if ((kind & 0x7f) === CREATION_TIME && rest.length === 4) dated = true;
  }
  if (!dated) throw fields.wrong("does not say when it was made");
}
