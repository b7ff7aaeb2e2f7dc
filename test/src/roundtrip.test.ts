import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { OWN_ADDRESS, storeTransport } from "../../bin/machine/transport.ts";
import { createApp } from "../../handlers/app.ts";
import { files } from "../../src/archives/archive.ts";
import { readLock } from "../../src/archives/lock.ts";
import { isResource } from "../../src/archives/names.ts";
import { showBase } from "../../src/catalog/base.ts";
import { rowFor } from "../../src/catalog/channelmap.ts";
import { ARCHITECTURES, findSnapRevision, runsOn, SNAP_RULES } from "../../src/catalog/snap.ts";
import type { ArchiveOutput } from "../../src/export/archivewriter.ts";
import { HttpClient, type Transport } from "../../src/export/client.ts";
import { requestEverything } from "../../src/export/everything.ts";
import { type ExportOptions, type ExportResult, exportAll } from "../../src/export/export.ts";
import { formatInventory, readInventory } from "../../src/export/inventory.ts";
import { formatManifest } from "../../src/export/manifest.ts";
import { readSiteFile } from "../../src/export/sitefile.ts";
import { Upstream } from "../../src/export/upstream.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip, tgzOf } from "../build.ts";
import {
  ACME,
  ACME_KEY,
  archiveOf,
  catalogues,
  growing,
  importBytes,
  type Question,
  questions,
  type SnapModel,
  snapFiles,
} from "../catalogue.ts";
import { expectAlike, readReply } from "../replies.ts";
import { testKey, validationSet } from "../signer.ts";
import { longTest, runs, sample } from "../thorough.ts";

const ORIGIN = "http://hub.test";

/** An archive in memory. */
function workInMemory(): ArchiveOutput & { readonly whole: (length: number) => Uint8Array } {
  let bytes = Buffer.alloc(0);
  const reserve = async (length: number) => {
    if (length > bytes.byteLength) bytes = Buffer.concat([bytes, Buffer.alloc(length * 2 - bytes.byteLength)]);
  };
  return {
    reserve,
    resumableBytes: () => 0,
    recordWritten: async () => {},
    write: async (at, chunk) => {
      await reserve(at + chunk.byteLength);
      bytes.set(chunk, at);
    },
    bytes: async (start, end) => bytes.subarray(start, end),
    whole: (length) => new Uint8Array(bytes.subarray(0, length)),
  };
}

interface Made extends ExportResult {
  readonly bytes: Uint8Array;
}

function upstreamOf(transport: Transport, address: string) {
  const remote = new HttpClient({ transport, sleep: async () => {} });
  return { remote, upstream: new Upstream({ charmhub: address, snapstore: address, agents: address }, remote) };
}

async function exported(transport: Transport, address: string, more: Partial<ExportOptions> = {}): Promise<Made> {
  const { remote, upstream } = upstreamOf(transport, address);
  const works = new Map<string, ReturnType<typeof workInMemory>>();
  const done = await exportAll({
    upstream,
    client: remote,
    request: more.request ?? (await requestEverything(upstream, {})),
    without: new Set(["bundle-charms"]),
    closure: true,
    form: "site",
    registries: { mayLack: true },
    failFast: false,
    parallel: 2,
    now: 0,
    openOutput: async (which) => {
      const work = workInMemory();
      works.set(which, work);
      return work;
    },
    onNote: () => {},
    ...more,
  });
  return { ...done, bytes: works.get(done.which ?? "")?.whole(done.length) ?? new Uint8Array() };
}

async function storeOf(bytes: Uint8Array): Promise<Store> {
  const store = await Store.openOrCreate(new Memory());
  await importBytes(store, bytes);
  return store;
}

function appOf(store: Store) {
  return createApp({ store, config: {}, log: () => {} });
}

/** Asks both everything; in `make unit`, some. */
function expectEqual(a: Store, b: Store, asked: readonly Question[]): Promise<void> {
  const [first, second] = [a, b].map((store) => {
    const app = appOf(store);
    return async ({ path, ...request }: Question) => readReply(await app.fetch(new Request(`${ORIGIN}${path}`, request)), ORIGIN);
  });
  if (!first || !second) throw new Error("internal error: two stores are two");
  return expectAlike(first, second, sample(asked));
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

async function inventoryOf(store: Store): Promise<string> {
  const snapshot = await store.snapshot();
  return formatInventory(await snapshot.packages(), await snapshot.snaps(), async () => true);
}

/** sha256 of every charm, bundle, resource, snap and component that is stored. */
async function payloadsOf(store: Store): Promise<Set<string>> {
  return new Set([...(await inventoryOf(store)).matchAll(/sha-256:([0-9a-f]{64})/g)].map(([, digest]) => digest ?? ""));
}

/** Path → content of what an archive holds. */
async function contentsOf(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  const chunks = async function* () {
    yield bytes;
  };
  for await (const file of files({ name: "export.tar", chunks: chunks() }, isResource))
    found.set(file.path, await file.bytes.whole(2 ** 26, "it"));
  return found;
}

/** sha256 of its charms, bundles, resources, snaps and components. */
async function payloadsIn(bytes: Uint8Array): Promise<string[]> {
  const isPayload = (path: string) => /[.](charm|bundle|snap|comp)$/.test(path) || isResource(path);
  return [...(await contentsOf(bytes))].flatMap(([path, content]) => (isPayload(path) ? [sha256(content)] : []));
}

/** To the byte; a difference is told by the file that it is in. */
async function expectSame(is: Uint8Array, should: Uint8Array): Promise<void> {
  if (sha256(is) === sha256(should)) return;
  const [x, y] = [await contentsOf(is), await contentsOf(should)];
  expect([...x.keys()]).toEqual([...y.keys()]);
  for (const [path, content] of x)
    expect([path, Buffer.from(content).toString()]).toEqual([path, Buffer.from(y.get(path) ?? []).toString()]);
  throw new Error("the archives differ in what is around their files");
}

const RUNS = runs(25);

test("what was exported from a store and imported again is served alike to the byte", async () => {
  await fc.assert(
    fc.asyncProperty(catalogues, async (catalogue) => {
      const a = await storeOf(archiveOf(catalogue));
      const made = await exported(storeTransport(a), OWN_ADDRESS);
      expect([made.failed, made.notes.filter((one) => !/snap|account/.test(one))]).toEqual([[], []]);
      await expectEqual(a, await storeOf(made.bytes), questions(catalogue));
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

// The next three each make whole stores and exports of generated catalogues, as the one above does.
longTest("the same store gives the same archive, wherever it is reached and whenever", async () => {
  await fc.assert(
    fc.asyncProperty(catalogues, async (catalogue) => {
      const a = await storeOf(archiveOf(catalogue));
      const made = await exported(storeTransport(a), OWN_ADDRESS);
      const app = appOf(a);
      const elsewhere: Transport = async (url, { method = "GET", headers = {}, body }) =>
        app.fetch(new Request(url, { method, headers, ...(body !== undefined && { body }) }));
      const again = await exported(elsewhere, "http://hub.lan:8080", { now: 86_400_000, parallel: 1 });
      await expectSame(again.bytes, made.bytes);
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

longTest("an export since an inventory carries only what the other side lacks, and makes both alike again", async () => {
  await fc.assert(
    fc.asyncProperty(growing, async ({ before, after }) => {
      const a = await storeOf(archiveOf(before));
      const b = await storeOf((await exported(storeTransport(a), OWN_ADDRESS)).bytes);
      await importBytes(a, archiveOf(after), "2026-07-01T00:00:00Z");
      const had = await payloadsOf(b);
      const made = await exported(storeTransport(a), OWN_ADDRESS, { inventory: readInventory(await inventoryOf(b), "have.json") });
      const carried = await payloadsIn(made.bytes);
      expect(carried.filter((one) => had.has(one))).toEqual([]);
      await importBytes(b, made.bytes, "2026-07-01T00:00:00Z");
      expect(new Set([...had, ...carried])).toEqual(await payloadsOf(b));
      await expectEqual(a, b, questions(after));
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

longTest("a lock makes the same archive again after the channels have moved", async () => {
  await fc.assert(
    fc.asyncProperty(growing, async ({ before, after }) => {
      const a = await storeOf(archiveOf(before));
      const { mirror: _, ...wish } = await requestEverything(upstreamOf(storeTransport(a), OWN_ADDRESS).upstream, {});
      const made = await exported(storeTransport(a), OWN_ADDRESS, { request: wish });
      await importBytes(a, archiveOf(after), "2026-07-01T00:00:00Z");
      const again = await exported(storeTransport(a), OWN_ADDRESS, { lock: readLock(made.lock, "site.lock") });
      expect(again.failed).toEqual([]);
      await expectSame(again.bytes, made.bytes);
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

/* ---- a site file of what a store holds ---- */

async function manifestOf(store: Store): Promise<string> {
  const snapshot = await store.snapshot();
  const [packages, snaps] = [await snapshot.packages(), await snapshot.snaps()];
  return formatManifest({ packages, snaps, repositories: await snapshot.repositories(), agents: await snapshot.agents() }).text;
}

/** What clients can get: every revision, and on which places a channel has which of them, with what. */
async function contentOf(store: Store) {
  const snapshot = await store.snapshot();
  const digests = (all: readonly { readonly revision: number; readonly blob: string }[]) =>
    Object.fromEntries(all.map(({ revision, blob }) => [revision, blob]));
  const parts = (
    all: readonly { readonly name: string; readonly revisions: readonly { readonly revision: number; readonly blob: string }[] }[],
  ) => Object.fromEntries(all.map(({ name, revisions }) => [name, digests(revisions)]));
  const packages = (await snapshot.packages()).map(({ type, name, id, revisions, resources, releases }) => ({
    type,
    name,
    id,
    revisions: digests(revisions),
    resources: parts(resources),
    releases: releases
      .map(({ channel, base: on, revision, resources: pins }) =>
        [
          channel,
          on && showBase(on),
          revision,
          ...Object.entries(pins)
            .map((pin) => pin.join("="))
            .toSorted(),
        ].join(" "),
      )
      .toSorted(),
  }));
  const snaps = (await snapshot.snaps()).map((snap) => ({
    name: snap.name,
    id: snap.id,
    revisions: digests(snap.revisions),
    components: parts(snap.components),
    pairs: snap.pairs,
    releases: [...new Set(snap.releases.map(({ channel }) => channel))].toSorted().flatMap((channel) =>
      ARCHITECTURES.flatMap((architecture) => {
        const row = rowFor(SNAP_RULES, snap.releases, { channel, architecture });
        const revision = row && findSnapRevision(snap, row.revision);
        return revision && runsOn(revision, architecture) ? [`${channel} ${architecture} ${revision.revision}`] : [];
      }),
    ),
  }));
  return { packages, snaps };
}

// It exports and imports several times.
longTest("the export of the site file that a store prints of itself imports to the same, whatever the channels have by then", async () => {
  await fc.assert(
    fc.asyncProperty(growing, async ({ before, after }) => {
      const a = await storeOf(archiveOf(before));
      const text = await manifestOf(a);
      const held = await contentOf(a);
      const outside = await storeOf(archiveOf(before));
      await importBytes(outside, archiveOf(after), "2026-07-01T00:00:00Z");
      const request = readSiteFile(text, "site.yaml");
      const made = await exported(storeTransport(outside), OWN_ADDRESS, { request, without: new Set(request.without) });
      expect(made.failed).toEqual([]);
      const b = await storeOf(made.bytes);
      expect(await contentOf(b)).toEqual(held);
      expect(await manifestOf(b)).toBe(text);
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

/** Of which nothing is in a channel. */
const CHARMED: SnapModel = {
  name: "charmed",
  id: "charmedcharmedcharmedcharmed1234",
  publisher: "acme",
  details: {},
  defaultTrack: null,
  formats: [0],
  revisions: [{ revision: 7, architectures: ["amd64"], lines: ["base: bare"], hasIcon: false, createdAt: undefined, components: {} }],
  rows: [],
};

test("a whole store comes with what its charms need by number, with assertions of no snap, and tells what it lacks", async () => {
  const yaml = 'charm_major = 1\n[snap]\nname = "charmed"\n[snap.revisions]\nx86_64 = "7"\naarch64 = "8"\n';
  const zip = charmZip({
    name: "tiny",
    revision: 5,
    bases: [base("amd64", "22.04"), base("arm64", "22.04")],
    files: { "refresh_versions.toml": yaml },
  });
  const set = validationSet(
    { account: ACME, key: testKey("acme") },
    { snaps: [{ name: "charmed", id: CHARMED.id, presence: "required" }] },
  );
  const a = await storeOf(
    tgzOf({ "tiny_5.charm": zip, "charmed.tar.gz": tgzOf(snapFiles(CHARMED)), "set.assert": [ACME_KEY, set].join("\n") }),
  );
  const made = await exported(storeTransport(a), OWN_ADDRESS);
  expect(made.snaps.map(({ name, revisions }) => [name, revisions.map(({ revision }) => revision)])).toEqual([["charmed", [7]]]);
  expect([made.failed, made.notes.filter((one) => one.includes("charmed"))]).toEqual([
    [],
    [
      "adding snap charmed revision 7 amd64: needed by charm tiny 5 (refresh_versions.toml)",
      expect.stringMatching(/^charm tiny 5 \(refresh_versions.toml\) needs the snap charmed revision 8 arm64, which is not available: ./),
    ],
  ]);
  const b = await storeOf(made.bytes);
  const setPath = `/v2/assertions/validation-set/16/${ACME}/set/1`;
  const wanted = { action: "download", "instance-key": "x", name: "charmed", revision: 7 };
  const asked: Question[] = [
    { method: "GET", path: setPath, headers: {} },
    { method: "GET", path: `/v2/assertions/account-key/${testKey("acme").id}`, headers: {} },
    {
      method: "POST",
      path: "/v2/snaps/refresh",
      headers: { "Snap-Device-Architecture": "amd64" },
      body: JSON.stringify({ context: [], actions: [wanted] }),
    },
  ];
  await expectEqual(a, b, asked);
  const statuses = asked.slice(0, 2).map(async ({ path }) => (await appOf(b).fetch(new Request(`${ORIGIN}${path}`))).status);
  expect(await Promise.all(statuses)).toEqual([200, 200]);
});
