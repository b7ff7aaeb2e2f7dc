/** What of the store cannot be read must not keep the rest from being served: it is left out, and the log says so. */

import type { Unreadable } from "../src/catalog/generation-types.ts";
import { isCorrupt, reason } from "../src/errors.ts";
import type { Call } from "./call.ts";
import type { Log } from "./log.ts";
import type { Offer } from "./offer.ts";

/** The message for a client whose question is about something damaged; any other error is thrown on. */
export function toldOfDamage({ id }: Pick<Call, "id">, log: Log, error: unknown): string {
  if (!isCorrupt(error)) throw error;
  log({ level: "error", message: error.message, id });
  return `An internal error, see request ${id} in the log.`;
}

/** Undefined for what is damaged. */
export async function unlessDamaged<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isCorrupt(error)) return undefined;
    throw error;
  }
}

/** A search index of what was offered when it was last asked for. */
export class Latest<T, Index> {
  readonly #log: Log;
  readonly #read: (snapshot: Offer) => Promise<readonly T[]>;
  readonly #make: (held: readonly T[], before?: Index) => Index;
  readonly #section: Unreadable["section"];
  #snapshot: Offer | undefined;
  #found: Promise<{ readonly index: Index; readonly whole: boolean }> | undefined;

  constructor(
    log: Log,
    section: Unreadable["section"],
    read: (snapshot: Offer) => Promise<readonly T[]>,
    make: (held: readonly T[], before?: Index) => Index,
  ) {
    this.#log = log;
    this.#section = section;
    this.#read = read;
    this.#make = make;
  }

  /** `whole`: whether nothing had to be left out; else what is damaged is tried again by the next who asks. */
  of(snapshot: Offer): Promise<{ readonly index: Index; readonly whole: boolean }> {
    if (!this.#found || snapshot !== this.#snapshot) {
      const before = this.#found?.catch(() => undefined);
      this.#snapshot = snapshot;
      const found = this.#build(snapshot, before);
      this.#found = found;
      found.then(
        ({ whole }) => whole || this.#forget(found),
        () => this.#forget(found),
      );
    }
    return this.#found;
  }

  async #build(snapshot: Offer, before: Promise<{ readonly index: Index } | undefined> | undefined) {
    const held = await this.#read(snapshot);
    const unreadable = (await snapshot.unreadable()).filter(({ section }) => section === this.#section);
    for (const { name, failure } of unreadable) this.#log({ level: "error", message: `left out of a search: ${name}: ${reason(failure)}` });
    return { index: this.#make(held, (await before)?.index), whole: unreadable.length === 0 };
  }

  /** What was found stays a start for the next index. */
  #forget(found: unknown): void {
    if (this.#found === found) this.#snapshot = undefined;
  }
}
