/** The pages for people: what is in them, what never is, what they are sent with, and what they cost. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ASSETS } from "../../handlers/web/assets.ts";
import { History } from "../../handlers/web/history.ts";
import { PAGE_SIZE } from "../../handlers/web/list.tsx";
import { parseAssertions } from "../../src/assertions/text.ts";
import { CANONICAL_ROOTS, Trust, verifyAll } from "../../src/assertions/verify.ts";
import type { Generation } from "../../src/catalog/generation-types.ts";
import { setOverride } from "../../src/catalog/override.ts";
import type { Package, ResourceRevision } from "../../src/catalog/package.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { readSettings, SETTINGS } from "../../src/settings/config.ts";
import { PAGE_URLS, URLS } from "../../src/wire/urls.ts";
import { blobKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { Store } from "../../store/store.ts";
import { AGENTS, allWorlds } from "../agentworld.ts";
import { charmRevision, emptyCharm, tarOf } from "../build.ts";
import { importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf, indexOf } from "../registry.ts";
import { bothWorlds, HELLO, ROOT } from "../snapworld.ts";
import { anyText, charmSaying, NASTY, snapSaying } from "../strangers.ts";
import { agentBytes } from "../streams.ts";
import { runs, sized } from "../thorough.ts";
import { BROWSER, parsed, publish, type WebOptions, webApp } from "../web.ts";
import { charmWorld, IDA } from "../world.ts";

const PAGES = [
  "/",
  "/?q=acme&type=charm&base=ubuntu%4024.04&arch=amd64",
  "/charms/acme-db",
  "/charms/acme-stack",
  "/snaps/hello",
  "/snaps/classy",
  "/_status",
  "/_setup",
  "/_docs",
  "/_docs/install",
];

async function served(options: WebOptions = {}) {
  const store = await Store.open(await bothWorlds());
  return { store, ...webApp(store, options) };
}

const TAGS = new Set(
  "html head meta title link script body a header div nav main footer p span form label input select option button ul li ol img bdi article section aside h1 h2 h3 details summary textarea code dl dt dd table thead tbody tr th td time strong br em".split(
    " ",
  ),
);
const ATTRIBUTES =
  /^(lang|charset|name|content|rel|type|href|src|defer|class|id|for|value|placeholder|autocomplete|maxlength|selected|action|method|role|aria-[a-z]+|data-(copy|said)|tabindex|scope|colspan|datetime|download|dir|alt|width|height|loading|title|readonly|rows|wrap|spellcheck)$/;

/** What of a page is more than a page should have. */
function strange(html: string): string[] {
  const { elements } = parsed(html);
  const wrong = elements.flatMap(({ tag, attributes }) => [
    ...(TAGS.has(tag) ? [] : [`<${tag}>`]),
    ...[...attributes].flatMap(([name, value]) =>
      !ATTRIBUTES.test(name) || (["href", "src", "action"].includes(name) && !/^[/#]/.test(value)) ? [`${name}="${value}"`] : [],
    ),
  ]);
  const scripts = elements.filter(({ tag }) => tag === "script").map(({ attributes }) => attributes.get("src"));
  if (scripts.length !== 1 || !/\/_web\/copy-[0-9a-f]{16}\.js$/.test(scripts[0] ?? "")) wrong.push(`scripts ${scripts.join()}`);
  const hidden = /[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|(?!\n)\p{Cc}/u.exec(html);
  if (hidden) wrong.push(`U+${hidden[0].codePointAt(0)?.toString(16)}`);
  return wrong;
}

describe("every page", () => {
  test.each(PAGES)("%s: is HTML that loads chp's own files alone", async (path) => {
    const { ask } = await served();
    const { status, headers, text } = await ask(path);
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toBe("text/html; charset=utf-8");
    const policy = new Map((headers.get("Content-Security-Policy") ?? "").split("; ").map((part) => [part.split(" ")[0], part]));
    expect(policy.get("default-src")).toBe("default-src 'none'");
    expect(policy.get("script-src")).toBe("script-src 'self'");
    expect(policy.get("style-src")).toBe("style-src 'self'");
    expect(policy.get("img-src")).toBe("img-src 'self'");
    expect(policy.get("frame-ancestors")).toBe("frame-ancestors 'none'");
    expect(policy.get("base-uri")).toBe("base-uri 'none'");
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(strange(text)).toEqual([]);
    expect((await ask(path, { headers: BROWSER, method: "HEAD" })).text).toBe("");
    // The same from the cache.
    const again = await ask(path);
    expect([again.headers.get("Content-Type"), again.headers.get("Content-Security-Policy")]).toEqual([
      headers.get("Content-Type"),
      headers.get("Content-Security-Policy"),
    ]);
  });

  test("leads only to what is there", async () => {
    const { ask } = await served();
    const seen = new Set<string>(PAGES);
    for (const path of seen)
      for (const { tag, attributes } of parsed((await ask(path)).text).elements) {
        const target = attributes.get(tag === "script" || tag === "img" ? "src" : tag === "form" ? "action" : "href");
        if (target !== undefined && !target.startsWith("#") && seen.size < sized(400)) seen.add(target);
      }
    expect(seen.size).toBeGreaterThan(60);
    for (const path of seen) expect([path, [200, 302].includes((await ask(path)).status)]).toEqual([path, true]);
  });

  test("has one heading of the first level, names for its fields, and ids that are there once", async () => {
    const { ask } = await served();
    for (const path of PAGES) {
      const { elements } = parsed((await ask(path)).text);
      expect(elements.filter(({ tag }) => tag === "h1")).toHaveLength(1);
      const ids = elements.flatMap(({ attributes }) => attributes.get("id") ?? []);
      expect(new Set(ids).size).toBe(ids.length);
      const labels = new Set(elements.flatMap(({ attributes }) => attributes.get("for") ?? []));
      for (const { tag, attributes } of elements)
        if (["input", "select"].includes(tag) && attributes.get("type") !== "hidden")
          expect(labels.has(attributes.get("id") ?? "")).toBe(true);
      for (const { attributes } of elements) {
        const target = attributes.get("href");
        if (target?.startsWith("#")) expect(ids).toContain(target.slice(1));
      }
    }
  });

  test("is sent without the prefix of the public URL and with it, and leads below it", async () => {
    const { ask } = await served({ publicUrl: "https://hub.lan/store" });
    for (const path of ["/", "/store", "/store/", "/store/charms/acme-db", "/charms/acme-db"]) {
      const { status, text } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      const targets = parsed(text).elements.flatMap(({ attributes }) => attributes.get("href") ?? attributes.get("action") ?? []);
      expect(targets.filter((target) => !/^(\/store\/|#)/.test(target))).toEqual([]);
      for (const target of targets.filter((one) => one.startsWith("/")).slice(0, 30)) expect((await ask(target)).status).not.toBe(404);
    }
  });

  test("changes nothing: no other method than GET and HEAD has anything there", async () => {
    const { ask, store } = await served();
    const before = (await store.snapshot()).number;
    for (const path of PAGES)
      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        const { status, headers } = await ask(path, { method, headers: BROWSER });
        expect([status, headers.get("Content-Type")]).toEqual([404, "application/json"]);
      }
    expect((await store.snapshot()).number).toBe(before);
    for (const path of PAGES)
      for (const { tag, attributes } of parsed((await ask(path)).text).elements)
        if (tag === "form") expect(attributes.get("method")).toBe("get");
  });
});

describe("texts of strangers", () => {
  async function pagesOf(pkg: Package, query: string): Promise<string[]> {
    const store = await Store.openOrCreate(new Memory());
    const like = (await (await Store.open(await bothWorlds())).snapshot()).snap("hello");
    await publish(store, [pkg, snapSaying(query, (await like) as Snap)]);
    const { ask } = webApp(store);
    const paths = [
      "/snaps/hello",
      "/",
      `/?q=${encodeURIComponent(query)}&base=${encodeURIComponent(query)}&arch=${encodeURIComponent(query)}&type=${encodeURIComponent(query)}`,
      `/charms/${pkg.name}`,
      "/_status",
      `/x-${encodeURIComponent(query.slice(0, 300))}`,
    ];
    const pages: string[] = [];
    for (const [i, path] of paths.entries()) {
      const { status, text } = await ask(path);
      expect([path, status]).toEqual([path, i < 5 ? 200 : 404]);
      pages.push(text);
    }
    expect(pages[1]).toContain(`/charms/${pkg.name}"`);
    return pages;
  }

  test.each(NASTY.map((text) => [text.slice(0, 40), text] as const))("%j is shown, and is nothing else", async (_, text) => {
    for (const html of await pagesOf(charmSaying(text), text)) {
      expect(strange(html)).toEqual([]);
      expect(html.length).toBeLessThan(200_000);
    }
  });

  test("whatever a package says, a page has the elements of a page", async () => {
    const words = fc.oneof(fc.constantFrom(...NASTY.slice(0, 10)), anyText({ maxLength: 30 }), fc.string());
    await fc.assert(
      fc.asyncProperty(
        fc.array(words, { minLength: 1, maxLength: 4 }).map((parts) => Buffer.from(parts.join("")).toString()),
        async (text) => {
          for (const html of await pagesOf(charmSaying(text), text)) expect(strange(html)).toEqual([]);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  test("are read as they were written", async () => {
    const text = `A <b>bold</b> & "quoted" 'word'`;
    const [snap = "", list = "", , page = ""] = await pagesOf(charmSaying(text), text);
    for (const html of [snap, list, page]) expect(html).toContain("A &lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot; &#39;word&#39;");
  });
});

describe("the list", () => {
  test("shows what matches, and keeps what was chosen", async () => {
    const { ask } = await served();
    const { text } = await ask("/?q=acme&type=charm&base=ubuntu%4022.04");
    const { elements } = parsed(text);
    expect(elements.find(({ attributes }) => attributes.get("id") === "q")?.attributes.get("value")).toBe("acme");
    expect(elements.find(({ tag, attributes }) => tag === "option" && attributes.has("selected"))?.attributes.get("value")).toBe(
      "ubuntu@22.04",
    );
    expect(elements.flatMap(({ attributes }) => attributes.get("href") ?? []).filter((href) => href.startsWith("/charms/"))).toEqual([
      "/charms/acme-db",
      "/charms/tiny",
    ]);
    expect((await ask("/?q=nothing-like-it")).text).toContain("Nothing that is stored matches.");
  });

  test("an empty store says what to do", async () => {
    const { ask } = webApp(await Store.openOrCreate(new Memory()));
    expect((await ask("/")).text).toContain("This store is empty.");
    expect((await ask("/_status")).status).toBe(200);
    expect((await ask("/_setup")).status).toBe(200);
  });

  test("NAME alone leads to its page, or to a choice", async () => {
    const { ask, store } = await served();
    const { status, headers } = await ask("/hello");
    expect([status, headers.get("Location")]).toEqual([302, "/snaps/hello"]);
    await publish(store, [{ ...charmSaying("Hi", "hello"), summary: "" } as Package]);
    const both = await ask("/hello");
    expect(both.status).toBe(200);
    expect(parsed(both.text).elements.flatMap(({ attributes }) => attributes.get("href") ?? [])).toEqual(
      expect.arrayContaining(["/charms/hello", "/snaps/hello"]),
    );
  });
});

describe("a package", () => {
  test("has its channel map, with the override in force, its reason and its end", async () => {
    const { ask, store } = await served({ now: () => Date.parse("2026-05-02T00:00:00Z") });
    const pkg = (await (await store.snapshot()).package("acme-db")) as Package;
    const terms = { reason: "<i>waits</i> for Bob", until: "2026-08-31T23:59:59Z" };
    await publish(store, [setOverride(pkg, 18, "14/stable", { base: "22.04" }, terms, "2026-05-01T00:00:00Z")]);
    const { text } = await ask("/charms/acme-db");
    expect(text).toContain("pinned to 18");
    expect(text).toContain("&lt;i&gt;waits&lt;/i&gt; for Bob");
    expect(text).toContain(`<time datetime="2026-08-31T23:59:59Z">2026-08-31</time>`);
    expect((await ask("/_status")).text).toContain("&lt;i&gt;waits&lt;/i&gt; for Bob");
  });

  test("an override that ends takes its page along", async () => {
    let now = Date.parse("2026-05-02T00:00:00Z");
    const { ask, store } = await served({ now: () => now });
    const pkg = (await (await store.snapshot()).package("acme-db")) as Package;
    await publish(store, [setOverride(pkg, 10, "14/edge", {}, { reason: "wait", until: "2026-05-03T00:00:00Z" }, "2026-05-01T00:00:00Z")]);
    expect((await ask("/charms/acme-db")).text).toContain("pinned to 10");
    now = Date.parse("2026-05-04T00:00:00Z");
    expect((await ask("/charms/acme-db")).text).not.toContain("pinned to 10");
  });

  test("says what to type, where it came from, and what is missing", async () => {
    const { ask } = await served();
    const charm = await ask("/charms/acme-db");
    expect(charm.text).toContain(">juju deploy acme-db<");
    expect(charm.text).toContain("world.tar.gz");
    expect(charm.text).toMatch(/sha256 [0-9a-f]{64}/);
    expect(charm.text).toContain("things that it needs are missing");
    const bundle = await ask("/charms/acme-stack");
    expect(bundle.text).toContain(">juju deploy acme-stack<");
    const snap = await ask("/snaps/classy");
    expect(snap.text).toContain(">sudo snap install classy --channel=candidate --classic<");
    expect(snap.text).toContain("snaps.tar.gz");
  });

  test("its downloads are those of the APIs, bytes included", async () => {
    const { ask } = await served();
    const links = async (path: string) =>
      parsed((await ask(path)).text)
        .elements.filter(({ attributes }) => attributes.has("download"))
        .map(({ attributes }) => attributes.get("href") ?? "");
    expect(await links("/charms/acme-db")).toContain(URLS.charmFile.build({ id: IDA, revision: 20, extension: "charm" }));
    const snap = await links("/snaps/hello");
    expect(snap).toContain(URLS.snapFile.build({ id: HELLO, revision: 5 }));
    expect(snap).toContain(URLS.snapFile.build({ id: HELLO, component: "extra", revision: 7 }));
    expect(snap).toContain(PAGE_URLS.assertions.build({ id: HELLO, revision: 5 }));
    for (const link of snap) expect((await ask(link)).status).toBe(200);
  });

  test("its .assert is what a machine verifies it with: dependencies first, up to a root that it has", async () => {
    const { ask } = await served();
    const { text, headers } = await ask(PAGE_URLS.assertions.build({ id: HELLO, revision: 6 }));
    expect(headers.get("Content-Disposition")).toBe(`attachment; filename="${HELLO}_6.assert"`);
    const stream = parseAssertions(Buffer.from(text), "it");
    const trust = new Trust([...CANONICAL_ROOTS, ...parseAssertions(Buffer.from(ROOT), "root")]);
    const known: typeof stream = [];
    for (const assertion of stream) {
      const find = (type: string, key: readonly string[]) => known.find((one) => one.type === type && one.key.join() === key.join());
      expect(verifyAll([assertion], { trust, find, now: new Date("2026-06-01") }).refused).toEqual([]);
      known.push(assertion);
    }
    expect(stream.map(({ type }) => type).toSorted()).toEqual(["account", "account-key", "snap-declaration", "snap-revision"]);
  });

  test("a snap of a brand store is shown, and has no download, no assertions and no icon", async () => {
    const { ask, store } = await served();
    const snap = (await (await store.snapshot()).snap("hello")) as Snap;
    await publish(store, [{ ...snap, store: "acmestore" }]);
    const { status, text } = await ask("/snaps/hello");
    expect(status).toBe(200);
    expect(text).toContain("acmestore");
    expect(parsed(text).elements.filter(({ tag, attributes }) => attributes.has("download") || tag === "img")).toEqual([]);
    expect(text).not.toContain(".snap<");
    for (const path of [
      PAGE_URLS.assertions.build({ id: HELLO, revision: 5 }),
      PAGE_URLS.icon.build({ id: HELLO, revision: 5, extension: "png" }),
      URLS.snapFile.build({ id: HELLO, revision: 5 }),
    ])
      expect((await ask(path)).status).toBe(404);
  });

  test("images have what to type to pull them, and who needs them", async () => {
    const store = await Store.open(await bothWorlds());
    const image = indexOf([imageOf({ layers: ["a"] }), imageOf({ architecture: "arm64", layers: ["b"] })]);
    await importInto(store, { "images.tar": tarOf(layoutOf([{ image, name: "registry.test/team/app:1.0" }])) });
    const reference = `registry.test/team/app@sha256:${image.digest}`;
    const revision = {
      revision: 3,
      type: "oci-image",
      filename: "",
      description: "",
      createdAt: "2026-01-01T00:00:00Z",
      blob: "1".repeat(64),
      size: 9,
    };
    const resource = {
      ...revision,
      digests: { "sha-384": "", "sha-512": "", "sha3-384": "" },
      image: { reference, path: "team/app" },
    } as ResourceRevision;
    const user = {
      ...emptyCharm("user"),
      revisions: [charmRevision(1, "0".repeat(64) as never, 1)],
      resources: [{ name: "app", revisions: [resource] }],
    };
    await publish(store, [user]);
    const { ask } = webApp(store, { publicUrl: "https://hub.lan:8443" });
    const { status, text } = await ask("/images/team/app");
    expect(status).toBe(200);
    expect(text).toContain(">podman pull hub.lan:8443/team/app:1.0<");
    expect(text).toContain("amd64, arm64");
    expect(text).toContain(`href="/charms/user"`);
    expect(strange(text)).toEqual([]);
    expect((await ask("/?type=image")).text).toContain(`href="/images/team/app"`);
    expect((await ask("/charms/user")).text).toContain(`href="/images/team/app"`);
    expect((await webApp(store, { publicUrl: "https://hub.lan/path" }).ask("/images/team/app")).text).not.toContain("podman pull");
  });

  test("agents have what to type to bootstrap, their files, and who vouches for each", async () => {
    const { ask } = webApp(await Store.open(await allWorlds()), { publicUrl: "https://hub.lan:8443/path" });
    const list = await ask("/?type=agent");
    expect(strange(list.text)).toEqual([]);
    expect([...list.text.matchAll(/href="\/path(\/agents\/[^"]+)"/g)].map(([, path]) => path)).toEqual(
      [...new Set(AGENTS.map(({ version }) => `/agents/juju-${version}`))].toSorted(),
    );
    const [{ version, architecture } = { version: "", architecture: "" }] = AGENTS;
    const { status, text } = await ask(`/agents/juju-${version}`);
    expect([status, strange(text)]).toEqual([200, []]);
    expect(text).toContain(`>juju bootstrap CLOUD NAME --config FILE --agent-version ${version}<`);
    expect(text).toContain("https://hub.lan:8443/path/juju/tools");
    expect(text).toContain(`href="/path/juju/tools/agent/${version}/juju-${version}-linux-${architecture}.tgz"`);
    expect(text).toContain("Signed by upstream");
    expect((await ask("/_status")).text).toContain("Agents of Juju");
    expect((await ask("/agents/juju-9.9.9")).status).toBe(404);
  });

  test("one that nobody vouches for says so", async () => {
    const store = await Store.open(await bothWorlds());
    await importInto(store, { "juju-4.0.2-linux-amd64.tgz": agentBytes("4.0.2", "amd64") }, { allowUnverified: true });
    const { text } = await webApp(store).ask("/agents/juju-4.0.2");
    expect(text).toContain(">unverified<");
    expect(text).not.toContain("Signed by upstream");
  });

  test("the generations of a long history are read a few at a time, each once", async () => {
    let [open, most, reads] = [0, 0, 0];
    const history = new History({
      generationNumbers: async () => Array.from({ length: 500 }, (_, i) => i + 1),
      generation: async (number) => {
        [open, reads] = [open + 1, reads + 1];
        most = Math.max(most, open);
        await Bun.sleep(0);
        open -= 1;
        return { number } as Generation;
      },
    });
    const at = (number: number) => history.of({ number } as Snapshot);
    expect([(await at(499)).length, (await at(500)).length, reads, most]).toEqual([499, 500, 500, 8]);
  });

  test("one that can be installed by number alone has no page", async () => {
    const { ask, store } = await served();
    const pkg = (await (await store.snapshot()).package("tiny")) as Package;
    await publish(store, [{ ...pkg, revisions: pkg.revisions.map((revision) => ({ ...revision, aside: true as const })) }]);
    expect((await ask("/charms/tiny")).status).toBe(404);
  });

  test("an icon is an image, and nothing where it is opened as a document", async () => {
    const { ask } = await served();
    const { headers, status } = await ask(PAGE_URLS.icon.build({ id: HELLO, revision: 5, extension: "png" }));
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toBe("image/png");
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("Content-Security-Policy")).toMatch(/default-src 'none'.*; sandbox$/);
    expect((await ask(PAGE_URLS.icon.build({ id: HELLO, revision: 5, extension: "svg" }))).status).toBe(404);
  });
});

describe("beside the APIs", () => {
  test("who does not ask for HTML gets the JSON of a path that has nothing", async () => {
    const { ask } = await served();
    for (const path of ["/nope", "/charms/nope", "/snaps/nope", "/images/no/pe", "/_docs/nope", "/a/b/c"]) {
      const { status, headers, text } = await ask(path, {});
      expect([path, status, headers.get("Content-Type")]).toEqual([path, 404, "application/json"]);
      expect(JSON.parse(text)["error-list"][0].code).toBe("not-found");
    }
    for (const path of ["/nope", "/charms/nope"]) {
      const { status, headers } = await ask(path);
      expect([status, headers.get("Content-Type")]).toEqual([404, "text/html; charset=utf-8"]);
    }
  });

  test("their routes win over a package of the same name", async () => {
    const { ask, store } = await served();
    await publish(store, [charmSaying("x", "metrics"), charmSaying("x", "v2")]);
    expect((await ask("/metrics")).text).toContain("chp_generation");
    expect((await ask("/_status/check")).headers.get("Content-Type")).toContain("application/json");
    expect((await ask("/v2/")).headers.get("Docker-Distribution-Api-Version")).toBe("registry/2.0");
    expect((await ask("/charms/metrics")).status).toBe(200);
  });

  test("without the setting there is nothing but the JSON of before", async () => {
    const { ask } = await served({ web: false });
    for (const path of [...PAGES, "/hello", ...[...ASSETS.values()].map((asset) => asset.path)]) {
      const { status, headers } = await ask(path);
      expect([path, status, headers.get("Content-Type")]).toEqual([path, 404, "application/json"]);
    }
    expect(SETTINGS.find(({ key }) => key === "web")?.fallback).toEqual(["on"]);
    expect(readSettings({ environment: { CHP_WEB: "off" }, file: {} }).get("web")?.values).toEqual(["off"]);
  });

  test("store-url of a charm leads to its page where there are pages and a public URL", async () => {
    const info = "/v2/charms/info/acme-db?fields=result.store-url";
    const find = "/v2/charms/find?q=acme-db&fields=result.store-url";
    const urls = async (options: WebOptions) => {
      const { ask } = await served(options);
      return [JSON.parse((await ask(info)).text).result["store-url"], JSON.parse((await ask(find)).text).results[0].result["store-url"]];
    };
    expect(await urls({ publicUrl: "https://hub.lan/store" })).toEqual([
      "https://hub.lan/store/charms/acme-db",
      "https://hub.lan/store/charms/acme-db",
    ]);
    expect(await urls({})).toEqual(["https://charmhub.io/acme-db", "https://charmhub.io/acme-db"]);
    expect(await urls({ publicUrl: "https://hub.lan", web: false })).toEqual([
      "https://charmhub.io/acme-db",
      "https://charmhub.io/acme-db",
    ]);
  });

  test("their files are named by their content, and cached forever", async () => {
    const { ask } = await served();
    for (const { path, type, text } of ASSETS.values()) {
      const reply = await ask(path);
      expect(reply.text).toBe(text);
      expect(reply.headers.get("Content-Type")).toBe(type);
      expect(reply.headers.get("Cache-Control")).toContain("immutable");
      expect(path).toContain(new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 16));
      expect((await ask(path.replace(/-[0-9a-f]/, "-x"))).status).toBe(404);
    }
  });
});

describe("status and set up", () => {
  test("say what is missing, what failed, and what was imported", async () => {
    const { ask } = await served();
    await ask("/v2/charms/info/not-here");
    const { text } = await ask("/_status");
    expect(text).toContain("charm not-here");
    expect(text).toContain("snapd arm64");
    expect(text).toContain("import snaps.tar.gz");
    expect(text).toContain("5.0 GiB");
  });

  test("a package that cannot be read is named, and its page is an error of its own", async () => {
    const storage = await bothWorlds();
    const store = await Store.open(storage);
    const row = (await store.snapshot()).index.packages["tiny"];
    await storage.remove(`blobs/sha256/${row?.[0].slice(0, 2)}/${row?.[0]}`);
    const { ask } = webApp(await Store.open(storage));
    const list = await ask("/");
    expect(list.text).toContain("cannot be read");
    expect(list.text).toContain("acme-db");
    expect((await ask("/_status")).text).toMatch(/<strong>tiny<\/strong>/);
    const page = await ask("/charms/tiny");
    expect([page.status, page.headers.get("Content-Type")]).toEqual([500, "text/html; charset=utf-8"]);
    expect((await ask("/charms/acme-db")).status).toBe(200);
  });

  test("have the real address", async () => {
    const { ask } = await served({ publicUrl: "http://hub.lan:8080" });
    const { text } = await ask("/_setup");
    expect(text).toContain("charmhub-url: http://hub.lan:8080");
    expect(text).toContain("SNAPPY_FORCE_API_URL=http://hub.lan:8080/");
    expect(text).toContain("CHARMHUB_URL=http://hub.lan:8080 juju find");
  });

  test("no page has a secret", async () => {
    const password = "pass-4711-word";
    const settings = {
      "proxy.oci-registry.username": "puller",
      "proxy.oci-registry.password": password,
      "proxy.oci-registry.domain": "registry.lan:5000",
    };
    const registries = {
      current: { domain: "registry.lan:5000", username: "puller", password },
      former: [],
      login: { username: "puller", password },
    };
    const { ask, store } = await served({ settings, registries, publicUrl: "http://hub.lan" });
    await store.settings.change(["tokens"], () => ({
      tokens: { tokens: [{ name: "t", sha256: "ab".repeat(32), created: "2026-01-01T00:00:00Z" }] },
    }));
    for (const path of PAGES) {
      const { text, status } = await ask(path);
      expect(status).toBe(200);
      for (const secret of [password, "ab".repeat(32)]) expect(text).not.toContain(secret);
    }
    const { text } = await ask("/charms/acme-db");
    expect(text).toContain("registry.lan:5000");
    const links = parsed(text).elements.flatMap(({ attributes }) => attributes.get("href") ?? []);
    expect(links.filter((link) => link.includes("acme-image_"))).toEqual([]); // its bytes have the login of the registry
  });
});

describe("what a page costs", () => {
  const MANY = sized(1000);

  async function large() {
    const storage = new Memory();
    const store = await Store.openOrCreate(storage);
    const digest = (number: number) => String(number).padStart(64, "0") as never;
    const packages = Array.from(
      { length: MANY },
      (_, i): Package => ({
        ...emptyCharm(`charm-${String(i).padStart(4, "0")}`),
        id: `id${i}`,
        details: { summary: `summary ${i}`, description: "words ".repeat(100) },
        revisions: Array.from({ length: 20 }, (_each, r) => charmRevision(20 - r, digest(i * 20 + r), 1000)),
      }),
    );
    await publish(store, packages);
    const counts = { opens: 0 };
    const opened = storage.open.bind(storage);
    storage.open = (key) => {
      counts.opens += 1;
      return opened(key);
    };
    const fresh = await Store.open(storage);
    return { ...webApp(fresh), store: fresh, counts, one: packages[7] as Package };
  }

  test("it reads a generation once, and shows a bounded part of it", async () => {
    const { ask, counts } = await large();
    const first = await ask("/");
    expect(counts.opens).toBeGreaterThan(MANY);
    expect(first.text.match(/<li class="entry">/g)).toHaveLength(PAGE_SIZE);
    expect(first.text.length).toBeLessThan(1000 * PAGE_SIZE);
    const before = counts.opens;
    for (const path of [
      "/?q=charm",
      "/?q=summary+17&arch=amd64",
      "/?page=3",
      "/charms/charm-0001",
      `/charms/charm-${String(MANY - 1).padStart(4, "0")}`,
      "/_status",
      "/?page=3",
    ])
      expect((await ask(path)).status).toBe(200);
    expect(counts.opens - before).toBeLessThan(20); // settings, and the one generation of its history
    const pages = new Set<string>();
    for (let page = 1; page <= MANY / PAGE_SIZE; page += 1)
      for (const [, name = ""] of (await ask(`/?page=${page}`)).text.matchAll(/href="\/charms\/(charm-\d+)"/g)) pages.add(name);
    expect(pages.size).toBe(MANY);
  });

  test("a generation of the history is read once", async () => {
    const storage = new Memory();
    const store = await Store.openOrCreate(storage);
    for (let i = 1; i <= 40; i += 1)
      await publish(store, [
        { ...emptyCharm("one"), details: { summary: `${i}` }, revisions: [charmRevision(1, "0".repeat(64) as never, 1)] },
      ]);
    const { ask } = webApp(store);
    expect((await ask("/charms/one")).text.match(/Generation \d+/g)).toHaveLength(40);
    let reads = 0;
    const opened = storage.open.bind(storage);
    storage.open = (key) => {
      if (key.startsWith("catalog/")) reads += 1;
      return opened(key);
    };
    await publish(store, [
      { ...emptyCharm("one"), details: { summary: "new" }, revisions: [charmRevision(1, "0".repeat(64) as never, 1)] },
    ]);
    expect((await ask("/charms/one")).text.match(/Generation \d+/g)).toHaveLength(41);
    expect(reads).toBeLessThan(10);
  });

  test("a new generation costs what changed in it", async () => {
    const { ask, counts, store, one } = await large();
    await ask("/");
    await ask("/charms/charm-0001");
    await publish(store, [{ ...one, details: { summary: "changed" } }], "2026-05-02T00:00:00Z");
    const before = counts.opens;
    expect((await ask("/?q=changed")).text).toContain(`/charms/${one.name}"`);
    expect((await ask(`/charms/${one.name}`)).status).toBe(200);
    expect(counts.opens - before).toBeLessThan(20);
  });
});

test("the state of the store is looked at again where a manifest could not be read", async () => {
  const storage = await charmWorld();
  const first = await Store.open(storage);
  const key = blobKey((await first.snapshot()).index.packages["tiny"]?.[0] ?? ("" as never));
  const opened = storage.open.bind(storage);
  let isReadable = false;
  storage.open = async (asked) => {
    if (asked === key && !isReadable) return undefined;
    return opened(asked);
  };
  const { ask } = webApp(await Store.open(storage));
  expect((await ask("/_status")).text).toContain("Something in the store is damaged.");
  isReadable = true;
  expect((await ask("/_status")).text).not.toContain("Something in the store is damaged.");
});

test("a page is there for GET and HEAD, and for nothing else", async () => {
  const { ask } = await served();
  const ways = async (path: string) =>
    Promise.all(["GET", "HEAD", "POST", "DELETE"].map((method) => ask(path, { method, headers: BROWSER })));
  const [got, head, ...others] = await ways("/charms/acme-db");
  expect([got?.status, head?.status, head?.text]).toEqual([200, 200, ""]);
  expect(head?.headers.get("Content-Type")).toBe(got?.headers.get("Content-Type") ?? "");
  expect(others.map(({ status }) => status)).toEqual([404, 404]);
});
