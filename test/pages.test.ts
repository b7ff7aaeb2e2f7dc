/** The pages for maintainers cite files, and names in them as `file.ts: name`: both must be there. */

import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const PAGES = [
  "README.md",
  ...new Bun.Glob("bin/manual/*.md").scanSync(ROOT),
  "CONTRIBUTING.md",
  "src/README.md",
  "handlers/README.md",
  "store/README.md",
  "handlers/juju.md",
  "handlers/snapd.md",
];

const exists = (path: string) => Bun.file(join(ROOT, path)).exists();

/** Every file of the program whose path ends in `name`. */
const sources = [...new Bun.Glob("{bin,src,handlers,store,test}/**/*.{ts,tsx,md}").scanSync(ROOT)];
const endingIn = (name: string) => sources.filter((path) => path === name || path.endsWith(`/${name}`));

/** What a page cites that is not there. A name without a folder may be of any file of that name. */
async function missing(page: string, text: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const [, target = ""] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g))
    if (!(await exists(join(dirname(page), target))) && !(await isFolder(join(dirname(page), target)))) wrong.push(target);
  for (const [, cited = "", names] of text.matchAll(/`([\w./-]+\.tsx?)(?:: ([^`]+))?`/g)) {
    const files = endingIn(cited);
    if (files.length === 0) wrong.push(cited);
    for (const name of files.length > 0 && names !== undefined ? names.split(/ → |\./) : []) {
      const texts = await Promise.all(files.map((file) => Bun.file(join(ROOT, file)).text()));
      const word = /^[\w#]+/.exec(name)?.[0] ?? name;
      if (!texts.some((code) => new RegExp(`\\b${word}\\b`).test(code))) wrong.push(`${cited}: ${name}`);
    }
  }
  return wrong;
}

async function isFolder(path: string): Promise<boolean> {
  return sources.some((file) => file.startsWith(`${path.replace(/\/$/, "")}/`));
}

test.each(PAGES)("%s cites only what is there", async (page) => {
  expect(await missing(page, await Bun.file(join(ROOT, page)).text())).toEqual([]);
});

describe("the check itself", () => {
  test.each([
    ["`src/digest.ts: sumsOf`, [a](../LICENSE), [b](../bin/commands)", []],
    ["`src/digest.ts: nothingOfThatName`", ["src/digest.ts: nothingOfThatName"]],
    ["`src/nowhere.ts`", ["src/nowhere.ts"]],
    ["[a](nowhere.md)", ["nowhere.md"]],
  ])("%s", async (text, wrong) => {
    expect(await missing("src/README.md", text)).toEqual(wrong);
  });
});
