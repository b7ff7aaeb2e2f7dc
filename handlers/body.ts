/** Request bodies, bounded in bytes, in time, and in what all that are in progress take together. */

import type { Context } from "hono";
import { Failure } from "../src/errors.ts";
import type { Ready } from "../src/ready.ts";
import { RETRY_AFTER } from "./errors.ts";

/** Bytes of a refresh: Juju sends a whole model, about 500 KiB for 1,000 applications, and snapd every snap of a machine. */
export const MAX_REFRESH = 4 * 2 ** 20;

/** Bytes of other bodies. */
export const MAX_SMALL = 2 ** 20;

/** Bytes of a body that counts for nothing. */
const UNCOUNTED = 2 ** 16;

/** Bytes of all bodies in progress; what is made of one takes a few times its size. */
const MAX_IN_PROGRESS = 24 * 2 ** 20;

const DEADLINE = 30_000;

export interface BodyLimits {
  /** bytes */
  readonly inProgress?: number;
  /** milliseconds */
  readonly deadline?: number;
}

/** The bodies of one application. A large one is read only while there is room for it, which its client waits for. */
export class Bodies {
  #room: number;
  readonly #deadline: number;
  readonly #deadlines: Deadlines;
  readonly #waiting: { readonly size: number; readonly admit: () => void }[] = [];

  constructor({ inProgress = MAX_IN_PROGRESS, deadline = DEADLINE }: BodyLimits = {}) {
    this.#room = inProgress;
    this.#deadline = deadline;
    this.#deadlines = new Deadlines(deadline);
  }

  /** Reads a body of at most `limit` bytes for `work`. Throws `too-large`, `too-slow`, `too-many` and `client-gone` failures. */
  use(c: Context, limit: number, work: (text: string) => Promise<Response>): Promise<Response> {
    return this.hold(c, limit, (text, done) => work(text).finally(done));
  }

  /** The same for work that goes on behind its reply: it calls `done` when nothing of the body is needed any more. A failure does so too. */
  hold(c: Context, limit: number, work: (text: string, done: () => void) => Ready<Response>): Promise<Response> {
    const length = c.req.header("Content-Length");
    const size = length === undefined ? limit : Number(length);
    if (size > limit) return Promise.reject(tooLarge(limit));
    if (size <= UNCOUNTED) return this.#deadlines.body(c.req.raw.text(), (text) => work(text, nothing));
    return this.#holdLarge(c, limit, length === undefined ? undefined : size, work);
  }

  async #holdLarge(
    c: Context,
    limit: number,
    length: number | undefined,
    work: (text: string, done: () => void) => Ready<Response>,
  ): Promise<Response> {
    const release = await this.#admitted(length ?? limit);
    try {
      const text = length === undefined ? readChunks(c.req.raw.body, limit) : c.req.raw.text();
      return await this.#deadlines.body(text, (whole) => work(whole, release));
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Waits for room; a function that gives it back. */
  async #admitted(size: number): Promise<() => void> {
    if (this.#waiting.length > 0 || size > this.#room) await this.#wait(size);
    else this.#room -= size;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#room += size;
      this.#admitNext();
    };
  }

  #wait(size: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry = {
        size,
        admit: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        this.#admitNext();
        reject(new Failure("too-many", "too many large requests are in progress", { next: `try again in ${RETRY_AFTER} s` }));
      }, this.#deadline);
      this.#waiting.push(entry);
    });
  }

  #admitNext(): void {
    for (let next = this.#waiting[0]; next && next.size <= this.#room; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#room -= next.size;
      next.admit();
    }
  }
}

function nothing(): void {}

/** Deadlines of many short waits by one timer, since a timer for each costs more than reading a small body. */
class Deadlines {
  readonly #after: number;
  readonly #waits = new Set<{ readonly until: number; readonly late: () => void }>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `after`: milliseconds; up to a quarter more may pass */
  constructor(after: number) {
    this.#after = after;
  }

  /** What `work` makes of a body, or why it did not come. */
  body<T>(text: Promise<string>, work: (text: string) => Ready<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Failure("too-slow", `the body did not arrive within ${this.#after / 1000} seconds`));
      const wait = { until: performance.now() + this.#after, late };
      this.#waits.add(wait);
      this.#timer ??= setInterval(() => this.#check(), this.#after / 4).unref();
      const ended = (end: () => void) => {
        this.#waits.delete(wait);
        try {
          end();
        } catch (error) {
          reject(error);
        }
      };
      text.then(
        (whole) => ended(() => resolve(work(whole))),
        (error: unknown) => ended(() => reject(error instanceof Failure ? error : clientGone(error))),
      );
    });
  }

  #check(): void {
    const now = performance.now();
    for (const wait of this.#waits)
      if (wait.until <= now) {
        this.#waits.delete(wait);
        wait.late();
      }
    if (this.#waits.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function clientGone(cause: unknown): Failure {
  return new Failure("client-gone", "the client went away before its body was read", { cause });
}

/** Reads a body of unknown length. */
async function readChunks(body: ReadableStream<Uint8Array> | null, limit: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = body?.getReader();
  for (;;) {
    const part = (await reader?.read())?.value;
    if (!part) return Buffer.concat(parts).toString("utf8");
    size += part.byteLength;
    if (size > limit) throw tooLarge(limit);
    parts.push(part);
  }
}

function tooLarge(limit: number): Failure {
  return new Failure("too-large", `the body is larger than ${limit} bytes`);
}
