import { expect, test } from "bun:test";
import { ORIGIN, Template, TemplateCache } from "../../../src/wire/template.ts";

test("a template is told by the address that it is asked for", () => {
  const template = new Template({ url: `${ORIGIN}/a`, other: [`${ORIGIN}/b`] });
  expect(template.render("http://hub")).toBe('{"url":"http://hub/a","other":["http://hub/b"]}');
  expect(template.render("https://x:1/y")).toBe('{"url":"https://x:1/y/a","other":["https://x:1/y/b"]}');
});

test("what many ask for at once is built once, and again where that failed", async () => {
  const cache = new TemplateCache();
  const owner = {};
  let built = 0;
  const build = async () => {
    built += 1;
    await Bun.sleep(1);
    if (built === 1) throw new Error("not yet");
    return new Template({ built });
  };
  const ask = () => Promise.resolve(cache.get(owner, "key", build));
  const failed = await Promise.allSettled([ask(), ask()]);
  expect(failed.map((one) => one.status)).toEqual(["rejected", "rejected"]);
  const all = await Promise.all([ask(), ask(), ask()]);
  expect(all.map((one) => one.render(""))).toEqual(['{"built":2}', '{"built":2}', '{"built":2}']);
  expect((await ask()).render("")).toBe('{"built":2}');
  expect((await Promise.resolve(cache.get({}, "key", build))).render("")).toBe('{"built":3}');
});
