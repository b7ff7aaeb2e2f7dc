/** Search for snaps: those that match a question, best first. Rules: handlers/snapd.md, Find. */

import { parseChannel, searchOrder } from "./channel.ts";
import { findSnapRevision, newestSnapRevision, type Snap, type SnapRelease, type SnapRevision } from "./snap.ts";
import { channelMapOf } from "./snapresolve.ts";

export const FEATURED = "featured";

export interface SnapQuestion {
  /** free text: every word must be found somewhere */
  readonly text?: string;
  /** what a name begins with */
  readonly name?: string;
  readonly commonId?: string;
  readonly category?: string;
  readonly channel?: string;
  /** the kinds that the asking machine can run; none: any */
  readonly confinements: readonly string[];
  readonly architecture: string;
  /** the brand store of the asking device */
  readonly store?: string;
}

export interface FoundSnap {
  readonly snap: Snap;
  readonly revision: SnapRevision;
  readonly release: SnapRelease;
}

/** The snaps of one generation, ready to be searched. Entries of unchanged snaps are taken from the index before. */
export class SnapIndex {
  readonly #entries: readonly { readonly snap: Snap; readonly haystack: string }[];

  constructor(snaps: readonly Snap[], before?: SnapIndex) {
    const known = new Map(before ? before.#entries.map((entry) => [entry.snap, entry]) : []);
    this.#entries = snaps.filter(newestSnapRevision).map((snap) => known.get(snap) ?? { snap, haystack: haystackOf(snap) });
  }

  /** Best match first, then by name. */
  find(question: SnapQuestion): FoundSnap[] {
    const words = (question.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const rank = (snap: Snap) => (snap.name === words.join("-") ? 0 : words.some((word) => snap.name.includes(word)) ? 1 : 2);
    const found = this.#entries.flatMap(({ snap, haystack }) => {
      if (!isVisible(snap, question.store) || !words.every((word) => haystack.includes(word))) return [];
      const release = releaseFor(snap, question);
      const revision = release && findSnapRevision(snap, release.revision);
      return release && revision && fits(snap, revision, question) ? [{ snap, revision, release }] : [];
    });
    const featured = question.category === FEATURED ? found.filter(({ snap }) => isFeatured(snap)) : [];
    // A store in which nothing is featured shows all that it has: `snap find` alone asks for what is featured.
    return (featured.length > 0 ? featured : found).toSorted((a, b) => rank(a.snap) - rank(b.snap) || (a.snap.name < b.snap.name ? -1 : 1));
  }

  /** Names of categories, `featured` first. */
  categories(): string[] {
    const names = this.#entries.flatMap(({ snap }) => (snap.details.categories ?? []).map((category) => category.name));
    return [FEATURED, ...[...new Set(names)].filter((name) => name !== FEATURED).toSorted()];
  }

  snaps(): Snap[] {
    return this.#entries.map(({ snap }) => snap);
  }
}

/** Whether a device may see it: a brand store's snaps are for devices of that store. */
export function isVisible(snap: Snap, store: string | undefined): boolean {
  return snap.store === undefined || snap.store === store;
}

/** The release that a machine is shown first. */
export function releaseFor(snap: Snap, { architecture, channel }: Pick<SnapQuestion, "architecture" | "channel">): SnapRelease | undefined {
  const rows = channelMapOf(snap, architecture);
  if (channel === undefined) return rows[0];
  const asked = parseChannel(channel);
  const places = asked ? searchOrder({ ...asked, track: asked.track ?? snap.defaultTrack }) : [];
  return places.flatMap((place) => rows.filter((row) => row.channel === place))[0];
}

function fits(snap: Snap, revision: SnapRevision, { name, commonId, category, confinements }: SnapQuestion): boolean {
  return (
    (name === undefined || snap.name.startsWith(name)) &&
    (commonId === undefined || revision.commonIds.includes(commonId)) &&
    (category === undefined || category === FEATURED || (snap.details.categories ?? []).some((listed) => listed.name === category)) &&
    (confinements.length === 0 || confinements.includes(revision.confinement))
  );
}

function isFeatured(snap: Snap): boolean {
  return (snap.details.categories ?? []).some((category) => category.featured || category.name === FEATURED);
}

function haystackOf(snap: Snap): string {
  const newest = newestSnapRevision(snap);
  const { details, publisher } = snap;
  const texts = [
    snap.name,
    details.title ?? newest?.title,
    details.summary ?? newest?.summary,
    details.description ?? newest?.description,
    publisher.username,
    publisher["display-name"],
    ...(newest?.apps ?? []),
    ...(newest?.commonIds ?? []),
  ];
  return texts.filter(Boolean).join("\n").toLowerCase();
}
