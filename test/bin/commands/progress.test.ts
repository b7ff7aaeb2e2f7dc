/** What each long command says of how far it is, where. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

describe("each long command", () => {
  const folder = tempFolder();
  const at = (name: string) => join(folder.path, name);
  beforeAll(async () => {
    writeFileSync(at("e.tar.gz"), exportOf([SPEC]));
    expect(await runProgram(["import", "--store", at("store"), at("e.tar.gz")])).toMatchObject({ code: 0 });
    cpSync(at("store"), at("copy"), { recursive: true });
  });
  afterAll(() => folder[Symbol.dispose]());

  const COMMANDS: readonly (readonly [string, readonly string[]])[] = [
    ["import", ["import", "--store", at("new"), at("e.tar.gz")]],
    ["export", ["export", "charms", SPEC.name, "--base", "22.04", "--store", at("store"), "--export-dir", at("out")]],
    ["verify", ["verify", "--read-data", "--store", at("store")]],
    ["backup", ["backup", at("backup"), "--store", at("store")]],
    ["restore", ["restore", at("copy"), "--store", at("restored")]],
    ["gc", ["gc", "--store", at("store")]],
  ];

  test.each(COMMANDS)("%s says how far it is, on stderr alone, and not with --quiet", async (name, args) => {
    // Each look at the clock is eleven seconds later.
    const later = () => {
      let time = 0;
      return { now: () => (time += 11_000) };
    };
    const run = (...flags: string[]) => {
      // Where it writes, each run has a folder of its own.
      const own = args.map((arg) =>
        arg === at("new") || arg === at("backup") || arg === at("restored") ? `${arg}${flags.join("")}` : arg,
      );
      return runProgram([...own, ...flags], {}, "chp", undefined, later());
    };
    const [shown, json, quiet] = [await run(), await run("--json"), await run("--quiet")];
    const LINE = new RegExp(`^${name}: \\d+%`, "m");
    expect([shown.code, json.code, quiet.code]).toEqual([0, 0, 0]);
    expect(shown.err).toMatch(LINE);
    expect(shown.out).not.toMatch(LINE);
    expect(json.err).toMatch(LINE);
    expect(JSON.parse(json.out)).toBeObject();
    expect(quiet.err).not.toMatch(LINE);
  });
});
