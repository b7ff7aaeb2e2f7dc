/**
 * Calls `work` for each item, at most `limit` at a time, and gives the results in the order of the items. After an error no further
 * call begins and the signal of those that run is aborted; the first error is thrown once all have ended.
 */
export async function mapBounded<T, R>(all: readonly T[], limit: number, work: (item: T, signal: AbortSignal) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = all.entries();
  const failing = new AbortController();
  const run = async () => {
    for (const [at, item] of rest) {
      if (failing.signal.aborted) return;
      try {
        results[at] = await work(item, failing.signal);
      } catch (error) {
        failing.abort(error); // only the first counts
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, all.length) }, run));
  if (failing.signal.aborted) throw failing.signal.reason;
  return results;
}

/** Bounds what runs at once by what each takes; what takes more than all runs alone. */
export class Room {
  #free: number;
  readonly #all: number;
  readonly #waiting: (() => void)[] = [];

  constructor(all: number) {
    this.#free = this.#all = all;
  }

  async during<T>(amount: number, work: () => Promise<T>): Promise<T> {
    const taken = Math.min(amount, this.#all);
    while (this.#free < taken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#free -= taken;
    try {
      return await work();
    } finally {
      this.#free += taken;
      for (const resume of this.#waiting.splice(0)) resume();
    }
  }
}
