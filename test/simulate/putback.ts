/** Faults that chp had, or could have: taken out of what mends them, they must be found. */

import type { Patch } from "./modules.ts";
import type { Invariant } from "./oracle.ts";
import type { Setting } from "./simulate.ts";

export interface PutBack extends Setting {
  readonly fault: string;
  readonly patches?: readonly Patch[];
  readonly breaks: readonly Invariant[];
  /** one that finds it, which is tried first */
  readonly seed: number;
}

const LOST: readonly Invariant[] = [
  "gc deletes nothing that is needed",
  "every named blob is stored",
  "what was acknowledged stays readable",
  "numbers are unique and without a gap",
  "a reader never goes back",
];

export const PUT_BACK: readonly PutBack[] = [
  {
    fault: "gc deletes while an import runs, and nobody looks for its lease",
    patches: [
      { file: "gc.ts", find: /if \(leases > 0\) return .*;/, put: "" },
      { file: "gc.ts", find: /const publishers = await endLeases\(storage, options\);/, put: "const publishers: number = 0;" },
      { file: "store.ts", find: /if \(brought\.some\(.*/, put: "" },
      { file: "keeper.ts", find: /await this\.#lease\.check\(\);/, put: "" },
    ],
    breaks: LOST,
    seed: 74,
  },
  {
    fault: "generations are pruned out of the middle",
    patches: [{ file: "retained.ts", find: /retained\.length > 0 \|\| last/, put: "last" }],
    breaks: ["numbers are unique and without a gap"],
    seed: 167,
  },
  {
    fault: "a reader takes the newest number before it has read that generation",
    patches: [
      {
        file: "store.ts",
        find: /(const numbers = await this\.generationNumbers\(\);\n\s+const \{ snapshot \} = this\.#current;)/,
        put: "$1 this.#current = { ...this.#current, newest: numbers.at(-1) ?? 0 }; this.#listed = began;",
      },
    ],
    breaks: ["a reader never goes back"],
    seed: 16,
  },
  {
    fault: "a command that changes settings does not look at what another changed meanwhile",
    patches: [
      {
        file: "settings.ts",
        find: /for \(let attempt = 0; attempt < MAX_ATTEMPTS; attempt \+= 1\) \{\n\s+const \{ record, number, documents: before \} = await this\.#state\(names, true\);\n\s+const after = await change\(before\);/,
        put: "const first = await this.#state(names);\n const { record } = first;\n const after = await change(first.documents);\n for (let number = first.number; ; number += 1) {",
      },
    ],
    breaks: ["acknowledged settings stay"],
    seed: 26,
  },
  {
    fault: "nothing is synced",
    syncsNothing: true,
    breaks: [...LOST, "numbers are unique and without a gap", "acknowledged settings stay"],
    seed: 3,
  },
  {
    fault: "settings are not durable when they are acknowledged",
    patches: [
      {
        file: "settings.ts",
        find: /won = await this\.#storage\.create\(settingsKey\(number\), seal\(record\)\);/,
        put: "const stage = await this.#storage.stage(); await stage.write(seal(record)); await stage.end(); await stage.commit(settingsKey(number)); won = true;",
      },
    ],
    breaks: ["acknowledged settings stay"],
    seed: 6,
  },
  {
    fault: "leases never end",
    patches: [{ file: "lease.ts", find: /else if \(!dryRun\) await storage\.remove\(key\);/, put: "" }],
    breaks: ["what is left over goes"],
    seed: 4,
  },
  {
    fault: "an import publishes over a generation that it could not read",
    patches: [{ file: "store.ts", find: /if \(isReadError\(damage\)\) throw damage;.*/, put: "" }],
    breaks: ["what was acknowledged stays readable", "numbers are unique and without a gap"],
    seed: 637,
  },
  {
    fault: "verify moves away a generation that it could not read once",
    patches: [{ file: "check.ts", find: /isNewest \|\| mayBeWhole \|\|/, put: "isNewest ||" }],
    breaks: ["numbers are unique and without a gap"],
    seed: 10271,
  },
];
