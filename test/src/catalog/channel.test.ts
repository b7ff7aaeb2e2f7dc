import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Channel, compareRisk, formatChannel, fullChannel, parseChannel, RISKS, searchOrder } from "../../../src/catalog/channel.ts";

describe("what a client writes (default track 14)", () => {
  test.each([
    ["stable", "14/stable"],
    ["edge", "14/edge"],
    ["14", "14/stable"],
    ["latest", "latest/stable"],
    ["latest/stable", "latest/stable"],
    ["14/edge", "14/edge"],
    ["14/edge/fix", "14/edge/fix"],
    ["edge/fix", "14/edge/fix"],
    ["3.6/candidate", "3.6/candidate"],
    ["8-transition/beta", "8-transition/beta"],
  ])("%s is %s", (text, full) => {
    const channel = fullChannel(text, "14");
    expect(channel && formatChannel(channel)).toBe(full);
  });

  test.each([
    "",
    "/",
    "/stable",
    "14/",
    "14//stable",
    "14/nightly",
    "14/edge/fix/more",
    "14/edge/",
    "stable/edge/fix",
    " stable",
    "../stable",
    "a\nb/stable",
    "a\u0000",
    "é/stable",
  ])("%j is no channel", (text) => {
    expect(parseChannel(text)).toBeUndefined();
  });
});

describe("where a release is looked for", () => {
  test.each([
    ["14/stable", ["14/stable"]],
    ["14/edge", ["14/edge", "14/beta", "14/candidate", "14/stable"]],
    ["14/beta/fix", ["14/beta/fix", "14/beta", "14/candidate", "14/stable"]],
  ])("%s", (text, order) => {
    const channel = fullChannel(text, "latest");
    expect(channel && searchOrder(channel)).toEqual(order);
  });
});

test("risks are ordered from stable to edge, a risk before its branches", () => {
  const texts = ["edge", "stable/b", "beta", "stable", "stable/a", "candidate"];
  const sorted = texts.map((text) => fullChannel(text, "1")).filter((channel) => channel !== undefined);
  expect(sorted.toSorted(compareRisk).map(formatChannel)).toEqual([
    "1/stable",
    "1/stable/a",
    "1/stable/b",
    "1/candidate",
    "1/beta",
    "1/edge",
  ]);
});

const part = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9._+-]{0,8}$/).filter((text) => !(RISKS as readonly string[]).includes(text));
const full = fc.record({ track: part, risk: fc.constantFrom(...RISKS), branch: fc.option(part, { nil: undefined }) });

test("formatting and parsing are inverse", () => {
  fc.assert(
    fc.property(full, ({ track, risk, branch }) => {
      const channel: Channel & { track: string } = { track, risk, ...(branch !== undefined && { branch }) };
      expect(parseChannel(formatChannel(channel))).toEqual(channel);
    }),
  );
});

/** Any text, also what is no Unicode. */
const units = fc.array(fc.nat(0xffff)).map((all) => String.fromCharCode(...all));

test("any text is a channel or undefined, never an exception", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), units), (text) => {
      const channel = parseChannel(text);
      if (channel) expect(RISKS).toContain(channel.risk);
    }),
  );
});
