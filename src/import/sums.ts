/**
 * Checks the files of an import against the SHA256SUMS beside them, and its signature.
 *
 * A SHA256SUMS is of the folder or archive that it lies in. It lists every file there, at any depth and in nested archives
 * as in folders, or a whole archive by its own digest. It may come before what it lists or after it, out of an archive or
 * out of the folder that one was unpacked into.
 */

import { type FileLocation, located, locationParts, showLocation } from "../archives/archive.ts";
import { hasEnded, type PublicKey, readSignature, readSums, SIGNATURE_FILE, SUMS_FILE, verify } from "../archives/signature.ts";
import { signedTime } from "../catalog/freshness.ts";
import type { Signer } from "../catalog/generation-types.ts";
import type { Digest } from "../digest.ts";
import { type FailureOptions, refused } from "../errors.ts";
import { utf8 } from "../text.ts";

/** The known signers of a source. */
export interface SourceOrigin {
  readonly signers: readonly Signer[];
  /** of each file the outermost signature that covers it: that vouches for all in it, also for what was signed before */
  readonly vouchers: readonly Signer[];
  /** why the source does not count as signed by an accepted key; absent: it does */
  readonly unsignedBecause?: string;
  /** the key that a signature claims, if it is not accepted */
  readonly unknownKey?: string;
}

/** A file of an archive, or a whole source. */
export interface CheckedFile extends FileLocation {
  readonly sha256: Digest;
  /** path of the source that it is, or is in */
  readonly source: string;
  /** it is a source that has files in it */
  readonly isArchive?: boolean;
  /** chp has no use for it, so it need not be signed */
  readonly isIgnored?: boolean;
}

interface ChecksumList {
  readonly where: string;
  readonly bytes: Uint8Array;
  readonly sums: ReadonlyMap<string, Digest>;
}

const AGAIN: FailureOptions = { next: "it was changed or damaged on its way: get it again from where it was made" };
const WHOLE: FailureOptions = {
  next: `a ${SUMS_FILE} is checked as a whole: import what it lists and nothing else beside it, or files of your choice without it`,
};

const UNLISTED: SourceOrigin = { signers: [], vouchers: [], unsignedBecause: `it came without a ${SUMS_FILE}` };

/** Paths have the archives on the way as folders: `/media/usb/site.tar/kafka.tar.gz/kafka_195.charm`. */
export class ChecksumLists {
  readonly #accepted: readonly PublicKey[];
  readonly #now: string;
  readonly #entries = new Entries();
  /** by their folders */
  readonly #lists = new Map<string, ChecksumList>();
  readonly #signatures = new Map<string, { readonly where: string; readonly text: string }>();

  /** `now`: RFC 3339 */
  constructor(accepted: readonly PublicKey[], now: string) {
    this.#accepted = accepted;
    this.#now = now;
  }

  /** Takes in a file of the kind `checksums`. Throws a `refused` failure at `file` if it is no list. */
  take(path: string, bytes: Uint8Array, file: FileLocation): void {
    const slash = path.lastIndexOf("/");
    const folder = path.slice(0, Math.max(slash, 0));
    const where = showLocation(file);
    try {
      const text = utf8(bytes, "it");
      if (path.slice(slash + 1) === SIGNATURE_FILE) this.#signatures.set(folder, { where, text });
      else this.#lists.set(folder, { where, bytes, sums: readSums(text, "it") });
    } catch (error) {
      throw located(error, file);
    }
  }

  /** Takes in the digest of a file or of a whole source. Throws a `refused` failure where a list says otherwise. */
  add(path: string, entry: CheckedFile): void {
    if (!this.#entries.add(path, entry)) throw refused(`${showLocation(entry)} is there twice`);
    this.#check(path, entry);
  }

  /** The origin of every source with a used file, by its path. Throws a `refused` failure where lists and files differ or a signature is wrong. */
  finish(): ReadonlyMap<string, SourceOrigin> {
    for (const [folder, { where, sums }] of this.#lists)
      for (const path of sums.keys())
        if (!this.#entries.has(`${folder}/${path}`)) throw refused(`${where} lists ${path}, which is not there`, WHOLE);
    for (const [path, entry] of this.#entries) this.#check(path, entry);
    const known = this.#listOrigins();
    const origins = new Map<string, SourceOrigin>();
    for (const [path, entry] of this.#entries) {
      if (entry.isArchive || (known.size === 0 && origins.has(entry.source))) continue;
      const above = [...foldersAbove(path)].flatMap(([folder]) => known.get(folder) ?? []);
      // Every file below a signed list is in the list.
      const signed = above.filter((origin) => origin.unsignedBecause === undefined);
      const own = signed[0] ?? above[0] ?? UNLISTED;
      if (entry.isIgnored && own.unsignedBecause !== undefined) continue;
      const before = origins.get(entry.source);
      const signers = unique([...(before?.signers ?? []), ...own.signers]);
      const vouchers = unique([...(before?.vouchers ?? []), ...(signed.at(-1)?.signers ?? [])]);
      origins.set(entry.source, { ...own, ...before, signers, vouchers });
    }
    return origins;
  }

  /** Who signed each list, by the list's folder. */
  #listOrigins(): Map<string, SourceOrigin> {
    const found = new Map<string, SourceOrigin>();
    for (const folder of this.#lists.keys())
      found.set(folder, { signers: [], vouchers: [], unsignedBecause: `it has no ${SIGNATURE_FILE}` });
    for (const [folder, { where, text }] of this.#signatures) {
      const list = this.#lists.get(folder);
      if (!list) throw refused(`${where} has no ${SUMS_FILE} beside it`, WHOLE);
      const { keyId } = readSignature(text, where);
      if (!this.#accepted.some(({ id }) => id === keyId)) {
        const unsignedBecause = `its ${SIGNATURE_FILE} is by key ${keyId}, which is not trusted`;
        found.set(folder, { signers: [], vouchers: [], unsignedBecause, unknownKey: keyId });
        continue;
      }
      const { key, comment } = verify(list.bytes, text, this.#accepted, where);
      const signers = [{ key: key.id, name: key.comment, comment }];
      // Once it has ended nothing by it counts: who has the key may write any time into a signature.
      const isOver = hasEnded(key, this.#now) || hasEnded(key, signedTime(comment) ?? "");
      found.set(
        folder,
        isOver
          ? { signers: [], vouchers: [], unsignedBecause: `its ${SIGNATURE_FILE} is by key ${keyId}, which was trusted until ${key.until}` }
          : { signers, vouchers: signers },
      );
    }
    return found;
  }

  /** Checks a file against every list above it that is known by now. */
  #check(path: string, entry: CheckedFile): void {
    if (this.#lists.size === 0) return;
    for (const [folder, rest] of foldersAbove(path)) {
      const list = this.#lists.get(folder);
      if (!list || rest === SUMS_FILE || rest === SIGNATURE_FILE) continue;
      const digest = list.sums.get(rest);
      if (digest !== undefined && digest !== entry.sha256)
        throw refused(`its sha256 is ${entry.sha256}, but ${list.where} says ${digest}`, { ...AGAIN, at: locationParts(entry) });
      const ofSource = list.sums.has(entry.source.slice(folder.length + 1));
      if (digest === undefined && !ofSource && !entry.isArchive)
        throw refused(`${showLocation(entry)} is not listed in ${list.where}`, WHOLE);
    }
  }
}

/** Files by their paths. Each has its folder's text in common with the others there, and its name with its location: 20,000 paths take 3 MB. */
class Entries {
  readonly #folders = new Map<string, Map<string, CheckedFile>>();

  has(path: string): boolean {
    const slash = path.lastIndexOf("/");
    return this.#folders.get(path.slice(0, slash + 1))?.has(path.slice(slash + 1)) ?? false;
  }

  /** False: there is one of that path. */
  add(path: string, entry: CheckedFile): boolean {
    const slash = path.lastIndexOf("/");
    const folder = path.slice(0, slash + 1);
    const files = this.#folders.get(folder) ?? new Map<string, CheckedFile>();
    this.#folders.set(folder, files);
    const name = path.slice(slash + 1);
    if (files.has(name)) return false;
    files.set(name === entry.path ? entry.path : name, entry);
    return true;
  }

  *[Symbol.iterator](): Generator<readonly [path: string, entry: CheckedFile]> {
    for (const [folder, files] of this.#folders) for (const [name, entry] of files) yield [folder + name, entry];
  }
}

/** Every folder that a path lies below, the nearest first, with the rest of the path from there. */
function* foldersAbove(path: string): Generator<readonly [folder: string, rest: string]> {
  for (let at = path.lastIndexOf("/"); at >= 0; at = at === 0 ? -1 : path.lastIndexOf("/", at - 1))
    yield [path.slice(0, at), path.slice(at + 1)];
}

function unique(signers: readonly Signer[]): Signer[] {
  return [...new Map(signers.map((signer) => [JSON.stringify(signer), signer])).values()];
}
