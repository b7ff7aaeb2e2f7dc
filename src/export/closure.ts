/** The snaps that the charms and snaps of an export need, and the snaps that those need in turn. */

import { readSnapYaml } from "../archives/snapyaml.ts";
import { SNAP_TYPES } from "../catalog/snap.ts";
import { type InstallableSnap, type NeededSnap, type NeedingCharm, neededSnaps, showNeed } from "../catalog/snapneeds.ts";
import { mapBounded } from "../parallel.ts";
import type { FailedPackage, Plan, PlannedSnap } from "./plan.ts";
import type { Addition, SnapRequest } from "./sitefile.ts";
import { mergeSnapPlans } from "./snapplan.ts";
import type { UpstreamSnap } from "./upstream.ts";

export interface ClosureInput {
  readonly charms: readonly NeedingCharm[];
  /** snaps that are exported already */
  readonly requested: readonly PlannedSnap[];
  /** of the machines that are exported for */
  readonly architectures: readonly string[];
  /** kinds of needs that are not looked for */
  readonly without: ReadonlySet<Addition>;
}

export interface ClosureCallbacks {
  readonly plan: (request: SnapRequest) => Promise<Plan<PlannedSnap>>;
  readonly onAdded: (need: NeededSnap) => void;
  readonly onUnavailable: (need: NeededSnap, failed: readonly FailedPackage[]) => void;
}

const PARALLEL_PLANS = 8;
/** each round looks for what the snaps of the round before need */
const MAX_ROUNDS = 10;

/** The snaps to add until nothing more is needed, or upstream has nothing more of it. */
export async function snapClosure(
  { charms, requested, architectures, without }: ClosureInput,
  callbacks: ClosureCallbacks,
): Promise<PlannedSnap[]> {
  const tried = new Set<string>();
  const added: PlannedSnap[] = [];
  const isWanted = (need: NeededSnap) =>
    !need.stored &&
    need.kinds.some((kind) => !without.has(kind)) &&
    (need.sure === "certain" || !without.has("likely")) &&
    (need.architecture === undefined || architectures.includes(need.architecture)) &&
    !tried.has(showNeed(need));
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const needed = neededSnaps(charms, mergeSnapPlans([...requested, ...added]).map(installableSnap)).filter(isWanted);
    if (needed.length === 0) break;
    const plans = await mapBounded(needed, PARALLEL_PLANS, async (need) => ({
      need,
      plan: await callbacks.plan(requestFor(need, architectures)),
    }));
    for (const { need, plan } of plans) {
      tried.add(showNeed(need));
      if (plan.planned) {
        callbacks.onAdded(need);
        added.push(plan.planned);
      }
      if (plan.failed.length > 0) callbacks.onUnavailable(need, plan.failed);
    }
  }
  return added;
}

function requestFor({ name, revision, channel, architecture, by }: NeededSnap, allArchitectures: readonly string[]): SnapRequest {
  return {
    name,
    channels: channel === undefined ? [] : [channel],
    architectures: architecture === undefined ? allArchitectures : [architecture],
    ...(revision !== undefined && { revision }),
    reason: by.join(", "),
  };
}

/** What machines may install of a planned snap: a revision that is in no channel, on each of its architectures. */
function installableSnap({ name, releases, revisions }: PlannedSnap): InstallableSnap {
  const revisionOf = (snap: UpstreamSnap): InstallableSnap["revisions"][number] => {
    const { revision, architectures, base } = snap;
    const type = SNAP_TYPES.find((known) => known === snap.type) ?? "app";
    const yaml = snap["snap-yaml"] ? readSnapYaml(snap["snap-yaml"], `snap.yaml of ${name} ${revision}`) : undefined;
    return { type, ...(base && { base }), providers: [], ...yaml, revision, architectures };
  };
  const unreleased = revisions.filter(({ revision }) => !releases.some((release) => release.revision === revision));
  return {
    name,
    revisions: revisions.toReversed().map(revisionOf),
    releases: [
      ...releases,
      ...unreleased.flatMap(({ revision, architectures }) => architectures.map((architecture) => ({ revision, architecture }))),
    ],
  };
}
