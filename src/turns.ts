/** Long work in slices: between two of them the event loop has a turn, and all long work shares one slice a turn. */

/** Steps of a slice, each of ten microseconds: a model of hundreds of applications is answered in one. */
export const SLICE = 256;

const waiting: (() => void)[] = [];

/** Resolves in a later turn of the event loop, of which each is given to one of those that wait, in their order. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(resume);
  });
}

function resume(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(resume);
}

/** Counts the steps of one long work, which awaits what `step` returns. */
export class Slices {
  #left = SLICE;

  /** undefined: the slice goes on */
  step(): Promise<void> | undefined {
    this.#left -= 1;
    if (this.#left > 0) return undefined;
    this.#left = SLICE;
    return nextTurn();
  }
}
