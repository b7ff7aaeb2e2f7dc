/** Which of all faults are tried: as many of each room and of each operator, chosen by a seed. */

import { dirname } from "node:path/posix";
import { digestOf } from "./digest.ts";
import type { Mutant } from "./syntax.ts";

/** Files that count as a room each: by ways of their own they read what strangers wrote, keep what is stored, or answer quickly. */
const CLOSELY: ReadonlySet<string> = new Set([
  "bin/machine/digests.ts",
  "bin/machine/workers.ts",
  "handlers/app.ts",
  "handlers/listen.ts",
  "handlers/replies.ts",
  "src/archives/tarheader.ts",
  "src/archives/zip.ts",
  "src/archives/zipreader.ts",
  "src/growingbytes.ts",
  "src/plainyaml.ts",
  "src/ready.ts",
  "src/wire/quickread.ts",
  "store/check.ts",
  "store/fs.ts",
  "store/rawfile.ts",
]);

/** Its room, and what is done to it: what one fault says about another of its kind is much, and about others little. */
export function kindOf({ file, operator }: Pick<Mutant, "file" | "operator">): string {
  return `${CLOSELY.has(file) ? file : dirname(file)}: ${operator}`;
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
