/** What a command line says where it fails, in words or as JSON, and with which exit code. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { runCommandLine } from "../../../bin/commands/commandline.ts";
import type { Io } from "../../../bin/machine/io.ts";
import { SILENT_IO } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

async function run(words: readonly string[], over: Partial<Io> = {}) {
  let [out, err] = ["", ""];
  const io: Io = { ...SILENT_IO, out: (text) => void (out += text), err: (text) => void (err += text), ...over };
  return { code: await runCommandLine(words, io, "chp"), out, err };
}

const NOT_KNOWN = "unknown option '--nope'";

test.each([
  [["--json"], true],
  [["-o", "json"], true],
  [["-ojson"], true],
  [["--output", "json"], true],
  [["--output=json"], true],
  [["--quiet", "--json", "--quiet"], true],
  [[], false],
  [["-o"], false],
  [["-o", "yaml"], false],
  [["--output", "yaml", "json"], false],
  [["json"], false],
  [["x", "json"], false],
  [["--jsonx", "-ojsonx"], false],
  [["say --json here"], false],
])("list --nope %j: says what is wrong, as JSON where that was asked for", async (more, asJson) => {
  const { code, out, err } = await run(["list", "--nope", ...more]);
  expect([code, out]).toEqual([2, ""]);
  if (asJson) {
    expect(err).toMatch(/^\{.*\}\n$/);
    const said = JSON.parse(err);
    expect(said).toEqual({ error: expect.stringContaining(NOT_KNOWN), kind: "usage", exit: 2, ...("next" in said && { next: said.next }) });
  } else expect(err).toMatch(/^chp: (unknown option '--nope'|--output takes json, not|option '-o)/);
});

test("the next step is a line of its own, or a field", async () => {
  using folder = tempFolder();
  const words = ["list", "--store", join(folder.path, "none")];
  const said = await run(words);
  expect(said.code).toBe(10);
  const [message = "", next = "", rest] = said.err.split("\n");
  expect(message).toMatch(/^chp: \S/);
  expect(next).toMatch(/^ {2}\S/);
  expect(rest).toBe("");
  const { code, err } = await run([...words, "--json"]);
  expect([code, JSON.parse(err)]).toEqual([10, { error: message.slice("chp: ".length), kind: "no-store", exit: 10, next: next.trim() }]);
});

test("help and version are no failure", async () => {
  for (const words of [["--help"], ["list", "--help"], ["--version"]]) {
    const { code, out, err } = await run(words);
    expect([code, err]).toEqual([0, ""]);
    expect(out).not.toBe("");
  }
});

test("what nobody has thought of is an internal error, without what could harm a terminal", async () => {
  const broken = {
    out: () => {
      throw new Error("no\u001b[2J such thing");
    },
  };
  expect(await run(["version"], broken)).toMatchObject({ code: 1, err: "chp: internal error: no\\u{1b}[2J such thing\n" });
  const { code, err } = await run(["version", "--json"], broken);
  expect([code, JSON.parse(err)]).toEqual([1, { error: "internal error: no\\u{1b}[2J such thing", kind: "internal", exit: 1 }]);
});
