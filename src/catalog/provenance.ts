/** Where something that is stored came from: the generations that changed it. */

import { ownValue } from "../schema.ts";
import type { Generation, SourceRecord } from "./generation-types.ts";

/** A generation that changed a package or a repository of images. `T`: what was added to it. */
export interface Origin<T> {
  readonly generation: number;
  /** RFC 3339 */
  readonly time: string;
  /** what an import read; empty for a change by a command */
  readonly sources: readonly SourceRecord[];
  readonly added: T;
}

/** In the order of `history`. `talliesOf`: the part of a generation that has the package by its name. */
export function originsOf<T extends object>(
  history: readonly Generation[],
  talliesOf: (generation: Generation) => Readonly<Record<string, T>> | undefined,
  name: string,
): Origin<T>[] {
  return history.flatMap((generation) => {
    const added = ownValue(talliesOf(generation) ?? {}, name);
    return added ? [{ generation: generation.number, time: generation.time, sources: generation.sources, added }] : [];
  });
}
