/** A small part of `make powercut`, and the model itself on traces that are made up. */

import { describe, expect, test } from "bun:test";
import { exhaustive, runs, sample } from "../thorough.ts";
import { COMMANDS } from "./commands.ts";
import { explore, type Report } from "./explore.ts";
import { unexpected } from "./known.ts";
import { type Entry, generator, Model, type State, type Tree } from "./model.ts";
import { callsOf, operationsOf } from "./trace.ts";

const ROOT = "/r";
const hex = (text: string) => [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
const path = (name: string) => `"${hex(`${ROOT}/${name}`)}"`;
const fd = (number: number, name: string) => `${number}<${hex(name === "" ? ROOT : `${ROOT}/${name}`)}>`;

const OPEN = `1 openat(AT_FDCWD<${hex("/")}>, ${path("new")}, O_WRONLY|O_CREAT|O_EXCL, 0600) = ${fd(3, "new")}`;
const WRITE = `1 write(${fd(3, "new")}, "${hex("after!")}", 6) = 6`;
const FSYNC = `1 fsync(${fd(3, "new")}) = 0`;
const RENAME = `1 rename(${path("new")}, ${path("file")}) = 0`;
const FOLDER = [`1 openat(AT_FDCWD<${hex("/")}>, "${hex(ROOT)}", O_RDONLY|O_DIRECTORY) = ${fd(4, "")}`, `1 fsync(${fd(4, "")}) = 0`];

const file = (content: string) => ({ mode: 0o644, content: Buffer.from(content), sum: content });
const BEFORE: Tree = new Map<string, Entry>([
  ["", { mode: 0o755, sum: "" }],
  ["file", file("before")],
]);

function statesOf(...lines: readonly string[]): State[] {
  const model = new Model(BEFORE, operationsOf(callsOf(lines.join("\n")), ROOT));
  return [...model.states({ random: 20, rng: generator(1) })];
}

const contents = (states: readonly State[], name = "file") =>
  [...new Set(states.map(({ tree }) => Buffer.from(tree.get(name)?.content ?? "gone").toString()))].toSorted();

describe("what a power cut leaves", () => {
  test("of a file that is replaced without a sync: old, new, empty, cut and zeros, also after the end", () => {
    const all = ["", "\0\0\0\0\0\0", "aft", "after!", "before"];
    expect(contents(statesOf(OPEN, WRITE, RENAME))).toEqual(all);
    expect(contents(statesOf(OPEN, WRITE, RENAME).filter(({ exited }) => exited))).toEqual(all);
  });

  test("of one that was synced before it got its name: old or new", () => {
    const states = statesOf(OPEN, WRITE, FSYNC, RENAME);
    expect(contents(states)).toEqual(["after!", "before"]);
    expect(contents(states.filter(({ exited }) => exited))).toEqual(["after!", "before"]);
  });

  test("of one whose folder was synced too: new at the end", () => {
    expect(contents(statesOf(OPEN, WRITE, FSYNC, RENAME, ...FOLDER).filter(({ exited }) => exited))).toEqual(["after!"]);
  });

  test("a sync that failed, or began before the write had ended, counts for nothing", () => {
    const failed = statesOf(OPEN, WRITE, FSYNC.replace("= 0", "= -1 EIO (Input/output error) (INJECTED)"), RENAME);
    expect(contents(failed)).toContain("");
    const [begin, end] = ["2 " + FSYNC.slice(2, FSYNC.indexOf(")")) + " <unfinished ...>", "2 <... fsync resumed>) = 0"];
    expect(contents(statesOf(OPEN, begin, WRITE, end, RENAME))).toContain("");
    expect(contents(statesOf(OPEN, WRITE, begin, end, RENAME))).not.toContain("");
  });

  test("a rename is whole or not at all", () => {
    for (const { tree } of statesOf(`1 rename(${path("file")}, ${path("moved")}) = 0`, OPEN, WRITE))
      expect(tree.has("file")).not.toBe(tree.has("moved"));
  });

  test("names that were not synced are there in any order; in ext4's each needs those before it", () => {
    const [a, b] = [`1 mkdir(${path("a")}, 0777) = 0`, `1 mkdir(${path("b")}, 0777) = 0`];
    const only = (name: string) => (state: State) => state.tree.has(name) && state.tree.size === 3;
    const states = statesOf(a, b);
    expect(states.filter(only("a")).map(({ ordered }) => ordered)).toContain(true);
    expect([...new Set(states.filter(only("b")).map(({ ordered }) => ordered))]).toEqual([false]);
  });

  test("what is in a folder whose name is lost is lost", () => {
    const inside = [OPEN, WRITE, FSYNC].map((line) => line.replaceAll(hex("/new"), hex("/d/new")));
    const states = statesOf(`1 mkdir(${path("d")}, 0777) = 0`, ...inside);
    expect(
      contents(
        states.filter(({ exited }) => exited),
        "d/new",
      ),
    ).toEqual(["after!", "gone"]);
  });

  test("a file that gets the number of one that another thread still closes is known by it", () => {
    const [begin, end] = [`2 close(${fd(3, "new")} <unfinished ...>`, "2 <... close resumed>) = 0"];
    const again = OPEN.replace(hex("/new"), hex("/file")).replace("O_EXCL", "O_TRUNC").replace(fd(3, "new"), fd(3, "file"));
    expect(contents(statesOf(OPEN, begin, again, end, WRITE.replace(hex("/new"), hex("/file"))))).toContain("after!");
  });

  test("what the trace cannot tell is refused", () => {
    expect(() => statesOf(`1 fallocate(${fd(9, "file")}, 0, 0, 10) = 0`)).toThrow("fallocate is not modelled");
    expect(() => statesOf(WRITE)).toThrow("not seen to be opened");
    expect(() => statesOf(OPEN, WRITE.replace('", 6', '"..., 6'))).toThrow("cut the bytes");
  });
});

test("a fault that is not listed is told, and one that is listed and gone", () => {
  const counts = { changes: 4, reachable: 9, states: 9, bad: 0, exited: 3, durable: 3, possible: 0, faults: 0, wrong: 0, exhausted: false };
  const reportOf = (...problems: readonly string[]): Report => ({
    ...counts,
    command: "backup",
    problems: new Map(problems.map((problem) => [problem, "an example"])),
  });
  const [lost, found] = ["not durable: backup: settings", "EIO: internal error"];
  const known = [lost, found].map((problem) => ({ commands: ["backup"], problem, why: "for this test" }));
  expect(unexpected([reportOf(lost, found)], known)).toEqual([]);
  expect(unexpected([reportOf(lost, found, "a store does not open")], known)).toEqual(["backup: a store does not open: an example"]);
  expect(unexpected([reportOf(found)], known)).toEqual([expect.stringContaining(`“${lost}” and has it no more`)]);
  // Not every state was looked at.
  expect(unexpected([{ ...reportOf(found), states: 8 }], known)).toEqual([]);
});

const traces = Bun.spawnSync(["strace", "-o", "/dev/null", "true"]).success;

async function report(name: string, limits: Partial<Parameters<typeof explore>[1]> = {}): Promise<Report> {
  const command = COMMANDS.find((one) => one.name === name);
  if (!command) throw new Error(`there is no ${name}`);
  return explore(command, { seed: 1, states: runs(150), faults: 0, ...limits });
}

describe.skipIf(!traces)("the executable (needs strace)", () => {
  test("a release that syncs nothing would be found out", async () => {
    const { bad, durable, exited, problems } = await report("release", {
      states: runs(150),
      alter: (calls) => calls.filter(({ name }) => name !== "fsync"),
    });
    expect(bad).toBeGreaterThan(10);
    expect(durable).toBeLessThan(exited / 2);
    expect([...problems.keys()]).toContain("not durable: store: newest generation");
  });

  test.each(sample(["import", "release", "gc", "gc-again", "token", "token-revoke", "certificate-renew", "keygen"]))(
    "%s: no state of a power cut is bad, but for what is known",
    async (name) => {
      expect(unexpected([await report(name)])).toEqual([]);
    },
  );

  test("config: nor is what a failing system call leaves", async () => {
    const found = await report("config", { faults: exhaustive ? Number.POSITIVE_INFINITY : 12 });
    expect(found.faults).toBeGreaterThan(10);
    expect(unexpected([found])).toEqual([]);
  });
});
