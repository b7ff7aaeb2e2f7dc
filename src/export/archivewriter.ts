/** Writes one archive: bytes in memory and downloads, several files at once, each straight to its place in the archive. */

import type { ReadAt } from "../archives/archive.ts";
import { IMAGES_FOLDER } from "../archives/imagemanifest.ts";
import { formatSums, type SecretKey, SIGNATURE_FILE, SUMS_FILE, sign } from "../archives/signature.ts";
import { Layout, type Piece, PieceWriter, payloadOf, type RandomAccessOutput } from "../archives/tarball.ts";
import { type BeginSums, type StreamSums, type Sums, sumsHere } from "../digest.ts";
import type { Failure } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { type DownloadTarget, type HttpClient, Unavailable, type UpstreamFile } from "./client.ts";
import { AGENTS_FOLDER, type PackedFile, type PackedPackage } from "./pack.ts";

/** An archive that is being written, and how much of each file an earlier run wrote. */
export interface ArchiveOutput extends RandomAccessOutput {
  /** Makes sure that there is space for an archive of so many bytes. Throws where there is not. */
  reserve(length: number): Promise<void>;
  /** how many bytes of the payload with that digest an earlier run wrote to the same place */
  resumableBytes(piece: Piece, digest: string): number;
  /** Records that so many bytes of a payload are written; cheap enough for every chunk. */
  recordWritten(piece: Piece, digest: string, bytes: number): Promise<void>;
}

/** Reports the downloads of one label. */
export interface FetchProgress {
  /** negative: so many bytes have to be downloaded again */
  advance(bytes: number): void;
  end(isComplete: boolean): void;
}

/** `documented`: a .tar.gz of one NAME.tar.gz a package; `snap`: a .tar.gz of one snap's files; `site`: a .tar of folders. */
export type ArchiveForm = "documented" | "snap" | "site";

export interface ArchiveWriterOptions {
  readonly output: ArchiveOutput;
  readonly client: HttpClient;
  readonly form: ArchiveForm;
  /** downloads at once */
  readonly parallel: number;
  /** where files are hashed; in this thread by default */
  readonly sums?: BeginSums;
  /** called for each label before its downloads; `size`: bytes of all its files */
  readonly onFetch?: (label: string, size: number) => FetchProgress;
}

/** A package of which a file could not be downloaded. */
export interface FailedDownload {
  readonly packed: PackedPackage;
  readonly failure: Failure;
}

interface PlacedFile {
  readonly packed: PackedPackage;
  readonly file: PackedFile;
  readonly piece: Piece;
}

export class ArchiveWriter {
  readonly #options: ArchiveWriterOptions;
  readonly #layout: Layout;
  readonly #placed: PlacedFile[] = [];
  readonly #sums = new Map<Piece, Sums>();
  #fetched = 0;

  constructor(options: ArchiveWriterOptions) {
    this.#options = options;
    this.#layout = new Layout({ compress: options.form !== "site" });
  }

  /** Downloaded bytes. */
  get fetched(): number {
    return this.#fetched;
  }

  /**
   * Lays out packages and writes their files. Returns the packages that have a file that could not be downloaded: then the archive cannot
   * be finished. `failFast`: throws the first such failure.
   */
  async add(packages: readonly PackedPackage[], options: { readonly failFast?: boolean } = {}): Promise<FailedDownload[]> {
    const placed = packages.flatMap((packed) => this.#place(packed));
    this.#placed.push(...placed);
    await this.#options.output.reserve(this.#layout.length);
    const progress = this.#progressByLabel(placed);
    const failed: FailedDownload[] = [];
    await mapBounded(placed, this.#options.parallel, async ({ packed, file, piece }, signal) => {
      const ofLabel = progress.get(file.label ?? "");
      if (failed.some((download) => download.packed === packed)) return ofLabel?.end(false);
      try {
        await this.#write(file, piece, ofLabel, signal);
        ofLabel?.end(true);
      } catch (error) {
        ofLabel?.end(false);
        // Anything else, like a full disk, concerns all packages.
        if (!(error instanceof Unavailable) || options.failFast) throw error;
        failed.push({ packed, failure: error });
      }
    });
    return failed;
  }

  #place(packed: PackedPackage): PlacedFile[] {
    const files = packed.files.map((file) => ({ path: file.path, size: packedSize(file) }));
    const pieces = this.#pieces(packed, files);
    return packed.files.flatMap((file, i) => {
      const piece = pieces[i];
      return piece ? [{ packed, file, piece }] : [];
    });
  }

  #pieces({ name, type }: PackedPackage, files: readonly { readonly path: string; readonly size: number }[]): Piece[] {
    const { form } = this.#options;
    if (form === "documented") return this.#layout.container(`${name}.tar.gz`, files);
    const folder = form === "snap" ? "" : FOLDERS[type](name);
    return files.map(({ path, size }) => this.#layout.file(folder + path, size));
  }

  /** One report for each label; it ends with the last of its files. */
  #progressByLabel(placed: readonly PlacedFile[]): Map<string, FetchProgress> {
    const labels = new Map<string, { size: number; left: number; isComplete: boolean }>();
    for (const { file } of placed) {
      if (file.label === undefined) continue;
      const state = labels.get(file.label) ?? { size: 0, left: 0, isComplete: true };
      labels.set(file.label, { ...state, size: state.size + packedSize(file), left: state.left + 1 });
    }
    const all = [...labels].flatMap(([label, state]): [string, FetchProgress][] => {
      const progress = this.#options.onFetch?.(label, state.size);
      if (!progress) return [];
      const end = (isComplete: boolean) => {
        state.left -= 1;
        state.isComplete &&= isComplete;
        if (state.left === 0) progress.end(state.isComplete);
      };
      return [[label, { advance: (bytes) => progress.advance(bytes), end }]];
    });
    return new Map(all);
  }

  async #write(file: PackedFile, piece: Piece, progress: FetchProgress | undefined, signal: AbortSignal): Promise<void> {
    const { content } = file;
    if ("url" in content) await this.#fetch(content, file.label ?? file.path, piece, progress, signal);
    else await this.#copy(content instanceof Uint8Array ? readerOf(content) : content, piece);
  }

  /** Progress of local bytes is not recorded: they are quickly written again. */
  async #copy(from: ReadAt, piece: Piece): Promise<void> {
    const writer = new PieceWriter(piece, this.#options.output);
    const hashed = (this.#options.sums ?? sumsHere)([], from.size);
    try {
      for (let at = 0; at < from.size; at += MIB) {
        this.#options.client.throwIfInterrupted();
        const chunk = await from.bytes(at, Math.min(from.size, at + MIB));
        await Promise.all([hashed.update(chunk), writer.write(chunk)]);
      }
      await writer.end();
      this.#sums.set(piece, await hashed.sums());
    } finally {
      hashed.discard();
    }
  }

  async #fetch(file: UpstreamFile, label: string, piece: Piece, progress: FetchProgress | undefined, signal: AbortSignal): Promise<void> {
    const { output, client, sums = sumsHere } = this.#options;
    const advance = (bytes: number) => progress?.advance(bytes);
    const download = new PieceDownload({ piece, output, file, signal, advance, sums });
    try {
      await download.resume();
      try {
        await client.download(`cannot fetch ${label}`, file, download);
      } finally {
        this.#fetched += download.fetched;
        await download.flush();
      }
      this.#sums.set(piece, await download.end());
    } finally {
      download.discard();
    }
  }

  /** The bytes of a file of a package that was added without a failure. */
  read(packed: PackedPackage, path: string): ReadAt | undefined {
    const found = this.#placed.find(({ packed: owner, file }) => owner === packed && file.path === path);
    return found && payloadOf(found.piece, this.#options.output);
  }

  /** The same package with its bytes read from this archive, to be written into another. */
  contentsOf(packed: PackedPackage): PackedPackage {
    return { ...packed, files: packed.files.map((file) => ({ ...file, content: this.read(packed, file.path) ?? file.content })) };
  }

  /** Adds files at the top, the checksums of all and their signature. `now`: milliseconds. Gives the length of the archive in bytes. */
  async finish(
    texts: readonly { readonly path: string; readonly content: Uint8Array }[],
    key: SecretKey | undefined,
    now: number,
  ): Promise<number> {
    for (const { path, content } of texts) await this.#addText(path, content);
    const list = formatSums([...this.#sums].map(([{ path }, { "sha-256": sha256 }]) => ({ path, sha256 })));
    await this.#addText(SUMS_FILE, Buffer.from(list));
    if (key) await this.#addText(SIGNATURE_FILE, Buffer.from(sign(list, key, { now })));
    for (const piece of this.#layout.end()) await new PieceWriter(piece, this.#options.output).end();
    return this.#layout.length;
  }

  /** A file at the top of the archive. */
  #addText(path: string, content: Uint8Array): Promise<void> {
    return this.#copy(readerOf(content), this.#layout.file(path, content.byteLength));
  }
}

/** Where the files of a package lie in an archive of folders. */
const FOLDERS: { readonly [T in PackedPackage["type"]]: (name: string) => string } = {
  charm: (name) => `charms/${name}/`,
  bundle: (name) => `charms/${name}/`,
  snap: (name) => `snaps/${name}/`,
  image: () => `${IMAGES_FOLDER}/`,
  agent: () => `${AGENTS_FOLDER}/`,
};

const MIB = 2 ** 20;

/** Bytes in memory, to be read like a file. */
export function readerOf(bytes: Uint8Array): ReadAt {
  return { size: bytes.byteLength, bytes: async (start, end) => bytes.subarray(start, end) };
}

function packedSize({ content }: PackedFile): number {
  return content instanceof Uint8Array ? content.byteLength : content.size;
}

interface PieceDownloadOptions {
  readonly piece: Piece;
  readonly output: ArchiveOutput;
  readonly file: UpstreamFile;
  readonly signal: AbortSignal;
  readonly advance: (bytes: number) => void;
  readonly sums: BeginSums;
}

/** A download that is written to its place in the archive. */
class PieceDownload implements DownloadTarget {
  readonly signal: AbortSignal;
  readonly #piece: Piece;
  readonly #output: ArchiveOutput;
  readonly #file: UpstreamFile;
  readonly #advance: (bytes: number) => void;
  readonly #begin: BeginSums;
  #writer: PieceWriter;
  #hashed: StreamSums;
  #sums: Sums | undefined;
  at = 0;
  /** downloaded bytes */
  fetched = 0;

  constructor({ piece, output, file, signal, advance, sums }: PieceDownloadOptions) {
    [this.#piece, this.#output, this.#file, this.signal, this.#advance, this.#begin] = [piece, output, file, signal, advance, sums];
    this.#writer = new PieceWriter(piece, output);
    this.#hashed = sums([file.algorithm], file.size);
  }

  /** Continues after the bytes that an earlier run wrote. */
  async resume(): Promise<void> {
    const kept = this.#output.resumableBytes(this.#piece, this.#file.digest);
    if (kept > 0) await this.#writer.replay(kept, (chunk) => this.#hashed.update(chunk));
    this.at = kept;
    this.#advance(kept);
  }

  async write(chunk: Uint8Array): Promise<void> {
    await Promise.all([this.#hashed.update(chunk), this.#writer.write(chunk)]);
    this.at += chunk.byteLength;
    this.fetched += chunk.byteLength;
    this.#advance(chunk.byteLength);
    await this.#recordProgress();
  }

  async restart(): Promise<void> {
    await this.#writer.flush();
    this.#advance(-this.at);
    this.#writer = new PieceWriter(this.#piece, this.#output);
    this.#hashed.discard();
    this.#hashed = this.#begin([this.#file.algorithm], this.#file.size);
    this.at = 0;
    await this.#recordProgress();
  }

  /** Afterwards a later run can resume from here. */
  async flush(): Promise<void> {
    await this.#writer.flush();
    await this.#recordProgress();
  }

  #recordProgress(): Promise<void> {
    return this.#output.recordWritten(this.#piece, this.#file.digest, this.#writer.landed);
  }

  async sums(): Promise<Sums> {
    this.#sums = await this.#hashed.sums();
    return this.#sums;
  }

  /** Ends a download with the right digest; returns its checksums. */
  async end(): Promise<Sums> {
    await this.#writer.end();
    return this.#sums ?? this.sums();
  }

  discard(): void {
    this.#hashed.discard();
  }
}
