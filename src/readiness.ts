/** What a deployment needs and the store lacks: findings, each with what to do next. Pure; what the network tells is added by its asker. */

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { type Base, type System, showBase } from "./base.ts";
import { hostOf, WARN_DAYS } from "./certificate.ts";
import { Failure, printable } from "./errors.ts";
import { neededSnaps, showNeed } from "./lacking.ts";
import { channelOf, type Package } from "./package.ts";
import { resolve } from "./resolve.ts";
import type { Snap } from "./snap.ts";

export type Check = "snaps" | "charms" | "resources" | "juju" | "images" | "registry" | "certificate" | "public URL";

export interface Finding {
  readonly check: Check;
  /** what is wrong, lower-case */
  readonly what: string;
  /** `likely`: a charm's code seems to say so */
  readonly sure: "certain" | "likely";
  /** the next thing to type or to do */
  readonly next: string;
}

/** What a check came to where it found nothing, or was not made. */
export interface Passed {
  readonly check: Check;
  readonly state: "ok" | "skipped";
  readonly what: string;
}

const EXPORT_SNAPS = "chp missing --yaml > snaps.yaml, and on the connected side: chp export snaps --from-yaml snaps.yaml";

function exportCharms(...names: readonly string[]): string {
  return `on the connected side, with ${names.join(", ")} in charms.yaml: chp export charms ./charms.yaml; here: chp import FILE`;
}

/** Bases and snapd for the held snaps, and what charms install. */
export function snapFindings(packages: readonly Package[], snaps: readonly Snap[]): Finding[] {
  return neededSnaps(packages, snaps)
    .filter((one) => !one.held)
    .map((one) => ({
      check: "snaps",
      what: `the snap ${showNeed(one)} is not held; needed by ${one.by.join(", ")}`,
      sure: one.sure,
      next: EXPORT_SNAPS,
    }));
}

export interface NamedCharm {
  /** `bundle cos-lite 11` */
  readonly by: string;
  readonly charm: string;
  /** undefined: the charm's default */
  readonly channel?: string;
}

/** Charms that bundles name and that are not held, or not in the channel that is named. */
export function bundleFindings(packages: readonly Package[], named: readonly NamedCharm[]): Finding[] {
  const held = new Map(packages.map((pkg) => [pkg.name, pkg]));
  const found = new Map<string, { readonly next: string; readonly by: Set<string> }>();
  for (const { by, charm, channel } of named) {
    const pkg = held.get(charm);
    if (pkg && (channel === undefined || isReleased(pkg, channel))) continue;
    const what = pkg ? `the charm ${charm} is held, but not in ${channel}` : `the charm ${charm} is not held`;
    const next = exportCharms(channel === undefined ? charm : `${charm} (channel ${channel})`);
    const one = found.get(what) ?? { next, by: new Set() };
    found.set(what, one);
    one.by.add(by);
  }
  return [...found].map(([what, { next, by }]) => ({
    check: "charms",
    what: `${what}; named by ${[...by].join(", ")}`,
    sure: "certain",
    next,
  }));
}

/** Whether a Juju that names no base gets something from that channel, on whatever architecture. */
function isReleased(pkg: Package, channel: string): boolean {
  const architectures = new Set(pkg.releases.map((release) => release.base?.architecture ?? USUAL_ARCHITECTURE));
  return [...architectures].some((architecture) => {
    const base = { name: "NA", channel: "NA", architecture };
    const query = { action: "install", instanceKey: "", name: pkg.name, channel, base, resourceRevisions: [], preferred: "24.04" } as const;
    const outcome = resolve(pkg, query);
    return "ok" in outcome || outcome.refusal.code === "invalid-charm-base";
  });
}

/** Resources that charms declare, and of which no revision is held. */
export function resourceFindings(packages: readonly Package[]): Finding[] {
  return packages.flatMap((pkg) => {
    const held = new Set(pkg.resources.flatMap(({ name, revisions }) => (revisions.length > 0 ? [name] : [])));
    const declared = new Map<string, number[]>();
    for (const { revision, resources } of pkg.revisions)
      for (const name of resources) if (!held.has(name)) declared.set(name, [...(declared.get(name) ?? []), revision]);
    return [...declared].map(([name, revisions]) => ({
      check: "resources" as const,
      what: `the resource ${name} is not held; declared by charm ${pkg.name} ${revisions.join(", ")}`,
      sure: "certain" as const,
      next: exportCharms(pkg.name),
    }));
  });
}

export const CONTROLLER = "juju-controller";
/** What controllers run on: machines by their operator's choice, Kubernetes on the first. */
export const CONTROLLER_SYSTEMS: readonly System[] = ["24.04", "22.04"].map((channel) => ({ name: "ubuntu", channel }));
const USUAL_ARCHITECTURE = "amd64";

export interface ControllerCheck {
  readonly channel: string;
  readonly held: readonly Base[];
  readonly lacking: readonly Base[];
}

/** Tracks of the controller charm that a Juju asks for when it bootstraps: none for 2.9. Throws a `usage` failure. */
export function controllerTracks(juju: string): string[] {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})(?:[.-].*)?$/.exec(juju) ?? [];
  if (major === undefined) throw new Failure("usage", `${printable(juju, 50)} is not a version of Juju; give one like 3.6 or 3.6.11`);
  return Number(major) < 3 ? [] : [`${major}.${minor}`];
}

/** Which bases of each track are held; the architectures are those that the track has. `tracks` undefined: all that are held. */
export function checkController(pkg: Package | undefined, tracks?: readonly string[]): ControllerCheck[] {
  const stable = (pkg?.releases ?? []).filter((release) => channelOf(release).risk === "stable");
  const wanted = tracks ?? [...new Set(stable.map((release) => channelOf(release).track))];
  return wanted.map((track) => {
    const own = stable.flatMap((release) => (channelOf(release).track === track && release.base ? [release.base.architecture] : []));
    const architectures = own.length > 0 ? [...new Set(own)] : [USUAL_ARCHITECTURE];
    const channel = `${track}/stable`;
    const bases = architectures.flatMap((architecture) => CONTROLLER_SYSTEMS.map((system) => ({ ...system, architecture })));
    const isHeld = (base: Base) =>
      "ok" in
      resolve(pkg, { action: "install", instanceKey: "", name: CONTROLLER, channel, base, resourceRevisions: [], preferred: base.channel });
    return { channel, held: bases.filter(isHeld), lacking: bases.filter((base) => !isHeld(base)) };
  });
}

export function controllerFindings(pkg: Package | undefined, tracks?: readonly string[]): Finding[] {
  const checks = checkController(pkg, tracks);
  if (checks.length === 0 && tracks === undefined)
    return [
      {
        check: "juju",
        what: `the charm ${CONTROLLER} is not held, without which no Juju from 3.0 on can bootstrap`,
        sure: "certain",
        next: exportCharms(`${CONTROLLER} (channel 3.6/stable, for Juju 3.6)`),
      },
    ];
  return checks
    .filter((one) => one.lacking.length > 0)
    .map(({ channel, held, lacking }) => ({
      check: "juju",
      what:
        held.length === 0
          ? `the charm ${CONTROLLER} is not held in ${channel}, without which that Juju cannot bootstrap`
          : `the charm ${CONTROLLER} is not held in ${channel} for ${lacking.map(showBase).join(", ")}`,
      sure: "certain",
      next: exportCharms(`${CONTROLLER} (channel ${channel})`),
    }));
}

const DAY = 24 * 60 * 60 * 1000;

/** Of the certificates that chp shows and of the name that clients reach it by. `now`: milliseconds; `renew`: what to do next. */
export function certificateFindings(certificates: readonly string[], publicUrl: string | undefined, now: number, renew: string): Finding[] {
  const finding = (what: string): Finding => ({ check: "certificate", what, sure: "certain", next: renew });
  const all = certificates.map((pem) => new X509Certificate(pem));
  const dates = all.flatMap((one) => {
    const ends = Date.parse(one.validTo);
    const about = `the certificate ${printable(one.subject.replaceAll("\n", ", "), 200)}`;
    if (ends <= now) return [finding(`${about} expired on ${day(ends)}`)];
    if (Date.parse(one.validFrom) > now) return [finding(`${about} is valid only from ${day(Date.parse(one.validFrom))} on`)];
    return ends - now < WARN_DAYS * DAY ? [finding(`${about} expires on ${day(ends)}`)] : [];
  });
  const [server] = all;
  const host = publicUrl?.startsWith("https:") ? hostOf(publicUrl) : undefined;
  const named = !server || host === undefined || (isIP(host) ? server.checkIP(host) : server.checkHost(host)) !== undefined;
  return named ? dates : [...dates, finding(`the certificate does not name ${host}, by which clients reach chp`)];
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** What a client must trust: the self-signed ones of a chain, else its last. */
export function anchorsOf(certificates: readonly string[]): string[] {
  const own = certificates.filter((pem) => {
    const { subject, issuer } = new X509Certificate(pem);
    return subject === issuer;
  });
  return own.length > 0 ? own : certificates.slice(-1);
}
