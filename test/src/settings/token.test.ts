import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { findToken, hasRight, isExpired, makeToken, parseRights, parseTokenEnd, rightsOf, Tokens } from "../../../src/settings/token.ts";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const CREATED = "2026-05-01T12:00:00.000Z";

describe("a token", () => {
  test("is known by its text alone, of which nothing is kept", () => {
    const made = ["one", "two", "three"].map((name) => makeToken(name, { created: CREATED }));
    const tokens = made.map(({ token }) => token);
    for (const { text, token } of made) {
      expect(text).toMatch(/^chp_[A-Za-z0-9_-]{43}$/);
      expect(findToken(tokens, text)).toBe(token);
      expect(JSON.stringify(token)).not.toContain(text.slice(4));
      expect(token.sha256).toBe(new Bun.CryptoHasher("sha256").update(text).digest("hex"));
      for (const wrong of ["", text.slice(1), `${text}x`, text.toUpperCase(), token.sha256, token.name])
        expect(findToken(tokens, wrong)).toBeUndefined();
    }
    expect(new Set(made.map(({ text }) => text)).size).toBe(3);
  });

  test("is not known where its hash is damaged", () => {
    const { token, text } = makeToken("one", { created: CREATED });
    for (const sha256 of ["", "xx", token.sha256.slice(2), `${token.sha256}00`])
      expect(findToken([{ ...token, sha256 }], text)).toBeUndefined();
  });

  test.each(["", "-x", ".x", "a b", "a/b", "ä", "x".repeat(65), "a\nb"])("is not called %j", (name) => {
    expect(() => makeToken(name, { created: CREATED })).toThrow("is not a name of a token");
  });

  test.each([
    ["2026-05-01", "2026-05-02T00:00:00.000Z"],
    ["2026-12-31", "2027-01-01T00:00:00.000Z"],
    ["2026-05-01T12:00:01Z", "2026-05-01T12:00:01.000Z"],
    ["2026-05-01T15:00+02:00", "2026-05-01T13:00:00.000Z"],
  ])("until %s ends at %s", (text, until) => {
    expect(parseTokenEnd(text, NOW)).toBe(until);
    const { token } = makeToken("one", { created: CREATED, until });
    expect([isExpired(token, Date.parse(until) - 1), isExpired(token, Date.parse(until))]).toEqual([false, true]);
  });

  test.each(["2026-04-30", "2026-05-01T12:00:00Z", "tomorrow", "2026-13-01", "2026", ""])("until %j is no end", (text) => {
    expect(() => parseTokenEnd(text, NOW)).toThrow(/^--until: /);
  });

  test("without an end has none", () => expect(isExpired({}, Number.MAX_SAFE_INTEGER)).toBe(false));

  test("may import where it does not say what it may, and nothing else", () => {
    const { token } = makeToken("one", { created: CREATED });
    expect([rightsOf(token), hasRight(token, "import"), hasRight(token, "push")]).toEqual([["import"], true, false]);
  });

  test("may do what it says alone; words of a newer chp are kept, and allow nothing", () => {
    const { token } = makeToken("one", { created: CREATED, may: ["push"] });
    expect([hasRight(token, "import"), hasRight(token, "push")]).toEqual([false, true]);
    const stored = v.parse(Tokens, { tokens: [{ ...token, may: ["else"] }] }).tokens[0];
    expect([stored?.may, stored && hasRight(stored, "import"), stored && hasRight(stored, "push")]).toEqual([["else"], false, false]);
  });

  test("gets its rights from words with commas", () => {
    expect([parseRights("push"), parseRights("push, import,push")]).toEqual([["push"], ["import", "push"]]);
    for (const text of ["", "all", "push,", "constructor"]) expect(() => parseRights(text)).toThrow("is not one of import, push");
  });
});
