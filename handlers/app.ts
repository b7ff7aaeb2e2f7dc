/** Where a request enters and its reply leaves: id, address of this server, routes, errors as JSON, metrics, access log. */

import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { getPath } from "hono/utils/url";
import { NO_REGISTRY } from "../src/catalog/registry.ts";
import { Failure, printable, reason } from "../src/errors.ts";
import { errorList } from "../src/wire/json.ts";
import { Sessions } from "../src/wire/session.ts";
import { assertions } from "./assertions.ts";
import type { Call, Deps, Env, Parts } from "./call.ts";
import { charmhub } from "./charmhub.ts";
import type { Peer } from "./listen.ts";
import { createMetrics } from "./metrics.ts";
import { MissingList } from "./missing.ts";
import { type Offer, offersOf } from "./offer.ts";
import { remote } from "./remoteimport.ts";
import { Lasting, replyWith } from "./replies.ts";
import { snapstore } from "./snapstore.ts";
import { status } from "./status.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT"]);
const UNKNOWN: Peer = { tls: false, address: () => "" };
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/** The whole application; it listens to nothing and reads no environment. */
export function createApp(deps: Deps): { readonly fetch: (request: Request, peer?: Peer) => Promise<Response> } {
  const { config, log, registries = () => NO_REGISTRY } = deps;
  const store = offersOf(deps.store, deps.clock ?? Date.now);
  const parts: Parts = { store, log, registries };
  const metrics = createMetrics(parts);
  const missing = new MissingList();
  const sessions = new Sessions(deps.sessionKey ?? randomBytes(32));
  const apis = new Hono<Env>()
    .route("/", charmhub(parts))
    .route("/", snapstore({ ...parts, sessions, missing }))
    .route("/", assertions(parts))
    .route("/", status(parts, missing))
    .route("/", remote(deps))
    .route("/", metrics.routes);
  const routes = mount(apis, config.publicUrl === undefined ? "" : new URL(config.publicUrl).pathname.replace(/\/+$/, ""));
  const lasting = new Lasting<{ readonly route: string; readonly body: Uint8Array<ArrayBuffer> }>();

  let damage: Failure | undefined;

  /** Every request enters here, and is logged and counted when its reply leaves. */
  async function enter(request: Request, peer: Peer = UNKNOWN): Promise<Response> {
    const started = performance.now();
    const call: Call = { id: idOf(request), origin: "", route: "", peer };
    const response = await answer(request, call).catch((error: unknown) => refuse(error, call));
    response.headers.set("X-Request-Id", call.id);
    if (hasBody(request) && (!request.bodyUsed || CUT.has(response.status))) response.headers.set("Connection", "close");
    const ms = performance.now() - started;
    metrics.observe(METHODS.has(request.method) ? request.method : "other", call.route, response.status, ms / 1000);
    log({
      level: response.status >= 500 ? "error" : "info",
      message: "request",
      id: call.id,
      method: request.method,
      path: shown(getPath(request), 1000),
      status: response.status,
      ms: Math.round(ms * 100) / 100,
      agent: shown(request.headers.get("User-Agent") ?? "", 200),
    });
    return response;
  }

  /** By what was replied to the same URL, as long as nothing has changed; else by its route. */
  async function answer(request: Request, call: Call): Promise<Response> {
    call.origin = config.publicUrl ?? originOf(request.url);
    if (request.method !== "GET") return routes.fetch(request, call);
    const snapshot = await store.snapshot();
    if (deps.store.damage !== damage) tellDamage(snapshot);
    const replies = lasting.of(snapshot, (await registries()).current);
    const known = replies.get(request.url);
    if (known) {
      call.route = known.route;
      return replyWith(known.body);
    }
    const response = await routes.fetch(request, call);
    if (call.lasting) replies.set(request.url, { route: call.route, body: call.lasting }, call.lasting.byteLength);
    return response;
  }

  function tellDamage({ number }: Offer): void {
    damage = deps.store.damage;
    if (damage) log({ level: "error", message: `${damage.message}: generation ${number} is served in its place` });
  }

  function refuse(error: unknown, { id }: Call): Response {
    if (error instanceof Failure && error.status < 500) return errorReply(error.status, error.code, error.message);
    const stack = error instanceof Error && !(error instanceof Failure) ? error.stack : undefined;
    log({ level: "error", message: printable(reason(error)), id, ...(stack !== undefined && { stack }) });
    return errorReply(500, "api-error", `An internal error, see request ${id} in the log.`);
  }

  return { fetch: enter };
}

/** The routes, each of which tells the request which it is; with `prefix` before them, and without. */
function mount(apis: Hono<Env>, prefix: string): Hono<Env> {
  const app = new Hono<Env>();
  for (const before of new Set([prefix, ""]))
    for (const { method, path, handler } of apis.routes)
      app.on(method, `${before}${path}`, (c, next) => {
        c.env.route = path;
        return handler(c, next);
      });
  app.notFound((c) => errorReply(404, "not-found", `There is nothing at ${printable(c.req.path, 200)}.`));
  app.onError((error) => {
    throw error; // told where the request entered
  });
  return app;
}

function errorReply(code: number, kind: string, message: string): Response {
  return replyWith(JSON.stringify(errorList(kind, message)), code);
}

/** Refusals of a body that was not read to its end. */
const CUT = new Set([408, 413]);

function hasBody({ headers }: Request): boolean {
  return headers.has("Transfer-Encoding") || (headers.get("Content-Length") ?? "0") !== "0";
}

function idOf(request: Request): string {
  const given = request.headers.get("X-Request-Id");
  return given !== null && REQUEST_ID.test(given) ? given : crypto.randomUUID();
}

/** `printable`, without its cost for what nearly every client sends. */
function shown(text: string, limit: number): string {
  return text.length <= limit && /^[\x20-\x7e]*$/.test(text) ? text : printable(text, limit);
}

/** What the client called this server: a URL begins with what Host says. Refused where that could put something else into one. */
function originOf(url: string): string {
  const [start, end] = [url.indexOf("://") + 3, url.indexOf("/", 8)];
  if (!HOST.test(url.slice(start, end))) throw new Failure("malformed", "Host: it is not a host with an optional port");
  return url.slice(0, end);
}
