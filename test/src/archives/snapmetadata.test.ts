import { describe, expect, test } from "bun:test";
import { readSnapDeclarations, readSnapsYaml } from "../../../src/archives/snapmetadata.ts";
import { Failure } from "../../../src/errors.ts";

const ID = "snapidsnapidsnapidsnapidsnapid01";

const INFO = {
  name: "hello",
  "snap-id": ID,
  "default-track": "2.0",
  snap: {
    title: "Hello",
    summary: "",
    license: null,
    categories: [{ name: "utilities", featured: true }],
    media: [{ url: "https://elsewhere" }],
  },
  "channel-map": [
    {
      channel: { architecture: "amd64", name: "2.0/stable", risk: "stable", track: "2.0", "released-at": "2026-01-01T00:00:00+00:00" },
      revision: 7,
      version: "2",
      "created-at": "2025-12-01T00:00:00+00:00",
    },
    { channel: { architecture: "arm64", name: "edge/fix", risk: "edge", track: "latest" }, revision: 9 },
    { channel: { architecture: "amd64", name: "beta" }, revision: 6 },
  ],
};

const rowsOf = (value: unknown) =>
  readSnapDeclarations(value, "x.json")?.map(({ name, rows }) => [
    name ?? "-",
    ...rows.map((r) => `${r.channel} ${r.architecture ?? "*"} ${r.revision}`),
  ]);

describe("JSON of an export", () => {
  test("as an info reply", () => {
    expect(rowsOf(INFO)).toEqual([["hello", "2.0/stable amd64 7", "latest/edge/fix arm64 9", "latest/beta amd64 6"]]);
    expect(readSnapDeclarations(INFO, "x.json")?.[0]).toMatchObject({
      id: ID,
      defaultTrack: "2.0",
      details: { title: "Hello", categories: [{ name: "utilities", featured: true }] },
      revisions: [{ revision: 7, createdAt: "2025-12-01T00:00:00+00:00" }, { revision: 9 }, { revision: 6 }],
    });
  });

  test("whose default track is null, or not told", () => {
    const track = (value: object) => readSnapDeclarations(value, "x.json")?.[0]?.defaultTrack;
    expect(track({ ...INFO, "default-track": null })).toBe("latest");
    const { "default-track": _, ...untold } = INFO;
    expect(track(untold)).toBeUndefined();
  });

  test("as refresh results", () => {
    const result = {
      result: "install",
      name: "go",
      "snap-id": ID,
      "effective-channel": "stable",
      "redirect-channel": "1.22/stable",
      "released-at": "2026-01-01T00:00:00Z",
      snap: { revision: 10660, "snap-yaml": "name: go\n", version: "1.22", type: "app" },
    };
    expect(rowsOf({ results: [result], "error-list": [] })).toEqual([["go", "latest/stable * 10660"]]);
    expect(rowsOf(result)).toEqual([["go", "latest/stable * 10660"]]);
    expect(readSnapDeclarations(result, "x.json")?.[0]).toMatchObject({
      defaultTrack: "1.22",
      revisions: [{ revision: 10660, yaml: "name: go\n", facts: { version: "1.22", type: "app" } }],
    });
  });

  test.each([
    [{ "latest/stable": 5, edge: 6 }, [["-", "latest/stable * 5", "latest/edge * 6"]]],
    [{ "latest/stable": { revision: 5 } }, [["-", "latest/stable * 5"]]],
    [{ "latest/stable": { amd64: 5, arm64: 8 } }, [["-", "latest/stable amd64 5", "latest/stable arm64 8"]]],
    [{ amd64: { "latest/stable": 5 }, arm64: { stable: 8 } }, [["-", "latest/stable amd64 5", "latest/stable arm64 8"]]],
    [
      { hello: { "latest/stable": 5 }, other: { "2/edge": 1 } },
      [
        ["hello", "latest/stable * 5"],
        ["other", "2/edge * 1"],
      ],
    ],
    [[{ channel: "edge", revision: 6, architecture: "arm64" }], [["-", "latest/edge arm64 6"]]],
    [
      [
        { name: "hello", "channel-map": { edge: 6 } },
        { name: "other", channels: { stable: 1 } },
      ],
      [
        ["hello", "latest/edge * 6"],
        ["other", "latest/stable * 1"],
      ],
    ],
    [
      { hello: { "channel-map": { edge: 6 } }, other: [{ channel: "2/stable", revision: 1 }] },
      [
        ["hello", "latest/edge * 6"],
        ["other", "2/stable * 1"],
      ],
    ],
    [{ name: "hello", "channel-map": { "latest/stable": 5 } }, [["hello", "latest/stable * 5"]]],
    [{ name: "hello", channels: [{ channel: "edge", revision: 6, architecture: "arm64" }] }, [["hello", "latest/edge arm64 6"]]],
  ])("as a map %j", (value, expected) => {
    expect(rowsOf(value)).toEqual(expected);
  });

  test.each([
    [null],
    [5],
    ["x"],
    [[]],
    [{}],
    [{ name: "kafka", id: "x", "channel-map": [] }],
    [{ a: 1 }],
    [{ results: [] }],
    [{ stable: "5" }],
    [{ constructor: 1 }],
  ])("%j tells nothing of snaps", (value) => {
    expect(readSnapDeclarations(value, "x.json")).toBeUndefined();
  });

  test.each([
    [{ ...INFO, "channel-map": [{ channel: { name: "a/b/c/d" }, revision: 1 }] }, "is not a channel"],
    [{ ...INFO, "channel-map": [{ channel: { name: "edge" }, revision: "1" }] }, "channel-map.0.revision is not a number"],
    [{ ...INFO, "channel-map": [{ channel: { name: "edge" }, revision: 0 }] }, "channel-map.0.revision is less than 1"],
    [{ ...INFO, "channel-map": [{ channel: { name: "edge", architecture: "vax" }, revision: 1 }] }, "vax is not an architecture"],
  ])("with a wrong value is refused by field", (value, message) => {
    try {
      readSnapDeclarations(value, "x.json");
      throw new Error("it was read");
    } catch (error) {
      expect(error).toBeInstanceOf(Failure);
      expect((error as Failure).message).toContain(message);
      expect((error as Failure).message).toStartWith("x.json: ");
    }
  });
});

test("the yaml of a snap export names revisions and channels", () => {
  const yaml = { packages: [{ name: "charmed-postgresql", revision: 96, push_channel: "chp_14/edge" }, { name: "core22" }] };
  expect(readSnapsYaml(yaml, "snaps.yaml")).toEqual([
    { name: "charmed-postgresql", details: {}, rows: [{ channel: "chp_14/edge", revision: 96 }], revisions: [] },
  ]);
  expect(readSnapsYaml({ applications: {} }, "x")).toBeUndefined();
});
