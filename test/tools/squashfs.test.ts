/** squashfs-tools beside chp's own reader, and the writer of these tests. */

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as fc from "fast-check";
import { squashfs } from "../squashfs.ts";
import { anyOptions, anyTree, read } from "../src/archives/trees.ts";

const MIB = 2 ** 20;

const missing = ["mksquashfs", "unsquashfs"].filter((tool) => Bun.which(tool) === null);
describe(`beside squashfs-tools${missing.length > 0 ? ` (left out: there is no ${missing.join(", ")})` : ""}`, () => {
  const work = async (run: (folder: string) => Promise<void>) => {
    const folder = mkdtempSync(join(tmpdir(), "chp-squashfs-"));
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const cat = (image: string, path: string) =>
    execFileSync("unsquashfs", ["-cat", image, path], { maxBuffer: 64 * MIB, stdio: ["ignore", "pipe", "ignore"] });

  test.skipIf(missing.length > 0)("what tests write, unsquashfs reads", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, anyOptions, (tree, how) =>
        work(async (folder) => {
          const image = join(folder, "image");
          writeFileSync(image, squashfs(Object.fromEntries(tree), how));
          for (const [path, bytes] of tree) expect(Buffer.compare(cat(image, path), bytes)).toBe(0);
        }),
      ),
      { numRuns: 15 },
    );
  });

  const lzo = ["lzo1x_1", "lzo1x_1_11", "lzo1x_1_12", "lzo1x_1_15"].map((algorithm) => `lzo -Xalgorithm ${algorithm}`);
  const how = fc.constantFrom("gzip", "xz", "zstd", "lz4", "lz4 -Xhc", "lzo", ...lzo);
  const also = fc.constantFrom("-b 4K", "-b 128K", "-b 1M -always-use-fragments", "-no-fragments", "-noI -noD");

  test.skipIf(missing.length > 0)("what mksquashfs writes is read", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, how, also, (tree, compression, more) =>
        work(async (folder) => {
          const image = join(folder, "image");
          const code = readFileSync(process.execPath).subarray(MIB, MIB + 200_000);
          for (const [path, bytes] of [...tree, ["code", code] as const]) {
            mkdirSync(dirname(join(folder, "tree", path)), { recursive: true });
            writeFileSync(join(folder, "tree", path), bytes);
          }
          execFileSync(
            "mksquashfs",
            [join(folder, "tree"), image, "-quiet", "-no-progress", ...`-comp ${compression} ${more}`.split(" ")],
            {
              stdio: "ignore",
            },
          );
          const found = await read(readFileSync(image), [...tree.keys(), "code"]);
          expect(found.size).toBe(tree.size + 1);
          for (const [path, bytes] of found) expect(Buffer.compare(bytes, cat(image, path))).toBe(0);
        }),
      ),
      { numRuns: 15 },
    );
  });
});
