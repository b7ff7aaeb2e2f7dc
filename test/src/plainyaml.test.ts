import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import * as fc from "fast-check";
import { readPlainYaml } from "../../src/plainyaml.ts";
import { readYamls } from "../../src/yaml.ts";
import { runs } from "../thorough.ts";

/** What the library makes of a text; undefined where it refuses it. */
function byLibrary(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: readYamls(text, "it")[0] };
  } catch {
    return undefined;
  }
}

/** Whether a text is read without the library. Fails where the library has another value, another order of keys, or an error. */
function agrees(text: string): boolean {
  const value = readPlainYaml(text);
  if (value === undefined) return false;
  expect([text, JSON.stringify(value)]).toEqual([text, JSON.stringify(byLibrary(text)?.value)]);
  return true;
}

const KEYS = ["a", "b", "osd-devices", "juju.is/x", "_k", "null", "true", "__proto__", "constructor", "1", "<<", "a b", "'q'", "é"];
const SCALARS = [
  ..."x|x y|it's|a: b|a:b|http://h:1/p|a #b|a#b|#|# c|&a|*a|!t|!!str x|@|`|%|?|-|- x|--|---|...|a,b|[a]|[a, b]|[ a,b ]|[a, 1]|[a: b]".split(
    "|",
  ),
  ...'[]~{}~[ ]~{a: b}~{~]~""~"q"~"a\\n"~"a" b~""" ~"a: b"~"a #b"~\'\'~\'q\'~\'a\'\'b\'~\' # \'~"\'~a"b'.split("~"),
  ..."null Null nULL ~ true True tRUE false yes no on off 0 1 -1 +1 01 1_000 0x1F 0o17 0b1 1e3 1.5 1.50 1. .5 -.5 1.2.3 .inf .nan".split(
    " ",
  ),
  ..."22.04 20.04.1 2024-01-01 12:30 1:2 123456789012345 1234567890123456 99999999999999999999 5m 1f 1e a- a: é 日本 <<".split(" "),
  "|",
  "|-",
  "|+",
  ">",
  ">-",
  "|2",
  "| #c",
  "",
  " ",
  "a\tb",
  "a  b",
  "a  ",
  "\u00a0",
  "\u0085",
  "\u2028",
  "\ufeff",
  "😀",
];
/** of scalars of several lines */
const PIECES = [
  "a",
  "b c",
  " ",
  "  ",
  "\n",
  "\n\n",
  "\\\n",
  "\\ ",
  "\\n",
  "\\t",
  '\\"',
  "\\\\",
  "\\u00e9",
  "\\u00",
  "\\x4",
  "\\ud83d",
  "\\x41",
  "\\q",
  "''",
  "'",
  '"',
  "#",
  " #",
  ":",
  ": ",
  "- ",
  "1",
];
/** How many of them are read without the library, at each of their places. */
const READ = [65, 56, 67, 61, 121, 11, 129, 127, 119, 118, 126, 12, 14];
const indentation = fc.constantFrom("", "", "", "", "  ", "  ", "    ", " ", "   ");
const value = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom("x", "y z", '"q"', "1", "") },
  { weight: 1, arbitrary: fc.constantFrom(...SCALARS) },
);
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(indentation, fc.constantFrom(...KEYS), value).map(([i, k, s]) => `${i}${k}: ${s}`),
  },
  { weight: 3, arbitrary: fc.tuple(indentation, fc.constantFrom(...KEYS)).map(([i, k]) => `${i}${k}:`) },
  { weight: 2, arbitrary: fc.tuple(indentation, fc.constantFrom(...SCALARS)).map(([i, s]) => `${i}- ${s}`) },
  { weight: 2, arbitrary: fc.tuple(indentation, fc.constantFrom(...KEYS)).map(([i, k]) => `${i}- ${k}: x`) },
  { weight: 2, arbitrary: fc.tuple(indentation, fc.constantFrom(...SCALARS)).map(([i, s]) => `${i}${s}`) },
  { weight: 1, arbitrary: indentation },
);

/** Texts that are right but for what `spoil` puts in. */
const tree: fc.Arbitrary<(indent: number) => string> = fc.letrec<{ node: (indent: number) => string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(...SCALARS).map((text) => () => ` ${text}\n`),
    fc
      .tuple(
        fc.constantFrom("'", '"', ""),
        fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 3 }),
      )
      .map(
        ([quote, pieces, deeper]) =>
          (indent: number) =>
            ` ${quote}${pieces.join("").replaceAll("\n", `\n${" ".repeat(indent + deeper)}`)}${quote}\n`,
      ),
    fc
      .tuple(
        fc.constantFrom("|", "|-", ">", ">-"),
        fc.array(fc.constantFrom("text", "", "  more", "# no comment", "a: b ", "- x"), { minLength: 1 }),
      )
      .map(
        ([style, lines]) =>
          (indent: number) =>
            ` ${style}\n${lines.map((one) => `${one && " ".repeat(indent + 2)}${one}\n`).join("")}`,
      ),
    fc
      .tuple(
        fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 4 }),
        fc.array(tie("node"), { minLength: 4, maxLength: 4 }),
        fc.constantFrom(1, 2, 4),
      )
      .map(
        ([keys, values, step]) =>
          (indent: number) =>
            `\n${keys.map((key, i) => `${" ".repeat(indent + step)}${key}:${values[i]?.(indent + step)}`).join("")}`,
      ),
    fc.tuple(fc.array(tie("node"), { minLength: 1, maxLength: 4 }), fc.constantFrom(0, 2)).map(
      ([items, step]) =>
        (indent: number) =>
          `\n${items.map((item) => `${" ".repeat(indent + step)}- ${item(indent + step).trimStart() || "x\n"}`).join("")}`,
    ),
  ),
})).node;

describe("what is read without the library is what the library reads", () => {
  test("of any lines", () => {
    let read = 0;
    const count = Math.max(runs(20_000), 2500); // of fewer, now and then hardly any is read
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        if (agrees(`${lines.join("\n")}\n`)) read += 1;
      }),
      { numRuns: count },
    );
    expect(read).toBeGreaterThan(count / 200);
  });

  test("of texts that are right, and of those that lost or got a character", () => {
    const [count, read] = [runs(20_000), { whole: 0, changed: 0 }];
    const spoilt = fc.tuple(fc.nat(), fc.constantFrom("", " ", "  ", "\n", ":", "#", "-", '"', "a", "\t"));
    fc.assert(
      fc.property(tree, spoilt, (node, [at, by]) => {
        const text = `top:${node(0)}`;
        if (agrees(text)) read.whole += 1;
        const place = at % text.length;
        if (agrees(text.slice(0, place) + by + text.slice(place + 1))) read.changed += 1;
      }),
      { numRuns: count },
    );
    expect(read.whole).toBeGreaterThan(count / 10);
    expect(read.changed).toBeGreaterThan(count / 40);
  });

  test("of each scalar, wherever it may be", () => {
    const places: readonly ((text: string) => string)[] = [
      (text) => `a: ${text}\n`,
      (text) => `a: ${text}  # c\nb: 1\n`,
      (text) => `a:\n  - ${text}\n  - x\n`,
      (text) => `a: ${text}\n  more\n\n  lines\n`,
      (text) => `a: x\n  ${text}\nb: 1\n`,
      (text) => `a:\n  ${text}\n`,
      (text) => `a: |\n  ${text}\n  x\n`,
      (text) => `a: >-\n  x\n  ${text}\n`,
      (text) => `a: "${text}\n  x"\n`,
      (text) => `a: "x${text}"\n`,
      (text) => `a: '${text}'\n`,
      (text) => `${text}: 1\n`,
      (text) => `a:\n  ${text}: 1\n  b: 2\n`,
    ];
    const texts = [...new Set([...SCALARS, ...PIECES, ...KEYS])];
    expect(places.map((place) => texts.filter((text) => agrees(place(text))).length)).toEqual(READ);
  });

  test("of the files of real charms, most of which are read so", async () => {
    const texts: string[] = [];
    for await (const path of new Glob("test/fixtures/**/*.yaml").scan(".")) texts.push(await Bun.file(path).text());
    const read = texts.filter(agrees).length;
    expect(texts.length).toBeGreaterThan(5);
    expect(read / texts.length).toBeGreaterThan(0.5);
  });
});

const nested = (levels: number): string => Array.from({ length: levels }, (_, i) => `${" ".repeat(i)}a:\n`).join("");

test.each([
  ["a text in lines of its own", "a: |\n  b\n    c\n\n  d\n\nz: 1\n"],
  ["one whose lines are joined", "a: >-\n  b\n  c\n\n  d\nz: 1\n"],
  ["a text in double quotes", 'a: "b\\n\\u00e9 \\\n  c"\n'],
  ["one in single quotes", "a: 'it''s\n  c'\n"],
  ["a text of several lines", "a: b\n  c\n\n  d\n"],
  ["a list", "a:\n- b\n- c: d\n  e: [f, g]\n"],
  ["words and numbers", "a: {}\nb: []\nc: true\nd: null\ne: 1.5\nf: 1.2.3\ng:\n# no more\n"],
  ["as many inside each other as may be", nested(33)],
])("%s is read without the library", (_, text) => {
  expect(agrees(text)).toBe(true);
});

test.each([
  ["a text without its last newline", "a: b"],
  ["a list", "- a\n"],
  ["nothing", "\n"],
  ["a key twice", "a: b\na: c\n"],
  ["a document's mark", "---\na: b\n"],
  ["a text that is too long", `a: ${"x".repeat(2 ** 16)}\n`],
  ["too many inside each other", nested(34)],
  ["a number of a character over two lines", 'a: "\\u0e9\\\n  a"\n'],
  ["a short one over two lines", 'a: "\\\\\\x4\\\n  1"\n'],
])("%s is left to the library", (_, text) => {
  expect(readPlainYaml(text)).toBeUndefined();
});

test("of a long text in one run of any character, less than half a second of processor time is taken", () => {
  const steps = (text: string) => {
    const begun = process.cpuUsage();
    readPlainYaml(text);
    const { user, system } = process.cpuUsage(begun);
    return user + system;
  };
  for (const run of [" ", "\\", "\\\n ", "'", '"', "a, ", "#", "a\n ", "\n", "- ", ": ", " x", "0", "''"]) {
    for (const before of ["a: ", 'a: "', "a: '", "a: |\n  ", "a: [", "a:\n  - "]) {
      const text = `${before}${run.repeat(Math.floor((2 ** 16 - 10) / run.length))}x\n`;
      expect([run, before, steps(text) < 500_000]).toEqual([run, before, true]);
    }
  }
});
