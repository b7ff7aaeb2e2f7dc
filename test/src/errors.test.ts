import { describe, expect, test } from "bun:test";
import { located } from "../../src/archives/archive.ts";
import { Failure, refused } from "../../src/errors.ts";

describe("where a failure happened", () => {
  const PATH = ["outer.tar.gz", "kafka.tar.gz", "metadata.json"];

  test("is data, and the message says it once, outermost first", () => {
    const failure = refused("it is not JSON").within("metadata.json").within("outer.tar.gz", "kafka.tar.gz");
    expect(failure.at).toEqual(PATH);
    expect(failure.reason).toBe("it is not JSON");
    expect(failure.message).toBe("outer.tar.gz: kafka.tar.gz: metadata.json: it is not JSON");
  });

  test("is not added again by those who hand it on", () => {
    const file = { containers: PATH.slice(0, 2), path: "metadata.json" };
    const inner = located(refused("a.b is missing", { at: ["results.0"] }), file);
    const outer = located(located(inner, file), { containers: ["outer.tar.gz"], path: "kafka.tar.gz" });
    expect(outer).toBe(inner);
    expect((outer as Failure).at).toEqual([...PATH, "results.0"]);
  });

  test("a text that happens to begin like a place is no place", () => {
    const failure = located(refused("x: y is wrong"), { containers: [], path: "x" }) as Failure;
    expect(failure.message).toBe("x: x: y is wrong");
  });

  test("keeps the kind and what to do next, and is shown without characters that act on a terminal", () => {
    const failure = new Failure("corrupt", "it is damaged", { next: "get it again" }).within("a\u001b[2J");
    expect([failure.kind, failure.next, failure.exit]).toEqual(["corrupt", "get it again", 13]);
    expect(failure.message).toBe("a\\u{1b}[2J: it is damaged");
  });
});
