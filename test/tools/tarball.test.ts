/** What other programs make of archives that chp writes. */

import { describe, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Layout, type RandomAccessOutput } from "../../src/archives/tarball.ts";
import { sumsOf } from "../../src/digest.ts";
import { EXAMPLE, expected, layOut, payload, writePiece, written } from "../src/archives/plans.ts";
import { tempFolder } from "../temp.ts";

const installed = (...command: string[]) => Bun.which(command[0] ?? "") !== null;

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C.UTF-8" } });
  expect([command.join(" "), exitCode, stderr.toString()]).toEqual([command.join(" "), 0, ""]);
  return stdout.toString();
}

/** Unpacks both levels; prints every file's path and sha256. */
const PYTHON = `
import hashlib, io, sys, tarfile
def walk(name, file, mode):
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for member in tar:
            data = tar.extractfile(member).read()
            if member.name.endswith(".tar.gz"):
                walk(name + member.name + ": ", io.BytesIO(data), "r:gz")
            else:
                print(name + member.name + "=" + hashlib.sha256(data).hexdigest())
walk("in: ", open(sys.argv[1], "rb"), sys.argv[2])
`;

const TARS = ["tar", "bsdtar"].flatMap((tool) => ["gzip", "plain"].map((kind) => [tool, kind] as const));
const [THERE, MISSING] = [TARS.filter(([tool]) => installed(tool)), TARS.filter(([tool]) => !installed(tool))];

describe("is read by", () => {
  const { pieces } = layOut(EXAMPLE, true);
  const plain = layOut(EXAMPLE, false).pieces;

  test.each(THERE)("%s, %s", async (tool, kind) => {
    using folder = tempFolder();
    const archive = join(folder.path, "archive");
    await writeFile(archive, await written(EXAMPLE, kind === "gzip"));
    const out = join(folder.path, "out");
    await mkdir(out);
    run(tool, "-xf", archive, "-C", out);
    for (const inner of ["kafka", "empty"]) {
      await mkdir(join(out, inner));
      run(tool, "-xf", join(out, `${inner}.tar.gz`), "-C", join(out, inner));
    }
    for (const piece of kind === "gzip" ? pieces : plain)
      expect(sumsOf(await readFile(join(out, piece.path.replace(".tar.gz/", "/"))))).toEqual(sumsOf(payload(piece)));
  });

  test.skip.each(MISSING)("%s, %s: it is not installed", () => {});

  test.skipIf(!installed("gzip"))("gzip, which finds the sizes and sums of all members right", async () => {
    using folder = tempFolder();
    const archive = join(folder.path, "archive.tar.gz");
    const bytes = await written(EXAMPLE);
    await writeFile(archive, bytes);
    run("gzip", "-t", archive);
    expect(sumsOf(gunzipSync(bytes))).toEqual(sumsOf(Bun.spawnSync(["gzip", "-dc", archive]).stdout));
  });

  test.skipIf(!installed("python3"))("Python's tarfile, where it is no stream: as such it reads no second member", async () => {
    using folder = tempFolder();
    const found = async (mode: string, compress: boolean) => {
      const archive = join(folder.path, "archive");
      await writeFile(archive, await written(EXAMPLE, compress));
      const lines = run("python3", "-c", PYTHON, archive, mode).trimEnd().split("\n");
      return Object.fromEntries(lines.map((line) => line.split("=")));
    };
    expect(await found("r:gz", true)).toEqual(expected(pieces));
    for (const mode of ["r:", "r|"]) expect(await found(mode, false)).toEqual(expected(plain));
  });

  test.skipIf(!installed("tar") || !installed("python3"))("all, where a file has more than 8 GiB", async () => {
    using folder = tempFolder();
    const huge = 9 * 2 ** 30;
    const layout = new Layout({ compress: false });
    const [large, small] = [layout.file("huge.snap", huge), layout.file("small", 5)];
    const archive = join(folder.path, "site.tar");
    const file = openSync(archive, "w");
    const room: RandomAccessOutput = {
      write: async (at, bytes) => void writeSync(file, bytes, 0, bytes.byteLength, at),
      bytes: async () => new Uint8Array(),
    };
    for (const { before } of large.frames) await room.write(large.offset, before);
    for (const piece of [small, ...layout.end()]) await writePiece(piece, room);
    ftruncateSync(file, layout.length);
    closeSync(file);
    expect(run("tar", "-tvf", archive)).toMatch(new RegExp(`${huge} 2000-01-01 00:00 huge.snap\\n.* 5 2000-01-01 00:00 small\\n$`));
    const script = "import sys, tarfile; print([(m.name, m.size) for m in tarfile.open(sys.argv[1])])";
    expect(run("python3", "-c", script, archive)).toBe(`[('huge.snap', ${huge}), ('small', 5)]\n`);
  });
});
