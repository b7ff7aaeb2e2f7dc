/** The certificate that chp serves, from files or from the store. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Failure, reason } from "../../src/errors.ts";
import { type CertificateAndKey, readCertificateAndKey, readPem, rootOfChain } from "../../src/settings/certificate.ts";
import type { SettingValue } from "../../src/settings/config.ts";
import type { StoredCertificate } from "../../store/settings.ts";
import type { Store } from "../../store/store.ts";

const CHECK_INTERVAL = 1000;

/** Replaces the stored certificate and its key. */
export async function storeCertificate(store: Store, certificate: StoredCertificate, key: string): Promise<void> {
  const [before] = (await store.settings.read("tlsSecret")).keys;
  await store.settings.writeCertificate(certificate, { keys: [key, ...(before === undefined ? [] : [before])] });
}

/** The root that clients must trust, PEM; undefined: the store does not have it. */
export function trustedCertificate({ authority, certificate }: StoredCertificate): string | undefined {
  return authority ?? rootOfChain(certificate);
}

/** The certificate that a server would present; undefined: none is set. */
export async function servedCertificate(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<StoredCertificate | undefined> {
  const file = settings.get("tls-cert")?.values[0];
  if (file === undefined) return store.settings.read("tls");
  const { certificates } = readPem(readCertificateFile(file, "tls-cert"), file);
  if (certificates.length === 0) throw new Failure("usage", `there is no certificate in ${file}, the tls-cert`);
  return { certificate: certificates.map(String).join(""), names: [] };
}

/** The chain as PEM: the server's certificate first, its authority last if that is stored. Empty: no certificate is set. */
export async function trustedCertificates(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<string[]> {
  const served = await servedCertificate(store, settings);
  if (!served) return [];
  const chain = readPem(`${served.certificate}\n${served.authority ?? ""}`, "the certificate").certificates.map(String);
  return [...new Set(chain)];
}

/** The next step for an invalid certificate. */
export const RENEW = "chp import-certificate imports another, or makes one with --selfsigned";

/** Certificate and key of a server. Fails if they are missing or do not match. */
export async function servedPair(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<CertificateAndKey> {
  const [cert, key] = ["tls-cert", "tls-key"].map((name) => settings.get(name)?.values[0]);
  if (cert !== undefined && key !== undefined)
    return readCertificateAndKey(
      `${readCertificateFile(cert, "tls-cert")}\n${cert === key ? "" : readCertificateFile(key, "tls-key")}`,
      cert === key ? cert : `${cert} and ${key}`,
    );
  if (cert !== undefined || key !== undefined)
    throw new Failure("usage", `--tls-${cert === undefined ? "key" : "cert"} needs --tls-${cert === undefined ? "cert" : "key"} FILE`);
  const stored = await store.settings.read("tls");
  if (!stored)
    throw new Failure("usage", "--tls-listen needs a certificate", {
      next: "chp import-certificate --selfsigned makes one; or name files with --tls-cert FILE --tls-key FILE",
    });
  return { cert: stored.certificate, key: await privateKeyOf(store, stored) };
}

async function privateKeyOf(store: Store, { certificate }: StoredCertificate): Promise<string> {
  const { keys } = await store.settings.read("tlsSecret").catch((error: unknown) => {
    if (error instanceof Failure) throw error;
    throw new Failure("failed", `cannot read the private key in ${store.storage.place}/secrets: ${reason(error).split(",")[0]}`, {
      next: "run as the owner of the store",
      cause: error,
    });
  });
  const leaf = new X509Certificate(certificate);
  const key = keys.find((pem) => leaf.checkPrivateKey(createPrivateKey(pem)));
  if (key !== undefined) return key;
  throw new Failure("failed", `${store.storage.place}/secrets has no private key of the certificate`, {
    next: "chp import-certificate takes both in again",
  });
}

function readCertificateFile(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure("usage", `cannot read ${file}, the ${what}: ${reason(error).split(",")[0]}`, { cause: error });
  }
}

export interface CertificateWatch {
  readonly load: () => Promise<CertificateAndKey>;
  /** the current certificate and key */
  readonly served: CertificateAndKey;
  readonly renew: (pair: CertificateAndKey) => Promise<void>;
  /** called once per problem, until it changes */
  readonly failed: (why: string) => void;
}

/** Checks every second whether certificate or key have changed. An invalid certificate leaves the old one in use. Returns a function that stops it. */
export function watchCertificate({ load, served, renew, failed }: CertificateWatch): () => void {
  let [current, reported, busy] = [served, "", false];
  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const next = await load();
      if (next.cert !== current.cert || next.key !== current.key) {
        await renew(next);
        current = next;
      }
      reported = "";
    } catch (error) {
      const why = reason(error);
      if (why !== reported) failed(why);
      reported = why;
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), CHECK_INTERVAL);
  return () => clearInterval(timer);
}
