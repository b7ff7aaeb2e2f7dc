/**
 * Applies `work` to all, at most `limit` at a time; results in their order. After an error nothing more begins and what runs
 * is told by the signal; the error is thrown once all of it has ended.
 */
export async function mapBounded<T, R>(all: readonly T[], limit: number, work: (one: T, signal: AbortSignal) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = all.entries();
  const failing = new AbortController();
  const run = async () => {
    for (const [at, one] of rest) {
      if (failing.signal.aborted) return;
      try {
        results[at] = await work(one, failing.signal);
      } catch (error) {
        failing.abort(error); // only the first counts
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, all.length) }, run));
  if (failing.signal.aborted) throw failing.signal.reason;
  return results;
}
