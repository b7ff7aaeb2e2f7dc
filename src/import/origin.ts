/** Who signed each source, and whether that is enough: an accepted key, and none of its archives that is older than what was imported. */

import { type PublicKey, showKey, showSigner } from "../archives/signature.ts";
import { isAhead, signedTime } from "../catalog/freshness.ts";
import type { SignedTimes, Signer, SourceRecord } from "../catalog/generation-types.ts";
import { printable, refused } from "../errors.ts";
import type { SourceOrigin } from "./sums.ts";

export interface OriginOptions {
  /** every source must be signed by one of these keys; empty: nothing has to be signed */
  readonly accepted?: readonly PublicKey[];
  /** whether a source that none of them signed is imported all the same, and marked */
  readonly allowUnsigned?: boolean;
  /** whether a source is imported that was signed before the newest by the same key */
  readonly allowOlder?: boolean;
  /** RFC 3339 */
  readonly now: string;
}

export interface SourceOrigins {
  readonly records: readonly SourceRecord[];
  readonly notes: readonly string[];
  /** by the names of the sources: the signatures that cover all of each */
  readonly vouchers: readonly { readonly name: string; readonly signer: Signer }[];
}

/** The sources with their signers. Throws a `refused` failure where keys are accepted and none of them signed a source. */
export function sourceOrigins(
  read: ReadonlyMap<string, SourceRecord>,
  origins: ReadonlyMap<string, SourceOrigin>,
  { accepted = [], allowUnsigned = false, now }: OriginOptions,
): SourceOrigins {
  const notes = new Set<string>();
  const vouchers: SourceOrigins["vouchers"][number][] = [];
  const records = [...read].map(([path, record]): SourceRecord => {
    const origin = origins.get(path);
    if (!origin) return record; // no file of it was used
    const { signers, unsignedBecause, unknownKey } = origin;
    for (const signer of origin.vouchers) vouchers.push({ name: record.name, signer });
    for (const { comment } of signers) {
      const time = signedTime(comment);
      if (time !== undefined && isAhead(time, Date.parse(now)))
        notes.add(`${record.name} was signed at ${time}, and it is ${now} here: that time is not remembered; set the clock that is wrong`);
    }
    if (unsignedBecause === undefined) return { ...record, signers };
    if (accepted.length === 0) {
      if (unknownKey !== undefined)
        notes.add(`the signature by key ${unknownKey} was not checked, since that key is not trusted; chp accept-key FILE.pub trusts it`);
      return record;
    }
    if (!allowUnsigned)
      throw refused(`${printable(record.name)} is not signed by a trusted key: ${unsignedBecause}`, {
        next: `trusted: ${accepted.map(showKey).join(", ")}; chp accept-key FILE.pub trusts one more, --allow-unsigned imports this as it is`,
      });
    notes.add(`UNSIGNED: ${record.name} was imported as it is: ${unsignedBecause}`);
    return { ...record, unsigned: true };
  });
  return { records, notes: [...notes], vouchers };
}

/**
 * Throws a `refused` failure for a source that was signed before the newest of the same key, or that does not say when. `newest`: what
 * the store remembers. The notes name what is older and allowed.
 */
export function checkAge({ vouchers }: SourceOrigins, newest: SignedTimes, { allowOlder = false }: OriginOptions): readonly string[] {
  const notes = new Set<string>();
  for (const { name, signer } of vouchers) {
    const [time, known] = [signedTime(signer.comment), Object.hasOwn(newest, signer.key) ? newest[signer.key] : undefined];
    if (known === undefined || (time !== undefined && time >= known)) continue;
    const when = time === undefined ? "does not say when it was signed" : `was signed at ${time}`;
    const why = `${printable(name)} ${when}, and the newest by key ${showSigner(signer)} here is of ${known}`;
    if (!allowOlder)
      throw refused(why, {
        next: "import the newest; chp import --repair restores lost files from this one and changes nothing else, --allow-older imports it as it is",
      });
    notes.add(`OLDER: ${why}`);
  }
  return [...notes];
}
