/** Replies of Charmhub's API that no case of the conformance tests shows alone. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Package, TEXTS } from "../../../src/catalog/package.ts";
import type { Query } from "../../../src/catalog/resolve.ts";
import type { Digest } from "../../../src/digest.ts";
import { type CharmRefresh, CharmRefreshReader, charmTemplate, queryKey, readCharmRefresh } from "../../../src/wire/charmhub.ts";
import { charmRevision, emptyCharm } from "../../build.ts";
import { runs } from "../../thorough.ts";

const DIGEST = "0".repeat(64) as Digest;

async function textsOf(pkg: Package, revision: Package["revisions"][number]): Promise<Readonly<Record<string, string>>> {
  const template = await charmTemplate({ package: pkg, revision, resources: [] }, TEXTS, async (digest) => `text ${digest}`);
  const { type, id, name, ...texts } = JSON.parse(Buffer.from(template.bytes("")).toString());
  expect([type, id, name]).toEqual([pkg.type, pkg.id, pkg.name]);
  return texts;
}

test("a charm without options or actions says so in YAML, and every other text that it has not is empty", async () => {
  const empty = charmRevision(1, DIGEST, 1);
  const said = (name: string) => (name === "config-yaml" || name === "actions-yaml" ? "{}\n" : "");
  expect(await textsOf(emptyCharm("demo"), empty)).toEqual(Object.fromEntries(TEXTS.map((name) => [name, said(name)])));
  const bundle = { ...empty, bases: [] };
  expect(await textsOf(emptyCharm("stack", { type: "bundle" }), bundle)).toEqual(Object.fromEntries(TEXTS.map((name) => [name, ""])));
  const full = { ...empty, texts: Object.fromEntries(TEXTS.map((name) => [name, DIGEST])) };
  expect(await textsOf(emptyCharm("demo"), full)).toEqual(Object.fromEntries(TEXTS.map((name) => [name, `text ${DIGEST}`])));
});

test("a refresh is of the installed charm, and of the named one where the context names none", async () => {
  const queriesOf = async (id: string | undefined) => {
    const context = [{ "instance-key": "a", id, revision: 1, base: null, "tracking-channel": "stable" }];
    const actions = [{ action: "refresh", "instance-key": "a", id: "ofAction" }];
    const { items } = await readCharmRefresh(JSON.stringify({ context, actions }), "24.04");
    return items.map((item) => ("query" in item ? item.query.id : undefined));
  };
  expect(await queriesOf("ofContext")).toEqual(["ofContext"]);
  expect(await queriesOf("")).toEqual(["ofAction"]);
});

test("two queries have one key only where they differ in nothing but the instance key", () => {
  // What could be taken for the end of a text, or for its length.
  const one = ["1", "2", ":", "-", "/", ",", " "];
  const texts = ["", ...one, ...one.flatMap((first) => ["1", ":", " "].map((second) => first + second))];
  const common = { action: "install", instanceKey: "k", preferred: "24.04" } as const;
  const base = (name: string, channel: string) => ({ name, channel, architecture: "" });
  const queries: Query[] = [undefined, ...texts].flatMap((id) =>
    [undefined, ...texts].flatMap((name): Query[] => {
      const asked = { ...common, ...(id !== undefined && { id }), ...(name !== undefined && { name }), base: null, resourceRevisions: [] };
      if (id === undefined || name === undefined)
        return [asked, { ...asked, channel: "1" }, { ...asked, revision: 1 }, { ...asked, preferred: "22.04" }];
      const pins = [
        { name: id, revision: 1 },
        { name, revision: 11 },
      ];
      return [
        asked,
        { ...common, channel: id + name, base: null, resourceRevisions: [] },
        { ...common, base: base(id, name), resourceRevisions: [] },
        { ...common, base: base(id, ""), resourceRevisions: [{ name, revision: 1 }] },
        { ...common, base: null, resourceRevisions: pins },
      ];
    }),
  );
  const contents = new Set(queries.map((query) => JSON.stringify(Object.entries(query).toSorted(([a], [b]) => (a < b ? -1 : 1)))));
  expect(contents.size).toBeGreaterThan(2500);
  expect(new Set(queries.map(queryKey)).size).toBe(contents.size);
  for (const query of queries) expect(queryKey({ ...query, instanceKey: "other" })).toBe(queryKey(query));
});

test("two refreshes have one key of fields where they ask for the same ones, in any order, of those that there are", async () => {
  const names = ["type", "id", "name", "summary", "download", "config-yaml", "unknown", "1"];
  const fieldsOf = async (fields: readonly string[] | null) =>
    (await readCharmRefresh(JSON.stringify({ actions: [], fields }), "24.04")).fields;
  const known = async (fields: readonly string[] | null) => JSON.stringify((await fieldsOf(fields)).names ?? "all");
  const lists = fc.option(fc.shuffledSubarray(names));
  await fc.assert(
    fc.asyncProperty(lists, lists, async (a, b) => {
      const [one, two] = [await fieldsOf(a), await fieldsOf(b)];
      expect(one.key === two.key).toBe((await known(a)) === (await known(b)));
    }),
    { numRuns: runs(400) },
  );
});

describe("a reader of refreshes", () => {
  const asked = (read: () => CharmRefresh | Promise<CharmRefresh>) =>
    (async () => read())().catch((error: unknown) => (error as Error).message);

  test("says of each what reading it alone says, whatever was read before", async () => {
    // Few texts, so that many differ in a key alone, or look as if they did: in a name, in what is there twice, in what is no JSON.
    const key = fc.constantFrom("a", "a", "a", "b", "b", 'a\\"b', 'c\\"b', "\\u0061", "\n", "");
    const shape = fc.constantFrom(
      (k: string) => `{"actions":[{"action":"install","instance-key":"${k}","name":"n"}]}`,
      (k: string, l: string) => `{"actions":[{"action":"install","instance-key":"${k}","name":"${l}"}]}`,
      (k: string, l: string) => `{"actions":[{"action":"install","instance-key":"${k}","instance-key":"${l}"}]}`,
      (k: string, l: string) => `{"actions":[{"action":"install","instance-key":"${k}","\\"instance-key":"${l}"}]}`,
      (k: string, l: string) => `{"actions":[{"action":"install","instance-key":"${k}"},{"action":"install","instance-key":"${l}"}]}`,
      (k: string) => `{"actions":[{"action":"install","instance-key":"${k}"},{"action":"install",\0}]}`,
      (k: string) => `{"actions":[{"action":"install",\0},{"action":"install","instance-key":"${k}"}]}`,
      (k: string) => `{"actions":[{"action":"refresh","instance-key":"${k}","id":"i"}]}`,
      (k: string, l: string) =>
        `{"context":[{"instance-key":"${k}","id":"i"}],"actions":[{"action":"refresh","instance-key":"${l}","id":"i"}]}`,
      (k: string, l: string) => `{"context":[{"instance-key":"${k}","id":"${l}"}],"actions":[{"action":"refresh","instance-key":"b"}]}`,
      (k: string) => `{"actions":[{"action":"install","instance-key" :"${k}"}]}`,
      (k: string, l: string) =>
        `{"context":[{"instance-key":"${k}","id":"i"},{"instance-key" :"${l}","id":"j"}],"actions":[{"action":"refresh","instance-key":"${k}"}]}`,
      (k: string, l: string) =>
        `{"context":[{"instance-key":"${k}","id":"i"},{"instance\\u002dkey":"${l}","id":"j"}],"actions":[{"action":"refresh","instance-key":"${k}"}]}`,
      () => `{"actions":[]}`,
      () => `{"actions":[],"x":"instance-key":"a"}`,
    );
    const text = fc.tuple(shape, key, key).map(([written, k, l]) => written(k, l));
    const hits = { hits: 0, misses: 0 };
    const reader = new CharmRefreshReader(hits);
    await fc.assert(
      fc.asyncProperty(text, fc.constantFrom("22.04", "24.04"), async (one, preferred) => {
        expect(await asked(() => reader.read(one, preferred))).toEqual(await asked(() => readCharmRefresh(one, preferred)));
      }),
      { numRuns: Math.max(400, runs(4000)) },
    );
    expect(hits.hits).toBeGreaterThan(0);
  });

  test("reads once what differs in a key alone, as Juju asks, and nothing that is long", async () => {
    const use = { hits: 0, misses: 0 };
    const reader = new CharmRefreshReader(use);
    const refresh = (key: string, fields: readonly string[] = ["revision"]) =>
      JSON.stringify({
        context: [{ "instance-key": key, id: "x".repeat(32), revision: 1, base: null, "tracking-channel": "stable" }],
        actions: [{ action: "refresh", "instance-key": key, id: "x".repeat(32) }],
        fields,
      });
    for (const key of ["one", "two", "3"]) expect((await reader.read(refresh(key), "24.04")).items[0]?.query.instanceKey).toBe(key);
    expect(use).toEqual({ hits: 2, misses: 1 });
    const long = Array.from({ length: 1000 }, (_, i) => `field-${i}`);
    for (const key of ["one", "two"]) await reader.read(refresh(key, long), "24.04");
    expect(use).toEqual({ hits: 2, misses: 1 });
  });
});
