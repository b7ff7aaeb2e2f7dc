/** Turns of the event loop while some work runs: what else the process has to do gets as many. */

export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  const state = { turns: 0, isOver: false };
  const turn = () => {
    if (state.isOver) return;
    state.turns += 1;
    setImmediate(turn);
  };
  setImmediate(turn);
  await work().finally(() => (state.isOver = true));
  return state.turns;
}
