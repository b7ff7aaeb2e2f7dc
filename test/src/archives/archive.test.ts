import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { Pax } from "tar";
import { type ArchiveFile, Budget, files, LIMITS, type Limits, type ReadAt, showLocation } from "../../../src/archives/archive.ts";
import { TEXTS, zipFiles, zipTexts } from "../../../src/archives/zip.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { bytesOf, type Files, tarEntry, tarOf, tgzOf, zipOf } from "../../build.ts";
import { runs, stride } from "../../thorough.ts";

const MIB = 2 ** 20;
const keep = (path: string) => path.startsWith("resources/");

async function* inChunks(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

function walk(bytes: Uint8Array, limits: Partial<Limits> = {}, chunk?: number): AsyncGenerator<ArchiveFile> {
  return files({ name: "in", chunks: inChunks(bytes, chunk) }, keep, new Budget({ ...LIMITS, ...limits }));
}

/** What is found, each file by its place, as text. */
async function read(bytes: Uint8Array, limits: Partial<Limits> = {}, chunk?: number): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const file of walk(bytes, limits, chunk))
    found[showLocation(file)] = Buffer.from(await file.bytes.whole(MIB, "it")).toString();
  return found;
}

async function drain(bytes: Uint8Array): Promise<void> {
  for await (const file of walk(bytes)) await file.bytes.drain();
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    (value) => new Error(`it was not refused: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure && error.kind === "refused") return error.message;
  throw error;
}

/** A header with some of its bytes replaced and its checksum made right again. */
function patched(entry: Uint8Array, offset: number, bytes: string | readonly number[]): Uint8Array {
  const block = Buffer.from(entry);
  block.set(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, offset);
  block.write("        ", 148, "latin1");
  const sum = block.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

const SIZE_FIELD = 124;
const TYPE_FIELD = 156;

/** A pax header with these lines. */
function pax(records: Readonly<Record<string, string>>, type: "ExtendedHeader" | "GlobalExtendedHeader" = "ExtendedHeader"): Uint8Array {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    const digits = String(rest + String(rest + 2).length).length;
    return `${rest + digits} ${key}=${value}\n`;
  });
  return tarEntry("PaxHeaders/x", lines.join(""), { type });
}

const INNER: Files = { "kafka_195.charm": "zip", "metadata.json": "{}", "resources/kafka.image_3": "image" };

describe("what an archive may look like", () => {
  const found = {
    "in: bundle.yaml": "applications: {}",
    "in: kafka.tar.gz: kafka_195.charm": "zip",
    "in: kafka.tar.gz: metadata.json": "{}",
    "in: kafka.tar.gz: resources/kafka.image_3": "image",
  };
  const outer = (inner: Uint8Array) => tarOf({ "bundle.yaml": "applications: {}", "kafka.tar.gz": inner });
  const dotted = Object.fromEntries(Object.entries(INNER).map(([path, content]) => [`./${path}`, content]));
  const withFolders = [
    tarEntry("./", "", { type: "Directory" }),
    ...Object.entries(dotted).map(([path, content]) => tarEntry(path, content)),
  ];

  test.each<[string, Uint8Array]>([
    ["plain", outer(tarOf(INNER))],
    ["gz in gz", gzipSync(outer(tgzOf(INNER)))],
    ["zst in zst", zstdCompressSync(outer(zstdCompressSync(tarOf(INNER))))],
    ["gz in plain", outer(tgzOf(INNER))],
    ["a leading ./ and folders", gzipSync(outer(tgzOf(withFolders)))],
    [
      "two gz members after each other",
      Buffer.concat([gzipSync(outer(tarOf(INNER)).subarray(0, 700)), gzipSync(outer(tarOf(INNER)).subarray(700))]),
    ],
    [
      "two zst frames and one to skip",
      Buffer.concat([
        zstdCompressSync(outer(tarOf(INNER)).subarray(0, 700)),
        Uint8Array.from([0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7]),
        zstdCompressSync(outer(tarOf(INNER)).subarray(700)),
      ]),
    ],
    ["padding of the last record", Buffer.concat([outer(tarOf(INNER)), Buffer.alloc(8192)])],
    [
      "litter of macOS",
      tarOf([
        tarEntry("._bundle.yaml", "x"),
        tarEntry(".DS_Store", "x"),
        tarEntry("__MACOSX/a", "x"),
        tarEntry("bundle.yaml", "applications: {}"),
        tarEntry("kafka.tar.gz", tgzOf(INNER)),
      ]),
    ],
  ])("%s", async (_, bytes) => {
    expect(await read(bytes)).toEqual(found);
  });

  test.each([1, 7, 511, 512, 513])("in chunks of %d bytes", async (chunk) => {
    expect(await read(gzipSync(outer(tgzOf(INNER))), {}, chunk)).toEqual(found);
    expect(await read(outer(tarOf(INNER)), {}, chunk)).toEqual(found);
  });

  test("a top folder is part of the path", async () => {
    expect(await read(tgzOf({ "top/a": "1", "top/sub/b": "2" }))).toEqual({ "in: top/a": "1", "in: top/sub/b": "2" });
  });

  test("what is no archive is one file", async () => {
    expect(await read(bytesOf("hello"))).toEqual({ in: "hello" });
    expect(await read(new Uint8Array())).toEqual({ in: "" });
  });

  test("what is compressed but no tar is one file", async () => {
    expect(await read(gzipSync("hello"))).toEqual({ in: "hello" });
  });

  test("a resource that is an archive stays as it is", async () => {
    const payload = tgzOf({ a: "1" });
    for await (const file of walk(tarOf({ "resources/x_1": payload })))
      expect(Buffer.from(await file.bytes.whole(MIB, "it")).equals(payload)).toBe(true);
  });

  const long = `${"folder/".repeat(30)}metadata.json`;
  test.each<[string, Uint8Array[]]>([
    ["pax", [pax({ path: long, mtime: "1.5" }), tarEntry("short", "{}")]],
    ["pax with a size", [pax({ path: long, size: "2" }), tarEntry("short", "{}")]],
    ["a global pax header before", [pax({ comment: "x" }, "GlobalExtendedHeader"), pax({ path: long }), tarEntry("short", "{}")]],
    ["GNU", [tarEntry("././@LongLink", `${long}\0`, { type: "NextFileHasLongPath" }), tarEntry("short", "{}")]],
    ["node-tar's own", [new Pax({ path: long }).encode(), tarEntry("short", "{}")]],
  ])("long names: %s", async (_, entries) => {
    expect(await read(tarOf([...entries, tarEntry("next", "n")]))).toEqual({ [`in: ${long}`]: "{}", "in: next": "n" });
  });

  test("names in UTF-8", async () => {
    expect(await read(tarOf([pax({ path: "é/世界.json" }), tarEntry("short", "{}")]))).toEqual({ "in: é/世界.json": "{}" });
  });

  test("files that are not read are skipped", async () => {
    const paths: string[] = [];
    for await (const file of walk(gzipSync(outer(tgzOf(INNER))))) paths.push(showLocation(file));
    expect(paths).toEqual(Object.keys(found));
  });

  test("any content, nested in any way", async () => {
    const wrap = fc.constantFrom<(bytes: Uint8Array) => Uint8Array>(
      (bytes) => bytes,
      (bytes) => gzipSync(bytes, { level: 1 }),
      (bytes) => zstdCompressSync(bytes),
    );
    const content = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,9}$/),
      fc.string({ maxLength: 2000 }).map((text) => `-${text}`),
      { minKeys: 1, maxKeys: 5 },
    );
    await fc.assert(
      fc.asyncProperty(
        content,
        fc.array(wrap, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 2000 }),
        async (map, wraps, chunk) => {
          let bytes: Uint8Array = tarOf(map);
          let prefix = "in: ";
          for (const [i, one] of wraps.entries()) {
            if (i > 0) {
              bytes = tarOf({ inner: bytes });
              prefix += "inner: ";
            }
            bytes = one(bytes);
          }
          expect(await read(bytes, {}, chunk)).toEqual(
            Object.fromEntries(Object.entries(map).map(([path, text]) => [prefix + path, text])),
          );
        },
      ),
      { numRuns: runs(60) },
    );
  });
});

describe("cut short, wherever", () => {
  const plain = tarOf({ "bundle.yaml": "applications: {}", "kafka.tar": tarOf({ ...INNER, big: "x".repeat(1500) }), last: "1234" });
  const offsets = (from: number, to: number, step: number) =>
    Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);

  async function refusesAll(cuts: readonly number[], cut: (at: number) => Uint8Array): Promise<void> {
    for (const at of cuts) expect([at, await refusalOf(read(cut(at)))]).toEqual([at, expect.stringMatching(/cut short|corrupt/)]);
  }

  test("a tar at every block", async () => {
    await refusesAll(offsets(512, plain.byteLength, 512), (at) => plain.subarray(0, at));
  });

  test("a tar at odd places", async () => {
    await refusesAll(offsets(513, plain.byteLength, 101), (at) => plain.subarray(0, at));
  });

  test.each<[string, Uint8Array, number]>([
    ["gz", gzipSync(plain), 2],
    ["zst", zstdCompressSync(plain), 4],
  ])("a tar in %s at every byte", async (_, packed, from) => {
    await refusesAll(offsets(from, packed.byteLength, stride(29)), (at) => packed.subarray(0, at));
  });

  test.each<[string, Uint8Array, number]>([
    ["gz", tgzOf(INNER), 2],
    ["zst", zstdCompressSync(tarOf(INNER)), 4],
    ["plain", tarOf(INNER), 512],
  ])("an inner archive in %s", async (kind, inner, from) => {
    await refusesAll(offsets(from, inner.byteLength, kind === "plain" ? 256 : stride(53) + 2), (at) =>
      tgzOf({ "inner.tar": inner.subarray(0, at), last: "x" }),
    );
  });

  test("the message says where", async () => {
    const message = await refusalOf(read(tgzOf({ "kafka.tar.gz": tgzOf(INNER).subarray(0, 100) })));
    expect(message).toStartWith("in: kafka.tar.gz: ");
  });
});

describe("damaged", () => {
  const random = Buffer.from(Array.from({ length: 40 }, (_, i) => sumsOf(bytesOf(`${i}`))["sha-256"]).join(""), "hex").toString("base64");
  const tar = tarOf({ ...INNER, random });
  test.each<[string, Uint8Array]>([
    ["gz", gzipSync(tar)],
    ["zst with a checksum", zstdCompressSync(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })],
  ])("any flipped bit of a %s: the same files, or a refusal", async (_, packed) => {
    const whole = await read(packed);
    let refusals = 0;
    for (let at = 4; at < packed.byteLength; at += stride(29)) {
      const bytes = Buffer.from(packed);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      const found = await read(bytes).catch((error: unknown) => error);
      if (found instanceof Failure && found.kind === "refused") refusals += 1;
      else expect([at, found]).toEqual([at, whole]);
    }
    expect(refusals).toBeGreaterThan(packed.byteLength / 2 / stride(29));
  });

  test("a later header whose checksum is wrong", async () => {
    const bytes = Buffer.concat([tarEntry("a", "1"), patched(tarEntry("b", "2"), 0, "b"), Buffer.alloc(1024)]);
    bytes[1024 + 150] = 0x31;
    expect(await refusalOf(read(bytes))).toContain("header");
  });

  test("a hole of zeros where files were", async () => {
    const bytes = Buffer.concat([tarEntry("a", "1"), Buffer.alloc(512), tarEntry("b", "2"), Buffer.alloc(1024)]);
    await refusalOf(read(bytes));
  });

  test("a second tar after the end of the first", async () => {
    await refusalOf(read(Buffer.concat([tarOf({ a: "1" }), tarOf({ b: "2" })])));
  });
});

test("a small archive in another is what it is by itself: its files, or the same refusal", async () => {
  /** Without where it lies. */
  const outcome = async (bytes: Uint8Array): Promise<unknown> => {
    const found: Record<string, string> = {};
    try {
      for await (const file of walk(bytes)) if (file.path !== "other") found[file.path] = await file.bytes.whole(MIB, "it").then(String);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return error.reason;
    }
    return found;
  };
  const tar = tarOf({ "a.yaml": "a: 1", "metadata.json": "{}", "resources/r_1": "r".repeat(3000) });
  const members = fc.integer({ min: 1, max: 4 }).map((count) => {
    const size = Math.ceil(tar.byteLength / count);
    return Buffer.concat(Array.from({ length: count }, (_, i) => gzipSync(tar.subarray(i * size, (i + 1) * size))));
  });
  const damage = fc.oneof(
    fc.constant((bytes: Uint8Array) => bytes),
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map((more) => (bytes: Uint8Array) => Buffer.concat([bytes, more])),
    fc.nat(40).map((zeros) => (bytes: Uint8Array) => Buffer.concat([bytes, new Uint8Array(zeros)])),
    fc.nat().map((at) => (bytes: Uint8Array) => bytes.subarray(0, 2 + (at % (bytes.byteLength - 2)))),
    fc.tuple(fc.nat(), fc.nat(7)).map(([at, bit]) => (bytes: Uint8Array) => {
      const copy = new Uint8Array(bytes);
      const place = 2 + (at % (copy.byteLength - 2));
      copy[place] = (copy[place] ?? 0) ^ (1 << bit);
      return copy;
    }),
  );
  await fc.assert(
    fc.asyncProperty(members, damage, async (whole, change) => {
      const inner = change(whole);
      expect(await outcome(tarOf({ other: "x", "inner.tar.gz": inner }))).toEqual(await outcome(inner));
    }),
    { numRuns: runs(400) },
  );
});

describe("hostile tars", () => {
  const typed = (path: string, type: string, over: Record<string, unknown> = {}) => [tarEntry(path, "", { type, ...over })];
  const huge = 0o77777777777;

  test.each<[string, string, readonly Uint8Array[]]>([
    [
      "a file without a name",
      "a file in it has no name",
      [tarEntry("././@LongLink", "./\0", { type: "NextFileHasLongPath" }), tarEntry("a", "1")],
    ],
    [
      "a symbolic link",
      "metadata.json is a symbolic link: only files and folders are read",
      typed("metadata.json", "SymbolicLink", { linkpath: "/etc/passwd" }),
    ],
    [
      "a hard link",
      "metadata.json is a hard link: only files and folders are read",
      typed("metadata.json", "Link", { linkpath: "/etc/passwd" }),
    ],
    ["a character device", "a is a device: only files and folders are read", typed("a", "CharacterDevice")],
    ["a block device", "a is a device: only files and folders are read", typed("a", "BlockDevice")],
    ["a named pipe", "a is a named pipe: only files and folders are read", typed("a", "FIFO")],
    ["a type that nobody knows", "a is a special file: only files and folders are read", [patched(tarEntry("a", "1"), TYPE_FIELD, "Z")]],
    ["a path that points outside the archive", "the path ../metadata.json points outside the archive", [tarEntry("../metadata.json", "1")]],
    [
      "a path that points outside the archive on the way",
      "the path a/../../metadata.json points outside the archive",
      [tarEntry("a/../../metadata.json", "1")],
    ],
    ["a folder that points outside the archive", "the path ../x/ points outside the archive", typed("../x/", "Directory")],
    ["an absolute path", "the path /metadata.json is absolute", [tarEntry("/metadata.json", "1")]],
    ["a control character in a path", "the path a\\u{1b}[2J has characters that are not for printing", [tarEntry("a\u001b[2J", "1")]],
    ["a line feed in a path", "the path a\\u{a}b has characters that are not for printing", [tarEntry("a\nb", "1")]],
    [
      "a character that turns the text around",
      "the path a\\u{202e}gnp.json has characters that are not for printing",
      [tarEntry("a\u202egnp.json", "1")],
    ],
    ["an absolute path in a pax header", "the path /etc/passwd is absolute", [pax({ path: "/etc/passwd" }), tarEntry("a", "1")]],
    [
      "a path that points outside the archive in a GNU header",
      "the path ../x points outside the archive",
      [tarEntry("././@LongLink", "../x\0", { type: "NextFileHasLongPath" }), tarEntry("a", "1")],
    ],
    ["a path of 5000 characters", "a path in it is longer than 4096 characters", [pax({ path: "a".repeat(5000) }), tarEntry("a", "1")]],
    ["an entry twice", "a is in it twice", [tarEntry("a", "1"), tarEntry("a", "1")]],
    ["an entry twice in two spellings", "a/b is in it twice", [tarEntry("a/b", "1"), tarEntry("./a//b", "2")]],
    [
      "a negative size",
      "a tar header has an invalid size",
      [
        patched(
          tarEntry("a", ""),
          SIZE_FIELD,
          Array.from({ length: 12 }, () => 0xff),
        ),
      ],
    ],
    ["a size that is no number", "a tar header has an invalid size", [patched(tarEntry("a", ""), SIZE_FIELD, "garbage!!!!!")]],
    [
      "a size beyond all numbers",
      "a tar header is wrong",
      [patched(tarEntry("a", ""), SIZE_FIELD, [0x80, 0x7f, ...Array.from({ length: 10 }, () => 0xff)])],
    ],
    [
      "a size of 8 GiB without content",
      "a ends after 1536 of 8589934591 bytes",
      [patched(tarEntry("a", "1"), SIZE_FIELD, `${huge.toString(8)}\0`)],
    ],
    [
      "a pax size of 2^60 without content",
      "an extended tar header has a size that is no number of bytes",
      [pax({ size: String(2 ** 60) }), tarEntry("a", "1")],
    ],
    [
      "a pax size that is no number",
      "an extended tar header has a size that is no number of bytes",
      [pax({ size: "1.5" }), tarEntry("a", "1")],
    ],
    [
      "a pax header of 2 MiB",
      "an extended tar header is larger than 1048576 bytes",
      [tarEntry("x", "y".repeat(2 * MIB), { type: "ExtendedHeader" })],
    ],
    [
      "a pax header of 8 GiB without content",
      "an extended tar header is larger than 1048576 bytes",
      [patched(tarEntry("x", "", { type: "ExtendedHeader" }), SIZE_FIELD, `${huge.toString(8)}\0`)],
    ],
    [
      "a GNU long name of 2 MiB",
      "an extended tar header is larger than 1048576 bytes",
      [tarEntry("x", "y".repeat(2 * MIB), { type: "NextFileHasLongPath" })],
    ],
    [
      "a sparse file",
      "it holds a sparse file",
      [pax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a" }), tarEntry("GNUSparseFile.0/a", "1")],
    ],
  ])("%s is refused: %s", async (_, why, entries) => {
    const message = await refusalOf(read(tarOf(["ok", "ok2"].map((name) => tarEntry(name, "1")).concat(entries))));
    expect(message).toContain(why);
    expect(message).not.toMatch(/\p{Cc}|\p{Cf}/u);
    await refusalOf(read(tgzOf({ "inner.tar.gz": tgzOf([tarEntry("ok", "1"), ...entries]) })));
  });

  test("a sparse file says how to make the tar without", async () => {
    const sparse = tarOf([pax({ "GNU.sparse.major": "1" }), tarEntry("a", "1")]);
    const error = await read(sparse).catch((thrown: unknown) => thrown);
    expect(error instanceof Failure && error.next).toBe("make the tar without --sparse");
  });

  test("litter is passed over whole, in chunks of any size", async () => {
    const tar = tarOf([tarEntry("._a", "x".repeat(5000)), tarEntry("a", "1"), tarEntry(".DS_Store", "y".repeat(513)), tarEntry("b", "2")]);
    for (const chunk of [1, 100, 512, 4096]) expect(await read(tar, {}, chunk)).toEqual({ "in: a": "1", "in: b": "2" });
  });

  test("too many entries", async () => {
    const tar = tarOf(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`f${i}`, "x"])));
    expect(Object.keys(await read(tar, { entries: 11 }))).toHaveLength(11);
    await refusalOf(read(tar, { entries: 10 }));
  });

  test("too many entries in all tars together, headers counted", async () => {
    const one = tarOf([pax({ comment: "x" }), tarEntry("a", "1")]);
    await refusalOf(read(tarOf({ "1.tar": one, "2.tar": one, "3.tar": one }), { entries: 8 }));
  });

  test("archives in archives without end", async () => {
    let bytes: Uint8Array = bytesOf("core");
    for (let i = 0; i < 40; i += 1) bytes = i % 2 ? gzipSync(bytes) : tarOf({ a: bytes });
    expect(await refusalOf(read(bytes))).toContain("nested");
  });

  test.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["gz", (bytes) => gzipSync(bytes)],
    ["zst", (bytes) => zstdCompressSync(bytes)],
  ])("a bomb in %s", async (_, pack) => {
    const bomb = pack(Buffer.alloc(48 * MIB));
    for (const bytes of [bomb, tarOf({ "a.tar.gz": bomb })]) expect(await refusalOf(drain(bytes))).toContain("times its size");
  });

  /** One frame around bytes that are kept as they are: its descriptor, its window or its content's size, and a single block. */
  const frame = (descriptor: number, header: readonly number[], content: Uint8Array) =>
    Buffer.concat([
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, descriptor, ...header),
      Uint8Array.of(1 | (content.byteLength << 3), content.byteLength >> 5, content.byteLength >> 13),
      content,
    ]);

  test("a zstd frame takes the window that zstd takes by itself, 128 MiB, and no byte more", async () => {
    const tar = tarOf({ a: "1" });
    for (let exponent = 0; exponent < 32; exponent += 1)
      for (let mantissa = 0; mantissa < 8; mantissa += 1) {
        const window = 2 ** (10 + exponent) * (1 + mantissa / 8);
        if (window < tar.byteLength) continue; // no block is longer than its window
        const work = read(frame(0, [(exponent << 3) | mantissa], tar));
        if (window > 128 * MIB) expect(await refusalOf(work)).toContain(`a window of ${window} bytes`);
        else expect(await work).toEqual({ "in: a": "1" });
      }
  });

  test("a zstd frame of one segment has its content for a window", async () => {
    const sizes = (size: number) => [size, size / 2 ** 8, size / 2 ** 16, size / 2 ** 24].map((byte) => Math.floor(byte) & 255);
    const tar = tarOf({ a: "1" });
    expect(await read(frame(0xa0, sizes(tar.byteLength), tar))).toEqual({ "in: a": "1" });
    expect(await read(frame(0x60, sizes(tar.byteLength - 256).slice(0, 2), tar))).toEqual({ "in: a": "1" });
    const one = 128 * MIB + 1;
    expect(await refusalOf(read(frame(0xa0, sizes(one), tar)))).toContain(`a window of ${one} bytes`);
    expect(await refusalOf(read(frame(0xe0, [...sizes(one), 0, 0, 0, 0], tar)))).toContain(`a window of ${one} bytes`);
    expect(await refusalOf(read(frame(0xe3, [9, 9, 9, 9, ...sizes(one), 0, 0, 0, 1], tar)))).toContain(
      `a window of ${one + 2 ** 56} bytes`,
    );
    expect(await refusalOf(read(frame(0xa0, sizes(128 * MIB), tar)))).not.toContain("a window of");
  });

  test("more bytes than allowed, of all archives together", async () => {
    const inner = tgzOf({ a: "x".repeat(40_000) });
    const tar = tarOf({ "1.tar.gz": inner, "2.tar.gz": inner, "3.tar.gz": inner });
    expect(await refusalOf(read(tar, { size: 100_000 }))).toContain("unpacks to more");
    expect(Object.keys(await read(tar, { size: 200_000 }))).toHaveLength(3);
  });

  test("any bytes after a header: an answer or a refusal, nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.constantFrom("tar", "gz", "zst"), async (noise, kind) => {
        const head = { tar: tarEntry("a", "1"), gz: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], zst: [0x28, 0xb5, 0x2f, 0xfd] }[kind];
        await refusalOf(read(Buffer.concat([new Uint8Array(head), noise])));
      }),
      { numRuns: runs(200) },
    );
  });
});

describe("the source", () => {
  test("is closed when the reader stops early", async () => {
    let closed = false;
    const chunks = (async function* () {
      try {
        yield* inChunks(tgzOf({ a: "1", b: "2" }), 10);
      } finally {
        closed = true;
      }
    })();
    for await (const _ of files({ name: "in", chunks }, keep)) break;
    expect(closed).toBe(true);
  });

  test.each<[string, Error]>([
    ["an error of the system", Object.assign(new Error("input/output error"), { code: "EIO", syscall: "read" })],
    ["an interruption", new Failure("interrupted", "interrupted")],
  ])("%s is not taken for a corrupt archive", async (_, error) => {
    for (const bytes of [gzipSync(Buffer.alloc(4 * MIB, "ab")), tarOf({ a: "x".repeat(MIB) })]) {
      const chunks = (async function* () {
        yield bytes.subarray(0, 1000);
        throw error;
      })();
      const work = async () => {
        for await (const file of files({ name: "in", chunks }, keep)) await file.bytes.drain();
      };
      const thrown = await work().then(
        () => undefined,
        (one: unknown) => one,
      );
      expect(thrown instanceof Failure ? thrown.kind : thrown).toBe(error instanceof Failure ? error.kind : error);
    }
  });
});

describe("zips", () => {
  const wanted = new Map([
    ["metadata.yaml", "needed"],
    ["README.md", "optional"],
  ] as const);

  function access(bytes: Uint8Array): ReadAt {
    return { size: bytes.byteLength, bytes: async (start, end) => bytes.slice(start, end) };
  }

  async function unzip(bytes: Uint8Array, limits: Partial<Limits> = {}): Promise<Record<string, string>> {
    const found = await zipFiles(access(bytes), wanted, new Budget({ ...LIMITS, ...limits }));
    return Object.fromEntries([...found].map(([name, one]) => [name, Buffer.from(one).toString()]));
  }

  test("whose list of files is long is read in few pieces", async () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`lib/file_${i}.txt`, ""]));
    const bytes = zipOf({ ...many, "metadata.yaml": "name: a\n" });
    const lengths: number[] = [];
    const counted: ReadAt = {
      size: bytes.byteLength,
      bytes: async (start, end) => {
        lengths.push(end - start);
        return bytes.subarray(start, end);
      },
    };
    const found = await zipFiles(counted, wanted, new Budget(LIMITS));
    expect([...found.keys()]).toEqual(["metadata.yaml"]);
    expect(lengths.length).toBeLessThan(20);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(MIB);
  });

  const PLAIN = zipOf({ "metadata.yaml": "name: a\n", "README.md": "# a\n", "src/charm.py": "x" });
  const FOUND = { "metadata.yaml": "name: a\n", "README.md": "# a\n" };

  /** Where the headers of a name are: in the central directory (46 bytes before it), and before its data (30 bytes). */
  function headers(zip: Uint8Array, name: string): { central: number; local: number } {
    const buffer = Buffer.from(zip);
    return { central: buffer.lastIndexOf(name) - 46, local: buffer.indexOf(name) - 30 };
  }

  function edited(zip: Uint8Array, edit: (bytes: Buffer) => void): Uint8Array {
    const bytes = Buffer.from(zip);
    edit(bytes);
    return bytes;
  }

  function asLink(zip: Uint8Array, name: string): Uint8Array {
    return edited(zip, (bytes) => bytes.writeUInt32LE((0o120777 << 16) >>> 0, headers(zip, name).central + 38));
  }

  test("the wanted files of the top level are found", async () => {
    expect(await unzip(PLAIN)).toEqual(FOUND);
    expect(await unzip(zipOf({ "sub/metadata.yaml": "name: a\n" }))).toEqual({});
  });

  test("a link is no trouble where nobody wants it, and left out where it is optional", async () => {
    expect(await unzip(asLink(PLAIN, "src/charm.py"))).toEqual(FOUND);
    expect(await unzip(asLink(PLAIN, "README.md"))).toEqual({ "metadata.yaml": "name: a\n" });
  });

  test("metadata.yaml as a link is refused", async () => {
    expect(await refusalOf(unzip(asLink(PLAIN, "metadata.yaml")))).toStartWith("metadata.yaml in its zip ");
  });

  test("too large a file is refused, and left out where it is optional", async () => {
    expect(await refusalOf(unzip(zipOf({ "metadata.yaml": "x".repeat(101) }), { text: 100 }))).toContain("100");
    expect(await unzip(zipOf({ "metadata.yaml": "x", "README.md": "x".repeat(101) }), { text: 100 })).toEqual({ "metadata.yaml": "x" });
  });

  test("too many entries", async () => {
    expect(await refusalOf(unzip(PLAIN, { entries: 2 }))).toContain("its zip holds more than 2 entries");
  });

  const twin = zipOf({ "metadata.yaml": "name: a\n", "metadata.yamm": "name: b\n" });
  const rename = (bytes: Buffer) => {
    for (let at = bytes.indexOf("metadata.yamm"); at >= 0; at = bytes.indexOf("metadata.yamm")) bytes.write("metadata.yaml", at);
  };
  const named = (name: string) => zipOf({ "metadata.yaml": "name: a\n", [name]: "x" });
  const { central, local } = headers(PLAIN, "metadata.yaml");

  test.each<[string, string, Uint8Array]>([
    ["a file that is in it twice", "metadata.yaml is in its zip twice", edited(twin, rename)],
    ["a name that points outside the archive", "its zip is corrupt (", named("../x")],
    ["an absolute name", "its zip is corrupt (", named("/x")],
    ["another size in the central directory", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(3, central + 24))],
    [
      "a size that is far too large",
      "metadata.yaml in its zip is larger than 2097152 bytes",
      edited(PLAIN, (b) => b.writeUInt32LE(0xfffffff0, central + 24)),
    ],
    ["another compressed size", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(2, central + 20))],
    ["another place of the data", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(5, central + 42))],
    ["a place beyond the end", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(0x7fffffff, central + 42))],
    ["a central directory that is no such thing", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(0, central))],
    ["a header before the data that is no such thing", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt32LE(0, local))],
    ["more entries than there are", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt16LE(9, b.byteLength - 12))],
    [
      "other content than its checksum says",
      "metadata.yaml in its zip: content does not match its checksum",
      edited(PLAIN, (b) => b.writeUInt32LE(1, central + 16)),
    ],
    ["content that is encrypted", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt16LE(1, central + 8))],
    ["a compression that nobody knows", "its zip is corrupt (", edited(PLAIN, (b) => b.writeUInt16LE(99, central + 10))],
    ["nothing at all", "its zip is corrupt (", new Uint8Array()],
    ["no zip", "its zip is corrupt (", bytesOf("PK\u0003\u0004 not a zip")],
  ])("%s is refused: %s", async (_, why, zip) => {
    expect(await refusalOf(unzip(zip))).toContain(why);
  });

  test("cut short at every byte", async () => {
    for (let at = 0; at < PLAIN.byteLength; at += stride(7)) await refusalOf(unzip(PLAIN.subarray(0, at)));
  });

  test("any damage gives the same files, or a refusal", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(PLAIN.byteLength - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const zip = edited(PLAIN, (b) => b.writeUInt8((b[at] ?? 0) ^ mask, at));
        const found = await unzip(zip).catch((error: unknown) => {
          if (error instanceof Failure && error.kind === "refused") return FOUND;
          throw error;
        });
        // A damaged name or mode may hide a file, but none may have other content.
        for (const [name, text] of Object.entries(found)) expect([name, text]).toEqual([name, FOUND[name as keyof typeof FOUND]]);
      }),
      { numRuns: runs(400) },
    );
  });

  describe("texts", () => {
    const CHARM: Files = { "metadata.yaml": "name: a\n", "src/charm.py": "x", "src/deep/er/é.py": "é", "icon.svg": "<svg/>" };
    const python = (path: string) => path.endsWith(".py");

    async function texts(
      bytes: Uint8Array,
      rule: (path: string, size: number) => boolean = python,
      bounds: Partial<Record<"files" | "size", number>> = {},
      limits: Partial<Limits> = {},
    ): Promise<Record<string, string>> {
      return Object.fromEntries(await zipTexts(access(bytes), rule, new Budget({ ...LIMITS, ...limits }), { ...TEXTS, ...bounds }));
    }

    test("those that the rule takes are found, at any depth", async () => {
      expect(await texts(zipOf(CHARM))).toEqual({ "src/charm.py": "x", "src/deep/er/é.py": "é" });
      expect(await texts(zipOf(CHARM), () => false)).toEqual({});
    });

    test("the rule sees a path and a size in bytes, and no folder", async () => {
      const seen: Record<string, number> = {};
      await texts(zipOf({ "src/": "", ...CHARM }), (path, size) => {
        seen[path] = size;
        return false;
      });
      expect(seen).toEqual({ "metadata.yaml": 8, "src/charm.py": 1, "src/deep/er/é.py": 2, "icon.svg": 6 });
    });

    const OTHER = { "src/deep/er/é.py": "é" };
    const zip = zipOf(CHARM);
    const at = headers(zip, "src/charm.py");
    test.each<[string, Uint8Array]>([
      ["a link", asLink(zip, "src/charm.py")],
      ["no UTF-8", zipOf({ ...CHARM, "src/charm.py": new Uint8Array([0x78, 0xff]) })],
      ["encrypted", edited(zip, (b) => b.writeUInt16LE(1, at.central + 8))],
      ["of a compression that nobody knows", edited(zip, (b) => b.writeUInt16LE(99, at.central + 10))],
      ["of other content than its checksum says", edited(zip, (b) => b.writeUInt32LE(1, at.central + 16))],
      ["of another size than is said", edited(zip, (b) => b.writeUInt32LE(3, at.central + 24))],
      ["far too large", edited(zip, (b) => b.writeUInt32LE(0xfffffff0, at.central + 24))],
      ["without a header of its own", edited(zip, (b) => b.writeUInt32LE(0, at.local))],
    ])("a file that is %s is left out", async (_, bytes) => {
      expect(await texts(bytes)).toEqual(OTHER);
    });

    test("the second of a name is left out", async () => {
      const doubled = edited(zipOf({ "a.py": "first", "b.py": "second" }), (b) => {
        for (let i = b.indexOf("b.py"); i >= 0; i = b.indexOf("b.py")) b.write("a.py", i);
      });
      expect(await texts(doubled)).toEqual({ "a.py": "first" });
    });

    test("no more files, bytes and bytes of one file than asked for", async () => {
      const many = zipOf({ "a.py": "12345", "b.py": "12345", "c.py": "12" });
      expect(Object.keys(await texts(many, python, { files: 2 }))).toEqual(["a.py", "b.py"]);
      expect(Object.keys(await texts(many, python, { size: 7 }))).toEqual(["a.py", "c.py"]);
      expect(Object.keys(await texts(many, python, {}, { text: 4 }))).toEqual(["c.py"]);
    });

    test("too many entries, and a zip that is none, are refused", async () => {
      await refusalOf(texts(zip, python, {}, { entries: 3 }));
      await refusalOf(texts(bytesOf("PK\u0003\u0004 not a zip")));
      await refusalOf(texts(edited(zip, (b) => b.writeUInt32LE(0, at.central))));
    });

    test("what fails below a zip is not taken for its fault", async () => {
      const broken = Object.assign(new Error("the disk is gone"), { syscall: "read" });
      const far = zipOf({ "src/charm.py": "x", "noise.bin": new Uint8Array(randomBytes(MIB + 1)) });
      const disk: ReadAt = {
        size: far.byteLength,
        bytes: async (start, end) => (start === 0 ? Promise.reject(broken) : far.slice(start, end)),
      };
      expect(await zipTexts(disk, python).catch((error: unknown) => error)).toBe(broken);
    });
  });
});
