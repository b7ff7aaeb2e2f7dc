/** Requests to upstream servers, and downloads from them: bounded, retried if that may help, with the URL in every error. */

import { type Algorithm, type Sums, sumsOf } from "../digest.ts";
import { Failure, printable, reason } from "../errors.ts";

export interface HttpRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The right to read what a URL names. It is shown to the origin of that URL alone, and not to where it redirects. */
export interface Access {
  /** the Authorization header to send, if there is one */
  readonly authorization: string | undefined;
  /** Called after a 401. Throws where nothing further can be shown; otherwise the request is sent again. */
  renew?(refusal: Refusal): Promise<void>;
}

export interface Refusal {
  /** the WWW-Authenticate header of the reply; may be empty */
  readonly challenge: string;
  /** what was shown in vain */
  readonly authorization: string | undefined;
  /** how often this request was refused in a row, from 1 */
  readonly times: number;
}

/** Sends one request; a redirect is a reply. Rejects if there is no reply, or the signal is aborted. */
export type Transport = (url: string, request: HttpRequest & { readonly signal: AbortSignal }) => Promise<Response>;

export interface HttpClientOptions {
  readonly transport: Transport;
  readonly signal?: AbortSignal;
  /** `time`: milliseconds; rejects where a signal is aborted. Tests do not wait. */
  readonly sleep?: (time: number, signals: readonly AbortSignal[]) => Promise<void>;
  /** called before a retry, with its reason and the milliseconds until then */
  readonly onRetry?: (why: string, wait: number) => void;
}

/** Where the bytes of a download go. */
export interface DownloadTarget {
  /** bytes written so far */
  readonly at: number;
  /** aborted when the download is not needed any more */
  readonly signal?: AbortSignal;
  write(chunk: Uint8Array): Promise<void>;
  /** checksums of all bytes; called once, or again after `restart` */
  sums(): Sums | Promise<Sums>;
  /** Drops all bytes. */
  restart(): Promise<void>;
}

interface UnavailableDetails {
  /** of the reply; undefined: there was none, or it is not readable */
  readonly status?: number;
  /** whether a later try may succeed */
  readonly retryable?: boolean;
  /** milliseconds that the server asks to wait before the next try */
  readonly wait?: number;
  /** whether the other side does not speak TLS */
  readonly isPlain?: boolean;
  readonly next?: string;
  readonly cause?: unknown;
}

/** A request or download that failed, with its URL. */
export class Unavailable extends Failure {
  readonly url: string;
  readonly details: UnavailableDetails;
  readonly #what: string;
  readonly #why: string;

  constructor(what: string, url: string, why: string, circumstances: UnavailableDetails = {}) {
    const { status, next, cause } = circumstances;
    super(status === 404 ? "not-found" : "failed", `${what}: ${shownUrl(url)}: ${why}`, {
      ...(next !== undefined && { next }),
      ...(cause !== undefined && { cause }),
    });
    this.url = shownUrl(url);
    this.details = circumstances;
    this.#what = what;
    this.#why = why;
  }

  /** The same failure with what to do about it. */
  advising(next: string): Unavailable {
    return new Unavailable(this.#what, this.url, this.#why, { ...this.details, next });
  }

  /** The same failure with the number of tries in its message. */
  after(tries: number): Unavailable {
    return tries < 2 ? this : new Unavailable(this.#what, this.url, `${this.#why}, in ${tries} tries`, this.details);
  }
}

/** Signed URLs carry credentials in their query. */
function shownUrl(url: string): string {
  return printable(url.replace(/[?#].*$/s, "").replace(/\/\/[^/]*@/, "//"), 500);
}

/** tries in a row without a byte of progress */
const TRIES = 6;
/** milliseconds */
const [FIRST_PAUSE, LONGEST_PAUSE] = [500, 60_000];
/** milliseconds without a byte after which a request fails */
const MAX_SILENCE = 60_000;
/** bytes */
const MAX_REPLY = 64 * 2 ** 20;
const MAX_ERROR = 64 * 2 ** 10;
const MAX_REDIRECTS = 10;
/** times that a request may be refused with 401 in a row: a token may end before it arrives */
const MAX_REFUSALS = 6;
/** statuses of replies */
const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class HttpClient {
  readonly #options: HttpClientOptions;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  /** Throws an `interrupted` failure if the process is to end: for long work between two requests. */
  throwIfInterrupted(): void {
    if (this.#options.signal?.aborted) throw interruptedFailure();
  }

  /** The result of `read` for the body of a successful reply. `what`: `cannot fetch …`, as errors begin. Throws `Unavailable`. */
  text<T>(what: string, url: string, request: HttpRequest, read: (text: string) => T): Promise<T> {
    return this.reply(what, url, { ...request, limit: MAX_REPLY }, (body) => read(body.toString()));
  }

  /** The same with the bytes of the body, of which there may be `limit`, and the headers. */
  reply<T>(
    what: string,
    url: string,
    { limit, access, ...request }: HttpRequest & { readonly limit: number; readonly access?: Access },
    read: (body: Buffer, headers: Headers) => T,
  ): Promise<T> {
    return this.#retrying(this.#signals(), async () => {
      const reply = await this.#send(what, url, request, this.#signals(), access);
      return read(await reply.body(limit), reply.headers);
    });
  }

  /**
   * Downloads a file into `target`, after the bytes that are written: retried with growing pauses, as long as there is progress.
   * Where the digest is wrong, all of it is downloaded once more. Throws `Unavailable`.
   */
  async download(what: string, file: UpstreamFile, target: DownloadTarget): Promise<void> {
    const { url, algorithm, digest } = file;
    for (const isLast of [false, true]) {
      await this.#transfer(what, file, target);
      const { [algorithm]: actual } = await target.sums();
      if (actual === digest) return;
      // The bytes of an earlier run may be wrong; a server that sends wrong bytes twice has no others.
      await target.restart();
      const wrong = new Unavailable(what, url, `its ${algorithm} is ${actual}, but the store said ${digest}`);
      if (isLast) throw wrong.after(2);
      this.#options.onRetry?.(wrong.message, 0);
    }
  }

  /** Downloads a file into memory. `what`: what it is, in words. Throws `Unavailable`, or a `failed` failure where it is too large. */
  async bytes(what: string, file: UpstreamFile): Promise<Uint8Array> {
    const { size, algorithm } = file;
    if (size > MAX_REPLY) throw new Failure("failed", `cannot fetch ${what}: it has ${size} bytes, which is more than is read at once`);
    const bytes = Buffer.alloc(size);
    const target: DownloadTarget & { at: number } = {
      at: 0,
      async write(chunk) {
        bytes.set(chunk, this.at);
        this.at += chunk.byteLength;
      },
      sums: () => sumsOf(bytes, [algorithm]),
      async restart() {
        this.at = 0;
      },
    };
    await this.download(`cannot fetch ${what}`, file, target);
    return bytes;
  }

  async #transfer(what: string, { url, size, access }: UpstreamFile, target: DownloadTarget): Promise<void> {
    const signals = this.#signals(target.signal);
    // If a server cannot send the rest, the whole file is requested, and its first bytes are skipped.
    let asksForRest = true;
    const work = async () => {
      const from = target.at;
      if (from === size && size > 0) return;
      const headers = { "Accept-Encoding": "identity", ...(asksForRest && from > 0 && { Range: `bytes=${from}-` }) };
      const reply = await this.#send(what, url, { headers }, signals, access);
      const { start, length = size - start } = reply;
      if (start > from) {
        asksForRest = false;
        throw reply.unusable(`it does not go on at byte ${from}`);
      }
      if (start + length > size || (start + length < size && reply.status !== 206))
        throw reply.unusable(`it has ${start + length} bytes, but the store said ${size}`);
      let known = from - start;
      for await (const chunk of reply.chunks()) {
        if (target.at === size) return; // more than the file is ignored; its digest decides
        const fresh = chunk.subarray(known, known + size - target.at);
        known = Math.max(0, known - chunk.byteLength);
        if (fresh.byteLength > 0) await target.write(fresh);
      }
      if (target.at < size) throw reply.unusable(`it ended after ${target.at} of ${size} bytes`);
    };
    await this.#retrying(signals, work, () => target.at);
  }

  /** Sends a request and follows redirects. */
  async #send(what: string, url: string, request: HttpRequest, signals: readonly AbortSignal[], access?: Access): Promise<UpstreamReply> {
    for (let [at, redirects, refusals] = [url, 0, 0]; ; ) {
      // A fetch may know other protocols, and a redirect must not read files of this machine.
      if (!URL.canParse(at) || !["http:", "https:"].includes(new URL(at).protocol))
        throw new Unavailable(what, at, "not a URL that begins with http:// or https://");
      const shown = new URL(at).origin === new URL(url).origin ? access : undefined;
      const authorization = shown?.authorization;
      const headers = { "User-Agent": "chp", ...request.headers, ...(authorization !== undefined && { Authorization: authorization }) };
      const timeout = new SilenceTimeout(signals);
      const response = await timeout
        .until(this.#options.transport(at, { ...request, headers, signal: timeout.signal }))
        .catch((error: unknown) => Promise.reject(connectionError(what, at, error)));
      const reply = new UpstreamReply(what, at, response, timeout);
      if (response.ok || (reply.status === 416 && request.headers?.["Range"])) return reply;
      if (reply.status === 401 && shown?.renew && refusals < MAX_REFUSALS) {
        timeout.end();
        refusals += 1;
        await shown.renew({ challenge: reply.headers.get("WWW-Authenticate") ?? "", authorization, times: refusals });
        continue;
      }
      const next = REDIRECTS.has(reply.status) ? reply.headers.get("Location") : null;
      if (next === null) throw await reply.refusal();
      if (redirects === MAX_REDIRECTS) throw reply.unusable(`after ${redirects} redirects there is another`, { retryable: false });
      timeout.end();
      redirects += 1;
      at = URL.canParse(next, at) ? new URL(next, at).href : next;
    }
  }

  /** Repeats `work` until it succeeds, fails for good or has failed too often. `progress`: grows with the work done. */
  async #retrying<T>(signals: readonly AbortSignal[], work: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    for (let [failures, reached] = [0, progress()]; ; ) {
      try {
        return await work();
      } catch (error) {
        if (signals.some((signal) => signal.aborted)) throw interruptedFailure();
        if (!(error instanceof Unavailable)) throw error;
        failures = progress() > reached ? 1 : failures + 1;
        reached = progress();
        if (!error.details.retryable || failures >= TRIES) throw error.after(failures);
        const wait = Math.min(error.details.wait ?? FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
        this.#options.onRetry?.(error.message, wait);
        await (this.#options.sleep ?? pause)(wait, signals);
      }
    }
  }

  #signals(own?: AbortSignal): AbortSignal[] {
    return [this.#options.signal, own].filter((signal) => signal !== undefined);
  }
}

/** Ends a request that receives nothing for too long, or is aborted. Only time in which the caller waits for it counts. */
class SilenceTimeout {
  readonly #own = new AbortController();
  readonly signal: AbortSignal;

  constructor(signals: readonly AbortSignal[]) {
    this.signal = AbortSignal.any([this.#own.signal, ...signals]);
  }

  async until<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#own.abort(new Error(`nothing came for ${MAX_SILENCE / 1000} s`)), MAX_SILENCE);
    try {
      return await work;
    } catch (error) {
      throw this.#own.signal.aborted ? this.#own.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes the connection, if it is still in use. */
  end(): void {
    this.#own.abort();
  }
}

/** A reply. Its body must be read to the end, or the connection is closed. */
class UpstreamReply {
  readonly status: number;
  /** offset in the file at which the body begins; infinite: unknown */
  readonly start: number;
  /** bytes of the body by its header */
  readonly length: number | undefined;
  readonly headers: Headers;
  readonly #what: string;
  readonly #url: string;
  readonly #response: Response;
  readonly #timeout: SilenceTimeout;

  constructor(what: string, url: string, response: Response, timeout: SilenceTimeout) {
    [this.#what, this.#url, this.#response, this.#timeout] = [what, url, response, timeout];
    const { status, headers } = response;
    [this.status, this.headers] = [status, headers];
    const isPart = status === 206 || status === 416;
    this.start = isPart ? Number(/^bytes (\d+)-/.exec(headers.get("Content-Range") ?? "")?.[1] ?? Infinity) : 0;
    const length = headers.get("Content-Length");
    this.length = length === null || headers.has("Content-Encoding") ? undefined : Number(length);
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const reader = this.#response.body?.getReader();
    if (!reader) return;
    let [isWhole, size] = [false, 0];
    try {
      for (;;) {
        const { done, value } = await this.#timeout
          .until(reader.read())
          .catch((error: unknown) => Promise.reject(connectionError(this.#what, this.#url, error, { status: this.status, size })));
        if (done) break;
        size += value.byteLength;
        yield value;
      }
      isWhole = true;
    } finally {
      if (!isWhole) this.#timeout.end();
    }
  }

  /** The whole body. Throws where it has more bytes than `limit`. */
  async body(limit: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.chunks()) {
      size += chunk.byteLength;
      if (size > limit) throw this.unusable(`the reply is larger than ${limit} bytes`, { retryable: false });
      parts.push(chunk);
    }
    return Buffer.concat(parts);
  }

  /** The failure to throw if the body is unusable; retryable by default. */
  unusable(why: string, details: UnavailableDetails = {}): Unavailable {
    this.#timeout.end();
    return new Unavailable(this.#what, this.#url, why, { status: this.status, retryable: true, ...details });
  }

  /** The failure to throw for an unsuccessful reply, with the reason in its body. */
  async refusal(): Promise<Unavailable> {
    const wait = retryAfter(this.headers);
    const text = await this.body(MAX_ERROR).then(String, () => "");
    const message = storeMessage(text);
    return this.unusable(`status ${this.status}${message && ` (${printable(message, 300)})`}`, {
      retryable: RETRYABLE.has(this.status),
      ...(wait !== undefined && { wait }),
      ...(this.status === 407 && { next: PROXY_LOGIN }),
    });
  }
}

const PROXY_LOGIN = "the proxy wants a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, and HTTP_PROXY alike";

/** The reason that a store or a registry gives. */
function storeMessage(text: string): string {
  try {
    const { "error-list": list, errors = list } = JSON.parse(text) as Record<"error-list" | "errors", { message?: unknown }[] | undefined>;
    const message = errors?.[0]?.message;
    return typeof message === "string" ? message : "";
  } catch {
    return "";
  }
}

/** Milliseconds of a Retry-After header, which has seconds, or a date by the server's clock. */
function retryAfter(headers: Headers): number | undefined {
  const header = headers.get("Retry-After");
  if (header === null) return undefined;
  const time = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.parse(headers.get("Date") ?? "");
  return Number.isFinite(time) ? Math.max(0, time) : undefined;
}

/** The other side speaks another protocol: no retry helps. */
const NO_TLS = /^(EPROTO|ERR_SSL_.*)$/;

/** What error codes of both runtimes mean; other errors keep their own message. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^ECONNREFUSED$/, "nothing answers at that address"],
  [/^(ENOTFOUND|EAI_AGAIN|EAI_NODATA|DNS_)/, "host name not found"],
  [/^(EHOSTUNREACH|ENETUNREACH)$/, "its host is not reachable"],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/, "its host does not answer"],
  [NO_TLS, "it does not speak TLS: its URL should begin with http://, or its port is another one"],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed)$/, "the connection broke"],
];
/** No retry helps against a certificate that is not trusted; an unknown authority can be named by a flag. */
const [UNTRUSTED, UNKNOWN_AUTHORITY] = [/CERT|SIGNATURE|ISSUER/, /ISSUER|LEAF_SIGNATURE|SELF_SIGNED/];

/** The failure of a request without a reply, or of a truncated body. `body`: what was received of it. */
function connectionError(
  what: string,
  url: string,
  error: unknown,
  body?: { readonly status: number; readonly size: number },
): Unavailable {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  const code = root instanceof Error && "code" in root ? String(root.code) : "";
  const known = REASONS.find(([codes]) => codes.test(code))?.[1];
  // Bun adds advice for its own users to the message.
  const why = known ?? printable(reason(root).replace(/\.? For more information, pass `verbose.*/s, "") || code || "no reply", 300);
  // Where a proxy refuses the tunnel there is no reply; both runtimes put its status into the message.
  const wantsLogin = /\b407\b/.test(reason(root));
  const ownAdvice = error instanceof Failure ? error.next : undefined;
  const next = wantsLogin
    ? PROXY_LOGIN
    : UNKNOWN_AUTHORITY.test(code)
      ? "name the authority that issued its certificate with --ca FILE"
      : ownAdvice;
  return new Unavailable(what, url, body && body.size > 0 ? `${why} after ${body.size} bytes` : why, {
    retryable: !wantsLogin && !UNTRUSTED.test(code) && !NO_TLS.test(code),
    cause: error,
    ...(NO_TLS.test(code) && { isPlain: true }),
    ...(body && { status: body.status }),
    ...(next !== undefined && { next }),
  });
}

function interruptedFailure(): Failure {
  return new Failure("interrupted", "interrupted");
}

function pause(time: number, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.any([...signals]);
    const stop = () => {
      clearTimeout(timer);
      reject(interruptedFailure());
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, time);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** A file that a store offers for download. */
export interface UpstreamFile {
  readonly url: string;
  /** bytes */
  readonly size: number;
  /** of `digest` */
  readonly algorithm: Extract<Algorithm, "sha-256" | "sha3-384">;
  /** lower-case hex */
  readonly digest: string;
  /** undefined: anyone may read it */
  readonly access?: Access;
}
