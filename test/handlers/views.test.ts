/** What pages show of what they are given, whatever that is: pure functions of a view. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { MissingRequest } from "../../handlers/missingrequests.ts";
import { channelsOf } from "../../handlers/web/channels.tsx";
import { History } from "../../handlers/web/history.ts";
import { MOST_ROWS, packagePage } from "../../handlers/web/package.tsx";
import { snapPage } from "../../handlers/web/snap.tsx";
import { type StatusView, statusPage } from "../../handlers/web/status.tsx";
import type { Generation } from "../../src/catalog/generation-types.ts";
import type { NeededImage } from "../../src/catalog/images.ts";
import { setOverride } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import type { NeededResource } from "../../src/catalog/packageneeds.ts";
import { componentsOf, type Snap } from "../../src/catalog/snap.ts";
import type { NeededSnap } from "../../src/catalog/snapneeds.ts";
import type { CertificateFacts } from "../../src/settings/certificate.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { bothWorlds } from "../snapworld.ts";
import { runs } from "../thorough.ts";
import { parsed, publish, webApp } from "../web.ts";

const SITE = { prefix: "/p", origin: "https://hub.test/p" };
const NOW = Date.parse("2026-05-01T12:00:00Z");

const snapNamed = (i: number): NeededSnap => ({
  name: `snap${i}`,
  kinds: [],
  by: [`charm c${i}`],
  sure: i % 2 === 0 ? "certain" : "likely",
  stored: false,
});
const imageNamed = (i: number, users: number): NeededImage => ({
  upstream: `registry.test/image${i}@sha256:${"0".repeat(64)}`,
  path: `image${i}`,
  local: null,
  digest: null,
  neededBy: Array.from({ length: users }, (_, user) => ({ charm: `user${user}`, revision: 3, resource: "app" }) as never),
});
const failedTo = (i: number): MissingRequest =>
  ({ what: `charm gone${i}`, times: i + 1, first: "2026-05-01T00:00:00Z", last: "2026-05-01T00:00:00Z" }) as MissingRequest;

function statusOf(over: {
  readonly missingSnaps?: readonly NeededSnap[];
  readonly missingImages?: readonly NeededImage[];
  readonly failed?: readonly MissingRequest[];
  readonly ends?: number;
  readonly registry?: string;
}): string {
  const { missingSnaps = [], missingImages = [], failed = [], ends, registry } = over;
  const view: StatusView = {
    generation: undefined,
    imports: [],
    state: {
      counts: { charm: 0, bundle: 0, snap: 0, image: 0, agent: 0 },
      revisions: 0,
      size: 0,
      missingSnaps,
      missingImages,
      overrides: [],
      unverified: [],
      unreadable: [],
    },
    failed,
    machine: { notes: [], ...(ends !== undefined && { certificate: { notAfter: new Date(ends).toISOString() } as CertificateFacts }) },
    damage: undefined,
    registry,
    now: NOW,
  };
  return statusPage(SITE, view);
}

const many = fc.oneof(fc.nat(3), fc.integer({ min: 98, max: 103 }));

describe("the status", () => {
  test("names what is missing, up to a hundred of each, and says that nothing is where nothing is", () => {
    fc.assert(
      fc.property(many, many, fc.integer({ min: 1, max: 7 }), fc.boolean(), (snaps, images, users, isElsewhere) => {
        const html = statusOf({
          missingSnaps: Array.from({ length: snaps }, (_, i) => snapNamed(i)),
          missingImages: Array.from({ length: images }, (_, i) => imageNamed(i, users)),
          ...(isElsewhere && { registry: "registry.lan" }),
        });
        const { text, elements } = parsed(html);
        const known = isElsewhere ? 0 : images; // what another registry has, this store can't know
        const isAllThere = snaps + known === 0;
        expect(text.includes("All snaps and images that are known to be needed are stored.")).toBe(isAllThere);
        expect(text.includes("writes what to export on the connected side")).toBe(!isAllThere);
        expect(text.match(/needed by charm c\d+/g) ?? []).toHaveLength(Math.min(snaps, 100));
        expect(new Set(text.match(/registry\.test\/image\d+@/g) ?? []).size).toBe(Math.min(known, 100));
        const links = elements.filter(({ attributes }) => attributes.get("href")?.startsWith("/p/charms/user") === true);
        expect(links).toHaveLength(Math.min(known, 100) * Math.min(users, 5));
        expect(text.match(/ and \d+ more/g) ?? []).toHaveLength(users > 5 ? Math.min(known, 100) : 0);
        expect(text.includes("The list is cut")).toBe(snaps > 100 || known > 100);
      }),
      {
        numRuns: runs(60) + 4,
        examples: [
          [0, 0, 1, false],
          [1, 1, 1, false], // as many of both
          [101, 101, 6, false],
          [0, 3, 6, true],
        ],
      },
    );
  });

  test("lists failed requests up to a hundred, and says how many more there are", () => {
    fc.assert(
      fc.property(many, (count) => {
        const { text } = parsed(statusOf({ failed: Array.from({ length: count }, (_, i) => failedTo(i)) }));
        expect(new Set(text.match(/charm gone\d+/g) ?? []).size).toBe(Math.min(count, 100));
        expect(/and (\d+) more/.exec(text)?.[1]).toBe(count > 100 ? String(count - 100) : undefined);
        expect(text.includes("no client asked for something that is not stored")).toBe(count === 0);
      }),
    );
  });

  test("says of a certificate whether it has expired, and warns a month before", () => {
    const DAY = 24 * 60 * 60 * 1000;
    fc.assert(
      fc.property(
        fc.integer({ min: -60 * DAY, max: 60 * DAY }).filter((left) => left !== 0),
        (left) => {
          const { text } = parsed(statusOf({ ends: NOW + left }));
          expect(text).toContain(new Date(NOW + left).toISOString().slice(0, 10));
          expect(/\d expired/.test(text)).toBe(left < 0); // beside its date
          expect(text.includes("The certificate has expired.")).toBe(left < 0);
          expect(text.includes("The certificate expires soon.")).toBe(left >= 0 && left < 30 * DAY);
        },
      ),
    );
  });
});

describe("a charm", () => {
  const pkg = {
    ...emptyCharm("user"),
    revisions: [charmRevision(1, "0".repeat(64) as never, 1)],
    releases: [
      {
        channel: "latest/stable",
        base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
        revision: 1,
        resources: {},
        releasedAt: "",
      },
    ],
  } as Parameters<typeof packagePage>[1]["pkg"];
  const pageOf = (resources: readonly NeededResource[], registry?: string) =>
    packagePage(SITE, { pkg, overrides: [], needs: [], resources, registry, origins: [] });
  const resource = (i: number, over: Partial<NeededResource>): NeededResource => ({
    name: `r${i}`,
    revision: 1,
    type: "file",
    size: 9,
    stored: true,
    released: true,
    createdAt: "",
    ...over,
  });

  const COUNTS = [0, 1, MOST_ROWS, MOST_ROWS + 1, MOST_ROWS + 7];

  test("shows a bounded number of its resources, those in a channel first", () => {
    for (const released of COUNTS)
      for (const others of COUNTS) {
        const html = pageOf([
          ...Array.from({ length: others }, (_, i) => resource(i, { released: false })),
          ...Array.from({ length: released }, (_, i) => resource(1000 + i, {})),
        ]);
        const shown = [...html.matchAll(/<strong class="rev">r(\d+)</g)].map(([, number]) => Number(number));
        expect(shown.filter((number) => number >= 1000)).toHaveLength(Math.min(released, MOST_ROWS));
        expect(shown.filter((number) => number < 1000)).toHaveLength(Math.min(others, MOST_ROWS));
        expect(shown).toEqual(shown.toSorted((x, y) => Number(y >= 1000) - Number(x >= 1000)));
      }
  });

  test("misses no image that is pulled from another registry, of which this store knows nothing", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ isImage: fc.boolean(), stored: fc.boolean() }), { maxLength: 5 }),
        fc.boolean(),
        (all, isElsewhere) => {
          const resources = all.map(({ isImage, stored }, i) =>
            resource(i, { stored, ...(isImage && { type: "oci-image" as const, image: `registry.test/i${i}:1` }) }),
          );
          const { text } = parsed(pageOf(resources, isElsewhere ? "registry.lan:5000" : undefined));
          const missing = all.filter(({ isImage, stored }) => !stored && !(isImage && isElsewhere)).length;
          const said = /\d+ things? that it needs (?:is|are) missing in this store/.exec(text)?.[0];
          expect(said).toBe(
            missing === 0
              ? undefined
              : `${missing === 1 ? "1 thing that it needs is" : `${missing} things that it needs are`} missing in this store`,
          );
          expect(text.match(/elsewhere/g) ?? []).toHaveLength(isElsewhere ? all.filter(({ isImage }) => isImage).length : 0);
        },
      ),
    );
  });

  test("has in its channel map the base, and beside it the architecture, which alone is in that of a snap", async () => {
    expect(pageOf([])).toContain('<td>ubuntu@22.04 <span class="muted">amd64</span></td>');
    const snap = (await (await (await Store.open(await bothWorlds())).snapshot()).snap("hello")) as Snap;
    const html = snapPage(SITE, { snap, overrides: [], needs: [], origins: [] });
    for (const { architecture } of snap.releases) expect(html).toContain(`<td><span>${architecture}</span></td>`);
    expect(channelsOf(snap.releases).get(snap.releases[0]?.revision ?? 0)).toContain(snap.releases[0]?.channel ?? "");
  });
});

describe("a snap", () => {
  const hello = async () => (await (await (await Store.open(await bothWorlds())).snapshot()).snap("hello")) as Snap;
  const facts = (html: string) => new Map([...html.matchAll(/<dt>([^<]*)<\/dt>\s*<dd>([^<]*)/g)].map(([, name, value]) => [name, value]));

  test("says its licence where one is known", async () => {
    const snap = await hello();
    const pageOf = (license: string) =>
      snapPage(SITE, { snap: { ...snap, details: { ...snap.details, license } }, overrides: [], needs: [], origins: [] });
    expect(facts(pageOf("GPL-3.0")).get("License")).toBe("GPL-3.0");
    expect(facts(pageOf("GPL-3.0")).get("Default track")).toBe(snap.defaultTrack);
  });

  test("whose publisher emptied its description has none, whatever a revision says", async () => {
    const snap = await hello();
    const revisions = snap.revisions.map((revision) => ({ ...revision, description: "of the revision" }));
    const pageOf = (details: Snap["details"]) =>
      snapPage(SITE, { snap: { ...snap, revisions, details }, overrides: [], needs: [], origins: [] });
    const { description: _, ...unsaid } = snap.details;
    expect(pageOf(unsaid)).toContain("of the revision");
    expect(pageOf({ ...snap.details, description: "" })).not.toContain("of the revision");
  });

  test("says of each component which revisions have it, whatever else those have", async () => {
    const snap = await hello();
    const [extra] = snap.components;
    const [number = 0] = extra?.revisions.map(({ revision }) => revision) ?? [];
    if (!extra) throw new Error("hello has a component");
    const more = { ...extra, name: "more" };
    const [first = 0, second = 0] = snap.revisions.map(({ revision }) => revision);
    const pairs = [
      { component: extra.name, componentRevision: number, revision: first },
      { component: "more", componentRevision: number, revision: first },
      { component: "more", componentRevision: number, revision: second },
    ];
    const both = { ...snap, components: [extra, more], pairs };
    expect(componentsOf(both, first)).toHaveLength(2);
    const html = snapPage(SITE, { snap: both, overrides: [], needs: [], origins: [] });
    const said = [...html.matchAll(/hello\+(\w+)<[\s\S]*?(?: · of revision ([\d, ]+))<\/p>/g)].map(([, name, users]) => [name, users]);
    expect(said).toContainEqual([extra.name, String(first)]);
    expect(said).toContainEqual(["more", `${first}, ${second}`]);
  });
});

describe("of a store", () => {
  test("what an override pins is on the status, of charms and of snaps", async () => {
    const store = await Store.open(await bothWorlds());
    const snapshot = await store.snapshot();
    const [pkg, snap] = [(await snapshot.package("acme-db")) as Package, (await snapshot.snap("hello")) as Snap];
    const row = snap.releases[0];
    const set = "2026-05-01T00:00:00Z";
    await publish(store, [
      setOverride(pkg, 18, "14/stable", { base: "22.04" }, { reason: "a charm waits" }, set),
      setOverride(snap, row?.revision ?? 0, row?.channel ?? "", {}, { reason: "a snap waits" }, set),
    ]);
    const { text } = await webApp(store, { now: () => NOW }).ask("/_status");
    for (const said of ["a charm waits", "a snap waits"]) expect(text).toContain(said);
    expect(text).toMatch(/href="\/snaps\/hello">hello<\/a>/);
  });

  test("a package that cannot be read is an error in the words of who asks: a page, or JSON", async () => {
    const storage = await bothWorlds();
    const row = (await (await Store.open(storage)).snapshot()).index.packages["tiny"];
    await storage.remove(`blobs/sha256/${row?.[0].slice(0, 2)}/${row?.[0]}`);
    const { ask } = webApp(await Store.open(storage));
    const page = await ask("/charms/tiny");
    expect([page.status, page.headers.get("Content-Type")]).toEqual([500, "text/html; charset=utf-8"]);
    const reply = await ask("/charms/tiny", {});
    expect([reply.status, reply.headers.get("Content-Type")]).toEqual([500, "application/json"]);
    expect(JSON.parse(reply.text)["error-list"]).toHaveLength(1);
  });

  test("a history that could not be read for a moment is read again", async () => {
    let fails = true;
    const history = new History({
      generationNumbers: async () => {
        if (fails) throw new Error("the disk is away");
        return [1, 2];
      },
      generation: async (number) => ({ number }) as Generation,
    });
    const snapshot = { number: 2 } as Snapshot;
    expect(await history.of(snapshot).catch(String)).toBe("Error: the disk is away");
    fails = false;
    expect(await history.of(snapshot)).toHaveLength(2);
  });
});
