/** System images of the site's clouds, as Juju finds them by their ids. */

import type { System } from "./base.ts";

/** Where Juju asks for machines: the two texts by which it tells clouds apart. */
export interface CloudRegion {
  readonly region: string;
  /** URL of the cloud's identity service, as the cloud's definition in Juju has it */
  readonly endpoint: string;
}

/** A system image that a cloud has, named by its id there. */
export interface CloudImage extends CloudRegion {
  readonly id: string;
  readonly system: System;
  /** dpkg name */
  readonly architecture: string;
  /** `kvm`, `lxd`; undefined: it suits every kind of machine */
  readonly virt?: string;
  /** `ssd`, `ebs`; undefined: the cloud has no such kinds */
  readonly storage?: string;
  /** `released`, `daily` */
  readonly stream: string;
}

/** The same for images between which Juju could not choose. */
export function cloudImageKey({ region, endpoint, system, architecture, virt = "", storage = "", stream }: CloudImage): string {
  return JSON.stringify([region, endpoint, system.name, system.channel, architecture, virt, storage, stream]);
}
