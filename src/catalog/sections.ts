/**
 * The sections of an index: what a generation holds, by kind and then by name. What walks a store, or changes it, goes through this table,
 * so that a further kind is one more row of it.
 */

import type { Digest } from "../digest.ts";
import type { AgentRelease } from "./agents.ts";
import type { Package } from "./package.ts";
import type { Repository } from "./repository.ts";
import type { Snap } from "./snap.ts";

/** The type of a manifest by its section. */
export interface Sections {
  /** charms and bundles, which share a namespace, as on Charmhub */
  readonly packages: Package;
  readonly snaps: Snap;
  /** repositories of images */
  readonly images: Repository;
  /** Juju's agent binaries, by version */
  readonly agents: AgentRelease;
}

export type SectionName = keyof Sections;

/** What a generation added to a package. */
export interface Tally {
  readonly revisions: readonly number[];
  readonly channels: number;
}

/** What was added to a repository of images, or removed. */
export interface ImageTally {
  /** manifests and indexes; negative: removed */
  readonly manifests: number;
  /** tags that are new or name another manifest now */
  readonly tags: readonly string[];
}

/** The architectures of a version of agents that were added, or removed. */
export interface AgentTally {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** What a generation records of a change, by its section. */
export interface Tallies {
  readonly packages: Tally;
  readonly snaps: Tally;
  readonly images: ImageTally;
  readonly agents: AgentTally;
}

/** Digest of a manifest, then its ids, the present one first. */
export type IndexRow = readonly [manifest: Digest, id: string, ...formerIds: string[]];

export type Rows = Readonly<Record<string, IndexRow>>;

interface SectionFacts<S extends SectionName> {
  /** the field of a generation that has its tallies */
  readonly tally: "changed" | "snaps" | "images" | "agents";
  /** whether an index and a generation have it even where it is empty: those of the first chp had */
  readonly always: boolean;
  /** the present id first */
  ids(manifest: Sections[S]): readonly [string, ...string[]];
  /** one of them, in the words of a message: `the manifest of snap core22` */
  what(manifest: Sections[S]): string;
}

export const SECTIONS: { readonly [S in SectionName]: SectionFacts<S> } = {
  packages: {
    tally: "changed",
    always: true,
    ids: ({ id, formerIds }) => [id, ...formerIds],
    what: ({ type, name }) => `the manifest of ${type} ${name}`,
  },
  snaps: { tally: "snaps", always: true, ids: ({ id }) => [id], what: ({ name }) => `the manifest of snap ${name}` },
  images: { tally: "images", always: false, ids: ({ name }) => [name], what: ({ name }) => `the list of the images ${name}` },
  agents: { tally: "agents", always: false, ids: ({ name }) => [name], what: ({ name }) => `the list of the agents ${name}` },
};

/** The ids of something stored, the present one first. */
export function idsOf<S extends SectionName>(section: S, manifest: Sections[S]): readonly [string, ...string[]] {
  return SECTIONS[section].ids(manifest);
}

/** In the order in which a store is walked. */
export const SECTION_NAMES = Object.keys(SECTIONS) as readonly SectionName[];

/** Something of each section. */
export type OfEach<T> = { readonly [S in SectionName]: T };

/** What `of` makes of each section. `T`: its type where it is not the same for all. */
export function ofEach<T extends OfEach<unknown>>(of: <S extends SectionName>(section: S) => T[S]): T {
  return Object.fromEntries(SECTION_NAMES.map((section) => [section, of(section)]));
}
