/** What Juju expects of a Charmhub, as data: 101 numbered cases over the packages of test/world.ts. */

import { base, type TestBase } from "../build.ts";
import { STORE_URL } from "../snapworld.ts";
import {
  ACME,
  ACTIONS_YAML,
  BUNDLE_YAML,
  CONFIG_YAML,
  FOCAL,
  IDA,
  IDB,
  IDJ,
  IDT,
  IMAGE_PATH,
  JAMMY,
  JAMMY_ARM,
  JUJU_TEAM,
  NOBLE,
  NOBLE_ARM,
} from "../world.ts";
import {
  absent,
  anyOrder,
  anything,
  architecture,
  both,
  type Case,
  each,
  either,
  exactly,
  flatStrings,
  has,
  hex,
  integer,
  is,
  isRecord,
  type Login,
  nonEmpty,
  once,
  otherThan,
  type Pattern,
  type Rule,
  rfc3339,
  type Step,
  sameAs,
  text,
} from "./match.ts";

/** What holds for a key of this name wherever it stands in a reply: the types that Juju's decoder insists on. */
export const EVERYWHERE: Readonly<Record<string, Pattern>> = {
  architecture,
  "effective-channel": either("", /^[^/]+\/(stable|candidate|beta|edge)$/),
  "hash-sha-256": hex(64),
  "hash-sha-384": hex(96),
  "hash-sha-512": hex(128),
  "hash-sha3-384": hex(96),
  publisher: flatStrings,
  "released-at": either(null, rfc3339),
  resources: is("no name twice", (value) => !Array.isArray(value) || new Set(value.map((r) => r?.name)).size === value.length),
  revision: either(integer, {}),
  size: integer,
  url: /^https?:\/\/[^/]+\//,
  version: text,
};

/* ---- words of the requests ---- */

function below(prefix: string, tails: string): readonly string[] {
  return tails.split(" ").map((tail) => `${prefix}.${tail}`);
}

const INFO_FIELDS = [
  ...below("result", "categories.featured categories.name contains-charms.name contains-charms.package-id contains-charms.store-url"),
  ...below("result", "description license publisher.display-name store-url summary"),
  ...below("default-release.revision", "download.size config-yaml metadata-yaml bundle-yaml"),
  ...["default-release", "channel-map"].flatMap((prefix) => [
    ...below(`${prefix}.revision`, "bases.architecture bases.name bases.channel revision version"),
    ...below(`${prefix}.channel`, "name base.architecture base.name base.channel released-at risk track"),
  ]),
  ...below("channel-map.revision", "download.size created-at"),
].join();

const FIND_FIELDS = [
  ...below("result", "publisher.display-name summary store-url"),
  ...below("default-release.revision", "bases.architecture bases.name bases.channel version"),
].join();

/** As Juju 2.9 to 3.6 ask. */
const FIELDS_36 = "bases config-yaml download id license metadata-yaml name publisher resources revision summary type version".split(" ");
const FIELDS = ["actions-yaml", ...FIELDS_36];

const KEY = "0f6c2a3e-5d1b-4c7a-9e8f-123456789abc";

function unknownBase(arch: string): TestBase {
  return base(arch, "NA", "NA");
}

/** Keys in order and commas as %2C, as Go encodes a query. */
function query(parameters: Readonly<Record<string, string>>): string {
  return new URLSearchParams(Object.entries(parameters).toSorted(([a], [b]) => (a < b ? -1 : 1))).toString();
}

function get(path: string, json: Pattern, more: Partial<Step> = {}): Step {
  return { ask: { path }, json, ...more };
}

function info(name: string, parameters: Readonly<Record<string, string>>, json: Pattern): Step {
  return get(`/v2/charms/info/${name}?${query(parameters)}`, json);
}

function find(parameters: Readonly<Record<string, string>>, results: Pattern): Step {
  return get(`/v2/charms/find?${query({ fields: FIND_FIELDS, ...parameters })}`, { results, "error-list": [] });
}

/** Names that one finds, in any order. */
function names(...all: readonly string[]): Rule {
  return anyOrder(...all.map((name) => ({ name })));
}

function refresh(body: Readonly<Record<string, unknown>>, results: Pattern, more: Partial<Step> = {}): Step {
  return { ask: { method: "POST", path: "/v2/charms/refresh", body }, json: { "error-list": [], results }, ...more };
}

type Action = Readonly<Record<string, unknown>>;
type Result = Readonly<Record<string, Pattern>>;

/** A request of one action, which has one result. */
function single(verb: string, action: Action, result: Result, request: Action = {}): Step {
  return refresh({ context: [], actions: [{ action: verb, "instance-key": KEY, base: null, ...action }], fields: FIELDS, ...request }, [
    { "instance-key": KEY, result: verb, ...result },
  ]);
}

function install(name: string, action: Action, result: Result, request: Action = {}): Step {
  return single("install", { name, ...action }, result, request);
}

function download(action: Action, result: Result): Step {
  return single("download", action, result);
}

interface App {
  readonly key: string;
  readonly id: string;
  readonly revision: number;
  readonly base: TestBase | null;
  readonly channel?: string;
}

/** A check of deployed applications, each with its result. */
function check(apps: readonly (readonly [App, Result])[], more: (app: App) => Action = () => ({}), request: Action = {}): Step {
  const body = {
    context: apps.map(([app]) => ({
      "instance-key": app.key,
      id: app.id,
      revision: app.revision,
      base: app.base,
      ...(app.channel !== undefined && { "tracking-channel": app.channel }),
      ...more(app),
    })),
    actions: apps.map(([{ key, id }]) => ({ action: "refresh", "instance-key": key, id, base: null })),
    fields: FIELDS,
    ...request,
  };
  return refresh(body, anyOrder(...apps.map(([{ key }, result]) => ({ "instance-key": key, result: "refresh", ...result }))));
}

function acmeDb(revision: number, on: TestBase | null, channel?: string, key = KEY): App {
  return { key, id: IDA, revision, base: on, ...(channel !== undefined && { channel }) };
}

/* ---- words of the replies ---- */

const KNOWN: Readonly<
  Record<string, { readonly id: string; readonly type: string; readonly publisher: Readonly<Record<string, string>> }>
> = {
  "acme-db": { id: IDA, type: "charm", publisher: ACME },
  tiny: { id: IDT, type: "charm", publisher: ACME },
  "acme-stack": { id: IDB, type: "bundle", publisher: ACME },
  "juju-controller": { id: IDJ, type: "charm", publisher: JUJU_TEAM },
};

/** A success: that revision, with what every client reads of it. `charm` adds to it. */
function found(name: string, revision: number, channel: string | null, charm: Result = {}): Result {
  const { id, type, publisher } = KNOWN[name] ?? {};
  return {
    id,
    name,
    error: either(absent, null),
    "effective-channel": channel ?? either(absent, ""),
    charm: {
      type,
      id,
      name,
      revision,
      version: String(revision),
      summary: nonEmpty,
      license: text,
      publisher,
      download: {
        url: new RegExp(`^https?://[^/]+.*/api/v1/charms/download/${id}_${revision}\\.(charm|bundle)$`),
        size: integer,
        "hash-sha-256": hex(64),
      },
      ...(type === "charm" && { "metadata-yaml": new RegExp(`^name: ${name}$`, "m") }),
      ...charm,
    },
  };
}

function resource(name: string, revision: number, more: Result): Result {
  return {
    name,
    revision,
    description: text,
    ...more,
    download: {
      url: new RegExp(`/api/v1/resources/download/charm_${IDA}\\.${name}_${revision}(\\?.*)?$`),
      size: integer,
      "hash-sha-256": hex(64),
      "hash-sha-384": hex(96),
    },
  };
}

function image(revision: number): Result {
  return resource("acme-image", revision, { type: "oci-image", filename: "" });
}

const FILE = resource("acme-file", 4, { type: "file", filename: "acme.bin" });
const EMPTY_YAML = /^(\{\})?\s*$/;

/** The charm of acme-db in full. */
function full(bases: readonly TestBase[], imageRevision: number): Result {
  return {
    summary: "Acme database",
    license: "Apache-2.0",
    bases: bases.map((one) => exactly({ ...one })),
    resources: anyOrder(image(imageRevision), FILE),
    "config-yaml": CONFIG_YAML,
    "actions-yaml": ACTIONS_YAML,
  };
}

const R18 = found("acme-db", 18, "14/stable", full([JAMMY], 7));
const R20 = found("acme-db", 20, "14/stable", full([NOBLE], 7));
const R25 = found("acme-db", 25, "14/edge", full([NOBLE], 9));
const R10 = found("acme-db", 10, "latest/stable", full([FOCAL], 3));
const TINY = found("tiny", 5, "latest/stable", { bases: anyOrder({ ...JAMMY }, { ...JAMMY_ARM }), resources: [] });
const STACK = found("acme-stack", 3, "latest/stable", { bases: either(absent, null, []) });

/** An error of one result. */
function refused(name: string | null, code: string, error: Result = {}, result: Result = {}): Result {
  const id = name === null ? undefined : (KNOWN[name]?.id ?? null);
  return {
    ...(name !== null && { id, name }),
    result: "error",
    charm: null,
    "released-at": null,
    "effective-channel": absent,
    error: { code, message: nonEmpty, ...error },
    ...result,
  };
}

function noBase(...proposed: readonly TestBase[]): Result {
  return refused("acme-db", "invalid-charm-base", { extra: { "default-bases": proposed.map((one) => exactly({ ...one })) } });
}

function noRevision(name: string, reachable: Pattern, error: Result = {}): Result {
  const { id, type } = KNOWN[name] ?? {};
  return refused(
    name,
    "revision-not-found",
    { extra: { releases: reachable }, ...error },
    { charm: exactly({ id, type, name, license: text, publisher: flatStrings, summary: text }) },
  );
}

interface Row {
  readonly channel: string;
  readonly base: TestBase;
}

/** Rows of one track whose stable risk is open on these bases: the closed risks are reachable too. */
function rows(track: string, ...bases: readonly TestBase[]): readonly Row[] {
  return bases.flatMap((on) => ["stable", "candidate", "beta", "edge"].map((risk) => ({ channel: `${track}/${risk}`, base: on })));
}

/** These rows; clients take the first of a channel, so within each they stand in this order. */
function releases(...expected: readonly Row[]): Rule {
  const sorted = (list: readonly unknown[]) => list.toSorted((a, b) => channelOf(a).localeCompare(channelOf(b), "en"));
  return both(
    anyOrder(...expected.map(({ channel, base: on }) => exactly({ channel, base: exactly({ ...on }) }))),
    is(
      "the asked architecture first, the best base first, within each channel",
      (value) => Array.isArray(value) && Bun.deepEquals(sorted(value), sorted(expected)),
    ),
  );
}

function channelOf(row: unknown): string {
  return isRecord(row) ? String(row["channel"]) : "";
}

function spelled(list: readonly Row[], channel: string, as: string): readonly Row[] {
  return list.map((row) => (row.channel === channel ? { ...row, channel: as } : row));
}

const FOR_AMD64 = [...rows("14", NOBLE, JAMMY, NOBLE_ARM), ...rows("latest", FOCAL)];
const FOR_ARM64 = [...rows("14", NOBLE_ARM, NOBLE, JAMMY), ...rows("latest", FOCAL)];
const RELEASES = releases(...FOR_AMD64);

function mapRow(channel: string, on: TestBase, revision: number): Result {
  const [track, risk] = channel.split("/");
  return {
    channel: { name: channel, track, risk, base: exactly({ ...on }), "released-at": rfc3339 },
    revision: { revision, version: String(revision), bases: [{ ...on }], download: { size: integer }, "created-at": text },
  };
}

/** Default track first, stable to edge, the best row of a channel first. */
const CHANNEL_MAP = both(
  [
    mapRow("14/stable", NOBLE, 20),
    { channel: { name: "14/stable" } },
    { channel: { name: "14/stable" } },
    mapRow("14/edge", NOBLE, 25),
    mapRow("latest/stable", FOCAL, 10),
  ],
  has(mapRow("14/stable", NOBLE_ARM, 21), mapRow("14/stable", JAMMY, 18)),
);

const ACME_INFO = {
  type: "charm",
  id: IDA,
  name: "acme-db",
  result: { publisher: { "display-name": "Acme" }, summary: "Acme database", "store-url": "https://charmhub.io/acme-db" },
  "default-release": {
    channel: { name: "14/stable", track: "14", risk: "stable", base: exactly({ ...NOBLE }), "released-at": rfc3339 },
    revision: { revision: 20, version: "20", bases: [{ ...NOBLE }], "metadata-yaml": /^name: acme-db$/m, "config-yaml": CONFIG_YAML },
  },
  "channel-map": CHANNEL_MAP,
};

function notFound(path: string): Step {
  return get(path, { "error-list": has({ code: nonEmpty, message: nonEmpty }) }, { status: 404 });
}

function malformed(body: string): Step {
  return {
    ask: { method: "POST", path: "/v2/charms/refresh", body },
    status: 400,
    json: { "error-list": has({ code: /^(api-error|bad-argument)$/, message: nonEmpty }) },
  };
}

/** A download of what an earlier reply tells of at `told`. */
function file(told: string, more: Partial<Step> & { readonly holds?: Omit<NonNullable<Step["file"]>, "told"> } = {}): Step {
  const { holds, ...step } = more;
  return {
    ask: { path: { from: `${told}.url` }, headers: { "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip" } },
    file: { told, ...holds },
    ...step,
  };
}

const CHARM = "0.results.0.charm.download";
const IMAGE = "0.results.0.charm.resources.acme-image.download";
const ACME_FILE = "0.results.0.charm.resources.acme-file.download";
const DEPLOY = install("acme-db", { channel: "14/stable", base: NOBLE }, R20);

const LOGIN: Login = { domain: "hub.lan:5000", username: "pull", password: "pull-only" };
const OTHER_LOGIN: Login = { ...LOGIN, password: "another-password" };
const REFERENCE = `${IMAGE_PATH}@sha256:${"7".repeat(64)}`;
const PUBLIC_URL = "http://hub.test/stores/a";

/* ---- the cases ---- */

const INFO: readonly Case[] = [
  { id: 1, title: "info: the default track leads", steps: [info("acme-db", { fields: INFO_FIELDS }, ACME_INFO)] },
  {
    id: 2,
    title: "info: every released-at is RFC 3339 with a zone",
    steps: [
      info("acme-db", { fields: INFO_FIELDS }, { "channel-map": each({ channel: { "released-at": rfc3339 } }) }),
      info("tiny", { fields: INFO_FIELDS }, { "channel-map": each({ channel: { "released-at": rfc3339 } }) }),
    ],
  },
  {
    id: 3,
    title: "info: version is text, revision an integer, publisher flat",
    steps: [
      info("acme-db", { fields: INFO_FIELDS }, { "channel-map": each({ revision: { version: /^\d+$/, revision: integer } }) }),
      info("acme-db", { fields: "result" }, { result: { publisher: both(flatStrings, ACME) } }),
    ],
  },
  {
    id: 4,
    title: "info: a closed risk has no row, latest is spelled",
    steps: [
      info(
        "acme-db",
        { fields: INFO_FIELDS },
        {
          "channel-map": both(
            each({ channel: { name: /^(14\/stable|14\/edge|latest\/stable)$/ } }),
            has({ channel: { name: "latest/stable" } }),
          ),
        },
      ),
    ],
  },
  {
    id: 5,
    title: "info without fields is id, name and type",
    steps: [
      get("/v2/charms/info/acme-db", exactly({ type: "charm", id: IDA, name: "acme-db" })),
      get("/v2/charms/info/acme-db?fields=", exactly({ type: "charm", id: IDA, name: "acme-db" })),
    ],
  },
  {
    id: 6,
    title: "info: a prefix selects all below it",
    steps: [info("acme-db", { fields: "channel-map" }, exactly({ type: "charm", id: IDA, name: "acme-db", "channel-map": CHANNEL_MAP }))],
  },
  {
    id: 7,
    title: "info: a leaf is selected, an unknown field ignored",
    steps: [
      info(
        "acme-db",
        { fields: "default-release.revision.metadata-yaml,no.such.thing" },
        {
          "default-release": { revision: { "metadata-yaml": /^name: acme-db$/m } },
        },
      ),
    ],
  },
  {
    id: 8,
    title: "info: commas may be encoded",
    steps: [get(`/v2/charms/info/acme-db?fields=${INFO_FIELDS}`, ACME_INFO), info("acme-db", { fields: INFO_FIELDS }, sameAs("0"))],
  },
  {
    id: 9,
    title: "info of an unknown name is a 404 in JSON",
    steps: [
      get(
        `/v2/charms/info/nope?fields=${INFO_FIELDS}`,
        { "error-list": [{ code: "resource-not-found", message: nonEmpty }] },
        { status: 404 },
      ),
    ],
  },
  {
    id: 10,
    title: "info of a bundle",
    steps: [
      info(
        "acme-stack",
        { fields: INFO_FIELDS },
        {
          type: "bundle",
          id: IDB,
          name: "acme-stack",
          "default-release": { revision: { revision: 3, version: "3", "bundle-yaml": BUNDLE_YAML } },
          "channel-map": [{ channel: { name: "latest/stable" }, revision: { revision: 3, version: "3", bases: either(absent, []) } }],
        },
      ),
    ],
  },
  {
    id: 11,
    title: "info: a channel limits the map",
    steps: ["14/edge", "edge"].map((channel) =>
      info(
        "acme-db",
        { fields: INFO_FIELDS, channel },
        {
          "channel-map": [mapRow("14/edge", NOBLE, 25)],
          "default-release": { channel: { name: "14/edge" }, revision: { revision: 25 } },
        },
      ),
    ),
  },
  {
    id: 12,
    title: "info: ch: before the name",
    steps: [info("acme-db", { fields: INFO_FIELDS }, ACME_INFO), info("ch%3Aacme-db", { fields: INFO_FIELDS }, sameAs("0"))],
  },
  {
    id: 13,
    title: "the hub below a path prefix",
    setup: { publicUrl: PUBLIC_URL },
    steps: [
      get("/stores/a/v2/charms/info/tiny?fields=channel-map.revision.download", {
        name: "tiny",
        "channel-map": each({ revision: { download: { url: /^http:\/\/hub\.test\/stores\/a\/api\/v1\/charms\/download\// } } }),
      }),
      file("0.channel-map.0.revision.download"),
    ],
  },
];

const ALL = names("acme-db", "tiny", "acme-stack", "juju-controller");

const FIND: readonly Case[] = [
  {
    id: 14,
    title: "find: text",
    steps: [
      find(
        { q: "acme" },
        both(
          has({ name: "acme-db", id: IDA, type: "charm" }, { name: "acme-stack", id: IDB, type: "bundle" }),
          each({
            type: /^(charm|bundle)$/,
            id: nonEmpty,
            name: nonEmpty,
            result: { publisher: { "display-name": nonEmpty } },
            "default-release": { revision: { version: /^\d+$/ } },
          }),
        ),
      ),
    ],
  },
  {
    id: 15,
    title: "find: featured alone is no filter, beside others they hold",
    steps: [find({ category: "featured" }, ALL), find({ category: "featured", type: "bundle" }, names("acme-stack"))],
  },
  { id: 16, title: "find: nothing asked is everything", steps: [find({}, ALL)] },
  {
    id: 17,
    title: "find: no match is an empty list",
    steps: [get(`/v2/charms/find?${query({ fields: FIND_FIELDS, q: "zzz" })}`, exactly({ results: [], "error-list": [] }))],
  },
  { id: 18, title: "find: type", steps: [find({ type: "bundle" }, names("acme-stack"))] },
  {
    id: 19,
    title: "find: publisher by display name or username, whatever the case",
    steps: [
      find({ publisher: "Acme" }, names("acme-db", "tiny", "acme-stack")),
      ...["Juju Team", "juju team", "juju-qa"].map((publisher) => find({ publisher }, names("juju-controller"))),
    ],
  },
  { id: 20, title: "find: channel", steps: [find({ channel: "14/edge" }, names("acme-db"))] },
  { id: 21, title: "find: empty parameters are absent", steps: [find({ q: "", category: "", publisher: "" }, ALL)] },
  {
    id: 22,
    title: "find: relations and platforms are accepted",
    steps: ["relation-provides", "relation-requires", "provides", "requires", "platforms"].map((name) =>
      find({ [name]: "x" }, each({ id: nonEmpty })),
    ),
  },
];

const BY_CHANNEL: readonly Case[] = [
  {
    id: 23,
    title: "deploy by name: an error proposes the bases, best first",
    steps: [install("acme-db", { channel: "stable", base: unknownBase("amd64") }, noBase(NOBLE, JAMMY))],
  },
  { id: 24, title: "deploy by name with a base", steps: [install("acme-db", { channel: "stable", base: NOBLE }, R20)] },
  {
    id: 25,
    title: "bases are proposed for the asked architecture",
    steps: [install("acme-db", { channel: "stable", base: unknownBase("arm64") }, noBase(NOBLE_ARM))],
  },
  {
    id: 26,
    title: "latest, when asked for, is not the default track",
    steps: [
      install("acme-db", { channel: "latest/stable", base: unknownBase("amd64") }, noBase(FOCAL)),
      install("acme-db", { channel: "latest/stable", base: FOCAL }, R10),
    ],
  },
  { id: 27, title: "a risk alone is of the default track", steps: [install("acme-db", { channel: "edge", base: NOBLE }, R25)] },
  { id: 28, title: "a closed risk falls back", steps: [install("acme-db", { channel: "14/candidate", base: NOBLE }, R20)] },
  {
    id: 29,
    title: "the fallback is per base",
    steps: [
      install("acme-db", { channel: "14/edge", base: JAMMY }, R18),
      install("acme-db", { channel: "14/edge", base: NOBLE_ARM }, found("acme-db", 21, "14/stable", full([NOBLE_ARM], 7))),
      install("acme-db", { channel: "14/edge", base: unknownBase("amd64") }, noBase(NOBLE, JAMMY)),
    ],
  },
  {
    id: 30,
    title: "an unknown track: all that can be had",
    steps: [
      install("acme-db", { channel: "9/stable", base: NOBLE }, noRevision("acme-db", RELEASES)),
      install("acme-db", { channel: "9/stable", base: unknownBase("amd64") }, noRevision("acme-db", RELEASES)),
    ],
  },
  {
    id: 31,
    title: "a base without a release: what can be had, the asked channel as it was asked",
    steps: [
      install("acme-db", { channel: "14/stable", base: base("amd64", "18.04") }, noRevision("acme-db", RELEASES)),
      install(
        "acme-db",
        { channel: "stable", base: base("amd64", "18.04") },
        noRevision("acme-db", releases(...spelled(FOR_AMD64, "14/stable", "stable"))),
      ),
      install(
        "acme-db",
        { channel: "edge", base: base("amd64", "18.04") },
        noRevision("acme-db", releases(...spelled(FOR_AMD64, "14/edge", "edge"))),
      ),
      install("acme-db", { channel: "latest/stable", base: NOBLE }, noRevision("acme-db", RELEASES)),
      install("acme-db", { channel: "14/stable", base: base("arm64", "22.04") }, noRevision("acme-db", releases(...FOR_ARM64))),
    ],
  },
  {
    id: 32,
    title: "an architecture without a release",
    steps: [
      install(
        "acme-db",
        { channel: "14/stable", base: unknownBase("s390x") },
        noRevision("acme-db", anyOrder(...FOR_AMD64.map((row) => exactly({ channel: row.channel, base: { ...row.base } })))),
      ),
    ],
  },
  {
    id: 33,
    title: "a channel without a base",
    steps: [
      install("acme-db", { channel: "stable" }, refused("acme-db", "missing-charm-base")),
      install("acme-db", { channel: "stable", base: undefined }, refused("acme-db", "missing-charm-base")),
    ],
  },
  {
    id: 34,
    title: "an unknown name is an error of its result",
    steps: [install("nope", { channel: "stable", base: unknownBase("amd64") }, refused("nope", "name-not-found"))],
  },
  {
    id: 35,
    title: "a base channel with a risk",
    steps: [install("acme-db", { channel: "stable", base: base("amd64", "24.04/stable") }, R20)],
  },
  {
    id: 36,
    title: "a half-known base",
    steps: [install("acme-db", { channel: "stable", base: base("amd64", "NA") }, noBase(NOBLE, JAMMY))],
  },
  {
    id: 37,
    title: "an unknown branch falls back to its risk, on an unknown track to nothing",
    steps: [
      install("acme-db", { channel: "14/edge/fix-1", base: NOBLE }, R25),
      install("acme-db", { channel: "edge/fix-1", base: NOBLE }, R25),
      install("acme-db", { channel: "9/edge/fix-1", base: NOBLE }, noRevision("acme-db", RELEASES)),
    ],
  },
  {
    id: 38,
    title: "a bundle is found without a base",
    steps: [
      install("acme-stack", { channel: "stable", base: unknownBase("amd64") }, STACK),
      install("acme-stack", { channel: "stable" }, STACK),
    ],
  },
  { id: 39, title: "a bundle is found on any base", steps: [install("acme-stack", { channel: "stable", base: NOBLE }, STACK)] },
  {
    id: 40,
    title: "a charm without options, actions and resources",
    steps: [
      install(
        "tiny",
        { channel: "stable", base: JAMMY },
        found("tiny", 5, "latest/stable", {
          bases: anyOrder(exactly({ ...JAMMY }), exactly({ ...JAMMY_ARM })),
          "config-yaml": EMPTY_YAML,
          "actions-yaml": EMPTY_YAML,
          resources: [],
        }),
      ),
    ],
  },
  {
    id: 41,
    title: "without fields the charm is complete",
    steps: [
      install(
        "acme-db",
        { channel: "stable", base: NOBLE },
        found("acme-db", 20, "14/stable", { ...full([NOBLE], 7), "created-at": either(absent, null, rfc3339) }),
        {
          fields: undefined,
        },
      ),
    ],
  },
  {
    id: 42,
    title: "actions-yaml is there when it is asked for",
    steps: [
      install("acme-db", { channel: "stable", base: NOBLE }, found("acme-db", 20, "14/stable", { "actions-yaml": ACTIONS_YAML }), {
        fields: FIELDS,
      }),
      install(
        "acme-db",
        { channel: "stable", base: NOBLE },
        found("acme-db", 20, "14/stable", { "actions-yaml": either(absent, ACTIONS_YAML) }),
        {
          fields: FIELDS_36,
        },
      ),
    ],
  },
  {
    id: 43,
    title: "the metadata headers of Juju 2.9.0 are ignored",
    steps: [{ ...DEPLOY, ask: { ...DEPLOY.ask, headers: { "X-Juju-Metadata": "arch=amd64, name=acme-db, channel=stable" } } }],
  },
  {
    id: 44,
    title: "fields limit the charm alone",
    steps: [
      {
        ...install(
          "acme-db",
          { channel: "stable", base: NOBLE },
          {
            id: IDA,
            name: "acme-db",
            "effective-channel": "14/stable",
            "released-at": rfc3339,
            charm: { revision: 20, "metadata-yaml": either(absent, nonEmpty) },
          },
          { fields: ["revision"] },
        ),
      },
    ],
  },
];

const BARE_20 = found("acme-db", 20, null, { bases: [{ ...NOBLE }] });
const RESOURCES = { resources: anyOrder(image(7), FILE) };

const BY_REVISION: readonly Case[] = [
  {
    id: 45,
    title: "a revision alone",
    steps: [install("acme-db", { revision: 18 }, found("acme-db", 18, null, { bases: [exactly({ ...JAMMY })] }))],
  },
  {
    id: 46,
    title: "a revision with an unknown base is no base error",
    steps: [
      install("acme-db", { revision: 18, base: unknownBase("amd64") }, found("acme-db", 18, null, { bases: [exactly({ ...JAMMY })] })),
    ],
  },
  {
    id: 47,
    title: "a revision in a channel brings what was released with it",
    steps: [install("acme-db", { revision: 20, channel: "14/stable", base: unknownBase("amd64") }, R20)],
  },
  {
    id: 48,
    title: "a revision in a channel on a base",
    steps: [install("acme-db", { revision: 20, channel: "14/stable", base: NOBLE }, R20)],
  },
  {
    id: 49,
    title: "a revision of another architecture",
    steps: [
      install("acme-db", { revision: 21, base: unknownBase("amd64") }, noRevision("acme-db", RELEASES)),
      install("acme-db", { revision: 21, base: NOBLE }, noRevision("acme-db", RELEASES)),
      install("acme-db", { revision: 21 }, found("acme-db", 21, null, { bases: [exactly({ ...NOBLE_ARM })] })),
    ],
  },
  {
    id: 50,
    title: "an unknown revision is named",
    steps: [
      install("acme-db", { revision: 900, base: unknownBase("amd64") }, noRevision("acme-db", RELEASES, { message: /900/ })),
      install("acme-db", { revision: 900 }, noRevision("acme-db", nonEmpty, { message: /900/ })),
    ],
  },
  {
    id: 51,
    title: "a stored revision is served in a channel it was never seen in",
    steps: [install("acme-db", { revision: 25, channel: "14/stable", base: NOBLE }, found("acme-db", 25, "14/stable", full([NOBLE], 7)))],
  },
  { id: 52, title: "a revision of a bundle", steps: [install("acme-stack", { revision: 3 }, found("acme-stack", 3, null))] },
  {
    id: 53,
    title: "one pinned resource, by id",
    steps: [
      download(
        { id: IDA, revision: 20, "resource-revisions": [{ name: "acme-image", revision: 3 }] },
        found("acme-db", 20, null, { resources: once("acme-image", image(3)) }),
      ),
      file(IMAGE),
    ],
  },
  {
    id: 54,
    title: "one pinned resource, by name",
    steps: [
      download(
        { name: "acme-db", revision: 20, "resource-revisions": [{ name: "acme-image", revision: 3 }] },
        found("acme-db", 20, null, { resources: once("acme-image", image(3)) }),
      ),
    ],
  },
  {
    id: 55,
    title: "an unknown resource revision is an error, never another revision",
    steps: [
      download(
        { id: IDA, revision: 20, "resource-revisions": [{ name: "acme-image", revision: 99 }] },
        refused("acme-db", "charm-resource-not-found"),
      ),
    ],
  },
  {
    id: 56,
    title: "resource revision -1 is the newest",
    steps: [
      download(
        { id: IDA, revision: 20, "resource-revisions": [{ name: "acme-image", revision: -1 }] },
        found("acme-db", 20, null, { resources: once("acme-image", image(9)) }),
      ),
    ],
  },
  {
    id: 57,
    title: "resources of a revision in a channel",
    steps: [download({ id: IDA, revision: 20, channel: "14/stable", base: NOBLE }, found("acme-db", 20, "14/stable", RESOURCES))],
  },
  {
    id: 58,
    title: "resources of a channel, by name and by id",
    steps: [
      download({ name: "acme-db", channel: "14/stable", base: NOBLE }, found("acme-db", 20, "14/stable", RESOURCES)),
      download({ id: IDA, channel: "14/stable", base: NOBLE }, found("acme-db", 20, "14/stable", RESOURCES)),
    ],
  },
  {
    id: 59,
    title: "many revisions: one result each, with bases",
    steps: [
      refresh(
        {
          context: [],
          actions: [
            { action: "download", "instance-key": "a", id: IDA, revision: 20, base: null },
            { action: "download", "instance-key": "b", id: IDT, revision: 5, base: null },
            { action: "download", "instance-key": "c", id: IDJ, revision: 141, base: null },
          ],
          fields: FIELDS_36,
        },
        anyOrder(
          { ...BARE_20, "instance-key": "a" },
          { ...found("tiny", 5, null, { bases: anyOrder({ ...JAMMY }, { ...JAMMY_ARM }) }), "instance-key": "b" },
          { ...found("juju-controller", 141, null, { bases: [{ ...NOBLE }, { ...JAMMY }] }), "instance-key": "c" },
        ),
      ),
    ],
  },
];

/** 43 characters of base64url, as Juju makes a key of an application. */
const APP_KEYS = ["-_cE9JXq0nZbV7mT2kLwYhR4sGdUaP1fOiNx6CvBtDe", "Qw8rT-yUi_oPaSdFgHjKlZxCvBnM1234567890abcde"] as const;

const AS_IT_IS: readonly Case[] = [
  {
    id: 60,
    title: "an application that is up to date gets its charm in full",
    steps: [check([[acmeDb(18, JAMMY, "14/stable"), R18]])],
  },
  { id: 61, title: "an application that is behind", steps: [check([[acmeDb(19, NOBLE, "14/stable"), R20]])] },
  { id: 62, title: "an installed revision of -1", steps: [check([[acmeDb(-1, NOBLE, "14/stable"), R20]])] },
  { id: 63, title: "an installed revision that the hub never had", steps: [check([[acmeDb(7777, NOBLE, "14/stable"), R20]])] },
  { id: 64, title: "no tracked channel is the default track's stable", steps: [check([[acmeDb(19, NOBLE), R20]])] },
  { id: 65, title: "a tracked channel that is closed", steps: [check([[acmeDb(20, NOBLE, "14/candidate"), R20]])] },
  {
    id: 66,
    title: "three applications of one charm are three results",
    steps: [
      check([
        [acmeDb(18, JAMMY, "14/stable", "a"), R18],
        [acmeDb(20, NOBLE, "14/stable", "b"), R20],
        [acmeDb(20, NOBLE, "14/stable", "c"), R20],
      ]),
    ],
  },
  {
    id: 67,
    title: "one unknown id among good ones",
    steps: [
      check([
        [acmeDb(20, NOBLE, "14/stable", "a"), R20],
        [
          { key: "b", id: "Un8kNown5Id2Un8kNown5Id2Un8kNown", revision: 1, base: NOBLE },
          refused(null, "id-not-found", {}, { id: "Un8kNown5Id2Un8kNown5Id2Un8kNown" }),
        ],
        [{ key: "c", id: IDT, revision: 5, base: JAMMY, channel: "latest/stable" }, TINY],
      ]),
    ],
  },
  {
    id: 68,
    title: "keys come back to the letter",
    steps: [
      check([
        [acmeDb(20, NOBLE, "14/stable", APP_KEYS[0]), R20],
        [acmeDb(18, JAMMY, "14/stable", APP_KEYS[1]), R18],
      ]),
    ],
  },
  {
    id: 69,
    title: "every result has a channel and metadata",
    steps: [
      check([
        [acmeDb(10, FOCAL, "latest/stable", "a"), R10],
        [acmeDb(25, NOBLE, "14/edge", "b"), R25],
        [{ key: "c", id: IDT, revision: 5, base: JAMMY_ARM }, TINY],
        [{ key: "d", id: IDJ, revision: 116, base: NOBLE, channel: "3.6/stable" }, found("juju-controller", 116, "3.6/stable")],
      ]),
    ],
  },
  {
    id: 70,
    title: "300 applications in one request",
    steps: [
      check(
        Array.from({ length: 300 }, (_, i) =>
          i % 2 ? [acmeDb(18, JAMMY, "14/stable", `app-${i}`), R18] : [acmeDb(20, NOBLE, "14/edge", `app-${i}`), R25],
        ),
      ),
    ],
  },
  {
    id: 71,
    title: "metrics alone",
    steps: [
      {
        ask: {
          method: "POST",
          path: "/v2/charms/refresh",
          body: {
            context: [],
            actions: [],
            metrics: {
              controller: { "juju-version": "3.6.28", uuid: "5f2a7f7e-6c39-4e0e-8f6b-0a6d1a3a9c11" },
              model: {
                uuid: "9d1c1a4e-1d43-4b87-8c35-7f0f5d6ad6b2",
                cloud: "lxd",
                provider: "lxd",
                region: "",
                applications: "0",
                machines: "0",
                units: "0",
              },
            },
          },
        },
        json: exactly({ results: [], "error-list": [] }),
      },
    ],
  },
  {
    id: 72,
    title: "metrics and a date in the context",
    steps: [
      check([[acmeDb(20, NOBLE, "14/stable"), R20]], () => ({
        metrics: { units: "3", relations: "a,b" },
        "refresh-date": "2026-03-01T00:00:00Z",
      })),
    ],
  },
  {
    id: 73,
    title: "a context without an action, an action without a context",
    steps: [
      single("install", { name: "acme-db", channel: "stable", base: NOBLE }, R20, {
        context: [{ "instance-key": "other", id: IDA, revision: 20, base: NOBLE, "tracking-channel": "14/stable" }],
      }),
      single("refresh", { id: IDA }, refused(null, "missing-context")),
    ],
  },
  {
    id: 74,
    title: "a malformed body",
    steps: ["this is no JSON", "", '{"context":[],"actions":', "[]", '{"context":[],"actions":3}'].map(malformed),
  },
  {
    id: 75,
    title: "released-at is null or RFC 3339, in errors too",
    steps: [
      refresh(
        {
          context: [],
          actions: [
            { action: "install", "instance-key": "a", name: "acme-db", channel: "stable", base: NOBLE },
            { action: "install", "instance-key": "b", name: "acme-db", channel: "stable", base: unknownBase("amd64") },
            { action: "install", "instance-key": "c", name: "nope", channel: "stable", base: NOBLE },
            { action: "install", "instance-key": "d", name: "acme-db", revision: 18, base: null },
            { action: "install", "instance-key": "e", name: "acme-db", revision: 900, base: null },
          ],
        },
        both(
          each({ "released-at": either(absent, null, rfc3339) }),
          anyOrder(...["a", "b", "c", "d", "e"].map((key) => ({ "instance-key": key }))),
        ),
      ),
    ],
  },
];

const RESOURCE: readonly Case[] = [
  {
    id: 76,
    title: "revisions of a resource, newest first",
    steps: [
      get("/v2/charms/resources/acme-db/acme-image/revisions", { revisions: [9, 8, 7, 6, 5, 4, 3].map(image) }),
      get("/v2/charms/resources/acme-db/acme-file/revisions", { revisions: [FILE] }),
    ],
  },
  {
    id: 77,
    title: "an unknown resource or charm is a 404 in JSON",
    steps: ["acme-db/nope", "nope/acme-image", "acme-stack/acme-image"].map((path) => notFound(`/v2/charms/resources/${path}/revisions`)),
  },
  {
    id: 78,
    title: "sizes and digests agree everywhere",
    steps: [
      download(
        { id: IDA, revision: 20, "resource-revisions": [{ name: "acme-image", revision: 3 }] },
        found("acme-db", 20, null, { resources: once("acme-image", image(3)) }),
      ),
      get("/v2/charms/resources/acme-db/acme-image/revisions", { revisions: has({ revision: 3, download: sameAs(IMAGE) }) }),
      file(IMAGE),
    ],
  },
];

const DOWNLOAD: readonly Case[] = [
  {
    id: 79,
    title: "a charm: exact length, right bytes",
    steps: [DEPLOY, file(CHARM, { ask: { path: { from: `${CHARM}.url` }, headers: { "Accept-Encoding": "identity" } } })],
  },
  { id: 80, title: "a charm is never compressed on the way", steps: [DEPLOY, file(CHARM)] },
  {
    id: 81,
    title: "an unknown file is a 404",
    steps: [
      `/api/v1/charms/download/${IDA}_900.charm`,
      `/api/v1/charms/download/${IDA}`,
      "/api/v1/charms/download/nope_20.charm",
      `/api/v1/resources/download/charm_${IDA}.acme-image_99`,
      `/api/v1/resources/download/charm_${IDA}.nope_1`,
    ].map(notFound),
  },
  { id: 82, title: "a download is answered at once: no client has to follow", steps: [DEPLOY, file(CHARM, { status: 200 })] },
  {
    id: 83,
    title: "a URL outlives the server that gave it",
    setup: { publicUrl: "http://hub.test", restart: true },
    steps: [DEPLOY, file(CHARM, { before: "restart" }), file(IMAGE), { ...DEPLOY, json: sameAs("0") }],
  },
  {
    id: 84,
    title: "an image without a local registry: its name, no login",
    steps: [DEPLOY, file(IMAGE, { holds: { json: exactly({ ImageName: `registry.jujucharms.com/${REFERENCE}` }) } })],
  },
  {
    id: 84,
    title: "an image of the local registry, told the same everywhere",
    setup: { registry: LOGIN },
    steps: [
      DEPLOY,
      file(IMAGE, { holds: { json: exactly({ ImageName: `hub.lan:5000/${REFERENCE}`, Username: "pull", Password: "pull-only" }) } }),
      get("/v2/charms/resources/acme-db/acme-image/revisions", { revisions: has({ revision: 7, download: sameAs(IMAGE) }) }),
      info(
        "acme-db",
        { fields: "default-release.resources" },
        { "default-release": { resources: once("acme-image", { download: sameAs(IMAGE) }) } },
      ),
    ],
  },
  {
    id: 85,
    title: "a changed login of the registry: new digests, and the old promise is kept",
    setup: { registry: LOGIN },
    steps: [
      DEPLOY,
      {
        ...install(
          "acme-db",
          { channel: "14/stable", base: NOBLE },
          found("acme-db", 20, "14/stable", {
            resources: once("acme-image", {
              revision: 7,
              download: { "hash-sha-256": otherThan(`${IMAGE}.hash-sha-256`), "hash-sha-384": otherThan(`${IMAGE}.hash-sha-384`) },
            }),
          }),
        ),
        before: { registry: OTHER_LOGIN },
      },
      file("1.results.0.charm.resources.acme-image.download", {
        holds: { json: exactly({ ImageName: `hub.lan:5000/${REFERENCE}`, Username: "pull", Password: "another-password" }) },
      }),
      file(IMAGE, { holds: { json: { Password: "pull-only" } } }),
    ],
  },
  { id: 86, title: "a large resource arrives whole", steps: [DEPLOY, file(ACME_FILE)] },
  {
    id: 87,
    title: "a bundle's zip holds bundle.yaml and README.md",
    steps: [
      install("acme-stack", { channel: "stable", base: unknownBase("amd64") }, STACK),
      file(CHARM, { holds: { zip: ["bundle.yaml", "README.md"] } }),
    ],
  },
  { id: 88, title: "two downloads of one URL at once", steps: [DEPLOY, file(ACME_FILE, { twice: "at once" })] },
];

const HTTP: readonly Case[] = [
  {
    id: 89,
    title: "an unknown path is a 404 in JSON",
    steps: ["/v2/charms/zzz", "/v2/charms", "/v2/charms/info", "/v2/charms/info/a/b"].map(notFound),
  },
  {
    id: 90,
    title: "a fault of the server is a 500",
    setup: { brokenStore: true },
    steps: [
      { ask: { path: "/v2/charms/info/acme-db" }, status: 500 },
      { ask: { ...DEPLOY.ask }, status: 500 },
    ],
  },
  {
    id: 91,
    title: "the content type is application/json to the letter, 4xx too",
    steps: [
      get("/v2/charms/info/acme-db", anything),
      notFound("/v2/charms/info/nope"),
      notFound("/nowhere"),
      malformed("{"),
      get("/v2/charms/refresh", { "error-list": nonEmpty }, { status: [404, 405] }),
      { ask: { method: "POST", path: "/v2/charms/find", body: {} }, status: [404, 405], json: { "error-list": nonEmpty } },
    ],
  },
  { id: 92, title: "two POSTs on one connection", setup: { socket: true }, steps: [{ ...DEPLOY, twice: "on one connection" }] },
  {
    id: 93,
    title: "a POST is not redirected",
    steps: [
      DEPLOY,
      { ...DEPLOY, ask: { ...DEPLOY.ask, path: "/v2/charms/refresh/" }, status: [200, 404], json: { "error-list": anything } },
    ],
  },
  {
    id: 94,
    title: "unknown keys and fields are accepted",
    steps: [
      install("acme-db", { channel: "stable", base: { ...NOBLE, more: 1 }, more: { deep: [1, null] } }, R20, {
        fields: [...FIELDS, "no-such-field", "no.such.field"],
        more: true,
      }),
      check([[acmeDb(20, NOBLE, "14/stable"), R20]], () => ({ more: [1] }), { more: null }),
    ],
  },
];

const BOOTSTRAP: readonly Case[] = [
  {
    id: 95,
    title: "assertions of the snap proxy",
    setup: { publicUrl: STORE_URL },
    steps: [{ ask: { path: "/v2/auth/store/assertions" }, text: both(/^type: store$/m, new RegExp(`^url: ${STORE_URL}$`, "m")) }],
  },
  {
    id: 96,
    title: "one store assertion for one URL",
    steps: [
      {
        ask: { path: "/v2/auth/store/assertions" },
        text: is("one store", (value) => String(value).match(/^type: store$/gm)?.length === 1),
      },
    ],
  },
  {
    id: 97,
    title: "the controller's charm, on every track and base",
    steps: [
      ...[NOBLE, JAMMY].flatMap((on) => [
        install(
          "juju-controller",
          { channel: "3.6/stable", base: on },
          found("juju-controller", 116, "3.6/stable", { "config-yaml": CONFIG_YAML }),
        ),
        install(
          "juju-controller",
          { channel: "4.1/stable", base: on },
          found("juju-controller", 141, "4.1/stable", { "config-yaml": CONFIG_YAML }),
        ),
      ]),
      file(CHARM),
    ],
  },
  {
    id: 98,
    title: "a controller whose track is not stored: the tracks that are",
    steps: [
      install(
        "juju-controller",
        { channel: "4.2/stable", base: NOBLE },
        noRevision("juju-controller", releases(...rows("3.6", NOBLE, JAMMY), ...rows("4.1", NOBLE, JAMMY))),
      ),
    ],
  },
];

/** As the Terraform provider's own client asks: no id, no telemetry, and an instance key that is always the same. */
function terraform(action: Action, result: Result): Step {
  const fields = ["bases", "metadata-yaml", "actions-yaml", "name", "resources", "revision"];
  const asked = { action: "install", "instance-key": "key-0", name: "acme-db", base: null, ...action };
  return refresh({ context: [], actions: [asked], fields }, [{ "instance-key": "key-0", name: "acme-db", ...result }]);
}

/** What the provider makes its data source of: the first base, the relations of the metadata, the names of actions, resources with numbers. */
function terraformCharm(revision: number, on: TestBase, imageRevision: number): Result {
  return {
    error: either(absent, null),
    "released-at": either(absent, null, rfc3339),
    charm: {
      name: "acme-db",
      revision,
      bases: [exactly({ ...on })],
      "metadata-yaml": /^name: acme-db$/m,
      "actions-yaml": ACTIONS_YAML,
      resources: anyOrder({ name: "acme-image", revision: imageRevision }, { name: "acme-file", revision: 4 }),
    },
  };
}

/** Clients that are not Juju's own. Their exact requests; test/interop runs python-libjuju itself. */
const OTHERS: readonly Case[] = [
  {
    id: 99,
    title: "the Terraform provider resolves a channel for a base",
    steps: [
      terraform({ channel: "14/stable", base: NOBLE }, { "effective-channel": "14/stable", ...terraformCharm(20, NOBLE, 7) }),
      terraform({ channel: "14/stable", base: NOBLE_ARM }, { "effective-channel": "14/stable", charm: { revision: 21 } }),
      terraform({ channel: "latest/stable", base: FOCAL }, { "effective-channel": "latest/stable", charm: { revision: 10 } }),
      // Of a base without its version it makes this one, and reports the error's code and message.
      terraform({ channel: "14/stable", base: { ...NOBLE, channel: "NA" } }, { error: { code: "invalid-charm-base", message: nonEmpty } }),
      terraform({ channel: "9/stable", base: NOBLE }, { error: { code: "revision-not-found", message: nonEmpty } }),
      terraform(
        { name: "nope", channel: "stable", base: NOBLE },
        { name: either(absent, null, "nope"), error: { code: "name-not-found", message: nonEmpty } },
      ),
    ],
  },
  {
    id: 100,
    title: "the Terraform provider asks which actions a deployed revision has",
    steps: [
      terraform({ revision: 18 }, terraformCharm(18, JAMMY, 7)),
      terraform({ revision: 25 }, terraformCharm(25, NOBLE, 9)),
      terraform({ revision: 900 }, { error: { code: "revision-not-found", message: nonEmpty } }),
    ],
  },
  {
    id: 101,
    title: "python-libjuju reads an info without fields, and coarse ones",
    steps: [
      get("/v2/charms/info/acme-db", { id: IDA, name: "acme-db" }),
      get("/v2/charms/info/acme-db?fields=default-release.revision.subordinate", {
        "default-release": { revision: { subordinate: false } },
      }),
      get("/v2/charms/info/acme-db?fields=default-release.resources", {
        "default-release": { resources: anyOrder({ name: "acme-image", revision: 7 }, { name: "acme-file", revision: 4 }) },
      }),
      get("/v2/charms/info/acme-db?fields=channel-map", {
        "channel-map": has({ channel: { track: "14", risk: "stable" }, revision: { revision: 20 } }),
      }),
    ],
  },
];

export const CASES: readonly Case[] = [
  ...INFO,
  ...FIND,
  ...BY_CHANNEL,
  ...BY_REVISION,
  ...AS_IT_IS,
  ...RESOURCE,
  ...DOWNLOAD,
  ...HTTP,
  ...BOOTSTRAP,
  ...OTHERS,
];
