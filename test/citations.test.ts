/** Comments cite the pages about clients by heading, `handlers/juju.md, Channels`: each heading must be there. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");

const CITATION = /(handlers\/[\w-]+\.md)(?:, ([A-Z][^;:.)*]*))?/g;

/** Headings of each page of handlers/; the longest first, since one may begin like another. */
async function headings(): Promise<Map<string, string[]>> {
  const pages = new Map<string, string[]>();
  for (const page of new Bun.Glob("handlers/*.md").scanSync(ROOT)) {
    const text = await Bun.file(join(ROOT, page)).text();
    const found = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
    pages.set(
      page,
      found.toSorted((a, b) => b.length - a.length),
    );
  }
  return pages;
}

/** What a text cites that is not there. */
function missing(text: string, pages: ReadonlyMap<string, readonly string[]>): string[] {
  return [...text.matchAll(CITATION)].flatMap(([citation, page = "", heading]) => {
    const known = pages.get(page);
    if (!known) return [citation];
    if (heading === undefined) return [];
    return known.some((one) => heading === one || heading.startsWith(`${one} `)) ? [] : [citation];
  });
}

test("every page and heading that the source cites is there", async () => {
  const pages = await headings();
  const wrong: string[] = [];
  for (const folder of ["bin", "src", "handlers", "store", "test"])
    for (const file of new Bun.Glob("**/*.{ts,tsx}").scanSync(join(ROOT, folder))) {
      if (join(folder, file) === "test/citations.test.ts") continue;
      const found = missing(await Bun.file(join(ROOT, folder, file)).text(), pages);
      wrong.push(...found.map((citation) => `${folder}/${file}: ${citation}`));
    }
  expect(wrong).toEqual([]);
});

describe("the check itself", () => {
  const pages = new Map([["handlers/juju.md", ["Choosing a release", "Channels"]]]);

  test.each([
    ["/** Rules: handlers/juju.md, Channels. */", []],
    ["(handlers/juju.md, Choosing a release)", []],
    ["handlers/juju.md, Channels; handlers/juju.md, Nothing.", ["handlers/juju.md, Nothing"]],
    ["see handlers/juju.md.", []],
    ["handlers/none.md, Channels", ["handlers/none.md, Channels"]],
    ["handlers/juju.md, Channelsurfing", ["handlers/juju.md, Channelsurfing"]],
  ])("%s", (text, wrong) => {
    expect(missing(text, pages)).toEqual(wrong);
  });
});
