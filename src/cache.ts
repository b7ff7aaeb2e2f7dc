/**
 * Values within a number of bytes; of too many those go that were not asked for lately. Half of them are young: when these
 * are as many as may be, they become the old ones, and the old ones that nobody asked for meanwhile are forgotten.
 */
export class ByteCache<T> {
  readonly #half: number;
  #young = new Map<string, Entry<T>>();
  #old = new Map<string, Entry<T>>();
  /** of the young */
  #size = 0;

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

  /** `size`: bytes of the value, about. What would fill half of the cache is not kept. */
  set(key: string, value: T, size: number): void {
    const entry = { value, size: size + 2 * key.length }; // a client can make keys up
    this.#size -= this.#young.get(key)?.size ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
    if (entry.size <= this.#half) this.#put(key, entry);
  }

  #put(key: string, entry: Entry<T>): void {
    if (this.#size + entry.size > this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#size = 0;
    }
    this.#young.set(key, entry);
    this.#size += entry.size;
  }
}

interface Entry<T> {
  readonly value: T;
  readonly size: number;
}
