/** What is made once of each generation, with the help of the one before. */

import type { Snapshot } from "../store/store.ts";

export class Latest<T> {
  readonly #make: (snapshot: Snapshot, before: T | undefined) => Promise<T>;
  #number = -1;
  #made: Promise<T> | undefined;

  constructor(make: (snapshot: Snapshot, before: T | undefined) => Promise<T>) {
    this.#make = make;
  }

  of(snapshot: Snapshot): Promise<T> {
    if (!this.#made || snapshot.number !== this.#number) {
      const before = this.#made?.catch(() => undefined) ?? Promise.resolve(undefined);
      this.#number = snapshot.number;
      this.#made = before.then((one) => this.#make(snapshot, one));
      this.#made.catch(() => (this.#number = -1));
    }
    return this.#made;
  }
}
