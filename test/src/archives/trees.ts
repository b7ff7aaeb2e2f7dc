/** Snaps in memory, and trees of any files to make them of. */

import * as fc from "fast-check";
import type { ReadAt } from "../../../src/archives/archive.ts";
import { type SquashfsLimits, squashfsFiles } from "../../../src/archives/squashfs.ts";
import type { SquashfsOptions } from "../../squashfs.ts";
import { noise } from "../../world.ts";

/** A snap in memory, which may be read only where it is. */
export function snapOf(image: Uint8Array): ReadAt & { readonly given: () => number } {
  let given = 0;
  return {
    size: image.byteLength,
    bytes: async (start, end) => {
      if (!(start >= 0 && start <= end && end <= image.byteLength))
        throw new Error(`internal error: bytes ${start} to ${end} were asked for`);
      given += end - start;
      return image.slice(start, end);
    },
    given: () => given,
  };
}

export function read(image: Uint8Array, paths: readonly string[], limits?: Partial<SquashfsLimits>): Promise<Map<string, Uint8Array>> {
  return squashfsFiles(snapOf(image), paths, limits);
}

const name = fc.constantFrom("a", "b", "meta", "snap.yaml", "ä", "constructor", "__proto__", "x".repeat(255));
const content = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.string({ maxLength: 100 }).map((one) => Buffer.from(one.repeat(99))),
  fc.nat({ max: 20_000 }).map((size) => new Uint8Array(size)),
  fc.nat({ max: 20_000 }).map((size) => noise(size)),
  fc.constantFrom(4096, 8192).map((size) => noise(size)),
);
export const anyOptions = fc.record({
  compression: fc.constantFrom("gzip", "zstd", "none"),
  blockSize: fc.constantFrom(4096, 8192, 131072),
  fragments: fc.boolean(),
  sparse: fc.boolean(),
  extended: fc.boolean(),
  padding: fc.constantFrom(1, 4096),
} satisfies Record<keyof Omit<SquashfsOptions, "links">, unknown>);
/** No file is where another needs a folder. */
export const anyTree = fc
  .array(fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), content), { maxLength: 8 })
  .map((all) => new Map(all.map(([names, bytes]) => [names.join("/"), bytes])))
  .map((all) => new Map([...all].filter(([path]) => ![...all.keys()].some((other) => other.startsWith(`${path}/`)))));
