/** The Snap Store's share of requests meant to harm: a clear 4xx as JSON, never a 5xx, which would cost snapd half a minute. */

import { beforeAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { ASSERTIONS, deviceSessionRequest, HELLO, importSnapWorld } from "../snapworld.ts";
import { runs } from "../thorough.ts";

let ask: (path: string, init?: RequestInit) => Promise<Response>;

beforeAll(async () => {
  const store = await Store.openOrCreate(new Memory());
  await importSnapWorld(store);
  const app = createApp({ store, config: {}, log: () => {} });
  ask = async (path, init) => app.fetch(new Request(`http://hub.test${path}`, init));
});

async function expectRefusal(reply: Response): Promise<void> {
  expect(reply.status).toBeGreaterThanOrEqual(400);
  expect(reply.status).toBeLessThan(500);
  expect(reply.headers.get("Content-Type")).toBe("application/json");
  expect(await reply.json()).toMatchObject({ "error-list": [{ code: expect.any(String), message: expect.any(String) }] });
}

const LONG = "a".repeat(8000);

/** path → status */
const PATHS: readonly (readonly [string, number])[] = [
  ["/v2/snaps", 404],
  ["/v2/snaps/info/", 404],
  ["/v2/snaps/info/__proto__", 404],
  ["/v2/snaps/info/constructor?architecture=amd64", 404],
  ["/v2/snaps/info/..%2f..%2fetc%2fpasswd", 404],
  ["/v2/snaps/info/%zz", 404],
  [`/v2/snaps/info/${LONG}`, 404],
  ["/v2/snaps/info/hello?architecture=../../x", 404],
  ["/v2/snaps/info/hello?architecture=__proto__", 404],
  [`/v2/snaps/info/hello?architecture=amd64&fields=${LONG}`, 200],
  ["/v2/snaps/info/snapd?fields=download", 200],
  [`/v2/snaps/find?q=${"(a+)+".repeat(1000)}`, 200],
  ["/v2/snaps/find?q=%00%ff%zz&confinement=__proto__&category=constructor&channel=a/b/c/d", 200],
  ["/v2/snaps/find?name=__proto__&common-id=toString", 200],
  ["/v2/assertions/", 404],
  ["/v2/assertions/__proto__/x", 404],
  ["/v2/assertions/constructor/x", 404],
  ["/v2/assertions/account", 400],
  ["/v2/assertions/account/", 400],
  ["/v2/assertions/account/a/b/c/d", 400],
  ["/v2/assertions/account/..%2f..%2fconfig.json", 404],
  ["/v2/assertions/account/%zz", 400],
  ["/v2/assertions/account/%00", 404],
  ["/v2/assertions/account/__proto__", 404],
  [`/v2/assertions/account/${LONG}`, 404],
  ["/v2/assertions/account/x?max-format=-1", 400],
  ["/v2/assertions/account/x?max-format=1e9", 400],
  ["/v2/assertions/account/x?max-format=99999999999999999999", 400],
  ["/v2/assertions/validation-set/16/x/y?sequence=0", 400],
  ["/v2/assertions/validation-set/16/x/y?sequence=-1", 400],
  ["/v2/assertions/validation-set/16/x/y?sequence=1e3", 400],
  ["/v2/assertions/validation-set/16/x/y?sequence=999999999999999999999", 400],
  ["/api/v1/snaps/download/..%2f..%2fformat.json", 404],
  [`/api/v1/snaps/download/${HELLO}_-5.snap`, 404],
  [`/api/v1/snaps/download/${HELLO}_5.snap.partial`, 404],
  [`/api/v1/snaps/download/${HELLO}_05.snap`, 200],
  [`/api/v1/snaps/download/${HELLO}_99999999999999999999999.snap`, 404],
  [`/api/v1/snaps/download/${HELLO}.__proto___7.comp`, 404],
  ["/api/v1/snaps/download/constructor_5.snap", 404],
  [`/api/v1/snaps/icons/${HELLO}_5.svg`, 404],
  ["/api/v1/snaps/icons/__proto___5.png", 404],
  ["/api/v1/snaps/search?q=x", 404],
  ["/api/v1/snaps/purchases/orders", 404],
  ["/v2/messages", 404],
  ["/v2/repairs/canonical/1", 404],
];

test.each(PATHS)("GET %s → %d", async (path, status) => {
  const reply = await ask(path);
  expect(reply.status).toBe(status);
  if (status >= 400) await expectRefusal(reply);
});

const REFRESH = {
  context: [
    { "snap-id": HELLO, "instance-key": HELLO, revision: 5, "tracking-channel": "latest/stable", epoch: { read: [0], write: [0] } },
  ],
  actions: [
    { action: "refresh", "instance-key": HELLO, "snap-id": HELLO, channel: "edge", revision: 5, "validation-sets": [["16", "a", "b", 1]] },
    { action: "install", "instance-key": "install-1", name: "hello", channel: "edge", epoch: null },
    {
      action: "fetch-assertions",
      key: "AAA",
      assertions: [
        { type: "account", "primary-key": ["x"], "if-newer-than": 1 },
        { type: "validation-set", "sequence-key": ["16", "a", "b"], sequence: 1, "if-sequence-equal-or-newer-than": 1 },
      ],
    },
  ],
  fields: ["snap-yaml", "resources"],
  "assertion-max-formats": { account: 1 },
};

const post = (path: string, body: string) => ask(path, { method: "POST", body });

/** Every value in `value`, by its path. */
function* places(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  yield path;
  if (typeof value === "object" && value !== null) for (const [key, one] of Object.entries(value)) yield* places(one, [...path, key]);
}

function replaced(value: unknown, [first, ...rest]: readonly string[], by: unknown): unknown {
  if (first === undefined) return by;
  if (Array.isArray(value)) return value.map((one, i) => (String(i) === first ? replaced(one, rest, by) : one));
  return Object.fromEntries(Object.entries(value as object).map(([key, one]) => [key, key === first ? replaced(one, rest, by) : one]));
}

const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e308,
  "",
  "\u0000",
  "__proto__",
  "a/b/c/d/e",
  LONG,
  [],
  {},
  [[]],
  [null],
  { constructor: null },
];

describe("POST refresh", () => {
  const all = [...places(REFRESH)].flatMap((path) => ODD.map((value) => [path.join(".") || "the body", path, value] as const));

  test(`${all.length} wrong values, one at a time, are refused by name or answered`, async () => {
    const wrong: string[] = [];
    for (const [name, path, value] of all) {
      const reply = await post("/v2/snaps/refresh", JSON.stringify(replaced(REFRESH, path, value)));
      const text = await reply.text();
      if (reply.status === 200) {
        if (!Array.isArray(JSON.parse(text).results)) wrong.push(`${name}: ${text}`);
      } else if (reply.status !== 400 || typeof JSON.parse(text)["error-list"]?.[0]?.message !== "string")
        wrong.push(`${name} = ${JSON.stringify(value)?.slice(0, 50)}: ${reply.status}`);
    }
    expect(wrong).toEqual([]);
  });

  test("any JSON at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (body) => {
        expect((await post("/v2/snaps/refresh", body)).status).toBeLessThan(500);
      }),
      { numRuns: runs(300) },
    );
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '"x"',
    `{"actions":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    "\u0000",
    '{"actions":[{"action":"eat"}]}',
  ])("%j", async (body) => {
    const reply = await post("/v2/snaps/refresh", body.slice(0, 200_000));
    if (reply.status !== 200) await expectRefusal(reply);
    expect(reply.status).toBeLessThan(500);
  });
});

describe("sessions", () => {
  const good = (nonce: string) => ({
    "device-session-request": deviceSessionRequest(nonce),
    "serial-assertion": ASSERTIONS.serial,
    "model-assertion": ASSERTIONS.model,
  });
  const open = (body: unknown) => post("/api/v1/snaps/auth/sessions", JSON.stringify(body));
  const nonce = async () => (await (await post("/api/v1/snaps/auth/nonces", "")).json()).nonce as string;

  test("wrong values in every field are refused", async () => {
    const body = good(await nonce());
    expect((await open(body)).status).toBe(200);
    for (const key of Object.keys(body))
      for (const value of [...ODD, "type: account\n\nx\n", ASSERTIONS.account, ASSERTIONS.model, ASSERTIONS.serial].filter(
        (one) => one !== body[key as keyof typeof body],
      ))
        await expectRefusal(await open({ ...body, [key]: value }));
  });

  test("a changed byte in the request is refused", async () => {
    const body = good(await nonce());
    const text = body["device-session-request"];
    for (let at = 0; at < text.length; at += 7) {
      const changed = `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ 1)}${text.slice(at + 1)}`;
      if (Buffer.from(changed, "latin1").toString("base64") === Buffer.from(text, "latin1").toString("base64")) continue;
      const reply = await open({ ...body, "device-session-request": changed });
      if (reply.status === 200)
        expect(text[at]).toBe("\n"); // a line break of the signature
      else await expectRefusal(reply);
    }
  });

  test("junk in the headers of a session is none", async () => {
    for (const header of ["", "Macaroon", 'Macaroon root=""', `Macaroon root="${"a".repeat(5000)}"`, 'Macaroon root="a.b.c"', "\t"])
      expect((await ask("/v2/snaps/info/hello", { headers: { "Snap-Device-Authorization": header } })).status).toBe(200);
  });
});

test("the list of what was asked for in vain stays bounded", async () => {
  const actions = (from: number) =>
    Array.from({ length: 500 }, (_, i) => ({
      action: "install",
      "instance-key": `install-${i}`,
      name: `nope-${from + i}-${"x".repeat(300)}`,
    }));
  for (let from = 0; from < 2500; from += 500)
    expect((await post("/v2/snaps/refresh", JSON.stringify({ actions: actions(from) }))).status).toBe(200);
  const { missing } = (await (await ask("/_status/missing")).json()) as { missing: { what: string }[] };
  expect(missing).toHaveLength(1000);
  expect(Math.max(...missing.map((one) => one.what.length))).toBeLessThan(200);
  expect(missing[0]?.what).toStartWith("snap nope-2499-");
});
