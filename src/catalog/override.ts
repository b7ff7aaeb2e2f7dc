/** Overrides: a layer above the channel map that holds a channel at a revision, with a reason and often an end. All of it is pure. */

import { Failure, printable, refused } from "../errors.ts";
import { sameBase, showBase } from "./base.ts";
import { type Held, isMeant, opened, openedSnap, packageRows, readChannel, showWhere, snapRows, type Where } from "./change.ts";
import type { Hold } from "./channelmap.ts";
import { compareReleases, type Override, type Package, type Release, rowKey, trackOrder } from "./package.ts";
import {
  ANY_ARCHITECTURE,
  compareSnapReleases,
  replaces,
  type Snap,
  type SnapOverride,
  type SnapRelease,
  snapRowKey,
  snapTrackOrder,
} from "./snap.ts";

/** Days before its end from which on an override is warned of. */
const SOON_DAYS = 7;
const DAY = 24 * 60 * 60 * 1000;

type Row = Release | SnapRelease;
type HeldRow = Override | SnapOverride;
type Place = Pick<Release, "channel" | "base"> | Pick<SnapRelease, "channel" | "architecture">;

/** One override, as operators are told of it. */
export interface OverrideFacts extends Pick<Held, "name" | "type"> {
  readonly channel: string;
  /** `ubuntu@22.04 amd64` of a charm, `amd64` of a snap, `any base` of a bundle */
  readonly on: string;
  readonly revision: number;
  /** what the channel map has below it, the newest where that is several rows; null: nothing */
  readonly without: number | null;
  readonly reason: string;
  readonly until: string | null;
  readonly state: "in force" | "ended";
}

/** An override that was set (`from` null), replaced, or ended (`to` null). */
export interface OverrideMove extends Pick<OverrideFacts, "channel" | "on" | "without"> {
  readonly from: HeldAt | null;
  readonly to: HeldAt | null;
}

type HeldAt = Pick<OverrideFacts, "revision" | "reason" | "until">;

/* ---- changing ---- */

/**
 * Holds a channel at a revision on every base or architecture that it runs on and `where` means, whatever is released there.
 * An override of the same rows is replaced. Throws the failures of a release. `now`: RFC 3339.
 */
export function override(held: Held, revision: number, channel: string, where: Where, hold: Hold, now: string): Held {
  return held.type === "snap"
    ? withSnapOverrides(held, laid(held, snapRows(held, revision, channel, where, now), hold))
    : withOverrides(held, laid(held, packageRows(held, revision, channel, where, now), hold));
}

interface Layers<R> {
  readonly releases: readonly R[];
  readonly overrides?: readonly (R & Hold)[];
}

/** The overrides once these rows are held, too. */
function laid<R extends Row>({ releases, overrides = [] }: Layers<R>, rows: readonly R[], hold: Hold): (R & Hold)[] {
  const fresh = rows.map((row) => {
    // Holding what is there already changes no reply.
    const there = [...overrides, ...releases].find((one) => one.revision === row.revision && keyOf(one) === keyOf(row));
    return { ...row, ...(there && releasedWith(there)), ...hold };
  });
  return [...overrides.filter((one) => !fresh.some((row) => isOver(row, one))), ...fresh];
}

function releasedWith(row: Row): Partial<Row> {
  return { releasedAt: row.releasedAt, ...("resources" in row && { resources: row.resources }) };
}

/** Ends the overrides of a channel, also those whose time is over. Throws a `refused` failure where there is none. */
export function endOverride(held: Held, text: string, where: Where): Held {
  const channel = readChannel(held, text);
  const ends = (one: HeldRow) => one.channel === channel && isMeant(one, where);
  if (!held.overrides?.some(ends))
    throw refused(`no override holds ${held.name} in ${channel}${showWhere(where)}`, {
      next: `chp overrides ${held.name} tells what is held`,
    });
  return overridesThat(held, (one) => !ends(one));
}

/** The package with those of its overrides alone that stay. */
export function overridesThat<H extends Held>(held: H, stay: (one: HeldRow) => boolean): H;
export function overridesThat(held: Held, stay: (one: HeldRow) => boolean): Held {
  return held.type === "snap"
    ? withSnapOverrides(held, (held.overrides ?? []).filter(stay))
    : withOverrides(held, (held.overrides ?? []).filter(stay));
}

/** In the order of releases. */
function withOverrides(pkg: Package, rows: readonly Override[]): Package {
  const { overrides: _, ...without } = pkg;
  return rows.length === 0 ? without : { ...without, overrides: rows.toSorted(compareReleases(trackOrder(rows, pkg.defaultTrack))) };
}

/** What is for all architectures comes before what is for one, which then wins over it. */
function withSnapOverrides(snap: Snap, rows: readonly SnapOverride[]): Snap {
  const { overrides: _, ...without } = snap;
  const order = compareSnapReleases(snapTrackOrder(rows, snap.defaultTrack));
  return rows.length === 0 ? without : { ...without, overrides: rows.toSorted(order) };
}

/** A reason that can be shown on one line. Throws a `usage` failure. */
export function readReason(text: string): string {
  const reason = text.trim();
  if (reason === "" || printable(reason) !== reason)
    throw new Failure("usage", "--reason takes a line of text that tells why the channel is held");
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

const views = new WeakMap<Held, { readonly count: number; readonly view: Held }>();

/**
 * The package as it is offered: every override in force stands over the channel map, as if its revision were released. The
 * same object for as long as that does not change. `now`: milliseconds.
 */
export function offered<H extends Held>(held: H, now: number): H {
  const count = held.overrides?.filter((one) => isInForce(one, now)).length ?? 0;
  if (count === 0) return held;
  const known = views.get(held);
  if (known?.count === count) return known.view as H; // they end one after the other, so their number tells which are left
  const left: Held = overridesThat(held, (one) => isInForce(one, now));
  const view = left.type === "snap" ? openedSnap(left, left.overrides ?? []) : opened(left, left.overrides ?? []);
  views.set(held, { count, view });
  return view as H;
}

/** From when until when it is offered as it is `now`, in milliseconds: from the last end of an override to the next. */
export function spanOf(held: Held, now: number): { readonly from: number; readonly until: number } {
  const ends = (held.overrides ?? []).map(endOf);
  return { from: Math.max(...ends.filter((end) => end <= now)), until: Math.min(...ends.filter((end) => end > now)) };
}

function endOf({ until }: Hold): number {
  return until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
}

function isInForce(hold: Hold, now: number): boolean {
  return endOf(hold) > now;
}

/* ---- what is told ---- */

/** In the order of releases. `now`: milliseconds. */
export function overridesOf(held: Held, now: number): OverrideFacts[] {
  const rows: readonly HeldRow[] = held.overrides ?? [];
  return rows.map((one) => ({
    name: held.name,
    type: held.type,
    channel: one.channel,
    on: onOf(one),
    revision: one.revision,
    without: below(held, one),
    reason: one.reason,
    until: one.until ?? null,
    state: isInForce(one, now) ? "in force" : "ended",
  }));
}

/** Those in force that stand over one of these rows. */
export function overridesOver(held: Held, rows: readonly Place[], now: number): OverrideFacts[] {
  const moved = rows.map((row) => ({ channel: row.channel, on: onOf(row) }));
  return overridesOf(held, now).filter((one) => moved.some((row) => holdOf([one], row)));
}

/** The override in force that stands over a row. */
export function holdOf(
  overrides: readonly OverrideFacts[],
  row: { readonly channel: string; readonly on: string },
): OverrideFacts | undefined {
  const over = overrides.filter((one) => one.state === "in force" && one.channel === row.channel);
  return over.find((one) => one.on === row.on) ?? over.find((one) => one.on === ANY_ARCHITECTURE);
}

/** What differs between the overrides of two states, in the order of the later one; what was ended comes last. */
export function overrideMoves(before: Held | undefined, after: Held | undefined): OverrideMove[] {
  const rows = (held: Held | undefined): Map<string, HeldRow> => new Map((held?.overrides ?? []).map((one) => [keyOf(one), one]));
  const [was, is] = [rows(before), rows(after)];
  const at = (one: HeldRow | undefined): HeldAt | null =>
    one ? { revision: one.revision, reason: one.reason, until: one.until ?? null } : null;
  return [...new Set([...is.keys(), ...was.keys()])].flatMap((key) => {
    const [from, to] = [was.get(key), is.get(key)];
    const one = to ?? from;
    if (!one || JSON.stringify(from) === JSON.stringify(to)) return [];
    const without = after ? below(after, one) : null;
    return [{ channel: one.channel, on: onOf(one), without, from: at(from), to: at(to) }];
  });
}

/** What an operator should know of the overrides of a package, each with the next command. */
export function overrideWarnings(held: Held, now: number): string[] {
  return overridesOf(held, now).flatMap((one) => {
    const row = `${held.name} ${one.channel} ${one.on}`;
    const end = endCommand(held.name, one.channel);
    if (one.state === "ended") return [`${row}: its override ended, so it offers ${showWithout(one)}; ${end} takes it off the list`];
    const newer = one.without !== null && one.without > one.revision;
    return [
      ...(endOfFacts(one) - now < SOON_DAYS * DAY ? [`${row}: its override ends at ${one.until}; then it offers ${showWithout(one)}`] : []),
      ...(newer ? [`${row} is held at ${one.revision}, while ${one.without} is released below (${one.reason}); ${end} offers it`] : []),
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
export function showOverride(one: OverrideFacts | (HeldAt & Pick<OverrideFacts, "without">)): string {
  const instead = one.without === one.revision ? "" : ` instead of ${showWithout(one)}`;
  const ended = "state" in one && one.state === "ended";
  return `${ended ? "was " : ""}held at ${one.revision}${instead}${showUntil(one)}: ${one.reason}`;
}

/** `held at 6 by an override until 2026-08-31T23:59:59Z: why` */
export function showHold(one: OverrideFacts): string {
  return `held at ${one.revision} by an override${showUntil(one)}: ${one.reason}`;
}

function showUntil({ until }: Pick<OverrideFacts, "until">): string {
  return until === null ? "" : ` until ${until}`;
}

export function showWithout({ without }: Pick<OverrideFacts, "without">): string {
  return without === null ? "nothing" : String(without);
}

/* ---- parts ---- */

function below(held: Held, over: HeldRow): number | null {
  const rows: readonly Row[] = held.releases;
  const revisions = rows.filter((row) => isOver(over, row)).map((row) => row.revision);
  return revisions.length > 0 ? Math.max(...revisions) : null;
}

/** Whether a row takes the place of another. */
function isOver(over: Place, row: Place): boolean {
  if ("architecture" in over) return "architecture" in row && replaces(over, row);
  return "base" in row && over.channel === row.channel && sameBase(over.base, row.base);
}

function keyOf(row: Place): string {
  return "architecture" in row ? snapRowKey(row) : rowKey(row);
}

function onOf(row: Place): string {
  return "architecture" in row ? row.architecture : showBase(row.base);
}
