/** The storage of one process of a machine: the same calls of the system, in the same order, as store/fs.ts makes. */

import { dirname } from "node:path/posix";
import type { Expected } from "../../src/catalog/generation-types.ts";
import { type Algorithm, type Sums, sumsOf } from "../../src/digest.ts";
import { explainDiskError } from "../../store/diskerrors.ts";
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
} from "../../store/storage.ts";
import type { Machine, Process } from "./machine.ts";

const READ = ["EIO"];
const WRITE = ["EIO", "ENOSPC"];
const MODES: Readonly<Record<ObjectKind, number>> = { immutable: 0o444, mutable: 0o644, secret: 0o600, transient: 0o644 };

export interface DiskHooks {
  /** before an object is gone */
  removing(key: string): void;
  /** whether `has` answers at once, as on a disk, or with a promise */
  readonly isPrompt: boolean;
  /** put back on purpose: nothing is synced */
  readonly syncsNothing?: boolean;
}

export class SimulatedDisk implements Storage {
  readonly place: string;
  readonly #machine: Machine;
  readonly #process: Process;
  readonly #hooks: DiskHooks;
  readonly #touched = new Set<string>();
  readonly #known = new Set<string>();
  #flushed: Promise<void> = Promise.resolve();
  #lease = "";

  constructor(machine: Machine, process: Process, place: string, hooks: DiskHooks) {
    this.#machine = machine;
    this.#process = process;
    this.place = place;
    this.#hooks = hooks;
  }

  async prepare(): Promise<void> {
    await this.#write();
    this.#mkdir("tmp/x");
  }

  async open(key: string): Promise<StoredObject | undefined> {
    await this.#read();
    const path = this.#path(key);
    const file = this.#machine.files.all.get(path);
    if (!file) return undefined;
    const read = async (start = 0, end = Number.POSITIVE_INFINITY) => {
      await this.#read();
      // A file is opened by its name when it is read.
      const now = this.#machine.files.all.get(path);
      if (!now) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
      const { codes, rate, most = Number.POSITIVE_INFINITY } = this.#process.faults;
      if (codes.includes("short") && this.#process.failed < most && this.#machine.random() < rate) {
        this.#process.failed += 1;
        throw Object.assign(new Error(`EIO: ${path} ends early`), { code: "EIO" });
      }
      return now.bytes.slice(start, end);
    };
    return {
      size: file.bytes.byteLength,
      mode: file.mode,
      modified: file.modified,
      bytes: read,
      body: async (start, end) => new Uint8Array(await read(start, end)),
    };
  }

  has(key: string): boolean | Promise<boolean> {
    const look = () => this.#machine.files.has(this.#path(key));
    return this.#hooks.isPrompt ? look() : this.#machine.step(this.#process).then(look);
  }

  async list(prefix: string): Promise<string[]> {
    const folder = this.#path(prefix).replace(/\/$/, "");
    if (!this.#machine.files.folders.has(folder)) return []; // most folders of blobs: no turn is spent on them
    await this.#read();
    return this.#machine.files.list(folder).map((name) => prefix + name);
  }

  async staged(): Promise<LeftStage[]> {
    const keys = await this.list("tmp/");
    return keys.flatMap((key) => {
      const file = this.#machine.files.all.get(this.#path(key));
      const lease = /^tmp\/([0-9a-f-]{36})\./.exec(key)?.[1];
      const discard = async () => {
        await this.#write();
        this.#machine.files.unlink(this.#path(key));
      };
      return file ? [{ lease, modified: file.modified, discard }] : [];
    });
  }

  stage(kind: ObjectKind = "immutable", { also, lease }: StageOptions = {}): Promise<Staged> {
    return this.#guard(async () => {
      await this.#write();
      return new Staged(this, kind, also, this.#path(`tmp/${lease ?? "none"}.${this.#machine.id()}`));
    });
  }

  create(key: string, bytes: Uint8Array, { lease, needs = [], lastLook }: CreateOptions = {}): Promise<boolean> {
    return this.#guard(async () => {
      const stage = await this.stage("immutable", { lease });
      try {
        await stage.write(bytes);
        await stage.end();
        await lastLook?.();
        for (const needed of needs) this.#touch(needed);
        await stage.synced;
        this.#mkdir(key);
        await this.flush();
        await this.#write();
        const won = this.#machine.files.link(stage.path, this.#path(key));
        if (won === undefined) throw stageIsGone(this.place);
        this.#touch(key);
        await this.flush();
        return won;
      } finally {
        await stage.discard();
      }
    });
  }

  move(from: string, to: string): Promise<boolean> {
    return this.#guard(async () => {
      await this.#write();
      this.#mkdir(to);
      const moved = this.#machine.files.rename(this.#path(from), this.#path(to));
      if (moved) for (const key of [from, to]) this.#touch(key);
      return moved;
    });
  }

  remove(key: string): Promise<boolean> {
    return this.#guard(async () => {
      await this.#write();
      if (!this.#machine.files.has(this.#path(key))) return false;
      this.#hooks.removing(key);
      this.#machine.files.unlink(this.#path(key));
      this.#touch(key);
      return true;
    });
  }

  flush(others: readonly string[] = []): Promise<void> {
    for (const other of others) this.#touch(other);
    this.#flushed = this.#flushed.then(
      () => this.#flush(),
      () => this.#flush(),
    );
    return this.#flushed;
  }

  #flush(): Promise<void> {
    return this.#guard(async () => {
      for (const folder of this.#touched) {
        this.#touched.delete(folder);
        try {
          await this.#write();
        } catch (error) {
          this.#touched.add(folder);
          throw error;
        }
        if (!this.#hooks.syncsNothing) this.#machine.files.sync(folder);
      }
    });
  }

  clock(): Promise<number> {
    return this.#guard(async () => {
      await this.#write();
      return this.#machine.now();
    });
  }

  /** Internal to this file, like `put`, `sync`, `rename` and `unlink`. */
  async put(path: string, bytes: Uint8Array, kind: ObjectKind): Promise<number> {
    await this.#write();
    this.#mkdir("tmp/x");
    return this.#machine.files.write(path, { bytes, mode: MODES[kind], modified: this.#machine.now() });
  }

  async sync(file: number): Promise<void> {
    await this.#write();
    if (!this.#hooks.syncsNothing) this.#machine.files.sync(file);
  }

  rename(from: string, key: string, kind: ObjectKind): Promise<void> {
    return this.#guard(async () => {
      await this.#write();
      this.#mkdir(key);
      if (!this.#machine.files.rename(from, this.#path(key))) throw stageIsGone(this.place);
      if (kind === "transient") this.#lease = this.#path(key);
      else this.#touch(key);
    });
  }

  /** Whether the lease that this process wrote last is there. */
  get hasLease(): boolean {
    return this.#machine.files.has(this.#lease);
  }

  async unlink(path: string): Promise<void> {
    await this.#machine.step(this.#process);
    this.#machine.files.unlink(path);
  }

  #path(key: string): string {
    return `${this.place}/${key}`;
  }

  #touch(key: string): void {
    const folder = dirname(this.#path(key));
    this.#touched.add(folder);
    if (this.#known.has(folder)) return;
    this.#known.add(folder);
    for (let above = folder; above.length > 0; above = parent(above)) this.#touched.add(parent(above));
  }

  #mkdir(key: string): void {
    const make = (folder: string) => {
      if (folder === "." || folder === "/" || this.#machine.files.folders.has(folder)) return;
      make(dirname(folder));
      this.#machine.files.mkdir(folder);
      this.#touched.add(parent(folder));
    };
    make(dirname(this.#path(key)));
  }

  #read(): Promise<void> {
    return this.#machine.step(this.#process, READ);
  }

  #write(): Promise<void> {
    return this.#machine.step(this.#process, WRITE);
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explainDiskError(error, this.place, { unharmed: "nothing was published", elsewhere: "name another store" });
    }
  }
}

/** Of a folder at the top: empty, the root of the disk. */
function parent(path: string): string {
  const up = dirname(path);
  return up === "." ? "" : up;
}

class Staged implements Stage {
  readonly path: string;
  synced: Promise<void> = Promise.resolve();
  readonly #disk: SimulatedDisk;
  readonly #kind: ObjectKind;
  readonly #also: readonly Algorithm[] | undefined;
  #bytes = Buffer.alloc(0);
  #sums: Sums | undefined;
  #committed = false;

  constructor(disk: SimulatedDisk, kind: ObjectKind, also: readonly Algorithm[] | undefined, path: string) {
    this.#disk = disk;
    this.#kind = kind;
    this.#also = also;
    this.path = path;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
  }

  async end(): Promise<Sums> {
    const file = await this.#disk.put(this.path, this.#bytes, this.#kind);
    if (this.#kind !== "transient") this.synced = this.#disk.sync(file);
    this.synced.catch(() => {});
    this.#sums = sumsOf(this.#bytes, this.#also);
    return this.#sums;
  }

  async bytes(start: number, end: number): Promise<Uint8Array> {
    return new Uint8Array(this.#bytes.subarray(start, end));
  }

  async commit(key: string, expected: Expected = {}): Promise<void> {
    await this.synced;
    if (!this.#sums) throw new Error("a stage is used before its end");
    checkExpected(this.#sums, expected);
    await this.#disk.rename(this.path, key, this.#kind);
    this.#committed = true;
  }

  async discard(): Promise<void> {
    if (this.#committed) return;
    await this.synced.catch(() => {});
    await this.#disk.unlink(this.path);
  }
}
