/** The certificate that chp serves: of files, or of the store. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { Failure, reason } from "../../src/errors.ts";
import type { IssuedCertificate } from "../../src/settings/authority.ts";
import { type CertificateAndKey, readCertificateAndKey, readPem, rootOfChain } from "../../src/settings/certificate.ts";
import type { SettingValue } from "../../src/settings/config.ts";
import type { Store } from "../../store/store.ts";

const CHECK_INTERVAL = 1000;

const Kept = v.object({ certificate: v.string(), authority: v.optional(v.string()), names: v.optional(v.array(v.string()), []) });
const Keys = v.object({ keys: v.array(v.string()) });
const AuthorityText = v.object({ certificate: v.string(), key: v.string() });

/** What the store keeps of its certificate, all of it public. PEM. */
export type KeptCertificate = v.InferOutput<typeof Kept>;

/** Undefined where none was imported. */
export async function keptCertificate(store: Store): Promise<KeptCertificate | undefined> {
  const text = await store.tls();
  if (Object.keys(text).length === 0) return undefined;
  const parsed = v.safeParse(Kept, text);
  if (parsed.success && isReadable(parsed.output.certificate) && isReadable(parsed.output.authority)) return parsed.output;
  throw new Failure("failed", `${store.storage.place}/tls.json is not readable`, {
    next: "remove that file, and run chp import-certificate again",
  });
}

function isReadable(pem: string | undefined): boolean {
  try {
    return pem === undefined || readPem(pem, "it").certificates.length > 0;
  } catch {
    return false;
  }
}

/** Keeps a certificate and its key in place of the one before. */
export async function keepCertificate(store: Store, kept: KeptCertificate, key: string): Promise<void> {
  const before = v.safeParse(Keys, await store.tlsSecret());
  await store.writeTls({ ...kept }, { keys: [key, ...(before.success ? before.output.keys.slice(0, 1) : [])] });
}

/** The store's own authority, with its key; undefined where there is none. */
export async function ownAuthority(store: Store): Promise<IssuedCertificate | undefined> {
  const parsed = v.safeParse(AuthorityText, await store.authority());
  return parsed.success ? parsed.output : undefined;
}

/** What clients have to trust to take the store's certificate: one certificate, PEM. Undefined where the store does not hold it. */
export function trustedCertificate(kept: KeptCertificate): string | undefined {
  return kept.authority ?? rootOfChain(kept.certificate);
}

/** The certificate that a server would show, without its key; undefined where none is set. */
export async function servedCertificate(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<KeptCertificate | undefined> {
  const file = settings.get("tls-cert")?.values[0];
  if (file === undefined) return keptCertificate(store);
  const { certificates } = readPem(readText(file, "tls-cert"), file);
  if (certificates.length === 0) throw new Failure("usage", `there is no certificate in ${file}, the tls-cert`);
  return { certificate: certificates.map(String).join(""), names: [] };
}

/** Certificates as PEM, the server's own first, its authority's last where that is held; none where no certificate is set. */
export async function trustedCertificates(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<string[]> {
  const served = await servedCertificate(store, settings);
  if (!served) return [];
  const chain = readPem(`${served.certificate}\n${served.authority ?? ""}`, "the certificate").certificates.map(String);
  return [...new Set(chain)];
}

/** What to do about a certificate that is not good. */
export const RENEW = "chp import-certificate takes in another, or makes one with --selfsigned";

/** Certificate and key that a server shows. Throws a failure where there are none, or where they don't fit each other. */
export async function servedPair(store: Store, settings: ReadonlyMap<string, SettingValue>): Promise<CertificateAndKey> {
  const [cert, key] = ["tls-cert", "tls-key"].map((name) => settings.get(name)?.values[0]);
  if (cert !== undefined && key !== undefined)
    return readCertificateAndKey(
      `${readText(cert, "tls-cert")}\n${cert === key ? "" : readText(key, "tls-key")}`,
      cert === key ? cert : `${cert} and ${key}`,
    );
  if (cert !== undefined || key !== undefined)
    throw new Failure("usage", `--tls-${cert === undefined ? "key" : "cert"} needs --tls-${cert === undefined ? "cert" : "key"} FILE`);
  const kept = await keptCertificate(store);
  if (!kept)
    throw new Failure("usage", "--tls-listen needs a certificate", {
      next: "chp import-certificate --selfsigned makes one; or name files with --tls-cert FILE --tls-key FILE",
    });
  return { cert: kept.certificate, key: await keyOf(store, kept) };
}

async function keyOf(store: Store, { certificate }: KeptCertificate): Promise<string> {
  const secret = await store.tlsSecret().catch((error: unknown) => {
    if (error instanceof Failure) throw error;
    throw new Failure("failed", `cannot read the private key in ${store.storage.place}/secrets: ${reason(error).split(",")[0]}`, {
      next: "run as the owner of the store",
      cause: error,
    });
  });
  const parsed = v.safeParse(Keys, secret);
  const leaf = new X509Certificate(certificate);
  const key = parsed.success ? parsed.output.keys.find((one) => leaf.checkPrivateKey(createPrivateKey(one))) : undefined;
  if (key !== undefined) return key;
  throw new Failure("failed", `${store.storage.place}/secrets lacks the private key of the certificate`, {
    next: "chp import-certificate takes both in again",
  });
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure("usage", `cannot read ${file}, the ${what}: ${reason(error).split(",")[0]}`, { cause: error });
  }
}

export interface Watch {
  readonly load: () => Promise<CertificateAndKey>;
  /** what is served now */
  readonly shown: CertificateAndKey;
  readonly renew: (pair: CertificateAndKey) => Promise<void>;
  /** told once for each thing that is wrong */
  readonly failed: (why: string) => void;
}

/** Looks each second whether certificate or key are others. What cannot be served leaves the old ones. Ends it when called. */
export function watchCertificate({ load, shown, renew, failed }: Watch): () => void {
  let [current, told, busy] = [shown, "", false];
  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const next = await load();
      if (next.cert !== current.cert || next.key !== current.key) {
        await renew(next);
        current = next;
      }
      told = "";
    } catch (error) {
      const why = reason(error);
      if (why !== told) failed(why);
      told = why;
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), CHECK_INTERVAL);
  return () => clearInterval(timer);
}
