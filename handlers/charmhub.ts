/** The Charmhub API. What clients rely on: handlers/juju.md. */

import type { Context } from "hono";
import type { ByteCache } from "../src/cache.ts";
import { isConcrete, preferredBase } from "../src/catalog/base.ts";
import { findResource, findRevision, newestRevision, type Package, type ResourceRevision } from "../src/catalog/package.ts";
import { NO_REGISTRY, retarget, servedImage } from "../src/catalog/registry.ts";
import { packageForQuery, type Query, type Refusal, resolve } from "../src/catalog/resolve.ts";
import { type Question, SearchIndex } from "../src/catalog/search.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import { Failure, printable, undefinedIfCorrupt } from "../src/errors.ts";
import { type Ready, whenReady } from "../src/ready.ts";
import { nextTurn } from "../src/turns.ts";
import {
  CHARM_REFRESH_REPLY,
  CHARM_RESULT_END,
  type CharmRefresh,
  type CharmRefreshItem,
  CharmRefreshReader,
  charmKey,
  charmResultStart,
  charmTemplate,
  fieldsKey,
  findReply,
  findTemplate,
  infoTemplate,
  JUJU_FIND_FIELDS,
  readFields,
  refusedResult,
  resolvedResult,
  resourceRevisionsTemplate,
} from "../src/wire/charmhub.ts";
import { type Piece, pieceOf, type Template, TemplateCache } from "../src/wire/template.ts";
import { URLS } from "../src/wire/urls.ts";
import { filenameOf, inMemory, sendBlob } from "./blobs.ts";
import { MAX_REFRESH } from "./body.ts";
import type { Env, HandlerDeps } from "./call.ts";
import { damageMessage, IndexCache } from "./damage.ts";
import type { Missing, MissingRequests } from "./missingrequests.ts";
import type { Offer } from "./offer.ts";
import { type Element, type PieceReply, replyInPieces } from "./pieces.ts";
import type { OfferedRegistry } from "./registries.ts";
import { CacheableReply, SnapshotCache } from "./replies.ts";
import { type Api, get, post } from "./routes.ts";

const [START, END] = [pieceOf(CHARM_REFRESH_REPLY.start), pieceOf(CHARM_REFRESH_REPLY.end)];

/** The answer to one action without its instance key. */
interface CharmResult {
  /** of `resolvedResult` or `refusedResult` */
  readonly head: Piece;
  /** of a success: what follows the head */
  readonly charm?: Template;
  /** of a refusal: what is not stored */
  readonly missing?: Missing | undefined;
}

export function charmhubRoutes({
  store,
  bodies,
  log,
  registries = () => NO_REGISTRY,
  registryOf,
  missing,
  cacheUse,
  hasPages,
}: HandlerDeps & { readonly missing: MissingRequests; readonly hasPages: boolean }): Api {
  const requests = new CharmRefreshReader(cacheUse("charm requests"));
  const results = new SnapshotCache<CharmResult>(cacheUse("charm refreshes"));
  const templates = new TemplateCache(cacheUse("charm revisions"));
  const read = (digest: Digest) => store.text(digest);
  const index = new IndexCache(
    log,
    "packages",
    (snapshot) => snapshot.packages(),
    (packages: readonly Package[], before?: SearchIndex) => new SearchIndex(packages, before),
  );

  const refresh = post(URLS.charmRefresh, (c) => bodies.hold(c, MAX_REFRESH, (text, done) => refreshed(c, text, done)));

  function refreshed(c: Context<Env>, body: string, done: () => void): Ready<Response> {
    const preferred = preferredBase(c.req.header("User-Agent") ?? "");
    return whenReady(requests.read(body, preferred), (asked) =>
      whenReady(store.snapshot(), (snapshot) =>
        whenReady(registryOf(snapshot), (registry) => replyInPieces(new Refreshed(c, asked, snapshot, registry, done))),
      ),
    );
  }

  /** The reply to a refresh. An object, since each of many closures would be made for each request. */
  class Refreshed implements PieceReply {
    readonly start = START;
    readonly end = END;
    readonly log = log;
    readonly count: number;
    readonly done: () => void;
    readonly #c: Context<Env>;
    readonly #asked: CharmRefresh;
    readonly #snapshot: Offer;
    readonly #registry: OfferedRegistry;
    readonly #cache: ByteCache<CharmResult>;
    /** logged once, and the same in both passes */
    #damaged: Map<CharmRefreshItem, string> | undefined = undefined;

    constructor(c: Context<Env>, asked: CharmRefresh, snapshot: Offer, registry: OfferedRegistry, done: () => void) {
      this.#c = c;
      this.#asked = asked;
      this.#snapshot = snapshot;
      this.#registry = registry;
      this.#cache = results.of(snapshot, registry);
      this.count = asked.items.length;
      this.done = done;
    }

    get id(): string {
      return this.#c.env.id;
    }

    get request(): Request {
      return this.#c.req.raw;
    }

    element(at: number, again: boolean): Element {
      const item = this.#asked.items[at] as CharmRefreshItem;
      const start = (at > 0 ? "," : "") + charmResultStart(item.query.instanceKey);
      const cached = item.refusal ? undefined : this.#cache.get(item.key);
      return cached ? this.#pieceOf(start, cached, again) : this.#compute(start, item, again);
    }

    async #compute(start: string, item: CharmRefreshItem, again: boolean): Promise<Piece> {
      try {
        return this.#pieceOf(start, await this.#answer(item), again);
      } catch (error) {
        this.#damaged ??= new Map();
        const text = this.#damaged.get(item) ?? damagedResult(this.#c, item.query, error);
        this.#damaged.set(item, text);
        return pieceOf(start + text);
      }
    }

    async #answer({ query, refusal, key: name }: CharmRefreshItem): Promise<CharmResult> {
      const stored = await (query.id === undefined ? this.#snapshot.package(query.name ?? "") : this.#snapshot.packageById(query.id));
      const known = packageForQuery(query, stored);
      const pkg = known && retarget(known, this.#registry.for(query.base?.architecture));
      const outcome = refusal ? { refusal } : resolve(pkg, query);
      if ("refusal" in outcome) {
        const head = pieceOf(refusedResult(query, pkg, outcome.refusal));
        const result = { head, missing: missingCharm(query, pkg, outcome.refusal) };
        if (!refusal && !outcome.refusal.message.includes(query.instanceKey)) this.#cache.set(name, result, 2 * head.size);
        return result;
      }
      const { ok } = outcome;
      const { names, key } = this.#asked.fields;
      const charm = await templates.get(ok.package, charmKey(ok, key), () => charmTemplate(ok, names, read));
      const result = { head: pieceOf(resolvedResult(query, ok)), charm };
      this.#cache.set(name, result, 2 * result.head.size + charm.size);
      return result;
    }

    #pieceOf(start: string, { head, charm, missing: absent }: CharmResult, again: boolean): Piece {
      if (absent && !again) missing.note(absent, this.id, Date.now());
      const size = Buffer.byteLength(start) + head.size;
      if (!charm) return { parts: [start, ...head.parts], size };
      const bytes = charm.bytes(this.#c.env.origin);
      return { parts: [start, ...head.parts, bytes, CHARM_RESULT_END], size: size + bytes.byteLength + CHARM_RESULT_END.length };
    }
  }

  /** A damaged charm must not prevent the refresh of the others of a model. */
  function damagedResult(c: Context<Env>, query: CharmRefreshItem["query"], error: unknown): string {
    return refusedResult(query, undefined, { code: "api-error", message: damageMessage(c.env, log, error) });
  }

  const info = get(URLS.charmInfo, async (c) => {
    const name = bareName(URLS.charmInfo.parse(c.req)?.name);
    const snapshot = await store.snapshot();
    const stored = await snapshot.package(name);
    const pkg = stored && retarget(stored, (await registryOf(snapshot)).for());
    if (!pkg || !newestRevision(pkg)) {
      missing.note({ type: "charm", name }, c.env.id, Date.now());
      throw new Failure("not-found", `No charm or bundle with name '${printable(name, 200)}'.`);
    }
    const fields = readFields(c.req.query("fields"));
    const channel = c.req.query("channel");
    const charmIds = await charmIdsOf(snapshot, pkg);
    const template = await infoTemplate(pkg, { fields, ...(channel && { channel }), charmIds, read, hasPages });
    return new CacheableReply([template.bytes(c.env.origin)]);
  });

  /** What was asked of the last search: clients ask for the same each time. */
  let lastFound: readonly string[] | undefined = JUJU_FIND_FIELDS;

  const foundTemplate = (pkg: Package, fields: readonly string[] | undefined) =>
    templates.get(pkg, `find ${fieldsKey(fields?.toSorted())}`, () => findTemplate(pkg, fields, hasPages));

  async function prepare(snapshot: Offer): Promise<void> {
    for (const name of snapshot.names) {
      await undefinedIfCorrupt(snapshot.package(name));
      await nextTurn();
    }
    for (const pkg of (await index.of(snapshot)).index.find({})) {
      await foundTemplate(pkg, lastFound);
      await nextTurn();
    }
  }

  const find = get(URLS.charmFind, async (c) => {
    const snapshot = await store.snapshot();
    const fields = readFields(c.req.query("fields"));
    const { index: packages, whole } = await index.of(snapshot);
    const found = packages.find(readCharmSearch((name) => c.req.query(name)));
    lastFound = fields;
    const parts = found.map(async (pkg) => (await foundTemplate(pkg, fields)).bytes(c.env.origin));
    const reply = new CacheableReply(findReply(await Promise.all(parts)));
    return whole ? reply : reply.response();
  });

  const revisions = get(URLS.resourceRevisions, async (c) => {
    const { charm = "", resource = "" } = URLS.resourceRevisions.parse(c.req) ?? {};
    const name = bareName(charm);
    const snapshot = await store.snapshot();
    const pkg = await snapshot.package(name);
    const template = pkg && resourceRevisionsTemplate(retarget(pkg, (await registryOf(snapshot)).for()), resource);
    if (!template) {
      missing.note({ type: "charm", name, ...(pkg && { resource: { name: resource } }) }, c.env.id, Date.now());
      throw new Failure("not-found", `No resource '${printable(resource, 200)}' of a charm with name '${printable(charm, 200)}'.`);
    }
    return new CacheableReply([template.bytes(c.env.origin)]);
  });

  const charmFile = get(URLS.charmFile, async (c) => {
    const file = URLS.charmFile.parse(c.req);
    const pkg = file && (await (await store.snapshot()).packageById(file.id));
    return send(c, pkg && findRevision(pkg, file.revision)?.blob);
  });

  const resourceFile = get(URLS.resourceFile, async (c) => {
    const file = URLS.resourceFile.parse(c.req);
    const pkg = file && (await (await store.snapshot()).packageById(file.id));
    const resource = pkg && findResource(pkg, file.resource, file.revision);
    return resource?.image && file?.sha256 !== undefined ? sendImage(c, resource, file.sha256) : send(c, resource?.blob);
  });

  return { dialect: "charmhub", routes: [refresh, info, find, revisions, charmFile, resourceFile], prepare };

  /** The JSON of an image for the current or a former registry, whichever has this sha256: the content of a URL never changes. */
  async function sendImage(c: Context<Env>, resource: ResourceRevision, sha256: string): Promise<Response> {
    const { current, former } = await registries();
    for (const registry of [current, ...former]) {
      const bytes = servedImage(resource, registry);
      const digest = bytes && sumsOf(bytes)["sha-256"];
      if (bytes && digest === sha256) return sendBlob(c, { object: inMemory(bytes), digest, filename: filenameOf(c) });
    }
    return send(c, undefined);
  }

  async function send(c: Context<Env>, digest: Digest | undefined): Promise<Response> {
    const filename = filenameOf(c);
    const object = digest && (await store.blob(digest));
    if (!object) throw new Failure("not-found", `No file '${printable(filename, 200)}'.`);
    return sendBlob(c, { object, digest, filename });
  }
}

/** What a refused client would need; undefined: nothing of the store, its request was wrong or is to be completed. */
function missingCharm(query: Query, pkg: Package | undefined, { code, resource }: Refusal): Missing | undefined {
  if (code === "name-not-found" || code === "id-not-found")
    return { type: "charm", name: query.name ?? query.id ?? "", ...(query.name === undefined && { byId: true }) };
  if (!pkg || (code !== "revision-not-found" && code !== "charm-resource-not-found")) return undefined;
  if (resource) return { type: "charm", name: pkg.name, resource };
  const { base, revision, channel = "stable" } = query;
  return {
    type: "charm",
    name: pkg.name,
    ...(revision === undefined ? { channel } : { revision }),
    ...(base && isConcrete(base) && { base: `${base.name}@${base.channel}` }),
    ...(base && base.architecture !== "" && { architecture: base.architecture }),
  };
}

/** Some clients write `ch:NAME`. */
function bareName(name = ""): string {
  return name.replace(/^ch:/, "");
}

function readCharmSearch(query: (name: string) => string | undefined): Question {
  const given = {
    text: query("q"),
    category: query("category"),
    channel: query("channel"),
    type: query("type"),
    publisher: query("publisher"),
    provides: query("relation-provides") || query("provides"),
    requires: query("relation-requires") || query("requires"),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== ""));
}

/** Ids of the charms that a bundle names, by name; empty: the charm is not stored. */
async function charmIdsOf(snapshot: Offer, pkg: Package): Promise<Map<string, string>> {
  const ids = (newestRevision(pkg)?.charms ?? []).map(async (name) => {
    const charm = await undefinedIfCorrupt(snapshot.package(name));
    return [name, charm && newestRevision(charm) ? charm.id : ""] as const;
  });
  return new Map(await Promise.all(ids));
}
