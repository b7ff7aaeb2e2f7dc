/** How often a cache had what was asked of it, and how often it was given what it did not have: what is never cached counts as neither. */
export interface CacheUse {
  hits: number;
  misses: number;
}

/**
 * A cache with a bound in bytes that evicts entries that were not read lately. It has two halves: when the young half is full it becomes
 * the old one, and the entries of the old half that were not read meanwhile are evicted.
 */
export class ByteCache<T> {
  readonly #half: number;
  readonly #use: CacheUse;
  #young = new Map<string, CacheEntry<T>>();
  #old = new Map<string, CacheEntry<T>>();
  /** bytes of the young half */
  #size = 0;

  /** `limit`: bytes; `use`: is counted up */
  constructor(limit: number, use: CacheUse = { hits: 0, misses: 0 }) {
    this.#half = limit / 2;
    this.#use = use;
  }

  get(key: string): T | undefined {
    const young = this.#young.get(key);
    const found = young ?? this.#old.get(key);
    if (found) this.#use.hits += 1;
    if (found && !young) this.#put(key, found);
    return found?.value;
  }

  /** `size`: bytes of the value, about. A value that is larger than half of the cache is not cached. */
  set(key: string, value: T, size: number): void {
    this.#use.misses += 1;
    const entry = { value, size: size + 2 * key.length }; // keys count too: clients can make them up
    this.#size -= this.#young.get(key)?.size ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
    if (entry.size <= this.#half) this.#put(key, entry);
  }

  #put(key: string, entry: CacheEntry<T>): void {
    if (this.#size + entry.size > this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#size = 0;
    }
    this.#young.set(key, entry);
    this.#size += entry.size;
  }
}

interface CacheEntry<T> {
  readonly value: T;
  readonly size: number;
}
