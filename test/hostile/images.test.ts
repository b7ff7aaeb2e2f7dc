/** Hostile manifests and layouts: refused by name, or stored whole, and never served as something else than their bytes. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import { LAYOUT_FILE, LAYOUT_TEXT, layoutBlobPath, REF_NAME } from "../../src/archives/imagemanifest.ts";
import { parseDigestText, sumsOf } from "../../src/digest.ts";
import { Failure } from "../../src/errors.ts";
import { blobsOf } from "../../store/reach.ts";
import type { Store } from "../../store/store.ts";
import { tarOf } from "../build.ts";
import { importInto, newStore } from "../importing.ts";
import { below } from "../layouts.ts";
import { imageOf, indexOf } from "../registry.ts";
import { thorough } from "../thorough.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const AMD = imageOf({ layers: ["base", "amd"] });
const SEEDS: readonly Json[] = [AMD, indexOf([AMD]), imageOf({ artifactType: "a/b", subject: AMD })].map(({ bytes }) =>
  JSON.parse(Buffer.from(bytes).toString("utf8")),
);

/** Every place in a value, as the keys to it. */
function placesIn(value: Json, at: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...at, key]))];
}

function replaced(value: Json, [key, ...rest]: readonly string[], by: (old: Json) => Json | undefined): Json | undefined {
  if (key === undefined) return by(value);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).flatMap(([name, inner]): [string, Json][] => {
    const next = name === key ? replaced(inner, rest, by) : inner;
    return next === undefined ? [] : [[name, next]];
  });
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

const EVIL: readonly Json[] = [
  null,
  true,
  "",
  "..",
  "../../../etc/passwd",
  "a".repeat(10_000),
  "\u202e\u0000\n",
  "sha256:",
  `sha256:${"A".repeat(64)}`,
  `sha512:${"a".repeat(128)}`,
  `sha256:${"0".repeat(64)}`,
  -1,
  0,
  1.5,
  2 ** 53,
  1e308,
  [],
  {},
  [[[[[[[[]]]]]]]],
  { constructor: "x", toString: 1 },
  Array.from({ length: 1001 }, () => ({})),
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
];

const manifest: fc.Arbitrary<Json> = fc.constantFrom(...SEEDS).chain((seed) =>
  fc
    .record({ at: fc.constantFrom(...placesIn(seed)), value: fc.constantFrom(undefined, ...EVIL), twice: fc.boolean() })
    .map(({ at, value, twice }) => {
      const one = replaced(seed, at, () => value) ?? null;
      return twice && typeof one === "object" && one !== null && !Array.isArray(one) ? Object.assign({}, one, { manifests: [] }) : one;
    }),
);

const NAMES = [
  "r.test/team/app:1",
  "team/app",
  "r.test/charms/x:1",
  "../x:1",
  "r.test/a//b:1",
  "",
  "x".repeat(300),
  "team/app@sha256:1",
  "r.test/Ünï/x:1",
];

// Mostly right, so that what is wrong elsewhere is come to.
const nameOfImage = fc.oneof(
  { weight: 3, arbitrary: fc.constant("r.test/team/app:1") },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES) },
);
const sizeOff = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) });

async function isWhole(store: Store): Promise<boolean> {
  const { generation } = await store.snapshot();
  if (!generation) return true;
  for await (const { digest } of blobsOf(store, generation)) {
    const object = await store.blob(digest);
    if (!object || sumsOf(await object.bytes(0, object.size))["sha-256"] !== digest) return false;
  }
  return true;
}

/** Asks for every manifest of every repository, by tag and digest. */
async function isServedAsItIs(store: Store): Promise<boolean> {
  const { fetch } = createApp({ store, config: {}, log: () => {} });
  for (const { name, tags, manifests } of await (await store.snapshot()).repositories())
    for (const [reference, digest] of [...Object.entries(tags), ...manifests.map((one) => [`sha256:${one.digest}`, one.digest] as const)]) {
      const reply = await fetch(new Request(`http://hub.test/v2/${name}/manifests/${reference}`));
      if (reply.status !== 200 || sumsOf(new Uint8Array(await reply.arrayBuffer()))["sha-256"] !== digest) return false;
    }
  return true;
}

test("manifests that were made wrong in any place, in layouts of any name", async () => {
  const outcomes = { refused: 0, stored: 0 };
  await fc.assert(
    fc.asyncProperty(manifest, nameOfImage, sizeOff, async (value, called, off) => {
      const bytes = Buffer.from(JSON.stringify(value));
      const digest = sumsOf(bytes)["sha-256"];
      const mediaType = typeof value === "object" && value !== null && "mediaType" in value ? value["mediaType"] : "";
      const blobs = [...AMD.blobs].map(([hex, content]) => [layoutBlobPath(hex), content] as const);
      const files = {
        ...Object.fromEntries(blobs),
        [layoutBlobPath(AMD.digest)]: AMD.bytes,
        [layoutBlobPath(digest)]: bytes,
        [LAYOUT_FILE]: LAYOUT_TEXT,
        "index.json": JSON.stringify({
          schemaVersion: 2,
          manifests: [{ mediaType, digest: `sha256:${digest}`, size: bytes.byteLength + off, annotations: { [REF_NAME]: called } }],
        }),
      };
      const store = await newStore();
      try {
        await importInto(store, { "site.tar": tarOf(below("images", files)) });
        outcomes.stored += 1;
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== "refused") throw error;
        outcomes.refused += 1;
        expect(error.message).toMatch(/images/);
        expect(error.message.length).toBeLessThan(2000);
        expect((await store.snapshot()).number).toBe(0);
      }
      expect([await isWhole(store), await isServedAsItIs(store)]).toEqual([true, true]);
    }),
    { numRuns: thorough ? 300 : 15 },
  );
  if (thorough) for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(10);
});

test("paths of requests that no client sends get an error of the registry or of the stores, and nothing else", async () => {
  const store = await newStore();
  await importInto(store, {
    "app.tar": tarOf({
      ...Object.fromEntries([...AMD.blobs].map(([hex, content]) => [layoutBlobPath(hex), content])),
      [layoutBlobPath(AMD.digest)]: AMD.bytes,
      [LAYOUT_FILE]: LAYOUT_TEXT,
      "index.json": JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: AMD.mediaType,
            digest: `sha256:${AMD.digest}`,
            size: AMD.bytes.byteLength,
            annotations: { [REF_NAME]: "team/app:1" },
          },
        ],
      }),
    }),
  });
  const { fetch } = createApp({ store, config: {}, log: () => {} });
  const part = fc.constantFrom(
    "team",
    "app",
    "..",
    "%2e%2e",
    "%00",
    "manifests",
    "blobs",
    "tags",
    "list",
    "referrers",
    "charms",
    "uploads",
    "1",
    `sha256:${AMD.digest}`,
    "a".repeat(300),
    "%",
    "",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 7 }), async (parts) => {
      const reply = await fetch(new Request(`http://hub.test/v2/${parts.join("/")}`));
      expect([200, 400, 404, 405]).toContain(reply.status);
      const bytes = new Uint8Array(await reply.arrayBuffer());
      const said = parseDigestText(reply.headers.get("Docker-Content-Digest") ?? "");
      if (said) expect(sumsOf(bytes)["sha-256"]).toBe(said);
      else expect(JSON.parse(Buffer.from(bytes).toString("utf8"))).toBeObject();
    }),
    { numRuns: thorough ? 1000 : 20 },
  );
});
