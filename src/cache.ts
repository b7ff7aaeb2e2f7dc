/** The most recently used values, within a number of bytes. */
export class ByteCache<T> {
  readonly #limit: number;
  readonly #kept = new Map<string, { readonly value: T; readonly size: number }>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): T | undefined {
    const found = this.#kept.get(key);
    if (!found) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    return found.value;
  }

  /** `size`: bytes of the value, about. */
  set(key: string, value: T, size: number): void {
    const before = this.#kept.get(key);
    this.#size -= before?.size ?? 0;
    this.#kept.delete(key);
    const entry = { value, size: size + 2 * key.length }; // a client can make keys up
    this.#kept.set(key, entry);
    this.#size += entry.size;
    for (const [oldest, { size: freed }] of this.#kept) {
      if (this.#size <= this.#limit) break;
      this.#kept.delete(oldest);
      this.#size -= freed;
    }
  }
}
