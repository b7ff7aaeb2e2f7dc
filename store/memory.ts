/** Storage in memory, for tests. It passes the same tests as the disk, so the interface does not depend on files. */

import { type Sums, sumsOf } from "../src/digest.ts";
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

export class Memory implements Storage {
  readonly place = "memory";
  readonly #objects = new Map<string, { readonly bytes: Uint8Array; readonly modified: number }>();
  readonly #staged = new Set<LeftStage>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** An independent storage with the same objects. */
  copy(): Memory {
    const copy = new Memory(this.#now);
    for (const [key, object] of this.#objects) copy.#objects.set(key, object);
    return copy;
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const object = this.#objects.get(key);
    if (!object) return undefined;
    const { bytes, modified } = object;
    return {
      size: bytes.byteLength,
      modified,
      body: (start, end) => new Uint8Array(bytes.subarray(start, end)),
      bytes: async (start, end) => bytes.slice(start, end),
    };
  }

  has(key: string): boolean | Promise<boolean> {
    return this.#objects.has(key);
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes("/")).toSorted();
  }

  async staged(): Promise<LeftStage[]> {
    return [...this.#staged];
  }

  async stage(_kind?: ObjectKind, { also, lease }: StageOptions = {}): Promise<Stage> {
    const chunks: Uint8Array[] = [];
    let bytes = Buffer.alloc(0);
    let sums: Sums | undefined;
    const left = this.#stageOf(lease);
    const ended = () => {
      if (!sums) throw new Error("internal error: a stage is used before its end");
      return sums;
    };
    return {
      write: async (chunk) => {
        if (sums) throw new Error("internal error: a stage is used after its end");
        chunks.push(new Uint8Array(chunk));
      },
      end: async () => {
        if (!sums) bytes = Buffer.concat(chunks.splice(0));
        return (sums ??= sumsOf(bytes, also));
      },
      bytes: async (start, end) => {
        ended();
        return new Uint8Array(bytes.subarray(start, end));
      },
      commit: async (key, expected = {}) => {
        checkExpected(ended(), expected);
        if (!this.#staged.delete(left)) throw stageIsGone(this.place);
        this.#objects.set(key, { bytes, modified: this.#now() });
      },
      discard: () => left.discard(),
    };
  }

  async create(key: string, bytes: Uint8Array, { lease, lastLook }: CreateOptions = {}): Promise<boolean> {
    const left = this.#stageOf(lease);
    try {
      await lastLook?.();
      if (!this.#staged.has(left)) throw stageIsGone(this.place);
      if (this.#objects.has(key)) return false;
      this.#objects.set(key, { bytes: new Uint8Array(bytes), modified: this.#now() });
      return true;
    } finally {
      await left.discard();
    }
  }

  #stageOf(lease: string | undefined): LeftStage {
    const left: LeftStage = { lease, modified: this.#now(), discard: async () => void this.#staged.delete(left) };
    this.#staged.add(left);
    return left;
  }

  async move(from: string, to: string): Promise<boolean> {
    const object = this.#objects.get(from);
    if (!object) return false;
    this.#objects.delete(from);
    this.#objects.set(to, object);
    return true;
  }

  async remove(key: string): Promise<boolean> {
    return this.#objects.delete(key);
  }

  async flush(): Promise<void> {}

  async clock(): Promise<number> {
    return this.#now();
  }
}
