/** An API: its routes, and the dialect of its errors. */

import type { Context } from "hono";
import type { Ready } from "../src/ready.ts";
import type { UrlEntry } from "../src/wire/urls.ts";
import type { Env } from "./call.ts";
import type { Dialect } from "./errors.ts";
import type { Offer } from "./offer.ts";
import type { CacheableReply } from "./replies.ts";

export type Handled = Response | CacheableReply | undefined;

/** Undefined: there is nothing at this URL, as if no route had matched it. */
export type Handler = (c: Context<Env>) => Ready<Handled>;

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "ALL";
  /** an entry of `URLS` */
  readonly url: Pick<UrlEntry<never>, "pattern">;
  readonly handle: Handler;
}

export interface Api {
  readonly dialect: Dialect;
  readonly routes: readonly Route[];
  /** Makes ahead what the first of certain requests would have to wait for, in turns of the event loop. */
  readonly prepare?: (snapshot: Offer) => Promise<void>;
}

export function get(url: Route["url"], handle: Handler): Route {
  return { method: "GET", url, handle };
}

export function post(url: Route["url"], handle: Handler): Route {
  return { method: "POST", url, handle };
}
