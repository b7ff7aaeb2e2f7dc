/** Each system call of a command fails once: by strace, which counts the calls of each thread for itself, so a second may fail too. */

import { reason } from "../../src/errors.ts";
import { generator, Model, readTree, type Tree } from "./model.ts";
import { nameOf, type Scene, type Traced, type View } from "./scene.ts";
import { type Call, operationsOf, touches } from "./trace.ts";

const ERRORS: Readonly<Record<string, readonly string[]>> = {
  write: ["EIO", "ENOSPC", "EINTR"],
  pwrite64: ["EIO", "ENOSPC", "EINTR"],
  fsync: ["EIO", "ENOSPC", "EINTR"],
  ftruncate: ["EIO", "ENOSPC"],
  openat: ["EIO", "ENOSPC", "EMFILE", "EINTR"],
  mkdir: ["EIO", "ENOSPC"],
  link: ["EIO", "ENOSPC"],
  rename: ["EIO", "ENOSPC"],
  unlink: ["EIO"],
  rmdir: ["EIO"],
  chmod: ["EIO"],
  fchmod: ["EIO"],
};

/** published, but a later step failed */
const PUBLISHED = 14;
const DOCUMENTED = new Set([0, 1, 2, 3, 4, 10, 11, 12, 13, PUBLISHED, 130]);

interface Found {
  readonly problem: string;
  readonly example: string;
}

export interface Faults {
  /** what could be failed, and what was */
  readonly possible: number;
  readonly faults: number;
  readonly wrong: number;
  /** whether all of it was tried */
  readonly exhausted: boolean;
}

export interface FaultOptions {
  readonly seed: number;
  /** runs, at most */
  readonly most: number;
  readonly views: readonly [before: View, after: View];
  /** before the command */
  readonly tree: Tree;
  readonly found: (one: Found) => void;
  /** what a run in which nothing fails has too is not told again */
  readonly known: (problem: string) => boolean;
}

/** `calls`: of a run in which nothing fails. */
export async function failCalls(scene: Scene, calls: readonly Call[], options: FaultOptions): Promise<Faults> {
  const counts = new Map<string, number>();
  const plans = new Map<string, string>();
  for (const { name, thread, args } of calls) {
    const number = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, number);
    if (args.some((arg) => touches(arg, scene.root)))
      for (const error of ERRORS[name] ?? []) plans.set(`${name}:error=${error}:when=${number}`, error);
  }
  const rng = generator(options.seed);
  const drawn = [...plans].map((plan) => ({ plan, rank: rng() })).toSorted((a, b) => a.rank - b.rank);
  let [tried, faults, wrong] = [0, 0, 0];
  for (const { plan } of drawn) {
    if (faults >= options.most) break;
    tried += 1;
    const problems = await failOnce(scene, plan, options);
    if (!problems) continue;
    faults += 1;
    if (problems.length > 0) wrong += 1;
    for (const one of problems) options.found(one);
  }
  return { possible: plans.size, faults, wrong, exhausted: tried === drawn.length };
}

/** Undefined where nothing failed, or what never fails so: threads share their work as it happens. */
async function failOnce(scene: Scene, [inject, error]: readonly [string, string], options: FaultOptions): Promise<Found[] | undefined> {
  scene.reset();
  const run = await scene.traced("-e", `inject=${inject}`);
  const failed = run.calls.filter((call) => call.injected && !call.args.some((arg) => touches(arg, "/no/such")));
  const possible = ({ name, args }: Call) =>
    args.some((arg) => touches(arg, scene.root)) && (error !== "ENOSPC" || name !== "openat" || (args[2] ?? "").includes("O_CREAT"));
  if (failed.length === 0 || !failed.every(possible)) return undefined;
  const problems = [
    ...(/^chp: internal error/m.test(run.err) ? ["internal error"] : []),
    ...(DOCUMENTED.has(run.code) ? [] : [`exit ${run.code}`]),
    ...(await outcome(scene, run, options)).filter((one) => !options.known(one)),
  ];
  const where = failed.map(({ name, args }) => `${name}(${args.map(show).join(", ").replaceAll(`${scene.root}/`, "")})`).join(" and ");
  const example = `${where}: exit ${run.code}: ${run.err.trim().split("\n")[0]}`;
  return [...new Set(problems)].map((problem) => ({ problem: `${error}: ${problem}`, example }));
}

async function outcome(scene: Scene, run: Traced, { views: [before, after], tree, seed, known }: FaultOptions): Promise<string[]> {
  const now = readTree(scene.root);
  const view = await scene.view(now).catch((error: unknown) => `a store does not open: ${reason(error)}`);
  if (typeof view === "string") return [view];
  // What a run makes up (keys, times) differs from what another did: it is old, or it is new.
  const old = [...after.keys()].filter((key) => before.get(key) !== after.get(key) && view.get(key) === before.get(key));
  if (run.code !== scene.exit) {
    const problems = await scene.problems(now, [before, view], false);
    if (run.code !== PUBLISHED && [...view].some(([key, text]) => key.endsWith("newest generation") && before.get(key) !== text))
      problems.push(`exit ${run.code}, and the new generation is there`);
    return old.length === 0 ? problems : [...problems, ...(await scene.again())];
  }
  const problems = old.map((key) => `exit ${run.code} without ${nameOf(key)}`);
  const model = new Model(tree, operationsOf(run.calls, scene.root), process.umask());
  for (const state of model.states({ random: 0, rng: generator(seed) })) {
    if (!state.exited) continue;
    scene.fill(state.tree);
    const lost = (await scene.problems(state.tree, [before, view], true)).filter((one) => !known(one));
    problems.push(...lost.map((one) => `exit ${run.code}, then ${one}`));
  }
  return problems;
}

function show(arg: string): string {
  const text = arg.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return text.length > 200 ? `${text.slice(0, 40)}…` : text;
}
