/** Certificates of TLS servers: read from PEM, and checked against their key, their chain, the time and the names that clients use. */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { ReadinessFinding } from "../catalog/finding.ts";
import { Failure, printable, reason, refused } from "../errors.ts";

/** Days before its end from which on a certificate is worth a warning. */
export const WARN_DAYS = 30;

const DAY = 24 * 60 * 60 * 1000;
const MIN_RSA_BITS = 2048;

/** What a TLS listener needs, both PEM: the server's certificate followed by its intermediate ones, and its private key (PKCS #8). */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** its subject alternative names: DNS names and addresses */
  readonly names: readonly string[];
  /** RFC 3339 */
  readonly notBefore: string;
  /** RFC 3339 */
  readonly notAfter: string;
  /** sha256 of its DER, as openssl prints it */
  readonly fingerprint: string;
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----/gs;

type PemKind = "certificate" | "key";
const PEM_KINDS: ReadonlyMap<string, PemKind> = new Map([
  ["CERTIFICATE", "certificate"],
  ["X509 CERTIFICATE", "certificate"],
  ["PRIVATE KEY", "key"],
  ["EC PRIVATE KEY", "key"],
  ["RSA PRIVATE KEY", "key"],
  ["ENCRYPTED PRIVATE KEY", "key"],
]);

interface PemContents {
  readonly certificates: readonly X509Certificate[];
  readonly keys: readonly KeyObject[];
}

/** Certificates and private keys of a PEM text, in their order. `what` names it in messages. Throws a `refused` failure. */
export function readPem(text: string, what: string): PemContents {
  const blocks = [...text.matchAll(PEM_BLOCK)].map(([pem, label = ""]) => ({ pem, kind: PEM_KINDS.get(label) }));
  const begun = text.match(/-----BEGIN [A-Z0-9 ]+-----/g)?.length ?? 0;
  if (begun > blocks.length) throw refused(`${what} is cut off: a PEM block begins and does not end`);
  const blocksOf = (kind: PemKind) => blocks.filter((block) => block.kind === kind).map(({ pem }) => pem);
  return {
    certificates: blocksOf("certificate").map((pem, i) => readCertificate(pem, `certificate ${i + 1} of ${what}`)),
    keys: blocksOf("key").map((pem) => readPrivateKey(pem, what)),
  };
}

function readCertificate(pem: string, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw refused(`${what} is not readable: ${printable(reason(error), 200)}`, { cause: error });
  }
}

function readPrivateKey(pem: string, what: string): KeyObject {
  if (pem.includes("ENCRYPTED"))
    throw refused(`the private key in ${what} is encrypted`, { next: "openssl pkey -in KEY -out PLAIN takes the passphrase off" });
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw refused(`the private key in ${what} is not readable`, { cause: error });
  }
}

/**
 * Reads a private key and the certificates that belong to it: the server's first, each followed by its issuer. `what` names the
 * text in messages. Throws a `refused` failure where they do not fit each other.
 */
export function readCertificateAndKey(text: string, what: string): CertificateAndKey {
  const { certificates, keys } = readPem(text, what);
  const looksBinary = !text.includes("-----BEGIN ");
  const next = looksBinary
    ? "PEM is text that begins with -----BEGIN; openssl x509 -inform DER and openssl pkcs12 -nodes make it of other forms"
    : "give both: cat server.crt server.key | chp import-certificate";
  const [leaf] = certificates;
  const [key] = keys;
  if (!leaf) throw refused(`there is no certificate in ${what}`, { next });
  if (!key) throw refused(`there is no private key in ${what}`, { next });
  if (keys.length > 1) throw refused(`there are ${keys.length} private keys in ${what}; one is needed`);
  checkKey(key, what);
  if (!leaf.checkPrivateKey(key)) {
    const own = certificates.find((certificate) => certificate.checkPrivateKey(key));
    throw own
      ? refused(
          `the private key in ${what} belongs to certificate ${certificates.indexOf(own) + 1}, ${displayName(own)}, not to the first one`,
          { next: "the server's certificate comes first, then its issuer, then that one's" },
        )
      : refused(`the private key in ${what} belongs to another certificate than ${displayName(leaf)}`);
  }
  for (const [i, certificate] of certificates.entries()) {
    const issuer = certificates[i + 1];
    if (issuer && !isIssuedBy(certificate, issuer))
      throw refused(
        `certificate ${i + 2} of ${what}, ${displayName(issuer)}, did not issue certificate ${i + 1}, ${displayName(certificate)}`,
        {
          next: "the server's certificate comes first, then its issuer, then that one's",
        },
      );
  }
  return { cert: certificates.map(String).join(""), key: exportPkcs8(key) };
}

/** Throws a `refused` failure where clients would not accept a key of that type or size. */
function checkKey(key: KeyObject, what: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === "rsa" && bits < MIN_RSA_BITS)
    throw refused(`the RSA key in ${what} has ${bits} bits; clients refuse less than ${MIN_RSA_BITS}`);
  if (!["rsa", "ec", "ed25519"].includes(key.asymmetricKeyType ?? ""))
    throw refused(`the private key in ${what} is of type ${key.asymmetricKeyType}; EC, RSA and Ed25519 are taken`);
}

function exportPkcs8(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function readChain(cert: string): readonly X509Certificate[] {
  return readPem(cert, "the certificate").certificates;
}

function readLeaf(cert: string): X509Certificate {
  const [leaf] = readChain(cert);
  if (!leaf) throw new Failure("failed", "there is no certificate in what is kept");
  return leaf;
}

/** Throws a `refused` failure where a certificate of the chain has expired or is not valid yet. `now`: milliseconds. */
export function checkTime(cert: string, now: number): void {
  for (const certificate of readChain(cert)) {
    const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
    if (to <= now) throw refused(`the certificate ${displayName(certificate)} expired on ${isoDay(to)}`);
    if (from > now)
      throw refused(`the certificate ${displayName(certificate)} does not hold before ${isoDay(from)}`, {
        next: "is this machine's clock right?",
      });
  }
}

/** Warnings about a chain that is served: names that clients use and it does not have, and its end. `url`: the public URL; `now`: milliseconds. */
export function certificateWarnings(cert: string, url: string | undefined, now: number): string[] {
  const leaf = readLeaf(cert);
  const host = url === undefined ? undefined : hostOf(url);
  const end = Math.min(...readChain(cert).map(({ validTo }) => Date.parse(validTo)));
  const days = Math.floor((end - now) / DAY);
  return [
    ...(leaf.subjectAltName ? [] : ["the certificate has no subject alternative names: Juju and snapd refuse it"]),
    ...(leaf.subjectAltName && host !== undefined && !isForHost(leaf, host)
      ? [`the certificate is not for ${host}, the host of the public URL, but for ${alternativeNames(leaf).join(", ")}`]
      : []),
    ...(days < 0 ? [`the certificate expired on ${isoDay(end)}: clients refuse it`] : []),
    ...(days >= 0 && days <= WARN_DAYS ? [`the certificate expires on ${isoDay(end)}, in ${days} day${days === 1 ? "" : "s"}`] : []),
  ];
}

/** The host of a URL or of `host[:port]`; an IPv6 address without its brackets. */
export function hostOf(place: string): string {
  return new URL(place.includes("://") ? place : `http://${place}`).hostname.replace(/^\[|\]$/g, "");
}

function isForHost(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) ? leaf.checkIP(host) : leaf.checkHost(host)) !== undefined;
}

/** Of the first certificate of a PEM text. Throws where there is none. */
export function certificateFacts(cert: string): CertificateFacts {
  const leaf = readLeaf(cert);
  return {
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    names: alternativeNames(leaf),
    notBefore: new Date(leaf.validFrom).toISOString(),
    notAfter: new Date(leaf.validTo).toISOString(),
    fingerprint: leaf.fingerprint256,
  };
}

/** The self-signed certificate at the end of a chain, PEM; undefined where the chain does not contain its root. */
export function rootOfChain(cert: string): string | undefined {
  const last = readChain(cert).at(-1);
  return last && isIssuedBy(last, last) ? last.toString() : undefined;
}

function alternativeNames(leaf: X509Certificate): string[] {
  return (leaf.subjectAltName ?? "").split(", ").flatMap((entry) => {
    const name = /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1];
    if (name === undefined) return [];
    return isIP(name) === 6 ? hostOf(`http://[${name}]`) : name;
  });
}

function displayName(certificate: X509Certificate): string {
  return printable(oneLine(certificate.subject) || `number ${certificate.serialNumber}`, 200);
}

function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

function isoDay(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/**
 * Findings about the certificates that chp serves, the server's first, and about the host that clients reach it by. `now`:
 * milliseconds; `renew`: what to do next.
 */
export function certificateFindings(
  certificates: readonly string[],
  publicUrl: string | undefined,
  now: number,
  renew: string,
): ReadinessFinding[] {
  const finding = (what: string): ReadinessFinding => ({ check: "certificate", what, sure: "certain", next: renew });
  const all = certificates.map((pem) => new X509Certificate(pem));
  const ofDates = all.flatMap((certificate) => {
    const ends = Date.parse(certificate.validTo);
    const about = `the certificate ${printable(certificate.subject.replaceAll("\n", ", "), 200)}`;
    if (ends <= now) return [finding(`${about} expired on ${isoDay(ends)}`)];
    if (Date.parse(certificate.validFrom) > now)
      return [finding(`${about} is valid only from ${isoDay(Date.parse(certificate.validFrom))} on`)];
    return ends - now < WARN_DAYS * DAY ? [finding(`${about} expires on ${isoDay(ends)}`)] : [];
  });
  const [server] = all;
  const host = publicUrl?.startsWith("https:") ? hostOf(publicUrl) : undefined;
  const namesHost = !server || host === undefined || isForHost(server, host);
  return namesHost ? ofDates : [...ofDates, finding(`the certificate does not name ${host}, by which clients reach chp`)];
}

/** The certificates that a client must trust: the self-signed ones of a chain, else its last. All PEM. */
export function trustAnchors(certificates: readonly string[]): string[] {
  const selfSigned = certificates.filter((pem) => {
    const { subject, issuer } = new X509Certificate(pem);
    return subject === issuer;
  });
  return selfSigned.length > 0 ? selfSigned : certificates.slice(-1);
}
