/** What chp says where it refuses something: each such text occurs in a test. Those that do not are listed, and the list only gets shorter. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import jsTokens from "js-tokens";
import { longTest } from "./thorough.ts";
import { UNTESTED } from "./untested.ts";

const ROOT = join(import.meta.dir, "..");

/** Characters of a part of a text that says which one it is; of a shorter one, so many refusals may have it. */
const [LONG, SHORT, SHARED] = [12, 8, 2];

/** The parts of each text that a source makes a failure of: `no ${x} here` → "no ", " here". */
export function refusalsOf(source: string, jsx = false): string[][] {
  const tokens = [...jsTokens(source, { jsx })].filter(({ type }) => !/^(WhiteSpace|LineTerminatorSequence|.*Comment)$/.test(type));
  const found: string[][] = [];
  for (const [i, { type, value }] of tokens.entries()) {
    if (type !== "Punctuator" || value !== "(") continue;
    const called = tokens[i - 1]?.value ?? "";
    const before = tokens[i - 2]?.value;
    const isFailure = called === "Failure" && before === "new";
    if (!isFailure && !(called === "refused" && before !== "function") && !(called === "wrong" && before === ".")) continue;
    // Of a `Failure` the kind comes first.
    const first = isFailure ? tokens.findIndex((token, at) => at > i && token.value === ",") + 1 : i + 1;
    const texts = partsAt(tokens, first);
    if (texts.some((text) => text.trim() !== "")) found.push(texts);
  }
  return found;
}

type Token = ReturnType<typeof jsTokens> extends Iterable<infer T> ? T : never;

function partsAt(tokens: readonly Token[], at: number): string[] {
  const { type = "", value = "" } = tokens[at] ?? {};
  if (type === "StringLiteral" || type === "NoSubstitutionTemplate") return [unescaped(value.slice(1, -1))];
  if (type !== "TemplateHead") return [];
  const parts = [unescaped(value.slice(1, -2))];
  let depth = 1;
  for (const token of tokens.slice(at + 1)) {
    if (token.type === "TemplateHead") depth += 1;
    if (token.type === "TemplateMiddle" && depth === 1) parts.push(unescaped(token.value.slice(1, -2)));
    if (token.type !== "TemplateTail") continue;
    depth -= 1;
    if (depth > 0) continue;
    parts.push(unescaped(token.value.slice(1, -1)));
    break;
  }
  return parts;
}

const unescaped = (text: string): string => text.replace(/\\(.)/g, "$1");

/** Everything that tests say in strings, templates and regular expressions. */
export function textsOfTest(source: string): string[] {
  return [...jsTokens(source)].flatMap(({ type, value }) => {
    if (type === "RegularExpressionLiteral")
      return value
        .slice(1, value.lastIndexOf("/"))
        .split(/\.[*+]\??|[\^$]/)
        .map(unescaped);
    return /^(StringLiteral|NoSubstitutionTemplate|Template(Head|Middle|Tail))$/.test(type)
      ? [unescaped(value.replace(/^[`'"}]|(\$\{|[`'"])$/g, ""))]
      : [];
  });
}

/** Whether a test says the longest part of a text. */
function isSaid(parts: readonly string[], all: string): boolean {
  return all.includes((parts.toSorted((a, b) => b.length - a.length)[0] ?? "").trim());
}

const read = (path: string) => Bun.file(join(ROOT, path)).text();

async function untested(): Promise<{ texts: string[]; count: number }> {
  const said: string[] = [];
  for (const path of new Bun.Glob("test/**/*.ts").scanSync(ROOT))
    if (path !== "test/untested.ts") said.push(...textsOfTest(await read(path)));
  const all = said.join("\n");
  const refusals: { readonly path: string; readonly parts: readonly string[] }[] = [];
  for (const path of [...new Bun.Glob("{src,handlers,store,bin}/**/*.{ts,tsx}").scanSync(ROOT)].toSorted())
    for (const parts of refusalsOf(await read(path), path.endsWith(".tsx"))) refusals.push({ path, parts });
  const tested = new Set(refusals.filter(({ parts }) => isSaid(parts, all)));
  for (const text of new Set(said)) {
    if (text.trim().length < SHORT || !/\S\s+\S/.test(text)) continue;
    const found = refusals.filter(({ parts }) => parts.some((part) => part.includes(text)));
    if (text.trim().length >= LONG || found.length <= SHARED) for (const one of found) tested.add(one);
  }
  const texts = refusals.filter((one) => !tested.has(one)).map(({ path, parts }) => `${path}: ${parts.join("…")}`);
  return { texts: [...new Set(texts)], count: refusals.length };
}

// It reads every source and every test.
longTest("every text of a refusal occurs in a test, but for those that are listed", async () => {
  const { texts, count } = await untested();
  expect(count).toBeGreaterThan(300);
  expect(texts.filter((text) => !UNTESTED.includes(text))).toEqual([]);
  expect(UNTESTED.filter((text) => !texts.includes(text))).toEqual([]); // tested now, or gone: to be taken out of the list
});

describe("the check itself", () => {
  test.each([
    ['throw refused("it is cut short");', [["it is cut short"]]],
    ['throw new Failure("usage", `no ${a ? `b ${c}` : d} here`, { next: "x" });', [["no ", " here"]]],
    ['throw fields.wrong("ends too early");', [["ends too early"]]],
    ["throw new Failure(kind, message);", []],
    ["export function refused(message: string) {}", []],
  ])("%s", (source, parts) => {
    expect(refusalsOf(source)).toEqual(parts);
  });

  test("a test says what is in its strings and regular expressions", () => {
    expect(textsOfTest('expect(a).toThrow("no b"); expect(c).toMatch(/^it is \\(d\\).*cut/)')).toEqual(["no b", "", "it is (d)", "cut"]);
  });
});
