import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { findPackage, publishChange } from "../../../bin/commands/changing.ts";
import { LIMITS, type Limits } from "../../../src/archives/archive.ts";
import { chooseTrack, type StoredPackage } from "../../../src/catalog/change.ts";
import { changeDraft } from "../../../src/catalog/drafts.ts";
import { setOverride } from "../../../src/catalog/override.ts";
import type { Incoming, Package } from "../../../src/catalog/package.ts";
import { sumsOf } from "../../../src/digest.ts";
import { type FailureKind } from "../../../src/errors.ts";
import { importCharms } from "../../../src/import/charmimport.ts";
import { type ImportOptions, type ImportReport, type ImportSource, importSources, readSources } from "../../../src/import/import.ts";
import { ExportReader } from "../../../src/import/reader.ts";
import { Disk } from "../../../store/fs.ts";
import { blobKey } from "../../../store/keys.ts";
import { Memory } from "../../../store/memory.ts";
import type { Storage } from "../../../store/storage.ts";
import { Store } from "../../../store/store.ts";
import {
  base,
  bundleZip,
  charmZip,
  downloadOf,
  exportOf,
  type Files,
  imageBlob,
  metadataOf,
  type PackageSpec,
  packageFiles,
  tarEntry,
  tarOf,
  tgzOf,
} from "../../build.ts";
import { failureOf, importInto, newStore, sourceOf } from "../../importing.ts";
import { turnsDuring } from "../../turns.ts";

const JAMMY = base("amd64", "22.04");
const NOBLE = base("amd64", "24.04");
const IMAGE = "registry.jujucharms.com/charm/idkafka/kafka-image@sha256:abc";

function charm(name: string, revision: number, over: Partial<PackageSpec> = {}): PackageSpec {
  return {
    name,
    id: `ID${name}`,
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [JAMMY] }) },
    releases: [{ channel: "3/stable", base: JAMMY, revision }],
    ...over,
  };
}

/** A charm with an image and a file that is itself an archive. */
const PAYLOAD = tgzOf({ "inside/metadata.json": "{}" });
const KAFKA: PackageSpec = charm("kafka", 195, {
  revisions: {
    195: charmZip({
      name: "kafka",
      revision: 195,
      bases: [JAMMY],
      resources: { "kafka-image": { type: "oci-image" }, data: { type: "file", filename: "data.tgz" } },
    }),
  },
  resources: {
    "kafka-image": { type: "oci-image", revisions: { 3: imageBlob(IMAGE) } },
    data: { type: "file", filename: "data.tgz", revisions: { 4: PAYLOAD } },
  },
  releases: [{ channel: "3/stable", base: JAMMY, revision: 195, resources: { "kafka-image": 3, data: 4 } }],
});

interface Given extends Partial<ImportOptions> {
  store?: Store;
}

const memory = newStore;

/** Imports sources by name; gives the store and the report. */
async function load(
  sources: Readonly<Record<string, Uint8Array>>,
  { store, ...options }: Given = {},
): Promise<{ store: Store; report: ImportReport }> {
  const into = store ?? (await memory());
  const report = await importInto(into, sources, { command: "test", ...options });
  return { store: into, report };
}

const refusalOf = async (work: Promise<unknown>, kind?: FailureKind) => (await failureOf(work, kind)).message;

async function held(store: Store, name: string): Promise<Package> {
  const pkg = await (await store.snapshot()).package(name);
  if (!pkg) throw new Error(`${name} is not stored`);
  return pkg;
}

const rowsOf = (pkg: Package) =>
  pkg.releases.map((r) => `${r.channel} ${r.base ? `${r.base.channel}/${r.base.architecture} ` : ""}${r.revision}`);

/** The bytes of every object that the store holds. */
async function everything(store: Store): Promise<Buffer[]> {
  const objects: Buffer[] = [];
  const visit = async (prefix: string): Promise<void> => {
    for (const key of await store.storage.list(prefix)) {
      const object = await store.storage.open(key);
      if (object) objects.push(Buffer.from(await object.bytes()));
    }
  };
  await visit("catalog/");
  for (let i = 0; i < 256; i += 1) await visit(`blobs/sha256/${i.toString(16).padStart(2, "0")}/`);
  return objects;
}

async function bytesOfBlob(store: Store, digest: string): Promise<Buffer> {
  const blob = await store.blob(digest as Package["revisions"][number]["blob"]);
  if (!blob) throw new Error(`blob ${digest} is not stored`);
  return Buffer.from(await blob.bytes());
}

test("an export becomes one generation with everything in it", async () => {
  const { store, report } = await load({ "charms-export.tar.gz": exportOf([KAFKA, charm("zinc", 2)]) });
  expect(report).toMatchObject({
    generation: 1,
    ignored: [],
    missing: { charms: [], resources: [], revisions: [] },
  });
  expect(report.packages.map((p) => [p.name, p.state, p.id, p.defaultTrack])).toEqual([
    ["kafka", "new", "IDkafka", "3"],
    ["zinc", "new", "IDzinc", "3"],
  ]);
  const kafka = await held(store, "kafka");
  expect(rowsOf(kafka)).toEqual(["3/stable 22.04/amd64 195"]);
  expect(kafka.releases[0]?.resources).toEqual({ "kafka-image": 3, data: 4 });
  const { blob = "" } = kafka.revisions[0] ?? {};
  expect(blob).toBe(downloadOf(KAFKA.revisions[195] ?? "")["hash-sha-256"] as string);
  expect(await bytesOfBlob(store, blob)).toEqual(Buffer.from(KAFKA.revisions[195] ?? ""));
  expect(kafka.details.publisher?.["display-name"]).toBe("Acme");
});

describe("metadata.json", () => {
  const files = packageFiles(KAFKA);
  const image = { name: "kafka-image", type: "oci-image", revision: 3, download: downloadOf(imageBlob(IMAGE)) };
  const data = { name: "data", type: "file", revision: 4, filename: "data.tgz", download: downloadOf(PAYLOAD) };
  const flat = { name: "kafka", id: "IDkafka", revision: 195, channel: "3/stable", base: JAMMY, resources: [image, data] };
  const refresh = {
    id: "IDkafka",
    name: "kafka",
    "effective-channel": "3/stable",
    "released-at": "2026-03-01T09:30:00+00:00",
    charm: { ...flat, bases: [JAMMY], download: downloadOf(KAFKA.revisions[195] ?? "") },
  };

  test.each<[string, unknown]>([
    ["info", metadataOf(KAFKA)],
    ["info without a channel map", { ...metadataOf(KAFKA), "channel-map": undefined }],
    ["refresh results", { results: [refresh] }],
    ["one refresh result", refresh],
    ["flat", flat],
    ["flat, without a base", { ...flat, base: undefined }],
  ])("in the shape of %s", async (_, metadata) => {
    const { store, report } = await load({ in: tgzOf({ "kafka.tar.gz": tgzOf(packageFiles(KAFKA, metadata)) }) });
    const kafka = await held(store, "kafka");
    expect([kafka.id, kafka.declared, rowsOf(kafka), kafka.releases[0]?.resources]).toEqual([
      "IDkafka",
      true,
      ["3/stable 22.04/amd64 195"],
      { "kafka-image": 3, data: 4 },
    ]);
    expect(report.notes).toEqual([]);
    const again = await load({ in: tgzOf(packageFiles(KAFKA, metadata)) }, { store, now: "2027-01-01T00:00:00+00:00" });
    expect(again.report.generation).toBeNull();
  });

  test("that is missing: the package is rebuilt from the charm, and a note says so", async () => {
    const { "metadata.json": _, ...inner } = packageFiles(KAFKA);
    const { store, report } = await load({ in: tgzOf({ "kafka.tar.gz": tgzOf(inner) }) });
    const kafka = await held(store, "kafka");
    expect([kafka.declared, rowsOf(kafka)]).toEqual([false, ["latest/stable 22.04/amd64 195"]]);
    expect(kafka.id).toBe("idkafka");
    expect(kafka.releases[0]?.resources).toEqual({ "kafka-image": 3, data: 4 });
    expect(kafka.details.publisher).toMatchObject({ username: "acme" });
    expect(report.notes.join("\n")).toContain("metadata.json");
    expect((await load({ in: tgzOf(inner) }, { store, now: "2027-01-01T00:00:00+00:00" })).report.generation).toBeNull();
  });

  test("of another charm than the one beside it is refused", async () => {
    const message = await refusalOf(load({ in: tgzOf(packageFiles(KAFKA, { ...flat, name: "other" })) }));
    for (const told of ["other", "kafka"]) expect(message).toContain(told);
  });

  test("alone, without a charm, is refused", async () => {
    await refusalOf(load({ in: tgzOf({ "metadata.json": JSON.stringify(flat) }) }));
  });

  test("larger than the limit is refused, and named", async () => {
    const limits: Limits = { ...LIMITS, json: 1000 };
    const message = await refusalOf(load({ in: tgzOf({ "kafka.tar.gz": tgzOf(files) }) }, { limits }));
    expect(message).toStartWith("in: kafka.tar.gz: metadata.json: ");
    expect(message).toContain("1000");
  });

  test.each([1_000, 30_000, 2_000_000])("nested %d deep is refused, and named", async (depth) => {
    const nested = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    for (const text of [nested, JSON.stringify({ ...flat, links: 0 }).replace('"links":0', `"links":${nested}`)]) {
      const message = await refusalOf(load({ in: tgzOf({ "kafka.tar.gz": tgzOf(packageFiles(KAFKA, text)) }) }));
      expect(message).toStartWith("in: kafka.tar.gz: metadata.json: ");
      expect(message).toContain("nested");
    }
  });

  const wrong = "0".repeat(64);
  const differing = (over: object) => ({ ...flat, ...over });
  test.each<[string, unknown, string]>([
    ["the charm's sha256", differing({ download: { "hash-sha-256": wrong } }), "kafka_195.charm"],
    ["the charm's size", differing({ download: { size: 1 } }), "kafka_195.charm"],
    ["a resource's sha256", differing({ resources: [image, { ...data, download: { "hash-sha-256": wrong } }] }), "resources/kafka.data_4"],
    [
      "a resource's sha384",
      differing({ resources: [image, { ...data, download: { "hash-sha-384": "0".repeat(96) } }] }),
      "resources/kafka.data_4",
    ],
    [
      "a resource's sha512",
      differing({ resources: [image, { ...data, download: { "hash-sha-512": "0".repeat(128) } }] }),
      "resources/kafka.data_4",
    ],
    [
      "a resource's sha3-384",
      differing({ resources: [image, { ...data, download: { "hash-sha3-384": "0".repeat(96) } }] }),
      "resources/kafka.data_4",
    ],
    [
      "an image's sha256",
      differing({ resources: [{ ...image, download: { "hash-sha-256": wrong } }, data] }),
      "resources/kafka.kafka-image_3",
    ],
  ])("that disagrees on %s is refused, and the file named", async (_, metadata, file) => {
    const message = await refusalOf(load({ in: tgzOf({ "kafka.tar.gz": tgzOf(packageFiles(KAFKA, metadata)) }) }));
    expect(message).toStartWith(`in: kafka.tar.gz: ${file}: `);
    expect(message).toContain("metadata.json");
  });

  test("digests in capitals are the same digests", async () => {
    const upper = Object.fromEntries(Object.entries(data.download).map(([key, value]) => [key, String(value).toUpperCase()]));
    const download = { ...upper, size: PAYLOAD.byteLength };
    expect(
      (await load({ in: tgzOf(packageFiles(KAFKA, differing({ resources: [image, { ...data, download }] }))) })).report.generation,
    ).toBe(1);
  });
});

test("metadata.json alone, of what is stored, changes nothing", async () => {
  const { store } = await load({ in: exportOf([KAFKA]) });
  const metadata = JSON.stringify(metadataOf(KAFKA));
  const { report } = await load({ in: tgzOf({ "kafka.tar.gz": tgzOf({ "metadata.json": metadata }) }) }, { store });
  expect([report.generation, report.packages.map((p) => p.state)]).toEqual([null, ["known"]]);
});

describe("layouts", () => {
  test("files in any order, at any depth, are the same import", async () => {
    const files = Object.entries(packageFiles(KAFKA));
    const { store } = await load({ in: exportOf([KAFKA]) });
    const expected = await held(store, "kafka");
    const turned = Object.fromEntries(files.toReversed());
    const rotated = Object.fromEntries([...files.slice(2), ...files.slice(0, 2)]);
    const under = (folder: string, inner: Files) =>
      Object.fromEntries(Object.entries(inner).map(([path, content]) => [folder + path, content]));
    for (const bytes of [
      tarOf(turned),
      tgzOf(rotated),
      tgzOf(under("./", turned)),
      tgzOf(under("top/", rotated)),
      tgzOf({ "a.tar.gz": tgzOf({ "b.tar": tarOf({ "c.tar.gz": tgzOf(turned) }) }) }),
      tgzOf([tarEntry("._metadata.json", "litter"), ...files.map(([path, content]) => tarEntry(path, content))]),
    ]) {
      const again = await load({ in: bytes });
      expect(await held(again.store, "kafka")).toEqual(expected);
      expect((await load({ in: bytes }, { store })).report.generation).toBeNull();
    }
  });

  test("a source has the sha256 and size of the file as it lies", async () => {
    const bytes = { plain: KAFKA.revisions[195] ?? new Uint8Array(), packed: gzipSync(KAFKA.revisions[195] ?? "") };
    const { report } = await load({ "kafka_195.charm": bytes.plain, "kafka_195.charm.gz": bytes.packed });
    expect(report.sources).toEqual([
      { name: "kafka_195.charm", size: bytes.plain.byteLength, sha256: sumsOf(bytes.plain)["sha-256"] },
      { name: "kafka_195.charm.gz", size: bytes.packed.byteLength, sha256: sumsOf(bytes.packed)["sha-256"] },
    ]);
  });

  test("several sources are one generation", async () => {
    const { store, report } = await load({ a: exportOf([KAFKA]), b: exportOf([charm("zinc", 1)]) });
    expect([report.generation, (await store.snapshot()).names]).toEqual([1, ["kafka", "zinc"]]);
    expect(report.sources.map((s) => s.name)).toEqual(["a", "b"]);
  });

  test("several revisions and bases of one charm in one archive", async () => {
    const spec = charm("kafka", 1, {
      revisions: {
        1: charmZip({ name: "kafka", revision: 1, bases: [JAMMY] }),
        2: charmZip({ name: "kafka", revision: 2, bases: [NOBLE] }),
      },
      releases: [
        { channel: "3/stable", base: JAMMY, revision: 1 },
        { channel: "3/stable", base: NOBLE, revision: 2 },
      ],
    });
    const { store } = await load({ in: exportOf([spec]) });
    expect(rowsOf(await held(store, "kafka"))).toEqual(["3/stable 24.04/amd64 2", "3/stable 22.04/amd64 1"]);
  });

  test("a bundle and its charms; the charms that lack are told", async () => {
    const zip = bundleZip("name: stack\napplications:\n  a: {charm: kafka}\n  b: {charm: zinc}\n");
    const spec: PackageSpec = {
      name: "stack",
      id: "IDstack",
      type: "bundle",
      revisions: { 11: zip },
      releases: [{ channel: "1/stable", base: null, revision: 11 }],
    };
    const { store, report } = await load({ in: exportOf([spec, KAFKA]) });
    expect((await held(store, "stack")).type).toBe("bundle");
    expect(rowsOf(await held(store, "stack"))).toEqual(["1/stable 11"]);
    expect(report.missing.charms).toEqual([{ bundle: "stack", charm: "zinc" }]);
  });

  test("a bundle without metadata.json gets its name from the file", async () => {
    const zip = bundleZip("applications:\n  a: {charm: kafka}\n");
    const { store } = await load({ "cos-lite_11.bundle": zip });
    expect((await held(store, "cos-lite")).revisions.map((r) => r.revision)).toEqual([11]);
  });

  test("what `juju download` writes", async () => {
    const { store } = await load({
      "kafka_r195.charm": KAFKA.revisions[195] ?? "",
      "resource_kafka-image_r3": Buffer.from(imageBlob(IMAGE)),
      "resource_data_r4_data.tgz": PAYLOAD,
    } as Record<string, Uint8Array>);
    const kafka = await held(store, "kafka");
    expect(rowsOf(kafka)).toEqual(["latest/stable 22.04/amd64 195"]);
    expect(kafka.releases[0]?.resources).toEqual({ "kafka-image": 3, data: 4 });
  });

  test("what has nothing of ours in it is refused, and said", async () => {
    expect(await refusalOf(load({ "notes.txt": Buffer.from("hello") }))).toContain("notes.txt");
    await refusalOf(load({ in: tgzOf({}) }));
    await refusalOf(load({}));
    await refusalOf(load({ in: new Uint8Array() }));
  });
});

describe("what Juju never matches is not kept", () => {
  test("architecture `all` becomes that of the manifest, else every one", async () => {
    const all = base("all", "22.04");
    const known = charm("known", 1, { releases: [{ channel: "3/stable", base: all, revision: 1 }] });
    const zip = charmZip({ name: "unknown", revision: 1, bases: [], files: { "manifest.yaml": "{}" } });
    const unknown = charm("unknown", 1, { revisions: { 1: zip }, releases: [{ channel: "3/stable", base: all, revision: 1 }] });
    const { store } = await load({ in: exportOf([known, unknown]) });
    expect(rowsOf(await held(store, "known"))).toEqual(["3/stable 22.04/amd64 1"]);
    expect((await held(store, "unknown")).releases.map((r) => r.base?.architecture)).toEqual([
      "amd64",
      "arm64",
      "ppc64el",
      "s390x",
      "riscv64",
    ]);
    for (const name of ["known", "unknown"]) {
      const pkg = await held(store, name);
      expect(JSON.stringify([pkg.releases, pkg.revisions.map((r) => r.bases)])).not.toContain('"all"');
      expect(pkg.revisions[0]?.bases).not.toBeEmpty();
    }
  });
});

describe("what is not in the archive", () => {
  test("a row without its revision is not published, and reported", async () => {
    const spec = charm("kafka", 1, {
      releases: [
        { channel: "3/stable", base: JAMMY, revision: 1 },
        { channel: "3/edge", base: JAMMY, revision: 9 },
      ],
    });
    const { store, report } = await load({ in: exportOf([spec]) });
    expect(rowsOf(await held(store, "kafka"))).toEqual(["3/stable 22.04/amd64 1"]);
    expect(report.missing.revisions).toEqual([{ name: "kafka", channel: "3/edge", base: JAMMY, revision: 9 }]);
  });

  test("a row whose revision came before is published", async () => {
    const { store } = await load({ in: exportOf([charm("kafka", 1)]) });
    const spec = charm("kafka", 2, {
      releases: [
        { channel: "3/stable", base: JAMMY, revision: 1 },
        { channel: "3/edge", base: JAMMY, revision: 2 },
      ],
    });
    const { report } = await load({ in: exportOf([spec]) }, { store });
    expect(rowsOf(await held(store, "kafka"))).toEqual(["3/stable 22.04/amd64 1", "3/edge 22.04/amd64 2"]);
    expect(report.missing.revisions).toEqual([]);
  });

  test("a resource that is declared or pinned but not there is reported", async () => {
    const { resources: _, ...rest } = KAFKA;
    const { report } = await load({ in: exportOf([rest]) });
    expect(report.missing.resources.map((r) => r.resource).toSorted()).toEqual(["data", "kafka-image"]);
  });
});

describe("resources", () => {
  test("an archive stays as it is", async () => {
    const { store } = await load({ in: exportOf([KAFKA]) });
    const data = (await held(store, "kafka")).resources.find((r) => r.name === "data")?.revisions[0];
    expect(await bytesOfBlob(store, data?.blob ?? "")).toEqual(Buffer.from(PAYLOAD));
    const hash = (algorithm: string) => createHash(algorithm).update(PAYLOAD).digest("hex");
    expect(data).toMatchObject({
      revision: 4,
      type: "file",
      filename: "data.tgz",
      size: PAYLOAD.byteLength,
      blob: hash("sha256"),
      digests: { "sha-384": hash("sha384"), "sha-512": hash("sha512"), "sha3-384": hash("sha3-384") },
    });
  });

  test.each<[string, string]>([
    ["JSON", imageBlob(IMAGE)],
    ["JSON in lower case", JSON.stringify({ imagename: IMAGE, username: "docker-registry", password: "upstream-secret-token" })],
    ["YAML", `registrypath: ${IMAGE}\nusername: docker-registry\npassword: upstream-secret-token\n`],
  ])("upstream's credentials never land in the store: %s", async (_, content) => {
    const spec = { ...KAFKA, resources: { ...KAFKA.resources, "kafka-image": { type: "oci-image" as const, revisions: { 3: content } } } };
    const { store } = await load({ in: exportOf([spec]) });
    const objects = await everything(store);
    expect(objects.length).toBeGreaterThan(5);
    for (const bytes of objects) expect(/upstream-secret-token|docker-registry/.test(bytes.toString("latin1"))).toBe(false);
    const image = (await held(store, "kafka")).resources.find((r) => r.name === "kafka-image")?.revisions[0];
    expect(JSON.parse((await bytesOfBlob(store, image?.blob ?? "")).toString())).toEqual({ ImageName: IMAGE });
    expect(image?.image).toEqual({ reference: IMAGE, path: "charm/idkafka/kafka-image@sha256:abc" });
  });

  test("a bundle.yaml names another path of an image", async () => {
    const bundle = "applications:\n  k:\n    charm: kafka\n    resources: {kafka-image: 'mine/kafka:3'}\n";
    const { store } = await load({ in: exportOf([KAFKA], bundle) });
    const image = (await held(store, "kafka")).resources.find((r) => r.name === "kafka-image")?.revisions[0]?.image;
    expect(image?.path).toBe("mine/kafka:3");
  });

  test("an exporter that wrote the operator's path into the blob is believed", async () => {
    const metadata = metadataOf(KAFKA);
    const spec = {
      ...KAFKA,
      resources: { ...KAFKA.resources, "kafka-image": { type: "oci-image" as const, revisions: { 3: imageBlob("mine/kafka:3") } } },
    };
    const { store } = await load({ in: tgzOf(packageFiles(spec, metadata)) });
    const image = (await held(store, "kafka")).resources.find((r) => r.name === "kafka-image")?.revisions[0]?.image;
    expect(image?.path).toBe("mine/kafka:3");
  });

  test.each(["not an image", "{}", JSON.stringify({ ImageName: 7 }), "[".repeat(60_000)])(
    "an oci-image that names no image is refused: %#",
    async (content) => {
      const spec = {
        ...KAFKA,
        resources: { ...KAFKA.resources, "kafka-image": { type: "oci-image" as const, revisions: { 3: content } } },
      };
      expect(await refusalOf(load({ in: exportOf([spec]) }))).toContain("kafka.kafka-image_3");
    },
  );

  test.each(["kafka.data_99999999999999999999", "kafka.data_9007199254740993"])(
    "a revision beyond all numbers is refused: %s",
    async (file) => {
      await refusalOf(load({ in: tgzOf({ ...packageFiles(charm("kafka", 1)), [`resources/${file}`]: "x" }) }));
    },
  );

  test("one revision twice with other bytes is refused", async () => {
    const files = { ...packageFiles(KAFKA, undefined), "resource_data_r4_other.tgz": "other" };
    await refusalOf(load({ in: tgzOf(files) }));
  });
});

describe("again and at the same time", () => {
  const folder = mkdtempSync(join(tmpdir(), "chp-import-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("the same import twice makes no second generation", async () => {
    const { store } = await load({ in: exportOf([KAFKA]) });
    const { report } = await load({ in: exportOf([KAFKA]) }, { store, now: "2027-01-01T00:00:00+00:00" });
    expect([report.generation, report.packages[0]?.state, report.bytes.new]).toEqual([null, "known", 0]);
    expect(await store.generationNumbers()).toEqual([1]);
  });

  test("nor where a default track was chosen, or a channel is stored", async () => {
    const { store } = await load({ in: exportOf([KAFKA]) });
    const now = "2026-06-01T00:00:00.000Z";
    for (const work of [
      (pkg: StoredPackage) => chooseTrack(pkg, "3"),
      (pkg: StoredPackage) => setOverride(pkg, 195, "edge", {}, { reason: "why" }, now),
      (pkg: StoredPackage) => chooseTrack(setOverride(pkg, 195, "edge", {}, { reason: "why" }, now), "3"),
    ]) {
      await publishChange(store, now, async (at) => {
        const pkg = await findPackage(at, "kafka", false);
        return { draft: changeDraft("test", [{ before: pkg, after: work(pkg) }]), result: undefined };
      });
      const { report } = await load({ in: exportOf([KAFKA]) }, { store });
      expect([report.generation, report.packages[0]?.state]).toEqual([null, "known"]);
    }
  });

  test("tells of overrides over what it moves", async () => {
    const { store } = await load({ in: exportOf([KAFKA]) });
    await publishChange(store, "2026-06-01T00:00:00.000Z", async (at) => {
      const pkg = await findPackage(at, "kafka", false);
      const after = setOverride(pkg, 195, "3/stable", {}, { reason: "why" }, "2026-06-01T00:00:00.000Z");
      return { draft: changeDraft("test", [{ before: pkg, after }]), result: undefined };
    });
    const { report } = await load({ in: exportOf([charm("kafka", 196)]) }, { store });
    expect(report.packages[0]).toMatchObject({
      channels: [{ channel: "3/stable", from: 195, to: 196 }],
      overrides: [{ channel: "3/stable", on: "ubuntu@22.04 amd64", revision: 195, without: 196, reason: "why" }],
    });
  });

  test("the same import mends blobs that were damaged", async () => {
    const { store } = await load({ in: exportOf([KAFKA]) });
    const pkg = await held(store, "kafka");
    const digests = [pkg.revisions[0]?.blob, pkg.revisions[0]?.texts["metadata-yaml"]].filter((digest) => digest !== undefined);
    for (const digest of digests) {
      const stage = await store.storage.stage();
      await stage.write(Buffer.alloc((await bytesOfBlob(store, digest)).byteLength, "x"));
      await stage.end();
      await stage.commit(blobKey(digest));
    }
    expect((await load({ in: exportOf([KAFKA]) }, { store })).report.generation).toBeNull();
    expect(digests).toHaveLength(2);
    for (const digest of digests) expect(sumsOf(await bytesOfBlob(store, digest))["sha-256"]).toBe(digest);
  });

  test("a metadata.json that tells no times makes no second generation either", async () => {
    const metadata = { name: "kafka", id: "IDkafka", revision: 195, channel: "3/stable", resources: [{ name: "data", revision: 4 }] };
    const bytes = tgzOf(packageFiles(KAFKA, metadata));
    const { store } = await load({ in: bytes });
    expect((await load({ in: bytes }, { store, now: "2027-01-01T00:00:00+00:00" })).report.generation).toBeNull();
  });

  test.each<[string, () => Storage]>([
    ["memory", () => new Memory()],
    ["disk", () => new Disk(folder, { sync: false })],
  ])("two imports at once both land: %s", async (_, make) => {
    const storage = make();
    const stores = [await Store.openOrCreate(storage), await Store.openOrCreate(storage)] as const;
    const reports = await Promise.all([
      load({ a: exportOf([KAFKA, charm("a", 1)]) }, { store: stores[0] }),
      load({ b: exportOf([charm("kafka", 196), charm("b", 1)]) }, { store: stores[1] }),
    ]);
    expect(new Set(reports.map((r) => r.report.generation))).toEqual(new Set([1, 2]));
    const store = await Store.open(storage);
    expect((await store.snapshot()).names).toEqual(["a", "b", "kafka"]);
    expect((await held(store, "kafka")).revisions.map((r) => r.revision)).toEqual([196, 195]);
    expect(await storage.list("tmp/")).toEqual([]);
  });

  test("one source after the other while the next is read", async () => {
    const storage = new Memory();
    const slow = async function* () {
      yield sourceOf("a", exportOf([charm("kafka", 1)]));
      await load({ other: exportOf([charm("kafka", 2)]) }, { store: await Store.openOrCreate(storage) });
      yield sourceOf("b", exportOf([charm("zinc", 1)]));
    };
    const store = await Store.openOrCreate(storage);
    const options: ImportOptions = { command: "t", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00Z", limits: LIMITS };
    expect((await importSources(store, slow(), options)).generation).toBe(2);
    expect((await held(store, "kafka")).revisions.map((r) => r.revision)).toEqual([2, 1]);
  });
});

describe("one refused file, and nothing is published", () => {
  const good = exportOf([KAFKA]);
  const otherBytes = charm("kafka", 195, { releases: [] });

  test.each<[string, Readonly<Record<string, Uint8Array>>]>([
    ["a second source that is cut short", { good, bad: good.subarray(0, good.byteLength - 20) }],
    ["an inner archive that is cut short", { good, bad: tgzOf({ "x.tar.gz": tgzOf(packageFiles(charm("x", 1))).subarray(0, 100) }) }],
    ["a charm that is no zip", { good, bad: tgzOf({ "x_1.charm": "no zip" }) }],
    [
      "a zip that is neither a charm nor a bundle",
      { good, "x_1.charm": charmZip({ name: "x", revision: 1, bases: [], files: {} }).slice(0, 60) },
    ],
    ["the same revision with other bytes", { good, bad: exportOf([otherBytes]) }],
    ["a name that is none", { good, bad: tgzOf({ "x_1.charm": charmZip({ name: "../x", revision: 1, bases: [] }) }) }],
  ])("%s", async (_, sources) => {
    const store = await memory();
    await refusalOf(load(sources, { store }));
    expect(await store.generationNumbers()).toEqual([]);
    expect((await store.snapshot()).names).toEqual([]);
    expect(await everything(store)).toEqual([]);
  });

  test("other bytes than the store has: both digests are shown, and what was held stays", async () => {
    const { store } = await load({ good });
    const message = await refusalOf(load({ bad: exportOf([otherBytes]), more: exportOf([charm("zinc", 1)]) }, { store }));
    for (const zip of [KAFKA.revisions[195], otherBytes.revisions[195]])
      expect(message).toContain(downloadOf(zip ?? "")["hash-sha-256"] as string);
    expect((await store.snapshot()).names).toEqual(["kafka"]);
  });

  test("a dry run publishes nothing and reports the same", async () => {
    const store = await memory();
    const dry = await load({ good }, { store, dryRun: true });
    expect(await everything(store)).toEqual([]);
    const wet = await load({ good }, { store });
    expect({ ...dry.report, dryRun: false, generation: wet.report.generation }).toEqual(wet.report);
  });

  test("an interruption publishes nothing", async () => {
    const store = await memory();
    const stop = new AbortController();
    await refusalOf(load({ good }, { store, signal: stop.signal, onProgress: () => stop.abort() }), "interrupted");
    expect(await everything(store)).toEqual([]);
  });
});

describe("a charm that was built here", () => {
  const own = (content: string) => charmZip({ name: "mine", revision: 0, bases: [JAMMY], files: { "src/charm.py": content } });
  const revisions = async (store: Store) => (await held(store, "mine")).revisions.map((r) => r.revision);

  test("gets 1, other bytes 2, the same bytes the same number", async () => {
    const { store } = await load({ "mine_ubuntu-22.04-amd64.charm": own("one") });
    expect([await revisions(store), rowsOf(await held(store, "mine"))]).toEqual([[1], ["latest/stable 22.04/amd64 1"]]);
    await load({ "mine.charm": own("two") }, { store });
    expect([await revisions(store), rowsOf(await held(store, "mine"))]).toEqual([[2, 1], ["latest/stable 22.04/amd64 2"]]);
    expect((await load({ "again.charm": own("two") }, { store, now: "2027-01-01T00:00:00Z" })).report.generation).toBeNull();
    await load({ "mine.charm": own("one") }, { store });
    expect([await revisions(store), rowsOf(await held(store, "mine"))]).toEqual([[2, 1], ["latest/stable 22.04/amd64 1"]]);
  });

  test.each([
    ["edge", "latest/edge"],
    ["2", "2/stable"],
    ["latest", "latest/stable"],
    ["edge/fix", "latest/edge/fix"],
  ])("a channel %s is kept in full", async (channel, full) => {
    const { store } = await load({ "mine.charm": own("one") }, { channel });
    expect(rowsOf(await held(store, "mine"))).toEqual([`${full} 22.04/amd64 1`]);
  });

  test("takes channel and revision from the operator", async () => {
    const { store } = await load({ "mine.charm": own("one") }, { channel: "2/edge", revision: 7 });
    expect(rowsOf(await held(store, "mine"))).toEqual(["2/edge 22.04/amd64 7"]);
    expect((await held(store, "mine")).defaultTrack).toBe("2");
  });

  test("keeps its package id, which is the same on every machine", async () => {
    const ids = await Promise.all(
      ["one", "two"].map(async (content) => (await held((await load({ "mine.charm": own(content) })).store, "mine")).id),
    );
    expect(ids[0]).toBe(ids[1] as string);
    expect(ids[0]).toMatch(/^[A-Za-z0-9]{32}$/);
  });

  test("two builds of one charm in one import get a number each, and keep it", async () => {
    const store = await memory();
    const builds = { "mine_amd64.charm": own("one"), "mine_arm64.charm": own("two"), "mine_copy.charm": own("one") };
    await load(builds, { store });
    expect(await revisions(store)).toEqual([2, 1]);
    await load(builds, { store });
    expect(await revisions(store)).toEqual([2, 1]);
  });
});

test.each(["constructor", "toString", "prototype", "hasOwnProperty"])("a package and a resource may be called %s", async (name) => {
  const spec: PackageSpec = charm(name, 1, {
    revisions: { 1: charmZip({ name, revision: 1, bases: [JAMMY], resources: { [name]: { type: "file", filename: "f" } } }) },
    resources: { [name]: { type: "file", filename: "f", revisions: { 3: "x" } } },
    releases: [{ channel: "3/stable", base: JAMMY, revision: 1, resources: { [name]: 3 } }],
  });
  const { store, report } = await load({ in: exportOf([spec, charm("other", 1)]) });
  expect(report.packages.map((p) => p.state)).toEqual(["new", "new"]);
  const fresh = await Store.open(store.storage);
  const pkg = await held(fresh, name);
  expect([pkg.revisions[0]?.resources, pkg.releases[0]?.resources, pkg.resources.map((r) => r.name)]).toEqual([
    [name],
    { [name]: 3 },
    [name],
  ]);
  expect((await (await fresh.snapshot()).packageById(`ID${name}`))?.name).toBe(name);
  expect((await load({ in: exportOf([spec, charm("other", 1)]) }, { store: fresh })).report.generation).toBeNull();
  expect((await fresh.snapshot()).generation?.changed).toHaveProperty(name);
});

test.each([
  ["a package name", charm("kafka", 1), { name: "../kafka", id: "X", revision: 1, channel: "stable" }],
  ["a package id", charm("kafka", 1), { name: "kafka", id: "../../x", revision: 1, channel: "stable" }],
])("%s with a path in it is refused", async (_, spec, metadata) => {
  await refusalOf(load({ in: tgzOf(packageFiles(spec, metadata)) }));
});

test("names that would act on a terminal are shown harmless", async () => {
  const bad = charmZip({ name: "x", revision: 1, bases: [], files: { "metadata.yaml": 'name: "a\\u001b[2Jb"\n' } });
  expect(await refusalOf(load({ in: tgzOf({ "x_1.charm": bad }) }))).not.toMatch(/\p{Cc}/u);
});

test("what reads the sources is not kept in memory while their content is published", async () => {
  const readers: WeakRef<object>[] = [];
  const { prototype } = ExportReader;
  const finish = Object.getOwnPropertyDescriptor(prototype, "finish") ?? {};
  // A spy would keep it.
  const value = function (this: object) {
    readers.push(new WeakRef(this));
    return finish.value.call(this);
  };
  Object.defineProperty(prototype, "finish", { ...finish, value });
  const options: ImportOptions = { command: "t", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00Z", limits: LIMITS };
  const gone: boolean[] = [];
  try {
    // The collector takes some bits on the stack for a reference, but not those of each try.
    while (gone.length < 50 && gone.at(-1) !== true)
      await readSources(await newStore(), [sourceOf("a", exportOf([charm("kafka", 1)]))], options, async () => {
        await Bun.sleep(1); // a WeakRef keeps what it refers to until the turn ends
        Bun.gc(true);
        gone.push(readers.at(-1)?.deref() === undefined);
      });
  } finally {
    Object.defineProperty(prototype, "finish", finish);
  }
  expect([gone.at(-1), readers.length]).toEqual([true, gone.length]);
});

test("while many files are read from memory, and many packages merged, the event loop has turns", async () => {
  const names = Array.from({ length: 320 }, (_, i) => `charm-${i}`);
  const bytes = tarOf(
    Object.fromEntries(names.map((name) => [`${name}/${name}_1.charm`, charmZip({ name, revision: 1, bases: [JAMMY] })])),
  );
  const source: ImportSource = {
    name: "a",
    size: bytes.byteLength,
    async *open() {
      yield bytes;
    },
  };
  const options: ImportOptions = { command: "t", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00Z", limits: LIMITS };
  const packages: Incoming[] = [];
  const store = await newStore();
  const read = () => readSources(store, [source], options, async ({ reading }) => void packages.push(...reading.packages));
  expect(await turnsDuring(read)).toBeWithin(40, 60); // of 320 files and as many groups
  expect(packages).toHaveLength(320);
  const none = { package: async () => undefined, index: (await store.snapshot()).index };
  expect(await turnsDuring(() => importCharms(packages, none, options))).toBeWithin(40, 50); // merged, and reported
});
