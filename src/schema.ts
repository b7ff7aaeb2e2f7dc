/** What valibot lacks. */

import * as v from "valibot";

/** A map by name. Valibot's `record` drops `constructor` and `prototype`, which are names like any other. */
export function mapOf<T extends v.GenericSchema>(value: T) {
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>((map) => typeof map === "object" && map !== null && !Array.isArray(map)),
    v.transform((map) => Object.entries(map)),
    v.array(v.tuple([v.string(), value])),
    v.transform((entries): Record<string, v.InferOutput<T>> => Object.fromEntries(entries)),
  );
}
