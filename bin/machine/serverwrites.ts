/** What a server writes into its store for its clients. */

import { Failure } from "../../src/errors.ts";
import { errorCode } from "../../store/diskerrors.ts";
import type { Store } from "../../store/store.ts";

/** Runs `work`, and throws a `forbidden` failure in words where the server may not write into its store, or has none yet. */
export async function writingInto<T>(store: Store, work: () => Promise<T>): Promise<T> {
  if (!store.exists) throw new Failure("forbidden", "there is no store yet, where this server looks: chp import FILE makes it");
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Failure ? errorCode(error.cause) : errorCode(error);
    if (!["EACCES", "EPERM", "EROFS"].includes(code)) throw error;
    throw new Failure(
      "forbidden",
      "this server may not write into its store: run it as the owner of that folder (chp unit --remote-import lets a service write)",
      { cause: error },
    );
  }
}

/** Runs one piece of work after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
