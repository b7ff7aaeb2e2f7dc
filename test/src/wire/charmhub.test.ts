/** Replies of Charmhub's API that no case of the conformance tests shows alone. */

import { expect, test } from "bun:test";
import { type Package, TEXTS } from "../../../src/catalog/package.ts";
import type { Digest } from "../../../src/digest.ts";
import { charmTemplate, readCharmRefresh } from "../../../src/wire/charmhub.ts";
import { charmRevision, emptyCharm } from "../../build.ts";

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
