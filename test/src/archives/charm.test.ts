import { describe, expect, test } from "bun:test";
import { ownBases, readBundle, readManifest, readMetadata } from "../../../src/archives/charm.ts";
import { ARCHITECTURES } from "../../../src/catalog/base.ts";
import { Failure } from "../../../src/errors.ts";
import { utf8 } from "../../../src/text.ts";
import { base } from "../../build.ts";

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

/** Names nine levels of ten aliases each: a billion nodes. */
const BOMB = `name: a\nx0: &x0 [1,1,1,1,1,1,1,1,1,1]\n${Array.from({ length: 9 }, (_, i) => `x${i + 1}: &x${i + 1} [${Array.from({ length: 10 }, () => `*x${i}`).join(",")}]\n`).join("")}`;
const DEEP = `name: a\nx: ${"[".repeat(100_000)}${"]".repeat(100_000)}\n`;

describe("metadata.yaml", () => {
  test("what it says", () => {
    const text = `name: kafka
display-name: Kafka
summary: s
description: |
  two
  lines
subordinate: true
series: [focal, jammy]
resources:
  image: {type: oci-image, description: the image}
  tar: {type: file, filename: a.tgz}
  odd: 7
provides:
  db: {interface: pgsql, limit: 1}
  old: http
requires:
  broken: [x]
`;
    expect(readMetadata(text, "it")).toEqual({
      name: "kafka",
      title: "Kafka",
      summary: "s",
      description: "two\nlines\n",
      subordinate: true,
      series: ["focal", "jammy"],
      resources: [
        { name: "image", type: "oci-image", filename: "", description: "the image" },
        { name: "tar", type: "file", filename: "a.tgz", description: "" },
        { name: "odd", type: "file", filename: "", description: "" },
      ],
      relations: { provides: { db: { interface: "pgsql" }, old: { interface: "http" } }, requires: {} },
    });
  });

  test("a few aliases are ordinary", () => {
    const text = "name: a\nresources:\n  x: &x {type: oci-image}\n  y: *x\n";
    expect(readMetadata(text, "it").resources.map((r) => r.type)).toEqual(["oci-image", "oci-image"]);
  });

  test.each(["constructor", "toString", "prototype"])("a resource and an endpoint may be called %s", (name) => {
    const facts = readMetadata(`name: a\nresources:\n  ${name}: {type: oci-image}\nprovides:\n  ${name}: {interface: x}\n`, "it");
    expect(facts.resources.map((r) => r.name)).toEqual([name]);
    expect(facts.relations.provides).toEqual({ [name]: { interface: "x" } });
  });

  test.each([
    ["no name", "summary: x\n"],
    ["an empty name", "name: ''\n"],
    ["a name that is no text", "name: [a]\n"],
    ["nothing", ""],
    ["a list", "- a\n"],
    ["what is no YAML", "name: 'a\n"],
    ["an alias of nothing", "name: *nothing\n"],
    ["a bomb of aliases", BOMB],
    ["nesting without end", DEEP],
  ])("%s is refused, and the file named", (_, text) => {
    expect(refusal(() => readMetadata(text, "metadata.yaml"))).toStartWith("metadata.yaml ");
  });

  test("a message never holds control characters", () => {
    expect(refusal(() => readMetadata("name: '\u001b[2J\u0007\n", "it"))).not.toMatch(/\p{Cc}/u);
  });
});

describe("manifest.yaml", () => {
  test("one base an architecture, best first", () => {
    const text = `bases:
- {name: Ubuntu, channel: '20.04', architectures: [amd64]}
- {name: ubuntu, channel: 22.04, architectures: [arm64, amd64]}
- {name: ubuntu, channel: '22.04/stable', architectures: [amd64]}
`;
    expect(readManifest(text, "it")).toEqual([base("amd64", "22.04"), base("arm64", "22.04"), base("amd64", "20.04")]);
  });

  test("without an architecture it runs on all", () => {
    const own = ownBases(readManifest("bases: [{name: ubuntu, channel: '22.04'}]\n", "it"), []);
    expect(own).toEqual(ARCHITECTURES.map((architecture) => base(architecture, "22.04")));
  });

  test.each(["", "[]", "bases: x\n", "bases: [{name: ubuntu}]\n"])("%j tells of no base", (text) => {
    expect(readManifest(text, "it")).toEqual([]);
  });

  test("a bomb of aliases is refused", () => {
    expect(refusal(() => readManifest(BOMB, "manifest.yaml"))).toStartWith("manifest.yaml ");
  });
});

describe("what a charm runs on", () => {
  test("its manifest, before its series", () => {
    expect(ownBases([base("amd64", "22.04")], ["focal"])).toEqual([base("amd64", "22.04")]);
  });

  test("its series, where there is no manifest", () => {
    expect(ownBases([], ["focal", "no-such"])).toEqual(ARCHITECTURES.map((architecture) => base(architecture, "20.04")));
  });

  test("every LTS and architecture, where neither says", () => {
    const bases = ownBases([], []);
    expect(bases).toHaveLength(3 * ARCHITECTURES.length);
    expect(bases[0]).toEqual(base("amd64", "24.04"));
  });
});

describe("bundle.yaml", () => {
  test("its charms, and the paths of their images", () => {
    const text = `name: stack
applications:
  db: {charm: ch:amd64/jammy/postgresql-k8s-12, resources: {image: local/pg:14, file: 3}}
  db2: {charm: postgresql-k8s}
  mine: {charm: ./mine.charm}
  also-mine: {charm: local:focal/mine-0}
  web: {charm: cs:~who/web}
  broken: 7
`;
    const facts = readBundle(text, "it");
    expect([facts.name, facts.charms]).toEqual(["stack", ["postgresql-k8s", "web"]]);
    expect([...facts.overrides].map(([charm, paths]) => [charm, Object.fromEntries(paths)])).toEqual([
      ["postgresql-k8s", { image: "local/pg:14" }],
    ]);
  });

  test("old ones have services, and overlays follow", () => {
    expect(readBundle("services:\n  a: {charm: one}\n---\napplications:\n  b: {charm: two}\n", "it").charms).toEqual(["one", "two"]);
  });

  test("an application may be called constructor", () => {
    expect(readBundle("applications:\n  constructor: {charm: one}\n  toString: {charm: two}\n", "it").charms).toEqual(["one", "two"]);
  });

  test.each(["", "applications: {}\n", "applications: x\n", "- a\n"])("%j names no charm", (text) => {
    expect(readBundle(text, "it").charms).toEqual([]);
  });

  test.each([
    ["a bomb", BOMB],
    ["nesting without end", DEEP],
    ["what is no YAML", "applications: {\n"],
  ])("%s is refused", (_, text) => {
    expect(refusal(() => readBundle(text, "bundle.yaml"))).toStartWith("bundle.yaml ");
  });
});

test("a text that is not UTF-8 is refused", () => {
  expect(refusal(() => utf8(Uint8Array.from([0x61, 0xff]), "README.md"))).toContain("README.md");
});
