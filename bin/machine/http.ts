/** Requests to servers of the operator's own network: certificates as the machine trusts them, no redirects, replies bounded. */

import { readFileSync } from "node:fs";
import { request as plain } from "node:http";
import { request as secure } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { rootCertificates } from "node:tls";
import { reason } from "../../src/errors.ts";

export interface BoundedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpOptions {
  readonly method?: "GET" | "HEAD" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  /** sent as it comes; the reply may come before its end, which then is not read */
  readonly body?: AsyncIterable<Uint8Array>;
  /** PEM of further trusted certificates */
  readonly trusted?: readonly string[];
  /** milliseconds for all of it; infinite where a body takes its time */
  readonly timeout?: number;
  /** bytes of the reply's body that are read */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

const TIMEOUT = 5000;
const MAX_BODY = 256 * 1024;

/** Files with the roots of this machine, an operator's own among them; the public roots are built in. */
const BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
let known: readonly string[] | undefined;

/** Certificates of authorities, PEM; several may stand in one. */
export function machineRoots(): readonly string[] {
  known ??= [
    ...rootCertificates,
    ...[process.env["SSL_CERT_FILE"] ?? "", ...BUNDLES].flatMap(tryRead).slice(0, 1),
    ...tryRead(process.env["NODE_EXTRA_CA_CERTS"] ?? ""),
  ];
  return known;
}

function tryRead(path: string): string[] {
  try {
    return path === "" ? [] : [readFileSync(path, "utf8")];
  } catch {
    return [];
  }
}

/** No reply came. `code`: of the system or of TLS, like `ECONNREFUSED`; may be empty. */
export class NoReply extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** Whether a server answered with a certificate that is not trusted. */
  get untrusted(): boolean {
    return /CERT|SIGNATURE|ISSUER/.test(this.code);
  }
}

/** One request; a redirect is a reply. Throws `Unanswered`, or what reading `body` throws. */
export function ask(
  url: string,
  { method = "GET", headers = {}, body, trusted = [], timeout = TIMEOUT, limit = MAX_BODY, signal }: HttpOptions = {},
): Promise<BoundedReply> {
  return new Promise((resolve, reject) => {
    const request =
      new URL(url).protocol === "https:"
        ? secure(url, { method, headers, ca: [...machineRoots(), ...trusted], agent: false })
        : plain(url, { method, headers, agent: false });
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupt);
    };
    const fail = (error: unknown) => {
      end();
      reject(error instanceof NoReply ? error : new NoReply(codeOf(error), reason(error) || codeOf(error)));
    };
    const give = (up: unknown) => {
      fail(up);
      request.destroy();
    };
    const interrupt = () => give(new NoReply("ABORT_ERR", "interrupted"));
    const late = () => give(new NoReply("ETIMEDOUT", `no answer within ${timeout / 1000} s`));
    const timer = Number.isFinite(timeout) ? setTimeout(late, timeout) : undefined;
    signal?.addEventListener("abort", interrupt);
    request.on("error", fail);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = () => {
        end();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString().slice(0, limit) });
        if (body) request.destroy(); // what was not sent yet is not wanted
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

/** The body; where it cannot be read, `failed` gets the reason before the request is destroyed with it. */
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
