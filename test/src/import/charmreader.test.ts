/** Charms whose files contradict each other: what is refused of them, in which words. */

import { describe, expect, test } from "bun:test";
import { resolve } from "../../../src/catalog/resolve.ts";
import { base, bundleZip, charmZip, type Files, imageBlob, metadataOf, type PackageSpec, packageFiles, tarOf, zipOf } from "../../build.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";

const JAMMY = base("amd64", "22.04");
const DATA = { data: { type: "file", filename: "d" } } as const;
const zip = (name: string, revision: number, over: Partial<Parameters<typeof charmZip>[0]> = {}) =>
  charmZip({ name, revision, bases: [JAMMY], resources: DATA, ...over });

const KAFKA: PackageSpec = {
  name: "kafka",
  id: "IDkafka",
  type: "charm",
  revisions: { 7: zip("kafka", 7) },
  resources: { data: { type: "file", filename: "d", revisions: { 4: "four" } } },
  releases: [{ channel: "3/stable", base: JAMMY, revision: 7, resources: { data: 4 } }],
};

/** Why files are refused, after which nothing is stored. */
async function refusal(files: Files): Promise<string> {
  const store = await newStore();
  const { message } = await failureOf(importInto(store, { "in.tar": tarOf(files) }));
  expect(await store.generationNumbers()).toEqual([]);
  return message;
}

async function stored(files: Files) {
  const store = await newStore();
  const report = await importInto(store, { "in.tar": tarOf(files) });
  return { report, snapshot: await store.snapshot() };
}

/** Rebuilt from the charms alone. */
const two = { "kafka_7.charm": zip("kafka", 7), "zinc_2.charm": zip("zinc", 2) };

describe("a resource", () => {
  test("that two charms of a folder declare belongs to neither, until its name says whose it is", async () => {
    expect(await refusal({ ...two, resource_data_r4_d: "four" })).toBe(
      "in.tar: resource_data_r4_d: kafka and zinc declare that resource; name the file CHARM.RESOURCE_REVISION",
    );
    const { report } = await stored({ ...two, "kafka.data_4": "four" });
    expect(report.packages.map(({ name, resources }) => [name, resources.new])).toEqual([
      ["kafka", ["data_4"]],
      ["zinc", []],
    ]);
  });

  test("that only one of them declares is that one's", async () => {
    const { report } = await stored({ ...two, "zinc_2.charm": zip("zinc", 2, { resources: {} }), resource_data_r4_d: "four" });
    expect(report.packages.map(({ name, resources }) => [name, resources.new])).toEqual([
      ["kafka", ["data_4"]],
      ["zinc", []],
    ]);
  });

  test("of one revision is there once", async () => {
    const files = { "kafka_7.charm": zip("kafka", 7), "kafka.data_4": "four", resource_data_r4_d: "other" };
    expect(await refusal(files)).toMatch(/: resource data revision 4 is in the archive twice$/);
  });

  test.each(["-data", "da ta", ".data", ".."])("is not called %j", async (name) => {
    const files = { "kafka_7.charm": zip("kafka", 7), [`kafka.${name}_4`]: "four" };
    expect(await refusal(files)).toContain("is not a name of a resource");
  });

  test("has a revision that can be kept", async () => {
    expect(await refusal({ "kafka_7.charm": zip("kafka", 7), "kafka.data_99999999999999999999": "four" })).toContain(
      "the revision in its name is not a number that can be kept",
    );
  });

  test("of an image names one", async () => {
    const image = zip("kafka", 7, { resources: { img: { type: "oci-image" } } });
    expect(await refusal({ "kafka_7.charm": image, "kafka.img_1": "no image" })).toContain(
      "img is an oci-image, but the file names no image",
    );
    const { report } = await stored({ "kafka_7.charm": image, "kafka.img_1": imageBlob("r.test/img@sha256:00") });
    expect(report.packages[0]?.resources.new).toEqual(["img_1"]);
  });

  const digest = (name: string, content: string) => new Bun.CryptoHasher(name as "sha256").update(content).digest("hex");

  test.each([
    ["of another size", { "resources/kafka.data_4": "fifth" }, /it has 5 bytes, but metadata.json says 4$/],
    ["of other bytes", { "resources/kafka.data_4": "rouf" }, /its sha-256 is [0-9a-f]{64}, but metadata.json says [0-9a-f]{64}$/],
  ])("%s than its metadata.json says is refused", async (_, other, why) => {
    const files = packageFiles(KAFKA);
    expect(Object.keys(files)).toContain("resources/kafka.data_4");
    expect(await refusal({ ...files, ...other })).toMatch(why);
  });

  test.each(["sha384", "sha512"])("of another %s than its metadata.json says is refused", async (algorithm) => {
    const text = JSON.stringify(metadataOf(KAFKA));
    const right = digest(algorithm, "four");
    expect(text).toContain(right);
    const metadata = JSON.parse(text.replaceAll(right, "0".repeat(right.length))) as Record<string, unknown>;
    expect(await refusal(packageFiles(KAFKA, metadata))).toMatch(/its sha-(384|512) is [0-9a-f]+, but metadata.json says 0+$/);
  });
});

describe("a revision", () => {
  test("is not in it twice with other bytes", async () => {
    const files = { "kafka_7.charm": zip("kafka", 7), "more/kafka_r7.charm": zip("kafka", 8) };
    const [one, other] = [files["kafka_7.charm"], files["more/kafka_r7.charm"]];
    expect(await refusal({ "kafka_7.charm": one, "kafka_r7.charm": other })).toMatch(
      /revision 7 of kafka is in it twice, with different content: sha256 [0-9a-f]{64} and [0-9a-f]{64}$/,
    );
    const { report } = await stored({ "kafka_7.charm": one, "kafka_r7.charm": one });
    expect(report.packages[0]?.revisions.new).toEqual([7]);
  });

  test("has a number that can be kept", async () => {
    expect(await refusal({ "kafka_99999999999999999999.charm": zip("kafka", 7) })).toContain(
      "the revision in its name is not a number that can be kept",
    );
  });

  test("of other bytes than its metadata.json says is refused", async () => {
    const files = packageFiles(KAFKA);
    const other = zip("kafka", 9);
    expect(await refusal({ ...files, "kafka_7.charm": other })).toMatch(
      /its sha-256 is [0-9a-f]{64}, but metadata.json says [0-9a-f]{64}$/,
    );
    expect(await refusal({ ...files, "kafka_7.charm": zip("kafka", 7, { files: { more: "x" } }) })).toMatch(
      /it has \d+ bytes, but metadata.json says \d+$/,
    );
  });
});

describe("a package", () => {
  test("that its metadata.json names is among the charms beside it", async () => {
    const metadata = JSON.stringify({ ...metadataOf(KAFKA), name: "other" });
    expect(await refusal({ "metadata.json": metadata, "kafka_7.charm": zip("kafka", 7) })).toBe(
      "in.tar: metadata.json is of other, but the archive holds kafka",
    );
  });

  test("has a charm or bundle, not its metadata.json alone", async () => {
    expect(await refusal({ "metadata.json": JSON.stringify(metadataOf(KAFKA)) })).toBe(
      "kafka: the archive has its metadata.json, but no charm or bundle of it",
    );
  });

  test.each(["../x", "a b", "-a", "a".repeat(129)])("is not called %j", async (name) => {
    const files = { "metadata.yaml": `name: ${JSON.stringify(name)}\nsummary: s\ndescription: d\n` };
    expect(await refusal({ "x_1.charm": zipOf(files) })).toContain("is not a name of a charm or bundle");
  });

  test("is a charm or a bundle by what is in its zip", async () => {
    expect(await refusal({ "x_1.charm": zipOf({ "README.md": "x" }) })).toContain(
      "its zip has neither metadata.yaml nor bundle.yaml, so it is neither a charm nor a bundle",
    );
  });

  test("does not become of another kind", async () => {
    const store = await newStore();
    await importInto(store, { "in.tar": tarOf(packageFiles(KAFKA)) });
    const bundle = tarOf({ "kafka_1.bundle": bundleZip("name: kafka\napplications: {}\n") });
    expect((await failureOf(importInto(store, { "b.tar": bundle }))).message).toBe(
      "kafka is a charm in the store and a bundle in the archive",
    );
  });
});

test("channels of two exports of one import are all kept with --keep-channels where nothing is stored, and none where something is", async () => {
  const later: PackageSpec = {
    ...KAFKA,
    revisions: { 8: zip("kafka", 8) },
    releases: [{ channel: "3/edge", base: JAMMY, revision: 8, resources: { data: 4 } }],
  };
  const both = { "a/kafka.tar": tarOf(packageFiles(KAFKA)), "b/kafka.tar": tarOf(packageFiles(later)) };
  const channels = async (store: Awaited<ReturnType<typeof newStore>>) =>
    ((await (await store.snapshot()).package("kafka"))?.releases ?? []).map(({ channel, revision }) => `${channel} ${revision}`).toSorted();
  const fresh = await newStore();
  await importInto(fresh, { "in.tar": tarOf(both) }, { channels: "keep" });
  expect(await channels(fresh)).toEqual(["3/edge 8", "3/stable 7"]);
  const store = await newStore();
  await importInto(store, { "in.tar": tarOf({ "kafka.tar": both["a/kafka.tar"] }) });
  await importInto(store, { "in.tar": tarOf({ "kafka.tar": both["b/kafka.tar"] }) }, { channels: "keep" });
  expect(await channels(store)).toEqual(["3/stable 7"]);
  const pkg = await (await store.snapshot()).package("kafka");
  const asked = {
    action: "install",
    instanceKey: "k",
    name: "kafka",
    base: JAMMY,
    resourceRevisions: [],
    preferred: "22.04",
    revision: 8,
  } as const;
  expect(resolve(pkg, asked)).toMatchObject({ ok: { revision: { revision: 8 } } });
});
