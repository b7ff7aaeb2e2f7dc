/** What valibot lacks. */

import * as v from "valibot";

/** A map by name. Valibot's `record` drops `constructor` and `prototype`, which are names like any other. */
export function mapOf<T extends v.GenericSchema>(value: T) {
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>((map) => typeof map === "object" && map !== null && !Array.isArray(map)),
    v.rawTransform(({ dataset, addIssue, NEVER }): Record<string, v.InferOutput<T>> => {
      const entries = Object.entries(dataset.value).map(([key, one]) => {
        const parsed = v.safeParse(value, one, { abortEarly: true });
        for (const { message, received, expected, input, path = [] } of parsed.issues ?? [])
          addIssue({
            message,
            received,
            input,
            ...(expected !== null && { expected }),
            path: [{ type: "object", origin: "value", input: dataset.value, key, value: one }, ...path],
          });
        return [key, parsed.output] as const;
      });
      return dataset.issues ? NEVER : Object.fromEntries(entries);
    }),
  );
}
