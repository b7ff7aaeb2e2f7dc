/** Where a request enters: id, address of this server, routes, errors as JSON, access log. */

import { randomBytes } from "node:crypto";
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { Failure, printable, reason } from "../src/errors.ts";
import type { Registries } from "../src/registry.ts";
import { Sessions } from "../src/session.ts";
import { errorList } from "../src/wire/charmhub.ts";
import type { Store } from "../store/store.ts";
import { assertions } from "./assertions.ts";
import { charmhub } from "./charmhub.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { MissingList } from "./missing.ts";
import { snapstore } from "./snapstore.ts";
import { status } from "./status.ts";

export interface ServeConfig {
  /** what clients reach this server by, without a trailing slash; else it is taken from each request */
  readonly publicUrl?: string;
}

export interface Deps {
  readonly store: Pick<Store, "snapshot" | "blob" | "text">;
  readonly config: ServeConfig;
  readonly log: Log;
  /** where images are pulled from; it may change at any time */
  readonly registries?: () => Registries | Promise<Registries>;
  /** signs device sessions; servers that share it know each other's. Absent: one for as long as the process lives */
  readonly sessionKey?: Uint8Array;
}

export interface Env {
  Variables: {
    /** of this request, in the log and in X-Request-Id */
    id: string;
    /** public URL of this server, without a trailing slash */
    origin: string;
  };
}

const METHODS = new Set(["GET", "HEAD", "POST"]);
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/** The whole application; it listens to nothing and reads no environment. */
export function createApp(deps: Deps): Hono<Env> {
  const { config, log } = deps;
  const metrics = createMetrics(deps);
  const missing = new MissingList();
  const sessions = new Sessions(deps.sessionKey ?? randomBytes(32));
  const api = new Hono<Env>()
    .route("/", charmhub(deps))
    .route("/", snapstore({ ...deps, sessions, missing }))
    .route("/", assertions(deps))
    .route("/", status(deps, missing))
    .route("/", metrics.routes);
  const app = new Hono<Env>();

  app.use(async (c, next) => {
    const started = performance.now();
    const given = c.req.header("X-Request-Id");
    const id = given !== undefined && REQUEST_ID.test(given) ? given : crypto.randomUUID();
    c.set("id", id);
    c.header("X-Request-Id", id);
    await next();
    const ms = performance.now() - started;
    metrics.observe(
      METHODS.has(c.req.method) ? c.req.method : "other",
      c.res.status === 404 ? "" : routePath(c, -1),
      c.res.status,
      ms / 1000,
    );
    log({
      level: c.res.status >= 500 ? "error" : "info",
      message: "request",
      id,
      method: c.req.method,
      path: shown(c.req.path, 1000),
      status: c.res.status,
      ms: Math.round(ms * 100) / 100,
      agent: shown(c.req.header("User-Agent") ?? "", 200),
    });
  });

  app.use(async (c, next) => {
    c.set("origin", config.publicUrl ?? originOf(c));
    await next();
  });

  const prefix = config.publicUrl === undefined ? "" : new URL(config.publicUrl).pathname.replace(/\/+$/, "");
  if (prefix !== "") app.route(prefix, api);
  app.route("/", api);

  app.notFound((c) => c.json(errorList("not-found", `There is nothing at ${printable(c.req.path, 200)}.`), 404));
  app.onError((error, c) => {
    if (error instanceof Failure && error.status < 500) return c.json(errorList(error.code, error.message), error.status);
    const id = c.get("id");
    log({ level: "error", message: printable(reason(error)), id, ...(!(error instanceof Failure) && { stack: error.stack ?? "" }) });
    return c.json(errorList("api-error", `An internal error, see request ${id} in the log.`), 500);
  });
  return app;
}

/** `printable`, without its cost for what nearly every client sends. */
function shown(text: string, limit: number): string {
  return text.length <= limit && /^[\x20-\x7e]*$/.test(text) ? text : printable(text, limit);
}

/** What the client called this server; refused where it could put something else into a URL. */
function originOf(c: Context): string {
  // Only what was checked is parsed: Bun makes the request's URL of whatever Host says.
  const host = c.req.header("Host") ?? new URL(c.req.url).host;
  if (!HOST.test(host)) throw new Failure("malformed", "Host: it is not a host with an optional port");
  return `${c.req.url.startsWith("https:") ? "https" : "http"}://${host}`;
}
