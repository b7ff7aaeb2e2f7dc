/** The text of a JSON file of strangers, before it is parsed. */

import type { Budget } from "../archives/budget.ts";
import { refused } from "../errors.ts";
import { utf8 } from "../text.ts";

const MAX_NESTING = 100;

/** The text of a file that is not nested too deep to be parsed, and not too much for the budget. Throws a `refused` failure. */
export function jsonText(bytes: Uint8Array, budget: Budget): string {
  if (nesting(bytes) > MAX_NESTING) throw refused(`it is nested more than ${MAX_NESTING} deep`);
  budget.parse("json", bytes);
  return utf8(bytes, "it");
}

/** How deep the brackets are nested: text that would overflow the stack is not parsed. */
function nesting(json: Uint8Array): number {
  const [quote, backslash] = [0x22, 0x5c];
  let [depth, deepest, quoted] = [0, 0, false];
  for (let i = 0; i < json.byteLength; i += 1) {
    const byte = json[i] ?? 0;
    if (quoted && byte === backslash) i += 1;
    else if (byte === quote) quoted = !quoted;
    else if (!quoted && (byte === 0x5b || byte === 0x7b)) deepest = Math.max(deepest, (depth += 1));
    else if (!quoted && (byte === 0x5d || byte === 0x7d)) depth -= 1;
  }
  return deepest;
}
