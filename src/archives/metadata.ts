/** metadata.json of a charm or bundle export, in the three shapes that exporters write: info, refresh, flat. See handlers/juju.md, Info. */

import * as v from "valibot";
import { type Base, normalBase } from "../catalog/base.ts";
import { channelInFull, parseChannel } from "../catalog/channel.ts";
import { type Details, isResourceName, type PackageType, type Publisher, TEXTS, type TextName } from "../catalog/package.ts";
import { ALGORITHMS, type Algorithm } from "../digest.ts";
import { printable, refused } from "../errors.ts";
import { checkShape, isObject, mapByName, tryShape } from "../schema.ts";

/** A row of the channel map as declared; null parts are unknown. */
export interface DeclaredRow {
  readonly channel: string;
  readonly base: Base | null;
  readonly releasedAt: string | undefined;
  readonly revision: number;
  /** resource name to revision; undefined: the file does not say */
  readonly resources: Readonly<Record<string, number>> | undefined;
}

export interface DeclaredRevision {
  readonly revision: number;
  readonly version: string | undefined;
  readonly createdAt: string | undefined;
  readonly bases: readonly Base[];
  readonly sums: DeclaredSums;
  readonly texts: Partial<Record<TextName, string>>;
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

export type DeclaredSums = Partial<Record<Algorithm, string>> & { readonly size?: number };

export interface DeclaredResource {
  readonly name: string;
  readonly revision: number;
  readonly type: "file" | "oci-image" | undefined;
  readonly filename: string;
  readonly description: string;
  readonly createdAt: string | undefined;
  readonly sums: DeclaredSums;
}

export interface Declaration {
  readonly type: PackageType | undefined;
  readonly name: string;
  readonly id: string | undefined;
  readonly details: Details;
  readonly defaultTrack: string | undefined;
  readonly rows: readonly DeclaredRow[];
  readonly revisions: readonly DeclaredRevision[];
  readonly resources: readonly DeclaredResource[];
  /** resource name to the path of its image in the local registry, where the operator named one */
  readonly paths?: Readonly<Record<string, string>>;
}

/* ---- fields that matter are strict; fields that are only shown fall back to nothing ---- */

const lenient = <T extends v.GenericSchema>(schema: T) => v.fallback(v.optional(schema), undefined);
const absent = <T extends v.GenericSchema>(schema: T) => v.nullish(schema);

const Count = v.pipe(v.number("is not a number"), v.safeInteger("is not a whole number"), v.minValue(0, "is negative"));
const Text = lenient(v.string());
const Strings = lenient(v.record(v.string(), v.unknown()));

const ResourceName = v.pipe(v.string(), v.check(isResourceName, "is not a name of a resource"));
/** resource name to revision */
const Pins = v.pipe(
  mapByName(Count),
  v.check((byName) => Object.keys(byName).every(isResourceName), "is not by names of resources"),
);
const HEX_DIGITS: Readonly<Record<Algorithm, number>> = { "sha-256": 64, "sha-384": 96, "sha-512": 128, "sha3-384": 96 };
/** Empty where upstream knows none. */
const Hex = (algorithm: Algorithm) =>
  absent(v.pipe(v.string("is not text"), v.regex(new RegExp(`^([0-9a-fA-F]{${HEX_DIGITS[algorithm]}})?$`), "is no digest")));

const BaseSchema = v.object({ name: v.string(), channel: v.string(), architecture: v.string() });
const Bases = absent(v.array(v.nullable(BaseSchema)));

const Download = absent(v.looseObject({ size: absent(Count), ...Object.fromEntries(ALGORITHMS.map((a) => [`hash-${a}`, Hex(a)])) }));

const ResourceSchema = v.looseObject({
  name: ResourceName,
  revision: Count,
  type: lenient(v.picklist(["file", "oci-image"])),
  filename: Text,
  description: Text,
  "created-at": Text,
  download: Download,
});
const Resources = absent(v.array(ResourceSchema));

const RevisionSchema = v.looseObject({
  revision: Count,
  version: Text,
  "created-at": Text,
  bases: Bases,
  download: Download,
  attributes: Strings,
  ...Object.fromEntries(TEXTS.map((name) => [name, Text])),
});

const RowSchema = v.looseObject({
  channel: v.looseObject({
    name: absent(v.string()),
    track: absent(v.string()),
    risk: absent(v.string()),
    "released-at": Text,
    base: absent(BaseSchema),
  }),
  revision: RevisionSchema,
  resources: Resources,
});

const Head = { type: lenient(v.picklist(["charm", "bundle"])), name: v.string(), id: lenient(v.string()), "default-track": Text };

/** What chp's own exports add to the info reply: the resources of each release, and the checksums of each packed file. */
const OwnSchema = v.looseObject({
  format: v.literal(1, "is not a format that is known: this export was made by a later chp"),
  releases: v.array(
    v.looseObject({
      channel: v.string(),
      base: absent(BaseSchema),
      revision: Count,
      "released-at": Text,
      resources: Pins,
    }),
  ),
  revisions: v.array(RevisionSchema),
  resources: v.array(ResourceSchema),
  paths: v.optional(mapByName(v.string()), {}),
});

const InfoSchema = v.looseObject({
  ...Head,
  result: Strings,
  "channel-map": absent(v.array(RowSchema)),
  "default-release": absent(RowSchema),
  chp: absent(OwnSchema),
});

const ResultSchema = v.looseObject({
  name: lenient(v.string()),
  id: lenient(v.string()),
  result: Text,
  "effective-channel": absent(v.string()),
  "released-at": Text,
  charm: v.nullish(
    v.looseObject({ ...RevisionSchema.entries, name: lenient(v.string()), id: lenient(v.string()), type: Head.type, resources: Resources }),
  ),
});

const FlatSchema = v.looseObject({
  ...Head,
  "package-id": lenient(v.string()),
  revision: absent(Count),
  channel: absent(v.string()),
  "released-at": Text,
  base: absent(BaseSchema),
  bases: Bases,
  resources: Resources,
  download: Download,
});

/**
 * Reads the value of a metadata.json; undefined where its shape is not a known one. Throws a `refused` failure at `at` that
 * names the field, where the shape is known and a value that matters is wrong.
 */
export function readDeclaration(value: unknown, at: readonly string[]): Declaration | undefined {
  if (Array.isArray(value)) return value.every((item) => isObject(item) && "charm" in item) ? fromRefresh(value, at) : undefined;
  if (!isObject(value)) return undefined;
  if (Array.isArray(value["results"])) return fromRefresh(value["results"], at);
  if (isObject(value["charm"])) return fromRefresh([value], at);
  if (typeof value["name"] !== "string") return undefined;
  if (value["channel-map"] || value["default-release"] || isObject(value["result"])) return fromInfo(value, at);
  if (["revision", "channel", "base", "bases"].some((key) => key in value)) return fromFlat(value, at);
  return undefined;
}

function fromInfo(value: unknown, at: readonly string[]): Declaration {
  const info = checkShape(InfoSchema, value, at);
  const first = info["default-release"] ?? undefined;
  const own = info.chp ?? undefined;
  const rows = info["channel-map"] ?? (first ? [first] : []);
  const shared = first?.resources ?? undefined;
  const declared = own?.releases.map((row, i) => ({
    channel: channelInFull(row.channel, [...at, `chp.releases.${i}.channel`]),
    base: row.base ? normalBase(row.base) : null,
    releasedAt: time(row["released-at"]),
    revision: row.revision,
    resources: row.resources,
  }));
  const mapped = rows.map((row, i) => {
    const { name, track, risk, base } = row.channel;
    const text = name ?? (track && risk ? `${track}/${risk}` : (risk ?? track ?? ""));
    const same = first?.revision.revision === row.revision.revision ? shared : undefined;
    return {
      channel: channelInFull(text, [...at, `channel-map.${i}.channel`]),
      base: base ? normalBase(base) : null,
      releasedAt: time(row.channel["released-at"]),
      revision: row.revision.revision,
      resources: pins(row.resources ?? same),
    };
  });
  const firstTrack = first?.channel.track ?? (first?.channel.name ? parseChannel(first.channel.name)?.track : undefined);
  return {
    type: info.type,
    name: info.name,
    id: info.id,
    details: shownDetails(info.result ?? {}),
    defaultTrack: info["default-track"] ?? filledText(info.result?.["default-track"]) ?? firstTrack ?? undefined,
    rows: declared ?? mapped,
    revisions: revisions([...(own?.revisions ?? []), ...[...rows, ...(first ? [first] : [])].map((row) => row.revision)], at),
    // What chp packed without upstream's credentials has other digests than upstream says.
    ...(own && { paths: own.paths }),
    resources: resources(own ? own.resources : [...rows, ...(first ? [first] : [])].flatMap((row) => row.resources ?? []), at),
  };
}

function fromRefresh(values: readonly unknown[], at: readonly string[]): Declaration | undefined {
  const results = values.map((value, i) => checkShape(ResultSchema, value, [...at, `results.${i}`])).filter((result) => result.charm);
  const charms = results.flatMap((result) => result.charm ?? []);
  const [first, firstCharm] = [results[0], charms[0]];
  const name = firstCharm?.name ?? first?.name;
  if (!first || !firstCharm || name === undefined) return undefined;
  const other = results.find((result) => (result.charm?.name ?? result.name) !== name);
  if (other) throw refused(`it describes ${printable(name)} and ${printable(other.charm?.name ?? other.name ?? "")}`, { at });
  const rows = results.flatMap((result, i): DeclaredRow[] => {
    const charm = result.charm;
    if (!charm || !result["effective-channel"]) return [];
    const channel = channelInFull(result["effective-channel"], [...at, `results.${i}.effective-channel`]);
    const common = { channel, releasedAt: time(result["released-at"]), revision: charm.revision, resources: pins(charm.resources) };
    const bases = known(charm.bases);
    return bases.length > 0 ? bases.map((base) => ({ ...common, base })) : [{ ...common, base: null }];
  });
  return {
    type: firstCharm.type,
    name,
    id: firstCharm.id ?? first.id,
    details: shownDetails(firstCharm),
    defaultTrack: undefined,
    rows,
    revisions: revisions(charms, at),
    resources: resources(
      charms.flatMap((charm) => charm.resources ?? []),
      at,
    ),
  };
}

function fromFlat(value: unknown, at: readonly string[]): Declaration {
  const flat = checkShape(FlatSchema, value, at);
  const bases = known([...(flat.bases ?? []), ...(flat.base ? [flat.base] : [])]);
  const common =
    flat.revision === undefined || flat.revision === null || !flat.channel
      ? undefined
      : {
          channel: channelInFull(flat.channel, [...at, "channel"]),
          releasedAt: time(flat["released-at"]),
          revision: flat.revision,
          resources: pins(flat.resources),
        };
  return {
    type: flat.type,
    name: flat.name,
    id: flat.id ?? flat["package-id"],
    details: shownDetails(flat),
    defaultTrack: flat["default-track"],
    rows: common ? (bases.length > 0 ? bases.map((base) => ({ ...common, base })) : [{ ...common, base: null }]) : [],
    revisions: typeof flat.revision === "number" ? revisions([{ ...flat, revision: flat.revision }], at) : [],
    resources: resources(flat.resources ?? [], at),
  };
}

function known(bases: readonly (Base | null)[] | null | undefined): Base[] {
  return (bases ?? []).flatMap((base) => (base ? [normalBase(base)] : []));
}

function pins(listed: readonly { name: string; revision: number }[] | null | undefined): Record<string, number> | undefined {
  return listed ? Object.fromEntries(listed.map(({ name, revision }) => [name, revision])) : undefined;
}

/** Each revision once: as first described, with the texts that later descriptions add. */
function revisions(all: readonly Record<string, unknown>[], at: readonly string[]): DeclaredRevision[] {
  const found = new Map<number, DeclaredRevision>();
  for (const described of all) {
    const number = described["revision"] as number;
    const before = found.get(number);
    const texts = Object.fromEntries(
      TEXTS.flatMap((name) => (typeof described[name] === "string" && described[name] !== "" ? [[name, described[name]]] : [])),
    );
    found.set(number, {
      revision: number,
      version: before?.version ?? filledText(described["version"]),
      createdAt: before?.createdAt ?? time(filledText(described["created-at"])),
      bases: before && before.bases.length > 0 ? before.bases : known(described["bases"] as (Base | null)[] | undefined),
      sums: agreedSums(before?.sums ?? {}, sums(described["download"]), `revision ${number}`, at),
      texts: { ...texts, ...before?.texts },
      attributes: before?.attributes ?? (isObject(described["attributes"]) ? strings(described["attributes"]) : undefined),
    });
  }
  return [...found.values()];
}

function resources(all: readonly v.InferOutput<typeof ResourceSchema>[], at: readonly string[]): DeclaredResource[] {
  const found = new Map<string, DeclaredResource>();
  for (const r of all) {
    const before = found.get(`${r.name}_${r.revision}`);
    found.set(`${r.name}_${r.revision}`, {
      name: r.name,
      revision: r.revision,
      type: r.type,
      filename: r.filename ?? "",
      description: r.description ?? "",
      createdAt: r["created-at"],
      sums: agreedSums(before?.sums ?? {}, sums(r.download), `revision ${r.revision} of the resource ${r.name}`, at),
    });
  }
  return [...found.values()];
}

/** What two descriptions of the same bytes say together. Throws a `refused` failure where they disagree. */
function agreedSums(before: DeclaredSums, now: DeclaredSums, what: string, at: readonly string[]): DeclaredSums {
  for (const key of ["size", ...ALGORITHMS] as const)
    if (before[key] !== undefined && now[key] !== undefined && before[key] !== now[key])
      throw refused(`it gives ${what} two values of ${key}: ${before[key]} and ${now[key]}`, { at });
  return { ...now, ...before };
}

function sums(download: unknown): DeclaredSums {
  if (!isObject(download)) return {};
  const hashes = ALGORITHMS.flatMap((a) => {
    const hash = filledText(download[`hash-${a}`]);
    return hash === undefined ? [] : [[a, hash.toLowerCase()]];
  });
  return { ...Object.fromEntries(hashes), ...(typeof download["size"] === "number" && { size: download["size"] }) };
}

function filledText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Only the strings of an object: Juju cannot decode a publisher that holds anything else. */
function strings(value: Record<string, unknown>): Publisher {
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$/;

/** RFC 3339 with a zone; undefined where `value` is no time. The public store leaves the zone out where it means UTC. */
export function time(value: string | undefined): string | undefined {
  const [, date, clock, fraction = "", zone = "+00:00"] = TIME.exec(value ?? "") ?? [];
  const utc = new Date(`${date}T${clock}Z`);
  // Juju cannot decode a reply with a day or hour that no calendar has; Date would roll it over.
  if (Number.isNaN(utc.getTime()) || !utc.toISOString().startsWith(`${date}T${clock}`)) return undefined;
  return `${date}T${clock}${fraction}${zone}`;
}

const DETAIL_KEYS = ["title", "summary", "description", "license", "store-url", "website", "bugs-url"] as const;

/** What `info` and `find` show of a package; anything of another type than the API's is left out, unknown keys are kept. */
function shownDetails(value: Record<string, unknown>): Details {
  const categories = tryShape(v.array(v.object({ featured: v.fallback(v.boolean(), false), name: v.string() })), value["categories"]);
  const shown = Object.fromEntries(DETAIL_KEYS.flatMap((key) => (typeof value[key] === "string" ? [[key, value[key]]] : [])));
  const kept = Object.fromEntries(
    ["links", "unlisted", "deployable-on", "contains-charms"].flatMap((key) => (key in value ? [[key, value[key]]] : [])),
  );
  return {
    ...kept,
    ...shown,
    ...(isObject(value["publisher"]) && { publisher: strings(value["publisher"]) }),
    ...(categories && { categories }),
  };
}
