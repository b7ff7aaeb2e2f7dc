/**
 * Fast checks of the shape of JSON. The first search reads every manifest of a store: with valibot it took more than twice
 * as long as without checks; these add about a quarter.
 */

import { isObject } from "../src/schema.ts";

/** What is wrong, and where. */
interface Problem {
  readonly path: readonly (string | number)[];
  readonly why: string;
}

/** Undefined: the value is a T. Unknown fields are not checked. */
export interface Guard<T> {
  (value: unknown): Problem | undefined;
  /** never set; it makes guards of different types incompatible */
  readonly type?: T;
}

/** A field that may be missing. */
interface Optional<T> {
  readonly guard: Guard<T>;
}

type FieldGuards<T> = { readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional<Exclude<T[K], undefined>> : Guard<T[K]> };

export function guard<T>(test: (value: unknown) => boolean, why: string): Guard<T> {
  const problem: Problem = { path: [], why };
  return (value) => (test(value) ? undefined : problem);
}

const NO_TEXT: Problem = { path: [], why: "is not text" };
const NO_NUMBER: Problem = { path: [], why: "is not a number" };

export const number: Guard<number> = (value) => (typeof value === "number" ? undefined : NO_NUMBER);
export const boolean: Guard<boolean> = guard((value) => typeof value === "boolean", "is neither true nor false");

/** Any text, even if T is a union of words: a newer chp may have more of them. */
export function text<T extends string = string>(): Guard<T> {
  return isText;
}

function isText(value: unknown): Problem | undefined {
  return typeof value === "string" ? undefined : NO_TEXT;
}

export function oneOf<T>(...values: readonly T[]): Guard<T> {
  return guard((value) => values.includes(value as T), `is not ${values.join(" or ")}`);
}

export function optional<T>(of: Guard<T>): Optional<T> {
  return { guard: of };
}

export function nullable<T>(of: Guard<T>): Guard<T | null> {
  return (value) => (value === null ? undefined : of(value));
}

export function list<T>(of: Guard<T>): Guard<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return { path: [], why: "is not a list" };
    for (let i = 0; i < value.length; i += 1) {
      const problem = of(value[i]);
      if (problem) return problemWithin(i, problem);
    }
    return undefined;
  };
}

/** A map by name. */
export function map<T>(of: Guard<T>): Guard<Readonly<Record<string, T>>> {
  return (value) => {
    if (!isObject(value)) return { path: [], why: "is not a map by name" };
    for (const key in value) {
      const problem = of(value[key]);
      if (problem) return problemWithin(key, problem);
    }
    return undefined;
  };
}

/** An object with at least these fields. T determines which fields there are and which are optional. */
export function object<T>(fields: FieldGuards<T>): Guard<T> {
  const table = Object.entries<Guard<unknown> | Optional<unknown>>(fields).map(([key, field]) =>
    typeof field === "function" ? { key, of: field, required: true } : { key, of: field.guard, required: false },
  );
  return (value) => {
    if (!isObject(value)) return { path: [], why: "is not an object" };
    for (const { key, of, required } of table) {
      const field = value[key];
      if (field === undefined) {
        if (required) return { path: [key], why: "is missing" };
        continue;
      }
      const problem = of(field);
      if (problem) return problemWithin(key, problem);
    }
    return undefined;
  };
}

/** `revisions.0.blob is missing` */
export function showProblem({ path, why }: Problem): string {
  return path.length === 0 ? `it ${why}` : `${path.join(".")} ${why}`;
}

function problemWithin(key: string | number, { path, why }: Problem): Problem {
  return { path: [key, ...path], why };
}
