/**
 * A client of the public stores, or of a chp, with the requests that an export makes to Charmhub and to the Snap Store. The APIs are
 * those that handlers/ serves: handlers/juju.md, handlers/snapd.md.
 */

import * as v from "valibot";
import type { Base } from "../catalog/base.ts";
import { printable } from "../errors.ts";
import { mapByName } from "../schema.ts";
import { type HttpClient, type HttpRequest, Unavailable, type UpstreamFile } from "./client.ts";

/* ---- replies ---- */

const Text = v.fallback(v.nullish(v.string()), undefined);
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const Hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${digits}}$`), "is no digest in lower-case hex"));
const BaseSchema = v.object({ name: v.string(), channel: v.string(), architecture: v.string() });
const Url = v.pipe(v.string(), v.url("is no URL"));

const InfoRow = v.looseObject({
  channel: v.looseObject({
    name: v.string(),
    track: v.string(),
    risk: v.string(),
    base: v.nullish(BaseSchema),
    "released-at": Text,
  }),
  revision: v.looseObject({ revision: Count }),
});
const InfoReply = v.looseObject({
  type: v.picklist(["charm", "bundle"]),
  id: v.string(),
  name: v.string(),
  result: v.fallback(v.nullish(mapByName(v.unknown())), undefined),
  "channel-map": v.nullish(v.array(InfoRow), []),
  "default-release": v.nullish(InfoRow),
});
/** The info reply of a charm or bundle, unknown keys kept. */
export type CharmInfo = v.InferOutput<typeof InfoReply>;

const ResourceSchema = v.looseObject({
  name: v.string(),
  type: v.picklist(["file", "oci-image"]),
  revision: Count,
  filename: Text,
  description: Text,
  "created-at": Text,
  download: v.looseObject({ url: Url, size: Count, "hash-sha-256": Hex(64) }),
});
export type UpstreamResource = v.InferOutput<typeof ResourceSchema>;

const CharmSchema = v.looseObject({
  type: v.picklist(["charm", "bundle"]),
  id: v.string(),
  name: v.string(),
  revision: Count,
  bases: v.nullish(v.array(v.nullable(BaseSchema)), []),
  download: v.looseObject({ url: Url, size: Count, "hash-sha-256": Hex(64) }),
  resources: v.nullish(v.array(ResourceSchema), []),
  "metadata-yaml": Text,
  "bundle-yaml": Text,
});
export type UpstreamCharm = v.InferOutput<typeof CharmSchema>;

const ErrorSchema = v.looseObject({
  code: v.fallback(v.string(), ""),
  message: v.fallback(v.string(), ""),
  extra: v.fallback(v.nullish(v.looseObject({ releases: v.fallback(v.nullish(v.array(v.unknown())), undefined) })), undefined),
});
export type StoreError = v.InferOutput<typeof ErrorSchema>;

const RefreshReply = v.looseObject({
  results: v.array(v.looseObject({ "instance-key": v.string(), error: v.nullish(ErrorSchema) })),
});

const CharmResultSchema = v.looseObject({ "effective-channel": Text, "released-at": Text, charm: CharmSchema });
/** A charm or bundle as the result of one refresh action. */
export type RefreshedCharm = v.InferOutput<typeof CharmResultSchema>;

export interface CharmLookup {
  readonly name: string;
  readonly channel?: string;
  readonly revision?: number;
  readonly base: Base | null;
  /** resource name to revision, in place of those that were released with it */
  readonly resources?: Readonly<Record<string, number>>;
}

const ResourceRevisionsReply = v.looseObject({ revisions: v.nullish(v.array(ResourceSchema), []) });
const FindReply = v.looseObject({ results: v.nullish(v.array(v.looseObject({ name: v.string(), type: Text })), []) });

const ComponentSchema = v.looseObject({
  name: v.string(),
  revision: Positive,
  download: v.looseObject({ url: Url, size: Count, "sha3-384": Hex(96) }),
});
export type UpstreamComponent = v.InferOutput<typeof ComponentSchema>;

const SnapSchema = v.looseObject({
  name: v.string(),
  "snap-id": v.string(),
  revision: Positive,
  architectures: v.nullish(v.array(v.string()), ["all"]),
  "created-at": Text,
  type: Text,
  base: Text,
  "snap-yaml": Text,
  store: Text,
  publisher: v.fallback(v.nullish(v.looseObject({ id: v.string() })), undefined),
  download: v.looseObject({ url: Url, size: Count, "sha3-384": Hex(96) }),
  resources: v.nullish(v.array(ComponentSchema), []),
});
export type UpstreamSnap = v.InferOutput<typeof SnapSchema>;

const SnapResultSchema = v.looseObject({ "effective-channel": Text, "redirect-channel": Text, "released-at": Text, snap: SnapSchema });
export type RefreshedSnap = v.InferOutput<typeof SnapResultSchema>;

export interface SnapLookup {
  readonly name: string;
  readonly channel?: string;
  readonly revision?: number;
}

const SnapInfoRow = v.looseObject({
  channel: v.looseObject({ architecture: v.string(), name: v.string(), track: v.string(), risk: v.string(), "released-at": Text }),
  revision: Positive,
});
const SnapInfoReply = v.looseObject({
  name: v.string(),
  "snap-id": v.string(),
  "default-track": Text,
  snap: v.fallback(v.nullish(mapByName(v.unknown())), undefined),
  "channel-map": v.nullish(v.array(SnapInfoRow), []),
});
export type SnapInfo = v.InferOutput<typeof SnapInfoReply>;

/** The result of one refresh action. */
export type RefreshResult<T> = { readonly ok: T } | { readonly error: StoreError };

/* ---- files ---- */

/** The file of a charm, a bundle or a resource. */
export function charmhubFile({ download }: Pick<UpstreamCharm | UpstreamResource, "download">): UpstreamFile {
  return { url: download.url, size: download.size, algorithm: "sha-256", digest: download["hash-sha-256"] };
}

/** The file of a snap or a component. */
export function snapStoreFile({ download }: Pick<UpstreamSnap | UpstreamComponent, "download">): UpstreamFile {
  return { url: download.url, size: download.size, algorithm: "sha3-384", digest: download["sha3-384"] };
}

/** `NAME_REVISION` of a component to its sha3-384. */
export function componentDigests(components: readonly UpstreamComponent[] | null | undefined): Record<string, string> {
  return Object.fromEntries((components ?? []).map(({ name, revision, download }) => [`${name}_${revision}`, download["sha3-384"]]));
}

/* ---- the client ---- */

const INFO_FIELDS = "result,default-release,default-release.resources,default-release.revision,channel-map";
const SNAP_FIELDS =
  "architectures,base,confinement,links,contact,created-at,description,download,epoch,license,name,prices,private,publisher,revision,snap-id,snap-yaml,summary,title,type,version,website,store-url,media,common-ids,categories,resources";
const SNAP_INFO_FIELDS =
  "architectures,base,confinement,links,contact,created-at,description,download,epoch,license,name,prices,private,publisher,revision,snap-id,summary,title,type,version,website,store-url,media,common-ids,categories,channel-map";
/** actions of one refresh request */
const BATCH = 40;

export interface UpstreamAddresses {
  /** without a trailing slash */
  readonly charmhub: string;
  readonly snapstore: string;
  /** of the streams of Juju's agents */
  readonly agents: string;
}

export class Upstream {
  readonly addresses: UpstreamAddresses;
  readonly #client: HttpClient;

  constructor(addresses: UpstreamAddresses, client: HttpClient) {
    this.addresses = addresses;
    this.#client = client;
  }

  /* -- charms and bundles -- */

  /** Throws `Unavailable`, a `not-found` where there is no such charm or bundle. */
  info(name: string): Promise<CharmInfo> {
    const url = `${this.addresses.charmhub}/v2/charms/info/${encodeURIComponent(name)}?fields=${encodeURIComponent(INFO_FIELDS)}`;
    return this.#json(InfoReply, `cannot fetch metadata of ${printable(name, 100)}`, url);
  }

  /** One result for each lookup, in their order. */
  charms(lookups: readonly CharmLookup[]): Promise<RefreshResult<RefreshedCharm>[]> {
    const action = ({ base, resources = {} }: CharmLookup) => ({
      base,
      ...(Object.keys(resources).length > 0 && {
        "resource-revisions": Object.entries(resources).map(([name, revision]) => ({ name, revision })),
      }),
    });
    return this.#refresh(`${this.addresses.charmhub}/v2/charms/refresh`, lookups, action, CharmResultSchema);
  }

  /** Newest first. Throws `Unavailable`. */
  async resourceRevisions(charm: string, resource: string): Promise<UpstreamResource[]> {
    const url = `${this.addresses.charmhub}/v2/charms/resources/${encodeURIComponent(charm)}/${encodeURIComponent(resource)}/revisions`;
    return (await this.#json(ResourceRevisionsReply, `cannot fetch the revisions of resource ${resource} of ${charm}`, url)).revisions;
  }

  /** Every charm and bundle that the store lists without a search term. */
  async charmNames(): Promise<{ name: string; type: "charm" | "bundle" }[]> {
    const url = `${this.addresses.charmhub}/v2/charms/find?fields=${encodeURIComponent("result.summary")}`;
    const { results } = await this.#json(FindReply, "cannot list the charms and bundles", url);
    return results.map(({ name, type }) => ({ name, type: type === "bundle" ? "bundle" : "charm" }));
  }

  /* -- snaps -- */

  async snapInfo(name: string, architecture: string): Promise<SnapInfo> {
    const query = new URLSearchParams({ architecture, fields: SNAP_INFO_FIELDS });
    const url = `${this.addresses.snapstore}/v2/snaps/info/${encodeURIComponent(name)}?${query}`;
    return this.#json(SnapInfoReply, `cannot fetch metadata of the snap ${printable(name, 100)}`, url, {
      headers: deviceHeaders(architecture),
    });
  }

  /** One result for each lookup, in their order. */
  snaps(lookups: readonly SnapLookup[], architecture: string): Promise<RefreshResult<RefreshedSnap>[]> {
    const url = `${this.addresses.snapstore}/v2/snaps/refresh`;
    const more = { headers: deviceHeaders(architecture), body: { fields: SNAP_FIELDS.split(",") } };
    return this.#refresh(url, lookups, () => ({ epoch: null }), SnapResultSchema, more);
  }

  async snapNames(architecture: string): Promise<string[]> {
    const query = new URLSearchParams({ architecture, confinement: "strict,classic,devmode", fields: "title,channel" });
    const url = `${this.addresses.snapstore}/v2/snaps/find?${query}`;
    const { results } = await this.#json(FindReply, "cannot list the snaps", url, { headers: deviceHeaders(architecture) });
    return results.map(({ name }) => name);
  }

  /** The text of an assertion, the newest that a reader of `maxFormat` knows; undefined where the store has none. */
  async assertion(type: string, key: readonly string[], maxFormat?: number): Promise<string | undefined> {
    const path = [type, ...key].map(encodeURIComponent).join("/");
    const url = `${this.addresses.snapstore}/v2/assertions/${path}${maxFormat === undefined ? "" : `?max-format=${maxFormat}`}`;
    const what = `cannot fetch the assertion ${printable([type, ...key].join("/"), 200)}`;
    try {
      return await this.#client.text(what, url, { headers: { Accept: "application/x.ubuntu.assertion" } }, (text) => text);
    } catch (error) {
      if (error instanceof Unavailable && error.kind === "not-found") return undefined;
      throw error;
    }
  }

  /** A stream of the assertions that belong to no snap; empty where the store is no chp. */
  async otherAssertions(): Promise<string> {
    const url = `${this.addresses.snapstore}/_status/assertions`;
    try {
      return await this.#client.text(
        "cannot list the assertions",
        url,
        { headers: { Accept: "application/x.ubuntu.assertion" } },
        (text) => text,
      );
    } catch (error) {
      if (error instanceof Unavailable && error.kind === "not-found") return "";
      throw error;
    }
  }

  /** Sends requests in batches; a refusal of the store is a result too. */
  async #refresh<L extends { readonly name: string; readonly channel?: string; readonly revision?: number }, S extends v.GenericSchema>(
    url: string,
    lookups: readonly L[],
    action: (lookup: L) => object,
    success: S,
    { headers = {}, body = {} }: { readonly headers?: NonNullable<HttpRequest["headers"]>; readonly body?: object } = {},
  ): Promise<RefreshResult<v.InferOutput<S>>[]> {
    const all: RefreshResult<v.InferOutput<S>>[] = [];
    for (let at = 0; at < lookups.length; at += BATCH) {
      const batch = lookups.slice(at, at + BATCH);
      const names = printable([...new Set(batch.map(({ name }) => name))].slice(0, 3).join(", "), 200);
      const actions = batch.map((lookup, i) => ({
        action: "download",
        "instance-key": `download-${i}`,
        name: lookup.name,
        ...(lookup.channel !== undefined && { channel: lookup.channel }),
        ...(lookup.revision !== undefined && { revision: lookup.revision }),
        ...action(lookup),
      }));
      const { results } = await this.#json(RefreshReply, `cannot resolve ${names}`, url, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify({ context: [], actions, ...body }),
      });
      batch.forEach(({ name }, i) => {
        const what = `cannot resolve ${printable(name, 100)}`;
        const result = results.find((found) => found["instance-key"] === `download-${i}`);
        if (!result) throw new Unavailable(what, url, "the reply has no result for it");
        all.push(result.error ? { error: result.error } : { ok: checkReply(success, result, what, url) });
      });
    }
    return all;
  }

  #json<T extends v.GenericSchema>(schema: T, what: string, url: string, request: HttpRequest = {}): Promise<v.InferOutput<T>> {
    const headers = { Accept: "application/json", ...request.headers };
    return this.#client.text(what, url, { ...request, headers }, (text) => checkReply(schema, parseReply(text, what, url), what, url));
  }
}

function parseReply(text: string, what: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The next reply may be complete.
    if (/^\s*[{[]/.test(text)) throw new Unavailable(what, url, "the reply is broken JSON", { retryable: true });
    throw new Unavailable(what, url, "the reply is not JSON", { next: "is that the address of a Charmhub or Snap Store?" });
  }
}

function checkReply<T extends v.GenericSchema>(schema: T, value: unknown, what: string, url: string): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const field = printable(v.getDotPath(issue) ?? "the whole", 200);
  throw new Unavailable(what, url, `the reply has no shape that is known: ${field}: ${printable(issue.message, 200)}`);
}

/** Without its capability a machine gets track `latest` where a snap has another default track. */
function deviceHeaders(architecture: string): Readonly<Record<string, string>> {
  return { "Snap-Device-Series": "16", "Snap-Device-Architecture": architecture, "Snap-Device-Capabilities": "default-tracks" };
}
