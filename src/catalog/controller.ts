/** The charm that every Juju since 3.0 bootstraps with. */

import { type Base, showBase } from "./base.ts";
import { bootstrapNeeds, CONTROLLER_CHARM, CONTROLLER_SYSTEMS, readJuju, seriesOf } from "./bootstrap.ts";
import { channelOf } from "./channelmap.ts";
import { exportCharms, type ReadinessFinding } from "./finding.ts";
import type { Package } from "./package.ts";
import { resolve } from "./resolve.ts";

export const DEFAULT_ARCHITECTURE = "amd64";

/** Also JSON of `chp juju-config`. */
export interface ControllerBases {
  readonly channel: string;
  /** bases that can be deployed from the store */
  readonly stored: readonly Base[];
  readonly missing: readonly Base[];
}

/** Tracks of the controller charm that a version of Juju bootstraps with; empty for 2.9. Throws a `usage` failure. */
export function controllerTracks(juju: string): string[] {
  const version = readJuju(juju);
  return bootstrapNeeds(version).charm ? [seriesOf(version)] : [];
}

/** Which bases of each track are stored, for the architectures that the track has. `tracks` undefined: all that are stored. */
export function checkController(pkg: Package | undefined, tracks?: readonly string[]): ControllerBases[] {
  const stable = (pkg?.releases ?? []).filter((release) => channelOf(release).risk === "stable");
  const checked = tracks ?? [...new Set(stable.map((release) => channelOf(release).track))];
  return checked.map((track) => {
    const stored = stable.flatMap((release) => (channelOf(release).track === track && release.base ? [release.base.architecture] : []));
    const architectures = stored.length > 0 ? [...new Set(stored)] : [DEFAULT_ARCHITECTURE];
    const channel = `${track}/stable`;
    const bases = architectures.flatMap((architecture) => CONTROLLER_SYSTEMS.map((system) => ({ ...system, architecture })));
    const isStored = (base: Base) =>
      "ok" in
      resolve(pkg, {
        action: "install",
        instanceKey: "",
        name: CONTROLLER_CHARM,
        channel,
        base,
        resourceRevisions: [],
        preferred: base.channel,
      });
    return { channel, stored: bases.filter(isStored), missing: bases.filter((base) => !isStored(base)) };
  });
}

/** Tracks of which a base is missing, or that no controller charm is stored. `tracks`: as in `checkController`. */
export function controllerFindings(pkg: Package | undefined, tracks?: readonly string[]): ReadinessFinding[] {
  const checks = checkController(pkg, tracks);
  if (checks.length === 0 && tracks === undefined)
    return [
      {
        check: "juju",
        what: `the charm ${CONTROLLER_CHARM} is not stored, without which no Juju from 3.0 on can bootstrap`,
        sure: "certain",
        next: exportCharms(`${CONTROLLER_CHARM} (channel 3.6/stable, for Juju 3.6)`),
      },
    ];
  return checks
    .filter(({ missing }) => missing.length > 0)
    .map(({ channel, stored, missing }) => ({
      check: "juju",
      what:
        stored.length === 0
          ? `the charm ${CONTROLLER_CHARM} is not stored in ${channel}, without which that Juju cannot bootstrap`
          : `the charm ${CONTROLLER_CHARM} is not stored in ${channel} for ${missing.map(showBase).join(", ")}`,
      sure: "certain",
      next: exportCharms(`${CONTROLLER_CHARM} (channel ${channel})`),
    }));
}
