/** The site file of what a store holds. */

import { expect, test } from "bun:test";
import type { Snap, SnapRevision } from "../../../src/catalog/snap.ts";
import { formatManifest } from "../../../src/export/manifest.ts";

const revision = (number: number, architectures: readonly string[], more: Partial<SnapRevision> = {}) =>
  ({ revision: number, architectures, ...more }) as SnapRevision;

function snapsOf(revisions: readonly SnapRevision[], releases: Snap["releases"] = []) {
  const snap = { type: "snap", name: "jq", id: "id", defaultTrack: "latest", revisions, releases, pairs: [], components: [], history: [] };
  const { text, notes } = formatManifest({ packages: [], snaps: [snap as unknown as Snap], repositories: [], agents: [] });
  return { snaps: (Bun.YAML.parse(text) as { snaps?: unknown }).snaps ?? [], notes };
}

test("a revision that is in no channel is taken on the first of its own architectures", () => {
  const revisions = [revision(9, ["all"]), revision(8, ["riscv64", "arm64"]), revision(7, ["arm64"]), revision(6, ["amd64"])];
  const releases = [{ channel: "latest/stable", architecture: "amd64", revision: 6, releasedAt: "2026-01-01T00:00:00Z" }];
  expect(snapsOf(revisions, releases)).toEqual({
    snaps: [
      { name: "jq", revision: 6, channels: ["latest/stable"], architectures: ["amd64"] },
      { name: "jq", revision: 7, channels: "none", architectures: ["arm64"] },
      { name: "jq", revision: 8, channels: "none", architectures: ["riscv64"] },
      { name: "jq", revision: 9, channels: "none", architectures: ["amd64"] },
    ],
    notes: [],
  });
});

test("what does not verify and what a rollback moved to the trash are left out, and told", () => {
  const revisions = [revision(3, ["amd64"], { aside: true }), revision(2, ["amd64"], { unverified: "nobody says so" })];
  expect(snapsOf(revisions)).toEqual({
    snaps: [],
    notes: ["snap jq revision 2 does not verify, so it is left out", "snap jq: revisions that a rollback moved to the trash are left out"],
  });
});
