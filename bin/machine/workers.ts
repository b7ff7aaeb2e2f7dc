/** A pool of worker threads. They start when they are needed, do one task at a time, and can be ended in the middle of one. */

import { availableParallelism } from "node:os";
import { type Transferable, Worker } from "node:worker_threads";
import { type ReaderName, type ReadText, readHere } from "../../src/archives/readers.ts";
import { Failure, refused } from "../../src/errors.ts";
import { type Answered, type Asked, type TaskInput, type TaskName, type TaskResult, WORKER_ENTRY, WORKER_MARK } from "./worker.ts";

/** Memory of a worker, in MiB. Bun has no such limit: there what parsers bound by themselves is all. */
const MEMORY = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 } as const;

export interface TaskOptions {
  /** after which the task is ended, and its worker with it */
  readonly seconds?: number;
  /** the worker ends with it, so that the memory that it took is free at once, rather than when its collector gets to it */
  readonly last?: true;
  /** buffers of the input that are moved rather than copied */
  readonly transfer?: readonly Transferable[];
}

/** A worker that nobody else uses until it is released: tasks that belong together keep their state in it. */
export interface Lease {
  /** One task after the other. Rejects with the failure of the task; with `refused` where it took too long or too much memory. */
  run<K extends TaskName>(task: K, input: TaskInput<K>, options?: TaskOptions): Promise<TaskResult<K>>;
  release(): void;
}

export class Workers {
  readonly #most: number;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  readonly #waiting: ((worker: Worker) => void)[] = [];
  #isClosed = false;

  /** `most`: workers at a time; a machine's processors by default. */
  constructor({ most = availableParallelism() }: { readonly most?: number } = {}) {
    this.#most = most;
  }

  /** How many run now. */
  get count(): number {
    return this.#all.size;
  }

  /** Runs one task in any worker. */
  async run<K extends TaskName>(task: K, input: TaskInput<K>, options?: TaskOptions): Promise<TaskResult<K>> {
    const lease = await this.lease();
    try {
      return await lease.run(task, input, options);
    } finally {
      lease.release();
    }
  }

  /** A worker of one's own; waits where all are in use. */
  async lease(): Promise<Lease> {
    const worker = this.#idle.pop() ?? (this.#all.size < this.#most ? this.#start() : await this.#next());
    worker.ref();
    let current: Worker | undefined = worker;
    return {
      run: async (task, input, options) => {
        // A worker that was ended took its state with it; the next task begins anew.
        if (!current || !this.#all.has(current)) current = this.#start();
        const used = current;
        const forget = () => {
          this.#forget(used);
          current = undefined;
        };
        try {
          return await ask<TaskResult<typeof task>>(used, { task, input }, options ?? {});
        } catch (error) {
          if (!(error instanceof Ended)) throw error;
          forget();
          throw error.failure;
        } finally {
          if (options?.last && current) {
            forget();
            await used.terminate();
          }
        }
      },
      release: () => this.#release(current),
    };
  }

  /** Ends all of them, also in the middle of a task. Tasks that come later fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    await Promise.all(all.map((worker) => worker.terminate()));
  }

  #start(): Worker {
    if (this.#isClosed) throw new Failure("failed", "internal error: a task comes after the workers have ended");
    const worker = new Worker(WORKER_ENTRY, { workerData: WORKER_MARK, resourceLimits: MEMORY });
    worker.setMaxListeners(0);
    worker.once("exit", () => this.#forget(worker)); // nobody would hear an answer from it
    this.#all.add(worker);
    return worker;
  }

  #forget(worker: Worker): void {
    this.#all.delete(worker);
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #next(): Promise<Worker> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #release(worker: Worker | undefined): void {
    const next = this.#waiting.shift();
    if (next) return next(worker && this.#all.has(worker) ? worker : this.#start());
    if (!worker || !this.#all.has(worker)) return;
    worker.unref(); // an idle worker does not keep the program running
    this.#idle.push(worker);
  }
}

/** The worker is gone. */
class Ended extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

async function ask<T>(worker: Worker, asked: Asked, { seconds, transfer = [] }: TaskOptions): Promise<T> {
  let unlisten = () => {};
  const answered = new Promise<Answered>((resolve, reject) => {
    const ended = (failure: Failure) => reject(new Ended(failure));
    const onError = (error: Error & { code?: string }) =>
      ended(
        error.code === "ERR_WORKER_OUT_OF_MEMORY"
          ? refused(`it takes more than ${MEMORY.maxOldGenerationSizeMb} MiB of memory to parse`)
          : new Failure("failed", `internal error in a worker: ${error.message}`, { cause: error }),
      );
    const onExit = () => ended(new Failure("failed", "internal error: a worker ended"));
    const onTimeout = () => {
      ended(refused(`it takes more than ${seconds} seconds to parse`));
      void worker.terminate();
    };
    const timer = seconds === undefined ? undefined : setTimeout(onTimeout, seconds * 1000);
    worker.on("message", resolve).on("error", onError).on("exit", onExit);
    unlisten = () => {
      clearTimeout(timer);
      worker.off("message", resolve).off("error", onError).off("exit", onExit);
    };
  });
  try {
    worker.postMessage(asked, transfer);
    const answer = await answered;
    if ("result" in answer) return answer.result as T;
    if ("error" in answer) throw new Error(answer.error);
    const { kind, reason, next, at } = answer.failure;
    throw new Failure(kind, reason, { ...(next !== undefined && { next }), at });
  } finally {
    unlisten();
  }
}

/** Characters of texts that are parsed in this thread, faster than a worker starts. */
const SHORT: Readonly<Partial<Record<ReaderName, number>>> & { readonly other: number } = { needs: 2 ** 20, other: 2 ** 17 };

/** After texts with more characters a worker ends. */
const LARGE = 2 ** 21;

/** What a text that is longer may take: the bounds of the parsers are reached in one or two. */
const SECONDS = 30;

/** Parses short texts in this thread, and long ones in a worker. */
export function readIn(workers: Workers): ReadText {
  return async (reader, ...input) => {
    const [texts] = input;
    const length = typeof texts === "string" ? texts.length : [...texts.values()].reduce((sum, text) => sum + text.length, 0);
    if (length <= (SHORT[reader] ?? SHORT.other)) return readHere(reader, ...input);
    return workers.run(reader, input, { seconds: SECONDS, ...(length > LARGE && { last: true }) }) as ReturnType<
      typeof readHere<typeof reader>
    >;
  };
}
