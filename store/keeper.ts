/** How a publisher keeps gc from what it is about to name: by a lease and the trash on a disk, by marks and saves in a bucket. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Digest } from "../src/digest.ts";
import { SharedLease } from "./lease.ts";
import { BEGIN_ANEW, Saver } from "./marks.ts";
import type { Storage } from "./storage.ts";
import { restoreTrashed } from "./trash.ts";

export interface Keeper {
  /** what is staged is staged under it; undefined: no lease is taken */
  readonly lease: string | undefined;
  /** Runs `work`, all of whose publishing it is for. Nested and concurrent calls share it. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** What a timer does. */
  renew(): Promise<void>;
  /** Before the create of a generation. True: it had to wait, so what is missing has to be stored again and the generation be made anew. */
  save(digests: readonly Digest[]): Promise<boolean>;
  /** The last look of the create of the generation after `newest`: those that are missing. Throws `BEGIN_ANEW` where the generation has to be made anew. */
  lastLook(digests: readonly Digest[], newest: number): Promise<ReadonlySet<Digest>>;
  /** After the create. */
  created(digests: readonly Digest[]): Promise<void>;
}

export function keeperOf(storage: Storage): Keeper {
  return storage.prepareRemoval ? new BySaves(storage) : new ByLease(storage);
}

export function hasToBeginAnew(error: unknown): boolean {
  return error === BEGIN_ANEW;
}

class ByLease implements Keeper {
  readonly #storage: Storage;
  readonly #lease: SharedLease;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.#lease = new SharedLease(storage);
  }

  get lease(): string | undefined {
    return this.#lease.id;
  }

  during<T>(work: () => Promise<T>): Promise<T> {
    return this.#lease.during(work);
  }

  renew(): Promise<void> {
    return this.#lease.renew();
  }

  async save(): Promise<boolean> {
    return false;
  }

  /** The lease first: what is there after it, no gc deletes before this generation is seen or its stage is gone. */
  async lastLook(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    await this.#lease.check();
    return (await restoreTrashed(this.#storage, digests)).missing;
  }

  async created(digests: readonly Digest[]): Promise<void> {
    await restoreTrashed(this.#storage, digests);
  }
}

class BySaves implements Keeper {
  readonly lease = undefined;
  readonly #storage: Storage;
  #saver: Saver | undefined;
  #holders = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#holders += 1;
    try {
      return await work();
    } finally {
      this.#holders -= 1;
      if (this.#holders === 0) {
        await this.#saver?.end().catch(() => {}); // gc removes them after a day
        this.#saver = undefined;
      }
    }
  }

  async renew(): Promise<void> {}

  save(digests: readonly Digest[]): Promise<boolean> {
    return this.#current().save(digests);
  }

  lastLook(digests: readonly Digest[], newest: number): Promise<ReadonlySet<Digest>> {
    return this.#current().lastLook(digests, newest);
  }

  async created(): Promise<void> {}

  #current(): Saver {
    this.#saver ??= new Saver(this.#storage, { sleep: this.#storage.sleep ?? sleep });
    return this.#saver;
  }
}
