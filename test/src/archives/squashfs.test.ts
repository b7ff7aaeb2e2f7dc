import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deflateSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import type { ReadAt } from "../../../src/archives/archive.ts";
import { classify } from "../../../src/archives/names.ts";
import { type SquashfsLimits, squashfsFiles, UnreadableSquashfs } from "../../../src/archives/squashfs.ts";
import { Failure } from "../../../src/errors.ts";
import type { Files } from "../../build.ts";
import { type SquashfsOptions, squashfs } from "../../squashfs.ts";
import { stride } from "../../thorough.ts";
import { noise } from "../../world.ts";
import { anyOptions, anyTree, read, snapOf } from "./trees.ts";

const MIB = 2 ** 20;
const FIXTURES = join(import.meta.dir, "../../fixtures/squashfs");

async function text(image: Uint8Array, path: string): Promise<string | undefined> {
  const bytes = (await read(image, [path])).get(path);
  return bytes && Buffer.from(bytes).toString();
}

/** What was found, or why it was refused; nothing else may happen. */
async function outcome(
  image: Uint8Array,
  paths: readonly string[],
  limits?: Partial<SquashfsLimits>,
): Promise<Map<string, Uint8Array> | string> {
  try {
    return await read(image, paths, limits);
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused") return error.message;
    throw error;
  }
}

/** The image with numbers written over it: `[offset, bytes of the number, number]`. */
function patched(image: Uint8Array, ...patches: readonly (readonly [at: number, width: 1 | 2 | 4 | 8, value: number | bigint])[]): Buffer {
  const copy = Buffer.from(image);
  for (const [at, width, value] of patches) {
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt.asUintN(width * 8, BigInt(value)));
    copy.set(number.subarray(0, width), at);
  }
  return copy;
}

/** Where the fields of a superblock are. */
const FIELD = {
  blockSize: 12,
  fragments: 16,
  compression: 20,
  blockLog: 22,
  major: 28,
  minor: 30,
  root: 32,
  size: 40,
  inodes: 64,
  folders: 72,
  fragmentTable: 80,
} as const;

function fieldOf(image: Uint8Array, field: keyof typeof FIELD): number {
  return Number(Buffer.from(image).readBigUInt64LE(FIELD[field]));
}

/** An image that nothing in is compressed, and where the first inode, the first list and the inode of the top are in it. */
function plain(files: Files, options: SquashfsOptions = {}) {
  const image = squashfs(files, { ...options, compression: "none" });
  const inode = fieldOf(image, "inodes") + 2;
  return { image, inode, list: fieldOf(image, "folders") + 2, top: inode + (fieldOf(image, "root") % 65536) };
}

const YAML = "name: fixture\nsummary: It says some things twice, it says some things twice.\n";

test("a squashfs is known by how it starts", () => {
  expect(classify("", squashfs({}))).toBe("squashfs");
  expect(classify("", Buffer.from("hsqs"))).toBe("squashfs");
  for (const head of ["", "hsq", "sqsh", "PK\u0003\u0004"]) expect(classify("", Buffer.from(head))).not.toBe("squashfs");
});

describe("images of mksquashfs", () => {
  /** SHA-256 of what `unsquashfs -cat` prints. */
  const SUMS: Readonly<Record<string, string>> = {
    "meta/snap.yaml": "17fb8f3f645570eb7580846a98755f86af88816223feb72ccd1223513e9b3e4f",
    "meta/gui/icon.svg": "8d85e0a2a22a98c605cd49d4308040b577d0eb679418ecca14505798dd38f69b",
    "meta/hooks/configure": "306c6ca7407560340797866e077e053627ad409277d1b9da58106fce4cf717cb",
    "bin/fixture": "45e2cede4b487ee78a72845f87cdce6245230b17dc8d5c82e352d2c72a60464c",
    "bin/empty": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  };
  const PATHS = Object.keys(SUMS);

  // bin/fixture starts with a hole and goes on with calls, as x86 code has them; blocks are of 4 KiB.
  // `mksquashfs tree X.squashfs -all-root -no-xattrs -mkfs-time 0 -all-time 0 -b 4096 -comp …`; gzip is made with
  // -Xcompression-level 5, so that its options are written down, and xz-x86 with -Xbcj x86.
  const IMAGES = ["gzip", "xz", "lzo", "lz4", "zstd"].map(
    (name) => [name, new Uint8Array(readFileSync(join(FIXTURES, `${name}.squashfs`)))] as const,
  );

  test.each(IMAGES)("%s is read byte for byte", async (_, image) => {
    const found = await read(image, [...PATHS, "meta/link", "meta/none", "meta"]);
    const sums = [...found].map(([path, bytes]) => [path, createHash("sha256").update(bytes).digest("hex")]);
    expect(Object.fromEntries(sums)).toEqual(SUMS);
  });

  test.each(IMAGES)("%s with any byte wrong is read or refused", async (_, image) => {
    const limits = { file: 65536 };
    for (let at = 0; at < fieldOf(image, "size"); at += stride(97)) {
      const found = await outcome(patched(image, [at, 1, (image[at] ?? 0) ^ 0xff]), PATHS, limits);
      if (typeof found === "string")
        expect(found).toMatch(/^(it is corrupt: |its squashfs |it is no squashfs|.* in its squashfs is larger)/);
      else for (const bytes of found.values()) expect(bytes.byteLength).toBeLessThanOrEqual(limits.file);
    }
  });

  test.each(IMAGES)("%s cut short is refused", async (_, image) => {
    const size = fieldOf(image, "size");
    for (let end = 0; end < size; end += end < 200 ? 1 : 7) {
      const found = await outcome(image.subarray(0, end), PATHS);
      expect(found).toMatch(end < 4 ? /^it is no squashfs$/ : /^it is corrupt: it is cut short/);
    }
    expect(await outcome(image.subarray(0, size), PATHS)).toEqual(await read(image, PATHS));
  });
});

describe("trees", () => {
  test("every file is read, by its path alone", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, anyOptions, async (tree, how) => {
        const image = squashfs(Object.fromEntries(tree), how);
        const folders = [...tree.keys()].map(dirname);
        const others = [...tree.keys()].flatMap((path) => [`${path}/x`, `/${path}`, `${path}/`, `./${path}`, `${path}x`]);
        const found = await read(image, [...others, ...folders, "", ".", "..", ...tree.keys()]);
        expect([...found.keys()].toSorted()).toEqual([...tree.keys()].toSorted());
        for (const [path, bytes] of found) expect(Buffer.compare(bytes, tree.get(path) ?? Buffer.from("none"))).toBe(0);
      }),
    );
  });

  test("links are not followed", async () => {
    const image = squashfs({ "real/snap.yaml": YAML }, { links: { meta: "real", "real/link": "snap.yaml" } });
    const found = await read(image, ["meta/snap.yaml", "meta", "real/link", "real/snap.yaml"]);
    expect([...found.keys()]).toEqual(["real/snap.yaml"]);
  });

  test.each([false, true])("a folder of many files is searched to its end (extended: %p)", async (extended) => {
    const many = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`many/a file with a long name ${i}`, `${i}`]));
    const image = squashfs({ ...many, "many/zzz": "last" }, { extended });
    expect(await text(image, "many/zzz")).toBe("last");
    expect(await text(image, "many/a file with a long name 2999")).toBe("2999");
    expect(await text(image, "many/a file with a long name 3000")).toBeUndefined();
  });

  test("only what is needed is read", async () => {
    const snap = snapOf(squashfs({ "bin/large": noise(4 * MIB), "meta/snap.yaml": YAML }, { fragments: false }));
    expect((await squashfsFiles(snap, ["meta/snap.yaml", "meta/component.yaml"])).size).toBe(1);
    expect(snap.given()).toBeLessThan(32 * 1024);
  });
});

describe("what can't be read", () => {
  test.each([
    [2, "lzma"],
    [0, "an unknown method"],
    [9, "method 9"],
  ])("compression %i is named", async (number, compression) => {
    const image = patched(squashfs({ "meta/snap.yaml": YAML.repeat(9) }), [FIELD.compression, 2, number]);
    const error = await read(image, ["meta/snap.yaml"]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnreadableSquashfs);
    expect(error).toMatchObject({
      kind: "refused",
      compression,
      message: `its squashfs is compressed with ${compression}, which can't be read here`,
    });
  });

  test("a filter of xz is named", async () => {
    const image = new Uint8Array(readFileSync(join(FIXTURES, "xz-x86.squashfs")));
    const error = await read(image, ["bin/fixture"]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnreadableSquashfs);
    expect(error).toMatchObject({ compression: "xz with a filter for machine code" });
  });

  test("what is stored as it is needs no compression", async () => {
    const { image } = plain({ "meta/snap.yaml": YAML });
    expect(await text(patched(image, [FIELD.compression, 2, 2]), "meta/snap.yaml")).toBe(YAML);
  });

  test("a file larger than the limit is refused by name, before it is read", async () => {
    const image = squashfs({ "meta/gui/icon.png": new Uint8Array(5 * MIB), "meta/snap.yaml": YAML });
    expect(await outcome(image, ["meta/gui/icon.png"])).toBe("meta/gui/icon.png in its squashfs is larger than 2097152 bytes");
    expect(await outcome(image, ["meta/gui/icon.png"], { file: 5 * MIB })).toBeInstanceOf(Map);
    expect(await outcome(image, ["meta/snap.yaml"], { file: YAML.length })).toBeInstanceOf(Map);
    expect(await outcome(image, ["meta/snap.yaml"], { file: YAML.length - 1 })).toBeString();
    const { image: small, inode } = plain({ a: "x" }, { extended: true });
    expect(await outcome(patched(small, [inode + 24, 8, 2n ** 60n]), ["a"])).toBe("a in its squashfs is larger than 2097152 bytes");
  });

  test("metadata beyond the limit is refused", async () => {
    const many = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`a file with a long name ${i}`, ""]));
    const image = squashfs({ ...many, zzz: "last" }, { compression: "none" });
    expect(await outcome(image, ["zzz"], { metadata: 65536 })).toBe("its squashfs has a folder whose list is larger than 65536 bytes");
    expect(await outcome(image, ["zzz"], { metadata: 112 * 1024 })).toBe("its squashfs needs more than 114688 bytes of metadata read");
    expect(await outcome(image, ["zzz"])).toBeInstanceOf(Map);
  });
});

describe("hostile images", () => {
  const SNAP = squashfs({ "meta/snap.yaml": YAML });
  const SIZE = fieldOf(SNAP, "size");

  test.each<[what: string, patches: Parameters<typeof patched>[1][], message: RegExp]>([
    [
      "version 3.1",
      [
        [FIELD.major, 2, 3],
        [FIELD.minor, 2, 1],
      ],
      /^its squashfs is of version 3\.1: only 4\.0 is read$/,
    ],
    ["a block size that is no power of two", [[FIELD.blockSize, 4, 131073]], /^it is corrupt: its block size/],
    [
      "a block size of 2 KiB",
      [
        [FIELD.blockSize, 4, 2048],
        [FIELD.blockLog, 2, 11],
      ],
      /^it is corrupt: its block size/,
    ],
    [
      "a block size of 2 MiB",
      [
        [FIELD.blockSize, 4, 2 * MIB],
        [FIELD.blockLog, 2, 21],
      ],
      /^it is corrupt: its block size/,
    ],
    ["a block size that its logarithm denies", [[FIELD.blockLog, 2, 16]], /^it is corrupt: its block size/],
    ["more bytes than there are", [[FIELD.size, 8, SNAP.byteLength + 1]], /^it is corrupt: it is cut short: 4096 of 4097 bytes/],
    ["more bytes than anything has", [[FIELD.size, 8, -1]], /^it is corrupt: it is cut short/],
    ["fewer bytes than its tables", [[FIELD.size, 8, 100]], /^it is corrupt: its tables/],
    ["inodes in the superblock", [[FIELD.inodes, 8, 0]], /^it is corrupt: its tables/],
    ["inodes after folders", [[FIELD.inodes, 8, SIZE]], /^it is corrupt: its tables/],
    ["folders beyond the end", [[FIELD.folders, 8, SIZE + 1]], /^it is corrupt: its tables/],
    ["folders beyond all ends", [[FIELD.folders, 8, -2]], /^it is corrupt: its tables/],
    ["a top beyond the inodes", [[FIELD.root, 8, 5000 * 65536]], /^it is corrupt: it points beyond the end of a table$/],
    ["a top beyond all ends", [[FIELD.root, 8, -1]], /^it is corrupt: it points beyond the end of a table$/],
    ["a top beyond its block", [[FIELD.root, 8, 8000]], /^it is corrupt: its metadata ends early$/],
    ["a top that is a file", [[FIELD.root, 8, 0]], /^it is corrupt: its top is no folder$/],
    ["no fragments", [[FIELD.fragments, 4, 0]], /^it is corrupt: a file of it ends in a fragment that is not there$/],
    ["fragments beyond the end", [[FIELD.fragmentTable, 8, SIZE - 1]], /^it is corrupt: it points beyond its end$/],
    ["fragments beyond all ends", [[FIELD.fragmentTable, 8, -1]], /^it is corrupt: it points beyond its end$/],
    ["fragments in the superblock", [[FIELD.fragmentTable, 8, 0]], /^it is corrupt: it points beyond its end$/],
  ])("%s", async (_, patches, message) => {
    expect(await outcome(patched(SNAP, ...patches), ["meta/snap.yaml"])).toMatch(message);
  });

  describe("a file that is a block and an end", () => {
    const { image, inode, list, top } = plain({ a: noise(4097) }, { blockSize: 4096 });
    const fragmentPointer = fieldOf(image, "fragmentTable");

    test.each<[what: string, patches: Parameters<typeof patched>[1][], message: RegExp]>([
      ["an inode of no known kind", [[inode, 2, 15]], /something of no known kind$/],
      ["data beyond the end", [[inode + 16, 4, 0xfffffff0]], /it points beyond its end$/],
      ["data in the superblock", [[inode + 16, 4, 0]], /it points beyond its end$/],
      ["a fragment that is not there", [[inode + 20, 4, 1]], /fragment that is not there$/],
      ["an end beyond its fragment", [[inode + 24, 4, 1]], /the end of a is missing$/],
      ["an end far beyond its fragment", [[inode + 24, 4, 0xffffffff]], /the end of a is missing$/],
      ["a fragment for nothing but a longer file", [[inode + 28, 4, 4098]], /the end of a is missing$/],
      ["more blocks than the table has room for", [[inode + 28, 4, 2 * MIB]], /its metadata ends early$/],
      ["a block that is too short", [[inode + 32, 4, 2 ** 24 + 4095]], /a block of it has another length/],
      ["a block that is too long", [[inode + 32, 4, 2 ** 24 + 4097]], /a block of it is larger/],
      ["a block of a size that is none", [[inode + 32, 4, 0xffffffff]], /a block of it has an invalid size$/],
      ["a block that is not compressed", [[inode + 32, 4, 4096]], /a block of it can't be decompressed/],
      ["a list beyond the end", [[top + 16, 4, 0xffffffff]], /it points beyond the end of a table$/],
      ["a list that starts beyond its block", [[top + 26, 2, 0xffff]], /its metadata ends early$/],
      ["a list that is longer than its table", [[top + 24, 2, 0xffff]], /its metadata|it points beyond/],
      ["a list that is cut", [[top + 24, 2, 23]], /the list of a folder is cut short$/],
      ["a list that ends in a header", [[top + 24, 2, 9]], /the list of a folder is cut short$/],
      ["a run of more than 256", [[list, 4, 256]], /a run that is too long$/],
      ["a run of 2^32", [[list, 4, 0xffffffff]], /a run that is too long$/],
      ["a run of more than there are", [[list, 4, 255]], /the list of a folder is cut short$/],
      ["an inode beyond the inodes", [[list + 4, 4, 0xffffffff]], /it points beyond the end of a table$/],
      ["an inode beyond its block", [[list + 12, 2, 0xffff]], /its metadata ends early$/],
      ["a name that is too long", [[list + 18, 2, 0xffff]], /the list of a folder is cut short$/],
      ["a metadata block without bytes", [[inode - 2, 2, 0x8000]], /a block of its metadata has a wrong size$/],
      ["a metadata block that is too large", [[inode - 2, 2, 0x8000 + 8193]], /a block of its metadata has a wrong size$/],
      ["a metadata block that is not compressed", [[inode - 2, 2, list - 2 - inode]], /a block of it can't be decompressed/],
      ["fragments of which the first is nowhere", [[fragmentPointer, 8, -1]], /it points beyond the end of a table$/],
      ["a fragment beyond the end", [[fragmentPointer - 16, 8, -1]], /it points beyond its end$/],
      ["a fragment without bytes", [[fragmentPointer - 8, 4, 2 ** 24]], /a fragment of it is empty$/],
      ["a fragment that is too large", [[fragmentPointer - 8, 4, 2 ** 24 + 4097]], /a block of it is larger/],
    ])("%s", async (_, patches, message) => {
      expect(await outcome(image, ["a"])).toBeInstanceOf(Map);
      const found = await outcome(patched(image, ...patches), ["a"]);
      expect(found).toMatch(/^it is corrupt: /);
      expect(found).toMatch(message);
    });
  });

  test("a folder that holds itself ends with the path", async () => {
    const looped = plain({ "meta/snap.yaml": YAML });
    // In the list of the top, the one entry is made to point at the top.
    const at = Buffer.from(looped.image).indexOf("meta", looped.list) - 8;
    const loop = patched(looped.image, [at, 2, looped.top - looped.inode]);
    expect(await outcome(loop, ["meta/snap.yaml", `${"meta/".repeat(1000)}snap.yaml`])).toEqual(new Map());
  });

  test("a name that is twice in a folder is refused", async () => {
    const two = plain({ a: "one", b: "two" });
    const at = Buffer.from(two.image).indexOf("b", two.list);
    expect(await outcome(patched(two.image, [at, 1, 0x61]), ["a"])).toBe("it is corrupt: a is twice in one folder");
  });

  test("a table of metadata that inflates to more than a block is refused", async () => {
    const bomb = deflateSync(new Uint8Array(4 * MIB));
    const at = SIZE;
    const table = Buffer.concat([Buffer.from([bomb.byteLength % 256, bomb.byteLength >> 8]), bomb]);
    const end = at + table.byteLength;
    const bombed = Buffer.concat([SNAP.subarray(0, at), table]);
    const image = patched(bombed, [FIELD.inodes, 8, at], [FIELD.folders, 8, end], [FIELD.size, 8, end], [FIELD.root, 8, 0]);
    expect(await outcome(image, ["a"])).toMatch(/^it is corrupt: a block of it can't be decompressed/);
  });

  /** An image whose file `a` has `size` bytes, in one block that is `content` and said to be compressed. */
  const blockOf = (compression: number, content: Uint8Array, size: number, blockSize = 131072) => {
    const { image, inode } = plain({ a: content }, { fragments: false, sparse: false, blockSize });
    return patched(image, [FIELD.compression, 2, compression], [inode + 28, 4, size], [inode + 32, 4, content.byteLength]);
  };

  const ZEROS: readonly (readonly [name: string, number: number, block: Uint8Array, size: number])[] = [
    ["gzip", 1, deflateSync(new Uint8Array(MIB)), MIB],
    // For lzo and lz4, one literal and a long match of it.
    ["lzo", 3, Buffer.concat([Buffer.from([18, 0, 32]), Buffer.alloc(4000), Buffer.from([1, 0, 0, 17, 0, 0])]), 1 + 255 * 4000 + 34],
    [
      "xz",
      4,
      Buffer.from(
        "/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM7///ANldAABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN2X+m44wjEVPgWRjFdYrid/i2" +
          "lH8MasDedElk4ulcU7IE2PdEDKtfDW1G6eXDdoi3llestk3haR1v+0uIEGxCy4g/XACP0E6vJiiUcR89jyThcJ6nI1/sKMuF0ZWYin4qkfIndfcZwAaYTZj92K/V" +
          "kA/EJVP49ZE2MQWlsO5vwXBNRwzRkRGqrWAdus6xJxhcWYbpZlJYvul2rFnk5VsFCPnH2q38+1Iq9+SVJQAAAAAAHOo4pwAB8QGAgEAAb9Xu3D4wDYsCAAAAAAFZ" +
          "Wg==",
        "base64",
      ),
      MIB,
    ],
    ["lz4", 5, Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), Buffer.alloc(4000, 255), Buffer.from([0, 0])]), 1 + 255 * 4000 + 19],
    ["zstd", 6, zstdCompressSync(new Uint8Array(MIB)), MIB],
  ];

  test.each(ZEROS)("a block of %s that inflates to more than its file is refused", async (_, number, block) => {
    const found = await outcome(blockOf(number, block, 100_000), ["a"]);
    expect(found).toMatch(/^it is corrupt: a block of it can't be decompressed/);
  });

  test.each(ZEROS)("a block of %s is read where it has the length that its file says", async (_, number, block, size) => {
    const found = await read(blockOf(number, block, size, MIB), ["a"]);
    expect(Buffer.compare(found.get("a") ?? Buffer.from("none"), new Uint8Array(size))).toBe(0);
    for (const other of [size - 1, size + 1].filter((one) => one <= MIB))
      expect(await outcome(blockOf(number, block, other, MIB), ["a"])).toMatch(/^it is corrupt: a block of it /);
  });

  test.each(ZEROS)("any bytes are refused as a block of %s, or read to the length that is said", async (_, number, block) => {
    const broken = fc.array(fc.tuple(fc.nat(block.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((edits) => {
      const bytes = Buffer.from(block);
      for (const [at, byte] of edits) bytes[at] = byte;
      return bytes;
    });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), broken),
        fc.integer({ min: 1, max: 9000 }),
        async (bytes, size) => {
          const found = await outcome(blockOf(number, bytes, size), ["a"]);
          if (typeof found === "string")
            expect(found).toMatch(/^(it is corrupt: a block of it |its squashfs is compressed with xz with a filter)/);
          else expect(found.get("a")?.byteLength).toBe(size);
        },
      ),
    );
  });

  test("what is protected by a checksum is never read wrong", async () => {
    const files = { "meta/snap.yaml": YAML.repeat(200), "bin/code": YAML.repeat(100) };
    const image = squashfs(files, { fragments: false, blockSize: 4096 });
    for (let at = 96; at < fieldOf(image, "inodes"); at += stride(97))
      for (const [path, content] of Object.entries(files)) {
        const found = await outcome(patched(image, [at, 1, (image[at] ?? 0) ^ 0x10]), [path]);
        if (typeof found !== "string") expect(Buffer.from(found.get(path) ?? []).toString()).toBe(content);
      }
  });

  test("a snap that ends while it is read is refused", async () => {
    const snap: ReadAt = { size: SNAP.byteLength, bytes: async (start, end) => SNAP.slice(start, Math.min(end, 100)) };
    const error = await squashfsFiles(snap, ["meta/snap.yaml"]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "refused", message: "it is corrupt: it is cut short" });
  });
});
