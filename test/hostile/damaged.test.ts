/** What is damaged, or contradicts itself, is refused with its name: it is never left out, and never half of it is taken in. */

import { describe, expect, test } from "bun:test";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { parseAssertions } from "../../src/assertions/text.ts";
import { base, charmZip, downloadOf, type Files, metadataOf, type PackageSpec, packageFiles, tarEntry, tarOf, tgzOf } from "../build.ts";
import { failureOf, importInto, newStore } from "../importing.ts";
import { exportOfSnaps, SIGNED_ROOT, type SnapSpec, signed } from "../signedsnaps.ts";
import { runs } from "../thorough.ts";

const JAMMY = base("amd64", "22.04");

function charm(name: string, revisions: readonly number[], over: Partial<PackageSpec> = {}): PackageSpec {
  return {
    name,
    id: `ID${name}`,
    type: "charm",
    revisions: Object.fromEntries(
      revisions.map((revision) => [
        revision,
        charmZip({ name, revision, bases: [JAMMY], resources: { data: { type: "file", filename: "d" } } }),
      ]),
    ),
    resources: { data: { type: "file", filename: "d", revisions: { 4: "four", 5: "five" } } },
    releases: [{ channel: "3/stable", base: JAMMY, revision: Math.max(...revisions), resources: { data: 4 } }],
    ...over,
  };
}

const KAFKA = charm("kafka", [195]);
const ZINC = charm("zinc", [2]);
const outer = (kafka: Uint8Array, name = "kafka.tar.gz"): Files => ({ "zinc.tar.gz": tgzOf(packageFiles(ZINC)), [name]: kafka });

/** The reason of the refusal, after which the store is empty. */
async function refusalOf(sources: Files): Promise<string> {
  const store = await newStore();
  const { message } = await failureOf(importInto(store, sources));
  expect([await store.generationNumbers(), await store.storage.list("blobs/")]).toEqual([[], []]);
  return message;
}

const namesAfter = async (sources: Files) => {
  const store = await newStore();
  const report = await importInto(store, sources);
  return [(await store.snapshot()).names, report.ignored] as const;
};

const NO_TAR = "it is no tar, although it says so: it is empty, cut short or damaged";

describe("an archive in an archive that cannot be read is refused", () => {
  const tar = tarOf(packageFiles(KAFKA));
  const flipped = Uint8Array.from(tar, (byte, i) => (i === 20 ? byte ^ 1 : byte));

  test.each<[string, string, Uint8Array, string]>([
    ["empty", "kafka.tar.gz", new Uint8Array(), NO_TAR],
    ["cut within the first bytes", "kafka.tar.gz", gzipSync(tar).subarray(0, 1), NO_TAR],
    ["nothing, compressed", "kafka.tar.gz", gzipSync(""), NO_TAR],
    ["zeros", "kafka.tar.gz", new Uint8Array(10_240), NO_TAR],
    ["zeros, compressed", "kafka.tgz", gzipSync(new Uint8Array(10_240)), NO_TAR],
    ["with a damaged header", "kafka.tar.gz", gzipSync(flipped), NO_TAR],
    ["with a damaged header, of another name", "kafka", flipped, NO_TAR],
    ["with a damaged header, in zstd", "kafka.tar.zst", zstdCompressSync(flipped), NO_TAR],
    ["cut within its first header", "kafka.tar", tar.subarray(0, 300), NO_TAR],
    ["of a compression that is not read", "kafka.tar.xz", Buffer.from("fd377a585a000004", "hex"), NO_TAR],
    ["no gzip", "kafka.gz", Buffer.from("x"), "it is not compressed, although its name says so: it is empty, cut short or damaged"],
    ["no zip", "kafka_195.zip", Buffer.from("type: x"), "it is not a zip, so it is neither a charm nor a bundle"],
    [
      "a charm that begins as an assertion",
      "kafka_195.charm",
      Buffer.from("type: account\n"),
      "it is not a zip, so it is neither a charm nor a bundle",
    ],
    ["a charm of nothing", "kafka_195.charm", new Uint8Array(), "it is not a zip, so it is neither a charm nor a bundle"],
    ["a snap of nothing", "jq_1.snap", new Uint8Array(), "it is not a squashfs, so it is neither a snap nor a component"],
    ["an assertion of nothing", "jq_1.assert", new Uint8Array(), "jq_1.assert is empty"],
  ])("%s", async (_, name, bytes, why) => {
    expect(await refusalOf({ "site.tar": tarOf(outer(bytes, name)) })).toContain(why);
    expect(await refusalOf(outer(bytes, name))).toContain(why);
  });

  test.each(["metadata.json", "channel-map.json"])("%s that is empty, cut or something else", async (name) => {
    for (const text of ["", "{", "[]x", "no JSON", "type: "].slice(0, 4))
      expect(await refusalOf({ "site.tar": tarOf({ ...packageFiles(KAFKA), [name]: text }) })).toContain(`${name}: it is not JSON`);
  });

  test("a metadata.json of another shape says what to do", async () => {
    const failure = await failureOf(importInto(await newStore(), { "k.tar": tarOf({ ...packageFiles(KAFKA), "metadata.json": "{}" }) }));
    expect(failure.message).toBe("k.tar: metadata.json: it has no shape that chp knows");
    expect(failure.next).toContain("or leave it out");
  });

  test("what is named otherwise, and compressed files of no use, are left out as before", async () => {
    const files = { "notes.txt.gz": gzipSync("x"), "a.txt.zst": zstdCompressSync(Buffer.from("x")), README: "[a]", "x.1of3": "x" };
    expect(await namesAfter({ "site.tar": tarOf({ ...outer(tgzOf(packageFiles(KAFKA))), ...files }) })).toEqual([
      ["kafka", "zinc"],
      Object.keys(files).map((name) => `site.tar: ${name}`),
    ]);
  });

  test("whatever byte is damaged and wherever it is cut: refused, or all of it is there", async () => {
    const inner = tgzOf(packageFiles(KAFKA));
    await fc.assert(
      fc.asyncProperty(fc.nat(inner.byteLength - 1), fc.nat(255), fc.boolean(), async (at, byte, cut) => {
        const bytes = cut ? inner.subarray(0, at) : Uint8Array.from(inner, (is, i) => (i === at ? byte : is));
        const store = await newStore();
        const report = await importInto(store, { "site.tar": tarOf(outer(bytes)) }).catch(async (error: unknown) => {
          expect(error).toMatchObject({ kind: "refused" });
        });
        if (!report) return;
        expect([(await store.snapshot()).names, report.ignored]).toEqual([["kafka", "zinc"], []]);
      }),
      { numRuns: runs(400) },
    );
  });
});

describe("what a metadata.json says of digests and sizes", () => {
  type Row = { revision: { download: Record<string, unknown> }; resources: { download: Record<string, unknown> }[] };
  /** Metadata with one download changed. */
  function metadata(change: (rows: readonly [Row, Row]) => void): Files {
    const two = charm("kafka", [195], {
      releases: [KAFKA.releases[0], KAFKA.releases[0]].map((row, i) => ({ ...row, channel: `3/${["stable", "edge"][i]}` })) as never,
    });
    const made = JSON.parse(JSON.stringify({ ...metadataOf(two), "default-release": undefined })) as { "channel-map": [Row, Row] };
    change(made["channel-map"]);
    return { "k.tar": tarOf(packageFiles(two, made)) };
  }

  test.each<[string, string, unknown]>([
    ["sha-256", "hash-sha-256", "0".repeat(63)],
    ["sha-256 that is a sha-384", "hash-sha-256", "0".repeat(96)],
    ["words", "hash-sha-384", "unknown"],
    ["a number", "hash-sha-512", 7],
    ["half of one", "hash-sha3-384", "0".repeat(64)],
  ])("no digest is refused: %s", async (_, key, value) => {
    expect(await refusalOf(metadata(([row]) => (row.revision.download[key] = value)))).toMatch(/hash-sha\S+ is (no digest|not text)$/);
    expect(await refusalOf(metadata(([row]) => ((row.resources[0] as Row["resources"][0]).download[key] = value)))).toContain(
      `${key} is no`,
    );
  });

  test("an empty or absent one is none", async () => {
    const files = metadata(([row]) => Object.assign(row.revision.download, { "hash-sha-512": "", "hash-sha3-384": null }));
    expect((await namesAfter(files))[0]).toEqual(["kafka"]);
  });

  test.each(["size", "hash-sha-256", "hash-sha-384"])("rows of one revision that disagree in %s are refused", async (key) => {
    const other = downloadOf("other")[key];
    expect(await refusalOf(metadata(([, row]) => (row.revision.download[key] = other)))).toContain("it gives revision 195 two values of");
    expect(await refusalOf(metadata(([, row]) => ((row.resources[0] as Row["resources"][0]).download[key] = other)))).toContain(
      "it gives revision 4 of the resource data two values of",
    );
  });
});

describe("a file name whose revision contradicts its metadata is refused", () => {
  test("a charm's and a resource's", async () => {
    const two = charm("kafka", [194, 195]);
    const { "metadata.json": metadata = "", ...files } = packageFiles({
      ...two,
      releases: [{ channel: "3/stable", base: JAMMY, revision: 194 }, ...two.releases],
    });
    const { "kafka_195.charm": newest = "", ...others } = files;
    const without = { ...others, "kafka_196.charm": newest };
    expect(await refusalOf({ "k.tar": tarOf({ ...without, "metadata.json": metadata }) })).toContain(
      "its name says revision 196, but metadata.json says that its sha256 is of revision 195",
    );
    const { "resources/kafka.data_4": four = "", ...rest } = files;
    expect(await refusalOf({ "k.tar": tarOf({ ...rest, "resources/kafka.data_6": four, "metadata.json": metadata }) })).toContain(
      "its name says revision 6, but metadata.json says that its sha256 is of revision 4",
    );
  });

  test("the same bytes may be of several revisions", async () => {
    const zip = KAFKA.revisions[195] ?? new Uint8Array();
    const same = {
      ...KAFKA,
      revisions: { 194: zip, 195: zip },
      releases: [194, 195].map((revision, i) => ({ channel: `3/${i ? "edge" : "stable"}`, base: JAMMY, revision })),
    };
    expect((await namesAfter({ "k.tar": tarOf(packageFiles(same)) }))[0]).toEqual(["kafka"]);
  });

  test("a snap's", async () => {
    const jq: SnapSpec = { name: "jq", revisions: { 6: ["amd64"] }, channels: { "latest/stable": { amd64: 6 } }, yaml: {} };
    const made = gunzipSync(exportOfSnaps([signed(jq)]));
    const at = made.indexOf("jq.tar.gz");
    expect(at).toBe(0);
    const inner = gunzipSync(made.subarray(512, 512 + Number.parseInt(made.toString("latin1", 124, 135), 8)));
    const name = inner.indexOf("jq_6.snap");
    const header = tarEntry("jq_7.snap", "", { size: Number.parseInt(inner.toString("latin1", name + 124, name + 135), 8) });
    const renamed = Buffer.concat([inner.subarray(0, name), header, inner.subarray(name + 512)]);
    const trust = parseAssertions(Buffer.from(SIGNED_ROOT), "root");
    const store = await newStore();
    expect((await failureOf(importInto(store, { "jq.tar": renamed }, { trust }))).message).toContain(
      "its name says revision 7, but its assertion says 6",
    );
    expect((await importInto(store, { "jq.tar": inner }, { trust })).generation).toBe(1);
  });
});

test.each(["a/b", "../x", "a\u0000b", "a\u202eb", "", "x".repeat(10_000), "-a"])("%p is no name of a resource", async (name) => {
  const zip = charmZip({
    name: "kafka",
    revision: 1,
    bases: [JAMMY],
    files: { "metadata.yaml": `name: kafka\nsummary: s\ndescription: d\nresources: {${JSON.stringify(name)}: {type: file}}\n` },
  });
  expect(await refusalOf({ "kafka_1.charm": zip })).toContain("is not a name of a resource");
  const rows = (resources: unknown) => ({
    ...metadataOf({ ...KAFKA, resources: {} }),
    chp: { format: 1, releases: [], revisions: [], resources: [], ...(resources as object) },
  });
  const given = [{ name, revision: 1 }];
  const release = { channel: "3/stable", base: JAMMY, revision: 195, resources: { [name]: 1 } };
  for (const metadata of [rows({ resources: given }), rows({ releases: [release] })])
    expect(await refusalOf({ "k.tar": tarOf(packageFiles(KAFKA, metadata)) })).toMatch(/is not (a name|by names) of (a )?resources?$/);
  const { message } = await failureOf(
    importInto(await newStore(), {
      "k.tar": tarOf({ ...packageFiles(KAFKA), "metadata.json": JSON.stringify(rows({ resources: given })) }),
    }),
  );
  expect(message.length).toBeLessThan(1000);
});

describe("extended headers of a tar", () => {
  const record = (text: string) => {
    const rest = Buffer.byteLength(text) + 2;
    const length = [1, 2, 3, 4].map((digits) => digits + rest).find((all, i) => String(all).length === i + 1);
    return `${length} ${text}\n`;
  };
  const withHeader = (text: string, type: string) =>
    tarOf([
      tarEntry("PaxHeader", text, { type }),
      ...Object.entries(outer(tgzOf(packageFiles(KAFKA)))).map(([path, bytes]) => tarEntry(path, bytes)),
    ]);

  test.each(["ExtendedHeader", "GlobalExtendedHeader"])("%s: what is no size, or no record, is refused", async (type) => {
    for (const size of ["-5", "abc", "", "1e2", "0x5", " 5", "+5", "5.5", "9007199254740993", "NaN", "5\u0000x"])
      expect(await refusalOf({ "site.tar": withHeader(record(`size=${size}`), type) })).toContain("size that is no number of bytes");
    for (const text of ["x", "5 a=b\n", "99 path=x\n", "0 a=b\n", "6 a=bc", record("=x"), `${record("a=b")}7`, "7 path\n"])
      expect(await refusalOf({ "site.tar": withHeader(text, type) })).toContain("has a record that is none");
  });

  test("a value may hold what looks like a record", async () => {
    const inside = record(`comment=x\n${record("path=evil.txt").trimEnd()}`);
    expect(await namesAfter({ "site.tar": withHeader(inside, "ExtendedHeader") })).toEqual([["kafka", "zinc"], []]);
  });
});

describe("taken in, as others write it", () => {
  const whole = { "kafka.tar.gz": tgzOf(packageFiles(KAFKA)), "zinc.tar.gz": tgzOf(packageFiles(ZINC)) };
  const tar = tarOf(whole);
  const skippable = (type: number, content: Uint8Array) => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(0x184d2a50 + type);
    head.writeUInt32LE(content.byteLength, 4);
    return Buffer.concat([head, content]);
  };
  const frames = [tar.subarray(0, 1000), tar.subarray(1000)].map((part) => zstdCompressSync(part));
  const sizes = frames.map((frame) => Buffer.from(Uint32Array.of(frame.byteLength).buffer));

  test.each<[string, Uint8Array]>([
    ["pzstd", Buffer.concat(frames.flatMap((frame, i) => [skippable(0, sizes[i] ?? Buffer.alloc(4)), frame]))],
    ["seekable zstd", Buffer.concat([...frames, skippable(0xe, Buffer.concat([...sizes, Buffer.from("00b1ea92", "hex")]))])],
    ["a long skippable frame first", Buffer.concat([skippable(0xf, Buffer.alloc(3 * 2 ** 20)), ...frames])],
  ])("%s", async (_, bytes) => {
    expect(await namesAfter({ "site.tar.zst": bytes })).toEqual([["kafka", "zinc"], []]);
  });

  test("nothing but skippable frames is no archive", async () => {
    expect(await refusalOf({ "site.tar.zst": skippable(0, Buffer.alloc(9)) })).toContain(NO_TAR);
  });

  test("a checksum of signed bytes, as old tars have", async () => {
    const entry = (path: string, bytes: Uint8Array) => {
      const made = Buffer.from(tarEntry(path, bytes));
      made.write("Jürgen", 265, "latin1");
      made.write("        ", 148, "latin1");
      const sum = made.subarray(0, 512).reduce((all, byte) => all + (byte < 128 ? byte : byte - 256), 0);
      made.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
      return made;
    };
    expect(await namesAfter({ "site.tar": tarOf(Object.entries(whole).map(([path, bytes]) => entry(path, bytes))) })).toEqual([
      ["kafka", "zinc"],
      [],
    ]);
  });
});
