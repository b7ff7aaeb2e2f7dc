/** Images in archives: what is imported, and what is refused by name. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { IMAGE_NAME, layoutBlobPath } from "../../../src/archives/imagemanifest.ts";
import { architecturesOf, isComplete, type Repository } from "../../../src/catalog/repository.ts";
import { type Digest, sumsOf } from "../../../src/digest.ts";
import { blobsOf } from "../../../store/reach.ts";
import type { Store } from "../../../store/store.ts";
import { charmZip, type Files, imageBlob, packageFiles, tarOf, tgzOf } from "../../build.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";
import { below, layoutOf, skopeoFolderOf } from "../../layouts.ts";
import { attestationOf, imageOf, indexOf, type TestImage } from "../../registry.ts";
import { NOBLE } from "../../world.ts";

const AMD = imageOf({ layers: ["base", "amd"] });
const ARM = imageOf({ architecture: "arm64", layers: ["base", "arm"] });
const BOTH = indexOf([AMD, ARM, attestationOf(AMD)]);
const KAFKA = `registry.test/charm/abc/kafka-image@sha256:${BOTH.digest}`;
const site = (files: Files) => ({ "site.tar": tarOf(files) });
const one = (image: TestImage, name: string, without: readonly Digest[] = []) =>
  site(below("images", layoutOf([{ image, name }], without)));

async function repositoryIn(store: Store, name: string): Promise<Repository> {
  const repository = await (await store.snapshot()).repository(name);
  if (!repository) throw new Error(`there is no ${name}`);
  return repository;
}

/** Whether every blob that the newest generation names is stored, with its content. */
async function isWhole(store: Store): Promise<boolean> {
  const { generation } = await store.snapshot();
  if (!generation) return false;
  for await (const { digest, size } of blobsOf(store, generation)) {
    const object = await store.blob(digest);
    if (!object || (size !== undefined && object.size !== size)) return false;
    if (sumsOf(await object.bytes(0, object.size))["sha-256"] !== digest) return false;
  }
  return true;
}

describe("an image is imported", () => {
  test("from the layout of an archive, with all architectures, its tag and digest", async () => {
    const store = await newStore();
    const report = await importInto(store, one(BOTH, "ghcr.io/juju/jujud-operator:3.6.11"));
    expect(report.images).toEqual([
      {
        name: "juju/jujud-operator",
        state: "new",
        manifests: { new: [...BOTH.manifests.keys()].toSorted(), known: [] },
        tags: [{ tag: "3.6.11", from: null, to: BOTH.digest }],
        architectures: ["amd64", "arm64"],
      },
    ]);
    const repository = await repositoryIn(store, "juju/jujud-operator");
    expect(repository.tags).toEqual({ "3.6.11": BOTH.digest });
    expect(isComplete(repository, BOTH.digest)).toBe(true);
    expect(await isWhole(store)).toBe(true);
    expect((await store.snapshot()).generation?.images).toEqual({ "juju/jujud-operator": { manifests: 4, tags: ["3.6.11"] } });
  });

  test("and the same again changes nothing", async () => {
    const store = await newStore();
    await importInto(store, one(BOTH, KAFKA));
    const again = await importInto(store, one(BOTH, KAFKA));
    expect(again.generation).toBeNull();
    expect(again.images.map(({ state }) => state)).toEqual(["known"]);
  });

  test("a tag that moves keeps the manifest that it named before", async () => {
    const store = await newStore();
    await importInto(store, one(AMD, "r.test/team/app:1"));
    const report = await importInto(store, one(ARM, "r.test/team/app:1"));
    expect(report.images[0]).toMatchObject({ state: "changed", tags: [{ tag: "1", from: AMD.digest, to: ARM.digest }] });
    const repository = await repositoryIn(store, "team/app");
    expect(repository.manifests.map(({ digest }) => digest)).toEqual([AMD.digest, ARM.digest].toSorted());
  });

  test.each<[string, Files]>([
    ["an oci-archive", { "app.tar": tarOf(layoutOf([{ image: BOTH, name: "team/app:1" }])) }],
    ["a compressed one", { "app.tar.gz": tgzOf(layoutOf([{ image: BOTH, name: "team/app:1" }])) }],
    ["what docker save writes", { "app.tar": tarOf(layoutOf([{ image: BOTH, name: "docker.io/team/app:1", key: IMAGE_NAME }])) }],
    ["a folder", Object.fromEntries(Object.entries(below("usb", layoutOf([{ image: BOTH, name: "team/app:1" }]))))],
  ])("from %s", async (_, sources) => {
    const store = await newStore();
    const report = await importInto(store, sources);
    expect(report.images.map(({ name, tags }) => [name, tags.map(({ tag }) => tag)])).toEqual([["team/app", ["1"]]]);
    expect(await isWhole(store)).toBe(true);
  });

  test("of one architecture, whose index is stored whole", async () => {
    const store = await newStore();
    await importInto(
      store,
      one(
        BOTH,
        KAFKA,
        [ARM.digest, ...ARM.blobs.keys()].filter((digest) => !AMD.blobs.has(digest)),
      ),
    );
    const repository = await repositoryIn(store, "charm/abc/kafka-image");
    expect([isComplete(repository, BOTH.digest, "amd64"), isComplete(repository, BOTH.digest, "arm64")]).toEqual([true, false]);
    expect(isComplete(repository, BOTH.digest)).toBe(false);
    expect(architecturesOf(repository, BOTH.digest)).toEqual(["amd64"]);
    await importInto(store, one(BOTH, KAFKA));
    expect(isComplete(await repositoryIn(store, "charm/abc/kafka-image"), BOTH.digest)).toBe(true);
  });

  test("without layers that the store has, and not where gc took them", async () => {
    const store = await newStore();
    await importInto(store, one(AMD, "r.test/team/app:1"));
    const layers = [...AMD.blobs.keys()];
    const report = await importInto(store, one(indexOf([AMD]), "r.test/team/other:1", layers));
    expect(report.images.map(({ name }) => name)).toEqual(["team/other"]);
    expect(await isWhole(store)).toBe(true);
    const refused = await failureOf(importInto(await newStore(), one(AMD, "r.test/team/app:1", layers.slice(0, 1))));
    expect(refused.message).toContain(`images team/app: sha256:${layers[0]} of its manifest sha256:${AMD.digest} is missing`);
  });
});

describe("an image without a name", () => {
  const charm = packageFiles({
    type: "charm",
    name: "kafka",
    id: "IDKAFKA",
    revisions: { 1: charmZip({ name: "kafka", revision: 1, bases: [NOBLE], resources: { image: { type: "oci-image" } } }) },
    resources: { image: { type: "oci-image", revisions: { 1: imageBlob(KAFKA) } } },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 1, resources: { image: 1 } }],
  });

  test("belongs to the charm that names its digest, in the same import or stored before", async () => {
    const together = await newStore();
    await importInto(together, site({ ...below("charms/kafka", charm), ...below("dir", skopeoFolderOf(BOTH)) }));
    expect(isComplete(await repositoryIn(together, "charm/abc/kafka-image"), BOTH.digest)).toBe(true);
    const apart = await newStore();
    const first = await importInto(apart, site(below("charms/kafka", charm)));
    expect(first.missing.images).toEqual([]);
    const second = await importInto(apart, site(below("dir", skopeoFolderOf(BOTH))));
    expect(second.images.map(({ name }) => name)).toEqual(["charm/abc/kafka-image"]);
    expect(await isWhole(apart)).toBe(true);
  });

  test("is called what the operator says, and else refused", async () => {
    const store = await newStore();
    const sources = site(below("dir", skopeoFolderOf(AMD)));
    const failure = await failureOf(importInto(store, sources));
    expect(failure.message).toContain(`the image sha256:${AMD.digest} has no name there, and no stored charm names it`);
    expect(failure.next).toBe("say what it is with --image-name NAME:TAG");
    await importInto(store, sources, { imageName: "team/app:1" });
    expect((await repositoryIn(store, "team/app")).tags).toEqual({ 1: AMD.digest });
  });

  test("the charms of the import say which images are missing, once there are any", async () => {
    const store = await newStore();
    await importInto(store, one(AMD, "team/app:1"));
    const report = await importInto(store, site(below("charms/kafka", charm)));
    expect(report.missing.images).toEqual([{ upstream: KAFKA, neededBy: [{ charm: "kafka", resource: "image", revision: 1 }] }]);
  });
});

describe("what is in layers is never opened", () => {
  test("a layer that holds a charm and a metadata.json changes nothing", async () => {
    const evil = tgzOf({
      "demo_1.charm": charmZip({ name: "demo", revision: 1, bases: [NOBLE] }),
      "metadata.json": "{",
      "resources/demo.x_1": "x",
    });
    const store = await newStore();
    const report = await importInto(store, one(imageOf({ layers: [evil] }), "team/app:1"));
    expect([report.packages, report.snaps, report.ignored, report.notes]).toEqual([[], [], [], []]);
    expect(await isWhole(store)).toBe(true);
  });

  test("a manifest.json that is no image's is left alone", async () => {
    const store = await newStore();
    const beside = { "web/manifest.json": '{"schemaVersion": 2, "name": "an app"}', "web/index.json": "[1]" };
    const report = await importInto(store, site({ ...below("images", layoutOf([{ image: AMD, name: "team/app:1" }])), ...beside }));
    expect(report.images.map(({ name }) => name)).toEqual(["team/app"]);
  });

  test("blobs that no manifest names are left out of the store", async () => {
    const store = await newStore();
    const stray = Buffer.from("nobody names this");
    const digest = sumsOf(stray)["sha-256"];
    await importInto(store, site(below("images", { ...layoutOf([{ image: AMD, name: "team/app:1" }]), [layoutBlobPath(digest)]: stray })));
    expect(await store.blob(digest)).toBeUndefined();
  });
});

describe("refused by name", () => {
  const [layer = ""] = [...AMD.blobs.keys()].slice(-1);
  const files = layoutOf([{ image: AMD, name: "team/app:1" }]);
  const changed = (change: Record<string, string | Uint8Array | undefined>): Files =>
    Object.fromEntries(
      Object.entries({ ...files, ...change }).filter((entry): entry is [string, string | Uint8Array] => entry[1] !== undefined),
    );
  const listing = (descriptor: object) => JSON.stringify({ schemaVersion: 2, manifests: [descriptor] });
  const self = { mediaType: AMD.mediaType, digest: `sha256:${AMD.digest}`, size: AMD.bytes.byteLength, annotations: {} };
  const named = (name: string) => listing({ ...self, annotations: { "org.opencontainers.image.ref.name": name } });
  const alone = (value: object, mediaType: string): Files => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = sumsOf(bytes)["sha-256"];
    return {
      ...files,
      [layoutBlobPath(digest)]: bytes,
      "index.json": listing({ mediaType, digest: `sha256:${digest}`, size: bytes.byteLength, annotations: self.annotations }),
    };
  };
  const OCI = "application/vnd.oci.image.manifest.v1+json";

  test.each<[string, Files, string]>([
    ["a changed layer", changed({ [layoutBlobPath(layer as Digest)]: "other" }), `${layer}: its content does not match its name`],
    ["a changed manifest", changed({ [layoutBlobPath(AMD.digest)]: "{}" }), `${AMD.digest}: its content does not match its name`],
    ["a manifest that is missing", changed({ [layoutBlobPath(AMD.digest)]: undefined }), `it lists sha256:${AMD.digest}, which is missing`],
    ["a layout without index.json", changed({ "index.json": undefined }), "there is no index.json beside it"],
    ["an index.json without oci-layout", changed({ "oci-layout": undefined }), "there is no oci-layout beside it"],
    [
      "a layout of a later version",
      changed({ "oci-layout": '{"imageLayoutVersion":"2.0.0"}' }),
      "oci-layout: it is not of an image layout of version 1",
    ],
    ["an oci-layout that is none", changed({ "oci-layout": "no" }), "oci-layout: it is not of an image layout of version 1"],
    ["another size", changed({ "index.json": listing({ ...self, size: 7 }) }), `it says that sha256:${AMD.digest} has 7 bytes`],
    [
      "another media type",
      changed({ "index.json": listing({ ...self, mediaType: "application/vnd.oci.image.index.v1+json" }) }),
      "it says that its media type is",
    ],
    [
      "sha512",
      changed({ "index.json": listing({ ...self, digest: `sha512:${"a".repeat(128)}` }) }),
      "manifests.0.digest is not sha256: and 64 hexadecimal digits",
    ],
    ["a negative size", changed({ "index.json": listing({ ...self, size: -1 }) }), "manifests.0.size is negative"],
    [
      "another digest in its name",
      changed({ "index.json": named(`team/app@sha256:${"b".repeat(64)}`) }),
      `it calls sha256:${AMD.digest} team/app@sha256:bbb`,
    ],
    [
      "a name of another API",
      changed({ "index.json": named("r.test/charms/app:1") }),
      "the repository charms/app can't be served: /v2/charms/ is another API's",
    ],
    [
      "a name that leaves its place",
      changed({ "index.json": named("r.test/../app:1") }),
      "../app is not the name of a repository of images",
    ],
    ["upper case", changed({ "index.json": named("r.test/Team/app:1") }), "Team/app is not the name of a repository of images"],
    ["a manifest that is a list", alone([] as never, OCI), "schemaVersion is missing"],
    ["a manifest of schema 1", alone({ schemaVersion: 1 }, OCI), "schemaVersion is not 2"],
    ["a manifest without a config", alone({ schemaVersion: 2, mediaType: OCI, layers: [] }, OCI), "config is missing"],
    [
      "an unknown media type",
      alone({ schemaVersion: 2, mediaType: "text/html" }, "text/html"),
      "its media type text/html is not that of an image",
    ],
    [
      "1001 layers",
      alone({ schemaVersion: 2, mediaType: OCI, config: self, layers: Array.from({ length: 1001 }, () => self) }, OCI),
      "layers is a list of more than 1000",
    ],
    [
      "a layer with another size than it has",
      alone({ schemaVersion: 2, mediaType: OCI, config: { ...self, size: 5 }, layers: [] }, OCI),
      `it says that sha256:${AMD.digest} has 5 bytes`,
    ],
  ])("%s", async (_, layout, message) => {
    const store = await newStore();
    const failure = await failureOf(importInto(store, site(below("images", layout))));
    expect(failure.message).toContain(message);
    expect(failure.message).toStartWith("site.tar: ");
    expect((await store.snapshot()).number).toBe(0);
  });

  const [whole, ofSkopeo] = [layoutOf([{ image: AMD, name: "team/app:1" }]), skopeoFolderOf(AMD)];
  const without = (all: Files, name: string) => Object.fromEntries(Object.entries(all).filter(([path]) => path !== name));
  const manifest = layoutBlobPath(AMD.digest);
  test.each<[string, Files, string]>([
    ["a layout without its mark", without(whole, "oci-layout"), "there is no oci-layout beside it, so it is not of an image layout"],
    [
      "skopeo's folder without its manifest",
      without(ofSkopeo, "manifest.json"),
      "there is no manifest.json beside it, so there is no image",
    ],
    [
      "a manifest with other bytes than its name says",
      { ...whole, [manifest]: Buffer.from(`${Buffer.from(whole[manifest] ?? "").toString()} `) },
      "its content does not match its name, which is its sha256",
    ],
  ])("%s", async (_, wrong, message) => {
    const failure = await failureOf(importInto(await newStore(), site(below("images", wrong))));
    expect(failure.message).toContain(message);
    expect(failure.message).toStartWith("site.tar: images/");
  });

  test("an index of which nothing is there", async () => {
    const all = [...AMD.manifests.keys(), ...ARM.manifests.keys(), attestationOf(AMD).digest];
    const failure = await failureOf(importInto(await newStore(), one(BOTH, KAFKA, all)));
    expect(failure.message).toContain(`of the index sha256:${BOTH.digest} no image is there`);
  });

  test("indexes that are nested too deep, in any order", async () => {
    const deep = Array.from({ length: 5 }).reduce<TestImage[]>((all) => [...all, indexOf([all.at(-1) ?? AMD])], []);
    for (const images of [[...deep], [...deep].toReversed()]) {
      const nested = layoutOf(images.map((image, i) => ({ image, name: `team/app:${i}` })));
      const failure = await failureOf(importInto(await newStore(), site(nested)));
      expect(failure.message).toContain("indexes are nested more than 3 deep");
    }
  });

  test("one tag for two images", async () => {
    const images = [AMD, ARM].map((image) => ({ image, name: "team/app:1" }));
    const failure = await failureOf(importInto(await newStore(), site(layoutOf(images))));
    expect(failure.message).toContain("both team/app:1");
  });
});

test("whatever is left out of a layout, nothing incomplete is published", async () => {
  const paths = Object.keys(below("images", layoutOf([{ image: BOTH, name: "team/app:1" }])));
  await fc.assert(
    fc.asyncProperty(fc.subarray(paths), async (kept) => {
      const all = below("images", layoutOf([{ image: BOTH, name: "team/app:1" }]));
      const store = await newStore();
      const outcome = await importInto(store, site(Object.fromEntries(Object.entries(all).filter(([path]) => kept.includes(path))))).then(
        () => "done",
        (error: unknown) => (error instanceof Error ? error.message : "?"),
      );
      if (outcome !== "done") return expect((await store.snapshot()).number).toBe(0);
      expect(await isWhole(store)).toBe(true);
      const repository = await repositoryIn(store, "team/app");
      expect(["amd64", "arm64"].some((architecture) => isComplete(repository, BOTH.digest, architecture))).toBe(true);
    }),
    { numRuns: 60 },
  );
});
