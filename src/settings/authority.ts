/** chp's own certificate authority, and the server certificates that it issues. EC keys of P-256, all PEM. */

import { createPrivateKey } from "node:crypto";
import { isIP } from "node:net";
import type { X509CertificateGenerator } from "@peculiar/x509";
import { Failure, printable } from "../errors.ts";

/** A certificate and its private key, both PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  /** PKCS #8 */
  readonly key: string;
}

const DAY = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
/** Apple's verifier refuses certificates that are valid for longer, whoever issued them. */
const SERVER_DAYS = 825;
/** Clocks of machines without internet differ. */
const BACKDATED = DAY;
/** characters, by X.520 */
const MAX_COMMON_NAME = 64;

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Loaded only by the command that makes certificates; the library needs the polyfill before it. */
async function loadX509() {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** A new authority of that name. `now`: milliseconds. */
export async function createAuthority(name: string, now: number): Promise<IssuedCertificate> {
  const x509 = await loadX509();
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name.slice(0, MAX_COMMON_NAME)] }],
    notBefore: new Date(now - BACKDATED),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY),
    signingAlgorithm: KEY_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: toPem(certificate), key: await exportCryptoKey(keys.privateKey) };
}

/** A new server certificate of `authority` for these names and addresses, valid at most as long as the authority. `now`: milliseconds. */
export async function issueServer(authority: IssuedCertificate, names: readonly string[], now: number): Promise<IssuedCertificate> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await generateKeys();
  const short = names.find((name) => name.length <= MAX_COMMON_NAME);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: short === undefined ? [] : [{ CN: [short] }],
    issuer: issuer.subjectName,
    notBefore: new Date(now - BACKDATED),
    notAfter: new Date(Math.min(now + SERVER_DAYS * DAY, issuer.notAfter.getTime())),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importCryptoKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? ("ip" as const) : ("dns" as const), value })),
        short === undefined,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: toPem(certificate), key: await exportCryptoKey(keys.privateKey) };
}

/** A DNS name, which may begin with `*.`, or an address, as it is written in a certificate. Throws a `usage` failure. */
export function checkCertificateName(text: string): string {
  const bare = text.trim().replace(/^\[(.*)\]$/, "$1");
  if (isIP(bare) && !bare.includes("%")) return bare;
  const name = bare.toLowerCase().replace(/\.$/, "");
  const label = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
  if (name.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`).test(name) && !/^[\d.]+$/.test(name)) return name;
  throw new Failure("usage", `--name: ${printable(text, 100)} is neither a host name nor an address`, {
    next: "name them without protocol and port: --name hub.lan --name 10.0.0.5",
  });
}

function generateKeys() {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
}

async function exportCryptoKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" });
}

function importCryptoKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return crypto.subtle.importKey("pkcs8", new Uint8Array(der), KEY_ALGORITHM, false, ["sign"]);
}

function toPem(certificate: Awaited<ReturnType<typeof X509CertificateGenerator.create>>): string {
  return `${certificate.toString("pem").trimEnd()}\n`;
}
