/** Listeners: Bun.serve in Bun, @hono/node-server in Node. Both run the same application. */

import { createServer, Server } from "node:https";
import { Failure, reason } from "../src/errors.ts";
import { internalError } from "./errors.ts";

export interface Listener {
  /** `http://127.0.0.1:8080`, with the actual port */
  readonly url: string;
  /** Accepts no new requests; resolves when the running ones are done. */
  drain(): Promise<void>;
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
}

/** The other end of a connection. */
export interface Peer {
  /** whether the request came over TLS to this process; a URL could claim it */
  readonly tls: boolean;
  /** empty: it has disconnected */
  address(): string;
}

export type Fetch = (request: Request, peer: Peer) => Response | Promise<Response>;

/** Routes limit their bodies themselves; remote import has no limit. An unread body closes the connection (app.ts). */
const NO_BODY_LIMIT = Number.MAX_SAFE_INTEGER;
const HEADERS_TIMEOUT = 60_000;

/** Fails with `failed` if it cannot listen on the address. */
export async function listen(fetch: Fetch, options: ListenOptions): Promise<Listener> {
  try {
    return typeof Bun === "undefined" ? await onNode(fetch, options) : onBun(fetch, options);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const why =
      code === "EADDRINUSE" ? "something listens there already" : code === "EACCES" ? "ports below 1024 need a privilege" : reason(error);
    throw new Failure("failed", `cannot listen on ${options.host}:${options.port}: ${why}`, {
      next: "name another address with --listen HOST:PORT",
      cause: error,
    });
  }
}

function onBun(fetch: Fetch, { host, port, tls }: ListenOptions): Listener {
  const start = (at: number, certified: Certified | undefined) =>
    Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port: at,
      ...(certified && { tls: { cert: certified.cert, key: certified.key } }),
      development: false,
      reusePort: false, // Bun's default outside development: a second chp would silently take half of the requests
      // A download may stall as long as its reader does: Juju never resumes one. Bun still times out incomplete headers.
      idleTimeout: 0,
      maxRequestBodySize: NO_BODY_LIMIT,
      fetch: (request, from) => fetch(request, { tls: certified !== undefined, address: () => from.requestIP(request)?.address ?? "" }),
      // A file that was deleted after its headers were sent; the application does not see that error.
      error: () => internalError(),
    });
  let [server, current] = [start(port, tls), tls];
  const taken = server.port ?? port;
  const ending = new Set<Promise<void>>();
  return {
    url: `${tls ? "https" : "http"}://${host}:${taken}`,
    drain: async () => {
      await Promise.all([server.stop(), ...ending]);
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

async function onNode(fetch: Fetch, { host, port, tls }: ListenOptions): Promise<Listener> {
  const { createAdaptorServer } = await import("@hono/node-server"); // not loaded in Bun
  // No `hostname`: it would replace the Host of a request without one.
  const server = createAdaptorServer({
    fetch: (request, { incoming }) => fetch(request, { tls: tls !== undefined, address: () => incoming.socket.remoteAddress ?? "" }),
    ...(tls && { createServer }),
    // No time limit for bodies here: body.ts and remoteimport.ts have their own.
    serverOptions: { ...tls, requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT },
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, host.replace(/^\[|\]$/g, ""), () => {
      const address = server.address();
      const taken = typeof address === "object" && address ? address.port : port;
      resolve({
        url: `${tls ? "https" : "http"}://${host}:${taken}`,
        drain: () => new Promise((done) => void server.close(() => done())),
        renew: async (certified) => {
          if (server instanceof Server) server.setSecureContext({ cert: certified.cert, key: certified.key });
        },
      });
    });
  });
}
