import { describe, expect, test } from "bun:test";
import { readComponentYaml, readEpoch, readSnapYaml } from "../../../src/archives/snapyaml.ts";
import { Failure } from "../../../src/errors.ts";

const WHAT = "meta/snap.yaml";

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  return "it was read";
}

describe("snap.yaml", () => {
  test("tells what the store's replies show", () => {
    const facts = readSnapYaml(
      [
        "name: acme-tool",
        "version: 1.10",
        "summary: Acme",
        "description: |",
        "  two",
        "  lines",
        "base: core22",
        "confinement: classic",
        "architectures: [amd64, arm64]",
        "epoch: 1*",
        "license: MIT",
        "website: https://acme.example",
        "links: {issues: [https://acme.example/issues], none: []}",
        "apps:",
        "  acme-tool: {command: bin/acme, common-id: org.acme.tool}",
        "  constructor: {command: bin/c}",
        "  bare:",
        "components: {extra: {type: standard}}",
        "plugs:",
        "  themes: {interface: content, default-provider: 'gtk-common-themes:themes'}",
        "  home:",
        "  odd: {default-provider: 'NOT A NAME'}",
        "provenance: acme-factory",
      ].join("\n"),
      WHAT,
    );
    expect(facts).toEqual({
      name: "acme-tool",
      version: "1.10",
      type: "app",
      base: "core22",
      confinement: "classic",
      architectures: ["amd64", "arm64"],
      epoch: { read: [0, 1], write: [1] },
      summary: "Acme",
      description: "two\nlines\n",
      license: "MIT",
      website: "https://acme.example",
      links: { website: ["https://acme.example"], issues: ["https://acme.example/issues"] },
      apps: ["acme-tool", "constructor", "bare"],
      commonIds: ["org.acme.tool"],
      components: ["extra"],
      providers: ["gtk-common-themes"],
      provenance: "acme-factory",
    });
  });

  test("leaves most out", () => {
    const { architectures, confinement, epoch, type, version } = readSnapYaml("name: tiny\n", WHAT);
    expect({ architectures, confinement, epoch, type, version }).toEqual({
      architectures: ["all"],
      confinement: "strict",
      epoch: { read: [0], write: [0] },
      type: "app",
      version: "",
    });
  });

  test.each([
    ["version: 1\n", "meta/snap.yaml has no name"],
    ["[]", "meta/snap.yaml has no name"],
    ["name: ../../etc\n", "meta/snap.yaml: ../../etc is not a name of a snap"],
    ["name: -bad-\n", "meta/snap.yaml: -bad- is not a name of a snap"],
    ["name: a\u001b[31mb\n", "meta/snap.yaml: a\\u{1b}[31mb is not a name of a snap"],
    ["name: tiny\ntype: virus\n", "meta/snap.yaml: virus is not a type of snap"],
    ["name: tiny\nepoch: [1]\n", "meta/snap.yaml: its epoch is not one that snapd takes"],
    ["name: {a: b}\n", "meta/snap.yaml has no name"],
  ])("%j is refused", (text, message) => {
    expect(refusal(() => readSnapYaml(text, WHAT))).toBe(message);
  });

  test("with too many aliases is refused", () => {
    const bomb = `name: tiny\na: &a [1,1]\n${["b", "c", "d", "e", "f", "g", "h"].map((k, i) => `${k}: &${k} [${`*${"abcdefgh"[i]},`.repeat(9)}1]`).join("\n")}\n`;
    expect(refusal(() => readSnapYaml(bomb, WHAT))).toContain("cannot be read");
  });
});

test.each([
  [undefined, [0], [0]],
  ["0", [0], [0]],
  ["7", [7], [7]],
  ["2*", [1, 2], [2]],
  [{ read: ["0", "1"], write: ["1"] }, [0, 1], [1]],
  [{ write: ["3"] }, [3], [3]],
])("epoch %j", (value, read, write) => {
  expect(readEpoch(value, WHAT)).toEqual({ read, write });
});

test.each(["0*", "-1", "1.5", "x", { read: [] }, { read: ["1", "0"], write: ["1"] }, { read: ["0"], write: ["1"] }, {}])(
  "epoch %j is refused",
  (value) => {
    expect(refusal(() => readEpoch(value, WHAT))).toContain("epoch");
  },
);

test("component.yaml names its snap", () => {
  expect(readComponentYaml("component: hello+extra\ntype: standard\nversion: '2'\nsummary: More\n", "meta/component.yaml")).toEqual({
    snap: "hello",
    name: "extra",
    type: "standard",
    version: "2",
    description: "More",
  });
  for (const text of ["component: hello\n", "component: a+b+c\n", "type: standard\n", "component: '+extra'\n"])
    expect(refusal(() => readComponentYaml(text, "meta/component.yaml"))).toContain("SNAP+COMPONENT");
});
