/** `make mutants`: the faults that it makes, and that it says of each what is so. */

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { ALSO, BY_HAND } from "../mutants/byhand.ts";
import { EQUIVALENT, LIVES } from "../mutants/equivalent.ts";
import { Copy, failing } from "../mutants/judge.ts";
import { OPERATORS } from "../mutants/operators.ts";
import { run } from "../mutants/process.ts";
import { inSeededOrder, kindOf } from "../mutants/select.ts";
import { type Mutant, ROOT, Syntax } from "../mutants/syntax.ts";
import { inOrder, linesOf, startingFor, type TestFile, testFile } from "../mutants/tests.ts";

const syntax = await Syntax.open();
afterAll(() => syntax[Symbol.asyncDispose]());
// Of all files it takes long, and `make mutants` looks at them.
const named = [
  ...BY_HAND.map(({ file }) => file),
  ...[...ALSO, ...Object.keys(EQUIVALENT), ...Object.keys(LIVES)].map((id) => id.split(": ")[0] ?? ""),
];
const all: Mutant[] = [];
for (const file of new Set([...named, "src/catalog/channel.ts"])) all.push(...(await syntax.mutants(file)));

describe("the faults", () => {
  test("have ids of their own, of every operator", () => {
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ operator }) => operator))).toEqual(
      new Set([...(Object.keys(OPERATORS) as (keyof typeof OPERATORS)[]), "by hand"]),
    );
  });

  test("by hand are all in the source", () => {
    const made = all.filter(({ operator }) => operator === "by hand").map(({ file, place, from, to: [to] }) => ({ file, place, from, to }));
    expect(made).toEqual(expect.arrayContaining(BY_HAND.map(({ file, place, from, to }) => ({ file, place, from, to }))));
    expect(made).toHaveLength(BY_HAND.length);
  });

  test("that are listed as equivalent, as not noticed, or as lived once, are in the source", () => {
    const ids = new Set(all.map(({ id }) => id));
    expect([...ALSO, ...Object.keys(EQUIVALENT), ...Object.keys(LIVES)].filter((id) => !ids.has(id))).toEqual([]);
  });

  test("keep their ids where something else of the file changes", async () => {
    const file = "src/catalog/channel.ts";
    const before = (await syntax.mutants(file)).map(({ id }) => id);
    const text = readFileSync(join(ROOT, file), "utf8");
    const after = await syntax.mutants(
      file,
      `/** new */\nconst added = [1, 2].filter((n) => n > 1);\n${text.replaceAll("\n\n", "\n// new\n\n")}`,
    );
    expect(after.map(({ id }) => id)).toEqual(expect.arrayContaining(before));
    expect(after.length).toBeGreaterThan(before.length);
  });

  const made = async (code: string) => {
    const file = "src/catalog/channel.ts"; // a name that the project knows
    return (await syntax.mutants(file, code)).flatMap(({ operator, start, end, to }) => [
      [operator, code.slice(0, start) + to[0] + code.slice(end)],
    ]);
  };

  test.each([
    ["if (a) b();", "condition negated", "if (!(a)) b();"],
    ["while (a) b();", "condition false", "while (false) b();"],
    ["x(a < b);", "boundary", "x(a <= b);"],
    ["x(a === b);", "equality", "x(a !== b);"],
    ["x(a && b);", "and or", "x(a || b);"],
    ["x(a ?? b);", "default for falsy", "x(a || b);"],
    ["await a.flush();", "call left out", "{}"],
    ["await a.flush();", "await left out", "a.flush();"],
    ["throw a;", "throw left out", "{}"],
    ["x(a.some(b));", "method", "x(a.every(b));"],
    ["x(a.filter(b).map(c));", "method left out", "x(a.map(c));"],
    ["x([...a]);", "spread left out", "x([...[]]);"],
    ["x({ a: 1 });", "property left out", "x({ ...{} });"],
    ["a = b;", "assignment left out", "{}"],
    ["const f = () => a;", "result replaced", "const f = () => !(a);"],
    ["x(1);", "number", "x(2);"],
    ['x("a");', "string", 'x("mutant");'],
  ])("%s: %s", async (code, operator, mutated) => {
    expect(await made(code)).toContainEqual([operator, mutated]);
  });

  test.each([
    ['import { a } from "./b.ts";'],
    ['type A = "a" | 1 | true;'],
    ["interface A { readonly b: 1 }"],
    ["while (a);"], // never made true
  ])("%s: none that does not run, or never ends", async (code) => {
    expect((await made(code)).filter(([operator]) => operator !== "condition false")).toEqual([]);
  });

  test("leave a default that means the same as it is", async () => {
    for (const code of ["x(a ?? []);", 'x(a ?? "");', "x(a || {});"])
      expect((await made(code)).map(([operator]) => operator)).not.toContain("default for falsy");
  });

  test("are right by their types", async () => {
    const [fault] = all.filter(({ file, operator }) => file === "src/catalog/channel.ts" && operator === "result replaced");
    const to = ["(1 as string)", "][", "(1 as never as string)", "undefined as never"];
    expect(await syntax.valid({ ...(fault as Mutant), to })).toBe("undefined as never");
  });
});

test("the order of two that are chosen does not depend on the others", () => {
  const mutants = all.filter((_, i) => i % 97 === 0);
  fc.assert(
    fc.property(fc.subarray(mutants, { minLength: 1 }), fc.string(), (some, seed) => {
      const whole = inSeededOrder(mutants, seed);
      for (const [kind, ordered] of inSeededOrder(some, seed)) {
        expect(ordered).toEqual((whole.get(kind) ?? []).filter((mutant) => ordered.includes(mutant)));
        expect(ordered.every((mutant) => kindOf(mutant) === kind)).toBe(true);
      }
    }),
  );
});

describe("the tests", () => {
  test("that reach a line come first, the nearest and fastest before; those of its room after", () => {
    const reaching = (path: string, seconds: number): TestFile => ({
      ...testFile(path, seconds),
      reaches: (file, from, to) => file === "store/fs.ts" && from <= 7 && to >= 7,
    });
    const tests = [
      reaching("test/bin/commands/gc.test.ts", 1),
      reaching("test/store/slow.test.ts", 9),
      reaching("test/store/gc.test.ts", 2),
      testFile("test/store/other.test.ts", 1),
      testFile("test/src/a.test.ts", 1),
    ];
    const order = inOrder(tests, "store/fs.ts", 5, 8);
    expect(order.reaching.map(({ path }) => path)).toEqual([
      "test/store/gc.test.ts",
      "test/store/slow.test.ts",
      "test/bin/commands/gc.test.ts",
    ]);
    expect(order.room.map(({ path }) => path)).toEqual(["test/store/other.test.ts"]);
  });

  test("that start processes are those which run the executable or import the source; what concerns it comes first", async () => {
    const paths = async (source: string) => (await startingFor(source)).map(({ path }) => path);
    expect((await paths("bin/machine/sockets.ts"))[0]).toBe("test/e2e/connections.test.ts"); // by the table
    expect((await paths("bin/commands/config.ts"))[0]).toBe("test/e2e/config.test.ts"); // by its name
    expect((await paths("src/archives/parts.ts"))[0]).toBe("test/e2e/carry.test.ts"); // imported
    const trust = await paths("bin/commands/trust.ts");
    expect(trust.indexOf("test/e2e/juju.test.ts")).toBeLessThan(trust.indexOf("test/e2e/carry.test.ts")); // named
    expect(trust).not.toContain("test/tools/ci.test.ts");
    expect(trust).not.toContain("test/tools/tarball.test.ts");
    const built = new Map((await startingFor("src/digest.ts")).map(({ path, needsBuild }) => [path, needsBuild]));
    expect(built.get("test/tools/tarball.test.ts")).toBe(false);
    expect(built.get("test/e2e/crash.test.ts")).toBe(true);
    expect(built.get("test/powercut/powercut.test.ts")).toBe(true);
  });

  test("reach the lines that a report of lcov says were run", () => {
    expect(linesOf("TN:\nSF:store/fs.ts\nDA:1,3\nDA:2,0\nDA:10,1\nend_of_record\nSF:test/a.ts\nDA:1,1\nend_of_record\n")).toEqual({
      "store/fs.ts": [1, 10],
    });
  });

  test.each([
    ["test/a.test.ts:\n(pass) x\n\ntest/b.test.ts:\n(fail) y\n\ntest/c.test.ts:\n", "test/b.test.ts"],
    ["test/a.test.ts:\n(pass) x\n\ntest/b.test.ts:\n", "test/b.test.ts"],
    ["\ntest/a.test.ts:\n# Unhandled error between tests\n\ntest/b.test.ts:\n", "test/a.test.ts"],
    ["", undefined],
  ])("%j: the one that failed", (output, file) => {
    expect(failing(output)).toBe(file);
  });

  test("that hang, eat memory or leave something running are ended, with all that they started", async () => {
    const bounds = { cwd: ROOT, seconds: 60 };
    expect((await run(["sh", "-c", "sleep 1000 & sleep 1000"], { ...bounds, seconds: 0.2 })).code).toBeUndefined();
    const hungry = "const kept = []; for (;;) { kept.push(Buffer.alloc(2 ** 20, 1)); await Bun.sleep(1); }";
    expect((await run([process.execPath, "-e", hungry], { ...bounds, memory: 2 ** 28 })).code).toBeUndefined();
    const { code, output } = await run(["sh", "-c", "sleep 1000 & echo $!; exit 3"], bounds);
    expect(code).toBe(3);
    while (isRunning(Number(output))) await Bun.sleep(1); // it has closed its output, and ends
  });

  test("say of a fault whether they notice it", async () => {
    const [fault] = all.filter(({ file, operator }) => file === "src/catalog/channel.ts" && operator === "result replaced");
    const tests = [{ ...testFile("test/src/catalog/channel.test.ts", 1), reaches: () => true }];
    await using copy = await Copy.make("tested");
    const judged = (to: string) => copy.judge(fault as Mutant, to, tests, "in process");
    expect(await judged('"mutant" as never')).toEqual({ killed: "test/src/catalog/channel.test.ts", how: "failed" });
    expect(await judged(`(${fault?.from ?? ""})`)).toEqual({ lived: "in process" });
    expect(await copy.asked(fault as Mutant, '"mutant" as never', "test/src/schema.test.ts")).toBeUndefined();
    expect(copy.noise).toEqual([]);
  });
});

/** A process that has ended may wait for its parent. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
