/** Reads the JSON and YAML of an export that describe snaps: the store's info and refresh replies, or a map channel → revision. See handlers/snapd.md, Exported files. */

import * as v from "valibot";
import { channelInFull, formatChannel, isRisk, parseChannel } from "../catalog/channel.ts";
import { ARCHITECTURES, type SnapDetails } from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import { checkShape, isObject, mapByName, tryShape } from "../schema.ts";

export interface DeclaredSnapRow {
  /** in full */
  readonly channel: string;
  /** undefined: every architecture that the revision runs on */
  readonly architecture?: string;
  readonly revision: number;
  readonly releasedAt?: string;
}

export interface DeclaredSnapRevision {
  readonly revision: number;
  readonly createdAt?: string;
  /** meta/snap.yaml, where the reply has it */
  readonly yaml?: string;
  /** what a snap.yaml would say; for images that cannot be read */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What one file declares about one snap. */
export interface DeclaredSnap {
  /** undefined: the only snap in the same folder */
  readonly name?: string;
  readonly id?: string;
  readonly details: SnapDetails;
  readonly defaultTrack?: string;
  /** the brand store that it belongs to */
  readonly store?: string;
  readonly rows: readonly DeclaredSnapRow[];
  readonly revisions: readonly DeclaredSnapRevision[];
  /** whether a revision in none of its rows belongs to no channel */
  readonly whole?: true;
}

const lenient = <T extends v.GenericSchema>(schema: T) => v.fallback(v.optional(schema), undefined);

const Count = v.pipe(v.number("is not a number"), v.safeInteger("is not a whole number"), v.minValue(1, "is less than 1"));
const Text = lenient(v.string());
const Links = lenient(mapByName(v.fallback(v.array(v.string()), [])));
const Categories = lenient(v.array(v.object({ name: v.string(), featured: v.fallback(v.boolean(), false) })));

const DETAILS = {
  title: Text,
  summary: Text,
  description: Text,
  license: Text,
  contact: Text,
  website: Text,
  "store-url": Text,
  links: Links,
  categories: Categories,
};
const DetailsSchema = v.object(DETAILS);

const REVISION = {
  "created-at": Text,
  "snap-yaml": Text,
  version: Text,
  type: Text,
  base: Text,
  confinement: Text,
  architectures: lenient(v.array(v.string())),
  epoch: lenient(v.union([v.string(), v.object({ read: v.array(v.number()), write: v.array(v.number()) })])),
};

const RowSchema = v.looseObject({
  channel: v.looseObject({
    architecture: Text,
    name: Text,
    track: Text,
    risk: Text,
    branch: Text,
    "released-at": Text,
  }),
  revision: Count,
  ...REVISION,
});

/** What chp's own exports add: facts about every revision, including those in no channel. */
const OwnSchema = v.looseObject({
  format: v.literal(1, "is not a format that is known: this export was made by a later chp"),
  revisions: v.array(v.looseObject({ revision: Count, ...REVISION })),
});

const InfoSchema = v.looseObject({
  name: v.string(),
  "snap-id": v.string(),
  /** null: the publisher set none */
  "default-track": v.fallback(v.nullish(v.string()), undefined),
  store: Text,
  snap: v.fallback(v.optional(v.looseObject({ ...DETAILS, store: Text })), undefined),
  "channel-map": v.array(RowSchema),
  chp: v.optional(OwnSchema),
});

const ResultSchema = v.looseObject({
  name: v.string(),
  "snap-id": v.string(),
  "effective-channel": Text,
  "redirect-channel": Text,
  "released-at": Text,
  store: Text,
  snap: v.looseObject({ ...DETAILS, ...REVISION, revision: Count, store: Text }),
});

const MapValue = v.union([
  Count,
  v.pipe(
    v.looseObject({ revision: Count }),
    v.transform(({ revision }) => revision),
  ),
]);
const ChannelMap = mapByName(v.union([MapValue, mapByName(MapValue)]));
const RowList = v.array(v.looseObject({ channel: v.string(), revision: Count, architecture: Text, "released-at": Text }));
const MapSchema = v.looseObject({
  name: Text,
  "snap-id": Text,
  "default-track": Text,
  store: Text,
  categories: Categories,
});

/** The snaps that `value` describes; undefined if it is about something else. Throws a `refused` failure where a value that matters is wrong. */
export function readSnapDeclarations(value: unknown, what: string): DeclaredSnap[] | undefined {
  if (Array.isArray(value)) return declarationList(value, what);
  if (!isObject(value)) return undefined;
  if (isObject(value["snap"]) && typeof value["snap-id"] === "string" && Array.isArray(value["channel-map"]))
    return [info(checkShape(InfoSchema, value, what), what)];
  if (typeof value["snap-id"] === "string" && Array.isArray(value["channel-map"]) && isNested(value["channel-map"]))
    return [info(checkShape(InfoSchema, value, what), what)];
  const results = Array.isArray(value["results"]) ? value["results"] : [value];
  const snaps = results.filter((item) => isObject(item) && isObject(item["snap"]) && typeof item["snap-id"] === "string");
  if (snaps.length > 0) return snaps.map((snap) => result(checkShape(ResultSchema, snap, what), what));
  return channelMap(value, what);
}

/** Rows of one snap, or a list of declarations of several. */
function declarationList(list: readonly unknown[], what: string): DeclaredSnap[] | undefined {
  const rows = declaredRows(list, what);
  if (rows) return [{ details: {}, rows, revisions: [] }];
  const all: DeclaredSnap[] = [];
  for (const item of list) {
    const found = isObject(item) ? readSnapDeclarations(item, what) : undefined;
    if (!found) return undefined;
    all.push(...found);
  }
  return all.length > 0 ? all : undefined;
}

function isNested(rows: readonly unknown[]): boolean {
  return rows.every((row) => isObject(row) && isObject(row["channel"]));
}

function info(reply: v.InferOutput<typeof InfoSchema>, what: string): DeclaredSnap {
  const store = reply.store ?? reply.snap?.store;
  return {
    name: reply.name,
    id: reply["snap-id"],
    details: detailsOf(reply.snap),
    ...(reply["default-track"] !== undefined && { defaultTrack: reply["default-track"] || "latest" }),
    ...(store && { store }),
    rows: reply["channel-map"].map((row) => {
      const { channel } = row;
      return {
        channel: channelOfRow(channel, what),
        ...(channel.architecture && { architecture: architecture(channel.architecture, what) }),
        revision: row.revision,
        ...(channel["released-at"] && { releasedAt: channel["released-at"] }),
      };
    }),
    revisions: [...(reply.chp?.revisions ?? []), ...reply["channel-map"]].map(declaredRevision),
    ...(reply.chp && { whole: true as const }),
  };
}

/** In a reply, only the name of a channel has the branch. */
function channelOfRow(channel: v.InferOutput<typeof RowSchema>["channel"], what: string): string {
  const { name, track, risk, branch } = channel;
  const full = [track || "latest", ...(risk ? [risk] : []), ...(branch ? [branch] : [])].join("/");
  const named = name === undefined ? undefined : parseChannel(name);
  if (named?.branch !== undefined && !branch) return formatChannel({ ...named, track: named.track ?? (track || "latest") });
  return risk ? channelInFull(full, [what]) : channelInFull(name ?? full, [what]);
}

function result(reply: v.InferOutput<typeof ResultSchema>, what: string): DeclaredSnap {
  const { snap } = reply;
  const store = reply.store ?? snap.store;
  const redirect = reply["redirect-channel"];
  const channel = reply["effective-channel"] || redirect;
  const track = redirect ? parseChannel(redirect)?.track : undefined;
  return {
    name: reply.name,
    id: reply["snap-id"],
    details: detailsOf(snap),
    ...(track !== undefined && { defaultTrack: track }),
    ...(store && { store }),
    rows: channel
      ? [
          {
            channel: channelInFull(channel, [what]),
            revision: snap.revision,
            ...(reply["released-at"] && { releasedAt: reply["released-at"] }),
          },
        ]
      : [],
    revisions: [declaredRevision(snap)],
  };
}

function declaredRevision(row: v.InferOutput<v.ObjectSchema<typeof REVISION, undefined>> & { revision: number }): DeclaredSnapRevision {
  const { version, type, base, confinement, architectures, epoch } = row;
  const facts = Object.entries({ version, type, base, confinement, architectures, epoch }).filter(([, value]) => value !== undefined);
  return {
    revision: row.revision,
    ...(row["created-at"] && { createdAt: row["created-at"] }),
    ...(row["snap-yaml"] && { yaml: row["snap-yaml"] }),
    facts: Object.fromEntries(facts),
  };
}

function detailsOf(reply: v.InferInput<typeof DetailsSchema> | undefined): SnapDetails {
  const parsed = v.parse(DetailsSchema, reply ?? {});
  return Object.fromEntries(Object.entries(parsed).filter(([, value]) => value !== undefined && value !== ""));
}

/**
 * A map channel → revision: alone, by architecture, below the snap's name, under `channel-map` or `channels`, or as a list
 * of rows there.
 */
function channelMap(value: Record<string, unknown>, what: string): DeclaredSnap[] | undefined {
  for (const key of ["channel-map", "channels", "channel_map"]) {
    if (!Object.hasOwn(value, key)) continue;
    const rows = declaredRows(value[key], what);
    if (!rows) continue;
    const head = v.parse(MapSchema, value);
    if (head.name === undefined && head["snap-id"] === undefined && Object.hasOwn(value, "name")) return undefined;
    return [
      {
        ...(head.name && { name: head.name }),
        ...(head["snap-id"] && { id: head["snap-id"] }),
        details: head.categories ? { categories: head.categories } : {},
        ...(head["default-track"] && { defaultTrack: head["default-track"] }),
        ...(head.store && { store: head.store }),
        rows,
        revisions: [],
      },
    ];
  }
  const alone = declaredRows(value, what);
  if (alone) return [{ details: {}, rows: alone, revisions: [] }];
  const named: DeclaredSnap[] = [];
  for (const [name, map] of Object.entries(value)) {
    const [only, ...more] = isObject(map) || Array.isArray(map) ? (readSnapDeclarations(map, what) ?? []) : [];
    if (!only || more.length > 0) return undefined;
    named.push({ ...only, name: only.name ?? name });
  }
  return named.length > 0 ? named : undefined;
}

/** Undefined where it is no map of channels, which the names in it show sooner than a schema. */
function declaredRows(value: unknown, what: string): DeclaredSnapRow[] | undefined {
  if (isObject(value) && !Object.keys(value).every((key) => isArchitecture(key) || looksLikeChannel(key))) return undefined;
  if (Array.isArray(value)) {
    if (!isObject(value[0]) || typeof value[0]["channel"] !== "string") return undefined;
    const list = tryShape(RowList, value);
    if (!list || list.length === 0) return undefined;
    return list.map((row) => ({
      channel: channelInFull(row.channel, [what]),
      revision: row.revision,
      ...(row.architecture && { architecture: architecture(row.architecture, what) }),
      ...(row["released-at"] && { releasedAt: row["released-at"] }),
    }));
  }
  const map = tryShape(ChannelMap, value);
  if (!map || Object.keys(map).length === 0) return undefined;
  const rows: DeclaredSnapRow[] = [];
  for (const [key, target] of Object.entries(map)) {
    if (isArchitecture(key) && typeof target === "object")
      for (const [channel, revision] of Object.entries(target))
        rows.push({ channel: channelInFull(channel, [what]), architecture: key, revision });
    else if (!looksLikeChannel(key)) return undefined;
    else if (typeof target === "number") rows.push({ channel: channelInFull(key, [what]), revision: target });
    else if (Object.keys(target).every(isArchitecture))
      for (const [arch, revision] of Object.entries(target))
        rows.push({ channel: channelInFull(key, [what]), architecture: arch, revision });
    else return undefined;
  }
  return rows;
}

/** A single word may be anything; a text that names a risk is a channel. */
function looksLikeChannel(text: string): boolean {
  const channel = parseChannel(text);
  return channel !== undefined && text.split("/").some(isRisk);
}

function isArchitecture(text: string): boolean {
  return text === "all" || ARCHITECTURES.some((known) => known === text);
}

function architecture(text: string, what: string): string {
  if (!isArchitecture(text)) throw refused(`${printable(text, 100)} is not an architecture that snapd has`, { at: [what] });
  return text;
}

const PackagesYaml = v.looseObject({
  packages: v.array(v.looseObject({ name: v.string(), revision: v.optional(v.number()), push_channel: v.optional(v.string()) })),
});

/** The yaml of a snap export: `packages: [{name, revision, push_channel}]`; undefined where it is none. */
export function readSnapsYaml(value: unknown, what: string): DeclaredSnap[] | undefined {
  return tryShape(PackagesYaml, value)?.packages.flatMap(({ name, revision, push_channel: channel }) =>
    revision === undefined || channel === undefined
      ? []
      : [{ name, details: {}, rows: [{ channel: channelInFull(channel, [what]), revision }], revisions: [] }],
  );
}
