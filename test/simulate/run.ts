/** `make simulate`: histories of the store by their seeds. One seed alone is shown step by step. Exits 1 where an invariant is broken. */

import { simulate } from "./simulate.ts";

const [text = "1-1000"] = process.argv.slice(2);
const [from = 1, to = from] = text.split("-").map(Number);
if (![from, to].every(Number.isSafeInteger)) throw new Error("SEEDS is a number, or two with - between them");
const sums = { steps: 0, published: 0, cuts: 0, failed: 0 };
const before = process.cpuUsage();
let broken = 0;
for (let seed = from; seed <= to; seed += 1) {
  const outcome = await simulate(seed, from === to ? { trace: (line) => console.log(line) } : {});
  for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += outcome[key];
  if (!outcome.violation) continue;
  broken += 1;
  console.log(`seed ${seed}: ${outcome.violation.message}`);
}
const { user, system } = process.cpuUsage(before);
const { steps, published, cuts, failed } = sums;
console.log(
  `${to - from + 1} seeds, ${steps} steps, ${published} generations, ${cuts} power cuts, ${failed} failed calls, ${((user + system) / 1e6).toFixed(1)} s of processor time`,
);
console.log(`${to - from + 1 - broken} passed, ${broken} failed`);
if (broken > 0) process.exit(1);
