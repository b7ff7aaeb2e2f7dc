/** What is read quickly is what valibot reads, over shapes and values at random. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { quickRead, UNREAD } from "../../../src/wire/quickread.ts";
import { runs } from "../../thorough.ts";

const KEYS = ["a", "b", "instance-key", "toString", "__proto__"];
const WORDS = ["install", "refresh", ""];

/** A schema with values that it mostly accepts. */
interface Shape {
  readonly schema: v.GenericSchema;
  readonly value: fc.Arbitrary<unknown>;
}

const integer = v.pipe(v.number(), v.safeInteger());
const anything = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(undefined, null, Number.NaN, 1.5, 2 ** 53, -0, [], {}, "install"));

const leaves: readonly Shape[] = [
  { schema: v.string(), value: fc.string({ maxLength: 3 }) },
  { schema: v.number(), value: fc.double() },
  { schema: integer, value: fc.maxSafeInteger() },
  { schema: v.unknown(), value: anything },
  { schema: v.picklist(WORDS), value: fc.constantFrom(...WORDS) },
  // What the table does not have.
  { schema: v.literal("refresh"), value: fc.constant("refresh") },
  { schema: v.pipe(v.string(), v.minLength(2)), value: fc.string({ minLength: 2, maxLength: 3 }) },
  { schema: v.pipe(v.number(), v.safeInteger(), v.minValue(1)), value: fc.nat() },
  {
    schema: v.pipe(
      v.string(),
      v.transform((text) => text.length),
    ),
    value: fc.string(),
  },
  { schema: v.union([v.string(), v.number()]), value: fc.oneof(fc.string(), fc.nat()) },
];

const defaults = fc.constantFrom<unknown>(undefined, null, "", 0, [], {}, "install", () => "made");

const mixed = (value: fc.Arbitrary<unknown>, rare: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 12, arbitrary: value }, { weight: 1, arbitrary: rare });

/** Shapes of the kinds that requests have, and of some that none has, so deep. */
function shapes(depth: number): fc.Arbitrary<Shape> {
  const leaf = fc.constantFrom(...leaves);
  if (depth === 0) return leaf;
  const inner = shapes(depth - 1);
  const wrapped = fc
    .tuple(inner, defaults, fc.constantFrom("nullish", "optional", "exact", "fallback"))
    .map(([{ schema, value }, given, how]): Shape => {
      const rare = mixed(value, fc.constantFrom(null, undefined));
      if (how === "optional") return { schema: v.optional(schema, given), value: rare };
      if (how === "exact") return { schema: v.exactOptional(schema), value };
      if (how === "fallback") return { schema: v.fallback(v.nullish(schema), given), value: mixed(value, anything) };
      return { schema: given === undefined ? v.nullish(schema) : v.nullish(schema, given), value: rare };
    });
  const list = inner.map(
    ({ schema, value }): Shape => ({ schema: v.array(schema), value: mixed(fc.array(mixed(value, anything), { maxLength: 3 }), anything) }),
  );
  const object = fc
    .uniqueArray(fc.tuple(fc.constantFrom(...KEYS), inner), { selector: ([key]) => key, maxLength: 4 })
    .map((entries): Shape => {
      const schema = v.object(Object.fromEntries(entries.map(([key, shape]) => [key, shape.schema])));
      const values = Object.fromEntries(entries.map(([key, shape]) => [key, mixed(shape.value, anything)]));
      const value = fc.record({ ...values, more: anything }, { requiredKeys: [] });
      return {
        schema,
        value: fc.oneof({ weight: 6, arbitrary: value }, { weight: 6, arbitrary: fc.record(values) }, { weight: 1, arbitrary: anything }),
      };
    });
  return fc.oneof(leaf, wrapped, list, object);
}

describe("what is read quickly", () => {
  test("is what valibot makes of the same value, and nothing where it has issues", () => {
    let [right, wrong] = [0, 0];
    const cases = shapes(3).chain(({ schema, value }) =>
      fc.tuple(fc.constant(schema), fc.array(mixed(value, anything), { minLength: 4, maxLength: 8 })),
    );
    fc.assert(
      fc.property(cases, ([schema, values]) => {
        for (const value of values) {
          const { success, output } = v.safeParse(schema, value, { abortEarly: true });
          if (success) right += 1;
          else wrong += 1;
          expect(quickRead(schema, value)).toStrictEqual(success ? output : UNREAD);
        }
      }),
      { numRuns: runs(4000) },
    );
    expect(Math.min(right, wrong)).toBeGreaterThan(runs(4000) / 4);
  });

  const made = () => "made";
  const inherits = Object.create({ a: "x" }) as object;
  test.each<[string, v.GenericSchema, readonly unknown[]]>([
    ["a text", v.string(), ["", "x", 1, null, undefined, ["x"]]],
    ["a number", v.number(), [0, -1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, 1n]],
    ["a whole number", integer, [0, -1, 1.5, 2 ** 53, Number.NaN, "1", undefined]],
    ["a whole number with more to it", v.pipe(v.number(), v.safeInteger(), v.minValue(1)), [1, 0, 1.5]],
    ["a number with something else to it", v.pipe(v.number(), v.minValue(1)), [1, 1.5, 0]],
    ["a text with a form", v.pipe(v.string(), v.minLength(2)), ["xy", "x", 2 ** 53]],
    ["a word", v.picklist(WORDS), ["install", "", "other", undefined]],
    ["what may be anything", v.unknown(), [undefined, null, {}]],
    ["what may be missing", v.nullish(v.string()), [undefined, null, "x", 1, 0, ""]],
    ["what has a default", v.nullish(v.string(), "d"), [undefined, null, "x", "", 1]],
    ["what has a default that is null", v.nullish(v.string(), null), [undefined, null, "x", 1]],
    ["what has a default that is made", v.nullish(v.string(), made), [undefined, null, "x", 1]],
    ["a list", v.array(v.string()), [[], ["x"], ["x", 1], "x", { length: 0 }, null]],
    [
      "an object",
      v.object({ a: v.string(), b: v.nullish(v.number()) }),
      [{ a: "x" }, { a: "x", b: 1, c: 2 }, { a: "x", b: null }, { a: "x", b: "y" }, { b: 1 }, inherits, [], null, "x", undefined],
    ],
    ["an object with a default in it", v.object({ a: v.nullish(v.array(v.string()), []) }), [{}, { a: null }, { a: ["x"] }, { a: "x" }]],
    ["an object with a default that is made", v.object({ a: v.nullish(v.string(), made) }), [{}, { a: undefined }, { a: 1 }]],
    ["an object with a fallback in it", v.object({ a: v.fallback(v.string(), "f") }), [{}, { a: "x" }, { a: 1 }, { a: null }]],
    ["an object with a fallback that is made", v.object({ a: v.fallback(v.string(), made) }), [{}, { a: "x" }, { a: 1 }]],
    [
      "an object with a fallback for what may be missing",
      v.object({ a: v.fallback(v.nullish(v.string()), "f") }),
      [{}, { a: null }, { a: 1 }],
    ],
    ["an object with an optional key", v.object({ a: v.optional(v.string(), "d") }), [{}, { a: "x" }, { a: undefined }, { a: null }]],
    ["an object with an exact optional key", v.object({ a: v.exactOptional(v.string()) }), [{}, { a: "x" }, { a: undefined }]],
    ["a fallback", v.fallback(v.string(), "f"), ["x", 1, null]],
    ["a fallback over a pipe", v.fallback(integer, 7), [1, 1.5]],
  ])("%s is read as valibot reads it", (_, schema, values) => {
    for (const value of values) {
      const { success, output } = v.safeParse(schema, value, { abortEarly: true });
      expect(quickRead(schema, value)).toStrictEqual(success ? output : UNREAD);
    }
  });

  test("shares no list of its own, so that nobody can change a default", () => {
    const schema = v.object({ list: v.nullish(v.array(v.string()), []) });
    const read = quickRead(schema, {});
    if (read === UNREAD) throw new Error("it was not read");
    read.list.push("x");
    expect(quickRead(schema, {})).toEqual({ list: [] });
  });

  test("is read without valibot where all of it is of the table", () => {
    let asked = 0;
    const counted = <T extends v.GenericSchema>(schema: T): T => ({
      ...schema,
      "~run": (...args: Parameters<v.GenericSchema["~run"]>) => {
        asked += 1;
        return schema["~run"](...args);
      },
    });
    const whole = v.pipe(counted(v.number()), v.safeInteger());
    const entry = v.object({ name: counted(v.string()), number: v.nullish(whole), part: v.nullish(counted(v.number())) });
    const schema = v.object({ list: v.nullish(v.array(entry), []), more: counted(v.unknown()), word: counted(v.picklist(WORDS)) });
    const value = {
      list: [
        { name: "x", number: 1 },
        { name: "y", part: 1.5 },
      ],
      more: {},
      word: "install",
    };
    expect(quickRead(schema, value)).toEqual(value);
    expect(asked).toBe(0);
  });
});
