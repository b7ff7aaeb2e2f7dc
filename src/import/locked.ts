/**
 * Compares what lies beside a lock with the lock. A signature covers paths and bytes; the lock, which is among them, says what they mean:
 * which releases, revisions and resources of which packages. The lock may name more than is there, as one of `--since` does, never less.
 */

import type { Budget } from "../archives/budget.ts";
import type { ExportLock, LockedPackage, LockedSnap } from "../archives/lock.ts";
import type { Declaration } from "../archives/metadata.ts";
import { LOCK_FILE } from "../archives/names.ts";
import { baseKey, normalBase } from "../catalog/base.ts";
import type { Incoming } from "../catalog/package.ts";
import { digestText } from "../digest.ts";
import { type Failure, printable, refused } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { compareText } from "../text.ts";
import type { AgentReading } from "./agentreader.ts";
import type { ImageReading } from "./imagereader.ts";
import type { FoundIn, SnapImage, SnapReading } from "./snapreader.ts";

export interface FoundLock {
  /** the folder that it lies in, the archives on the way included; it is of all that lies there, at any depth */
  readonly folder: string;
  readonly lock: ExportLock;
  /** charm name to resource name to the path of its image */
  readonly imagePaths: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** Whether a folder is `other`, or lies in it. */
export function isBelow(folder: string, other: string): boolean {
  return other === "" || (folder.startsWith(other) && (folder.length === other.length || folder[other.length] === "/"));
}

/** The nearest lock of a folder. */
export function lockOf(folder: string, locks: readonly FoundLock[]): FoundLock | undefined {
  return locks.filter((lock) => isBelow(folder, lock.folder)).toSorted((a, b) => b.folder.length - a.folder.length)[0];
}

/** Charm name to resource name to the path of its image. */
export function imagePathsOf(lock: ExportLock): FoundLock["imagePaths"] {
  return new Map(lock.packages.map(({ name, paths }) => [name, new Map(Object.entries(paths))]));
}

/** Throws a `refused` failure where a package of a group is not as the lock says, or where the budget ends. */
export function checkPackage(
  { lock }: FoundLock,
  { name, id, revisions, resources }: Incoming,
  { at, declaration }: { readonly at: readonly string[]; readonly declaration?: Declaration },
  budget: Budget,
): void {
  budget.compare(lock.packages.length, at);
  const locked = lock.packages.find((pkg) => pkg.name === name);
  if (!locked) throw differs(`does not name ${name}`, at);
  if (declaration?.name !== name) throw differs(`names ${name}, whose metadata.json is not beside it`, at);
  if (id !== locked.id) throw differs(`says that the id of ${name} is ${locked.id}, and here it is ${id}`, at);
  for (const { revision, blob } of revisions)
    if (ownValue(locked.revisions, String(revision)) !== blob) throw differs(`names no such revision ${revision} of ${name}`, at);
  for (const resource of resources)
    for (const { revision, blob } of resource.revisions)
      if (ownValue(locked.resources, `${resource.name}_${revision}`) !== blob)
        throw differs(`names no such revision ${revision} of the resource ${resource.name} of ${name}`, at);
  if (releaseKeys(declaration.rows) !== releaseKeys(locked.releases)) throw differs(`names other releases of ${name}`, at);
}

/** The same text for the same releases in any order. */
function releaseKeys(
  rows: readonly (Pick<LockedPackage["releases"][number], "channel" | "base" | "revision"> & { resources?: unknown })[],
) {
  const keys = rows.map(({ channel, base, revision, resources }) => {
    const pins = Object.entries(resources ?? {}).toSorted(([a], [b]) => compareText(a, b));
    return JSON.stringify([channel, base && baseKey(normalBase(base)), revision, pins]);
  });
  return [...new Set(keys)].toSorted(compareText).join("\n");
}

/**
 * Throws a `refused` failure where snaps or components that lie beside the lock, or their channels, are not as it says, or where the
 * budget ends.
 */
export function checkSnaps({ folder, lock }: FoundLock, { images, declared }: SnapReading, budget: Budget): void {
  budget.compare(images.length + declared.length, [folder, LOCK_FILE]);
  const here = ({ group }: { readonly group: string }) => isBelow(group, folder);
  const released = new Map<LockedSnap, Set<string>>(lock.snaps.map((snap) => [snap, new Set()]));
  const releases = new Map(lock.snaps.map((snap) => [snap, new Set(snap.releases.map((release) => JSON.stringify(release))).size]));
  const owners = { snap: ownersOf(lock, "snap"), component: ownersOf(lock, "component") };
  for (const { value, at } of declared.filter(here)) {
    budget.compare(lock.snaps.length, at);
    const snap = lock.snaps.find(({ name, id }) => name === value.name && (value.id === undefined || value.id === id));
    if (!snap) throw differs(`does not name ${printable(value.name ?? "the snap that it is of", 100)}`, at);
    budget.compare(snap.releases.length * value.rows.length, at);
    for (const row of value.rows) {
      const same = snap.releases.filter(
        ({ channel, architecture, revision }) =>
          channel === row.channel && revision === row.revision && (row.architecture ?? architecture) === architecture,
      );
      if (same.length === 0) throw differs(`names no release of ${snap.name} revision ${row.revision} in ${row.channel}`, at);
      for (const release of same) released.get(snap)?.add(JSON.stringify(release));
    }
  }
  for (const image of images.filter(here)) {
    const snap = owners[image.content.kind].get(image.sums["sha3-384"] ?? "");
    if (!snap) throw differs(`names no such ${image.content.kind}`, image.at);
    const { size } = released.get(snap) ?? new Set();
    if (image.content.kind === "snap" && size < (releases.get(snap) ?? 0))
      throw differs(`names other releases of ${snap.name} than its channel-map.json`, image.at);
  }
}

/** Throws a `refused` failure where an image beside the lock has another name or digest than it says, or where the budget ends. */
export function checkImages({ folder, lock }: FoundLock, { images }: ImageReading, budget: Budget): void {
  const locked = new Set(lock.images.map(({ reference, digest }) => `${reference}\n${digest}`));
  budget.compare(images.length + locked.size, [folder, LOCK_FILE]);
  for (const { at, group, name = "", digest } of images)
    if (isBelow(group, folder) && !locked.has(`${name}\n${digest}`))
      throw differs(`names no such image ${printable(name, 300)} with ${digestText(digest)}`, at);
}

/** Throws a `refused` failure where an agent beside the lock is none that it names, or where the budget ends. */
export function checkAgents({ folder, lock }: FoundLock, { agents }: AgentReading, budget: Budget): void {
  const locked = new Set(
    (lock.agents?.versions ?? []).flatMap(({ version, files }) =>
      Object.entries(files).map(([architecture, sha256]) => `${version} ${architecture} ${sha256}`),
    ),
  );
  budget.compare(agents.length + locked.size, [folder, LOCK_FILE]);
  for (const { at, group, version, architecture, blob } of agents)
    if (isBelow(group, folder) && !locked.has(`${version} ${architecture} ${blob}`))
      throw differs(`names no such agent of Juju ${version} for ${architecture}`, at);
}

/** Digest to the snap that it is of; where the lock names it twice, the first. */
function ownersOf({ snaps }: ExportLock, kind: SnapImage["content"]["kind"]): ReadonlyMap<string, LockedSnap> {
  const owners = new Map<string, LockedSnap>();
  for (const snap of snaps)
    for (const { digest, components } of Object.values(snap.revisions))
      for (const one of kind === "snap" ? [digest] : Object.values(components)) if (!owners.has(one)) owners.set(one, snap);
  return owners;
}

function differs(what: string, at: FoundIn<unknown>["at"]): Failure {
  return refused(`${LOCK_FILE} ${what}`, { at, next: "it was packed again on its way: get it again from where it was made" });
}
