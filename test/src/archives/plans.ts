/** Archives that are laid out and written in memory, of files with made-up bytes. */

import { expect } from "bun:test";
import { Layout, type Piece, PieceWriter, type RandomAccessOutput } from "../../../src/archives/tarball.ts";
import { sumsOf } from "../../../src/digest.ts";
import { bytesBy } from "../../build.ts";

const MIB = 2 ** 20;

/** A room that is memory, which remembers what was written and may fail or be late. */
export class Memory implements RandomAccessOutput {
  bytesOfAll: Uint8Array;
  written: [start: number, end: number][] = [];
  before: () => Promise<void> | void = () => {};

  constructor(size: number, fill = 0xee) {
    this.bytesOfAll = new Uint8Array(size).fill(fill);
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    await this.before();
    expect(at + bytes.byteLength).toBeLessThanOrEqual(this.bytesOfAll.byteLength);
    this.bytesOfAll.set(bytes, at);
    if (bytes.byteLength > 0) this.written.push([at, at + bytes.byteLength]);
  }

  async bytes(start: number, end: number): Promise<Uint8Array> {
    return this.bytesOfAll.slice(start, end);
  }
}

interface File {
  readonly path: string;
  readonly size: number;
}

/** Files of the top level, and containers as lists of files. */
export type Plan = readonly (File | { readonly path: string; readonly files: readonly File[] })[];

export function layOut(plan: Plan, compress: boolean): { pieces: Piece[]; fixed: readonly Piece[]; length: number } {
  const layout = new Layout({ compress });
  const pieces = plan.flatMap((one) => ("files" in one ? layout.container(one.path, one.files) : [layout.file(one.path, one.size)]));
  const fixed = layout.end();
  return { pieces, fixed, length: layout.length };
}

/** Bytes of a payload that differ from place to place and from piece to piece. */
export function payload(piece: Piece, start = 0, end = piece.size): Uint8Array {
  const seed = piece.offset % 251;
  return bytesBy(end - start, (i) => (seed + (start + i) * 31 + ((start + i) >> 8)) & 255);
}

export async function writePiece(
  piece: Piece,
  room: RandomAccessOutput,
  chunk = 64 * 1024,
  from = 0,
  writer = new PieceWriter(piece, room),
): Promise<void> {
  for (let at = from; at < piece.size; at += chunk) await writer.write(payload(piece, at, Math.min(piece.size, at + chunk)));
  await writer.end();
}

export async function written(plan: Plan, compress = true): Promise<Uint8Array> {
  const { pieces, fixed, length } = layOut(plan, compress);
  const room = new Memory(length);
  for (const piece of [...pieces, ...fixed]) await writePiece(piece, room);
  return room.bytesOfAll;
}

export const expected = (pieces: readonly Piece[]) =>
  Object.fromEntries(pieces.map((piece) => [`in: ${piece.path.replace(".gz/", ".gz: ")}`, sumsOf(payload(piece))["sha-256"]]));

export const EXAMPLE: Plan = [
  { path: "bundle.yaml", size: 300 },
  {
    path: "kafka.tar.gz",
    files: [
      { path: "kafka_195.charm", size: 3 * MIB + 7 },
      { path: "metadata.json", size: 5000 },
      { path: "resources/kafka.none_0", size: 0 },
      { path: `resources/kafka.${"long".repeat(50)}_3`, size: 512 },
    ],
  },
  { path: "empty.tar.gz", files: [] },
  { path: "snaps/é_7.snap", size: 70_000 },
];
