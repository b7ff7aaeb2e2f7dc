/** Replies, and a cache of them that is bounded in bytes and emptied when the snapshot changes. */

import { ByteCache, type CacheUse } from "../src/cache.ts";
import type { Part } from "../src/wire/template.ts";
import type { Offer } from "./offer.ts";
import type { OfferedRegistry } from "./registries.ts";

const MAX_CACHED = 64 * 2 ** 20;

export type ReplyHeaders = Readonly<Record<string, string>>;

/**
 * Whether a response copies the bytes and the headers that it is made of, as they say everywhere. Under Node @hono/node-server has responses
 * of its own: they keep the bytes until they are sent, and change the headers.
 */
export const RESPONSES_COPY = typeof Bun !== "undefined";

/** To make a response of `Headers` takes half of the time that a record takes. */
interface Head {
  readonly headers: Headers | ReplyHeaders;
}

function headOf(headers: ReplyHeaders): Head {
  return { headers: RESPONSES_COPY ? new Headers(headers) : headers };
}

/** Clients compare it exactly (handlers/juju.md, Content types; handlers/snapd.md, Content types). */
const JSON_HEAD = headOf({ "Content-Type": "application/json" });

/** A reply that knows the bytes of its body. A header that says so would cost more than the rest of a cached reply; the server adds it. */
type Sized = Response & { bodySize?: number };

/** A blob is not copied: it is for what is joined of parts, or kept. */
type Body = string | Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>;

export function replyWith(json: Body, status = 200): Response {
  return sized(json, JSON_HEAD, status);
}

/** A reply that is no JSON. */
export function replyAs(headers: ReplyHeaders, body: string, status = 200): Response {
  return sized(body, headOf(headers), status);
}

function sized(body: Body, head: Head, status = 200): Response {
  const response: Sized = new Response(body, status === 200 ? head : { ...head, status });
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
  readonly #head: Head;

  constructor(parts: readonly Part[], headers?: ReplyHeaders) {
    this.body = new Blob([...parts]);
    this.#head = headers ? headOf(headers) : JSON_HEAD;
  }

  /** A new response with the same bytes. */
  response(): Response {
    return sized(this.body, this.#head);
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
