/** Checks of a real client: each prints a line, and the last line counts them as `.ci/run` reads it. */

const count = { passed: 0, failed: 0, skipped: 0 };

/** Runs one check, which fails by throwing. */
export async function check(what: string, work: () => unknown): Promise<void> {
  try {
    await work();
    count.passed += 1;
    console.log("ok  ", what);
  } catch (error) {
    count.failed += 1;
    console.log(`FAIL ${what}: ${(error instanceof Error ? error.message : String(error)).trim().replaceAll("\n", " / ")}`);
  }
}

/** Adds what a program counted itself. */
export function addCounts({ passed, failed = 0 }: { readonly passed: number; readonly failed?: number }): void {
  count.passed += passed;
  count.failed += failed;
}

export function skip(why: string): void {
  count.skipped += 1;
  console.log("skip", why);
}

export function equal(is: unknown, wanted: unknown): void {
  if (!Bun.deepEquals(is, wanted)) throw new Error(`is ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
}

/** Prints `N passed, N failed, N skipped` and ends the process. */
export function finish(): never {
  console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  process.exit(count.failed === 0 ? 0 : 1);
}
