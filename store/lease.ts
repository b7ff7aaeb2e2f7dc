/**
 * Leases: a process that changes the store has an object that it renews, so that others can tell whether it is alive without
 * locks, renames or process numbers. gc deletes nothing while a lease is live, and a process whose lease is over can't publish.
 */

import { jsonBytes } from "./json.ts";
import { LEASES, leaseId, leaseKey } from "./keys.ts";
import { type Storage, stageIsGone } from "./storage.ts";

/** milliseconds between two renewals, and without one until a lease is over */
export const [RENEWAL_INTERVAL, LEASE_LIFE] = [60_000, 600_000];

/** milliseconds after which a stage without a lease is left over */
const STAGE_LIFE = 24 * 60 * 60 * 1000;

export class Lease {
  /** for the stages that are made under it */
  readonly id = crypto.randomUUID();
  readonly #storage: Storage;

  private constructor(storage: Storage) {
    this.#storage = storage;
  }

  static async take(storage: Storage): Promise<Lease> {
    const lease = new Lease(storage);
    await lease.#write();
    return lease;
  }

  /** Does nothing if the lease is gone. */
  async renew(): Promise<void> {
    await this.#write(this.id);
  }

  /** Fails if another process found the lease over. */
  async check(): Promise<void> {
    if (!(await this.#storage.has(leaseKey(this.id)))) throw stageIsGone(this.#storage.place);
  }

  async release(): Promise<void> {
    await this.#storage.remove(leaseKey(this.id));
  }

  /** A renewal is staged under the lease itself: who ends the lease takes that stage too, so the lease does not come back. */
  async #write(under?: string): Promise<void> {
    const stage = await this.#storage.stage("transient", { lease: under });
    try {
      await stage.write(jsonBytes({}));
      await stage.end();
      if (under === undefined || (await this.#storage.has(leaseKey(this.id)))) await stage.commit(leaseKey(this.id));
    } finally {
      await stage.discard();
    }
  }
}

/** The lease of a process, which takes it while anything of it needs one. */
export class SharedLease {
  readonly #storage: Storage;
  #lease: Lease | undefined;
  #taking: Promise<void> | undefined;
  #renewal: ReturnType<typeof setInterval> | undefined;
  /** how many calls of `during` run */
  #holders = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Undefined: it is not taken. */
  get id(): string | undefined {
    return this.#lease?.id;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#holders += 1;
    try {
      this.#taking ??= this.#take();
      await this.#taking;
      return await work();
    } finally {
      this.#holders -= 1;
      if (this.#holders === 0) await this.#release();
    }
  }

  /** Called by a timer; a failure is noticed before anything is published. */
  async renew(): Promise<void> {
    await this.#lease?.renew().catch(() => {});
  }

  /** Fails if another process found the lease over. */
  async check(): Promise<void> {
    return this.#lease?.check();
  }

  async #take(): Promise<void> {
    this.#lease = await Lease.take(this.#storage);
    this.#renewal = setInterval(() => void this.renew(), RENEWAL_INTERVAL);
    this.#renewal.unref?.();
  }

  async #release(): Promise<void> {
    clearInterval(this.#renewal);
    const lease = this.#lease;
    this.#lease = this.#taking = undefined;
    await lease?.release().catch(() => {}); // it ends by itself
  }
}

/**
 * Ends leases that were not renewed for `LEASE_LIFE`, and removes what is staged under leases that are gone. Returns the number
 * of live leases. After it, no process whose lease was over before can publish; one that publishes later took its lease later.
 */
export async function endLeases(storage: Storage, { dryRun = false } = {}): Promise<number> {
  const live = new Set<string>();
  for (const key of await storage.list(LEASES)) {
    const id = leaseId(key);
    if (id === undefined) continue;
    if (!(await isOver(storage, key))) live.add(id);
    else if (!dryRun) await storage.remove(key);
  }
  if (dryRun) return live.size;
  // Listed before the leases are: a stage that is seen here was begun under a lease that was there before.
  const staged = await storage.staged();
  const present = new Set((await storage.list(LEASES)).map(leaseId));
  const old = staged.some(({ lease }) => lease === undefined) ? (await storage.clock()) - STAGE_LIFE : 0;
  for (const stage of staged) if (stage.lease === undefined ? stage.modified < old : !present.has(stage.lease)) await stage.discard();
  for (const id of present) if (id !== undefined) live.add(id);
  return live.size;
}

/** By the storage's clock. A lease of a time that is far ahead, before the clock was set right, is over as well. */
async function isOver(storage: Storage, key: string): Promise<boolean> {
  const seen = await storage.open(key);
  if (!seen) return false;
  if (Math.abs((await storage.clock()) - seen.modified) <= LEASE_LIFE) return false;
  return (await storage.open(key))?.modified === seen.modified; // else it was renewed while this process slept
}
