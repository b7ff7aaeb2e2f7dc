/**
 * The entry point of every worker thread, and what one can be asked for. The program is one file once it is built, so a worker loads all of
 * it, and this module alone acts there.
 */

import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { READERS } from "../../src/archives/readers.ts";
import { Failure, type FailureKind, reason } from "../../src/errors.ts";

/** By name; arguments and results are cloned on their way. */
export const TASKS = { ...READERS } as const;

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
