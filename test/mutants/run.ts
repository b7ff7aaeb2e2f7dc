/**
 * `make mutants`: puts small faults into the source, one at a time, and asks whether the tests notice. MUTANTS says which of them,
 * by a part of their ids; DEPTH=near or "in process" asks fewer tests; SEED and COUNT (of each kind) choose others, which are
 * not kept; SAMPLE=20 tries so many afresh of those that were noticed last time; JOBS=2 at a time. Exits 1 where one lives that is neither known nor equivalent.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ALSO, BY_HAND } from "./byhand.ts";
import { digestOf } from "./digest.ts";
import { EQUIVALENT, LIVES } from "./equivalent.ts";
import { Copy, DEPTHS } from "./judge.ts";
import { Results } from "./results.ts";
import { firstOfEach, inSeededOrder } from "./select.ts";
import { type Mutant, ROOT, Syntax, sourceFiles } from "./syntax.ts";
import { importing, reach, type TestFile } from "./tests.ts";

const { MUTANTS = "", DEPTH = "all", SEED = "1", COUNT = "1", SAMPLE = "", JOBS = "1" } = process.env;
const isKept = SEED === "1" && COUNT === "1";
const sample = Number(SAMPLE);
const asked = DEPTHS.find((depth) => depth === DEPTH);
if (!asked) throw new Error(`DEPTH is ${DEPTHS.join(", ")}`);
const begun = performance.now();

/** By hand first, commands last: their tests take longest. */
function orderOf({ file, operator }: Mutant): number {
  return ["store", "src", "handlers", "bin"].indexOf(file.split("/")[0] ?? "") + (operator === "by hand" ? 0 : 10);
}

/** Every mutant of the run, with the text that stands in its place. */
async function choose(): Promise<{ mutant: Mutant; to: string }[]> {
  await using syntax = await Syntax.open();
  const all: Mutant[] = [];
  for (const file of sourceFiles()) all.push(...(await syntax.mutants(file)));
  const hand = all.filter(({ operator }) => operator === "by hand");
  const lost = BY_HAND.filter(
    (row) => !hand.some(({ file, from, to, place }) => file === row.file && place === row.place && from === row.from && to[0] === row.to),
  );
  if (lost.length > 0)
    throw new Error(
      `rows of byhand.ts that are not in the source:\n${lost.map((row) => `${row.file}: ${row.place}: ${row.from}`).join("\n")}`,
    );
  const ids = new Set(all.map(({ id }) => id));
  if (ids.size < all.length) throw new Error(`${all.length - ids.size} mutants have the id of another`);
  const unknown = [...ALSO, ...Object.keys(EQUIVALENT), ...Object.keys(LIVES)].filter((id) => !ids.has(id));
  if (unknown.length > 0) throw new Error(`byhand.ts or equivalent.ts lists mutants that are not in the source:\n${unknown.join("\n")}`);
  const valid = rememberedIn(syntax);
  const kinds = inSeededOrder(
    all.filter(({ operator }) => operator !== "by hand"),
    SEED,
  );
  if (sample > 0) return await sampled(hand, kinds, valid);
  const chosen = hand.map((mutant) => ({ mutant, to: mutant.to[0] ?? "" }));
  const others = await firstOfEach(kinds, Number(COUNT), valid);
  for (const mutant of all.filter(({ id }) => ALSO.includes(id) && !others.some((one) => one.mutant.id === id))) {
    const to = await valid(mutant);
    if (to === undefined) throw new Error(`byhand.ts lists a mutant that is not right by its types: ${mutant.id}`);
    chosen.push({ mutant, to });
  }
  chosen.push(...others);
  return chosen.toSorted((a, b) => orderOf(a.mutant) - orderOf(b.mutant));
}

/** `Syntax.valid`, from a cache where the file of a mutant has not changed. One that another file has made wrong by its types is tried all the same. */
function rememberedIn(syntax: Syntax): (mutant: Mutant) => Promise<string | undefined> {
  const folder = join(ROOT, ".run/mutants/valid");
  return async (mutant) => {
    const text = await Bun.file(join(ROOT, mutant.file)).text();
    const kept = join(folder, mutant.file, `${digestOf(text, String(mutant.start), String(mutant.end), ...mutant.to)}.json`);
    if (!existsSync(kept)) await Bun.write(kept, JSON.stringify([await syntax.valid(mutant)]));
    const [to] = (await Bun.file(kept).json()) as [string | null];
    return to ?? undefined;
  };
}

/** Of those that a test noticed last time: a fifth by hand, the others of as many rooms and operators. The seed decides which. */
async function sampled(
  hand: readonly Mutant[],
  kinds: ReadonlyMap<string, readonly Mutant[]>,
  valid: (mutant: Mutant) => Promise<string | undefined>,
): Promise<{ mutant: Mutant; to: string }[]> {
  const rank = (key: string) => digestOf("sample", SEED, key);
  const isNoticed = ({ id }: Mutant) => results.failed(id);
  const byHand = hand.filter(isNoticed).toSorted((a, b) => (rank(a.id) < rank(b.id) ? -1 : 1));
  const chosen = byHand.slice(0, Math.ceil(sample / 5)).map((mutant) => ({ mutant, to: mutant.to[0] ?? "" }));
  for (const [, mutants] of [...kinds].toSorted(([a], [b]) => (rank(a) < rank(b) ? -1 : 1))) {
    if (chosen.length === sample) break;
    const mutant = mutants.find(isNoticed);
    const to = mutant && (await valid(mutant));
    if (mutant && to !== undefined) chosen.push({ mutant, to });
  }
  return chosen;
}

/** The same choice from a cache where neither sources nor operators have changed. */
async function choice(): Promise<Awaited<ReturnType<typeof choose>>> {
  const own = ["byhand", "operators", "select", "syntax"].map((name) => `test/mutants/${name}.ts`);
  const texts = await Promise.all([...sourceFiles(), ...own].map((path) => Bun.file(join(ROOT, path)).text()));
  const kept = join(ROOT, ".run/mutants/chosen", `${digestOf(SEED, COUNT, "", ...texts)}.json`);
  if (!existsSync(kept)) await Bun.write(kept, JSON.stringify(await choose()));
  return (await Bun.file(kept).json()) as Awaited<ReturnType<typeof choose>>;
}

const results = await Results.read();
const chosen = (sample > 0 ? await choose() : await choice()).filter(({ mutant }) => mutant.id.includes(MUTANTS));
console.log(`${chosen.length} mutants, after ${seconds()} s`);
if (isKept && MUTANTS === "" && sample === 0) await results.only(new Set(chosen.map(({ mutant }) => mutant.id)));

let reached: Promise<TestFile[]> | undefined;
const tests = () => (reached ??= sample > 0 ? importing() : reach((line) => console.log(`  ${line}`)));

const counts = { killed: 0, listed: 0, equivalent: 0, known: 0, lived: 0, near: 0 };
const noise = new Set<string>();
const queue = [...chosen.entries()];

/** Judges one mutant after the other in a copy of its own. */
async function work(name: string): Promise<void> {
  await using copy = await Copy.make(name);
  for (let next = queue.shift(); next; next = queue.shift()) await judge(copy, ...next);
  for (const path of copy.noise) noise.add(path);
}

async function judge(copy: Copy, i: number, { mutant, to }: (typeof chosen)[number]): Promise<void> {
  const { id } = mutant;
  const depth = id in EQUIVALENT ? "near" : (asked ?? "all");
  let verdict = sample > 0 ? undefined : await results.known(mutant, to, depth);
  if (!verdict) {
    const first = results.hint(id);
    verdict =
      (first === undefined ? undefined : await copy.asked(mutant, to, first)) ?? (await copy.judge(mutant, to, await tests(), depth));
    if (isKept && sample === 0) await results.keep(mutant, to, verdict);
  }
  const at = `${String(i + 1).padStart(4)} ${id} → ${to}`;
  if ("killed" in verdict) {
    counts.killed += 1;
    console.log(`${at}\n     killed by ${verdict.killed}${verdict.how === "ended" ? ", which hangs or crashes" : ""} (${seconds()} s)`);
    if (!(id in EQUIVALENT || id in LIVES)) return;
    counts.listed += 1;
    console.log("     equivalent.ts says that no test notices it: take it out there");
    return;
  }
  const why = EQUIVALENT[id] ?? LIVES[id];
  if (why === undefined && verdict.lived !== "all") counts.near += 1;
  counts[id in EQUIVALENT ? "equivalent" : id in LIVES ? "known" : "lived"] += 1;
  console.log(`${at}\n     ${mutant.file}:${mutant.line} LIVED (${why ?? verdict.lived}) (${seconds()} s)`);
}

await Promise.all(
  Array.from({ length: Math.min(Number(JOBS), queue.length) }, (_, i) => work(`${sample > 0 ? "sample" : "copy"}${SEED}-${i}`)),
);
const faults = chosen.length - counts.equivalent;
if (noise.size > 0) console.log(`failed among others and not alone: ${[...noise].join(", ")}`);
console.log(
  `${chosen.length} mutants: ${counts.killed} killed, ${counts.known + counts.lived} lived (${counts.near} of them were not asked by all tests), ${counts.equivalent} equivalent; ${((100 * counts.killed) / faults).toFixed(1)} % of the faults were noticed`,
);
console.log(`${counts.killed - counts.listed} passed, ${counts.lived + counts.listed} failed, 0 skipped`);
if (counts.lived + counts.listed > 0) process.exit(1);

function seconds(): string {
  return ((performance.now() - begun) / 1000).toFixed(0);
}
