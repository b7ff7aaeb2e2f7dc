/** JSON replies, and a cache of them that is bounded in bytes and emptied when the snapshot changes. */

import { ByteCache, type CacheUse } from "../src/cache.ts";
import type { Offer } from "./offer.ts";
import type { OfferedRegistry } from "./registries.ts";

const MAX_CACHED = 64 * 2 ** 20;

/** Clients compare it exactly (handlers/juju.md, Content types; handlers/snapd.md, Content types). */
const JSON_HEADERS = { "Content-Type": "application/json" };

/** A reply that knows the bytes of its body. A header that says so would cost more than the rest of a cached reply; the server adds it. */
type Sized = Response & { bodySize?: number };

/** `size`: bytes of a text, where they are known. */
export function replyWith(json: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>, status = 200, size?: number): Response {
  const response: Sized = new Response(json, { status, headers: JSON_HEADERS });
  if (typeof json === "string") response.bodySize = size ?? Buffer.byteLength(json);
  else if (json instanceof Uint8Array) response.bodySize = json.byteLength;
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
  readonly body: Uint8Array<ArrayBuffer>;

  constructor(json: string) {
    this.body = Buffer.from(json);
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
