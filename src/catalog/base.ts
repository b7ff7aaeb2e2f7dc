/** Bases: the systems that charms run on. Rules: handlers/juju.md, Bases. */

export interface Base {
  readonly name: string;
  readonly channel: string;
  readonly architecture: string;
}

/** The architectures of Juju, as it spells them. */
export const ARCHITECTURES = ["amd64", "arm64", "ppc64el", "s390x", "riscv64"] as const;

/** What a client sends for a part of a base that it does not know. */
const UNKNOWN_PART = "NA";

/** What a store writes for a part of a base that may have any value. */
const ANY = "all";

// Juju <= 3.6 takes the first base that is suggested, so the one that most versions can run is first.
const BEST_FIRST = ["24.04", "22.04", "20.04", "26.04", "18.04", "16.04"];

/** The Ubuntu releases that `series` of old charms named. */
const SERIES: Readonly<Record<string, string>> = {
  precise: "12.04",
  trusty: "14.04",
  xenial: "16.04",
  bionic: "18.04",
  focal: "20.04",
  jammy: "22.04",
  kubernetes: "22.04",
  lunar: "23.04",
  mantic: "23.10",
  noble: "24.04",
  oracular: "24.10",
  plucky: "25.04",
  questing: "25.10",
  resolute: "26.04",
};

/** The base with a lower-case name and a channel without its risk (Juju 2.9 sends `22.04/stable`). */
export function normalBase(base: Base): Base {
  return { name: base.name.toLowerCase(), channel: base.channel.split("/")[0] ?? "", architecture: base.architecture };
}

export function baseKey(base: Base | null): string {
  return base ? `${base.name}@${base.channel}/${base.architecture}` : "";
}

/** `ubuntu@24.04 amd64`, as operators read it. */
export function showBase(base: Base | null): string {
  return base ? `${base.name}@${base.channel} ${base.architecture}` : "any base";
}

export function sameBase(a: Base | null, b: Base | null): boolean {
  return baseKey(a) === baseKey(b);
}

/** Whether every part of a base is known: neither `NA` nor empty. */
export function isConcrete(base: Base): boolean {
  return [base.name, base.channel].every((part) => part !== "" && part.toUpperCase() !== UNKNOWN_PART);
}

/** Whether `base` agrees with `asked` on every part that is neither `NA` nor empty. */
export function agrees(base: Base, asked: Base): boolean {
  const fits = (is: string, wanted: string) =>
    wanted === "" || wanted.toUpperCase() === UNKNOWN_PART || is.toLowerCase() === wanted.toLowerCase();
  return fits(base.name, asked.name) && fits(base.channel, asked.channel) && fits(base.architecture, asked.architecture);
}

/** Of the last User-Agent: nearly all clients have the same. */
let lastPreferred = { userAgent: "", base: "24.04" };

/** The base channel that a Juju of this User-Agent (`Juju/3.6.11`) deploys on by default. */
export function preferredBase(userAgent: string): string {
  if (lastPreferred.userAgent !== userAgent) lastPreferred = { userAgent, base: defaultBase(userAgent) };
  return lastPreferred.base;
}

function defaultBase(userAgent: string): string {
  const [, major = "4", minor = "0"] = /^Juju\/(\d+)\.(\d+)/.exec(userAgent) ?? [];
  if (major === "2") return "20.04";
  return major === "3" && Number(minor) < 6 ? "22.04" : "24.04";
}

/** Compares bases, the best first: the client's own LTS, then those that most versions of Juju can run, then newest first. */
export function compareBases(preferred: string): (a: Base, b: Base) => number {
  const rank = ({ channel }: Base) => {
    if (channel === preferred) return -1;
    const at = BEST_FIRST.indexOf(channel);
    return at < 0 ? BEST_FIRST.length : at;
  };
  return (a, b) =>
    rank(a) - rank(b) ||
    b.channel.localeCompare(a.channel, "en", { numeric: true }) ||
    a.name.localeCompare(b.name, "en") ||
    architectureRank(a.architecture) - architectureRank(b.architecture);
}

function architectureRank(architecture: string): number {
  const at = (ARCHITECTURES as readonly string[]).indexOf(architecture);
  return at < 0 ? ARCHITECTURES.length : at;
}

export function uniqueBases(bases: readonly Base[]): Base[] {
  return [...new Map(bases.map((base) => [baseKey(base), base])).values()];
}

/** The bases of a Juju `series` on every architecture; empty where the series is unknown. */
export function basesOfSeries(series: string): Base[] {
  const found = systemOfSeries(series);
  return found === undefined ? [] : expandAny([{ ...found, architecture: ANY }], []);
}

/** A base without its architecture. */
export type System = Pick<Base, "name" | "channel">;

export function systemOfSeries(series: string): System | undefined {
  const channel = Object.hasOwn(SERIES, series) ? SERIES[series] : undefined;
  return channel === undefined ? undefined : { name: "ubuntu", channel };
}

/** `ubuntu@24.04`, `ubuntu@24.04/stable`, `24.04`, or a series; undefined where it is none of these. */
export function parseSystem(text: string): System | undefined {
  const [, name = "ubuntu", channel] = /^(?:([a-z][a-z0-9-]*)@)?(\d+(?:\.\d+)*)(?:\/[a-z]+)?$/.exec(text) ?? [];
  return channel === undefined ? systemOfSeries(text) : { name, channel };
}

/** The system of `offered` to take in place of `wanted`: the nearest LTS of Ubuntu, of two that are equally near the older. */
export function nearestSystem<T extends System>(offered: readonly T[], wanted: System): T | undefined {
  const distance = ({ name, channel }: System) => {
    const isLts = name === "ubuntu" && /^\d*[02468]\.04$/.test(channel);
    return Math.abs(Number(channel) - Number(wanted.channel)) + (isLts ? 0 : 1000);
  };
  return offered.toSorted((a, b) => distance(a) - distance(b) || Number(a.channel) - Number(b.channel))[0];
}

/** Whether a release for that base runs on the system `wanted`; `all` matches everything. */
export function suitsSystem(base: System, wanted: System): boolean {
  return [base.name, wanted.name].includes(ANY) || base.channel === ANY || (base.name === wanted.name && base.channel === wanted.channel);
}

/** Whether a release for that base runs on the architecture `wanted`; `all` matches every one. */
export function suitsArchitecture({ architecture }: Base, wanted: string): boolean {
  return architecture === ANY || architecture === wanted;
}

/**
 * Replaces `all`, which Juju never matches, by the bases that a charm runs on: those of its `manifest` that fit, else every LTS
 * and architecture.
 */
export function expandAny(bases: readonly Base[], manifest: readonly Base[]): Base[] {
  return uniqueBases(bases.flatMap((base) => expandBase(base, manifest)));
}

function expandBase(base: Base, manifest: readonly Base[]): Base[] {
  if (![base.name, base.channel, base.architecture].includes(ANY)) return [base];
  const fits = (is: string, wanted: string) => wanted === ANY || is === wanted;
  const known = manifest.flatMap((m) => expandBase(m, []));
  const found = known.filter((m) => fits(m.name, base.name) && fits(m.channel, base.channel) && fits(m.architecture, base.architecture));
  if (found.length > 0) return found;
  const channels = base.channel === ANY ? BEST_FIRST.slice(0, 3) : [base.channel];
  const architectures = base.architecture === ANY ? ARCHITECTURES : [base.architecture];
  const name = base.name === ANY ? "ubuntu" : base.name;
  return channels.flatMap((channel) => architectures.map((architecture) => ({ name, channel, architecture })));
}
