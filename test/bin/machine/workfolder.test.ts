import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { WorkFolder } from "../../../bin/machine/workfolder.ts";
import { files, showLocation } from "../../../src/archives/archive.ts";
import { Layout, type Piece } from "../../../src/archives/tarball.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { bytesBy } from "../../build.ts";
import { NO_PROCESS, tempFolder } from "../../temp.ts";
import { longTest, runs } from "../../thorough.ts";
import { failureOf, joined, KEY, makeArchive, NAME, visible } from "./exporting.ts";

const MIB = 2 ** 20;

const own = (folder: string) => join(folder, `.chp-export-${KEY}`);

/** How many files of parts this process has open. */
function openParts(folder: string): number {
  const fds = readdirSync("/proc/self/fd").map((fd) => join("/proc/self/fd", fd));
  // That of the listing itself is closed by now.
  return fds.filter((fd) => existsSync(fd) && readlinkSync(fd).startsWith(join(own(folder), "part."))).length;
}

const [piece, other] = ((): [Piece, Piece] => {
  const layout = new Layout({ compress: true });
  return [layout.file("a.charm", 30 * MIB), layout.file("b.charm", 30 * MIB)];
})();

describe("the room", () => {
  test("is one run of bytes, however it is divided", async () => {
    const range = fc.tuple(fc.nat(5000), fc.nat(700));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2000 }), fc.array(range, { maxLength: 20 }), range, async (chunk, writes, [at, size]) => {
        using folder = tempFolder();
        const work = await WorkFolder.open(folder.path, KEY, { chunk: Math.max(chunk, 100) });
        const model = new Uint8Array(6000);
        for (const [i, [from, length]] of writes.entries()) {
          const bytes = new Uint8Array(length).fill(i + 1);
          await work.write(from, bytes);
          model.set(bytes, from);
        }
        expect(await work.bytes(at, at + size)).toEqual(model.slice(at, at + size));
        const paths = await work.finish("all", 6000);
        expect(Buffer.concat(paths.filter((path) => !path.endsWith(".sha256")).map((path) => readFileSync(path)))).toEqual(
          Buffer.from(model),
        );
      }),
      { numRuns: runs(50) },
    );
  });

  test("keeps 16 files of its parts open, however many there are", async () => {
    using folder = tempFolder();
    const work = await WorkFolder.open(folder.path, KEY, { chunk: 100 });
    const bytes = bytesBy(4000, (i) => i * 7);
    await work.write(0, bytes);
    expect(openParts(folder.path)).toBe(16);
    // Many at a time in one that is not among them.
    const late = bytesBy(50, (i) => 200 - i);
    await Promise.all([...late].map((byte, i) => work.write(3910 + i, Uint8Array.of(byte))));
    bytes.set(late, 3910);
    expect(openParts(folder.path)).toBe(16);
    expect(await work.bytes(0, 4000)).toEqual(bytes);
    await work.close();
    expect(openParts(folder.path)).toBe(0);
  });

  test("goes to parts that a FAT32 stick takes where 4G is asked for", async () => {
    using folder = tempFolder();
    const work = await WorkFolder.open(folder.path, KEY, { chunk: 4 * 2 ** 30 });
    await work.write(4 * 2 ** 30 - 1, Uint8Array.of(1));
    await work.close();
    expect(readdirSync(own(folder.path)).toSorted()).toEqual(["journal", "part.1"]);
    expect(statSync(join(own(folder.path), "part.1")).size).toBe(1);
  });

  test("takes nothing any more after its end", async () => {
    using folder = tempFolder();
    const work = await WorkFolder.open(folder.path, KEY);
    await work.close();
    expect((await failureOf(work.write(0, new Uint8Array(1)))).message).toBe("the export has ended");
    expect(readdirSync(own(folder.path))).toEqual(["journal"]);
    await work.close();
  });
});

describe("the journal", () => {
  const filled = async (folder: string) => {
    const work = await WorkFolder.open(folder, KEY);
    await work.write(0, new Uint8Array(piece.length + other.length));
    return work;
  };
  const reopened = async (folder: string, ask: (work: WorkFolder) => unknown) => {
    const work = await WorkFolder.open(folder, KEY);
    try {
      return ask(work);
    } finally {
      await work.close();
    }
  };

  test("remembers what is whole and what is not", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", piece.size);
    for (let at = 0; at <= 20 * MIB; at += 100_000) await work.recordWritten(other, "bb", at);
    await work.close();
    const [whole, part] = (await reopened(folder.path, (one) => [one.resumableBytes(piece, "aa"), one.resumableBytes(other, "bb")])) as [
      number,
      number,
    ];
    expect(whole).toBe(piece.size);
    expect(part).toBeGreaterThan(12 * MIB);
    expect(part).toBeLessThanOrEqual(20 * MIB);
  });

  test("counts nothing at another place, of another size or with another digest", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", piece.size);
    await work.close();
    const { offset, length, size, path } = piece;
    await reopened(folder.path, (one) => {
      expect(one.resumableBytes(piece, "aa")).toBe(size);
      expect(one.resumableBytes(piece, "ab")).toBe(0);
      for (const changed of [{ offset: offset + 1 }, { length: length + 1 }, { size: size + 1 }, { path: `${path}x` }])
        expect(one.resumableBytes({ ...piece, ...changed }, "aa")).toBe(0);
    });
  });

  test("believes the last line: what is fetched again is not there any more", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", piece.size);
    await work.recordWritten(piece, "aa", 1000);
    await work.close();
    expect(await reopened(folder.path, (one) => one.resumableBytes(piece, "aa"))).toBe(1000);
  });

  test("may be cut at any byte", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", 10 * MIB);
    await work.recordWritten(piece, "aa", 20 * MIB);
    await work.close();
    const journal = join(own(folder.path), "journal");
    const text = readFileSync(journal, "utf8");
    const seen = new Set<number>();
    for (let cut = text.length; cut > 0; cut -= 7) {
      writeFileSync(journal, text.slice(0, cut));
      // Each time it goes on after the cut, and knows that afterwards.
      const kept = (await reopened(folder.path, (one) => one.resumableBytes(piece, "aa"))) as number;
      seen.add(kept);
      if (kept === 0) break;
      const again = await WorkFolder.open(folder.path, KEY);
      await again.recordWritten(other, "bb", other.size);
      await again.close();
      expect(await reopened(folder.path, (one) => [one.resumableBytes(piece, "aa"), one.resumableBytes(other, "bb")])).toEqual([
        kept,
        other.size,
      ]);
    }
    expect([...seen]).toEqual([20 * MIB, 10 * MIB, 0]);
  });

  test("counts nothing of a part that is gone or was cut", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", piece.size);
    await work.recordWritten(other, "bb", other.size);
    await work.close();
    truncateSync(join(own(folder.path), "part.0"), other.offset + 1);
    expect(await reopened(folder.path, (one) => [one.resumableBytes(piece, "aa"), one.resumableBytes(other, "bb")])).toEqual([
      piece.size,
      0,
    ]);
  });

  test("is of no use for parts of another size", async () => {
    using folder = tempFolder();
    const work = await filled(folder.path);
    await work.recordWritten(piece, "aa", piece.size);
    await work.close();
    const smaller = await WorkFolder.open(folder.path, KEY, { chunk: 10 * MIB });
    expect(smaller.resumableBytes(piece, "aa")).toBe(0);
    await smaller.discard();
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("the lock", () => {
  test("refuses a second export of the same, not one of something else", async () => {
    using folder = tempFolder();
    const work = await WorkFolder.open(folder.path, KEY);
    const { kind, exit, message, next } = await failureOf(WorkFolder.open(folder.path, KEY));
    expect([kind, exit, message]).toEqual([
      "conflict",
      12,
      `the same export is being made already, by process ${process.pid} on ${hostname()}`,
    ]);
    expect(next).toContain("wait for it to end");
    await (await WorkFolder.open(folder.path, `${KEY}00`)).close();
    await work.close();
    await (await WorkFolder.open(folder.path, KEY)).close();
  });

  // Eight at once, five times.
  longTest("is had by one at most of many that come at once", async () => {
    using folder = tempFolder();
    for (let round = 0; round < 5; round += 1) {
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => WorkFolder.open(folder.path, KEY)));
      const opened = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(opened.length).toBeLessThanOrEqual(1);
      for (const one of all) if (one.status === "rejected") expect(one.reason).toBeInstanceOf(Failure);
      await opened[0]?.close();
    }
  });

  test.each<[string, () => string, number, boolean]>([
    ["a process that ended", () => `${hostname()}.${NO_PROCESS}`, 0, true],
    ["a process that runs", () => `${hostname()}.${process.pid}`, 0, false],
    ["a process of another machine", () => "elsewhere.example.42", 0, false],
    ["a process of another machine that gives no sign of life", () => "elsewhere.example.42", 120, true],
  ])("of %s", async (_, owner, age, isFree) => {
    using folder = tempFolder();
    mkdirSync(own(folder.path));
    const lock = join(own(folder.path), `lock.${owner()}.${crypto.randomUUID()}`);
    writeFileSync(lock, "");
    const then = Date.now() / 1000 - age;
    utimesSync(lock, then, then);
    const opened = WorkFolder.open(folder.path, KEY);
    if (!isFree) return expect((await failureOf(opened)).kind).toBe("conflict");
    await (await opened).discard();
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("the end", () => {
  const CHUNK = 20_000;
  const bytes = bytesBy(3 * CHUNK - 1, (i) => i * 7);
  const opened = async (folder: string, chunk = CHUNK) => {
    const work = await WorkFolder.open(folder, KEY, { chunk });
    await work.write(0, bytes);
    return work;
  };

  test("moves the archive out and leaves nothing else", async () => {
    using folder = tempFolder();
    const work = await opened(folder.path, MIB);
    // What an earlier try wrote beyond the end is cut off.
    await work.write(2 * MIB, bytes);
    const paths = await work.finish(NAME, bytes.byteLength);
    await work.close();
    expect(paths).toEqual([join(folder.path, NAME)]);
    expect(readdirSync(folder.path)).toEqual([NAME]);
    expect(readFileSync(join(folder.path, NAME))).toEqual(Buffer.from(bytes));
  });

  test("gives parts with their sums, as sha256sum reads them", async () => {
    using folder = tempFolder();
    const paths = await (await opened(folder.path)).finish(NAME, bytes.byteLength);
    const parts = [1, 2, 3].map((i) => `${NAME}.${i}of3`);
    expect(paths).toEqual([...parts, `${NAME}.sha256`].map((name) => join(folder.path, name)));
    expect(parts.map((name) => statSync(join(folder.path, name)).size)).toEqual([CHUNK, CHUNK, CHUNK - 1]);
    expect(joined(folder.path)).toEqual(Buffer.from(bytes));
    const lines = parts.map((name) => `${sumsOf(readFileSync(join(folder.path, name)))["sha-256"]}  ${name}\n`);
    expect(readFileSync(join(folder.path, `${NAME}.sha256`), "utf8")).toBe(lines.join(""));
    expect(readdirSync(folder.path)).toHaveLength(4);
  });

  test.each([
    [CHUNK, 1],
    [CHUNK + 1, 2],
    [2 * CHUNK, 2],
    [0, 1],
  ])("gives no part without bytes: %i bytes are %i", async (length, count) => {
    using folder = tempFolder();
    const paths = await (await opened(folder.path)).finish(NAME, length);
    expect(paths).toHaveLength(count === 1 ? 1 : count + 1);
    expect(joined(folder.path)).toEqual(Buffer.from(bytes.subarray(0, length)));
  });

  test.each([NAME, `${NAME}.1of3`, `${NAME}.3of3`, `${NAME}.sha256`])("never comes over an existing file: %s", async (name) => {
    using folder = tempFolder();
    writeFileSync(join(folder.path, name), "mine");
    const chunk = name === NAME ? MIB : CHUNK;
    const work = await opened(folder.path, chunk);
    const { message, next } = await failureOf(work.finish(NAME, bytes.byteLength));
    expect([message, next]).toEqual([
      `${join(folder.path, name)} is there already`,
      "move it away and run the same command again; what was fetched is kept",
    ]);
    await work.close();
    expect([visible(folder.path), readFileSync(join(folder.path, name), "utf8")]).toEqual([[name], "mine"]);
    const again = await WorkFolder.open(folder.path, KEY, { chunk });
    expect(await again.bytes(0, bytes.byteLength)).toEqual(bytes);
    await again.finish("other", bytes.byteLength);
  });

  test("is taken back where a crash left half of it, as if it had not begun", async () => {
    const names = [...[1, 2, 3].map((i) => `${NAME}.${i}of3`), `${NAME}.sha256`];
    const inside = ["part.0", "part.1", "part.2", "sums"];
    for (let moved = 0; moved <= names.length; moved += 1) {
      using folder = tempFolder();
      const before = tempFolder();
      await (await opened(before.path)).finish(NAME, bytes.byteLength);
      await (await opened(folder.path)).close();
      const ending = inside.map((from, i) => [from, names[i]]);
      const journal = join(own(folder.path), "journal");
      writeFileSync(journal, `${readFileSync(journal, "utf8")}\n${JSON.stringify({ end: ending })}`);
      for (const [i, name] of names.entries()) {
        const [out, within] = [join(folder.path, name), join(own(folder.path), inside[i] ?? "")];
        writeFileSync(i < moved ? out : within, readFileSync(join(before.path, name)));
        if (i < moved) rmSync(within, { force: true });
      }
      before[Symbol.dispose]();
      const work = await WorkFolder.open(folder.path, KEY, { chunk: CHUNK });
      // All of it outside is a finished export, which stays; the next begins anew.
      const isDone = moved === names.length;
      expect(visible(folder.path).toSorted()).toEqual(isDone ? names : []);
      expect(await work.bytes(0, bytes.byteLength)).toEqual(isDone ? new Uint8Array(bytes.byteLength) : bytes);
      await work.close();
    }
  });

  test("that is interrupted while it sums goes on later", async () => {
    using folder = tempFolder();
    const work = await opened(folder.path);
    const aborted = await failureOf(work.finish(NAME, bytes.byteLength, { signal: AbortSignal.abort() }));
    expect(aborted.kind).toBe("interrupted");
    await work.close();
    const again = await WorkFolder.open(folder.path, KEY, { chunk: CHUNK });
    await again.finish(NAME, bytes.byteLength);
    expect(joined(folder.path)).toEqual(Buffer.from(bytes));
  });
});

test("an export is read by the importer", async () => {
  using folder = tempFolder();
  await makeArchive(folder.path);
  const found: string[] = [];
  const chunks = Bun.file(join(folder.path, NAME)).stream();
  for await (const file of files({ name: NAME, chunks }, () => false)) found.push(showLocation(file));
  expect(found).toContain(`${NAME}: kafka.tar.gz: kafka_195.charm`);
  expect(found).toHaveLength(43);
});

test("a lock that cannot be removed at the end hides no other failure", async () => {
  using place = tempFolder();
  const work = await WorkFolder.open(place.path, KEY);
  const [lock = ""] = readdirSync(work.path).filter((name) => name.startsWith("lock."));
  rmSync(join(work.path, lock));
  mkdirSync(join(work.path, lock));
  await work.close();
});
