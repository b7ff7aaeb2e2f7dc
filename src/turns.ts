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
  readonly #slice: number;
  #left: number;

  /** `slice`: steps of one */
  constructor(slice = SLICE) {
    this.#slice = this.#left = slice;
  }

  /** undefined: the slice goes on */
  step(): Promise<void> | undefined {
    this.#left -= 1;
    if (this.#left > 0) return undefined;
    this.#left = this.#slice;
    return nextTurn();
  }
}

/** Calls `work` for one item after the other, and gives the results; after each `slice` of them the event loop has a turn. */
export async function mapInSlices<T, R>(items: Iterable<T>, slice: number, work: (item: T) => R): Promise<R[]> {
  const slices = new Slices(slice);
  const results: R[] = [];
  for (const item of items) {
    results.push(work(item));
    await slices.step();
  }
  return results;
}
