import { describe, expect, test } from "bun:test";
import { changes as changesOf } from "../../../src/catalog/channelmap.ts";
import {
  findResource,
  type Incoming,
  type IncomingRelease,
  mergePackage,
  numbered,
  PACKAGE_RULES,
  type Package,
  type ResourceRevision,
  type Revision,
  UNNUMBERED,
} from "../../../src/catalog/package.ts";
import type { Digest } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { base, type TestBase } from "../../build.ts";

const JAMMY = base("amd64", "22.04");
const NOBLE = base("amd64", "24.04");

/** A digest that is told by one letter. */
const digest = (letter: string) => letter.repeat(64).slice(0, 64) as Digest;

function revision(number: number, over: Partial<Revision> = {}): Revision {
  return {
    revision: number,
    version: String(number),
    createdAt: "2026-01-01T00:00:00+00:00",
    bases: [JAMMY],
    blob: digest(`${number}`),
    size: 10,
    texts: {},
    resources: [],
    charms: [],
    relations: {},
    subordinate: false,
    ...over,
  };
}

function resource(number: number, over: Partial<ResourceRevision> = {}): ResourceRevision {
  const digests = { "sha-384": "", "sha-512": "", "sha3-384": "" };
  const common = { type: "file" as const, filename: "f", description: "", createdAt: "2026-01-01T00:00:00+00:00" };
  return { revision: number, ...common, blob: digest(`a${number}`), size: 1, digests, ...over };
}

function row(channel: string, number: number, over: Partial<IncomingRelease> = {}): IncomingRelease {
  return { channel, base: JAMMY, revision: number, releasedAt: "2026-02-01T00:00:00+00:00", resources: {}, ...over };
}

function incoming(over: Partial<Incoming> = {}): Incoming {
  const common = { type: "charm" as const, name: "acme-db", id: "IDA", declared: true, details: { title: "Acme" }, resources: [] };
  return { ...common, revisions: [revision(1)], releases: [row("latest/stable", 1)], ...over };
}

/** What is stored after these imports. */
function held(...imports: readonly Partial<Incoming>[]): Package {
  let pkg: Package | undefined;
  for (const over of imports) pkg = mergePackage(pkg, incoming(over)).package;
  if (!pkg) throw new Error("nothing was imported");
  return pkg;
}

function refusal(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

const changes = (before: Package, after: Package) => changesOf(PACKAGE_RULES, before, after);
const open = (pkg: Package) => pkg.releases.map((r) => `${r.channel} ${r.revision}`);

test("the same import again changes nothing", () => {
  const pkg = held({}, {});
  expect(pkg).toEqual(held({}));
  expect(changes(held({}), pkg)).toEqual([]);
});

test("revisions add up, newest first", () => {
  const pkg = held({ revisions: [revision(2)] }, { revisions: [revision(3), revision(1)] });
  expect(pkg.revisions.map((r) => r.revision)).toEqual([3, 2, 1]);
});

describe("what contradicts the store is refused", () => {
  test("the same revision with other bytes, with both digests shown", () => {
    const failure = refusal(() => mergePackage(held({}), incoming({ revisions: [revision(1, { blob: digest("f") })] })));
    expect(failure.kind).toBe("refused");
    for (const told of ["acme-db", "revision 1", digest("1"), digest("f")]) expect(failure.message).toContain(told);
  });

  test("the same resource revision with other bytes, with both digests shown", () => {
    const before = held({ resources: [{ name: "img", revisions: [resource(7)] }] });
    const failure = refusal(() =>
      mergePackage(before, incoming({ resources: [{ name: "img", revisions: [resource(7, { blob: digest("e") })] }] })),
    );
    expect(failure.kind).toBe("refused");
    for (const told of ["acme-db", "img", "revision 7", digest("a7"), digest("e")]) expect(failure.message).toContain(told);
  });

  test("a bundle of a charm's name", () => {
    expect(refusal(() => mergePackage(held({}), incoming({ type: "bundle" }))).kind).toBe("refused");
  });

  test("another declared id", () => {
    const { message } = refusal(() => mergePackage(held({}), incoming({ id: "IDB" })));
    expect(message).toContain("IDA");
    expect(message).toContain("IDB");
  });
});

describe("the channel map", () => {
  test("rows of other channels and bases stay; a row of the same is replaced and told", () => {
    const before = held({
      revisions: [revision(1), revision(2)],
      releases: [row("latest/stable", 1), row("latest/edge", 2), row("latest/stable", 2, { base: NOBLE })],
    });
    const after = mergePackage(before, incoming({ revisions: [revision(3)], releases: [row("latest/stable", 3)] })).package;
    expect(open(after)).toEqual(["latest/stable 2", "latest/stable 3", "latest/edge 2"]);
    expect(changes(before, after)).toEqual([{ channel: "latest/stable", base: JAMMY, from: 1, to: 3 }]);
    expect(after.history.map((r) => r.revision)).toEqual([1]);
  });

  test("what was replaced is remembered, newest first", () => {
    const step = (number: number) => ({ revisions: [revision(number)], releases: [row("latest/stable", number)] });
    expect(held(step(1), step(3), step(2)).history.map((r) => r.revision)).toEqual([3, 1]);
  });

  test("a change of the resources alone is a change", () => {
    const resources = [{ name: "img", revisions: [resource(8), resource(7)] }];
    const before = held({ resources, releases: [row("latest/stable", 1, { resources: { img: 7 } })] });
    const after = mergePackage(before, incoming({ resources, releases: [row("latest/stable", 1, { resources: { img: 8 } })] })).package;
    expect(changes(before, after)).toEqual([{ channel: "latest/stable", base: JAMMY, from: 1, to: 1 }]);
    expect(after.history.map((r) => r.resources)).toEqual([{ img: 7 }]);
  });

  test("a row whose revision is neither here nor there is not published but reported", () => {
    const merged = mergePackage(held({}), incoming({ releases: [row("latest/stable", 1), row("latest/edge", 9)] }));
    expect(open(merged.package)).toEqual(["latest/stable 1"]);
    expect(merged.dropped).toEqual([row("latest/edge", 9)]);
  });

  test("a row may name a revision that only the store has", () => {
    const merged = mergePackage(held({}), incoming({ revisions: [revision(2)], releases: [row("latest/edge", 1)] }));
    expect(merged.dropped).toEqual([]);
    expect(open(merged.package)).toEqual(["latest/stable 1", "latest/edge 1"]);
  });

  test("a pinned resource revision that nobody has is left out and reported", () => {
    const releases = [row("latest/stable", 1, { resources: { img: 7, lost: 3 } })];
    const merged = mergePackage(undefined, incoming({ resources: [{ name: "img", revisions: [resource(7)] }], releases }));
    expect(merged.package.releases[0]?.resources).toEqual({ img: 7 });
    expect(merged.missingResources).toEqual([{ name: "lost", revision: 3 }]);
  });

  test("without pins the newest that came along is taken, of the declared resources", () => {
    const { resources: _, ...silent } = row("latest/stable", 1);
    const resources = [
      { name: "img", revisions: [resource(8), resource(7)] },
      { name: "other", revisions: [resource(1)] },
    ];
    const pkg = held({ revisions: [revision(1, { resources: ["img"] })], resources, releases: [silent] });
    expect(pkg.releases[0]?.resources).toEqual({ img: 8 });
  });

  test("keep: a package that is stored keeps its channel map and gets the revisions", () => {
    const before = held({});
    const merged = mergePackage(before, incoming({ revisions: [revision(2)], releases: [row("latest/stable", 2)] }), "keep");
    expect(merged.package.releases).toEqual(before.releases);
    expect(merged.package.revisions.map((r) => r.revision)).toEqual([2, 1]);
    expect(merged.notes).not.toBeEmpty();
  });

  test.each(["keep", "keep-charms"] as const)("%s: a package that is stored keeps its channel map and says so", (policy) => {
    const before = mergePackage(undefined, incoming()).package;
    const given = incoming({ revisions: [revision(2)], releases: [row("9/stable", 2)] });
    const merged = mergePackage(before, given, policy);
    expect([open(merged.package), merged.notes]).toEqual([["latest/stable 1"], ["its channel map was kept as it is"]]);
    expect(mergePackage(before, given).notes).toContain("its track 9 is new");
  });

  test("keep: a new package is published with its map", () => {
    expect(open(mergePackage(undefined, incoming(), "keep").package)).toEqual(["latest/stable 1"]);
  });

  test("default track first, then stable to edge, then the best base", () => {
    const noble = { base: NOBLE };
    const pkg = held({
      declaredTrack: "14",
      releases: [row("latest/stable", 1), row("14/edge", 1), row("14/stable", 1), row("14/stable", 1, noble), row("14/candidate", 1)],
    });
    expect(pkg.releases.map((r) => `${r.channel} ${r.base?.channel}`)).toEqual([
      "14/stable 24.04",
      "14/stable 22.04",
      "14/candidate 22.04",
      "14/edge 22.04",
      "latest/stable 22.04",
    ]);
  });
});

describe("the default track", () => {
  const on = (...channels: string[]) => ({ releases: channels.map((channel) => row(channel, 1)) });
  const declared = (track: string, ...channels: string[]) => ({ declaredTrack: track, ...on(...channels) });

  test.each<[string, readonly Partial<Incoming>[], string, boolean]>([
    ["the declared one where it is stored", [declared("14", "latest/stable", "14/stable")], "14", false],
    ["a held one where the declared is not, and a note says so", [declared("14", "16/stable")], "16", true],
    ["the only one where none is declared", [on("16/stable")], "16", false],
    ["the first held where none is declared, and a note says so", [on("16/stable", "14/stable")], "16", true],
    ["the declared one once a release of it comes", [declared("14", "16/stable"), on("14/stable")], "14", false],
    ["what it was where the new import says nothing", [on("16/stable"), on("14/stable")], "16", false],
    ["what a later import declares", [on("16/stable"), declared("14", "14/stable")], "14", false],
    ["what it was where the declared has no release", [declared("14", "14/stable"), declared("15", "16/stable")], "14", false],
    ["latest where nothing is released", [on()], "latest", false],
  ])("%s", (_, imports, track, noted) => {
    const last = imports.at(-1) ?? {};
    const before = imports.length > 1 ? held(...imports.slice(0, -1)) : undefined;
    const merged = mergePackage(before, incoming(last));
    expect(merged.package.defaultTrack).toBe(track);
    expect(merged.notes.some((note) => note.includes("default track"))).toBe(noted);
  });
});

describe("the package id", () => {
  test("a declared one takes the place of a rebuilt one, which still finds the package", () => {
    const pkg = held({ id: "MINTED", declared: false }, { id: "IDA" });
    expect([pkg.id, pkg.formerIds, pkg.declared]).toEqual(["IDA", ["MINTED"], true]);
  });

  test("a rebuilt one never replaces another, nor the details that were declared", () => {
    const pkg = held({}, { id: "MINTED", declared: false, details: { title: "rebuilt" } });
    expect([pkg.id, pkg.formerIds, pkg.details.title]).toEqual(["IDA", [], "Acme"]);
    expect(held({ id: "ONE", declared: false }, { id: "TWO", declared: false }).id).toBe("ONE");
  });

  test("a former one is kept by later imports", () => {
    expect(held({ id: "MINTED", declared: false }, {}, { id: "OTHER", declared: false }, {}).formerIds).toEqual(["MINTED"]);
  });
});

describe("a charm that was built here", () => {
  const own = (blob: string): Partial<Incoming> => ({
    declared: false,
    revisions: [revision(UNNUMBERED, { blob: digest(blob), version: "-1" })],
    releases: [row("latest/stable", UNNUMBERED)],
  });
  const add = (pkg: Package | undefined, blob: string) => mergePackage(pkg, numbered(pkg, incoming(own(blob)))).package;

  test("gets 1, other bytes the next number, the same bytes the same number", () => {
    const one = add(undefined, "a");
    expect([one.revisions.map((r) => [r.revision, r.version]), open(one)]).toEqual([[[1, "1"]], ["latest/stable 1"]]);
    const two = add(one, "b");
    expect([two.revisions.map((r) => r.revision), open(two)]).toEqual([[2, 1], ["latest/stable 2"]]);
    const back = add(two, "a");
    expect([back.revisions.map((r) => r.revision), open(back)]).toEqual([[2, 1], ["latest/stable 1"]]);
  });

  test("never gets a number that Charmhub gave", () => {
    expect(add(held({ revisions: [revision(17)], releases: [row("latest/stable", 17)] }), "a").revisions[0]?.revision).toBe(18);
  });

  test("what has a number keeps it", () => {
    expect(numbered(held({}), incoming())).toEqual(incoming());
  });
});

test.each(["constructor", "toString", "hasOwnProperty", "valueOf"])("a resource may be called %s", (name) => {
  const resources = [{ name, revisions: [resource(3)] }];
  const pkg = held({
    revisions: [revision(1, { resources: [name] })],
    resources,
    releases: [row("latest/stable", 1, { resources: { [name]: 3 } })],
  });
  expect(pkg.releases[0]?.resources).toEqual({ [name]: 3 });
  expect(findResource(pkg, name, 3)?.revision).toBe(3);
  expect(changes(pkg, pkg)).toEqual([]);
});

test("merging changes neither of the two", () => {
  const [before, after] = [held({}), incoming({ revisions: [revision(2)], releases: [row("latest/stable", 2)] })];
  const copies = structuredClone([before, after]);
  mergePackage(before, after);
  expect([before, after]).toEqual(copies as [Package, Incoming]);
});

test("bundles have one row a channel, without a base", () => {
  const bundle = (on: TestBase | null) => incoming({ type: "bundle", releases: [row("latest/stable", 1, { base: on })] });
  expect(mergePackage(mergePackage(undefined, bundle(null)).package, bundle(null)).package.releases).toHaveLength(1);
});
