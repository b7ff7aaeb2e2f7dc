/** Makes an archive in a work folder as the exporter does, of made-up downloads. As a process of its own it can be killed. */

import { createCipheriv } from "node:crypto";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { WorkFolder } from "../../../bin/machine/workfolder.ts";
import { Layout, type Piece, PieceWriter } from "../../../src/archives/tarball.ts";
import { Summer } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { thorough } from "../../thorough.ts";

const MIB = 2 ** 20;
const TENFOLD = (thorough ? 10 : 1) * MIB;
export const KEY = "0123456789abcdef";
export const NAME = "charms-export-20260426T163115.tar.gz";
const AT_ONCE = 3;
const CHUNK = 2 ** 16;

/** Path → size: large ones, one that ends on a block, small ones. */
const FILES: readonly (readonly [path: string, size: number])[] = [
  ["kafka_195.charm", 3 * TENFOLD + 7],
  ["resources/kafka.data_2", 2 * TENFOLD],
  ["resources/kafka.none_0", 0],
  ...Array.from({ length: 40 }, (_, i) => [`resources/kafka.small_${i}`, i * 997] as const),
];

const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(MIB + 4099));

/** Bytes of a download, the same each time; at most to the end of a chunk. */
function download(piece: Piece, at: number): Uint8Array {
  const from = (at + piece.path.length * 7919 + piece.size) % MIB;
  return noise.subarray(from, Math.min(from + CHUNK, from + piece.size - at));
}

function digestOf(piece: Piece): string {
  const summer = new Summer();
  for (let at = 0; at < piece.size; ) {
    const chunk = download(piece, at);
    summer.update(chunk);
    at += chunk.byteLength;
  }
  return summer.sums()["sha-256"];
}

/** `log` gets a line for each piece: its path, `has` and what was kept; later `had` and what is noted. */
export async function makeArchive(
  folder: string,
  { chunk, log }: { readonly chunk?: number; readonly log?: string } = {},
): Promise<string[]> {
  const note = (text: string) => log && appendFileSync(log, `${text}\n`);
  const work = await WorkFolder.open(folder, KEY, chunk === undefined ? {} : { chunk });
  try {
    const layout = new Layout({ compress: true });
    const pieces = layout.container(
      "kafka.tar.gz",
      FILES.map(([path, size]) => ({ path, size })),
    );
    await work.reserve(layout.length);
    const write = async (piece: Piece) => {
      const digest = digestOf(piece);
      const writer = new PieceWriter(piece, work);
      const summer = new Summer();
      const kept = work.resumableBytes(piece, digest);
      note(`${piece.path} has ${kept}`);
      await writer.replay(kept, (part) => summer.update(part));
      while (writer.at < piece.size) {
        const part = download(piece, writer.at);
        summer.update(part);
        await writer.write(part);
        await work.recordWritten(piece, digest, writer.landed);
        note(`${piece.path} had ${writer.landed}`);
      }
      await writer.end();
      if (summer.sums()["sha-256"] !== digest) throw new Error(`${piece.path} has other bytes than expected`);
      await work.recordWritten(piece, digest, piece.size);
      note(`${piece.path} had ${piece.size}`);
    };
    const left = [...pieces];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let piece = left.shift(); piece; piece = left.shift()) await write(piece);
      }),
    );
    for (const piece of layout.end()) await new PieceWriter(piece, work).end();
    return await work.finish(NAME, layout.length);
  } finally {
    await work.close();
  }
}

/* ---- what came of it ---- */

export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error;
  throw error ?? new Error("it did not fail");
}

export const visible = (folder: string) => readdirSync(folder).filter((name) => !name.startsWith("."));

/** The concatenated parts of the archive in a folder. */
export const joined = (folder: string) =>
  Buffer.concat(
    visible(folder)
      .filter((name) => !name.endsWith(".sha256"))
      .toSorted()
      .map((name) => readFileSync(join(folder, name))),
  );

if (import.meta.main) {
  const [folder = "", chunk = "", log] = process.argv.slice(2);
  const paths = await makeArchive(folder, { ...(chunk !== "" && { chunk: Number(chunk) }), ...(log !== undefined && { log }) });
  console.log(paths.join("\n"));
}
