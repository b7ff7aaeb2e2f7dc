/** Applies `work` to all, at most `limit` at a time; results in their order. The first error is thrown, and nothing more begins. */
export async function mapBounded<T, R>(all: readonly T[], limit: number, work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = all.entries();
  let failed = false;
  const run = async () => {
    for (const [at, one] of rest) {
      if (failed) return;
      try {
        results[at] = await work(one);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, all.length) }, run));
  return results;
}
