/** Drafts of the generations that operators' changes publish, made from packages before and after the change. */

import { Failure, printable } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { type AgentsChange, agentsDraft } from "./agentchange.ts";
import { movesOf, rollBack, rollBackSnap, type StoredPackage, sameManifest } from "./change.ts";
import type { OverrideTerms } from "./channelmap.ts";
import type { CatalogView, ChangeDraft, Drafted, Index, SectionDraft } from "./generation-types.ts";
import { overrideMoves, type Pin, setOverrides } from "./override.ts";
import { imageDraft, type RepositoryChange, rollBackRepository } from "./repositorychange.ts";
import type { SectionName, Tally } from "./sections.ts";
import type { Snap } from "./snap.ts";

/** A package before and after a change. `before` undefined: it is new; `after` undefined: it is removed. */
export interface PackageChange {
  readonly before: StoredPackage | undefined;
  readonly after: StoredPackage | undefined;
}

/** A change that leaves something of the package. */
export interface PackageUpdate extends PackageChange {
  readonly after: StoredPackage;
}

/** The generation that has `after` of each; `dropped`: names that no snap has now. `command`: as `chp log` shows it. */
export function changeDraft(command: string, updates: readonly PackageUpdate[], dropped: readonly string[] = []): ChangeDraft {
  const after = updates.map((update) => update.after);
  const tally = (isSnap: boolean): Record<string, Tally> =>
    Object.fromEntries(
      updates
        .filter((update) => (update.after.type === "snap") === isSnap)
        .map((update) => [
          update.after.name,
          { revisions: [], channels: movesOf(update.before, update.after).length + overrideMoves(update.before, update.after).length },
        ]),
    );
  return {
    command: printable(command, 300),
    sources: [],
    sections: {
      packages: { changed: after.filter((pkg) => pkg.type !== "snap"), tally: tally(false) },
      snaps: { changed: after.filter((pkg) => pkg.type === "snap"), dropped, tally: tally(true) },
    },
    blobs: [],
  };
}

/** An override of a snap that a client sets; `channel` in full. */
export interface SnapPin extends Pin {
  readonly name: string;
}

/**
 * The generation that has all of these overrides, and each snap that they name before and after, once, in that order. `command`: as
 * `chp log` shows it. Throws the failures of `setOverride`, and `not-found` where a snap is not stored. `now`: RFC 3339.
 */
export async function overridesDraft(
  base: CatalogView,
  pins: readonly SnapPin[],
  { command, terms, now }: { readonly command: string; readonly terms: OverrideTerms; readonly now: string },
): Promise<Drafted<readonly SnapUpdate[]>> {
  const result: SnapUpdate[] = [];
  for (const [name, own] of pinsBySnap(pins)) {
    const before = await base.snap(name);
    if (!before) throw new Failure("not-found", `no snap named ${printable(name, 100)} is stored`);
    result.push({ before, after: setOverrides(before, own, terms, now) });
  }
  return {
    draft: changeDraft(
      command,
      result.filter(({ before, after }) => !sameManifest(before, after)),
    ),
    result,
  };
}

export function pinsBySnap(pins: readonly SnapPin[]): ReadonlyMap<string, readonly SnapPin[]> {
  const bySnap = new Map<string, SnapPin[]>();
  for (const pin of pins) {
    const own = bySnap.get(pin.name);
    if (own) own.push(pin);
    else bySnap.set(pin.name, [pin]);
  }
  return bySnap;
}

/** A change of a snap's overrides. */
export interface SnapUpdate extends PackageUpdate {
  readonly before: Snap;
  readonly after: Snap;
}

/** The draft with a change of one more section. */
export function withSection<S extends SectionName>(draft: ChangeDraft, section: S, change: SectionDraft<S>): ChangeDraft {
  return { ...draft, sections: { ...draft.sections, [section]: change } };
}

/** The generation after a removal. `after` undefined: nothing is left of the package. */
export function removalDraft(command: string, before: StoredPackage, after: StoredPackage | undefined): ChangeDraft {
  if (after) return changeDraft(command, [{ before, after }]);
  const tally = { [before.name]: { revisions: [], channels: before.releases.length } };
  return withSection(changeDraft(command, []), before.type === "snap" ? "snaps" : "packages", {
    changed: [],
    dropped: [before.name],
    tally,
  });
}

export interface Rollback {
  readonly updates: readonly PackageUpdate[];
  /** names of snaps that have another name in the earlier generation */
  readonly dropped: readonly string[];
  /** the same for charms and bundles */
  readonly droppedPackages: readonly string[];
  /** components that snap revisions lose, though machines may have installed them */
  readonly lost: readonly string[];
  readonly images: readonly RepositoryChange[];
  readonly agents: readonly AgentsChange[];
}

/** The generation after a rollback. */
export function rollbackDraft(command: string, { updates, dropped, droppedPackages, images, agents }: Rollback): ChangeDraft {
  const { sections, ...draft } = changeDraft(command, updates, dropped);
  const { packages = { changed: [], tally: {} } } = sections;
  return {
    ...draft,
    sections: { ...sections, packages: { ...packages, dropped: droppedPackages }, images: imageDraft(images), agents: agentsDraft(agents) },
  };
}

/** What changes when the store answers as it did in the generation `then`. */
export async function rollbackTo(then: CatalogView, now: CatalogView): Promise<Rollback> {
  const updates: PackageUpdate[] = [];
  const lost: string[] = [];
  const add = (before: StoredPackage | undefined, after: StoredPackage | undefined) => {
    if (after && !sameManifest(before, after)) updates.push({ before, after });
  };
  const renamed = new Map(formerNames(then.index.packages, now.index.packages));
  for (const name of new Set([...Object.keys(then.index.packages), ...Object.keys(now.index.packages)])) {
    if ([...renamed.values()].includes(name)) continue;
    const former = renamed.get(name) ?? name;
    const [was, is] = [await then.package(former), await now.package(name)];
    add(is, is ? rollBack(was, { ...is, name: former }) : was);
  }
  const dropped: string[] = [];
  const done = new Set<string>();
  for (const is of await now.snaps()) {
    const was = await then.snapById(is.id); // by id: its name may have changed since
    const rolled = rollBackSnap(was, is);
    if (was && was.name !== is.name) dropped.push(is.name);
    lost.push(...rolled.taken);
    done.add(is.id);
    add(is, rolled.snap);
  }
  for (const was of await then.snaps()) if (!done.has(was.id)) add(undefined, was);
  return {
    updates,
    lost,
    dropped,
    droppedPackages: [...renamed.keys()],
    images: await rolledBackImages(then, now),
    agents: await rolledBackAgents(then, now),
  };
}

/** Agents are as they were then, and no newer ones: Juju upgrades to whatever its index lists. */
async function rolledBackAgents(then: CatalogView, now: CatalogView): Promise<AgentsChange[]> {
  const changes: AgentsChange[] = [];
  for (const name of new Set([...Object.keys(then.index.agents), ...Object.keys(now.index.agents)])) {
    if (ownValue(then.index.agents, name)?.[0] === ownValue(now.index.agents, name)?.[0]) continue;
    changes.push({ before: await now.stored("agents", name), after: await then.stored("agents", name) });
  }
  return changes;
}

async function rolledBackImages(then: CatalogView, now: CatalogView): Promise<RepositoryChange[]> {
  const changes: RepositoryChange[] = [];
  for (const name of new Set([...Object.keys(then.index.images), ...Object.keys(now.index.images)])) {
    const before = await now.repository(name);
    const after = rollBackRepository(await then.repository(name), before);
    if (JSON.stringify(before) !== JSON.stringify(after)) changes.push({ before, after });
  }
  return changes;
}

/** Present names with the names that the same ids had then, where neither name is in both. */
function formerNames(then: Index["packages"], now: Index["packages"]): [name: string, former: string][] {
  const names = new Map(
    Object.entries(then).flatMap(([name, [, ...ids]]) => (Object.hasOwn(now, name) ? [] : ids.map((id) => [id, name] as const))),
  );
  return Object.entries(now).flatMap(([name, [, ...ids]]) => {
    const former = ids.map((id) => names.get(id)).find((found) => found !== undefined);
    return former === undefined || Object.hasOwn(then, name) ? [] : [[name, former]];
  });
}
