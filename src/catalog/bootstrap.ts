/** What a bootstrap of a version of Juju fetches: one table for exports, which take it, and for `chp doctor`, which names what is missing. Facts: handlers/juju.md, Bootstrap. */

import { Failure, printable } from "../errors.ts";
import type { System } from "./base.ts";

export const CONTROLLER_CHARM = "juju-controller";
/** The systems of controllers: on machines the operator chooses one, on Kubernetes it is the first. */
export const CONTROLLER_SYSTEMS: readonly System[] = ["24.04", "22.04"].map((channel) => ({ name: "ubuntu", channel }));
/** The image of a controller's own container; repositories of Juju's images are recognized by it. */
export const OPERATOR_IMAGE = "jujud-operator";
const DATABASE = "juju-db";

/** A version of Juju, as its agents and images are named: `3.6.11`, `4.1-beta2`. */
export interface JujuVersion {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  /** `beta`, `rc` of a version before the first release; empty of a release */
  readonly tag: string;
  /** the third number, or the one behind the tag; undefined: the newest of its series */
  readonly patch?: number;
}

const VERSION = /^((\d{1,3})\.(\d{1,3})(?:(?:\.(\d{1,5})|-([a-z]{1,16})(\d{1,5}))(?:\.\d{1,5})?)?)(?:-[a-z]{1,16}-[a-z0-9]{1,16})?$/;

/** Reads `3.6`, which means its newest patch, `3.6.11`, `4.1-beta2`, and these as `juju version` prints them; undefined: it is none. */
export function parseJuju(printed: string): JujuVersion | undefined {
  const [, text, major, minor, patch, tag = "", tagged] = VERSION.exec(printed) ?? [];
  if (text === undefined) return undefined;
  const number = patch ?? tagged;
  return { text, major: Number(major), minor: Number(minor), tag, ...(number !== undefined && { patch: Number(number) }) };
}

/** As `parseJuju`. Throws a `usage` failure. */
export function readJuju(text: string): JujuVersion {
  const version = parseJuju(text);
  if (version) return version;
  throw new Failure("usage", `${printable(text, 50)} is not a version of Juju; give one like 3.6 or 3.6.11`);
}

/** `3.6` of 3.6.11 */
export function seriesOf({ major, minor }: JujuVersion): string {
  return `${major}.${minor}`;
}

/** Oldest first; the newest of a series, which has no patch, is behind all of them. */
export function compareJuju(a: JujuVersion, b: JujuVersion): number {
  const tags = a.tag === b.tag ? 0 : a.tag === "" ? 1 : b.tag === "" ? -1 : a.tag < b.tag ? -1 : 1;
  return a.major - b.major || a.minor - b.minor || tags || rank(a.patch, b.patch);
}

function rank(a: number | undefined, b: number | undefined): number {
  if (a === b) return 0;
  return (a ?? Number.POSITIVE_INFINITY) < (b ?? Number.POSITIVE_INFINITY) ? -1 : 1;
}

/** Which of the exact versions `wanted` means: itself, or the newest of its series, a release before one that is none. */
export function chooseJuju(wanted: JujuVersion, versions: readonly string[]): string | undefined {
  if (wanted.patch !== undefined) return versions.find((version) => version === wanted.text);
  const ofSeries = versions.flatMap((text) => {
    const version = parseJuju(text);
    return version?.patch !== undefined && seriesOf(version) === seriesOf(wanted) ? [version] : [];
  });
  return ofSeries.toSorted(compareJuju).at(-1)?.text;
}

/** What holds from a version of Juju on, until the next row. */
interface Era {
  readonly from: readonly [major: number, minor: number, patch: number];
  /** tracks of the snap and tags of the image of the database; empty: the controller keeps its state itself */
  readonly database: readonly string[];
  /** where the images of controllers are unless `caas-image-repo` says else */
  readonly images: string;
  /** the system of a controller's charm on Kubernetes; undefined: it deploys none */
  readonly system?: string;
  /** whether the controller is a snap of its own on machines */
  readonly snap?: true;
}

const DOCKER = "docker.io/jujusolutions";
const GITHUB = "ghcr.io/juju";

/**
 * Newest first. Read in 2.9.42, 3.6.11 and 4.1-beta2, and in the release notes between: images moved in 3.6.9 (juju/juju#20153), and MongoDB 4.4.30
 * came with 2.9.56 and 3.6.15 (juju/juju#21563). Of the versions just before these both are taken.
 */
const ERAS: readonly Era[] = [
  { from: [4, 1, 0], database: [], images: GITHUB, system: "24.04", snap: true },
  { from: [4, 0, 0], database: [], images: GITHUB, system: "24.04" },
  { from: [3, 6, 15], database: ["4.4.30"], images: GITHUB, system: "24.04" },
  { from: [3, 6, 12], database: ["4.4", "4.4.30"], images: GITHUB, system: "24.04" },
  { from: [3, 6, 9], database: ["4.4"], images: GITHUB, system: "24.04" },
  { from: [3, 6, 0], database: ["4.4"], images: DOCKER, system: "24.04" },
  { from: [3, 0, 0], database: ["4.4"], images: DOCKER, system: "22.04" },
  { from: [2, 9, 53], database: ["4.4", "4.4.30"], images: DOCKER },
  { from: [0, 0, 0], database: ["4.4"], images: DOCKER },
];

function eraOf({ major, minor, tag, patch }: JujuVersion): Era {
  const third = tag === "" ? (patch ?? Number.POSITIVE_INFINITY) : 0;
  const era = ERAS.find(({ from }) => (major - from[0] || minor - from[1] || rank(third, from[2])) >= 0);
  if (!era) throw new Error("the last era is from 0.0.0 on");
  return era;
}

/** Which clouds need it. */
export type BootstrapPlace = "machines" | "kubernetes";

/** The charm that a controller deploys for itself. */
export interface NeededCharm {
  readonly name: string;
  readonly channel: string;
  readonly systems: readonly System[];
}

/** A snap of a controller that is a machine, besides the bases of these. */
export interface BootstrapSnap {
  readonly name: string;
  readonly channel: string;
  readonly reason: string;
  /** `likely`: upstream may have none of that version yet, which holds up no export */
  readonly sure: "certain" | "likely";
}

/** An image of a controller on Kubernetes, which asks for it by tag. */
export interface BootstrapImage {
  readonly name: string;
  readonly tag: string;
  readonly reason: string;
}

export interface BootstrapNeeds {
  readonly version: JujuVersion;
  /** undefined: this Juju deploys none */
  readonly charm?: NeededCharm;
  readonly snaps: readonly BootstrapSnap[];
  /** the registry and path before the names of its images, which Juju asks for without a `caas-image-repo` */
  readonly imageRepository: string;
}

export function bootstrapNeeds(version: JujuVersion): BootstrapNeeds {
  const { database, images, system, snap } = eraOf(version);
  return {
    version,
    ...(system !== undefined && {
      charm: { name: CONTROLLER_CHARM, channel: `${seriesOf(version)}/stable`, systems: CONTROLLER_SYSTEMS },
    }),
    snaps: [
      ...database.map((track) => ({
        name: DATABASE,
        channel: `${track}/stable`,
        reason: "controllers on machines keep their state in it",
        sure: "certain" as const,
      })),
      ...(snap ? [{ name: "jujud", channel: "latest/edge", reason: "the controller itself", sure: "likely" as const }] : []),
      { name: "core", channel: "latest/stable", reason: "old snaps run on it", sure: "certain" },
      { name: "snapd", channel: "latest/stable", reason: "every machine with a snap needs it", sure: "certain" },
    ],
    imageRepository: images,
  };
}

/** The images of a controller of that exact version, as they are named behind the repository. Throws where the patch is open. */
export function controllerImages(version: JujuVersion): BootstrapImage[] {
  if (version.patch === undefined) throw new Error(`${version.text} is a series: choose its version first`);
  const { database, system } = eraOf(version);
  return [
    { name: OPERATOR_IMAGE, tag: version.text, reason: "controller and agents" },
    ...database.map((tag) => ({ name: DATABASE, tag, reason: "its database" })),
    ...(system === undefined ? [] : [{ ...charmBaseImage({ name: "ubuntu", channel: system }), reason: "the charm of the controller" }]),
  ];
}

/** The image in which a charm of that base runs on Kubernetes. */
export function charmBaseImage({ name, channel }: System): Omit<BootstrapImage, "reason"> {
  return { name: "charm-base", tag: `${name}-${channel}` };
}

/** `juju-db:4.4.30` */
export function showImage({ name, tag }: Pick<BootstrapImage, "name" | "tag">): string {
  return `${name}:${tag}`;
}
