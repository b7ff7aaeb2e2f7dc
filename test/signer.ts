/** Makes keys and signs assertions as snapd does. Its keys are no secret: whoever trusts one of them outside a test trusts everybody. */

import { createHash, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { keyIdOf } from "../src/assertions/openpgp.ts";
import { ASSERTION_TYPES } from "../src/assertions/types.ts";
import PRIVATE_KEYS from "./fixtures/keys.json" with { type: "json" };

export interface TestKey {
  readonly id: string;
  /** the public key, as an account-key's body holds it */
  readonly encoded: string;
  /** The signature in lines of base64. */
  sign(content: string | Uint8Array, options?: SignOptions): string;
}

export interface SignOptions {
  readonly hash?: "sha256" | "sha512";
  /** whether the packet names the key once more in its unsigned part, as signatures of 2016 do */
  readonly issuer?: boolean;
}

/** Who signs. */
export interface Signatory {
  readonly account: string;
  readonly key: TestKey;
}

export interface Root extends Signatory {
  /** stream of the account and its account-key, which signs itself */
  readonly trust: string;
}

export type Headers = Readonly<Record<string, unknown>>;

/** when every key begins to be valid, and everything is made */
export const SINCE = "2020-01-01T00:00:00Z";
export const MADE = "2026-03-01T09:30:00Z";

const PACKET_TIME = 0x69a40718; // MADE
const KEY_TIME = 0x5685c180; // 2016-01-01, in every key that snapd writes
const HASH_IDS = { sha256: 8, sha512: 10 };

const keys = new Map<string, TestKey>();

/** The key of a name, of those in fixtures/keys.json: the same in every run, whatever else asked for keys before. */
export function testKey(name: string): TestKey {
  const made = keys.get(name) ?? keyOf(privateKey(name));
  keys.set(name, made);
  return made;
}

function privateKey(name: string): KeyObject {
  const pkcs8 = (PRIVATE_KEYS as Readonly<Record<string, string>>)[name];
  if (pkcs8 === undefined) throw new Error(`test/fixtures/keys.json has no key named ${name}`);
  return createPrivateKey({ key: Buffer.from(pkcs8, "base64"), format: "der", type: "pkcs8" });
}

/** A test key of any RSA key. */
export function keyOf(key: KeyObject): TestKey {
  const { n = "", e = "" } = key.export({ format: "jwk" });
  const body = Buffer.concat([Buffer.from([4]), uint(KEY_TIME, 4), Buffer.from([1]), integer(base64url(n)), integer(base64url(e))]);
  const encoded = encode(6, body);
  return { id: keyIdOf(encoded), encoded, sign: (content, options) => encode(2, signaturePacket(key, Buffer.from(content), options)) };
}

function signaturePacket(key: KeyObject, content: Buffer, { hash = "sha512", issuer = false }: SignOptions = {}): Buffer {
  const hashed = Buffer.concat([Buffer.from([4, 0, 1, HASH_IDS[hash], 0, 6, 5, 2]), uint(PACKET_TIME, 4)]);
  const signed = Buffer.concat([content, hashed, Buffer.from([4, 0xff]), uint(hashed.byteLength, 4)]);
  const unhashed = issuer ? Buffer.from([9, 16, 1, 2, 3, 4, 5, 6, 7, 8]) : Buffer.alloc(0);
  const sum = createHash(hash).update(signed).digest().subarray(0, 2);
  return Buffer.concat([hashed, uint(unhashed.byteLength, 2), unhashed, sum, integer(sign(hash, signed, key))]);
}

/** Base64 of the encoding's byte and one packet, in lines of 76. */
function encode(tag: number, body: Buffer): string {
  const long = body.byteLength - 192;
  const length = long < 0 ? [body.byteLength] : [(long >> 8) + 192, long & 0xff];
  const bytes = Buffer.concat([Buffer.from([1, 0xc0 | tag, ...length]), body]);
  return bytes.toString("base64").replace(/.{76}(?=.)/g, "$&\n");
}

/** A long integer with its exact length in bits. */
function integer(bytes: Buffer): Buffer {
  const value = bytes.subarray(
    Math.max(
      bytes.findIndex((byte) => byte !== 0),
      0,
    ),
  );
  const bits = value.byteLength * 8 - Math.clz32(value[0] ?? 0) + 24;
  return Buffer.concat([uint(bits, 2), value]);
}

function uint(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}

function base64url(text: string): Buffer {
  return Buffer.from(text, "base64url");
}

/* ---- assertions ---- */

/** Signs an assertion; headers may be texts, numbers, lists, objects and maps, undefined ones are left out. Ends in one newline. */
export function assertion(key: TestKey, headers: Headers, body = "", options?: SignOptions): string {
  const content = contentOf({ ...headers, "sign-key-sha3-384": headers["sign-key-sha3-384"] ?? key.id }, body);
  return `${content}\n\n${key.sign(content, options)}\n`;
}

/** What is signed: headers in snapd's order, a blank line and the body where there is one. */
function contentOf(headers: Headers, body: string): string {
  const length = Buffer.byteLength(body);
  const all: Headers = { ...headers, "body-length": headers["body-length"] ?? (length || undefined) };
  const first = ["type", "format", "authority-id", "revision", ...(ASSERTION_TYPES.get(String(headers["type"]))?.key ?? [])];
  const last = ["body-length", "sign-key-sha3-384"];
  const others = Object.keys(all).filter((name) => !first.includes(name) && !last.includes(name));
  const names = [...new Set([...first, ...others.toSorted(), ...last])].filter(
    (name) => all[name] !== undefined && !((name === "format" || name === "revision") && all[name] === 0),
  );
  const head = names.map((name) => `${name}:${valueText(all[name], 0)}`).join("\n");
  return body === "" ? head : `${head}\n\n${body}`;
}

/** A value after its name and colon; deeper lines are indented on top of `base`. */
function valueText(value: unknown, base: number): string {
  const indent = " ".repeat(base + 2);
  if (Array.isArray(value)) return value.map((one) => `\n${indent}-${valueText(one, base + 2)}`).join("");
  if (typeof value === "object" && value !== null)
    return (value instanceof Map ? [...value] : Object.entries(value))
      .map(([name, one]) => `\n${indent}${name}:${valueText(one, base + 2)}`)
      .join("");
  const text = String(value);
  return text.includes("\n") ? `\n${text.replace(/^/gm, `${indent}  `)}` : ` ${text}`;
}

type Make = (by: Signatory, headers: Headers) => string;

/** Makes assertions of a type; what `headers` does not say is taken from `defaults`. */
function maker(type: string, defaults: Headers): Make {
  return (by, headers) => assertion(by.key, { type, "authority-id": by.account, ...defaults, ...headers });
}

const made = { timestamp: MADE };
const SERIES = { series: 16 };

/** Needs `account-id`. */
export const account: Make = (by, headers) =>
  maker("account", { ...made, "display-name": headers["account-id"], username: "user", validation: "unproven" })(by, headers);

/** The account-key by which `key` is one of the account of `account-id`. */
export function accountKey(by: Signatory, key: TestKey, headers: Headers): string {
  const all = { type: "account-key", "authority-id": by.account, "public-key-sha3-384": key.id, since: SINCE, ...headers };
  return assertion(by.key, all, key.encoded);
}

/** Needs `snap-id`, `snap-name`, `publisher-id`. */
export const snapDeclaration: Make = maker("snap-declaration", { ...SERIES, ...made });

/** Needs `snap-sha3-384`, `snap-id`, `snap-size`, `snap-revision`, `developer-id`. */
export const snapRevision: Make = maker("snap-revision", made);

/** Needs `snap-id`, `resource-name`, `resource-sha3-384`, `resource-size`, `resource-revision`, `developer-id`. */
export const snapResourceRevision: Make = maker("snap-resource-revision", made);

/** Needs `snap-id`, `resource-name`, `resource-revision`, `snap-revision`, `developer-id`. */
export const snapResourcePair: Make = maker("snap-resource-pair", made);

/** Needs `store`, `operator-id`. */
export const storeAssertion: Make = maker("store", made);

/** Needs `snaps`; of the signing account, named `set`, with sequence 1. */
export const validationSet: Make = (by, headers) =>
  maker("validation-set", { ...SERIES, ...made, "account-id": by.account, name: "set", sequence: 1 })(by, headers);

/** Of the signing brand, named `model`. */
export const model: Make = (by, headers) =>
  maker("model", { ...SERIES, ...made, "brand-id": by.account, model: "model", classic: true })(by, headers);

/** The serial by which `device` is the key of a machine of the signing brand. */
export function serial(by: Signatory, device: TestKey, headers: Headers = {}): string {
  const of = { "brand-id": by.account, model: "model", serial: "1", "device-key": device.encoded, "device-key-sha3-384": device.id };
  return maker("serial", { ...of, ...made })(by, headers);
}

/** Signed by the machine's own key. Needs `nonce`. */
export function deviceSessionRequest(device: TestKey, headers: Headers): string {
  return assertion(device, { type: "device-session-request", model: "model", serial: "1", ...made, ...headers });
}

/** An account that is its own authority, with its key. */
export function rootOf(id: string): Root {
  const by = { account: id, key: testKey(`root of ${id}`) };
  const self = account(by, { "account-id": id, validation: "verified", username: id });
  return { ...by, trust: `${self}\n${accountKey(by, by.key, { "account-id": id, name: "root" })}` };
}
