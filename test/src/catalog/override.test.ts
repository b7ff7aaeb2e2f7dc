import { describe, expect, test } from "bun:test";
import { close, movesOf, rollBack, type StoredPackage } from "../../../src/catalog/change.ts";
import {
  endOverride,
  offered,
  overrideMoves,
  overridesOf,
  overrideWarnings,
  readReason,
  readUntil,
  setOverride,
  showOverride,
  spanOf,
} from "../../../src/catalog/override.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { removal } from "../../../src/catalog/removal.ts";
import type { Snap } from "../../../src/catalog/snap.ts";
import { Failure } from "../../../src/errors.ts";
import { Store } from "../../../store/store.ts";
import { bothWorlds } from "../../snapworld.ts";

const NOW = "2026-04-01T00:00:00.000Z";
const AT = Date.parse(NOW);
const UNTIL = "2026-05-01T23:59:59Z";
const WHY = { reason: "25 breaks backups", until: UNTIL };

async function held(): Promise<{ charm: Package; bundle: Package; hello: Snap; all: Snap }> {
  const store = await Store.open(await bothWorlds());
  const snapshot = await store.snapshot();
  const [charm, bundle] = [await snapshot.package("acme-db"), await snapshot.package("acme-stack")];
  const [hello, all] = [await snapshot.snap("hello"), await snapshot.snap("all1")];
  if (!charm || !bundle || !hello || !all) throw new Error("the world lacks something");
  return { charm, bundle, hello, all };
}

function failure(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return `${error.kind}: ${error.message}`;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("until", () => {
  test.each([
    ["2026-04-01", "2026-04-01T23:59:59Z"],
    ["2026-04-02T08:30", "2026-04-02T08:30:00Z"],
    ["2026-04-02 08:30:15", "2026-04-02T08:30:15Z"],
    ["2026-04-02T00:30:00+02:00", "2026-04-01T22:30:00Z"],
    ["2026-04-02t08:30:00z", "2026-04-02T08:30:00Z"],
    ["2028-02-29", "2028-02-29T23:59:59Z"],
  ])("%s is %s", (text, until) => {
    expect(readUntil(text, AT)).toBe(until);
  });

  test.each([
    ["", "takes a day or a time"],
    ["tomorrow", "takes a day or a time"],
    ["2027-02-29", "takes a day or a time"],
    ["2027-13-01", "takes a day or a time"],
    ["2026-04-02T25:00", "takes a day or a time"],
    ["2026-4-2", "takes a day or a time"],
    ["2026-03-31", "takes a time to come, and 2026-03-31T23:59:59Z is over"],
    ["2026-04-01T00:00Z", "takes a time to come, and 2026-04-01T00:00:00Z is over"],
  ])("%j is refused", (text, says) => {
    expect(failure(() => readUntil(text, AT))).toContain(`usage: --until ${says}`);
  });
});

test("a reason is a line of text", () => {
  expect(readReason("  25 breaks “backups” ")).toBe("25 breaks “backups”");
  for (const text of ["", " ", "a\nb", "a\u202Eb"]) expect(failure(() => readReason(text))).toStartWith("usage: --reason");
});

describe("an override", () => {
  test("is set as a release is, and refused as one is", async () => {
    const { charm, bundle, hello } = await held();
    const set = setOverride(charm, 18, "stable", {}, WHY, NOW);
    expect(overridesOf(set, AT)).toEqual([
      {
        name: "acme-db",
        type: "charm",
        channel: "14/stable",
        on: "ubuntu@22.04 amd64",
        revision: 18,
        without: 18,
        reason: "25 breaks backups",
        until: UNTIL,
        state: "in force",
      },
    ]);
    expect(overridesOf(setOverride(bundle, 3, "edge", {}, WHY, NOW), AT)).toMatchObject([{ on: "any base", without: null }]);
    expect(overridesOf(setOverride(hello, 5, "edge", {}, WHY, NOW), AT)).toMatchObject([{ channel: "latest/edge", without: 6 }]);
    for (const [one, revision, channel, where, says] of [
      [charm, 999, "stable", {}, "not-found: revision 999 of acme-db is not stored"],
      [charm, 18, "stable", { base: "24.04" }, "refused: revision 18 of acme-db runs on ubuntu@22.04 amd64 and not on 24.04"],
      [charm, 18, "a/b/c/d", {}, "usage: a/b/c/d is not a channel"],
      [hello, 5, "stable", { base: "22.04" }, "usage: hello is a snap"],
      [hello, 5, "stable", { architecture: "arm64" }, "refused: revision 5 of hello runs on amd64 and not on arm64"],
    ] as const)
      expect(failure(() => setOverride(one, revision, channel, where, WHY, NOW))).toStartWith(says);
  });

  test("changes nothing of the channel map, and leaves the very manifest when it is ended", async () => {
    const all = await held();
    for (const [one, revision, channel] of [
      [all.charm, 20, "14/edge"],
      [all.bundle, 3, "edge"],
      [all.hello, 5, "edge"],
    ] as const) {
      const set = setOverride(one, revision, channel, {}, WHY, NOW);
      expect(movesOf(one, set)).toEqual([]);
      expect(JSON.stringify(endOverride(set, channel, {}))).toBe(JSON.stringify(one));
      expect(failure(() => endOverride(one, channel, {}))).toContain("has no override in");
      expect(failure(() => endOverride(set, channel, { architecture: "riscv64" }))).toEndWith("on riscv64");
    }
  });

  test("is replaced by one of the same rows, and keeps what it says of their release", async () => {
    const { charm } = await held();
    const first = setOverride(charm, 25, "stable", {}, WHY, NOW);
    const longer = setOverride(first, 25, "stable", {}, { reason: "still so" }, "2026-04-09T00:00:00.000Z");
    expect(longer.overrides).toMatchObject([{ revision: 25, releasedAt: NOW, reason: "still so" }]);
    expect(longer.overrides?.[0]).not.toHaveProperty("until");
    expect(overrideMoves(first, longer)).toEqual([
      {
        channel: "14/stable",
        on: "ubuntu@24.04 amd64",
        without: 20,
        from: { revision: 25, reason: WHY.reason, until: UNTIL },
        to: { revision: 25, reason: "still so", until: null },
      },
    ]);
    const both = setOverride(first, 18, "stable", {}, WHY, NOW);
    expect(overridesOf(both, AT).map((one) => one.revision)).toEqual([25, 18]); // other bases
    expect(overridesOf(setOverride(both, 20, "stable", {}, WHY, NOW), AT).map((one) => one.revision)).toEqual([20, 18]);
  });

  test("ends at its end, and is told of before and after", async () => {
    const { charm } = await held();
    const end = Date.parse(UNTIL);
    const set = setOverride(charm, 20, "14/edge", {}, WHY, NOW);
    const head = (now: number) => offered(set, now).releases.find((r) => r.channel === "14/edge")?.revision;
    expect([head(AT), head(end - 1), head(end)]).toEqual([20, 20, 25]);
    expect(offered(set, end)).toBe(set);
    expect(offered(set, end - 1)).toBe(offered(set, AT));
    expect([spanOf(set, AT), spanOf(set, end), spanOf(charm, AT)]).toEqual([
      { from: -Infinity, until: end },
      { from: end, until: Infinity },
      { from: -Infinity, until: Infinity },
    ]);
    expect(overrideWarnings(set, AT)).toEqual([
      "acme-db 14/edge ubuntu@24.04 amd64 is pinned to 20, while 25 is released there (25 breaks backups); chp end-override acme-db 14/edge serves it",
    ]);
    expect(overrideWarnings(set, end - 1000)[0]).toBe(
      `acme-db 14/edge ubuntu@24.04 amd64: its override ends at ${UNTIL}; then it offers 25`,
    );
    expect(overrideWarnings(set, end)).toEqual([
      "acme-db 14/edge ubuntu@24.04 amd64: its override ended, so it offers 25; chp end-override acme-db 14/edge takes it off the list",
    ]);
    const [facts] = overridesOf(set, end);
    expect(facts && showOverride(facts)).toBe(`was pinned to 20 instead of 25 until ${UNTIL}: 25 breaks backups`);
    expect(overrideWarnings(setOverride(charm, 20, "14/stable", {}, { reason: "as it is" }, NOW), AT)).toEqual([]);
  });

  test("for every architecture stands over rows of one, unless that has an override of its own", async () => {
    const { all } = await held();
    const [first] = all.revisions;
    if (!first) throw new Error("it has no revision");
    const own = { ...first, revision: 2, architectures: ["amd64"] };
    const row = { channel: "latest/stable", architecture: "amd64", revision: 2, releasedAt: NOW };
    const snap: Snap = { ...all, revisions: [own, first], releases: [...all.releases, row] };
    const set = setOverride(snap, 1, "stable", {}, WHY, NOW);
    const heads = (one: StoredPackage) => (offered(one, AT) as Snap).releases.map((r) => `${r.architecture} ${r.revision}`);
    expect(heads(set)).toEqual(["all 1"]);
    expect(overridesOf(set, AT)).toMatchObject([{ on: "all", without: 2 }]);
    // Of one architecture alone, over a row of all: that is what its machines get without it.
    const low = { ...row, revision: 1 };
    const pinned: Snap = { ...all, releases: [{ ...row, architecture: "all" }], overrides: [{ ...low, ...WHY }] };
    expect(overridesOf(pinned, AT)).toMatchObject([{ on: "amd64", without: 2 }]);
    const again = setOverride(set, 2, "stable", {}, WHY, NOW);
    expect(heads(again)).toEqual(["all 1", "amd64 2"]);
    expect(heads(setOverride(again, 1, "stable", {}, WHY, NOW))).toEqual(["all 1"]);
  });

  test("uses its revision as long as it is in force, and goes with it", async () => {
    const { charm, hello } = await held();
    const set = setOverride(charm, 10, "2/edge", {}, WHY, NOW);
    const { uses, after } = removal(close(set, "latest/stable", {}), 10, [], AT);
    expect(uses).toEqual(["an override pins 2/edge ubuntu@20.04 amd64 to revision 10: 25 breaks backups"]);
    expect(after).not.toHaveProperty("overrides");
    expect(removal(close(set, "latest/stable", {}), 10, [], Date.parse(UNTIL)).uses).toEqual([]);
    const snap = setOverride(hello, 7, "beta", {}, WHY, NOW);
    expect(removal(snap, 7, [], AT)).toMatchObject({
      uses: [expect.stringContaining("2.0/stable"), expect.stringContaining("latest/beta")],
    });
    expect(removal(setOverride(snap, 5, "edge", {}, WHY, NOW), 7, [], AT).after?.overrides).toMatchObject([{ revision: 5 }]);
  });

  test("is of the generation that is rolled back to", async () => {
    const { charm } = await held();
    const set = setOverride(charm, 20, "14/edge", {}, WHY, NOW);
    expect(rollBack(charm, set)).not.toHaveProperty("overrides");
    expect(rollBack(undefined, set)).not.toHaveProperty("overrides");
    expect(rollBack(set, charm).overrides).toEqual(set.overrides);
  });
});
