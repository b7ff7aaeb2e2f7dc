/** Requests to servers of the operator's network: certificates that the machine trusts, no redirects, replies limited in size. */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { reason } from "../../src/errors.ts";

export interface BoundedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpOptions {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  /** sent as it is read; if the reply comes first, the rest is not sent */
  readonly body?: AsyncIterable<Uint8Array>;
  /** further trusted certificates, PEM */
  readonly trusted?: readonly string[];
  /** the certificate may be for another name: the server is asked by an address of this machine */
  readonly anyName?: boolean;
  /** milliseconds for the whole request; infinite for large bodies */
  readonly timeout?: number;
  /** bytes of the reply's body; the rest is cut off */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

const TIMEOUT = 5000;
const MAX_BODY = 256 * 1024;

let known: Promise<readonly string[]> | undefined;

/** The roots that this machine trusts, PEM: those of the runtime and of the system, where SSL_CERT_FILE names others those, and of NODE_EXTRA_CA_CERTS. */
export function machineRoots(): Promise<readonly string[]> {
  known ??= import("node:tls").then(({ default: tls }) => [
    ...new Set((["bundled", "system", "extra"] as const).flatMap((kind) => tls.getCACertificates(kind))),
  ]);
  return known;
}

/** A request without a reply. `code`: of the system or of TLS, like `ECONNREFUSED`; may be empty. */
export class NoReply extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** Whether the certificate of the server is not trusted. */
  get untrusted(): boolean {
    return /CERT|SIGNATURE|ISSUER/.test(this.code);
  }
}

/** Sends one request; a redirect is returned as it is. Rejects with `NoReply`, or with the error of reading `body`. */
export async function ask(
  url: string,
  { method = "GET", headers = {}, body, trusted = [], anyName = false, timeout = TIMEOUT, limit = MAX_BODY, signal }: HttpOptions = {},
): Promise<BoundedReply> {
  // Loaded here: most commands ask nobody.
  const secure =
    new URL(url).protocol === "https:" ? { ...(await import("node:https")), ca: [...(await machineRoots()), ...trusted] } : undefined;
  const { request: plain } = await import("node:http");
  return new Promise((resolve, reject) => {
    const request = secure
      ? secure.request(url, {
          method,
          headers,
          ca: secure.ca,
          agent: false,
          ...(anyName && { checkServerIdentity: () => undefined }),
        })
      : plain(url, { method, headers, agent: false });
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupt);
    };
    const fail = (error: unknown) => {
      end();
      reject(error instanceof NoReply ? error : new NoReply(codeOf(error), reason(error) || codeOf(error)));
    };
    const abort = (error: NoReply) => {
      fail(error);
      request.destroy();
    };
    const interrupt = () => abort(new NoReply("ABORT_ERR", "interrupted"));
    const late = () => abort(new NoReply("ETIMEDOUT", `no answer within ${timeout / 1000} s`));
    const timer = Number.isFinite(timeout) ? setTimeout(late, timeout) : undefined;
    signal?.addEventListener("abort", interrupt);
    if (signal?.aborted) setImmediate(interrupt);
    request.on("error", fail);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = () => {
        end();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString().slice(0, limit) });
        if (body) request.destroy(); // the rest of the body is not needed
      };
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.byteLength;
        if (size <= limit) return;
        done();
        request.destroy();
      });
      response.on("end", done);
      response.on("error", fail);
    });
    if (body) pipeline(Readable.from(bodyOrFailure(body, reject), { objectMode: false }), request).catch(fail);
    else request.end();
  });
}

/** Yields the body. If reading it fails, calls `failed` before the error destroys the request. */
async function* bodyOrFailure(body: AsyncIterable<Uint8Array>, failed: (why: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    failed(error);
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
