import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  MAX_SIGNED_LINES,
  readClearSigned,
  readSigningKey,
  readSigningKeyLine,
  signingKeyLine,
} from "../../../src/assertions/clearsigned.ts";
import { canonicalStreamsKey } from "../../../src/assertions/streamskey.ts";
import { Failure } from "../../../src/errors.ts";
import { KEY_MADE, SIGNED_AT, streamsSigner } from "../../streams.ts";
import { runs } from "../../thorough.ts";

const signer = streamsSigner("a");
const key = readSigningKey(signer.file, "the key");
const [other] = [streamsSigner("b")];
const TEXT = '{\n "a": 1,  \n "b": "ä"\n- not yet the end\n-----\n}';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

const read = (bytes: Uint8Array, keys = [key]) => readClearSigned(bytes, keys, "it");

describe("a clear-signed text", () => {
  test("is read as it was signed, with its key and its time", () => {
    const { text, key: by, made } = read(signer.clearSign(TEXT));
    expect(text).toBe(TEXT.replace("1,  ", "1,").replaceAll("\n", "\r\n"));
    expect([by.fingerprint, by.name, made]).toEqual([
      signer.fingerprint,
      "a <streams@test>",
      new Date(SIGNED_AT * 1000).toISOString().replace(".000", ""),
    ]);
  });

  test("may be of any lines, blanks and dashes", () => {
    const line = fc.stringMatching(/^[-a{}" \t=:]{0,20}$/);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), fc.constantFrom("sha256" as const, "sha512" as const), (lines, hash) => {
        const { text } = read(signer.clearSign(lines.join("\n"), { hash }));
        expect(text).toBe(lines.map((one) => one.replace(/[ \t\r]+$/, "")).join("\r\n"));
      }),
      { numRuns: runs(200) },
    );
  });

  test("with any byte changed is refused, or says the same", () => {
    const bytes = signer.clearSign(TEXT);
    const { text } = read(bytes);
    fc.assert(
      fc.property(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        try {
          expect(read(changed).text).toBe(text); // a blank at the end of a line, or the armor's own words
        } catch (error) {
          if (!(error instanceof Failure) || error.kind !== "refused") throw error;
        }
      }),
      { numRuns: runs(400) },
    );
  });

  test("is refused in words where it is not wholly signed by a known key", () => {
    const bytes = signer.clearSign(TEXT);
    const text = bytes.toString();
    expect(refusal(() => read(Buffer.from(TEXT)))).toContain("it is not signed");
    expect(refusal(() => read(other.clearSign(TEXT)))).toContain(
      `it is not signed by a known key: it is by ${other.fingerprint.slice(-16)}`,
    );
    expect(refusal(() => read(Buffer.from(`before\n${text}`)))).toContain("it is not signed: it does not begin with");
    expect(refusal(() => read(Buffer.from(`${text}after\n`)))).toContain("it has something after its signature");
    expect(refusal(() => read(Buffer.from(text.replace("\n\n{", "\nCharset: x\n\n{"))))).toContain("other lines than Hash");
    expect(refusal(() => read(Buffer.from(text.replace("- -----\n", "-----\n"))))).toContain("a line of dashes");
    expect(refusal(() => read(Buffer.from(text.slice(0, -40))))).toBe("it is cut short: its signature is missing");
    const armored = text.replace(/(BEGIN PGP SIGNATURE-----\n(?:.+\n)*\n)./, "$1*");
    expect(refusal(() => read(Buffer.from(armored)))).toBe("it has armor that is not base64");
    expect(refusal(() => read(signer.clearSign(TEXT, { hash: "sha1" })))).toContain("only RSA with SHA-512 or SHA-256 is");
    expect(refusal(() => read(Buffer.from(text.replace('"a": 1', '"a": 2'))))).toContain("is of another text");
    expect(refusal(() => read(Buffer.concat([bytes.subarray(0, 60), Buffer.from([0xff]), bytes.subarray(60)])))).toContain("not UTF-8");
    expect(refusal(() => read(new Uint8Array(33 * 2 ** 20)))).toContain("bytes");
    const lines = (count: number) => Buffer.concat([Buffer.from(text.slice(0, text.indexOf("{"))), Buffer.alloc(count, "\n")]);
    expect(refusal(() => read(lines(MAX_SIGNED_LINES)))).toBe(`it has more than ${MAX_SIGNED_LINES} lines`);
    expect(refusal(() => read(lines(MAX_SIGNED_LINES - 10)))).toContain("it is cut short");
  });

  test("by another key says which are known, as short as it says its own", () => {
    try {
      read(other.clearSign(TEXT));
      expect.unreachable();
    } catch (error) {
      const next = `known: ${signer.fingerprint.slice(-16)}; --streams-key FILE names one more`;
      expect(error instanceof Failure && error.next).toBe(next);
    }
  });

  test("counts no longer than its signature and its key say", () => {
    expect(refusal(() => read(signer.clearSign(TEXT, { more: Buffer.from([5, 3, 0, 0, 0, 9]) })))).toContain("counts until");
    expect(refusal(() => read(signer.clearSign(TEXT, { more: Buffer.from([2, 0x80 | 99, 0]) })))).toContain("must not be passed over");
    const ending = streamsSigner("a", { life: 1000 });
    const ended = readSigningKey(ending.file, "the key");
    expect(ended.until).toBe(new Date((KEY_MADE + 1000) * 1000).toISOString().replace(".000", ""));
    expect(refusal(() => read(ending.clearSign(TEXT), [ended]))).toContain("ended at");
    expect(read(ending.clearSign(TEXT, { made: KEY_MADE + 999 }), [ended]).text).toContain("not yet");
  });
});

describe("a key", () => {
  test("is read from armor, from bytes, and from a line of a setting", () => {
    const line = signingKeyLine(signer.file, "the key");
    for (const one of [readSigningKeyLine(line, "it"), readSigningKey(Buffer.from(line, "base64"), "it")])
      expect([one.fingerprint, one.name]).toEqual([key.fingerprint, key.name]);
    expect(key.fingerprint).toBe(signer.fingerprint);
  });

  test("is refused where it was taken back, may not sign, is secret, or is none", () => {
    expect(refusal(() => readSigningKey(streamsSigner("a", { revoked: true }).file, "it"))).toContain("it was taken back by its owner at ");
    expect(refusal(() => readSigningKey(streamsSigner("a", { flags: 1 }).file, "it"))).toContain("it may not sign, as its owner says");
    expect(refusal(() => readSigningKey(Buffer.from("-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), "it"))).toContain("secret key");
    expect(refusal(() => readSigningKey(Buffer.alloc(2 ** 16 + 1), "it"))).toContain("not one key");
    const [userId] = [Buffer.from([0xb4, 1, 0x61])];
    expect(refusal(() => readSigningKey(userId, "it"))).toBe("it is not a public key as gpg --export writes it");
    expect(
      refusal(() =>
        readSigningKey(
          Buffer.concat([Buffer.from(signingKeyLine(signer.file, "a"), "base64"), Buffer.from(signingKeyLine(other.file, "b"), "base64")]),
          "it",
        ),
      ),
    ).toContain("several keys");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void refusal(() => readSigningKey(bytes, "it"))),
      { numRuns: runs(300) },
    );
  });

  test("Canonical's is the one that Juju has", () => {
    const { fingerprint, name, until } = canonicalStreamsKey();
    expect(fingerprint).toBe("4286E8DA42CF6232F215EC37378F62AF6A157DB3");
    expect([name, until]).toEqual(["Juju Tools (Canonical Juju Tool Builder) <juju-tools-noreply@canonical.com>", undefined]);
  });
});
