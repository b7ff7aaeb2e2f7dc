/** Records in the store how an import ends, for `chp status` and the metrics. */

import { Failure, reason } from "../../src/errors.ts";
import { Store } from "../../store/store.ts";
import { type CommonOptions, type Io, note } from "./io.ts";
import { storageOf } from "./openstore.ts";

export class ImportRecord {
  readonly #options: CommonOptions;
  readonly #io: Io;
  #isEnded = false;

  constructor(options: CommonOptions, io: Io) {
    this.#options = options;
    this.#io = io;
  }

  /** Runs an import, in work of `store.leased`: its end is recorded while its lease is live, so that it never counts as killed. */
  async during<T extends { readonly generation: number | null }>(store: Store, work: () => Promise<T>): Promise<T> {
    const lease = store.leaseId ?? "";
    this.#isEnded = true;
    // Without leases, as in a bucket, nobody could say whether it still runs: its end alone is recorded.
    if (lease !== "") await this.#write(() => store.runs.importBegan(lease, now()));
    try {
      const report = await work();
      const { generation } = report;
      await this.#write(() => store.runs.importEnded(lease, { ended: now(), ...(generation !== null && { generation }) }));
      return report;
    } catch (error) {
      await this.#write(() => store.runs.importEnded(lease, { ended: now(), failed: kindOf(error) }));
      throw error;
    }
  }

  /** Records the end of an import that failed before it began: its file is gone, or there is no room for it. Wrong usage is none. */
  async failed(error: unknown): Promise<void> {
    if (this.#isEnded || kindOf(error) === "usage") return;
    await this.#write(async () => {
      const store = await Store.openOrAwait(storageOf({ ...this.#options, quiet: true }, this.#io));
      if (store.exists) await store.runs.importEnded("", { ended: now(), failed: kindOf(error) });
    });
  }

  /** What cannot be recorded fails no import. */
  async #write(write: () => Promise<void>): Promise<void> {
    await write().catch((error: unknown) =>
      note(`chp status and the metrics do not show how this import ends: ${reason(error)}`, this.#options, this.#io),
    );
  }
}

const now = () => new Date().toISOString();

function kindOf(error: unknown): string {
  return error instanceof Failure ? error.kind : "internal";
}
