/** Replies of JSON, and what is kept of them: as long as it lasts, and within a number of bytes. */

import type { Context } from "hono";
import { ByteCache } from "../src/cache.ts";
import type { Registry } from "../src/catalog/registry.ts";
import type { Env } from "./call.ts";
import type { Offer } from "./offer.ts";

const LIMIT = 64 * 2 ** 20;

/** Clients want that type to the letter. */
const HEADERS = { "Content-Type": "application/json" };

export function replyWith(json: string | Uint8Array<ArrayBuffer>, status = 200): Response {
  return new Response(json, { status, headers: HEADERS });
}

/** A success that also serves whoever asks for that URL while snapshot and registry stay: nothing else of the request may be in it. */
export function lasting(c: Context<Env>, json: string): Response {
  c.env.lasting = Buffer.from(json);
  return replyWith(c.env.lasting);
}

/** Keeps what a key, the snapshot and the registry decide. */
export class Lasting<T> {
  #snapshot: Offer | undefined;
  #registry: Registry | undefined;
  #kept = new ByteCache<T>(LIMIT);

  /** What is known of these; what was known of those before is forgotten. */
  of(snapshot: Offer, registry: Registry | undefined): ByteCache<T> {
    if (snapshot !== this.#snapshot || registry !== this.#registry) {
      this.#snapshot = snapshot;
      this.#registry = registry;
      this.#kept = new ByteCache(LIMIT);
    }
    return this.#kept;
  }
}
