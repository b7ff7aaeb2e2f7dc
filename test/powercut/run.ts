/** `make powercut`: what a power cut or a failing disk does to each command. Exits 1 where something is other than known.ts says. */

import { COMMANDS } from "./commands.ts";
import { explore, type Report } from "./explore.ts";
import { unexpected } from "./known.ts";

const [wanted = "", seed = "1", states = "1000", faults = "12"] = process.argv.slice(2);
const names = wanted.split(/[\s,]+/).filter(Boolean);
const lost = names.filter((name) => !COMMANDS.some((command) => command.name === name));
if (lost.length > 0) throw new Error(`there is no ${lost.join()}: there are ${COMMANDS.map(({ name }) => name).join()}`);

const WIDTHS = [23, -8, -14, -6, -14, -12, -7, -6];

function print(cells: readonly (string | number)[]): void {
  console.log(
    cells
      .map((cell, i) => ((WIDTHS[i] ?? 0) < 0 ? String(cell).padStart(-(WIDTHS[i] ?? 0)) : String(cell).padEnd(WIDTHS[i] ?? 0)))
      .join(""),
  );
}

function printReport({ command, changes, states: seen, reachable, bad, durable, exited, faults: failed, possible, wrong }: Report): void {
  const share = exited === 0 ? "" : `${Math.floor((100 * durable) / exited)} %`;
  print([command, changes, `${seen} of ${reachable}`, bad, `${share} of ${exited}`, `${failed} of ${possible}`, wrong]);
}

print(["COMMAND", "CHANGES", "STATES", "BAD", "DURABLE", "FAILURES", "WRONG"]);
const reports: Report[] = [];
for (const command of COMMANDS.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const report = await explore(command, { seed: Number(seed), states: Number(states), faults: Number(faults) });
  reports.push(report);
  printReport(report);
  for (const [problem, example] of report.problems) console.log(`    ${problem}\n        ${example}`);
}
const surprises = unexpected(reports);
for (const line of surprises) console.log(`unexpected: ${line}`);
console.log(`${reports.length - new Set(surprises.map((line) => line.split(":")[0])).size} passed, ${surprises.length} failed`);
if (surprises.length > 0) process.exit(1);
