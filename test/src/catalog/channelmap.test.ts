import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { release } from "../../../src/catalog/change.ts";
import { changes, settleTrack, unreleasedNote } from "../../../src/catalog/channelmap.ts";
import { type IncomingRelease, mergePackage, type Revision } from "../../../src/catalog/package.ts";
import { type IncomingSnap, mergeSnap, SNAP_RULES, type Snap, type SnapRelease, type SnapRevision } from "../../../src/catalog/snap.ts";
import { resolveSnap } from "../../../src/catalog/snapresolve.ts";
import type { Digest } from "../../../src/digest.ts";
import { base } from "../../build.ts";

const NOW = "2026-05-01T00:00:00Z";
const MACHINES = ["amd64", "arm64", "s390x"];
const CHANNELS = ["latest/stable", "latest/edge"];
const REVISIONS = [5, 10, 11];

/** Runs anywhere, so that it can be released for all and for one. */
function revision(number: number): SnapRevision {
  const digits = String(number).padStart(64, "0");
  return {
    revision: number,
    version: String(number),
    type: "app",
    confinement: "strict",
    architectures: ["all"],
    epoch: { read: [0], write: [0] },
    links: {},
    apps: [],
    commonIds: [],
    components: [],
    providers: [],
    createdAt: NOW,
    yaml: digits as Digest,
    blob: digits as Digest,
    size: number,
    "sha3-384": digits,
  };
}

function incoming(releases: readonly SnapRelease[]): IncomingSnap {
  return {
    name: "hello",
    id: "snapidsnapidsnapidsnapidsnapid01",
    publisher: { id: "acme", username: "acme", "display-name": "Acme", validation: "unproven" },
    details: {},
    revisions: REVISIONS.map(revision),
    components: [],
    pairs: [],
    releases,
    assertions: [],
  };
}

const row = (number: number, architecture: string, more: Partial<SnapRelease> = {}): SnapRelease => ({
  channel: "latest/stable",
  architecture,
  revision: number,
  releasedAt: NOW,
  ...more,
});

const EMPTY = mergeSnap(undefined, incoming([])).snap;
const imported = (snap: Snap | undefined, ...rows: readonly SnapRelease[]) => mergeSnap(snap, incoming(rows)).snap;
const shown = ({ releases }: Snap) => releases.map((one) => `${one.architecture} ${one.revision}`);
const gets = (snap: Snap, architecture: string, channel = "stable") => {
  const outcome = resolveSnap(snap, { action: "install", instanceKey: "k", architecture, channel });
  return "ok" in outcome ? outcome.ok.revision.revision : null;
};

/** The row of a channel that a machine of each architecture follows, as the steps say in words. */
function expected(steps: readonly SnapRelease[], channel: string, machine: string): number | null {
  return steps.findLast((one) => one.channel === channel && ["all", machine].includes(one.architecture))?.revision ?? null;
}

const rows = fc.record({
  channel: fc.constantFrom(...CHANNELS),
  architecture: fc.constantFrom("all", ...MACHINES),
  revision: fc.constantFrom(...REVISIONS),
  releasedAt: fc.constant(NOW),
});

test("what is released last wins: for all on every architecture, for one on that alone", () => {
  const first = imported(undefined, row(5, "amd64"));
  const second = imported(first, row(10, "all"));
  expect([shown(second), MACHINES.map((one) => gets(second, one))]).toEqual([["all 10"], [10, 10, 10]]);
  expect(changes(SNAP_RULES, first, second)).toEqual([
    { channel: "latest/stable", architecture: "all", from: null, to: 10 },
    { channel: "latest/stable", architecture: "amd64", from: 5, to: null },
  ]);
  expect(second.history).toEqual([row(5, "amd64")]);
  const third = imported(second, row(11, "arm64"));
  expect([shown(third), MACHINES.map((one) => gets(third, one))]).toEqual([
    ["all 10", "arm64 11"],
    [10, 11, 10],
  ]);
  expect(imported(third, row(10, "all"), row(11, "arm64"))).toEqual(third);
  expect(shown(imported(third, row(10, "all")))).toEqual(["all 10"]);
});

test("a row of one architecture that repeats the one of all is no change", () => {
  const all = imported(undefined, row(10, "all"));
  expect(imported(all, row(10, "amd64", { releasedAt: "2026-06-01T00:00:00Z" }))).toEqual(all);
  expect(release(all, 10, "stable", { architecture: "amd64" }, "2026-06-01T00:00:00Z")).toEqual(all);
});

test("an architecture that has the revision of a release for all keeps its row and time, as a store with a row for each does", () => {
  const LATER = "2026-06-01T00:00:00Z";
  const one = imported(undefined, row(10, "arm64"));
  const collapsed = imported(one, row(10, "all", { releasedAt: LATER }));
  const expanded = imported(one, ...MACHINES.map((machine) => row(10, machine, { releasedAt: LATER })));
  const times = (snap: Snap) =>
    MACHINES.map((architecture) => {
      const outcome = resolveSnap(snap, { action: "install", instanceKey: "k", architecture, channel: "stable" });
      return "ok" in outcome && outcome.ok.releasedAt;
    });
  expect(times(collapsed)).toEqual([LATER, NOW, LATER]);
  expect(times(expanded)).toEqual(times(collapsed));
  expect(shown(imported(collapsed, row(11, "all")))).toEqual(["all 11"]);
});

test("rows that are stored stay as they are until their channel is written", () => {
  // An older version left the row of one architecture beside a later one of all.
  const old: Snap = { ...EMPTY, releases: [row(10, "all"), row(5, "amd64")] };
  expect(shown(imported(old, row(11, "all", { channel: "latest/edge" })))).toEqual(["all 10", "amd64 5", "all 11"]);
  expect(shown(imported(old, row(10, "all")))).toEqual(["all 10"]);
});

test("an import and a release make the same channel map of the same one, and each machine follows the last of them", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(rows, fc.boolean()), { maxLength: 12 }), (steps) => {
      let snap = EMPTY;
      for (const [one, byImport] of steps) {
        const where = one.architecture === "all" ? {} : { architecture: one.architecture };
        const [came, moved] = [imported(snap, one), release(snap, one.revision, one.channel, where, NOW)];
        expect(moved).toEqual(came);
        snap = byImport ? came : moved;
        // The same once more is no change.
        expect(imported(snap, one)).toEqual(snap);
      }
      const done = steps.map(([one]) => one);
      for (const machine of MACHINES) expect(gets(snap, machine, "latest/stable")).toBe(expected(done, "latest/stable", machine));
    }),
  );
});

describe("rows of one archive", () => {
  const timed = fc
    .record({ row: rows, releasedAt: fc.constantFrom("2026-03-01T09:30:00.000002Z", "2026-03-01T10:30:00.000001+01:00", NOW) })
    .map(({ row: one, releasedAt }) => ({ ...one, releasedAt }));
  const orders = fc
    .array(timed, { maxLength: 8 })
    .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })));

  test("give the same map in every order of files, and on every map before", () => {
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 3 }), orders, (before, [given, shuffled]) => {
        const snap = before.reduce((one, step) => imported(one, step), EMPTY);
        const after = imported(snap, ...given);
        expect(imported(snap, ...shuffled)).toEqual(after);
        expect(imported(after, ...shuffled)).toEqual(after);
      }),
    );
  });

  test("the later one wins; at equal times the single architecture, then the higher revision", () => {
    fc.assert(
      fc.property(orders, ([, given]) => {
        const snap = imported(EMPTY, ...given);
        const steps = given.toSorted(
          (a, b) =>
            fraction(a) - fraction(b) || Number(a.architecture !== "all") - Number(b.architecture !== "all") || a.revision - b.revision,
        );
        for (const machine of MACHINES) expect(gets(snap, machine, "latest/stable")).toBe(expected(steps, "latest/stable", machine));
      }),
    );
  });

  /** Which of the three times it is. */
  function fraction({ releasedAt }: SnapRelease): number {
    return releasedAt === NOW ? 3 : releasedAt.includes("000002") ? 2 : 1;
  }

  test("of charms give the same map in every order of archives", () => {
    const charmRevision = (number: number): Revision => ({
      revision: number,
      version: String(number),
      createdAt: NOW,
      bases: [base("amd64", "22.04")],
      blob: String(number).padStart(64, "0") as Digest,
      size: 1,
      texts: {},
      resources: [],
      charms: [],
      relations: {},
      subordinate: false,
    });
    const archive = (release_: IncomingRelease) => ({
      type: "charm" as const,
      name: "tiny",
      id: "tiny".padEnd(32, "0"),
      declared: true,
      details: {},
      revisions: [charmRevision(release_.revision)],
      resources: [],
      releases: [release_],
    });
    const on = (revision_: number, releasedAt: string) => ({
      channel: "latest/stable",
      base: base("amd64", "22.04"),
      revision: revision_,
      releasedAt,
      resources: {},
    });
    const [older, newer] = [archive(on(7, "2026-01-01T00:00:00+00:00")), archive(on(6, "2026-02-01T00:00:00+00:00"))];
    const { package: pkg } = mergePackage(undefined, [older, newer]);
    expect([pkg.releases.map((one) => one.revision), pkg.history.map((one) => one.revision)]).toEqual([[6], [7]]);
    expect(mergePackage(undefined, [newer, older]).package).toEqual(pkg);
    expect(mergePackage(pkg, [older, newer]).package).toEqual(pkg);
  });
});

test("a package without a release has the track that is wanted, and latest where none is or it has no name", () => {
  const trackOf = (declaredTrack?: string) =>
    settleTrack(SNAP_RULES, { chosenTrack: undefined, declaredTrack, defaultTrack: undefined }, []);
  expect([trackOf("2"), trackOf(""), trackOf(undefined)]).toEqual(["2", "latest", "latest"]);
});

test("the revisions of a package that are in no channel take one note", () => {
  expect(unreleasedNote([])).toEqual([]);
  expect(unreleasedNote([6])).toEqual(["revision 6 is in no channel; it can be installed by its number"]);
  expect(unreleasedNote([3, 6, 2, 1], "kafka ")).toEqual([
    "kafka revisions 1 to 3, 6 are in no channel; they can be installed by their numbers",
  ]);
});
