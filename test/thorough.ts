/** CHP_THOROUGH=0, as `make unit` sets it: a few of the runs of properties that take long. All of them is what a change is stored against. */
export const thorough = process.env["CHP_THOROUGH"] !== "0";

/** By how many bytes a test that damages each byte in turn goes on. */
export function stride(quick: number): number {
  return thorough ? 1 : quick;
}

/** All cases of a table whose each takes long; `make unit` tries every fourth. */
export function sample<T>(cases: readonly T[]): T[] {
  return thorough ? [...cases] : cases.filter((_, i) => i % 4 === 0);
}

/** How often a property that takes long is tried, of the number that `make test` tries it. */
export function runs(all: number): number {
  return thorough ? all : Math.max(2, Math.ceil(all / 50));
}
