/** How files of an export are called while they are downloaded. */

import { expect, test } from "bun:test";
import { packPackage } from "../../../src/export/pack.ts";
import type { PlannedPackage } from "../../../src/export/plan.ts";

const file = (name: string) => ({
  url: `https://api.test/${name}`,
  size: 3,
  "hash-sha-256": "0".repeat(64),
  "hash-sha-384": "0".repeat(96),
});

function labelsOf(more: Partial<PlannedPackage>): (string | undefined)[] {
  const planned = {
    name: "demo",
    type: "charm",
    info: { name: "demo", id: "ID", type: "charm", "channel-map": [] },
    defaultTrack: "latest",
    releases: [{ channel: "latest/stable", base: null, revision: 1, resources: {} }],
    revisions: [1, 2].map((revision) => ({ revision, version: "1", bases: [], download: file(`demo_${revision}`) })),
    resources: [],
    reasons: [],
    paths: {},
    ...more,
  } as unknown as PlannedPackage;
  const { files } = packPackage(planned, { images: new Map(), account: undefined, inventory: undefined });
  return files.flatMap(({ content, label }) => ("url" in content ? [label] : []));
}

test("a charm that was named by its channel in full, what others need and bundles by the short one", () => {
  const [full, short, none] = ["demo revision 1 (latest/stable)", "demo revision 1 (stable)", "demo revision 2 (in no channel)"];
  expect(labelsOf({})).toEqual([full, none]);
  expect(labelsOf({ reasons: ["bundle stack"] })).toEqual([short, none]);
  expect(labelsOf({ type: "bundle" })).toEqual([short, none]);
});
