/** JSON of requests and replies: bodies that are parsed and checked, and the error list. */

import * as v from "valibot";
import { Failure, printable } from "../errors.ts";

/** The body of every reply that is not a success. */
export function errorList(code: string, message: string): { "error-list": { code: string; message: string }[] } {
  return { "error-list": [{ code, message }] };
}

export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Failure("malformed", "the body is not JSON");
  }
  if (Array.isArray(value)) throw new Failure("malformed", "the body is a list, not an object"); // valibot takes one for an empty object
  return value;
}

export function check<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Failure("malformed", `${printable(v.getDotPath(issue) ?? "the body", 200)}: ${printable(issue.message, 200)}`);
}
