/** What is staged for a bucket: many streams in one nameless file, each read back as it was written. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Spool } from "../../store/spool.ts";
import { bytesBy } from "../build.ts";
import { runs } from "../thorough.ts";

const MIB = 2 ** 20;

/** Bytes that tell their stream and their place. */
const noise = (stream: number, at: number, size: number) =>
  Buffer.from(bytesBy(size, (i) => (stream * 97 + (at + i) * 31 + ((at + i) >> 8)) & 0xff));

test("streams that are written by turns are read back, any part of each", async () => {
  const step = fc.record({ stream: fc.integer({ min: 0, max: 2 }), size: fc.integer({ min: 1, max: 3000 }) });
  const part = fc.record({ stream: fc.integer({ min: 0, max: 2 }), start: fc.nat({ max: 9000 }), length: fc.nat({ max: 9000 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 20, size: "max" }),
      fc.array(part, { maxLength: 10 }),
      async (steps, parts) => {
        const spool = new Spool();
        // Larger than what stays in memory, so that the file is used, and in pieces that lie apart.
        const whole = [0, 1, 2].map((stream) => noise(stream, 0, MIB / 4));
        const streams = whole.map(() => spool.stage());
        const written = whole.map((bytes) => [bytes]);
        for (const [i, stream] of streams.entries()) await stream.write(whole[i] ?? Buffer.alloc(0));
        for (const { stream, size } of steps) {
          const bytes = noise(stream, written[stream]?.reduce((sum, one) => sum + one.byteLength, 0) ?? 0, size);
          written[stream]?.push(bytes);
          await streams[stream]?.write(bytes);
        }
        for (const [i, stream] of streams.entries()) {
          const all = Buffer.concat(written[i] ?? []);
          expect(stream.size).toBe(all.byteLength);
          expect(all.equals(Buffer.from(await stream.bytes(0, all.byteLength + 10)))).toBe(true);
        }
        for (const { stream, start, length } of parts) {
          const all = Buffer.concat(written[stream] ?? []);
          const from = all.byteLength - start;
          expect(all.subarray(from, from + length).equals(Buffer.from((await streams[stream]?.bytes(from, from + length)) ?? []))).toBe(
            true,
          );
        }
        for (const stream of streams) await stream.free();
      },
    ),
    { numRuns: runs(40) },
  );
});
