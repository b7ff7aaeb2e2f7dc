/**
 * What parsers take for what test/hostile/texts.ts makes: `bun test/hostile/measure.ts SIZE NAME…` prints a line of JSON for each, its
 * processor time in seconds and, as far as Linux tells, the most memory of this process so far in MiB.
 */

import { readFileSync } from "node:fs";
import { outcomeOf, TARGETS } from "../fuzz/targets.ts";
import { TEXTS } from "./texts.ts";

export interface Measured {
  readonly name: string;
  readonly outcome: string;
  readonly seconds: number;
  readonly memory: number;
}

const [size = "0", ...names] = process.argv.slice(2);
for (const name of names) {
  const generator = TEXTS[name];
  if (!generator) throw new Error(`there is no ${name}`);
  const bytes = generator.make(Number(size));
  Bun.gc(true); // what the generator left does not count
  const begun = process.cpuUsage();
  const outcome = await outcomeOf(TARGETS[generator.target], bytes).catch((error: unknown) => `fault: ${String(error)}`);
  const { user, system } = process.cpuUsage(begun);
  const [, peak = "0"] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  console.log(JSON.stringify({ name, outcome, seconds: (user + system) / 1e6, memory: Number(peak) / 1024 } satisfies Measured));
}
