/** The generations of the store. Each is read once: it never changes. */

import type { Generation } from "../../src/catalog/generation-types.ts";
import { undefinedIfCorrupt } from "../../src/errors.ts";
import { mapBounded } from "../../src/parallel.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Web } from "../call.ts";

/** Generations that are read at once: a store with many pushes has thousands, and each takes a descriptor. */
const AT_ONCE = 8;

export class History {
  readonly #store: Web["history"];
  #snapshot: Snapshot | undefined;
  #generations: Promise<readonly Generation[]> | undefined;
  #known: ReadonlyMap<number, Generation> = new Map();

  constructor(store: Web["history"]) {
    this.#store = store;
  }

  /** Those that can be read up to this one, oldest first. */
  of(snapshot: Snapshot): Promise<readonly Generation[]> {
    if (!this.#generations || snapshot !== this.#snapshot) {
      this.#snapshot = snapshot;
      const read = this.#read(snapshot.number);
      this.#generations = read;
      read.catch(() => this.#generations === read && (this.#generations = undefined));
    }
    return this.#generations;
  }

  async #read(newest: number): Promise<readonly Generation[]> {
    const numbers = (await this.#store.generationNumbers()).filter((number) => number <= newest);
    const read = await mapBounded(
      numbers,
      AT_ONCE,
      async (number) => this.#known.get(number) ?? (await undefinedIfCorrupt(this.#store.generation(number))),
    );
    const found = read.filter((generation) => generation !== undefined);
    this.#known = new Map(found.map((generation) => [generation.number, generation]));
    return found;
  }
}
