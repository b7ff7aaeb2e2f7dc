import { expect, test } from "bun:test";
import { chooseTrack, close, movesOf, release, rollBackSnap } from "../../../src/catalog/change.ts";
import { removal } from "../../../src/catalog/removal.ts";
import type { Snap } from "../../../src/catalog/snap.ts";
import { resolveSnap } from "../../../src/catalog/snapresolve.ts";
import { Failure } from "../../../src/errors.ts";
import { Store } from "../../../store/store.ts";
import { snapWorld } from "../../snapworld.ts";

const NOW = "2026-05-01T00:00:00.000Z";

async function snaps(): Promise<Snap[]> {
  const store = await Store.open(await snapWorld());
  return (await store.snapshot()).snaps();
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

test("a snap's channels are released and closed on its architectures", async () => {
  const [snap] = (await snaps()).filter((one) => one.pairs.length > 0);
  const [newest] = snap?.revisions ?? [];
  if (!snap || !newest) throw new Error("no snap has components");
  const released = release(snap, newest.revision, "9/edge", {}, NOW);
  expect(movesOf(snap, released)).toEqual(newest.architectures.map((on) => ({ channel: "9/edge", on, from: null, to: newest.revision })));
  expect(chooseTrack(released, "9").defaultTrack).toBe("9");
  const closed = close(released, "9/edge", {});
  expect(closed.type === "snap" && [closed.releases, closed.revisions]).toEqual([snap.releases, snap.revisions]);
  expect(failure(() => release(snap, 999_999, "stable", {}, NOW))).toStartWith("not-found: revision 999999");
  expect(failure(() => release(snap, newest.revision, "stable", { base: "22.04" }, NOW))).toContain("snaps have no base");
  expect(failure(() => close(snap, "9/edge", {}))).toContain("has no release in 9/edge");
});

test("a revision for every architecture is released for those too that had a row of their own", async () => {
  const snap = (await snaps()).find((one) => one.name === "all1");
  const [first] = snap?.revisions ?? [];
  if (!snap || !first) throw new Error("no snap runs on every architecture");
  const own = { ...first, revision: 2, architectures: ["amd64"] };
  const both = release({ ...snap, revisions: [own, first] }, 2, "stable", {}, NOW);
  const back = release(both, 1, "stable", {}, NOW);
  expect(movesOf(both, back)).toEqual([{ channel: "latest/stable", on: "amd64", from: 2, to: null }]);
  expect(resolveSnap(back as Snap, { action: "install", instanceKey: "k", architecture: "amd64" })).toMatchObject({
    ok: { revision: { revision: 1 } },
  });
  expect(release(back, 1, "stable", {}, NOW)).toEqual(back);
});

test("a rollback names the components that it takes from machines", async () => {
  const [snap] = (await snaps()).filter((one) => one.pairs.length > 0);
  if (!snap) throw new Error("no snap has components");
  const before: Snap = { ...snap, pairs: snap.pairs.slice(1), components: [] };
  const { snap: rolled, taken } = rollBackSnap(before, snap);
  const [pair] = snap.pairs;
  expect(taken).toEqual([`component ${pair?.component} revision ${pair?.componentRevision} of ${snap.name} revision ${pair?.revision}`]);
  expect([rolled.pairs, rolled.components]).toEqual([before.pairs, snap.components]);
  expect(rollBackSnap(snap, snap)).toEqual({ snap, taken: [] });
  expect(rollBackSnap(undefined, snap).snap.revisions.every((r) => r.aside)).toBe(true);
});

test("a rollback leaves the pairs of later revisions, which machines may have", async () => {
  const [snap] = (await snaps()).filter((one) => one.pairs.length > 0);
  const [pair] = snap?.pairs ?? [];
  if (!snap || !pair) throw new Error("no snap has components");
  const without = <T extends { readonly revision: number }>(list: readonly T[]): T[] =>
    list.filter(({ revision }) => revision !== pair.revision);
  const before = { ...snap, revisions: without(snap.revisions), pairs: without(snap.pairs) };
  const { snap: rolled, taken } = rollBackSnap(before, snap);
  expect(rolled.pairs).toContainEqual(pair);
  expect(taken).toEqual([]); // its revision is not offered any more, and its components go with it
});

test("what machines may still need of a snap is named before it is removed", async () => {
  const [snap] = (await snaps()).filter((one) => one.pairs.length > 0 && one.revisions.length > 1);
  const revision = snap?.pairs[0]?.revision;
  if (!snap || revision === undefined) throw new Error("no snap has components and several revisions");
  const { needed, after } = removal(snap, revision, [], Date.parse(NOW));
  expect(needed[0]).toBe(`snap ${snap.name} revision ${revision}`);
  expect(needed.length).toBeGreaterThan(1);
  expect(after?.type === "snap" && [after.pairs, after.releases, after.revisions].flat().some((one) => one.revision === revision)).toBe(
    false,
  );
  expect(removal(snap, undefined, [], Date.parse(NOW)).after).toBeUndefined();
});

test("of the components, those go with a revision that only it was paired with", async () => {
  const [snap] = (await snaps()).filter((one) => one.pairs.length > 0 && one.revisions.length > 1);
  if (!snap) throw new Error("no snap has components and several revisions");
  const of = ({ pairs }: Snap, revisions: readonly number[]) =>
    new Set(pairs.filter((pair) => revisions.includes(pair.revision)).map((pair) => `${pair.component} ${pair.componentRevision}`));
  for (const { revision } of snap.revisions) {
    const { after } = removal(snap, revision, [], Date.parse(NOW));
    if (after?.type !== "snap") throw new Error("it is gone");
    const left = snap.revisions.map((one) => one.revision).filter((one) => one !== revision);
    const others = of(snap, left);
    const gone = [...of(snap, [revision])].filter((one) => !others.has(one));
    const listed = (one: Snap) => one.components.flatMap(({ name, revisions }) => revisions.map((each) => `${name} ${each.revision}`));
    expect(listed(after)).toEqual(listed(snap).filter((one) => !gone.includes(one)));
    expect(after.components.every(({ revisions }) => revisions.length > 0)).toBe(true);
  }
});
