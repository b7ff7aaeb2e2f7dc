/** Replies of JSON, and what is kept of them: for as long as they stay true, and within a number of bytes. */

import { ByteCache } from "../src/cache.ts";
import type { Registry } from "../src/catalog/registry.ts";
import type { Offer } from "./offer.ts";

const MAX_CACHED = 64 * 2 ** 20;

/** Clients want that type to the letter (handlers/juju.md, Content types; handlers/snapd.md, Content types). */
const JSON_HEADERS = { "Content-Type": "application/json" };

export function replyWith(json: string | Uint8Array<ArrayBuffer>, status = 200): Response {
  return new Response(json, { status, headers: JSON_HEADERS });
}

/**
 * A success whose bytes also answer whoever asks for the same URL while snapshot and registry stay the same. So nothing else of the
 * request, nor the time, may have a part in them.
 */
export class CacheableReply {
  readonly body: Uint8Array<ArrayBuffer>;

  constructor(json: string) {
    this.body = Buffer.from(json);
  }
}

/** Keeps what depends on nothing but a key, the snapshot and the registry. */
export class SnapshotCache<T> {
  #snapshot: Offer | undefined;
  #registry: Registry | undefined;
  #kept = new ByteCache<T>(MAX_CACHED);

  /** What is kept for these two; what was kept for those before is forgotten. */
  of(snapshot: Offer, registry: Registry | undefined): ByteCache<T> {
    if (snapshot !== this.#snapshot || registry !== this.#registry) {
      this.#snapshot = snapshot;
      this.#registry = registry;
      this.#kept = new ByteCache(MAX_CACHED);
    }
    return this.#kept;
  }
}
