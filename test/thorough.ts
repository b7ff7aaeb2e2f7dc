import { test } from "bun:test";

/**
 * How much of what takes long is run, as CHP_THOROUGH says: 0 in `make unit`, 1 in `make test`, 2 in `.ci/run`, which a change is
 * stored against.
 */
const LEVEL = Number(process.env["CHP_THOROUGH"] ?? "1");

/** False in `make unit`. */
export const thorough = LEVEL > 0;

/** Whether all of it is run: what only many runs are sure to show may be expected. */
export const exhaustive = LEVEL > 1;

/** A test that takes long whatever its sample is: `make test` alone runs it. A comment beside it says why. */
export function longTest(name: string, run: () => void | Promise<void>): void {
  test.skipIf(!thorough)(name, run);
}

/** A test of what tests stand on, as that a fault which is put in is found: `.ci/run` alone runs it. */
export function proofTest(name: string, run: () => void | Promise<void>): void {
  test.skipIf(!exhaustive)(name, run);
}

/** By how many bytes or bits a test that damages each in turn goes on: an odd number, so that all bits have their turn. */
export function stride(quick: number): number {
  return [quick, Math.ceil(Math.sqrt(quick)) | 1][LEVEL] ?? 1;
}

/** Cases of a table whose each takes long: all in `.ci/run`, every second in `make test`, every sixth in `make unit`. */
export function sample<T>(cases: readonly T[]): T[] {
  const every = [6, 2][LEVEL] ?? 1;
  return cases.filter((_, i) => i % every === 0);
}

/** The size of a world: what grows with it shows in a smaller one too, where the bounds grow with it. */
export function sized(all: number): number {
  return thorough ? all : Math.ceil(all / 5);
}

/** How often what takes long is tried, of the number that `.ci/run` tries it. */
export function runs(all: number): number {
  return Math.ceil(all / ([100, 8][LEVEL] ?? 1));
}
