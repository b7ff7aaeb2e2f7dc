import type { BeginSums } from "../../src/digest.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { check, type Finding, type ReadData } from "../../store/check.ts";
import { withDigests } from "../machine/digests.ts";
import { count, type Io, note, printJson, showSize } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { progressOn } from "../machine/progress.ts";
import { signaturesOf } from "../machine/storekey.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["readData", "leaveDamaged"] as const;
type VerifyFlags = FlagValues<typeof TAKES>;

export const verifyCommand: Register = (program, io) => {
  defineCommand(
    program,
    "verify",
    "Verify the integrity of the store",
    "0 clean, 1 failed, 2 usage, 10 no store, 11 store format too new, 13 corruption found, 130 interrupted",
    TAKES,
  )
    .addHelpText("after", EXAMPLES)
    .action((options: VerifyFlags) => runVerify(options, io));
};

const EXAMPLES = `
Generations, indexes, manifests and texts are read, of payloads the size is checked. Damaged files are moved to
quarantine/ in the store, and named together with the file to import again. A server and imports may run meanwhile.

Examples:
  chp verify
  chp verify --read-data
  chp verify --read-data=$(date +%u)/7     a seventh a day, all of it in a week
  chp verify --read-data=5%`;

export async function runVerify(options: VerifyFlags, io: Io): Promise<void> {
  const readData = options.readData === undefined ? undefined : parseReadData(options.readData);
  const store = await openStore(options, io);
  const progress = progressOn("verify", options, io);
  const checked = (sums: BeginSums) =>
    check(store, {
      sums,
      dryRun: options.dryRun ?? false,
      signal: io.signal,
      ...(readData && { readData }),
      signatures: (links) =>
        signaturesOf(links, store, io).catch((error: unknown) => {
          note(`signatures of the history were not checked: ${printable(reason(error))}`, options, io);
          return undefined;
        }),
      onProgress: (bytes, what, size) => progress.update(what, bytes, size),
    });
  const report = await withDigests(checked, { isIdle: true })
    .catch((error: unknown) => {
      throw io.signal.aborted ? new Failure("interrupted", "interrupted: what was not checked yet may be damaged") : error;
    })
    .finally(() => progress.end());
  const damaged = report.findings.filter((finding) => finding.severity === "damage").length;
  if (!options.dryRun)
    await store.runs
      .verified({ ended: new Date().toISOString(), damaged })
      .catch((error: unknown) => note(`the metrics do not show this verification: ${printable(reason(error))}`, options, io));
  if (options.json) printJson({ ...report, damaged, payloadsRead: readData !== undefined }, io);
  else {
    const read = `${count(report.read.blobs, "blob")} (${showSize(report.read.bytes)}) read`;
    const hint = readData ? "" : "; file contents were not read (only sizes were checked): add --read-data";
    const summary = `${count(report.generations, "generation")}, ${count(report.blobs, "blob")}, ${read}: ${damaged === 0 ? "no damage" : `${damaged} damaged`}${hint}`;
    io.out(`${[...report.findings.flatMap(renderFinding), summary].map((line) => printable(line)).join("\n")}\n`);
  }
  if (damaged > 0)
    throw new Failure("corrupt", `${store.storage.place} is damaged in ${count(damaged, "place")}`, {
      next: "do what each line says, then chp verify; chp import --repair restores files and changes nothing else",
    });
  if (report.hasNewer)
    throw new Failure("store-too-new", `a newer chp wrote into ${store.storage.place}: what it wrote was not looked at`, {
      next: "run chp verify of the chp that wrote it",
    });
}

function renderFinding({ severity, what, problem, digest, movedTo, repair }: Finding): string[] {
  return [
    `${severity === "damage" ? "DAMAGED" : "warning"}  ${what.join(", ")}: ${problem}`,
    ...(digest === undefined ? [] : [`  sha256 ${digest}`]),
    ...(movedTo === undefined ? [] : [`  moved to ${movedTo}`]),
    `  repair: ${repair}`,
  ];
}

/** `true`: all; `n/t`; `x%` */
function parseReadData(text: string | true): ReadData {
  if (text === true) return { part: 1, of: 1 };
  const part = /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  const percent = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text);
  const found = part ? { part: Number(part[1]), of: Number(part[2]) } : { percent: Number(percent?.[1]) };
  if ("percent" in found ? found.percent > 0 && found.percent <= 100 : found.part >= 1 && found.part <= found.of) return found;
  throw new Failure("usage", `--read-data takes n/t with n from 1 to t, or x% up to 100%, not ${printable(text, 50)}`);
}
