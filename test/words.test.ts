/** What operators read has one word per notion. These were given up, each with the word that took its place. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Text, textsOf } from "./texts.ts";

const ROOT = join(import.meta.dir, "..");

/** Given up → said instead. Looked for in texts of more than one word: messages, hints, help, comments of what is printed. */
const GIVEN_UP: readonly (readonly [word: RegExp, instead: string])[] = [
  [/\black(s|ed|ing)?\b/i, "missing"],
  [/\bin vain\b/i, "not found, failed requests"],
  [/\bheld\b/i, "stored; pinned to, of an override"],
  [/\bmend(s|ed|ing)?\b/i, "repair"],
  [/\btold\b/i, "said, listed"],
  [/\btells?\b/i, "says, shows, lists"],
  [/\b(take|takes|took|taken|taking) (it |them |this |these )?in\b/i, "import"],
  [/\bworth a thought\b/i, "warnings"],
  [/\bno use for\b/i, "ignored"],
  [/\b(goes|went) on\b/i, "resumes"],
  [/\bbesides\b/i, "in addition to, additional"],
  [/\bmeans nothing\b/i, "unknown, has no meaning"],
  [/\bleads?\b/i, "points at"],
  [/\b(is|are) whole\b/i, "intact, complete"],
  [/\bby chance\b/i, "random"],
  [/\b(can|could|cannot|not to) be had\b/i, "available, not available"],
  [/\bput aside\b/i, "moved to the trash"],
  [/\bsettles\b/i, "set; stores"],
  [/\bin turn\b|\bitself and is no\b|\bsigns? itself\b/i, "also; self-signed"],
  [/\bcome to trust\b/i, "make clients trust"],
  [/\btrying again\b/i, "retrying; do not restart"],
  [/\ba registry of yours\b/i, "your registry"],
  [/\baddress in DNS\b/i, "host name not found"],
  [/\bprivate authority\b/i, "private CA"],
  [/\bother bytes\b/i, "differs; content does not match its checksum"],
  [/\ball the same\b/i, "anyway"],
  [/\bcannot get\b/i, "cannot fetch"],
  [/\b(is|was|are|not) accepted\b/i, "trusted, of a key"],
  [/\boverride holds\b/i, "pins"],
  [/\bis (none|no) (of|that)\b/i, "is not a, is unknown"],
];

/** Most files and texts have none of them, which one search shows. */
const ANY = new RegExp(GIVEN_UP.map(([{ source }]) => source).join("|"), "i");

/** Texts that are no prose: names in scripts, and words of others that are compared with. */
const EXEMPT = /^\s*held |^#!\/bin\/sh/;

function givenUp({ text }: Text): string[] {
  if (!/\S\s+\S/.test(text.trim()) && !/^\s+\S|\S\s+$/.test(text)) return [];
  if (!ANY.test(text) || EXEMPT.test(text)) return [];
  return GIVEN_UP.flatMap(([word, instead]) => (word.test(text) ? [`${word.exec(text)?.[0]}: say ${instead}`] : []));
}

const sources = [...new Bun.Glob("{bin,src,handlers,store}/**/*.{ts,tsx}").scanSync(ROOT)].toSorted();
const pages = ["README.md", "CHANGELOG.md", ...new Bun.Glob("bin/manual/*.md").scanSync(ROOT)].toSorted();

test("no text of the program uses a word that was given up", async () => {
  const found: string[] = [];
  for (const path of sources) {
    const source = await Bun.file(join(ROOT, path)).text();
    if (!ANY.test(source)) continue;
    for (const text of textsOf(source, path.endsWith(".tsx"))) for (const why of givenUp(text)) found.push(`${path}:${text.line} ${why}`);
  }
  expect(found).toEqual([]);
});

test("nor does a page that operators read", async () => {
  const found: string[] = [];
  for (const path of pages)
    for (const [i, text] of (await Bun.file(join(ROOT, path)).text()).split("\n").entries())
      for (const why of givenUp({ line: i + 1, text })) found.push(`${path}:${i + 1} ${why}`);
  expect(found).toEqual([]);
});

describe("the check itself", () => {
  test.each([
    ['throw new Error("it is not held");', ["held: say stored; pinned to, of an override"]],
    ["note(`next: ${what} looked ${more} in vain`);", ["in vain: say not found, failed requests"]],
    ['const held = "held"; // nothing is held', []],
    ['/held here/.test("a b")', []],
  ])("%s", (source, found) => {
    expect(textsOf(source).flatMap(givenUp)).toEqual(found);
  });
});
