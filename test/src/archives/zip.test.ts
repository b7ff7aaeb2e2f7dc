/** What the files of a zip are taken for, and what reading them may take. */

import { describe, expect, spyOn, test } from "bun:test";
import zlib from "node:zlib";
import { zipSync } from "fflate";
import { Budget, LIMITS } from "../../../src/archives/budget.ts";
import { charmFiles, charmTexts, LastZip, TEXTS, type Wanted, ZipContent, zipFiles, zipTexts } from "../../../src/archives/zip.ts";
import { inMemory, type ReadAt, unpack, type ZipEntry } from "../../../src/archives/zipreader.ts";
import { zipOf } from "../../build.ts";
import { failureOf } from "../../importing.ts";

const NAME = "metadata.yaml";
const WANTED: Wanted = new Map([[NAME, "needed"]]);

const onDisk = (bytes: Uint8Array): ReadAt => ({ size: bytes.byteLength, bytes: async (start, end) => bytes.slice(start, end) });

/** A zip with other bytes where it lists its last file. */
function listedAs(zip: Uint8Array, name: string, edit: (bytes: Buffer, listed: number) => void): Uint8Array {
  const bytes = Buffer.from(zip);
  edit(bytes, bytes.lastIndexOf(name) - 46);
  return bytes;
}

describe("of the zip before", () => {
  const read = (last: LastZip, zip: ReadAt) => charmFiles(zip, WANTED, new Budget(LIMITS), last);
  const bytes = zipOf({ [NAME]: "name: demo\n", "src/charm.py": "x = 1\n" });

  test("what is the same is taken, from zip to zip", async () => {
    const last = new LastZip();
    const first = (await read(last, inMemory(bytes))).files.get(NAME);
    expect(last.isSame).toBe(false);
    for (let i = 0; i < 2; i += 1) {
      const { files, texts } = await read(last, inMemory(Uint8Array.from(bytes)));
      expect(files.get(NAME)).toBe(first as NonNullable<typeof first>);
      expect(texts.get("src/charm.py")).toBe("x = 1\n");
      expect(last.isSame).toBe(true);
    }
    await read(last, inMemory(zipOf({ [NAME]: "name: demo\n" })));
    expect(last.isSame).toBe(false);
  });

  test("nothing is kept of one that is not in memory", async () => {
    const last = new LastZip();
    for (const zip of [onDisk(bytes), inMemory(bytes), onDisk(bytes), onDisk(bytes)]) {
      await read(last, zip);
      expect(last.isSame).toBe(false);
    }
  });

  test.each<[what: string, at: number, mask: number, why: string]>([
    ["that it is encrypted", 8, 1, "its zip is corrupt (metadata.yaml is encrypted)"],
    ["another method", 10, 1, "its zip is corrupt (metadata.yaml is compressed by method 9, which is not known)"],
    ["another checksum", 16, 1, "metadata.yaml in its zip: content does not match its checksum"],
    ["another size", 24, 4, "its zip is corrupt (metadata.yaml has 11 bytes instead of 15)"],
  ])("nothing is taken for what has the same bytes and says of them %s", async (_, at, mask, why) => {
    const last = new LastZip();
    await read(last, inMemory(bytes));
    const other = listedAs(bytes, NAME, (to, listed) => to.writeUInt8(to.readUInt8(listed + at) ^ mask, listed + at));
    expect((await failureOf(read(last, inMemory(other)), "refused")).message).toBe(why);
  });
});

test("what is wanted as a file and as a text is unpacked once", async () => {
  const unpacked = spyOn(zlib, "inflateRawSync");
  try {
    const files = { "config.yaml": "options: {}\n".repeat(9), "src/charm.py": "x = 1\n".repeat(9) };
    const zip = zipSync(Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])));
    const found = await charmFiles(inMemory(zip), new Map([["config.yaml", "optional"]]), new Budget(LIMITS));
    expect(found.files.get("config.yaml")?.text).toBe(files["config.yaml"]);
    expect(Object.fromEntries(found.texts)).toEqual(files);
    expect(unpacked).toHaveBeenCalledTimes(2);
  } finally {
    unpacked.mockRestore();
  }
});

test("content is decoded once, however often its text is asked for", () => {
  const decoded = spyOn(TextDecoder.prototype, "decode");
  try {
    for (const [bytes, text] of [
      [Buffer.from("é"), "é"],
      [Buffer.of(0xff), undefined],
    ] as const) {
      const content = new ZipContent(bytes);
      expect([content.text, content.text]).toEqual([text, text]);
    }
    expect(decoded).toHaveBeenCalledTimes(2);
  } finally {
    decoded.mockRestore();
  }
});

describe("the bounds", () => {
  test("of what comes out of a file are the bytes that are said of it", () => {
    const unpacked = spyOn(zlib, "inflateRawSync");
    try {
      const packed = zlib.deflateRawSync(Buffer.alloc(2 ** 20));
      const entry: ZipEntry = { name: "x", flags: 0, method: 8, crc32: 0, packedSize: packed.byteLength, size: 10, mode: 0, start: 0 };
      expect(() => unpack(entry, packed)).toThrow();
      expect(unpacked.mock.results.map(({ type }) => type)).toEqual(["throw"]);
    } finally {
      unpacked.mockRestore();
    }
  });

  test("of a file are those of its bytes in the zip too", async () => {
    const stored = zipSync({ [NAME]: [Buffer.alloc(300, "x"), { level: 0 }] });
    const zip = listedAs(stored, NAME, (to, listed) => {
      to.writeUInt16LE(8, listed + 10);
      to.writeUInt32LE(100, listed + 24);
    });
    const failure = await failureOf(zipFiles(onDisk(zip), WANTED, new Budget({ ...LIMITS, text: 100 })), "refused");
    expect(failure.message).toBe("metadata.yaml in its zip is larger than 200 bytes where it is compressed");
  });

  test("of steps are spent by the files that it lists", async () => {
    const budget = new Budget(LIMITS);
    await zipFiles(onDisk(zipOf(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`f${i}`, ""])))), WANTED, budget);
    expect(budget.used("steps")).toBe(51);
  });

  const WHEEL = "wheelhouse/charmlibs_a-1.0-py3-none-any.whl";

  test("of files hold for a zip in it, and what exceeds them is not just left out", async () => {
    const wheel = zipOf({ "charmlibs/a.py": "x", "charmlibs/b.py": "x", "charmlibs/c.py": "x" });
    const charm = zipOf({ [NAME]: "name: demo\n", [WHEEL]: wheel });
    expect([...(await charmTexts(onDisk(charm))).keys()]).toContain(`${WHEEL}/charmlibs/c.py`);
    const failure = await failureOf(charmTexts(onDisk(charm), new Budget({ ...LIMITS, entries: 2 })), "refused");
    expect(failure.message).toBe("its zip holds more than 2 entries");
    expect(failure.next).toBe("if that is right, give --max-entries");
    // One that is corrupt is only left out.
    expect([...(await charmTexts(onDisk(zipOf({ [WHEEL]: wheel.subarray(0, -1), "src/charm.py": "x" })))).keys()]).toEqual([
      "src/charm.py",
    ]);
  });

  test("of depth are a zip in a zip", async () => {
    const isZip = (path: string) => path.endsWith(".whl");
    const deep = zipOf({ "a.py": "x", "in.whl": zipOf({ "b.py": "x", "in.whl": zipOf({ "c.py": "x" }) }) });
    const found = await zipTexts(onDisk(deep), (path) => path.endsWith(".py"), new Budget(LIMITS), { ...TEXTS, isZip });
    expect([...found.keys()]).toEqual(["a.py", "in.whl/b.py"]);
  });
});

test("a file that has become shorter meanwhile ends too early", async () => {
  const bytes = zipSync({ [NAME]: [Buffer.alloc(100_000), { level: 0 }] });
  const cut: ReadAt = { size: bytes.byteLength, bytes: async (start, end) => bytes.slice(start, end === bytes.byteLength ? end : end - 1) };
  const failure = await failureOf(zipFiles(cut, WANTED), "refused");
  expect(failure.message).toBe("its zip is corrupt (it ends too early)");
  expect(failure.cause).toEqual(new Error("it ends too early"));
});

test("what is long is unpacked by another thread, for which one has to wait", async () => {
  for (const [length, waits] of [
    [2 ** 16, false],
    [2 ** 16 + 1, true],
  ] as const) {
    const content = Buffer.alloc(length, "x");
    const packed = zlib.deflateRawSync(content);
    const sizes = { packedSize: packed.byteLength, size: length, crc32: zlib.crc32(content) };
    const unpacked = unpack({ name: "x", flags: 0, method: 8, mode: 0, start: 0, ...sizes }, packed);
    expect(unpacked instanceof Promise).toBe(waits);
    expect(Buffer.compare(await unpacked, content)).toBe(0);
  }
});
