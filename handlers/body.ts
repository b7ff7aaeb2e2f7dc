/** Reads request bodies with a limit of bytes and of time. */

import type { Context } from "hono";
import { Failure } from "../src/errors.ts";

/** Bytes of a refresh: Juju sends a whole model, about 500 KiB for 1,000 applications, and snapd every snap of a machine. */
export const MAX_REFRESH = 16 * 2 ** 20;

/** Bytes of other bodies. */
export const MAX_SMALL = 2 ** 20;

const DEADLINE = 30_000;

/** The body as text. Throws `too-large` and `too-slow` failures. */
export async function readBody(c: Context, limit: number): Promise<string> {
  const length = c.req.header("Content-Length");
  if (Number(length ?? 0) > limit) throw tooLarge(limit);
  return beforeDeadline(length === undefined ? readChunks(c.req.raw.body, limit) : c.req.raw.text());
}

function beforeDeadline<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Failure("too-slow", `the body did not arrive within ${DEADLINE / 1000} seconds`));
    const timer = setTimeout(late, DEADLINE);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Reads a body of unknown length. */
async function readChunks(body: ReadableStream<Uint8Array> | null, limit: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body ?? []) {
    size += part.byteLength;
    if (size > limit) throw tooLarge(limit);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function tooLarge(limit: number): Failure {
  return new Failure("too-large", `the body is larger than ${limit} bytes`);
}
