/** Replies that are made of many pieces: measured before they are begun, and written as fast as they are read. */

import { Failure, reason } from "../src/errors.ts";
import { nextTurn, Slices } from "../src/turns.ts";
import type { Log } from "./log.ts";
import { replyWith } from "./replies.ts";

/** Bytes of the largest reply. */
export const MAX_REPLY = 64 * 2 ** 20;
/** Characters up to which a reply is kept in memory, which a model of hundreds of applications needs; a larger one is made again, piece by piece, while its reader takes it. */
const MAX_KEPT = 4 * 2 ** 20;
/** Bytes that are written at once. */
const CHUNK = 2 ** 18;

export type Pieces = readonly string[];

export interface PieceReply {
  /** The pieces in their order; the same ones each time. `again`: they were measured, and are now sent. */
  readonly pieces: (again: boolean) => Iterable<Pieces | Promise<Pieces>>;
  readonly log: Log;
  /** of the request */
  readonly id: string;
  readonly request: Request;
  /** called once: nothing more is read of what the pieces are made of */
  readonly done: () => void;
}

/** A JSON reply. Throws a `too-large` failure where it would exceed `MAX_REPLY`, and `client-gone`. Other requests have their turns meanwhile. */
export async function replyInPieces(reply: PieceReply): Promise<Response> {
  let sent = false;
  try {
    const measure = new Measure();
    const slices = new Slices();
    for (const given of reply.pieces(false)) {
      measure.add(given instanceof Promise ? await given : given);
      const turn = slices.step();
      if (!turn) continue;
      await turn;
      if (reply.request.signal.aborted) throw new Failure("client-gone", "the client went away before its reply was made");
    }
    const { text } = measure;
    if (text !== undefined) return replyWith(text);
    sent = true;
    return replyWith(streamOf(reply));
  } finally {
    if (!sent) reply.done();
  }
}

/** The pieces of a reply while they are small in all, or their size. */
class Measure {
  readonly #kept: string[] = [];
  #characters = 0;
  /** bytes; 0: it is small */
  #size = 0;

  /** undefined: it is not small */
  get text(): string | undefined {
    return this.#size === 0 ? this.#kept.join("") : undefined;
  }

  add(pieces: Pieces): void {
    for (const piece of pieces) {
      this.#characters += piece.length;
      if (this.#size > 0) this.#size += Buffer.byteLength(piece);
      else this.#kept.push(piece);
    }
    if (this.#characters <= MAX_KEPT) return;
    if (this.#size === 0) for (const piece of this.#kept.splice(0)) this.#size += Buffer.byteLength(piece);
    if (this.#size > MAX_REPLY)
      throw new Failure("too-large", `the reply would be larger than ${MAX_REPLY / 2 ** 20} MiB: ask for less in one request`);
  }
}

function streamOf({ pieces, log, id, done }: PieceReply): ReadableStream<Uint8Array> {
  const source = pieces(true)[Symbol.iterator]();
  const nextChunk = async (): Promise<Uint8Array | undefined> => {
    let chunk = "";
    for (let size = 0; size < CHUNK; ) {
      const { value, done: ended } = source.next();
      if (ended) break;
      for (const piece of value instanceof Promise ? await value : value) {
        chunk += piece;
        size += piece.length;
      }
    }
    await nextTurn(); // a reader that is fast would keep the event loop to itself
    return chunk === "" ? undefined : Buffer.from(chunk);
  };
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const chunk = await nextChunk();
          if (chunk) return controller.enqueue(chunk);
          controller.close();
        } catch (error) {
          log({ level: "error", message: `a reply was broken off: ${reason(error)}`, id });
          controller.error(error);
        }
        done();
      },
      cancel: done,
    },
    { highWaterMark: 0 },
  );
}
