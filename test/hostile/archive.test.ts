/** Archives damaged at random: imported as what they then are, or refused by name; never an internal error, never half. */

import { expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { Failure } from "../../src/errors.ts";
import {
  base,
  bundleZip,
  charmZip,
  exportOf,
  imageBlob,
  metadataOf,
  type PackageSpec,
  packageFiles,
  tarOf,
  tgzOf,
  zipOf,
} from "../build.ts";
import { sealOf, testKey } from "../carried.ts";
import { importInto, newStore } from "../importing.ts";
import { runs } from "../thorough.ts";

const jammy = base("amd64", "22.04");
const CHARM: PackageSpec = {
  name: "demo",
  id: "DemoDemoDemoDemoDemoDemoDemoDemo",
  type: "charm",
  revisions: {
    7: charmZip({
      name: "demo",
      revision: 7,
      bases: [jammy],
      resources: { image: { type: "oci-image" }, data: { type: "file", filename: "d" } },
    }),
  },
  bases: { 7: [jammy] },
  resources: {
    image: { type: "oci-image", revisions: { 1: imageBlob("registry.example/charm/demo/image@sha256:00") } },
    data: { type: "file", filename: "d", revisions: { 1: "data" } },
  },
  releases: [{ channel: "14/stable", base: jammy, revision: 7, resources: { data: 1, image: 1 } }],
};
const BUNDLE: PackageSpec = {
  name: "stack",
  id: "StackStackStackStackStackStackSt",
  type: "bundle",
  revisions: { 3: bundleZip("applications:\n  demo:\n    charm: demo\n") },
  releases: [{ channel: "latest/stable", base: null, revision: 3 }],
};

/** Imports `bytes` into a new store: the generations that it made, or the refusal. */
async function outcome(bytes: Uint8Array): Promise<{ generations: number; failure?: Failure; staged?: number }> {
  const store = await newStore();
  try {
    await importInto(store, { "e.tar.gz": bytes }, { now: "2026-03-01T00:00:00Z" });
    return { generations: (await store.generationNumbers()).length };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { generations: (await store.generationNumbers()).length, failure: error };
  }
}

async function holds(bytes: Uint8Array): Promise<void> {
  const { generations, failure } = await outcome(bytes);
  expect([failure?.kind ?? "refused", generations]).toEqual(["refused", failure ? 0 : 1]);
  expect(failure?.message ?? "e.tar.gz").toContain("e.tar.gz");
  expect(failure?.message ?? "").not.toMatch(/internal error|\bit: |undefined|\[object|\p{Cc}/u);
}

/** Some bytes of `whole` replaced, or its end cut off. */
function damaged(whole: Uint8Array): fc.Arbitrary<Uint8Array> {
  const flips = fc.array(fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const flipped = flips.map((all) => {
    const copy = new Uint8Array(whole);
    for (const [at, value] of all) copy[at] = value;
    return copy;
  });
  return fc.oneof(
    { weight: 4, arbitrary: flipped },
    { weight: 1, arbitrary: fc.nat(whole.byteLength - 1).map((end) => whole.subarray(0, end)) },
  );
}

const EXPORT = exportOf([CHARM, BUNDLE]);
const INNER = tarOf(packageFiles(CHARM));
const ZIP = CHARM.revisions[7] ?? new Uint8Array();
const METADATA = Buffer.from(JSON.stringify(metadataOf(CHARM)));

const TREE = packageFiles(CHARM);
const SEAL = sealOf(TREE, testKey("site"));

const LAYERS: readonly { readonly what: string; readonly bytes: fc.Arbitrary<Uint8Array> }[] = [
  { what: "the outer gzip", bytes: damaged(EXPORT) },
  { what: "the outer tar", bytes: damaged(gunzipSync(EXPORT)) },
  { what: "an inner tar", bytes: damaged(INNER) },
  { what: "a charm's zip without metadata.json", bytes: damaged(ZIP).map((zip) => tarOf({ "demo_7.charm": zip })) },
  { what: "metadata.json", bytes: damaged(METADATA).map((metadata) => tarOf({ ...packageFiles(CHARM), "metadata.json": metadata })) },
  {
    what: "metadata.yaml",
    bytes: damaged(Buffer.from("name: demo\nsummary: s\nresources:\n  data: {type: file}\nseries: [jammy]\n")).map((text) =>
      tarOf({
        "demo_7.charm": zipOf({
          "metadata.yaml": text,
          "manifest.yaml": "bases: [{name: ubuntu, channel: '22.04', architectures: [amd64]}]\n",
        }),
      }),
    ),
  },
  {
    what: "SHA256SUMS",
    bytes: damaged(Buffer.from(SEAL["SHA256SUMS"] ?? "")).map((sums) => tarOf({ ...TREE, ...SEAL, SHA256SUMS: sums })),
  },
  {
    what: "SHA256SUMS.minisig",
    bytes: damaged(Buffer.from(SEAL["SHA256SUMS.minisig"] ?? "")).map((signature) =>
      tarOf({ ...TREE, ...SEAL, "SHA256SUMS.minisig": signature }),
    ),
  },
];

test.each(LAYERS)("damage to $what", async ({ bytes }) => {
  await fc.assert(fc.asyncProperty(bytes, holds), { numRuns: runs(400) });
});

test("a compressed file that is no archive and is cut short is named", async () => {
  const text = Array.from({ length: 50_000 }, (_, i) => `line ${i * 7919}\n`).join("");
  for (const packed of [gzipSync(text), Bun.zstdCompressSync(text)]) {
    const { failure } = await outcome(packed.subarray(0, packed.byteLength / 2));
    expect(failure?.message).toMatch(/^e\.tar\.gz: .*cut short/);
  }
});

const anything = fc.jsonValue({ maxDepth: 3 });
const shape = fc.record(
  {
    type: fc.oneof(fc.constant("charm"), anything),
    name: fc.oneof(fc.constant("demo"), anything),
    id: fc.oneof(fc.constant("DemoId"), anything),
    result: fc.oneof(fc.record({ publisher: anything, categories: anything, summary: anything }), anything),
    "channel-map": fc.oneof(
      fc.array(
        fc.record({
          channel: fc.oneof(
            fc.record({
              name: fc.constantFrom("14/stable", "edge", "a/b/c/d"),
              base: fc.oneof(fc.constant(jammy), fc.constant({ name: "all", channel: "all", architecture: "all" }), anything),
            }),
            anything,
          ),
          revision: fc.oneof(fc.record({ revision: fc.oneof(fc.constant(7), anything), bases: anything }), anything),
          resources: anything,
        }),
      ),
      anything,
    ),
    results: anything,
    charm: anything,
    revision: anything,
    channel: anything,
  },
  { requiredKeys: [] },
);

test("a metadata.json of any JSON", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(anything, shape), (value) =>
      holds(tgzOf({ ...packageFiles(CHARM), "metadata.json": JSON.stringify(value) })),
    ),
    { numRuns: runs(600) },
  );
});
