/** What the `constraints` of an account-key let it sign. */

import { refused } from "../errors.ts";
import { type Assertion, type HeaderValue, isList, isMap } from "./assertion.ts";

/** Whether a value of `constraints` can be a pattern of headers: one that names the type of assertion exactly. */
export function isHeaderPattern(value: HeaderValue): boolean {
  if (!isMap(value)) return false;
  const kind = value.get("type");
  return typeof kind === "string" && !/[\\.+*?()|[\]{}^$]/.test(kind) && isPattern(value, false);
}

function isPattern(value: HeaderValue, isAlternative: boolean): boolean {
  if (isMap(value)) return [...value.values()].every((item) => isPattern(item, false));
  if (isList(value)) return !isAlternative && value.every((item) => isPattern(item, true));
  return value.startsWith("$") ? value === MISSING : patternOf(value) !== undefined;
}

const MISSING = "$MISSING";

function patternOf(text: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${text})$`, "u");
  } catch {
    return undefined;
  }
}

/** Whether a value matches a pattern: text matches a regular expression, a list of patterns is a choice, all of a list must match. */
function matches(pattern: HeaderValue, value: HeaderValue | undefined): boolean {
  if (pattern === MISSING) return value === undefined;
  if (value === undefined) return false;
  if (isList(value)) return value.every((item) => matches(pattern, item));
  if (isList(pattern)) return pattern.some((alternative) => matches(alternative, value));
  if (isMap(pattern)) return isMap(value) && [...pattern].every(([entry, inner]) => matches(inner, value.get(entry)));
  return typeof value === "string" && (patternOf(pattern)?.test(value) ?? false);
}

/** Throws a `refused` failure where the constraints of an account-key do not let it sign an assertion. */
export function checkConstraints(assertion: Assertion, accountKey: Assertion): void {
  const constraints = accountKey.headers.get("constraints");
  const allows = (value: HeaderValue) => isMap(value) && matches(value.get("headers") ?? "", assertion.headers);
  if (isList(constraints) && !constraints.some(allows))
    throw refused(`the key ${assertion.signKey} may not sign this: its constraints forbid it`);
}
