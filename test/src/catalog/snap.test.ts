import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { changes } from "../../../src/catalog/channelmap.ts";
import {
  type ComponentRevision,
  componentsOf,
  type IncomingSnap,
  mergeAssertions,
  mergeSnap,
  SNAP_RULES,
  type Snap,
  type SnapRelease,
  type SnapRevision,
  type StoredAssertion,
} from "../../../src/catalog/snap.ts";
import type { Digest } from "../../../src/digest.ts";

const ID = "snapidsnapidsnapidsnapidsnapid01";
const NOW = "2026-01-02T00:00:00Z";

function asserted(number: number) {
  return { blob: String(number).padStart(64, "0") as Digest, size: number, "sha3-384": String(number).padStart(96, "0") };
}

function revision(number: number, more: Partial<SnapRevision> = {}): SnapRevision {
  return {
    revision: number,
    version: `v${number}`,
    type: "app",
    confinement: "strict",
    architectures: ["amd64"],
    epoch: { read: [0], write: [0] },
    links: {},
    apps: [],
    commonIds: [],
    components: [],
    providers: [],
    createdAt: NOW,
    yaml: "0".repeat(64) as Digest,
    ...asserted(number),
    ...more,
  };
}

const component = (number: number): ComponentRevision => ({
  revision: number,
  type: "standard",
  version: "1",
  description: "",
  createdAt: NOW,
  ...asserted(1000 + number),
});

const row = (channel: string, number: number, architecture = "amd64"): SnapRelease => ({
  channel,
  architecture,
  revision: number,
  releasedAt: NOW,
});

function incoming(more: Partial<IncomingSnap>): IncomingSnap {
  return {
    name: "hello",
    id: ID,
    publisher: { id: "acme", username: "acme", "display-name": "Acme", validation: "unproven" },
    details: {},
    revisions: [],
    components: [],
    pairs: [],
    releases: [],
    assertions: [],
    ...more,
  };
}

const first = (more: Partial<IncomingSnap>): Snap => mergeSnap(undefined, incoming(more)).snap;

const declaration = (number: number, format = 0, text = `${number} ${format}`): StoredAssertion => ({
  type: "snap-declaration",
  key: ["16", ID],
  revision: number,
  format,
  text,
});

describe("merging a snap", () => {
  test("adds revisions, moves channels and keeps what was replaced", () => {
    const held = first({ revisions: [revision(5)], releases: [row("latest/stable", 5)] });
    const { snap, dropped } = mergeSnap(
      held,
      incoming({ revisions: [revision(6)], releases: [row("latest/stable", 6), row("latest/edge", 7)] }),
    );
    expect(snap.revisions.map((r) => r.revision)).toEqual([6, 5]);
    expect(snap.releases.map((r) => `${r.channel} ${r.revision}`)).toEqual(["latest/stable 6"]);
    expect(snap.history.map((r) => r.revision)).toEqual([5]);
    expect(dropped.map((r) => r.revision)).toEqual([7]);
    expect(changes(SNAP_RULES, held, snap)).toEqual([{ channel: "latest/stable", architecture: "amd64", from: 5, to: 6 }]);
  });

  test("twice changes nothing, though the times differ", () => {
    const once = first({ revisions: [revision(5)], releases: [row("latest/stable", 5)], assertions: [declaration(1)] });
    const later = "2026-05-05T00:00:00Z";
    const again = incoming({
      revisions: [revision(5, { createdAt: later })],
      releases: [{ ...row("latest/stable", 5), releasedAt: later }],
      assertions: [declaration(1)],
    });
    expect(mergeSnap(once, again).snap).toEqual(once);
  });

  test("refuses other bytes under a number that is stored", () => {
    const held = first({ revisions: [revision(5)] });
    const other = incoming({ revisions: [revision(5, asserted(99))] });
    expect(() => mergeSnap(held, other)).toThrow(/hello revision 5 differs from the stored revision/);
    const parts = (n: number) => incoming({ components: [{ name: "extra", revisions: [{ ...component(1), ...asserted(n) }] }] });
    expect(() => mergeSnap(mergeSnap(held, parts(1)).snap, parts(2))).toThrow(/component extra revision 1/);
  });

  test("keeps the channel map where it is asked to", () => {
    const held = first({ revisions: [revision(5)], releases: [row("latest/stable", 5)] });
    const { snap, notes } = mergeSnap(held, incoming({ revisions: [revision(6)], releases: [row("latest/stable", 6)] }), "keep");
    expect(snap.releases).toEqual(held.releases);
    expect(snap.revisions.map((r) => r.revision)).toEqual([6, 5]);
    expect(notes).toContain("its channel map was kept as it is");
  });

  test("a pushed snap goes to its channel, whatever is there, and a track that is new is said", () => {
    const numbers = [1, 2, 3];
    const channels = ["latest/stable", "latest/edge", "14/stable", "chp_14/edge", "chp_14/stable"].map((name) => fc.constant(name));
    const rows = fc.uniqueArray(
      fc.record({ channel: fc.oneof(...channels), revision: fc.constantFrom(...numbers), architecture: fc.constantFrom("amd64", "arm64") }),
      { selector: ({ channel, architecture }) => `${channel} ${architecture}`, maxLength: 6 },
    );
    const timed = (from: readonly Omit<SnapRelease, "releasedAt">[]) => from.map((one) => ({ ...one, releasedAt: NOW }));
    const revisions = numbers.map((number) => revision(number, { architectures: ["amd64", "arm64"] }));
    const head = (snap: Snap, { channel, architecture }: Pick<SnapRelease, "channel" | "architecture">) =>
      snap.releases.find((one) => one.channel === channel && one.architecture === architecture)?.revision;
    const trackOf = ({ channel }: Pick<SnapRelease, "channel">) => channel.split("/")[0] ?? "";
    fc.assert(
      fc.property(rows, rows, (before, pushed) => {
        const held = first({ revisions, releases: timed(before) });
        const { snap, notes } = mergeSnap(held, incoming({ revisions, releases: timed(pushed) }), "keep-charms");
        for (const one of pushed) expect(head(snap, one)).toBe(one.revision);
        for (const one of held.releases)
          if (!pushed.some((other) => other.channel === one.channel && other.architecture === one.architecture))
            expect(head(snap, one)).toBe(one.revision);
        const known = new Set(before.map(trackOf));
        const opened = [...new Set(pushed.map(trackOf))].filter((track) => !known.has(track));
        expect(notes.filter((note) => note.endsWith(" is new")).toSorted()).toEqual(
          opened.map((track) => `its track ${track} is new`).toSorted(),
        );
      }),
    );
  });

  test("takes a mark away when the same bytes come verified, and never adds one", () => {
    const doubtful = first({ revisions: [revision(5, { unverified: "no" })] });
    expect(mergeSnap(doubtful, incoming({ revisions: [revision(5)] })).snap.revisions[0]?.unverified).toBeUndefined();
    const sure = first({ revisions: [revision(5)] });
    expect(mergeSnap(sure, incoming({ revisions: [revision(5, { unverified: "no" })] })).snap.revisions[0]?.unverified).toBeUndefined();
  });

  test("chooses a default track of which something is stored", () => {
    const track = (more: Partial<IncomingSnap>) => first({ revisions: [revision(5)], ...more }).defaultTrack;
    expect(track({ releases: [row("latest/stable", 5)] })).toBe("latest");
    expect(track({ releases: [row("2.0/stable", 5)], defaultTrack: "2.0" })).toBe("2.0");
    expect(track({ releases: [row("2.0/stable", 5)] })).toBe("2.0");
    expect(track({ releases: [row("latest/stable", 5)], defaultTrack: "2.0" })).toBe("latest");
    expect(track({})).toBe("latest");
  });

  test("a track that charms install a revision from is the default one only as long as there is no other", () => {
    const one = [revision(5)];
    const pushed = first({ revisions: one, releases: [row("chp_14/edge", 5)] });
    expect(pushed.defaultTrack).toBe("chp_14");
    const later = (stored: Snap, releases: readonly SnapRelease[], defaultTrack?: string) =>
      mergeSnap(stored, incoming({ revisions: one, releases, ...(defaultTrack !== undefined && { defaultTrack }) })).snap;
    expect(later(pushed, [row("latest/stable", 5)]).defaultTrack).toBe("latest");
    expect(later({ ...pushed, chosenTrack: "chp_14" }, [row("latest/stable", 5)]).defaultTrack).toBe("chp_14");
    // What the publisher says stays, though a later archive does not say it.
    const declared = later(pushed, [row("latest/stable", 5), row("14/stable", 5)], "14");
    expect([declared.defaultTrack, later(declared, [row("chp_15/edge", 5)]).defaultTrack]).toEqual(["14", "14"]);
    // An older chp did not say why: the track stays.
    const { isFallbackTrack, ...old } = pushed;
    expect([isFallbackTrack, later(old, [row("latest/stable", 5)]).defaultTrack]).toEqual([true, "chp_14"]);
  });

  test("a brand store's export takes nothing from others, and a public one frees it", () => {
    const branded = first({ revisions: [revision(5)], store: "acme-store" });
    expect(branded.store).toBe("acme-store");
    expect(mergeSnap(branded, incoming({ revisions: [revision(6)], store: null })).snap.store).toBeUndefined();
    expect(mergeSnap(branded, incoming({})).snap.store).toBe("acme-store");
    expect(
      mergeSnap(first({ revisions: [revision(5)] }), incoming({ revisions: [revision(6)], store: "acme-store" })).snap.store,
    ).toBeUndefined();
  });

  test("warns where a component is declared and missing, and where a new head loses one", () => {
    const five = revision(5, { components: ["extra"] });
    const held = first({
      revisions: [five],
      components: [{ name: "extra", revisions: [component(1), component(2)] }],
      pairs: [
        { component: "extra", componentRevision: 1, revision: 5 },
        { component: "extra", componentRevision: 2, revision: 5 },
      ],
      releases: [row("latest/stable", 5)],
    });
    expect(componentsOf(held, 5).map(([name, one]) => `${name} ${one.revision}`)).toEqual(["extra 2"]);
    const { notes } = mergeSnap(
      held,
      incoming({ revisions: [revision(6, { components: ["extra"] })], releases: [row("latest/stable", 6)] }),
    );
    expect(notes).toEqual([
      "revision 6 declares the component extra, which was not in the archive",
      "latest/stable amd64: revision 6 comes without the component extra, which revision 5 has",
    ]);
  });
});

test("assertions: every revision and format is kept, of two signatures the first, and what verifies wins", () => {
  const all = mergeAssertions([declaration(1), declaration(2, 5)], [declaration(1, 0, "another signature"), declaration(2, 6)]);
  expect(all.map((one) => one.text)).toEqual(["1 0", "2 5", "2 6"]);
  const doubtful = { ...declaration(3), unverified: "no key" };
  expect(mergeAssertions([doubtful], [declaration(3)])).toEqual([declaration(3)]);
  expect(mergeAssertions([declaration(3)], [doubtful])).toEqual([declaration(3)]);
});
