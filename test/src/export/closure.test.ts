/** Which snaps an export adds until nothing more is needed. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Need } from "../../../src/catalog/need.ts";
import { type ClosureInput, snapClosure } from "../../../src/export/closure.ts";
import type { PlannedSnap } from "../../../src/export/plan.ts";
import type { Addition, SnapRequest } from "../../../src/export/sitefile.ts";
import { runs } from "../../thorough.ts";

/** A snap as upstream has it: an app on a base, or a base. */
function planned(name: string, base?: string): PlannedSnap {
  const revision = {
    name,
    "snap-id": name,
    revision: 1,
    architectures: ["amd64"],
    ...(base === undefined ? { type: "base" } : { type: "app", base }),
  };
  const releases = [{ channel: "latest/stable", architecture: "amd64", revision: 1 }];
  return {
    name,
    id: name,
    info: undefined,
    defaultTrack: null,
    releases,
    revisions: [revision],
    assertions: new Map(),
    reasons: [],
  } as never;
}

function charm(...snaps: readonly Omit<Need, "where">[]): ClosureInput["charms"][number] {
  return { name: "x", revisions: [{ revision: 1, bases: [], snaps: snaps.map((one) => ({ ...one, where: "a" })) }], releases: [] };
}

/** What is added, and how often upstream is asked. `of`: what it has of a request. */
async function closure(
  charms: ClosureInput["charms"],
  {
    without = [],
    requested = [],
    of = ({ name }) => planned(name, "bare"),
  }: {
    readonly without?: readonly Addition[];
    readonly requested?: readonly PlannedSnap[];
    readonly of?: (request: SnapRequest) => PlannedSnap | undefined;
  } = {},
) {
  const asked: string[] = [];
  const added = await snapClosure(
    { charms, requested, architectures: ["amd64"], without: new Set<Addition>(["snapd", ...without]) },
    {
      plan: async (request) => {
        asked.push(request.name);
        const found = of(request);
        return { ...(found && { planned: found }), failed: [], notes: [] };
      },
      onAdded: () => {},
      onUnavailable: () => {},
    },
  );
  return { added: added.map(({ name }) => name), asked };
}

test("what is likely is taken unless the operator leaves it out, what is certain always", async () => {
  const charms = [charm({ name: "certain", sure: "certain" }, { name: "likely", sure: "likely" })];
  expect((await closure(charms)).added).toEqual(["certain", "likely"]);
  expect((await closure(charms, { without: ["likely"] })).added).toEqual(["certain"]);
  expect((await closure(charms, { without: ["charm-snaps"] })).added).toEqual([]);
});

test("what the added need is added too, as deep as it goes up to ten rounds, each asked for once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 12 }), async (depth) => {
      const { added, asked } = await closure([charm({ name: "s1", sure: "certain" })], {
        of: ({ name }) => {
          const level = Number(name.slice(1));
          return planned(name, level < depth ? `s${level + 1}` : "bare");
        },
      });
      const all = Array.from({ length: Math.min(depth, 10) }, (_, i) => `s${i + 1}`);
      expect([added, asked]).toEqual([all, all]);
    }),
    { numRuns: runs(40), examples: [[9], [10], [11]] },
  );
});

test("what upstream does not have is asked for once, and what is requested already is not", async () => {
  const charms = [charm({ name: "nowhere", sure: "certain" }, { name: "here", sure: "certain" })];
  const { added, asked } = await closure(charms, { requested: [planned("here", "bare")], of: () => undefined });
  expect([added, asked]).toEqual([[], ["nowhere"]]);
});
