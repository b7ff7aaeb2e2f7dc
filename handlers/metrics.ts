/** Metrics in the text format of Prometheus. bin/manual/metrics.md explains each. */

import type { CacheUse } from "../src/cache.ts";
import { overridesOf } from "../src/catalog/override.ts";
import { plausibleTime } from "../src/clock.ts";
import { reason } from "../src/errors.ts";
import { VERSION } from "../src/version.ts";
import { URLS } from "../src/wire/urls.ts";
import type { LastRuns } from "../store/runs.ts";
import type { HandlerDeps, Vitals } from "./call.ts";
import type { Log } from "./log.ts";
import type { MissingRequests } from "./missingrequests.ts";
import type { Clock, Offer } from "./offer.ts";
import { type Api, get } from "./routes.ts";

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Seconds, from replies out of memory to downloads of gigabytes. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

const REQUESTS = "chp_http_request_seconds";

/** Milliseconds for which what was measured holds within one generation: gc frees bytes, and disks lose them, without a new one. */
const MEASURED_FOR = 10 * 60_000;

export interface Metrics {
  readonly api: Api;
  /** `route`: the pattern, never the path, of which there is no end */
  observe(method: string, route: string, status: number, seconds: number): void;
  /** Counts a request that failed. `kind`: of its failure */
  refused(kind: string): void;
  /** The counts of the cache of that name. */
  readonly cacheUse: HandlerDeps["cacheUse"];
}

interface MetricsDeps extends Pick<HandlerDeps, "store"> {
  /** why an earlier generation is served instead of the newest */
  readonly damage: () => unknown;
  /** whether the bucket of the store is out of reach; undefined: it is in none */
  readonly away: () => boolean | undefined;
  readonly vitals: Vitals | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Durations of requests with the same labels. */
class Durations {
  readonly #labels: string;
  /** of each of `BUCKETS`, and of what took longer; not cumulative */
  readonly #counts = Array.from({ length: BUCKETS.length + 1 }, () => 0);
  #sum = 0;

  constructor(labels: string) {
    this.#labels = labels;
  }

  observe(seconds: number): void {
    let at = 0;
    while (seconds > (BUCKETS[at] ?? Number.POSITIVE_INFINITY)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += seconds;
  }

  lines(): string[] {
    let total = 0;
    const buckets = this.#counts.map((count, at) => {
      total += count;
      return `${REQUESTS}_bucket{${this.#labels},le="${BUCKETS[at] ?? "+Inf"}"} ${total}`;
    });
    return [...buckets, `${REQUESTS}_sum{${this.#labels}} ${this.#sum}`, `${REQUESTS}_count{${this.#labels}} ${total}`];
  }
}

/** Durations by route, method and status. A key that joins them would be made for each request. */
class DurationTable {
  readonly #table = new Map<string, Map<string, Map<number, Durations>>>();
  readonly all: Durations[] = [];

  of(method: string, route: string, status: number): Durations {
    const found = this.#table.get(route)?.get(method)?.get(status);
    return found ?? this.#add(method, route, status);
  }

  #add(method: string, route: string, status: number): Durations {
    const durations = new Durations(`method="${method}",route="${route}",status="${status}"`);
    const methods = this.#table.get(route) ?? new Map<string, Map<number, Durations>>();
    const statuses = methods.get(method) ?? new Map<number, Durations>();
    this.#table.set(route, methods.set(method, statuses.set(status, durations)));
    this.all.push(durations);
    return durations;
  }
}

/** What takes a walk over the store, of the last time that it was taken. */
interface Measured {
  /** lists that cannot be read */
  readonly unreadable: number;
  /** ends of the overrides, in milliseconds since 1970; infinite: none is set */
  readonly overrides: readonly number[];
  /** undefined: not known */
  readonly bytes: number | undefined;
}

/** Measures beside the requests: a scrape begins it where it is due, and does not wait for it. */
class Measuring {
  readonly #deps: MetricsDeps;
  #measured: Measured | undefined;
  #of: number | undefined;
  #due = 0;
  #isRunning = false;

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
  }

  /** Undefined: it was never measured. `now`: milliseconds of any clock that never goes back. */
  of(snapshot: Offer, now: number): Measured | undefined {
    if (!this.#isRunning && (snapshot.number !== this.#of || now >= this.#due)) {
      this.#isRunning = true;
      [this.#of, this.#due] = [snapshot.number, now + MEASURED_FOR];
      void this.#measure(snapshot)
        .catch((error: unknown) => this.#deps.log({ level: "error", message: "the store cannot be measured", why: reason(error) }))
        .finally(() => (this.#isRunning = false));
    }
    return this.#measured;
  }

  async #measure({ of }: Offer): Promise<void> {
    const packages = [...(await of.packages()), ...(await of.snaps())];
    const ends = packages
      .flatMap((pkg) => overridesOf(pkg, 0))
      .map(({ until }) => (until === null ? Number.POSITIVE_INFINITY : Date.parse(until)));
    const unreadable = (await of.unreadable()).length;
    this.#measured = { unreadable, overrides: ends, bytes: await this.#bytes() };
  }

  /** What the disk cannot read hides nothing else. */
  async #bytes(): Promise<number | undefined> {
    return this.#deps.vitals?.storeBytes().catch((error: unknown) => {
      this.#deps.log({ level: "error", message: "the bytes of the store cannot be counted", why: reason(error) });
      return undefined;
    });
  }
}

/** One value, or one by the labels that stand before it. */
type Values = number | readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];

interface Reading {
  readonly snapshot: Offer;
  readonly measured: Measured | undefined;
  readonly runs: LastRuns;
  readonly disk: { readonly size: number; readonly free: number } | undefined;
  readonly certificateEnd: number | undefined;
  /** milliseconds since 1970 */
  readonly now: number;
  readonly damage: unknown;
  readonly away: boolean | undefined;
  readonly missing: MissingRequests["totals"];
  readonly refused: ReadonlyMap<string, number>;
  readonly caches: ReadonlyMap<string, CacheUse>;
}

type MetricType = "gauge" | "counter" | "histogram";

/** What has no value is left out: nothing is set, nothing ever ran, or it is not measured yet. */
const METRICS: readonly (readonly [name: string, type: MetricType, help: string, read: (reading: Reading) => Values | undefined])[] = [
  ["chp_info", "gauge", "Version of chp.", () => [[{ version: VERSION }, 1]]],
  ["chp_generation", "gauge", "Number of the generation that is served.", ({ snapshot }) => snapshot.number],
  [
    "chp_generation_timestamp_seconds",
    "gauge",
    "When that generation was made, in seconds since 1970.",
    ({ snapshot }) => toSeconds(snapshot.of.time),
  ],
  ["chp_packages", "gauge", "Stored charms and bundles.", ({ snapshot }) => snapshot.names.length],
  ["chp_snaps", "gauge", "Stored snaps.", ({ snapshot }) => snapshot.snapNames.length],
  ["chp_repositories", "gauge", "Stored repositories of images.", ({ snapshot }) => snapshot.of.repositoryNames.length],
  ["chp_overrides", "gauge", "Overrides in force.", ({ measured, now }) => measured?.overrides.filter((end) => end > now).length],
  [
    "chp_newest_archive_timestamp_seconds",
    "gauge",
    "When the newest archive by a key that was imported was signed, in seconds since 1970.",
    ({ snapshot }) => Object.entries(snapshot.of.generation?.signed ?? {}).map(([key, time]) => [{ key }, Date.parse(time) / 1000]),
  ],
  [
    "chp_last_import_timestamp_seconds",
    "gauge",
    "When the last import ended, whether it failed or not, in seconds since 1970.",
    ({ runs }) => toSeconds(timeOf(runs.import?.ended)),
  ],
  [
    "chp_last_import_failed",
    "gauge",
    "1 where the last import failed, else 0.",
    ({ runs }) => runs.import && (runs.import.failed === undefined ? 0 : 1),
  ],
  [
    "chp_last_successful_import_timestamp_seconds",
    "gauge",
    "When the last import ended that succeeded, in seconds since 1970.",
    ({ runs }) => toSeconds(timeOf(runs.imported)),
  ],
  [
    "chp_last_verify_timestamp_seconds",
    "gauge",
    "When chp verify last ended, in seconds since 1970.",
    ({ runs }) => toSeconds(timeOf(runs.verify?.ended)),
  ],
  [
    "chp_damaged_items",
    "gauge",
    "What is damaged: generations and lists that cannot be read now, and what the last chp verify found.",
    ({ measured, damage, runs }) => [
      ...(measured ? [[{ found: "serving" }, measured.unreadable + (damage === undefined ? 0 : 1)] as const] : []),
      ...(runs.verify ? [[{ found: "verify" }, runs.verify.damaged] as const] : []),
    ],
  ],
  [
    "chp_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate that is served ends, in seconds since 1970.",
    ({ certificateEnd }) => toSeconds(certificateEnd),
  ],
  [
    "chp_store_bytes",
    "gauge",
    "Bytes of all blobs of the store, measured every ten minutes and for each generation.",
    ({ measured }) => measured?.bytes,
  ],
  [
    "chp_storage_away",
    "gauge",
    "1 where the bucket of the store does not answer, so that what is known is served; else 0.",
    ({ away }) => (away === undefined ? undefined : Number(away)),
  ],
  ["chp_disk_bytes", "gauge", "Bytes of the file system of the store.", ({ disk }) => disk?.size],
  ["chp_disk_free_bytes", "gauge", "Bytes of it that chp may still fill.", ({ disk }) => disk?.free],
  [
    "chp_missing_requests_total",
    "counter",
    "Requests for charms, snaps and images that are not stored.",
    ({ missing }) => Object.entries(missing).map(([type, total]) => [{ type }, total]),
  ],
  [
    "chp_failed_requests_total",
    "counter",
    "Requests that failed as a whole, by the kind of the failure.",
    ({ refused }) => [...refused].map(([kind, total]) => [{ kind }, total]),
  ],
  [
    "chp_cache_requests_total",
    "counter",
    "Answers that a cache had (hit) or that were made and cached (miss).",
    ({ caches }) =>
      [...caches].flatMap(([cache, { hits, misses }]) => [
        [{ cache, result: "hit" }, hits] as const,
        [{ cache, result: "miss" }, misses] as const,
      ]),
  ],
  ["process_cpu_seconds_total", "counter", "Time of processors, the system's for it included.", cpuSeconds],
  ["process_resident_memory_bytes", "gauge", "Memory that it occupies.", () => process.memoryUsage.rss()],
  ["process_start_time_seconds", "gauge", "When it was started, in seconds since 1970.", () => performance.timeOrigin / 1000],
];

const REQUESTS_HELP = "Time from a request to its reply's headers.";

/** For the manual. */
export const METRIC_NAMES: readonly { readonly name: string; readonly help: string }[] = [
  ...METRICS.map(([name, , help]) => ({ name, help })),
  { name: REQUESTS, help: `${REQUESTS_HELP} A histogram by method, route and status.` },
];

/** Every kind of failure that an operator may want to watch from the start: a counter that appears late hides its first step. */
const WATCHED = ["not-found", "malformed", "unauthorized", "forbidden", "too-many", "too-large", "too-slow", "busy", "corrupt", "internal"];

export function createMetrics(deps: MetricsDeps, missing: Pick<MissingRequests, "totals">): Metrics {
  const { store, vitals, clock } = deps;
  const requests = new DurationTable();
  const refused = new Map<string, number>(WATCHED.map((kind) => [kind, 0]));
  const caches = new Map<string, CacheUse>();
  const measuring = new Measuring(deps);
  const metrics = get(URLS.metrics, async (c) => {
    const snapshot = await store.snapshot();
    const [runs = {}, disk] = await Promise.all([undefinedIfFailed(vitals?.lastRuns()), undefinedIfFailed(vitals?.disk())]);
    const reading: Reading = {
      snapshot,
      measured: measuring.of(snapshot, performance.now()),
      runs,
      disk,
      certificateEnd: vitals?.certificateEnd(),
      now: plausibleTime(clock(), snapshot.of.time),
      damage: deps.damage(),
      away: deps.away(),
      missing: missing.totals,
      refused,
      caches,
    };
    const text = [
      ...METRICS.flatMap(([name, type, help, read]) => metric(name, type, help, linesOf(name, read(reading)))),
      ...metric(
        REQUESTS,
        "histogram",
        REQUESTS_HELP,
        requests.all.flatMap((durations) => durations.lines()),
      ),
    ];
    return c.body(`${text.join("\n")}\n`, 200, { "Content-Type": CONTENT_TYPE });
  });
  return {
    api: { dialect: "charmhub", routes: [metrics] },
    observe: (method, route, status, seconds) => requests.of(method, route, status).observe(seconds),
    refused: (kind) => void refused.set(kind, (refused.get(kind) ?? 0) + 1),
    cacheUse: (name) => {
      const use = caches.get(name) ?? { hits: 0, misses: 0 };
      caches.set(name, use);
      return use;
    },
  };
}

/** A scrape shows what it can. */
function undefinedIfFailed<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  return promise?.catch(() => undefined) ?? Promise.resolve(undefined);
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

function toSeconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function linesOf(name: string, values: Values | undefined): string[] {
  if (values === undefined) return [];
  if (typeof values === "number") return [`${name} ${values}`];
  const labelled = (labels: Readonly<Record<string, string>>) =>
    Object.entries(labels)
      .map(([label, value]) => `${label}="${value}"`)
      .join(",");
  return values.map(([labels, value]) => `${name}{${labelled(labels)}} ${value}`);
}

/** Nothing for a metric without a value. */
function metric(name: string, type: MetricType, help: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
