/** What a request costs in processor time, and how many there are a second, beside nginx that sends the same bytes from files. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { catalogueName } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { runClient, type Server, serveChp, serveNginx, serveStep, tool, usedCpu } from "./processes.ts";

export interface LoadOptions {
  readonly rounds: number;
  /** of a round */
  readonly seconds: number;
}

export interface Request {
  readonly path: string;
  readonly body?: string;
}

interface Load {
  readonly rate: number;
  /** milliseconds */
  readonly p50: number;
  readonly p99: number;
  /** microseconds of a request */
  readonly cpu: number;
}

/** What Juju asks for. */
const REFRESH_FIELDS = "bases,config-yaml,download,id,license,metadata-yaml,name,publisher,resources,revision,summary,type,version".split(
  ",",
);
const FEW_FIELDS = REFRESH_FIELDS.filter((name) => !name.endsWith("-yaml"));
const BASE_FIELDS = ["architecture", "name", "channel"];
const CHANNEL_FIELDS = ["name", ...BASE_FIELDS.map((f) => `base.${f}`), "released-at", "risk", "track"].map((f) => `channel.${f}`);
const REVISION_FIELDS = ["download.size", ...BASE_FIELDS.map((f) => `bases.${f}`), "revision", "version"].map((f) => `revision.${f}`);
const INFO_FIELDS = [
  "categories.featured",
  "categories.name",
  "contains-charms.name",
  "contains-charms.package-id",
  "contains-charms.store-url",
  "description",
  "license",
  "publisher.display-name",
  "store-url",
  "summary",
]
  .map((f) => `result.${f}`)
  .concat(["config-yaml", "metadata-yaml", "bundle-yaml"].map((f) => `default-release.revision.${f}`))
  .concat([...CHANNEL_FIELDS, ...REVISION_FIELDS].map((f) => `default-release.${f}`))
  .concat([...CHANNEL_FIELDS, ...REVISION_FIELDS, "revision.created-at"].map((f) => `channel-map.${f}`));
const FIND_FIELDS = [
  "result.publisher.display-name",
  "result.summary",
  "result.store-url",
  "default-release.revision.version",
  ...BASE_FIELDS.map((f) => `default-release.revision.bases.${f}`),
];

const asked = (fields: readonly string[]) => encodeURIComponent(fields.join());
const small = (name: string): Request => ({ path: `/v2/charms/info/${name}?fields=name` });
export const infoOf = (name: string): Request => ({ path: `/v2/charms/info/${name}?fields=${asked(INFO_FIELDS)}` });
const find: Request = { path: `/v2/charms/find?fields=${asked(FIND_FIELDS)}` };

/** An installation of each, in one request. As Juju does, each request has instance keys of its own: load.lua counts at `#`. */
export function refreshOf(names: readonly string[], fields = REFRESH_FIELDS): Request {
  const base = { architecture: "amd64", name: "ubuntu", channel: "22.04" };
  const actions = names.map((name, i) => ({ action: "install", "instance-key": `key-${i}-#`, name, channel: "latest/stable", base }));
  return { path: "/v2/charms/refresh", body: JSON.stringify({ context: [], actions, fields }) };
}

/** `most`: also what concerns all packages at once. */
export async function requests(
  report: Report,
  folder: string,
  store: string,
  packages: number,
  options: LoadOptions & { readonly most: boolean },
) {
  const names = Array.from({ length: packages }, (_, i) => catalogueName(i));
  const workloads: [string, Request[]][] = [
    [`info of a name, ${packages} packages`, names.map(small)],
    [`info, ${packages} packages`, names.map(infoOf)],
    [`refresh, ${packages} packages`, names.map((name) => refreshOf([name]))],
  ];
  if (options.most) workloads.push([`find all of ${packages} packages`, [find]], [`refresh of ${packages} actions`, [refreshOf(names)]]);
  for (const [name, list] of workloads) await report.measure(name, () => compare(report, name, folder, store, list, options));
}

/** Charms whose texts are as long as a database's. `steps`: what a refresh of one costs up to each step of step.ts. */
export async function longTexts(report: Report, folder: string, store: string, packages: number, options: LoadOptions) {
  const names = Array.from({ length: packages }, (_, i) => catalogueName(i));
  const workloads: [string, Request[]][] = [
    ["info, long texts", names.map(infoOf)],
    ["refresh, long texts", names.map((name) => refreshOf([name]))],
    ["refresh, a few fields", names.map((name) => refreshOf([name], FEW_FIELDS))],
  ];
  for (const [name, list] of workloads) await report.measure(name, () => compare(report, name, folder, store, list, options));
  await report.measure("steps of a refresh", () => steps(report, folder, store, names[0] ?? "", options));
}

const STEPS = ["listener", "body", "JSON", "checks", "all but the log", "all"] as const;

/** What a refresh costs up to each of its steps, all in turns with nginx. */
async function steps(report: Report, folder: string, store: string, charm: string, options: LoadOptions) {
  const wrk = await tool("wrk");
  const root = join(folder, "steps");
  mkdirSync(root);
  await using stack = new AsyncDisposableStack();
  const request = refreshOf([charm]);
  const chp = stack.use(await serveChp(store));
  writeFileSync(join(root, "reply.json"), await ask(chp, request));
  const nginx = stack.use(await serveNginx(join(root, "nginx"), root));
  const peer = load(wrk, nginx, join(root, "nginx.txt"), [{ path: "/reply.json" }]);
  for (const step of STEPS) {
    await using server = await serveStep(step, store, join(root, "reply.json"), join(root, "log"));
    const own = load(wrk, server, join(root, "step.txt"), [request]);
    await warmUp(own, options);
    const pairs = await inTurns(
      Math.min(options.rounds, 5),
      () => own(options.seconds),
      () => peer(options.seconds),
    );
    const named = { name: `a refresh up to: ${step}, cpu`, unit: "µs", peer: "nginx" };
    report.figure(
      beside(
        pairs,
        named,
        ({ cpu }) => cpu,
        ({ cpu }) => cpu,
      ),
    );
  }
}

/** Requests after which the engine has compiled what runs often, on a thread whose time counts too: the first cost up to twice as much. */
const WARM = 50_000;

/** For at least so many times the seconds of a round, and at most: where the machine is busy, five seconds are few requests. */
const [LEAST_WARM, MOST_WARM] = [5, 15];

async function warmUp(warm: (seconds: number) => Promise<Load>, { rounds, seconds }: LoadOptions) {
  if (rounds === 1) return;
  let sent = 0;
  for (let round = 0; round < MOST_WARM && (round < LEAST_WARM || sent < WARM); round += 1) sent += (await warm(seconds)).rate * seconds;
}

/** A workload beside nginx that sends the same replies from files. */
export async function compare(report: Report, name: string, folder: string, store: string, list: readonly Request[], options: LoadOptions) {
  const wrk = await tool("wrk");
  const root = join(folder, name.replaceAll(/\W+/g, "-"));
  mkdirSync(root);
  await using chp = await serveChp(store, { log: join(root, "log") });
  await using nginx = await serveNginx(join(root, "nginx"), root);
  const replies = await Promise.all(list.map((request) => ask(chp, request)));
  const files = replies.map((bytes, i) => {
    writeFileSync(join(root, `${i}.json`), bytes);
    return { path: `/${i}.json` };
  });
  const own = load(wrk, chp, join(root, "chp.txt"), list);
  const peer = load(wrk, nginx, join(root, "nginx.txt"), files);
  await warmUp(own, options);
  const pairs = await inTurns(
    options.rounds,
    () => own(options.seconds),
    () => peer(options.seconds),
  );
  const size = replies.reduce((sum, bytes) => sum + bytes.byteLength, 0) / replies.length;
  report.figure({ name: `${name}, reply`, value: size / 1000, unit: "kB" });
  for (const [key, unit] of [
    ["rate", "requests/s"],
    ["p50", "ms"],
    ["p99", "ms"],
    ["cpu", "µs"],
  ] as const) {
    const named = { name: key === "rate" ? name : `${name}, ${key}`, unit, peer: "nginx" };
    report.figure(
      beside(
        pairs,
        named,
        (one) => one[key],
        (one) => one[key],
      ),
    );
  }
}

async function ask(server: Server, { path, body }: Request): Promise<Uint8Array> {
  const init = body === undefined ? {} : { method: "POST", body, headers: { "Content-Type": "application/json" } };
  const reply = await fetch(server.url + path, init);
  if (reply.status !== 200) throw new Error(`${path}: ${reply.status}`);
  return reply.bytes();
}

/** A round of load over 16 connections, from a core of its own. */
export function load(wrk: string, server: Server, file: string, list: readonly Request[]): (seconds: number) => Promise<Load> {
  writeFileSync(file, list.map(({ path, body }) => `${path}${body === undefined ? "" : `\t${body}`}\n`).join(""));
  return async (seconds) => {
    const script = join(import.meta.dir, "load.lua");
    const duration = String(Math.max(1, Math.round(seconds)));
    const command = [wrk, "-t1", "-c16", `-d${duration}s`, "--timeout", "30s", "-s", script, server.url, "--", file];
    const before = usedCpu(server.pid);
    const { out } = await runClient(command);
    const used = usedCpu(server.pid) - before;
    const told = JSON.parse(out.trim().split("\n").at(-1) ?? "") as Record<"requests" | "us" | "p50" | "p99" | "errors", number>;
    if (told.errors > 0) throw new Error(`${told.errors} requests to ${server.url} failed`);
    return { rate: told.requests / (told.us / 1e6), p50: told.p50 / 1000, p99: told.p99 / 1000, cpu: used / told.requests };
  };
}
