/** What the charms and snaps of an export need besides, and what that needs in turn. */

import { readSnapYaml } from "../archives/snapyaml.ts";
import { type InstallableSnap, type NeededSnap, type NeedingCharm, neededSnaps, showNeed } from "../catalog/lacking.ts";
import { SNAP_TYPES } from "../catalog/snap.ts";
import { mapBounded } from "../parallel.ts";
import type { FailedPackage } from "./charmplan.ts";
import type { Addition, SnapRequest } from "./sitefile.ts";
import { mergedSnaps, type PlannedSnap, type SnapPlan } from "./snapplan.ts";
import type { UpstreamSnap } from "./upstream.ts";

export interface ClosureInput {
  readonly needers: readonly NeedingCharm[];
  /** what is there already */
  readonly named: readonly PlannedSnap[];
  /** of the machines that are exported for */
  readonly architectures: readonly string[];
  /** what is not looked for */
  readonly without: ReadonlySet<Addition>;
}

export interface ClosureCallbacks {
  readonly plan: (wish: SnapRequest) => Promise<SnapPlan>;
  readonly onAdded: (need: NeededSnap) => void;
  readonly onUnavailable: (need: NeededSnap, lost: readonly FailedPackage[]) => void;
}

const PARALLEL = 8;
/** rounds of looking for what the last round's snaps need */
const MAX_ROUNDS = 10;

/** The snaps to add until nothing that is looked for is needed any more, or nothing more can be had. */
export async function snapClosure(
  { needers, named, architectures, without }: ClosureInput,
  steps: ClosureCallbacks,
): Promise<PlannedSnap[]> {
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
        steps.onAdded(need);
        added.push(plan.planned);
      }
      if (plan.failed.length > 0) steps.onUnavailable(need, plan.failed);
    }
  }
  return added;
}

function wishFor({ name, revision, channel, architecture, by }: NeededSnap, everywhere: readonly string[]): SnapRequest {
  return {
    name,
    channels: channel === undefined ? [] : [channel],
    architectures: architecture === undefined ? everywhere : [architecture],
    ...(revision !== undefined && { revision }),
    reason: by.join(", "),
  };
}

/** What was taken of a snap, as what machines may install of it: a revision that is in no channel on each of its architectures. */
function heldSnap({ name, releases, revisions }: PlannedSnap): InstallableSnap {
  const of = (one: UpstreamSnap): InstallableSnap["revisions"][number] => {
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
