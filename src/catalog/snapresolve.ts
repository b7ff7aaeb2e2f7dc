/** Resolves requests for snaps: snap × action → revision | refusal. Rules: handlers/snapd.md, Choosing a revision. */

import { type FullChannel, formatChannel, parseChannel, searchOrder } from "./channel.ts";
import { channelOf } from "./channelmap.ts";
import {
  ANY_ARCHITECTURE,
  ARCHITECTURES,
  type Epoch,
  findSnapRevision,
  newestSnapRevision,
  runsOn,
  type Snap,
  type SnapRelease,
  type SnapRevision,
  suits,
} from "./snap.ts";

export type SnapVerb = "install" | "download" | "refresh";

/** What a machine has installed. */
export interface Installed {
  readonly revision: number;
  readonly trackingChannel: string;
  readonly epoch: Epoch | undefined;
}

export interface SnapQuery {
  readonly action: SnapVerb;
  readonly instanceKey: string;
  readonly name?: string;
  readonly id?: string;
  readonly revision?: number;
  /** as the user typed it */
  readonly channel?: string;
  /** dpkg name */
  readonly architecture: string;
  /** of a refresh */
  readonly installed?: Installed;
}

export interface ResolvedSnap {
  readonly snap: Snap;
  readonly revision: SnapRevision;
  readonly effectiveChannel?: string;
  /** the channel to follow from now on: a new install without a track follows the default one */
  readonly redirectChannel?: string;
  readonly releasedAt?: string;
}

export interface SnapRefusal {
  readonly code: "name-not-found" | "id-not-found" | "revision-not-found" | "api-error";
  readonly message: string;
  readonly releases?: readonly SnapReleaseRow[];
}

/** An available release; architectures are concrete, since snapd compares them literally. */
export interface SnapReleaseRow {
  readonly architecture: string;
  readonly channel: string;
}

export type SnapOutcome = { readonly ok: ResolvedSnap } | { readonly refusal: SnapRefusal };

/** The snap, if the query may see it: a snap with nothing but aside revisions is visible only to requests by revision number. */
export function snapForQuery(query: Pick<SnapQuery, "revision">, snap: Snap | undefined): Snap | undefined {
  return snap && (query.revision !== undefined || newestSnapRevision(snap)) ? snap : undefined;
}

/** Answers one action. Never throws; knows no clock, disk or network. */
export function resolveSnap(snap: Snap | undefined, query: SnapQuery): SnapOutcome {
  if (!snap || snap.revisions.length === 0) return { refusal: unknownSnap(query) };
  return query.revision === undefined ? resolveSnapByChannel(snap, query) : resolveSnapByRevision(snap, query, query.revision);
}

function unknownSnap({ action }: SnapQuery): SnapRefusal {
  return action === "refresh"
    ? { code: "id-not-found", message: "No snap with the given ID was found in the store." }
    : { code: "name-not-found", message: "No snap with the given name was found in the store." };
}

/** A revision wins over a channel: a machine requests the revision that it has, while its channel may have moved on. */
function resolveSnapByRevision(snap: Snap, query: SnapQuery, number: number): SnapOutcome {
  const revision = findSnapRevision(snap, number);
  if (!revision || !runsOn(revision, query.architecture))
    return { refusal: snapRevisionNotFound(snap, query, `Revision ${number} was not found in the store.`) };
  return { ok: { snap, revision, ...(query.channel !== undefined && { effectiveChannel: query.channel }) } };
}

function resolveSnapByChannel(snap: Snap, query: SnapQuery): SnapOutcome {
  const { channel, redirected } = wantedChannel(snap, query);
  if (!channel) return { refusal: snapRevisionNotFound(snap, query) };
  const row = findSnapRelease(snap, channel, query);
  const head = row && findSnapRevision(snap, row.revision);
  if (!row || !head) return { refusal: snapRevisionNotFound(snap, query) };
  const { installed } = query;
  const readable = !installed?.epoch || canRead(head.epoch, installed.epoch);
  // A revision that cannot read the machine's data is not offered; the installed revision means that there is no update.
  const revision = readable || !installed ? head : findSnapRevision(snap, installed.revision);
  if (!revision) return { refusal: snapRevisionNotFound(snap, query, "No revision that reads the installed data was found in the store.") };
  return {
    ok: {
      snap,
      revision,
      effectiveChannel: row.channel,
      ...(redirected && { redirectChannel: formatChannel(channel) }),
      releasedAt: row.releasedAt,
    },
  };
}

function wantedChannel(snap: Snap, { action, channel, installed }: SnapQuery): { channel?: FullChannel; redirected: boolean } {
  const asked = parseChannel(tolerant(channel || (action === "refresh" ? installed?.trackingChannel : "") || "stable"));
  if (!asked) return { redirected: false };
  const redirected = action !== "refresh" && asked.track === undefined && asked.branch === undefined && snap.defaultTrack !== "latest";
  return { channel: { ...asked, track: asked.track ?? (redirected ? snap.defaultTrack : "latest") }, redirected };
}

/** The first open place in search order. A branch must match exactly, unless the machine follows a branch that was closed. */
function findSnapRelease(
  snap: Snap,
  channel: FullChannel,
  { action, channel: asked, installed, architecture }: SnapQuery,
): SnapRelease | undefined {
  const follows = action === "refresh" && (!asked || sameChannel(asked, installed?.trackingChannel ?? ""));
  const places = channel.branch === undefined || follows ? searchOrder(channel) : [formatChannel(channel)];
  for (const place of places) {
    const rows = snap.releases.filter((r) => r.channel === place && suits(r, architecture));
    const row = rows.find((r) => r.architecture === architecture) ?? rows[0];
    if (row) return row;
  }
  return undefined;
}

function sameChannel(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => {
    const parsed = parseChannel(tolerant(text));
    return parsed && formatChannel({ ...parsed, track: parsed.track ?? "latest" });
  });
  return x !== undefined && x === y;
}

/** snapd drops empty parts. */
function tolerant(channel: string): string {
  return channel.split("/").filter(Boolean).join("/");
}

function canRead(head: Epoch, installed: Epoch): boolean {
  return head.read.some((format) => installed.write.includes(format));
}

function snapRevisionNotFound(snap: Snap, { architecture }: SnapQuery, message = "No revision was found in the store."): SnapRefusal {
  return { code: "revision-not-found", message, releases: reachableSnapReleases(snap, architecture) };
}

/** Every open channel × architecture, the requested one first. Branches are omitted: clients show what is listed as installable. */
export function reachableSnapReleases(snap: Snap, asked: string): SnapReleaseRow[] {
  const rows = snap.releases
    .filter((r) => channelOf(r).branch === undefined)
    .flatMap(({ channel, architecture }) =>
      (architecture === ANY_ARCHITECTURE ? ARCHITECTURES : [architecture]).map((name) => ({ architecture: name, channel })),
    );
  const unique = [...new Map(rows.map((row) => [`${row.architecture} ${row.channel}`, row])).values()];
  return unique.toSorted((a, b) => Number(b.architecture === asked) - Number(a.architecture === asked));
}

/** The rows of one architecture's channel map without branches, the best first. */
export function channelMapOf(snap: Snap, architecture: string): SnapRelease[] {
  const best = new Map<string, SnapRelease>();
  for (const row of snap.releases) {
    if (!suits(row, architecture) || channelOf(row).branch !== undefined) continue;
    if (!best.has(row.channel) || row.architecture === architecture) best.set(row.channel, row);
  }
  return [...best.values()];
}
