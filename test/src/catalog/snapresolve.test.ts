import { describe, expect, test } from "bun:test";
import { type Epoch, mergeSnap, type Snap, type SnapRelease, type SnapRevision } from "../../../src/catalog/snap.ts";
import { channelMapOf, resolveSnap, type SnapQuery } from "../../../src/catalog/snapresolve.ts";
import type { Digest } from "../../../src/digest.ts";

const EPOCH: Epoch = { read: [0], write: [0] };

function revision(number: number, more: Partial<SnapRevision> = {}): SnapRevision {
  const digest = String(number).padStart(64, "0") as Digest;
  return {
    revision: number,
    version: `v${number}`,
    type: "app",
    confinement: "strict",
    architectures: ["amd64"],
    epoch: EPOCH,
    links: {},
    apps: [],
    commonIds: [],
    components: [],
    providers: [],
    createdAt: "2026-01-01T00:00:00Z",
    blob: digest,
    yaml: digest,
    size: number,
    "sha3-384": String(number).padStart(96, "0"),
    ...more,
  };
}

function row(channel: string, number: number, architecture = "amd64"): SnapRelease {
  return { channel, architecture, revision: number, releasedAt: "2026-01-02T00:00:00Z" };
}

function snap(revisions: SnapRevision[], releases: SnapRelease[], defaultTrack?: string): Snap {
  const publisher = { id: "acme", username: "acme", "display-name": "Acme", validation: "unproven" as const };
  return mergeSnap(undefined, {
    name: "hello",
    id: "snapidsnapidsnapidsnapidsnapid01",
    publisher,
    details: {},
    revisions,
    components: [],
    pairs: [],
    releases,
    assertions: [],
    ...(defaultTrack !== undefined && { defaultTrack }),
  }).snap;
}

const HELLO = snap(
  [revision(5), revision(6), revision(7), revision(8, { architectures: ["arm64"] }), revision(9), revision(10, { architectures: ["all"] })],
  [
    row("latest/edge", 6),
    row("2.0/stable", 7),
    row("latest/stable", 5),
    row("latest/stable", 8, "arm64"),
    row("latest/edge/fix", 9),
    row("any/stable", 10, "all"),
  ],
);
const TRACKED = snap([revision(1), revision(3)], [row("3/stable", 3), row("latest/edge", 1)], "3");

function ask(of: Snap | undefined, more: Partial<SnapQuery>): unknown {
  const outcome = resolveSnap(of, { action: "install", instanceKey: "k", architecture: "amd64", name: "hello", ...more });
  if ("refusal" in outcome) return outcome.refusal.code;
  const { revision: found, effectiveChannel, redirectChannel } = outcome.ok;
  return [found.revision, effectiveChannel ?? "-", ...(redirectChannel === undefined ? [] : [redirectChannel])].join(" ");
}

const tracking = (trackingChannel: string, installed = 5, epoch: Epoch = EPOCH): Partial<SnapQuery> => ({
  action: "refresh",
  installed: { revision: installed, trackingChannel, epoch },
});

const CASES: readonly (readonly [Snap | undefined, Partial<SnapQuery>, string])[] = [
  [HELLO, {}, "5 latest/stable"],
  [HELLO, { action: "download" }, "5 latest/stable"],
  ...["stable", "latest/stable", "latest", "candidate", "beta", "/stable/"].map(
    (channel) => [HELLO, { channel }, "5 latest/stable"] as const,
  ),
  [HELLO, { channel: "edge" }, "6 latest/edge"],
  [HELLO, { channel: "2.0" }, "7 2.0/stable"],
  [HELLO, { channel: "2.0/edge" }, "7 2.0/stable"],
  [HELLO, { channel: "edge/fix" }, "9 latest/edge/fix"],
  [HELLO, { channel: "edge/nofix" }, "revision-not-found"],
  [HELLO, { channel: "9.9" }, "revision-not-found"],
  [HELLO, { channel: "a/b/c/d" }, "revision-not-found"],
  [HELLO, { channel: "constructor" }, "revision-not-found"],
  [HELLO, { revision: 6 }, "6 -"],
  [HELLO, { revision: 6, channel: "latest/stable" }, "6 latest/stable"],
  [HELLO, { revision: 8 }, "revision-not-found"],
  [HELLO, { revision: 999 }, "revision-not-found"],
  [HELLO, { architecture: "arm64" }, "8 latest/stable"],
  [HELLO, { architecture: "s390x" }, "revision-not-found"],
  [HELLO, { architecture: "s390x", channel: "any" }, "10 any/stable"],
  [undefined, {}, "name-not-found"],
  [undefined, { action: "refresh" }, "id-not-found"],
  [TRACKED, { channel: "stable" }, "3 3/stable 3/stable"],
  [TRACKED, { channel: "edge" }, "3 3/stable 3/edge"],
  [TRACKED, {}, "3 3/stable 3/stable"],
  [TRACKED, { channel: "latest/stable" }, "revision-not-found"],
  [TRACKED, { channel: "latest/edge" }, "1 latest/edge"],
  [TRACKED, { revision: 3 }, "3 -"],
  [TRACKED, tracking("latest/edge", 1), "1 latest/edge"],
  [TRACKED, tracking("latest/stable", 1), "revision-not-found"],
  [HELLO, tracking("latest/stable"), "5 latest/stable"],
  [HELLO, { ...tracking("latest/stable"), channel: "latest/edge" }, "6 latest/edge"],
  [HELLO, tracking("latest/edge/gone", 6), "6 latest/edge"],
  [HELLO, { ...tracking("latest/edge/gone", 6), channel: "edge/gone" }, "6 latest/edge"],
  [HELLO, { ...tracking("latest/edge", 6), channel: "latest/edge/gone" }, "revision-not-found"],
  [HELLO, { ...tracking("latest/edge", 6), channel: "latest/edge", revision: 6 }, "6 latest/edge"],
];

describe("an action", () => {
  test.each(CASES)("%#", (of, query, expected) => {
    expect(ask(of, query)).toBe(expected);
  });

  test("is not offered what cannot read the installed data", () => {
    const stepped = snap([revision(1), revision(2, { epoch: { read: [1], write: [1] } })], [row("latest/stable", 2)]);
    expect(ask(stepped, tracking("latest/stable", 1))).toBe("1 latest/stable");
    const unknown = { revision: 1, trackingChannel: "latest/stable", epoch: undefined };
    expect(ask(stepped, { action: "refresh", installed: unknown })).toBe("2 latest/stable");
    expect(ask(stepped, tracking("latest/stable", 1, { read: [0, 1], write: [1] }))).toBe("2 latest/stable");
    expect(ask(stepped, tracking("latest/stable", 7))).toBe("revision-not-found");
  });

  test("that finds nothing tells what can be had: the asked architecture first, no branches, no `all`", () => {
    const outcome = resolveSnap(HELLO, { action: "install", instanceKey: "k", architecture: "arm64", channel: "9.9" });
    if (!("refusal" in outcome)) throw new Error("it was found");
    const { releases = [] } = outcome.refusal;
    expect(releases[0]).toEqual({ architecture: "arm64", channel: "latest/stable" });
    expect(releases).toContainEqual({ architecture: "amd64", channel: "2.0/stable" });
    expect(releases).toContainEqual({ architecture: "riscv64", channel: "any/stable" });
    expect(releases.filter((one) => one.architecture === "all" || one.channel.includes("fix"))).toEqual([]);
  });
});

test("a channel map is of one architecture, the default track first, stable before edge, without branches", () => {
  expect(channelMapOf(HELLO, "amd64").map((r) => `${r.channel} ${r.revision}`)).toEqual([
    "latest/stable 5",
    "latest/edge 6",
    "any/stable 10",
    "2.0/stable 7",
  ]);
  expect(channelMapOf(TRACKED, "amd64").map((r) => r.channel)).toEqual(["3/stable", "latest/edge"]);
});
