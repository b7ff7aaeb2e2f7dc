/** Indexes, manifests and lists of assertions that are missing or damaged, and which of them the draft of an import proves. */

import type { CatalogView, ChangeDraft, Generation } from "../src/catalog/generation-types.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import { isCorrupt } from "../src/errors.ts";
import { isWhole, LISTS, showRole } from "./check.ts";
import { indexText } from "./generation.ts";
import { jsonBytes } from "./json.ts";
import type { BlobReference } from "./named.ts";
import { EMPTY_INDEX, indexAfter } from "./nextindex.ts";
import { blobsOf } from "./reach.ts";
import { Snapshot } from "./snapshot.ts";
import type { Store } from "./store.ts";

/** The bytes of a list that is lost. */
export interface ProvenList {
  readonly digest: Digest;
  readonly what: string;
  readonly bytes: Uint8Array;
}

export class LostLists {
  readonly #store: Store;
  /** with what they are */
  readonly #lost = new Map<Digest, string>();
  /** what `provenBy` gave; a dry run writes none of it, and finds it lost again */
  readonly #given = new Set<Digest>();
  readonly #steps: Generation[] = [];

  private constructor(store: Store) {
    this.#store = store;
  }

  static async of(store: Store): Promise<LostLists> {
    const lists = new LostLists(store);
    const seen = new Set<Digest>();
    for (const generation of await store.history()) if (await lists.#look(generation, seen)) lists.#steps.push(generation);
    return lists;
  }

  /** Those that first named something that is lost and that were imports, oldest first. */
  get steps(): readonly Generation[] {
    return this.#lost.size === 0 ? [] : this.#steps.filter(({ sources }) => sources.length > 0);
  }

  get remaining(): readonly string[] {
    return [...this.#lost.values()];
  }

  /** The readable states before a generation, nearest first, each once; nothing at all last. */
  async *before({ number }: Generation): AsyncGenerator<CatalogView> {
    const seen = new Set<Digest>();
    for (const earlier of (await this.#store.generationNumbers()).filter((known) => known < number).toReversed()) {
      const state = await this.#store.snapshotAt(earlier).catch((error: unknown) => {
        if (!isCorrupt(error)) throw error;
        return undefined;
      });
      if (!state?.generation || seen.has(state.generation.index)) continue;
      seen.add(state.generation.index);
      yield state;
    }
    yield new Snapshot(this.#store, undefined, EMPTY_INDEX);
  }

  /**
   * Of what a draft over a state would write what is lost: what a generation names by its digest. Where all of it is the `step` itself,
   * `isStep`; then it has also what only its index names. Each is given once.
   */
  async provenBy(
    base: CatalogView,
    draft: ChangeDraft,
    step: Generation,
  ): Promise<{ readonly lists: readonly ProvenList[]; readonly isStep: boolean }> {
    const written = new Map<Digest, Uint8Array>();
    const put = async (list: unknown) => {
      const bytes = jsonBytes(list);
      const digest = sumsOf(bytes)["sha-256"];
      written.set(digest, bytes);
      return digest;
    };
    const isStep = (await put(indexText(await indexAfter(base.index, draft, put)))) === step.index;
    const lists: ProvenList[] = [];
    for (const [digest, bytes] of written) {
      if (this.#given.has(digest)) continue;
      const what =
        this.#lost.get(digest) ?? (isStep && !(await isWhole(this.#store, digest)) ? `a list of generation ${step.number}` : undefined);
      if (what === undefined) continue;
      lists.push({ digest, what, bytes });
      this.#lost.delete(digest);
      this.#given.add(digest);
    }
    return { lists, isStep };
  }

  /** Whether a generation is the first that names something that is lost. */
  async #look(generation: Generation, seen: Set<Digest>): Promise<boolean> {
    const before = this.#lost.size;
    for await (const { digest, what } of blobsOf(this.#store, generation, { seen, unreadable: () => {} }))
      if (isOwnList(what) && !(await isWhole(this.#store, digest)))
        this.#lost.set(digest, `${showRole(what)}, since generation ${generation.number}`);
    return this.#lost.size > before;
  }
}

/** A list that chp makes; the assertions of a publisher are a text of the archive. */
function isOwnList({ kind, package: pkg, part }: BlobReference["what"]): boolean {
  return LISTS.has(kind) && part === undefined && !(kind === "assertions" && pkg);
}
