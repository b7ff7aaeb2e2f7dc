import { describe, expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import { createLog, type LogLine } from "../../handlers/log.ts";
import type { Registries, Registry } from "../../src/catalog/registry.ts";
import { Store } from "../../store/store.ts";
import { charmWorld } from "../world.ts";

async function served({ publicUrl }: { publicUrl?: string } = {}) {
  const store = await Store.open(await charmWorld());
  const lines: LogLine[] = [];
  let registries: Registries = { current: undefined, former: [] };
  const app = createApp({
    store,
    config: publicUrl === undefined ? {} : { publicUrl },
    log: (line) => void lines.push(line),
    registries: async () => registries,
  });
  const ask = async (path: string, init?: RequestInit) => {
    const reply = await app.fetch(new Request(new URL(path, "http://hub.test"), init));
    return { status: reply.status, headers: reply.headers, text: await reply.text() };
  };
  const setRegistry = (current: Registry) => (registries = { current, former: [] });
  const retitle = (name: string, title: string) =>
    store.publish("2026-05-01T00:00:00Z", async (base) => {
      const pkg = await base.package(name);
      if (!pkg) throw new Error(`no ${name}`);
      const packages = [{ ...pkg, details: { ...pkg.details, title } }];
      return {
        draft: { command: "test", sources: [], sections: { packages: { changed: packages, tally: {} } }, blobs: [] },
        result: undefined,
      };
    });
  return { ask, lines, setRegistry, retitle };
}

const TITLE = "/v2/charms/info/tiny?fields=result.title";
const FIND = "/v2/charms/find?q=tiny&fields=result.title";
const DOWNLOADS = "/v2/charms/info/tiny?fields=channel-map.revision.download.url";
const RESOURCES = "/v2/charms/resources/acme-db/acme-image/revisions";

describe("replies that last", () => {
  test("are the same bytes each time, each request with its own id", async () => {
    const { ask } = await served();
    for (const path of [TITLE, FIND, RESOURCES]) {
      const [one, two] = [await ask(path), await ask(path, { headers: { "X-Request-Id": "mine" } })];
      expect(two.text).toBe(one.text);
      expect([one.status, two.status]).toEqual([200, 200]);
      expect(two.headers.get("Content-Type")).toBe("application/json");
      expect(one.headers.get("X-Request-Id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(two.headers.get("X-Request-Id")).toBe("mine");
    }
  });

  test("have an id of their own each, of whichever application of a process", async () => {
    const apps = [await served(), await served()];
    const ids: (string | null)[] = [];
    for (let i = 0; i < 300; i += 1) for (const { ask } of apps) ids.push((await ask(i % 3 ? TITLE : "/nope")).headers.get("X-Request-Id"));
    expect(ids.filter((id) => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id ?? ""))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("come without a promise, while nothing is to be read", async () => {
    const store = await Store.open(await charmWorld());
    const app = createApp({ store, config: {}, log: () => {} });
    const ask = () => app.fetch(new Request(`http://hub.test${TITLE}`));
    const first = await ask();
    const second = ask();
    expect(second).toBeInstanceOf(Response);
    expect(await (await second).text()).toBe(await first.text());
  });

  test("name the address that each request was sent to, also where one begins as the other", async () => {
    const { ask } = await served();
    const hosts = ["http://hub.test", "http://hub.test.example", "http://hub.test:81", "https://hub.test"];
    for (const host of [...hosts, ...hosts.toReversed()]) {
      const { text } = await ask(host + DOWNLOADS);
      const { "channel-map": rows } = JSON.parse(text) as { "channel-map": { revision: { download: { url: string } } }[] };
      expect(rows.length).toBeGreaterThan(0);
      for (const { revision } of rows) expect(revision.download.url).toStartWith(`${host}/api/`);
    }
  });

  test("end with the snapshot that they tell of", async () => {
    const { ask, retitle } = await served();
    for (const title of ["One", "Two"]) {
      await retitle("tiny", title);
      for (const path of [TITLE, FIND, TITLE, FIND]) expect((await ask(path)).text).toContain(`"${title}"`);
    }
  });

  test("end with the registry", async () => {
    const { ask, setRegistry } = await served();
    const seen = new Set<string>();
    for (const domain of ["one.lan:5000", "two.lan:5000", "three.lan:5000"]) {
      setRegistry({ domain, username: "", password: "" });
      const [one, two] = [await ask(RESOURCES), await ask(RESOURCES)];
      expect(two.text).toBe(one.text);
      seen.add(one.text);
    }
    expect(seen.size).toBe(3);
  });

  test("have a title as it is stored, also an empty one", async () => {
    const { ask, retitle } = await served();
    for (const title of ["", "Tiny"]) {
      await retitle("tiny", title);
      expect(JSON.parse((await ask(TITLE)).text)).toMatchObject({ result: { title } });
    }
  });

  test("name the host that was asked", async () => {
    const { ask } = await served();
    for (const host of ["a.lan", "b.lan:8080", "a.lan"]) {
      const { text } = await ask(`http://${host}${DOWNLOADS}`);
      expect(text).toContain(`"http://${host}/api/`);
      expect(text).not.toContain("hub.test");
    }
    expect((await ask(`http://(a)${DOWNLOADS}`)).status).toBe(400);
  });

  test("are not those of refusals, of HEAD, or of another query", async () => {
    const { ask, retitle } = await served();
    expect((await ask("/v2/charms/info/nope")).status).toBe(404);
    expect(await ask(TITLE, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    expect((await ask(TITLE)).text).not.toBe("");
    expect(await ask(TITLE, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    expect((await ask("/v2/charms/info/tiny?fields=result.summary")).text).not.toContain('"title"');
    expect((await ask("/v2/charms/info/tiny?channel=:")).status).toBe(400);
    expect((await ask("/v2/charms/info/tiny?channel=:")).status).toBe(400);
    await retitle("tiny", "New");
    expect((await ask(TITLE)).text).toContain('"New"');
  });

  test("are found below the path of a public URL too", async () => {
    const { ask } = await served({ publicUrl: "https://hub.lan/charms" });
    for (const path of [`/charms${DOWNLOADS}`, DOWNLOADS, `/charms${DOWNLOADS}`])
      expect((await ask(path)).text).toContain('"https://hub.lan/charms/api/');
  });
});

test("names the address that it was sent to where its URL ends as the last one began", async () => {
  const { ask } = await served();
  await ask(`http://hub.test${DOWNLOADS}`);
  expect((await ask(`http://bad.test${DOWNLOADS}&u=http://hub.test`)).text).toContain('"http://bad.test/api/');
});

test("a mistake of chp's own is logged with its stack, and its reply says nothing of it", async () => {
  const store = await Store.open(await charmWorld());
  const lines: LogLine[] = [];
  const app = createApp({ store, config: {}, log: (line) => void lines.push(line) });
  store.snapshot = () => {
    throw new Error("odd");
  };
  const reply = await app.fetch(new Request(`http://hub.test${TITLE}`));
  expect([reply.status, (await reply.text()).includes("odd")]).toEqual([500, false]);
  expect(lines[0]).toMatchObject({ level: "error", message: "odd", stack: expect.stringContaining("Error: odd\n") });
});

describe("refresh", () => {
  const query = {
    action: "install",
    name: "tiny",
    channel: "latest/stable",
    base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
  };
  const asker = async () => {
    const { ask, retitle } = await served();
    const refresh = async (actions: object[], fields: unknown, host = "hub.test", context: object[] = []) => {
      const { text } = await ask(`http://${host}/v2/charms/refresh`, {
        method: "POST",
        body: JSON.stringify({ context, actions, fields }),
      });
      return JSON.parse(text) as { results: Record<string, unknown>[] };
    };
    return { refresh, retitle };
  };

  test("says of each instance without a context which one it is, however long its key", async () => {
    const { refresh } = await asker();
    for (const of of ["a", "b"]) {
      const { results } = await refresh([{ action: "refresh", id: "x", "instance-key": of.repeat(300) }], ["name"]);
      expect(JSON.stringify(results[0]?.["error"])).toContain(`Instance key '${of.repeat(100)}`);
    }
  });

  test("does not refuse an instance because another one had no context", async () => {
    const { refresh } = await asker();
    const action = { action: "refresh", id: "x", "instance-key": "a".repeat(300) }; // its refusal does not name all of it
    const ofOne = async (context: object[]) => JSON.stringify((await refresh([action], ["name"], undefined, context)).results[0]);
    expect(await ofOne([])).toContain("has no context");
    expect(await ofOne([{ "instance-key": action["instance-key"], id: "x" }])).not.toContain("has no context");
  });

  test("gives the same query its own instance key each time", async () => {
    const { refresh } = await asker();
    const keys = ["a", "a", 'b"\\', "", "é"];
    const { results } = await refresh(
      keys.map((key) => ({ ...query, "instance-key": key })),
      ["revision"],
    );
    expect(results.map((one) => one["instance-key"])).toEqual(keys);
    for (const one of results) expect({ ...one, "instance-key": "" }).toEqual({ ...results[0], "instance-key": "" });
    expect(Object.keys(results[0] ?? {})).toEqual(["instance-key", "id", "name", "result", "effective-channel", "released-at", "charm"]);
  });

  test("tells apart fields whose names have commas, hosts, and generations", async () => {
    const { refresh, retitle } = await asker();
    const one = async (fields: unknown, host?: string) =>
      JSON.stringify((await refresh([{ ...query, "instance-key": "k" }], fields, host)).results[0]?.["charm"]);
    expect(await one(["summary,license"])).not.toContain('"license"');
    expect(await one(["summary", "license"])).toContain('"license"');
    expect(await one(["*"])).not.toContain('"summary"');
    expect(await one(null)).toContain('"summary"');
    for (const host of ["a.lan", "b.lan", "a.lan"]) expect(await one(["download"], host)).toContain(`"http://${host}/`);
    const before = await refresh([{ ...query, "instance-key": "k" }], ["name"]);
    await retitle("tiny", "New");
    expect(await refresh([{ ...query, "instance-key": "k" }], ["name"])).toEqual(before);
  });
});

describe("what is told of requests", () => {
  test("is one line each, with the path and not the query", async () => {
    const { ask, lines } = await served();
    await ask(TITLE, { headers: { "User-Agent": "Juju/3.6", "X-Request-Id": "a" } });
    await ask(TITLE, { headers: { "User-Agent": "\u00ad", "X-Request-Id": "b" } });
    await ask("/nope", { method: "PUT", headers: { "X-Request-Id": "c" } });
    const common = { level: "info" as const, message: "request", ms: expect.any(Number), bytes: expect.any(Number), client: "" };
    expect(lines).toEqual([
      { ...common, id: "a", method: "GET", path: "/v2/charms/info/tiny", status: 200, agent: "Juju/3.6" },
      { ...common, id: "b", method: "GET", path: "/v2/charms/info/tiny", status: 200, agent: "\\u{ad}" },
      { ...common, id: "c", method: "PUT", path: "/nope", status: 404, agent: "" },
    ]);
  });

  test("has the milliseconds that it took, and the bytes of its reply", async () => {
    const { ask, lines } = await served();
    for (const path of [TITLE, TITLE, "/nope"]) {
      const begun = performance.now();
      const { text } = await ask(path);
      const { ms, bytes } = lines.at(-1) as LogLine & { ms: number; bytes: number };
      expect(ms).toBeLessThanOrEqual(performance.now() - begun + 0.01);
      expect(Math.abs(ms * 100 - Math.round(ms * 100))).toBeLessThan(0.001);
      expect(bytes).toBe(Buffer.byteLength(text));
    }
    await ask(TITLE, { method: "HEAD" });
    expect(lines.at(-1)).toMatchObject({ bytes: 0 });
  });

  test("is counted by route, and never by what a client makes up", async () => {
    const { ask } = await served({ publicUrl: "http://hub.lan/charms" });
    for (const path of [TITLE, TITLE, `/charms${TITLE}`, "/v2/charms/info/nope", "/made/up"]) await ask(path);
    await ask("/v2/charms/refresh", { method: "POST", body: "[" });
    await ask("/v2/charms/refresh", { method: "PURGE" });
    const { text, headers } = await ask("/metrics");
    expect(headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const counts = [...text.matchAll(/^chp_http_request_seconds_count\{(.*)\} (\d+)$/gm)].map(([, labels, count]) => `${labels} ${count}`);
    expect(counts.toSorted()).toEqual([
      'method="GET",route="",status="404" 1',
      'method="GET",route="/v2/charms/info/:name",status="200" 3',
      'method="GET",route="/v2/charms/info/:name",status="404" 1',
      'method="POST",route="/v2/charms/refresh",status="400" 1',
      'method="other",route="",status="404" 1',
    ]);
  });

  test("is a histogram that Prometheus can read", async () => {
    const { ask } = await served();
    for (let i = 0; i < 5; i += 1) await ask(TITLE);
    const { text } = await ask("/metrics");
    for (const line of text.trimEnd().split("\n"))
      expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e-]+)$/);
    const buckets = [...text.matchAll(/^chp_http_request_seconds_bucket\{.*le="(.*)"\} (\d+)$/gm)].map(([, le, n]) => [le, Number(n)]);
    expect(buckets.map(([le]) => le)).toEqual(["0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.1", "0.5", "2.5", "10", "+Inf"]);
    expect(buckets.map(([, n]) => Number(n))).toEqual(buckets.map(([, n]) => Number(n)).toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toEqual(["+Inf", 5]);
    expect(text).toMatch(/^chp_generation 1$/m);
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
  });
});

test("log lines are written in order, once a turn, and none is lost by flush", async () => {
  const written: string[] = [];
  const { log, flush } = createLog((text) => written.push(text));
  const turn = () => new Promise((resolve) => void setImmediate(resolve));
  for (const message of ["one", 'two "quoted"\n']) log({ level: "info", message, n: 1 });
  expect(written).toEqual([]);
  await turn();
  log({ level: "error", message: "three" });
  flush();
  flush();
  await turn();
  expect(written).toHaveLength(2);
  const lines = written.join("").trimEnd().split("\n");
  const read = lines.map((line): unknown => JSON.parse(line));
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(read).toEqual([
    { time, level: "info", message: "one", n: 1 },
    { time, level: "info", message: 'two "quoted"\n', n: 1 },
    { time, level: "error", message: "three" },
  ]);
});

test("a line of the log has the time of its millisecond", () => {
  const written: string[] = [];
  const { log, flush } = createLog((text) => written.push(text));
  const before = Date.now;
  const times = [0, 1, 999, 1000, 1_776_000_000_007, 1_776_000_000_120, 1_776_000_001_000, 1_776_000_000_999, 253_402_300_799_999];
  try {
    for (const time of times) {
      Date.now = () => time;
      log({ level: "info", message: "m" });
    }
  } finally {
    Date.now = before;
  }
  flush();
  const lines = written.join("").trimEnd().split("\n");
  expect(lines.map((line) => Date.parse((JSON.parse(line) as { time: string }).time))).toEqual(times);
});
