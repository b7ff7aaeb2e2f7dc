import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { Failure } from "../../../src/errors.ts";
import { checkCertificateName, createAuthority, type IssuedCertificate, issueServer } from "../../../src/settings/authority.ts";
import {
  certificateFacts,
  certificateWarnings,
  checkTime,
  readCertificateAndKey,
  rootOfChain,
  trustAnchors,
} from "../../../src/settings/certificate.ts";

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.parse("2026-05-01T12:00:00Z");
const NAMES = ["hub.lan", "*.hub.lan", "10.0.0.5", "fd00::5", "localhost"];

const authority = await createAuthority("test authority", NOW);
const other = await createAuthority("other authority", NOW);
const server = await issueServer(authority, NAMES, NOW);
const stranger = await issueServer(other, ["stranger.lan"], NOW);

const all = (...parts: readonly (string | IssuedCertificate)[]) =>
  parts.map((one) => (typeof one === "string" ? one : one.certificate + one.key)).join("");

describe("a certificate of chp's own authority", () => {
  test("is for its names, below the authority, and no authority itself", () => {
    const [leaf, root] = [server, authority].map(({ certificate }) => new X509Certificate(certificate));
    if (!leaf || !root) throw new Error("none");
    expect(certificateFacts(server.certificate)).toMatchObject({ subject: "CN=hub.lan", issuer: "CN=test authority", names: NAMES });
    expect([leaf.ca, root.ca]).toEqual([false, true]);
    expect(leaf.checkIssued(root) && leaf.verify(root.publicKey) && root.verify(root.publicKey)).toBe(true);
    for (const name of ["hub.lan", "HUB.lan", "a.hub.lan", "localhost"])
      expect([name, leaf.checkHost(name)]).toEqual([name, expect.any(String)]);
    for (const address of ["10.0.0.5", "fd00::5", "fd00:0::5"])
      expect([address, leaf.checkIP(address)]).toEqual([address, expect.any(String)]);
    expect([leaf.checkHost("lan"), leaf.checkHost("hub.lan.evil"), leaf.checkIP("10.0.0.6")]).toEqual([undefined, undefined, undefined]);
    expect(leaf.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: "prime256v1" });
    expect(rootOfChain(authority.certificate)).toBe(authority.certificate);
    expect(rootOfChain(server.certificate)).toBeUndefined();
    expect(rootOfChain(server.certificate + authority.certificate)).toBe(authority.certificate);
  });

  test("ends before its authority does", async () => {
    const late = await issueServer(authority, ["hub.lan"], NOW + 3600 * DAY);
    expect(certificateFacts(late.certificate).notAfter).toBe(certificateFacts(authority.certificate).notAfter);
    expect(Date.parse(certificateFacts(server.certificate).notAfter)).toBeLessThanOrEqual(NOW + 825 * DAY);
  });

  test("has another serial number and key each time", async () => {
    const again = await issueServer(authority, NAMES, NOW);
    const serials = [server, again, authority].map(({ certificate }) => new X509Certificate(certificate).serialNumber);
    expect(new Set(serials).size).toBe(3);
    expect(again.key).not.toBe(server.key);
  });

  test("may have names that are too long for a subject", async () => {
    const long = `${"a".repeat(60)}.${"b".repeat(60)}.lan`;
    const one = await issueServer(authority, [long], NOW);
    expect(new X509Certificate(one.certificate).checkHost(long)).toBe(long);
  });
});

test.each([
  ["hub.lan", "hub.lan"],
  ["HUB.lan.", "hub.lan"],
  ["*.hub.lan", "*.hub.lan"],
  ["hub", "hub"],
  ["10.0.0.5", "10.0.0.5"],
  ["[::1]", "::1"],
  ["fd00::5", "fd00::5"],
])("the name %s is %s", (text, name) => expect(checkCertificateName(text)).toBe(name));

test.each([
  "",
  "https://hub.lan",
  "hub.lan:8443",
  "hub_lan/",
  "a..b",
  "-a.lan",
  "10.0.0.256",
  "1.2.3",
  "fe80::1%eth0",
  "a*.lan",
  "*",
  "hub lan",
  "ä.lan",
  `${"a".repeat(64)}.lan`,
])("%p is no name", (text) => expect(() => checkCertificateName(text)).toThrow("neither a host name nor an address"));

describe("a given pair", () => {
  test("may have its key anywhere, and text around", () => {
    const cert = server.certificate + authority.certificate;
    for (const text of [
      server.key + cert,
      cert + server.key,
      `Bag Attributes\n${server.certificate}\nxx\n${server.key}\n${authority.certificate}`,
    ])
      expect(readCertificateAndKey(text, "it")).toEqual({ cert, key: server.key });
    expect(readCertificateAndKey(all(server).replaceAll("\n", "\r\n"), "it")).toEqual({ cert: server.certificate, key: server.key });
  });

  const wrong: readonly (readonly [string, string, string])[] = [
    ["nothing", "", "there is no certificate in it"],
    ["no PEM", "\u0030\u0082\u0001\u0002", "there is no certificate in it"],
    ["no key", server.certificate, "there is no private key in it"],
    ["no certificate", server.key, "there is no certificate in it"],
    ["two keys", all(server, stranger.key), "there are 2 private keys in it"],
    ["another's key", server.certificate + stranger.key, "belongs to another certificate than CN=hub.lan"],
    ["the issuer first", authority.certificate + all(server), "belongs to certificate 2, CN=hub.lan, not to the first one"],
    ["a stranger as issuer", all(server, other.certificate), "CN=other authority, did not issue certificate 1, CN=hub.lan"],
    ["the certificate twice", all(server, server.certificate), "did not issue certificate 1"],
    ["an end that is cut off", all(server).slice(0, -20), "is cut off"],
    ["bytes that are cut out", all(server).replace(/(BEGIN CERTIFICATE-----\n).{70}/s, "$1"), "certificate 1 of it is not readable"],
    ["a key that is damaged", server.certificate + server.key.replace(/(KEY-----\n).{40}/s, "$1"), "the private key in it is not readable"],
    ["an encrypted key", server.certificate + server.key.replaceAll("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "is encrypted"],
  ];
  test.each(wrong)("with %s is refused", (_, text, says) => {
    expect(() => readCertificateAndKey(text, "it")).toThrow(says);
    const key = server.key.split("\n")[1] ?? "";
    try {
      readCertificateAndKey(text, "it");
    } catch (error) {
      expect(String(error)).not.toContain(key.slice(0, 20));
    }
  });
});

test.each<[string, string, string]>([
  ["bytes that are no text", "\u0030\u0082\u0001\u0002", "PEM is text that begins with -----BEGIN"],
  ["no key", server.certificate, "give both: cat"],
  ["no certificate", server.key, "give both: cat"],
])("what to do about %s", (_, text, next) => {
  try {
    readCertificateAndKey(text, "it");
    expect.unreachable();
  } catch (error) {
    expect(error instanceof Failure && error.next).toStartWith(next);
  }
});

test("clients trust the authority of a chain, and the last of one without it", () => {
  const [leaf, root] = [server.certificate, authority.certificate];
  expect(trustAnchors([leaf, root])).toEqual([root]);
  expect([trustAnchors([leaf]), trustAnchors([stranger.certificate, leaf])]).toEqual([[leaf], [leaf]]);
});

describe("time and names", () => {
  const end = Date.parse(certificateFacts(server.certificate).notAfter);

  test("an expired certificate and one of the future are refused", () => {
    expect(() => checkTime(server.certificate, NOW)).not.toThrow();
    expect(() => checkTime(server.certificate, end + 1000)).toThrow("CN=hub.lan expired on 2028-08-0");
    expect(() => checkTime(server.certificate, NOW - 2 * DAY)).toThrow("does not hold before 2026-04-30");
    expect(() => checkTime(server.certificate + authority.certificate, end - 1000)).not.toThrow();
  });

  test("an end within 30 days is told, and one that was", () => {
    expect(certificateWarnings(server.certificate, undefined, end - 31 * DAY - 1)).toEqual([]);
    expect(certificateWarnings(server.certificate, undefined, end - 30 * DAY)).toEqual([expect.stringContaining("in 30 days")]);
    expect(certificateWarnings(server.certificate, undefined, end - DAY)).toEqual([expect.stringContaining("in 1 day")]);
    expect(certificateWarnings(server.certificate, undefined, end + 1)).toEqual([expect.stringContaining("expired on")]);
  });

  test.each([
    ["https://hub.lan:8443/path", true],
    ["https://x.hub.lan", true],
    ["https://10.0.0.5", true],
    ["https://[fd00::5]:8443", true],
    ["https://hub2.lan", false],
    ["https://10.0.0.6", false],
    ["https://[fd00::6]", false],
  ])("whether it is for %s: %p", (url, fits) => {
    expect(certificateWarnings(server.certificate, url, NOW)).toEqual(fits ? [] : [expect.stringContaining("is not for")]);
  });
});

test.each([
  ["an RSA key that is short", "rsa", { modulusLength: 1024 }, "the RSA key in it has 1024 bits; clients refuse less than 2048"],
  ["a key of another kind", "x25519", {}, "the private key in it is of type x25519; EC, RSA and Ed25519 are taken"],
])("%s is refused, since clients would", (_, type, options, message) => {
  const { privateKey } = generateKeyPairSync(type as "rsa", options as { modulusLength: number });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  expect(() => readCertificateAndKey(server.certificate + pem, "it")).toThrow(message);
});
