/** What is mostly there at once, and then without a promise: one for each step would cost a small reply, or a small file, more than its steps. */
export type Ready<T> = T | Promise<T>;

/** What `work` makes of a value: at once where that is known. */
export function whenReady<T, R>(value: Ready<T>, work: (value: T) => Ready<R>): Ready<R> {
  return value instanceof Promise ? value.then(work) : work(value);
}
