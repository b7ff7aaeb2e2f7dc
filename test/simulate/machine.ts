/** A machine whose processes take turns as one seed decides: its clocks, its disk, its faults and its end. */

import { Failure } from "../../src/errors.ts";
import { type Entry, generator, Model, type Tree } from "../powercut/model.ts";
import type { Timed } from "../powercut/trace.ts";

/** Waits for its turn; `at`: not before that moment of the machine. */
interface Waiting {
  readonly process: Process;
  readonly at: number;
  readonly go: () => void;
}

export interface Faults {
  /** chance that a step fails */
  readonly rate: number;
  readonly codes: readonly string[];
  /** how many fail at most; undefined: any number */
  readonly most?: number;
}

const NO_FAULTS: Faults = { rate: 0, codes: [] };

export class Process {
  readonly name: string;
  readonly faults: Faults;
  isDead = false;
  /** how often one of its steps failed */
  failed = 0;
  /** it gets its turn so much more often than others */
  speed = 1;

  constructor(name: string, faults = NO_FAULTS) {
    this.name = name;
    this.faults = faults;
  }
}

export interface File {
  readonly bytes: Uint8Array;
  readonly mode: number;
  readonly modified: number;
}

type Action = Timed extends infer T ? (T extends Timed ? Omit<T, "began" | "at"> : never) : never;

const EMPTY: Tree = new Map<string, Entry>([["", { mode: 0o755, sum: "" }]]);

/** What a disk has, and what a power cut would leave of it. */
class Files {
  readonly all = new Map<string, File>();
  readonly folders = new Set([""]);
  readonly #trace: (line: string) => void;
  #model: Model = new Model(EMPTY, []);
  #time = 0;

  constructor(trace: (line: string) => void) {
    this.#trace = trace;
  }

  has(path: string): boolean {
    return this.all.has(path);
  }

  list(folder: string): string[] {
    const prefix = folder === "" ? "" : `${folder}/`;
    const names = [...this.all.keys(), ...this.folders].flatMap((path) =>
      path.startsWith(prefix) && path.length > prefix.length && !path.slice(prefix.length).includes("/") ? path.slice(prefix.length) : [],
    );
    return names.toSorted();
  }

  /** A file that is written whole; what it is called in the model. */
  write(path: string, file: File): number {
    const number = this.#do({ kind: "open", file: this.#time + 1, path, flags: "O_CREAT|O_EXCL", mode: file.mode });
    this.#do({ kind: "write", file: number, bytes: file.bytes });
    this.all.set(path, file);
    return number;
  }

  sync(file: number | string): void {
    if (typeof file === "number") this.#do({ kind: "sync", file });
    else {
      const folder = this.#do({ kind: "open", file: this.#time + 1, path: file, flags: "O_RDONLY", mode: 0 });
      this.#do({ kind: "sync", file: folder });
    }
  }

  mkdir(path: string): void {
    this.#do({ kind: "mkdir", path, mode: 0o755 });
    this.folders.add(path);
  }

  rename(from: string, to: string): boolean {
    const file = this.all.get(from);
    if (!file) return false;
    this.#do({ kind: "rename", path: from, to });
    this.all.delete(from);
    this.all.set(to, file);
    return true;
  }

  /** Undefined: there is nothing to link. */
  link(from: string, to: string): boolean | undefined {
    const file = this.all.get(from);
    if (!file) return undefined;
    if (this.all.has(to)) return false;
    this.#do({ kind: "link", path: from, to });
    this.all.set(to, file);
    return true;
  }

  unlink(path: string): boolean {
    if (!this.all.delete(path)) return false;
    this.#do({ kind: "remove", path });
    return true;
  }

  /** The power goes: what is there afterwards is all on the disk. */
  cut(rng: () => number, now: number): void {
    const tree = this.#model.cut(rng);
    const times = new Map([...this.all.values()].map(({ bytes, modified }) => [bytes, modified] as const));
    this.all.clear();
    this.folders.clear();
    for (const [path, { mode, content }] of tree)
      if (content === undefined) this.folders.add(path);
      else this.all.set(path, { bytes: content, mode, modified: times.get(content) ?? now });
    this.#model = new Model(tree, []);
    this.#time = 0;
  }

  #do(action: Action): number {
    this.#time += 1;
    if (action.kind !== "write") this.#trace(`${action.kind} ${"path" in action ? action.path : ""} ${"to" in action ? action.to : ""}`);
    this.#model.do({ ...action, began: this.#time, at: this.#time }, 0);
    return this.#time;
  }
}

export class Machine {
  readonly random: () => number;
  readonly files = new Files((line) => this.trace?.(`${Math.round(this.time)} ${this.#current}: ${line}`));
  /** gets a line for each change, for one seed that is looked at */
  trace: ((line: string) => void) | undefined;
  #current = "";
  /** milliseconds since the machine began; never goes back */
  time = 0;
  /** what the clock of the storage is ahead */
  offset = Date.parse("2026-01-01T00:00:00Z");
  steps = 0;
  /** whether steps are taken at once: to look at what is there */
  isQuiet = false;
  #waiting: Waiting[] = [];
  #running = 0;
  #ids = 0;

  constructor(seed: number) {
    this.random = generator(seed);
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(all: readonly T[]): T {
    const found = all[this.below(all.length)];
    if (found === undefined) throw new Error("there is nothing to pick from");
    return found;
  }

  /** By the clock of the storage; no two moments are the same. */
  now(): number {
    this.time += 0.001;
    return this.time + this.offset;
  }

  id(): string {
    this.#ids += 1;
    return `00000000-0000-4000-8000-${this.#ids.toString(16).padStart(12, "0")}`;
  }

  /** Before each thing that a process does outside its memory. Never comes back if the process is killed; fails as its faults say. */
  async step(process: Process, codes: readonly string[] = [], after = 0): Promise<void> {
    if (this.isQuiet) return;
    await new Promise<void>((go) => {
      if (!process.isDead) this.#waiting.push({ process, at: this.time + after, go });
    });
    const code = codes.filter((one) => process.faults.codes.includes(one));
    const { rate, most = Number.POSITIVE_INFINITY } = process.faults;
    if (code.length === 0 || process.failed >= most || this.random() >= rate) return;
    process.failed += 1;
    const name = this.pick(code);
    throw Object.assign(new Error(`${name}: it was made to fail`), { code: name });
  }

  /** Starts a process; `ended` is called unless it is killed. */
  start(process: Process, work: () => Promise<void>): void {
    this.#running += 1;
    const end = () => {
      if (!process.isDead) this.#running -= 1;
    };
    void work().then(end, (error: unknown) => {
      end();
      this.#broken ??= error;
    });
  }

  #broken: unknown;

  kill(process: Process): void {
    if (process.isDead) return;
    process.isDead = true;
    this.#running -= 1;
    this.#waiting = this.#waiting.filter((one) => one.process !== process);
  }

  /** Runs until no process is left, or `steps` were taken. `between` is called before each. */
  async run(steps: number, between: () => void = () => {}): Promise<void> {
    const end = this.steps + steps;
    await turn();
    while (this.#running > 0 && this.steps < end) {
      if (this.#broken !== undefined) throw this.#broken;
      between();
      if (this.#running === 0) break;
      const next = this.#next();
      if (!next) throw new Error("every process waits for something that no step brings");
      this.steps += 1;
      this.time = Math.max(this.time, next.at) + this.random() * (this.random() < 0.02 ? 5000 : 2); // now and then a slow disk
      this.#current = next.process.name;
      next.go();
      await turn();
    }
    if (this.#broken !== undefined) throw this.#broken;
  }

  #next(): Waiting | undefined {
    const due = this.#waiting.filter((one) => one.at <= this.time);
    const from = due.length > 0 ? due : this.#waiting.toSorted((a, b) => a.at - b.at).slice(0, 1);
    let left = this.random() * from.reduce((sum, one) => sum + one.process.speed, 0);
    const next = from.find((one) => (left -= one.process.speed) <= 0) ?? from[0];
    if (next) this.#waiting.splice(this.#waiting.indexOf(next), 1);
    return next;
  }

  /** The power goes. All processes are gone. */
  cut(): void {
    this.abandon();
    this.#running = 0;
    this.trace?.(`${Math.round(this.time)}: the power goes`);
    this.files.cut(this.random, this.now());
  }

  /** Nobody gets a turn any more. */
  abandon(): void {
    for (const { process } of this.#waiting) process.isDead = true;
    this.#waiting = [];
  }

  /** Runs `work` with the clocks and names of this machine in place of those of the process that simulates it. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    const undo = [replace(performance, "now", () => this.time + 1), replace(crypto, "randomUUID", () => this.id())];
    try {
      return await work();
    } finally {
      for (const back of undo) back();
    }
  }
}

/** Puts `value` in place of a function of the runtime; call the result to undo it. */
function replace(of: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(of, name);
  Object.defineProperty(of, name, { value, configurable: true, writable: true });
  return () => {
    if (before) Object.defineProperty(of, name, before);
    else Reflect.deleteProperty(of, name);
  };
}

/** All that a step leads to has happened: nothing here waits for anything but steps. */
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

export function isFailure(error: unknown): error is Failure {
  return error instanceof Failure;
}
