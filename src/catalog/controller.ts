/** The charm that every Juju from 3.0 on bootstraps with. */

import { Failure, printable } from "../errors.ts";
import { type Base, type System, showBase } from "./base.ts";
import { channelOf } from "./channelmap.ts";
import { exportCharms, type Finding } from "./finding.ts";
import type { Package } from "./package.ts";
import { resolve } from "./resolve.ts";

export const CONTROLLER = "juju-controller";
/** What controllers run on: machines by their operator's choice, Kubernetes on the first. */
export const CONTROLLER_SYSTEMS: readonly System[] = ["24.04", "22.04"].map((channel) => ({ name: "ubuntu", channel }));
export const USUAL_ARCHITECTURE = "amd64";

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
