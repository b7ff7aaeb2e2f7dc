import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { agrees, type Base, baseKey, isConcrete } from "../../../src/catalog/base.ts";
import { fullChannel, RISKS } from "../../../src/catalog/channel.ts";
import { channelOf } from "../../../src/catalog/channelmap.ts";
import { type Incoming, mergePackage, type Package, type PackageType, type Release } from "../../../src/catalog/package.ts";
import { defaultRelease, type Query, type Refusal, type Resolved, reachableReleases, resolve } from "../../../src/catalog/resolve.ts";
import type { Digest } from "../../../src/digest.ts";
import { base } from "../../build.ts";
import { runs } from "../../thorough.ts";

interface Row {
  channel: string;
  base: Base | null;
  revision: number;
  resources?: Readonly<Record<string, number>>;
}

const blob = "0".repeat(64) as Digest;
const createdAt = "2026-01-01T00:00:00+00:00";
const IMAGES = [9, 7, 4, 3];

interface Made {
  type?: PackageType;
  track?: string;
  before?: Package;
}

/** A package with these rows; each revision runs on the bases of its rows, and declares `img`. */
function pkgOf(rows: readonly Row[], { type = "charm", track = "14", before }: Made = {}): Package {
  const numbers = [...new Set(rows.map((r) => r.revision))];
  const incoming: Incoming = {
    type,
    name: "acme-db",
    id: "IDA",
    declared: true,
    declaredTrack: track,
    details: {},
    revisions: numbers.map((revision) => ({
      revision,
      version: String(revision),
      createdAt,
      bases: rows.flatMap((r) => (r.revision === revision && r.base ? [r.base] : [])),
      blob,
      size: 1,
      texts: {},
      resources: type === "charm" ? ["img"] : [],
      charms: [],
      relations: {},
      subordinate: false,
    })),
    resources: [
      {
        name: "img",
        revisions: IMAGES.map((revision) => ({
          revision,
          type: "file",
          filename: "f",
          description: "",
          createdAt,
          blob,
          size: 1,
          digests: { "sha-384": "", "sha-512": "", "sha3-384": "" },
        })),
      },
    ],
    releases: rows.map((r) => ({ ...r, releasedAt: createdAt })),
  };
  return mergePackage(before, incoming).package;
}

const AMD = { noble: base("amd64", "24.04"), jammy: base("amd64", "22.04"), focal: base("amd64", "20.04") };
const ARM = base("arm64", "24.04");
const UNKNOWN = base("amd64", "NA", "NA");

/** Default track 14; candidate is closed, edge is open on noble alone. */
const ACME = pkgOf([
  { channel: "14/stable", base: AMD.noble, revision: 20, resources: { img: 7 } },
  { channel: "14/stable", base: AMD.jammy, revision: 18, resources: { img: 4 } },
  { channel: "14/stable", base: ARM, revision: 21, resources: { img: 7 } },
  { channel: "14/edge", base: AMD.noble, revision: 25, resources: { img: 9 } },
  { channel: "latest/stable", base: AMD.focal, revision: 10, resources: { img: 3 } },
]);

const STACK = pkgOf([{ channel: "latest/stable", base: null, revision: 3 }], { type: "bundle", track: "latest" });

function ask(over: Partial<Query> = {}): Query {
  return { action: "install", instanceKey: "k-1", name: "acme-db", base: AMD.noble, resourceRevisions: [], preferred: "24.04", ...over };
}

function ok(pkg: Package | undefined, over: Partial<Query>): Resolved {
  const outcome = resolve(pkg, ask(over));
  if (!("ok" in outcome)) throw new Error(`refused: ${JSON.stringify(outcome.refusal)}`);
  return outcome.ok;
}

function no(pkg: Package | undefined, over: Partial<Query>): Refusal {
  const outcome = resolve(pkg, ask(over));
  if (!("refusal" in outcome)) throw new Error(`not refused: revision ${outcome.ok.revision.revision}`);
  return outcome.refusal;
}

function extraOf(refusal: Refusal): { "default-bases"?: readonly Base[]; releases?: readonly { channel: string; base: Base }[] } {
  return refusal.extra ?? {};
}

const resourcesOf = ({ resources }: Resolved) => resources.map(([name, r]) => `${name} ${r.revision}`);

describe("by channel", () => {
  test.each<[string, Partial<Query>, number, string]>([
    ["no channel is the default track", {}, 20, "14/stable"],
    ["an empty one too", { channel: "" }, 20, "14/stable"],
    ["a risk alone", { channel: "edge" }, 25, "14/edge"],
    ["a track alone", { channel: "14" }, 20, "14/stable"],
    ["track latest where it is written", { channel: "latest/stable", base: AMD.focal }, 10, "latest/stable"],
    ["a closed risk falls back", { channel: "14/candidate" }, 20, "14/stable"],
    ["fallback is per base", { channel: "14/edge", base: AMD.jammy }, 18, "14/stable"],
    ["and per architecture", { channel: "14/edge", base: ARM }, 21, "14/stable"],
    ["a branch that is not there falls back to its risk", { channel: "14/edge/fix-1" }, 25, "14/edge"],
    ["a base channel with a risk", { base: base("amd64", "24.04/stable") }, 20, "14/stable"],
    ["a base in capitals", { base: base("amd64", "24.04", "Ubuntu") }, 20, "14/stable"],
  ])("%s", (_, query, revision, channel) => {
    const found = ok(ACME, query);
    expect([found.revision.revision, found.channel]).toEqual([revision, channel]);
    expect(found.releasedAt).toBe(createdAt);
  });

  test("the resources are those that were released together", () => {
    expect(resourcesOf(ok(ACME, { base: AMD.jammy }))).toEqual(["img 4"]);
  });

  test("a branch that is there wins over its risk", () => {
    const pkg = pkgOf([{ channel: "14/edge/fix", base: AMD.noble, revision: 30 }], { before: ACME });
    expect(ok(pkg, { channel: "edge/fix" }).revision.revision).toBe(30);
    expect(ok(pkg, { channel: "edge" }).revision.revision).toBe(25);
  });
});

describe("by number", () => {
  test("a revision whose releases all had the same resources gets those, and not the newest", () => {
    expect(resourcesOf(ok(ACME, { revision: 18, base: AMD.jammy }))).toEqual(["img 4"]);
    expect(resourcesOf(ok(ACME, { revision: 20 }))).toEqual(["img 7"]);
  });

  test("one whose releases had different resources gets none, as in production", () => {
    const pkg = pkgOf([
      { channel: "14/stable", base: AMD.noble, revision: 20, resources: { img: 7 } },
      { channel: "14/edge", base: AMD.noble, revision: 20, resources: { img: 9 } },
    ]);
    expect(resourcesOf(ok(pkg, { revision: 20 }))).toEqual([]);
  });

  test("in a channel it gets those that it was released with there", () => {
    const pkg = pkgOf([
      { channel: "14/stable", base: AMD.noble, revision: 20, resources: { img: 7 } },
      { channel: "14/edge", base: AMD.noble, revision: 20, resources: { img: 9 } },
    ]);
    expect(resourcesOf(ok(pkg, { revision: 20, channel: "14/edge" }))).toEqual(["img 9"]);
    expect(ok(pkg, { revision: 20, channel: "14/edge" })).toMatchObject({ channel: "14/edge", releasedAt: createdAt });
  });

  test("in a channel in which it never was, it gets the resources of what is released there, without a time", () => {
    const found = ok(ACME, { revision: 25, channel: "14/stable" });
    expect([found.revision.revision, found.channel, resourcesOf(found)]).toEqual([25, "14/stable", ["img 7"]]);
    expect(found).not.toHaveProperty("releasedAt");
  });

  test("in a channel that has no row for its base, it gets the resources of the row of another", () => {
    const pkg = pkgOf([
      { channel: "14/stable", base: AMD.noble, revision: 20, resources: { img: 7 } },
      { channel: "15/stable", base: AMD.focal, revision: 30, resources: { img: 3 } },
    ]);
    expect(resourcesOf(ok(pkg, { revision: 20, channel: "15/stable" }))).toEqual(["img 3"]);
    expect(no(pkg, { revision: 20, channel: "16/stable" }).code).toBe("revision-not-found");
  });
});

describe("a revision of several bases", () => {
  const pkg = pkgOf([
    { channel: "14/stable", base: AMD.noble, revision: 20, resources: { img: 7 } },
    { channel: "14/stable", base: AMD.jammy, revision: 20, resources: { img: 7 } },
  ]);

  test("is had by number on each of them, and on no other", () => {
    for (const on of [AMD.noble, AMD.jammy, null]) expect(ok(pkg, { revision: 20, base: on }).revision.revision).toBe(20);
    expect(no(pkg, { revision: 20, base: AMD.focal }).message).toBe("Revision 20 for ubuntu#20.04#amd64 was not found in the Store.");
  });

  test("has resources in common, whatever their order in its rows is", () => {
    const rows = pkg.releases.map((row, i) => ({ ...row, resources: i === 0 ? { img: 7, other: 1 } : { other: 1, img: 7 } }));
    expect(resourcesOf(ok({ ...pkg, releases: rows }, { revision: 20 }))).toEqual(["img 7"]);
  });
});

describe("a declared resource without a pin", () => {
  const pkg = pkgOf([{ channel: "14/stable", base: AMD.noble, revision: 20 }]);

  test("is the newest one in a channel, since Juju panics where it is missing", () => {
    const bare = { ...pkg, releases: pkg.releases.map((row) => ({ ...row, resources: {} })) };
    expect(resourcesOf(ok(bare, {}))).toEqual(["img 9"]);
    expect(resourcesOf(ok(bare, { revision: 20, channel: "14/stable" }))).toEqual(["img 9"]);
    expect(resourcesOf(ok(bare, { revision: 20 }))).toEqual([]);
  });

  test.each([
    [-1, "img 9"],
    [3, "img 3"],
  ])("revision %d of a request is %s", (revision, resource) => {
    expect(resourcesOf(ok(ACME, { resourceRevisions: [{ name: "img", revision }] }))).toEqual([resource]);
  });
});

describe("refusals", () => {
  test.each<[string, Partial<Query>, Refusal["code"]]>([
    ["a base that is not known", { base: UNKNOWN }, "invalid-charm-base"],
    ["a base that is half known", { base: base("amd64", "NA") }, "invalid-charm-base"],
    ["no base", { base: null }, "missing-charm-base"],
    ["a track that is not there", { channel: "9/stable" }, "revision-not-found"],
    ["a branch of a track that is not there", { channel: "9/edge/fix" }, "revision-not-found"],
    ["a base that nothing runs on", { base: base("amd64", "18.04") }, "revision-not-found"],
    ["an architecture that nothing runs on", { base: base("s390x", "NA", "NA") }, "revision-not-found"],
    ["a channel that is none", { channel: "14/nightly" }, "revision-not-found"],
    ["track latest on the default track's base", { channel: "latest/stable" }, "revision-not-found"],
    ["a revision that is not there", { revision: 900 }, "revision-not-found"],
    ["a revision of another architecture", { revision: 21, base: UNKNOWN }, "revision-not-found"],
    [
      "a resource revision that is not there",
      { revision: 20, resourceRevisions: [{ name: "img", revision: 99 }] },
      "charm-resource-not-found",
    ],
    ["a resource that is not there", { revision: 20, resourceRevisions: [{ name: "nope", revision: 1 }] }, "charm-resource-not-found"],
  ])("%s", (_, query, code) => {
    const refusal = no(ACME, query);
    expect(refusal.code).toBe(code);
    if (code === "revision-not-found") expect(extraOf(refusal).releases).not.toBeEmpty();
  });

  test("a package that is not there, by name and by id", () => {
    expect(no(undefined, { name: "nope" }).code).toBe("name-not-found");
    const { name: _, ...byId } = ask({ id: "NOPE" });
    expect(resolve(undefined, byId)).toMatchObject({ refusal: { code: "id-not-found" } });
  });

  test("the text of a missing revision names it", () => {
    expect(no(ACME, { revision: 900 }).message).toContain("900");
  });

  test.each([
    ["24.04", "stable", "amd64", ["24.04", "22.04"]],
    ["20.04", "stable", "amd64", ["24.04", "22.04"]],
    ["22.04", "stable", "amd64", ["22.04", "24.04"]],
    ["24.04", "stable", "arm64", ["24.04"]],
    ["24.04", "latest/stable", "amd64", ["20.04"]],
    ["24.04", "edge", "amd64", ["24.04", "22.04"]],
  ])("bases for a client that prefers %s, on %s for %s: %j", (preferred, channel, architecture, channels) => {
    const bases = extraOf(no(ACME, { preferred, channel, base: base(architecture, "NA", "NA") }))["default-bases"];
    expect(bases).toEqual(channels.map((one) => base(architecture, one)));
  });

  const shown = (over: Partial<Query>) => (extraOf(no(ACME, over)).releases ?? []).map((row) => `${row.channel} ${baseKey(row.base)}`);

  test("releases list all tracks with every risk that falls back, the asked architecture and the best base first", () => {
    const rows = shown({ channel: "9/stable" });
    expect(rows[0]).toBe("14/stable ubuntu@24.04/amd64");
    expect(rows.slice(0, 4)).toEqual(RISKS.map((risk) => `14/${risk} ubuntu@24.04/amd64`));
    expect(rows).toContain("14/candidate ubuntu@22.04/amd64");
    expect(rows).toContain("latest/edge ubuntu@20.04/amd64");
    expect(rows).toHaveLength(16);
    expect(shown({ channel: "9/stable", base: base("arm64", "18.04") })[0]).toBe("14/stable ubuntu@24.04/arm64");
  });

  test.each(["stable", "14", "14/stable"])("the asked channel %s is spelled as it was asked", (channel) => {
    const rows = shown({ channel, base: base("amd64", "18.04") });
    expect(rows[0]).toBe(`${channel} ubuntu@24.04/amd64`);
    expect(rows).toContain("14/edge ubuntu@24.04/amd64");
    if (channel !== "14/stable") expect(rows.join("\n")).not.toContain("14/stable");
  });

  test("latest/stable stays latest/stable", () => {
    expect(shown({ channel: "latest/stable", base: base("amd64", "18.04") })).toContain("latest/stable ubuntu@20.04/amd64");
  });
});

describe("by revision", () => {
  test("no base is needed, and no channel is told", () => {
    const found = ok(ACME, { revision: 18, base: null });
    expect([found.revision.revision, found.channel]).toEqual([18, undefined]);
  });

  test("a base that is not known is no error", () => {
    expect(ok(ACME, { revision: 18, base: UNKNOWN }).revision.revision).toBe(18);
    expect(ok(ACME, { revision: 20, base: UNKNOWN, channel: "14/stable" }).channel).toBe("14/stable");
  });

  test("with a channel: what was released together there, even if it was replaced since", () => {
    const pkg = pkgOf([{ channel: "14/stable", base: AMD.noble, revision: 26, resources: { img: 9 } }], { before: ACME });
    expect(resourcesOf(ok(pkg, { revision: 20, channel: "14/stable" }))).toEqual(["img 7"]);
    expect(resourcesOf(ok(pkg, { revision: 26, channel: "14/stable" }))).toEqual(["img 9"]);
  });

  test("in a channel where it never was: the resources of the channel's present release", () => {
    const found = ok(ACME, { revision: 25, channel: "14/stable" });
    expect([found.revision.revision, found.channel, resourcesOf(found)]).toEqual([25, "14/stable", ["img 7"]]);
  });

  test.each([
    [3, "img 3"],
    [-1, "img 9"],
  ])("a pinned resource revision %d is given, once", (revision, shown) => {
    expect(resourcesOf(ok(ACME, { revision: 20, base: null, resourceRevisions: [{ name: "img", revision }] }))).toEqual([shown]);
  });
});

describe("bundles", () => {
  test.each<[string, Partial<Query>]>([
    ["by channel with no known base", { channel: "stable", base: UNKNOWN }],
    ["by channel with a base", { channel: "stable" }],
    ["by channel without one", { channel: "stable", base: null }],
    ["by a riskier channel", { channel: "edge" }],
    ["by revision", { revision: 3, base: null }],
    ["by revision with a base", { revision: 3, base: UNKNOWN }],
  ])("%s", (_, query) => {
    expect(ok(STACK, query).revision.revision).toBe(3);
  });

  test("refusals name a base of the asking client, since there is none of the bundle", () => {
    const releases = extraOf(no(STACK, { channel: "9/stable", base: UNKNOWN })).releases;
    expect(releases?.[0]).toEqual({ channel: "latest/stable", base: base("amd64", "24.04") });
  });
});

test("the default release is the most stable of the default track, on amd64 where it can", () => {
  expect(defaultRelease(ACME)).toMatchObject({ channel: "14/stable", revision: 20 });
  const arm = pkgOf([
    { channel: "14/stable", base: ARM, revision: 1 },
    { channel: "14/stable", base: AMD.jammy, revision: 2 },
  ]);
  expect(defaultRelease(arm)).toMatchObject({ revision: 2 });
});

/* ---- whatever is stored and asked ---- */

const anyTrack = fc.constantFrom("14", "16", "latest");
const anyRisk = fc.constantFrom(...RISKS);
const anyBase = fc.record({
  name: fc.constantFrom("ubuntu", "centos"),
  channel: fc.constantFrom("20.04", "22.04", "24.04"),
  architecture: fc.constantFrom("amd64", "arm64"),
});
const anyRow = fc.record({
  channel: fc.tuple(anyTrack, anyRisk, fc.constantFrom("", "", "/fix")).map(([track, risk, branch]) => `${track}/${risk}${branch}`),
  base: anyBase,
  revision: fc.integer({ min: 1, max: 6 }),
  resources: fc.constantFrom({}, { img: 3 }, { img: 9 }),
});
const anyCharm = fc.tuple(fc.array(anyRow, { maxLength: 12 }), anyTrack).map(([rows, track]) => pkgOf(rows, { track }));
const anyBundle = fc.array(anyRow, { maxLength: 6 }).map((rows) =>
  pkgOf(
    rows.map((r) => ({ ...r, base: null })),
    { type: "bundle" },
  ),
);
const wild = fc.oneof(fc.constantFrom("", "NA", "all", "ubuntu", "22.04", "24.04/stable", "amd64", "constructor"), fc.string());
const askedChannel = fc.oneof(
  anyRow.map((r) => r.channel),
  anyRisk,
  anyTrack,
  fc.constantFrom("", "9/stable", "stable/stable"),
  fc.string(),
);
const askedBase = fc.option(
  fc.oneof(
    anyBase,
    anyBase.map((b) => ({ ...b, name: "NA", channel: "NA" })),
    fc.record({ name: wild, channel: wild, architecture: wild }),
  ),
);
const anyQuery: fc.Arbitrary<Query> = fc
  .record({
    action: fc.constantFrom("install" as const, "download" as const, "refresh" as const),
    instanceKey: fc.string(),
    base: askedBase,
    revision: fc.option(fc.integer({ min: -2, max: 8 }), { nil: undefined }),
    channel: fc.option(askedChannel, { nil: undefined }),
    resourceRevisions: fc.array(fc.record({ name: fc.constantFrom("img", "constructor"), revision: fc.constantFrom(-1, 3, 99) }), {
      maxLength: 2,
    }),
    preferred: fc.constantFrom("20.04", "22.04", "24.04"),
  })
  .map(({ revision, channel, ...rest }) => ({
    ...rest,
    name: "acme-db",
    ...(revision !== undefined && { revision }),
    ...(channel !== undefined && { channel }),
  }));
const byChannel = anyQuery.map(({ revision: _revision, ...query }) => query);

const often = { numRuns: runs(500) };

describe("whatever is stored and asked", () => {
  test("there is an answer, and it is one of the two kinds", () => {
    fc.assert(
      fc.property(fc.option(fc.oneof(anyCharm, anyBundle), { nil: undefined }), anyQuery, (pkg, query) => {
        const outcome = resolve(pkg, query);
        expect("ok" in outcome).not.toBe("refusal" in outcome);
        if ("ok" in outcome) {
          const names = outcome.ok.resources.map(([name]) => name);
          expect(new Set(names).size).toBe(names.length);
        }
      }),
      often,
    );
  });

  test("the channel of the answer is not riskier than asked, of the same track, and holds what was given", () => {
    fc.assert(
      fc.property(fc.oneof(anyCharm, anyBundle), byChannel, (pkg, query) => {
        const outcome = resolve(pkg, query);
        if (!("ok" in outcome)) return;
        const asked = fullChannel(query.channel || "stable", pkg.defaultTrack);
        const { channel = "", revision } = outcome.ok;
        const given = channelOf({ channel });
        expect(given.track).toBe(asked?.track as string);
        expect(RISKS.indexOf(given.risk)).toBeLessThanOrEqual(RISKS.indexOf(asked?.risk ?? "stable"));
        if (given.branch !== undefined) expect(given.branch).toBe(asked?.branch as string);
        const fits = (r: Release) =>
          pkg.type === "bundle" ||
          (query.base !== null && r.base !== null && agrees(r.base, { ...query.base, channel: query.base.channel.split("/")[0] ?? "" }));
        expect(pkg.releases.some((r) => r.channel === channel && r.revision === revision.revision && fits(r))).toBe(true);
      }),
      often,
    );
  });

  test("where a risk is open for a base, nothing safer is given for that base", () => {
    fc.assert(
      fc.property(anyCharm, byChannel, anyBase, (pkg, query, on) => {
        const asked = fullChannel(query.channel || "stable", pkg.defaultTrack);
        if (!asked || asked.branch !== undefined) return;
        const row = pkg.releases.find((r) => r.channel === `${asked.track}/${asked.risk}` && baseKey(r.base) === baseKey(on));
        if (!row) return;
        const outcome = resolve(pkg, { ...query, base: on, resourceRevisions: [] });
        expect(outcome).toMatchObject({ ok: { channel: row.channel, revision: { revision: row.revision } } });
      }),
      often,
    );
  });

  test("every base that is suggested can be had, and is of the asked architecture", () => {
    fc.assert(
      fc.property(anyCharm, byChannel, (pkg, query) => {
        const asked = { ...query, resourceRevisions: [] };
        const outcome = resolve(pkg, asked);
        if (!("refusal" in outcome) || outcome.refusal.code !== "invalid-charm-base") return;
        const bases = extraOf(outcome.refusal)["default-bases"] ?? [];
        expect(bases).not.toBeEmpty();
        expect(new Set(bases.map(baseKey)).size).toBe(bases.length);
        for (const suggested of bases) {
          expect(isConcrete(suggested)).toBe(true);
          expect(agrees(suggested, { name: "", channel: "", architecture: query.base?.architecture ?? "" })).toBe(true);
          expect(resolve(pkg, { ...asked, base: suggested })).toHaveProperty("ok");
        }
      }),
      often,
    );
  });

  test("every release that is listed can be had, none is listed twice, and the asked architecture leads", () => {
    fc.assert(
      fc.property(fc.oneof(anyCharm, anyBundle), byChannel, (pkg, query) => {
        const rows = reachableReleases(pkg, query, query.base);
        expect(new Set(rows.map((row) => `${row.channel} ${baseKey(row.base)}`)).size).toBe(rows.length);
        const others = rows.map((row) => row.base.architecture !== query.base?.architecture);
        if (query.base && others.includes(false))
          expect(others.lastIndexOf(false)).toBeLessThan(others.includes(true) ? others.indexOf(true) : rows.length);
        for (const { channel, base: on } of rows)
          expect(resolve(pkg, { ...query, channel, base: on, resourceRevisions: [] })).toHaveProperty("ok");
      }),
      often,
    );
  });

  test("every open row without a branch is listed", () => {
    fc.assert(
      fc.property(anyCharm, (pkg) => {
        const listed = new Set(reachableReleases(pkg, { preferred: "24.04" }, null).map((row) => `${row.channel} ${baseKey(row.base)}`));
        for (const r of pkg.releases) if (channelOf(r).branch === undefined) expect(listed).toContain(`${r.channel} ${baseKey(r.base)}`);
      }),
      often,
    );
  });

  test("the same rows, imported again, change nothing", () => {
    const anyRows = fc.uniqueArray(anyRow, { selector: (r) => `${r.channel} ${baseKey(r.base)}`, maxLength: 12 });
    fc.assert(
      fc.property(anyRows, anyTrack, (rows, track) => {
        const once = pkgOf(rows, { track });
        expect(pkgOf(rows, { track, before: once })).toEqual(once);
      }),
      often,
    );
  });
});
