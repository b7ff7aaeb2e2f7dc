/** Puts back lost files of the store from archives that hold them. It publishes nothing, so how old an archive is does not matter. */

import { CHANNEL_POLICIES } from "../catalog/channelmap.ts";
import type { CatalogView, ChangeDraft, Generation, ImportStore } from "../catalog/generation-types.ts";
import type { Digest } from "../digest.ts";
import { Failure } from "../errors.ts";
import { draftOver, type ImportOptions, type ImportSource, readSources } from "./import.ts";

/** A file of the store that was missing or damaged. */
export interface RestoredBlob {
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
  /** what it is in the store: `charm kafka revision 195` */
  readonly what: string;
}

export interface RepairReport {
  readonly restored: readonly RestoredBlob[];
  /** indexes, manifests and lists of assertions that these sources do not restore: `manifest of kafka, since generation 3` */
  readonly stillLost: readonly string[];
  /** whether nothing was written */
  readonly dryRun: boolean;
}

/** What the store has lost. */
export interface Lost {
  /** of these digests those that the store names and has missing or damaged, with what they are */
  blobs(digests: ReadonlySet<Digest>): Promise<ReadonlyMap<Digest, string>>;
  readonly lists: {
    /** imports that first named a list that is lost, oldest first */
    readonly steps: readonly Generation[];
    /** what they are that no draft proved so far */
    readonly remaining: readonly string[];
    /** states that one may have been published over, likeliest first */
    before(step: Generation): AsyncIterable<CatalogView>;
    /** the lost lists that a draft proves; `isStep`: the draft is that generation, so there is nothing else to try for it */
    provenBy(
      base: CatalogView,
      draft: ChangeDraft,
      step: Generation,
    ): Promise<{
      readonly lists: readonly { readonly digest: Digest; readonly what: string; readonly bytes: Uint8Array }[];
      readonly isStep: boolean;
    }>;
  };
}

/**
 * Restores what the sources hold of it, and the lists that importing them made: what they would publish over each earlier state is what was
 * lost where it has its digest. A signature is not asked for: what is restored has the digest that the store names already.
 */
export async function repairFrom(
  store: ImportStore,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  lost: Lost,
  options: ImportOptions,
): Promise<RepairReport> {
  return readSources(store, sources, { ...options, allowUnsigned: true }, async ({ origins: { records }, reading }) => {
    const staged = new Map(reading.blobs.map((blob) => [blob.sums["sha-256"], blob]));
    const restored: RestoredBlob[] = [];
    for (const step of lost.lists.steps) {
      for await (const { base, draft } of drafts(store, step, lost, { reading, records, options })) {
        const { lists, isStep } = await lost.lists.provenBy(base, draft, step).catch(nothingIfRefused);
        for (const { digest, what, bytes } of lists) {
          const blob = options.dryRun ? undefined : await store.ingestBytes(bytes);
          await blob?.commit({ digest, what });
          restored.push({ digest, size: bytes.byteLength, what });
        }
        if (isStep) break;
      }
    }
    // Payloads last: only a list says what they are.
    for (const [digest, what] of await lost.blobs(new Set(staged.keys()))) {
      const blob = staged.get(digest);
      if (!options.dryRun) await blob?.commit({ digest, what });
      restored.push({ digest, size: blob?.sums.size ?? 0, what });
    }
    return { restored, stillLost: lost.lists.remaining, dryRun: options.dryRun };
  });
}

/** What an import of the sources may have published as `step`: over each earlier state, by each policy for channels, at its time. */
async function* drafts(
  store: ImportStore,
  step: Generation,
  { lists }: Lost,
  { reading, records, options }: Parameters<typeof draftOver>[2] & { readonly options: ImportOptions },
): AsyncGenerator<{ readonly base: CatalogView; readonly draft: ChangeDraft }> {
  for await (const base of lists.before(step))
    for (const channels of CHANNEL_POLICIES) {
      const made = await draftOver(store, base, { reading, records }, { ...options, channels, now: step.time }).catch((error: unknown) => {
        if (!(error instanceof Failure)) throw error;
        return undefined; // these sources do not go with that state
      });
      if (made) yield { base, draft: made.draft };
    }
}

function nothingIfRefused(error: unknown) {
  if (!(error instanceof Failure)) throw error;
  return { lists: [], isStep: false };
}
