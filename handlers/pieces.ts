/** Replies that are made of many pieces: measured before they are begun, and written as fast as they are read. */

import { Failure, reason } from "../src/errors.ts";
import { nextTurn, SLICE, Slices } from "../src/turns.ts";
import type { Part, Piece } from "../src/wire/template.ts";
import type { Log } from "./log.ts";
import { RESPONSES_COPY, replyWith } from "./replies.ts";

/** Bytes of the largest reply. */
export const MAX_REPLY = 64 * 2 ** 20;
/** Bytes up to which a reply is kept in memory, which a model of hundreds of applications needs; a larger one is made again, piece by piece, while its reader takes it. */
const MAX_KEPT = 4 * 2 ** 20;
/** Bytes that are written at once. */
const CHUNK = 2 ** 18;

/** An element of a reply; several pieces where it is long. */
export type Element = Piece | Promise<Piece> | Iterable<Piece>;

export interface PieceReply {
  /** before all elements, and behind them */
  readonly start: Piece;
  readonly end: Piece;
  /** of elements */
  readonly count: number;
  /** The same element each time. `again`: they were measured, and are now sent. */
  element(at: number, again: boolean): Element;
  readonly log: Log;
  /** of the request */
  readonly id: string;
  readonly request: Request;
  /** called once: nothing more is read of what the elements are made of */
  readonly done: () => void;
}

/** A JSON reply. Throws a `too-large` failure where it would exceed `MAX_REPLY`, and `client-gone`. Other requests have their turns meanwhile. */
export function replyInPieces(reply: PieceReply): Response | Promise<Response> {
  const [measure, source] = [new Measure(), new Source(reply, false)];
  try {
    measure.add(reply.start);
    // The first slice is made at once: most replies are no longer.
    for (let left = SLICE; left > 0; left -= 1) {
      const piece = source.next();
      if (!piece) return replyOf(reply, measure);
      if (piece instanceof Promise) return measureRest(reply, measure, source, piece);
      measure.add(piece);
    }
  } catch (error) {
    reply.done();
    throw error;
  }
  return measureRest(reply, measure, source);
}

async function measureRest(reply: PieceReply, measure: Measure, source: Source, next?: Promise<Piece>): Promise<Response> {
  try {
    const slices = new Slices();
    if (next) measure.add(await next);
    let turn = next ? slices.step() : nextTurn();
    for (;;) {
      if (turn) {
        await turn;
        if (reply.request.signal.aborted) throw new Failure("client-gone", "the client went away before its reply was made");
      }
      const piece = source.next();
      if (!piece) return replyOf(reply, measure);
      measure.add(piece instanceof Promise ? await piece : piece);
      turn = slices.step();
    }
  } catch (error) {
    reply.done();
    throw error;
  }
}

function replyOf(reply: PieceReply, measure: Measure): Response {
  measure.add(reply.end);
  if (!measure.parts) return replyWith(streamOf(reply));
  reply.done();
  return replyWith(joined(measure.parts, measure.size));
}

/** Bytes of replies that are joined in memory that stays. */
const MAX_JOINED = 2 ** 18;
const joining = Buffer.allocUnsafeSlow(MAX_JOINED);

/**
 * The parts of a reply, joined. A response frees its copy of bytes once it is sent; a blob is freed by the garbage collector alone, so that
 * each one lies in other memory.
 */
function joined(parts: readonly Part[], size: number): Uint8Array<ArrayBuffer> | Blob {
  if (size > MAX_JOINED || !RESPONSES_COPY) return new Blob([...parts]);
  let at = 0;
  for (const part of parts) {
    if (typeof part === "string") at += joining.write(part, at);
    else {
      joining.set(part, at);
      at += part.byteLength;
    }
  }
  return joining.subarray(0, at);
}

/** The pieces of all elements. A generator of them costs more than a small reply. */
class Source {
  readonly #reply: PieceReply;
  readonly #again: boolean;
  #at = 0;
  /** of an element in several pieces */
  #pieces: Iterator<Piece> | undefined;

  constructor(reply: PieceReply, again: boolean) {
    this.#reply = reply;
    this.#again = again;
  }

  /** undefined: there are no more */
  next(): Piece | Promise<Piece> | undefined {
    while (this.#pieces || this.#at < this.#reply.count) {
      const piece = this.#pieces?.next();
      if (piece && !piece.done) return piece.value;
      this.#pieces = undefined;
      if (this.#at === this.#reply.count) break;
      const element = this.#reply.element(this.#at, this.#again);
      this.#at += 1;
      if (!(Symbol.iterator in element)) return element;
      this.#pieces = element[Symbol.iterator]();
    }
    return undefined;
  }
}

/** The parts of a reply while it is small, and its size. */
class Measure {
  /** undefined: it is not small */
  parts: Part[] | undefined = [];
  /** bytes */
  size = 0;

  add({ parts, size }: Piece): void {
    this.size += size;
    if (this.parts) for (const part of parts) append(this.parts, part);
    if (this.size <= MAX_KEPT) return;
    this.parts = undefined;
    if (this.size > MAX_REPLY)
      throw new Failure("too-large", `the reply would be larger than ${MAX_REPLY / 2 ** 20} MiB: ask for less in one request`);
  }
}

/** Texts that follow each other become one, which costs less to encode. */
function append(parts: Part[], part: Part): void {
  const last = parts.at(-1);
  if (typeof part === "string" && typeof last === "string") parts[parts.length - 1] = last + part;
  else parts.push(part);
}

function streamOf(reply: PieceReply): ReadableStream<Uint8Array> {
  const { start, end, log, id, done } = reply;
  const source = new Source(reply, true);
  let chunk: Part[] = [...start.parts];
  let size = start.size;
  let ended = false;
  const nextChunk = async (): Promise<Uint8Array | undefined> => {
    while (size < CHUNK && !ended) {
      const next = source.next();
      ended = next === undefined;
      const piece = (next instanceof Promise ? await next : next) ?? end;
      chunk.push(...piece.parts);
      size += piece.size;
    }
    await nextTurn(); // a reader that is fast would keep the event loop to itself
    const bytes = Buffer.concat(chunk.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
    [chunk, size] = [[], 0];
    return bytes.byteLength === 0 ? undefined : bytes;
  };
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const bytes = await nextChunk();
          if (bytes) return controller.enqueue(bytes);
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
