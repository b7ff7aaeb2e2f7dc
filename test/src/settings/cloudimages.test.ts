import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { stringify } from "yaml";
import { type CloudImage, cloudImageKey } from "../../../src/catalog/cloudimage.ts";
import { readCloudImages, showCloudImages } from "../../../src/settings/cloudimages.ts";
import { cloudImagesFile } from "../../../src/wire/cloudimages.ts";

const word = fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/);
const image: fc.Arbitrary<CloudImage> = fc
  .record(
    {
      id: word,
      system: fc.constantFrom("24.04", "22.04").map((channel) => ({ name: "ubuntu", channel })),
      architecture: fc.constantFrom("amd64", "arm64"),
      region: fc.constantFrom("RegionOne", "north"),
      endpoint: fc.constantFrom("https://a.lan:5000/v3", "http://b.lan/identity"),
      virt: fc.constantFrom("kvm", "lxd"),
      storage: fc.constant("ssd"),
      stream: fc.constantFrom("released", "daily"),
    },
    { requiredKeys: ["id", "system", "architecture", "region", "endpoint", "stream"] },
  )
  .map((one) => one as CloudImage);
const images = fc.uniqueArray(image, { minLength: 1, maxLength: 20, selector: cloudImageKey });

const entryOf = ({ id, system, architecture, region, endpoint, virt, storage, stream }: CloudImage) => ({
  id,
  base: `${system.name}@${system.channel}`,
  arch: architecture,
  region,
  endpoint,
  ...(virt && { virt }),
  ...(storage && { "root-store": storage }),
  ...(stream !== "released" && { stream }),
});

describe("the text", () => {
  test("is read as it was written", () => {
    fc.assert(fc.property(images, (wanted) => expect(readCloudImages(stringify({ images: wanted.map(entryOf) }))).toEqual(wanted)));
  });

  test("names what all have in common once, and an entry may say else", () => {
    const text = `
region: RegionOne
endpoint: https://keystone.lan:5000/v3/
arch: amd64
images:
  - {id: a, base: noble}
  - {id: b, base: ubuntu@24.04, arch: arm64}
  - {id: c, base: 22.04, region: north}`;
    expect(
      readCloudImages(text).map(({ id, system, architecture, region, endpoint }) => [id, system.channel, architecture, region, endpoint]),
    ).toEqual([
      ["a", "24.04", "amd64", "RegionOne", "https://keystone.lan:5000/v3"],
      ["b", "24.04", "arm64", "RegionOne", "https://keystone.lan:5000/v3"],
      ["c", "22.04", "amd64", "north", "https://keystone.lan:5000/v3"],
    ]);
    expect(showCloudImages(readCloudImages(text))).toBe("3 images in RegionOne, north");
  });

  const CLOUD = "region: R\nendpoint: https://k.lan/v3\narch: amd64\n";
  test.each([
    ["", "it is not a map"],
    ["- a", "it is not a map"],
    [CLOUD, "images is missing"],
    [`${CLOUD}images: []`, "images is empty"],
    [`${CLOUD}images: a`, "images is not a list"],
    [`${CLOUD}images: [a]`, "images.0 is not a map"],
    [`${CLOUD}images: [{base: noble}]`, "images.0.id is missing"],
    [`${CLOUD}images: [{id: "", base: noble}]`, "images.0.id is empty"],
    [`${CLOUD}images: [{id: a b, base: noble}]`, "images.0.id is not one word"],
    [`${CLOUD}images: [{id: a}]`, "images.0.base is missing"],
    [`${CLOUD}images: [{id: a, base: 24}, {id: b, base: nobel}]`, "images.1.base: nobel is neither a base like"],
    [`${CLOUD}images: [{id: a, base: noble, arch: x86_64}]`, "images.0.arch is not one of amd64"],
    [`${CLOUD}images: [{id: a, base: noble, endpoint: k.lan}]`, "images.0.endpoint is not a URL"],
    [`${CLOUD}images: [{id: a, base: noble, endpoint: "file:///x"}]`, "images.0.endpoint is not a URL"],
    [`${CLOUD}images: [{id: a, base: noble, bass: x}]`, "images.0.bass is no key; did you mean base?"],
    [`${CLOUD}imagse: [{id: a, base: noble}]`, "imagse is no key; did you mean images?"],
    [`${CLOUD}constructor: x\nimages: [{id: a, base: noble}]`, "constructor is no key"],
    [`${CLOUD}images: [{id: a, base: noble, stream: Daily}]`, "images.0.stream is not a stream"],
    ["images: [{id: a, base: noble, arch: amd64, region: R}]", "images.0.endpoint is missing; at the top it is for all images"],
    ["images: [{id: a, base: noble, arch: amd64, endpoint: http://k}]", "images.0.region is missing"],
    ["images: [{id: a, base: noble, region: R, endpoint: http://k}]", "images.0.arch is missing"],
    [`${CLOUD}images: [{id: a, base: noble}, {id: b, base: noble}]`, "images.1: a is for ubuntu@24.04 amd64 in R already"],
    [`${CLOUD}images: [${"{id: a, base: noble},".repeat(2001)}]`, "images has more than 2000 entries"],
    [`${CLOUD}images: [{id: a`, "it"],
  ])("%j is refused", (text, why) => {
    expect(() => readCloudImages(text)).toThrow(why);
  });
});

interface Index {
  readonly index: Record<string, { clouds: unknown[]; path: string; products: string[]; datatype: string }>;
}
interface Products {
  readonly content_id: string;
  readonly products: Record<
    string,
    { arch: string; version: string; versions: Record<string, { items: Record<string, Record<string, string>> }> }
  >;
}

describe("what Juju is told", () => {
  const read = (all: readonly CloudImage[], file: string) => JSON.parse(cloudImagesFile(all, file) ?? "null") as unknown;

  test("is every image, in the file of its cloud alone, under the product that Juju asks for", () => {
    fc.assert(
      fc.property(images, (all) => {
        const { index } = read(all, "index2.json") as Index;
        expect(read(all, "index.json")).toEqual({ format: "index:1.0", index });
        const found = Object.entries(index).flatMap(([content, { clouds, path, products: listed, datatype }]) => {
          expect([datatype, clouds.length]).toEqual(["image-ids", 1]);
          const { content_id, products } = read(all, path.replace("streams/v1/", "")) as Products;
          expect([content_id, Object.keys(products).toSorted()]).toEqual([content, listed]);
          return Object.entries(products).flatMap(([product, { arch, version, versions }]) =>
            Object.values(versions).flatMap(({ items }) =>
              Object.values(items).map((item) => {
                expect([{ region: item["region"], endpoint: item["endpoint"] }]).toEqual(clouds as never);
                expect(product).toEndWith(`:server:${version}:${arch}`);
                return JSON.stringify([
                  product,
                  item["id"],
                  item["region"],
                  item["endpoint"],
                  item["virt"] ?? null,
                  item["root_store"] ?? null,
                ]);
              }),
            ),
          );
        });
        const wanted = all.map(({ id, system, architecture, region, endpoint, virt, storage, stream }) =>
          JSON.stringify([
            `com.ubuntu.cloud${stream === "daily" ? ".daily" : ""}:server:${system.channel}:${architecture}`,
            id,
            region,
            endpoint,
            virt ?? null,
            storage ?? null,
          ]),
        );
        expect(found.toSorted()).toEqual(wanted.toSorted());
      }),
    );
  });

  test.each(["index.sjson", "index2.sjson", "mirrors.json", "cloud-1.json", "cloud-00.json", "cloud-.json", "cloud-0.json.gpg", ""])(
    "has no file %j",
    (file) => {
      const [one] = fc.sample(image, 1) as [CloudImage];
      expect(cloudImagesFile([one], file)).toBeUndefined();
      expect(cloudImagesFile([one], "cloud-0.json")).toBeDefined();
      expect(cloudImagesFile([], "index2.json")).toBeUndefined();
    },
  );
});

test.each([
  ["a base that is none", { base: "plan9" }, "images.0.base: plan9 is neither a base like ubuntu@24.04 nor a series like noble"],
  ["nothing else", {}, undefined],
])("an entry with %s", (_, over, message) => {
  const entry = { id: "a", base: "ubuntu@24.04", arch: "amd64", region: "north", endpoint: "https://a.lan:5000/v3" };
  const read = (...entries: object[]) => readCloudImages(stringify({ images: entries }));
  if (message !== undefined) expect(() => read({ ...entry, ...over })).toThrow(message);
  else
    expect(() => read(entry, { ...entry, id: "b" })).toThrow(
      "images.1: a is for ubuntu@24.04 amd64 in north already: Juju could not choose",
    );
});
