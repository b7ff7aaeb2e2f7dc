/** Changes of repositories of images: what differs, rollback, and removal of a tag, a manifest or the whole. All of it is pure. */

import { type Digest, digestText } from "../digest.ts";
import { Failure, printable } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { showRow } from "./change.ts";
import type { SectionDraft } from "./generation-types.ts";
import { isOfResource, type NeededByFile, neededImages, showNeededBy } from "./images.ts";
import { offered } from "./override.ts";
import { findResource, findRevision, type Package } from "./package.ts";
import { type ImagePath, pathOfReference, splitPath } from "./registry.ts";
import { findManifest, imagesOf, mergeRepository, pullableFor, type Repository, type StoredManifest, storedImage } from "./repository.ts";

/** A repository before and after a change. `before` undefined: it is new; `after` undefined: it is removed. */
export interface RepositoryChange {
  readonly before: Repository | undefined;
  readonly after: Repository | undefined;
}

export interface RepositoryDifference {
  readonly name: string;
  readonly state: "added" | "removed" | "changed";
  /** `from` null: the tag is new; `to` null: it is removed */
  readonly tags: readonly { readonly tag: string; readonly from: Digest | null; readonly to: Digest | null }[];
  /** digests of manifests and indexes */
  readonly manifests: { readonly added: readonly Digest[]; readonly removed: readonly Digest[] };
}

export function differenceOf({ before, after }: RepositoryChange): RepositoryDifference {
  const [was, is] = [before?.tags ?? {}, after?.tags ?? {}];
  const tags = [...new Set([...Object.keys(was), ...Object.keys(is)])].toSorted().flatMap((tag) => {
    const [from, to] = [ownValue(was, tag) ?? null, ownValue(is, tag) ?? null];
    return from === to ? [] : [{ tag, from, to }];
  });
  const only = (one: Repository | undefined, other: Repository | undefined) =>
    (one?.manifests ?? []).map(({ digest }) => digest).filter((digest) => !other || !findManifest(other, digest));
  return {
    name: (after ?? before)?.name ?? "",
    state: before && after ? "changed" : after ? "added" : "removed",
    tags,
    manifests: { added: only(after, before), removed: only(before, after) },
  };
}

export function imageDraft(changes: readonly RepositoryChange[]): SectionDraft<"images"> {
  const differences = changes.map(differenceOf);
  return {
    changed: changes.flatMap(({ after }) => after ?? []),
    dropped: differences.flatMap(({ name, state }) => (state === "removed" ? [name] : [])),
    tally: Object.fromEntries(
      differences.map(({ name, tags, manifests: { added, removed } }) => [
        name,
        { manifests: added.length - removed.length, tags: tags.map(({ tag }) => tag) },
      ]),
    ),
  };
}

/**
 * The repository with the tags and manifests of an earlier generation. Newer manifests stay, by their digest, since charms of newer
 * revisions name them. `then` undefined: it was not stored; `now` undefined: it was removed since.
 */
export function rollBackRepository(then: Repository | undefined, now: Repository | undefined): Repository | undefined {
  if (!then) return now && { ...now, tags: {} };
  return { ...mergeRepository(now, then), tags: then.tags };
}

export interface ImageRemoval {
  /** reasons against the removal: releases of charms, tags and indexes that need what is removed */
  readonly uses: readonly string[];
  /** undefined: nothing is left of the repository */
  readonly after: Repository | undefined;
}

/**
 * Removes what `path` names of a repository: a digest, else a tag, else all of it. Manifests go with it that nothing else names, and
 * blobs that no manifest names then. Throws a `not-found` failure. `now`: milliseconds.
 */
export function imageRemoval(repository: Repository, path: ImagePath, packages: readonly Package[], now: number): ImageRemoval {
  const { name, tag, digest: said } = path;
  if (tag === undefined && said === undefined) return { uses: usesOf(packages, repository, undefined, now), after: undefined };
  const digest = storedImage(repository, said === undefined ? `${name}:${tag}` : `${name}@${said}`);
  if (digest === undefined) {
    const what = said === undefined ? `the tag ${printable(tag ?? "", 130)}` : `the manifest ${printable(said, 100)}`;
    throw new Failure("not-found", `${what} of ${name} is not stored`, { next: `chp show ${name} lists what is` });
  }
  const tags = Object.fromEntries(
    Object.entries(repository.tags).filter(([other, named]) => (said === undefined ? other !== tag : named !== digest)),
  );
  const after = without(repository, digest, { tags, packages, isGone: said !== undefined });
  return { uses: [...(said === undefined ? [] : namedBy(repository, digest)), ...usesOf(packages, repository, after, now)], after };
}

/** The repository with these tags, and without what was below `digest` alone. `isGone`: `digest` goes, whatever names it. */
function without(
  repository: Repository,
  digest: Digest,
  { tags, packages, isGone }: { readonly tags: Repository["tags"]; readonly packages: readonly Package[]; readonly isGone: boolean },
): Repository | undefined {
  const candidates = below(repository, [digest]);
  const rest: Repository = { ...repository, tags };
  const named = neededImages(packages, undefined)
    .filter(({ upstream }) => splitPath(pathOfReference(upstream)).name === repository.name)
    .flatMap(({ upstream }) => storedImage(rest, upstream) ?? []);
  const others = repository.manifests.map((manifest) => manifest.digest).filter((other) => !candidates.has(other));
  const kept = below(
    isGone ? { ...repository, manifests: repository.manifests.filter((manifest) => manifest.digest !== digest) } : repository,
    [...others, ...Object.values(tags), ...named],
  );
  const manifests = repository.manifests.filter((manifest) => kept.has(manifest.digest));
  if (manifests.length === 0) return undefined;
  const blobs = new Set(manifests.flatMap((manifest) => [manifest.digest, ...(manifest.blobs ?? [])]));
  return { ...rest, manifests, blobs: repository.blobs.filter((blob) => blobs.has(blob.digest)) };
}

/** The stored manifests of these digests, with all that they list, and what refers to them, as signatures do. */
function below(repository: Repository, digests: readonly Digest[]): Set<Digest> {
  const referrers = new Map<Digest, Digest[]>();
  for (const { digest, subject } of repository.manifests)
    if (subject !== undefined) referrers.set(subject, [...(referrers.get(subject) ?? []), digest]);
  const found = new Set<Digest>();
  const left = [...digests];
  for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
    const manifest = findManifest(repository, digest);
    if (!manifest || found.has(digest)) continue;
    found.add(digest);
    left.push(...(manifest.manifests ?? []).map((listed) => listed.digest), ...(referrers.get(digest) ?? []));
  }
  return found;
}

/** The tags and indexes that name a manifest. */
function namedBy({ tags, manifests }: Repository, digest: Digest): string[] {
  const lists = (manifest: StoredManifest) => imagesOf(manifest).some((listed) => listed.digest === digest);
  return [
    ...Object.entries(tags).flatMap(([tag, named]) => (named === digest ? [`the tag ${tag} names it`] : [])),
    ...manifests.filter(lists).map((index) => `the index ${digestText(index.digest)} lists it`),
  ];
}

/** Released resources of charms whose image is another one, or of fewer architectures, after the change. */
function usesOf(packages: readonly Package[], before: Repository, after: Repository | undefined, now: number): string[] {
  return packages.flatMap((pkg) => {
    const released = channelsByResource(pkg, now);
    return neededImages([pkg], undefined).flatMap(({ upstream, neededBy }) => {
      if (splitPath(pathOfReference(upstream)).name !== before.name || pulls(before, upstream) === pulls(after, upstream)) return [];
      return neededBy.flatMap((user) => {
        if (!isOfResource(user)) return isReleased(pkg, user, now) ? [`${showNeededBy(user)} names it`] : [];
        const channels = released.get(`${user.resource}_${user.revision}`);
        return channels
          ? [`charm ${pkg.name} needs it: ${[...channels].join(", ")} releases its resource ${user.resource} ${user.revision}`]
          : [];
      });
    });
  });
}

/** Whether a file certainly names the image in a released revision of the charm. */
function isReleased(pkg: Package, { revision, sure }: NeededByFile, now: number): boolean {
  return sure === "certain" && [...pkg.releases, ...offered(pkg, now).releases].some((row) => row.revision === revision);
}

/** What a client pulls for a reference, as text that can be compared. */
function pulls(repository: Repository | undefined, reference: string): string | undefined {
  const digest = repository && storedImage(repository, reference);
  return repository && digest && JSON.stringify([digest, pullableFor(repository, digest)]);
}

/** The rows that offer each resource: `NAME_REVISION` → `latest/stable ubuntu@22.04 amd64`; of one that is not pinned, its newest revision. */
function channelsByResource(pkg: Package, now: number): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const row of [...pkg.releases, ...offered(pkg, now).releases]) {
    const pins = new Map<string, number>(Object.entries(row.resources));
    for (const name of findRevision(pkg, row.revision)?.resources ?? []) {
      const newest = pins.has(name) ? undefined : findResource(pkg, name);
      if (newest) pins.set(name, newest.revision);
    }
    for (const [name, revision] of pins) {
      const key = `${name}_${revision}`;
      found.set(key, (found.get(key) ?? new Set()).add(showRow(row)));
    }
  }
  return found;
}
