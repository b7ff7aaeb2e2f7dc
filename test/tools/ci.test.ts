/** The counts of .ci/run: its own functions, with commands that say and do what a step may. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempFolder } from "../temp.ts";

const TEXT = readFileSync(".ci/run", "utf8");

/** From a line that begins with `from` up to one that begins with `to`. */
function between(from: string, to: string): string {
  const [start, end] = [TEXT.indexOf(`\n${from}`), TEXT.indexOf(`\n${to}`)];
  if (start < 0 || end < start) throw new Error(`.ci/run has no ${from} before ${to}`);
  return TEXT.slice(start, end);
}

const COUNTING = between("# How many tests each step skips", "# Debian packages");
const PARTS = between("# Takes the parts in WITHOUT", "clients() {");
const INSTALLING = between("# Debian packages", "# Installs the newest Go");
const SUMMING = TEXT.slice(TEXT.lastIndexOf("\nprintf '\\n'\n"));

interface Ended {
  readonly code: number;
  readonly out: string;
}

function bash(script: string, env: Readonly<Record<string, string>> = {}): Ended {
  using folder = tempFolder();
  const logs = join(folder.path, "logs");
  mkdirSync(join(logs, "results"), { recursive: true });
  writeFileSync(join(logs, "ended"), "");
  const done = Bun.spawnSync(["/bin/bash", "-c", `set -uo pipefail\nlogs=${logs}\nparts=()\n${script}`], {
    env: { ...process.env, ...env },
    stderr: "ignore",
  });
  return { code: done.exitCode, out: done.stdout.toString() };
}

/** The last line of a run that has this step alone, and its exit code. */
function counted(step: string): readonly [string, number] {
  const { code, out } = bash(`${COUNTING}\n${step}\n${SUMMING}`);
  return [out.trimEnd().split("\n").at(-1) ?? "", code];
}

const said = (text: string, exit = 0) => `bash -c 'printf "${text}"; exit ${exit}'`;

describe("a step", () => {
  test.each<[string, string, string, number]>([
    ["as bun counts", said("\\n 3 pass\\n 0 fail\\n"), "3 passed, 0 failed, 0 skipped", 0],
    ["as ours count", said("2 passed, 0 failed, 0 skipped\\n"), "2 passed, 0 failed, 0 skipped", 0],
    ["with a failed test", said(" 3 pass\\n 1 fail\\n", 1), "3 passed, 1 failed, 0 skipped", 1],
    ["that ends with an error after its tests", said(" 3 pass\\n 0 fail\\n", 7), "3 passed, 1 failed, 0 skipped", 1],
    ["that ran nothing", said("there is no Go\\n"), "0 passed, 1 failed, 0 skipped", 1],
    ["that skips all of it", said("0 passed, 0 failed, 5 skipped\\n"), "0 passed, 2 failed, 5 skipped", 1],
    ["that skips one that is not known", said(" 3 pass\\n 1 skip\\n 0 fail\\n"), "3 passed, 1 failed, 1 skipped", 1],
    ["whose command is not there", "no-such-command", "0 passed, 1 failed, 0 skipped", 1],
  ])("%s", (_, command, line, code) => {
    expect(counted(`step one ${command}`)).toEqual([line, code]);
  });

  test("that is known to skip some skips as many, no more and no fewer", () => {
    const skipping = (count: number) => counted(`left_out=([one]=4); step one ${said(` 3 pass\\n ${count} skip\\n 0 fail\\n`)}`);
    expect(skipping(4)).toEqual(["3 passed, 0 failed, 4 skipped", 0]);
    expect(skipping(3)).toEqual(["3 passed, 1 failed, 3 skipped", 1]);
    expect(skipping(5)).toEqual(["3 passed, 1 failed, 5 skipped", 1]);
  });

  test("a check is one test, and fails with its command", () => {
    expect(counted("check one true")).toEqual(["1 passed, 0 failed, 0 skipped", 0]);
    expect(counted("check one false")).toEqual(["0 passed, 1 failed, 0 skipped", 1]);
  });

  test("a part that does not come to its end is a failure", () => {
    const [line, code] = counted("parts=(one two)\necho one >>$logs/ended\ncheck one true");
    expect([line, code]).toEqual(["1 passed, 1 failed, 0 skipped", 1]);
  });
});

describe("parts that are left out", () => {
  const leaving = (without: string) =>
    bash(`${COUNTING}\n${PARTS}\nparts=(one two three)\nleave_out || exit\nprintf '%s\\n' "\${parts[@]}" | tee $logs/ended\n${SUMMING}`, {
      WITHOUT: without,
    });
  const lines = (ended: Ended) => ended.out.split("\n").filter((line) => line !== "");

  test("are named at the end, and each counts as skipped", () => {
    expect(lines(leaving("two"))).toEqual(["one", "three", "left out: two", "0 passed, 0 failed, 1 skipped"]);
    expect(lines(leaving("two one"))).toEqual(["three", "left out: two one", "0 passed, 0 failed, 2 skipped"]);
  });

  test("are none by default", () => {
    expect(leaving("").out).toStartWith("one\ntwo\nthree\n\n");
    expect(leaving("").out).not.toContain("left out");
  });

  test("have a name that is known", () => {
    expect(leaving("tw")).toEqual({ code: 2, out: "" });
  });

  test("are functions, each of which is in the list", () => {
    const listed = /^parts=\((.*)\)$/m.exec(TEXT)?.[1]?.split(" ") ?? [];
    const functions = TEXT.split(/^(?=\w+\(\) \{$)/m).flatMap((one) =>
      /^ {2}(step|check) "/m.test(one) ? [/^\w+/.exec(one)?.[0] ?? ""] : [],
    );
    expect(listed.length).toBeGreaterThan(5);
    expect(functions.toSorted()).toEqual(listed.toSorted());
  });
});

describe("a tool", () => {
  /** Installs with an apt-get that brings what it is told to. */
  function installing(bring: string): Ended {
    using folder = tempFolder();
    const bin = join(folder.path, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "apt-get"), `#!/bin/sh\n${bring}\n`, { mode: 0o755 });
    return bash(`${INSTALLING}\npackages="chp-test-tool:chp-test-tool"\ninstall_packages`, {
      PATH: `${bin}:${process.env["PATH"]}`,
      BIN: bin,
    });
  }

  test("is installed where it is missing", () => {
    expect(installing('[ "$1" = update ] || { echo >"$BIN/chp-test-tool"; chmod +x "$BIN/chp-test-tool"; }').code).toBe(0);
  });

  test.each([
    ["that can't be installed", "exit 100"],
    ["whose package has no such command", "exit 0"],
  ])("%s is a failure", (_, bring) => {
    expect(installing(bring).code).not.toBe(0);
  });
});

test("real clients that can't be run fail rather than being skipped, and every step is counted", () => {
  expect(TEXT).toContain("\nexport CI=true ");
  // A check counts as one, whatever its command skips: none may print counts of its own.
  const counting = ["test", "interop", "pulls", "images", "browser", "finder", "metrics", "packages", "fuzz", "bench"];
  const checked = [...TEXT.matchAll(/^ *check ".*" make -s (\w+)/gm)].map(([, verb]) => verb ?? "");
  expect(checked.filter((verb) => counting.includes(verb))).toEqual([]);
});
