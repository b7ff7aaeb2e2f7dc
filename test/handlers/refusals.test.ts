/** What the APIs say where they refuse a request: status, code and message. */

import { beforeAll, describe, expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import { Bodies } from "../../handlers/body.ts";
import { RequestBody } from "../../handlers/requestbody.ts";
import { Failure } from "../../src/errors.ts";
import { wordsOf } from "../../src/wire/remoteimport.ts";
import { Store } from "../../store/store.ts";
import { failureOf, newStore } from "../importing.ts";
import { ASSERTIONS, bothWorlds, deviceSessionRequest, HELLO } from "../snapworld.ts";
import { charmWorld, IDA } from "../world.ts";

let app: ReturnType<typeof createApp>;
beforeAll(async () => {
  app = createApp({ store: await Store.open(await bothWorlds()), config: {}, log: () => {} });
});

interface Refused {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

async function refusal(path: string, init?: RequestInit, asked = app): Promise<Refused> {
  const reply = await asked.fetch(new Request(new URL(path, "http://hub.test"), init));
  expect(reply.headers.get("Content-Type")).toBe("application/json");
  const [error] = ((await reply.json()) as { "error-list": { code: string; message: string }[] })["error-list"];
  return { status: reply.status, code: error?.code ?? "", message: error?.message ?? "" };
}

const post = (path: string, body: unknown) =>
  refusal(path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });

test.each([
  ["/v2/charms/info/nothing", 404, "No charm or bundle with name 'nothing'."],
  ["/v2/charms/resources/acme-db/nothing/revisions", 404, "No resource 'nothing' of a charm with name 'acme-db'."],
  [`/api/v1/charms/download/${IDA}_9999.charm`, 404, `No file '${IDA}_9999.charm'.`],
  [`/api/v1/snaps/download/${HELLO}_9999.snap`, 404, `No file '${HELLO}_9999.snap'.`],
  ["/v2/snaps/info/nothing?architecture=arm64", 404, "No snap named 'nothing' found for arm64."],
  ["/v2/assertions/account/a/b", 400, "account: its key has 1 parts, not 2"],
  ["/v2/assertions/validation-set/16/acme/set?sequence=zero", 400, "sequence: it is neither latest nor a number from 1 on"],
  ["/v2/assertions/validation-set/16/acme/set?sequence=0", 400, "sequence: it is neither latest nor a number from 1 on"],
  ["/v2/assertions/account/acme?max-format=-1", 400, "max-format: it is not a whole number"],
  ["/v2/assertions/account/%ff", 400, "the path is not percent-encoded UTF-8"],
])("%s", async (path, status, message) => {
  expect(await refusal(path)).toMatchObject({ status, message });
});

test("a store without a store assertion says what to import", async () => {
  const empty = createApp({ store: await newStore(), config: {}, log: () => {} });
  expect(await refusal("/v2/auth/store/assertions", undefined, empty)).toMatchObject({
    status: 404,
    message: "No store assertion is stored: import proxy.assert or the registration bundle.",
  });
});

test("a cohort is of snaps that are there", async () => {
  expect(await post("/v2/cohorts", { snaps: ["hello", "nothing"] })).toMatchObject({ status: 404, message: "No snap named 'nothing'." });
});

describe("bodies", () => {
  const SMALL = "/v2/cohorts";
  const padded = (value: unknown) => JSON.stringify(value).padEnd(40_000); // below 32 KiB nothing is counted

  test.each([
    ["is not JSON", "{", "the body is not JSON"],
    ["a list", [], "the body is a list, not an object"],
    ["too deep", padded({ a: JSON.parse(`${"[".repeat(32)}${"]".repeat(32)}`) }), "the body is nested more than 32 deep"],
    [
      "of too many keys",
      padded(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, 1]))),
      "an object of the body has more than 1000 keys",
    ],
  ])("%s", async (_, body, message) => {
    expect((await post(SMALL, body)).message).toBe(message);
  });

  test.each([
    ["1000 keys an object, 32 deep", padded({ snaps: [], ...Object.fromEntries(Array.from({ length: 999 }, (_, i) => [`k${i}`, 1])) })],
    ["an object beside others of as many keys", padded({ snaps: [], a: [{ b: 1 }, { b: 1 }] })],
  ])("%s are taken", async (_, body) => {
    const reply = await app.fetch(new Request(`http://hub.test${SMALL}`, { method: "POST", body }));
    expect(reply.status).toBe(200);
  });

  test("a refresh has no more values, and no longer strings, than it can need", async () => {
    const refresh = "/v2/charms/refresh";
    const action = (more: object) => ({ action: "install", "instance-key": "a", name: "tiny", channel: "stable", base: null, ...more });
    const many = padded({ context: [], actions: [action({ more: Array.from({ length: 250_001 }, () => 1) })] });
    expect(await post(refresh, many)).toMatchObject({ status: 413, message: "the body has more than 250000 values" });
    const long = padded({ context: [], actions: [action({ "instance-key": "a".repeat(4097) })] });
    expect(await post(refresh, long)).toMatchObject({ status: 413, message: "a string of the body has more than 4096 characters" });
  });

  test("are bounded, whether their length is said or not", async () => {
    const message = `the body is larger than ${2 ** 20} bytes`;
    const large = " ".repeat(2 ** 20 + 1);
    expect(await refusal(SMALL, { method: "POST", body: large, headers: { "Content-Length": String(large.length) } })).toMatchObject({
      status: 413,
      message,
    });
    const stream = new Blob([large]).stream();
    expect(await refusal(SMALL, { method: "POST", body: stream, duplex: "half" } as RequestInit)).toMatchObject({ status: 413, message });
  });

  const context = (body: ReadableStream | string, length?: number) => {
    const headers = new Headers(length === undefined ? {} : { "Content-Length": String(length) });
    const raw = new Request("http://hub.test", { method: "POST", body, duplex: "half" } as RequestInit);
    return { req: { header: (name: string) => headers.get(name) ?? undefined, raw } } as unknown as Parameters<Bodies["use"]>[0];
  };
  const never = () => new ReadableStream({ pull: () => new Promise(() => {}) });
  const reply = async () => new Response();

  test("that do not come in time are not waited for", async () => {
    const bodies = new Bodies({ deadline: 20 });
    expect((await failureOf(bodies.use(context(never()), 100, reply), "too-slow")).message).toBe(
      "the body did not arrive within 0.02 seconds",
    );
  });

  test("of which there are too many at once wait for room, and not for ever", async () => {
    const bodies = new Bodies({ inProgress: 2 ** 17, deadline: 50 });
    let end = () => {};
    const held = bodies.use(context("x", 2 ** 17), 2 ** 17, () => new Promise((done) => (end = () => done(new Response()))));
    expect((await failureOf(bodies.use(context("x", 2 ** 17), 2 ** 17, reply), "too-many")).message).toBe(
      "too many large requests are in progress",
    );
    end();
    await held;
    expect((await bodies.use(context("x", 2 ** 17), 2 ** 17, reply)).status).toBe(200); // the room came back
  });

  test("whose client went away are no error of this server", async () => {
    const gone = new ReadableStream({ pull: () => Promise.reject(new Error("reset")) });
    expect((await failureOf(new Bodies().use(context(gone), 100, reply), "client-gone")).message).toBe(
      "the client went away before its body was read",
    );
  });

  test("of any size end where nothing comes any more", async () => {
    const body = new RequestBody(never(), { maxSize: 10, tooLarge: () => new Failure("too-large", "more"), idle: 20 });
    const read = async () => {
      for await (const _ of body.parts()) continue;
    };
    expect((await failureOf(read(), "too-slow")).message).toBe("nothing of the body arrived for 0.02 seconds");
    expect(body.failure?.kind).toBe("too-slow");
  });
});

describe("a device session", () => {
  const NONCES = "/api/v1/snaps/auth/nonces";
  const SESSIONS = "/api/v1/snaps/auth/sessions";
  const nonce = async () => {
    const reply = await app.fetch(new Request(`http://hub.test${NONCES}`, { method: "POST" }));
    return ((await reply.json()) as { nonce: string }).nonce;
  };
  const request = async (more: Record<string, string>) =>
    post(SESSIONS, {
      "device-session-request": deviceSessionRequest(await nonce()),
      "serial-assertion": ASSERTIONS.serial,
      "model-assertion": ASSERTIONS.model,
      ...more,
    });

  test("asks for one assertion of each kind", async () => {
    expect(await request({ "serial-assertion": ASSERTIONS.model })).toMatchObject({
      status: 400,
      message: "serial-assertion is not such an assertion",
    });
    expect(await request({ "model-assertion": ASSERTIONS.serial })).toMatchObject({
      status: 400,
      message: "model-assertion is not such an assertion",
    });
  });

  test("takes a nonce of this server, once it gave it", async () => {
    expect(await request({ "device-session-request": deviceSessionRequest("made-up") })).toMatchObject({
      status: 400,
      message: "device-session-request: its nonce is unknown or too old",
    });
  });

  test("is of the device that signs it", async () => {
    const signed = deviceSessionRequest(await nonce());
    const altered = signed.replace(/^model: .*$/m, "model: other");
    expect(altered).not.toBe(signed);
    expect((await request({ "device-session-request": altered })).message).toStartWith("device-session-request: ");
  });
});

test("a device session is of one device: its serial is of its model, and its model of the brand", async () => {
  for (const [field, other] of [
    ["model", "another"],
    ["brand-id", "another"],
  ] as const) {
    const { nonce } = (await (await app.fetch(new Request("http://hub.test/api/v1/snaps/auth/nonces", { method: "POST" }))).json()) as {
      nonce: string;
    };
    const altered = ASSERTIONS.model.replace(new RegExp(`^${field}: .*$`, "m"), `${field}: ${other}`);
    expect(altered).not.toBe(ASSERTIONS.model);
    expect(
      await post("/api/v1/snaps/auth/sessions", {
        "device-session-request": deviceSessionRequest(nonce),
        "serial-assertion": ASSERTIONS.serial,
        "model-assertion": altered,
      }),
    ).toMatchObject({ status: 400, message: "the three assertions are not of one device" });
  }
});

describe("parameters of a remote import", () => {
  const options = [
    { name: "name", takesValue: true },
    { name: "max-size", takesValue: true },
    { name: "json", takesValue: false },
  ];
  const caps = [{ name: "max-size", most: 100, setting: "remote-import.archive.max-size" }];

  test.each([
    ["trust=x", "trust is not a parameter of /_import"],
    ["name=a&name=b", "name is given more than once"],
    ["name=a%00", "name holds a zero byte"],
    ["json=no", "json takes no value but true"],
    ["max-size=much", "max-size takes a number, or a size like 4G, not much"],
    ["max-size=0", "max-size takes a number, or a size like 4G, not 0"],
    ["max-size=101", "max-size is at most 100 for imports from other machines"],
  ])("%s", (query, message) => {
    expect(() => wordsOf(new URLSearchParams(query), options, caps)).toThrow(message);
  });

  test.each([
    ["max-size=100&json=true", ["--max-size=100", "--json"]],
    ["name=a", ["--max-size=100", "--name=a"]],
  ])("%s is taken, and no limit above the server's", (query, words) => {
    expect(wordsOf(new URLSearchParams(query), options, caps)).toEqual(words);
  });
});

test("a client with too many connections is told so, whatever it asks", async () => {
  const peer = { tls: false, address: () => "192.0.2.1", isCrowded: () => true };
  const reply = await app.fetch(new Request("http://hub.test/v2/charms/info/tiny"), peer);
  expect([reply.status, reply.headers.get("Connection")]).toEqual([429, "close"]);
  expect(await reply.text()).toContain("192.0.2.1 has too many connections");
});

test("a Host that could put something into a URL is refused", async () => {
  const store = await Store.open(await charmWorld());
  const odd = { url: "http://hub.test'x/v2/charms/info/tiny", method: "GET", headers: new Headers() } as unknown as Request;
  const reply = await createApp({ store, config: {}, log: () => {} }).fetch(odd);
  expect(reply.status).toBe(400);
  expect(await reply.text()).toContain("Host: it is not a host with an optional port");
});
