/**
 * Requests to an S3-compatible engine: signed, sent again where that may help, their errors in words. Keys are those of the bucket.
 * Nothing here knows what is stored.
 */

import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleepFor } from "node:timers/promises";
import { reason } from "../src/errors.ts";
import { explainS3Error, isPassing, S3Error, type S3Place, S3Silence } from "./s3errors.ts";
import { EMPTY_PAYLOAD, encode, presign, type Scope, signHeaders } from "./sigv4.ts";

/** Sends one request, and follows no redirect. */
export type S3Transport = (
  url: string,
  request: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Uint8Array;
    readonly signal: AbortSignal;
  },
) => Promise<Response>;

export interface S3Options extends Scope {
  readonly bucket: string;
  /** what all keys begin with: empty, or with a slash at its end */
  readonly prefix: string;
  /** `https://s3.eu-north-1.amazonaws.com` */
  readonly endpoint: string;
  /** whether the bucket is the first part of the path, rather than of the host */
  readonly pathStyle: boolean;
  readonly transport: S3Transport;
  /** milliseconds for which a request is sent again */
  readonly patience?: number;
  /** milliseconds without an answer after which a request counts as lost, and more for large bodies */
  readonly silence?: number;
  /** milliseconds of a clock that only goes on */
  readonly elapsed?: () => number;
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
}

interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** undefined: the bucket itself */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** when it is signed, by the engine's clock; undefined: when it is sent */
  readonly time?: number;
  /** a URL that is signed already */
  readonly signed?: URL;
  /** statuses that are answers, besides 200 to 299 */
  readonly also?: readonly number[];
  /** for messages: `read` */
  readonly verb: string;
  /** most bytes of the answer's body */
  readonly limit?: number;
  /** milliseconds for which it is sent again, in place of the client's */
  readonly patience?: number;
}

interface S3Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export interface S3Head {
  readonly size: number;
  /** milliseconds since 1970, by the engine's clock; whole seconds */
  readonly modified: number;
  readonly writer: string | undefined;
}

export interface S3Entry extends Pick<S3Head, "size" | "modified"> {
  /** without the prefix of the store */
  readonly key: string;
}

export interface S3Part {
  readonly object: S3Head;
  readonly bytes: Uint8Array;
}

const PATIENCE = 60_000;
const [FIRST_DELAY, LAST_DELAY] = [50, 2000];
/** milliseconds without an answer, and those for each byte of a body, either way */
const [SILENCE, PER_BYTE] = [15_000, 1 / 100];
const MAX_ANSWER = 16 * 2 ** 20;
/** milliseconds after which what is known of the engine's clock is measured anew */
const CLOCK_LIFE = 600_000;

/** Milliseconds within which engines refuse a signed request: a quarter of an hour, and what their clocks differ by. The proof of a bucket checks it. */
export const SIGNATURE_LIFE = 20 * 60_000;

export class S3Client implements S3Place {
  readonly place: string;
  readonly bucket: string;
  readonly endpoint: string;
  /** requests that were sent */
  requests = 0;
  readonly #options: S3Options;
  readonly #elapsed: () => number;
  readonly sleep: (milliseconds: number) => Promise<unknown>;
  /** the engine's clock minus `elapsed`, at most */
  #ahead: { readonly value: number; readonly at: number } | undefined;

  constructor(options: S3Options) {
    this.#options = options;
    this.bucket = options.bucket;
    this.endpoint = options.endpoint;
    this.place = `s3://${options.bucket}${options.prefix === "" ? "" : `/${options.prefix.slice(0, -1)}`}`;
    this.#elapsed = options.elapsed ?? (() => performance.now());
    this.sleep = options.sleep ?? sleepFor;
  }

  /** The engine's clock in milliseconds since 1970: never ahead of it, and behind by what an answer takes and up to a second. */
  now(): number {
    return this.#ahead ? this.#ahead.value + this.#elapsed() : Date.now();
  }

  /** Asks for an object, whichever, where the engine's clock is not known. */
  async measure(key: string): Promise<void> {
    if (!this.#ahead || this.#elapsed() - this.#ahead.at > CLOCK_LIFE) await this.head(key);
  }

  /** Undefined: there is no such object. */
  async head(key: string, how: Pick<S3Request, "patience"> = {}): Promise<S3Head | undefined> {
    const reply = await this.#send({ method: "HEAD", key, also: [404], verb: "read", ...how });
    return reply.status === 404 ? undefined : headOf(reply.headers, Number(reply.headers.get("content-length")));
  }

  /** Bytes from `start` to `end`, exclusive, or fewer where the object ends before; undefined: there is no such object. */
  async read(key: string, start: number, end: number, how: Pick<S3Request, "patience"> = {}): Promise<S3Part | undefined> {
    const range = `bytes=${start}-${end - 1}`;
    const reply = await this.#send({
      method: "GET",
      key,
      headers: { range },
      also: [404, 416],
      verb: "read",
      limit: end - start,
      ...how,
    });
    if (reply.status === 404) return undefined;
    const empty = new Uint8Array();
    if (reply.status === 416) {
      const object = await this.head(key); // the object is empty, or ends before
      return object && { object, bytes: empty };
    }
    const size = Number(/\/(\d+)$/.exec(reply.headers.get("content-range") ?? "")?.[1] ?? reply.body.byteLength);
    return { object: headOf(reply.headers, size), bytes: reply.body };
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#send({ method: "PUT", key, body, verb: "write" });
  }

  /**
   * Creates an object. False: there is one. `time`: when it is signed, so that it takes effect within `SIGNATURE_LIFE` of then or not at all.
   * An answer may be lost, and what lies on the way may repeat a request: the object says who wrote it.
   */
  async create(key: string, body: Uint8Array, time = this.now()): Promise<boolean> {
    const writer = randomUUID();
    const headers = { "if-none-match": "*", "x-amz-meta-writer": writer };
    try {
      const { status } = await this.#send({ method: "PUT", key, body, headers, time, also: [412], verb: "create" });
      if (status !== 412) return true;
    } catch (error) {
      // Whether one of the requests was carried out is not known.
      if ((await this.head(key).catch(() => undefined))?.writer === writer) return true;
      throw error;
    }
    return (await this.head(key))?.writer === writer;
  }

  /** `signed`: by `presigned`, which is sent once. */
  async remove(key: string, signed?: URL): Promise<void> {
    await this.#send({ method: "DELETE", key, ...(signed && { signed, patience: 0 }), also: [404], verb: "delete" });
  }

  /** A request that is refused `seconds` after now, by the engine's clock. */
  presigned(method: "GET" | "DELETE", key: string, seconds: number, query: Readonly<Record<string, string>> = {}, time = this.now()): URL {
    return presign({ method, url: this.#url(key, query) }, this.#options, { time, seconds });
  }

  /** Everything below `prefix`, at any depth, sorted; `folders`: only what is directly below it. */
  async *list(prefix: string, { folders = false } = {}): AsyncGenerator<S3Entry> {
    const within = this.#options.prefix;
    let token: string | undefined;
    do {
      const query = {
        "list-type": "2",
        "encoding-type": "url",
        prefix: within + prefix,
        ...(folders && { delimiter: "/" }),
        ...(token !== undefined && { "continuation-token": token }),
      };
      const { body } = await this.#send({ method: "GET", query, verb: "list" });
      const page = new TextDecoder().decode(body);
      if (!page.includes("<ListBucketResult")) throw this.#explain(new S3Silence("", "its listing is none"), "list");
      for (const entry of elements(page, "Contents")) {
        const key = decodeURIComponent((element(entry, "Key") ?? "").replaceAll("+", "%20"));
        yield {
          key: key.slice(within.length),
          size: Number(element(entry, "Size")),
          modified: Date.parse(element(entry, "LastModified") ?? ""),
        };
      }
      token = element(page, "IsTruncated") === "true" ? element(page, "NextContinuationToken") : undefined;
    } while (token !== undefined);
  }

  /** Begins an upload in parts; its id. */
  async beginUpload(key: string): Promise<string> {
    const { body } = await this.#send({ method: "POST", key, query: { uploads: "" }, verb: "write" });
    const id = element(new TextDecoder().decode(body), "UploadId");
    if (id === undefined || id === "") throw this.#explain(new S3Silence("", "its answer has no UploadId"), `write ${key}`);
    return id;
  }

  /** Its tag, for `endUpload`. `number`: from 1 on. */
  async uploadPart(key: string, upload: string, number: number, body: Uint8Array): Promise<string> {
    const query = { partNumber: String(number), uploadId: upload };
    const { headers } = await this.#send({ method: "PUT", key, query, body, verb: "write" });
    return headers.get("etag") ?? "";
  }

  async endUpload(key: string, upload: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map((tag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${escape(tag)}</ETag></Part>`).join("");
    const body = Buffer.from(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts}</CompleteMultipartUpload>`);
    const size = async () => (await this.head(key))?.size;
    try {
      const reply = await this.#send({ method: "POST", key, query: { uploadId: upload }, body, verb: "write" });
      const text = new TextDecoder().decode(reply.body);
      if (text.includes("<Error>")) throw errorOf(200, text); // it begins to answer before it knows
    } catch (error) {
      // The first of several may have been carried out, which takes the upload away.
      if (!(error instanceof Error && isNoUpload(error)) || (await size()) === undefined) throw this.#explain(error, `write ${key}`);
    }
  }

  async abortUpload(key: string, upload: string): Promise<void> {
    await this.#send({ method: "DELETE", key, query: { uploadId: upload }, also: [404], verb: "delete" });
  }

  /** Uploads that were begun and not ended. */
  async uploads(): Promise<{ readonly key: string; readonly id: string; readonly begun: number }[]> {
    const { prefix } = this.#options;
    const { body } = await this.#send({ method: "GET", query: { uploads: "", prefix }, verb: "list" });
    return elements(new TextDecoder().decode(body), "Upload").map((entry) => ({
      key: unescape(element(entry, "Key") ?? "").slice(prefix.length),
      id: unescape(element(entry, "UploadId") ?? ""),
      begun: Date.parse(element(entry, "Initiated") ?? ""),
    }));
  }

  /** One request as it is, for the proof of a bucket: its status. `payload`: the sha256 that it claims. */
  async probe(request: {
    readonly method: "PUT" | "DELETE";
    readonly key: string;
    readonly body?: Uint8Array;
    readonly headers?: Readonly<Record<string, string>>;
    readonly payload?: string;
    readonly time?: number;
    readonly signed?: URL;
  }): Promise<{ readonly status: number; readonly code: string }> {
    try {
      const { status } = await this.#once({ ...request, verb: "write" }, SILENCE);
      return { status, code: "" };
    } catch (error) {
      if (error instanceof S3Error) return error;
      throw this.#explain(error, `write ${request.key}`);
    }
  }

  async #send(request: S3Request): Promise<S3Reply> {
    const { patience = this.#options.patience ?? PATIENCE } = request;
    const begun = this.#elapsed();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(request, this.#options.silence ?? SILENCE);
      } catch (error) {
        const isSkewed = error instanceof S3Error && error.code === "RequestTimeTooSkewed" && request.time === undefined && attempt === 0;
        const delay = Math.min(LAST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + Math.random() / 2);
        const isLate = this.#elapsed() - begun + delay > patience;
        if (!isSkewed && (!isPassing(error) || isLate))
          throw this.#explain(error, request.key === undefined ? request.verb : `${request.verb} ${request.key}`);
        if (!isSkewed) await this.sleep(delay);
      }
    }
  }

  async #once(request: S3Request & { readonly payload?: string }, silence: number): Promise<S3Reply> {
    const { method, key, query = {}, headers = {}, body, time = this.now(), signed, also = [], limit = MAX_ANSWER } = request;
    const url = signed ?? this.#url(key, query);
    const payload = request.payload ?? (body ? sha256(body) : EMPTY_PAYLOAD);
    const sent = signed ? {} : signHeaders({ method, url, headers, payload }, this.#options, time);
    const controller = new AbortController();
    const wait = silence + ((body?.byteLength ?? 0) + limit) * PER_BYTE;
    const late = () => controller.abort(new S3Silence("ETIMEDOUT", `no answer within ${Math.round(wait / 1000)} s`));
    const timer = setTimeout(late, wait);
    this.requests += 1;
    try {
      const response = await this.#options.transport(url.href, {
        method,
        headers: { ...sent, "accept-encoding": "identity" },
        ...(body && { body }),
        signal: controller.signal,
      });
      this.#note(response.headers.get("date"));
      const { status } = response;
      const answer = method === "HEAD" ? new Uint8Array() : await bodyOf(response, limit);
      if (status < 300 || also.includes(status)) {
        if (status !== 404 || method === "HEAD") return { status, headers: response.headers, body: answer };
        const error = errorOf(status, new TextDecoder().decode(answer));
        if (error.code === "NoSuchBucket") throw error;
        return { status, headers: response.headers, body: answer };
      }
      const error = errorOf(status, new TextDecoder().decode(answer));
      throw error.code === "" && status === 403 && hasOtherClock(response, time) ? skewed() : error;
    } catch (error) {
      if (error instanceof S3Error || error instanceof S3Silence) throw error;
      if (controller.signal.aborted) throw controller.signal.reason;
      throw new S3Silence(error instanceof Error && "code" in error ? String(error.code) : "", reason(error), error);
    } finally {
      clearTimeout(timer);
    }
  }

  #url(key: string | undefined, query: Readonly<Record<string, string>>): URL {
    const { endpoint, pathStyle, bucket, prefix } = this.#options;
    const url = new URL(endpoint);
    const base = url.pathname.replace(/\/+$/, "");
    if (!pathStyle) url.host = `${bucket}.${url.host}`;
    const path = key === undefined ? "" : (prefix + key).split("/").map(encode).join("/");
    url.pathname = `${base}${pathStyle ? `/${bucket}` : ""}/${path}`;
    url.search = Object.entries(query)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .toSorted()
      .join("&");
    return url;
  }

  #note(date: string | null): void {
    const time = Date.parse(date ?? "");
    if (Number.isNaN(time)) return;
    const at = this.#elapsed();
    const value = time - at;
    if (!this.#ahead || value > this.#ahead.value || at - this.#ahead.at > CLOCK_LIFE) this.#ahead = { value, at };
  }

  #explain(error: unknown, what: string): unknown {
    return explainS3Error(error, what, this);
  }
}

function headOf(headers: Headers, size: number): S3Head {
  return { size, modified: Date.parse(headers.get("last-modified") ?? ""), writer: headers.get("x-amz-meta-writer") ?? undefined };
}

/** Fails where it has fewer bytes than it says, or more than `limit`. */
async function bodyOf(response: Response, limit: number): Promise<Uint8Array> {
  const declared = response.headers.get("content-length");
  if (Number(declared) > Math.max(limit, MAX_ANSWER)) throw new S3Silence("", `its answer has ${declared} bytes`);
  const body = new Uint8Array(await response.arrayBuffer());
  if (declared !== null && Number(declared) !== body.byteLength)
    throw new S3Silence("", `its answer ends after ${body.byteLength} of ${declared} bytes`);
  return body;
}

function errorOf(status: number, xml: string): S3Error {
  const region = element(xml, "Region");
  return new S3Error(status, {
    code: unescape(element(xml, "Code") ?? ""),
    message: unescape(element(xml, "Message") ?? ""),
    ...(region !== undefined && { region: unescape(region) }),
  });
}

/** Whether what refused a request without saying why has another clock than what signed it. */
function hasOtherClock(response: Response, time: number): boolean {
  return Math.abs(Date.parse(response.headers.get("date") ?? "") - time) > 10 * 60_000;
}

function skewed(): S3Error {
  return new S3Error(403, { code: "RequestTimeTooSkewed", message: "" });
}

function isNoUpload(error: Error): boolean {
  const cause = error instanceof S3Error ? error : error.cause;
  return cause instanceof S3Error && cause.code === "NoSuchUpload";
}

/** The text of the first element of that name; engines' answers are flat, and name no element twice in another sense. */
function element(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`);
  const end = start === -1 ? -1 : xml.indexOf(`</${name}>`, start);
  return end === -1 ? undefined : xml.slice(start + name.length + 2, end);
}

function elements(xml: string, name: string): string[] {
  const found: string[] = [];
  for (let at = 0; ; ) {
    const start = xml.indexOf(`<${name}>`, at);
    const end = start === -1 ? -1 : xml.indexOf(`</${name}>`, start);
    if (end === -1) return found;
    found.push(xml.slice(start + name.length + 2, end));
    at = end;
  }
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function unescape(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&#34;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
