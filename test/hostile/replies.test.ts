/** What a store may answer in place of what it should. */

import { describe, expect, test } from "bun:test";
import { HttpClient, Unavailable } from "../../src/export/client.ts";
import { Upstream } from "../../src/export/upstream.ts";

/** Asks a store that gives one reply to everything; a text, or a status. */
function upstreamOf(reply: unknown, asked: string[] = []): Upstream {
  const remote = new HttpClient({
    transport: async (url) => {
      asked.push(url);
      if (typeof reply === "number") return new Response("", { status: reply });
      return new Response(typeof reply === "string" ? reply : JSON.stringify(reply));
    },
    sleep: async () => {},
  });
  return new Upstream({ charmhub: "http://hub.test", snapstore: "http://snaps.test", agents: "http://snaps.test" }, remote);
}

async function failureOf(work: Promise<unknown>): Promise<Unavailable> {
  const error = await work.then(
    () => new Error("it worked"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Unavailable)) throw error;
  return error;
}

const INFO = "cannot fetch metadata of kafka: http://hub.test/v2/charms/info/kafka";
const NAMED = { type: "charm", id: "x", name: "kafka" };
const row = (revision: unknown) => ({ channel: { name: "stable", track: "latest", risk: "stable" }, revision: { revision } });

describe("info", () => {
  const CASES: readonly (readonly [string, unknown, string, number])[] = [
    ["a page", "<html>Welcome</html>", "the reply is not JSON", 1],
    ["nothing", "", "the reply is not JSON", 1],
    ["half of it", '{"type": "charm", "na', "the reply is broken JSON, in 6 tries", 6],
    ["a list", "[]", 'the reply has no shape that is known: type: Invalid key: Expected "type" but received undefined', 1],
    ["a word", '"kafka"', "the reply has no shape that is known: the whole: ", 1],
    ["another type", { ...NAMED, type: "cart" }, "the reply has no shape that is known: type: ", 1],
    ["no revision", { ...NAMED, "channel-map": [row("7")] }, "the reply has no shape that is known: channel-map.0.revision.revision: ", 1],
    [
      "a revision below nothing",
      { ...NAMED, "channel-map": [row(-1)] },
      "the reply has no shape that is known: channel-map.0.revision.revision: ",
      1,
    ],
    ["no such charm", 404, "status 404", 1],
    ["a store that is down", 502, "status 502, in 6 tries", 6],
  ];
  test.each(CASES)("%s", async (_, reply, why, tries) => {
    const asked: string[] = [];
    expect((await failureOf(upstreamOf(reply, asked).info("kafka"))).message).toStartWith(`${INFO}: ${why}`);
    expect(asked).toHaveLength(tries);
  });

  test("what no reader needs may be of any shape", async () => {
    expect(await upstreamOf({ ...NAMED, result: 7, more: [], "channel-map": null }).info("kafka")).toMatchObject({
      name: "kafka",
      result: undefined,
    });
  });

  test("a name can't lead to another place", async () => {
    const asked: string[] = [];
    await upstreamOf(NAMED, asked).info("../../x?y#z");
    expect(asked[0]).toStartWith("http://hub.test/v2/charms/info/..%2F..%2Fx%3Fy%23z?");
  });
});

describe("refresh", () => {
  const HEX = "a".repeat(64);
  const charm = (download: unknown) => ({
    results: [{ "instance-key": "download-0", charm: { type: "charm", id: "x", name: "kafka", revision: 1, download } }],
  });
  const CASES: readonly (readonly [string, unknown, string])[] = [
    ["without results", {}, "the reply has no shape that is known: results: "],
    ["without a result for it", { results: [{ "instance-key": "another" }] }, "the reply has no result for it"],
    ["without a charm", { results: [{ "instance-key": "download-0" }] }, "the reply has no shape that is known: charm: "],
    [
      "with a digest that is none",
      charm({ url: "http://x.test/", size: 1, "hash-sha-256": "abc" }),
      "the reply has no shape that is known: charm.download.hash-sha-256: is no digest in lower-case hex",
    ],
    [
      "with a size below nothing",
      charm({ url: "http://x.test/", size: -1, "hash-sha-256": HEX }),
      "the reply has no shape that is known: charm.download.size: ",
    ],
    [
      "with a URL that is none",
      charm({ url: "/x", size: 1, "hash-sha-256": HEX }),
      "the reply has no shape that is known: charm.download.url: is no URL",
    ],
  ];
  test.each(CASES)("%s", async (_, reply, why) => {
    const failure = await failureOf(upstreamOf(reply).charms([{ name: "kafka", base: null }]));
    expect(failure.message).toStartWith(`cannot resolve kafka: http://hub.test/v2/charms/refresh: ${why}`);
  });

  test("what the store refuses is an answer", async () => {
    const error = { code: "revision-not-found", message: "No such revision" };
    expect(await upstreamOf({ results: [{ "instance-key": "download-0", error }] }).charms([{ name: "kafka", base: null }])).toMatchObject([
      { error },
    ]);
  });
});

test("an assertion that a store has not is no failure; a store that is down is", async () => {
  expect(await upstreamOf(404).assertion("account", ["x"])).toBeUndefined();
  expect((await failureOf(upstreamOf(500).assertion("account", ["x"]))).message).toBe(
    "cannot fetch the assertion account/x: http://snaps.test/v2/assertions/account/x: status 500, in 6 tries",
  );
});
