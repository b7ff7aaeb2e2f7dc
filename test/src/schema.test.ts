/** Schemas of what strangers wrote: one wrong value of a million is enough. */

import { expect, test } from "bun:test";
import * as v from "valibot";
import { Failure } from "../../src/errors.ts";
import { checkShape, mapByName, tryShape } from "../../src/schema.ts";

/** A schema that no value has, and how often it was tried. */
function never() {
  const tried = { times: 0 };
  const schema = v.custom<string>(() => {
    tried.times += 1;
    return false;
  }, "is wrong");
  return { schema, tried };
}

test("a list is looked through up to its first wrong value", () => {
  const { schema, tried } = never();
  expect(tryShape(v.array(schema), Array.from({ length: 1000 }))).toBeUndefined();
  expect(tried.times).toBe(1);
  expect(tryShape(v.array(v.string()), ["a"])).toEqual(["a"]);
});

test("a map by name is looked through up to its first wrong value, which the failure names", () => {
  const { schema, tried } = never();
  const map = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i]));
  const check = () => checkShape(v.object({ a: mapByName(schema) }), { a: map }, "it");
  expect(check).toThrow(new Failure("refused", "it: a.k0 is wrong"));
  expect(tried.times).toBe(1);
});

test("a value of another shape says what to do, where its reader knows", () => {
  const next = "export it again";
  const check = () => checkShape(v.object({ a: v.string() }), {}, ["in.tar", "x.json"], { next });
  expect(check).toThrow(new Failure("refused", "in.tar: x.json: a is missing", { next }));
  try {
    check();
  } catch (error) {
    expect(error instanceof Failure && error.next).toBe(next);
  }
});
