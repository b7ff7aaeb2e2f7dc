/** Request bodies, bounded in bytes and in time. */

import type { Context } from "hono";
import { Failure } from "../src/errors.ts";

const DEADLINE = 30_000;

/** The body as text. Throws `too-large` and `too-slow` failures. */
export async function readBody(c: Context, limit: number): Promise<string> {
  const tooLarge = () => new Failure("too-large", `the body is larger than ${limit} bytes`);
  if (Number(c.req.header("Content-Length") ?? 0) > limit) throw tooLarge();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failure("too-slow", `the body did not arrive within ${DEADLINE / 1000} seconds`)), DEADLINE);
  });
  try {
    return await Promise.race([collect(c.req.raw.body, limit, tooLarge), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function collect(body: ReadableStream<Uint8Array> | null, limit: number, tooLarge: () => Failure): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body ?? []) {
    size += part.byteLength;
    if (size > limit) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
