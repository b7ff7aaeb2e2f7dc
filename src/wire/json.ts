/** JSON of requests and replies: bodies that are parsed and checked, and the error list. */

import * as v from "valibot";
import { Failure, printable } from "../errors.ts";
import { tryJson } from "../text.ts";
import { nextTurn } from "../turns.ts";
import { quickRead, UNREAD } from "./quickread.ts";

export const Integer = v.pipe(v.number(), v.safeInteger());
/** Clients send null for what they leave out. */
export const OptionalText = v.nullish(v.string());

/** Elements of a list in a refresh: ten times what a large model has. */
export const MAX_ELEMENTS = 10_000;
/** A list whose elements `checkList` checks. */
export const AnyList = v.nullish(v.array(v.unknown()), []);

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

/** What stands around the entries of an error list, as the inside of a JSON object. */
export const ERROR_LIST = { start: NO_ERRORS.slice(0, -1), end: "]" } as const;

/** Characters of a body that is parsed and checked at once, which takes a few milliseconds. */
const SMALL = 2 ** 15;
/** How deep a body may be nested, how many values it may have, and how many keys each of its objects: these decide how long parsing takes. */
const MAX_DEPTH = 32;
const MAX_VALUES = 250_000;
const MAX_KEYS = 1000;
/** Characters of a string in a list of many: one that all elements share is compared for each of them. */
const MAX_STRING = 4096;

const [QUOTE, BACKSLASH, COMMA] = [34, 92, 44];

/** Throws a `malformed` or `too-large` failure for a text that would take long to parse, in one pass and without memory. */
function measureJson(text: string, longest: number): void {
  const keys = new Int32Array(MAX_DEPTH + 1);
  let [depth, values] = [0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (end - at > longest) throw new Failure("too-large", `a string of the body has more than ${longest} characters`);
      at = end;
    } else if (code === COMMA) values += 1;
    else if (code === 0x3a) {
      const count = (keys[depth] ?? 0) + 1;
      if (count > MAX_KEYS) throw new Failure("too-large", `an object of the body has more than ${MAX_KEYS} keys`);
      keys[depth] = count;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      values += 1;
      if (depth > MAX_DEPTH) throw new Failure("malformed", `the body is nested more than ${MAX_DEPTH} deep`);
      keys[depth] = 0;
    } else if (code === 0x7d || code === 0x5d) depth = Math.max(0, depth - 1);
    if (values > MAX_VALUES) throw new Failure("too-large", `the body has more than ${MAX_VALUES} values`);
  }
}

/** Where the string that begins at `start` ends. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let first = at;
    while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1;
    if ((at - first) % 2 === 0) return at;
  }
  return text.length;
}

/** Whether a body is parsed and checked at once; others have the turns of `parseLists` and `checkList`. */
export function isSmall(text: string): boolean {
  return text.length <= SMALL;
}

/** `parseJson` for lists of many, in a turn of its own: several do not block the event loop in one. */
export async function parseLists(text: string): Promise<unknown> {
  await nextTurn();
  return parseJson(text, MAX_STRING);
}

/** Throws a `malformed` failure for what is not a JSON object, and `too-large` for what has too many values. */
export function parseJson(text: string, longest = Number.POSITIVE_INFINITY): unknown {
  const value = parseValue(text, longest);
  if (Array.isArray(value)) throw new Failure("malformed", "the body is a list, not an object"); // valibot takes one for an empty object
  return value;
}

/** The same for a list. */
export function parseJsonList(text: string): readonly unknown[] {
  const value = parseValue(text, MAX_STRING);
  if (!Array.isArray(value)) throw new Failure("malformed", "the body is not a list");
  return value;
}

function parseValue(text: string, longest: number): unknown {
  if (!isSmall(text)) measureJson(text, longest);
  const value = tryJson(text);
  if (value === undefined) throw new Failure("malformed", "the body is not JSON");
  return value;
}

/** Elements that are checked in one turn of the event loop. */
const BATCH = 64;

/** A list that is called `name`, checked by a schema of lists in batches. Throws as `checkBody`, and `too-large` for too many elements. */
export async function checkList<T>(schema: v.GenericSchema<unknown, T[]>, name: string, values: readonly unknown[]): Promise<T[]> {
  if (values.length > MAX_ELEMENTS) throw new Failure("too-large", `${name}: there are more than ${MAX_ELEMENTS}`);
  const checked: T[] = [];
  for (let from = 0; from < values.length; from += BATCH) {
    const place = (path: string) => `${name}.${path.replace(/^\d+/, (i) => String(from + Number(i)))}`;
    checked.push(...checkBody(schema, values.slice(from, from + BATCH), place));
    await nextTurn();
  }
  return checked;
}

/** Throws a `malformed` failure that names the field. `place`: how a path in the value is called. */
export function checkBody<T extends v.GenericSchema>(schema: T, value: unknown, place = (path: string) => path): v.InferOutput<T> {
  const read = quickRead(schema, value);
  if (read !== UNREAD) return read;
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Failure("malformed", `${printable(place(v.getDotPath(issue) ?? "") || "the body", 200)}: ${printable(issue.message, 200)}`);
}
