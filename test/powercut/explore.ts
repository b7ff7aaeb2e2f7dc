/** One command: traced once, every state that a power cut leaves looked at, and its system calls failed one by one. */

import type { Command } from "./commands.ts";
import { type Faults, failCalls } from "./faults.ts";
import { generator, Model, readTree, type State, type Tree } from "./model.ts";
import { isAlike, Scene } from "./scene.ts";
import { type Call, operationsOf } from "./trace.ts";

export interface Limits {
  readonly seed: number;
  /** states that are looked at, at most: those after its end and the simple ones first */
  readonly states: number;
  /** runs in which a system call fails, at most */
  readonly faults: number;
  /** before an operation is made of them; for tests of this */
  readonly alter?: (calls: readonly Call[]) => readonly Call[];
}

export interface Report extends Faults {
  readonly command: string;
  readonly changes: number;
  /** states that can be told apart, and those that were looked at */
  readonly reachable: number;
  readonly states: number;
  /** where something is wrong besides that it is not durable */
  readonly bad: number;
  /** of states after the end: all, and those that have the whole result */
  readonly exited: number;
  readonly durable: number;
  /** what is wrong → the shortest example */
  readonly problems: ReadonlyMap<string, string>;
}

const RANDOM = 8;
/** on so many states the command is run again */
const AGAIN = 12;

export async function explore(
  command: Command,
  { seed, states: most, faults: mostFaults, alter = (calls) => calls }: Limits,
): Promise<Report> {
  using scene = new Scene(command);
  await scene.prepare();
  const tree = readTree(scene.root);
  const before = await scene.view(tree);
  const run = await scene.traced();
  if (run.code !== scene.exit) throw new Error(`${command.name}: exit ${run.code}: ${run.err}`);
  const end = readTree(scene.root);
  const views = [before, await scene.view(end)] as const;
  const model = new Model(tree, operationsOf(alter(run.calls), scene.root), process.umask());
  expectAlike(model.final(), end);

  const problems = new Map<string, { readonly example: string; readonly lost: number }>();
  const all = [...model.states({ random: RANDOM, rng: generator(seed) })];
  const chosen = sample(all, most, generator(seed));
  let [bad, durable, again] = [0, 0, 0];
  for (const state of chosen) {
    scene.fill(state.tree);
    const wrong = await scene.problems(state.tree, views, state.exited);
    if (wrong.length === 0 && again < AGAIN && !isAlike(await scene.view(state.tree), views[1])) {
      again += 1;
      wrong.push(...(await scene.again()));
    }
    if (wrong.some((one) => !one.startsWith("not durable"))) bad += 1;
    if (state.exited && wrong.length === 0) durable += 1;
    for (const problem of wrong)
      if (state.lost.length < (problems.get(problem)?.lost ?? Number.POSITIVE_INFINITY))
        problems.set(problem, { example: exampleOf(state), lost: state.lost.length });
  }

  const faults = await failCalls(scene, run.calls, {
    seed,
    most: mostFaults,
    views,
    tree,
    known: (problem) => problems.has(problem),
    found: ({ problem, example }) => problems.set(problem, problems.get(problem) ?? { example, lost: 0 }),
  });
  return {
    command: command.name,
    changes: model.changes,
    reachable: all.length,
    states: chosen.length,
    bad,
    exited: chosen.filter((state) => state.exited).length,
    durable,
    ...faults,
    problems: new Map([...problems].map(([problem, { example }]) => [problem, example])),
  };
}

function exampleOf({ cut, exited, lost, ordered }: State): string {
  const when = exited ? "after its end" : `after step ${cut}`;
  return `cut ${when}, on ${ordered ? "ext4 too" : "what keeps no order of names"}; lost: ${lost.join(", ") || "nothing"}`;
}

/** States after the end, and those with at most one change lost, go before others, which are drawn. */
function sample(states: readonly State[], most: number, rng: () => number): State[] {
  const drawn = states.map((state) => ({ state, rank: (state.exited ? 0 : 1) + (state.lost.length <= 1 ? 0 : 1) + rng() }));
  return drawn
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, most)
    .map(({ state }) => state);
}

/** What the model makes of the whole trace is what is on the disk: else it missed something. */
function expectAlike(model: Tree, disk: Tree): void {
  for (const path of new Set([...model.keys(), ...disk.keys()])) {
    const [ours, theirs] = [model.get(path), disk.get(path)];
    if (ours?.mode !== theirs?.mode || ours?.sum !== theirs?.sum) throw new Error(`the trace does not explain ${path}`);
  }
}
