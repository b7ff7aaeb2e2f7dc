/** A zip is read as yauzl reads it, whatever is wrong with it, and however it comes. */

import { expect, test } from "bun:test";
import zlib from "node:zlib";
import * as fc from "fast-check";
import { zipSync } from "fflate";
import yauzl from "yauzl";
import { Budget, LIMITS } from "../../../src/archives/budget.ts";
import { charmFiles, LastZip, type Wanted } from "../../../src/archives/zip.ts";
import { type ReadAt, unpack, ZipReader } from "../../../src/archives/zipreader.ts";
import { zipOf } from "../../build.ts";
import { runs, stride } from "../../thorough.ts";

const inMemory = (bytes: Uint8Array): ReadAt => ({ ...onDisk(bytes), whole: bytes });
const onDisk = (bytes: Uint8Array): ReadAt => ({ size: bytes.byteLength, bytes: async (start, end) => bytes.slice(start, end) });

type Listing = readonly (readonly [name: string, content: string])[];

const REFUSED: Listing = [["", "refused"]];

/** The files of a zip in its order, each with its content, or that it is refused; `REFUSED` where the zip is as a whole. */
async function listing(zip: ReadAt): Promise<Listing> {
  const found: [string, string][] = [];
  try {
    const reader = await ZipReader.open(zip);
    for (let i = 0; i < reader.count; i += 1) {
      const entry = await reader.next();
      const content = (async () => Buffer.from(await unpack(entry, await reader.packed(entry))).toString("hex"))();
      found.push([entry.name, await content.catch(() => "refused")]);
    }
  } catch {
    return REFUSED;
  }
  return found;
}

/** The same by yauzl. */
async function yauzlListing(bytes: Uint8Array): Promise<Listing> {
  const found: [string, string][] = [];
  try {
    const zip = await yauzl.fromBufferPromise(Buffer.from(bytes));
    for await (const entry of zip.eachEntry()) {
      const content = async () => {
        if (entry.isEncrypted() && entry.compressionMethod !== 0) throw new Error("encrypted");
        const parts: Uint8Array[] = [];
        for await (const part of await zip.openReadStreamPromise(entry)) parts.push(part as Uint8Array);
        const whole = Buffer.concat(parts);
        if (zlib.crc32(whole) !== entry.crc32) throw new Error("checksum");
        return whole.toString("hex");
      };
      found.push([entry.fileName, await content().catch(() => "refused")]);
    }
  } catch {
    return REFUSED;
  }
  return found;
}

const name = fc.oneof(
  fc.constantFrom("metadata.yaml", "src/charm.py", "a\\b", "é", "x/..", "..", "/x", "C:x"),
  fc.string({ minLength: 1, maxLength: 20 }).filter((one) => one !== "__proto__"), // which fflate can't pack
);
const zip = fc
  .dictionary(name, fc.oneof(fc.string(), fc.constant("y".repeat(100_000))), { minKeys: 1, maxKeys: 5, noNullPrototype: true })
  .map((files) => zipOf(files));
/** Control characters, and those that yauzl shows in their place, as code page 437 does on a screen. */
const SHOWN = /[\p{Cc}☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼⌂]/u;
/** A bit field, a method, a size, a place: what is changed lies mostly in the list at the end. */
const change = fc.record({ fromEnd: fc.nat(400), byte: fc.integer({ min: 0, max: 255 }) });

test("damaged or not, its files are those that yauzl finds", async () => {
  await fc.assert(
    fc.asyncProperty(zip, fc.array(change, { maxLength: 3 }), async (whole, changes) => {
      const bytes = Buffer.from(whole);
      for (const { fromEnd, byte } of changes) if (fromEnd < bytes.byteLength) bytes[bytes.byteLength - 1 - fromEnd] = byte;
      const expected = await yauzlListing(bytes);
      fc.pre(!expected.some(([path]) => SHOWN.test(path)));
      expect(await listing(inMemory(bytes))).toEqual(expected);
      expect(await listing(onDisk(bytes))).toEqual(expected);
    }),
    { numRuns: runs(1000) },
  );
});

/** A zip64 of one stored file: its sizes and its place are in an extra field, its count in a second end. */
function zip64(content: string): Buffer {
  const [data, path] = [Buffer.from(content), Buffer.from("big")];
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50);
  local.writeUInt16LE(path.byteLength, 26);
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1);
  extra.writeUInt16LE(24, 2);
  extra.writeBigUInt64LE(BigInt(data.byteLength), 4);
  extra.writeBigUInt64LE(BigInt(data.byteLength), 12);
  const listed = Buffer.alloc(46);
  listed.writeUInt32LE(0x02014b50);
  listed.writeUInt32LE(zlib.crc32(data), 16);
  for (const at of [20, 24, 42]) listed.writeUInt32LE(0xffffffff, at);
  listed.writeUInt16LE(path.byteLength, 28);
  listed.writeUInt16LE(extra.byteLength, 30);
  const before = Buffer.concat([local, path, data]);
  const list = Buffer.concat([listed, path, extra]);
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(0x06064b50);
  end64.writeBigUInt64LE(1n, 24);
  end64.writeBigUInt64LE(1n, 32);
  end64.writeBigUInt64LE(BigInt(list.byteLength), 40);
  end64.writeBigUInt64LE(BigInt(before.byteLength), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50);
  locator.writeBigUInt64LE(BigInt(before.byteLength + list.byteLength), 8);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  for (const at of [8, 10]) end.writeUInt16LE(0xffff, at);
  end.writeUInt32LE(0xffffffff, 16);
  return Buffer.concat([before, list, end64, locator, end]);
}

test("a zip64 is read, also one that has more before its end than is read at once", async () => {
  for (const content of ["hello", "x".repeat(200_000)]) {
    const bytes = zip64(content);
    const expected = [["big", Buffer.from(content).toString("hex")]] as const;
    expect(await yauzlListing(bytes)).toEqual(expected);
    for (const read of [inMemory, onDisk]) expect(await listing(read(bytes))).toEqual(expected);
    for (let at = 1; at <= 22 + 20 + 56 + 28 + 46; at += stride(5)) {
      const damaged = Buffer.from(bytes);
      damaged[bytes.byteLength - at] = (damaged[bytes.byteLength - at] ?? 0) ^ 1;
      expect(await listing(onDisk(damaged))).toEqual(await yauzlListing(damaged));
    }
  }
});

test("names are as they say: UTF-8, or code page 437", async () => {
  const bytes = Buffer.from(zipOf({ "é-é": "x" }));
  const listed = bytes.lastIndexOf("é-é") - 46;
  expect((await listing(inMemory(bytes)))[0]?.[0]).toBe("é-é");
  bytes.writeUInt16LE(bytes.readUInt16LE(listed + 8) & ~0x800, listed + 8);
  expect((await listing(inMemory(bytes)))[0]?.[0]).toBe("├⌐-├⌐");
});

test("names of Windows have the folders that they say", async () => {
  const bytes = zipOf({ "src\\charm.py": "x" });
  expect(await yauzlListing(bytes)).toEqual([["src/charm.py", "78"]]);
  expect(await listing(inMemory(bytes))).toEqual([["src/charm.py", "78"]]);
});

/** What Info-ZIP writes beside a name: a version, the checksum of that name, and the same in UTF-8. */
function beside(version: number, of: string, text: string): Buffer {
  const head = Buffer.alloc(5, version);
  head.writeUInt32LE(zlib.crc32(Buffer.from(of)), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

test.each<[string, string, Record<number, Uint8Array>]>([
  ["the one beside it", "é", { 0x7075: beside(1, "plain", "é") }],
  ["its own, where that is of another name", "plain", { 0x7075: beside(1, "other", "é") }],
  ["its own, where that is of another version", "plain", { 0x7075: beside(2, "plain", "é") }],
  ["its own, where that is none", "plain", { 0x7075: beside(1, "plain", "") }],
  ["its own, where something else is beside it", "plain", { 0x7076: beside(1, "plain", "é") }],
])("a name of a zip of Info-ZIP is %s", async (_, expectedName, extra) => {
  const bytes = zipSync({ plain: [Buffer.from("x"), { extra }] });
  const expected = [[expectedName, "78"]] as const;
  expect(await yauzlListing(bytes)).toEqual(expected);
  for (const read of [inMemory, onDisk]) expect(await listing(read(bytes))).toEqual(expected);
});

test("a zip whose extra field is longer than its place is refused as a whole", async () => {
  const bytes = Buffer.from(zipSync({ plain: [Buffer.from("x"), { extra: { 0x7076: Buffer.from("some") } }] }));
  const size = bytes.lastIndexOf("some") - 2;
  bytes.writeUInt16LE(bytes.readUInt16LE(size) + 1, size);
  expect(await yauzlListing(bytes)).toEqual(REFUSED);
  for (const read of [inMemory, onDisk]) expect(await listing(read(bytes))).toEqual(REFUSED);
});

test("a zip that says to be encrypted beyond what anybody reads is refused as a whole", async () => {
  const bytes = Buffer.from(zipOf({ a: "x" }));
  const listed = bytes.lastIndexOf("a", bytes.byteLength - 22) - 46;
  bytes.writeUInt16LE(0x41, listed + 8);
  expect(await yauzlListing(bytes)).toEqual(REFUSED);
  expect(await listing(inMemory(bytes))).toEqual(REFUSED);
});

const WANTED: Wanted = new Map([
  ["metadata.yaml", "needed"],
  ["config.yaml", "needed"],
]);

test("of a zip that has the files of the one before, their content is taken, and of no other", async () => {
  const text = fc.constantFrom("a: 1\n", "a: 2\n", "a: 1\n".repeat(30), "");
  const files = fc.record({ "metadata.yaml": text, "config.yaml": text, "src/charm.py": text, README: text }, { requiredKeys: [] });
  const zips = fc.array(fc.tuple(files, fc.boolean()), { minLength: 2, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(zips, async (all) => {
      const last = new LastZip();
      let before: string | undefined;
      for (const [content, isInMemory] of all) {
        const bytes = zipOf(content);
        const found = await charmFiles((isInMemory ? inMemory : onDisk)(bytes), WANTED, new Budget(LIMITS), last);
        const { README: _, ...rest } = content;
        const { "src/charm.py": source, ...wanted } = rest;
        expect(Object.fromEntries([...found.files].map(([path, { text: is }]) => [path, is]))).toEqual(wanted);
        expect(found.texts.get("src/charm.py")).toBe(source as string);
        const now = isInMemory ? JSON.stringify(rest, ["config.yaml", "metadata.yaml", "src/charm.py"]) : undefined;
        if (isInMemory) expect(last.isSame).toBe(now === before && Object.keys(rest).length > 0);
        before = now;
      }
    }),
    { numRuns: runs(400) },
  );
});

test("what differs from the zip before in one byte, with the checksum of the one before, is not taken for the same", async () => {
  const first = zipSync({ "metadata.yaml": [Buffer.from("name: demo"), { level: 0 }] });
  const other = Buffer.from(first);
  other[other.indexOf("demo")] = "D".charCodeAt(0);
  const last = new LastZip();
  const wanted: Wanted = new Map([["metadata.yaml", "needed"]]);
  const read = (bytes: Uint8Array) => charmFiles(inMemory(bytes), wanted, new Budget(LIMITS), last);
  expect((await read(first)).files.get("metadata.yaml")?.text).toBe("name: demo");
  expect(read(other)).rejects.toThrow("metadata.yaml in its zip: content does not match its checksum");
});
