/** What Prometheus and Grafana are given: alert rules, a dashboard, and the page that explains both. All follow from the tables here. */

import { stringify } from "yaml";
import { METRIC_NAMES } from "../../handlers/metrics.ts";

/* ---- alerts ---- */

interface Alert {
  readonly name: string;
  readonly expr: string;
  /** how long it has to hold */
  readonly for: string;
  /** `critical`: clients fail, or will soon; `warning`: somebody has to look; `info`: worth knowing */
  readonly severity: "critical" | "warning" | "info";
  /** what is wrong */
  readonly summary: string;
  /** what to do */
  readonly next: string;
}

const DAY = 86_400;

const ALERTS: readonly Alert[] = [
  {
    name: "ChpDown",
    expr: 'up{job="chp"} == 0',
    for: "5m",
    severity: "critical",
    summary: "chp does not answer",
    next: "systemctl status chp; journalctl -u chp",
  },
  {
    name: "ChpCertificateExpired",
    expr: "chp_certificate_expiry_timestamp_seconds <= time()",
    for: "0m",
    severity: "critical",
    summary: "the certificate has expired: clients refuse it",
    next: "chp help tls: chp import-certificate renews it without a restart",
  },
  {
    name: "ChpCertificateExpiresSoon",
    expr: `0 < chp_certificate_expiry_timestamp_seconds - time() < ${30 * DAY}`,
    for: "1h",
    severity: "warning",
    summary: "the certificate expires within 30 days",
    next: "chp help tls: chp import-certificate renews it without a restart",
  },
  {
    name: "ChpImportFailed",
    expr: "chp_last_import_failed == 1",
    for: "0m",
    severity: "warning",
    summary: "the last import failed; nothing of it is served",
    next: "chp status says how it failed: run it again, and do what its error says",
  },
  {
    name: "ChpDamaged",
    expr: "sum by (instance, job) (chp_damaged_items) > 0",
    for: "0m",
    severity: "critical",
    summary: "files of the store are damaged",
    next: "chp verify names them and what to import again: chp help damage",
  },
  {
    name: "ChpVerifyOverdue",
    expr: `time() - chp_last_verify_timestamp_seconds > ${15 * DAY}`,
    for: "1h",
    severity: "warning",
    summary: "the store was not verified for 15 days",
    next: "systemctl status chp-verify.timer, or run chp verify",
  },
  {
    name: "ChpDiskNearlyFull",
    expr: "chp_disk_free_bytes / chp_disk_bytes < 0.1",
    for: "10m",
    severity: "warning",
    summary: "less than a tenth of the store's disk is free",
    next: "chp gc --dry-run shows what can be freed: chp help sizing",
  },
  {
    name: "ChpErrors",
    expr: 'sum by (instance, job) (rate(chp_http_request_seconds_count{status=~"5.."}[5m])) > 0',
    for: "5m",
    severity: "warning",
    summary: "requests fail by errors of the server",
    next: "the lines of level error in the log say why: journalctl -u chp",
  },
  {
    name: "ChpMissing",
    expr: "sum by (instance, job, type) (increase(chp_missing_requests_total[1h])) > 0",
    for: "0m",
    severity: "info",
    summary: "clients request what is not stored",
    next: "chp status lists what to import next",
  },
];

/** The rules as Prometheus reads them. */
export function alertRules(): string {
  const rules = ALERTS.map(({ name, expr, for: pending, severity, summary, next }) => ({
    alert: name,
    expr,
    for: pending,
    labels: { severity },
    annotations: { summary: `${summary} ({{ $labels.instance }})`, description: next },
  }));
  const head = "# Alerts of chp. Put the file where rule_files of prometheus.yml finds it; the job that scrapes chp is called chp.\n";
  return head + stringify({ groups: [{ name: "chp", rules }] }, { lineWidth: 0 });
}

/* ---- dashboard ---- */

interface Panel {
  readonly title: string;
  readonly help: string;
  readonly kind: "stat" | "timeseries";
  /** of Grafana */
  readonly unit: string;
  /** an expression and the legend of its series */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  /** from which values on it is orange and red; falling where the first is the larger */
  readonly limits?: readonly [orange: number, red: number];
}

const SELECTED = '{instance=~"$instance"}';
const selected = (name: string) => `${name}${SELECTED}`;
const of = (name: string, labels: string) => `${name}{instance=~"$instance",${labels}}`;
const SINCE = (name: string) => `time() - ${selected(name)}`;

const PANELS: readonly Panel[] = [
  {
    title: "Up",
    help: "1: Prometheus can read the metrics.",
    kind: "stat",
    unit: "none",
    queries: [['up{job="chp",instance=~"$instance"}', "{{instance}}"]],
    limits: [1, 0.5],
  },
  {
    title: "Certificate ends in",
    help: "Until the certificate that is served expires. Without TLS there is none.",
    kind: "stat",
    unit: "s",
    queries: [[`${selected("chp_certificate_expiry_timestamp_seconds")} - time()`, "{{instance}}"]],
    limits: [30 * DAY, 7 * DAY],
  },
  {
    title: "Last import failed",
    help: "1: the last import failed, and chp status says how.",
    kind: "stat",
    unit: "none",
    queries: [[selected("chp_last_import_failed"), "{{instance}}"]],
    limits: [0.5, 1],
  },
  {
    title: "Damaged",
    help: "Generations and lists that cannot be read now, and what the last chp verify found.",
    kind: "stat",
    unit: "none",
    queries: [[selected("chp_damaged_items"), "{{instance}} {{found}}"]],
    limits: [0.5, 1],
  },
  {
    title: "Since the last successful import",
    help: "How old what is served is.",
    kind: "stat",
    unit: "s",
    queries: [[SINCE("chp_last_successful_import_timestamp_seconds"), "{{instance}}"]],
  },
  {
    title: "Since the last verification",
    help: "The timer of the package runs chp verify each week.",
    kind: "stat",
    unit: "s",
    queries: [[SINCE("chp_last_verify_timestamp_seconds"), "{{instance}}"]],
    limits: [8 * DAY, 15 * DAY],
  },
  {
    title: "Generation",
    help: "Number of the generation that is served: each import or change makes one.",
    kind: "stat",
    unit: "none",
    queries: [[selected("chp_generation"), "{{instance}}"]],
  },
  {
    title: "Overrides",
    help: "Overrides in force: chp overrides lists them.",
    kind: "stat",
    unit: "none",
    queries: [[selected("chp_overrides"), "{{instance}}"]],
  },
  {
    title: "Requests",
    help: "By status.",
    kind: "timeseries",
    unit: "reqps",
    queries: [[`sum by (status) (rate(${selected("chp_http_request_seconds_count")}[$__rate_interval]))`, "{{status}}"]],
  },
  {
    title: "Time to a reply's headers",
    help: "Half of all requests, and 99 of 100, are answered within that.",
    kind: "timeseries",
    unit: "s",
    queries: [0.5, 0.99].map((part) => [
      `histogram_quantile(${part}, sum by (le) (rate(${selected("chp_http_request_seconds_bucket")}[$__rate_interval])))`,
      `${100 * part} %`,
    ]),
  },
  {
    title: "Requests for what is not stored",
    help: "What to import next: chp status lists it.",
    kind: "timeseries",
    unit: "short",
    queries: [[`sum by (type) (increase(${selected("chp_missing_requests_total")}[$__rate_interval]))`, "{{type}}"]],
  },
  {
    title: "Failed requests",
    help: "By the kind of the failure.",
    kind: "timeseries",
    unit: "short",
    queries: [[`sum by (kind) (increase(${selected("chp_failed_requests_total")}[$__rate_interval]))`, "{{kind}}"]],
  },
  {
    title: "Disk",
    help: "Bytes of all blobs, and what is free for chp.",
    kind: "timeseries",
    unit: "bytes",
    queries: [
      [selected("chp_store_bytes"), "store {{instance}}"],
      [selected("chp_disk_free_bytes"), "free {{instance}}"],
      [selected("chp_disk_bytes"), "disk {{instance}}"],
    ],
  },
  {
    title: "Stored",
    help: "Charms and bundles, snaps, repositories of images.",
    kind: "timeseries",
    unit: "short",
    queries: [
      [selected("chp_packages"), "charms and bundles {{instance}}"],
      [selected("chp_snaps"), "snaps {{instance}}"],
      [selected("chp_repositories"), "repositories {{instance}}"],
    ],
  },
  {
    title: "Answers from caches",
    help: "Of the answers that can be cached, the part that was.",
    kind: "timeseries",
    unit: "percentunit",
    queries: [
      [
        `sum by (cache) (rate(${of("chp_cache_requests_total", 'result="hit"')}[$__rate_interval])) / (sum by (cache) (rate(${selected("chp_cache_requests_total")}[$__rate_interval])) > 0)`,
        "{{cache}}",
      ],
    ],
  },
  {
    title: "Process",
    help: "Memory that it occupies, and processors that it keeps busy.",
    kind: "timeseries",
    unit: "bytes",
    queries: [[of("process_resident_memory_bytes", 'job="chp"'), "memory {{instance}}"]],
  },
  {
    title: "Processors",
    help: "How many it keeps busy.",
    kind: "timeseries",
    unit: "short",
    queries: [[`rate(${of("process_cpu_seconds_total", 'job="chp"')}[$__rate_interval])`, "{{instance}}"]],
  },
];

/** Columns of Grafana's grid, and of panels in it. */
const [GRID, STAT, SERIES] = [24, { w: 6, h: 4 }, { w: 12, h: 8 }] as const;
const SOURCE = { type: "prometheus", uid: "${datasource}" };

/** The dashboard as Grafana imports it, JSON. */
export function dashboard(): string {
  const at = { x: 0, y: 0 };
  let before: number | undefined;
  const panels = PANELS.map(({ title, help, kind, unit, queries, limits }, i) => {
    const { w, h } = kind === "stat" ? STAT : SERIES;
    if (at.x + w > GRID || (before !== undefined && before !== h)) Object.assign(at, { x: 0, y: at.y + (before ?? 0) });
    const gridPos = { ...at, w, h };
    at.x += w;
    before = h;
    return {
      id: i + 1,
      title,
      description: help,
      type: kind,
      datasource: SOURCE,
      gridPos,
      fieldConfig: { defaults: { unit, ...(limits && { thresholds: thresholdsOf(limits) }) }, overrides: [] },
      ...(kind === "stat" && { options: { reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } } }),
      targets: queries.map(([expr, legendFormat], n) => ({
        refId: String.fromCharCode(65 + n),
        datasource: SOURCE,
        expr,
        legendFormat,
        ...(kind === "stat" && { instant: true }),
      })),
    };
  });
  const variables = [
    { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus" },
    {
      name: "instance",
      label: "Server",
      type: "query",
      datasource: SOURCE,
      query: { query: "label_values(chp_info, instance)", refId: "instances" },
      refresh: 2,
      multi: true,
      includeAll: true,
      allValue: ".*",
      current: { text: "All", value: "$__all" },
    },
  ];
  const board = {
    title: "chp",
    uid: "chp",
    tags: ["chp"],
    schemaVersion: 36,
    editable: true,
    refresh: "1m",
    time: { from: "now-24h", to: "now" },
    templating: { list: variables },
    panels,
  };
  return `${JSON.stringify(board, null, 2)}\n`;
}

/** Green until the first limit is passed; where the first is the larger, red comes from below. */
function thresholdsOf([orange, red]: NonNullable<Panel["limits"]>) {
  const steps: readonly (readonly [string, number | null])[] =
    orange < red
      ? [
          ["green", null],
          ["orange", orange],
          ["red", red],
        ]
      : [
          ["red", null],
          ["orange", red],
          ["green", orange],
        ];
  return { mode: "absolute", steps: steps.map(([color, value]) => ({ color, value })) };
}

/* ---- the page ---- */

/** Markdown of the page `metrics` of the manual, to be put below its own text. */
export function metricsTables(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = METRIC_NAMES.map(({ name, help }) => `| \`${name}\` | ${cell(help)} |`);
  const alerts = ALERTS.map(({ name, severity, summary, next }) => `| \`${name}\` | ${severity}: ${cell(summary)}. ${cell(next)} |`);
  return [
    "## Metrics",
    ["| metric | meaning |", "| --- | --- |", ...rows].join("\n"),
    "## Alerts",
    ["| alert | meaning, and what to do |", "| --- | --- |", ...alerts].join("\n"),
  ].join("\n\n");
}
