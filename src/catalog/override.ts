/** Overrides: a layer above the channel map that pins a channel to a revision, with a reason and often an end. All of it is pure. */

import { Failure, printable } from "../errors.ts";
import { type AnyPlace, type AnyRow, opened, readChannel, rowsToRelease, rulesOf, type StoredPackage, showWhere } from "./change.ts";
import { type OverrideTerms, replaces, rowFor, rowKey, sortedRows, type Where } from "./channelmap.ts";
import type { Override } from "./package.ts";
import { ANY_ARCHITECTURE, type SnapOverride } from "./snap.ts";

/** Days before its end from which on an override is warned of. */
const SOON_DAYS = 7;
const DAY = 24 * 60 * 60 * 1000;

type AnyOverride = Override | SnapOverride;

/** An override as operators see it. */
export interface OverrideFacts extends Pick<StoredPackage, "name" | "type"> {
  readonly channel: string;
  /** `ubuntu@22.04 amd64` of a charm, `amd64` of a snap, `any base` of a bundle */
  readonly on: string;
  readonly revision: number;
  /** the revision that the channel map has there, the newest of several rows; null: none */
  readonly without: number | null;
  readonly reason: string;
  readonly until: string | null;
  readonly state: "in force" | "ended";
}

/** An override that was set (`from` null), replaced, or ended (`to` null). */
export interface OverrideMove extends Pick<OverrideFacts, "channel" | "on" | "without"> {
  readonly from: Overridden | null;
  readonly to: Overridden | null;
}

type Overridden = Pick<OverrideFacts, "revision" | "reason" | "until">;

/* ---- changing ---- */

/** What is to be pinned in a channel; null: nothing any more. */
export interface Pin {
  readonly channel: string;
  readonly revision: number | null;
}

/**
 * Pins a channel to a revision on every base or architecture that it runs on and `where` means, whatever is released there.
 * An override of the same rows is replaced. Throws the failures of a release. `now`: RFC 3339.
 */
export function setOverride<H extends StoredPackage>(
  pkg: H,
  revision: number,
  channel: string,
  where: Where,
  terms: OverrideTerms,
  now: string,
): H {
  return withOverrides(pkg, pinned(pkg, pkg.overrides ?? [], { channel, revision }, where, terms, now));
}

/** The same for several, one after the other; where nothing is to be pinned, and nothing is, nothing changes. */
export function setOverrides<H extends StoredPackage>(pkg: H, pins: readonly Pin[], terms: OverrideTerms, now: string): H {
  const rows = pins.reduce<readonly AnyOverride[]>((overrides, pin) => pinned(pkg, overrides, pin, {}, terms, now), pkg.overrides ?? []);
  return withOverrides(pkg, rows);
}

function pinned(
  pkg: StoredPackage,
  overrides: readonly AnyOverride[],
  { channel, revision }: Pin,
  where: Where,
  terms: OverrideTerms,
  now: string,
): readonly AnyOverride[] {
  const rules = rulesOf(pkg);
  if (revision === null) {
    const full = readChannel(pkg, channel);
    return overrides.filter((override) => override.channel !== full);
  }
  const fresh = rowsToRelease(pkg, revision, channel, where, now).map((row): AnyOverride => {
    // An override with the revision that is offered already changes no reply.
    const isThere = (other: AnyRow) =>
      other.channel === row.channel && other.revision === revision && rowKey(rules, other) === rowKey(rules, row);
    const there = overrides.find(isThere) ?? pkg.releases.find(isThere);
    return { ...row, ...(there && releasedWith(there)), ...terms };
  });
  return [...overrides.filter((override) => !fresh.some((row) => replaces(rules, row, override))), ...fresh];
}

function releasedWith(row: AnyRow): Partial<AnyRow> {
  return { releasedAt: row.releasedAt, ...("resources" in row && { resources: row.resources }) };
}

/** Ends the overrides of a channel, also those that have expired. Throws a `not-found` failure where there is none. */
export function endOverride<H extends StoredPackage>(pkg: H, text: string, where: Where): H {
  const channel = readChannel(pkg, text);
  const ends = (override: AnyOverride) => override.channel === channel && rulesOf(pkg).isMeant(override, where);
  if (!pkg.overrides?.some(ends))
    throw new Failure("not-found", `${pkg.name} has no override in ${channel}${showWhere(where)}`, {
      next: `chp overrides ${pkg.name} lists what there is`,
    });
  return overridesThat(pkg, (override) => !ends(override));
}

/** The package with only some of its overrides. */
export function overridesThat<H extends StoredPackage>(pkg: H, stay: (override: AnyOverride) => boolean): H {
  return withOverrides(pkg, (pkg.overrides ?? []).filter(stay));
}

/** In the order of releases. */
function withOverrides<H extends StoredPackage>(pkg: H, rows: readonly AnyOverride[]): H {
  const { overrides: _, ...without } = pkg;
  return (rows.length === 0 ? without : { ...without, overrides: sortedRows(rulesOf(pkg), rows, pkg.defaultTrack) }) as H;
}

/** A reason that can be shown on one line. Throws a `usage` failure. */
export function readReason(text: string): string {
  const reason = text.trim();
  if (reason === "" || printable(reason) !== reason)
    throw new Failure("usage", "--reason takes a line of text that says why the channel is pinned");
  return reason;
}

const UNTIL = "2026-08-31 is the end of that day in UTC, 2026-08-31T18:00 a time in UTC, 2026-08-31T18:00:00+02:00 one with its zone";

/** RFC 3339 in UTC, to the second. A date alone is that day to its end, a time without a zone is UTC. Throws a `usage` failure. */
export function readUntil(text: string, now: number): string {
  const [, day = "", time = "23:59:59", zone = "Z"] =
    /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(Z|z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? [];
  const at = Date.parse(`${day}T${time}${zone.toUpperCase()}`);
  // 2026-02-30 would be a day of March.
  if (Number.isNaN(at) || !new Date(`${day}T00:00:00Z`).toISOString().startsWith(day))
    throw new Failure("usage", `--until takes a day or a time, not ${printable(text, 50)}`, { next: UNTIL });
  const until = new Date(at).toISOString().replace(".000Z", "Z");
  if (at <= now) throw new Failure("usage", `--until takes a time to come, and ${until} is over`, { next: UNTIL });
  return until;
}

/* ---- what is offered ---- */

const views = new WeakMap<StoredPackage, { readonly count: number; readonly view: StoredPackage }>();

/**
 * The package as it is offered: every override in force is applied to the channel map, as if its revision were released. The
 * same object for as long as that does not change. `now`: milliseconds.
 */
export function offered<H extends StoredPackage>(pkg: H, now: number): H {
  const count = pkg.overrides?.filter((terms) => isInForce(terms, now)).length ?? 0;
  if (count === 0) return pkg;
  const known = views.get(pkg);
  if (known?.count === count) return known.view as H; // they end one after the other, so their number identifies those that are left
  const left = overridesThat(pkg, (override) => isInForce(override, now));
  const view = opened(left, left.overrides ?? []);
  views.set(pkg, { count, view });
  return view;
}

/** The period in which the package is offered as it is `now`, in milliseconds: from the last end of an override to the next. */
export function spanOf(pkg: StoredPackage, now: number): { readonly from: number; readonly until: number } {
  const ends = (pkg.overrides ?? []).map(endOf);
  return { from: Math.max(...ends.filter((end) => end <= now)), until: Math.min(...ends.filter((end) => end > now)) };
}

function endOf({ until }: OverrideTerms): number {
  return until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
}

function isInForce(terms: OverrideTerms, now: number): boolean {
  return endOf(terms) > now;
}

/* ---- what is shown ---- */

/** In the order of releases. `now`: milliseconds. */
export function overridesOf(pkg: StoredPackage, now: number): OverrideFacts[] {
  const rows: readonly AnyOverride[] = pkg.overrides ?? [];
  return rows.map((override) => ({
    name: pkg.name,
    type: pkg.type,
    channel: override.channel,
    on: rulesOf(pkg).showPlace(override),
    revision: override.revision,
    without: below(pkg, override),
    reason: override.reason,
    until: override.until ?? null,
    state: isInForce(override, now) ? "in force" : "ended",
  }));
}

/** The overrides in force on any of these rows. */
export function overridesOver(pkg: StoredPackage, rows: readonly (Pick<AnyRow, "channel"> & AnyPlace)[], now: number): OverrideFacts[] {
  const moved = rows.map((row) => ({ channel: row.channel, on: rulesOf(pkg).showPlace(row) }));
  return overridesOf(pkg, now).filter((facts) => moved.some((row) => overrideOn([facts], row)));
}

/** The override in force on a row. */
export function overrideOn(
  overrides: readonly OverrideFacts[],
  row: { readonly channel: string; readonly on: string },
): OverrideFacts | undefined {
  const over = overrides.filter((facts) => facts.state === "in force" && facts.channel === row.channel);
  return over.find((facts) => facts.on === row.on) ?? over.find((facts) => facts.on === ANY_ARCHITECTURE);
}

/** What differs between the overrides of two states, in the order of the later one; ended overrides come last. */
export function overrideMoves(before: StoredPackage | undefined, after: StoredPackage | undefined): OverrideMove[] {
  const owner = after ?? before;
  if (!owner) return [];
  const rules = rulesOf(owner);
  const rows = (pkg: StoredPackage | undefined): Map<string, AnyOverride> =>
    new Map((pkg?.overrides ?? []).map((row) => [rowKey(rules, row), row]));
  const [was, is] = [rows(before), rows(after)];
  const at = (override: AnyOverride | undefined): Overridden | null =>
    override ? { revision: override.revision, reason: override.reason, until: override.until ?? null } : null;
  return [...new Set([...is.keys(), ...was.keys()])].flatMap((key) => {
    const [from, to] = [was.get(key), is.get(key)];
    const override = to ?? from;
    if (!override || JSON.stringify(from) === JSON.stringify(to)) return [];
    const without = after ? below(after, override) : null;
    return [{ channel: override.channel, on: rules.showPlace(override), without, from: at(from), to: at(to) }];
  });
}

/** What an operator should know of the overrides of a package, each with the next command. */
export function overrideWarnings(pkg: StoredPackage, now: number): string[] {
  return overridesOf(pkg, now).flatMap((facts) => {
    const row = `${pkg.name} ${facts.channel} ${facts.on}`;
    const end = endCommand(pkg.name, facts.channel);
    if (facts.state === "ended") return [`${row}: its override ended, so it offers ${showWithout(facts)}; ${end} takes it off the list`];
    const newer = facts.without !== null && facts.without > facts.revision;
    return [
      ...(endOfFacts(facts) - now < SOON_DAYS * DAY
        ? [`${row}: its override ends at ${facts.until}; then it offers ${showWithout(facts)}`]
        : []),
      ...(newer
        ? [`${row} is pinned to ${facts.revision}, while ${facts.without} is released there (${facts.reason}); ${end} serves it`]
        : []),
    ];
  });
}

function endOfFacts({ until }: OverrideFacts): number {
  return until === null ? Number.POSITIVE_INFINITY : Date.parse(until);
}

/** The command that ends the overrides of a channel. */
export function endCommand(name: string, channel: string): string {
  return `chp end-override ${name} ${channel}`;
}

/** `held at 6 instead of 8 until 2026-08-31T23:59:59Z: why` */
export function showOverride(facts: OverrideFacts | (Overridden & Pick<OverrideFacts, "without">)): string {
  const instead = facts.without === facts.revision ? "" : ` instead of ${showWithout(facts)}`;
  const ended = "state" in facts && facts.state === "ended";
  return `${ended ? "was " : ""}pinned to ${facts.revision}${instead}${showUntil(facts)}: ${facts.reason}`;
}

/** `held at 6 by an override until 2026-08-31T23:59:59Z: why` */
export function showPinned(facts: OverrideFacts): string {
  return `pinned to ${facts.revision} by an override${showUntil(facts)}: ${facts.reason}`;
}

function showUntil({ until }: Pick<OverrideFacts, "until">): string {
  return until === null ? "" : ` until ${until}`;
}

export function showWithout({ without }: Pick<OverrideFacts, "without">): string {
  return without === null ? "nothing" : String(without);
}

/* ---- parts ---- */

/** The newest revision that an override hides; null: none. */
function below(pkg: StoredPackage, over: AnyOverride): number | null {
  const rows: readonly AnyRow[] = pkg.releases;
  const rules = rulesOf(pkg);
  const revisions = rows.filter((row) => replaces(rules, over, row)).map((row) => row.revision);
  // Of one architecture over a row of all: that is what machines get there without it.
  return revisions.length > 0 ? Math.max(...revisions) : (rowFor(rules, rows, over)?.revision ?? null);
}
