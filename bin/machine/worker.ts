/**
 * The entry point of every worker thread, and what one can be asked for. The program is one file once it is built, so a worker loads all of
 * it, and this module alone acts there.
 */

import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { READERS } from "../../src/archives/readers.ts";
import { type Algorithm, Hasher } from "../../src/digest.ts";
import { Failure, type FailureKind, reason } from "../../src/errors.ts";

/** Digests that this worker computes, by the number of their stream. */
const hashers = new Map<number, Hasher>();

/** The hasher of a stream of which it has seen so many bytes; without them the digests would be of something else. */
function hasherOf(stream: number, seen: number): Hasher {
  const hasher = hashers.get(stream);
  if (hasher?.size !== seen) throw new Error("bytes of a stream are missing");
  return hasher;
}

const DIGESTS = {
  /** The bytes of a stream that begin at `at`. */
  hash: (stream: number, algorithms: readonly Algorithm[], at: number, bytes: Uint8Array): void => {
    if (at === 0) hashers.set(stream, new Hasher(algorithms));
    hasherOf(stream, at).update(bytes);
  },
  /** The digests of a stream of so many bytes. */
  hashed: (stream: number, size: number): Partial<Record<Algorithm, string>> => {
    const digests = hasherOf(stream, size).digests();
    hashers.delete(stream);
    return digests;
  },
  /** Ends a stream early. */
  unhash: (stream: number): void => {
    hashers.get(stream)?.discard();
    hashers.delete(stream);
  },
  /** How many streams have not ended. */
  hashing: (): number => hashers.size,
} as const;

/** By name; arguments and results are cloned on their way, but for memory that is shared. */
export const TASKS = { ...READERS, ...DIGESTS } as const;

export type TaskName = keyof typeof TASKS;
export type TaskInput<K extends TaskName> = Parameters<(typeof TASKS)[K]>;
export type TaskResult<K extends TaskName> = ReturnType<(typeof TASKS)[K]>;

export interface Asked {
  readonly task: TaskName;
  readonly input: readonly unknown[];
}

export type Answered =
  | { readonly result: unknown }
  | {
      readonly failure: {
        readonly kind: FailureKind;
        readonly reason: string;
        readonly next: string | undefined;
        readonly at: readonly string[];
      };
    }
  | { readonly error: string };

/** Names a worker of ours: a thread of anything else is none. */
export const WORKER_MARK = "chp worker";

/** Where a worker starts: this file, or the built program. */
export const WORKER_ENTRY: URL = new URL(import.meta.url);

/** Whether this thread is a worker of ours, which runs no command. */
export const isWorker: boolean = !isMainThread && workerData === WORKER_MARK;

function answer({ task, input }: Asked): Answered {
  try {
    return { result: (TASKS[task] as (...given: readonly unknown[]) => unknown)(...input) };
  } catch (error) {
    if (!(error instanceof Failure)) return { error: reason(error) };
    const { kind, reason: why, next, at } = error;
    return { failure: { kind, reason: why, next, at } };
  }
}

if (isWorker) parentPort?.on("message", (asked: Asked) => parentPort?.postMessage(answer(asked), []));
