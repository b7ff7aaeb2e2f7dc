/** What keeps gc of a bucket from deleting what is needed, taken out: histories must find it. */

import type { Patch } from "../simulate/modules.ts";

export interface GarbageFault {
  readonly fault: string;
  readonly patches: readonly Patch[];
  /** one that finds it, which is tried first */
  readonly seed: number;
}

/** A create that finds its name taken is taken for lost, whoever took it. */
export const NO_WRITER: Patch = {
  file: "s3client.ts",
  find: /return \(await this\.head\(key\)\)\?\.writer === writer;/,
  put: "return false;",
};

export const GARBAGE_FAULTS: readonly GarbageFault[] = [
  {
    fault: "a publisher looks for no marks",
    patches: [{ file: "marks.ts", find: /const records = await this\.#marks\.all\(\);/, put: "const records: MarkRecord[] = [];" }],
    seed: 100,
  },
  {
    fault: "gc looks for no saves",
    patches: [{ file: "bucketgc.ts", find: /const saved = await this\.#saved\(\);/, put: "const saved = new Set<Digest>();" }],
    seed: 10,
  },
  {
    fault: "a mark is acted on at once",
    patches: [{ file: "bucketgc.ts", find: /const age = Math\.max\(SETTLED, /, put: "const age = Math.min(0, " }],
    seed: 22,
  },
  {
    fault: "gc does not look at generations again once removals are prepared",
    patches: [
      {
        file: "bucketgc.ts",
        find: /\/\/ The look, after the removals were prepared\.\n\s+await markSince\(this\.#store, this\.#since, this\.#seen\);/,
        put: "",
      },
    ],
    seed: 1,
  },
  {
    fault: "a removal that was prepared holds for ever",
    patches: [{ file: "s3.ts", find: /const REMOVAL_SECONDS = 60;/, put: "const REMOVAL_SECONDS = 600_000;" }],
    seed: 65,
  },
];
