/** Resolves requests for charms and bundles: package × request → release | refusal. Rules: handlers/juju.md, Choosing a release. */

import { agrees, type Base, baseKey, compareBases, isConcrete, normalBase, uniqueBases } from "./base.ts";
import { type FullChannel, formatChannel, fullChannel, RISKS, searchOrder } from "./channel.ts";
import { channelOf } from "./channelmap.ts";
import { findResource, findRevision, newestRevision, type Package, type Release, type ResourceRevision, type Revision } from "./package.ts";

export type Verb = "install" | "download" | "refresh";

/** One action of a refresh request; a `refresh` carries base and channel of its context. */
export interface Query {
  readonly action: Verb;
  readonly instanceKey: string;
  readonly id?: string;
  readonly name?: string;
  readonly revision?: number;
  readonly channel?: string;
  readonly base: Base | null;
  readonly resourceRevisions: readonly { readonly name: string; readonly revision: number }[];
  /** base channel that the asking Juju prefers; see `preferredBase` */
  readonly preferred: string;
}

export type NamedResource = readonly [name: string, resource: ResourceRevision];

export interface Resolved {
  readonly package: Package;
  readonly revision: Revision;
  readonly resources: readonly NamedResource[];
  /** `track/risk`; absent when asked by revision alone */
  readonly channel?: string;
  readonly releasedAt?: string;
}

export interface Refusal {
  readonly code:
    | "name-not-found"
    | "id-not-found"
    | "missing-context"
    | "missing-charm-base"
    | "invalid-charm-base"
    | "revision-not-found"
    | "charm-resource-not-found"
    | "api-error";
  readonly message: string;
  /** of `charm-resource-not-found` */
  readonly resource?: { readonly name: string; readonly revision?: number };
  readonly extra?: { readonly "default-bases": readonly Base[] } | { readonly releases: readonly ReleaseRow[] };
}

/** An available release, for the operator to choose from. */
export interface ReleaseRow {
  readonly channel: string;
  readonly base: Base;
}

export type PackageOutcome = { readonly ok: Resolved } | { readonly refusal: Refusal };

/** The package, if the query may see it: a package with nothing but aside revisions is visible only to requests by revision number. */
export function packageForQuery(query: Pick<Query, "revision">, pkg: Package | undefined): Package | undefined {
  return pkg && (query.revision !== undefined || newestRevision(pkg)) ? pkg : undefined;
}

/** Answers one action. Never throws; knows no clock, disk or network. */
export function resolve(pkg: Package | undefined, query: Query): PackageOutcome {
  if (!pkg) return { refusal: unknownPackage(query) };
  const base = query.base && normalBase(query.base);
  return query.revision === undefined
    ? resolvePackageByChannel(pkg, query, base)
    : resolvePackageByRevision(pkg, query, query.revision, base);
}

function unknownPackage({ id }: Query): Refusal {
  return id === undefined
    ? { code: "name-not-found", message: "The Charm with the given name was not found in the Store." }
    : { code: "id-not-found", message: "The Charm with the given id was not found in the Store." };
}

function resolvePackageByRevision(pkg: Package, query: Query, number: number, base: Base | null): PackageOutcome {
  const revision = findRevision(pkg, number);
  const fits = revision && (pkg.type === "bundle" || !base || revision.bases.some((b) => agrees(b, base)));
  if (!fits) {
    const where = base && isConcrete(base) ? ` for ${base.name}#${base.channel}#${base.architecture}` : "";
    return { refusal: packageRevisionNotFound(pkg, query, base, `Revision ${number}${where} was not found in the Store.`) };
  }
  if (query.channel === undefined) return complete(pkg, query, { revision, pins: commonPins(pkg, number) });

  const channel = fullChannel(query.channel, pkg.defaultTrack);
  const released = channel && releasedTogether(pkg, number, channel, base);
  // A mirror has little history: a stored revision is served in any channel that has a release, with the resources of that release.
  const row =
    released ??
    (channel && (findRelease(pkg, channel, (r) => !base || !r.base || agrees(r.base, base)) ?? findRelease(pkg, channel, () => true)));
  if (!channel || !row) return { refusal: packageRevisionNotFound(pkg, query, base) };
  return complete(pkg, query, {
    revision,
    channel: formatChannel(channel),
    pins: row.resources,
    filled: true,
    ...(released && { releasedAt: released.releasedAt }),
  });
}

function resolvePackageByChannel(pkg: Package, query: Query, base: Base | null): PackageOutcome {
  const channel = fullChannel(query.channel || "stable", pkg.defaultTrack);
  if (pkg.type === "charm" && !base) {
    const message = `Instance key '${query.instanceKey}' missing required field 'base' in '${query.action}' for charm_id=${pkg.id} name=${pkg.name}`;
    return { refusal: { code: "missing-charm-base", message } };
  }
  if (!channel) return { refusal: packageRevisionNotFound(pkg, query, base) };
  if (pkg.type === "charm" && base && !isConcrete(base)) {
    const bases = reachableBases(pkg, channel, base).toSorted(compareBases(query.preferred));
    if (bases.length === 0) return { refusal: packageRevisionNotFound(pkg, query, base) };
    const message = `Instance key '${query.instanceKey}' invalid 'base' in '${query.action}' for charm_id=${pkg.id} name=${pkg.name}`;
    return { refusal: { code: "invalid-charm-base", message, extra: { "default-bases": bases } } };
  }
  const row = findRelease(pkg, channel, (r) => pkg.type === "bundle" || (base !== null && r.base !== null && agrees(r.base, base)));
  const revision = row && findRevision(pkg, row.revision);
  if (!revision) return { refusal: packageRevisionNotFound(pkg, query, base) };
  return complete(pkg, query, { revision, channel: row.channel, releasedAt: row.releasedAt, pins: row.resources, filled: true });
}

interface Choice {
  readonly revision: Revision;
  readonly channel?: string;
  readonly releasedAt?: string;
  readonly pins: Readonly<Record<string, number>>;
  /** whether declared resources without a pin are added, newest first: Juju panics where a channel's reply has none */
  readonly filled?: boolean;
}

function complete(pkg: Package, query: Query, { revision, channel, releasedAt, pins, filled = false }: Choice): PackageOutcome {
  const chosen = new Map<string, ResourceRevision>();
  for (const [name, pin] of Object.entries(pins)) put(name, findResource(pkg, name, pin));
  if (filled) for (const name of revision.resources) if (!chosen.has(name)) put(name, findResource(pkg, name));
  for (const { name, revision: wanted } of query.resourceRevisions) {
    const found = findResource(pkg, name, wanted < 0 ? undefined : wanted);
    if (!found)
      return {
        refusal: {
          code: "charm-resource-not-found",
          message: `Resource ${name} revision ${wanted} of ${pkg.name} was not found in the Store.`,
          resource: { name, ...(wanted >= 0 && { revision: wanted }) },
        },
      };
    chosen.set(name, found);
  }
  return {
    ok: {
      package: pkg,
      revision,
      resources: [...chosen],
      ...(channel !== undefined && { channel }),
      ...(releasedAt !== undefined && { releasedAt }),
    },
  };

  function put(name: string, found: ResourceRevision | undefined): void {
    if (found) chosen.set(name, found);
  }
}

/** The first row that fits, in search order of the channels. */
function findRelease(pkg: Package, channel: FullChannel, fits: (row: Release) => boolean): Release | undefined {
  for (const name of searchOrder(channel)) {
    const row = pkg.releases.find((r) => r.channel === name && fits(r));
    if (row) return row;
  }
  return undefined;
}

/** The newest release of a revision in exactly that channel, now or earlier. */
function releasedTogether(pkg: Package, revision: number, channel: FullChannel, base: Base | null): Release | undefined {
  const name = formatChannel(channel);
  return [...pkg.releases, ...pkg.history].find(
    (r) => r.revision === revision && r.channel === name && (!base || !r.base || agrees(r.base, base)),
  );
}

/** The resources of a revision if all of its releases had the same; else none, as in production. */
function commonPins(pkg: Package, revision: number): Readonly<Record<string, number>> {
  const rows = [...pkg.releases, ...pkg.history].filter((r) => r.revision === revision);
  const sets = new Map(
    rows.map((r) => [JSON.stringify(Object.entries(r.resources).toSorted(([a], [b]) => (a < b ? -1 : 1))), r.resources]),
  );
  const [only, ...others] = sets.values();
  return only && others.length === 0 ? only : {};
}

function reachableBases(pkg: Package, channel: FullChannel, asked: Base): Base[] {
  const open = new Set(searchOrder(channel));
  return uniqueBases(pkg.releases.flatMap((r) => (r.base && open.has(r.channel) && agrees(r.base, asked) ? [r.base] : [])));
}

function packageRevisionNotFound(pkg: Package, query: Query, base: Base | null, message = "No revision was found in the Store."): Refusal {
  return { code: "revision-not-found", message, extra: { releases: reachableReleases(pkg, query, base) } };
}

/**
 * Every channel × base that a request could reach. Clients compare strings and take the first row that matches, so the
 * asked channel is spelled as it was asked, the asked architecture leads, and the best base follows.
 */
export function reachableReleases(pkg: Package, query: Pick<Query, "channel" | "preferred">, asked: Base | null): ReleaseRow[] {
  const wanted = query.channel === undefined ? undefined : fullChannel(query.channel, pkg.defaultTrack);
  const wantedName = wanted && wanted.branch === undefined ? formatChannel(wanted) : undefined;
  const anyBase: Base =
    asked && isConcrete(asked) ? asked : { name: "ubuntu", channel: query.preferred, architecture: asked?.architecture ?? "amd64" };
  const bases = uniqueBases(pkg.releases.map((r) => r.base ?? anyBase));
  const tracks = [...new Set(pkg.releases.map((r) => channelOf(r).track))];
  const open = new Set(pkg.releases.map((r) => `${r.channel} ${baseKey(r.base ?? anyBase)}`));
  const best = compareBases(query.preferred);
  const distance = (b: Base) => (asked && b.architecture !== asked.architecture ? 1 : 0);
  return bases
    .toSorted((a, b) => distance(a) - distance(b) || best(a, b))
    .flatMap((base) =>
      tracks.flatMap((track) => {
        const safest = RISKS.findIndex((risk) => open.has(`${track}/${risk} ${baseKey(base)}`));
        return safest < 0 ? [] : RISKS.slice(safest).map((risk) => ({ channel: `${track}/${risk}`, base }));
      }),
    )
    .map((row) => (row.channel === wantedName && query.channel !== undefined ? { ...row, channel: query.channel } : row));
}

/** The row that `info` and `find` show first: the most stable of the default track, amd64 before others, best base first. */
export function defaultRelease(pkg: Package, channel?: string): Release | undefined {
  const rows = pkg.releases.filter((r) => channelOf(r).branch === undefined && (channel === undefined || r.channel === channel));
  const first = rows[0];
  return rows.find((r) => r.channel === first?.channel && r.base?.architecture === "amd64") ?? first;
}
