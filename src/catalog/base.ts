/** Bases: what a charm runs on. Rules: handlers/juju.md, Bases. */

export interface Base {
  readonly name: string;
  readonly channel: string;
  readonly architecture: string;
}

/** What Juju can run on, in the spelling that it compares to the letter. */
export const ARCHITECTURES = ["amd64", "arm64", "ppc64el", "s390x", "riscv64"] as const;

/** What a client sends where it does not know a part. */
const UNKNOWN = "NA";

/** What a store writes where any value will do. */
const ANY = "all";

// Juju <= 3.6 takes the first base that is suggested, so the one that most versions can run leads.
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

/** Lower-case name, channel without a risk (`22.04/stable` is what Juju 2.9 sends). */
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
  return [base.name, base.channel].every((part) => part !== "" && part.toUpperCase() !== UNKNOWN);
}

/** Whether `base` agrees with `asked` on every part that is not `NA`. */
export function agrees(base: Base, asked: Base): boolean {
  const fits = (is: string, wanted: string) =>
    wanted === "" || wanted.toUpperCase() === UNKNOWN || is.toLowerCase() === wanted.toLowerCase();
  return fits(base.name, asked.name) && fits(base.channel, asked.channel) && fits(base.architecture, asked.architecture);
}

/** The base channel that a Juju of this User-Agent (`Juju/3.6.11`) deploys on where the operator names none. */
export function preferredBase(userAgent: string): string {
  const [, major = "4", minor = "0"] = /^Juju\/(\d+)\.(\d+)/.exec(userAgent) ?? [];
  if (major === "2") return "20.04";
  return major === "3" && Number(minor) < 6 ? "22.04" : "24.04";
}

/** Sorts bases best first: the client's own LTS, then those that most Juju versions can run, then newest first. */
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

/** The bases of a Juju `series`, on every architecture; none where the series is unknown. */
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

/** The one of `offered` to take where `wanted` is not among them: the nearest LTS of Ubuntu, the older of two that are as near. */
export function nearestSystem<T extends System>(offered: readonly T[], wanted: System): T | undefined {
  const distance = ({ name, channel }: System) => {
    const isLts = name === "ubuntu" && /^\d*[02468]\.04$/.test(channel);
    return Math.abs(Number(channel) - Number(wanted.channel)) + (isLts ? 0 : 1000);
  };
  return offered.toSorted((a, b) => distance(a) - distance(b) || Number(a.channel) - Number(b.channel))[0];
}

/** Whether a row of that base is for `wanted`; `all` is for everything. */
export function suitsSystem(base: System, wanted: System): boolean {
  return [base.name, wanted.name].includes(ANY) || base.channel === ANY || (base.name === wanted.name && base.channel === wanted.channel);
}

/** Whether a row of that base is for an architecture; `all` is for every one. */
export function suitsArchitecture({ architecture }: Base, wanted: string): boolean {
  return architecture === ANY || architecture === wanted;
}

/**
 * Replaces `all`, which Juju never matches, by what a charm runs on: its `manifest` where that knows, else every
 * LTS and architecture.
 */
export function expandAny(bases: readonly Base[], manifest: readonly Base[]): Base[] {
  return uniqueBases(bases.flatMap((base) => expandOne(base, manifest)));
}

function expandOne(base: Base, manifest: readonly Base[]): Base[] {
  if (![base.name, base.channel, base.architecture].includes(ANY)) return [base];
  const fits = (is: string, wanted: string) => wanted === ANY || is === wanted;
  const known = manifest.flatMap((m) => expandOne(m, []));
  const found = known.filter((m) => fits(m.name, base.name) && fits(m.channel, base.channel) && fits(m.architecture, base.architecture));
  if (found.length > 0) return found;
  const channels = base.channel === ANY ? BEST_FIRST.slice(0, 3) : [base.channel];
  const architectures = base.architecture === ANY ? ARCHITECTURES : [base.architecture];
  const name = base.name === ANY ? "ubuntu" : base.name;
  return channels.flatMap((channel) => architectures.map((architecture) => ({ name, channel, architecture })));
}
