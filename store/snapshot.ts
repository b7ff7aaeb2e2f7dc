/** One generation as readers see it. */

import { type AgentRelease, compareVersions } from "../src/catalog/agents.ts";
import { AssertionSet } from "../src/catalog/assertionset.ts";
import type { Generation, Index, UnreadablePackage } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Repository } from "../src/catalog/repository.ts";
import { type IndexRow, ofEach, SECTION_NAMES, type SectionName, type Sections } from "../src/catalog/sections.ts";
import type { Snap, StoredAssertion } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { isCorrupt } from "../src/errors.ts";
import { isReadError } from "./diskerrors.ts";
import type { Manifests } from "./manifest.ts";

/** Where a snapshot reads its manifests. */
export interface ManifestReader {
  manifest<S extends keyof Manifests>(section: S, digest: Digest): Promise<Manifests[S]>;
}

/** Reads the newest readable version of a manifest in an earlier generation; undefined: there is none. `digestOf` finds it in an index. */
export type ReadEarlier = <S extends keyof Manifests>(
  section: S,
  name: string,
  digestOf: (index: Index) => Digest | undefined,
) => Promise<Manifests[S] | undefined>;

/** The manifests of one section, by name and by id. */
class Section<S extends SectionName> {
  readonly rows: ReadonlyMap<string, IndexRow>;
  readonly #section: S;
  readonly #readEarlier: ReadEarlier | undefined;
  readonly #reader: ManifestReader;
  readonly #names: ReadonlyMap<string, string>;
  readonly #manifests: Map<Digest, Promise<Manifests[S]>>;

  constructor(
    reader: ManifestReader,
    index: Index,
    section: S,
    { before, readEarlier }: { before?: Section<S>; readEarlier?: ReadEarlier },
  ) {
    this.#reader = reader;
    this.#section = section;
    this.#readEarlier = readEarlier;
    this.rows = new Map(Object.entries(index[section]));
    const names = new Map<string, string>();
    // The current id of a package wins over the former id of another.
    for (const present of [false, true])
      for (const [name, [, id, ...former]] of this.rows) for (const known of present ? [id] : former) names.set(known, name);
    this.#names = names;
    this.#manifests = new Map();
    for (const [digest] of this.rows.values()) {
      const read = before ? before.#manifests.get(digest) : undefined;
      if (read) this.#manifests.set(digest, read);
    }
  }

  /** Sorted. */
  get names(): string[] {
    return [...this.rows.keys()];
  }

  async byName(name: string): Promise<Manifests[S] | undefined> {
    const row = this.rows.get(name);
    try {
      return row && (await this.#manifest(row[0]));
    } catch (error) {
      const section = this.#section;
      // What the disk can't read now may be whole: a change is not made without it.
      if (!this.#readEarlier || !isCorrupt(error) || isReadError(error)) throw error;
      return this.#readEarlier(section, name, (index) => (Object.hasOwn(index[section], name) ? index[section][name]?.[0] : undefined));
    }
  }

  /** `id`: the current or a former one. */
  async byId(id: string): Promise<Manifests[S] | undefined> {
    const name = this.#names.get(id);
    return name === undefined ? undefined : this.byName(name);
  }

  async all(): Promise<{ readable: Manifests[S][]; unreadable: UnreadablePackage[] }> {
    const unreadable: UnreadablePackage[] = [];
    const read = this.names.map(async (name) => {
      try {
        return (await this.byName(name)) ?? [];
      } catch (error) {
        if (!isCorrupt(error)) throw error;
        unreadable.push({ section: this.#section, name, failure: error });
        return [];
      }
    });
    return { readable: (await Promise.all(read)).flat() as Manifests[S][], unreadable };
  }

  /** Concurrent and later reads of a manifest share one read; a failed one is not remembered. */
  #manifest(digest: Digest): Promise<Manifests[S]> {
    let manifest = this.#manifests.get(digest);
    if (!manifest) {
      manifest = this.#reader.manifest(this.#section, digest);
      manifest.catch(() => this.#manifests.delete(digest));
      this.#manifests.set(digest, manifest);
    }
    return manifest;
  }
}

type SectionsOf = { readonly [S in SectionName]: Section<S> };

/** One consistent view of a generation; a reader uses the same one for a whole request. */
export class Snapshot {
  /** undefined: nothing was ever published */
  readonly generation: Generation | undefined;
  readonly index: Index;
  readonly #reader: ManifestReader;
  readonly #sections: SectionsOf;
  readonly #readEarlier: ReadEarlier | undefined;
  #assertions: Promise<AssertionSet> | undefined;

  /** `readEarlier`: replaces manifests that cannot be read; without it, reading them fails with `corrupt`. */
  constructor(reader: ManifestReader, generation: Generation | undefined, index: Index, before?: Snapshot, readEarlier?: ReadEarlier) {
    this.generation = generation;
    this.index = index;
    this.#reader = reader;
    this.#readEarlier = readEarlier;
    const how = readEarlier ? { readEarlier } : {};
    const sectionOf = <S extends SectionName>(section: S): Section<S> =>
      new Section(reader, index, section, { ...(before && { before: before.#sections[section] }), ...how });
    this.#sections = ofEach<SectionsOf>((section) => sectionOf(section) as unknown as SectionsOf[typeof section]);
  }

  get number(): number {
    return this.generation?.number ?? 0;
  }

  /** When it was published, in milliseconds since 1970; undefined: nothing ever was. */
  get time(): number | undefined {
    return this.generation && Date.parse(this.generation.time);
  }

  /** What is stored in a section under that name. */
  stored<S extends SectionName>(section: S, name: string): Promise<Sections[S] | undefined> {
    return this.#sections[section].byName(name);
  }

  /** Names of all charms and bundles, sorted. */
  get names(): string[] {
    return this.#sections.packages.names;
  }

  package(name: string): Promise<Package | undefined> {
    return this.#sections.packages.byName(name);
  }

  packageById(id: string): Promise<Package | undefined> {
    return this.#sections.packages.byId(id);
  }

  /** All readable charms and bundles. */
  async packages(): Promise<Package[]> {
    return (await this.#sections.packages.all()).readable;
  }

  /** Names of all that is stored in a section, sorted. */
  namesIn(section: SectionName): string[] {
    return this.#sections[section].names;
  }

  /** Names of all repositories of images, sorted. */
  get repositoryNames(): string[] {
    return this.#sections.images.names;
  }

  repository(name: string): Promise<Repository | undefined> {
    return this.#sections.images.byName(name);
  }

  /** All readable repositories of images. */
  async repositories(): Promise<Repository[]> {
    return (await this.#sections.images.all()).readable;
  }

  /** The agents of all readable versions, the earliest first. */
  async agents(): Promise<AgentRelease[]> {
    return (await this.#sections.agents.all()).readable.toSorted((a, b) => compareVersions(a.version, b.version));
  }

  /** What `packages`, `snaps` and their like leave out. */
  async unreadable(): Promise<UnreadablePackage[]> {
    const all = await Promise.all(SECTION_NAMES.map((section) => this.#sections[section].all()));
    return all.flatMap(({ unreadable }) => unreadable);
  }

  /** Names of all snaps, sorted. */
  get snapNames(): string[] {
    return this.#sections.snaps.names;
  }

  snap(name: string): Promise<Snap | undefined> {
    return this.#sections.snaps.byName(name);
  }

  snapById(id: string): Promise<Snap | undefined> {
    return this.#sections.snaps.byId(id);
  }

  /** All readable snaps. */
  async snaps(): Promise<Snap[]> {
    return (await this.#sections.snaps.all()).readable;
  }

  /** Every stored assertion that can be read. */
  assertions(): Promise<AssertionSet> {
    if (!this.#assertions) {
      this.#assertions = this.#readAssertions();
      this.#assertions.catch(() => (this.#assertions = undefined));
    }
    return this.#assertions;
  }

  async #readAssertions(): Promise<AssertionSet> {
    return new AssertionSet(await this.snaps(), await this.#others());
  }

  /** The assertions that belong to no stored snap; none where that list cannot be read, and the next call tries again. */
  async #others(): Promise<readonly StoredAssertion[]> {
    const { assertions } = this.index;
    try {
      return assertions === undefined ? [] : await this.#reader.manifest("assertions", assertions);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      if (!this.#readEarlier) this.#assertions = undefined;
      return (await this.#readEarlier?.("assertions", "", (index) => index.assertions)) ?? [];
    }
  }
}
