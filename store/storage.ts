/**
 * The interface under the store: keys and bytes, which are hashed while they are written. It knows nothing of packages or HTTP.
 *
 * A key is a relative path of letters, digits, `.`, `_`, `-` and `/`; only keys.ts makes them. Every implementation
 * passes test/store/storage.test.ts.
 */

import type { Expected } from "../src/catalog/generation-types.ts";
import { type Algorithm, type Sums } from "../src/digest.ts";
import { Failure, reason } from "../src/errors.ts";

export interface Storage {
  /** the folder, or another name for messages */
  readonly place: string;

  /**
   * Milliseconds after which a reader sees at the latest what another process published. Undefined: it sees it at once, as on a disk, and to
   * look costs nothing. Otherwise a look is a request, so readers look once in that time.
   */
  readonly lag?: number;

  /** Milliseconds after its last look within which a `create` takes effect or never does. Undefined: see lease.ts. */
  readonly createLife?: number;

  /** Undefined: there is no such object. Only mutable and secret objects can change; `bytes()` without a range reads one state, old or new. */
  open(key: string): Promise<StoredObject | undefined>;

  /** Whether the object exists now, never cached. Without a promise where it can be: a server asks in every turn of the event loop that has a request. */
  has(key: string): boolean | Promise<boolean>;

  /** Sorted keys directly below `prefix`, a folder with its `/`. */
  list(prefix: string): Promise<string[]>;

  /** Begins a new object, which is invisible until it is committed. */
  stage(kind?: ObjectKind, how?: StageOptions): Promise<Stage>;

  /** Everything that is staged and not committed, by any process; before its first bytes an object may not be among it yet. */
  staged(): Promise<LeftStage[]>;

  /**
   * Makes every object committed so far durable, then creates `key` with `bytes` and makes it durable. False if the key
   * exists: of concurrent calls for the same key exactly one returns true. After a crash the object is complete or absent. Fails with
   * `published` if the object is there and a later step failed; otherwise a failure creates nothing, also if its stage was discarded meanwhile.
   */
  create(key: string, bytes: Uint8Array, how?: CreateOptions): Promise<boolean>;

  /** Renames an object and replaces an object at `to`. False: there is no object at `from`. */
  move(from: string, to: string): Promise<boolean>;

  /** Deletes an object. False: there is none. */
  remove(key: string): Promise<boolean>;

  /**
   * Prepares the removal of an object, which takes effect within a minute of now or never, whenever it is carried out. Where a storage
   * can do that, gc needs no leases and no renames: see marks.ts.
   */
  prepareRemoval?(key: string): Removal;

  /** Waits; undefined: by a timer. */
  readonly sleep?: (milliseconds: number) => Promise<unknown>;

  /** Every object below `prefix`, at any depth, sorted. Undefined: `list` and `open` cost as little. */
  walk?(prefix: string): AsyncIterable<Entry>;

  /** Makes all commits, moves and removals so far durable. `others`: keys of objects that other processes may have committed or removed, too. */
  flush(others?: readonly string[]): Promise<void>;

  /** The current time in milliseconds, by the clock that `modified` comes from. */
  clock(): Promise<number>;
}

/** Permissions of an object: read-only for all, writable by its owner, or readable by its owner alone. `transient`: as mutable, and never made durable. */
export type ObjectKind = "immutable" | "mutable" | "secret" | "transient";

export interface Removal {
  readonly key: string;
  /** Fails where it is too late, or where nobody knows whether it took effect. */
  carryOut(): Promise<void>;
}

export interface Entry {
  readonly key: string;
  /** bytes */
  readonly size: number;
  /** time of the last write, in milliseconds of the storage's clock */
  readonly modified: number;
}

export interface StageOptions {
  /** digests besides sha256 */
  readonly also?: readonly Algorithm[] | undefined;
  /** see lease.ts */
  readonly lease?: string | undefined;
  /** how many bytes it will have, as far as known: decides nothing but where they are hashed */
  readonly size?: number | undefined;
}

export interface CreateOptions {
  /** see lease.ts */
  readonly lease?: string;
  /** Stored objects that are made durable before the object gets its name, also those that another process committed. */
  readonly needs?: readonly string[];
  /** Called when the bytes are staged, before the object gets its name. If it fails, so does `create`, and there is no object. */
  readonly lastLook?: () => Promise<void>;
}

/** A stage that may be of another process. */
export interface LeftStage {
  /** the lease that it was begun under */
  readonly lease: string | undefined;
  /** time of the last write, in milliseconds of the storage's clock */
  readonly modified: number;
  /** Deletes the staged bytes. From then on they cannot be committed or created. */
  discard(): Promise<void>;
}

export interface StoredObject {
  /** bytes */
  readonly size: number;
  /** permission bits, where the storage has them */
  readonly mode?: number;
  /** time of the last write, in milliseconds of the storage's clock */
  readonly modified: number;
  /** A body for a Response: bytes from `start` to `end`, exclusive. */
  body(start?: number, end?: number): BodyInit | Promise<BodyInit>;
  bytes(start?: number, end?: number): Promise<Uint8Array>;
  /** All its bytes in pieces, of which each is valid until the next is asked for; undefined: by `bytes`. */
  pieces?(): AsyncIterable<Uint8Array>;
  /** A URL by which clients read it from the storage itself, for a while; undefined: they are not sent there. */
  location?(reply: { readonly type: string; readonly disposition?: string }): string;
}

export interface Stage {
  /** Appends; the chunk may be reused once the promise is resolved. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends writing and starts the sync, which `commit` waits for. Returns size and digests. */
  end(): Promise<Sums>;
  /** The staged bytes from `start` to `end`, exclusive. Only after `end()`. */
  bytes(start: number, end: number): Promise<Uint8Array>;
  /**
   * Makes the object visible as `key`, atomically, and replaces an existing one. Only after `end()`. Fails with `corrupt`,
   * and changes nothing, if size or digest are not as expected. Where `prepareRemoval` is there, it may be called again, and makes sure that
   * the object is there.
   */
  commit(key: string, expected?: Expected): Promise<void>;
  /** Deletes the staged bytes; does nothing after a commit. */
  discard(): Promise<void>;
}

/** The failure of a commit or create whose stage another process discarded. */
export function stageIsGone(place: string): Failure {
  return new Failure("failed", `cannot write to ${place}: another chp took this one for dead and removed what it had written`, {
    next: "run the same command again; nothing was published",
    cause: STAGE_IS_GONE,
  });
}

const STAGE_IS_GONE = new Error("the stage is gone");

/** Whether that is why nothing was published: the same again can succeed. */
export function isStageGone(error: unknown): boolean {
  return error === STAGE_IS_GONE || (error instanceof Error && isStageGone(error.cause));
}

/** The first step of every `commit`. Fails with `corrupt` if size or digest are not as expected. */
export function checkExpected(sums: Sums, { size = sums.size, digest = sums["sha-256"], what = "what was staged", next }: Expected): void {
  const hint = next === undefined ? {} : { next };
  if (sums.size !== size) throw new Failure("corrupt", `${what} has ${sums.size} bytes instead of ${size}`, hint);
  if (sums["sha-256"] !== digest) throw new Failure("corrupt", `${what} content does not match its checksum`, hint);
}

/** Bytes of a piece of an object. */
export const PIECE = 4 * 2 ** 20;

/** So many bytes in pieces, of which the next is read while one is used. */
export async function* piecesOf(size: number, read: (start: number, end: number) => Promise<Uint8Array>): AsyncGenerator<Uint8Array> {
  const piece = (at: number) => (at < size ? read(at, Math.min(size, at + PIECE)) : undefined);
  let next = piece(0);
  try {
    for (let at = PIECE; next; at += PIECE) {
      const bytes = await next;
      next = piece(at);
      next?.catch(() => {}); // it is waited for, unless nobody wants it any more
      yield bytes;
    }
  } finally {
    await next?.catch(() => {});
  }
}

/** An object in pieces, of which each is valid until the next is asked for. */
export function readPieces(object: StoredObject): AsyncIterable<Uint8Array> {
  return object.pieces?.() ?? piecesOf(object.size, (start, end) => object.bytes(start, end));
}

/** All bytes of an object, or those of a range; `what` names it. A read error of the disk (EIO) is a `corrupt` failure too. */
export async function readObject(
  object: StoredObject,
  what: string,
  ...range: readonly [start?: number, end?: number]
): Promise<Uint8Array> {
  try {
    return await object.bytes(...range);
  } catch (error) {
    throw unreadable(error, what);
  }
}

/** What to throw for an error of reading `what`. */
export function unreadable(error: unknown, what: string): unknown {
  if (!(error instanceof Error && "code" in error && error.code === "EIO")) return error;
  return new Failure("corrupt", `${what} cannot be read: ${reason(error).split(",")[0]}`, { next: "chp verify shows more", cause: error });
}
