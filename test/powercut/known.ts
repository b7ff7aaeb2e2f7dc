/** Faults that are known and not mended yet. Who mends one removes its line: a line whose fault is gone fails the test. */

import type { Report } from "./explore.ts";

export interface Known {
  /** undefined: of any; it is enough that one of them shows it */
  readonly commands?: readonly string[];
  readonly problem: string;
  readonly why: string;
}

export const KNOWN: readonly Known[] = [];

const FAULT = /^E[A-Z]+: /;

/** What is wrong and not known, and what is known and not there any more. */
export function unexpected(reports: readonly Report[], all: readonly Known[] = KNOWN): string[] {
  const isKnown = (report: Report, problem: string) =>
    all.some((known) => known.problem === problem && (known.commands?.includes(report.command) ?? true));
  const unknown = reports.flatMap((report) =>
    [...report.problems].flatMap(([problem, example]) => (isKnown(report, problem) ? [] : `${report.command}: ${problem}: ${example}`)),
  );
  const gone = all.flatMap(({ commands, problem }) => {
    const isWhole = (one: Report) => (FAULT.test(problem) ? one.exhausted : one.states === one.reachable);
    const whole = reports.filter((one) => isWhole(one) && (commands?.includes(one.command) ?? true));
    const shows = (report: Report) => report.problems.has(problem);
    const missing = commands ? whole.filter((one) => !shows(one)) : reports.some(shows) ? [] : whole;
    return missing.map(({ command }) => `${command}: is known for “${problem}” and has it no more: remove it from known.ts`);
  });
  return [...unknown, ...gone];
}
