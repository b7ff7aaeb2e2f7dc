/** Faults that are known and not mended yet. Who mends one removes its line: a line whose fault is gone fails the test. */

import type { Report } from "./explore.ts";

interface Known {
  /** undefined: of any; it is enough that one of them shows it */
  readonly commands?: readonly string[];
  readonly problem: string;
  readonly why: string;
}

const CHANGES = ["release", "close", "default-track", "override", "end-override", "rollback", "remove"];
const PUBLISHING = ["import-new", "import", "import-several", "import-snap", ...CHANGES];

export const KNOWN: readonly Known[] = [
  {
    commands: ["backup", "restore"],
    problem: "the same command again exits 2",
    why: "what a cut left must be removed by hand first: the folder is to be empty",
  },
  { commands: ["keygen"], problem: "not durable: site.key", why: "neither the file nor its folder is synced" },
  { commands: ["keygen"], problem: "not durable: site.key.pub", why: "neither the file nor its folder is synced" },
  { commands: ["keygen"], problem: "neither old nor new: site.key", why: "it is written in its place, so it can be empty or cut" },
  { commands: ["keygen"], problem: "neither old nor new: site.key.pub", why: "it is written in its place, so it can be empty or cut" },
  { commands: ["keygen"], problem: "the same command again exits 2", why: "what a cut left counts as a key that is never overwritten" },
  { commands: ["export"], problem: "not durable: site.lock", why: "the lock is written after all syncs" },
  { commands: ["export"], problem: "neither old nor new: site.lock", why: "the lock is written in its place, over the one before" },
  { commands: ["export"], problem: "not durable: out/site-TIME.tar", why: "the folder above an export folder that was made is not synced" },
  {
    commands: ["gc"],
    problem: "verify exits 13",
    why: "generations are pruned in no order that the disk keeps: one without the one before it counts as damage",
  },
  ...["EIO", "ENOSPC", "EMFILE", "EINTR"].map((error) => ({
    commands: PUBLISHING,
    problem: `${error}: exit 1, and the new generation is there`,
    why: "a step after the link failed: it is told as if nothing was published",
  })),
  { problem: "EIO: internal error", why: "EIO has no words" },
  { problem: "EMFILE: internal error", why: "EMFILE has no words" },
  { problem: "EINTR: internal error", why: "EINTR (a network file system that is asked to stop) is not tried again, and has no words" },
];

const FAULT = /^E[A-Z]+: /;

/** What is wrong and not known, and what is known and not there any more. */
export function unexpected(reports: readonly Report[]): string[] {
  const isKnown = (report: Report, problem: string) =>
    KNOWN.some((known) => known.problem === problem && (known.commands?.includes(report.command) ?? true));
  const unknown = reports.flatMap((report) =>
    [...report.problems].flatMap(([problem, example]) => (isKnown(report, problem) ? [] : `${report.command}: ${problem}: ${example}`)),
  );
  const gone = KNOWN.flatMap(({ commands, problem }) => {
    const isWhole = (one: Report) => (FAULT.test(problem) ? one.exhausted : one.states === one.reachable);
    const whole = reports.filter((one) => isWhole(one) && (commands?.includes(one.command) ?? true));
    const shows = (report: Report) => report.problems.has(problem);
    const missing = commands ? whole.filter((one) => !shows(one)) : reports.some(shows) ? [] : whole;
    return missing.map(({ command }) => `${command}: is known for “${problem}” and has it no more: remove it from known.ts`);
  });
  return [...unknown, ...gone];
}
