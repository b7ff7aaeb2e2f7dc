/** All assertions that are held, by primary key. What clients ask for: handlers/snapd.md, Assertions. */

import { type Assertion, keyText } from "../assertions/assertion.ts";
import { parseAssertions } from "../assertions/text.ts";
import { ASSERTION_TYPES } from "../assertions/types.ts";
import type { Snap, StoredAssertion } from "./snap.ts";

export class AssertionSet {
  /** those that belong to no held snap */
  readonly others: readonly StoredAssertion[];
  readonly #byKey = new Map<string, StoredAssertion[]>();
  /** by the key without its last part, the sequence number */
  readonly #sequences = new Map<string, StoredAssertion[]>();
  readonly #parsed = new Map<StoredAssertion, Assertion>();

  constructor(snaps: readonly Snap[], others: readonly StoredAssertion[]) {
    this.others = others;
    for (const snap of snaps) for (const one of snap.assertions) this.#add(one);
    for (const one of others) this.#add(one);
    for (const list of this.#byKey.values()) list.sort((a, b) => b.revision - a.revision || b.format - a.format);
    for (const list of this.#sequences.values()) list.sort((a, b) => numberOf(b) - numberOf(a) || b.revision - a.revision);
  }

  #add(one: StoredAssertion): void {
    push(this.#byKey, keyText(one.type, one.key), one);
    if (ASSERTION_TYPES.get(one.type)?.sequence) push(this.#sequences, keyText(one.type, one.key.slice(0, -1)), one);
  }

  /** Every revision and format of a primary key, newest first. */
  of(type: string, key: readonly string[]): readonly StoredAssertion[] {
    return this.#byKey.get(keyText(type, key)) ?? [];
  }

  /** The newest of a primary key that a client reads; `maxFormat` undefined: any. */
  newest(type: string, key: readonly string[], maxFormat?: number): StoredAssertion | undefined {
    return this.of(type, key).find((one) => maxFormat === undefined || one.format <= maxFormat);
  }

  /** The highest of a sequence that a client reads. `key`: the primary key without its last part. */
  latest(type: string, key: readonly string[], maxFormat?: number): StoredAssertion | undefined {
    return this.#sequences.get(keyText(type, key))?.find((one) => maxFormat === undefined || one.format <= maxFormat);
  }

  /** What verified of a primary key, newest first. */
  verified(type: string, key: readonly string[]): Assertion[] {
    return this.of(type, key).flatMap((one) => (one.unverified === undefined ? this.#parse(one) : []));
  }

  /** Everything of a type. */
  ofType(type: string): StoredAssertion[] {
    return [...this.#byKey.values()].flat().filter((one) => one.type === type);
  }

  #parse(stored: StoredAssertion): Assertion[] {
    let found = this.#parsed.get(stored);
    if (!found) {
      [found] = parseAssertions(Buffer.from(stored.text), keyText(stored.type, stored.key));
      if (found) this.#parsed.set(stored, found);
    }
    return found ? [found] : [];
  }
}

/** The sequence number, the last part of its key. */
export function numberOf({ key }: Pick<StoredAssertion, "key">): number {
  return Number(key.at(-1));
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
