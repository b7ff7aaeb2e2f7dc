/** Runs the unsquashfs of this machine for images that chp cannot read. */

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { LIMITS, type ReadAt } from "../../src/archives/archive.ts";

const READ_SIZE = 2 ** 18;

/** Reads a file of an image with unsquashfs, for compressions that chp does not support; undefined: it is not installed, or failed. */
export async function unsquash(image: ReadAt, path: string): Promise<Uint8Array | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "chp-unsquashfs-"));
  try {
    const file = join(folder, "image");
    const bytes = async function* () {
      for (let at = 0; at < image.size; at += READ_SIZE) yield await image.bytes(at, Math.min(image.size, at + READ_SIZE));
    };
    await writeFile(file, bytes());
    const { stdout } = await promisify(execFile)("unsquashfs", ["-cat", file, path], { encoding: "buffer", maxBuffer: LIMITS.text });
    return stdout.byteLength > 0 ? stdout : undefined;
  } catch {
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
