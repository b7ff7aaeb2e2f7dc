/** Imports snaps: verifies every assertion, and matches every image with the assertion of its bytes. Rules: handlers/snapd.md, Assertions. */

import type { DeclaredSnap } from "../archives/snapmetadata.ts";
import { type Assertion, header, optionalHeader } from "../assertions/assertion.ts";
import { sameManifest } from "../catalog/change.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { changes, lastReleased, type RowChange, unreleasedNote } from "../catalog/channelmap.ts";
import { type OverrideFacts, overridesOver } from "../catalog/override.ts";
import {
  ANY_ARCHITECTURE,
  findSnapRevision,
  type IncomingSnap,
  mergeAssertions,
  mergeSnap,
  runsOn,
  SNAP_RULES,
  type Snap,
  type SnapPublisher,
  type SnapRelease,
  type SnapRevision,
  type StoredAssertion,
} from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import { type BuilderOf, placeImage, SnapBuilder } from "./snapbuilder.ts";
import type { SnapReading } from "./snapreader.ts";
import {
  type Accepted,
  acceptAssertions,
  isStored,
  KnownAssertions,
  ownerOf,
  type SnapBase,
  type SnapImportOptions,
  toStored,
} from "./snaptrust.ts";

export interface SnapReport {
  readonly name: string;
  readonly type: "snap";
  readonly id: string;
  readonly state: "new" | "changed" | "known";
  readonly defaultTrack: string;
  readonly revisions: { readonly new: readonly number[]; readonly known: readonly number[] };
  /** `NAME_REVISION` */
  readonly components: { readonly new: readonly string[]; readonly known: readonly string[] };
  readonly channels: readonly RowChange<Pick<SnapRelease, "architecture">>[];
  /** overrides in force on channels that moved: their revisions are served instead */
  readonly overrides: readonly OverrideFacts[];
  /** stored revisions whose assertions do not verify */
  readonly unverified: readonly { readonly revision: number; readonly reason: string }[];
  readonly notes: readonly string[];
}

export interface ImportedSnaps {
  readonly reports: readonly SnapReport[];
  /** every snap that the archives have a part of, as it is after the import */
  readonly after: readonly Snap[];
  readonly changed: readonly Snap[];
  /** former names of snaps that were renamed */
  readonly renamed: readonly string[];
  /** undefined: nothing changed */
  readonly otherAssertions?: readonly StoredAssertion[];
  readonly assertions: { readonly new: number; readonly known: number };
  /** rows not published: their revision is neither in the archive nor in the store */
  readonly dropped: readonly ({ readonly name: string } & Omit<SnapRelease, "releasedAt">)[];
  readonly notes: readonly string[];
}

/** The snaps and assertions of an import, merged into what is stored. Throws a `refused` failure where one does not verify. */
export async function importSnaps(reading: SnapReading, base: SnapBase, options: SnapImportOptions): Promise<ImportedSnaps> {
  const declared = named(reading);
  const accepted = acceptAssertions(reading, base, options);
  const known = new KnownAssertions(accepted, base);
  const drafts = new Map<string, SnapBuilder>();
  const draftOf: BuilderOf = (id, name = "") => {
    const draft = drafts.get(id) ?? new SnapBuilder(id, name);
    drafts.set(id, draft);
    draft.name ||= name;
    return draft;
  };
  for (const image of reading.images) placeImage(image, known, options, reading, draftOf);
  for (const item of accepted) {
    const owner = ownerOf(item.assertion);
    if (owner !== undefined && (drafts.has(owner) || (await base.snapById(owner)))) draftOf(owner).assertions.push(toStored(item));
  }
  await republish(accepted, base, draftOf);

  const reports: SnapReport[] = [];
  const changed: Snap[] = [];
  const renamed: string[] = [];
  const dropped: ImportedSnaps["dropped"][number][] = [];
  const after = new Map<string, Snap>();
  for (const draft of drafts.values()) {
    const stored = await base.snapById(draft.id);
    const { snap: incoming, notes } = finish(draft, stored, known, { declared, stores: reading.stores }, options);
    const { name } = incoming;
    const twin = [...after.values()].find((snap) => snap.name === name);
    if (twin) throw refused(`${name} has the snap ids ${twin.id} and ${draft.id} in the archive`);
    const other = await base.snap(name);
    if (other && other.id !== draft.id) throw refused(`${name} has the snap id ${other.id} in the store and ${draft.id} in the archive`);
    const merged = mergeSnap(stored, incoming, options.policy);
    after.set(draft.id, merged.snap);
    const report = snapReport(merged.snap, stored, { given: incoming, notes: [...notes, ...merged.notes], now: options.now });
    reports.push(report);
    if (report.state !== "known") changed.push(merged.snap);
    if (stored && stored.name !== name) renamed.push(stored.name);
    dropped.push(...merged.dropped.map(({ channel, architecture, revision }) => ({ name, channel, architecture, revision })));
  }
  const others = accepted.filter(({ assertion }) => !drafts.has(ownerOf(assertion) ?? "")).map(toStored);
  const roots = accepted.length > 0 ? options.roots.map((assertion) => toStored({ assertion })) : [];
  const otherAssertions = mergeAssertions(base.otherAssertions, [...roots, ...others]);
  const fresh = accepted.filter(({ assertion }) => !isStored(assertion, base)).length;
  return {
    reports: reports.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    after: [...after.values()],
    changed,
    renamed,
    ...(JSON.stringify(otherAssertions) !== JSON.stringify(base.otherAssertions) && { otherAssertions }),
    assertions: { new: fresh, known: accepted.length - fresh },
    dropped,
    notes: accepted.flatMap(({ assertion }) => revisionsWithoutSnap(assertion, after, known)),
  };
}

/** The note for an assertion of a revision whose snap is neither in the import nor stored. */
function revisionsWithoutSnap(assertion: Assertion, after: ReadonlyMap<string, Snap>, known: KnownAssertions): string[] {
  if (assertion.type !== "snap-revision") return [];
  const [id, number] = [header(assertion, "snap-id"), header(assertion, "snap-revision")];
  if (after.get(id)?.revisions.some((r) => r.revision === Number(number))) return [];
  return [`revision ${number} of snap ${known.nameOf(id)} is asserted, but no such snap is in the archive`];
}

/* ---- one snap and its channels ---- */

interface DeclaredSnaps extends Pick<SnapReading, "stores"> {
  readonly declared: readonly NamedDeclaration[];
}

function finish(
  draft: SnapBuilder,
  stored: Snap | undefined,
  known: KnownAssertions,
  { declared, stores }: DeclaredSnaps,
  options: SnapImportOptions,
): FinishedSnap {
  const { id, assertions } = draft;
  const declaredBy = known.newest("snap-declaration", ["16", id]);
  const snapDeclaration = declaredBy?.assertion;
  const name = (snapDeclaration && optionalHeader(snapDeclaration, "snap-name")) || draft.name || stored?.name;
  if (stored && name !== stored.name && (!snapDeclaration || declaredBy?.unverified !== undefined))
    throw refused(`${name} has the snap id ${id}, which belongs to ${stored.name}, and no declaration that verifies renames it`);
  if (name === undefined || (!stored && draft.revisions.length === 0))
    throw refused(`the archive has components of snap ${name ?? id}, but no such snap, and the store has none`);
  const own = declared.filter((declaration) => declaration.name === name || declaration.value.id === id);
  for (const { at, value } of own)
    if (value.id !== undefined && value.id !== id)
      throw refused(`it gives ${name} the snap id ${value.id}, but its assertions say ${id}`, { at });
  const declarations = own.map(({ value }) => value);
  const notes: string[] = [];
  const revisions = draft.revisions.map((revision) => ({ ...revision, createdAt: timeOf(declarations, revision) }));
  const brand = declarations.find((declaration) => declaration.store !== undefined)?.store ?? brandOf(draft, stores);
  const track = declarations.find((declaration) => declaration.defaultTrack !== undefined)?.defaultTrack;
  const snap: IncomingSnap = {
    name,
    id,
    publisher: snapDeclaration ? known.publisher(header(snapDeclaration, "publisher-id")) : (stored?.publisher ?? UNVERIFIED_PUBLISHER),
    details: Object.assign({}, ...declarations.map((declaration) => declaration.details)),
    ...(track !== undefined && { defaultTrack: track }),
    ...(draft.revisions.length > 0 && { store: brand ?? null }),
    revisions,
    components: [...draft.components].map(([component, list]) => ({ name: component, revisions: list })),
    pairs: known.pairs(id),
    releases: releasesToImport(name, revisions, declarations, stored, options, notes),
    assertions,
  };
  return { snap, notes };
}

interface FinishedSnap {
  readonly snap: IncomingSnap;
  readonly notes: readonly string[];
}

const UNVERIFIED_PUBLISHER: SnapPublisher = {
  id: "unverified",
  username: "unverified",
  "display-name": "unverified",
  validation: "unproven",
};

function timeOf(declarations: readonly DeclaredSnap[], { revision, createdAt: asserted }: SnapRevision): string {
  const found = declarations
    .flatMap((declaration) => declaration.revisions)
    .find((described) => described.revision === revision && described.createdAt !== undefined);
  return found?.createdAt ?? asserted;
}

function brandOf(draft: SnapBuilder, stores: SnapReading["stores"]): string | undefined {
  for (const group of draft.groups) {
    const found = stores.get(group);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The rows that the archives declare; without any, all revisions go to the operator's channel, or to latest/stable. */
function releasesToImport(
  name: string,
  revisions: readonly SnapRevision[],
  declarations: readonly DeclaredSnap[],
  stored: Snap | undefined,
  options: SnapImportOptions,
  notes: string[],
): SnapRelease[] {
  const rows: SnapRelease[] = [];
  for (const { channel, architecture, revision, releasedAt = options.now } of declarations.flatMap((declaration) => declaration.rows)) {
    const runs = revisions.find((r) => r.revision === revision) ?? (stored && findSnapRevision(stored, revision));
    const wanted = architecture === undefined ? (runs?.architectures ?? [ANY_ARCHITECTURE]) : [architecture];
    for (const place of wanted) {
      if (!runs || place === ANY_ARCHITECTURE || runsOn(runs, place)) rows.push({ channel, architecture: place, revision, releasedAt });
      else notes.push(`${channel} ${place} was not released: revision ${revision} runs on ${runs.architectures.join(", ")} only`);
    }
  }
  if (rows.length === 0 && revisions.length > 0 && !declarations.some((declaration) => declaration.whole)) {
    const channel = channelFor(options);
    for (const { architectures, revision } of revisions)
      for (const architecture of architectures) rows.push({ channel, architecture, revision, releasedAt: options.now });
    if (options.channel === undefined)
      notes.push(`no channel map of ${name} was found, so it was released to ${channel}; --channel names another`);
  }
  const released = new Set(lastReleased(SNAP_RULES, rows).rows.map((row) => row.revision));
  notes.push(...unreleasedNote(revisions.map(({ revision }) => revision).filter((revision) => !released.has(revision))));
  return rows;
}

function channelFor({ channel: text = "stable" }: SnapImportOptions): string {
  const channel = fullChannel(text, "latest");
  if (!channel) throw refused(`${printable(text, 100)} is not a channel`);
  return formatChannel(channel);
}

/** Adds the stored snaps of every account that has a newer assertion in the import, so that their publisher is updated. */
async function republish(accepted: readonly Accepted[], base: SnapBase, draftOf: BuilderOf): Promise<void> {
  const accounts = new Set(
    accepted.filter(({ assertion }) => assertion.type === "account" && !isStored(assertion, base)).map(({ assertion }) => assertion.key[0]),
  );
  if (accounts.size === 0) return;
  for (const snap of await base.snaps()) if (accounts.has(snap.publisher.id)) draftOf(snap.id, snap.name);
}

interface NamedDeclaration {
  readonly at: readonly string[];
  readonly name: string | undefined;
  readonly value: DeclaredSnap;
}

/** Names each declaration: a channel map without a name is of the only snap in its folder, else of the only snap of the import. */
function named({ declared, images }: SnapReading): NamedDeclaration[] {
  const snaps = images.flatMap(({ group, content }) => (content.kind === "snap" ? [{ group, name: content.name }] : []));
  return declared.map(({ at, group, value }) => {
    if (value.name !== undefined || value.id !== undefined) return { at, name: value.name, value };
    const beside = snaps.filter((snap) => snap.group === group);
    const names = new Set((beside.length > 0 ? beside : snaps).map((snap) => snap.name));
    if (names.size > 1) throw refused(`it does not say of which snap it is, and ${[...names].join(", ")} lie beside it`, { at });
    return { at, name: [...names][0], value };
  });
}

function snapReport(
  snap: Snap,
  stored: Snap | undefined,
  { given, notes, now }: { readonly given: IncomingSnap; readonly notes: readonly string[]; readonly now: string },
): SnapReport {
  const channels = changes(SNAP_RULES, stored, snap);
  const storedRevisions = new Set(stored?.revisions.map((r) => r.revision));
  const storedComponents = new Set(stored?.components.flatMap((c) => c.revisions.map((r) => `${c.name}_${r.revision}`)));
  const revisions = given.revisions.map((r) => r.revision).toSorted((a, b) => a - b);
  const components = given.components.flatMap((c) => c.revisions.map((r) => `${c.name}_${r.revision}`)).toSorted();
  return {
    name: snap.name,
    type: "snap",
    id: snap.id,
    state: stored === undefined ? "new" : sameManifest(stored, snap) ? "known" : "changed",
    defaultTrack: snap.defaultTrack,
    revisions: { new: revisions.filter((r) => !storedRevisions.has(r)), known: revisions.filter((r) => storedRevisions.has(r)) },
    components: { new: components.filter((c) => !storedComponents.has(c)), known: components.filter((c) => storedComponents.has(c)) },
    channels,
    overrides: overridesOver(snap, channels, Date.parse(now)),
    unverified: snap.revisions.flatMap(({ revision, unverified: reason }) => (reason === undefined ? [] : [{ revision, reason }])),
    notes: [...new Set(notes)],
  };
}
