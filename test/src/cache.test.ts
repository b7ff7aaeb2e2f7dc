import { expect, test } from "bun:test";
import { ByteCache } from "../../src/cache.ts";

const kept = (cache: ByteCache<number>, keys: readonly string[]) => keys.filter((key) => cache.get(key) !== undefined);

test("what was not asked for longest goes first, and what does not fit is not kept", () => {
  const cache = new ByteCache<number>(36);
  for (const [i, key] of ["a", "b", "c"].entries()) cache.set(key, i, 10); // 12 each, with the key
  expect(cache.get("a")).toBe(0);
  cache.set("d", 3, 10);
  expect(kept(cache, ["b", "c", "a", "d"])).toEqual(["c", "a", "d"]);
  cache.set("large", 4, 27);
  expect(kept(cache, ["a", "c", "d", "large"])).toEqual([]);
});

test("a value that is set again counts once", () => {
  const cache = new ByteCache<number>(24);
  for (let i = 0; i < 10; i += 1) cache.set("a", i, 10);
  cache.set("b", 10, 10);
  expect([cache.get("a"), cache.get("b")]).toEqual([9, 10]);
});

test("keys count: anyone can make them up", () => {
  const cache = new ByteCache<number>(1000);
  cache.set("a", 1, 0);
  cache.set("x".repeat(501), 2, 0);
  expect(kept(cache, ["a", "x".repeat(501)])).toEqual([]);
});
