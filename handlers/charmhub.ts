/** The Charmhub API. Routes and replies: contract/juju.md §1, §2, §5. */

import { type Context, Hono } from "hono";
import { preferredBase } from "../src/catalog/base.ts";
import { findResource, findRevision, newestRevision, type Package, type ResourceRevision } from "../src/catalog/package.ts";
import { NO_REGISTRY, retarget, servedImage } from "../src/catalog/registry.ts";
import { knownTo, resolve } from "../src/catalog/resolve.ts";
import { type Question, SearchIndex } from "../src/catalog/search.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import { Failure, printable } from "../src/errors.ts";
import {
  charmKey,
  charmTemplate,
  fieldsKey,
  findReply,
  findTemplate,
  infoTemplate,
  queryKey,
  type RefreshItem,
  type RefreshResult,
  readFields,
  readRefresh,
  refreshReply,
  refusedResult,
  resolvedResult,
  resourceRevisions,
} from "../src/wire/charmhub.ts";
import { TemplateCache } from "../src/wire/template.ts";
import { inMemory, sendBlob } from "./blobs.ts";
import { readBody } from "./body.ts";
import type { Env, Parts } from "./call.ts";
import { Latest, toldOfDamage, unlessDamaged } from "./damage.ts";
import type { Offer } from "./offer.ts";
import { Lasting, lasting, replyWith } from "./replies.ts";

/** A revision check carries a whole model: 1,000 applications are about 500 KiB. */
const MAX_REFRESH = 16 * 2 ** 20;

export function charmhub({ store, log, registries = () => NO_REGISTRY }: Parts): Hono<Env> {
  const app = new Hono<Env>();
  const answers = new Lasting<string>();
  const templates = new TemplateCache();
  const read = (digest: Digest) => store.text(digest);
  const index = new Latest(
    log,
    "packages",
    (snapshot) => snapshot.packages(),
    (packages: readonly Package[], before?: SearchIndex) => new SearchIndex(packages, before),
  );

  app.post("/v2/charms/refresh", async (c) => {
    const preferred = preferredBase(c.req.header("User-Agent") ?? "");
    const { items, fields } = readRefresh(await readBody(c, MAX_REFRESH), preferred);
    const snapshot = await store.snapshot();
    const { current } = await registries();
    const [kept, key] = [answers.of(snapshot, current), fieldsKey(fields)];
    const answer = async ({ query, refusal }: RefreshItem) => {
      const name = `${c.env.origin} ${key} ${queryKey(query)}`;
      const before = refusal ? undefined : kept.get(name);
      if (before !== undefined) return before;
      const held = await (query.id === undefined ? snapshot.package(query.name ?? "") : snapshot.packageById(query.id));
      const known = knownTo(query, held);
      const pkg = known && retarget(known, current);
      const outcome = refusal ? { refusal } : resolve(pkg, query);
      if ("refusal" in outcome) return refusedResult(query, pkg, outcome.refusal);
      const { ok } = outcome;
      const charm = await templates.get(ok.package, charmKey(ok, key), () => charmTemplate(ok, fields, read));
      const text = resolvedResult(query, ok, charm.render(c.env.origin));
      kept.set(name, text, text.length);
      return text;
    };
    const results: RefreshResult[] = [];
    for (const item of items)
      results.push({
        instanceKey: item.query.instanceKey,
        rest: await answer(item).catch((error: unknown) => broken(c, item.query, error)),
      });
    return replyWith(refreshReply(results));
  });

  /** One charm that is damaged must not keep the others of a model from being refreshed. */
  function broken(c: Context<Env>, query: RefreshItem["query"], error: unknown): string {
    return refusedResult(query, undefined, { code: "api-error", message: toldOfDamage(c.env, log, error) });
  }

  app.get("/v2/charms/info/:name", async (c) => {
    const name = c.req.param("name").replace(/^ch:/, "");
    const snapshot = await store.snapshot();
    const held = await snapshot.package(name);
    const pkg = held && retarget(held, (await registries()).current);
    if (!pkg || !newestRevision(pkg)) throw new Failure("not-found", `No charm or bundle with name '${printable(name, 200)}'.`);
    const fields = readFields(c.req.query("fields"));
    const channel = c.req.query("channel");
    const charmIds = await idsOf(snapshot, pkg);
    const template = await infoTemplate(pkg, { fields, ...(channel && { channel }), charmIds, read });
    return lasting(c, template.render(c.env.origin));
  });

  app.get("/v2/charms/find", async (c) => {
    const snapshot = await store.snapshot();
    const fields = readFields(c.req.query("fields"));
    const { index: packages, whole } = await index.of(snapshot);
    const found = packages.find(question((name) => c.req.query(name)));
    const key = `find ${fieldsKey(fields)}`;
    const results = found.map(async (pkg) => (await templates.get(pkg, key, () => findTemplate(pkg, fields))).render(c.env.origin));
    const reply = findReply(await Promise.all(results));
    return whole ? lasting(c, reply) : replyWith(reply);
  });

  app.get("/v2/charms/resources/:charm/:resource/revisions", async (c) => {
    const { charm, resource } = c.req.param();
    const pkg = await (await store.snapshot()).package(charm.replace(/^ch:/, ""));
    const template = pkg && resourceRevisions(retarget(pkg, (await registries()).current), resource);
    if (!template)
      throw new Failure("not-found", `No resource '${printable(resource, 200)}' of a charm with name '${printable(charm, 200)}'.`);
    return lasting(c, template.render(c.env.origin));
  });

  // `ID_REVISION.charm`, `ID_REVISION.bundle`
  app.get("/api/v1/charms/download/:file", async (c) => {
    const file = c.req.param("file");
    const [, id = "", revision = ""] = /^(.+)_(\d+)\.(?:charm|bundle|zip)$/.exec(file) ?? [];
    const pkg = await (await store.snapshot()).packageById(id);
    return send(c, file, pkg && findRevision(pkg, Number(revision))?.blob);
  });

  // `charm_ID.RESOURCE_REVISION`
  app.get("/api/v1/resources/download/:file", async (c) => {
    const file = c.req.param("file");
    const [, id = "", name = "", revision = ""] = /^charm_([^.]+)\.(.+)_(\d+)$/.exec(file) ?? [];
    const pkg = await (await store.snapshot()).packageById(id);
    const resource = pkg && findResource(pkg, name, Number(revision));
    return resource?.image ? sendImage(c, file, resource) : send(c, file, resource?.blob);
  });

  return app;

  /** Every URL names bytes that never change: an image's own, or with `sha256` those for a registry of now or lately. */
  async function sendImage(c: Context, filename: string, resource: ResourceRevision): Promise<Response> {
    const wanted = c.req.query("sha256");
    if (wanted === undefined) return send(c, filename, resource.blob);
    const { current, former } = await registries();
    for (const registry of [current, ...former]) {
      const bytes = servedImage(resource, registry);
      const digest = bytes && sumsOf(bytes)["sha-256"];
      if (bytes && digest === wanted) return sendBlob(c, { object: inMemory(bytes), digest, filename });
    }
    return send(c, filename, undefined);
  }

  async function send(c: Context, filename: string, digest: Digest | undefined): Promise<Response> {
    const object = digest && (await store.blob(digest));
    if (!object) throw new Failure("not-found", `No file '${printable(filename, 200)}'.`);
    return sendBlob(c, { object, digest, filename });
  }
}

function question(query: (name: string) => string | undefined): Question {
  const asked = {
    text: query("q"),
    category: query("category"),
    channel: query("channel"),
    type: query("type"),
    publisher: query("publisher"),
    provides: query("relation-provides") || query("provides"),
    requires: query("relation-requires") || query("requires"),
  };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined && value !== ""));
}

async function idsOf(snapshot: Offer, pkg: Package): Promise<Map<string, string>> {
  const ids = (newestRevision(pkg)?.charms ?? []).map(async (name) => {
    const charm = await unlessDamaged(snapshot.package(name));
    return [name, charm && newestRevision(charm) ? charm.id : ""] as const;
  });
  return new Map(await Promise.all(ids));
}
