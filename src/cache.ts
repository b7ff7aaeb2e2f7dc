/**
 * A cache with a bound in bytes that evicts entries that were not read lately. It has two halves: when the young half is full it becomes
 * the old one, and the entries of the old half that were not read meanwhile are evicted.
 */
export class ByteCache<T> {
  readonly #half: number;
  #young = new Map<string, CacheEntry<T>>();
  #old = new Map<string, CacheEntry<T>>();
  /** bytes of the young half */
  #size = 0;

  /** `limit`: bytes */
  constructor(limit: number) {
    this.#half = limit / 2;
  }

  get(key: string): T | undefined {
    const young = this.#young.get(key);
    if (young) return young.value;
    const old = this.#old.get(key);
    if (old) this.#put(key, old);
    return old?.value;
  }

  /** `size`: bytes of the value, about. A value that is larger than half of the cache is not cached. */
  set(key: string, value: T, size: number): void {
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
