/** Listeners: Bun.serve where there is Bun, @hono/node-server elsewhere. Both run the same application. */

import { createServer, Server } from "node:https";
import { Failure, reason } from "../src/errors.ts";
import { internalError } from "./errors.ts";

export interface Listener {
  /** `http://127.0.0.1:8080`, with the port that was taken */
  readonly url: string;
  /** Takes no new requests; resolves when the running ones are done. */
  drain(): Promise<void>;
  /** The next connection gets this certificate; transfers that run end on the old one. Only for a listener that was started with one. */
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

/** Who asks. */
export interface Peer {
  /** whether the request came over TLS to this very process; what a URL says may be made up */
  readonly tls: boolean;
  /** address of the other end; empty where it has gone */
  address(): string;
}

export type Fetch = (request: Request, peer: Peer) => Response | Promise<Response>;

/** The routes limit their bodies, and one has no limit. A reply to a body that was not read ends the connection (app.ts). */
const NO_BODY_LIMIT = Number.MAX_SAFE_INTEGER;
const HEADERS_TIMEOUT = 60_000;

/** Throws a `failed` failure where it cannot listen on the address. */
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
      reusePort: false, // Bun turns it on outside development: a second chp would take half of the requests unnoticed
      // A download may stall as long as its reader does: Juju never resumes one. Headers that do not come Bun ends by itself.
      idleTimeout: 0,
      maxRequestBodySize: NO_BODY_LIMIT,
      fetch: (request, from) => fetch(request, { tls: certified !== undefined, address: () => from.requestIP(request)?.address ?? "" }),
      // A file that vanished after its headers were made: the application cannot know.
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
    // Bun's reload keeps the old certificate. So the old server ends as it would at the end, and a new one takes its place in the same turn.
    renew: async (certified) => {
      await start(0, certified).stop(true); // what Bun cannot serve must not end what serves
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
  const { createAdaptorServer } = await import("@hono/node-server"); // what runs in Bun never loads it
  // No `hostname`: it would be taken for the Host of a request without one.
  const server = createAdaptorServer({
    fetch: (request, { incoming }) => fetch(request, { tls: tls !== undefined, address: () => incoming.socket.remoteAddress ?? "" }),
    ...(tls && { createServer }),
    // A body may take as long as it keeps coming, which body.ts and remoteimport.ts look after.
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
