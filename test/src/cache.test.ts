import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { ByteCache } from "../../src/cache.ts";

const kept = (cache: ByteCache<number>, keys: readonly string[]) => keys.filter((key) => cache.get(key) !== undefined);

test("what was asked for lately stays, what was not goes", () => {
  const cache = new ByteCache<number>(80);
  cache.set("asked", 0, 10); // 20 bytes, with the key
  cache.set("idle", 1, 12);
  for (let i = 0; i < 100; i += 1) {
    cache.set(`${i}`.padStart(5), i, 10);
    expect(cache.get("asked")).toBe(0);
  }
  expect(cache.get("idle")).toBeUndefined();
});

test("what is larger than half of it is not kept, and drives nothing out", () => {
  const cache = new ByteCache<number>(100);
  cache.set("a", 1, 10);
  cache.set("b", 2, 49);
  expect(kept(cache, ["a", "b"])).toEqual(["a"]);
});

test("keys count: anyone can make them up", () => {
  const cache = new ByteCache<number>(1000);
  for (let i = 0; i < 100; i += 1) cache.set(String(i).padStart(50), i, 0);
  expect(
    kept(
      cache,
      Array.from({ length: 100 }, (_, i) => String(i).padStart(50)),
    ).length,
  ).toBeLessThanOrEqual(10);
});

test("never more bytes than its limit, and only what was set last under a key", () => {
  const step = fc.record({ key: fc.constantFrom("a", "b", "c", "d", "e"), size: fc.nat({ max: 60 }), set: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
      const cache = new ByteCache<{ size: number; at: number }>(100);
      const last = new Map<string, number>();
      for (const [at, { key, size, set }] of steps.entries()) {
        if (set) {
          cache.set(key, { size, at }, size);
          last.set(key, at);
        } else {
          const found = cache.get(key);
          if (found) expect(found.at).toBe(last.get(key) ?? -1);
        }
      }
      const all = [...last.keys()].flatMap((key) => cache.get(key) ?? []);
      expect(all.reduce((sum, { size }) => sum + size + 2, 0)).toBeLessThanOrEqual(100);
    }),
  );
});

test("what is found and what is put into it are counted", () => {
  const use = { hits: 0, misses: 0 };
  const cache = new ByteCache<number>(100, use);
  cache.set("a", 1, 10);
  for (const key of ["a", "b", "a"]) cache.get(key);
  expect(use).toEqual({ hits: 2, misses: 1 });
});
