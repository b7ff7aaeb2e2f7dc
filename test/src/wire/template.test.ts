import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { ORIGIN, Template, TemplateCache } from "../../../src/wire/template.ts";
import { anyText } from "../../strangers.ts";

const textOf = (template: Template, origin = "") => new TextDecoder().decode(template.bytes(origin));

test("a template is told by the address that it is asked for", () => {
  const template = new Template({ url: `${ORIGIN}/a`, other: [`${ORIGIN}/b`] });
  expect(textOf(template, "http://hub")).toBe('{"url":"http://hub/a","other":["http://hub/b"]}');
  expect(textOf(template, "https://x:1/y")).toBe('{"url":"https://x:1/y/a","other":["https://x:1/y/b"]}');
});

const ANY_TEXT = anyText({ maxLength: 20 });

test("a template has any texts around the addresses that it is asked for, one after the other", () => {
  fc.assert(
    fc.property(fc.array(ANY_TEXT, { maxLength: 6 }), fc.array(ANY_TEXT, { minLength: 1, maxLength: 6 }), (around, origins) => {
      const template = new Template(around.join(ORIGIN));
      const before = template.size;
      const first = template.bytes(origins[0] ?? "");
      const copy = new Uint8Array(first);
      for (const origin of origins) {
        const bytes = template.bytes(origin);
        expect(Buffer.from(bytes).toString()).toBe(JSON.stringify(around.join(ORIGIN)).replaceAll(ORIGIN, () => origin));
        expect(bytes.byteLength).toBeLessThanOrEqual(before);
      }
      expect(first).toEqual(copy); // a reply that is being sent has it
    }),
  );
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
  expect(all.map((one) => textOf(one))).toEqual(['{"built":2}', '{"built":2}', '{"built":2}']);
  expect(textOf(await ask())).toBe('{"built":2}');
  expect(textOf(await Promise.resolve(cache.get({}, "key", build)))).toBe('{"built":3}');
});
