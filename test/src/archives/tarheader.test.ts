/** Headers of tars, as old and new tars write their checksums. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { readTarHeader, TAR_BLOCK } from "../../../src/archives/tarheader.ts";
import { tarEntry } from "../../build.ts";
import { runs } from "../../thorough.ts";

const [NAME, SUM, SUM_END] = [100, 148, 156];

/** A header with these bytes as its name, and the sum of its bytes as `read` takes them, off by `off`. */
function header(name: Uint8Array, read: (bytes: Uint8Array) => Iterable<number>, off = 0): Buffer {
  const block = Buffer.from(tarEntry("x").subarray(0, TAR_BLOCK));
  block.fill(0, 0, NAME);
  block.set(name);
  block.fill(" ", SUM, SUM_END);
  let sum = off;
  for (const byte of read(block)) sum += byte;
  block.write(`${Math.max(0, sum).toString(8).padStart(6, "0")}\0 `, SUM, "latin1");
  return block;
}

test("is one by the sum of its bytes, signed or not, and by no other", () => {
  const names = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => bytes.map((byte) => byte || 0x80));
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 200 }), (name, off) => {
      expect(readTarHeader(header(name, (bytes) => bytes))).toBeDefined();
      expect(readTarHeader(header(name, (bytes) => new Int8Array(bytes)))).toBeDefined();
      const high = name.filter((byte) => byte >= 0x80).length;
      if (off !== 256 * high) expect(readTarHeader(header(name, (bytes) => bytes, off))).toBeUndefined();
    }),
    { numRuns: runs(400), examples: [[new Uint8Array([0x80]), 1] as [Uint8Array, number]] },
  );
});
