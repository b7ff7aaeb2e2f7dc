/** The memory of a long command: when garbage is collected. */

import { expect, spyOn, test } from "bun:test";
import * as fc from "fast-check";
import { Heap, withSmallHeap } from "../../../bin/machine/heap.ts";
import { runs } from "../../thorough.ts";

const MIB = 2 ** 20;

/** A process with garbage of both kinds, in bytes, which a collection takes away. */
function fakeProcess(kept: number) {
  const state = { kept, young: 0, old: 0, collected: { young: 0, all: 0 } };
  const heap = new Heap({
    size: () => state.kept + state.young + state.old,
    collect: (which) => {
      state.collected[which] += 1;
      state.young = 0;
      if (which === "all") state.old = 0;
    },
  });
  const look = (garbage: Partial<Pick<typeof state, "young" | "old">>) => {
    Object.assign(state, garbage);
    heap.look();
    return { ...state.collected };
  };
  return { state, look };
}

test("a small process is left alone; a larger one is collected when it has grown, and all of it when it has grown by more", () => {
  const { look } = fakeProcess(160 * MIB);
  expect(look({})).toEqual({ young: 0, all: 0 });
  expect(look({ young: 1 })).toEqual({ young: 0, all: 1 });
  // From 160 MiB it may grow by 0.32 MiB, and by 3.2 MiB.
  expect(look({ young: 0.2 * MIB })).toEqual({ young: 0, all: 1 });
  expect(look({ young: 0.4 * MIB })).toEqual({ young: 1, all: 1 });
  expect(look({ old: 3.1 * MIB })).toEqual({ young: 2, all: 1 });
  expect(look({ young: 0.2 * MIB })).toEqual({ young: 2, all: 1 });
  expect(look({ young: 0.6 * MIB })).toEqual({ young: 2, all: 2 });
  expect(look({ young: 3.1 * MIB })).toEqual({ young: 3, all: 2 });
  expect(look({ young: 3.3 * MIB })).toEqual({ young: 3, all: 3 });
});

test("whatever is left behind, a process grows little beyond what it keeps", () => {
  const steps = fc.array(fc.record({ keeps: fc.nat(3 * MIB), young: fc.nat(20 * MIB), old: fc.nat(2 * MIB) }), {
    maxLength: 400,
    size: "max",
  });
  fc.assert(
    fc.property(steps, (all) => {
      const { state, look } = fakeProcess(160 * MIB);
      for (const { keeps, young, old } of all) {
        state.kept += keeps;
        const { collected } = { collected: { ...state.collected } };
        const size = state.kept + state.young + young + state.old + old;
        const after = look({ young: state.young + young, old: state.old + old });
        // What is old is collected at the latest when it has grown by 2 %.
        expect(state.kept + state.old).toBeLessThanOrEqual(state.kept * 1.02);
        if (size > state.kept * 1.04) expect(after).not.toEqual(collected);
      }
    }),
    { numRuns: runs(100) },
  );
});

test("it is looked at while the work runs, and no longer", async () => {
  const [set, clear] = [spyOn(globalThis, "setInterval"), spyOn(globalThis, "clearInterval")];
  try {
    expect(await withSmallHeap(async () => clear.mock.calls.length)).toBe(0);
    const failure = await withSmallHeap(() => Promise.reject(new Error("as it is"))).catch((error: unknown) => error);
    expect(failure).toEqual(new Error("as it is"));
    const cleared: unknown[] = clear.mock.calls.map(([timer]) => timer);
    expect(cleared).toEqual(set.mock.results.map(({ value }): unknown => value));
    expect(set.mock.results).toHaveLength(2);
  } finally {
    set.mockRestore();
    clear.mockRestore();
  }
});
