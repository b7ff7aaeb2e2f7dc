/** Clocks that are far off: a dead battery, a wrong year. They are told of, and nothing is decided by them. */

const DAY = 24 * 60 * 60 * 1000;
const BEHIND = DAY;
const AHEAD = 5 * 365 * DAY;

/**
 * What is odd about a clock, in words; undefined: nothing. Milliseconds since 1970. `known`: a time that has been, as that of the newest
 * generation; undefined: there is none.
 */
export function clockProblem(now: number, known: number | undefined): string | undefined {
  if (known === undefined || Number.isNaN(known) || (now >= known - BEHIND && now <= known + AHEAD)) return undefined;
  const show = (time: number) => new Date(time).toISOString().slice(0, 10);
  return `the clock says ${show(now)}, and the newest generation was made on ${show(known)}`;
}

/** The time to decide by: a clock that is far off counts as standing at the time that is known. */
export function plausibleTime(now: number, known: number | undefined): number {
  return clockProblem(now, known) === undefined ? now : (known ?? now);
}
