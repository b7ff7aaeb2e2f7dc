import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { partName, partOf, partSumsName } from "../../../src/archives/parts.ts";
import { runs } from "../../thorough.ts";

test("names sort as numbers do, and tell them back", () => {
  fc.assert(
    fc.property(fc.constantFrom("site.tar", "a.1of2", "x"), fc.integer({ min: 1, max: 1200 }), (whole, count) => {
      const names = Array.from({ length: count }, (_, i) => partName(whole, i + 1, count));
      expect(names.toSorted()).toEqual(names);
      expect(names.map(partOf)).toEqual(names.map((_, i) => ({ whole, index: i + 1, count })));
    }),
    { numRuns: runs(30) },
  );
  expect([partName("site.tar", 1, 3), partName("site.tar", 2, 12), partSumsName("site.tar")]).toEqual([
    "site.tar.1of3",
    "site.tar.02of12",
    "site.tar.sha256",
  ]);
});

test.each([
  "site.tar",
  "1of3",
  ".1of3",
  "site.tar.0of3",
  "site.tar.4of3",
  "site.tar.1of03",
  "site.tar.01of3",
  "site.tar.2of12",
  "site.tar.1of3.gz",
  "site.tar.1of1000000",
  "site.tar.1 of 3",
  "site.tar.1of3\n",
  "resource_data_r4_backup.1of3",
])("%j is no part", (name) => {
  expect(partOf(name)).toBeUndefined();
});
