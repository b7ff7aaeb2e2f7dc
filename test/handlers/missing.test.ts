/** What clients requested and did not get is said: in /_status/missing, in the log, as a metric. And what the access log says. */

import { expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import type { LogLine } from "../../handlers/log.ts";
import { Store } from "../../store/store.ts";
import { charmWorld, IDA } from "../world.ts";

async function served() {
  const lines: LogLine[] = [];
  const app = createApp({ store: await Store.open(await charmWorld()), config: {}, log: (line) => void lines.push(line) });
  const ask = async (path: string, init?: RequestInit) => {
    const request = new Request(`http://hub.test${path}`, init);
    return app.fetch(request, { tls: false, address: () => "192.0.2.7" });
  };
  const refresh = (actions: readonly object[], context: readonly object[] = [], id = "r1") =>
    ask("/v2/charms/refresh", {
      method: "POST",
      headers: { "X-Request-Id": id },
      body: JSON.stringify({ context, actions: actions.map((action) => ({ "instance-key": "k", action: "install", ...action })) }),
    });
  const missing = async () => ((await (await ask("/_status/missing")).json()) as { missing: Record<string, unknown>[] }).missing;
  return { ask, refresh, missing, lines };
}

const NOBLE = { name: "ubuntu", channel: "24.04", architecture: "amd64" };

const CASES: readonly (readonly [what: string, action: object, fields: object])[] = [
  ["charm nope", { name: "nope", base: NOBLE }, { type: "charm", name: "nope" }],
  ["charm with the id 0123", { id: "0123", base: NOBLE }, { type: "charm", name: "0123", byId: true }],
  [
    "a release in 99/stable of charm acme-db for ubuntu@24.04 amd64",
    { name: "acme-db", channel: "99/stable", base: NOBLE },
    { name: "acme-db", channel: "99/stable", base: "ubuntu@24.04", architecture: "amd64" },
  ],
  [
    "revision 77 of charm acme-db for ubuntu@24.04 amd64",
    { id: IDA, revision: 77, base: NOBLE },
    { name: "acme-db", revision: 77, base: "ubuntu@24.04" },
  ],
  [
    "revision 99 of resource acme-image of charm acme-db",
    { name: "acme-db", channel: "14/stable", base: NOBLE, "resource-revisions": [{ name: "acme-image", revision: 99 }] },
    { name: "acme-db", resource: { name: "acme-image", revision: 99 } },
  ],
  ["charm bad\\u{1b}[2Jname", { name: "bad\u001b[2Jname", base: NOBLE }, { name: "bad\\u{1b}[2Jname" }],
];

test.each(CASES)("a refresh for %s is noted, counted and logged, once a request", async (what, action, fields) => {
  const { refresh, missing, lines, ask } = await served();
  await (await refresh([action, action], [], "first")).text();
  await (await refresh([action], [], "second")).text(); // of the cache
  expect(await missing()).toMatchObject([{ what, times: 3, ...fields }]);
  expect(lines.filter(({ message }) => message === "not found")).toEqual(
    ["first", "second"].map((id) => ({ level: "warn", message: "not found", id, what })),
  );
  expect(await (await ask("/metrics")).text()).toContain('chp_missing_requests_total{type="charm"} 3\n');
});

test("info and resources that are not there are noted too", async () => {
  const { ask, missing } = await served();
  expect((await ask("/v2/charms/info/ch:nope")).status).toBe(404);
  expect((await ask("/v2/charms/resources/acme-db/nope/revisions")).status).toBe(404);
  expect((await missing()).map(({ what }) => what)).toEqual(["resource nope of charm acme-db", "charm nope"]);
});

test("what is stored, and what a client has yet to complete, is not", async () => {
  const { refresh, missing } = await served();
  await refresh([
    { name: "tiny", channel: "latest/stable", base: { ...NOBLE, channel: "22.04" } },
    { name: "tiny" }, // without a base
    { name: "tiny", base: { name: "NA", channel: "NA", architecture: "amd64" } }, // which asks for the bases
    { action: "refresh", name: "tiny" }, // without its context
  ]);
  expect(await missing()).toEqual([]);
});

test("the access log says who asked and how many bytes were sent", async () => {
  const { ask, lines } = await served();
  for (const method of ["GET", "GET", "HEAD"]) {
    const sent = (await (await ask("/v2/charms/info/tiny?fields=result.title", { method })).arrayBuffer()).byteLength;
    expect(sent > 0).toBe(method === "GET");
    expect(lines.at(-1)).toMatchObject({ message: "request", client: "192.0.2.7", bytes: sent });
  }
});
