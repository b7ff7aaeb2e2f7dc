/** Puts back lost files of the store from archives that hold them. It publishes nothing, so how old an archive is does not matter. */

import type { ImportStore } from "../catalog/generation-types.ts";
import type { Digest } from "../digest.ts";
import { type ImportOptions, type ImportSource, readSources } from "./import.ts";

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
  /** whether nothing was written */
  readonly dryRun: boolean;
}

/**
 * Restores what the sources hold of it. `lost`: of these digests those that the store names and has missing or damaged, with what they
 * are. A signature is not asked for: what is restored has the digest that the store names already.
 */
export async function repairFrom(
  store: Pick<ImportStore, "ingest" | "ingestBytes">,
  sources: AsyncIterable<ImportSource> | Iterable<ImportSource>,
  lost: (digests: ReadonlySet<Digest>) => Promise<ReadonlyMap<Digest, string>>,
  options: ImportOptions,
): Promise<RepairReport> {
  return readSources(store, sources, { ...options, allowUnsigned: true }, async ({ reading }) => {
    const staged = new Map(reading.blobs.map((blob) => [blob.sums["sha-256"], blob]));
    const restored: RestoredBlob[] = [];
    for (const [digest, what] of await lost(new Set(staged.keys()))) {
      const blob = staged.get(digest);
      if (!options.dryRun) await blob?.commit({ digest, what });
      restored.push({ digest, size: blob?.sums.size ?? 0, what });
    }
    return { restored, dryRun: options.dryRun };
  });
}
