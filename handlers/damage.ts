/** Damaged packages are left out and logged; everything else is served. */

import type { UnreadablePackage } from "../src/catalog/generation-types.ts";
import { isCorrupt, reason } from "../src/errors.ts";
import type { Call } from "./call.ts";
import { internalErrorMessage } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Offer } from "./offer.ts";

/** Logs a `corrupt` failure and returns the message for the client; throws any other error. */
export function damageMessage({ id }: Pick<Call, "id">, log: Log, error: unknown): string {
  if (!isCorrupt(error)) throw error;
  log({ level: "error", message: error.message, id });
  return internalErrorMessage(id);
}

/** The search index of the newest snapshot, built on demand. */
export class IndexCache<T, Index> {
  readonly #log: Log;
  readonly #read: (snapshot: Offer) => Promise<readonly T[]>;
  readonly #make: (all: readonly T[], before?: Index) => Index;
  readonly #section: UnreadablePackage["section"] | undefined;
  #snapshot: Offer | undefined;
  #built: Promise<{ readonly index: Index; readonly whole: boolean }> | undefined;

  /** `section`: the part of a generation that is read; undefined: all of it */
  constructor(
    log: Log,
    section: UnreadablePackage["section"] | undefined,
    read: (snapshot: Offer) => Promise<readonly T[]>,
    make: (all: readonly T[], before?: Index) => Index,
  ) {
    this.#log = log;
    this.#section = section;
    this.#read = read;
    this.#make = make;
  }

  /** `whole`: no damaged package was left out. Otherwise the next request builds the index again. */
  of(snapshot: Offer): Promise<{ readonly index: Index; readonly whole: boolean }> {
    if (!this.#built || snapshot !== this.#snapshot) {
      const before = this.#built?.catch(() => undefined);
      this.#snapshot = snapshot;
      const built = this.#build(snapshot, before);
      this.#built = built;
      built.then(
        ({ whole }) => whole || this.#forget(built),
        () => this.#forget(built),
      );
    }
    return this.#built;
  }

  async #build(snapshot: Offer, before: Promise<{ readonly index: Index } | undefined> | undefined) {
    const all = await this.#read(snapshot);
    const unreadable = (await snapshot.unreadable()).filter(({ section }) => this.#section === undefined || section === this.#section);
    for (const { name, failure } of unreadable) this.#log({ level: "error", message: `left out of a search: ${name}: ${reason(failure)}` });
    return { index: this.#make(all, (await before)?.index), whole: unreadable.length === 0 };
  }

  /** The old index stays: the next one reuses what did not change. */
  #forget(built: unknown): void {
    if (this.#built === built) this.#snapshot = undefined;
  }
}
