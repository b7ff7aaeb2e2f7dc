import { describe, expect, test } from "bun:test";
import { classify, type FileKind, HEAD_SIZE } from "../../../src/archives/names.ts";
import { tarOf } from "../../build.ts";

const TAR = tarOf({ a: "x" }).subarray(0, HEAD_SIZE);
const GZIP = Uint8Array.of(0x1f, 0x8b, 8);
const ZSTD = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
const ZIP = Buffer.from("PK\u0003\u0004");
const EMPTY_ZIP = Buffer.from("PK\u0005\u0006");
const SQUASHFS = Buffer.from("hsqs");

describe("what a file is", () => {
  test.each<[path: string, head: Uint8Array | string, kind: FileKind]>([
    // its name decides over its content
    ["._a.charm", ZIP, "litter"],
    ["a/.DS_Store", "", "litter"],
    ["__MACOSX/a/b.charm", ZIP, "litter"],
    ["a/resources/b.tar", TAR, "resource"],
    ["resources/metadata.json", "{", "resource"],
    ["kafka.image_3", GZIP, "resource"],
    ["resource_image_r3_x.zip", ZIP, "resource"],
    // its content decides over its name
    ["SHA256SUMS", GZIP, "gzip"],
    ["a.charm", ZSTD, "zstd"],
    ["metadata.json", TAR, "tar"],
    ["a.yaml", SQUASHFS, "squashfs"],
    ["a.assert", ZIP, "zip"],
    ["bundle", EMPTY_ZIP, "zip"],
    ["a", "type: account\n", "assertions"],
    ["a", " \n [1]", "json"],
    // its name alone
    ["a/SHA256SUMS", "{", "checksums"],
    ["SHA256SUMS.minisig", "untrusted comment: x", "checksums"],
    ["export.lock.json", "{", "lock"],
    ["a/export.lock.json", "{", "lock"],
    ["a_1.snap", "{", "snap"],
    ["a+b_1.comp", "", "snap"],
    ["a.assert", "{", "assertions"],
    ["streams/index2.sjson", "{", "signed-text"],
    ["a/registration_bundle_x.b64", "eyJ9", "registration"],
    ["a_1.charm", "{", "charm"],
    ["a.bundle", "", "charm"],
    ["a/metadata.json", "", "json"],
    ["bundle.yaml", "applications:", "yaml"],
    ["a.yml", "", "yaml"],
    // neither
    ["README.md", "# a", "unknown"],
    ["a.1of3", "", "unknown"],
    ["", "", "unknown"],
  ])("%p that begins with %p", (path, head, kind) => {
    expect(classify(path, typeof head === "string" ? Buffer.from(head) : head)).toBe(kind);
  });

  test("a head that is cut short is of no kind that it would be of whole", () => {
    for (const [whole, path] of [
      [ZIP, "a"],
      [SQUASHFS, "a"],
      [GZIP.subarray(0, 2), "a"],
    ] as const)
      expect(classify(path, whole.subarray(0, -1))).toBe("unknown");
    // It still says that it is a tar, and is refused as a damaged one.
    expect(classify("a", TAR.subarray(0, -1))).toBe("archive");
  });
});
