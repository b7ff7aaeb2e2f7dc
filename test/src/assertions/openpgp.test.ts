/** Keys and signatures that nobody may use, packet by packet. */

import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import {
  keyIdOf,
  PacketFields,
  readKeyPacket,
  readSignaturePacket,
  readSubpackets,
  verifySignature,
} from "../../../src/assertions/openpgp.ts";
import { Failure } from "../../../src/errors.ts";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const { n = "", e = "" } = publicKey.export({ format: "jwk" });
const [N, E] = [Buffer.from(n, "base64url"), Buffer.from(e, "base64url")];

function refusal(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
}

/** A number as a packet has it, its length in bits. */
function integer(value: Buffer): Buffer {
  const bits = value.byteLength * 8 - (value[0] === undefined ? 0 : Math.clz32(value[0]) - 24);
  return Buffer.concat([Buffer.from([bits >> 8, bits & 0xff]), value]);
}

function keyPacket({ version = 4, algorithm = 1, modulus = N, exponent = E } = {}): Buffer {
  return Buffer.concat([Buffer.from([version, 0, 0, 0, 0, algorithm]), integer(modulus), integer(exponent)]);
}

const readKey = (packet: Buffer) => refusal(() => readKeyPacket(new PacketFields(packet, "the key")));

describe("a public key", () => {
  test.each([
    ["as it should be", keyPacket()],
    ["with the exponent 3", keyPacket({ exponent: Buffer.from([3]) })],
    ["with an exponent of four bytes", keyPacket({ exponent: Buffer.from([1, 0, 0, 1]) })],
  ])("%s is read", (_, packet) => {
    expect(readKey(packet)).toBeUndefined();
  });

  const even = Buffer.from(N);
  even[even.length - 1] = (even.at(-1) ?? 0) & 0xfe;

  test.each([
    [
      "with the exponent 1, by which every text is signed by itself",
      keyPacket({ exponent: Buffer.from([1]) }),
      "the key has no usable numbers",
    ],
    ["with an even exponent", keyPacket({ exponent: Buffer.from([4]) }), "the key has no usable numbers"],
    ["with an exponent of five bytes", keyPacket({ exponent: Buffer.from([1, 0, 0, 0, 1]) }), "the key has no usable numbers"],
    ["with an even modulus", keyPacket({ modulus: even }), "the key has no usable numbers"],
    ["of version 3", keyPacket({ version: 3 }), "the key is no RSA key of version 4"],
    ["of another algorithm", keyPacket({ algorithm: 17 }), "the key is no RSA key of version 4"],
    ["that is short", keyPacket({ modulus: N.subarray(1) }), expect.stringContaining("bits; 2048 to 8192 are taken")],
    ["with more after it", Buffer.concat([keyPacket(), Buffer.from([0])]), "the key has bytes after its end"],
  ])("%s is refused", (_, packet, reason) => {
    expect(readKey(packet)).toEqual(reason);
  });

  test("in base64 alone has an id", () => {
    expect(refusal(() => keyIdOf("AA A"))).toBe("the public key is not base64");
  });
});

/** A signature of `text` by the key, with these parts. */
function signaturePacket(
  text: string,
  { signed = Buffer.from([5, 2, 0, 0, 0, 1]), number = undefined as Buffer | undefined } = {},
): Buffer {
  const hashed = Buffer.concat([Buffer.from([4, 0, 1, 10, signed.length >> 8, signed.length & 0xff]), signed]);
  const end = Buffer.from([4, 0xff, 0, 0, 0, hashed.length]);
  const bytes = Buffer.concat([Buffer.from(text), hashed, end]);
  const made = sign("sha512", bytes, privateKey);
  const sum = new Bun.CryptoHasher("sha512").update(bytes).digest();
  const value = number ?? made.subarray(made.findIndex((byte) => byte !== 0));
  return Buffer.concat([hashed, Buffer.from([0, 0]), Buffer.from(sum.subarray(0, 2)), integer(value)]);
}

const verdict = (packet: Buffer, text: string) =>
  refusal(() => verifySignature(readSignaturePacket(packet, "it"), Buffer.from(text), { key: publicKey, length: N.byteLength }));

describe("a signature", () => {
  test("counts for its text alone", () => {
    expect(verdict(signaturePacket("text"), "text")).toBeUndefined();
    expect(verdict(signaturePacket("text"), "other")).toBe("it is of another text");
  });

  test("that is longer than its key is refused, and not a crash", () => {
    const long = Buffer.alloc(N.byteLength + 1, 1);
    expect(verdict(signaturePacket("text", { number: long }), "text")).toBe("it is longer than the key");
  });

  test("of another number does not verify", () => {
    expect(verdict(signaturePacket("text", { number: Buffer.alloc(N.byteLength, 1) }), "text")).toBe("it does not verify");
  });

  test("with an empty part is refused", () => {
    expect(refusal(() => readSubpackets(Buffer.from([0]), "it"))).toBe("it has an empty part");
    expect(readSubpackets(Buffer.from([2, 0x80 | 5, 7]), "it")).toEqual([{ kind: 5, critical: true, data: Buffer.from([7]) }]);
  });
});
