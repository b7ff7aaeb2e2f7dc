import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import { type Assertion, header, keyText, optionalHeader } from "../../../src/assertions/assertion.ts";
import { keyIdOf } from "../../../src/assertions/openpgp.ts";
import { encodeStream, parseAssertions } from "../../../src/assertions/text.ts";
import { ASSERTION_TYPES } from "../../../src/assertions/types.ts";
import { CANONICAL_ROOTS, PREDEFINED, Trust, type VerifyOptions, verifyAll, verifySelfSigned } from "../../../src/assertions/verify.ts";
import { Failure } from "../../../src/errors.ts";
import {
  account,
  accountKey,
  assertion,
  deviceSessionRequest,
  type Headers,
  keyOf,
  MADE,
  model,
  rootOf,
  type Signatory,
  type SignOptions,
  serial,
  snapDeclaration,
  snapResourcePair,
  snapResourceRevision,
  snapRevision,
  storeAssertion,
  testKey,
  validationSet,
} from "../../signer.ts";
import { longTest, runs, stride } from "../../thorough.ts";

const NOW = new Date("2026-06-01T00:00:00Z");
const SHA = "A".repeat(64);
const OTHER_SHA = "B".repeat(64);
const SNAP = "hE7mQ2wXr9Tz4KbNc6VdYp1LsJf8Ga3U";
const OTHER_SNAP = "xX7mQ2wXr9Tz4KbNc6VdYp1LsJf8Ga3U";
const DEV = "aCmEaCmEaCmEaCmEaCmEaCmEaCmEaCmE";
const STRANGER = "sTrAsTrAsTrAsTrAsTrAsTrAsTrAsTrA";

const ROOT = rootOf("test-root");
const STORE: Signatory = { account: ROOT.account, key: testKey("store") };
const PUBLISHER: Signatory = { account: DEV, key: testKey("publisher") };
const DEVICE = testKey("device");
const TRUST = new Trust(parse(ROOT.trust));

const OF_REVISION = { "snap-id": SNAP, "developer-id": DEV };

/** A store key, a publisher with a key, and a snap with a component. */
const TEXTS = {
  storeKey: accountKey(ROOT, STORE.key, { "account-id": ROOT.account, name: "store" }),
  account: account(STORE, { "account-id": DEV }),
  key: accountKey(STORE, PUBLISHER.key, { "account-id": DEV, name: "default" }),
  declaration: snapDeclaration(STORE, {
    "snap-id": SNAP,
    "snap-name": "hello",
    "publisher-id": DEV,
    "revision-authority": [{ "account-id": DEV, provenance: ["own", "other"], "min-revision": 5, "max-revision": 9 }],
  }),
  revision: snapRevision(STORE, { ...OF_REVISION, "snap-sha3-384": SHA, "snap-size": 4096, "snap-revision": 5 }),
  resource: snapResourceRevision(STORE, {
    ...OF_REVISION,
    "resource-name": "extra",
    "resource-sha3-384": SHA,
    "resource-size": 10,
    "resource-revision": 7,
  }),
  pair: snapResourcePair(STORE, { ...OF_REVISION, "resource-name": "extra", "resource-revision": 7, "snap-revision": 5 }),
  store: storeAssertion(STORE, { store: "my-store", "operator-id": DEV, url: "http://store.test:8080", "friendly-stores": ["a", "b"] }),
  set: validationSet(PUBLISHER, { snaps: [{ id: SNAP, name: "hello", presence: "required", revision: 5 }] }),
  model: model(PUBLISHER, { "serial-authority": [DEV, ROOT.account] }),
  serial: serial(PUBLISHER, DEVICE),
};
const CHAIN = Object.values(TEXTS);
const HELD = CHAIN.map(one);
const find = (type: string, key: readonly string[]) => HELD.find((held) => keyText(held.type, held.key) === keyText(type, key));

function parse(text: string | Uint8Array): Assertion[] {
  return parseAssertions(typeof text === "string" ? Buffer.from(text) : text, "it");
}

function one(text: string): Assertion {
  const [first, ...more] = parse(text);
  if (!first || more.length > 0) throw new Error("it is not one assertion");
  return first;
}

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

function check(given: readonly Assertion[], options: Partial<VerifyOptions> = {}) {
  return verifyAll(given, { trust: TRUST, find: () => undefined, now: NOW, ...options });
}

/** Why an assertion is refused beside what is stored; undefined where it verifies. */
function reasonAgainst(text: string, options: Partial<VerifyOptions> = {}): string | undefined {
  return check([one(text)], { find, ...options }).refused[0]?.reason;
}

describe("text", () => {
  const TEXT = "type: model\nauthority-id: a\nseries: 16\nbrand-id: b\nmodel: m\n";
  const withHeaders = (more: string) => `${TEXT}${more}sign-key-sha3-384: ${SHA}\n\nAAAA\n`;
  const valueOf = (lines: string) => one(withHeaders(`x:${lines}\n`)).headers.get("x");

  test("what it says", () => {
    const text = `type: account-key\nauthority-id: a\nrevision: 3\nformat: 1\npublic-key-sha3-384: k\nbody-length: 7\nsign-key-sha3-384: ${SHA}\n\nä\n\nb\n\n\n\nAAAA\nBBBB\n`;
    const { headers, ...rest } = one(text);
    expect(rest).toEqual({
      type: "account-key",
      key: ["k"],
      revision: 3,
      format: 1,
      authority: "a",
      signKey: SHA,
      body: "ä\n\nb\n\n",
      text,
    });
    expect([...headers.keys()]).toHaveLength(7);
  });

  test.each<[string, string, unknown]>([
    ["a text", " a: b ", "a: b "],
    ["an empty text", " ", ""],
    ["a long text", "\n    a\n      b\n    ", "a\n  b\n"],
    ["a list", "\n  - a\n  -\n      b\n      c\n  - ", ["a", "b\nc", ""]],
    ["a list in a list", "\n  -\n    - a\n    -\n      - b\n  - c", [["a", ["b"]], "c"]],
    [
      "a map",
      "\n  a: b\n  c:\n      d\n      e\n  constructor: f",
      new Map([
        ["a", "b"],
        ["c", "d\ne"],
        ["constructor", "f"],
      ]),
    ],
    [
      "maps in lists in maps",
      "\n  a:\n    -\n      b: c\n    - d\n  e: f",
      new Map<string, unknown>([
        ["a", [new Map([["b", "c"]]), "d"]],
        ["e", "f"],
      ]),
    ],
  ])("a header may be %s", (_, lines, value) => {
    expect(valueOf(lines)).toEqual(value as never);
  });

  test.each([
    ["a name in capitals", "X: a\n", "no header"],
    ["a name that ends in a hyphen", "x-: a\n", "no header"],
    ["a line without a colon", "x\n", "no header"],
    ["an indented line", " x: a\n", "no header"],
    ["no space after the colon", "x:a\n", 'header "x"'],
    ["nothing after the colon", "x:\n", 'header "x"'],
    ["a list at the margin", "x:\n- a\n", 'header "x"'],
    ["a list with a space too few", "x:\n - a\n", 'header "x"'],
    ["text with a space too few", "x:\n   a\n", 'header "x"'],
    ["an item without a value", "x:\n  -\n", 'header "x"'],
    ["an item without a space", "x:\n  -a\n", 'header "x"'],
    ["a map that goes deeper for no reason", "x:\n  a: b\n    c: d\n", "no header"],
    ["a key of a map that is no name", "x:\n  A: b\n", "no header"],
    ["a header twice", "x: a\nx: a\n", 'header "x" occurs twice'],
    ["a key of a map twice", "x:\n  a: b\n  a: b\n", 'header "a" occurs twice'],
    ["a revision with a zero before it", "revision: 01\n", 'header "revision"'],
    ["a negative revision", "revision: -1\n", 'header "revision"'],
    ["a revision with a sign", "revision: +1\n", 'header "revision"'],
    ["a fractional format", "format: 1.0\n", 'header "format"'],
    ["a list for a revision", "revision:\n  - 1\n", 'header "revision"'],
    ["an endless revision", `revision: ${"9".repeat(30)}\n`, 'header "revision"'],
    ["a body that is not there", "body-length: 1\n", "body"],
    ["a body longer than all", "body-length: 999999999\n", "longer than 2097152"],
    ["CRLF", "x: a\r\n", "CRLF"],
    ["a null header name", "\0: a\n", "\\u{0}"],
  ])("%s is refused, and what is wrong named", (_, more, reason) => {
    const message = refusal(() => parse(withHeaders(more)));
    expect(message).toStartWith("it: assertion 1");
    expect(message).toContain(reason);
  });

  const whole = withHeaders("");
  test.each<[string, string | Uint8Array, string]>([
    ["nothing", "", "it is empty"],
    ["a newline", "\n", "blank line"],
    ["a blank line before all", `\n\n${whole}`, "assertion 1: there is a blank line"],
    ["two blank lines between", `${whole}\n\n${whole}`, "assertion 2: there is a blank line"],
    ["two newlines too many", `${whole}\n\n`, "assertion 2"],
    ["no blank line between", `${whole}${whole}`, "base64"],
    ["two blank lines before the signature", whole.replace("\n\n", "\n\n\n"), "base64"],
    ["an empty body with its blank line", whole.replace("\n\n", "\n\n\n\n"), "no signature"],
    ["no signature", whole.slice(0, -6), "cut off"],
    ["an empty signature", whole.slice(0, -5), "no signature"],
    ["CRLF everywhere", whole.replaceAll("\n", "\r\n"), "its lines end in CRLF, not in LF"],
    ["a signature that is no base64", whole.replace(/AAAA\n$/, "AA A\n"), "is not base64"],
    ["bytes that are no UTF-8", Buffer.from(whole.replace("model: m", "model: \xff"), "latin1"), "UTF-8"],
    ["a byte order mark", `\uFEFF${whole}`, "no header"],
    ["no type", whole.replace("type: model\n", ""), 'header "type"'],
    ["an unknown type", whole.replace("type: model", "type: constructor"), "type constructor is not known"],
    ["no authority", whole.replace("authority-id: a\n", ""), 'header "authority-id"'],
    ["an empty authority", whole.replace("authority-id: a", "authority-id: "), 'header "authority-id"'],
    ["a list for an authority", whole.replace("authority-id: a", "authority-id:\n  - a"), 'header "authority-id"'],
    ["an authority of a request", `type: serial-request\n${whole.replace("type: model\n", "")}`, 'header "authority-id"'],
    ["no signing key", whole.replace(`sign-key-sha3-384: ${SHA}\n`, ""), 'header "sign-key-sha3-384"'],
    ["a short signing key", whole.replace(SHA, SHA.slice(1)), 'header "sign-key-sha3-384"'],
    ["a padded signing key", whole.replace(SHA, `${SHA.slice(1)}=`), 'header "sign-key-sha3-384"'],
    ["no part of the primary key", whole.replace("brand-id: b\n", ""), 'header "brand-id"'],
    [
      "an empty part of the primary key",
      whole.replace("brand-id: b", "brand-id: "),
      'header "brand-id" is of the primary key, and is empty',
    ],
    [
      "a slash in the primary key",
      whole.replace("brand-id: b", "brand-id: b/c"),
      'header "brand-id" is of the primary key, and has a slash',
    ],
    ["a map in the primary key", whole.replace("brand-id: b", "brand-id:\n  a: b"), 'header "brand-id"'],
    ["a zip", Buffer.from("PK\x03\x04\0\0\0\n\n"), "no header"],
    ["headers without end", `type: ${"x".repeat(128 * 1024)}\n\nAAAA\n`, "its headers are longer than 131072 bytes"],
    ["a signature without end", `${whole.trimEnd()}${"A".repeat(128 * 1024)}\n`, "its signature is longer than 131072 bytes"],
    [
      "a body whose length is wrong",
      whole.replace("model: m", "model: m\nbody-length: 2").replace("\n\n", "\n\nabc\n\n"),
      "its body does not end after the 2 bytes that body-length says",
    ],
    ["a body that is too long", whole.replace("model: m", "model: m\nbody-length: 2097153"), "its body is longer than 2097152 bytes"],
    [
      "a body whose length cuts a character",
      Buffer.from(whole.replace("model: m", "model: m\nbody-length: 1").replace("\n\n", "\n\nä\n\n")),
      "body-length",
    ],
  ])("%s is refused", (_, text, reason) => {
    expect(refusal(() => parse(text))).toContain(reason);
  });

  test("the failure tells which assertion of a stream it was", () => {
    const message = refusal(() => parse(`${whole}\n${whole.replace("model: m", "model: m\nrevision: x")}`));
    expect(message).toBe('it: assertion 2 (model/16/b/m): header "revision" is not a whole number');
  });

  test("the last newline may be missing or doubled; what is served has one", () => {
    for (const text of [whole.trimEnd(), whole, `${whole}\n`]) expect(parse(text).map((a) => a.text)).toEqual([whole]);
  });

  test("nesting as deep as headers can be", () => {
    const lists = Array.from({ length: 340 }, (_, i) => `\n${" ".repeat(i * 2)}  -`).join("");
    expect(JSON.stringify(valueOf(`${lists} a`))).toContain(`${"[".repeat(340)}"a"`);
  });

  test("a default of the primary key is left out of it", () => {
    const keyWith = (more: Headers) => one(snapRevision(STORE, { "snap-sha3-384": SHA, ...more })).key;
    expect(keyWith({})).toEqual([SHA]);
    expect(keyWith({ provenance: "global-upload" })).toEqual([SHA]);
    expect(keyWith({ provenance: "own" })).toEqual([SHA, "own"]);
  });

  test("headers are asked for by name", () => {
    const it = one(TEXTS.store);
    expect(header(it, "url")).toBe("http://store.test:8080");
    expect(optionalHeader(it, "location")).toBeUndefined();
    expect(refusal(() => header(it, "location"))).toBe('store/my-store: header "location" is missing');
    expect(refusal(() => optionalHeader(it, "friendly-stores"))).toBe('store/my-store: header "friendly-stores" is no text');
  });

  test("a stream reads back", () => {
    const stream = encodeStream([CHAIN[0]?.trimEnd() ?? "", ...CHAIN.slice(1)]);
    expect(parse(stream).map((a) => a.text)).toEqual(CHAIN);
    expect(parse(Buffer.from(`xx${stream}`).subarray(2))).toHaveLength(CHAIN.length);
  });

  test("whatever the bytes are, they are read or refused", () => {
    const piece = fc.constantFrom("type: model\n", "x:", "\n", "\n\n", "  - ", "  ", "a: ", "body-length: 3", "AAAA", "\0", "é");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((all) => Buffer.from(all.join(""))),
          fc.uint8Array(),
        ),
        (bytes) => {
          try {
            parse(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(Failure);
          }
        },
      ),
      { numRuns: runs(2000) },
    );
  });
});

describe("roots", () => {
  test("Canonical's verify themselves, and what is predefined verifies below them", () => {
    const trust = new Trust(CANONICAL_ROOTS);
    const [key] = trust.keys();
    expect(keyIdOf(key?.body ?? "")).toBe("-CvQKAwRQ5h3Ffn10FILJoEZUXOv6km9FwA80-Rcj-f-6jadQ89VRswHNiEB9Lxk");
    expect(trust.isTrustedAccount("canonical")).toBe(true);
    expect(trust.isTrustedAccount("generic")).toBe(false);
    expect(CANONICAL_ROOTS.every((root) => trust.isRoot(root))).toBe(true);
    expect(PREDEFINED.map((a) => a.type)).toEqual(["account", "account-key", "model"]);
    // With other texts they are not taken for what is built in.
    const rewrapped = PREDEFINED.map((a) => one(a.text.replace(/\n(?=[^\n]*\n$)/, "")));
    expect(verifyAll(rewrapped, { trust, find: () => undefined, now: NOW })).toEqual({ verified: [], refused: [] });
  });

  test("Canonical says nothing below another root", () => {
    expect(check([...CANONICAL_ROOTS, ...PREDEFINED]).verified).toEqual([]);
    expect(check([...CANONICAL_ROOTS, ...PREDEFINED]).refused).toHaveLength(5);
  });

  test("are read once, however often they are trusted, and again with another key", () => {
    let reads = 0;
    const [rootAccount, rootKey] = parse(ROOT.trust).map((root) => ({
      ...root,
      get text() {
        reads += 1;
        return root.text;
      },
    }));
    if (!rootAccount || !rootKey) throw new Error("no roots");
    expect(new Trust([rootAccount, rootKey]).isRoot(rootAccount)).toBe(true);
    const once = reads;
    expect(once).toBeGreaterThan(0);
    expect(new Trust([rootAccount, rootKey]).isRoot(rootKey)).toBe(true);
    expect(reads).toBe(once);
    const other = { ...rootKey, text: rootKey.text.replace("name: root", "name: toor") };
    expect(refusal(() => new Trust([rootAccount, other]))).toContain("is of another text");
    expect(() => new Trust([rootAccount, { ...rootKey }])).not.toThrow();
    expect(reads).toBeGreaterThan(once);
    const strangers = one(accountKey({ ...ROOT, account: "other" }, ROOT.key, { "account-id": "other" }));
    expect(refusal(() => new Trust([rootAccount, strangers]))).toContain("is of other, not of");
  });

  const [rootAccount = "", rootKey = ""] = parse(ROOT.trust).map((a) => a.text);
  test("a root key may come without its account", () => {
    const trust = new Trust([one(rootKey)]);
    expect(trust.isTrustedAccount(ROOT.account)).toBeTrue();
    expect(verifyAll(CHAIN.map(one), { trust, find: () => undefined, now: NOW }).refused).toEqual([]);
  });

  test.each([
    ["a key that another signed", [TEXTS.storeKey], "a root is a self-signed account-key"],
    ["an account without its key", [rootAccount], "a root is"],
    ["an account of another authority", [rootKey, rootAccount, account(ROOT, { "account-id": DEV })], "a root is"],
    ["anything else", [rootKey, rootAccount, TEXTS.declaration], "a root is"],
    ["a key whose signature is of another text", [rootKey.replace("name: root", "name: toor"), rootAccount], "is of another text"],
    [
      "a key that signs itself for another account",
      [accountKey(ROOT, ROOT.key, { "account-id": "other" }), rootAccount],
      "is of other, not of",
    ],
  ])("%s is no root", (_, texts, reason) => {
    expect(refusal(() => new Trust(texts.map(one)))).toContain(reason);
  });

  test("what is built in is dropped without a word, in either signature, and refused where it does not verify", () => {
    const again = assertion(ROOT.key, Object.fromEntries(one(rootAccount).headers), "", { hash: "sha256" });
    expect(again).not.toBe(rootAccount);
    expect(check([one(rootAccount), one(again), one(rootKey)])).toEqual({ verified: [], refused: [] });
    const { verified, refused } = check([one(rootAccount.replace("test-root\n", "best-root\n"))]);
    expect(verified).toEqual([]);
    expect(refused).toHaveLength(1);
  });
});

describe("a set", () => {
  test("verifies up to its root, dependencies first", () => {
    const { verified, refused } = check(HELD.toReversed());
    expect(refused).toEqual([]);
    expect(verified.map((a) => a.text).toSorted()).toEqual(CHAIN.toSorted());
    for (const [index, it] of verified.entries()) {
      const before = new Set(verified.slice(0, index).map((a) => keyText(a.type, a.key)));
      expect(it.signKey === ROOT.key.id || before.has(`account-key/${it.signKey}`)).toBe(true);
      const type = ASSERTION_TYPES.get(it.type);
      for (const ref of type?.needs(it) ?? [])
        expect(TRUST.isRoot({ type: ref[0], key: ref[1] }) || before.has(keyText(...ref))).toBe(true);
    }
  });

  test("is the same in any order, and with everything twice", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...HELD, ...HELD], { minLength: HELD.length * 2 }), (given) => {
        const { verified, refused } = check(given);
        expect(refused).toEqual([]);
        expect(verified.map((a) => a.text).toSorted()).toEqual(CHAIN.toSorted());
      }),
      { numRuns: 20 },
    );
  });

  test("may build on what is stored", () => {
    for (const it of HELD) expect(check([it], { find })).toEqual({ verified: [it], refused: [] });
  });

  test("asks the store once for a primary key", () => {
    const asked: string[] = [];
    check(HELD.slice(3), {
      find: (type, key) => {
        asked.push(keyText(type, key));
        return find(type, key);
      },
    });
    expect(asked.toSorted()).toEqual([...new Set(asked)].toSorted());
  });

  test("what lacks a prerequisite is refused, and the prerequisite named", () => {
    const reasons = (without: keyof typeof TEXTS) =>
      Object.fromEntries(check(HELD.filter((a) => a.text !== TEXTS[without])).refused.map((r) => [r.assertion.type, r.reason] as const));
    const noKey = reasons("storeKey");
    expect(noKey["account"]).toBe(`account-key/${STORE.key.id} that signed it is neither in the file nor stored`);
    expect(noKey["serial"]).toBe(`account-key/${PUBLISHER.key.id} that signed it is not trusted`);
    expect(reasons("declaration")).toEqual(
      Object.fromEntries(
        ["snap-revision", "snap-resource-revision", "snap-resource-pair"].map((type) => [
          type,
          `snap-declaration/16/${SNAP} that it needs is neither in the file nor stored`,
        ]),
      ),
    );
    expect(reasons("account")["store"]).toBe(`account/${DEV} that it needs is neither in the file nor stored`);
  });

  test("of two signatures of one revision both are checked, and the first is kept", () => {
    const twin = assertion(STORE.key, Object.fromEntries(one(TEXTS.account).headers), "", { hash: "sha256", issuer: true });
    const { verified } = check([one(TEXTS.storeKey), one(twin), one(TEXTS.account)]);
    expect(verified.map((a) => a.text)).toEqual([TEXTS.storeKey, twin]);
    const broken = one(twin.replace("display-name: a", "display-name: b"));
    const result = check([one(TEXTS.storeKey), broken, one(TEXTS.account)]);
    expect(result.verified.map((a) => a.text)).toEqual([TEXTS.storeKey, TEXTS.account]);
    expect(result.refused.map((r) => r.assertion)).toEqual([broken]);
  });

  test("every revision and format is kept, and the newest counts", () => {
    const ended = accountKey(STORE, PUBLISHER.key, { "account-id": DEV, revision: 1, until: "2026-04-01T00:00:00Z" });
    const { verified, refused } = check([...HELD, one(ended)]);
    expect(verified.filter((a) => a.key[0] === PUBLISHER.key.id)).toHaveLength(2);
    expect(refused.map((r) => r.assertion.type)).toEqual(["validation-set", "model", "serial"]);
    expect(refused[0]?.reason).toBe(`the key ${PUBLISHER.key.id} that signed it is not valid now`);
    expect(check([one(ended), one(TEXTS.set)], { find }).refused).toHaveLength(1);
  });

  test("a newer revision that does not verify changes nothing", () => {
    const forged = accountKey({ account: ROOT.account, key: DEVICE }, PUBLISHER.key, {
      "account-id": DEV,
      revision: 1,
      until: "2026-04-01T00:00:00Z",
    });
    expect(check([one(forged), ...HELD]).refused.map((r) => r.assertion.text)).toEqual([forged]);
  });

  test("a held key that is newer wins over the one that is given", () => {
    const ended = one(accountKey(STORE, PUBLISHER.key, { "account-id": DEV, revision: 1, until: "2026-04-01T00:00:00Z" }));
    const result = check([one(TEXTS.key), one(TEXTS.set)], {
      find: (type, key) => (key[0] === PUBLISHER.key.id ? ended : find(type, key)),
    });
    expect(result.refused.map((r) => r.assertion.type)).toEqual(["validation-set"]);
  });

  test("keys that sign each other, and chains without end, come to an end", () => {
    const [a, b] = [testKey("a"), testKey("b")];
    const by = (key: typeof a) => ({ account: ROOT.account, key });
    const circle = [accountKey(by(a), b, { "account-id": ROOT.account }), accountKey(by(b), a, { "account-id": ROOT.account })].map(one);
    expect(check(circle).refused.map((r) => r.reason)).toEqual([
      `account-key/${a.id} that signed it is not trusted`,
      `account-key/${b.id} that signed it needs it too`,
    ]);
    const [self] = parse(accountKey(by(a), a, { "account-id": ROOT.account }));
    expect(check(self ? [self] : []).refused[0]?.reason).toBe(`the key ${a.id} is a self-signed root key that is not trusted here`);
    // Chained by their ids; that none of them is its body's id shows only once its turn has come.
    const id = (n: number) => String(n).padStart(64, "0");
    const models = Array.from({ length: 5000 }, (_, n) => ({
      ...HELD[2],
      text: `${n}`,
      key: [id(n)],
      signKey: id(n + 1),
    })).flatMap((it) => (it.type === undefined ? [] : [it as Assertion]));
    expect(check(models).refused).toHaveLength(5000);
  });
});

describe("a check", () => {
  const resigned = (text: string, headers: Headers, by: Signatory = STORE, body = one(text).body) =>
    assertion(
      by.key,
      {
        ...Object.fromEntries(one(text).headers),
        "authority-id": by.account,
        "sign-key-sha3-384": undefined,
        "body-length": undefined,
        ...headers,
      },
      body,
    );
  const changed = (name: keyof typeof TEXTS, headers: Headers, by?: Signatory) => resigned(TEXTS[name], headers, by);
  const other: Signatory = { account: DEV, key: STORE.key };
  const request = deviceSessionRequest(DEVICE, { "brand-id": DEV, nonce: "n" });
  const validation = (headers: Headers = {}) =>
    assertion(PUBLISHER.key, {
      type: "validation",
      "authority-id": DEV,
      series: "16",
      "snap-id": SNAP,
      "approved-snap-id": SNAP,
      "approved-snap-revision": 5,
      timestamp: MADE,
      ...headers,
    });

  test("none of a validation of declared snaps, which is told by all that it names", () => {
    expect(reasonAgainst(validation())).toBeUndefined();
    expect(one(validation()).key).toEqual(["16", SNAP, SNAP, "5"]);
  });

  test.each<[string, string, string]>([
    ["a format that is not known", changed("declaration", { format: 8 }), "its format 8 is newer than what is known here, 7"],
    ["a format of a type that has none", changed("revision", { format: 1 }), "its format 1 is newer than what is known here, 0"],
    [
      "a key that is not known",
      resigned(TEXTS.account, {}, { account: ROOT.account, key: DEVICE }),
      `account-key/${DEVICE.id} that signed it is neither in the file nor stored`,
    ],
    ["a key of another account", changed("account", {}, other), `the key ${STORE.key.id} is of test-root, not of its authority ${DEV}`],
    ["a signature of another text", TEXTS.account.replace("unproven", "verified"), "the signature is of another text"],
    [
      "a signature by another key",
      changed("account", { "sign-key-sha3-384": STORE.key.id }, { account: ROOT.account, key: DEVICE }),
      "the signature does not verify",
    ],
    [
      "a timestamp before the key",
      changed("account", { timestamp: "2019-12-31T23:59:59Z" }),
      `the key ${STORE.key.id} that signed it was not valid at its timestamp`,
    ],
    ["an account by no root", changed("account", {}, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    ["an account-key by no root", accountKey(PUBLISHER, DEVICE, { "account-id": DEV }), `its authority ${DEV} is not a trusted root`],
    ["a declaration by no root", changed("declaration", {}, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    ["a revision by no root", changed("revision", {}, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    ["a component by no root", changed("resource", {}, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    ["a pair by no root", changed("pair", { provenance: "global-upload" }, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    ["a store by no root", changed("store", {}, PUBLISHER), `its authority ${DEV} is not a trusted root`],
    [
      "a key of an unknown account",
      changed("key", { "account-id": STRANGER }),
      `account/${STRANGER} that it needs is neither in the file nor stored`,
    ],
    [
      "a second key of a name",
      accountKey(ROOT, DEVICE, { "account-id": ROOT.account, name: "root" }),
      `its account has the key ${ROOT.key.id} of the same name root`,
    ],
    ["an unknown publisher", changed("declaration", { "publisher-id": STRANGER }), `account/${STRANGER} that it needs`],
    ["an unknown developer", changed("revision", { "developer-id": STRANGER }), `account/${STRANGER} that it needs`],
    ["an undeclared snap", changed("revision", { "snap-id": OTHER_SNAP }), `snap-declaration/16/${OTHER_SNAP} that it needs`],
    [
      "a component of an undeclared snap",
      changed("resource", { "snap-id": OTHER_SNAP }),
      `snap-declaration/16/${OTHER_SNAP} that it needs`,
    ],
    ["a pair of an undeclared snap", changed("pair", { "snap-id": OTHER_SNAP }), `snap-declaration/16/${OTHER_SNAP} that it needs`],
    ["a pair of an unknown developer", changed("pair", { "developer-id": STRANGER }), `account/${STRANGER} that it needs`],
    ["a validation of an undeclared snap", validation({ "snap-id": OTHER_SNAP }), `snap-declaration/16/${OTHER_SNAP} that it needs`],
    [
      "a validation that approves an undeclared snap",
      validation({ "approved-snap-id": OTHER_SNAP }),
      `snap-declaration/16/${OTHER_SNAP} that it needs`,
    ],
    ["an unknown operator", changed("store", { "operator-id": STRANGER }), `account/${STRANGER} that it needs`],
    [
      "a provenance that is not declared",
      changed("revision", { provenance: "mine" }, PUBLISHER),
      `lets ${DEV} sign no snap-revision 5 of provenance mine`,
    ],
    ["a provenance of another authority", changed("revision", { provenance: "own" }), "lets test-root sign no snap-revision 5"],
    [
      "a revision below those delegated",
      changed("revision", { provenance: "own", "snap-revision": 4 }, PUBLISHER),
      "sign no snap-revision 4",
    ],
    [
      "a component above those delegated",
      changed("resource", { provenance: "own", "resource-revision": 10 }, PUBLISHER),
      "sign no resource-revision 10",
    ],
    ["a model by another", changed("model", { "brand-id": DEV }), `its authority test-root is not its brand-id ${DEV}`],
    ["a validation set by another", changed("set", {}), `its authority test-root is not its account-id ${DEV}`],
    ["a serial by a stranger", changed("serial", { model: "other" }), "neither its brand"],
    ["a request", request, "device-session-request is a request, which is not kept"],
    [
      "a body that is another key",
      accountKey(STORE, PUBLISHER.key, { "account-id": DEV, "public-key-sha3-384": OTHER_SHA }),
      `its body is the key ${PUBLISHER.key.id}, not ${OTHER_SHA}`,
    ],
    ["a body that is no key", resigned(TEXTS.key, {}, STORE, "AAAA"), "the public key is in an unknown encoding"],
    ["a body that is a signature", resigned(TEXTS.key, {}, STORE, STORE.key.sign("x")), "the public key is another kind of packet"],
    [
      "a key and more",
      resigned(TEXTS.key, {}, STORE, Buffer.concat([Buffer.from(PUBLISHER.key.encoded, "base64"), Buffer.from([0])]).toString("base64")),
      "the public key has bytes after its end",
    ],
    ["a key that ends before it begins", changed("key", { until: "2020-01-01T00:00:00Z" }), "it ends before it begins"],
    [
      "a device key of another id",
      changed("serial", { "device-key-sha3-384": OTHER_SHA }, PUBLISHER),
      `its device-key is the key ${DEVICE.id}`,
    ],
    [
      "a delegation of nothing",
      changed("declaration", { "revision-authority": [{ "account-id": DEV, provenance: ["own"], "min-revision": 9, "max-revision": 8 }] }),
      "ends before it begins",
    ],
  ])("%s is refused, with the reason", (_, text, reason) => {
    expect(reasonAgainst(text)).toContain(reason);
  });

  test.each<[keyof typeof TEXTS, string, ...unknown[]]>([
    ["account", "account-id", "Short", "a", "a_b"],
    ["account", "display-name", "", undefined, ["x"]],
    ["account", "validation", "", undefined],
    [
      "account",
      "timestamp",
      undefined,
      "",
      "yesterday",
      "2026-03-01",
      "2026-03-01T09:30:00",
      "2026-02-30T09:30:00Z",
      "2026-03-01T24:00:00Z",
      "2026-03-01T09:30:00+24:00",
      "2026-03-01 09:30:00Z",
      [MADE],
    ],
    ["key", "account-id", undefined, "A"],
    ["key", "since", undefined, "0"],
    ["key", "until", "never"],
    ["key", "name", "", "Bad", "1"],
    [
      "key",
      "constraints",
      "x",
      ["x"],
      [{ headers: "x" }],
      [{ headers: { model: "x" } }],
      [{ headers: { type: "mod.*" } }],
      [{ headers: { type: "model", model: "(" } }],
      [{ headers: { type: "model", model: "$BRAND" } }],
      [{ a: "b" }],
    ],
    ["declaration", "series", "17", "016"],
    ["declaration", "snap-name", undefined, ["hello"]],
    ["declaration", "publisher-id", undefined, ""],
    [
      "declaration",
      "revision-authority",
      "x",
      ["x"],
      [{ "account-id": DEV }],
      [{ provenance: ["own"] }],
      [{ "account-id": DEV, provenance: ["-"] }],
      [{ "account-id": DEV, provenance: ["own"], "min-revision": 0 }],
    ],
    ["revision", "snap-sha3-384", "abc", `${SHA}A`, `${SHA.slice(1)}+`],
    ["revision", "snap-size", undefined, "-1", "01", "1e3", "0x10", "9".repeat(20)],
    ["revision", "snap-revision", undefined, "0", "x1", "5 "],
    ["revision", "snap-id", undefined, "short"],
    ["revision", "provenance", "a--b", "-a"],
    ["resource", "resource-name", "Extra", "1", "a--b"],
    ["resource", "resource-size", undefined, "1.5"],
    ["resource", "resource-revision", undefined, "0"],
    ["pair", "snap-revision", "0"],
    ["pair", "developer-id", undefined],
    ["store", "url", "ftp://x.test", "store.test", "http://x.test?a", "http://x.test#a", ["http://x.test"]],
    ["store", "operator-id", undefined],
    ["store", "friendly-stores", "a"],
    ["set", "sequence", "0", "01"],
    ["set", "snaps", undefined, "x", ["x"], [{ name: "a" }], [{ name: "a", id: SNAP, presence: "never" }]],
    ["model", "model", "-a", "a b"],
    ["serial", "device-key", undefined, ""],
  ])("%s: header %s is checked", (name, field, ...values) => {
    const by = ["set", "model", "serial"].includes(name) ? PUBLISHER : STORE;
    for (const value of values) {
      let reason: string | undefined;
      try {
        reason = reasonAgainst(changed(name, { [field]: value }, by));
      } catch (error) {
        reason = error instanceof Failure ? error.message : String(error);
      }
      expect(`${JSON.stringify(value)}: ${reason}`).toContain(`header "${field}" is `);
    }
  });

  test.each<[string, string]>([
    ["a revoked snap without a name", changed("declaration", { "snap-name": "" })],
    ["a time with an offset and a fraction", changed("account", { timestamp: "2026-03-01T11:30:00.008746+02:00" })],
    ["a delegated revision", changed("revision", { provenance: "own" }, PUBLISHER)],
    ["a delegated component and its pair", changed("resource", { provenance: "other" }, PUBLISHER)],
    ["a delegated pair", changed("pair", { provenance: "own" }, PUBLISHER)],
    ["a serial by whom the model names", changed("serial", {})],
    ["a store without a url", changed("store", { url: undefined })],
    [
      "a signature with SHA-256 that names its key",
      assertion(STORE.key, Object.fromEntries(one(TEXTS.account).headers), "", { hash: "sha256", issuer: true }),
    ],
    ["a key of the root's account", accountKey(ROOT, DEVICE, { "account-id": ROOT.account, name: "device" })],
    [
      "headers in another order",
      (() => {
        const lines = TEXTS.account.split("\n\n")[0]?.split("\n").toReversed().join("\n") ?? "";
        return `${lines}\n\n${STORE.key.sign(lines)}\n`;
      })(),
    ],
  ])("%s verifies", (_, text) => {
    expect(reasonAgainst(text)).toBeUndefined();
  });

  test("a delegated revision is one of those that the declaration lets its account sign, the first and the last included", () => {
    const reasonOf = (number: number, over: object = {}) =>
      reasonAgainst(changed("revision", { provenance: "own", "snap-revision": number, ...over }, PUBLISHER));
    expect([5, 7, 9].map((number) => reasonOf(number))).toEqual([undefined, undefined, undefined]);
    for (const number of [4, 10])
      expect(reasonOf(number)).toBe(`its snap-declaration lets ${DEV} sign no snap-revision ${number} of provenance own`);
    expect(reasonOf(7, { provenance: "third" })).toBe(`its snap-declaration lets ${DEV} sign no snap-revision 7 of provenance third`);
  });

  test("a model is its brand's alone", () => {
    expect(reasonAgainst(changed("model", {}, STORE))).toBe(`its authority ${STORE.account} is not its brand-id ${DEV}`);
  });

  test("a short key is refused", () => {
    expect(refusal(() => keyOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey))).toContain(
      "has 1024 bits; 2048 to 8192 are taken",
    );
  });

  test("now is between since and until, the end excluded", () => {
    const key = one(accountKey(STORE, PUBLISHER.key, { "account-id": DEV, since: "2026-01-01T00:00:00Z", until: "2027-01-01T00:00:00Z" }));
    const at = (now: string) =>
      reasonAgainst(TEXTS.set, { now: new Date(now), find: (type, id) => (id[0] === PUBLISHER.key.id ? key : find(type, id)) });
    expect(at("2025-12-31T23:59:59Z")).toContain("is not valid now");
    expect(at("2026-01-01T00:00:00Z")).toBeUndefined();
    expect(at("2026-12-31T23:59:59Z")).toBeUndefined();
    expect(at("2027-01-01T00:00:00Z")).toContain("is not valid now");
  });

  test("a key signs no more than its constraints allow", () => {
    const pattern = { type: "model", model: "acme-.*", "serial-authority": [DEV, ROOT.account], store: "$MISSING", plugs: { a: "b|c" } };
    const key = accountKey(STORE, PUBLISHER.key, {
      "account-id": DEV,
      format: 1,
      constraints: [{ headers: { type: "validation-set", name: "ours" } }, { headers: pattern }],
    });
    const reasonOf = (text: string) =>
      reasonAgainst(text, { find: (type, id) => (id[0] === PUBLISHER.key.id ? one(key) : find(type, id)) });
    const forbidden = `the key ${PUBLISHER.key.id} may not sign this: its constraints forbid it`;
    const verifies = (text: string) => {
      const reason = reasonOf(text);
      if (reason !== undefined) expect(reason).toBe(forbidden);
      return reason === undefined;
    };
    expect(reasonAgainst(key)).toBeUndefined();
    const fits = { model: "acme-1", "serial-authority": [ROOT.account, DEV], plugs: { a: "c" } };
    expect(verifies(model(PUBLISHER, fits))).toBe(true);
    expect(verifies(changed("set", { name: "ours" }, PUBLISHER))).toBe(true);
    for (const off of [
      { model: "my-acme-1" },
      { "serial-authority": [DEV, "other"] },
      { "serial-authority": undefined },
      { store: "x" },
      { plugs: { a: "bb" } },
      { plugs: { b: "b" } },
      { plugs: "b" },
      { plugs: undefined },
    ])
      expect([off, verifies(model(PUBLISHER, { ...fits, ...off }))]).toEqual([off, false]);
    expect(verifies(changed("set", {}, PUBLISHER))).toBe(false);
    expect(verifies(changed("serial", {}, PUBLISHER))).toBe(false);
  });

  describe("of the signature's packet", () => {
    const [content = "", signature = ""] = TEXTS.account.split("\n\n");
    const bytes = Buffer.from(signature, "base64");
    const body = bytes.subarray(4);
    const wrapped = (packet: Uint8Array, head: readonly number[], version = 1) => Buffer.concat([Buffer.from([version, ...head]), packet]);
    const { length } = body;
    const verdict = (packet: Uint8Array) => reasonAgainst(`${content}\n\n${Buffer.from(packet).toString("base64")}\n`);
    const edited = (at: number, ...values: number[]) => {
      const copy = Buffer.from(bytes);
      copy.set(values, 4 + at);
      return copy;
    };

    test.each([
      ["a length of five bytes", wrapped(body, [0xc2, 0xff, 0, 0, length >> 8, length & 0xff])],
      ["an old length of two bytes", wrapped(body, [0x89, length >> 8, length & 0xff])],
      ["an old length of four bytes", wrapped(body, [0x8a, 0, 0, length >> 8, length & 0xff])],
    ])("%s is taken", (_, packet) => {
      expect(verdict(packet)).toBeUndefined();
    });

    test.each<[string, Uint8Array, string]>([
      ["another encoding", wrapped(body, [0xc2, 0xff, 0, 0, length >> 8, length & 0xff], 2), "unknown encoding"],
      ["another packet", wrapped(body, [0xc6, 0xff, 0, 0, length >> 8, length & 0xff]), "another kind of packet"],
      ["no packet", wrapped(body, [0x42, 0xff, 0, 0, length >> 8, length & 0xff]), "another kind of packet"],
      ["a packet in parts", wrapped(body, [0xc2, 0xe8]), "comes in parts"],
      ["a packet of no certain length", wrapped(body, [0x8b]), "of no certain length"],
      ["more after it", Buffer.concat([bytes, Buffer.from([0])]), "bytes after its end"],
      ["a packet that ends early", bytes.subarray(0, -1), "ends too early"],
      [
        "a packet with more in it",
        wrapped(Buffer.concat([body, Buffer.from([0])]), [0xc2, 0xff, 0, 0, (length + 1) >> 8, (length + 1) & 0xff]),
        "bytes after its end",
      ],
      ["an older version", edited(0, 3), "of a kind that is not taken"],
      ["a signature of text", edited(1, 1), "of a kind that is not taken"],
      ["another algorithm", edited(2, 17), "of a kind that is not taken"],
      ["SHA-1", edited(3, 2), "of a kind that is not taken"],
      ["no time", edited(7, 3), "does not say when it was made"],
      ["another time", edited(8, 0), "of another text"],
      ["another start of the digest", edited(14, (body[14] ?? 0) ^ 1), "of another text"],
      ["nothing but the encoding", Buffer.from([1]), "ends too early"],
    ])("%s is refused", (_, packet, reason) => {
      expect(verdict(packet)).toContain(reason);
    });

    test("a number may say its length in whole bytes, zeros before it included, and in no other way", () => {
      const at = 18; // after the digest's start and the length
      const padded = Buffer.concat([body.subarray(0, at - 2), Buffer.from([8, 0]), Buffer.alloc(256 - (length - at)), body.subarray(at)]);
      const packet = (inner: Buffer) => wrapped(inner, [0xc2, 0xff, 0, 0, inner.length >> 8, inner.length & 0xff]);
      expect(verdict(packet(padded))).toBeUndefined();
      for (const bits of [2041, 2042]) {
        padded.writeUInt16BE(bits, at - 2);
        if (body.readUInt16BE(at - 2) !== bits) expect(verdict(packet(padded))).toContain("number of another length");
      }
    });

    // Signs until a signature begins with zeros.
    longTest("a signature that begins with zeros is padded", () => {
      const texts = Array.from({ length: 600 }, (_, n) => account(STORE, { "account-id": DEV, revision: n }));
      const isShort = (text: string) => Buffer.from(text.split("\n\n")[1] ?? "", "base64").readUInt16BE(20) <= 2040;
      const short = texts.filter(isShort);
      expect(short).not.toBeEmpty();
      for (const text of short) expect(reasonAgainst(text)).toBeUndefined();
    });
  });
});

describe("a request that signs itself", () => {
  const text = deviceSessionRequest(DEVICE, { "brand-id": DEV, nonce: "n" });

  test("verifies with its machine's key", () => {
    expect(one(text).authority).toBeUndefined();
    expect(verifySelfSigned(one(text), DEVICE.encoded)).toBeUndefined();
  });

  test.each<[string, string, string, string]>([
    ["another key", text, STORE.key.encoded, `it is signed with the key ${DEVICE.id}, not with ${STORE.key.id}`],
    ["no key", text, "AAAA", "the public key is in an unknown encoding"],
    ["another text", text.replace("nonce: n", "nonce: m"), DEVICE.encoded, "the signature is of another text"],
    ["no nonce", deviceSessionRequest(DEVICE, { "brand-id": DEV }), DEVICE.encoded, 'header "nonce" is missing'],
    ["no request", TEXTS.account, STORE.key.encoded, "account is not a self-signed request"],
    [
      "another device key",
      assertion(DEVICE, { type: "serial-request", "brand-id": DEV, model: "m", "request-id": "r", "device-key": STORE.key.encoded }),
      DEVICE.encoded,
      "its device-key is another key",
    ],
  ])("%s is refused", (_, request, key, reason) => {
    expect(verifySelfSigned(one(request), key)).toBe(reason);
  });
});

describe("a byte", () => {
  /** Whether what is left still says and proves the same: line breaks of the signature are all that may differ. */
  const isSame = (text: string, before: string) => {
    const [is, was] = [text, before].map((all) => {
      const split = all.lastIndexOf("\n\n");
      return { content: all.slice(0, split), signature: all.slice(split).replaceAll("\n", "") };
    });
    return is?.content === was?.content && is?.signature === was?.signature;
  };
  const passes = (bytes: Uint8Array): Assertion[] => {
    try {
      const given = parse(bytes);
      return check(given, { find }).refused.length === 0 ? given : [];
    } catch (error) {
      if (error instanceof Failure) return [];
      throw error;
    }
  };
  const wrongly = (bytes: Uint8Array, before: string) => passes(bytes).some((it) => !isSame(it.text, before));

  const options: SignOptions = { hash: "sha256", issuer: true };
  test.each(Object.entries(TEXTS))("changed, lost or added anywhere in %s is seen", (_, text) => {
    const bytes = Buffer.from(text);
    const added = Buffer.from("\nA= -:0");
    const unseen: string[] = [];
    for (let at = 0; at < bytes.byteLength; at += stride(53)) {
      const changed = Buffer.from(bytes);
      changed[at] = (bytes[at] ?? 0) ^ 1;
      if (wrongly(changed, text)) unseen.push(`changed at ${at}`);
      if (wrongly(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]), text)) unseen.push(`lost at ${at}`);
      const more = added.subarray(at % added.length).subarray(0, 1);
      if (wrongly(Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]), text)) unseen.push(`added at ${at}`);
    }
    expect(unseen).toEqual([]);
  });

  test("of the key's name in the unsigned part is all that may change", () => {
    const text = assertion(STORE.key, Object.fromEntries(one(TEXTS.account).headers), "", options);
    const [content = "", signature = ""] = text.split("\n\n");
    const bytes = Buffer.from(signature, "base64");
    const unseen = [...bytes.keys()].filter((at) => {
      const changed = Buffer.from(bytes);
      changed[at] = (bytes[at] ?? 0) ^ 1;
      return passes(Buffer.from(`${content}\n\n${changed.toString("base64")}\n`)).length > 0;
    });
    const start = 4 + 12 + 2 + 2; // head, signed part, length, the issuer's own head
    expect(unseen).toEqual(Array.from({ length: 8 }, (_, i) => start + i));
  });

  test("of a root's name is seen: its own signature tells it", () => {
    const issuer = { issuer: true } as const;
    const headers = (text: string) => Object.fromEntries(one(text).headers);
    const [self = "", key = ""] = ROOT.trust
      .split("\n\ntype: account-key")
      .map((part, i) => (i === 0 ? `${part}\n` : `type: account-key${part}`));
    const named = assertion(ROOT.key, headers(key), ROOT.key.encoded, issuer);
    const trust = new Trust(parse(encodeStream([self, named])));
    const text = assertion(ROOT.key, headers(TEXTS.storeKey), STORE.key.encoded, issuer);
    const verdict = (given: string) => verifyAll(parse(given), { trust, find: () => undefined, now: NOW }).refused[0]?.reason;
    expect(verdict(text)).toBeUndefined();
    const split = text.lastIndexOf("\n\n") + 2;
    const bytes = Buffer.from(text.slice(split), "base64");
    const start = 4 + 12 + 2 + 2;
    for (let at = start; at < start + 8; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (bytes[at] ?? 0) ^ 1;
      expect(verdict(`${text.slice(0, split)}${changed.toString("base64")}\n`)).toContain("names another key");
    }
  });

  test("from which on a stream is cut is seen, unless whole assertions are left", () => {
    const stream = Buffer.from(encodeStream(CHAIN));
    const whole = new Set(CHAIN);
    const unseen: number[] = [];
    for (let end = 0; end < stream.byteLength; end += stride(61)) {
      let last: Assertion | undefined;
      try {
        last = parse(stream.subarray(0, end)).at(-1);
      } catch (error) {
        if (error instanceof Failure) continue;
        throw error;
      }
      if (last && !whole.has(last.text) && check([last], { find }).refused.length === 0) unseen.push(end);
    }
    expect(unseen).toEqual([]);
  });
});
