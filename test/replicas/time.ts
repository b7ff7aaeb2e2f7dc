/** Time that goes on when everybody waits for it, so that six hours take no time. */

export class VirtualTime {
  now: number;
  readonly #waiting: { readonly at: number; readonly order: number; readonly resume: () => void }[] = [];
  #order = 0;

  constructor(now: number) {
    this.now = now;
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resume) => {
      this.#waiting.push({ at: this.now + milliseconds, order: (this.#order += 1), resume });
    });
  }

  /** Runs until all have ended. */
  async run(all: readonly Promise<unknown>[]): Promise<void> {
    const state = { isOver: false };
    const over = Promise.allSettled(all).then(() => (state.isOver = true));
    while (!state.isOver) {
      // Whoever is still at work when time goes on was slow: that is a history like any other.
      for (let turn = 0; turn < 3 && !state.isOver; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
      const next = this.#waiting.reduce<number>((least, { at, order }, i) => {
        const known = this.#waiting[least];
        return !known || at < known.at || (at === known.at && order < known.order) ? i : least;
      }, -1);
      const [sleeper] = next === -1 ? [] : this.#waiting.splice(next, 1);
      if (!sleeper) continue;
      this.now = Math.max(this.now, sleeper.at);
      sleeper.resume();
    }
    await over;
  }
}

/** Numbers from 0 to 1 that follow from a seed. */
export function randomOf(seed: number): () => number {
  let state = seed * 0x9e3779b9 + 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
