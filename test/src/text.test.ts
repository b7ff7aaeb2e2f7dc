import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { digestText, parseDigestText, shortDigest, sumsOf } from "../../src/digest.ts";
import { compareText, nearestWord, parseSize, showNumbers, showSize, utf8 } from "../../src/text.ts";

describe("a size", () => {
  test.each<[string, number | undefined]>([
    ["0", 0],
    ["650M", 650 * 1024 * 1024],
    ["1k", 1024],
    ["1K", 1024],
    ["2KiB", 2048],
    ["2kb", 2048],
    ["4G", 4 * 1024 ** 3],
    ["3T", 3 * 1024 ** 4],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740992", undefined],
    ["99999999T", undefined],
    ["", undefined],
    ["k", undefined],
    ["1.5G", undefined],
    ["-1", undefined],
    ["1 G", undefined],
    ["1P", undefined],
  ])("%j is read as %p", (text, size) => {
    expect(parseSize(text)).toBe(size);
  });

  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [100 * 1024, "100 KiB"],
    [5 * 1024 ** 2, "5.0 MiB"],
    [2.5 * 1024 ** 3, "2.5 GiB"],
    [7 * 1024 ** 4, "7.0 TiB"],
    [3000 * 1024 ** 4, "3000 TiB"],
  ])("%d is shown as %s", (bytes, text) => {
    expect(showSize(bytes)).toBe(text);
  });
});

test.each([
  ["kafca", "kafka"],
  ["kafka", "kafka"],
  ["zokeeper", "zookeeper"],
  ["nothing", undefined],
])("%s was probably meant as %s", (word, meant) => {
  expect(nearestWord(word, ["zookeeper", "kafka", "postgresql"])).toBe(meant);
});

test("texts are compared the same way on every machine", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => expect(compareText(a, b)).toBe(-compareText(b, a) || 0)));
  expect(["b", "a", "B"].toSorted(compareText)).toEqual(["B", "a", "b"]);
});

test("a text that is not UTF-8 is refused by its name", () => {
  expect(utf8(Buffer.from("ä"), "it")).toBe("ä");
  expect(() => utf8(new Uint8Array([0xff]), "it")).toThrow("it is not UTF-8 text");
});

test("a digest is read as it is written, and no other text is one", () => {
  const digest = sumsOf(Buffer.from("x"))["sha-256"];
  expect(parseDigestText(digestText(digest))).toBe(digest);
  expect(shortDigest(digest)).toBe(`sha256:${digest.slice(0, 12)}…`);
  // As long, and hex behind another algorithm's name.
  for (const text of [
    digest,
    `sha512:${digest}`,
    `SHA256:${digest}`,
    `sha256:${digest.toUpperCase()}`,
    `sha256:${digest}0`,
    `1234567${digest}`,
  ])
    expect(parseDigestText(text)).toBeUndefined();
});

describe("numbers in words", () => {
  test.each([
    [[], ""],
    [[7], "7"],
    [[2, 1], "1, 2"],
    [[10, 9, 8, 1, 3, 4], "1, 3, 4, 8 to 10"],
  ])("%j: %s", (numbers, shown) => {
    expect(showNumbers(numbers)).toBe(shown);
  });

  test("name each number once, whatever their order", () => {
    const numbersIn = (shown: string) =>
      shown.split(", ").flatMap((run) => {
        const [first = 0, last = first] = run.split(" to ").map(Number);
        return Array.from({ length: last - first + 1 }, (_, i) => first + i);
      });
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 40 }), { minLength: 1 }), (numbers) => {
        expect(numbersIn(showNumbers(numbers))).toEqual(numbers.toSorted((a, b) => a - b));
      }),
    );
  });
});
