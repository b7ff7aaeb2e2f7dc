import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  createKey,
  formatSums,
  keyLine,
  readKeyLine,
  readPublicKey,
  readSecretKey,
  readSignature,
  readSums,
  showKey,
  sign,
  verify,
} from "../../../src/archives/signature.ts";
import { Failure } from "../../../src/errors.ts";
import { SIGNED_AT, testKey } from "../../carried.ts";
import { runs } from "../../thorough.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];
const SITE = testKey("site");
const SUMS = formatSums([
  { path: "kafka.tar.gz/kafka_195.charm", sha256: A },
  { path: "bundle.yaml", sha256: B },
]);
const SIGNED = sign(SUMS, SITE.secret, { now: SIGNED_AT });

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("SHA256SUMS", () => {
  test("is sorted by the bytes of the paths, and reads back", () => {
    const paths = ["b", "a/b", "a.b", "é", "Z", "\u{1f4e6}", "\uff5e"];
    const text = formatSums(paths.map((path) => ({ path, sha256: A })));
    expect(text).toBe(["Z", "a.b", "a/b", "b", "é", "\uff5e", "\u{1f4e6}"].map((path) => `${A}  ${path}\n`).join(""));
    expect([...readSums(text, "it").keys()].toSorted()).toEqual(paths.toSorted());
    expect([formatSums([]), readSums("", "it").size]).toEqual(["", 0]);
  });

  test("what sha256sum writes in other ways is the same", () => {
    expect(readSums(`${A.toUpperCase()} *./x\n`, "it")).toEqual(readSums(`${A}  x\n`, "it"));
  });

  test.each([
    ["a path twice", `${A}  x\n${B}  ./x\n`, "it lists x twice"],
    ["a short digest", `${A.slice(1)}  x\n`, "it has a line 1 that is not a sha256, two spaces and a path, as sha256sum writes them"],
    ["no path", `${A}  \n`, "it has a line 1 that is not"],
    ["one space", `${A} x\n`, "it has a line 1 that is not"],
    ["an empty line", `${A}  x\n\n`, "it has a line 2 that is not"],
    ["a path that acts on a terminal", `${A}  x\u001b[2J\n`, "it has a line 1 that is not"],
    ["a carriage return", `${A}  x\r\n`, "it has a line 1 that is not"],
    ["a last line without an end", `${A}  x\n${B}  y`, "it is cut short: its last line has no end"],
  ])("%s is refused", (_, text, message) => {
    expect(refusalOf(() => readSums(text, "it"))).toStartWith(message);
  });

  test("a path twice, or one that does not fit a line, is never written", () => {
    expect(() => formatSums([A, B].map((sha256) => ({ path: "x", sha256 })))).toThrow("x is listed twice");
    expect(() => formatSums([{ path: "x\ny", sha256: A }])).toThrow("can't be listed");
  });
});

describe("keys", () => {
  test("a pair is new each time, and the public key names itself", () => {
    const other = testKey("other");
    expect(other.accepted.id).not.toBe(SITE.accepted.id);
    expect([SITE.accepted.id, SITE.accepted.comment]).toEqual([SITE.secret.id, "site"]);
    expect(SITE.accepted.id).toMatch(/^[0-9A-F]{16}$/);
    expect(showKey(SITE.accepted)).toBe(`${SITE.accepted.id} (site)`);
    expect(SITE.texts.secret).toContain(SITE.accepted.id);
  });

  test("a public key is read from its file, its second line, and one line of settings", () => {
    const { accepted } = SITE;
    expect(readPublicKey(accepted.text, "it")).toEqual({ ...accepted, comment: "" });
    expect(readPublicKey(SITE.texts.public.replaceAll("\n", "\r\n"), "it")).toEqual(accepted);
    expect(readKeyLine(keyLine(accepted), "it")).toEqual(accepted);
    expect(readKeyLine(keyLine({ ...accepted, comment: "site, 2026" }), "it").comment).toBe("site  2026");
    expect(keyLine({ ...accepted, comment: "" })).toBe(accepted.text);
  });

  test("what is no key is refused with its name, and what it says is not repeated", () => {
    for (const text of ["", "untrusted comment: x\n", "hello", SITE.texts.public.slice(0, -2), SITE.accepted.text.replace("RW", "RX")])
      expect(refusalOf(() => readPublicKey(text, "x.pub"))).toBe("x.pub is not a public key as chp keygen or minisign writes it");
    expect(refusalOf(() => readPublicKey(SITE.texts.secret, "x"))).toBe("x is a secret key, which must never leave its machine");
    for (const text of ["", SITE.texts.public, "hello\nhello\n"])
      expect(refusalOf(() => readSecretKey(text, "x"))).toBe("x is not a secret key as chp keygen or minisign -G -W writes it");
  });

  test("a secret key whose halves don't fit is damaged", () => {
    const [comment = "", line = ""] = SITE.texts.secret.split("\n");
    const bytes = Buffer.from(line, "base64");
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    expect(refusalOf(() => readSecretKey(`${comment}\n${bytes.toString("base64")}\n`, "x"))).toStartWith("x is damaged");
  });

  test("a secret key with a password is refused, and the way out is told", () => {
    const text = `untrusted comment: minisign encrypted secret key
RWRTY0IytfhtDXDj1bIR7J9Sb7Zny6r09R1wMSGIdDyVUjWkel8AAAACAAAAAAAAAEAAAAAAN8zi+Hk90vbpu6LN6Ue2QGGMzekijp7Mb3xYGP7SWe3wtxAmBVz9gOPd+tCiYh0GyuAlUdsRU4q3g3/EAVBycnIyV72H2m64/+R5mEg3/OXhzNW5aq5fSwiEziH3jzpnxl7/kVky3ng=
`;
    expect(refusalOf(() => readSecretKey(text, "enc.key"))).toBe("enc.key is protected by a password, which chp does not support");
  });
});

describe("signatures", () => {
  test("the key that signed is told, with the time", () => {
    expect(verify(SUMS, SIGNED, [testKey("other").accepted, SITE.accepted])).toEqual({
      key: SITE.accepted,
      comment: "chp export of 2026-04-26T16:31:15Z",
    });
    expect(readSignature(SIGNED, "it")).toEqual({ keyId: SITE.accepted.id, comment: "chp export of 2026-04-26T16:31:15Z" });
  });

  test("it is the same for the same, and holds for any list and time", () => {
    expect(sign(SUMS, SITE.secret, { now: SIGNED_AT })).toBe(SIGNED);
    fc.assert(
      fc.property(fc.string(), fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true }), (text, date) => {
        const { key, comment } = verify(text, sign(text, SITE.secret, { now: date.getTime() }), [SITE.accepted]);
        expect([key, comment]).toEqual([SITE.accepted, `chp export of ${date.toISOString().slice(0, 19)}Z`]);
      }),
      { numRuns: runs(50) },
    );
  });

  test("another list, key or number is refused", () => {
    const id = SITE.accepted.id;
    expect(refusalOf(() => verify(`${SUMS} `, SIGNED, [SITE.accepted], "s"))).toBe(`s is wrong: key ${id} did not sign this SHA256SUMS`);
    const other = testKey("other").accepted;
    expect(refusalOf(() => verify(SUMS, SIGNED, [other], "s"))).toBe(`s is by key ${id}, and trusted are ${other.id} (other)`);
    expect(refusalOf(() => verify(SUMS, SIGNED, [], "s"))).toBe(`s is by key ${id}, and trusted are none`);
    // A key that only claims the number of another.
    const forged = Buffer.concat([
      Buffer.from(SITE.accepted.text, "base64").subarray(0, 10),
      Buffer.from(other.text, "base64").subarray(10),
    ]);
    expect(refusalOf(() => verify(SUMS, SIGNED, [readPublicKey(forged.toString("base64"), "it")], "s"))).toContain("s is wrong");
  });

  test("no character of what it covers can be another one", () => {
    const from = SIGNED.indexOf("\n") + 1; // the first line is minisign's untrusted comment
    for (let at = from; at < SIGNED.length; at += 1) {
      const changed = `${SIGNED.slice(0, at)}${SIGNED[at] === "A" ? "B" : "A"}${SIGNED.slice(at + 1)}`;
      refusalOf(() => verify(SUMS, changed, [SITE.accepted]));
    }
    for (let length = 0; length < SIGNED.length - 1; length += 1) refusalOf(() => verify(SUMS, SIGNED.slice(0, length), [SITE.accepted]));
    refusalOf(() => verify(SUMS, `${SIGNED}more\n`, [SITE.accepted]));
  });

  test("whatever text is given, it is refused or right", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(refusalOf(() => verify(SUMS, text, [SITE.accepted], "s"))).toBe("s is not a signature as chp or minisign writes it");
      }),
      { numRuns: runs(200) },
    );
  });

  const KEY = readPublicKey("RWQS4qUd72wZYhcUQ6YnFpk/3MErmA9mxKSvs+deVQaxva20pimSQgEA", "minisign.pub");

  test.each([
    [
      "prehashed, as minisign 0.11 signs",
      "a modern one",
      `RUQS4qUd72wZYrOxPnY4hH0XZF9WD76RbI05aWtJSw8hdIWtmW+Bie66cWbm64enebQRfSm98KuAU2hOWRKxFto78g/3uhzPXQo=
trusted comment: a modern one
lzblU9GB4JuOrzqfeE/9MGsL+EFg/bEwj0WHhlMPOIpKt1k6uuwoDP7tIPx6MzMTKmMWbIOubHOQhMzxDOZtDQ==
`,
    ],
    [
      "not prehashed, as minisign -l does",
      "a legacy one",
      `RWQS4qUd72wZYnWY0GY7R8QLN0ooH8ctuubUd49K/7WIWRYsCPXnut2+Ky3W73KYN6W5rbfw7ZRGf/hzXpPq6WGYsQxbzRl4MAg=
trusted comment: a legacy one
2XyQW5cLKTHThZmfGl81b6sQ0HdcdOEQI2QZmTe6tfsizoJIx9tNXeT9PcrNEy9GQBuB3ISY44odA2N4rWHsAg==
`,
    ],
  ])("of minisign: %s", (_, comment, lines) => {
    const text = `untrusted comment: signature from minisign secret key\n${lines}`;
    expect(verify("abc\n", text, [KEY])).toEqual({ key: KEY, comment });
    expect(KEY).toMatchObject({ id: "62196CEF1DA5E212", comment: "" });
    refusalOf(() => verify("abd\n", text, [KEY]));
  });
});

test("a pair's texts are two lines each", () => {
  const pair = createKey("x");
  expect([pair.secret, pair.public].map((text) => text.split("\n").length)).toEqual([3, 3]);
});
