/**
 * The seam under the store: keys and bytes, which are hashed while they are written. It knows no packages or HTTP.
 *
 * A key is a relative path of letters, digits, `.`, `_`, `-` and `/`; only keys.ts makes them. Every implementation
 * passes test/store/storage.test.ts.
 */

import type { Expected } from "../src/catalog/generation-types.ts";
import { type Algorithm, type Sums } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";

export interface Storage {
  /** where it is, for messages */
  readonly place: string;

  /** The object of that name, or undefined. What is not mutable never changes; of the rest `bytes()` reads one state, old or new. */
  open(key: string): Promise<StoredObject | undefined>;

  /** Whether an object of that name is visible now. Synchronous and never cached: a server asks it in every turn that has a request. */
  has(key: string): boolean;

  /** Keys that begin with `prefix`, a folder with its `/`, in order. */
  list(prefix: string): Promise<string[]>;

  /** Room for the bytes of a new object, invisible until it is committed. `also`: what to compute besides sha256. */
  stage(kind?: ObjectKind, also?: readonly Algorithm[]): Promise<Stage>;

  /**
   * Makes every object committed so far durable, then creates `key` with `bytes`, durable too. False if the key exists
   * by then: of several that create one key at the same time exactly one gets true. A crash leaves all of it or nothing.
   */
  create(key: string, bytes: Uint8Array): Promise<boolean>;

  /** Gives an object another name, over one that has it. False where there is none of the first name. */
  move(from: string, to: string): Promise<boolean>;

  /** Takes an object away. False where there is none. */
  remove(key: string): Promise<boolean>;

  /** Makes what was committed, moved and removed so far durable. */
  flush(): Promise<void>;

  /** The time of the clock that objects get their times from, in milliseconds. */
  clock(): Promise<number>;
}

/** How an object is kept: read-only for all, writable by its owner, or readable by its owner alone. */
export type ObjectKind = "immutable" | "mutable" | "secret";

export interface StoredObject {
  /** bytes */
  readonly size: number;
  /** permission bits, where the storage has them */
  readonly mode?: number;
  /** when it was written, in milliseconds of the storage's clock */
  readonly modified: number;
  /** A body for a Response: bytes from `start` up to, not including, `end`. */
  body(start?: number, end?: number): BodyInit;
  bytes(start?: number, end?: number): Promise<Uint8Array>;
}

export interface Stage {
  /** Appends; the chunk may be re-used after the promise resolved. */
  write(chunk: Uint8Array): Promise<void>;
  /** No more writes. The bytes are on their way to the disk: `commit` waits for them. Returns their size and digests. */
  end(): Promise<Sums>;
  /** Bytes written so far, from `start` up to, not including, `end`. After `end` only. */
  bytes(start: number, end: number): Promise<Uint8Array>;
  /**
   * Makes the bytes visible as `key`, whole. An object of that name is replaced. After `end` only. Fails with `corrupt`
   * where they are not what is expected, and leaves everything as it was.
   */
  commit(key: string, expected?: Expected): Promise<void>;
  /** Forgets the bytes; does nothing after a commit. */
  discard(): Promise<void>;
}

/** What every `commit` begins with. Fails with `corrupt` where the bytes are not what is expected. */
export function checkExpected(sums: Sums, { size = sums.size, digest = sums["sha-256"], what = "what was staged", next }: Expected): void {
  const hint = next === undefined ? {} : { next };
  if (sums.size !== size) throw new Failure("corrupt", `${what} has ${sums.size} bytes instead of ${size}`, hint);
  if (sums["sha-256"] !== digest) throw new Failure("corrupt", `${what} has other bytes than its name says`, hint);
}
