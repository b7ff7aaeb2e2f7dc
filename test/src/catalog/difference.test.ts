/** Which fields differ, for `chp diff` and the report of an import. */

import { expect, test } from "bun:test";
import { differingFields } from "../../../src/catalog/difference.ts";
import type { Package } from "../../../src/catalog/package.ts";
import type { Digest } from "../../../src/digest.ts";
import { charmRevision, emptyCharm } from "../../build.ts";

const DIGEST = "0".repeat(64) as Digest;
const revision = (number: number) => charmRevision(number, DIGEST, 1);
const ROW = { channel: "latest/stable", base: null, revision: 1, releasedAt: "2026-01-01T00:00:00Z", resources: {} };
const BEFORE = emptyCharm("demo", { revisions: [revision(1)], releases: [ROW], formerIds: ["a", "b"] });

test.each<[string, Partial<Package>, string[]]>([
  ["nothing", {}, []],
  ["a detail", { details: { ...BEFORE.details, summary: "another" } }, ["details.summary"]],
  ["a list of texts", { formerIds: ["a", "c"] }, ["former-ids"]],
  ["the order of a list of texts", { formerIds: ["b", "a"] }, ["former-ids"]],
  ["a list that is empty now", { formerIds: [] }, ["former-ids"]],
  ["a field of a revision", { revisions: [{ ...revision(1), version: "another" }] }, ["revisions.version"]],
  ["a revision more, which is listed elsewhere", { revisions: [revision(2), revision(1)] }, []],
  ["a release of another revision, which is too", { releases: [{ ...ROW, revision: 2 }] }, []],
  ["the time of a release", { releases: [{ ...ROW, releasedAt: "2026-02-01T00:00:00Z" }] }, ["releases.released-at"]],
])("%s", (_, change, fields) => {
  expect(differingFields(BEFORE, { ...BEFORE, ...change })).toEqual(fields);
});
