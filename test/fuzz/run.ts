/**
 * Fuzzing by seeded mutation: `bun test/fuzz/run.ts SECONDS SEED [TARGET,…]`. Every target of targets.ts gets its share of the seconds, in a process
 * of its own; an input that ends in anything but a refusal, or takes more than `HANG`, is written to the corpus, where a test keeps it.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TEXTS } from "../hostile/texts.ts";
import { outcomeOf, TARGETS, type TargetName } from "./targets.ts";

const CORPUS = join(import.meta.dir, "corpus");
const LAST = join(import.meta.dir, "../../.run/fuzz");
/** seconds of processor time for one input */
const HANG = 5;
const MAX_INPUT = 50_000;

/** A generator of numbers below `most`, the same for the same seed. */
function randomOf(seed: number): (most: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (most) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return most <= 0 ? 0 : state % most;
  };
}

/** Inputs that mutation begins with: those of the corpus for this target, and what test/hostile/texts.ts makes for it. */
export function seedsOf(target: TargetName): Uint8Array[] {
  const kept = readdirSync(CORPUS).filter((name) => name.startsWith(`${target}-`));
  const made = Object.values(TEXTS).filter((one) => one.target === target);
  return [...kept.toSorted().map((name) => readFileSync(join(CORPUS, name))), ...made.map(({ make }) => make(400))];
}

/** One to eight changes: bytes flipped, parts repeated, left out, or taken from another seed. */
function mutated(seeds: readonly Uint8Array[], random: (most: number) => number): Uint8Array {
  let bytes = Buffer.from(seeds[random(seeds.length)] ?? []);
  for (let left = 1 + random(8); left > 0; left -= 1) {
    const from = random(bytes.byteLength);
    const to = from + random(Math.min(64, bytes.byteLength - from));
    const [before, part, after] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)];
    const other = Buffer.from(seeds[random(seeds.length)] ?? []);
    const cut = random(other.byteLength);
    const changes = [
      () => [before, Buffer.from([random(256)]), bytes.subarray(from + 1)],
      () => [before, ...Array.from({ length: 1 + random(200) }, () => part), after],
      () => [before, after],
      () => [before, other.subarray(cut, cut + random(64)), after],
      () => [before, Buffer.from("\n[]{}()\"':,-?&*!#%|> \\=./0"[random(27)] ?? ""), after],
    ];
    bytes = Buffer.concat(changes[random(changes.length)]?.() ?? [bytes]).subarray(0, MAX_INPUT);
  }
  return bytes;
}

/** In a process of its own: prints how many inputs were tried. */
async function fuzz(target: TargetName, seconds: number, seed: number): Promise<void> {
  const [seeds, random, end] = [seedsOf(target), randomOf(seed), performance.now() + seconds * 1000];
  let tried = 0;
  for (; tried === 0 || performance.now() < end; tried += 1) {
    const input = mutated(seeds, random);
    writeFileSync(join(LAST, target), input); // what it hung or broke at
    const begun = process.cpuUsage().user;
    await outcomeOf(TARGETS[target], input);
    if (process.cpuUsage().user - begun > HANG * 1e6) throw new Error(`an input of ${input.byteLength} bytes took more than ${HANG} s`);
  }
  console.log(tried);
}

async function main([seconds = "20", seed = "1", names = ""]: readonly string[]): Promise<number> {
  const all = Object.keys(TARGETS) as TargetName[];
  const targets = names === "" ? all : all.filter((name) => names.split(",").includes(name));
  mkdirSync(LAST, { recursive: true });
  let failed = 0;
  for (const target of targets) {
    const share = Number(seconds) / targets.length;
    const child = Bun.spawn(
      [
        "sh",
        "-c",
        'ulimit -t "$1"; shift; exec "$@"',
        "sh",
        String(Math.ceil(share) + 4 * HANG),
        process.execPath,
        import.meta.path,
        "--one",
        target,
        String(share),
        seed,
      ],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    const [tried, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    if (code === 0) console.log(`${target}: ${tried.trim()} inputs`);
    else {
      failed += 1;
      const kept = join(CORPUS, `${target}-${Bun.hash(readFileSync(join(LAST, target))).toString(16)}`);
      writeFileSync(kept, readFileSync(join(LAST, target)));
      console.log(`${target}: it failed (${code}) with seed ${seed}; the input is kept as ${kept}`);
    }
  }
  console.log(`${targets.length - failed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) {
  const [first, target = "yaml", seconds = "1", seed = "1"] = process.argv.slice(2);
  if (first === "--one") await fuzz(target as TargetName, Number(seconds), Number(seed));
  else process.exit(await main(process.argv.slice(2)));
}
