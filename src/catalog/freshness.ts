/**
 * How new signed archives are. Who carries an older archive that was signed as well could take a channel back to revisions with known
 * faults, and who carries none keeps it there: so the store remembers the newest signed time of each key.
 */

import type { SignedTimes, SourceRecord } from "./generation-types.ts";

const DAY = 86_400_000;
/** A clock may be so far behind that of the exporter, in milliseconds. */
const CLOCK_SLACK = DAY;

/** When a signature was made, by its trusted comment as chp and minisign write it; undefined: it does not say. */
export function signedTime(comment: string): string | undefined {
  const seconds = /(?:^|\s)timestamp:(\d{1,11})(?:\s|$)/.exec(comment)?.[1];
  const text = /^chp export of (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$/.exec(comment)?.[1];
  const at = seconds === undefined ? Date.parse(text ?? "") : Number(seconds) * 1000;
  return at >= 0 && at < 253_402_300_800_000 ? `${new Date(at).toISOString().slice(0, 19)}Z` : undefined;
}

/** Whether a time is so late that the clock here, or there, is wrong. `now`: milliseconds. */
export function isAhead(time: string, now: number): boolean {
  return Date.parse(time) > now + CLOCK_SLACK;
}

export function newestOf(...all: readonly SignedTimes[]): SignedTimes {
  const newest = new Map<string, string>();
  for (const [key, time] of all.flatMap((times) => Object.entries(times))) if (time > (newest.get(key) ?? "")) newest.set(key, time);
  return Object.fromEntries([...newest].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The newest signed time of each key that signed a source. `now`: milliseconds; times that are ahead of it do not count. */
export function signedTimes(sources: readonly Pick<SourceRecord, "signers">[], now: number): SignedTimes {
  const times = sources.flatMap(({ signers = [] }) =>
    signers.flatMap(({ key, comment }): SignedTimes[] => {
      const time = signedTime(comment);
      return time === undefined || isAhead(time, now) ? [] : [{ [key]: time }];
    }),
  );
  return newestOf(...times);
}

/** `2026-04-26T16:31:15Z, 12 days old`. `now`: milliseconds. */
export function showAge(time: string, now: number): string {
  const days = Math.floor((now - Date.parse(time)) / DAY);
  if (days < 0) return `${time}, which is to come by the clock here`;
  return `${time}, ${days === 1 ? "a day" : `${days} days`} old`;
}
