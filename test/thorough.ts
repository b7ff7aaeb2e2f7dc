import { test } from "bun:test";

/** CHP_THOROUGH=0, as `make unit` sets it: a few of the runs of properties that take long. All of them is what a change is stored against. */
export const thorough = process.env["CHP_THOROUGH"] !== "0";

/** A test that takes long whatever its sample is: `make test` alone runs it. A comment beside it says why. */
export function longTest(name: string, run: () => void | Promise<void>): void {
  test.skipIf(!thorough)(name, run);
}

/** By how many bytes a test that damages each byte in turn goes on. */
export function stride(quick: number): number {
  return thorough ? 1 : quick;
}

/** All cases of a table whose each takes long; `make unit` tries every sixth. */
export function sample<T>(cases: readonly T[]): T[] {
  return thorough ? [...cases] : cases.filter((_, i) => i % 6 === 0);
}

/** How often a property that takes long is tried, of the number that `make test` tries it. */
export function runs(all: number): number {
  return thorough ? all : Math.ceil(all / 100);
}
