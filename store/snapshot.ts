/** One generation as readers see it. */

import { AssertionSet } from "../src/catalog/assertionset.ts";
import type { Generation, Index, IndexRow, UnreadablePackage } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Snap, StoredAssertion } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { isCorrupt } from "../src/errors.ts";
import type { Manifests } from "./manifest.ts";

/** What a snapshot is read from. */
export interface ManifestReader {
  manifest<S extends keyof Manifests>(section: S, digest: Digest): Promise<Manifests[S]>;
}

/** Reads the newest that can be read, of an earlier generation; undefined: there is none. */
export type Older = <S extends keyof Manifests>(
  section: S,
  name: string,
  digestOf: (index: Index) => Digest | undefined,
) => Promise<Manifests[S] | undefined>;

/** The manifests of one section, by name and by id. */
class Section<S extends UnreadablePackage["section"]> {
  readonly rows: ReadonlyMap<string, IndexRow>;
  readonly #section: S;
  readonly #older: Older | undefined;
  readonly #reader: ManifestReader;
  readonly #names: ReadonlyMap<string, string>;
  readonly #manifests: Map<Digest, Promise<Manifests[S]>>;

  constructor(reader: ManifestReader, index: Index, section: S, { before, older }: { before?: Section<S>; older?: Older }) {
    this.#reader = reader;
    this.#section = section;
    this.#older = older;
    this.rows = new Map(Object.entries(index[section]));
    const names = new Map<string, string>();
    // A present id wins over another package's former one.
    for (const present of [false, true])
      for (const [name, [, id, ...former]] of this.rows) for (const known of present ? [id] : former) names.set(known, name);
    this.#names = names;
    this.#manifests = new Map();
    for (const [digest] of this.rows.values()) {
      const read = before ? before.#manifests.get(digest) : undefined;
      if (read) this.#manifests.set(digest, read);
    }
  }

  /** Names in order. */
  get names(): string[] {
    return [...this.rows.keys()];
  }

  async byName(name: string): Promise<Manifests[S] | undefined> {
    const row = this.rows.get(name);
    try {
      return row && (await this.#manifest(row[0]));
    } catch (error) {
      const section = this.#section;
      if (!this.#older || !isCorrupt(error)) throw error;
      return this.#older(section, name, (index) => (Object.hasOwn(index[section], name) ? index[section][name]?.[0] : undefined));
    }
  }

  /** By an id that is or was the package's. */
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

  /** A manifest is read once, however many requests ask for it. */
  #manifest(digest: Digest): Promise<Manifests[S]> {
    let found = this.#manifests.get(digest);
    if (!found) {
      found = this.#reader.manifest(this.#section, digest);
      found.catch(() => this.#manifests.delete(digest));
      this.#manifests.set(digest, found);
    }
    return found;
  }
}

/** One consistent view of a generation; readers keep it for a whole request. */
export class Snapshot {
  /** undefined: nothing was ever published */
  readonly generation: Generation | undefined;
  readonly index: Index;
  readonly #reader: ManifestReader;
  readonly #packages: Section<"packages">;
  readonly #snaps: Section<"snaps">;
  readonly #older: Older | undefined;
  #assertions: Promise<AssertionSet> | undefined;

  /** `older`: reads in place of what cannot be read; else reading that fails. */
  constructor(reader: ManifestReader, generation: Generation | undefined, index: Index, before?: Snapshot, older?: Older) {
    this.generation = generation;
    this.index = index;
    this.#reader = reader;
    this.#older = older;
    const how = older ? { older } : {};
    this.#packages = new Section(reader, index, "packages", { ...(before && { before: before.#packages }), ...how });
    this.#snaps = new Section(reader, index, "snaps", { ...(before && { before: before.#snaps }), ...how });
  }

  get number(): number {
    return this.generation?.number ?? 0;
  }

  /** Names of all charms and bundles, in order. */
  get names(): string[] {
    return this.#packages.names;
  }

  package(name: string): Promise<Package | undefined> {
    return this.#packages.byName(name);
  }

  packageById(id: string): Promise<Package | undefined> {
    return this.#packages.byId(id);
  }

  /** All that can be read. */
  async packages(): Promise<Package[]> {
    return (await this.#packages.all()).readable;
  }

  /** What `packages` and `snaps` leave out. */
  async unreadable(): Promise<UnreadablePackage[]> {
    return [...(await this.#packages.all()).unreadable, ...(await this.#snaps.all()).unreadable];
  }

  /** Names of all snaps, in order. */
  get snapNames(): string[] {
    return this.#snaps.names;
  }

  snap(name: string): Promise<Snap | undefined> {
    return this.#snaps.byName(name);
  }

  snapById(id: string): Promise<Snap | undefined> {
    return this.#snaps.byId(id);
  }

  /** All that can be read. */
  async snaps(): Promise<Snap[]> {
    return (await this.#snaps.all()).readable;
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

  /** Those that belong to no stored snap. A list that cannot be read is read again the next time. */
  async #others(): Promise<readonly StoredAssertion[]> {
    const { assertions } = this.index;
    try {
      return assertions === undefined ? [] : await this.#reader.manifest("assertions", assertions);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      if (!this.#older) this.#assertions = undefined;
      return (await this.#older?.("assertions", "", (index) => index.assertions)) ?? [];
    }
  }
}
