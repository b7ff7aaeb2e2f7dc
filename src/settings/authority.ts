/** chp's own certificate authority: it and the server certificates that it issues. EC keys of P-256, all PEM. */

import { createPrivateKey } from "node:crypto";
import { isIP } from "node:net";
import type { X509CertificateGenerator } from "@peculiar/x509";
import { Failure, printable } from "../errors.ts";

export interface Issued {
  readonly certificate: string;
  /** PKCS #8 */
  readonly key: string;
}

const DAY = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
/** Apple's verifier takes no longer ones, whoever issued them. */
const SERVER_DAYS = 825;
/** Clocks of machines without internet differ. */
const BACKDATED = DAY;
/** X.520's bound of a common name */
const MAX_COMMON_NAME = 64;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Only the command that makes certificates waits for the library; it needs the polyfill before it. */
async function library() {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** A new authority of that name. `now`: milliseconds. */
export async function createAuthority(name: string, now: number): Promise<Issued> {
  const x509 = await library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name.slice(0, MAX_COMMON_NAME)] }],
    notBefore: new Date(now - BACKDATED),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** A new server certificate below `authority` for these names and addresses; it ends with the authority at the latest. `now`: milliseconds. */
export async function issueServer(authority: Issued, names: readonly string[], now: number): Promise<Issued> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await newKeys();
  const short = names.find((name) => name.length <= MAX_COMMON_NAME);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: short === undefined ? [] : [{ CN: [short] }],
    issuer: issuer.subjectName,
    notBefore: new Date(now - BACKDATED),
    notAfter: new Date(Math.min(now + SERVER_DAYS * DAY, issuer.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
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
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** A DNS name, which may begin with `*.`, or an address, as a certificate names it. Throws a `usage` failure. */
export function checkName(text: string): string {
  const bare = text.trim().replace(/^\[(.*)\]$/, "$1");
  if (isIP(bare) && !bare.includes("%")) return bare;
  const name = bare.toLowerCase().replace(/\.$/, "");
  const label = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
  if (name.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`).test(name) && !/^[\d.]+$/.test(name)) return name;
  throw new Failure("usage", `--name: ${printable(text, 100)} is neither a host name nor an address`, {
    next: "name them without protocol and port: --name hub.lan --name 10.0.0.5",
  });
}

function newKeys() {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" });
}

function importKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return crypto.subtle.importKey("pkcs8", new Uint8Array(der), ALGORITHM, false, ["sign"]);
}

function pemOf(certificate: Awaited<ReturnType<typeof X509CertificateGenerator.create>>): string {
  return `${certificate.toString("pem").trimEnd()}\n`;
}
