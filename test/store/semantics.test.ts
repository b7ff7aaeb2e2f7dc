/** What the manifests of the newest generation say has to fit together, and be stored. */

import { expect, test } from "bun:test";
import type { AgentRelease } from "../../src/catalog/agents.ts";
import type { Package } from "../../src/catalog/package.ts";
import type { Repository } from "../../src/catalog/repository.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { digestText, sumsOf } from "../../src/digest.ts";
import { check, lostBlobs } from "../../store/check.ts";
import { generationKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { charmRevision, emptyCharm } from "../build.ts";
import { HELLO, importSnapWorld } from "../snapworld.ts";
import { once } from "../world.ts";

const snapWorld = once(importSnapWorld);
const [ONE, TWO, THREE] = ["one", "two", "three"].map((text) => sumsOf(Buffer.from(text))["sha-256"]) as [never, never, never];

interface Changed {
  readonly packages?: readonly Package[];
  readonly snaps?: readonly Snap[];
  readonly images?: readonly Repository[];
  readonly agents?: readonly AgentRelease[];
}

/** What is said of a store where these have changed: severity, what it is about, what is wrong, what to do. */
async function said(store: Store, changed: Changed): Promise<string[]> {
  const sections = Object.fromEntries(Object.entries(changed).map(([name, all]) => [name, { changed: all, tally: {} }]));
  await store.publish("2026-05-01T00:00:00Z", async () => ({
    draft: { command: "test", sources: [], sections, blobs: [] },
    result: undefined,
  }));
  const { findings } = await check(store, { dryRun: true });
  return findings
    .filter(({ problem }) => problem !== "is missing")
    .map(
      ({ severity, what, problem, current, repair }) =>
        `${severity} ${what.join("+")}: ${problem} (${repair})${current ? "" : " NOT CURRENT"}`,
    );
}

const row = (channel: string, revision: number, over: object = {}) => ({
  channel,
  base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
  revision,
  releasedAt: "2026-01-01T00:00:00.000Z",
  resources: {},
  ...over,
});

test("of a charm: revisions, bases and resources of its rows, and of its overrides", async () => {
  const revisions = [charmRevision(1, ONE, 3), charmRevision(2, TWO, 3)].map((one) => ({ ...one, resources: ["data", "more"] }));
  const stored = { revision: 1, type: "file", filename: "f", description: "", createdAt: "2026-01-01T00:00:00.000Z", blob: THREE, size: 5 };
  const pkg = emptyCharm("odd", {
    revisions,
    resources: [{ name: "more", revisions: [{ ...stored, digests: { "sha-384": "", "sha-512": "", "sha3-384": "" } }] }] as never,
    releases: [
      row("latest/stable", 1, { resources: { data: 3, more: 1 } }),
      row("latest/edge", 77),
      row("any/stable", 1, { base: { name: "ubuntu", channel: "all", architecture: "amd64" } }),
      row("none/stable", 1, { base: null }),
    ] as never,
    overrides: [
      row("latest/beta", 78, { reason: "why", until: "whenever" }),
      row("latest/candidate", 1, { reason: "why", until: "2027-01-01T00:00:00Z" }),
    ] as never,
  });
  const store = await Store.openOrCreate(new Memory());
  expect(await said(store, { packages: [pkg] })).toEqual([
    "damage charm odd: the override of latest/beta ends at no time that can be read (chp end-override takes it away)",
    "damage charm odd: latest/stable has resource data revision 3, which is not stored (import that resource)",
    "damage charm odd: latest/edge has revision 77, which is not stored (import that revision)",
    "warning charm odd: any/stable is for ubuntu@all amd64, which Juju never matches (import again what contains that charm)",
    "damage charm odd: the override of latest/beta has revision 78, which is not stored (import that revision)",
    "warning charm odd: no revision of its resource data is stored (import an export that contains it)",
  ]);
  // What no row has needs no resource.
  expect(await said(store, { packages: [{ ...pkg, releases: [], overrides: [] }] })).toEqual([]);
});

test("of what is no manifest, what is wrong with it", async () => {
  const odd = emptyCharm("odd", { resources: [{ name: "data", revisions: [{ revision: 1, blob: ONE, size: 3 }] }] as never });
  expect(await said(await Store.openOrCreate(new Memory()), { packages: [odd] })).toEqual([
    "damage manifest of odd: is not a manifest of a charm or bundle: resources.0.revisions.0.type is missing (put it back from a copy of the store)",
  ]);
});

test("of a snap: revisions of its rows, its assertions and its components", async () => {
  const store = await Store.open(await snapWorld());
  const hello = await (await store.snapshot()).snap("hello");
  if (hello?.id !== HELLO) throw new Error("hello is not stored");
  expect(await said(store, { snaps: [hello] })).toEqual([]);
  const [first] = hello.revisions;
  const number = first?.revision ?? 0;
  const assertions = hello.assertions.filter(({ type }) => type !== "snap-declaration" && type !== "snap-revision");
  const what = `snap ${hello.name}`;
  const declared = (all: readonly string[]) => all.filter((line) => !line.includes("snap-revision of"));
  const spoilt: Snap = {
    ...hello,
    assertions,
    releases: [
      ...hello.releases,
      { ...(hello.releases[0] as Snap["releases"][number]), channel: "latest/edge", architecture: "arm64", revision: 77 },
    ],
    pairs: [
      ...hello.pairs,
      { component: "none", componentRevision: 5, revision: number },
      { component: "none", componentRevision: 5, revision: 78 },
    ],
  };
  const lines = await said(store, { snaps: [spoilt] });
  expect(declared(lines)).toEqual([
    `damage ${what}: latest/edge arm64 has revision 77, which is not stored (import that revision)`,
    `warning ${what}: its snap-declaration is missing (import its .assert file)`,
    `warning ${what}: component none revision 5 of revision ${number} is not stored (import that component)`,
  ]);
  expect(lines.filter((line) => line.includes("snap-revision of"))).toEqual(
    hello.revisions.map((one) => `warning ${what}: the snap-revision of revision ${one.revision} is not stored (import its .assert file)`),
  );
  const unverified = hello.revisions.map((one) => ({ ...one, unverified: "why" }));
  expect(await said(store, { snaps: [{ ...hello, assertions, revisions: unverified }] })).toEqual([]);
});

test("of images: what tags and manifests name", async () => {
  const images: Repository[] = [
    {
      name: "team/app",
      tags: { "1": ONE, "2": TWO },
      manifests: [{ digest: ONE, mediaType: "application/vnd.oci.image.manifest.v1+json", size: 3, blobs: [TWO, THREE] }],
      blobs: [
        { digest: ONE, size: 3 },
        { digest: TWO, size: 3 },
      ],
    },
  ];
  expect(await said(await Store.openOrCreate(new Memory()), { images })).toEqual([
    `damage the images team/app: tag 2 names ${digestText(TWO)}, which is not stored (import that image)`,
    `damage the images team/app: manifest ${digestText(ONE)} names ${digestText(THREE)}, which is not listed (import that image again)`,
  ]);
});

test("of agents: the file and the signed texts", async () => {
  const signed = {
    index: { digest: TWO, size: 3 },
    products: { digest: THREE, size: 5 },
    updated: "2026-01-01T00:00:00Z",
    key: "ABC",
    name: "x",
  };
  const agents = [
    {
      name: "juju-3.6.1",
      version: "3.6.1",
      agents: [
        { architecture: "amd64", blob: ONE, size: 3, products: {}, signed },
        { architecture: "arm64", blob: TWO, size: 3, products: {} },
      ],
      blobs: [{ digest: TWO, size: 3 }],
    },
  ] as never;
  expect(await said(await Store.openOrCreate(new Memory()), { agents })).toEqual(
    [ONE, THREE].map(
      (digest) => `damage the agents juju-3.6.1: the one for amd64 names ${digestText(digest)}, which is not listed (import it again)`,
    ),
  );
});

test("a generation of a newer format among others is said", async () => {
  const storage = new Memory();
  const store = await Store.openOrCreate(storage);
  await said(store, { packages: [emptyCharm("a")] });
  expect((await check(store, { dryRun: true })).hasNewer).toBe(false);
  const bytes = await (await storage.open(generationKey(1)))?.bytes();
  const later = { ...(JSON.parse(Buffer.from(bytes ?? []).toString()) as object), format: 99, number: 2 };
  await storage.create(generationKey(2), Buffer.from(JSON.stringify(later)));
  expect((await check(store, { dryRun: true })).hasNewer).toBe(true);
});

test("a share of the payloads is read by each part, all of them by all parts", async () => {
  const store = await Store.openOrCreate(new Memory());
  for (let i = 0; i < 40; i += 1) await (await store.ingestBytes(Buffer.from(`blob ${i}`))).commit();
  const parts: number[] = [];
  for (const part of [1, 2, 3, 4]) parts.push((await check(store, { dryRun: true, readData: { part, of: 4 } })).read.blobs);
  expect(parts.reduce((sum, count) => sum + count)).toBe(40);
  expect(Math.min(...parts)).toBeGreaterThan(0);
  expect((await check(store, { dryRun: true, readData: { percent: 0 } })).read.blobs).toBe(0);
  expect((await check(store, { dryRun: true, readData: { percent: 100 } })).read.blobs).toBe(40);
});

test("what can't be read for another reason than damage is an error for who looks for lost blobs", async () => {
  const storage = new Memory();
  const store = await Store.openOrCreate(storage);
  await said(store, { packages: [emptyCharm("a")] });
  const opened = storage.open.bind(storage);
  storage.open = async (key) => {
    if (key === generationKey(1)) throw new Error("not now");
    return opened(key);
  };
  expect(await lostBlobs(await Store.open(storage), new Set([ONE]), { dryRun: true }).catch((error: unknown) => String(error))).toContain(
    "not now",
  );
});
