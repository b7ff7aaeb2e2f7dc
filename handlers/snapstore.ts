/** The Snap Store API, but for assertions. Routes and replies: contract/snapd.md §1 to §5, §7. */

import { type Context, Hono } from "hono";
import { header, optionalHeader } from "../src/assertions/assertion.ts";
import { parseAssertions } from "../src/assertions/text.ts";
import { CANONICAL_ROOTS, Trust, verifyAll, verifySelfSigned } from "../src/assertions/verify.ts";
import type { AssertionSet } from "../src/catalog/assertionset.ts";
import { componentsOf, findComponent, findSnapRevision, newestSnapRevision, type Snap } from "../src/catalog/snap.ts";
import { knownTo, resolveSnap, type SnapQuery } from "../src/catalog/snapresolve.ts";
import { isVisible, SnapIndex, type SnapQuestion } from "../src/catalog/snapsearch.ts";
import type { Digest } from "../src/digest.ts";
import { Failure, printable } from "../src/errors.ts";
import type { Device, Sessions } from "../src/wire/session.ts";
import {
  categoriesReply,
  fetchResult,
  foundTemplate,
  namesReply,
  noSnap,
  pinnedRevision,
  reachable,
  readCohortRequest,
  readSessionRequest,
  readSnapRefresh,
  type SnapItem,
  sectionsReply,
  snapFindReply,
  snapInfoTemplate,
  snapKey,
  snapRefreshReply,
  snapRefusal,
  snapResult,
  snapTemplate,
} from "../src/wire/snapstore.ts";
import { TemplateCache } from "../src/wire/template.ts";
import { sendBlob } from "./blobs.ts";
import { readBody } from "./body.ts";
import type { Env, Parts } from "./call.ts";
import { Latest, toldOfDamage } from "./damage.ts";
import { snapErrors } from "./errors.ts";
import type { MissingList } from "./missing.ts";
import type { Offer } from "./offer.ts";
import { replyWith } from "./replies.ts";

/** Assertion groups of 256 snaps a request, and every installed snap as context. */
const MAX_REFRESH = 16 * 2 ** 20;
const MAX_SMALL = 2 ** 20;

const HAL_TYPE = { "Content-Type": "application/hal+json" };

const NO_REGISTRATION = { message: "device registration is not available on this store" };
const NO_SHOP = "Nothing is sold or messaged here.";

export function snapstore({
  store,
  log,
  sessions,
  missing,
}: Parts & { readonly sessions: Sessions; readonly missing: MissingList }): Hono<Env> {
  const app = snapErrors(new Hono<Env>());
  const templates = new TemplateCache();
  const read = (digest: Digest) => store.text(digest);
  const index = new Latest(
    log,
    "snaps",
    (snapshot) => snapshot.snaps(),
    (snaps: readonly Snap[], before?: SnapIndex) => new SnapIndex(snaps, before),
  );
  const trust = new Trust(CANONICAL_ROOTS);

  app.post("/v2/snaps/refresh", async (c) => {
    const {
      items,
      wantsYaml: yaml,
      wantsResources: resources,
      maxFormats,
    } = readSnapRefresh(await readBody(c, MAX_REFRESH), architectureOf(c));
    const snapshot = await store.snapshot();
    const brand = deviceOf(c)?.store;
    const origin = c.env.origin;
    const answer = async (item: SnapItem): Promise<string> => {
      const held = await findSnap(snapshot, item.query, brand);
      const query = await withPin(item, held, snapshot);
      const snap = knownTo(query, held);
      const outcome = resolveSnap(snap, query);
      if ("refusal" in outcome) {
        missing.note(lackOf(query, snap), Date.now());
        return snapRefusal(query, snap, outcome.refusal);
      }
      const { ok } = outcome;
      if (resources) for (const lack of lackingComponents(ok.snap, ok.revision.revision)) missing.note(lack, Date.now());
      const template = await templates.get(ok.snap, snapKey(ok, { yaml, resources }), () => snapTemplate(ok, { yaml, resources }, read));
      return snapResult(query, ok, template.render(origin));
    };
    // One snap that is damaged must not keep the others of a machine from being refreshed.
    const broken = ({ query }: SnapItem, error: unknown) =>
      snapRefusal(query, undefined, { code: "api-error", message: toldOfDamage(c.env, log, error) });
    const results: string[] = [];
    for (const item of items)
      results.push(
        "query" in item
          ? await answer(item).catch((error: unknown) => broken(item, error))
          : fetchResult(item, await snapshot.assertions(), maxFormats, origin),
      );
    return replyWith(snapRefreshReply(results));
  });

  app.get("/v2/snaps/info/:name", async (c) => {
    const name = c.req.param("name");
    const architecture = c.req.query("architecture") || architectureOf(c);
    const fields = c.req.query("fields");
    const snap = offered(await (await store.snapshot()).snap(name), deviceOf(c)?.store);
    if (!snap && fields === "download" && (name === "snapd" || name === "core")) return c.json(reachable(name, architecture, c.env.origin));
    const resources = fields?.split(",").includes("resources") ?? false;
    if (!snap) throw noSnap(name, architecture);
    const key = `info ${architecture} ${resources}`;
    const template = await templates.get(snap, key, async () => snapInfoTemplate(snap, architecture, resources));
    return replyWith(template.render(c.env.origin));
  });

  app.get("/v2/snaps/find", async (c) => {
    const found = (await index.of(await store.snapshot())).index.find(question(c, deviceOf(c)));
    const results = found.map(async (one) => {
      const key = `found ${one.revision.revision} ${one.release.channel}`;
      return (await templates.get(one.snap, key, async () => foundTemplate(one))).render(c.env.origin);
    });
    return replyWith(snapFindReply(await Promise.all(results)));
  });

  app.get("/v2/snaps/categories", async (c) => c.json(categoriesReply((await index.of(await store.snapshot())).index.categories())));

  app.get("/api/v1/snaps/sections", async (c) =>
    c.body(JSON.stringify(sectionsReply((await index.of(await store.snapshot())).index.categories())), 200, HAL_TYPE),
  );

  app.get("/api/v1/snaps/names", async (c) => {
    const snapshot = await store.snapshot();
    const found = (await index.of(snapshot)).index.find(question(c, deviceOf(c)));
    return c.body(JSON.stringify(namesReply(found, await snapshot.assertions())), 200, HAL_TYPE);
  });

  // A cohort keeps machines on one revision of a progressive release; here every release is whole at once.
  app.post("/v2/cohorts", async (c) => {
    const names = readCohortRequest(await readBody(c, MAX_SMALL));
    const snapshot = await store.snapshot();
    const brand = deviceOf(c)?.store;
    const keys: [string, string][] = [];
    for (const name of names) {
      const snap = offered(await snapshot.snap(name), brand);
      if (!snap) throw new Failure("not-found", `No snap named '${printable(name, 200)}'.`);
      keys.push([name, Buffer.from(JSON.stringify({ "snap-id": snap.id, generation: snapshot.number })).toString("base64url")]);
    }
    return c.json({ "cohort-keys": Object.fromEntries(keys) });
  });

  app.post("/api/v1/snaps/auth/nonces", (c) => c.json({ nonce: sessions.nonce(Date.now()) }));

  app.post("/api/v1/snaps/auth/sessions", async (c) => {
    const request = readSessionRequest(await readBody(c, MAX_SMALL));
    const held = await (await store.snapshot()).assertions();
    return c.json({ macaroon: sessions.open(deviceFrom(request, held, sessions, trust)) });
  });

  for (const path of ["/api/v1/snaps/auth/request-id", "/api/v1/snaps/auth/devices"]) app.all(path, (c) => c.json(NO_REGISTRATION, 404));
  for (const path of ["/v2/messages", "/v2/repairs/*", "/api/v1/snaps/purchases/*"])
    app.all(path, () => {
      throw new Failure("not-found", NO_SHOP);
    });

  // `ID_REVISION.snap`, `ID.COMPONENT_REVISION.comp`
  app.get("/api/v1/snaps/download/:file", async (c) => {
    const file = c.req.param("file");
    const [, id = "", component, revision = ""] = /^([A-Za-z0-9]+)(?:\.([a-z0-9-]+))?_(\d+)\.(?:snap|comp)$/.exec(file) ?? [];
    const snap = visible(await (await store.snapshot()).snapById(id), deviceOf(c)?.store);
    const found =
      snap && (component === undefined ? findSnapRevision(snap, Number(revision)) : findComponent(snap, component, Number(revision)));
    return send(c, file, found?.blob);
  });

  // `ID_REVISION.png`
  app.get("/api/v1/snaps/icons/:file", async (c) => {
    const file = c.req.param("file");
    const [, id = "", revision = "", extension] = /^([A-Za-z0-9]+)_(\d+)\.(png|svg)$/.exec(file) ?? [];
    const snap = visible(await (await store.snapshot()).snapById(id), deviceOf(c)?.store);
    const icon = snap && findSnapRevision(snap, Number(revision))?.icon;
    return send(c, file, icon?.extension === extension ? icon?.blob : undefined);
  });

  return app;

  async function send(c: Context, filename: string, digest: Digest | undefined): Promise<Response> {
    const object = digest && (await store.blob(digest));
    if (!object) throw new Failure("not-found", `No file '${printable(filename, 200)}'.`);
    return sendBlob(c, { object, digest, filename, lenient: true });
  }

  function deviceOf(c: Context): Device | undefined {
    return sessions.device(c.req.header("Snap-Device-Authorization") ?? c.req.header("X-Device-Authorization"));
  }
}

/** The two families of requests name it differently. */
function architectureOf(c: Context): string {
  return c.req.header("Snap-Device-Architecture") || c.req.header("X-Ubuntu-Architecture") || "amd64";
}

function visible(snap: Snap | undefined, brand: string | undefined): Snap | undefined {
  return snap && isVisible(snap, brand) ? snap : undefined;
}

/** One that has more than what is had by its number alone. */
function offered(snap: Snap | undefined, brand: string | undefined): Snap | undefined {
  return snap && newestSnapRevision(snap) && visible(snap, brand);
}

async function findSnap(snapshot: Offer, { id, name }: SnapQuery, brand: string | undefined): Promise<Snap | undefined> {
  return visible(await (id === undefined ? snapshot.snap(name ?? "") : snapshot.snapById(id)), brand);
}

/** The query at the revision that an enforced validation set pins, where the client names none. */
async function withPin({ query, sets }: SnapItem, snap: Snap | undefined, snapshot: Offer): Promise<SnapQuery> {
  if (sets.length === 0 || !snap || query.revision !== undefined) return query;
  const revision = pinnedRevision(sets, snap, await snapshot.assertions());
  return revision === undefined ? query : { ...query, revision };
}

function lackOf({ name, id, revision, channel, architecture }: SnapQuery, snap: Snap | undefined): string {
  const which = printable(snap?.name ?? name ?? `with the id ${id}`, 100);
  if (!snap) return `snap ${which}`;
  const what = revision === undefined ? `a release in ${printable(channel ?? "stable", 100)}` : `revision ${revision}`;
  return `${what} of snap ${which} for ${printable(architecture, 20)}`;
}

/** A machine that has one of these can't refresh any of its snaps. */
function lackingComponents(snap: Snap, revision: number): string[] {
  const declared = findSnapRevision(snap, revision)?.components ?? [];
  if (declared.length === 0) return [];
  const had = new Set(componentsOf(snap, revision).map(([name]) => name));
  return declared.filter((name) => !had.has(name)).map((name) => `component ${name} of revision ${revision} of snap ${snap.name}`);
}

function question(c: Context, device: Device | undefined): SnapQuestion {
  const asked = {
    text: c.req.query("q"),
    name: c.req.query("name"),
    commonId: c.req.query("common-id"),
    category: c.req.query("category") || c.req.query("section"),
    channel: c.req.query("channel"),
    store: device?.store,
  };
  return {
    ...Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined && value !== "")),
    architecture: c.req.query("architecture") || architectureOf(c),
    confinements: (c.req.query("confinement") ?? "").split(",").filter(Boolean),
  };
}

/** The device of a session request. Only what verifies up to a root makes it one of a brand store. */
function deviceFrom(request: ReturnType<typeof readSessionRequest>, held: AssertionSet, sessions: Sessions, trust: Trust): Device {
  const [session, serial, model] = (["device-session-request", "serial-assertion", "model-assertion"] as const).map((name) => {
    const [first] = parseAssertions(Buffer.from(request[name]), name);
    if (first?.type !== name.replace(/-assertion$/, "")) throw new Failure("malformed", `${name} is not such an assertion`);
    return first;
  });
  if (!session || !serial || !model) throw new Failure("malformed", "three assertions are needed");
  if (!sessions.isFresh(header(session, "nonce"), Date.now()))
    throw new Failure("malformed", "device-session-request: its nonce is none of ours, or too old");
  const wrong = verifySelfSigned(session, header(serial, "device-key"));
  if (wrong !== undefined) throw new Failure("malformed", `device-session-request: ${wrong}`);
  const [brand, name] = [header(serial, "brand-id"), header(serial, "model")];
  if (
    ["brand-id", "model", "serial"].some((one) => header(session, one) !== header(serial, one)) ||
    model.key[1] !== brand ||
    model.key[2] !== name
  )
    throw new Failure("malformed", "the three assertions are not of one device");
  const find = (type: string, key: readonly string[]) => held.verified(type, key)[0];
  const { refused } = verifyAll([serial, model], { trust, find, now: new Date() });
  const store = refused.length === 0 ? optionalHeader(model, "store") : undefined;
  return { brand, model: name, serial: header(serial, "serial"), ...(store !== undefined && { store }) };
}
