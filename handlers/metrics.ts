/** `/metrics`, for Prometheus. */

import { Hono } from "hono";
import { collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { VERSION } from "../src/version.ts";
import type { Deps, Env } from "./app.ts";

/** Seconds: replies from memory, downloads of gigabytes. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

export interface Metrics {
  readonly routes: Hono<Env>;
  /** `route`: the pattern, never the path, which anyone can make up */
  observe(method: string, route: string, status: number, seconds: number): void;
}

export function createMetrics({ store }: Pick<Deps, "store">): Metrics {
  const register = new Registry();
  collectDefaultMetrics({ register });
  const requests = new Histogram({
    name: "chp_http_request_seconds",
    help: "Time from a request to its reply's headers.",
    labelNames: ["method", "route", "status"],
    buckets: BUCKETS,
    registers: [register],
  });
  gauge("chp_generation", "Number of the generation that is served.", async () => (await store.snapshot()).number);
  gauge("chp_packages", "Packages that are held.", async () => (await store.snapshot()).names.length);
  const info = new Gauge({ name: "chp_info", help: "Version of chp.", labelNames: ["version"], registers: [register] });
  info.set({ version: VERSION }, 1);

  // prom-client hashes labels at every observation; a request knows its child by a key.
  const children = new Map<string, Histogram.Internal<"method" | "route" | "status">>();
  return {
    routes: new Hono<Env>().get("/metrics", async (c) => c.body(await register.metrics(), 200, { "Content-Type": register.contentType })),
    observe: (method, route, status, seconds) => {
      const key = `${method} ${route} ${status}`;
      let child = children.get(key);
      if (!child) children.set(key, (child = requests.labels(method, route, String(status))));
      child.observe(seconds);
    },
  };

  function gauge(name: string, help: string, read: () => Promise<number>): Gauge {
    return new Gauge({
      name,
      help,
      registers: [register],
      async collect() {
        this.set(await read());
      },
    });
  }
}
