/** Repositories of images: what can be pulled, by architecture, and at what cost. */

import { describe, expect, test } from "bun:test";
import {
  architecturesOf,
  checkDepth,
  isComplete,
  isRepositoryName,
  pullableFor,
  type Repository,
  type StoredManifest,
  showManifestKind,
  sizeBelow,
  storedImage,
} from "../../../src/catalog/repository.ts";
import { type Digest, sumsOf } from "../../../src/digest.ts";

const digestOf = (text: string) => sumsOf(Buffer.from(text))["sha-256"];
const MEDIA = "application/vnd.oci.image.manifest.v1+json";

function image(name: string, architecture?: string): StoredManifest {
  const platform = architecture === undefined ? {} : { platform: { os: "linux", architecture } };
  return { digest: digestOf(name), mediaType: MEDIA, size: 1, blobs: [digestOf(`${name} layer`)], ...platform };
}

function index(name: string, listed: readonly StoredManifest[]): StoredManifest {
  const manifests = listed.map(({ digest, platform }) => ({ digest, ...(platform && { platform }) }));
  return { digest: digestOf(name), mediaType: MEDIA, size: 10, manifests };
}

function repositoryOf(manifests: readonly StoredManifest[], tags: Record<string, Digest> = {}): Repository {
  const blobs = manifests.flatMap(({ digest, size, blobs: own = [] }) => [
    { digest, size },
    ...own.map((blob) => ({ digest: blob, size: 100 })),
  ]);
  return { name: "team/app", tags, manifests, blobs };
}

const AMD = image("amd", "amd64");
const ARM = image("arm", "arm64");
const BUILT = image("how it was built", "unknown");
const BOTH = index("both", [AMD, ARM, BUILT]);

describe("an index", () => {
  test("is complete with every image that it lists; what says how they were built does not count", () => {
    const whole = repositoryOf([BOTH, AMD, ARM]);
    expect([isComplete(whole, BOTH.digest), pullableFor(whole, BOTH.digest)]).toEqual([true, null]);
    expect(architecturesOf(whole, BOTH.digest)).toEqual(["amd64", "arm64"]);
  });

  test("of which a part is missing can be pulled for the others", () => {
    const half = repositoryOf([BOTH, ARM]);
    expect([isComplete(half, BOTH.digest), isComplete(half, BOTH.digest, "arm64"), isComplete(half, BOTH.digest, "amd64")]).toEqual([
      false,
      true,
      false,
    ]);
    expect([isComplete(half, BOTH.digest, "s390x"), pullableFor(half, BOTH.digest)]).toEqual([false, ["arm64"]]);
  });

  test("alone can be pulled for nobody", () => {
    const alone = repositoryOf([BOTH, BUILT]);
    expect([isComplete(alone, BOTH.digest), pullableFor(alone, BOTH.digest)]).toEqual([false, []]);
  });

  test("takes its size, its images' and their layers', each once", () => {
    expect(sizeBelow(repositoryOf([index("twice", [AMD, AMD]), AMD]), digestOf("twice"))).toBe(10 + 1 + 100);
  });
});

test("an index that lists another a thousand times, three deep, is looked through once", () => {
  let looks = 0;
  const many = (name: string, below: StoredManifest): StoredManifest => {
    const { manifests, ...rest } = index(
      name,
      Array.from({ length: 1000 }, () => below),
    );
    return Object.defineProperty(rest, "manifests", {
      get: () => {
        looks += 1;
        return manifests;
      },
    });
  };
  const plain = image("plain");
  const one = many("one", plain);
  const two = many("two", one);
  const three = many("three", two);
  const repository = repositoryOf([plain, one, two, three]);
  expect([isComplete(repository, three.digest), architecturesOf(repository, three.digest)]).toEqual([true, []]);
  expect(sizeBelow(repository, three.digest)).toBe(131);
  expect(() => checkDepth(repository, 3)).not.toThrow();
  expect(() => checkDepth(repository, 2)).toThrow("images team/app: indexes are nested more than 2 deep");
  expect(looks).toBeLessThan(60);
});

test("a reference names what is stored by its digest first, then its tag, then latest", () => {
  const repository = repositoryOf([AMD, ARM], { latest: AMD.digest, "1.0": ARM.digest });
  const of = (reference: string) => storedImage(repository, reference);
  expect([of("r.test/team/app"), of("r.test:5000/team/app:1.0"), of(`team/app:1.0@sha256:${AMD.digest}`)]).toEqual([
    AMD.digest,
    ARM.digest,
    AMD.digest,
  ]);
  expect([of("team/app:2"), of(`team/app@sha256:${"0".repeat(64)}`), of("team/app:constructor")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test.each<[string, boolean]>([
  ["team/app", true],
  ["a", true],
  ["a_b/c__d/e-f/g--h/i.j", true],
  ["a/".repeat(127) + "a", true],
  ["a/".repeat(128) + "a", false],
  ["Team/app", false],
  ["team//app", false],
  ["/team", false],
  ["team/", false],
  ["team/..", false],
  ["-team", false],
  ["a..b", false],
  ["a___b", false],
  ["team/app\n", false],
])("%p as the name of a repository: %p", (name, is) => {
  expect(isRepositoryName(name)).toBe(is);
});

test.each([
  [{ manifests: [], artifactType: "x" }, "index"],
  [{ platform: { os: "unknown", architecture: "unknown" } }, "attestation"],
  [{ platform: { os: "linux", architecture: "amd64" }, artifactType: "x" }, "linux/amd64"],
  [{ platform: { os: "linux", architecture: "arm64", variant: "v8" } }, "linux/arm64/v8"],
  [{ artifactType: "application/vnd.test.signature" }, "application/vnd.test.signature"],
  [{ artifactType: "" }, "image"],
  [{}, "image"],
])("a manifest %j is shown as %s", (facts, shown) => {
  expect(showManifestKind({ mediaType: MEDIA, size: 1, ...facts })).toBe(shown);
});
