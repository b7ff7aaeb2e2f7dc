/** What is written to a pipe or a file arrives whole, or it is said why not. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { STDERR, STDOUT, type Write, writeText } from "../../../bin/machine/output.ts";
import { Failure } from "../../../src/errors.ts";
import { anyText } from "../../strangers.ts";

/** A pipe that takes so many bytes at a time; 0: it is full for a moment. After the last one it takes all. */
function pipe(takes: readonly number[]) {
  const taken: { fd: number; bytes: Buffer }[] = [];
  let calls = 0;
  const write: Write = (fd, bytes, at) => {
    const room = takes[calls] ?? Number.POSITIVE_INFINITY;
    calls += 1;
    if (room === 0) throw coded("EAGAIN");
    expect(at).toBeLessThan(bytes.byteLength); // else nothing is left to be written
    const part = Buffer.from(bytes.subarray(at, at + Math.min(room, bytes.byteLength)));
    taken.push({ fd, bytes: part });
    return part.byteLength;
  };
  return { write, taken };
}

function coded(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

function failing(code: string): Write {
  return () => {
    throw coded(code);
  };
}

test("every byte arrives once and in order, however little is taken at a time", () => {
  fc.assert(
    fc.property(anyText({ maxLength: 40 }), fc.array(fc.nat(7), { maxLength: 20 }), (text, takes) => {
      const { write, taken } = pipe(takes);
      writeText(STDOUT, text, write);
      expect(Buffer.concat(taken.map(({ bytes }) => bytes)).equals(Buffer.from(text))).toBe(true);
      expect(taken.every(({ fd }) => fd === STDOUT)).toBe(true);
    }),
  );
});

test("a reader that has gone is no failure", () => {
  for (const fd of [STDOUT, STDERR]) expect(() => writeText(fd, "text", failing("EPIPE"))).not.toThrow();
});

test.each([
  ["ENOSPC", "cannot write to standard output: no space is left there"],
  ["EDQUOT", "cannot write to standard output: no space is left there"],
  ["EIO", "cannot write to standard output: EIO: it failed"],
])("%s on standard output is said; on standard error there is nowhere to say it", (code, message) => {
  let said: unknown;
  try {
    writeText(STDOUT, "text", failing(code));
  } catch (error) {
    said = error;
  }
  expect(said).toBeInstanceOf(Failure);
  expect(said).toMatchObject({ kind: "failed", message, next: "free some space, or name another place" });
  expect(() => writeText(STDERR, "text", failing(code))).not.toThrow();
});
