/** All stored assertions by primary key. What clients request: handlers/snapd.md, Assertions. */

import { type Assertion, keyText } from "../assertions/assertion.ts";
import { parseAssertions } from "../assertions/text.ts";
import { ASSERTION_TYPES } from "../assertions/types.ts";
import type { Snap, StoredAssertion } from "./snap.ts";

export class AssertionSet {
  /** assertions that belong to no stored snap */
  readonly others: readonly StoredAssertion[];
  readonly #byKey = new Map<string, StoredAssertion[]>();
  /** by the key without its last part, the sequence number */
  readonly #sequences = new Map<string, StoredAssertion[]>();
  readonly #parsed = new Map<StoredAssertion, Assertion>();

  constructor(snaps: readonly Snap[], others: readonly StoredAssertion[]) {
    this.others = others;
    for (const snap of snaps) for (const stored of snap.assertions) this.#add(stored);
    for (const stored of others) this.#add(stored);
    for (const list of this.#byKey.values()) list.sort((a, b) => b.revision - a.revision || b.format - a.format);
    for (const list of this.#sequences.values()) list.sort((a, b) => sequenceNumber(b) - sequenceNumber(a) || b.revision - a.revision);
  }

  #add(stored: StoredAssertion): void {
    const { type, key } = stored;
    append(this.#byKey, keyText(type, key), stored);
    if (ASSERTION_TYPES.get(type)?.sequence) append(this.#sequences, keyText(type, key.slice(0, -1)), stored);
  }

  /** Every revision and format of the assertion with that primary key, newest first. */
  versions(type: string, key: readonly string[]): readonly StoredAssertion[] {
    return this.#byKey.get(keyText(type, key)) ?? [];
  }

  /** The newest version of an assertion in a format that the client reads; `maxFormat` undefined: any. */
  newest(type: string, key: readonly string[], maxFormat?: number): StoredAssertion | undefined {
    return this.versions(type, key).find(({ format }) => maxFormat === undefined || format <= maxFormat);
  }

  /** The highest member of a sequence in a format that the client reads. `key`: the primary key without its last part. */
  latest(type: string, key: readonly string[], maxFormat?: number): StoredAssertion | undefined {
    return this.#sequences.get(keyText(type, key))?.find(({ format }) => maxFormat === undefined || format <= maxFormat);
  }

  /** The versions of an assertion that were verified, newest first. */
  verified(type: string, key: readonly string[]): Assertion[] {
    return this.versions(type, key).flatMap((stored) => (stored.unverified === undefined ? this.#parse(stored) : []));
  }

  /** Everything of a type. */
  ofType(type: string): StoredAssertion[] {
    return [...this.#byKey.values()].flat().filter((stored) => stored.type === type);
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

/** The sequence number of a member of a sequence: the last part of its key. */
export function sequenceNumber({ key }: Pick<StoredAssertion, "key">): number {
  return Number(key.at(-1));
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
