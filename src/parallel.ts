/**
 * Calls `work` for each item, at most `limit` at a time, and gives the results in the order of the items. After an error no further
 * call begins and the signal of those that run is aborted; the first error is thrown once all have ended.
 */
export async function mapBounded<T, R>(all: readonly T[], limit: number, work: (item: T, signal: AbortSignal) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = all.entries();
  const failing = new AbortController();
  const run = async () => {
    for (const [at, item] of rest) {
      if (failing.signal.aborted) return;
      try {
        results[at] = await work(item, failing.signal);
      } catch (error) {
        failing.abort(error); // only the first counts
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, all.length) }, run));
  if (failing.signal.aborted) throw failing.signal.reason;
  return results;
}
