/** Imports in this process, and what they fail with. */

import { LIMITS } from "../src/archives/archive.ts";
import { Failure, type FailureKind } from "../src/errors.ts";
import { type ImportOptions, type ImportReport, type ImportSource, importSources } from "../src/import/import.ts";
import { Memory } from "../store/memory.ts";
import { Store } from "../store/store.ts";
import { bytesOf, type Files } from "./build.ts";

export function newStore(): Promise<Store> {
  return Store.openOrCreate(new Memory());
}

/** A file of a medium, in chunks of no size that means anything. */
export function sourceOf(name: string, content: string | Uint8Array): ImportSource {
  const bytes = bytesOf(content);
  return {
    name,
    path: `/media/${name}`,
    size: bytes.byteLength,
    async *open() {
      const piece = Math.max(500, bytes.byteLength >> 8);
      for (let at = 0; at < bytes.byteLength; at += piece) yield bytes.subarray(at, at + piece);
    },
  };
}

/** Imports files by their names, as one import. */
export function importInto(store: Store, sources: Files, options: Partial<ImportOptions> = {}): Promise<ImportReport> {
  return importSources(
    store,
    Object.entries(sources).map(([name, content]) => sourceOf(name, content)),
    { command: "import", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00+00:00", limits: LIMITS, ...options },
  );
}

/** What `work` fails with. Throws where it does not fail, or with something else. */
export async function failureOf(work: Promise<unknown>, kind: FailureKind = "refused"): Promise<Failure> {
  const error = await work.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure && error.kind === kind) return error;
  throw error;
}
