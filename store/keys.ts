import type { Digest } from "../src/digest.ts";

/**
 * Typed things ⇄ keys. Nobody else joins paths.
 *
 *     format.json                  {"format": 1}
 *     blobs/sha256/3f/3fa9…        every immutable thing, by its sha256
 *     catalog/0000000042.json      a generation
 *     config.json                  settings
 *     tls.json                     the certificate that is served
 *     secrets/                     passwords and keys; folder 0700, files 0600
 *     tmp/                         what is being written; owned by the storage
 */

/** The format that this chp writes, and the newest that it reads. */
export const FORMAT = 1;

export const FORMAT_KEY = "format.json";
export const CONFIG_KEY = "config.json";
export const OCI_SECRET_KEY = "secrets/oci-registry.json";
export const SESSION_SECRET_KEY = "secrets/session.json";
export const TLS_KEY = "tls.json";
export const TLS_SECRET_KEY = "secrets/tls.json";
export const AUTHORITY_SECRET_KEY = "secrets/tls-ca.json";
export const CATALOG = "catalog/";

export function blobKey(digest: Digest): string {
  return `blobs/sha256/${digest.slice(0, 2)}/${digest}`;
}

export function generationKey(number: number): string {
  return `${CATALOG}${String(number).padStart(10, "0")}.json`;
}

/** The number of a generation's key; undefined for other keys. */
export function generationNumber(key: string): number | undefined {
  const match = /^catalog\/(\d{10})\.json$/.exec(key);
  return match ? Number(match[1]) : undefined;
}
