/** Every URL is written in one table, which builds what it reads. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import * as fc from "fast-check";
import { Hono } from "hono";
import { PAGE_URLS, URLS, type UrlEntry } from "../../../src/wire/urls.ts";

/** Every entry; the routes of the APIs come first, and win. */
const ALL = { ...URLS, ...Object.fromEntries(Object.entries(PAGE_URLS).map(([name, url]) => [`page.${name}`, url])) } as typeof URLS & {
  readonly [K in keyof typeof PAGE_URLS as `page.${K}`]: (typeof PAGE_URLS)[K];
};

type Params<U> = U extends UrlEntry<infer P> ? P : never;

// `.` and `..` are no names of anything: every client resolves them before it asks.
const segment = fc.string({ minLength: 1, unit: "grapheme" }).filter((text) => text !== "." && text !== "..");
const segments = fc.array(segment, { minLength: 1, maxLength: 5 });
const nothing = fc.constant({});
const revision = fc.nat();
const snapId = fc.stringMatching(/^[A-Za-z0-9]{1,32}$/);
const repository = fc
  .stringMatching(/^[a-z0-9]{1,9}(\/[a-z0-9]{1,9}){0,3}$/)
  .filter((name) => !/^(charms|snaps|assertions|cohorts|messages|metadata|repairs|auth)\b/.test(name));
const optional = fc.option(segment, { nil: undefined });

/** Without what is undefined. */
function sparse<T extends object>(params: T): T {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined)) as T;
}

const PARAMS: { readonly [K in keyof typeof ALL]: fc.Arbitrary<Params<(typeof ALL)[K]>> } = {
  charmRefresh: nothing,
  charmInfo: fc.record({ name: segment }),
  charmFind: nothing,
  resourceRevisions: fc.record({ charm: segment, resource: segment }),
  charmFile: fc.record({ id: segment, revision, extension: fc.constantFrom("charm", "bundle", "zip") }),
  resourceFile: fc
    .record({ id: segment.filter((id) => !id.includes(".")), resource: segment, revision, sha256: optional })
    .map((params) => sparse(params) as Params<(typeof URLS)["resourceFile"]>),
  snapRefresh: nothing,
  snapInfo: fc.record({ name: segment }),
  snapFind: nothing,
  snapCategories: nothing,
  snapSections: nothing,
  snapNames: nothing,
  snapFile: fc
    .record({ id: snapId, component: fc.option(fc.stringMatching(/^[a-z0-9-]{1,20}$/), { nil: undefined }), revision })
    .map((params) => sparse(params) as Params<(typeof URLS)["snapFile"]>),
  snapIcon: fc.record({ id: snapId, revision, extension: fc.constantFrom("png", "svg") }),
  cohorts: nothing,
  nonces: nothing,
  sessions: nothing,
  registrationId: nothing,
  registration: nothing,
  messages: nothing,
  repairs: segments,
  purchases: segments,
  assertion: fc
    .record({ type: segment, key: segments, maxFormat: optional, sequence: optional })
    .map((params) => sparse(params) as Params<(typeof URLS)["assertion"]>),
  storeAssertions: nothing,
  otherAssertions: nothing,
  agentIndex: nothing,
  agentProducts: nothing,
  agentFile: fc.record({ version: segment, file: segment }),
  signedTexts: nothing,
  signedText: fc.record({ digest: segment }),
  cloudImages: fc.record({ file: segment }),
  check: nothing,
  missing: nothing,
  metrics: nothing,
  remoteImport: nothing,
  overrides: nothing,
  overridesOfSnap: fc.record({ snap: segment }),
  registry: nothing,
  registryWithoutSlash: nothing,
  repositories: nothing,
  image: fc.record({ name: repository, what: fc.constantFrom("manifests", "blobs", "uploads", "referrers"), reference: segment }),
  "page.list": fc
    .record({ text: optional, kind: optional, base: optional, architecture: optional, page: optional })
    .map((params) => sparse(params) as Params<(typeof ALL)["page.list"]>),
  "page.charm": fc.record({ name: segment }),
  "page.snap": fc.record({ name: segment }),
  "page.image": segments,
  "page.agents": fc.record({ name: segment }),
  "page.status": nothing,
  "page.setup": nothing,
  "page.manual": nothing,
  "page.manualPage": fc.record({ page: segment }),
  "page.asset": fc.record({ file: segment }),
  "page.icon": fc.record({ id: snapId, revision, extension: fc.constantFrom("png", "svg") }),
  "page.assertions": fc.record({ id: snapId, revision }),
  "page.name": fc.record({ name: segment.filter((name) => !["v2", "metrics"].includes(name) && !name.startsWith("_")) }),
};

/** The server's router, with every entry of the table. */
const app = new Hono();
for (const [name, url] of Object.entries(ALL)) app.on("GET", url.pattern, (c) => c.json({ name, params: url.parse(c.req) }));

test.each(Object.keys(ALL) as (keyof typeof ALL)[])("%s: what is built leads to its own route, and is read as it was", async (name) => {
  const url = ALL[name] as UrlEntry<unknown>;
  await fc.assert(
    fc.asyncProperty(PARAMS[name] as fc.Arbitrary<unknown>, async (params) => {
      const reply = await app.fetch(new Request(`http://hub.test${url.build(params)}`));
      expect(await reply.json()).toEqual({ name, params });
    }),
  );
});

test("a name may hold what ends a line", async () => {
  const params = { id: "\u2028", resource: "\n", revision: 1 };
  const reply = await app.fetch(new Request(`http://hub.test${URLS.resourceFile.build(params)}`));
  expect(await reply.json()).toEqual({ name: "resourceFile", params });
});

test.each([
  ["/api/v1/charms/download/name.charm", "charmFile"],
  ["/api/v1/charms/download/ID_1.exe", "charmFile"],
  ["/api/v1/resources/download/ID.image_1", "resourceFile"],
  ["/api/v1/snaps/download/ID_x.snap", "snapFile"],
  ["/api/v1/snaps/icons/ID_1.gif", "snapIcon"],
])("%s names no file", async (path, name) => {
  expect(await (await app.fetch(new Request(`http://hub.test${path}`))).json()).toEqual({ name });
});

const ROOT = join(import.meta.dir, "../../..");

/** A string or a template that begins with a path, or goes on with one behind an address. */
const PATH = /["'`}]\/[\w:*]/;

test("no path is written anywhere else in the handlers and the wire", async () => {
  const wrong: string[] = [];
  for (const folder of ["handlers", "src/wire"])
    for (const file of new Bun.Glob("**/*.{ts,tsx}").scanSync(join(ROOT, folder))) {
      if (join(folder, file) === "src/wire/urls.ts") continue;
      const text = await Bun.file(join(ROOT, folder, file)).text();
      wrong.push(...text.split("\n").flatMap((line, i) => (PATH.test(line) ? [`${folder}/${file}:${i + 1}: ${line.trim()}`] : [])));
    }
  expect(wrong).toEqual([]);
  expect(['get("/v2/charms/find")', "`${ORIGIN}/api/v1`", "`/_status/${name}`"].filter((line) => !PATH.test(line))).toEqual([]);
});
