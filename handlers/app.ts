/** The application around the handlers: request ids, the address of this server, routes, errors as JSON, metrics, access log. */

import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { getPath } from "hono/utils/url";
import type { ByteCache } from "../src/cache.ts";
import { NO_REGISTRY } from "../src/catalog/registry.ts";
import { Failure, printable, reason } from "../src/errors.ts";
import { type Ready, whenReady } from "../src/ready.ts";
import { Sessions } from "../src/wire/session.ts";
import type { Store } from "../store/store.ts";
import { agentRoutes } from "./agents.ts";
import { assertionRoutes } from "./assertions.ts";
import { Bodies } from "./body.ts";
import type { Call, Deps, Env, HandlerDeps } from "./call.ts";
import { charmhubRoutes } from "./charmhub.ts";
import { cloudImageRoutes } from "./cloudimages.ts";
import { type Dialect, errorReply, failureReply, internalError } from "./errors.ts";
import { imageRoutes } from "./images.ts";
import type { Peer } from "./listen.ts";
import { createMetrics } from "./metrics.ts";
import { MissingRequests } from "./missingrequests.ts";
import { type Offer, offersOf } from "./offer.ts";
import { overrideRoutes } from "./overrides.ts";
import { offeredRegistries } from "./registries.ts";
import { remoteImportRoutes } from "./remoteimport.ts";
import { bodySize, CacheableReply, SnapshotCache } from "./replies.ts";
import type { Api, Handled } from "./routes.ts";
import { snapstoreRoutes } from "./snapstore.ts";
import { statusRoutes } from "./status.ts";
import { webRoutes } from "./web/routes.tsx";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
const UNKNOWN_PEER: Peer = { tls: false, address: () => "" };
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

interface CachedReply {
  /** of the URL that it answers */
  readonly path: string;
  readonly route: string;
  readonly reply: CacheableReply;
}

/** One request with what the application records of it; a handler sees it as a `Call`. */
class TrackedCall implements Call {
  readonly started = performance.now();
  readonly request: Request;
  readonly id: string;
  readonly peer: Peer;
  origin = "";
  /** pattern of the matching route; empty: none */
  route = "";
  /** whether its address has too many connections */
  isCrowded = false;
  /** the cache for cacheable replies, by URL; undefined: the reply is not cached */
  cache: ByteCache<CachedReply> | undefined = undefined;
  /** what the matching route has answered; undefined: there is nothing at this URL */
  handled: Ready<Handled> = undefined;
  /** in which errors are written */
  dialect: Dialect = "charmhub";
  #path: string | undefined = undefined;

  constructor(request: Request, peer: Peer) {
    this.request = request;
    this.id = requestId(request);
    this.peer = peer;
  }

  /** of its URL, decoded */
  get path(): string {
    return (this.#path ??= getPath(this.request));
  }

  /** The reply to the same URL before. */
  answered({ path, route, reply }: CachedReply): Response {
    this.#path = path;
    this.route = route;
    return reply.response();
  }
}

type Refuse = (error: unknown, call: TrackedCall) => Response;

export interface App {
  readonly fetch: (request: Request, peer?: Peer) => Ready<Response>;
  /** Makes ahead what the first search of the newest generation would have to wait for; at once where that is done. Requests have their turns meanwhile. */
  readonly prepare: () => Promise<void>;
}

/** The whole application. It opens no port and reads no environment. */
export function createApp(deps: Deps): App {
  const { config, log, registries = () => NO_REGISTRY } = deps;
  const registryOf = offeredRegistries(registries);
  const store = offersOf(deps.store, deps.clock ?? Date.now);
  const missing = new MissingRequests(log);
  const metrics = createMetrics(
    {
      store,
      damage: () => deps.store.damage,
      away: () => (deps.store.lags ? deps.store.away !== undefined : undefined),
      vitals: deps.vitals,
      clock: deps.clock ?? Date.now,
      log,
    },
    missing,
  );
  const { cacheUse } = metrics;
  const shared: HandlerDeps = { store, bodies: new Bodies(), log, registries, registryOf, cacheUse };
  const sessions = new Sessions(randomBytes(32), deps.sessionKey);
  const apis = [
    // Without a public URL nobody knows by which address a client of Juju's would find the pages.
    charmhubRoutes({ ...shared, missing, hasPages: deps.web !== undefined && config.publicUrl !== undefined }),
    snapstoreRoutes({ ...shared, sessions, missing }),
    assertionRoutes(shared),
    agentRoutes({ ...shared, missing }),
    statusRoutes(deps.store, shared, missing),
    overrideRoutes({ ...shared, ...(deps.overrides && { overrides: deps.overrides }), ...(deps.clock && { clock: deps.clock }) }),
    cloudImageRoutes(deps),
    remoteImportRoutes(deps),
    metrics.api,
  ];
  const prefix = config.publicUrl === undefined ? "" : new URL(config.publicUrl).pathname.replace(/\/+$/, "");
  const pages =
    deps.web &&
    mount(
      [webRoutes(shared, deps.web, { missing, prefix, clock: deps.clock ?? Date.now, damage: () => deps.store.damage })],
      prefix,
      refuse,
    );
  // Its folder has the paths of both stores, whose routes win; where several routes match a path Hono takes a slower way.
  const registry = imageRoutes({ ...shared, missing, ...(deps.imagePush && { imagePush: deps.imagePush }) });
  const routes = mount(apis, prefix, refuse, mount([registry], prefix, refuse));
  const replyCache = new SnapshotCache<CachedReply>(cacheUse("replies"));

  let damage: Failure | undefined;
  let away: Store["away"];

  /** Handles every request, without a promise where its reply is known. */
  function enter(request: Request, peer: Peer = UNKNOWN_PEER): Ready<Response> {
    const call = new TrackedCall(request, peer);
    let response: Ready<Response>;
    try {
      response = reply(call);
    } catch (error) {
      response = refuse(error, call);
    }
    if (!(response instanceof Promise)) return finish(call, response);
    return response.then(
      (made) => finish(call, made),
      (error: unknown) => finish(call, refuse(error, call)),
    );
  }

  /** Every reply passes here: it gets what each has, is counted and logged. */
  function finish(call: TrackedCall, response: Response): Response {
    const { request, peer } = call;
    response.headers.set("X-Request-Id", call.id);
    if (call.isCrowded || (hasBody(request) && (!request.bodyUsed || CUT.has(response.status))))
      response.headers.set("Connection", "close");
    const ms = performance.now() - call.started;
    metrics.observe(METHODS.has(request.method) ? request.method : "other", call.route, response.status, ms / 1000);
    log({
      level: response.status >= 500 ? "error" : "info",
      message: "request",
      id: call.id,
      method: request.method,
      path: quickPrintable(call.path, 1000),
      status: response.status,
      ms: Math.round(ms * 100) / 100,
      bytes: sizeOf(request, response),
      client: quickPrintable(peer.address(), 50),
      agent: quickPrintable(request.headers.get("User-Agent") ?? "", 200),
    });
    return response;
  }

  /** The cached reply to the same URL while snapshot and registry are unchanged; otherwise the reply of the route. */
  function reply(call: TrackedCall): Ready<Response> {
    const { request, peer } = call;
    if (peer.isCrowded?.()) {
      call.isCrowded = true;
      throw new Failure("too-many", `${printable(peer.address(), 50)} has too many connections`);
    }
    call.origin = config.publicUrl ?? requestOrigin(request.url);
    if (request.method !== "GET") return request.method === "HEAD" && deps.store.lags ? newest(call) : routed(call);
    return whenReady(currentCache(), (cache) => {
      const cached = cache.get(request.url);
      if (cached) return call.answered(cached);
      call.cache = cache;
      return deps.store.lags ? newest(call) : routed(call);
    });
  }

  /** The cache of replies for what is offered now. */
  function currentCache(): Ready<ByteCache<CachedReply>> {
    return whenReady(store.snapshot(), (snapshot) => {
      if (deps.store.damage !== damage) logDamage(snapshot);
      if (deps.store.away?.since !== away?.since) logAway();
      return whenReady(registryOf(snapshot), (offered) => replyCache.of(snapshot, offered));
    });
  }

  /** Another server may have announced what this one does not know yet, so a 404 is said of the newest generation alone. */
  async function newest(call: TrackedCall): Promise<Response> {
    const { of: seen } = await store.snapshot();
    const notes = missing.hold(call.id);
    const response = await routed(call);
    if (response.status !== 404 || !(await deps.store.isBehind?.(seen))) {
      notes.keep();
      return response;
    }
    notes.drop();
    call.cache = await currentCache();
    return routed(call);
  }

  function routed(call: TrackedCall): Ready<Response> {
    const response = whenReady(answerOf(routes, call, refuse), (found) => found ?? nothingOf(call));
    return call.request.method === "HEAD" ? whenReady(response, (whole) => new Response(null, whole)) : response;
  }

  /** The reply where no route has anything: a page, or an error. */
  function nothingOf(call: TrackedCall): Ready<Response> {
    const { method } = call.request;
    const page = pages && (method === "GET" || method === "HEAD") ? answerOf(pages, call, refuse) : undefined;
    return whenReady(page, (found) => found ?? nothingAt(call.path));
  }

  let prepared: Offer | undefined;

  async function prepare(): Promise<void> {
    const snapshot = await store.snapshot();
    if (snapshot === prepared) return;
    prepared = snapshot;
    for (const api of apis) await api.prepare?.(snapshot);
  }

  function logDamage({ number }: Offer): void {
    damage = deps.store.damage;
    if (damage) log({ level: "error", message: `${damage.message}: generation ${number} is served in its place` });
  }

  function logAway(): void {
    away = deps.store.away;
    if (away) log({ level: "error", message: `${away.why.message}: what is known is served meanwhile` });
    else log({ level: "info", message: "the store answers again" });
  }

  function refuse(error: unknown, { id, dialect }: TrackedCall): Response {
    metrics.refused(error instanceof Failure ? error.kind : "internal");
    const response = failureReply(error, dialect);
    if (response) return response;
    const stack = error instanceof Error && !(error instanceof Failure) ? error.stack : undefined;
    log({ level: "error", message: printable(reason(error)), id, ...(stack !== undefined && { stack }) });
    return internalError(id);
  }

  return { fetch: enter, prepare };
}

/** What Hono gets of each route. Its answer is handed over in the call, since Hono would wrap a promise in two more. */
const TAKEN = new Response();

/** All routes, each with `prefix` and without it. `others`: what is asked where none of these matches. */
function mount(apis: readonly Api[], prefix: string, refuse: Refuse, others?: Hono<Env>): Hono<Env> {
  const app = new Hono<Env>({ getPath: (_, options) => (options as { readonly env: TrackedCall }).env.path });
  for (const before of new Set([prefix, ""]))
    for (const { dialect, routes } of apis)
      for (const { method, url, handle } of routes)
        app.on(method, pathsOf(before, url.pattern), (c) => {
          const call = c.env as TrackedCall; // `enter` creates it
          call.route = url.pattern;
          call.dialect = dialect;
          try {
            call.handled = handle(c);
          } catch (error) {
            call.handled = refuse(error, call);
          }
          return TAKEN;
        });
  app.notFound((c) => {
    (c.env as TrackedCall).handled = undefined;
    return others ? others.fetch(c.req.raw, c.env) : TAKEN;
  });
  return app;
}

/** The response of the route that matches, which is kept where it may be; undefined: there is nothing at its URL. */
function answerOf(app: Hono<Env>, call: TrackedCall, refuse: Refuse): Ready<Response | undefined> {
  const taken = app.fetch(call.request, call);
  const answer = () =>
    call.handled instanceof Promise
      ? call.handled.then(
          (handled) => responseOf(call, handled),
          (error: unknown) => refuse(error, call),
        )
      : responseOf(call, call.handled);
  return taken instanceof Promise ? taken.then(answer) : answer();
}

function responseOf(call: TrackedCall, handled: Handled): Response | undefined {
  if (!handled) call.route = "";
  if (!(handled instanceof CacheableReply)) return handled;
  call.cache?.set(call.request.url, { path: call.path, route: call.route, reply: handled }, handled.body.size);
  return handled.response();
}

/** With a prefix, its top is also reached without a slash at its end. */
function pathsOf(prefix: string, pattern: string): string[] {
  return prefix !== "" && pattern === "/" ? [prefix, `${prefix}/`] : [prefix + pattern];
}

function nothingAt(path: string): Response {
  return errorReply(404, { code: "not-found", message: `There is nothing at ${printable(path, 200)}.` });
}

/** Bytes of the body of a reply; of one that is made while it is sent, they are not known yet. */
function sizeOf({ method }: Request, response: Response): number | undefined {
  return method === "HEAD" ? 0 : bodySize(response);
}

/** Statuses of refusals that leave the body partly unread. */
const CUT = new Set([408, 413]);

function hasBody({ headers }: Request): boolean {
  return headers.has("Transfer-Encoding") || (headers.get("Content-Length") ?? "0") !== "0";
}

function requestId(request: Request): string {
  const given = request.headers.get("X-Request-Id");
  return given !== null && REQUEST_ID.test(given) ? given : newId();
}

/** How ids of this process begin, and the number that the last one ended with. */
const ID_START = crypto.randomUUID().slice(0, -12);
let lastId = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

/** In the shape of a UUID. To draw one at random for each request takes a tenth of what a kept reply costs. */
function newId(): string {
  lastId += 1;
  return ID_START + lastId.toString(16).padStart(12, "0");
}

/** `printable`, with a fast path for plain ASCII. */
function quickPrintable(text: string, limit: number): string {
  return text.length <= limit && /^[\x20-\x7e]*$/.test(text) ? text : printable(text, limit);
}

/** Of the last request: nearly all clients use the same. */
let lastOrigin = "http://localhost";

/** Scheme and host by which the client addressed this server. Fails with `malformed` for a Host that could inject something into a URL. */
function requestOrigin(url: string): string {
  if (url.startsWith(lastOrigin) && url[lastOrigin.length] === "/") return lastOrigin;
  const [start, end] = [url.indexOf("://") + 3, url.indexOf("/", 8)];
  if (!HOST.test(url.slice(start, end))) throw new Failure("malformed", "Host: it is not a host with an optional port");
  return (lastOrigin = url.slice(0, end));
}
