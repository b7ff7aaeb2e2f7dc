/** A zip as the library of zips reads it, by the bytes that it asks for. */

import { Readable } from "node:stream";
import yauzl from "yauzl";
import { printable, reason, refused } from "../errors.ts";
import { MIB, type ReadAt } from "./archive.ts";

/** Bytes that are read at once, for the many small reads of a list of files. */
const WINDOW = MIB / 16;

class ZipAccess extends yauzl.RandomAccessReader {
  readonly #zip: ReadAt;
  #window: { readonly start: number; readonly bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };

  constructor(zip: ReadAt) {
    super();
    this.#zip = zip;
  }

  /** Without this, the library makes a stream for each of its reads, of which there are two for each file. */
  override read(buffer: Buffer, offset: number, length: number, position: number, callback: (error: Error | null) => void): void {
    void this.#fill(buffer.subarray(offset, offset + length), position).then(callback);
  }

  async #fill(target: Buffer, position: number): Promise<Error | null> {
    try {
      const bytes = await this.#bytes(position, position + target.byteLength);
      target.set(bytes);
      return bytes.byteLength === target.byteLength ? null : new Error("unexpected EOF");
    } catch (error) {
      return error instanceof Error ? error : new Error(reason(error));
    }
  }

  async #bytes(start: number, end: number): Promise<Uint8Array> {
    const inside = start - this.#window.start;
    if (inside < 0 || inside + end - start > this.#window.bytes.byteLength)
      this.#window = { start, bytes: await this.#zip.bytes(start, Math.min(this.#zip.size, Math.max(end, start + WINDOW))) };
    return this.#window.bytes.subarray(start - this.#window.start, end - this.#window.start);
  }

  override _readStreamForRange(start: number, end: number): Readable {
    const zip = this.#zip;
    return Readable.from(
      (async function* () {
        for (let at = start; at < end; at += MIB) yield await zip.bytes(at, Math.min(end, at + MIB));
      })(),
      { objectMode: false },
    );
  }
}

/** Refuses what has no list of files at its end. */
export function openZip(zip: ReadAt): Promise<yauzl.ZipFile> {
  const options = { lazyEntries: true, autoClose: false };
  return new Promise((resolve, reject) => {
    yauzl.fromRandomAccessReader(new ZipAccess(zip), zip.size, options, (error, reader) =>
      error ? reject(refused(`its zip is corrupt (${printable(reason(error), 200)})`, { cause: error })) : resolve(reader),
    );
  });
}
