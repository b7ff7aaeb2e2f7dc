/** Overrides that clients set in the store of a server. */

import type { OverrideWrites } from "../../handlers/call.ts";
import type { Store } from "../../store/store.ts";
import { Turns, writingInto } from "./serverwrites.ts";

/** `undo`: the command that takes a generation back. */
export function overrideWrites(
  store: Store,
  { tokens, undo }: Pick<OverrideWrites, "tokens"> & { readonly undo: (generation: { readonly number: number }) => string },
): OverrideWrites {
  const turns = new Turns(); // several at once would only make each other's drafts anew
  return {
    tokens,
    publish: (draft) =>
      turns.take(() =>
        writingInto(store, async () => {
          const now = new Date().toISOString();
          const { generation, result } = await store.publish(now, (base) => draft(base, now));
          return { result, generation: generation?.number, undo: generation && undo(generation) };
        }),
      ),
  };
}
