/** One generation as readers see it. */

import { AssertionSet } from "../src/catalog/assertionset.ts";
import type { Generation, Index, Mended, Row, Unreadable } from "../src/catalog/generation-types.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Snap, StoredAssertion } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { isCorrupt } from "../src/errors.ts";
import { withValue } from "./generation.ts";

/** What a snapshot is read from. */
export interface JsonBlobs {
  json<T>(digest: Digest): Promise<T>;
}

export type Older = <T>(section: Mended["section"], name: string, digestOf: (index: Index) => Digest | undefined) => Promise<T | undefined>;

/** The manifests of one kind, by name and by id. */
class Section<T> {
  readonly rows: ReadonlyMap<string, Row>;
  readonly #section: Unreadable["section"];
  readonly #older: Older | undefined;
  readonly #store: JsonBlobs;
  readonly #names: ReadonlyMap<string, string>;
  readonly #manifests: Map<Digest, Promise<T>>;

  constructor(store: JsonBlobs, index: Index, section: Unreadable["section"], { before, older }: { before?: Section<T>; older?: Older }) {
    this.#store = store;
    this.#section = section;
    this.#older = older;
    const rows = index[section];
    this.rows = new Map(Object.entries(rows));
    const names = new Map<string, string>();
    // A present id wins over another package's former one.
    for (const present of [false, true])
      for (const [name, [, id, ...former]] of this.rows) for (const one of present ? [id] : former) names.set(one, name);
    this.#names = names;
    const known = before ? before.#manifests : new Map<Digest, Promise<T>>();
    this.#manifests = new Map([...this.rows.values()].flatMap(([digest]) => withValue(digest, known.get(digest))));
  }

  /** Names in order. */
  get names(): string[] {
    return [...this.rows.keys()];
  }

  async byName(name: string): Promise<T | undefined> {
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
  async byId(id: string): Promise<T | undefined> {
    const name = this.#names.get(id);
    return name === undefined ? undefined : this.byName(name);
  }

  /** Those that can be read, and those that can't. */
  async all(): Promise<{ held: T[]; unreadable: Unreadable[] }> {
    const unreadable: Unreadable[] = [];
    const read = this.names.map(async (name) => {
      try {
        return (await this.byName(name)) ?? [];
      } catch (error) {
        if (!isCorrupt(error)) throw error;
        unreadable.push({ section: this.#section, name, failure: error });
        return [];
      }
    });
    return { held: (await Promise.all(read)).flat() as T[], unreadable };
  }

  /** A manifest is read once, however many requests ask for it. */
  #manifest(digest: Digest): Promise<T> {
    let found = this.#manifests.get(digest);
    if (!found) {
      found = this.#store.json<T>(digest);
      found.catch(() => this.#manifests.delete(digest));
      this.#manifests.set(digest, found);
    }
    return found;
  }
}

/** One consistent view of a generation; readers hold it for a whole request. */
export class Snapshot {
  /** undefined: nothing was ever published */
  readonly generation: Generation | undefined;
  readonly index: Index;
  readonly #store: JsonBlobs;
  readonly #packages: Section<Package>;
  readonly #snaps: Section<Snap>;
  readonly #older: Older | undefined;
  #assertions: Promise<AssertionSet> | undefined;

  /** `older`: asked in place of what cannot be read; else that fails. */
  constructor(store: JsonBlobs, generation: Generation | undefined, index: Index, before?: Snapshot, older?: Older) {
    this.generation = generation;
    this.index = index;
    this.#store = store;
    this.#older = older;
    const how = older ? { older } : {};
    this.#packages = new Section(store, index, "packages", { ...(before && { before: before.#packages }), ...how });
    this.#snaps = new Section(store, index, "snaps", { ...(before && { before: before.#snaps }), ...how });
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
    return (await this.#packages.all()).held;
  }

  /** What `packages` and `snaps` leave out. */
  async unreadable(): Promise<Unreadable[]> {
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
    return (await this.#snaps.all()).held;
  }

  /** Every assertion that is held and can be read. */
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

  /** Those that belong to no held snap. What cannot be read is asked for again the next time. */
  async #others(): Promise<readonly StoredAssertion[]> {
    const { assertions } = this.index;
    try {
      return assertions === undefined ? [] : await this.#store.json<StoredAssertion[]>(assertions);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      if (!this.#older) this.#assertions = undefined;
      return (await this.#older?.<StoredAssertion[]>("assertions", "", (index) => index.assertions)) ?? [];
    }
  }
}
