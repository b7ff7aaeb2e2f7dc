/** Requests for things that are not stored, in memory and bounded: they tell the operator what to import. */

const MAX_REQUESTS = 1000;

export interface MissingRequest {
  /** `snap NAME`, `revision 6 of snap NAME`, … */
  readonly what: string;
  readonly times: number;
  /** RFC 3339 */
  readonly first: string;
  readonly last: string;
}

export class MissingRequests {
  readonly #requests = new Map<string, MissingRequest>();

  /** `now`: milliseconds since 1970. Evicts the least recent request above the limit. */
  note(what: string, now: number): void {
    const last = new Date(now).toISOString();
    const before = this.#requests.get(what);
    this.#requests.delete(what);
    this.#requests.set(what, { what, times: (before?.times ?? 0) + 1, first: before?.first ?? last, last });
    const [oldest] = this.#requests.keys();
    if (this.#requests.size > MAX_REQUESTS && oldest !== undefined) this.#requests.delete(oldest);
  }

  /** Newest first. */
  get all(): MissingRequest[] {
    return [...this.#requests.values()].toReversed();
  }
}
