/** Small requests to servers of the operator's own network: certificates as the machine trusts them, no redirects, all of it bounded. */

import { readFileSync } from "node:fs";
import { request as plain } from "node:http";
import { request as secure } from "node:https";
import { rootCertificates } from "node:tls";
import { reason } from "../errors.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Ask {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM of certificates that are trusted besides */
  readonly trusted?: readonly string[];
  /** milliseconds for all of it */
  readonly timeout?: number;
}

const TIMEOUT = 5000;
const MAX_BODY = 256 * 1024;

/** What the machine trusts: chp brings the public roots along, and the operator's own stand in one of these. */
const BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
let known: readonly string[] | undefined;

/** Certificates of authorities, PEM; several may stand in one. */
export function machineRoots(): readonly string[] {
  known ??= [...rootCertificates, ...[process.env["SSL_CERT_FILE"] ?? "", ...BUNDLES].flatMap(tryRead).slice(0, 1)];
  return known;
}

function tryRead(path: string): string[] {
  try {
    return path === "" ? [] : [readFileSync(path, "utf8")];
  } catch {
    return [];
  }
}

/** Why no reply came, with the code of the system or of TLS. */
export class Unanswered extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** Whether a server was there, and its certificate was not taken. */
  get untrusted(): boolean {
    return /CERT|SIGNATURE|ISSUER/.test(this.code);
  }
}

/** One request; a redirect is a reply. Throws `Unanswered`. */
export function ask(url: string, { method = "GET", headers = {}, trusted = [], timeout = TIMEOUT }: Ask = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request =
      new URL(url).protocol === "https:"
        ? secure(url, { method, headers, ca: [...machineRoots(), ...trusted], agent: false })
        : plain(url, { method, headers, agent: false });
    const fail = (error: unknown) => {
      clearTimeout(timer);
      reject(error instanceof Unanswered ? error : new Unanswered(codeOf(error), reason(error) || codeOf(error)));
    };
    const timer = setTimeout(() => {
      fail(new Unanswered("ETIMEDOUT", `no answer within ${timeout / 1000} s`));
      request.destroy();
    }, timeout);
    request.on("error", fail);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const end = () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString().slice(0, MAX_BODY) });
      };
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.byteLength;
        if (size <= MAX_BODY) return;
        end();
        request.destroy();
      });
      response.on("end", end);
      response.on("error", fail);
    });
    request.end();
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
