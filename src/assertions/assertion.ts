/** A parsed assertion: headers, primary key, body and text. */

import { printable, refused } from "../errors.ts";

export type HeaderValue = string | readonly HeaderValue[] | ReadonlyMap<string, HeaderValue>;

export interface Assertion {
  readonly type: string;
  /** every header by name, as text, list or map */
  readonly headers: ReadonlyMap<string, HeaderValue>;
  /** values of the primary key in order, without trailing optional ones that equal their default */
  readonly key: readonly string[];
  /** 0 if it has none */
  readonly revision: number;
  readonly format: number;
  /** id of the account that signs; undefined for requests, which sign themselves */
  readonly authority: string | undefined;
  /** id of the key that signed it */
  readonly signKey: string;
  /** `""` where there is none */
  readonly body: string;
  /** the text as read, ending in one newline; the signature covers exactly these bytes */
  readonly text: string;
}

/** The text of a header. Throws a `refused` failure where it is absent, or a list or map. */
export function header(assertion: Assertion, name: string): string {
  const value = assertion.headers.get(name);
  if (typeof value === "string") return value;
  const wrong = value === undefined ? "is missing" : "is no text";
  throw refused(printable(`${keyText(assertion.type, assertion.key)}: header "${name}" ${wrong}`, 500));
}

/** The text of a header, undefined where it is absent. Throws a `refused` failure where it is a list or map. */
export function optionalHeader(assertion: Assertion, name: string): string | undefined {
  return assertion.headers.has(name) ? header(assertion, name) : undefined;
}

/** One text for a primary key, `snap-declaration/16/ID`. */
export function keyText(type: string, key: readonly string[]): string {
  return [type, ...key].join("/");
}

export function isList(value: HeaderValue | undefined): value is readonly HeaderValue[] {
  return Array.isArray(value);
}

export function isMap(value: HeaderValue | undefined): value is ReadonlyMap<string, HeaderValue> {
  return value instanceof Map;
}

export const BLANK_LINE = "\n\n";
