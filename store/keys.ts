import { type Digest, isDigest } from "../src/digest.ts";

/**
 * Converts digests, numbers and names to keys and back. No other file joins paths of the store.
 *
 *     format.json                  {"format": 1}
 *     blobs/sha256/3f/3fa9…        immutable objects by their sha256
 *     catalog/0000000042.json      a generation
 *     config.json                  settings
 *     tls.json                     the certificate that is served
 *     trash/                       unreferenced blobs that gc moved there: TIME.SHA256
 *     secrets/                     passwords, keys, hashes of tokens; folder 0700, files 0600
 *     leases/                      who is changing the store: UUID.json, renewed
 *     quarantine/                  damaged files that chp verify moved there
 *     unfinished-copy.json         a copy that is being made here, or was interrupted
 *     tmp/                         files that are being written; managed by the storage
 */

/** The format that this chp writes, and the newest that it reads. */
export const FORMAT = 1;

export const FORMAT_KEY = "format.json";
/** A folder with it and without format.json is a copy that `chp backup` goes on with. */
export const UNFINISHED_COPY_KEY = "unfinished-copy.json";
export const CONFIG_KEY = "config.json";
export const OCI_SECRET_KEY = "secrets/oci-registry.json";
export const SESSION_SECRET_KEY = "secrets/session.json";
export const TOKENS_SECRET_KEY = "secrets/tokens.json";
export const TLS_KEY = "tls.json";
export const TLS_SECRET_KEY = "secrets/tls.json";
export const AUTHORITY_SECRET_KEY = "secrets/tls-ca.json";
export const CATALOG = "catalog/";
export const SECRETS = "secrets/";
export const QUARANTINE = "quarantine/";
export const TRASH = "trash/";
export const LEASES = "leases/";
/** The folders of blobs. */
export const BLOB_FOLDERS: readonly string[] = Array.from({ length: 256 }, (_, i) => `blobs/sha256/${i.toString(16).padStart(2, "0")}/`);

export function blobKey(digest: Digest): string {
  return `blobs/sha256/${digest.slice(0, 2)}/${digest}`;
}

/** The digest of a blob's key; undefined for other keys. */
export function blobDigest(key: string): Digest | undefined {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return isDigest(name) && key === blobKey(name) ? name : undefined;
}

/** `time`: of the move, in milliseconds. */
export function trashKey(digest: Digest, time: number): string {
  return `${TRASH}${Math.floor(time)}.${digest}`;
}

/** The blob of a key in the trash, and the time of its move in milliseconds; undefined for other keys. */
export function parseTrashKey(key: string): { readonly digest: Digest; readonly time: number } | undefined {
  const [, time = "", digest = ""] = /^trash\/(\d+)\.([0-9a-f]+)$/.exec(key) ?? [];
  return isDigest(digest) ? { digest, time: Number(time) } : undefined;
}

export function leaseKey(id: string): string {
  return `${LEASES}${id}.json`;
}

/** The id of a lease's key; undefined for other keys. */
export function leaseId(key: string): string | undefined {
  return /^leases\/([0-9a-f-]{36})\.json$/.exec(key)?.[1];
}

export function generationKey(number: number): string {
  return `${CATALOG}${String(number).padStart(10, "0")}.json`;
}

/** The number of a generation's key; undefined for other keys. */
export function generationNumber(key: string): number | undefined {
  const match = /^catalog\/(\d{10})\.json$/.exec(key);
  return match ? Number(match[1]) : undefined;
}
