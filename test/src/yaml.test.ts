import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Document, parseAllDocuments, parseDocument } from "yaml";
import { READERS, type ReaderName } from "../../src/archives/readers.ts";
import { readYaml, readYamls, YAML_LIMITS } from "../../src/yaml.ts";
import { longTest, runs, thorough } from "../thorough.ts";

const { tokens, depth, anchors, documents } = YAML_LIMITS;

describe("what would take more than linear time or too much memory is refused", () => {
  test.each([
    ["errors", `[${",".repeat((thorough ? 100 : 10) * 1024)}`, "Unexpected , in flow sequence at line 1, column 3"],
    ["flow collections inside each other", "[".repeat(200_000), `it has more than ${depth} collections inside each other`],
    ["block collections inside each other", "- ".repeat(200_000), `it has more than ${depth} collections inside each other`],
    ["aliases", `a: &a b\nc:\n${"- *a\n".repeat(anchors)}`, `it has more than ${anchors} anchors and aliases`],
    ["directives", "%TAG ! tag:\n".repeat(documents + 1), `it has more than ${documents} documents and directives`],
    [
      "aliases of aliases",
      `a: &a [x,x,x,x,x]\n${["ab", "bc", "cd", "de", "ef"].map(([from, to]) => `${to}: &${to} [${`*${from},`.repeat(9)}]\n`).join("")}`,
      "alias",
    ],
  ])("%s", (_, text, why) => {
    for (const read of thorough ? [readYaml, readYamls] : [readYaml]) expect(() => read(text, "it")).toThrow(why);
  });

  // As many tokens as a text may have are made before it is refused.
  longTest("tokens", () => {
    for (const read of [readYaml, readYamls])
      expect(() => read("- a\n".repeat(tokens), "it")).toThrow(`it has more than ${tokens} tokens of YAML`);
  });

  test("documents", () => {
    expect(() => readYamls("---\n".repeat(documents + 1), "it")).toThrow(`it has more than ${documents} documents and directives`);
  });
});

test("what is nested as deep as it may be is read", () => {
  const text = `${"[".repeat(depth)}x${"]".repeat(depth)}`;
  expect(readYaml(text, "it")).toEqual(JSON.parse(text.replace("x", '"x"')));
});

test("of several documents the first is read, whatever follows", () => {
  expect(readYaml("a: 1\n---\n[,,,", "it")).toEqual({ a: 1 });
  expect(readYamls("a: 1\n---\nb: 2\n", "it")).toEqual([{ a: 1 }, { b: 2 }]);
  expect([readYaml("", "it"), readYamls("", "it")]).toEqual([null, []]);
});

test("the value or the refusal is the library's own, for whatever is within the bounds", () => {
  const parts = fc.constantFrom(
    "a",
    "b: 1",
    "- x",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    ": ",
    "'",
    '"',
    "|\n",
    "#c",
    "&a ",
    "*a",
    "!t ",
    "---\n",
    "...\n",
    "? ",
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 30 }), (all) => {
      const text = all.join("");
      const options = { strict: false, uniqueKeys: false, logLevel: "silent" } as const;
      const [first = parseDocument(text, options)] = parseAllDocuments(text, options) as Document.Parsed[];
      let library: { value: unknown } | undefined;
      try {
        library = first.errors.length > 0 ? undefined : { value: first.toJS() };
      } catch {} // an alias of nothing
      if (library) expect(readYaml(text, "it")).toEqual(library.value);
      else expect(() => readYaml(text, "it")).toThrow("it cannot be read");
    }),
    { numRuns: runs(5000) },
  );
});

describe("a text that was read before", () => {
  const text = `name: ${"x".repeat(50)}\nlist: [1, "2", {three: 3}]\n`;

  test("is not parsed again, in the same schema", () => {
    const [first, again, other] = [readYaml(text, "it"), readYaml(text, "it"), readYaml(text, "it", "failsafe")];
    expect(again).toBe(first);
    expect(other).toEqual({ name: "x".repeat(50), list: ["1", "2", { three: "3" }] });
    expect(readYaml(text, "it")).toEqual({ name: "x".repeat(50), list: [1, "2", { three: 3 }] });
  });

  test("is refused again, with the name that it has now", () => {
    for (const what of ["a.yaml", "b.yaml"]) expect(() => readYaml("a: [", what)).toThrow(`${what} cannot be read`);
  });

  test("is left as it is by every reader", () => {
    const texts: [ReaderName, string][] = [
      [
        "metadata",
        "name: a\nresources: {r: {type: file}}\nprovides: {p: {interface: i}, q: j}\nrequires: {x: {interface: y}}\nassumes: [k8s-api]\n",
      ],
      ["manifest", "bases: [{name: ubuntu, channel: 22.04, architectures: [amd64, all]}]\n"],
      [
        "snap",
        "name: app\nversion: 1\nbase: core22\narchitectures: [amd64]\napps: {a: {command: b, plugs: [c]}}\nplugs: {c: {interface: content}}\n",
      ],
      ["component", "component: app+comp\ntype: standard\nversion: 1\n"],
    ];
    for (const [reader, each] of texts) {
      const schema = reader === "snap" || reader === "component" ? "failsafe" : "core";
      const value = readYaml(each, "it", schema);
      const before = structuredClone(value);
      const read = READERS[reader] as (text: string, what: string) => unknown;
      expect(read(each, "it")).toEqual(read(each, "it"));
      expect(readYaml(each, "it", schema)).toBe(value);
      expect(value).toEqual(before);
    }
    const config = "options: {a: {type: string, default: ghcr.io/x/y:1, description: d}}\n";
    const value = readYaml(config, "it");
    const before = structuredClone(value);
    READERS.needs(
      new Map([
        ["config.yaml", config],
        ["metadata.yaml", "name: a\n"],
      ]),
    );
    expect([readYaml(config, "it"), value]).toEqual([before, before]);
  });
});

test("a key that is there twice counts as it was written last, as in what strangers wrote for other readers", () => {
  expect(readYaml("a: 1\nb: 2\na: 3\n", "it")).toEqual({ a: 3, b: 2 });
});

test("an error that only the end of the text shows is one, with its place", () => {
  expect(() => readYaml("a: *nowhere\n", "it")).toThrow(/^it cannot be read: .*nowhere/);
  expect(() => readYaml("a: [1, 2\n", "it")).toThrow(/at line \d+, column \d+$/);
});
