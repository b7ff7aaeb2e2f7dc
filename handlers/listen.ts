/** Listeners: Bun.serve in Bun, @hono/node-server in Node. Both run the same application. */

import type { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Failure, reason } from "../src/errors.ts";
import type { Ready } from "../src/ready.ts";
import { busyReply, internalError } from "./errors.ts";

export interface Listener {
  /** `http://127.0.0.1:8080`, with the actual port */
  readonly url: string;
  /** Accepts no new requests; resolves when the running ones are done. */
  drain(): Promise<void>;
  /** Closes connections that wait for a request, and for a while lets no download stall. How many were closed. */
  closeIdle(): number;
  /** New connections get this certificate; running transfers finish on the old one. Only for a listener with TLS. */
  renew(tls: Certified): Promise<void>;
}

/** A certificate with its chain, and its private key; PEM. */
export interface Certified {
  readonly cert: string;
  readonly key: string;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: Certified;
  /** seconds after which a connection without traffic ends, unless its request `mayStall`; by default `IDLE` */
  readonly idle?: number;
  /** connections that one address may have */
  readonly perAddress?: number;
  /** How many connections an address has to a port; undefined: not known. Only Bun needs it, which does not tell of connections. */
  readonly connections?: (port: number, address: string) => number | undefined;
}

/** Seconds. */
const IDLE = 120;

/** The other end of a connection. */
export interface Peer {
  /** whether the request came over TLS to this process; a URL could claim it */
  readonly tls: boolean;
  /** empty: it has disconnected */
  address(): string;
  /** Called for a request that may go without traffic for as long as its client likes: a download, an import. */
  mayStall?(): void;
  /** whether its address has more connections than it may */
  isCrowded?(): boolean;
}

export type Fetch = (request: Request, peer: Peer) => Ready<Response>;

/** Routes limit their bodies themselves; remote import has no limit. An unread body closes the connection (app.ts). */
const NO_BODY_LIMIT = Number.MAX_SAFE_INTEGER;
const HEADERS_TIMEOUT = 60_000;

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "something listens there already",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "ports below 1024 need a privilege",
};

/** Fails with `failed` if it cannot listen on the address. */
export async function listen(fetch: Fetch, options: ListenOptions): Promise<Listener> {
  try {
    return typeof Bun === "undefined" ? await onNode(fetch, options) : onBun(fetch, options);
  } catch (error) {
    const why = REASONS[codeOf(error)] ?? reason(error);
    throw new Failure("failed", `cannot listen on ${options.host}:${options.port}: ${why}`, {
      next: "name another address with --listen HOST:PORT",
      cause: error,
    });
  }
}

/** `EMFILE`; empty: it has none. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function onBun(fetch: Fetch, { host, port, tls, idle = IDLE, perAddress, connections }: ListenOptions): Listener {
  // Bun's timeout also ends downloads that stall, and disabling it for a request does not last once a file is sent. So it is begun again
  // and again while they last; a request that has ended has no address any more.
  const stalling = new Map<Request, Bun.Server<undefined>>();
  let pressedUntil = 0;
  const renewTimeouts = setInterval(
    () => {
      if (performance.now() < pressedUntil) return;
      for (const [request, from] of stalling)
        if (from.requestIP(request)) from.timeout(request, idle);
        else stalling.delete(request);
    },
    Math.min(10_000, (idle * 1000) / 4),
  ).unref();
  const start = (at: number, certified: Certified | undefined) => {
    const facts: PeerFacts = {
      tls: certified !== undefined,
      mayStall: (request, from) => void stalling.set(request, from),
      isCrowded: (peer, from) => perAddress !== undefined && (connections?.(from.port ?? 0, peer.address()) ?? 0) > perAddress,
    };
    return Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port: at,
      ...(certified && { tls: { cert: certified.cert, key: certified.key } }),
      development: false,
      reusePort: false, // Bun's default outside development: a second chp would silently take half of the requests
      idleTimeout: idle,
      maxRequestBodySize: NO_BODY_LIMIT,
      fetch: (request, from) => fetch(withHost(request, from), new BunPeer(request, from, facts)),
      // A file that was deleted, or for which no descriptor was left, after the application had answered: it does not see that error.
      error: (error) => (codeOf(error) === "EMFILE" ? busyReply() : internalError()),
    });
  };
  let [server, current] = [start(port, tls), tls];
  const taken = server.port ?? port;
  const ending = new Set<Promise<void>>();
  return {
    url: `${tls ? "https" : "http"}://${host}:${taken}`,
    drain: async () => {
      await Promise.all([server.stop(), ...ending]);
      clearInterval(renewTimeouts);
    },
    closeIdle: () => {
      pressedUntil = performance.now() + idle * 1000;
      return server.closeIdleConnections();
    },
    // Bun's reload keeps the old certificate. So the old server drains, and a new one takes over the port in the same turn.
    renew: async (certified) => {
      await start(0, certified).stop(true); // a certificate that Bun rejects must not stop the running server
      const ended = server.stop().finally(() => ending.delete(ended));
      ending.add(ended);
      try {
        server = start(taken, certified);
        current = certified;
      } catch (error) {
        server = start(taken, current);
        throw error;
      }
    },
  };
}

/** What all requests to one of Bun's servers share. */
interface PeerFacts {
  readonly tls: boolean;
  readonly mayStall: (request: Request, server: Bun.Server<undefined>) => void;
  readonly isCrowded: (peer: Peer, server: Bun.Server<undefined>) => boolean;
}

/** One a request: closures and a spread object would cost more. */
class BunPeer implements Peer {
  readonly #request: Request;
  readonly #server: Bun.Server<undefined>;
  readonly #facts: PeerFacts;

  constructor(request: Request, server: Bun.Server<undefined>, facts: PeerFacts) {
    this.#request = request;
    this.#server = server;
    this.#facts = facts;
  }

  get tls(): boolean {
    return this.#facts.tls;
  }

  address(): string {
    return this.#server.requestIP(this.#request)?.address ?? "";
  }

  mayStall(): void {
    this.#facts.mayStall(this.#request, this.#server);
  }

  isCrowded(): boolean {
    return this.#facts.isCrowded(this, this.#server);
  }
}

/** HTTP/1.0 needs no Host, and health checks send none: the address that was asked stands for it. Asking `server` for it is a system call. */
function withHost(request: Request, server: Pick<Bun.Server<undefined>, "hostname" | "port">): Request {
  if (!request.url.startsWith("/") || request.headers.has("Host")) return request;
  const { hostname, port } = server;
  return new Request(`http://${hostname?.includes(":") ? `[${hostname}]` : hostname}:${port}${request.url}`, request);
}

async function onNode(fetch: Fetch, { host, port, tls, idle = IDLE, perAddress }: ListenOptions): Promise<Listener> {
  // Not loaded in Bun.
  const [{ createAdaptorServer }, { createServer, Server }] = await Promise.all([import("@hono/node-server"), import("node:https")]);
  // No `hostname`: it would replace the Host of a request without one.
  const server = createAdaptorServer({
    fetch: (request, { incoming }) =>
      fetch(request, {
        tls: tls !== undefined,
        address: () => incoming.socket.remoteAddress ?? "",
        mayStall: () => void incoming.socket.setTimeout(0), // until the next request of the connection
      }),
    ...(tls && { createServer }),
    // No time limit for bodies here: body.ts and remoteimport.ts have their own.
    serverOptions: { ...tls, requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT, keepAliveTimeout: idle * 1000 },
  });
  if ("timeout" in server) server.timeout = idle * 1000;
  const closeIdle = watchConnections(server, tls ? "secureConnection" : "connection", perAddress ?? Number.POSITIVE_INFINITY);
  server.prependListener("request", ({ headers, httpVersion, socket }: IncomingMessage) => {
    if (httpVersion === "1.0") headers.host ??= `${host}:${socket.localPort}`;
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, host.replace(/^\[|\]$/g, ""), () => {
      const address = server.address();
      const taken = typeof address === "object" && address ? address.port : port;
      resolve({
        url: `${tls ? "https" : "http"}://${host}:${taken}`,
        drain: () => new Promise((done) => void server.close(() => done())),
        closeIdle,
        renew: async (certified) => {
          if (server instanceof Server) server.setSecureContext({ cert: certified.cert, key: certified.key });
        },
      });
    });
  });
}

/** Closes what an address has too many of. Returns what closes connections that wait for a request; how many those were. */
function watchConnections(server: EventEmitter, opened: "connection" | "secureConnection", perAddress: number): () => number {
  const idle = new Set<Socket>();
  const counts = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (counts.get(address) ?? 0) + 1;
    counts.set(address, count);
    socket.once("close", () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left > 0) counts.set(address, left);
      else counts.delete(address);
    });
    if (count > perAddress) socket.destroy();
  });
  server.on(opened, (socket: Socket) => {
    idle.add(socket);
    socket.once("close", () => idle.delete(socket));
  });
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    response.once("close", () => socket.destroyed || idle.add(socket));
  });
  return () => {
    const closed = idle.size;
    for (const socket of idle) socket.destroy();
    idle.clear(); // they say later that they are closed
    return closed;
  };
}
