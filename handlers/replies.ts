/** Replies, and a cache of them that is bounded in bytes and emptied when the snapshot changes. */

import { ByteCache, type CacheUse } from "../src/cache.ts";
import type { Part } from "../src/wire/template.ts";
import type { Offer } from "./offer.ts";
import type { OfferedRegistry } from "./registries.ts";

const MAX_CACHED = 64 * 2 ** 20;

/** Clients compare it exactly (handlers/juju.md, Content types; handlers/snapd.md, Content types). */
const JSON_HEADERS: ReplyHeaders = { "Content-Type": "application/json" };

export type ReplyHeaders = Readonly<Record<string, string>>;

/** A reply that knows the bytes of its body. A header that says so would cost more than the rest of a cached reply; the server adds it. */
type Sized = Response & { bodySize?: number };

/** A blob is not copied: it is for what is joined of parts, or kept. */
type Body = string | Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>;

export function replyWith(json: Body, status = 200): Response {
  return sized(json, status, JSON_HEADERS);
}

/** A reply that is no JSON. */
export function replyAs(headers: ReplyHeaders, body: string, status = 200): Response {
  return sized(body, status, headers);
}

function sized(body: Body, status: number, headers: ReplyHeaders): Response {
  const response: Sized = new Response(body, status === 200 ? { headers } : { status, headers });
  if (typeof body === "string") response.bodySize = Buffer.byteLength(body);
  else if (body instanceof Blob) response.bodySize = body.size;
  else if (body instanceof Uint8Array) response.bodySize = body.byteLength;
  return response;
}

/** Bytes of a reply's body; undefined: not known. */
export function bodySize(response: Sized): number | undefined {
  const length = response.bodySize ?? response.headers.get("Content-Length");
  return length === null ? undefined : Number(length);
}

/**
 * A successful reply that is cached by its URL while snapshot and registry stay the same. So it may not depend on anything else:
 * no header, no time.
 */
export class CacheableReply {
  readonly body: Blob;
  readonly headers: ReplyHeaders;

  constructor(parts: readonly Part[], headers: ReplyHeaders = JSON_HEADERS) {
    this.body = new Blob([...parts]);
    this.headers = headers;
  }

  /** A new response with the same bytes. */
  response(): Response {
    return sized(this.body, 200, this.headers);
  }
}

/** Caches what depends only on a key, the snapshot and the registry. */
export class SnapshotCache<T> {
  #snapshot: Offer | undefined;
  #registry: OfferedRegistry | undefined;
  readonly #use: CacheUse;
  #cache: ByteCache<T>;

  constructor(use: CacheUse) {
    this.#use = use;
    this.#cache = new ByteCache(MAX_CACHED, use);
  }

  /** The cache for this snapshot and registry; the cache for others is dropped. */
  of(snapshot: Offer, registry: OfferedRegistry | undefined): ByteCache<T> {
    if (snapshot !== this.#snapshot || registry !== this.#registry) {
      this.#snapshot = snapshot;
      this.#registry = registry;
      this.#cache = new ByteCache(MAX_CACHED, this.#use);
    }
    return this.#cache;
  }
}
