/** The Overrides API of the Enterprise Store on the wire. */

import * as v from "valibot";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { channelOf } from "../catalog/channelmap.ts";
import { pinsBySnap, type SnapPin, type SnapUpdate } from "../catalog/drafts.ts";
import { type OverrideFacts, overrideMoves, overridesOf } from "../catalog/override.ts";
import { type Snap, shortChannel } from "../catalog/snap.ts";
import { Failure, printable } from "../errors.ts";
import { checkList, Integer, parseJsonList } from "./json.ts";

const SERIES = "16";
/** overrides of one request */
const MAX_OVERRIDES = 1000;

const Wanted = v.strictObject({
  snap_name: v.string(),
  revision: v.nullable(v.pipe(Integer, v.minValue(1))),
  channel: v.string(),
  series: v.literal(SERIES),
});

/** Throws a `malformed` failure for another series than machines have; absent: theirs. */
export function checkSeries(header: string | undefined): void {
  if (header !== undefined && header !== SERIES)
    throw new Failure("malformed", `X-Ubuntu-Series: ${printable(header, 50)} is not ${SERIES}`);
}

/** The body of a request that sets overrides. Throws a `malformed` failure that names the field, and `too-large`. */
export async function readOverrides(text: string): Promise<SnapPin[]> {
  const list = parseJsonList(text);
  if (list.length === 0) throw new Failure("malformed", "the body names no override");
  if (list.length > MAX_OVERRIDES) throw new Failure("too-large", `overrides: there are more than ${MAX_OVERRIDES}`);
  const wanted = await checkList(v.array(Wanted), "overrides", list);
  return wanted.map(({ snap_name: name, revision, channel }, i) => {
    // A risk alone is one of the latest track, whatever the snap's default track is: so replies write it too.
    const full = fullChannel(channel, "latest");
    if (!full) throw new Failure("malformed", `overrides.${i}.channel: ${printable(channel, 100)} is not a channel`);
    return { name, revision, channel: formatChannel(full) };
  });
}

/** `hello stable=6, edge=` of each snap: what `chp log` shows of a request. */
export function showPins(pins: readonly SnapPin[]): string {
  return [...pinsBySnap(pins)]
    .map(
      ([name, own]) =>
        `${name} ${own.map(({ channel, revision }) => `${shortChannel(channelOf({ channel }))}=${revision ?? ""}`).join(" ")}`,
    )
    .join(", ");
}

interface OverrideRow {
  readonly snap_id: string;
  readonly snap_name: string;
  /** null: it was taken away */
  readonly revision: number | null;
  /** what the channel has without it */
  readonly upstream_revision: number | null;
  readonly channel: string;
  readonly architecture: string;
  readonly series: string;
}

/** The overrides of a snap that are in force, one row an architecture. `now`: milliseconds. */
export function overridesReply(snap: Snap, now: number): string {
  return replyOf(inForce(snap, now).map((facts) => rowOf(snap, facts)));
}

/** What a request set, and what it took away, in the order in which it named the snaps. `now`: milliseconds. */
export function setReply(updates: readonly SnapUpdate[], pins: readonly SnapPin[], now: number): string {
  const bySnap = pinsBySnap(pins);
  const rows = updates.flatMap(({ before, after }) => {
    const own = bySnap.get(before.name) ?? [];
    const isSet = (facts: OverrideFacts) => own.some(({ channel, revision }) => channel === facts.channel && revision === facts.revision);
    const taken = overrideMoves(before, after).filter(({ to }) => to === null);
    return [
      ...inForce(after, now)
        .filter(isSet)
        .map((facts) => rowOf(after, facts)),
      ...taken.map((facts) => rowOf(after, { ...facts, revision: null })),
    ];
  });
  return replyOf(rows);
}

function inForce(snap: Snap, now: number): OverrideFacts[] {
  return overridesOf(snap, now).filter(({ state }) => state === "in force");
}

function rowOf(
  { id, name }: Snap,
  { revision, without, channel, on }: Pick<OverrideFacts, "without" | "channel" | "on"> & { readonly revision: number | null },
): OverrideRow {
  return {
    snap_id: id,
    snap_name: name,
    revision,
    upstream_revision: without,
    channel: shortChannel(channelOf({ channel })),
    architecture: on,
    series: SERIES,
  };
}

function replyOf(overrides: readonly OverrideRow[]): string {
  return JSON.stringify({ overrides });
}
