import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { REMOTE_OPTIONS } from "../../../bin/commands/flags.ts";
import { createProgram } from "../../../bin/commands/program.ts";
import { Failure, reason } from "../../../src/errors.ts";
import { type SizedSource, sizeOfTar, sourcesOf, tarOfSources, untilMark, withMark } from "../../../src/import/remoteprotocol.ts";
import { parametersOf, wordsOf } from "../../../src/wire/remoteimport.ts";
import { tarOf } from "../../build.ts";
import { SILENT_IO } from "../../program.ts";

/** Options of `chp import` that stay on the machine where they are typed. */
const OWN = [
  "output",
  "store",
  "json",
  "quiet",
  "trust",
  "allow-unsigned",
  "allow-older",
  "renamed",
  "repair",
  "to",
  "token-file",
  "ca",
  "streams-key",
  "body-mark",
  "body-size",
];

test("every option of chp import is sent, or stays for a reason", () => {
  const command = createProgram(SILENT_IO).commands.find((one) => one.name() === "import");
  const options = command?.options.map(({ long, required }) => [long?.slice(2) ?? "", required] as const) ?? [];
  const sent = REMOTE_OPTIONS.map(({ name, takesValue }) => [name, takesValue] as const);
  const sorted = (all: readonly (readonly [string, boolean])[]) => all.toSorted(([a], [b]) => (a < b ? -1 : 1));
  expect(sorted(options.filter(([name]) => !OWN.includes(name)))).toEqual(sorted(sent));
  expect(options.filter(([name]) => OWN.includes(name))).toHaveLength(OWN.length);
});

test("options become parameters, and parameters the words of the same options", () => {
  const given = { channel: "14/edge", keepChannels: true, dryRun: false, maxSize: 7, store: "/etc", trust: ["/etc/passwd"], json: true };
  const parameters = parametersOf({ ...given, allowUnverified: undefined }, REMOTE_OPTIONS);
  expect(parameters.toString()).toBe("channel=14%2Fedge&keep-channels=true&max-size=7");
  expect(wordsOf(parameters, REMOTE_OPTIONS)).toEqual(["--channel=14/edge", "--keep-channels", "--max-size=7"]);
});

test.each([
  ["trust=/etc/passwd", "trust is not a parameter"],
  ["store=/tmp", "store is not a parameter"],
  ["body-mark=x", "body-mark is not a parameter"],
  ["to=https://x", "to is not a parameter"],
  ["__proto__=x", "__proto__ is not a parameter"],
  ["dryRun=true", "dryRun is not a parameter"],
  ["channel=a&channel=b", "channel is given more than once"],
  ["dry-run=", "dry-run takes no value but true"],
  ["dry-run=false", "dry-run takes no value but true"],
  ["name=a%00b", "name holds a zero byte"],
])("?%s is refused", (query, says) => {
  expect(() => wordsOf(new URLSearchParams(query), REMOTE_OPTIONS)).toThrow(says);
});

test("a value that looks like an option is a value", () => {
  expect(wordsOf(new URLSearchParams("name=--trust&channel=-"), REMOTE_OPTIONS)).toEqual(["--name=--trust", "--channel=-"]);
});

/* ---- several files as one body ---- */

function source(name: string, bytes: Uint8Array, size = bytes.byteLength): SizedSource {
  return {
    name,
    size,
    open: async function* () {
      yield bytes;
    },
  };
}

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** Why it failed. */
function why(work: Promise<unknown>): Promise<string> {
  return work.then(() => "it did not fail", reason);
}

/** What comes out of a body, in pieces of that many bytes. */
async function unpacked(body: Uint8Array, piece = 1000): Promise<[string, string][]> {
  const found: [string, string][] = [];
  const open = async function* () {
    for (let at = 0; at < body.byteLength; at += piece) yield body.subarray(at, at + piece);
  };
  for await (const one of sourcesOf({ name: "-", open })) found.push([one.name, (await read(one.open())).toString("latin1")]);
  return found;
}

test("files come out under the names and with the bytes that they went in with, and the size is told before", async () => {
  const name = fc.oneof(
    fc.string({ minLength: 1, unit: "grapheme" }).filter((text) => !/^\.{1,2}$|^\._|^-$|^\.DS_Store$|^__MACOSX$/.test(text)),
    fc.constantFrom("/media/usb/e.tar.gz", "../../etc/passwd", "a%20b", "%", "x".repeat(300), "новый.charm", "a\nb"),
  );
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), fc.uint8Array({ maxLength: 2000 }), async (names, bytes) => {
      const sources = names.map((one, i) => source(one, bytes.subarray(i)));
      const body = await read(tarOfSources(sources));
      expect(body.byteLength).toBe(sizeOfTar(sources));
      expect(await unpacked(body)).toEqual(names.map((one, i) => [one, Buffer.from(bytes.subarray(i)).toString("latin1")]));
    }),
  );
});

test("an archive in it is one file, not unpacked", async () => {
  const inner = tarOf({ "a.txt": "a" });
  expect(await unpacked(await read(tarOfSources([source("e.tar", inner)])))).toEqual([["e.tar", Buffer.from(inner).toString("latin1")]]);
});

test("a file of more than 8 GiB is announced with its size", async () => {
  const { value: head } = await tarOfSources([source("large.snap", new Uint8Array(), 2 ** 36)]).next();
  expect(await why(unpacked(head ?? new Uint8Array()))).toContain(`ends after 0 of ${2 ** 36} bytes`);
});

test("a file that changes while it is read is told", async () => {
  for (const size of [2, 4])
    expect(await why(read(tarOfSources([source("e.tar.gz", Buffer.from("abc"), size)])))).toContain("e.tar.gz changed while it was read");
});

test("a body that is cut off, or no tar, is refused", async () => {
  const body = await read(tarOfSources([source("a.assert", Buffer.from("type: account\n")), source("b", Buffer.from("b"))]));
  for (let length = 512; length < body.byteLength; length += 256)
    expect(await why(unpacked(body.subarray(0, length)))).toContain("cut short");
  expect(await why(unpacked(Buffer.from("no tar")))).toContain("- is no tar");
  expect(await why(unpacked(Buffer.from(tarOf({ "100%.txt": "a" }))))).toContain("has a % that encodes nothing");
});

/* ---- the end ---- */

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size));
}

test("what ends with the mark comes out without it, however it is cut", async () => {
  for (const text of ["", "a", "a mark in the middle: MARK", "x".repeat(100)])
    for (const size of [1, 3, 4, 1000]) {
      const marked = (await read(withMark(pieces(text, size), "MARK"))).toString();
      expect((await read(untilMark(pieces(marked, size), "MARK"))).toString()).toBe(text);
    }
});

test.each(["", "MAR", "whole but for the end", "MARK and more"])("%j without the mark at its end was cut off", async (text) => {
  const failure = await read(untilMark(pieces(text, 3), "MARK")).catch((error: unknown) => error);
  expect(failure instanceof Failure && failure.kind).toBe("interrupted");
});
