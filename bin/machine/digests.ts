/**
 * Digests in workers: those of one stream side by side, and streams beside each other. A stream has a few buffers that it shares with the
 * workers, which see them in the order in which they were filled; it waits where none is free.
 */

import { availableParallelism } from "node:os";
import { type Algorithm, type BeginSums, type Digest, type StreamSums, Summer, type Sums, sumsHere } from "../../src/digest.ts";
import { Failure, reason } from "../../src/errors.ts";
import { type Lease, Workers } from "./workers.ts";

/** Bytes of a buffer: hashing it takes far longer than the messages about it. */
const BUFFER = 2 ** 18;
/** Buffers of a stream. */
const BUFFERS = 4;
/** Workers at most: each takes some MiB. */
const MOST_LANES = 8;

/** About how many microseconds a MiB takes. */
const COST: Readonly<Record<Algorithm, number>> = { "sha-256": 800, "sha-384": 2300, "sha-512": 2300, "sha3-384": 4700 };
/** Microseconds of hashing that are worth the start of a worker, and those of one stream that are worth a copy of its bytes. */
const WORTH = { start: typeof Bun === "undefined" ? 1_500_000 : 300_000, copy: 10_000 } as const; // Node parses the whole program again

export interface DigestsOptions {
  /** workers at a time; a machine's processors by default, of which a single one gets none */
  readonly most?: number;
  /** instead of `WORTH` */
  readonly worth?: { readonly start: number; readonly copy: number };
  /** whether this thread has little else to do: it hashes one of the streams that need one digest alone, whose bytes nobody copies then */
  readonly isIdle?: boolean;
}

export class Digests {
  readonly #workers: Workers;
  readonly #most: number;
  readonly #worth: { readonly start: number; readonly copy: number };
  /** whether a long stream may be hashed in this thread */
  #isIdle: boolean;
  readonly #lanes: Lane[] = [];
  readonly #free: Uint8Array[] = [];
  #buffers = 0;
  /** microseconds that this thread hashes */
  #here = 0;
  #last = 0;

  constructor({ most = availableParallelism(), worth = WORTH, isIdle = false }: DigestsOptions = {}) {
    this.#most = Math.min(most, MOST_LANES);
    this.#worth = worth;
    this.#isIdle = isIdle;
    this.#workers = new Workers({ most: this.#most });
  }

  /** Begins the digests of a stream: in this thread where it is short, or nothing is known of its size. */
  readonly begin: BeginSums = (also, size = 0) => {
    const algorithms: Algorithm[] = [...new Set<Algorithm>(["sha-256", ...(also ?? [])])];
    const time = (algorithms.reduce((sum, algorithm) => sum + COST[algorithm], 0) * size) / 2 ** 20;
    const isWorth = this.#most > 1 && time >= this.#worth.copy && (this.workers > 0 || this.#here + time >= this.#worth.start);
    if (isWorth && !(this.#isIdle && algorithms.length === 1)) return new SpreadSums(this, algorithms);
    this.#here += time;
    if (!isWorth) return sumsHere(also);
    this.#isIdle = false;
    return new OwnSums(() => (this.#isIdle = true));
  };

  /** How many workers run now. */
  get workers(): number {
    return this.#workers.count;
  }

  /** How many buffers are in use by streams and workers. */
  get buffers(): number {
    return this.#buffers;
  }

  /** How many messages to workers wait or are being answered. */
  get jobs(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.jobs, 0);
  }

  /** Ends the workers; streams that have not ended fail. */
  async close(): Promise<void> {
    await this.#workers.close();
  }

  /** For `SpreadSums`, as what follows. */
  takeBuffer(): Uint8Array {
    this.#buffers += 1;
    return this.#free.pop() ?? new Uint8Array(new SharedArrayBuffer(BUFFER));
  }

  returnBuffer(buffer: Uint8Array): void {
    this.#buffers -= 1;
    if (this.#free.length < BUFFERS * this.#most) this.#free.push(buffer);
  }

  /** Spreads the digests of a stream over the workers: the slowest first, each to the one that has the least to do. */
  parts(algorithms: readonly Algorithm[]): Part[] {
    const stream = (this.#last += 1);
    const parts = new Map<Lane, Algorithm[]>();
    for (const algorithm of algorithms.toSorted((a, b) => COST[b] - COST[a])) {
      const lane = this.#leastLoaded();
      lane.load += COST[algorithm];
      parts.set(lane, [...(parts.get(lane) ?? []), algorithm]);
    }
    return [...parts].map(([lane, some]) => new Part(lane, stream, some));
  }

  #leastLoaded(): Lane {
    const [least] = this.#lanes.toSorted((a, b) => a.load - b.load);
    if (least && (least.load === 0 || this.#lanes.length >= this.#most)) return least;
    const lane = new Lane(this.#workers);
    this.#lanes.push(lane);
    return lane;
  }
}

/** A long stream that is hashed in this thread. */
class OwnSums extends Summer {
  readonly #ended: () => void;

  constructor(ended: () => void) {
    super();
    this.#ended = ended;
  }

  override discard(): void {
    super.discard();
    this.#ended();
  }
}

/** Runs `work` with digests in workers, which end with it. */
export async function withDigests<T>(work: (sums: BeginSums) => Promise<T>, options?: DigestsOptions): Promise<T> {
  const digests = new Digests(options);
  try {
    return await work(digests.begin);
  } finally {
    await digests.close();
  }
}

/** What one worker is asked for, one after the other. */
class Lane {
  readonly #workers: Workers;
  #lease: Promise<Lease> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  jobs = 0;
  /** of the streams that it has a part of: microseconds for a MiB of each */
  load = 0;

  constructor(workers: Workers) {
    this.#workers = workers;
  }

  run<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    this.jobs += 1;
    const done = this.#last.then(async () => work(await (this.#lease ??= this.#workers.lease()))).finally(() => (this.jobs -= 1));
    this.#last = done.catch(() => {});
    return done;
  }

  /** Ends a part. A worker that has no other does not keep the program running. */
  end(algorithms: readonly Algorithm[]): void {
    for (const algorithm of algorithms) this.load -= COST[algorithm];
    if (this.load > 0) return;
    const lease = this.#lease;
    this.#lease = undefined;
    void lease?.then((one) => one.release()).catch(() => {});
  }
}

/** Those digests of a stream that one worker computes. */
class Part {
  readonly #lane: Lane;
  readonly #stream: number;
  readonly #algorithms: readonly Algorithm[];
  #isOver = false;

  constructor(lane: Lane, stream: number, algorithms: readonly Algorithm[]) {
    [this.#lane, this.#stream, this.#algorithms] = [lane, stream, algorithms];
  }

  /** The bytes that begin at `at`. */
  update(at: number, bytes: Uint8Array): Promise<void> {
    return this.#run(async (lease) => {
      if (!this.#isOver) await lease.run("hash", [this.#stream, this.#algorithms, at, bytes]);
    });
  }

  /** The digests of so many bytes. */
  async end(size: number): Promise<Partial<Record<Algorithm, string>>> {
    const digests = await this.#run((lease) => lease.run("hashed", [this.#stream, size]));
    this.#isOver = true;
    this.#lane.end(this.#algorithms);
    return digests;
  }

  /** Ends early: nothing that is queued is begun any more. */
  async drop(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#lane.run((lease) => lease.run("unhash", [this.#stream])).catch(() => {}); // its worker is gone, and all with it
    this.#lane.end(this.#algorithms);
  }

  #run<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    return this.#lane.run(work).catch((error: unknown) => {
      throw new Failure("failed", `cannot compute digests: ${reason(error)}`, { next: "run the same command again", cause: error });
    });
  }
}

/** A buffer that workers see; `used`: bytes of it. */
interface Buffered {
  readonly bytes: Uint8Array;
  used: number;
  /** until the workers are done with it */
  hashed: Promise<unknown> | undefined;
}

/** A stream that is handed to workers once it has filled its buffers; a shorter one is hashed here. */
class SpreadSums implements StreamSums {
  readonly #digests: Digests;
  readonly #algorithms: readonly Algorithm[];
  readonly #buffers: Buffered[] = [];
  #parts: readonly Part[] | undefined;
  /** which buffer is filled */
  #at = 0;
  /** bytes that the workers got */
  #sent = 0;
  #isOver = false;
  size = 0;

  constructor(digests: Digests, algorithms: readonly Algorithm[]) {
    [this.#digests, this.#algorithms] = [digests, algorithms];
  }

  update(chunk: Uint8Array): Promise<void> | undefined {
    this.size += chunk.byteLength;
    const rest = this.#fill(chunk);
    return rest && this.#fillLater(rest);
  }

  /** Copies what there is room for; returns the rest, for which a buffer must become free. */
  #fill(chunk: Uint8Array): Uint8Array | undefined {
    for (let rest = chunk; rest.byteLength > 0 && !this.#isOver; ) {
      const buffer = this.#current();
      if (buffer.hashed) return rest;
      const some = rest.subarray(0, BUFFER - buffer.used);
      buffer.bytes.set(some, buffer.used);
      buffer.used += some.byteLength;
      rest = rest.subarray(some.byteLength);
      if (buffer.used === BUFFER) this.#full();
    }
    return undefined;
  }

  async #fillLater(chunk: Uint8Array): Promise<void> {
    for (let rest: Uint8Array | undefined = chunk; rest; rest = this.#fill(rest)) await this.#free(this.#current());
  }

  async #free(buffer: Buffered): Promise<void> {
    await buffer.hashed;
    [buffer.hashed, buffer.used] = [undefined, 0];
  }

  #current(): Buffered {
    const { [this.#at]: known } = this.#buffers;
    if (known) return known;
    const buffer = { bytes: this.#digests.takeBuffer(), used: 0, hashed: undefined };
    this.#buffers.push(buffer);
    return buffer;
  }

  #full(): void {
    const { [this.#at]: buffer } = this.#buffers;
    this.#at = (this.#at + 1) % BUFFERS;
    if (buffer && this.#parts) this.#send(buffer);
    else if (this.#buffers.length === BUFFERS) {
      this.#parts = this.#digests.parts(this.#algorithms);
      for (const each of this.#buffers) this.#send(each);
    }
  }

  #send(buffer: Buffered): void {
    const at = this.#sent;
    this.#sent += buffer.used;
    const bytes = buffer.bytes.subarray(0, buffer.used);
    const hashed = Promise.all((this.#parts ?? []).map((part) => part.update(at, bytes)));
    hashed.catch(() => {}); // whoever waits for the buffer gets it
    buffer.hashed = hashed;
  }

  async sums(): Promise<Sums> {
    const parts = this.#parts;
    if (!parts) return this.#sumsHere();
    const last = this.#current();
    if (!last.hashed && last.used > 0) this.#send(last);
    for (const buffer of this.#buffers) await this.#free(buffer);
    const digests = await Promise.all(parts.map((part) => part.end(this.size)));
    this.#end();
    return { size: this.size, ...(Object.assign({}, ...digests) as { "sha-256": Digest }) };
  }

  #sumsHere(): Sums {
    const summer = new Summer(this.#algorithms);
    for (const { bytes, used } of this.#buffers) summer.update(bytes.subarray(0, used));
    this.#end();
    return summer.sums();
  }

  #end(): void {
    this.#isOver = true;
    for (const { bytes } of this.#buffers) this.#digests.returnBuffer(bytes);
    this.#buffers.length = 0;
  }

  discard(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // No other stream may fill a buffer that a worker still reads.
    void Promise.all((this.#parts ?? []).map((part) => part.drop())).then(() => this.#end());
  }
}
