import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { GrowingBytes } from "../../src/growingbytes.ts";

test("they are all bytes in their order, in a buffer that is at most twice as long, however short the chunks are", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 60, size: "max" }), (chunks) => {
      const grown = new GrowingBytes();
      const reused = new Uint8Array(40);
      for (const chunk of chunks) {
        reused.set(chunk);
        grown.add(reused.subarray(0, chunk.byteLength));
      }
      const whole = Buffer.concat(chunks);
      expect(Buffer.compare(grown.bytes, whole)).toBe(0);
      expect(grown.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * whole.byteLength);
    }),
  );
});

test("their buffer is made anew as often as it doubles, not for each chunk", () => {
  const grown = new GrowingBytes();
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 5000; i += 1) {
    grown.add(Uint8Array.of(i));
    buffers.add(grown.bytes.buffer);
  }
  expect(buffers.size).toBeLessThanOrEqual(1 + Math.ceil(Math.log2(5000)));
});
