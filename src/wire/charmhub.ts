/** The Charmhub API on the wire: requests as schemas, replies as builders. What clients rely on: handlers/juju.md. */

import * as v from "valibot";
import { ByteCache, type CacheUse } from "../cache.ts";
import type { Base } from "../catalog/base.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { channelOf } from "../catalog/channelmap.ts";
import {
  findResource,
  findRevision,
  newestRevision,
  type Package,
  type Release,
  type ResourceRevision,
  type Revision,
  TEXTS,
} from "../catalog/package.ts";
import { defaultRelease, type Query, type Refusal, type Resolved } from "../catalog/resolve.ts";
import type { Digest } from "../digest.ts";
import { Failure, printable } from "../errors.ts";
import { AnyList, checkBody, checkList, Integer, isSmall, NO_ERRORS, OptionalText, parseJson, parseLists } from "./json.ts";
import { ORIGIN, type Part, separated, Template } from "./template.ts";
import { PAGE_URLS, URLS } from "./urls.ts";

/** Reads a text that is stored as a blob. */
export type ReadText = (digest: Digest) => Promise<string>;

/* ---- POST refresh ---- */

const RequestBase = v.nullish(
  v.object({ architecture: v.nullish(v.string(), ""), name: v.nullish(v.string(), ""), channel: v.nullish(v.string(), "") }),
);

const CharmContext = v.object({
  "instance-key": v.string(),
  id: OptionalText,
  revision: v.nullish(Integer),
  base: RequestBase,
  "tracking-channel": OptionalText,
});

const CharmAction = v.object({
  action: v.picklist(["install", "download", "refresh"]),
  "instance-key": v.string(),
  id: OptionalText,
  name: OptionalText,
  channel: OptionalText,
  revision: v.nullish(Integer),
  base: RequestBase,
  "resource-revisions": v.nullish(v.array(v.object({ name: v.string(), revision: Integer })), []),
});

const CharmContexts = v.array(CharmContext);
const CharmActions = v.array(CharmAction);

const CharmRefreshRequest = v.object({
  context: v.nullish(CharmContexts, []),
  actions: v.nullish(CharmActions, []),
  fields: v.nullish(v.array(v.string())),
});
/** The same with lists that are still to be checked. */
const LongRefreshRequest = v.object({ ...CharmRefreshRequest.entries, context: AnyList, actions: AnyList });

type CharmRefreshRequest = v.InferOutput<typeof CharmRefreshRequest>;
type CharmAction = v.InferOutput<typeof CharmAction>;
type CharmContext = v.InferOutput<typeof CharmContext>;

/** What `fields` may name; others are ignored. */
const CHARM_FIELDS = [
  "type",
  "id",
  "name",
  "revision",
  "version",
  "created-at",
  "summary",
  "license",
  "publisher",
  "bases",
  "download",
  "resources",
  ...TEXTS,
];

/** One action, as the resolver takes it; or a refusal that needs no package. */
export interface CharmRefreshItem {
  readonly query: Query;
  readonly refusal?: Refusal;
  /** equal for two items whose results differ in nothing but the instance key */
  readonly key: string;
}

/** What a refresh asks for of each charm. */
export interface CharmFields {
  /** those of `CHARM_FIELDS`, in its order; undefined: everything */
  readonly names: readonly string[] | undefined;
  /** equal for equal names; short, since it is a part of keys that are made for each request */
  readonly key: string;
}

const ALL_CHARM_FIELDS: CharmFields = { names: undefined, key: "all" };

export interface CharmRefresh {
  readonly items: readonly CharmRefreshItem[];
  readonly fields: CharmFields;
}

/** Reads the body of a refresh request. Throws a `malformed` failure that names the field, and `too-large` for too much of it. */
export function readCharmRefresh(text: string, preferred: string): CharmRefresh | Promise<CharmRefresh> {
  if (isSmall(text)) return charmRefresh(checkBody(CharmRefreshRequest, parseJson(text)), preferred);
  return checkLong(text).then((request) => charmRefresh(request, preferred));
}

async function checkLong(text: string): Promise<CharmRefreshRequest> {
  const { context, actions, fields } = checkBody(LongRefreshRequest, await parseLists(text));
  return {
    context: await checkList(CharmContexts, "context", context),
    actions: await checkList(CharmActions, "actions", actions),
    fields,
  };
}

function charmRefresh({ context, actions, fields: asked }: CharmRefreshRequest, preferred: string): CharmRefresh {
  const contexts = context.length === 0 ? undefined : new Map(context.map((entry) => [entry["instance-key"], entry]));
  const fields = asked ? charmFields(asked) : ALL_CHARM_FIELDS;
  const items = actions.map((action) => {
    const item = readCharmAction(action, contexts?.get(action["instance-key"]), preferred);
    return { ...item, key: `${fields.key} ${queryKey(item.query)}` };
  });
  return { items, fields };
}

const KEY_NAME = 'instance-key"';
/** A key that reads as it is written. */
const PLAIN_KEY = /^[\w-]*$/;
/** Stands for the key; no JSON contains it. */
const HOLE = "\0";
/** Characters of one request that is remembered, and bytes of all. */
const [MAX_TEXT, MAX_REMEMBERED] = [2 ** 12, 4 * 2 ** 20];

/** Reads small requests that differ in nothing but their instance key once: to parse and to check one takes as long as a small reply. */
export class CharmRefreshReader {
  readonly #read: ByteCache<CharmRefresh>;

  constructor(use?: CacheUse) {
    this.#read = new ByteCache(MAX_REMEMBERED, use);
  }

  /** As `readCharmRefresh`. */
  read(text: string, preferred: string): CharmRefresh | Promise<CharmRefresh> {
    if (text.length > MAX_TEXT) return readCharmRefresh(text, preferred);
    const start = text.indexOf(KEY_NAME) + KEY_NAME.length + 2;
    const key = text.slice(start, text.indexOf('"', start));
    const around = text.split(`"${KEY_NAME}:"${key}"`);
    // Only where all keys are that one, and nothing can be written in two ways.
    if (!PLAIN_KEY.test(key) || text.includes("\\") || text.split(KEY_NAME).length !== around.length)
      return readCharmRefresh(text, preferred);
    const name = `${preferred} ${around.length} ${around.join(HOLE)}`;
    const read = this.#read.get(name);
    if (read) return { ...read, items: read.items.map((item) => ({ ...item, query: { ...item.query, instanceKey: key } })) };
    const fresh = readCharmRefresh(text, preferred);
    // What a refusal says may name the key.
    if (!(fresh instanceof Promise) && !fresh.items.some(({ refusal }) => refusal)) this.#read.set(name, fresh, 4 * name.length);
    return fresh;
  }
}

/** What was asked for last. Each Juju asks for the same in every request, and reading it again takes a tenth of a small one. */
let lastFields: { readonly asked: readonly string[]; readonly fields: CharmFields } | undefined;

function charmFields(asked: readonly string[]): CharmFields {
  if (lastFields?.asked.length === asked.length && lastFields.asked.every((name, i) => name === asked[i])) return lastFields.fields;
  const wanted = new Set(asked);
  const names = CHARM_FIELDS.filter((name) => wanted.has(name));
  const fields = { names, key: CHARM_FIELDS.map((name) => (wanted.has(name) ? "1" : "0")).join("") };
  if (names.length === asked.length) lastFields = { asked, fields }; // a list that is made up is not kept
  return fields;
}

/** A query while it is made, key by key: an object for each key would cost more than the rest. */
type QueryDraft = { -readonly [K in keyof Query]: Query[K] };

function readCharmAction(action: CharmAction, context: CharmContext | undefined, preferred: string): Omit<CharmRefreshItem, "key"> {
  const instanceKey = action["instance-key"];
  const isRefresh = action.action === "refresh";
  const base = (isRefresh ? context?.base : action.base) ?? null;
  const query: QueryDraft = { action: action.action, instanceKey, base, resourceRevisions: action["resource-revisions"], preferred };
  const id = (isRefresh && context?.id) || action.id;
  const channel = isRefresh ? context?.["tracking-channel"] : action.channel;
  if (id) query.id = id;
  if (action.name) query.name = action.name;
  if (channel) query.channel = channel;
  if (!isRefresh && typeof action.revision === "number") query.revision = action.revision;
  if (!isRefresh || context) return { query };
  return { query, refusal: { code: "missing-context", message: `Instance key '${printable(instanceKey, 200)}' has no context` } };
}

/** Equal for two requests of the same `fields`. */
export function fieldsKey(fields: readonly string[] | undefined): string {
  return JSON.stringify(fields ?? "*");
}

/** What Juju asks of a search. */
export const JUJU_FIND_FIELDS: readonly string[] = [
  "result.publisher.display-name",
  "result.summary",
  "result.store-url",
  "default-release.revision.version",
  ...["architecture", "name", "channel"].map((field) => `default-release.revision.bases.${field}`),
];

/** Equal for two queries whose results differ in nothing but the instance key. */
export function queryKey({ action, id, name, revision, channel, base, resourceRevisions, preferred }: Query): string {
  const place = base ? quoted(base.name) + quoted(base.channel) + quoted(base.architecture) : "";
  const pins = resourceRevisions.map((pin) => quoted(pin.name) + pin.revision).join();
  return `${action} ${preferred} ${revision} ${quoted(id)}${quoted(name)}${quoted(channel)}${place}/${pins}`;
}

/** Where the text ends is told by its length: two lists of such texts are equal only where all their texts are. */
function quoted(text: string | undefined): string {
  return text === undefined ? "-" : `${text.length}:${text}`;
}

/** Identifies the `charm` object of a success among those of its package. */
export function charmKey(resolved: Resolved, fields: string): string {
  return `charm ${resolved.revision.revision} ${resolved.resources.map(([name, r]) => `${name}_${r.revision}`).join()} ${fields}`;
}

/** The `charm` object of a success. */
export async function charmTemplate(resolved: Resolved, fields: readonly string[] | undefined, read: ReadText): Promise<Template> {
  const { package: pkg, revision } = resolved;
  const wanted = fields && new Set([...fields, "type", "id", "name"]);
  const all = {
    ...packageIdentity(pkg),
    revision: revision.revision,
    version: revision.version,
    "created-at": revision.createdAt,
    ...packageSummary(pkg),
    bases: revision.bases,
    download: charmDownload(pkg, revision),
    resources: resolved.resources.map(([name, r]) => resourceReply(pkg, name, r)),
    ...(await revisionTexts(revision, read, (name) => !wanted || wanted.has(name))),
  };
  return new Template(Object.fromEntries(Object.entries(all).filter(([key]) => !wanted || wanted.has(key))));
}

/** One element of `results`: a success, from behind its instance key up to its charm, which `CHARM_RESULT_END` follows. */
export function resolvedResult(query: Query, { package: pkg, channel, releasedAt }: Resolved): string {
  const head = {
    ...resultHead(query, pkg),
    result: query.action,
    ...(channel !== undefined && { "effective-channel": channel }),
    "released-at": releasedAt ?? null,
  };
  return `${JSON.stringify(head).slice(1, -1)},"charm":`;
}

export const CHARM_RESULT_END = "}";

/** A refusal from behind its instance key on, which is an error of that action and not of the request. */
export function refusedResult(query: Query, pkg: Package | undefined, { code, message, extra }: Refusal): string {
  const charm = pkg && code === "revision-not-found" ? { ...packageIdentity(pkg), ...packageSummary(pkg) } : null;
  const error = { code, message, ...(extra && { extra }) };
  return JSON.stringify({ ...resultHead(query, pkg), result: "error", charm, "released-at": null, error }).slice(1);
}

function resultHead(query: Query, pkg: Package | undefined) {
  return { id: pkg?.id ?? query.id ?? null, name: pkg?.name ?? query.name ?? null };
}

/** What stands around the results, between which there are commas. */
export const CHARM_REFRESH_REPLY = { start: `{${NO_ERRORS},"results":[`, end: "]}" } as const;

/** How an element of `results` begins. */
export function charmResultStart(instanceKey: string): string {
  return `{"instance-key":${JSON.stringify(instanceKey)},`;
}

/* ---- GET info, GET find ---- */

/** `a,b.c` → names; undefined where none is given, which means `type`, `id` and `name` alone. */
export function readFields(text: string | undefined): string[] | undefined {
  const names = text?.split(",").filter((name) => name !== "");
  return names && names.length > 0 ? names : undefined;
}

/** What an info reply depends on besides its package. */
export interface InfoContext {
  readonly fields: readonly string[] | undefined;
  /** limits rows to one channel */
  readonly channel?: string;
  /** ids of the charms that a bundle names */
  readonly charmIds: ReadonlyMap<string, string>;
  readonly read: ReadText;
  /** whether this server has pages, so that `store-url` is one of them and not upstream's */
  readonly hasPages: boolean;
}

export async function infoTemplate(pkg: Package, context: InfoContext): Promise<Template> {
  const wanted = context.channel === undefined ? undefined : fullChannel(context.channel, pkg.defaultTrack);
  if (context.channel !== undefined && !wanted)
    throw new Failure("malformed", `channel: ${printable(context.channel, 100)} is not a channel`);
  const channel = wanted && formatChannel(wanted);
  const rows = pkg.releases.filter((r) => channelOf(r).branch === undefined && (channel === undefined || r.channel === channel));
  const asksText = context.fields?.some((name) => name.startsWith("default-release")) ?? false;
  const full = {
    ...packageIdentity(pkg),
    result: infoResult(pkg, context.charmIds, context.hasPages),
    "default-release": await releaseReply(pkg, defaultRelease(pkg, channel), asksText ? context.read : undefined),
    "channel-map": rows.flatMap((row) => channelMapRow(pkg, row) ?? []),
  };
  return new Template(select(full, context.fields));
}

/** One result of find; `fields` and `hasPages` as in info. */
export async function findTemplate(pkg: Package, fields: readonly string[] | undefined, hasPages: boolean): Promise<Template> {
  const full = {
    ...packageIdentity(pkg),
    result: infoResult(pkg, new Map(), hasPages),
    "default-release": await releaseReply(pkg, defaultRelease(pkg), undefined),
  };
  return new Template(select(full, fields));
}

export function findReply(results: readonly Part[]): Part[] {
  return ['{"results":[', ...separated(results), `],${NO_ERRORS}}`];
}

/** Keeps `type`, `id`, `name` and what `fields` names: a leaf, or a prefix with all below it. Unknown names are ignored. */
function select(full: Record<string, unknown>, fields: readonly string[] | undefined): unknown {
  const { type, id, name } = full;
  if (!fields) return { type, id, name };
  const tree: FieldTree = new Map();
  for (const field of fields) {
    let at: FieldTree = tree;
    for (const part of field.split(".")) {
      const next: FieldTree = at.get(part) ?? new Map();
      at.set(part, next);
      at = next;
    }
    at.set("*", new Map());
  }
  return { type, id, name, ...(prune(full, tree) as object) };
}

type FieldTree = Map<string, FieldTree>;

function prune(value: unknown, tree: FieldTree): unknown {
  if (tree.has("*") || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((element) => prune(element, tree));
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      const below = tree.get(key);
      return below ? [[key, prune(inner, below)]] : [];
    }),
  );
}

/* ---- GET resources/CHARM/RESOURCE/revisions ---- */

/** Newest first; undefined where the package has no such resource. */
export function resourceRevisionsTemplate(pkg: Package, name: string): Template | undefined {
  const found = pkg.resources.find((r) => r.name === name);
  const offered = found?.revisions.filter((r) => !r.aside) ?? [];
  return offered.length > 0 ? new Template({ revisions: offered.map((r) => resourceReply(pkg, name, r)) }) : undefined;
}

/* ---- parts ---- */

function packageIdentity(pkg: Package) {
  return { type: pkg.type, id: pkg.id, name: pkg.name };
}

function packageSummary({ details }: Package) {
  return { summary: details.summary ?? "", license: details.license ?? "", publisher: details.publisher ?? {} };
}

async function revisionTexts(revision: Revision, read: ReadText, wanted: (name: string) => boolean): Promise<Record<string, string>> {
  const found = TEXTS.filter(wanted).map(async (name) => {
    const digest = revision.texts[name];
    return [name, digest === undefined ? emptyText(name, revision) : await read(digest)] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

/** A charm without options or actions says so in YAML. */
function emptyText(name: string, revision: Revision): string {
  return revision.bases.length > 0 && (name === "config-yaml" || name === "actions-yaml") ? "{}\n" : "";
}

function charmDownload(pkg: Package, revision: Revision) {
  return {
    url: ORIGIN + URLS.charmFile.build({ id: pkg.id, revision: revision.revision, extension: pkg.type }),
    size: revision.size,
    "hash-sha-256": revision.blob,
  };
}

function resourceReply(pkg: Package, name: string, r: ResourceRevision) {
  return {
    name,
    type: r.type,
    filename: r.filename,
    description: r.description,
    revision: r.revision,
    "created-at": r.createdAt,
    download: {
      url: ORIGIN + URLS.resourceFile.build({ id: pkg.id, resource: name, revision: r.revision, ...(r.retargeted && { sha256: r.blob }) }),
      size: r.size,
      "hash-sha-256": r.blob,
      "hash-sha-384": r.digests["sha-384"],
      "hash-sha-512": r.digests["sha-512"],
      "hash-sha3-384": r.digests["sha3-384"],
    },
  };
}

/** Keys in one order, whatever order they were imported in: two stores with the same content reply the same. */
function infoResult(pkg: Package, charmIds: ReadonlyMap<string, string>, hasPages: boolean) {
  const {
    title,
    summary,
    description,
    license,
    "store-url": url,
    publisher,
    categories,
    "contains-charms": declared,
    ...more
  } = pkg.details;
  const charms = (newestRevision(pkg)?.charms ?? []).map((name) => ({ name, "package-id": charmIds.get(name) ?? "", "store-url": "" }));
  const contained = pkg.type === "bundle" ? charms : declared;
  return {
    title: title ?? pkg.name,
    summary: summary ?? "",
    description: description ?? "",
    license: license ?? "",
    "store-url": hasPages ? ORIGIN + PAGE_URLS.charm.build({ name: pkg.name }) : (url ?? ""),
    ...Object.fromEntries(Object.entries(more).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    publisher: publisher ?? {},
    categories: categories ?? [],
    media: [],
    ...(contained !== undefined && { "contains-charms": contained }),
  };
}

function channelReply(row: Release) {
  const { track, risk } = channelOf(row);
  return { name: row.channel, track, risk, base: row.base, "released-at": row.releasedAt };
}

function channelMapRow(pkg: Package, row: Release) {
  const revision = findRevision(pkg, row.revision);
  return revision && { channel: channelReply(row), revision: revisionSummary(pkg, revision) };
}

function revisionSummary(pkg: Package, revision: Revision) {
  return {
    revision: revision.revision,
    version: revision.version,
    "created-at": revision.createdAt,
    bases: revision.bases satisfies readonly Base[],
    download: charmDownload(pkg, revision),
    attributes: revision.attributes ?? {},
  };
}

/** `read`: with the long texts. */
async function releaseReply(pkg: Package, row: Release | undefined, read: ReadText | undefined) {
  const revision = row && findRevision(pkg, row.revision);
  if (!row || !revision) return null;
  return {
    channel: channelReply(row),
    resources: Object.entries(row.resources).flatMap(([name, pin]) => {
      const found = findResource(pkg, name, pin);
      return found ? [resourceReply(pkg, name, found)] : [];
    }),
    revision: {
      ...revisionSummary(pkg, revision),
      subordinate: revision.subordinate,
      relations: revision.relations,
      ...(read && (await revisionTexts(revision, read, () => true))),
    },
  };
}
