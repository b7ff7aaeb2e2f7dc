/** Which of all faults are tried: as many of each room and of each operator, chosen by a seed. */

import { dirname } from "node:path/posix";
import { digestOf } from "./digest.ts";
import type { Mutant } from "./syntax.ts";

/** The folder of a file, and what is done to it: what one says about another says little about the others. */
export function kindOf({ file, operator }: Pick<Mutant, "file" | "operator">): string {
  return `${dirname(file)}: ${operator}`;
}

/**
 * Mutants by their kinds, those of each kind in an order that the seed decides. The order of two does not depend on the others,
 * so that a change of the source leaves most of the choice as it was.
 */
export function inSeededOrder(mutants: readonly Mutant[], seed: string): Map<string, Mutant[]> {
  const ranked = mutants.map((mutant) => ({ mutant, rank: digestOf(seed, mutant.id) })).toSorted((a, b) => (a.rank < b.rank ? -1 : 1));
  const kinds = new Map<string, Mutant[]>();
  for (const { mutant } of ranked) {
    const kind = kinds.get(kindOf(mutant));
    if (kind) kind.push(mutant);
    else kinds.set(kindOf(mutant), [mutant]);
  }
  return kinds;
}

/** The first `count` of each kind that `valid` lets pass. */
export async function firstOfEach(
  kinds: ReadonlyMap<string, readonly Mutant[]>,
  count: number,
  valid: (mutant: Mutant) => Promise<string | undefined>,
): Promise<{ mutant: Mutant; to: string }[]> {
  const chosen: { mutant: Mutant; to: string }[] = [];
  for (const mutants of kinds.values()) {
    let left = count;
    for (const mutant of mutants) {
      if (left === 0) break;
      const to = await valid(mutant);
      if (to === undefined) continue;
      chosen.push({ mutant, to });
      left -= 1;
    }
  }
  return chosen;
}
