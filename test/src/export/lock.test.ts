import { describe, expect, test } from "bun:test";
import { readLock } from "../../../src/archives/lock.ts";
import { Failure } from "../../../src/errors.ts";
import { formatLock } from "../../../src/export/lock.ts";

const HEX = (digit: string, digits = 64) => digit.repeat(digits);
const download = (digit: string) => ({ url: "https://x.test/x", size: 1, "hash-sha-256": HEX(digit) });
const JAMMY = { name: "ubuntu", channel: "22.04", architecture: "amd64" };

const PACKAGE = {
  type: "charm",
  name: "postgresql-k8s",
  id: "IDP",
  info: {} as never,
  defaultTrack: "14",
  releases: [
    { channel: "14/stable", base: JAMMY, revision: 960, releasedAt: "2026-01-01T00:00:00Z", resources: { "postgresql-image": 7, data: 3 } },
  ],
  revisions: [{ type: "charm", id: "IDP", name: "postgresql-k8s", revision: 960, bases: [JAMMY], download: download("a"), resources: [] }],
  resources: [
    { name: "data", type: "file", revision: 3, download: download("b") },
    { name: "postgresql-image", type: "oci-image", revision: 7, download: download("c") },
  ],
  paths: { "postgresql-image": "postgres:local" },
  reasons: ["somebody wants it"],
} as const;
const BUNDLE = { ...PACKAGE, type: "bundle", name: "cos-lite", id: "IDB", resources: [], paths: {} } as const;
const BUNDLE_RELEASE = { channel: "latest/stable", base: null, revision: 960, releasedAt: undefined, resources: {} };

const snap = (revision: number, architectures: readonly string[]) => ({ revision, architectures, download: { "sha3-384": HEX("d", 96) } });
const SNAP = {
  name: "go",
  id: "IDS",
  info: undefined,
  defaultTrack: null,
  releases: [{ channel: "latest/stable", architecture: "amd64", revision: 5, releasedAt: undefined }],
  revisions: [snap(5, ["amd64", "i386"]), snap(6, ["arm64"]), snap(7, ["all"])],
  assertions: new Map(),
  reasons: [],
} as never;

const IMAGES = new Map([["postgresql-k8s", new Map([["postgresql-image_7", Buffer.from('{"ImageName":"x"}')]])]]);

test("a lock says every revision and digest, of an image what is packed of it", () => {
  const text = formatLock([PACKAGE, { ...BUNDLE, releases: [BUNDLE_RELEASE] }] as never, [SNAP], IMAGES);
  const read: unknown = readLock(text, "x.lock");
  expect(read).toEqual({
    format: 1,
    packages: [
      {
        name: "cos-lite",
        id: "IDB",
        defaultTrack: "14",
        releases: [BUNDLE_RELEASE],
        revisions: { 960: HEX("a") },
        attributes: {},
        resources: {},
        paths: {},
      },
      {
        name: "postgresql-k8s",
        id: "IDP",
        defaultTrack: "14",
        releases: [...PACKAGE.releases],
        revisions: { 960: HEX("a") },
        attributes: {},
        resources: { data_3: HEX("b"), "postgresql-image_7": new Bun.CryptoHasher("sha256").update('{"ImageName":"x"}').digest("hex") },
        paths: { "postgresql-image": "postgres:local" },
      },
    ],
    snaps: [
      {
        name: "go",
        id: "IDS",
        defaultTrack: null,
        releases: [{ channel: "latest/stable", architecture: "amd64", revision: 5, releasedAt: undefined }],
        revisions: {
          5: { digest: HEX("d", 96), architecture: "amd64", components: {} },
          6: { digest: HEX("d", 96), architecture: "arm64", components: {} },
          7: { digest: HEX("d", 96), architecture: "all", components: {} },
        },
      },
    ],
    images: [],
  });
  expect(text).toEndWith("}\n");
  expect(text).not.toContain("https://");
});

test("the order in which things were asked for does not show", () => {
  const bundle = { ...BUNDLE, releases: [BUNDLE_RELEASE] };
  expect(formatLock([bundle, PACKAGE] as never, [], IMAGES)).toBe(formatLock([PACKAGE, bundle] as never, [], IMAGES));
});

describe("what is no lock is refused, with the field", () => {
  const whole = JSON.parse(formatLock([PACKAGE] as never, [SNAP], IMAGES));
  const [pkg] = whole.packages;

  test.each<[string, string, string]>([
    ["no JSON", "applications: {}", "x.lock: it is not JSON, so it is no lock of an export"],
    ["nothing", "", "x.lock: it is not JSON, so it is no lock of an export"],
    ["other JSON", "[]", "x.lock: "],
    ["another file", "{}", "x.lock: format "],
    [
      "a later format",
      JSON.stringify({ ...whole, format: 4 }),
      "x.lock: format is not a format that is known: the lock was made by a later chp",
    ],
    ["no snaps", JSON.stringify({ format: 1, packages: [] }), "x.lock: snaps "],
    [
      "a revision that is text",
      JSON.stringify({ ...whole, packages: [{ ...pkg, releases: [{ ...pkg.releases[0], revision: "960" }] }] }),
      "x.lock: packages.0.releases.0.revision is not a number",
    ],
    [
      "a digest that is none",
      JSON.stringify({ ...whole, packages: [{ ...pkg, revisions: { 960: "abc" } }] }),
      "x.lock: packages.0.revisions.960 is no digest",
    ],
    [
      "a digest of a snap that is none",
      JSON.stringify({ ...whole, snaps: [{ ...whole.snaps[0], revisions: { 5: { digest: HEX("d"), architecture: "amd64" } } }] }),
      "x.lock: snaps.0.revisions.5.digest is no digest",
    ],
  ])("%s", (_, text, message) => {
    try {
      readLock(text, "x.lock");
      throw new Error("it was read");
    } catch (error) {
      expect(error instanceof Failure && [error.kind, error.message]).toEqual(["refused", expect.stringContaining(message)]);
    }
  });
});
