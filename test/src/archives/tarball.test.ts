import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { files, showLocation } from "../../../src/archives/archive.ts";
import { Layout, PieceWriter, payloadOf } from "../../../src/archives/tarball.ts";
import { Summer, sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { runs, stride } from "../../thorough.ts";
import { EXAMPLE, expected, layOut, Memory, type Plan, payload, writePiece, written } from "./plans.ts";

const MIB = 2 ** 20;

/** What the importer finds: path → digest. */
async function imported(archive: Uint8Array, chunk = 64 * 1024): Promise<Record<string, string>> {
  const chunks = (async function* () {
    for (let at = 0; at < archive.byteLength; at += chunk) yield archive.subarray(at, at + chunk);
  })();
  const found: Record<string, string> = {};
  for await (const file of files({ name: "in", chunks }, () => false)) {
    const summer = new Summer();
    for await (const part of file.bytes.chunks()) summer.update(part);
    found[showLocation(file)] = summer.sums()["sha-256"];
  }
  return found;
}

const STORED = 65535;
const size = fc.oneof(
  fc.nat(2000),
  fc.constantFrom(0, 1, 511, 512, 513, 1024, 2 * MIB + 1),
  // Around the ends of stored blocks and of runs, with header and padding.
  fc
    .tuple(fc.constantFrom(STORED, 2 * STORED, 3 * STORED, MIB), fc.constantFrom(0, 512, 1024, 1536), fc.integer({ min: -30, max: 30 }))
    .map(([n, less, by]) => n - less + by),
);
const plans: fc.Arbitrary<Plan> = fc
  .array(fc.oneof(size, fc.array(size, { minLength: 1, maxLength: 3 })), { minLength: 1, maxLength: 5 })
  .map((all) =>
    all.map((one, i) =>
      typeof one === "number"
        ? { path: `folder/${i}.snap`, size: one }
        : { path: `${i}.tar.gz`, files: one.map((n, k) => ({ path: `resources/${k}`, size: n })) },
    ),
  );

describe("an archive", () => {
  test("holds what was written, in whatever order, all at once and in chunks of any size", async () => {
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.boolean(),
        fc.integer({ min: 1, max: 200_000 }),
        fc.infiniteStream(fc.nat(1000)),
        async (plan, compress, chunk, order) => {
          const { pieces, fixed, length } = layOut(plan, compress);
          const room = new Memory(length);
          room.before = () => Bun.sleep(0);
          const mixed = [...pieces, ...fixed].map((piece) => ({ piece, key: order.next().value })).toSorted((a, b) => a.key - b.key);
          await Promise.all(mixed.map(({ piece }) => writePiece(piece, room, Math.max(chunk, piece.size >> 8))));
          // Every byte is written, and by one piece.
          let end = 0;
          for (const [start, stop] of room.written.toSorted((a, b) => a[0] - b[0])) {
            expect(start).toBe(end);
            end = stop;
          }
          expect(end).toBe(length);
          expect(await imported(room.bytesOfAll)).toEqual(expected(pieces));
        },
      ),
      { numRuns: runs(60) },
    );
  });

  test("is read by the importer whatever is cut where", async () => {
    const small: Plan = [
      { path: "a", size: 3 },
      { path: "b.tar.gz", files: [{ path: "c", size: 600 }] },
    ];
    const archive = await written(small);
    const whole = await imported(archive);
    expect(Object.keys(whole)).toEqual(["in: a", "in: b.tar.gz: c"]);
    for (let chunk = 1; chunk < archive.byteLength; chunk += chunk < 700 ? stride(61) : 97 * stride(5))
      expect(await imported(archive, chunk)).toEqual(whole);
  });

  test("is the same bytes today as ever", async () => {
    const digests = await Promise.all([true, false].map(async (compress) => sumsOf(await written(EXAMPLE, compress))["sha-256"]));
    expect(digests).toMatchInlineSnapshot(`
      [
        "20b4323044ed87e2932a7fac95e4cfbb97d5ce1aa18cc795d110b06e23598e06",
        "5aea8b792ff608cdf50945aea9c4c9a840a88aff83e191e6fccba56ad8220462",
      ]
    `);
  });

  test("may be laid out further after a part of it was written and read", async () => {
    const layout = new Layout({ compress: true });
    const [charm] = layout.container("kafka.tar.gz", [{ path: "kafka_195.charm", size: 100_000 }]);
    if (!charm) throw new Error("no piece");
    const room = new Memory(300_000);
    await writePiece(charm, room);
    expect(await payloadOf(charm, room).bytes(0, charm.size)).toEqual(payload(charm));
    const snap = layout.file("core24_7.snap", 100_000);
    for (const piece of [snap, ...layout.end()]) await writePiece(piece, room);
    expect(await imported(room.bytesOfAll.subarray(0, layout.length))).toEqual(expected([charm, snap]));
  });

  test.each<[string, Plan]>([
    ["a path that points outside the archive", [{ path: "../x", size: 1 }]],
    ["an absolute path", [{ path: "/x", size: 1 }]],
    ["a path in another spelling", [{ path: "./x", size: 1 }]],
    ["a folder", [{ path: "x/", size: 1 }]],
    ["no path", [{ path: "", size: 1 }]],
    ["a path with a line feed", [{ path: "a\nb", size: 1 }]],
    ["litter, which importers skip", [{ path: "._x", size: 1 }]],
    ["a path of 5000 characters", [{ path: "a".repeat(5000), size: 1 }]],
    ["the same path twice", [1, 2].map((n) => ({ path: "x", size: n }))],
    [
      "a container and a file of one path",
      [
        { path: "x", size: 1 },
        { path: "x", files: [] },
      ],
    ],
    ["the same path twice in a container", [{ path: "x", files: [1, 2].map((n) => ({ path: "y", size: n })) }]],
    ["a path out of a container", [{ path: "x", files: [{ path: "../y", size: 1 }] }]],
    ["a size that is none", [{ path: "x", size: Number.NaN }]],
    ["a negative size", [{ path: "x", files: [{ path: "y", size: -1 }] }]],
  ])("refuses %s", (_, wrong) => {
    expect(() => layOut(wrong, true)).toThrow(Failure);
  });

  test("takes the same path in two containers", () => {
    const twins = ["a.tar.gz", "b.tar.gz"].map((path) => ({ path, files: [{ path: "metadata.json", size: 1 }] }));
    const { pieces } = layOut(twins, true);
    expect(pieces.map((piece) => piece.path)).toEqual(["a.tar.gz/metadata.json", "b.tar.gz/metadata.json"]);
  });
});

/* ---- pieces ---- */

describe("a piece", () => {
  const lone = (bytes: number, compress = true) => layOut([{ path: "a.tar.gz", files: [{ path: "b", size: bytes }] }], compress);

  test("is read back out of its frames, any part of it", async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.boolean(), fc.nat(), fc.nat(), async (bytes, compress, a, b) => {
        const { pieces, length } = lone(bytes, compress);
        const room = new Memory(length);
        for (const piece of pieces) {
          await writePiece(piece, room, MIB);
          const [start = 0, end = 0] = [a % (bytes + 1), b % (bytes + 1)].toSorted((x, y) => x - y);
          expect(await payloadOf(piece, room).bytes(start, end)).toEqual(payload(piece, start, end));
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test("goes on where a killed run left it, and becomes the same bytes", async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.boolean(), fc.nat(), fc.integer({ min: 1000, max: 300_000 }), async (bytes, compress, at, chunk) => {
        const { pieces, fixed, length } = lone(bytes, compress);
        const [piece] = pieces;
        if (!piece) throw new Error("no piece");
        const whole = new Memory(length);
        for (const one of [piece, ...fixed]) await writePiece(one, whole);

        const room = new Memory(length);
        for (const one of fixed) await writePiece(one, room);
        const first = new PieceWriter(piece, room);
        const cut = at % (bytes + 1);
        for (let from = 0; from < cut; from += chunk) await first.write(payload(piece, from, Math.min(cut, from + chunk)));
        if (at % 2 === 0) await first.flush();
        const kept = first.landed;
        expect(kept).toBeLessThanOrEqual(cut);
        if (at % 2 === 0) expect(kept).toBe(cut);
        // What landed by chance after that is nothing to rely on.
        const left = new Memory(length);
        left.bytesOfAll.set(room.bytesOfAll);

        const summer = new Summer();
        const second = new PieceWriter(piece, left);
        await second.replay(kept, (part) => summer.update(part));
        expect([second.landed, summer.sums()]).toEqual([kept, sumsOf(payload(piece, 0, kept))]);
        await writePiece(piece, left, chunk, kept, second);
        expect(left.bytesOfAll).toEqual(whole.bytesOfAll);
        // What was kept is not written again.
        const again = left.written.reduce((sum, [start, end]) => sum + end - start, 0);
        expect(again).toBeLessThan(piece.length - kept + 1024);
      }),
      { numRuns: runs(60) },
    );
  });

  test("of too many or too few bytes is refused", async () => {
    const { pieces, length } = lone(1000);
    const [piece] = pieces;
    if (!piece) throw new Error("no piece");
    const room = new Memory(length);
    const writer = new PieceWriter(piece, room);
    await writer.write(new Uint8Array(999));
    expect(writer.end()).rejects.toThrow("a.tar.gz/b: it ends after 999 of 1000 bytes");
    expect(writer.write(new Uint8Array(2))).rejects.toThrow("a.tar.gz/b: it has more than 1000 bytes");
    await writer.write(new Uint8Array(1));
    await writer.end();
    expect(await payloadOf(piece, room).bytes(0, 1000)).toEqual(new Uint8Array(1000));
  });

  test("tells what failed in its room, and takes nothing for landed that is not", async () => {
    const { pieces, length } = lone(8 * MIB);
    const [piece] = pieces;
    if (!piece) throw new Error("no piece");
    const room = new Memory(length);
    let writes = 0;
    room.before = () => {
      writes += 1;
      if (writes === 3) throw new Error("the disk is full");
    };
    const writer = new PieceWriter(piece, room);
    expect(writePiece(piece, room, 100_000, 0, writer)).rejects.toThrow("the disk is full");
    await Bun.sleep(0);
    expect(writer.landed).toBeGreaterThan(MIB);
    expect(writer.landed).toBeLessThan(2 * MIB);
    expect(await payloadOf(piece, room).bytes(0, writer.landed)).toEqual(payload(piece, 0, writer.landed));
    expect(writer.flush()).rejects.toThrow("the disk is full");
  });
});
