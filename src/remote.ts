/** Requests to servers outside, and downloads from them: bounded, tried again where that may help, and told by their URL. */

import { Failure, printable, reason } from "./errors.ts";

export interface Request {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends one request; redirects are followed. Rejects where no reply comes. */
export type Transport = (url: string, request: Request & { readonly signal: AbortSignal }) => Promise<Response>;

export interface RemoteOptions {
  readonly transport: Transport;
  readonly signal?: AbortSignal;
  /** milliseconds; rejects where the signal is aborted. Tests wait for nothing. */
  readonly sleep?: (time: number, signal?: AbortSignal) => Promise<void>;
  /** told why something is asked again */
  readonly onRetry?: (why: string) => void;
}

/** Where the bytes of a download go. */
export interface Receiver {
  /** bytes that are there already */
  readonly at: number;
  write(chunk: Uint8Array): Promise<void>;
  /** Forgets what is there. */
  restart(): Promise<void>;
}

interface Circumstances {
  /** of the reply; undefined: none came, or it was none that can be read */
  readonly status?: number;
  /** whether a later try may fare better */
  readonly passing?: boolean;
  /** milliseconds that the server asks to wait */
  readonly wait?: number;
  readonly next?: string;
  readonly cause?: unknown;
}

/** What could not be had of a server, and where it was asked. */
export class Unavailable extends Failure {
  readonly url: string;
  readonly circumstances: Circumstances;
  readonly #what: string;
  readonly #why: string;

  constructor(what: string, url: string, why: string, circumstances: Circumstances = {}) {
    const { status, next, cause } = circumstances;
    super(status === 404 ? "not-found" : "failed", `${what}: ${shownUrl(url)}: ${why}`, {
      ...(next !== undefined && { next }),
      ...(cause !== undefined && { cause }),
    });
    this.url = shownUrl(url);
    this.circumstances = circumstances;
    this.#what = what;
    this.#why = why;
  }

  /** The same, told after the last try. */
  after(tries: number): Unavailable {
    return tries < 2 ? this : new Unavailable(this.#what, this.url, `${this.#why}, in ${tries} tries`, this.circumstances);
  }
}

/** Signed URLs carry credentials in their query. */
function shownUrl(url: string): string {
  return printable(url.replace(/[?#].*$/s, "").replace(/\/\/[^/@]*@/, "//"), 500);
}

/** tries in a row without a byte of progress */
const TRIES = 6;
/** milliseconds */
const [FIRST_PAUSE, LONGEST_PAUSE] = [500, 60_000];
const REPLY_TIMEOUT = 60_000;
const STALL_TIMEOUT = 60_000;
/** bytes */
const MAX_REPLY = 64 * 2 ** 20;
const MAX_ERROR = 64 * 2 ** 10;
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

export class Remote {
  readonly #options: RemoteOptions;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  /** The body of a success. `what`: `cannot get …`, as errors begin. Throws `Unavailable`. */
  text(what: string, url: string, request: Request = {}): Promise<string> {
    return this.#trying(async () => {
      const watch = new Watch(REPLY_TIMEOUT, this.#options.signal);
      try {
        const response = await this.#send(what, url, request, watch);
        const parts: Uint8Array[] = [];
        let size = 0;
        for await (const chunk of watch.chunks(response, what, url)) {
          size += chunk.byteLength;
          if (size > MAX_REPLY)
            throw new Unavailable(what, url, `the reply is larger than ${MAX_REPLY} bytes`, { status: response.status });
          parts.push(chunk);
        }
        return Buffer.concat(parts).toString("utf8");
      } finally {
        watch.end();
      }
    });
  }

  /**
   * Brings a file of `size` bytes to `receiver`, from where that is on: asked again after a break, with growing pauses, as
   * long as something comes. Its digest is the caller's to check. Throws `Unavailable`.
   */
  async download(what: string, url: string, size: number, receiver: Receiver): Promise<void> {
    await this.#trying(
      () => this.#transfer(what, url, size, receiver),
      () => receiver.at,
    );
  }

  async #transfer(what: string, url: string, size: number, receiver: Receiver): Promise<void> {
    const from = receiver.at;
    if (from === size && size > 0) return;
    const watch = new Watch(STALL_TIMEOUT, this.#options.signal);
    try {
      const headers = { "Accept-Encoding": "identity", ...(from > 0 && { Range: `bytes=${from}-` }) };
      const response = await this.#send(what, url, { headers }, watch);
      const { status } = response;
      const goesOn = status === 206 && /^bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "")?.[1] === String(from);
      if (from > 0 && !goesOn) await receiver.restart();
      if (status === 206 && !goesOn) throw new Unavailable(what, url, "it does not go on where it broke off", { status, passing: true });
      for await (const chunk of watch.chunks(response, what, url)) {
        if (receiver.at + chunk.byteLength > size)
          throw new Unavailable(what, url, `it has more than the ${size} bytes that were told`, { status });
        await receiver.write(chunk);
      }
      if (receiver.at < size) throw new Unavailable(what, url, `it ended after ${receiver.at} of ${size} bytes`, { status, passing: true });
    } finally {
      watch.end();
    }
  }

  async #send(what: string, url: string, request: Request, watch: Watch): Promise<Response> {
    const headers = { "User-Agent": "chp", ...request.headers };
    const response = await watch
      .until(this.#options.transport(url, { ...request, headers, signal: watch.signal }))
      .catch((error: unknown) => Promise.reject(noReply(what, url, error)));
    if (response.ok) return response;
    const { status } = response;
    if (status === 416 && request.headers?.["Range"]) return new Response(null, { status: 206 });
    const wait = waitOf(response.headers.get("Retry-After"));
    throw new Unavailable(what, url, `status ${status}${await messageOf(response, watch)}`, {
      status,
      passing: PASSING.has(status),
      ...(wait !== undefined && { wait }),
    });
  }

  /** Tries until it works, or until nothing speaks for another try. `progress`: a number that grows. */
  async #trying<T>(work: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    for (let [failures, reached] = [0, progress()]; ; ) {
      try {
        return await work();
      } catch (error) {
        if (this.#options.signal?.aborted) throw new Failure("interrupted", "interrupted", { cause: error });
        failures = progress() > reached ? 1 : failures + 1;
        reached = progress();
        if (!(error instanceof Unavailable)) throw error;
        if (!error.circumstances.passing || failures >= TRIES) throw error.after(failures);
        this.#options.onRetry?.(error.message);
        const wait = error.circumstances.wait ?? FIRST_PAUSE * 2 ** (failures - 1);
        await (this.#options.sleep ?? pause)(Math.min(wait, LONGEST_PAUSE), this.#options.signal);
      }
    }
  }
}

/** Ends a request that goes silent for too long, or that nobody waits for any more. */
class Watch {
  readonly #own = new AbortController();
  readonly #time: number;
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(time: number, signal: AbortSignal | undefined) {
    this.#time = time;
    this.signal = signal ? AbortSignal.any([this.#own.signal, signal]) : this.#own.signal;
  }

  async until<T>(work: Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#own.abort(new Error(`nothing came for ${this.#time / 1000} s`)), this.#time);
    try {
      return await work;
    } catch (error) {
      throw this.#own.signal.aborted ? this.#own.signal.reason : error;
    }
  }

  async *chunks(response: Response, what: string, url: string): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    try {
      for (;;) {
        const read = reader?.read() ?? Promise.resolve({ done: true as const, value: undefined });
        const { done, value } = await this.until(read).catch((error: unknown) =>
          Promise.reject(noReply(what, url, error, response.status)),
        );
        if (done) return;
        yield value;
      }
    } finally {
      reader?.cancel().catch(() => {});
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#own.abort();
  }
}

/** Why nothing came: a certificate that is not trusted stays so. */
function noReply(what: string, url: string, error: unknown, status?: number): Unavailable {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const untrusted = /CERT|SIGNATURE|ISSUER/.test(code);
  return new Unavailable(what, url, printable(reason(error).split("\n")[0] || code || "no reply", 300), {
    passing: !untrusted,
    cause: error,
    ...(status !== undefined && { status }),
    ...(untrusted && { next: "name the authority that issued its certificate with --ca FILE" }),
  });
}

/** What an error reply says, in the forms that the stores have. */
async function messageOf(response: Response, watch: Watch): Promise<string> {
  const text = await watch.until(response.text()).catch(() => "");
  try {
    const { "error-list": list } = JSON.parse(text.slice(0, MAX_ERROR)) as { "error-list"?: { message?: unknown }[] };
    const message = list?.[0]?.message;
    return typeof message === "string" && message !== "" ? ` (${printable(message, 300)})` : "";
  } catch {
    return "";
  }
}

/** Milliseconds of a Retry-After header, which has seconds or a date. */
function waitOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const time = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(time) ? Math.max(0, time) : undefined;
}

function pause(time: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new Failure("interrupted", "interrupted"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, time);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
