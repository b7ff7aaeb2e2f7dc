/** Certificates of TLS servers: read from PEM, and held against their key, their chain, the time and the names that clients use. */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Finding } from "../catalog/finding.ts";
import { Failure, printable, reason, refused } from "../errors.ts";

/** Days before its end from which on a certificate is worth a warning. */
export const WARN_DAYS = 30;

const DAY = 24 * 60 * 60 * 1000;
const MIN_RSA_BITS = 2048;

/** What a TLS listener needs, PEM: the server's certificate with those between it and the root, and its private key. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** DNS names and addresses that it is for */
  readonly names: readonly string[];
  /** RFC 3339 */
  readonly notBefore: string;
  /** RFC 3339 */
  readonly notAfter: string;
  /** sha256 of its DER, as openssl prints it */
  readonly fingerprint: string;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----/gs;

type Kind = "certificate" | "key";
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["CERTIFICATE", "certificate"],
  ["X509 CERTIFICATE", "certificate"],
  ["PRIVATE KEY", "key"],
  ["EC PRIVATE KEY", "key"],
  ["RSA PRIVATE KEY", "key"],
  ["ENCRYPTED PRIVATE KEY", "key"],
]);

interface Blocks {
  readonly certificates: readonly X509Certificate[];
  readonly keys: readonly KeyObject[];
}

/** Certificates and private keys of a PEM text, in their order. `what` names it in messages. Throws a `refused` failure. */
export function readPem(text: string, what: string): Blocks {
  const blocks = [...text.matchAll(BLOCK)].map(([pem, label = ""]) => ({ pem, kind: KINDS.get(label) }));
  const begun = text.match(/-----BEGIN [A-Z0-9 ]+-----/g)?.length ?? 0;
  if (begun > blocks.length) throw refused(`${what} is cut off: a PEM block begins and does not end`);
  const all = (kind: Kind) => blocks.filter((block) => block.kind === kind).map(({ pem }) => pem);
  return {
    certificates: all("certificate").map((pem, i) => readCertificate(pem, `certificate ${i + 1} of ${what}`)),
    keys: all("key").map((pem) => readKey(pem, what)),
  };
}

function readCertificate(pem: string, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw refused(`${what} is not readable: ${printable(reason(error), 200)}`, { cause: error });
  }
}

function readKey(pem: string, what: string): KeyObject {
  if (pem.includes("ENCRYPTED"))
    throw refused(`the private key in ${what} is encrypted`, { next: "openssl pkey -in KEY -out PLAIN takes the passphrase off" });
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw refused(`the private key in ${what} is not readable`, { cause: error });
  }
}

/**
 * The one key and the certificates of `text`, which must fit each other: the server's certificate first, each followed by its issuer.
 * Throws a `refused` failure.
 */
export function readPair(text: string, what: string): Pair {
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
    const at = certificates.findIndex((one) => one.checkPrivateKey(key));
    throw at < 0
      ? refused(`the private key in ${what} belongs to another certificate than ${nameOf(leaf)}`)
      : refused(`the private key in ${what} belongs to certificate ${at + 1}, ${nameOf(certificates[at] ?? leaf)}, not to the first one`, {
          next: "the server's certificate comes first, then its issuer, then that one's",
        });
  }
  for (const [i, one] of certificates.entries()) {
    const issuer = certificates[i + 1];
    if (issuer && !isIssuedBy(one, issuer))
      throw refused(`certificate ${i + 2} of ${what}, ${nameOf(issuer)}, did not issue certificate ${i + 1}, ${nameOf(one)}`, {
        next: "the server's certificate comes first, then its issuer, then that one's",
      });
  }
  return { cert: certificates.map(String).join(""), key: exportKey(key) };
}

/** Of what a server here and its clients agree on. */
function checkKey(key: KeyObject, what: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === "rsa" && bits < MIN_RSA_BITS)
    throw refused(`the RSA key in ${what} has ${bits} bits; clients refuse less than ${MIN_RSA_BITS}`);
  if (!["rsa", "ec", "ed25519"].includes(key.asymmetricKeyType ?? ""))
    throw refused(`the private key in ${what} is of type ${key.asymmetricKeyType}; EC, RSA and Ed25519 are taken`);
}

function exportKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

function isIssuedBy(one: X509Certificate, issuer: X509Certificate): boolean {
  return one.checkIssued(issuer) && one.verify(issuer.publicKey);
}

function chainOf(cert: string): readonly X509Certificate[] {
  return readPem(cert, "the certificate").certificates;
}

function leafOf(cert: string): X509Certificate {
  const [leaf] = chainOf(cert);
  if (!leaf) throw new Failure("failed", "there is no certificate in what is kept");
  return leaf;
}

/** Throws a `refused` failure where a certificate of the chain does not hold at `now` (milliseconds). */
export function checkTime(cert: string, now: number): void {
  for (const one of chainOf(cert)) {
    const [from, to] = [Date.parse(one.validFrom), Date.parse(one.validTo)];
    if (to <= now) throw refused(`the certificate ${nameOf(one)} expired on ${day(to)}`);
    if (from > now)
      throw refused(`the certificate ${nameOf(one)} does not hold before ${day(from)}`, { next: "is this machine's clock right?" });
  }
}

/** What is worth a thought of a certificate that is served: names that clients will miss, and its end. `url`: the public URL. */
export function warningsOf(cert: string, url: string | undefined, now: number): string[] {
  const leaf = leafOf(cert);
  const host = url === undefined ? undefined : hostOf(url);
  const end = Math.min(...chainOf(cert).map((one) => Date.parse(one.validTo)));
  const days = Math.floor((end - now) / DAY);
  return [
    ...(leaf.subjectAltName ? [] : ["the certificate has no subject alternative names: Juju and snapd refuse it"]),
    ...(leaf.subjectAltName && host !== undefined && !covers(leaf, host)
      ? [`the certificate is not for ${host}, the host of the public URL, but for ${namesOf(leaf).join(", ")}`]
      : []),
    ...(days < 0 ? [`the certificate expired on ${day(end)}: clients refuse it`] : []),
    ...(days >= 0 && days <= WARN_DAYS ? [`the certificate expires on ${day(end)}, in ${days} day${days === 1 ? "" : "s"}`] : []),
  ];
}

/** The host of a URL or of `host[:port]`, an IPv6 address without its brackets. */
export function hostOf(place: string): string {
  return new URL(place.includes("://") ? place : `http://${place}`).hostname.replace(/^\[|\]$/g, "");
}

function covers(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) ? leaf.checkIP(host) : leaf.checkHost(host)) !== undefined;
}

export function factsOf(cert: string): CertificateFacts {
  const leaf = leafOf(cert);
  return {
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    names: namesOf(leaf),
    notBefore: new Date(leaf.validFrom).toISOString(),
    notAfter: new Date(leaf.validTo).toISOString(),
    fingerprint: leaf.fingerprint256,
  };
}

/** The certificate that clients have to trust: the self-signed one at the end of the chain. Undefined where the chain ends before it. */
export function rootOf(cert: string): string | undefined {
  const last = chainOf(cert).at(-1);
  return last && isIssuedBy(last, last) ? last.toString() : undefined;
}

function namesOf(leaf: X509Certificate): string[] {
  return (leaf.subjectAltName ?? "").split(", ").flatMap((one) => {
    const name = /^(?:DNS|IP Address):(.*)$/.exec(one)?.[1];
    if (name === undefined) return [];
    return isIP(name) === 6 ? hostOf(`http://[${name}]`) : name;
  });
}

function nameOf(one: X509Certificate): string {
  return printable(oneLine(one.subject) || `number ${one.serialNumber}`, 200);
}

function oneLine(name: string): string {
  return name.trim().replaceAll("\n", ", ");
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** Of the certificates that chp shows and of the name that clients reach it by. `now`: milliseconds; `renew`: what to do next. */
export function certificateFindings(certificates: readonly string[], publicUrl: string | undefined, now: number, renew: string): Finding[] {
  const finding = (what: string): Finding => ({ check: "certificate", what, sure: "certain", next: renew });
  const all = certificates.map((pem) => new X509Certificate(pem));
  const dates = all.flatMap((one) => {
    const ends = Date.parse(one.validTo);
    const about = `the certificate ${printable(one.subject.replaceAll("\n", ", "), 200)}`;
    if (ends <= now) return [finding(`${about} expired on ${day(ends)}`)];
    if (Date.parse(one.validFrom) > now) return [finding(`${about} is valid only from ${day(Date.parse(one.validFrom))} on`)];
    return ends - now < WARN_DAYS * DAY ? [finding(`${about} expires on ${day(ends)}`)] : [];
  });
  const [server] = all;
  const host = publicUrl?.startsWith("https:") ? hostOf(publicUrl) : undefined;
  const named = !server || host === undefined || (isIP(host) ? server.checkIP(host) : server.checkHost(host)) !== undefined;
  return named ? dates : [...dates, finding(`the certificate does not name ${host}, by which clients reach chp`)];
}

/** What a client must trust: the self-signed ones of a chain, else its last. */
export function anchorsOf(certificates: readonly string[]): string[] {
  const own = certificates.filter((pem) => {
    const { subject, issuer } = new X509Certificate(pem);
    return subject === issuer;
  });
  return own.length > 0 ? own : certificates.slice(-1);
}
