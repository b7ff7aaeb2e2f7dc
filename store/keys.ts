import { type Digest, isDigest } from "../src/digest.ts";

/**
 * Converts digests, numbers and names to keys and back. No other file joins paths of the store.
 *
 *     format.json                  {"format": 2}
 *     blobs/sha256/3f/3fa9…        immutable objects by their sha256
 *     catalog/0000000042.json      a generation
 *     settings/0000000012.json     settings; the highest number is in force
 *     runs/0000000007.json         how the last imports and verifications ended
 *     trash/                       unreferenced blobs that gc moved there: TIME.SHA256
 *     secrets/                     passwords, keys, hashes of tokens, each named by settings; folder 0700, files 0600: NAME.NUMBER.UUID.json
 *     leases/                      who is changing the store: UUID.json, renewed
 *     marks/                       in a bucket, in place of trash/ and leases/: blobs that gc may delete (mark.UUID.json), is about to delete
 *                                  (act.UUID.json), or must not delete (save.UUID.json)
 *     quarantine/                  damaged files that chp verify moved there; in a bucket notes of what is damaged
 *     unfinished-copy.json         a copy that is being made here, or was interrupted
 *     tmp/                         files that are being written; managed by the storage
 */

/** The format that this chp writes, and the newest that it reads. */
export const FORMAT = 2;

export const FORMAT_KEY = "format.json";
/** A folder with it and without format.json is a copy that `chp backup` resumes. */
export const UNFINISHED_COPY_KEY = "unfinished-copy.json";
export const CATALOG = "catalog/";
export const SETTINGS = "settings/";
export const RUNS = "runs/";
export const SECRETS = "secrets/";
export const QUARANTINE = "quarantine/";
export const TRASH = "trash/";
export const LEASES = "leases/";
export const MARKS = "marks/";
/** What a store's folder has, and what a file system puts beside it. */
const OWN_NAMES = [
  FORMAT_KEY,
  UNFINISHED_COPY_KEY,
  "blobs",
  "catalog",
  "settings",
  "runs",
  "secrets",
  "quarantine",
  "trash",
  "leases",
  "marks",
  "tmp",
  "lost+found",
];

/** Whether an entry of a store's folder may be one of a store; a name with a dot at its beginning is nobody's. */
export function isOfStore(name: string): boolean {
  return name.startsWith(".") || OWN_NAMES.includes(name);
}

export const BLOBS = "blobs/sha256/";
/** The folders of blobs. */
export const BLOB_FOLDERS: readonly string[] = Array.from({ length: 256 }, (_, i) => `${BLOBS}${i.toString(16).padStart(2, "0")}/`);

export function blobKey(digest: Digest): string {
  return `blobs/sha256/${digest.slice(0, 2)}/${digest}`;
}

/** The digest of a blob's key; undefined for other keys. */
export function blobDigest(key: string): Digest | undefined {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return isDigest(name) && key === blobKey(name) ? name : undefined;
}

/** Where a damaged blob is, or, in a bucket, the note that it is damaged. */
export function quarantineKey(digest: Digest): string {
  return `${QUARANTINE}${digest}`;
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

/** What a record of gc and its publishers says: see marks.ts. */
export type MarkKind = "mark" | "act" | "save";

export function markKey(kind: MarkKind, id: string): string {
  return `${MARKS}${kind}.${id}.json`;
}

/** What the record of that key says; undefined for other keys. */
export function markKind(key: string): MarkKind | undefined {
  return /^marks\/(mark|act|save)\.[0-9a-f-]{36}\.json$/.exec(key)?.[1] as MarkKind | undefined;
}

export function generationKey(number: number): string {
  return numberedKey(CATALOG, number);
}

/** The number of a generation's key; undefined for other keys. */
export function generationNumber(key: string): number | undefined {
  return numberIn(CATALOG, key);
}

export function settingsKey(number: number): string {
  return numberedKey(SETTINGS, number);
}

/** The number of a key of settings; undefined for other keys. */
export function settingsNumber(key: string): number | undefined {
  return numberIn(SETTINGS, key);
}

export function runsKey(number: number): string {
  return numberedKey(RUNS, number);
}

/** The number of a key of runs; undefined for other keys. */
export function runsNumber(key: string): number | undefined {
  return numberIn(RUNS, key);
}

function numberedKey(folder: string, number: number): string {
  return `${folder}${String(number).padStart(10, "0")}.json`;
}

function numberIn(folder: string, key: string): number | undefined {
  const match = /^([a-z]+\/)(\d{10})\.json$/.exec(key);
  return match?.[1] === folder ? Number(match[2]) : undefined;
}

/** A new name for a secret that settings `number` will name. `name`: of the document. */
export function secretKey(name: string, number: number, unique: string): string {
  return `${SECRETS}${name}.${number}.${unique}.json`;
}

/** The number of the settings that a secret was written for; undefined for other keys. */
export function secretNumber(key: string): number | undefined {
  const match = /^secrets\/[A-Za-z]+\.(\d+)\.[0-9a-f-]{36}\.json$/.exec(key);
  return match ? Number(match[1]) : undefined;
}
