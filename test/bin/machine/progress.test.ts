/** Progress of long work: what a terminal shows and what a pipe gets, by a clock of the test. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { downloadsOn } from "../../../bin/machine/downloads.ts";
import type { Io } from "../../../bin/machine/io.ts";
import { drawMeter, Meter, progressOn, progressThrough, sizeOf } from "../../../bin/machine/progress.ts";
import { SILENT_IO } from "../../program.ts";

const MIB = 2 ** 20;

/** An Io with a clock that the test sets, and what was written to stderr. */
function machine(columns?: number) {
  const at = { time: 0, err: "" };
  const terminal = columns === undefined ? { out: false, err: false } : { out: true, err: true, columns };
  const io: Io = { ...SILENT_IO, terminal, now: () => at.time, err: (text) => void (at.err += text) };
  return { at, io };
}

describe("a pipe", () => {
  test("gets a plain line every ten seconds, with rate and time left", () => {
    const { at, io } = machine();
    const progress = progressOn("import", {}, io);
    for (let second = 1; second <= 25; second += 1) {
      at.time = second * 1000;
      progress.update("/media/usb/site.tar", second * 2 * MIB, 100 * MIB);
    }
    progress.end();
    expect(at.err).toBe(
      "import: 20%, 20.0 MiB of 100 MiB, 2.0 MiB/s, 40 s left (site.tar)\nimport: 40%, 40.0 MiB of 100 MiB, 2.0 MiB/s, 30 s left (site.tar)\n",
    );
  });

  test("gets none of short work, nor with --quiet", () => {
    for (const [quiet, last] of [
      [false, 9999],
      [true, 99_999],
    ] as const) {
      const { at, io } = machine();
      const progress = progressOn("gc", { quiet }, io, "steps");
      at.time = last;
      progress.update("x", 1, 2);
      progress.end();
      expect(at.err).toBe("");
    }
  });

  test("gets lines of an export between the documented ones", () => {
    const { at, io } = machine();
    const downloads = downloadsOn({}, io);
    const [first, second] = [downloads.begin("a revision 1", 10 * MIB), downloads.begin("b revision 2", 30 * MIB)];
    for (let time = 1; time <= 10; time += 1) {
      at.time = time * 1000;
      first.advance(MIB);
    }
    first.end(true);
    at.time = 20_000;
    second.advance(MIB);
    expect(at.err).toBe(
      `export: 25%, 10.0 MiB of 40.0 MiB, 1.0 MiB/s, 30 s left (0 of 2 downloads)\nDownloading a revision 1\n  [${"#".repeat(36)}]  100%\nexport: 27%, 11.0 MiB of 40.0 MiB, 186 KiB/s, 3 min left (1 of 2 downloads)\n`,
    );
  });
});

describe("a terminal", () => {
  test("has one line, redrawn ten times a second at most, and removed at the end", () => {
    const { at, io } = machine(100);
    const progress = progressOn("import", {}, io);
    for (let step = 0; step <= 20; step += 1) {
      at.time = step * 50;
      progress.update("site.tar", step * MIB, 40 * MIB);
    }
    progress.end();
    const drawn = at.err.split("\r\u001b[K").slice(1);
    expect(drawn).toHaveLength(12);
    expect(drawn.at(-1)).toBe("");
    expect(drawn.at(-2)).toBe(`[${"#".repeat(11)}${".".repeat(11)}]  50%  20.0 MiB of 40.0 MiB  20.0 MiB/s  1 s left  site.tar`);
  });

  test("never gets a line that wraps, however narrow it is or becomes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 250 }),
        fc.string({ maxLength: 300 }),
        fc.option(fc.nat(2 ** 45), { nil: undefined }),
        fc.nat(2 ** 45),
        (columns, name, size, done) => {
          const meter = new Meter();
          meter.update(0, 0, size);
          meter.update(5000, done, size);
          expect(drawMeter(meter, name, columns).length).toBeLessThan(columns);
        },
      ),
    );
    const { at, io } = machine(40);
    const downloads = downloadsOn({}, io);
    const download = downloads.begin(`charm-with-a-long-name ${"x".repeat(200)}`, 10 * MIB);
    at.time = 500;
    download.advance(MIB);
    expect(at.err.split("\n").map((line) => line.length)).toEqual(at.err.split("\n").map((line) => Math.min(39, line.length)));
    expect(at.err).toContain("10%");
  });
});

test("several sources are one whole, as far as their sizes are known", () => {
  const { at, io } = machine();
  const sources = [
    { name: "a.tar", size: 3 * MIB },
    { name: "b.tar", size: MIB },
  ];
  const onProgress = progressThrough(progressOn("import", {}, io), sizeOf(sources));
  onProgress({ name: "a.tar" }, 3 * MIB);
  at.time = 10_000;
  onProgress({ name: "b.tar" }, MIB / 2);
  expect(at.err).toBe("import: 87%, 3.5 MiB of 4.0 MiB, 51.2 KiB/s, 10 s left (b.tar)\n");
  expect(sizeOf([...sources, { name: "-" } as { size?: number }])).toBeUndefined();
});
