/** Writes one archive: what is at hand and what is fetched, several files at once, each straight to where it stays. */

import type { ReadAt } from "../archives/archive.ts";
import { formatSums, type SecretKey, SIGNATURE_FILE, SUMS_FILE, sign } from "../archives/signature.ts";
import { Layout, type Piece, PieceWriter, payloadOf, type RandomAccessOutput } from "../archives/tarball.ts";
import { Summer, type Sums } from "../digest.ts";
import type { Failure } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { type DownloadTarget, type HttpClient, Unavailable, type UpstreamFile } from "./client.ts";
import type { PackedFile, PackedPackage } from "./pack.ts";

/** Where an unfinished archive lies, and what of it is there already. */
export interface ArchiveOutput extends RandomAccessOutput {
  /** Makes sure that there is room for so many bytes in all. */
  reserve(length: number): Promise<void>;
  /** bytes of that very payload that an earlier run left at that very place */
  kept(piece: Piece, digest: string): number;
  /** Notes that so many bytes of a payload are there; cheap enough for every chunk. */
  keep(piece: Piece, digest: string, bytes: number): Promise<void>;
}

/** Told of what is fetched; one a label. */
export interface FetchProgress {
  /** less than 0: what had come was of no use */
  advance(bytes: number): void;
  end(isWhole: boolean): void;
}

/** `documented`: a .tar.gz of one NAME.tar.gz a package; `snap`: a .tar.gz of one snap's files; `site`: a .tar of folders. */
export type ArchiveForm = "documented" | "snap" | "site";

export interface ArchiveWriterOptions {
  readonly output: ArchiveOutput;
  readonly client: HttpClient;
  readonly form: ArchiveForm;
  /** downloads at once */
  readonly parallel: number;
  /** `size`: bytes of all files of the label */
  readonly onFetch?: (label: string, size: number) => FetchProgress;
}

/** A package that could not be brought in whole. */
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

  /** Bytes that came over the network. */
  get fetched(): number {
    return this.#fetched;
  }

  /** Lays out packages and brings their files in. Those that can't be had are given back; the archive can't be finished then. */
  async add(packages: readonly PackedPackage[], options: { readonly failFast?: boolean } = {}): Promise<FailedDownload[]> {
    const placed = packages.flatMap((packed) => this.#place(packed));
    this.#placed.push(...placed);
    await this.#options.output.reserve(this.#layout.length);
    const fetching = this.#fetchings(placed);
    const broken: FailedDownload[] = [];
    await mapBounded(placed, this.#options.parallel, async ({ packed, file, piece }, signal) => {
      const told = fetching.get(file.label ?? "");
      if (broken.some((one) => one.packed === packed)) return told?.end(false);
      try {
        await this.#bring(file, piece, told, signal);
        told?.end(true);
      } catch (error) {
        told?.end(false);
        // Anything else, like a full disk, concerns them all.
        if (!(error instanceof Unavailable) || options.failFast) throw error;
        broken.push({ packed, failure: error });
      }
    });
    return broken;
  }

  #place(packed: PackedPackage): PlacedFile[] {
    const files = packed.files.map((file) => ({ path: file.path, size: sizeOf(file) }));
    const pieces = this.#pieces(packed, files);
    return packed.files.flatMap((file, i) => {
      const piece = pieces[i];
      return piece ? [{ packed, file, piece }] : [];
    });
  }

  #pieces({ name, type }: PackedPackage, files: readonly { readonly path: string; readonly size: number }[]): Piece[] {
    const { form } = this.#options;
    if (form === "documented") return this.#layout.container(`${name}.tar.gz`, files);
    const folder = form === "snap" ? "" : `${type === "snap" ? "snaps" : "charms"}/${name}/`;
    return files.map(({ path, size }) => this.#layout.file(folder + path, size));
  }

  /** One report a label; it ends with the last of its files. */
  #fetchings(placed: readonly PlacedFile[]): Map<string, FetchProgress> {
    const labels = new Map<string, { size: number; left: number; isWhole: boolean }>();
    for (const { file } of placed) {
      if (file.label === undefined) continue;
      const one = labels.get(file.label) ?? { size: 0, left: 0, isWhole: true };
      labels.set(file.label, { ...one, size: one.size + sizeOf(file), left: one.left + 1 });
    }
    const all = [...labels].flatMap(([label, one]): [string, FetchProgress][] => {
      const fetching = this.#options.onFetch?.(label, one.size);
      if (!fetching) return [];
      const end = (isWhole: boolean) => {
        one.left -= 1;
        one.isWhole &&= isWhole;
        if (one.left === 0) fetching.end(one.isWhole);
      };
      return [[label, { advance: (bytes) => fetching.advance(bytes), end }]];
    });
    return new Map(all);
  }

  async #bring(file: PackedFile, piece: Piece, fetching: FetchProgress | undefined, signal: AbortSignal): Promise<void> {
    const { content } = file;
    if ("url" in content) await this.#fetch(content, file.label ?? file.path, piece, fetching, signal);
    else await this.#copy(content instanceof Uint8Array ? readerOf(content) : content, piece);
  }

  /** Bytes at hand are there in a moment, so no run keeps account of them. */
  async #copy(from: ReadAt, piece: Piece): Promise<void> {
    const writer = new PieceWriter(piece, this.#options.output);
    const summer = new Summer();
    for (let at = 0; at < from.size; at += MIB) {
      this.#options.client.throwIfInterrupted();
      const chunk = await from.bytes(at, Math.min(from.size, at + MIB));
      summer.update(chunk);
      await writer.write(chunk);
    }
    await writer.end();
    this.#sums.set(piece, summer.sums());
  }

  async #fetch(file: UpstreamFile, label: string, piece: Piece, fetching: FetchProgress | undefined, signal: AbortSignal): Promise<void> {
    const { output: work, client: remote } = this.#options;
    const incoming = new PieceDownload(piece, work, file, signal, (bytes) => fetching?.advance(bytes));
    await incoming.resume();
    try {
      await remote.download(`cannot fetch ${label}`, file, incoming);
    } finally {
      this.#fetched += incoming.fetched;
      await incoming.settle();
    }
    this.#sums.set(piece, await incoming.end());
  }

  /** What a file of a package holds; it must have come. */
  read(packed: PackedPackage, path: string): ReadAt | undefined {
    const found = this.#placed.find((one) => one.packed === packed && one.file.path === path);
    return found && payloadOf(found.piece, this.#options.output);
  }

  /** The same package as it lies here, for another archive. */
  contentsOf(packed: PackedPackage): PackedPackage {
    return { ...packed, files: packed.files.map((file) => ({ ...file, content: this.read(packed, file.path) ?? file.content })) };
  }

  /** Adds what stands at the top, the sums of all and their signature; gives the length of the archive. */
  async finish(
    texts: readonly { readonly path: string; readonly content: Uint8Array }[],
    key: SecretKey | undefined,
    now: number,
  ): Promise<number> {
    for (const text of texts) await this.#text(text.path, text.content);
    const list = formatSums([...this.#sums].map(([{ path }, { "sha-256": sha256 }]) => ({ path, sha256 })));
    await this.#text(SUMS_FILE, Buffer.from(list));
    if (key) await this.#text(SIGNATURE_FILE, Buffer.from(sign(list, key, { now })));
    for (const piece of this.#layout.end()) await new PieceWriter(piece, this.#options.output).end();
    return this.#layout.length;
  }

  /** A file at the top of the archive. */
  #text(path: string, content: Uint8Array): Promise<void> {
    return this.#copy(readerOf(content), this.#layout.file(path, content.byteLength));
  }
}

const MIB = 2 ** 20;

function readerOf(bytes: Uint8Array): ReadAt {
  return { size: bytes.byteLength, bytes: async (start, end) => bytes.subarray(start, end) };
}

function sizeOf({ content }: PackedFile): number {
  return content instanceof Uint8Array ? content.byteLength : content.size;
}

/** A download on its way into its place. */
class PieceDownload implements DownloadTarget {
  readonly signal: AbortSignal;
  readonly #piece: Piece;
  readonly #work: ArchiveOutput;
  readonly #file: UpstreamFile;
  readonly #advance: (bytes: number) => void;
  #writer: PieceWriter;
  #summer: Summer;
  #sums: Sums | undefined;
  at = 0;
  /** bytes that came over the network */
  fetched = 0;

  constructor(piece: Piece, work: ArchiveOutput, file: UpstreamFile, signal: AbortSignal, advance: (bytes: number) => void) {
    [this.#piece, this.#work, this.#file, this.signal, this.#advance] = [piece, work, file, signal, advance];
    this.#writer = new PieceWriter(piece, work);
    this.#summer = new Summer([file.algorithm]);
  }

  /** Takes over what an earlier run left. */
  async resume(): Promise<void> {
    const kept = this.#work.kept(this.#piece, this.#file.digest);
    if (kept > 0) await this.#writer.replay(kept, (chunk) => this.#summer.update(chunk));
    this.at = kept;
    this.#advance(kept);
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#summer.update(chunk);
    await this.#writer.write(chunk);
    this.at += chunk.byteLength;
    this.fetched += chunk.byteLength;
    this.#advance(chunk.byteLength);
    await this.#note();
  }

  async restart(): Promise<void> {
    await this.#writer.flush();
    this.#advance(-this.at);
    this.#writer = new PieceWriter(this.#piece, this.#work);
    this.#summer = new Summer([this.#file.algorithm]);
    this.at = 0;
    await this.#note();
  }

  /** After it the next run can go on from here. */
  async settle(): Promise<void> {
    await this.#writer.flush();
    await this.#note();
  }

  #note(): Promise<void> {
    return this.#work.keep(this.#piece, this.#file.digest, this.#writer.landed);
  }

  sums(): Sums {
    this.#sums = this.#summer.sums();
    return this.#sums;
  }

  /** After a download that came right; its sums. */
  async end(): Promise<Sums> {
    await this.#writer.end();
    return this.#sums ?? this.sums();
  }
}
