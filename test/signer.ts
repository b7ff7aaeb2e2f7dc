/** Makes keys and signs assertions as snapd does. Its keys are no secret: whoever trusts one of them outside a test trusts everybody. */

import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { keyIdOf } from "../src/assertions/openpgp.ts";
import { ASSERTION_TYPES } from "../src/assertions/types.ts";

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

/** The key of a name: the first few are always the same, further ones are made when they are asked for and live as long as the process. */
export function testKey(name: string): TestKey {
  const made = keys.get(name) ?? keyOf(privateKey(keys.size));
  keys.set(name, made);
  return made;
}

function privateKey(index: number): KeyObject {
  const pkcs8 = PRIVATE_KEYS[index];
  if (pkcs8 === undefined) return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
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

/** RSA keys of 2048 bits, PKCS #8, made for these tests. */
const PRIVATE_KEYS: readonly string[] = [
  `
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDDMWM4fWPo0xFkXymdoQSf+zE+4KNZVPjbjpYu79PpWXVEZqVNR2hLCzzGNC8vq/wx96D+pP6vYlqJ
EnN5AmIQ3tgrVvC/HwGvzmLdD68YCMs6jklcpq+bDjfNavcpNRRBP3/5BTsE16IAbu7Z0/sXzrTUZhWgBAcc3o85cBmVMJvzO+QSce85LkFQqNi4edxZN70kh4l4iao6
F9CmEL/WY2BWel4IOLGKrbRLEIcjUzW0wQCBG9h3JIWgx5YKgtT6ZckC4UK+VzA4+ohcFMxqgdgoKcVsVDziOAbt6HNJkJ38KN7C6KkbxACEHCn7wQFNLV8R6AvOw6kD
mrNSJyKFAgMBAAECggEAAIuEgZYno8ZlF4UaCJgnJd6abWnEHrm/y0MkAXDG8y0PWZwxBoeHS142R+lTBauJNhPngWNPHRFY6qpcCiUBV5cVS1R75X8c4gr2fok3MPRW
h/4BrYfuNmwI0vOwBXpQ6Xp1j1zq9YSEz+SqEOT/3/WxNMtYX5ynABkvUNJ9WrrLjJkCTWGyaOrXqrvpU7GftX06NEMFjiluauHkpEGHdwkRpk4UHJ5byY4z8GpJ9gHy
xiXWnD8bIo2AfhsZefUkn+cYjIFPt3eUygxM7rdre+onObYPko2xWTDk2duwKCUpcZYl6Sr789LYO7tNvWDD3aSgsbgWlg0Xmk68drQUUQKBgQDojD85SOFs+jNmKCDo
HtKQjHbO4NtztJmSD9zMLzvhfTAOeir9F1R2+HTrSFE3iOK6+rvAa5NYKSlnqH+f/b+CYHLO7TbL0Gm35b4mQPeUKDR08KafLcLxqSns3TBrBzYRhG38OpP3M9005fqu
2UAyZlnRUKdpdRYZnPVbRvnI0QKBgQDW4Lz26HAKMFtXbO1sqfN+MYbPaFBmpxEGHx3cUCpv098kYb0QFK2ofgrzeC4r0PErbhsKYeXLyyqNBNwwurqgfKJMCxa+H6qQ
XvSX5fiKf0txWar/hItqTd1hRfGswy25qKNErP4W7bYrUkxI6Wpuruu0cVJ85PV3Dt81/d9rdQKBgQDjnoMz+xZLqQsubxDmo2TPf+26yXWEZ735rfUdFw6xw+uKACKb
4H4YhVFMC1kT1rS2+D1WNvXeUUvp3pAtdh5B6031JVOBY9pW2lWo8+Zh6oiN/g/Ztt0d1crnwglmeYR+2PUe8edrDCT1ZjZdduDTdENuElgLbUPYhj3SvkI4QQKBgQCH
p23keq1w4UJpGQ1y0oA0JNQ00GghxksLEE3rrnh8DMgM0d9n7YYMnzYOqsqLQudeQa60iUVnuSVtzams4dW8R7K2SzHaaWdmqWvFEZws41wffTplAap6PBoMtPlz1exi
D0KzsnrewseE5fne9e0JX0jSq9AlpO4Kccsc7N9FmQKBgBhZ0s2je1IcYT+E9UGJwfyzy158V4vBJG+Tk0DvQcCYv+UkTqDh4rchge2hm19nZ5iy8L3q31gMjaivOGAN
J6OamP7LdyCPdeBNSA6N3ca2uEPS2FGX1xzNrHjiVR+cGVyRNuipihpoFYp5Fo7hZ5mjHFvZwAIlFa292T7u+1gy`,
  `
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQC8nTmbmQJnXB15AtLtYHAjacDuYu7HXTxOFu3Ddz6PnXPxisGMAyss3MAeC6tL3b6n45s0xY34kkNO
B1LI+335hMEV/hbWgyhGFMyWOdzwzuLJKUm90yLKJLVguu6aEBdFE3VZT6+2KFOPgeJBfOfdHmL8y6/wjm66S2Mj4AJHP4KBKRMjqxTFkrIVaw/r4bqs1Hs8V20+ZDH0
qbDJ8/Tl5t79OzeItXxQJBxuaZHhmq3bUFBiqVcRuoEhUve3X5F85C6cg+Ve3hZnSMIDpWMfx24/vkqhj+Q41MwmzvpbW7tSoiPFcSeCLAlpwY0cnQKuCqszSanFIk6o
N6zCdEPjAgMBAAECggEAANOoV1fLFQOQ1RG1elU4iQKFp1AB7aFhqxW4FahZtLiBkZ3deNGpIIi3h/9CPoRX3xWUqY2q0ryF+89rs169+T9QX9pRS61B0tovx+9i7M6T
W7OT9fd2ASDc98yRx2gPW504L259d5suA3gXATCn6rW4YKe4v/KaOuYezCVZ9DrME54Hvl2U8VRMEBCeZN6KiKnOG/065ZQrrHLbnClvjk0APSYwF7DnoA5g67EPjEXz
SdP0efpXTQl2c/6A+RE0+H4Vt2RYMyU2mq3g0o0KlzWMY+VdTYrL7+pxuVj/3i+415VXsvvCdDzh3ac0uBjVwlvpZsBWoGUKtuPcXIrp3QKBgQDheTFrwRBGUnmgFq47
a+loGuAbcu1FUFFBizSTkTR+GCyc6kLu80FZPqeYpOJxItQTx5Ho0wG5TbHycaNsV+3ZwU66WE1vo8f+nk5VkiEtUcimEj58Mk/TVVXO6nmK7kHr2DrwelGS/SJm5JEc
R5L8sq8mOqPRYrG0Dh1bPTBMhQKBgQDWJoHH9dOuw4qASk9QV8wU0GZsE4JtJp8Y8DdNoOyTXoxiehbgdr7DX5jKUX5qjSsUd1TwLc46qAskSnD3rYc5DJ1t6HXlsb3p
MfMprERCtYSOZxNCyVwcbNVeNHZYRrl1KO4Bw22WMg9QIDCvWm4Tb77iwzeboqVMwVe49EpPRwKBgF7tb2k2d2uj/aDw65oI7NPvvLrRwCOWlR9LRG98iuUruFy4JEYG
FFVGk7kock2/pBpPw5aKgAdMNsckIPHUc0dio4rA8pk2E1WXwNM2GtHBxQBmXfhcFk+bde0PuuxLM2XgO7BTT1TbTkiToqSNXc0WTbeCqMXXD4oHB0UKlfMhAoGANKhl
UzkEYz3b6a3cEOJ14UxZUwv9Dz/m8SfoQWNnqNkf5fslcu5f/ASeumkNj7/ErxSkwyZQRqYZj0PqwUxfKs0KTQNTMjbhftz0cPPWGR0vSiDYYJzI1IiCctatnwlNAx0c
YTyfzsXidA5mSkgPNyJMKtBb9R4qTVRhcK5JM3MCgYBxXv53CJZgE0/Vkv48zJFPrkTUT6lSC8BfapQm6E4JBq6huYoSX2jHn4CV5gSwi9kcb/8RHDfl0g33Hee62Mhy
tj879O32TXBZDHgjJmqrb8Hv+zhQAwVO+iQ3VGsaxDIwREe1Q4jGdDNjyBic3X+7jrs+GY3WsPSEma0AnIIxvg==`,
  `
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDZBZDfUNYMvkqua2V9Yv07FdO1qDJrcwKBYgeHWM7ULbywNdt0j7wkODEFOu+AN09lgi6oKpqzPnIi
UXo5Z7/CBrJ8EX+lsA1Ebuv0QLIThi1ENtrRdSPpQzUnT4OgkS+eeP7Q6iCLmqZ1yuUeSweLHBtJTnqVXLi3dsHb1xuCE76AoPgM/hgou7D4Xzb8jONADE1xjoZP4OcQ
znt3US3SVfhi6EkBWKJYbd+IE4jjTvmpu5pAeUFobseNtrh5U7QAvrH5LNnQ7UDxtn3aEIbwgPtG+WsO+WEaCSnxi76tQDwh0xtFgXlN1L+Jj0+y/UZ4EQJqVQzZeDkw
mmdimtrVAgMBAAECggEAGfJf6Us1ZE2mCSd++VhJ9XP9HWVwLceQ3540TzrPc6/KNPkjdVKwCFaNidYLh3VVcUn4wRNi7pZDOBYsuktMsmpxkYLYE5uyYmGupUPM5qeu
ps62J7/NHNjztHD9yEdDfbtyn9C2Nmq1hzTMYuxOiRPBsWiIIG53CTxSHjIgMFNqcQZrCJyrp9wL5ITRV3Wfn6iLqp6i29AMs+Wm9qIkHP0A9EWKTY5Fx6cqhP+q21rv
kP2m0XD0URPEl7QtjZeoc//QXdYeK9wZtB+udoDL89X9xQEfUl78Q+okWcnWbOjaecgU20GxCTYLkxayKEiljZoCi8B0IgeyUBHmNsgi0QKBgQD/wbdD8/ba12HrbfS4
XywZ08TZMK0tdzgui+H+wz8tLfrUMR+qzo7n5nwrTWvP6G6PlCdjU/q5qFHTd4oI+4F80rj3vnYUBTBLXA1nK3+kSvnzfeAnZzo4DYuzPuLJhtFbOkFr7fD8kbl25iPA
kS5gtalzI8XNv88tUKUcxF5kbQKBgQDZOmq9KchBf7BkiTNEd1lmd5gowoMbHVaVVVu9PLus7r70peIVTOPrjaKh8aCnYq6G75dCX0tK3ZBgn5EoxtojEKyixB2jvHi0
sOmc04q+lsL60KIRHLfWYEN+xSVlxzO2sCwSMidSzb8n/q4WVCVBImRrGXCWdxdJRdaadky/CQKBgQC9nxSPjzwA+Ruif/2nDPkXlQknto1PXksLR68hQgV/K84CsQE3
lLojeaGqQVaj6UK/tSqW3FbSe9dfIAv5qO9SarG1DUNiiI5L8U4GphuW5ff37eXZkRF7KZ/gH8npfMmQB9sleF7qA+ksHGl5hqqKDWY69dTcPVAP2vDwKS+K6QKBgEiF
FxNVupQbQ9EceLAXxBHQRUz+OvS3Y6txFrJjbyg5gCh+pK6Fv+VooG2+E+stp6RGolG3LJSuyT9opfZeBH8GVwvzuw1po0Z3dVY0zTH5dNh1BFYAJ2N7Oa09tdF3ok0Q
HXZppfUf2PxKKuYra1CGYc3bbVneIjkFBrMEYXS5AoGAERQ3alrHMh/FMlj8w1NwIn5XefYM7VBlon72hiwXHUPr74j70eGuhs6epIpdW9h8tOqZDxnyXNyS9mKBvTCv
36RETDScJIx9q2saeihf15mrLCUBSpJLvpU8HKXTde2qVYfVeWw4zkyqFF3FOJhh7EvwH9B1JgA0KTS9NY86SAU=`,
  `
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCf4mHh2ARj8fTecRDIjR/05zhUK5lYZicXVs2StreOZw8PrOeCP214Xksv07tiTdslq2KSYTC0yeIa
hWSWwhhU2VQV07tkaU7nZzfHsuQvp10bI/NfhS+PBm+PYXEybP1NH9MH1HNNw496+bLtd+5YxttLPclSiQYqE8/WddCtf1Z+UoKY/KcbN2z5jN1aXbQFHL5KNAB+qs1C
R5+/E2oGQFHrHYpECJ0ulH7VXnBfHM0SltfSWsoBex7hkMatZrsaB1TyaCMWOxW6Lqpwoi8OCMp1Pskcus3uhU9giBjedKZ1m7ODN472/cUVHBFoPZ2LLfNGgIs100NT
08JFvWIrAgMBAAECggEACOZRDIE5vVZ6iudAR+mTHc7BE+5ZWtJU2re6ObByBzs1W2oEePuO3GRjSwY+J/qteCtSEVPXojianV9PehTTxeVTCOQASlaSTc8xC6yphv2J
8TjPE0IWo594FkMWSfhHIUPkO0tYH7wDAJVloFJMsiRfkJCf5Dg8X5s6tnVYaE/Xuod+GrUZPQum4qwQiPql8V0P4Os5goCI3XgT+aM33PYaalCgGxniBgymXFhPpv0j
FrajL80hmH44oiEx7lXdiP/ZjtyHJ03mZ/DA7hWPvG7UzTf7AR90C9dYh2bWLdRSPIyBxvIdm3tlQotqHBVwNlajRtK5m3ckO4e0MHIkAQKBgQDMNYD8ZPtySdVIdjK/
zqcfILygq46sqAk4/p6m3vc+331g+ZnVar8LIOOIX5NQBFe6enrJwmSyHEjNMUaoquLPRvFnp1T+xYIN53pAE9eufVMa+b5cPetGdAKEBUGaLJO5kYfintKasCkUCUzq
QSM9RKMnq5pz9UOuM01Qck2vSQKBgQDIbwxtWNUj00kqPqddMRqWS3Z8E8LpVM2xmO1cr1MUrsOL3Id3ZO/ynqBfX2423B4wo8cmT/BhmxqpPjJA2YwSFGRYDOSvRkNL
54kgVriwtL11X6hE7us8lKipwp4+Xg3VQDxawVBslesYfSpVyNGnTws+Tz/im3SoBvxb67Gh0wKBgDAsHvVrTPW0/R9O4sHkmf/51QWB8vI/4Y0UY5Cx4Flwlz8dInD5
8X9KjuJIyZOCsr9GzVhzBxYNHg9ppGV9imujLKdrDd3b8cYd6PTcuXBsGAKxD3rrEGlaTI2gP82C3oZUEl4fYUckb0xOtVo9a3a0jlh5XsIkBYc+iuqDTFghAoGAVZ4y
JceLjHklyNjor0NZgxgLLedXHErwbsvPoQb3q18YAveaGmNQqEggY30lXGPctZRQbso4+cjCs8bwuojzb4msb3xad5DBEHyANAM3c6xRPgE1pPSWIdOy1IlhBW0x5YVC
AtaPH0NPIK/e1LQq8pguSliaBpe3Vktdo3pj76cCgYEAl078Uy60o6KGkQWZ1r0FKUcaz3m0mpe5lO+J/HoKkfsoPpZS5UUDYZzbvA+SSbJac8zVJXEVpiHWPVZUJDTn
geKpujcYsUEBRH4wyEL37uSvWPkWySo+3j1a+eM2/bVNXdZ04I1HP1ajd7sDGxeNxYelxfyVkhM23OBa8qAYLi4=`,
];
