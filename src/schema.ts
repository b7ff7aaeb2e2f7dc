/** Additions to valibot: a failure that names the wrong field, and maps by name. */

import * as v from "valibot";
import { type FailureOptions, printable, refused } from "./errors.ts";

/** The value, parsed by a schema. Throws a `refused` failure at `at`, which names the field that is wrong as `charms.kafka.id is missing`. */
export function checkShape<T extends v.GenericSchema>(
  schema: T,
  value: unknown,
  at: string | readonly string[],
  options?: Omit<FailureOptions, "at">,
): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw refused(describeIssue(issue), { ...options, at: typeof at === "string" ? [at] : at });
}

/** The value, parsed by a schema; undefined where it has another shape. It stops at the first field that is wrong: a stranger's list may have a million. */
export function tryShape<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> | undefined {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  return parsed.success ? parsed.output : undefined;
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  const field = path === null ? "" : `${printable(path, 200)} `;
  if (issue.received === "undefined") return `${field}is missing`;
  return issue.message.startsWith("is ") ? `${field}${issue.message}` : `${field}is not right (${printable(issue.message, 200)})`;
}

/** Whether it is an object of JSON, not a list or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value of a name in a map; `constructor` is a name like any other. */
export function ownValue<T>(map: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** The schema of a map by name of anything. */
export const anyByName = v.custom<Readonly<Record<string, unknown>>>(isObject, "is not a map by name");

/** The schema of a map by name. Valibot's `record` drops `constructor` and `prototype`, which are names like any other. */
export function mapByName<T extends v.GenericSchema>(value: T) {
  return v.pipe(
    anyByName,
    v.rawTransform(({ dataset, addIssue, NEVER }): Record<string, v.InferOutput<T>> => {
      const entries: [string, v.InferOutput<T>][] = [];
      for (const [key, item] of Object.entries(dataset.value)) {
        const parsed = v.safeParse(value, item, { abortEarly: true });
        if (parsed.success) {
          entries.push([key, parsed.output]);
          continue;
        }
        const { message, received, expected, input, path = [] } = parsed.issues[0];
        addIssue({
          message,
          received,
          input,
          ...(expected !== null && { expected }),
          path: [{ type: "object", origin: "value", input: dataset.value, key, value: item }, ...path],
        });
        return NEVER; // one is enough to refuse it
      }
      return Object.fromEntries(entries);
    }),
  );
}
