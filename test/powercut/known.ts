/** Faults that are known and not mended yet. Who mends one removes its line: a line whose fault is gone fails the test. */

import type { Report } from "./explore.ts";

interface Known {
  /** undefined: of any; it is enough that one of them shows it */
  readonly commands?: readonly string[];
  readonly problem: string;
  readonly why: string;
}

const CERTIFICATES = ["certificate-selfsigned", "certificate-renew", "certificate-given"];

const CHANGES = ["release", "close", "default-track", "override", "end-override", "rollback", "remove"];
const PUBLISHING = ["import-new", "import", "import-several", "import-snap", ...CHANGES];

export const KNOWN: readonly Known[] = [
  {
    commands: ["config", "config-change", "config-yaml", "config-secret", "accept-key", "accept-key-remove", "import-snap"],
    problem: "not durable: store/config.json",
    why: "the folder of a setting that was replaced is not synced: after exit 0 it may be as before",
  },
  {
    commands: ["config-yaml", "config-secret"],
    problem: "not durable: store/secrets/oci-registry.json",
    why: "the same of the registry's password",
  },
  { commands: ["import-snap"], problem: "not durable: store/secrets/session.json", why: "the same of the key of device sessions" },
  {
    commands: ["token", "token-revoke"],
    problem: "not durable: store/secrets/tokens.json",
    why: "the same of tokens: a new one may be gone, a revoked one may be back",
  },
  { commands: CERTIFICATES, problem: "not durable: store/tls.json", why: "the same of the certificate" },
  { commands: CERTIFICATES, problem: "not durable: store/secrets/tls.json", why: "the same of its key" },
  { commands: ["certificate-selfsigned"], problem: "not durable: store/secrets/tls-ca.json", why: "the same of the authority" },
  {
    commands: CERTIFICATES,
    problem: "the certificate is without its key",
    why: "nothing is synced between the two files, so the new certificate may be there with the keys before",
  },
  {
    commands: ["token", "config-secret", "certificate-selfsigned", "import-snap"],
    problem: "readable by others: store/secrets/",
    why: "the folder is made for all and closed by a chmod; cut between the two it stays open (the files in it are 0600), and nobody looks again",
  },
  { commands: ["backup"], problem: "readable by others: backup/secrets/", why: "the same of a backup's" },
  { commands: ["restore"], problem: "readable by others: restored/secrets/", why: "the same of a restored store's" },
  {
    commands: ["backup", "restore"],
    problem: "the same command again exits 2",
    why: "what a cut left must be removed by hand first: the folder is to be empty",
  },
  {
    commands: ["backup", "restore", "gc", "gc-again"],
    problem: "ENOSPC: internal error",
    why: "a folder that is synced by itself, not by a commit, fails without words",
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
    const lacking = commands ? whole.filter((one) => !shows(one)) : reports.some(shows) ? [] : whole;
    return lacking.map(({ command }) => `${command}: is known for “${problem}” and has it no more: remove it from known.ts`);
  });
  return [...unknown, ...gone];
}
