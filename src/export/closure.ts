/** What the charms and snaps of an export need besides, and what that needs in turn. */

import { readSnapYaml } from "../archives/snapyaml.ts";
import { type HeldSnap, type NeededSnap, type Needer, neededSnaps, showNeed } from "../catalog/lacking.ts";
import { SNAP_TYPES } from "../catalog/snap.ts";
import { mapBounded } from "../parallel.ts";
import type { Lost } from "./charmplan.ts";
import type { Addition, SnapWish } from "./sitefile.ts";
import { mergedSnaps, type PlannedSnap, type SnapPlan } from "./snapplan.ts";
import type { RemoteSnap } from "./upstream.ts";

export interface Open {
  readonly needers: readonly Needer[];
  /** what is there already */
  readonly named: readonly PlannedSnap[];
  /** of the machines that are exported for */
  readonly architectures: readonly string[];
  /** what is not looked for */
  readonly without: ReadonlySet<Addition>;
}

export interface ClosureSteps {
  readonly plan: (wish: SnapWish) => Promise<SnapPlan>;
  readonly added: (need: NeededSnap) => void;
  readonly lacking: (need: NeededSnap, lost: readonly Lost[]) => void;
}

const PARALLEL = 8;
/** rounds of looking for what the last round's snaps need */
const MAX_ROUNDS = 10;

/** The snaps to add until nothing that is looked for is needed any more, or nothing more can be had. */
export async function closureOf({ needers, named, architectures, without }: Open, steps: ClosureSteps): Promise<PlannedSnap[]> {
  const tried = new Set<string>();
  const added: PlannedSnap[] = [];
  const isWanted = (need: NeededSnap) =>
    !need.held &&
    need.kinds.some((kind) => !without.has(kind)) &&
    (need.sure === "certain" || !without.has("likely")) &&
    (need.architecture === undefined || architectures.includes(need.architecture)) &&
    !tried.has(showNeed(need));
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const needed = neededSnaps(needers, mergedSnaps([...named, ...added]).map(heldSnap)).filter(isWanted);
    if (needed.length === 0) break;
    const plans = await mapBounded(needed, PARALLEL, async (need) => ({ need, plan: await steps.plan(wishFor(need, architectures)) }));
    for (const { need, plan } of plans) {
      tried.add(showNeed(need));
      if (plan.planned) {
        steps.added(need);
        added.push(plan.planned);
      }
      if (plan.lost.length > 0) steps.lacking(need, plan.lost);
    }
  }
  return added;
}

function wishFor({ name, revision, channel, architecture, by }: NeededSnap, everywhere: readonly string[]): SnapWish {
  return {
    name,
    channels: channel === undefined ? [] : [channel],
    architectures: architecture === undefined ? everywhere : [architecture],
    ...(revision !== undefined && { revision }),
    reason: by.join(", "),
  };
}

/** What was taken of a snap, as what machines may install of it: a revision that is in no channel on each of its architectures. */
function heldSnap({ name, releases, revisions }: PlannedSnap): HeldSnap {
  const of = (one: RemoteSnap): HeldSnap["revisions"][number] => {
    const { revision, architectures, base } = one;
    const type = SNAP_TYPES.find((known) => known === one.type) ?? "app";
    const yaml = one["snap-yaml"] ? readSnapYaml(one["snap-yaml"], `snap.yaml of ${name} ${revision}`) : undefined;
    return { type, ...(base && { base }), providers: [], ...yaml, revision, architectures };
  };
  const alone = revisions.filter(({ revision }) => !releases.some((one) => one.revision === revision));
  return {
    name,
    revisions: revisions.toReversed().map(of),
    releases: [
      ...releases,
      ...alone.flatMap(({ revision, architectures }) => architectures.map((architecture) => ({ revision, architecture }))),
    ],
  };
}
