/** One seed → one history of a store: who does what when, what fails, and when the power goes. */

import { ACTORS, act, type World } from "./actors.ts";
import { Machine, Process } from "./machine.ts";
import { AS_IT_IS, type Modules } from "./modules.ts";
import { Oracle, type Violation } from "./oracle.ts";

export interface Setting {
  readonly modules?: Modules;
  /** put back on purpose */
  readonly syncsNothing?: boolean;
  readonly trace?: ((line: string) => void) | undefined;
}

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  /** generations that were acknowledged, power cuts, and steps that failed: that a seed does something */
  readonly published: number;
  readonly cuts: number;
  readonly failed: number;
  readonly violation: Violation | undefined;
}

const NAMES = Object.keys(ACTORS) as (keyof typeof ACTORS)[];
/** how often each is among the processes of a machine */
const SHARES: Readonly<Record<keyof typeof ACTORS, number>> = {
  importer: 8,
  rollback: 1,
  server: 2,
  gc: 4,
  config: 2,
  verify: 1,
  backup: 2,
};
const MIXED = NAMES.flatMap((name) => Array.from({ length: SHARES[name] }, () => name));

const FAULTS = [{ rate: 0.002 }, { rate: 0.02 }, { rate: 0.1 }, { rate: 0.05, most: 1 }];

export async function simulate(seed: number, { modules = AS_IT_IS, syncsNothing = false, trace }: Setting = {}): Promise<Outcome> {
  const machine = new Machine(seed);
  machine.trace = trace;
  const oracle = new Oracle(machine, modules);
  const world: World = { oracle, syncsNothing, revision: 0, backups: 0 };
  const outcome = { published: 0, cuts: 0, failed: 0 };
  let violation: Violation | undefined;
  await machine.within(async () => {
    try {
      const days = 2 + machine.below(3);
      for (let day = 0; day < days; day += 1) {
        const processes = start(world, day);
        const cutAt = machine.random() < 0.6 ? machine.below(250) : Number.POSITIVE_INFINITY;
        const began = machine.steps;
        await machine.run(cutAt === Number.POSITIVE_INFINITY ? 20_000 : cutAt, () => disturb(machine, processes));
        outcome.failed += processes.reduce((sum, one) => sum + one.failed, 0);
        if (machine.steps - began >= cutAt) {
          outcome.cuts += 1;
          machine.cut();
        }
        oracle.brought.clear();
        await oracle.check();
      }
      await oracle.tidy();
    } catch (error) {
      if (!(error instanceof Error && "invariant" in error)) throw error;
      violation = error as Violation;
    }
    machine.abandon();
  });
  return { seed, steps: machine.steps, ...outcome, published: oracle.acknowledged.length, violation };
}

/** The first brings something; the others are drawn. */
function start(world: World, day: number): Process[] {
  const { machine } = world.oracle;
  const faulty = machine.random() < 0.4;
  const names = [...(day === 0 ? (["importer"] as const) : []), ...Array.from({ length: 3 + machine.below(5) }, () => machine.pick(MIXED))];
  return names.map((name, i) => {
    // Of those with many faults few get to their end; one fault alone shows what is taken as done.
    const faults = faulty && machine.random() < 0.5 ? { ...machine.pick(FAULTS), codes: ["EIO", "ENOSPC", "short"] } : undefined;
    const process = new Process(`${name} ${day}.${i}`, faults);
    process.speed = machine.pick([1, 1, 1, 5, 0.05]);
    machine.start(process, () => act(world, process, ACTORS[name]));
    return process;
  });
}

/** Clocks jump, processes are stopped, go on and are killed. */
function disturb(machine: Machine, processes: readonly Process[]): void {
  const chance = machine.random();
  if (chance < 0.002) machine.offset += machine.pick([-1, 1]) * machine.pick([90_000, 900_000, 7_200_000, 80_000_000, 90_000_000]);
  else if (chance < 0.004) machine.kill(machine.pick(processes));
  else if (chance < 0.02) machine.pick(processes).speed = machine.pick([1, 5, 0.01]);
  else if (chance < 0.024) machine.time += machine.pick([61_000, 660_000, 7_200_000]); // all of them sleep, or the machine does
}
