/** What is printed: one line a figure, and how many could be measured. */

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** a peer that was measured in turns with it: the median of the ratios of each pair of rounds */
  readonly peer?: { readonly name: string; readonly value: number; readonly ratio: number };
}

/** Why a figure cannot be had on this machine. */
export class Skip extends Error {}

export class Report {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  figure({ name, value, unit, peer }: Figure): void {
    if (!Number.isFinite(value) || value <= 0) return this.#failure(name, `measured ${value} ${unit}`);
    this.#passed += 1;
    const ratio = peer ? `  ${peer.ratio.toFixed(2)} × ${peer.name} (${show(peer.value)})` : "";
    console.log(`${name.padEnd(44)} ${show(value).padStart(10)} ${unit.padEnd(10)}${ratio}`.trimEnd());
  }

  /** Measures what is named; what goes wrong is told, and the next can follow. */
  async measure(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof Skip) {
        this.#skipped += 1;
        console.log(`${name.padEnd(44)} skipped: ${error.message}`);
      } else this.#failure(name, error instanceof Error ? error.message : String(error));
    }
  }

  /** What is left of one figure less another: next to nothing on a busy machine may be less than nothing. */
  difference({ name, value, unit }: Omit<Figure, "peer">): void {
    if (!Number.isFinite(value)) return this.#failure(name, `measured ${value} ${unit}`);
    this.#passed += 1;
    console.log(`${name.padEnd(44)} ${show(value).padStart(10)} ${unit}`);
  }

  /** What may be 0, which is the best. */
  rate(figure: Omit<Figure, "peer">): void {
    if (figure.value < 0) this.#failure(figure.name, `measured ${figure.value} ${figure.unit}`);
    else this.difference(figure);
  }

  #failure(name: string, why: string): void {
    this.#failed += 1;
    console.log(`${name.padEnd(44)} FAILED: ${why}`);
  }

  /** The last line; whether nothing failed. */
  end(): boolean {
    console.log(`${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
    return this.#failed === 0;
  }
}

function show(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export type Pair<A, B> = readonly [A, B];

/** A B A B …: what else the machine does falls on both. */
export async function inTurns<A, B>(rounds: number, a: () => Promise<A>, b: () => Promise<B>): Promise<Pair<A, B>[]> {
  const pairs: Pair<A, B>[] = [];
  for (let i = 0; i < rounds; i += 1) pairs.push([await a(), await b()]);
  return pairs;
}

/** The figure of the first of each pair, beside the second. */
export function beside<A, B>(
  pairs: readonly Pair<A, B>[],
  named: { readonly name: string; readonly unit: string; readonly peer: string },
  first: (one: A) => number,
  second: (one: B) => number,
): Figure {
  return {
    name: named.name,
    unit: named.unit,
    value: median(pairs.map(([a]) => first(a))),
    peer: {
      name: named.peer,
      value: median(pairs.map(([, b]) => second(b))),
      ratio: median(pairs.map(([a, b]) => first(a) / second(b))),
    },
  };
}
