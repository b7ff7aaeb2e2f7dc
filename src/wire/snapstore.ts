/** The Snap Store API on the wire: requests as schemas, replies as builders. What clients rely on: handlers/snapd.md. */

import * as v from "valibot";
import type { Assertion } from "../assertions/assertion.ts";
import { ASSERTION_TYPES } from "../assertions/types.ts";
import { type AssertionSet, sequenceNumber } from "../catalog/assertionset.ts";
import { channelOf } from "../catalog/channelmap.ts";
import { componentsOf, findSnapRevision, type Snap, type SnapRevision, type StoredAssertion, shortChannel } from "../catalog/snap.ts";
import { channelMapOf, type ResolvedSnap, type SnapQuery, type SnapRefusal } from "../catalog/snapresolve.ts";
import type { FoundSnap } from "../catalog/snapsearch.ts";
import { Failure, printable } from "../errors.ts";
import { mapByName } from "../schema.ts";
import type { ReadText } from "./charmhub.ts";
import {
  AnyList,
  checkBody,
  checkList,
  ERROR_LIST,
  type ErrorEntry,
  Integer,
  isSmall,
  NO_ERRORS,
  OptionalText,
  parseJson,
  parseLists,
} from "./json.ts";
import { ORIGIN, type Part, separated, Template } from "./template.ts";
import { type SnapFile, URLS } from "./urls.ts";

/* ---- POST refresh ---- */

const RequestEpoch = v.fallback(v.nullish(v.object({ read: v.array(v.number()), write: v.array(v.number()) })), null);
const OptionalStrings = v.nullish(v.array(v.string()));

const SnapContext = v.object({
  "snap-id": v.string(),
  "instance-key": v.string(),
  revision: v.nullish(Integer, 0),
  "tracking-channel": OptionalText,
  epoch: RequestEpoch,
});

const SnapAction = v.object({
  action: v.picklist(["install", "download", "refresh"]),
  "instance-key": v.string(),
  name: OptionalText,
  "snap-id": OptionalText,
  channel: OptionalText,
  revision: v.nullish(Integer),
  "validation-sets": v.nullish(v.array(v.array(v.union([v.string(), v.number()]))), []),
});

const RequestedAssertion = v.object({
  type: v.string(),
  "primary-key": OptionalStrings,
  "sequence-key": OptionalStrings,
  sequence: v.nullish(Integer),
  "if-sequence-equal-or-newer-than": v.nullish(Integer),
  "if-newer-than": v.nullish(Integer),
});

const SnapContexts = v.array(SnapContext);
const RequestedAssertions = v.array(RequestedAssertion);
const FetchAction = v.object({
  action: v.literal("fetch-assertions"),
  key: v.string(),
  assertions: v.nullish(RequestedAssertions, []),
});

const SnapRefreshRequest = v.object({
  context: v.nullish(SnapContexts, []),
  actions: v.nullish(v.array(v.variant("action", [SnapAction, FetchAction])), []),
  fields: OptionalStrings,
  "assertion-max-formats": v.nullish(mapByName(Integer), {}),
});

/** The same with lists that are still to be checked. */
const LongRefreshRequest = v.object({ ...SnapRefreshRequest.entries, context: AnyList, actions: AnyList });
const LongActions = v.array(v.variant("action", [SnapAction, v.object({ ...FetchAction.entries, assertions: AnyList })]));

type SnapRefreshRequest = v.InferOutput<typeof SnapRefreshRequest>;
type RequestedAssertion = v.InferOutput<typeof RequestedAssertion>;
type SnapAction = v.InferOutput<typeof SnapAction>;

export interface FetchAssertions {
  readonly key: string;
  readonly assertions: readonly RequestedAssertion[];
}

export interface SnapItem {
  readonly query: SnapQuery;
  /** validation sets that are enforced: account, name and sequence number, if one is pinned */
  readonly sets: readonly (readonly (string | number)[])[];
}

export interface SnapRefresh {
  readonly items: readonly (SnapItem | FetchAssertions)[];
  readonly wantsYaml: boolean;
  readonly wantsResources: boolean;
  readonly maxFormats: Readonly<Record<string, number>>;
}

/** Reads the body of a refresh request. Throws a `malformed` failure that names the field, and `too-large` for too much of it. */
export function readSnapRefresh(text: string, architecture: string): SnapRefresh | Promise<SnapRefresh> {
  if (isSmall(text)) return snapRefresh(checkBody(SnapRefreshRequest, parseJson(text)), architecture);
  return checkLong(text).then((request) => snapRefresh(request, architecture));
}

async function checkLong(text: string): Promise<SnapRefreshRequest> {
  const { context, actions, ...more } = checkBody(LongRefreshRequest, await parseLists(text));
  const checked: SnapRefreshRequest = { ...more, context: await checkList(SnapContexts, "context", context), actions: [] };
  for (const [i, action] of (await checkList(LongActions, "actions", actions)).entries())
    checked.actions.push(
      action.action === "fetch-assertions"
        ? { ...action, assertions: await checkList(RequestedAssertions, `actions.${i}.assertions`, action.assertions) }
        : action,
    );
  return checked;
}

function snapRefresh(request: SnapRefreshRequest, architecture: string): SnapRefresh {
  const { context, actions, fields, "assertion-max-formats": maxFormats } = request;
  const contexts = new Map(context.map((entry) => [entry["instance-key"], entry]));
  const item = (action: SnapAction): SnapItem => {
    const installed = action.action === "refresh" ? contexts.get(action["instance-key"]) : undefined;
    const id = action["snap-id"] || installed?.["snap-id"];
    return {
      sets: action["validation-sets"],
      query: {
        action: action.action,
        instanceKey: action["instance-key"],
        architecture,
        ...(action.name && { name: action.name }),
        ...(id && { id }),
        ...(typeof action.revision === "number" && { revision: action.revision }),
        ...(action.channel && { channel: action.channel }),
        ...(installed && {
          installed: {
            revision: installed.revision,
            trackingChannel: installed["tracking-channel"] ?? "",
            epoch: installed.epoch ?? undefined,
          },
        }),
      },
    };
  };
  return {
    items: actions.map((action) => (action.action === "fetch-assertions" ? action : item(action))),
    wantsYaml: !fields || fields.includes("snap-yaml"),
    wantsResources: !fields || fields.includes("resources"),
    maxFormats,
  };
}

/** What stands around the results, between which there are commas. */
export const SNAP_REFRESH_REPLY = { start: '{"results":[', end: `],${NO_ERRORS}}` } as const;

/** How an element of `results` begins. */
export function snapResultStart(result: SnapQuery["action"] | "error", instanceKey: string): string {
  return `{"result":"${result}","instance-key":${JSON.stringify(instanceKey)},`;
}

export const SNAP_RESULT_END = "}";

/** Equal for two queries whose results differ in nothing but the instance key. */
export function snapQueryKey({ query, sets }: SnapItem): string {
  const { action, id, name, revision, channel, architecture, installed } = query;
  const asked: Record<Exclude<keyof SnapQuery, "instanceKey">, unknown> = { action, id, name, revision, channel, architecture, installed };
  return `${JSON.stringify(asked)} ${sets.length > 0 ? JSON.stringify(sets) : ""}`;
}

/** One element of `results`: a success, from behind its instance key up to its snap, which `SNAP_RESULT_END` follows. */
export function snapResult(resolved: ResolvedSnap): string {
  const { effectiveChannel, redirectChannel, releasedAt } = resolved;
  const head = {
    "snap-id": resolved.snap.id,
    name: resolved.snap.name,
    ...(effectiveChannel !== undefined && { "effective-channel": effectiveChannel }),
    ...(redirectChannel !== undefined && { "redirect-channel": redirectChannel }),
    ...(releasedAt !== undefined && { "released-at": releasedAt }),
  };
  return `${JSON.stringify(head).slice(1, -1)},"snap":`;
}

/** A refusal from behind its instance key on, which is no error of the request. */
export function snapRefusal(query: SnapQuery, snap: Snap | undefined, { code, message, releases }: SnapRefusal): string {
  const name = query.name ?? snap?.name;
  const id = snap?.id ?? query.id;
  return JSON.stringify({
    ...(id !== undefined && { "snap-id": id }),
    ...(name !== undefined && { name }),
    error: { code, message, ...(releases && { extra: { releases } }) },
  }).slice(1);
}

/* ---- fetch-assertions ---- */

/**
 * One element of `results` in pieces: URLs of assertions that are newer than the client's. An assertion of the client that is not stored is
 * "unchanged": not-found would make the refresh of every snap of that machine fail.
 */
export function* fetchResult(
  { key, assertions }: FetchAssertions,
  stored: AssertionSet,
  maxFormats: Readonly<Record<string, number>>,
  origin: string,
): Generator<string> {
  yield `{"result":"fetch-assertions","key":${JSON.stringify(key)},"assertion-stream-urls":[`;
  const missing: RequestedAssertion[] = [];
  let before = "";
  for (const requested of assertions) {
    const maxFormat = maxFormats[requested.type] ?? 0;
    const found = findRequested(requested, stored, maxFormat);
    if (found && isNewer(requested, found)) {
      yield before + JSON.stringify(assertionUrl(found, maxFormat, origin));
      before = ",";
    } else yield "";
    if (!found && typeof requested["if-newer-than"] !== "number") missing.push(requested);
  }
  yield "]";
  before = `,${ERROR_LIST.start}`;
  for (const requested of missing) {
    yield before + JSON.stringify(notFoundError(requested));
    before = ",";
  }
  yield missing.length > 0 ? `${ERROR_LIST.end}}` : "}";
}

function findRequested(requested: RequestedAssertion, stored: AssertionSet, maxFormat: number): StoredAssertion | undefined {
  const { type, sequence } = requested;
  const [primary, sequenceKey] = [requested["primary-key"], requested["sequence-key"]];
  if (primary) return stored.newest(type, reducedKey(type, primary), maxFormat);
  if (!sequenceKey) return undefined;
  return typeof sequence === "number"
    ? stored.newest(type, [...sequenceKey, String(sequence)], maxFormat)
    : stored.latest(type, sequenceKey, maxFormat);
}

function isNewer(requested: RequestedAssertion, found: StoredAssertion): boolean {
  const { "if-newer-than": newer, "if-sequence-equal-or-newer-than": least } = requested;
  if (typeof least === "number") {
    const number = sequenceNumber(found);
    return number > least || (number === least && found.revision > (newer ?? -1));
  }
  return found.revision > (newer ?? -1);
}

function notFoundError(requested: RequestedAssertion): ErrorEntry {
  const [primary, sequence] = [requested["primary-key"], requested["sequence-key"]];
  const key = primary ?? sequence ?? [];
  return {
    code: "not-found",
    message: printable(`no ${requested.type} assertion with the key ${key.join("/")} is stored`, 500),
    type: requested.type,
    ...(primary && { "primary-key": primary }),
    ...(!primary && sequence && { "sequence-key": sequence }),
  };
}

/** Without trailing optional parts that equal their default. */
export function reducedKey(type: string, key: readonly string[]): string[] {
  const { key: names = [], optional = {} } = ASSERTION_TYPES.get(type) ?? {};
  const reduced = [...key];
  while (reduced.length > 0) {
    const name = names[reduced.length - 1] ?? "";
    if (!Object.hasOwn(optional, name) || optional[name] !== reduced.at(-1)) break;
    reduced.pop();
  }
  return reduced;
}

function assertionUrl({ type, key }: StoredAssertion, maxFormat: number, origin: string): string {
  const sequence = ASSERTION_TYPES.get(type)?.sequence ? key.at(-1) : undefined;
  const asked = { type, key: sequence === undefined ? key : key.slice(0, -1), maxFormat: String(maxFormat) };
  return origin + URLS.assertion.build(sequence === undefined ? asked : { ...asked, sequence });
}

/** The revision that one of the enforced validation sets pins the snap at. */
export function pinnedRevision(sets: SnapItem["sets"], snap: Snap, stored: AssertionSet): number | undefined {
  for (const [series, account, name, sequence] of sets) {
    const key = [String(series), String(account), String(name)];
    const found =
      sequence === undefined ? stored.latest("validation-set", key) : stored.newest("validation-set", [...key, String(sequence)]);
    const [set] = found ? stored.verified(found.type, found.key) : [];
    const pinned = set && pinOf(set, snap);
    if (pinned !== undefined) return pinned;
  }
  return undefined;
}

function pinOf(set: Assertion, snap: Snap): number | undefined {
  const snaps = set.headers.get("snaps");
  for (const entry of Array.isArray(snaps) ? snaps : []) {
    if (!(entry instanceof Map)) continue;
    const [id, name, revision] = ["id", "name", "revision"].map((key) => entry.get(key));
    if ((id === snap.id || (id === undefined && name === snap.name)) && typeof revision === "string") return Number(revision);
  }
  return undefined;
}

/* ---- a snap ---- */

/** The parts of a reply for one revision, without its channel. */
export interface SnapParts {
  readonly yaml: boolean;
  readonly resources: boolean;
}

export function snapKey({ revision }: ResolvedSnap, { yaml, resources }: SnapParts): string {
  return `snap ${revision.revision} ${yaml} ${resources}`;
}

/** The `snap` object of a success in refresh. */
export async function snapTemplate({ snap, revision }: ResolvedSnap, parts: SnapParts, read: ReadText): Promise<Template> {
  return new Template({
    ...snapLevel(snap, revision),
    ...revisionLevel(snap, revision),
    ...(parts.yaml && { "snap-yaml": await read(revision.yaml) }),
    ...(parts.resources && { resources: resourcesOf(snap, revision) }),
  });
}

function snapLevel(snap: Snap, revision: SnapRevision) {
  const { details } = snap;
  return {
    "snap-id": snap.id,
    name: snap.name,
    title: details.title ?? revision.title ?? snap.name,
    summary: details.summary ?? revision.summary ?? "",
    description: details.description ?? revision.description ?? "",
    license: details.license ?? revision.license ?? "",
    publisher: snap.publisher,
    contact: details.contact ?? revision.contact ?? "",
    website: details.website ?? revision.website ?? null,
    links: details.links ?? revision.links,
    media: revision.icon
      ? [
          {
            type: "icon",
            url: ORIGIN + URLS.snapIcon.build({ id: snap.id, revision: revision.revision, extension: revision.icon.extension }),
            width: null,
            height: null,
          },
        ]
      : [],
    categories: (details.categories ?? []).map(({ name, featured }) => ({ name, featured })),
    "store-url": details["store-url"] ?? "",
    private: false,
    prices: {},
  };
}

function revisionLevel(snap: Snap, revision: SnapRevision) {
  const { epoch, type, version, base, confinement, architectures, commonIds, createdAt } = revision;
  return {
    revision: revision.revision,
    version,
    type,
    base: base ?? null,
    confinement,
    architectures,
    epoch,
    "created-at": createdAt,
    "common-ids": commonIds,
    download: { ...download({ id: snap.id, revision: revision.revision }, revision), deltas: [] },
  };
}

function resourcesOf(snap: Snap, revision: SnapRevision) {
  return componentsOf(snap, revision.revision).map(([name, component]) => ({
    type: `component/${component.type}`,
    name,
    revision: component.revision,
    version: component.version,
    "created-at": component.createdAt,
    description: component.description,
    download: download({ id: snap.id, component: name, revision: component.revision }, component),
  }));
}

function download(file: SnapFile, { size, "sha3-384": sha3 }: Pick<SnapRevision, "size" | "sha3-384">) {
  return { url: ORIGIN + URLS.snapFile.build(file), size, "sha3-384": sha3 };
}

/* ---- GET info, find, names, sections, categories ---- */

export function noSnap(name: string, architecture: string): Failure {
  return new Failure("not-found", `No snap named '${printable(name, 200)}' found for ${printable(architecture, 50)}.`);
}

/** Rows of one architecture, the best first: clients show the first as the snap. Throws `noSnap` where there is none. */
export function snapInfoTemplate(snap: Snap, architecture: string, resources: boolean): Template {
  const rows = channelMapOf(snap, architecture).flatMap((row) => {
    const revision = findSnapRevision(snap, row.revision);
    if (!revision) return [];
    const channel = channelOf(row);
    const { track, risk } = channel;
    return [
      {
        ...revisionLevel(snap, revision),
        ...(resources && { resources: resourcesOf(snap, revision) }),
        channel: { architecture, name: shortChannel(channel), risk, track, "released-at": row.releasedAt },
      },
    ];
  });
  const best = rows[0] && findSnapRevision(snap, rows[0].revision);
  if (!best) throw noSnap(snap.name, architecture);
  return new Template({
    name: snap.name,
    "snap-id": snap.id,
    "default-track": snap.defaultTrack === "latest" ? null : snap.defaultTrack,
    snap: snapLevel(snap, best),
    "channel-map": rows,
  });
}

/** The reply to a machine's connectivity check for a snap that is not stored: its URL answers HEAD. */
export function reachable(name: string, architecture: string, origin: string) {
  const channel = { architecture, name: "stable", risk: "stable", track: "latest", "released-at": null };
  const downloadable = { url: origin + URLS.check.build({}), size: 0, "sha3-384": "", deltas: [] };
  return { name, "snap-id": "", "default-track": null, snap: { name }, "channel-map": [{ channel, download: downloadable }] };
}

export function foundTemplate({ snap, revision, release }: FoundSnap): Template {
  const { "snap-id": _, ...level } = snapLevel(snap, revision);
  return new Template({
    name: snap.name,
    "snap-id": snap.id,
    snap: level,
    revision: { ...revisionLevel(snap, revision), channel: shortChannel(channelOf(release)) },
  });
}

/** `results`: as JSON */
export function snapFindReply(results: readonly Part[]): Part[] {
  return ['{"results":[', ...separated(results), "]}"];
}

/** Key order matters: snapd reads it as a stream. */
export function namesReply(found: readonly FoundSnap[], stored: AssertionSet) {
  const packages = found.map(({ snap, revision }) => ({
    package_name: snap.name,
    version: revision.version,
    summary: snap.details.summary ?? revision.summary ?? "",
    aliases: aliasesOf(snap, stored),
    apps: revision.apps,
  }));
  return { _embedded: { "clickindex:package": packages } };
}

function aliasesOf(snap: Snap, stored: AssertionSet): { name: string; target: string }[] {
  const [declaration] = stored.verified("snap-declaration", ["16", snap.id]);
  const aliases = declaration?.headers.get("aliases");
  return (Array.isArray(aliases) ? aliases : []).flatMap((entry) => {
    const [name, target] = entry instanceof Map ? [entry.get("name"), entry.get("target")] : [];
    return typeof name === "string" && typeof target === "string" ? [{ name, target }] : [];
  });
}

export function sectionsReply(categories: readonly string[]) {
  return { _embedded: { "clickindex:sections": categories.map((name) => ({ name })) } };
}

export function categoriesReply(categories: readonly string[]) {
  return { categories: categories.map((name) => ({ name })) };
}

/* ---- sessions ---- */

const SessionRequest = v.object({
  "device-session-request": v.string(),
  "serial-assertion": v.string(),
  "model-assertion": v.string(),
});

export function readSessionRequest(text: string): v.InferOutput<typeof SessionRequest> {
  return checkBody(SessionRequest, parseJson(text));
}

const CohortRequest = v.object({ snaps: v.array(v.string()) });

/** Names of snaps. */
export function readCohortRequest(text: string): readonly string[] {
  return checkBody(CohortRequest, parseJson(text)).snaps;
}
