/** Bodies of any size, read part by part: of an import, of a blob that is pushed. */

import { Failure } from "../src/errors.ts";

/** Milliseconds. */
const IDLE = 60_000;

interface Limits {
  /** bytes */
  readonly maxSize: number;
  /** what a larger body fails with */
  readonly tooLarge: (maxSize: number) => Failure;
  /** milliseconds without a byte after which reading fails with `too-slow` */
  readonly idle?: number;
}

/** A request body. It is never cancelled: that would close the connection before the client has read the reply. */
export class RequestBody {
  /** why reading it failed */
  failure: Failure | undefined;
  readonly #limits: Limits;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** bytes that may still come */
  #left: number;

  constructor(body: ReadableStream<Uint8Array> | null, limits: Limits) {
    this.#reader = body?.getReader();
    this.#limits = limits;
    this.#left = limits.maxSize;
  }

  async *parts(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const part = await this.#next();
      if (!part) return;
      yield part;
    }
  }

  /** Reads and drops the rest, so that the client gets to read the reply. */
  async drain(): Promise<void> {
    while (!this.failure && (await this.#next().catch(() => undefined)));
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (!this.#reader) return undefined;
    const { idle = IDLE, maxSize, tooLarge } = this.#limits;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const stalled = () => reject(new Failure("too-slow", `nothing of the body arrived for ${idle / 1000} seconds`));
      timer = setTimeout(stalled, idle);
    });
    try {
      const part = (await Promise.race([this.#reader.read(), late])).value;
      this.#left -= part?.byteLength ?? 0;
      if (this.#left < 0) throw tooLarge(maxSize);
      return part;
    } catch (error) {
      this.failure =
        error instanceof Failure ? error : new Failure("client-gone", "the client went away: nothing was published", { cause: error });
      throw this.failure;
    } finally {
      clearTimeout(timer);
    }
  }
}
