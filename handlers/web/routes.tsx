/** The pages for people: what is here, what is missing, how to point a machine here. They only read, and show nothing that is secret. */

import type { Context } from "hono";
import { neededImages } from "../../src/catalog/images.ts";
import { StoredImages } from "../../src/catalog/imagesources.ts";
import { type Listable, Listing } from "../../src/catalog/listing.ts";
import { overridesOf } from "../../src/catalog/override.ts";
import { newestRevision } from "../../src/catalog/package.ts";
import { needsOfPackage, needsOfSnap, resourcesOf } from "../../src/catalog/packageneeds.ts";
import { originsOf } from "../../src/catalog/provenance.ts";
import { NO_REGISTRY } from "../../src/catalog/registry.ts";
import { findSnapRevision, newestSnapRevision } from "../../src/catalog/snap.ts";
import { plausibleTime } from "../../src/clock.ts";
import { type Failure, isCorrupt } from "../../src/errors.ts";
import { assertionsOfSnap } from "../../src/wire/storestream.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import { sendBlob } from "../blobs.ts";
import type { Env, HandlerDeps, Web } from "../call.ts";
import { damageMessage, IndexCache } from "../damage.ts";
import type { MissingRequests } from "../missingrequests.ts";
import type { Clock, Offer } from "../offer.ts";
import { CacheableReply, replyAs } from "../replies.ts";
import { type Api, get, type Handler, type Route } from "../routes.ts";
import { agentsPage } from "./agents.tsx";
import { ASSETS } from "./assets.ts";
import { damagedPage, eitherPage, nothingPage } from "./errorpages.tsx";
import { History } from "./history.ts";
import { imagePage } from "./image.tsx";
import { IMAGE_HEADERS, NO_SNIFFING, PAGE_HEADERS, type Site } from "./layout.tsx";
import { listPage, readQuestion } from "./list.tsx";
import { manualIndex, manualPage } from "./manual.tsx";
import { packagePage } from "./package.tsx";
import { pathOf } from "./parts.tsx";
import { setupPage } from "./setup.tsx";
import { snapPage } from "./snap.tsx";
import { stateOf } from "./state.ts";
import { type StoreState, statusPage } from "./status.tsx";

export interface WebContext {
  readonly missing: Pick<MissingRequests, "all">;
  /** path of the public URL, without a slash at its end */
  readonly prefix: string;
  readonly clock: Clock;
  /** why an earlier generation is served instead of the newest */
  readonly damage: () => Failure | undefined;
}

/** Imports that the page of the status shows. */
const LAST_IMPORTS = 8;
const IMAGE_TYPES = { png: "image/png", svg: "image/svg+xml" } as const;
const FOREVER = { "Cache-Control": "public, max-age=31536000, immutable" };
const ASSERTIONS = { "Content-Type": "application/x.ubuntu.assertion", ...NO_SNIFFING };

export function webRoutes(
  { store, log, registries = () => NO_REGISTRY }: HandlerDeps,
  web: Web,
  { missing, prefix, clock, damage }: WebContext,
): Api {
  const history = new History(web.history);
  const states = new WeakMap<Offer, Promise<StoreState>>();
  const index = new IndexCache<Listable, Listing>(
    log,
    undefined,
    async (snapshot) => [
      ...(await snapshot.packages()),
      ...(await snapshot.snaps()),
      ...(await snapshot.of.repositories()),
      ...(await snapshot.agents()),
    ],
    (all, before) => new Listing(all, before),
  );

  const siteOf = (c: Context<Env>): Site => ({ prefix, origin: c.env.origin });
  const nowFor = (snapshot: Offer) => plausibleTime(clock(), snapshot.of.time);
  /** Undefined: chp's own, or none. */
  const otherRegistry = async () => {
    const { current } = await registries();
    return current && !current.own ? current.domain : undefined;
  };

  const list = page(PAGE_URLS.list, async (c) => {
    const { index: listing, whole } = await index.of(await store.snapshot());
    const unreadable = whole ? [] : await (await store.snapshot()).unreadable();
    const html = listPage(siteOf(c), listing, readQuestion(PAGE_URLS.list.parse(c.req) ?? {}), unreadable.length);
    return whole ? lasting(html) : replyAs(PAGE_HEADERS, html);
  });

  const charm = page(PAGE_URLS.charm, async (c) => {
    const { name = "" } = PAGE_URLS.charm.parse(c.req) ?? {};
    const snapshot = await store.snapshot();
    const pkg = await snapshot.package(name);
    const stored = await snapshot.of.package(name);
    if (!pkg || !stored || !newestRevision(pkg)) return undefined;
    const names = new Set(snapshot.names);
    return lasting(
      packagePage(siteOf(c), {
        pkg,
        overrides: overridesOf(stored, nowFor(snapshot)),
        needs: needsOfPackage(pkg, await snapshot.snaps(), (charmName) => names.has(charmName)),
        resources: resourcesOf(pkg, await snapshot.of.repositories()),
        registry: await otherRegistry(),
        origins: originsOf(await history.of(snapshot.of), ({ changed }) => changed, name),
      }),
    );
  });

  const snap = page(PAGE_URLS.snap, async (c) => {
    const { name = "" } = PAGE_URLS.snap.parse(c.req) ?? {};
    const snapshot = await store.snapshot();
    const offered = await snapshot.snap(name);
    const stored = await snapshot.of.snap(name);
    if (!offered || !stored || !newestSnapRevision(offered)) return undefined;
    return lasting(
      snapPage(siteOf(c), {
        snap: offered,
        overrides: overridesOf(stored, nowFor(snapshot)),
        needs: needsOfSnap(offered, await snapshot.snaps()),
        origins: originsOf(await history.of(snapshot.of), ({ snaps }) => snaps, name),
      }),
    );
  });

  const image = page(PAGE_URLS.image, async (c) => {
    const name = (PAGE_URLS.image.parse(c.req) ?? []).join("/");
    const snapshot = await store.snapshot();
    const repository = await snapshot.of.repository(name);
    if (!repository) return undefined;
    const images = new StoredImages([repository]);
    const { login } = await registries();
    return lasting(
      imagePage(siteOf(c), {
        repository,
        needed: neededImages(await snapshot.packages(), undefined).filter(({ upstream }) => images.find(upstream)),
        origins: originsOf(await history.of(snapshot.of), (generation) => generation.images, name),
        hasLogin: login !== undefined,
      }),
    );
  });

  const agents = page(PAGE_URLS.agents, async (c) => {
    const { name = "" } = PAGE_URLS.agents.parse(c.req) ?? {};
    const snapshot = await store.snapshot();
    const release = await snapshot.of.stored("agents", name);
    if (!release) return undefined;
    const origins = originsOf(await history.of(snapshot.of), (generation) => generation.agents, name);
    return lasting(agentsPage(siteOf(c), { release, origins }));
  });

  const status = page(PAGE_URLS.status, async (c) => {
    const snapshot = await store.snapshot();
    const generations = await history.of(snapshot.of);
    let state = states.get(snapshot);
    if (!state) {
      state = stateOf(snapshot, nowFor(snapshot));
      states.set(snapshot, state);
      state.then(
        ({ unreadable }) => unreadable.length === 0 || states.delete(snapshot), // what cannot be read now may be readable later
        () => states.delete(snapshot),
      );
    }
    const html = statusPage(siteOf(c), {
      generation: snapshot.of.generation,
      imports: generations.slice(-LAST_IMPORTS).toReversed(),
      state: await state,
      failed: missing.all,
      machine: await web.machine(),
      damage: damage()?.message,
      registry: await otherRegistry(),
      now: nowFor(snapshot),
    });
    return replyAs(PAGE_HEADERS, html);
  });

  const setup = page(PAGE_URLS.setup, async (c) => replyAs(PAGE_HEADERS, setupPage(siteOf(c), await web.setup(c.env.origin))));

  const contents = page(PAGE_URLS.manual, (c) => lasting(manualIndex(siteOf(c), web.manual)));

  const chapter = page(PAGE_URLS.manualPage, async (c) => {
    const asked = PAGE_URLS.manualPage.parse(c.req)?.page;
    const found = web.manual.find(({ name }) => name === asked);
    return found && lasting(await manualPage(siteOf(c), web.manual, found));
  });

  const asset = get(PAGE_URLS.asset, (c) => {
    const found = ASSETS.get(PAGE_URLS.asset.parse(c.req)?.file ?? "");
    return found && replyAs({ "Content-Type": found.type, ...NO_SNIFFING, ...FOREVER }, found.text);
  });

  const icon = get(PAGE_URLS.icon, async (c) => {
    const file = PAGE_URLS.icon.parse(c.req);
    const found = file && (await (await store.snapshot()).snapById(file.id));
    const shown = file && found && found.store === undefined ? findSnapRevision(found, file.revision)?.icon : undefined;
    const object = shown && shown.extension === file?.extension ? await store.blob(shown.blob) : undefined;
    if (!shown || !object) return undefined;
    const reply = await sendBlob(c, { object, digest: shown.blob, filename: "", type: IMAGE_TYPES[shown.extension] });
    for (const [name, value] of Object.entries(IMAGE_HEADERS)) reply.headers.set(name, value);
    return reply;
  });

  const assertions = get(PAGE_URLS.assertions, async (c) => {
    const file = PAGE_URLS.assertions.parse(c.req);
    const snapshot = await store.snapshot();
    const found = file && (await snapshot.snapById(file.id));
    const revision = file && found && found.store === undefined ? findSnapRevision(found, file.revision) : undefined;
    if (!found || !revision) return undefined;
    const texts = assertionsOfSnap(await snapshot.assertions(), found, revision);
    const saved = { "Content-Disposition": `attachment; filename="${found.id}_${revision.revision}.assert"` };
    return texts.length === 0 ? undefined : replyAs({ ...ASSERTIONS, ...saved }, texts.join("\n"));
  });

  const either = page(PAGE_URLS.name, async (c) => {
    const { name = "" } = PAGE_URLS.name.parse(c.req) ?? {};
    const { index: listing } = await index.of(await store.snapshot());
    const found = listing.named(name);
    const [first] = found;
    if (!first) return undefined;
    const site = siteOf(c);
    return found.length > 1 ? lasting(eitherPage(site, name, found)) : moved(site, first);
  });

  // `either` is last: it has any name.
  return {
    dialect: "charmhub",
    routes: [list, charm, snap, image, agents, status, setup, contents, chapter, asset, icon, assertions, either],
  };

  /** A route whose failures are pages too, for whoever asks for HTML. */
  function page(url: Route["url"], make: Handler): Route {
    return get(url, async (c) => {
      try {
        const made = await make(c);
        return made || !wantsHtml(c) ? made : replyAs(PAGE_HEADERS, nothingPage(siteOf(c), c.req.path), 404);
      } catch (error) {
        if (!isCorrupt(error) || !wantsHtml(c)) throw error;
        damageMessage(c.env, log, error);
        return replyAs(PAGE_HEADERS, damagedPage(siteOf(c), c.env.id), 500);
      }
    });
  }
}

/** A page that depends on its URL, the snapshot and the registry alone. */
function lasting(html: string): CacheableReply {
  return new CacheableReply([html], PAGE_HEADERS);
}

/** Everything else gets the JSON that every client of the APIs expects. */
function wantsHtml(c: Context<Env>): boolean {
  return (c.req.header("Accept") ?? "").includes("text/html");
}

function moved(site: Site, entry: Parameters<typeof pathOf>[1]): Response {
  return new Response(null, { status: 302, headers: { Location: pathOf(site, entry), "Cache-Control": "no-cache" } });
}
