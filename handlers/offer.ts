/** What is offered now: a generation with its active overrides applied to the channel maps. */

import type { StoredPackage } from "../src/catalog/change.ts";
import { offered, spanOf } from "../src/catalog/override.ts";
import type { Package } from "../src/catalog/package.ts";
import type { Snap } from "../src/catalog/snap.ts";
import { plausibleTime } from "../src/clock.ts";
import { type Ready, whenReady } from "../src/ready.ts";
import type { Snapshot } from "../store/snapshot.ts";
import type { Store } from "../store/store.ts";

/** Milliseconds since 1970. */
export type Clock = () => number;

/** One consistent view of a generation, valid until one of its overrides begins or ends. A handler uses the same one for a whole request. */
export class Offer {
  readonly of: Snapshot;
  readonly #clock: Clock;
  /** the time span in which everything that was read here stays as it is */
  #from = Number.NEGATIVE_INFINITY;
  #until = Number.POSITIVE_INFINITY;

  /** A clock that is far off ends no override. */
  constructor(of: Snapshot, clock: Clock) {
    this.of = of;
    this.#clock = () => plausibleTime(clock(), of.time);
  }

  /** Whether an override that affects something read here has begun or ended; then everything built from it is out of date. */
  get isExpired(): boolean {
    const now = this.#clock();
    return now < this.#from || now >= this.#until;
  }

  get number(): number {
    return this.of.number;
  }

  get names(): string[] {
    return this.of.names;
  }

  get snapNames(): string[] {
    return this.of.snapNames;
  }

  async package(name: string): Promise<Package | undefined> {
    return this.#offered(await this.of.package(name));
  }

  async packageById(id: string): Promise<Package | undefined> {
    return this.#offered(await this.of.packageById(id));
  }

  async packages(): Promise<Package[]> {
    return (await this.of.packages()).map((pkg) => this.#offered(pkg));
  }

  async snap(name: string): Promise<Snap | undefined> {
    return this.#offered(await this.of.snap(name));
  }

  async snapById(id: string): Promise<Snap | undefined> {
    return this.#offered(await this.of.snapById(id));
  }

  async snaps(): Promise<Snap[]> {
    return (await this.of.snaps()).map((snap) => this.#offered(snap));
  }

  agents(): ReturnType<Snapshot["agents"]> {
    return this.of.agents();
  }

  unreadable(): ReturnType<Snapshot["unreadable"]> {
    return this.of.unreadable();
  }

  assertions(): ReturnType<Snapshot["assertions"]> {
    return this.of.assertions();
  }

  #offered<H extends StoredPackage | undefined>(stored: H): H {
    if (!stored?.overrides) return stored;
    const now = this.#clock();
    const { from, until } = spanOf(stored, now);
    this.#from = Math.max(this.#from, from);
    this.#until = Math.min(this.#until, until);
    return offered(stored, now);
  }
}

/** The store as handlers read it. */
export interface Offers extends Pick<Store, "blob" | "text"> {
  /** the newest generation; a new object for a new generation, and when an override begins or ends */
  snapshot(): Ready<Offer>;
}

export function offersOf(store: Pick<Store, "snapshot" | "blob" | "text">, clock: Clock): Offers {
  let current: Offer | undefined;
  const offer = (newest: Snapshot): Offer => {
    if (current?.of !== newest || current.isExpired) current = new Offer(newest, clock);
    return current;
  };
  return {
    snapshot: () => whenReady(store.snapshot(), offer),
    blob: (digest) => store.blob(digest),
    text: (digest, next) => store.text(digest, next),
  };
}
