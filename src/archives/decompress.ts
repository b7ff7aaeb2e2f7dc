/**
 * Single blocks, decompressed in memory with a bound on the output. All throw if the block is corrupt or decompresses to
 * more than `limit` bytes; if it is truncated, some return fewer bytes than were compressed.
 */

import zlib from "node:zlib";
import { reason } from "../errors.ts";

export type Decompress = (block: Uint8Array, limit: number) => Uint8Array | Promise<Uint8Array>;

/** The block may be valid, but uses a feature that is not supported; the message names it. */
export class Unsupported extends Error {}

/** A zlib stream. */
export const inflate: Decompress = (block, limit) => zlib.inflateSync(block, { maxOutputLength: limit });

/** Zstd frames. */
export const unzstd: Decompress = (block, limit) =>
  zlib.zstdDecompressSync(block, { maxOutputLength: limit, params: { [zlib.constants.ZSTD_d_windowLogMax]: 20 } });

/* ---- bytes in and out ---- */

class Input {
  at: number;
  readonly end: number;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0, end = bytes.byteLength) {
    [this.bytes, this.at, this.end] = [bytes, at, end];
  }

  byte(): number {
    if (this.at >= this.end) throw new Error("it is cut short");
    const byte = this.bytes[this.at] ?? 0;
    this.at += 1;
    return byte;
  }

  take(count: number): Uint8Array {
    if (count > this.end - this.at) throw new Error("it is cut short");
    const taken = this.bytes.subarray(this.at, this.at + count);
    this.at += count;
    return taken;
  }

  /** Unsigned, least significant byte first. */
  little(width: 2 | 4): number {
    return this.take(width).reduceRight((number, byte) => number * 256 + byte, 0);
  }
}

/** The output so far is also the dictionary that matches copy from. */
class Output {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(limit: number) {
    this.bytes = new Uint8Array(limit);
  }

  literals(bytes: Uint8Array): void {
    this.#room(bytes.byteLength);
    this.bytes.set(bytes, this.at);
    this.at += bytes.byteLength;
  }

  match(distance: number, length: number): void {
    if (distance > this.at) throw new Error("it points before its start");
    this.#room(length);
    // Byte by byte: a match may overlap the bytes that it writes.
    for (const end = this.at + length; this.at < end; this.at += 1) this.bytes[this.at] = this.bytes[this.at - distance] ?? 0;
  }

  done(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  #room(count: number): void {
    if (count > this.bytes.byteLength - this.at) throw new Error("it holds more than it may");
  }
}

/* ---- LZ4 and LZO ---- */

/** An LZ4 block without a frame. Layout: LZ4 Block Format Description. */
export const unlz4: Decompress = (block, limit) => {
  const [input, output] = [new Input(block), new Output(limit)];
  const length = (start: number) => {
    let all = start;
    if (start === 15)
      for (let byte = 255; byte === 255; ) {
        byte = input.byte();
        all += byte;
      }
    return all;
  };
  for (;;) {
    const token = input.byte();
    output.literals(input.take(length(token >> 4)));
    if (input.at === input.end) return output.done();
    const distance = input.little(2);
    if (distance === 0) throw new Error("it has a distance of 0");
    output.match(distance, length(token & 15) + 4);
  }
};

/** An LZO1X stream, of any level. Layout: "LZO stream format as understood by Linux' LZO decompressor". */
export const unlzo: Decompress = (block, limit) => {
  const [input, output] = [new Input(block), new Output(limit)];
  /** A length that is `bits` wide in its instruction, or goes on in the bytes that follow where these are 0. */
  const length = (bits: number, mask: number) => {
    if ((bits & mask) !== 0) return bits & mask;
    for (let all = mask; ; all += 255) {
      const byte = input.byte();
      if (byte !== 0) return all + byte;
    }
  };
  /** literals copied by the last instruction, 4 for more than 3 */
  let state = 0;
  const literals = (count: number) => {
    output.literals(input.take(count));
    state = Math.min(count, 4);
  };
  const match = (distance: number, count: number, then: number) => {
    output.match(distance, count);
    literals(then);
  };
  if ((block[0] ?? 0) > 17) literals(input.byte() - 17);
  for (;;) {
    const code = input.byte();
    if (code >= 64) match(((code >> 2) & 7) + input.byte() * 8 + 1, (code >> 5) + 1, code & 3);
    else if (code >= 32) {
      const count = length(code, 31) + 2;
      const low = input.little(2);
      match((low >> 2) + 1, count, low & 3);
    } else if (code >= 16) {
      const count = length(code, 7) + 2;
      const low = input.little(2);
      const distance = ((code & 8) << 11) + (low >> 2);
      if (distance === 0) return output.done();
      match(distance + 16384, count, low & 3);
    } else if (state === 0) literals(length(code, 15) + 3);
    else if (state === 4) match((code >> 2) + input.byte() * 4 + 2049, 3, code & 3);
    else match((code >> 2) + input.byte() * 4 + 1, 2, code & 3);
  }
};

/* ---- xz ---- */

/** The library's error for a filter of machine code: it supports none. */
const UNKNOWN_FILTER = /error code 6$/;

/** An xz stream. */
export const unxz: Decompress = async (block, limit) => {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(block);
      controller.close();
    },
  });
  const output = new Output(limit);
  const { XzReadableStream } = await import("xz-decompress");
  const reader = new XzReadableStream(source).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) output.literals(part.value);
  } catch (error) {
    await reader.cancel().catch(() => {});
    if (UNKNOWN_FILTER.test(reason(error))) throw new Unsupported("a filter for machine code");
    throw error;
  }
  return output.done();
};
