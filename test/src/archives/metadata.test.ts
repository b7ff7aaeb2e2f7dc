import { describe, expect, test } from "bun:test";
import { type Declaration, readDeclaration, time } from "../../../src/archives/metadata.ts";
import { Failure } from "../../../src/errors.ts";
import { base, downloadOf, metadataOf } from "../../build.ts";

const JAMMY = base("amd64", "22.04");
const NOBLE = base("arm64", "24.04");

function read(value: unknown): Declaration {
  const found = readDeclaration(value, ["it"]);
  if (!found) throw new Error("its shape is not known");
  return found;
}

function refusal(value: unknown): string {
  try {
    readDeclaration(value, ["it"]);
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

const IMAGE = { name: "img", type: "oci-image", revision: 7, filename: "", description: "d", download: downloadOf("{}") };
const ROW = {
  channel: { name: "14/stable", track: "14", risk: "stable", base: JAMMY, "released-at": "2026-03-01T09:30:00.000000+00:00" },
  revision: {
    revision: 20,
    version: "20",
    "created-at": "2026-02-28T08:00:00.000000",
    bases: [JAMMY, null],
    download: downloadOf("zip"),
    "metadata-yaml": "name: kafka\n",
    "config-yaml": "",
    attributes: { framework: "operator", n: 1 },
  },
  resources: [IMAGE],
};
const INFO = {
  type: "charm",
  id: "IDA",
  name: "kafka",
  result: { summary: "s", publisher: { id: "p", "display-name": "P", validated: true }, links: { docs: ["x"] }, website: 7 },
  "channel-map": [ROW, { ...ROW, channel: { name: "edge", risk: "edge", base: NOBLE }, resources: undefined }],
  "default-release": ROW,
  "error-list": [],
};

describe("the shape of an info reply", () => {
  const found = read(INFO);

  test("what identifies the package", () => {
    expect([found.type, found.name, found.id, found.defaultTrack]).toEqual(["charm", "kafka", "IDA", "14"]);
  });

  test("its rows; a risk alone is of track latest", () => {
    expect(found.rows).toEqual([
      { channel: "14/stable", base: JAMMY, releasedAt: "2026-03-01T09:30:00.000000+00:00", revision: 20, resources: { img: 7 } },
      { channel: "latest/edge", base: NOBLE, releasedAt: undefined, revision: 20, resources: { img: 7 } },
    ]);
  });

  test("its revisions, one each, with the digests to compare; a time without a zone is UTC", () => {
    expect(found.revisions).toHaveLength(1);
    expect(found.revisions[0]).toMatchObject({
      revision: 20,
      version: "20",
      createdAt: "2026-02-28T08:00:00.000000+00:00",
      bases: [JAMMY],
      sums: { size: 3, "sha-256": downloadOf("zip")["hash-sha-256"] },
      texts: { "metadata-yaml": "name: kafka\n" },
    });
  });

  test("its resources, with all four digests", () => {
    const { "hash-sha-384": sha384, "hash-sha3-384": sha3 } = downloadOf("{}");
    expect(found.resources).toHaveLength(1);
    expect(found.resources[0]).toMatchObject({
      name: "img",
      revision: 7,
      type: "oci-image",
      sums: { "sha-384": sha384, "sha3-384": sha3 },
    });
  });

  test("only strings of the publisher and the attributes, since Juju decodes nothing else", () => {
    expect(found.details.publisher).toEqual({ id: "p", "display-name": "P" });
    expect(found.revisions[0]?.attributes).toEqual({ framework: "operator" });
  });

  test("unknown details are kept, those of a wrong type are not", () => {
    expect(found.details).toMatchObject({ summary: "s", links: { docs: ["x"] } });
    expect(found.details).not.toHaveProperty("website");
  });

  test("what builders write is read", () => {
    const spec = {
      name: "a",
      id: "IDA",
      type: "bundle" as const,
      revisions: {},
      releases: [{ channel: "1/stable", base: null, revision: 1 }],
    };
    expect(read(metadataOf(spec)).rows).toMatchObject([{ channel: "1/stable", base: null, revision: 1 }]);
  });

  test("a default-release alone is a row", () => {
    const { "channel-map": _, ...rest } = INFO;
    expect(read(rest).rows.map((row) => row.channel)).toEqual(["14/stable"]);
  });
});

const RESULT = {
  result: "install",
  id: "IDA",
  name: "kafka",
  "instance-key": "k",
  "effective-channel": "3/stable",
  "released-at": "2026-03-01T09:30:00+00:00",
  charm: {
    type: "charm",
    id: "IDA",
    name: "kafka",
    revision: 195,
    version: "195",
    bases: [JAMMY, NOBLE],
    resources: [IMAGE],
    download: downloadOf("zip"),
    summary: "s",
  },
};

describe("the shape of refresh results", () => {
  const expected = {
    type: "charm",
    name: "kafka",
    id: "IDA",
    rows: [JAMMY, NOBLE].map((on) => ({ channel: "3/stable", base: on, revision: 195, resources: { img: 7 } })),
    revisions: [{ revision: 195, sums: { size: 3 } }],
    resources: [{ name: "img", revision: 7 }],
    details: { summary: "s" },
  };

  test.each<[string, unknown]>([
    ["a whole reply", { "error-list": [], results: [RESULT] }],
    ["a list of results", [RESULT]],
    ["one result", RESULT],
    ["errors among the results", { results: [{ result: "error", charm: null, error: {}, "released-at": null }, RESULT] }],
  ])("%s", (_, value) => {
    expect(read(value)).toMatchObject(expected);
  });

  test("without a base the row has none, without a channel there is no row", () => {
    expect(read({ ...RESULT, charm: { ...RESULT.charm, bases: [] } }).rows).toMatchObject([{ base: null }]);
    expect(read({ ...RESULT, "effective-channel": null }).rows).toEqual([]);
  });

  test("two packages in one file are refused", () => {
    const other = { ...RESULT, name: "other", charm: { ...RESULT.charm, name: "other" } };
    expect(refusal([RESULT, other])).toContain("other");
  });
});

describe("the flat shape", () => {
  test("one revision in one channel", () => {
    const found = read({ name: "kafka", "package-id": "IDA", revision: 195, channel: "3/edge", base: JAMMY, resources: [IMAGE] });
    expect(found).toMatchObject({
      name: "kafka",
      id: "IDA",
      rows: [{ channel: "3/edge", base: JAMMY, revision: 195, resources: { img: 7 } }],
      revisions: [{ revision: 195 }],
    });
  });

  test("several bases are several rows, none is one without", () => {
    expect(read({ name: "a", revision: 1, channel: "stable", bases: [JAMMY, NOBLE] }).rows.map((row) => row.base)).toEqual([JAMMY, NOBLE]);
    expect(read({ name: "a", revision: 1, channel: "stable" }).rows).toMatchObject([{ channel: "latest/stable", base: null }]);
  });

  test("without a channel nothing is released", () => {
    expect(read({ name: "a", revision: 1 }).rows).toEqual([]);
  });
});

describe("unknown shapes", () => {
  test.each([[null], [7], ["text"], [{}], [[]], [{ name: "a" }], [{ results: [] }], [{ name: 7, revision: 1 }]])("%j", (value) => {
    expect(readDeclaration(value, ["it"])).toBeUndefined();
  });
});

describe("a wrong type where it matters is refused, and the field named", () => {
  const row = (over: object) => ({ ...INFO, "channel-map": [{ ...ROW, ...over }] });
  test.each<[string, unknown]>([
    ["channel-map", { ...INFO, "channel-map": "x" }],
    ["channel-map.0.revision.revision", row({ revision: { ...ROW.revision, revision: "20" } })],
    ["channel-map.0.revision.revision", row({ revision: { ...ROW.revision, revision: 1.5 } })],
    ["channel-map.0.revision.revision", row({ revision: { ...ROW.revision, revision: -1 } })],
    ["channel-map.0.revision", row({ revision: null })],
    ["channel-map.0.channel.base.architecture", row({ channel: { ...ROW.channel, base: { name: "ubuntu", channel: "22.04" } } })],
    ["channel-map.0.channel", row({ channel: { name: "14/nightly" } })],
    ["channel-map.0.channel", row({ channel: {} })],
    ["channel-map.0.resources.0.revision", row({ resources: [{ ...IMAGE, revision: null }] })],
    ["channel-map.0.resources.0.name", row({ resources: [{ ...IMAGE, name: 7 }] })],
    ["channel-map.0.revision.download.size", row({ revision: { ...ROW.revision, download: { size: "3" } } })],
    ["results.0", { results: [{ ...RESULT, charm: { ...RESULT.charm, revision: "195" } }] }],
    ["charm.revision", { results: [{ ...RESULT, charm: { ...RESULT.charm, revision: "195" } }] }],
    ["effective-channel", { results: [{ ...RESULT, "effective-channel": "a/b/c/d" }] }],
    ["revision", { name: "a", revision: "1", channel: "stable" }],
    ["channel", { name: "a", revision: 1, channel: "x/y" }],
    ["resources.0.revision", { name: "a", revision: 1, channel: "stable", resources: [{ name: "img" }] }],
  ])("%s", (field, value) => {
    const message = refusal(value);
    expect(message).toStartWith("it: ");
    expect(message).toContain(field);
  });
});

test.each(["constructor", "toString", "__proto__"])("a resource called %s is pinned like any other", (name) => {
  const { rows } = read({ name: "a", revision: 1, channel: "stable", resources: [{ ...IMAGE, name }] });
  expect(Object.entries(rows[0]?.resources ?? {})).toEqual([[name, 7]]);
});

test.each([
  ["2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z"],
  ["2026-03-01T09:30:00.123456+02:00", "2026-03-01T09:30:00.123456+02:00"],
  ["2026-03-01T09:30:00.123456", "2026-03-01T09:30:00.123456+00:00"],
  ["2026-03-01 09:30:00", "2026-03-01T09:30:00+00:00"],
  ["2026-13-01T09:30:00Z", undefined],
  ["2026-03-01T25:30:00Z", undefined],
  ["2026-03-01T09:30:00+99:99", undefined],
  ["2026-02-31T09:30:00Z", undefined],
  ["2026-03-01", undefined],
  ["", undefined],
  [undefined, undefined],
])("time %p is %p", (text, expected) => {
  expect(time(text)).toBe(expected as string);
});
