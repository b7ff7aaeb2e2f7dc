/** Collects the releases, revisions and resources of a plan, each once, and sorts them. */

import { readMetadata } from "../archives/charm.ts";
import { baseKey } from "../catalog/base.ts";
import { Failure, printable } from "../errors.ts";
import { compareText } from "../text.ts";
import { type Attributes, addFirst, type PlannedPackage, type PlannedRelease, reasonsOf } from "./plan.ts";
import type { PackageRequest } from "./sitefile.ts";
import type { CharmInfo, UpstreamCharm, UpstreamResource } from "./upstream.ts";

type ChannelAndBase = Pick<PlannedRelease, "channel" | "base">;

export class CharmPlanBuilder {
  readonly #info: CharmInfo;
  readonly #requests: readonly Partial<PackageRequest>[];
  readonly #order: ReadonlyMap<string, number>;
  readonly #defaultTrack: string;
  readonly #releases = new Map<string, PlannedRelease>();
  readonly #revisions = new Map<number, UpstreamCharm>();
  readonly #resources = new Map<string, UpstreamResource>();

  /** `order`: releases as they are to be listed; others come last */
  constructor(info: CharmInfo, requests: readonly Partial<PackageRequest>[], order: readonly ChannelAndBase[], defaultTrack: string) {
    this.#info = info;
    this.#requests = requests;
    this.#order = new Map(order.map((release, i) => [charmReleaseKey(release), i]));
    this.#defaultTrack = defaultTrack;
  }

  get name(): string {
    return this.#info.name;
  }

  /** Whether adding it adds no file. */
  has({ revision, resources }: UpstreamCharm): boolean {
    return this.#revisions.has(revision) && (resources ?? []).every((resource) => this.hasResource(resourceKey(resource)));
  }

  /** `key`: `NAME_REVISION` */
  hasResource(key: string): boolean {
    return this.#resources.has(key);
  }

  /** Names of the resources that were added, and of those that the added revisions declare. */
  resourceNames(): Set<string> {
    const declared = [...this.#revisions.values()].flatMap(({ revision, "metadata-yaml": yaml }) =>
      yaml ? readMetadata(yaml, `metadata.yaml of ${this.name} ${revision}`).resources : [],
    );
    return new Set([...this.#resources.values(), ...declared].map((resource) => resource.name));
  }

  /** Of several releases in a channel for a base the first stays. Throws where a store contradicts itself. */
  add(release: PlannedRelease, charm: UpstreamCharm): void {
    this.take(charm);
    addFirst(this.#releases, charmReleaseKey(release), release);
  }

  /** A revision with its resources, without a release. Throws as `add`. */
  take(charm: UpstreamCharm): void {
    const { name, id } = this.#info;
    if (charm.id !== id || charm.name !== name)
      throw new Failure(
        "failed",
        `cannot export ${name}: the store says ${printable(charm.name, 100)} with the id ${printable(charm.id, 100)} in its place`,
      );
    addFirst(this.#revisions, charm.revision, charm);
    for (const resource of charm.resources ?? []) this.addResource(resource);
  }

  addResource(resource: UpstreamResource): void {
    addFirst(this.#resources, resourceKey(resource), resource);
  }

  /** The plan; undefined where no revision was added. `attributes`: by revision */
  finish(attributes: ReadonlyMap<string, Attributes>): PlannedPackage | undefined {
    if (this.#revisions.size === 0) return undefined;
    const { type, name, id } = this.#info;
    const rank = (key: string) => this.#order.get(key) ?? this.#order.size;
    const withAttributes = (charm: UpstreamCharm) => {
      const found = attributes.get(String(charm.revision));
      return { ...charm, ...(found && { attributes: found }) };
    };
    return {
      type,
      name,
      id,
      info: this.#info,
      defaultTrack: this.#defaultTrack,
      releases: [...this.#releases].toSorted(([a], [b]) => rank(a) - rank(b) || compareText(a, b)).map(([, release]) => release),
      revisions: [...this.#revisions.values()].map(withAttributes).toSorted((a, b) => a.revision - b.revision),
      resources: [...this.#resources.values()].toSorted((a, b) => compareText(a.name, b.name) || a.revision - b.revision),
      paths: Object.assign({}, ...this.#requests.map((request) => request.paths ?? {})),
      reasons: reasonsOf(this.#requests),
    };
  }
}

/** Equal for releases in the same channel for the same base. */
export function charmReleaseKey({ channel, base }: ChannelAndBase): string {
  return `${channel} ${baseKey(base)}`;
}

function resourceKey({ name, revision }: UpstreamResource): string {
  return `${name}_${revision}`;
}
