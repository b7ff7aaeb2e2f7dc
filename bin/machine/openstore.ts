/** Finds, opens and creates the store of a command. */

import { accessSync, constants, existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Failure, printable } from "../../src/errors.ts";
import { Disk, type DiskOptions } from "../../store/fs.ts";
import { FORMAT_KEY, isOfStore } from "../../store/keys.ts";
import { endLeases } from "../../store/lease.ts";
import type { Bucket } from "../../store/s3.ts";
import { Store } from "../../store/store.ts";
import { bucketOf, isBucket, type ServedBucket } from "./bucket.ts";
import { type CommonOptions, type Io, note, showSize } from "./io.ts";
import { storeKeyOf } from "./storekey.ts";

const SYSTEM_STORE = "/var/lib/chp";

/** Where what is written into a store is hashed; in this thread by default. */
export type Hashing = Pick<DiskOptions, "sums">;

/** The store of a command, wherever it is. Reads nothing of it. */
export function storageOf(options: CommonOptions, io: Io, how: Hashing = {}): Disk | Bucket {
  return storageAt(storeFolder(options, io), io, how);
}

/** A folder, or a bucket by its s3:// name. */
export function storageAt(place: string, io: Pick<Io, "environment">, options: ServedBucket = {}): Disk | Bucket {
  return isBucket(place) ? bucketOf(place, io, options) : new Disk(place, options.sums && { sums: options.sums });
}

/** The folder of the store, or its bucket. Prints it if --store and CHP_STORE did not name it. */
export function storeFolder(options: CommonOptions, io: Io): string {
  if (options.store !== undefined) return options.store;
  const own = join(io.environment["XDG_DATA_HOME"] || join(io.environment["HOME"] || homedir(), ".local", "share"), "chp");
  if (existsSync(SYSTEM_STORE) && existsSync(own))
    throw new Failure("usage", `there are stores in ${SYSTEM_STORE} and in ${own}`, { next: "say which one is meant with --store DIR" });
  const folder = existsSync(SYSTEM_STORE) || (!existsSync(own) && mayWrite(dirname(SYSTEM_STORE))) ? SYSTEM_STORE : own;
  note(`using the store in ${folder} (name another with --store DIR)`, options, io);
  return folder;
}

function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export function openStore(options: CommonOptions, io: Io, how: Hashing = {}): Promise<Store> {
  return Store.open(storageOf(options, io, how)).then((store) => signing(store, io));
}

/** Fails with `corrupt` if a part of the store is unreadable. To be called after everything readable is printed. */
export async function failOnDamage(store: Store): Promise<void> {
  const next = "chp verify shows what is damaged and what to import again";
  if (store.damage) {
    const isNewer = store.damage.kind === "store-too-new";
    throw new Failure(store.damage.kind, `an older generation was read: ${store.damage.message}`, {
      next: isNewer ? "use a newer chp" : next,
    });
  }
  const unreadable = await (await store.snapshot()).unreadable();
  if (unreadable.length > 0)
    throw new Failure("corrupt", `left out: ${unreadable.map(({ name }) => name).join(", ")}: not readable`, { next });
}

/** Opens the store, creates it first if it does not exist, and removes what processes left that are gone. */
export async function openOrCreateStore(options: CommonOptions, io: Io, how: Hashing = {}): Promise<Store> {
  const storage = storageOf(options, io, how);
  const other = (await storage.has(FORMAT_KEY)) ? undefined : (await storage.list("")).find((name) => !isOfStore(name));
  if (other !== undefined)
    throw new Failure("usage", `${printable(storage.place)} is not a store, and has other files, like ${printable(other, 100)}`, {
      next: isBucket(storage.place)
        ? "name a prefix of the bucket that has nothing yet: --store s3://BUCKET/PREFIX"
        : "name a folder that is empty or not there yet with --store DIR",
    });
  const store = await Store.openOrCreate(storage);
  if (storage instanceof Disk) await endLeases(storage);
  return signing(store, io);
}

/** Reads the store key when something is published. */
function signing(store: Store, io: Io): Store {
  store.key = () => storeKeyOf(store, io);
  return store;
}

/** Runs `work` on the store, or on a temporary one if it does not exist yet. */
export async function withStoreUnchanged<T>(
  options: CommonOptions,
  io: Io,
  work: (store: Store) => Promise<T>,
  how: Hashing = {},
): Promise<T> {
  const store = await Store.openOrAwait(storageOf(options, io, how));
  if (store.exists) return work(store);
  const folder = await mkdtemp(join(tmpdir(), "chp-dry-run-"));
  try {
    return await work(await Store.openOrCreate(new Disk(folder, how)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Fails if the disk of a folder has less than `needed` bytes free. `what`: for the message, like `import into`. For a bucket it is that of what is
 * staged here.
 */
export async function checkSpace(what: string, place: string, needed: number, { next }: { readonly next: string }): Promise<void> {
  const folder = isBucket(place) ? tmpdir() : place;
  const free = await new Disk(folder).free().catch(() => undefined);
  if (free === undefined || needed <= free) return;
  throw new Failure("failed", `cannot ${what} ${printable(folder)}: ${showSize(needed)} are needed and ${showSize(free)} are free`, {
    next,
  });
}
