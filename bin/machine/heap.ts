/**
 * Keeps the memory of a long command small. Bun's garbage collector lets the heap double before it looks at what is old, and an import leaves
 * behind far more than it keeps.
 */

/** What is asked of the process. */
export interface Process {
  /** bytes in memory */
  size(): number;
  /** Collects garbage at once: what became garbage soon after it was made, in a few milliseconds, or all. */
  collect(which: "young" | "all"): void;
}

/** Bytes up to which a process may grow by itself. An import of large files takes no more, and collecting would make it a tenth slower. */
const ENOUGH = 160 * 2 ** 20;

/** By how much it may grow beyond that until garbage is collected, by its share: so of much memory it is not collected more often. */
const GROWTH = { young: 1.002, all: 1.02 } as const;

/** Milliseconds between two looks at its size, each of which takes five microseconds. */
const INTERVAL = 10;

/** Collects garbage whenever the process has grown. */
export class Heap {
  readonly #process: Process;
  #most = ENOUGH;
  /** the most that was left when all was collected */
  #left = 0;

  constructor(process: Process) {
    this.#process = process;
  }

  look(): void {
    const size = this.#process.size();
    if (size <= this.#most) return;
    if (size <= this.#left * GROWTH.all) this.#process.collect("young");
    else {
      this.#process.collect("all");
      this.#left = Math.max(this.#left, this.#process.size());
    }
    this.#most = Math.max(ENOUGH, this.#left, this.#process.size()) * GROWTH.young;
  }
}

/** Runs `work` with a small heap, in Bun; Node's collector does that by itself. */
export async function withSmallHeap<T>(work: () => Promise<T>): Promise<T> {
  const collector = process.getBuiltinModule("bun:jsc") as typeof import("bun:jsc") | undefined;
  if (!collector) return work();
  const heap = new Heap({
    size: () => process.memoryUsage.rss(),
    collect: (which) => void (which === "young" ? collector.edenGC() : Bun.gc(true)), // which also gives memory back
  });
  const timer = setInterval(() => heap.look(), INTERVAL);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
