/** What scripts of the Enterprise Store's Overrides API rely on, as data, over the snaps of test/snapworld.ts. */

import { ALL1, DTRACK, HELLO } from "../snapworld.ts";
import { anyOrder, type Case, exactly, has, nonEmpty, type Pattern, type Step, text } from "./match.ts";

const PATH = "/v2/metadata/overrides";
const setup = { tokens: true } as const;
const bearer = (name: string) => ({ Authorization: `Bearer {${name}}` });

interface Row {
  readonly name?: string;
  readonly id?: string;
  readonly revision: number | null;
  readonly upstream: number | null;
  readonly channel?: string;
  readonly architecture?: string;
}

/** These seven keys and no others. */
function row({ name = "hello", id = HELLO, revision, upstream, channel = "stable", architecture = "amd64" }: Row): Pattern {
  return exactly({
    snap_id: id,
    snap_name: name,
    revision,
    upstream_revision: upstream,
    channel,
    architecture,
    series: "16",
  });
}

const rows = (...all: readonly Row[]): Pattern => exactly({ overrides: anyOrder(...all.map(row)) });

function list(name: string, json: Pattern, headers: Readonly<Record<string, string>> = {}): Step {
  return { ask: { path: `${PATH}/${name}`, headers: { "X-Ubuntu-Series": "16", ...bearer("overrides"), ...headers } }, json };
}

/** `NAME CHANNEL=REVISION`; no revision: null. */
function wish(line: string, more: object = {}): object {
  const [, name, channel, revision] = /^(\S+) (\S+?)=(\d*)$/.exec(line) ?? [];
  return { snap_name: name, revision: revision === "" ? null : Number(revision), channel, series: "16", ...more };
}

function set(lines: readonly string[], json: Pattern): Step {
  return post(
    lines.map((line) => wish(line)),
    { json },
  );
}

function post(body: unknown, { status = 200, json, headers = {} }: Pick<Step, "status" | "json"> & { headers?: object }): Step {
  const type = { "Content-Type": "application/json" };
  return { ask: { method: "POST", path: PATH, body, headers: { ...type, ...bearer("overrides"), ...headers } }, status, json };
}

const failed = (code: string, message: string | RegExp): Pattern => ({ "error-list": [{ code, message }] });

/** Nothing of it was done. */
const NOTHING = list("hello", rows());

/** What a machine gets of the channel. */
function machine(revision: number, channel = "stable", architecture = "amd64"): Step {
  return {
    ask: {
      method: "POST",
      path: "/v2/snaps/refresh",
      headers: { "Snap-Device-Architecture": architecture, "Snap-Device-Series": "16", "Content-Type": "application/json" },
      body: {
        context: [],
        actions: [{ action: "install", "instance-key": "i", name: "hello", channel, epoch: null }],
        fields: ["revision"],
      },
    },
    json: { results: [{ result: "install", snap: { revision } }] },
  };
}

const BAD: readonly (readonly [body: unknown, status: number, code: string, message: string | RegExp])[] = [
  [[], 400, "malformed", "the body names no override"],
  ["", 400, "malformed", "the body is not JSON"],
  ["[", 400, "malformed", "the body is not JSON"],
  [{}, 400, "malformed", "the body is not a list"],
  ['"x"', 400, "malformed", "the body is not a list"],
  [[wish("hello stable=6"), 7], 400, "malformed", /^overrides\.1: /],
  [[wish("hello stable=6"), null], 400, "malformed", /^overrides\.1: /],
  [[wish("hello stable=6", { reason: "x" })], 400, "malformed", /^overrides\.0\.reason: /],
  [[wish("hello stable=6", { series: 16 })], 400, "malformed", /^overrides\.0\.series: /],
  [[wish("hello stable=6", { series: "18" })], 400, "malformed", /^overrides\.0\.series: /],
  [[wish("hello stable=6", { series: undefined })], 400, "malformed", /^overrides\.0\.series: /],
  [[wish("hello stable=6", { revision: undefined })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6", { revision: "6" })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6", { revision: 0 })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6", { revision: -6 })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6", { revision: 6.5 })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6", { revision: 1e300 })], 400, "malformed", /^overrides\.0\.revision: /],
  [[wish("hello stable=6"), wish("hello a/b/c/d=6")], 400, "malformed", "overrides.1.channel: a/b/c/d is not a channel"],
  [[wish("hello stable=6", { channel: "" })], 400, "malformed", "overrides.0.channel:  is not a channel"],
  [[wish("hello stable=6"), wish("nope stable=6")], 404, "not-found", "no snap named nope is stored"],
  [[wish("hello stable=6"), wish("__proto__ stable=6")], 404, "not-found", "no snap named __proto__ is stored"],
  [[wish("hello stable=6"), wish("acme-db stable=20")], 404, "not-found", "no snap named acme-db is stored"],
  [[wish("hello stable=6"), wish("hello edge=99")], 404, "not-found", "revision 99 of hello is not stored"],
  [Array.from({ length: 1001 }, () => wish("hello stable=6")), 413, "too-large", "overrides: there are more than 1000"],
  [`[${"[".repeat(100_000)}`, 400, "malformed", /deep|JSON/],
  [`["${"x".repeat(1_100_000)}"]`, 413, "too-large", /larger/],
];

export const CASES: readonly Case[] = [
  {
    id: 1,
    title: "a snap without overrides has an empty list",
    setup,
    steps: [NOTHING, list("hello", rows(), { "X-Ubuntu-Series": "16" })],
  },
  {
    id: 2,
    title: "an override is set, listed, served, replaced and taken away",
    setup,
    steps: [
      machine(5),
      set(["hello stable=6"], rows({ revision: 6, upstream: 5 })),
      list("hello", rows({ revision: 6, upstream: 5 })),
      machine(6),
      machine(8, "stable", "arm64"),
      set(["hello stable=7"], rows({ revision: 7, upstream: 5 })),
      list("hello", rows({ revision: 7, upstream: 5 })),
      machine(7),
      set(["hello stable="], rows({ revision: null, upstream: 5 })),
      NOTHING,
      machine(5),
    ],
  },
  {
    id: 3,
    title: "several in one request, one row an architecture",
    setup,
    steps: [
      set(
        ["hello stable=6", "hello stable=8", "hello candidate=7", "hello 2.0/stable=5", "all1 stable=1"],
        exactly({
          overrides: anyOrder(
            row({ revision: 6, upstream: 5 }),
            row({ revision: 8, upstream: 8, architecture: "arm64" }),
            row({ revision: 7, upstream: null, channel: "candidate" }),
            row({ revision: 5, upstream: 7, channel: "2.0/stable" }),
            row({ name: "all1", id: ALL1, revision: 1, upstream: 1, architecture: "all" }),
          ),
        }),
      ),
      list("all1", rows({ name: "all1", id: ALL1, revision: 1, upstream: 1, architecture: "all" })),
      machine(7, "candidate"),
      set(
        ["hello stable=", "hello candidate="],
        rows(
          { revision: null, upstream: 5 },
          { revision: null, upstream: 8, architecture: "arm64" },
          { revision: null, upstream: null, channel: "candidate" },
        ),
      ),
      list("hello", rows({ revision: 5, upstream: 7, channel: "2.0/stable" })),
    ],
  },
  {
    id: 4,
    title: "a risk alone is of the track latest, also of a snap with another default track, and latest is written short",
    setup,
    steps: [
      set(["dtrack edge=30"], rows({ name: "dtrack", id: DTRACK, revision: 30, upstream: 20, channel: "edge" })),
      set(["dtrack latest/edge=31"], rows({ name: "dtrack", id: DTRACK, revision: 31, upstream: 20, channel: "edge" })),
      set(["dtrack 3/edge=30"], rows({ name: "dtrack", id: DTRACK, revision: 30, upstream: 31, channel: "3/edge" })),
      list("dtrack", {
        overrides: has(row({ name: "dtrack", id: DTRACK, revision: 31, upstream: 20, channel: "edge" })),
      }),
    ],
  },
  {
    id: 5,
    title: "what is set again, or taken away where nothing is, is no error",
    setup,
    steps: [
      set(["hello stable="], rows()),
      set(["hello stable=6"], rows({ revision: 6, upstream: 5 })),
      set(["hello stable=6"], rows({ revision: 6, upstream: 5 })),
      set(["hello stable=6", "hello stable="], rows({ revision: null, upstream: 5 })),
      set(["hello stable=", "hello stable=7"], rows({ revision: 7, upstream: 5 })),
    ],
  },
  {
    id: 6,
    title: "a request with anything wrong in it does nothing",
    setup,
    steps: [
      ...BAD.map(([body, status, code, message]) => post(body, { status, json: failed(code, message) })),
      NOTHING,
      list("all1", rows()),
      machine(5),
    ],
  },
  {
    id: 7,
    title: "without a token that may set overrides there is nothing to see or do",
    setup,
    steps: [
      ...[
        [{ Authorization: "" }, 401, "unauthorized", "there is no token"],
        [{ Authorization: "Bearer chp_nobody" }, 401, "unauthorized", "the token is not known"],
        [{ Authorization: "Basic {overrides}" }, 401, "unauthorized", "there is no token"],
        [{ Authorization: "Macaroon root={overrides}" }, 401, "unauthorized", "there is no token"],
        [bearer("import"), 403, "forbidden", /^the token \S+ may not set overrides$/],
      ].flatMap(([headers, status, code, message]): Step[] => {
        const json = { "error-list": [{ code, message, next: nonEmpty }] } as Pattern;
        const given = headers as Record<string, string>;
        return [
          { ask: { path: `${PATH}/hello`, headers: given }, status: status as number, json },
          post([wish("hello stable=6")], { status: status as number, json, headers: given }),
        ];
      }),
      NOTHING,
    ],
  },
  {
    id: 8,
    title: "snaps that are not stored, charms, and another series",
    setup,
    steps: [
      ...["nope", "acme-db", "__proto__"].map(
        (name): Step => ({
          ...list(name, failed("not-found", `no snap named ${name} is stored`)),
          status: 404,
        }),
      ),
      { ...list("hello", failed("malformed", "X-Ubuntu-Series: 18 is not 16"), { "X-Ubuntu-Series": "18" }), status: 400 },
    ],
  },
  {
    id: 9,
    title: "other methods and paths are not there",
    setup,
    steps: [
      ...[{ path: PATH }, { path: `${PATH}/hello/stable` }, { path: "/v2/metadata" }].map(
        (ask): Step => ({ ask: { ...ask, headers: bearer("overrides") }, status: 404, json: { "error-list": [{ code: text }] } }),
      ),
      // What is written anywhere else below /v2 is for the registry.
      { ask: { path: `${PATH}/hello`, method: "POST", headers: bearer("overrides") }, status: 405, json: { errors: nonEmpty } },
    ],
  },
  {
    id: 10,
    title: "two requests at once both take effect",
    setup,
    steps: [
      { ...set(["hello stable=6", "all1 edge=1"], { overrides: nonEmpty }), twice: "at once" },
      list("hello", rows({ revision: 6, upstream: 5 })),
      list("all1", rows({ name: "all1", id: ALL1, revision: 1, upstream: null, channel: "edge", architecture: "all" })),
    ],
  },
  {
    id: 11,
    title: "a server without such a token has no Overrides API",
    steps: [
      {
        ask: { path: `${PATH}/hello`, headers: { "X-Ubuntu-Series": "16" } },
        status: 404,
        json: { "error-list": [{ code: "not-found" }] },
      },
      {
        ask: { method: "POST", path: PATH, body: [wish("hello stable=6")], headers: { "Content-Type": "application/json" } },
        status: 404,
        json: { "error-list": [{ code: "not-found" }] },
      },
    ],
  },
];
