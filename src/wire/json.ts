/** JSON of requests and replies: bodies that are parsed and checked, and the error list. */

import * as v from "valibot";
import { Failure, printable } from "../errors.ts";
import { tryJson } from "../text.ts";

export const Integer = v.pipe(v.number(), v.safeInteger());
/** Clients send null for what they leave out. */
export const OptionalText = v.nullish(v.string());

export interface ErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly [more: string]: unknown;
}

/** The error list, in every dialect: the body of a reply that is no success, and part of some that are. */
export function errorList(...errors: readonly ErrorEntry[]): { readonly "error-list": readonly ErrorEntry[] } {
  return { "error-list": errors };
}

/** The error list of a success, as the inside of a JSON object: clients take any entry for a failure of the whole request. */
export const NO_ERRORS = JSON.stringify(errorList()).slice(1, -1);

/** Throws a `malformed` failure for what is not a JSON object. */
export function parseJson(text: string): unknown {
  const value = tryJson(text);
  if (value === undefined) throw new Failure("malformed", "the body is not JSON");
  if (Array.isArray(value)) throw new Failure("malformed", "the body is a list, not an object"); // valibot takes one for an empty object
  return value;
}

/** Throws a `malformed` failure that names the field. */
export function checkBody<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Failure("malformed", `${printable(v.getDotPath(issue) ?? "the body", 200)}: ${printable(issue.message, 200)}`);
}
