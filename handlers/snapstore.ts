/** The Snap Store API except assertions. What clients rely on: handlers/snapd.md. */

import type { Context } from "hono";
import { type Assertion, header, optionalHeader } from "../src/assertions/assertion.ts";
import { parseAssertions } from "../src/assertions/text.ts";
import { CANONICAL_ROOTS, Trust, verifyAll, verifySelfSigned } from "../src/assertions/verify.ts";
import type { AssertionSet } from "../src/catalog/assertionset.ts";
import { componentsOf, findComponent, findSnapRevision, newestSnapRevision, type Snap } from "../src/catalog/snap.ts";
import { resolveSnap, type SnapQuery, snapForQuery } from "../src/catalog/snapresolve.ts";
import { isVisible, SnapIndex, type SnapQuestion } from "../src/catalog/snapsearch.ts";
import type { Digest } from "../src/digest.ts";
import { Failure, printable, undefinedIfCorrupt } from "../src/errors.ts";
import { nextTurn } from "../src/turns.ts";
import type { Device, Sessions } from "../src/wire/session.ts";
import {
  categoriesReply,
  type FetchAssertions,
  fetchResult,
  foundTemplate,
  namesReply,
  noSnap,
  pinnedRevision,
  reachable,
  readCohortRequest,
  readSessionRequest,
  readSnapRefresh,
  SNAP_REFRESH_REPLY,
  SNAP_RESULT_END,
  type SnapItem,
  sectionsReply,
  snapFindReply,
  snapInfoTemplate,
  snapKey,
  snapQueryKey,
  snapRefusal,
  snapResult,
  snapResultStart,
  snapTemplate,
} from "../src/wire/snapstore.ts";
import { type Piece, pieceOf, type Template, TemplateCache } from "../src/wire/template.ts";
import { URLS } from "../src/wire/urls.ts";
import { filenameOf, sendBlob } from "./blobs.ts";
import { MAX_REFRESH, MAX_SMALL } from "./body.ts";
import type { Env, HandlerDeps } from "./call.ts";
import { damageMessage, IndexCache } from "./damage.ts";
import type { Missing, MissingRequests } from "./missingrequests.ts";
import type { Offer } from "./offer.ts";
import { type Element, replyInPieces } from "./pieces.ts";
import { replyWith, SnapshotCache } from "./replies.ts";
import { type Api, get, post, type Route } from "./routes.ts";

const HAL_TYPE = { "Content-Type": "application/hal+json" };

const NO_REGISTRATION = { message: "device registration is not available on this store" };
const NO_SHOP = "Nothing is sold or messaged here.";

const [START, END] = [pieceOf(SNAP_REFRESH_REPLY.start), pieceOf(SNAP_REFRESH_REPLY.end)];

/** The answer to one action without its instance key. */
interface SnapResult {
  /** of `snapResult` or `snapRefusal` */
  readonly head: Piece;
  /** of a success: what follows the head */
  readonly snap?: Template;
  /** what is not stored */
  readonly missing: readonly Missing[];
}

export function snapstoreRoutes({
  store,
  bodies,
  log,
  sessions,
  missing,
  cacheUse,
}: HandlerDeps & { readonly sessions: Sessions; readonly missing: MissingRequests }): Api {
  const results = new SnapshotCache<SnapResult>(cacheUse("snap refreshes"));
  const templates = new TemplateCache(cacheUse("snap revisions"));
  const read = (digest: Digest) => store.text(digest);
  const index = new IndexCache(
    log,
    "snaps",
    (snapshot) => snapshot.snaps(),
    (snaps: readonly Snap[], before?: SnapIndex) => new SnapIndex(snaps, before),
  );
  const trust = new Trust(CANONICAL_ROOTS);

  const refresh = post(URLS.snapRefresh, (c) => bodies.hold(c, MAX_REFRESH, (text, done) => refreshed(c, text, done)));

  async function refreshed(c: Context<Env>, body: string, done: () => void): Promise<Response> {
    const request = readSnapRefresh(body, deviceArchitecture(c));
    const { items, wantsYaml: yaml, wantsResources: resources, maxFormats } = request instanceof Promise ? await request : request;
    const snapshot = await store.snapshot();
    const brand = deviceOf(c)?.store;
    const { id, origin } = c.env;
    const cache = results.of(snapshot, undefined);
    const stored = items.some((item) => !("query" in item)) ? await snapshot.assertions() : undefined;

    const answer = async (item: SnapItem, name: string): Promise<SnapResult> => {
      const found = await findSnap(snapshot, item.query, brand);
      const query = await withPin(item, found, snapshot);
      const snap = snapForQuery(query, found);
      const outcome = resolveSnap(snap, query);
      if ("refusal" in outcome) {
        const refused = { head: pieceOf(snapRefusal(query, snap, outcome.refusal)), missing: [missingRelease(query, snap)] };
        cache.set(name, refused, 2 * refused.head.size);
        return refused;
      }
      const { ok } = outcome;
      const template = await templates.get(ok.snap, snapKey(ok, { yaml, resources }), () => snapTemplate(ok, { yaml, resources }, read));
      const result = {
        head: pieceOf(snapResult(ok)),
        snap: template,
        missing: resources ? missingComponents(ok.snap, ok.revision.revision) : [],
      };
      cache.set(name, result, 2 * result.head.size + template.size);
      return result;
    };
    const elementOf = (before: string, { query }: SnapItem, { head, snap, missing: absent }: SnapResult, again: boolean): Piece => {
      if (!again) for (const one of absent) missing.note(one, id, Date.now());
      const start = before + snapResultStart(snap ? query.action : "error", query.instanceKey);
      const size = Buffer.byteLength(start) + head.size;
      if (!snap) return { parts: [start, ...head.parts], size };
      const bytes = snap.bytes(origin);
      return { parts: [start, ...head.parts, bytes, SNAP_RESULT_END], size: size + bytes.byteLength + SNAP_RESULT_END.length };
    };

    const damaged = new Map<SnapItem, string>(); // logged once, and the same in both passes
    // A damaged snap must not prevent the refresh of the others of a machine.
    const compute = async (before: string, item: SnapItem, name: string, again: boolean): Promise<Piece> => {
      try {
        return elementOf(before, item, await answer(item, name), again);
      } catch (error) {
        const text =
          damaged.get(item) ?? snapRefusal(item.query, undefined, { code: "api-error", message: damageMessage(c.env, log, error) });
        damaged.set(item, text);
        return pieceOf(before + snapResultStart("error", item.query.instanceKey) + text);
      }
    };
    const common = JSON.stringify([brand, yaml, resources]);
    const element = (at: number, again: boolean): Element => {
      const item = items[at] as SnapItem | FetchAssertions;
      const before = at > 0 ? "," : "";
      if (!("query" in item)) return fetched(before, item);
      const name = `${common} ${snapQueryKey(item)}`;
      const cached = cache.get(name);
      return cached ? elementOf(before, item, cached, again) : compute(before, item, name, again);
    };
    function* fetched(before: string, item: FetchAssertions): Generator<Piece> {
      if (!stored) return;
      yield pieceOf(before);
      for (const text of fetchResult(item, stored, maxFormats, origin)) yield pieceOf(text);
    }
    return replyInPieces({ start: START, end: END, count: items.length, element, log, id, request: c.req.raw, done });
  }

  const info = get(URLS.snapInfo, async (c) => {
    const { name = "" } = URLS.snapInfo.parse(c.req) ?? {};
    const architecture = c.req.query("architecture") || deviceArchitecture(c);
    const fields = c.req.query("fields");
    const snap = installable(await (await store.snapshot()).snap(name), deviceOf(c)?.store);
    if (!snap && fields === "download" && (name === "snapd" || name === "core")) return c.json(reachable(name, architecture, c.env.origin));
    const resources = fields?.split(",").includes("resources") ?? false;
    if (!snap) throw noSnap(name, architecture);
    const key = `info ${architecture} ${resources}`;
    const template = await templates.get(snap, key, async () => snapInfoTemplate(snap, architecture, resources));
    return replyWith(new Blob([template.bytes(c.env.origin)]));
  });

  async function prepare(snapshot: Offer): Promise<void> {
    for (const name of snapshot.snapNames) {
      await undefinedIfCorrupt(snapshot.snap(name));
      await nextTurn();
    }
    await index.of(snapshot);
  }

  const find = get(URLS.snapFind, async (c) => {
    const found = (await index.of(await store.snapshot())).index.find(readSnapSearch(c, deviceOf(c)));
    const parts = found.map(async (match) => {
      const key = `found ${match.revision.revision} ${match.release.channel}`;
      return (await templates.get(match.snap, key, async () => foundTemplate(match))).bytes(c.env.origin);
    });
    return replyWith(new Blob(snapFindReply(await Promise.all(parts))));
  });

  const readCategories = async () => (await index.of(await store.snapshot())).index.categories();

  const categories = get(URLS.snapCategories, async (c) => c.json(categoriesReply(await readCategories())));

  const sections = get(URLS.snapSections, async (c) => c.body(JSON.stringify(sectionsReply(await readCategories())), 200, HAL_TYPE));

  const names = get(URLS.snapNames, async (c) => {
    const snapshot = await store.snapshot();
    const found = (await index.of(snapshot)).index.find(readSnapSearch(c, deviceOf(c)));
    return c.body(JSON.stringify(namesReply(found, await snapshot.assertions())), 200, HAL_TYPE);
  });

  // A cohort keeps machines on the same revision during a progressive release; this store has no progressive releases.
  const cohorts = post(URLS.cohorts, (c) => bodies.use(c, MAX_SMALL, (text) => openCohorts(c, text)));

  async function openCohorts(c: Context<Env>, body: string): Promise<Response> {
    const requested = readCohortRequest(body);
    const snapshot = await store.snapshot();
    const brand = deviceOf(c)?.store;
    const keys: [string, string][] = [];
    for (const name of requested) {
      const snap = installable(await snapshot.snap(name), brand);
      if (!snap) throw new Failure("not-found", `No snap named '${printable(name, 200)}'.`);
      keys.push([name, Buffer.from(JSON.stringify({ "snap-id": snap.id, generation: snapshot.number })).toString("base64url")]);
    }
    return c.json({ "cohort-keys": Object.fromEntries(keys) });
  }

  const nonces = post(URLS.nonces, (c) => c.json({ nonce: sessions.nonce(Date.now()) }));

  const openSession = post(URLS.sessions, (c) =>
    bodies.use(c, MAX_SMALL, async (text) => {
      const request = readSessionRequest(text);
      const stored = await (await store.snapshot()).assertions();
      return c.json({ macaroon: sessions.open(deviceFrom(request, stored, sessions, trust)) });
    }),
  );

  const noRegistration = [URLS.registrationId, URLS.registration].map(
    (url): Route => ({ method: "ALL", url, handle: (c) => c.json(NO_REGISTRATION, 404) }),
  );

  const noShop = [URLS.messages, URLS.repairs, URLS.purchases].map(
    (url): Route => ({
      method: "ALL",
      url,
      handle: () => {
        throw new Failure("not-found", NO_SHOP);
      },
    }),
  );

  const snapFile = get(URLS.snapFile, async (c) => {
    const file = URLS.snapFile.parse(c.req);
    const snap = file && (await visibleById(c, file.id));
    if (!file || !snap) return send(c, undefined);
    const { component, revision } = file;
    const found = component === undefined ? findSnapRevision(snap, revision) : findComponent(snap, component, revision);
    return send(c, found?.blob);
  });

  const snapIcon = get(URLS.snapIcon, async (c) => {
    const file = URLS.snapIcon.parse(c.req);
    const snap = file && (await visibleById(c, file.id));
    const icon = snap && findSnapRevision(snap, file.revision)?.icon;
    return send(c, icon?.extension === file?.extension ? icon?.blob : undefined);
  });

  return {
    dialect: "snapd",
    routes: [
      refresh,
      info,
      find,
      categories,
      sections,
      names,
      cohorts,
      nonces,
      openSession,
      ...noRegistration,
      ...noShop,
      snapFile,
      snapIcon,
    ].map(
      (route): Route => ({
        ...route,
        handle: async (c) => {
          await sessions.ready(Date.now());
          return route.handle(c);
        },
      }),
    ),
    prepare,
  };

  async function visibleById(c: Context<Env>, id: string): Promise<Snap | undefined> {
    return visible(await (await store.snapshot()).snapById(id), deviceOf(c)?.store);
  }

  async function send(c: Context<Env>, digest: Digest | undefined): Promise<Response> {
    const filename = filenameOf(c);
    const object = digest && (await store.blob(digest));
    if (!object) throw new Failure("not-found", `No file '${printable(filename, 200)}'.`);
    return sendBlob(c, { object, digest, filename, lenient: true });
  }

  function deviceOf(c: Context<Env>): Device | undefined {
    return sessions.device(c.req.header("Snap-Device-Authorization") ?? c.req.header("X-Device-Authorization"));
  }
}

/** The v1 and v2 APIs name the header differently (handlers/snapd.md, Request headers). */
function deviceArchitecture(c: Context<Env>): string {
  return c.req.header("Snap-Device-Architecture") || c.req.header("X-Ubuntu-Architecture") || "amd64";
}

function visible(snap: Snap | undefined, brand: string | undefined): Snap | undefined {
  return snap && isVisible(snap, brand) ? snap : undefined;
}

/** The snap, if at least one revision can be installed without an explicit number. */
function installable(snap: Snap | undefined, brand: string | undefined): Snap | undefined {
  return snap && newestSnapRevision(snap) && visible(snap, brand);
}

async function findSnap(snapshot: Offer, { id, name }: SnapQuery, brand: string | undefined): Promise<Snap | undefined> {
  return visible(await (id === undefined ? snapshot.snap(name ?? "") : snapshot.snapById(id)), brand);
}

/** The query, with the revision that an enforced validation set pins if the client names none. */
async function withPin({ query, sets }: SnapItem, snap: Snap | undefined, snapshot: Offer): Promise<SnapQuery> {
  if (sets.length === 0 || !snap || query.revision !== undefined) return query;
  const revision = pinnedRevision(sets, snap, await snapshot.assertions());
  return revision === undefined ? query : { ...query, revision };
}

function missingRelease({ name, id, revision, channel, architecture }: SnapQuery, snap: Snap | undefined): Missing {
  if (!snap) return { type: "snap", name: name ?? id ?? "", ...(name === undefined && { byId: true }) };
  return { type: "snap", name: snap.name, ...(revision === undefined ? { channel: channel ?? "stable" } : { revision }), architecture };
}

/** Missing components: a machine with one of them installed can't refresh any snap (handlers/snapd.md, Components). */
function missingComponents(snap: Snap, revision: number): Missing[] {
  const declared = findSnapRevision(snap, revision)?.components ?? [];
  if (declared.length === 0) return [];
  const stored = new Set(componentsOf(snap, revision).map(([name]) => name));
  return declared.filter((name) => !stored.has(name)).map((component) => ({ type: "snap", name: snap.name, revision, component }));
}

function readSnapSearch(c: Context<Env>, device: Device | undefined): SnapQuestion {
  const given = {
    text: c.req.query("q"),
    name: c.req.query("name"),
    commonId: c.req.query("common-id"),
    category: c.req.query("category") || c.req.query("section"),
    channel: c.req.query("channel"),
    store: device?.store,
  };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== "")),
    architecture: c.req.query("architecture") || deviceArchitecture(c),
    confinements: (c.req.query("confinement") ?? "").split(",").filter(Boolean),
  };
}

/** The device of a session request. It gets its brand store only if serial and model verify up to a trusted root. */
function deviceFrom(request: ReturnType<typeof readSessionRequest>, stored: AssertionSet, sessions: Sessions, trust: Trust): Device {
  const read = (name: keyof typeof request): Assertion => {
    const [first] = parseAssertions(Buffer.from(request[name]), name);
    if (first?.type !== name.replace(/-assertion$/, "")) throw new Failure("malformed", `${name} is not such an assertion`);
    return first;
  };
  const [session, serial, model] = [read("device-session-request"), read("serial-assertion"), read("model-assertion")];
  if (!sessions.isFresh(header(session, "nonce"), Date.now()))
    throw new Failure("malformed", "device-session-request: its nonce is unknown or too old");
  const wrong = verifySelfSigned(session, header(serial, "device-key"));
  if (wrong !== undefined) throw new Failure("malformed", `device-session-request: ${wrong}`);
  const [brand, name] = [header(serial, "brand-id"), header(serial, "model")];
  if (
    ["brand-id", "model", "serial"].some((field) => header(session, field) !== header(serial, field)) ||
    model.key[1] !== brand ||
    model.key[2] !== name
  )
    throw new Failure("malformed", "the three assertions are not of one device");
  const find = (type: string, key: readonly string[]) => stored.verified(type, key)[0];
  const { refused } = verifyAll([serial, model], { trust, find, now: new Date() });
  const store = refused.length === 0 ? optionalHeader(model, "store") : undefined;
  return { brand, model: name, serial: header(serial, "serial"), ...(store !== undefined && { store }) };
}
