/** What machines asked for and the store lacks: bounded, in memory, for the operator to import. */

const LIMIT = 1000;

export interface MissingEntry {
  /** `snap NAME`, `revision 6 of snap NAME`, … */
  readonly what: string;
  readonly times: number;
  /** RFC 3339 */
  readonly first: string;
  readonly last: string;
}

export class MissingList {
  readonly #entries = new Map<string, MissingEntry>();

  /** `now`: milliseconds. Of too many the one that was longest not asked for is forgotten. */
  note(what: string, now: number): void {
    const last = new Date(now).toISOString();
    const before = this.#entries.get(what);
    this.#entries.delete(what);
    this.#entries.set(what, { what, times: (before?.times ?? 0) + 1, first: before?.first ?? last, last });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > LIMIT && oldest !== undefined) this.#entries.delete(oldest);
  }

  /** Newest first. */
  get entries(): MissingEntry[] {
    return [...this.#entries.values()].toReversed();
  }
}
