/** Metrics in the text format of Prometheus. */

import { VERSION } from "../src/version.ts";
import { URLS } from "../src/wire/urls.ts";
import type { Deps, HandlerDeps } from "./call.ts";
import type { MissingRequests } from "./missingrequests.ts";
import { type Api, get } from "./routes.ts";

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Seconds, from replies out of memory to downloads of gigabytes. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

const REQUESTS = "chp_http_request_seconds";
const MISSING = "chp_missing_requests_total";

export interface Metrics {
  readonly api: Api;
  /** `route`: the pattern, never the path, of which there is no end */
  observe(method: string, route: string, status: number, seconds: number): void;
}

/** Durations of requests with the same labels. */
class Durations {
  readonly #labels: string;
  /** by the limit of the bucket; not cumulative */
  readonly #counts = new Map<number, number>();
  #sum = 0;

  constructor(labels: string) {
    this.#labels = labels;
  }

  observe(seconds: number): void {
    const bucket = BUCKETS.find((limit) => seconds <= limit) ?? Number.POSITIVE_INFINITY;
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#sum += seconds;
  }

  lines(): string[] {
    let total = 0;
    const buckets = [...BUCKETS, Number.POSITIVE_INFINITY].map((limit) => {
      total += this.#counts.get(limit) ?? 0;
      return `${REQUESTS}_bucket{${this.#labels},le="${Number.isFinite(limit) ? limit : "+Inf"}"} ${total}`;
    });
    return [...buckets, `${REQUESTS}_sum{${this.#labels}} ${this.#sum}`, `${REQUESTS}_count{${this.#labels}} ${total}`];
  }
}

export function createMetrics(
  storage: Deps["store"],
  { store }: Pick<HandlerDeps, "store">,
  missing: Pick<MissingRequests, "totals">,
): Metrics {
  const requests = new Map<string, Durations>();
  const metrics = get(URLS.metrics, async (c) => {
    const snapshot = await store.snapshot();
    const text = [
      ...metric("chp_generation", "gauge", "Number of the generation that is served.", [`chp_generation ${snapshot.number}`]),
      ...metric("chp_packages", "gauge", "Stored packages.", [`chp_packages ${snapshot.names.length}`]),
      ...metric(
        "chp_newest_archive_timestamp_seconds",
        "gauge",
        "When the newest archive by a key that was imported was signed, in seconds since 1970.",
        Object.entries(snapshot.of.generation?.signed ?? {}).map(
          ([key, time]) => `chp_newest_archive_timestamp_seconds{key="${key}"} ${Date.parse(time) / 1000}`,
        ),
      ),
      ...(storage.lags
        ? metric("chp_storage_away", "gauge", "1 where the bucket of the store is out of reach, so that only what is known is served.", [
            `chp_storage_away ${storage.away ? 1 : 0}`,
          ])
        : []),
      ...metric("chp_info", "gauge", "Version of chp.", [`chp_info{version="${VERSION}"} 1`]),
      ...metric(
        MISSING,
        "counter",
        "Requests for charms and snaps that are not stored.",
        Object.entries(missing.totals).map(([type, total]) => `${MISSING}{type="${type}"} ${total}`),
      ),
      ...metric(
        REQUESTS,
        "histogram",
        "Time from a request to its reply's headers.",
        [...requests.values()].flatMap((durations) => durations.lines()),
      ),
      ...PROCESS_METRICS.flatMap(([name, type, help, read]) => metric(name, type, help, [`${name} ${read()}`])),
    ];
    return c.body(`${text.join("\n")}\n`, 200, { "Content-Type": CONTENT_TYPE });
  });
  return {
    api: { dialect: "charmhub", routes: [metrics] },
    observe: (method, route, status, seconds) => {
      const labels = `method="${method}",route="${route}",status="${status}"`;
      let durations = requests.get(labels);
      if (!durations) requests.set(labels, (durations = new Durations(labels)));
      durations.observe(seconds);
    },
  };
}

type MetricType = "gauge" | "counter" | "histogram";

const PROCESS_METRICS: readonly (readonly [name: string, type: MetricType, help: string, read: () => number])[] = [
  ["process_cpu_seconds_total", "counter", "Time of processors, the system's for it included.", cpuSeconds],
  ["process_resident_memory_bytes", "gauge", "Memory that it occupies.", () => process.memoryUsage.rss()],
  ["process_start_time_seconds", "gauge", "When it was started, in seconds since 1970.", () => performance.timeOrigin / 1000],
];

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function metric(name: string, type: MetricType, help: string, lines: readonly string[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
