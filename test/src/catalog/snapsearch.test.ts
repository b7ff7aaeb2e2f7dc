import { describe, expect, test } from "bun:test";
import { mergeSnap, type Snap, type SnapDetails, type SnapRevision } from "../../../src/catalog/snap.ts";
import { SnapIndex, type SnapQuestion } from "../../../src/catalog/snapsearch.ts";
import type { Digest } from "../../../src/digest.ts";

function snap(
  name: string,
  more: { revision?: Partial<SnapRevision>; details?: SnapDetails; channel?: string; store?: string } = {},
): Snap {
  const digest = "0".repeat(64) as Digest;
  return mergeSnap(undefined, {
    name,
    id: `${name}00000000000000000000000000000000`.slice(0, 32),
    publisher: { id: "acme", username: "acme", "display-name": "Acme Corp", validation: "verified" },
    details: more.details ?? {},
    revisions: [
      {
        revision: 1,
        version: "1",
        type: "app",
        confinement: "strict",
        architectures: ["amd64"],
        epoch: { read: [0], write: [0] },
        links: {},
        apps: [name],
        commonIds: [],
        components: [],
        providers: [],
        createdAt: "2026-01-01T00:00:00Z",
        yaml: digest,
        blob: digest,
        size: 1,
        "sha3-384": "0".repeat(96),
        ...more.revision,
      },
    ],
    components: [],
    pairs: [],
    releases: [{ channel: more.channel ?? "latest/stable", architecture: "amd64", revision: 1, releasedAt: "2026-01-01T00:00:00Z" }],
    assertions: [],
    ...(more.store !== undefined && { store: more.store }),
  }).snap;
}

const INDEX = new SnapIndex([
  snap("hello", { details: { summary: "Greets the world", categories: [{ name: "utilities", featured: false }] } }),
  snap("hello-world", { revision: { commonIds: ["org.hello.World"] } }),
  snap("tool", { revision: { confinement: "classic", summary: "Says hello in passing" } }),
  snap("edgy", { channel: "latest/edge" }),
  snap("branded", { store: "acme-store" }),
]);

const names = (more: Partial<SnapQuestion>, index = INDEX) =>
  index.find({ architecture: "amd64", confinements: [], ...more }).map((one) => one.snap.name);

describe("find", () => {
  test.each<[string, Partial<SnapQuestion>, string[]]>([
    ["everything that anyone may have", {}, ["edgy", "hello", "hello-world", "tool"]],
    ["words, names first", { text: "hello" }, ["hello", "hello-world", "tool"]],
    ["every word", { text: "greets WORLD" }, ["hello"]],
    ["a publisher", { text: "acme corp" }, ["edgy", "hello", "hello-world", "tool"]],
    ["no match", { text: "nothing" }, []],
    ["what a name begins with", { name: "hel" }, ["hello", "hello-world"]],
    ["a common id", { commonId: "org.hello.World" }, ["hello-world"]],
    ["a category", { category: "utilities" }, ["hello"]],
    ["an unknown category", { category: "games" }, []],
    ["confinement", { confinements: ["strict"] }, ["edgy", "hello", "hello-world"]],
    ["both kinds", { confinements: ["strict", "classic"] }, ["edgy", "hello", "hello-world", "tool"]],
    ["a channel", { channel: "stable" }, ["hello", "hello-world", "tool"]],
    ["a riskier channel", { channel: "edge" }, ["edgy", "hello", "hello-world", "tool"]],
    ["an architecture", { architecture: "arm64" }, []],
    ["a device of a brand store", { store: "acme-store", name: "brand" }, ["branded"]],
    ["a device of another", { store: "other", name: "brand" }, []],
  ])("%s", (_, question, expected) => {
    expect(names(question)).toEqual(expected);
  });

  test("featured: what is, and where nothing is, everything", () => {
    expect(names({ category: "featured" })).toEqual(["edgy", "hello", "hello-world", "tool"]);
    const chosen = snap("chosen", { details: { categories: [{ name: "games", featured: true }] } });
    const index = new SnapIndex([chosen, snap("plain")]);
    expect(names({ category: "featured" }, index)).toEqual(["chosen"]);
    expect(index.categories()).toEqual(["featured", "games"]);
  });
});
