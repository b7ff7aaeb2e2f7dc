import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseStreamsIndex, parseStreamsProducts } from "../../../src/archives/streams.ts";
import { Failure } from "../../../src/errors.ts";
import { type Item, streamsTexts, testAgents } from "../../streams.ts";
import { runs, sized } from "../../thorough.ts";

const AGENTS = testAgents(["2.9.42", "3.6.11", "4.1-beta2"]);

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

const productsOf = (item?: (item: Item) => Item) => parseStreamsProducts(streamsTexts(AGENTS, item && { item }).products, "it");

describe("a product file", () => {
  test("names agents of all of Ubuntu, with all products that offer the same content", () => {
    const { agents, problems } = productsOf();
    expect([...agents.keys()].toSorted()).toEqual(AGENTS.map(({ version, architecture }) => `${version} ${architecture}`).toSorted());
    expect(problems.size).toBe(0);
    expect(agents.get("3.6.11 arm64")).toMatchObject({
      path: "agent/3.6.11/juju-3.6.11-linux-arm64.tgz",
      size: 200,
      products: { "com.ubuntu.juju:ubuntu:arm64": "ubuntu", "com.ubuntu.juju:centos:arm64": "centos" },
    });
  });

  test("of a later date wins, and what an item does not say its list or product says", () => {
    const item = { version: "3.6.1", path: "agent/a.tgz", size: 1, sha256: "0".repeat(64), release: "ubuntu" };
    const versions = { 20260101: { items: { a: { ...item, size: 9 } } }, 20260202: { ftype: "tar.gz", items: { a: item } } };
    const text = { format: "products:1.0", content_id: "com.ubuntu.juju:released:agents", products: { p: { arch: "amd64", versions } } };
    expect(parseStreamsProducts(JSON.stringify(text), "it").agents.get("3.6.1 amd64")?.size).toBe(1);
  });

  const wrong: [string, Item][] = [
    ["path", { path: "../../etc/passwd" }],
    ["path", { path: "/agent/a.tgz" }],
    ["path", { path: "agent/../a.tgz" }],
    ["path", { path: "agent/%2e%2e/a.tgz" }],
    ["path", { path: "agent//a.tgz" }],
    ["path", { path: "https://evil/a.tgz" }],
    ["path", { path: `agent/${"a".repeat(600)}` }],
    ["path", { path: 7 }],
    ["size", { size: -1 }],
    ["size", { size: 0 }],
    ["size", { size: 1.5 }],
    ["size", { size: 2 ** 31 }],
    ["size", { size: "200" }],
    ["sha256", { sha256: "ABC" }],
    ["sha256", { sha256: null }],
    ["ftype", { ftype: "tar.xz" }],
  ];
  test.each(wrong)("with a wrong %s in an item has no such agent, and says why: %j", (field, change) => {
    const { agents, problems } = productsOf((item) => (item["version"] === "3.6.11" ? { ...item, ...change } : item));
    expect([...agents.keys()].filter((key) => key.startsWith("3.6.11"))).toEqual([]);
    expect(problems.get("3.6.11 amd64")).toStartWith(`its ${field} is `);
    expect(agents.has("2.9.42 amd64")).toBe(true);
  });

  test("passes over what is of a series, of a later Juju's shape, or of no shape at all", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom("products", "versions", "items", "item"), (junk, where) => {
        const item = where === "item" ? junk : { release: "ubuntu" };
        const items = where === "items" ? junk : { a: item };
        const versions = where === "versions" ? junk : { 20260101: { items } };
        const products = where === "products" ? { p: junk } : { p: { versions } };
        const text = { format: "products:1.0", content_id: "com.ubuntu.juju:released:agents", products };
        const { agents } = parseStreamsProducts(JSON.stringify(text), "it");
        expect(agents.size).toBe(0);
      }),
      { numRuns: runs(300) },
    );
  });

  test("is refused where it is of another stream, too deep, or has too many values", () => {
    expect(refusal(() => parseStreamsProducts(streamsTexts(AGENTS).products.replace(":released:", ":devel:"), "it"))).toContain(
      "not a product file",
    );
    expect(refusal(() => parseStreamsProducts(`{"a":${"[".repeat(3_000_000)}`, "it"))).toContain("nested more than 20 deep");
    expect(refusal(() => parseStreamsProducts(`{"a":[${"1,".repeat(2_100_000)}1]}`, "it"))).toContain("more than 2000000 values");
    expect(refusal(() => parseStreamsProducts("[]", "it"))).toContain("is not JSON");
  });

  test("lists one agent for few products, however many there are", () => {
    const texts = JSON.parse(streamsTexts(testAgents(["3.6.11"], ["amd64"])).products);
    const [same] = Object.values<Item>(texts.products["com.ubuntu.juju:centos:amd64"].versions[20260922].items);
    for (let i = 0; i < sized(20_000); i += 1)
      texts.products[`p${i}`] = { versions: { 20260922: { items: { a: { ...same, release: `r${i}` } } } } };
    const agent = parseStreamsProducts(JSON.stringify(texts), "it").agents.get("3.6.11 amd64");
    expect(Object.keys(agent?.products ?? {})).toHaveLength(64);
  });
});

describe("an index", () => {
  test("says where the product file is, and when it was updated", () => {
    expect(parseStreamsIndex(streamsTexts(AGENTS).index, "it")).toEqual({
      path: "streams/v1/com.ubuntu.juju-released-agents.sjson",
      updated: "2026-09-22T08:00:00Z",
    });
  });

  test.each([
    [{ updated: undefined }, "does not say when it was updated"],
    [{ updated: "soon" }, "does not say when it was updated"],
    [{ format: "index:2.0" }, "is not an index"],
    [{ index: {} }, "is not an index"],
    [{ index: { "com.ubuntu.juju:released:agents": { path: "../a" } } }, "at no plain path"],
    [{ index: { "com.ubuntu.juju:released:agents": {} } }, "at no plain path"],
  ])("is refused: %j", (change, why) => {
    const text = JSON.stringify({ ...JSON.parse(streamsTexts(AGENTS).index), ...change });
    expect(refusal(() => parseStreamsIndex(text, "it"))).toContain(why);
  });
});
