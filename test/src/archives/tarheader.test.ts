/** Headers of tars, as old and new tars write their checksums. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Header } from "tar/header";
import { readPax, readTarHeader, TAR_BLOCK } from "../../../src/archives/tarheader.ts";
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

/** Bytes that are put into a header, with its checksum made anew or not. */
const edits = fc.array(
  fc.record({
    at: fc.oneof(fc.nat(TAR_BLOCK - 1), fc.constantFrom(0, 1, 99, 100, 124, 134, 135, 148, 154, 155, 156, 257, 263, 329, 345, 475, 476)),
    byte: fc.oneof(fc.constantFrom(0, 0x20, 0x2f, 0x30, 0x37, 0x38, 0x80, 0xff), fc.nat(255)),
  }),
  { maxLength: 3 },
);

/** Around where a field begins or ends. */
const PLACES = Array.from({ length: TAR_BLOCK }, (_, at) => at).filter((at) =>
  [0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 265, 329, 337, 345, 476, 488, 512].some((edge) => Math.abs(at - edge) < 4),
);

/** The same header with the sum of its bytes. */
function summed(block: Buffer): Buffer {
  block.fill(" ", SUM, SUM_END);
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, SUM, "latin1");
  return block;
}

test.each(["a", "a/b.charm", "x".repeat(100)])("is read as node-tar reads it with any byte where a field begins or ends: %s", (name) => {
  const plain = Buffer.alloc(TAR_BLOCK);
  new Header({ path: name, size: 8 ** 10, type: "File", mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) }).encode(plain);
  const others: string[] = [];
  let right = 0;
  const compare = (block: Buffer, at: number) => {
    const { path, size, type } = readTarHeader(block) ?? {};
    const [is, expected] = [[path, size, type].join("|"), byNodeTar(block).join("|")];
    if (path !== undefined) right += 1;
    if (is !== expected) others.push(`${at}: ${is} instead of ${expected}`);
  };
  for (const at of PLACES) {
    for (const byte of [0, 0x20, 0x2f, 0x30, 0x38, 0x80]) {
      const isInSum = at >= SUM && at < SUM_END;
      const block = Buffer.from(isInSum ? summed(plain) : plain);
      block[at] = byte;
      compare(isInSum ? block : summed(block), at);
    }
    const block = Buffer.from(summed(plain));
    block[at] = (block[at] ?? 0) + 1; // which makes another sum
    compare(block, at);
  }
  expect(others).toEqual([]);
  expect(right).toBeGreaterThan(3 * PLACES.length);
});

test("of an ordinary file is read without the library", () => {
  expect(readTarHeader(tarEntry("a/b.charm", "content").subarray(0, TAR_BLOCK))).toEqual({ path: "a/b.charm", size: 7, type: "File" });
  expect(readTarHeader(tarEntry("a/b.charm", "content").subarray(0, TAR_BLOCK))).not.toBeInstanceOf(Header);
  expect(readTarHeader(tarEntry("é").subarray(0, TAR_BLOCK))).toBeInstanceOf(Header);
});

test.each(["a/", "a\0b", "a\0\nb", "a\0b\nc\n", "\0a", "\n", "é"])("has the name that node-tar reads of %j", (name) => {
  const block = Buffer.from(tarEntry("x").subarray(0, TAR_BLOCK));
  block.fill(0, 0, NAME);
  block.write(name);
  const { path, size, type } = readTarHeader(summed(block)) ?? {};
  expect([path, size, type]).toEqual(byNodeTar(block));
});

test.each([345, 346, 400, 475])("has the folder that node-tar reads where only byte %d of it is not zero", (at) => {
  for (const byte of [0x0a, 0x61, 0x2f]) {
    const block = Buffer.from(tarEntry("x").subarray(0, TAR_BLOCK));
    block[at] = byte;
    const { path, size, type } = readTarHeader(summed(block)) ?? {};
    expect([path, size, type]).toEqual(byNodeTar(block));
  }
});

test("has the path and the size of an extended header before it, and of one for all files the size", () => {
  const block = tarEntry("x").subarray(0, TAR_BLOCK);
  const pax = (isGlobal: boolean) => readPax(Buffer.from("14 path=other\n11 size=77\n"), undefined, isGlobal);
  expect(readTarHeader(block, pax(false))).toMatchObject({ path: "other", size: 77 });
  expect(readTarHeader(block, undefined, pax(true))).toMatchObject({ path: "x", size: 77 });
  expect(readTarHeader(block)).toMatchObject({ path: "x", size: 0 });
});

test("is read as node-tar reads it, whatever is in it", () => {
  const path = fc.oneof(fc.constantFrom("a", "a/", "a/b.charm", "é", "x".repeat(100)), fc.string({ minLength: 1, maxLength: 120 }));
  fc.assert(
    fc.property(path, fc.nat(2 ** 40), edits, fc.boolean(), (name, size, changes, isSummed) => {
      const block = Buffer.alloc(TAR_BLOCK);
      new Header({ path: name, size, type: "File", mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) }).encode(block);
      for (const { at, byte } of changes) block[at] = byte;
      if (isSummed) summed(block);
      const { path: is, size: length, type } = readTarHeader(block) ?? {};
      expect([is, length, type]).toEqual(byNodeTar(block));
    }),
    { numRuns: runs(4000) },
  );
});

function byNodeTar(block: Buffer): [path: string | undefined, size: number | undefined, type: Header["type"] | undefined] {
  try {
    const { path, size, type, cksumValid, cksum } = new Header(block);
    const signed = new Int8Array(block).reduce((sum, byte, i) => sum + (i >= SUM && i < SUM_END ? 0x20 : byte), 0);
    if (cksumValid || cksum === signed) return [path, size, type];
  } catch {} // it throws on numbers that are none
  return [undefined, undefined, undefined];
}
