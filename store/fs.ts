/** Storage on a local disk. Every state that a crash can leave behind is a valid store. */

import * as fsNow from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Expected } from "../src/catalog/generation-types.ts";
import { type BeginSums, type StreamSums, type Sums, sumsHere } from "../src/digest.ts";
import { Failure, reason } from "../src/errors.ts";
import { type Ready, whenReady } from "../src/ready.ts";
import { errorCode, explainDiskError, isLinkUnsupported, undefinedIfMissing } from "./diskerrors.ts";
import { ADVICE, DiskObject, pathOf, readFailure, readRange } from "./diskobject.ts";
import { TRASH } from "./keys.ts";
import { writeAt } from "./rawfile.ts";
import { withSpare } from "./spare.ts";
import {
  type CreateOptions,
  checkExpected,
  type LeftStage,
  type ObjectKind,
  type Stage,
  type StageOptions,
  type Storage,
  type StoredObject,
  stageIsGone,
} from "./storage.ts";

const TMP = "tmp";

/** Bytes of a stage that are written by this thread: to hand them to another takes more of its time, and three times as much in all. */
const AT_ONCE = 2 ** 16;

/** Files whose syncs begin together: to wake the threads that do it takes longer than to sync a small file. */
const SYNCED_TOGETHER = 64;
/** Files that are open until they are synced. */
const MAX_UNSYNCED = 2 * SYNCED_TOGETHER;

const MODES: Readonly<Record<ObjectKind, { readonly file: number; readonly folder: number }>> = {
  immutable: { file: 0o444, folder: 0o755 },
  mutable: { file: 0o644, folder: 0o755 },
  secret: { file: 0o600, folder: 0o700 },
  transient: { file: 0o644, folder: 0o755 },
};

/** A file in tmp/: `LEASE.UUID`, or `none.UUID`. Versions before leases wrote `HOST.PID.UUID`. */
const STAGE_NAME = /^([0-9a-f-]{36})\.[0-9a-f-]{36}$/;

export interface DiskOptions {
  /** false only in tests: a crash of the machine may then lose committed objects */
  readonly sync?: boolean;
  /** where what is written is hashed; in this thread by default */
  readonly sums?: BeginSums;
}

export class Disk implements Storage {
  readonly place: string;
  readonly #sync: boolean;
  readonly #sums: BeginSums;
  #owner: { uid: number; gid: number } | undefined;
  #ownsNewFiles = false;
  /** folders with a new, renamed or removed entry since the last sync */
  readonly #touched = new Set<string>();
  /** folders that were touched at least once */
  readonly #known = new Set<string>();
  #flushed: Promise<void> = Promise.resolve();
  /** of files that are written, to begin their syncs */
  #unsynced: (() => void)[] = [];
  /** files that are written and not synced */
  #open = 0;
  #waiting: (() => void)[] = [];
  /** the name of a stage is this and its number: 23,000 paths would take 3 MB */
  readonly #stagesBegin = crypto.randomUUID().slice(0, -12);
  #stages = 0;
  #preparing: Promise<void> | undefined;
  #isPrepared = false;

  constructor(folder: string, { sync = true, sums = sumsHere }: DiskOptions = {}) {
    this.place = resolve(folder);
    this.#sync = sync;
    this.#sums = sums;
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const path = this.#path(key);
    const stat = await this.#reading(() => undefinedIfMissing(fs.stat(path)));
    return stat?.isFile() ? new DiskObject(path, stat) : undefined;
  }

  has(key: string): boolean {
    return fsNow.existsSync(`${this.place}/${key}`); // join would take a third of the time
  }

  async list(prefix: string): Promise<string[]> {
    const names = (await this.#reading(() => undefinedIfMissing(entriesOf(this.#path(prefix))))) ?? [];
    return names.toSorted().map((name) => prefix + name);
  }

  stage(kind: ObjectKind = "immutable", { also, lease, size }: StageOptions = {}): Promise<Stage> {
    return this.guard(() =>
      whenReady(this.#prepared(), () => new DiskStage(this, lease, (this.#stages += 1), kind, this.#sums(also, size))),
    );
  }

  staged(): Promise<LeftStage[]> {
    return this.guard(async () => {
      const left: LeftStage[] = [];
      for (const name of (await undefinedIfMissing(fs.readdir(this.#path(TMP)))) ?? []) {
        const path = join(this.#path(TMP), name);
        const stat = await undefinedIfMissing(fs.stat(path));
        const discard = () => this.guard(() => undefinedIfMissing(fs.unlink(path)));
        if (stat?.isFile()) left.push({ lease: STAGE_NAME.exec(name)?.[1], modified: stat.mtimeMs, discard });
      }
      return left;
    });
  }

  create(key: string, bytes: Uint8Array, { lease, needs = [], lastLook }: CreateOptions = {}): Promise<boolean> {
    return this.guard(async () => {
      const stage = await this.stage("immutable", { lease });
      try {
        await stage.write(bytes);
        await stage.end();
        await (stage as DiskStage).landed(); // who removes what is left of this process must find it, if the last look was too early
        await lastLook?.();
        for (const needed of needs) this.#touch(dirname(this.#path(needed))); // a file is synced before it is renamed, its folder later
        return await (stage as DiskStage).link(key);
      } finally {
        await stage.discard().catch(() => {}); // what is left in tmp/ changes nothing
      }
    });
  }

  move(from: string, to: string): Promise<boolean> {
    return this.guard(async () => {
      const [source, target] = [this.#path(from), this.#path(to)];
      await this.#prepared();
      const rename = () => undefinedIfMissing(fs.rename(source, target).then(() => true));
      let moved = await rename();
      if (!moved && fsNow.existsSync(source)) {
        await this.#mkdir(dirname(target)); // the target's folder was missing, not the source
        moved = await rename();
      }
      if (moved) for (const path of [source, target]) this.#touch(dirname(path));
      return moved ?? false;
    });
  }

  remove(key: string): Promise<boolean> {
    return this.guard(async () => {
      const removed = await undefinedIfMissing(fs.unlink(this.#path(key)).then(() => true));
      if (removed) this.#touch(dirname(this.#path(key)));
      return removed ?? false;
    });
  }

  clock(): Promise<number> {
    return this.guard(async () => {
      const path = await this.#tmpPath();
      try {
        await fs.writeFile(path, "");
        return (await fs.stat(path)).mtimeMs;
      } catch (error) {
        if (!["ENOSPC", "EDQUOT"].includes(errorCode(error))) throw error;
        await fs.chmod(this.#path(TMP), 0o755); // needs no inode, and the file system notes its time
        return (await fs.stat(this.#path(TMP))).ctimeMs;
      } finally {
        await undefinedIfMissing(fs.unlink(path));
      }
    });
  }

  /** Hard-links an object of another disk. False: the file systems do not allow it, there is none, or there is an object of that name. */
  link(from: Storage, key: string): Promise<boolean> {
    return this.guard(async () => {
      if (!(from instanceof Disk)) return false;
      await this.#prepared();
      await this.#mkdir(dirname(this.#path(key)));
      try {
        await fs.link(from.#path(key), this.#path(key));
      } catch (error) {
        if (["EXDEV", "ENOENT", "EEXIST"].includes(errorCode(error)) || isLinkUnsupported(error)) return false;
        throw error;
      }
      this.#touch(dirname(this.#path(key)));
      return true;
    });
  }

  /** Free bytes for this user. */
  async free(): Promise<number> {
    return (await this.room()).free;
  }

  /** Bytes of the file system, and those of it that are free for this user. */
  async room(): Promise<{ readonly size: number; readonly free: number }> {
    const { blocks, bavail, bsize } = await fs.statfs(this.place);
    return { size: blocks * bsize, free: bavail * bsize };
  }

  /** Creates the folder. Fails if its file system has no hard links, which publishing needs. */
  prepare(): Promise<void> {
    return this.guard(async () => {
      await this.#mkdir(this.place);
      await this.#adopt();
      const [a, b] = [await this.#tmpPath(), await this.#tmpPath()];
      try {
        await fs.writeFile(a, "");
        await fs.link(a, b);
      } catch (error) {
        if (!isLinkUnsupported(error)) throw error;
        throw new Failure("failed", `cannot keep a store in ${this.place}: its file system has no hard links (${errorCode(error)})`, {
          next: "choose a folder on ext4, xfs, btrfs, zfs or apfs",
          cause: error,
        });
      } finally {
        await Promise.all([a, b].map((path) => undefinedIfMissing(fs.unlink(path))));
      }
    });
  }

  /** Internal to this file, like `createFile` and those below it up to `slot`, and `guard`: gives a staged file its name. False: the link lost to a concurrent one. */
  async install(from: string, key: string, how: "rename" | "link", kind: ObjectKind): Promise<boolean> {
    const to = this.#path(key);
    const isDurable = kind !== "transient";
    const folder = dirname(to);
    if (!(how === "rename" && this.#known.has(folder))) await this.#mkdir(folder, MODES[kind].folder);
    if (how === "rename") {
      try {
        fsNow.renameSync(from, to); // it takes less than to ask another thread for it
      } catch (error) {
        throw errorCode(error) === "ENOENT" && !fsNow.existsSync(from) ? stageIsGone(this.place) : error;
      }
      if (isDurable) this.#touch(folder);
      return true;
    }
    await this.flush();
    const won = await undefinedIfMissing(this.#link(from, to));
    if (won === undefined) throw stageIsGone(this.place);
    this.#touch(dirname(to));
    await this.flush().catch((error: unknown) => {
      if (!won) throw error;
      throw new Failure("published", `a power cut may take ${key} back: ${reason(error)}`, { cause: error });
    });
    return won;
  }

  async #link(from: string, to: string): Promise<boolean> {
    try {
      await fs.link(from, to);
      return true;
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
      // A network file system may have made the link and lost the reply: a link count of 2 on our own file means that we won.
      return (await fs.stat(from)).nlink === 2;
    }
  }

  /** Makes a new file. Throws. */
  createFile(path: string, kind: ObjectKind): number {
    return fsNow.openSync(path, "wx", this.#ownsNewFiles ? MODES[kind].file : 0o600);
  }

  /** Gives a file its owner and mode, as far as the call that made it could not. Throws. */
  finish(file: number, kind: ObjectKind): void {
    if (this.#ownsNewFiles) return;
    if (this.#owner) fsNow.fchownSync(file, this.#owner.uid, this.#owner.gid);
    fsNow.fchmodSync(file, MODES[kind].file);
  }

  /** Syncs a file that is written, and closes it: a short one with others, or once `beginSyncs` is called. Rejects with the error of the sync. */
  closeSynced(file: number, kind: ObjectKind, size: number): Promise<void> {
    return new Promise((done, failed) => {
      if (!this.#sync || kind === "transient") return done(fsNow.closeSync(file));
      this.#open += 1;
      const ended = (error: Error | null) => {
        this.#open -= 1;
        this.#waiting.shift()?.();
        try {
          fsNow.closeSync(file);
          if (error) failed(error);
          else done();
        } catch (notClosed) {
          failed(error ?? notClosed);
        }
      };
      this.#unsynced.push(() => fsNow.fsync(file, ended));
      if (size > AT_ONCE || this.#unsynced.length >= SYNCED_TOGETHER) this.beginSyncs();
    });
  }

  beginSyncs(): void {
    const begins = this.#unsynced;
    this.#unsynced = [];
    for (const begin of begins) begin();
  }

  /** Waits while `MAX_UNSYNCED` files are open until they are synced. */
  slot(): Ready<void> {
    return this.#open < MAX_UNSYNCED ? undefined : this.#slotLater();
  }

  async #slotLater(): Promise<void> {
    while (this.#open >= MAX_UNSYNCED) {
      this.beginSyncs();
      await new Promise<void>((resume) => void this.#waiting.push(resume));
    }
  }

  /** Syncs every touched folder. A flush waits for those that began before it, so all that was touched before is durable. */
  flush(others: readonly string[] = []): Promise<void> {
    for (const other of others) this.#touch(dirname(this.#path(other)));
    this.#flushed = this.#flushed.then(
      () => this.#flush(),
      () => this.#flush(),
    );
    return this.#flushed;
  }

  #flush(): Promise<void> {
    return this.guard(async () => {
      if (!this.#sync) return this.#touched.clear();
      for (const folder of this.#touched) {
        this.#touched.delete(folder);
        try {
          const handle = await fs.open(folder, "r");
          try {
            await handle.sync();
          } finally {
            await handle.close();
          }
        } catch (error) {
          if (!folder.startsWith(this.place) && errorCode(error) !== "EIO") continue; // the folder above the store may be another's
          this.#touched.add(folder); // it is not durable yet
          throw error;
        }
      }
    });
  }

  /** Notes that a folder has changed, and the first time also those above it: who made it may have ended before it was durable. */
  #touch(folder: string): void {
    this.#touched.add(folder);
    if (this.#known.has(folder)) return;
    this.#known.add(folder);
    for (let above = folder; above.length >= this.place.length; above = dirname(above)) this.#touched.add(dirname(above));
  }

  /** Runs `work` and explains its disk errors. */
  guard<T>(work: () => Ready<T>): Promise<T> {
    const explain = (error: unknown): never => {
      throw explainDiskError(error, this.place, ADVICE);
    };
    try {
      const done = work();
      return done instanceof Promise ? done.catch(explain) : Promise.resolve(done);
    } catch (error) {
      return Promise.reject(explainDiskError(error, this.place, ADVICE));
    }
  }

  async #reading<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await readFailure(error, this.place, pathOf(error) ?? this.place);
    }
  }

  #path(key: string): string {
    return join(this.place, key);
  }

  #tmpPath(): Ready<string> {
    return whenReady(this.#prepared(), () => this.stagePath(undefined, (this.#stages += 1)));
  }

  /** Internal to this file. */
  stagePath(lease: string | undefined, number: number): string {
    return `${this.place}/${TMP}/${lease ?? "none"}.${this.#stagesBegin}${number.toString(16).padStart(12, "0")}`;
  }

  /** Runs once before the first change: finds the owner of new files, and creates tmp/ and trash/. */
  #prepared(): Ready<void> {
    if (this.#isPrepared) return undefined;
    this.#preparing ??= this.#adopt()
      .then(() => this.#mkdir(this.#path(TMP)))
      // Where no inode is free, gc needs it and cannot make it.
      .then(() => this.#mkdir(this.#path(TRASH.slice(0, -1))).catch(() => {}))
      .then(() => void (this.#isPrepared = true));
    return this.#preparing;
  }

  /** As root, new files get the owner of the store's folder. */
  async #adopt(): Promise<void> {
    await this.#findOwner();
    this.#ownsNewFiles = this.#owner === undefined && (process.umask() & 0o644) === 0;
  }

  async #findOwner(): Promise<void> {
    if (process.getuid?.() !== 0) return;
    const stat = await undefinedIfMissing(fs.stat(this.place));
    this.#owner = stat && stat.uid !== 0 ? { uid: stat.uid, gid: stat.gid } : undefined;
  }

  async #mkdir(folder: string, mode = 0o755): Promise<void> {
    if (fsNow.existsSync(folder)) return;
    await this.#mkdir(dirname(folder));
    try {
      await fs.mkdir(folder, { mode }); // a crash before the chmod must not leave secrets/ open
    } catch (error) {
      if (errorCode(error) === "EEXIST") return;
      throw error;
    }
    await fs.chmod(folder, mode); // whatever the umask: `serve` may run as another user
    if (this.#owner) await fs.chown(folder, this.#owner.uid, this.#owner.gid);
    this.#touched.add(dirname(folder));
  }
}

class DiskStage implements Stage {
  readonly #disk: Disk;
  readonly #lease: string | undefined;
  readonly #number: number;
  readonly #kind: ObjectKind;
  #hashed: StreamSums | undefined;
  #sums: Sums | undefined;
  #size = 0;
  /** its descriptor, while it is written: a FileHandle that nobody closes ends the process when it is collected */
  #file: number | undefined;
  /** the last write by another thread, which must have ended before the descriptor is of another file */
  #writing: Promise<unknown> | undefined;
  /** whether there is a file, which may be of another process by now */
  #isBegun = false;
  #synced: Promise<void> | undefined;
  #committed = false;

  constructor(disk: Disk, lease: string | undefined, number: number, kind: ObjectKind, sums: StreamSums) {
    [this.#disk, this.#lease, this.#number, this.#kind, this.#hashed] = [disk, lease, number, kind, sums];
  }

  get #path(): string {
    return this.#disk.stagePath(this.#lease, this.#number);
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#disk.guard(() => {
      const hashed = this.#open();
      const file = this.#created();
      this.#size += chunk.byteLength;
      if (this.#size > AT_ONCE) {
        const written = writeAt(file, chunk, this.#size - chunk.byteLength);
        this.#writing = written.catch(() => {});
        return Promise.all([written, hashed.update(chunk)]).then(() => undefined); // while the disk writes
      }
      for (let at = 0; at < chunk.byteLength; ) at += fsNow.writeSync(file, chunk, at);
      return hashed.update(chunk);
    });
  }

  #created(): number {
    this.#file ??= this.#disk.createFile(this.#path, this.#kind);
    this.#isBegun = true;
    return this.#file;
  }

  end(): Promise<Sums> {
    return this.#disk.guard(() =>
      whenReady(this.#open().sums(), (sums) => {
        this.#sums = sums;
        this.#hashed = undefined;
        const file = this.#created();
        this.#disk.finish(file, this.#kind);
        return whenReady(this.#disk.slot(), () => {
          this.#file = undefined;
          this.#synced = this.#disk.closeSynced(file, this.#kind, this.#size);
          this.#synced.then(() => (this.#synced = undefined)).catch(() => {}); // commit waits for it, and fails with its error
          return sums;
        });
      }),
    );
  }

  /** After its end: waits until it is on the disk. */
  async landed(): Promise<void> {
    this.#disk.beginSyncs();
    await this.#synced;
  }

  bytes(start: number, end: number): Promise<Uint8Array> {
    return this.#disk.guard(async () => {
      await this.landed();
      return readRange(this.#path, start, end);
    });
  }

  commit(key: string, expected: Expected = {}): Promise<void> {
    return this.#disk.guard(async () => {
      await this.landed();
      if (!this.#sums) throw new Error("internal error: a stage is used before its end");
      checkExpected(this.#sums, expected);
      await this.#disk.install(this.#path, key, "rename", this.#kind);
      this.#committed = true;
    });
  }

  /** After it has landed. */
  link(key: string): Promise<boolean> {
    return this.#disk.install(this.#path, key, "link", this.#kind);
  }

  async discard(): Promise<void> {
    if (this.#committed) return;
    this.#hashed?.discard();
    this.#hashed = undefined;
    await this.#writing;
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) fsNow.closeSync(file);
    const isWritten = await this.landed().then(
      () => this.#isBegun,
      () => false,
    );
    const removed = this.#disk.guard(() => undefinedIfMissing(fs.unlink(this.#path)));
    await (isWritten ? removed : removed.catch(() => {})); // what failed is said already, and where nothing can be written there is nothing
  }

  #open(): StreamSums {
    if (!this.#hashed) throw new Error("internal error: a stage is used after its end");
    return this.#hashed;
  }
}

function entriesOf(folder: string): Promise<string[]> {
  return withSpare(
    () => fs.readdir(folder),
    () => fsNow.readdirSync(folder),
  );
}
